"""Who is let in, and what those are told who are not."""

from __future__ import annotations

import pytest
from tests.support.signed import API_KEY, CREATED, HEADERS, KEYS, NOW_NS, TARGET, signed

from openaudiohook.auth import ReplayCache, VerificationPolicy
from openaudiohook.exceptions import ConfigurationError
from openaudiohook.transport import Admission, Admitted, KeyLimits, Refusal
from openaudiohook.transport.handshake import RequestHead

pytestmark = pytest.mark.unit


def check(
    admission: Admission,
    headers: tuple[tuple[str, str], ...],
    *,
    utc_ns: int = NOW_NS,
    now_ns: int = 0,
    is_secure: bool = True,
) -> Admitted | Refusal:
    return admission.check(
        RequestHead(TARGET, headers),
        remote_address="192.0.2.1",
        is_secure=is_secure,
        utc_ns=utc_ns,
        now_ns=now_ns,
    )


def changed(name: str, value: str | None) -> tuple[tuple[str, str], ...]:
    rest = tuple(header for header in HEADERS if header[0] != name)
    return rest if value is None else (*rest, (name, value))


def test_a_signed_request_is_admitted_with_what_its_headers_say() -> None:
    admission = Admission(KEYS, replay=ReplayCache())
    admitted = check(admission, (*signed(), ("Audiohook-Retry-Attempt", "2")))
    assert admitted == Admitted(
        session_id="30b0e395-84d3-4570-ac13-9a62d8f514c0",
        organization_id="d7934305-0972-4844-938e-9060eef73d05",
        correlation_id="e160e428-53e2-487c-977d-96989bf5c99d",
        api_key=API_KEY,
        retry_attempt=2,
        remote_address="192.0.2.1",
        target=TARGET,
    )
    assert API_KEY not in repr(admitted)


def test_the_first_attempt_need_not_be_counted() -> None:
    admitted = check(Admission(KEYS), signed())
    assert isinstance(admitted, Admitted)
    assert admitted.retry_attempt is None


@pytest.mark.parametrize(
    "name", ["Audiohook-Organization-Id", "Audiohook-Session-Id", "Audiohook-Correlation-Id"]
)
@pytest.mark.parametrize("value", [None, "", "not-a-uuid", "7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9a1"])
@pytest.mark.parametrize("require_auth", [True, False])
def test_id_headers_are_required_before_anything_else(
    name: str, value: str | None, require_auth: bool
) -> None:
    refusal = check(Admission(KEYS, require_auth=require_auth), changed(name, value))
    assert isinstance(refusal, Refusal)
    assert refusal.status == 400
    assert name in refusal.cause


def test_an_id_given_twice_is_malformed() -> None:
    refusal = check(Admission(require_auth=False), HEADERS + HEADERS)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 400


@pytest.mark.parametrize("value", ["-1", "one", "1.0", "99999999"])
def test_a_malformed_retry_attempt_is_refused(value: str) -> None:
    refusal = check(Admission(require_auth=False), (*HEADERS, ("Audiohook-Retry-Attempt", value)))
    assert isinstance(refusal, Refusal)
    assert refusal.status == 400


@pytest.mark.parametrize(
    ("headers", "cause"),
    [
        (HEADERS, "MissingSignature"),
        (signed(secret=b"another"), "SignatureMismatch"),
        (signed(headers=changed("X-API-KEY", "stranger"), keyid='"stranger"'), "UnknownKey"),
        (changed("X-API-KEY", None), "UnknownKey"),
        (signed(created=str(CREATED - 100)), "ExpiredSignature"),
        (signed(nonce='"short"'), "MalformedSignature"),
    ],
)
def test_every_failure_of_key_or_signature_is_the_same_401(
    headers: tuple[tuple[str, str], ...], cause: str
) -> None:
    refusal = check(Admission(KEYS), headers)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.retry_after_s) == (401, None)
    assert refusal.cause.startswith(cause)


def test_a_request_is_good_once() -> None:
    admission = Admission(KEYS, replay=ReplayCache())
    assert isinstance(check(admission, signed()), Admitted)
    refusal = check(admission, signed())
    assert isinstance(refusal, Refusal)
    assert refusal.cause.startswith("ReplayedRequest")


def test_keys_can_be_changed_while_running() -> None:
    admission = Admission(KEYS, policy=VerificationPolicy())
    assert isinstance(check(admission, signed()), Admitted)
    admission.keys = type(KEYS)([], decoy=KEYS.decoy)
    refusal = check(admission, signed())
    assert isinstance(refusal, Refusal)
    assert refusal.status == 401


def test_without_authentication_the_key_is_not_even_read() -> None:
    admitted = check(Admission(require_auth=False), changed("X-API-KEY", "\x7f"))
    assert isinstance(admitted, Admitted)
    assert admitted.api_key == ""


def test_a_clear_text_listener_takes_port_80_for_granted() -> None:
    at_80 = signed(headers=changed("Host", "a.example:80"), authority="a.example")
    assert isinstance(check(Admission(KEYS), at_80, is_secure=False), Admitted)
    assert isinstance(check(Admission(KEYS), at_80, is_secure=True), Refusal)


def test_a_key_has_so_many_sessions_at_once() -> None:
    admission = Admission(KEYS, limits=KeyLimits(max_sessions=2))
    first = check(admission, signed())
    assert isinstance(first, Admitted)
    assert isinstance(check(admission, signed()), Admitted)
    refusal = check(admission, signed())
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.retry_after_s) == (503, 5)
    unsigned = changed("X-API-KEY", "unsigned")
    assert isinstance(check(admission, unsigned), Admitted)
    admission.release(first)
    assert isinstance(check(admission, signed()), Admitted)


def test_a_key_opens_so_many_sessions_a_second() -> None:
    admission = Admission(KEYS, limits=KeyLimits(upgrades_per_s=2, upgrade_burst=3))
    for _ in range(3):
        assert isinstance(check(admission, signed()), Admitted)
    refusal = check(admission, signed())
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.retry_after_s) == (429, 1)
    assert isinstance(check(admission, changed("X-API-KEY", "unsigned")), Admitted)
    assert isinstance(check(admission, signed(), now_ns=500_000_000), Admitted)


def test_strangers_do_not_use_up_a_key() -> None:
    admission = Admission(KEYS, limits=KeyLimits(upgrades_per_s=1, upgrade_burst=1))
    for _ in range(5):
        assert isinstance(check(admission, signed(secret=b"guess")), Refusal)
    assert isinstance(check(admission, signed()), Admitted)


def test_configuration_that_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="switch authentication off"):
        Admission()
    with pytest.raises(ConfigurationError, match="max_sessions must be at least 1"):
        KeyLimits(max_sessions=0)
