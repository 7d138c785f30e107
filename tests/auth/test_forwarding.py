"""Behind a proxy: what the signer called us, and whom to believe about it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.signed import HOST, KEYS, NOW_NS, request, signed

from openaudiohook.auth import ExternalAddress, SignedRequest, VerificationPolicy, verify
from openaudiohook.auth.forwarding import forwarded_host
from openaudiohook.exceptions import ConfigurationError, MalformedSignature, SignatureMismatch

pytestmark = pytest.mark.unit


def behind_a_proxy(*extra: tuple[str, str], **fields: Any) -> SignedRequest:
    headers = [pair for pair in signed() if pair[0] != "Host"]
    return request((("Host", "10.0.0.7:3000"), *headers, *extra), **fields)


def verified(received: SignedRequest, **external: Any) -> bool:
    policy = VerificationPolicy(external=ExternalAddress(**external))
    return verify(received, keys=KEYS, utc_ns=NOW_NS, replay=None, policy=policy).is_signed


def test_a_rewritten_host_does_not_verify() -> None:
    with pytest.raises(SignatureMismatch):
        verified(behind_a_proxy())


def test_a_forwarded_host_is_not_believed_by_default() -> None:
    with pytest.raises(SignatureMismatch):
        verified(behind_a_proxy(("X-Forwarded-Host", HOST)))


@pytest.mark.parametrize(
    ("trust", "value"),
    [
        ("x-forwarded-host", HOST),
        ("x-forwarded-host", f"{HOST.upper()}:443"),
        ("forwarded", f"for=192.0.2.1;host={HOST};proto=https"),
        ("forwarded", f'For="[2001:db8::1]"; Host="{HOST}:443"'),
    ],
)
def test_a_trusted_header_names_the_host(trust: str, value: str) -> None:
    assert verified(behind_a_proxy((trust, value)), trust=trust)


@pytest.mark.parametrize(
    ("trust", "lines"),
    [
        ("x-forwarded-host", ()),
        ("x-forwarded-host", (HOST, HOST)),
        ("x-forwarded-host", (f"{HOST}, other.example",)),
        ("x-forwarded-host", ("https://" + HOST,)),
        ("x-forwarded-host", ("",)),
        ("forwarded", ("for=192.0.2.1",)),
        ("forwarded", (f"host={HOST}, host=other.example",)),
    ],
)
def test_a_trusted_header_that_names_no_single_host_is_refused(
    trust: str, lines: tuple[str, ...]
) -> None:
    with pytest.raises(MalformedSignature, match="names no single host"):
        verified(behind_a_proxy(*((trust, line) for line in lines)), trust=trust)


def test_an_external_authority_overrides_every_header() -> None:
    received = behind_a_proxy(("X-Forwarded-Host", "other.example"))
    assert verified(received, authority=HOST, trust="x-forwarded-host")


def test_a_path_prefix_that_the_proxy_cut_off_is_put_back() -> None:
    received = behind_a_proxy(target="/voicebiometrics/ws")
    assert verified(received, authority=HOST, path_prefix="/api/v1")


def test_an_external_scheme_decides_which_port_goes_without_saying() -> None:
    received = behind_a_proxy(("X-Forwarded-Host", f"{HOST}:443"), scheme="http")
    with pytest.raises(SignatureMismatch):
        verified(received, trust="x-forwarded-host")
    assert verified(received, trust="x-forwarded-host", scheme="wss")


@pytest.mark.parametrize(
    ("external", "complaint"),
    [
        ({"authority": "https://example.com"}, "host or host:port"),
        ({"authority": ""}, "host or host:port"),
        ({"scheme": "ftp"}, "external scheme"),
        ({"path_prefix": "edge"}, "begin with a slash"),
        ({"path_prefix": "/edge/"}, "begin with a slash"),
        ({"trust": "x-real-host"}, "trusted header"),
    ],
)
def test_a_malformed_address_is_refused_at_once(external: Any, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        ExternalAddress(**external)


@pytest.mark.parametrize("authority", ["example.com", "example.com:8443", "[::1]:3000"])
def test_a_host_with_or_without_port_is_accepted(authority: str) -> None:
    assert ExternalAddress(authority=authority).authority == authority


def test_without_the_header_there_is_no_forwarded_host() -> None:
    assert forwarded_host(SignedRequest(target="/", headers=()), "forwarded") is None
