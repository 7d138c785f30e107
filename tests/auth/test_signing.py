"""The signature base and the signer: every vector of protocol section 3.4, to the octet."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from tests.support.signed import (
    API_KEY,
    COMPONENTS,
    CREATED,
    HEADERS,
    HOST,
    NONCE,
    SECRET,
    SECRET_TEXT,
    TARGET,
    request,
    signed,
)

from openaudiohook.auth import (
    REQUIRED_COMPONENTS,
    SignedRequest,
    decode_secret,
    encode_nonce,
    sign,
    signature_base,
    upgrade_headers,
)
from openaudiohook.exceptions import ConfigurationError, LocalProtocolError

pytestmark = pytest.mark.unit

V1_INPUT = (
    'sig1=("@request-target" "@authority" "audiohook-organization-id" "audiohook-session-id" '
    '"audiohook-correlation-id" "x-api-key");keyid="SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh";'
    'nonce="VGhpc0lzQVVuaXF1ZU5vbmNl";alg="hmac-sha256";created=1641013200;expires=3282026430'
)
V1_SHA256 = "6fc7f72e95dddd7420441f42fb08c533151f55c9d4603a3632cdebb4488afd5f"
BARE = SignedRequest(target=TARGET, headers=HEADERS)

V5 = SignedRequest(
    target="/svc/bot?lang=en-US&v=2",
    headers=(
        ("Host", "ah.example.net:8443"),
        ("Audiohook-Session-Id", "7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9a11"),
        ("Audiohook-Organization-Id", "5b2f6c0e-8f5d-4a1b-b7a4-2d9c64f3a001"),
        ("Audiohook-Correlation-Id", "0a8f2c44-3f6e-4d0e-8a5e-91c1c2f0d7e2"),
        ("X-API-KEY", "demo-key_01"),
    ),
)


def v1(
    *, expires: int = 3282026430, secret: bytes = SECRET, components: tuple[str, ...] = COMPONENTS
) -> dict[str, str]:
    return dict(
        sign(
            BARE,
            api_key=API_KEY,
            secret=secret,
            nonce=NONCE,
            created=CREATED,
            expires=expires,
            components=components,
        )
    )


def test_v1_base_has_the_published_octets() -> None:
    base = signature_base(BARE, REQUIRED_COMPONENTS, V1_INPUT.partition("=")[2])
    assert len(base) == 593
    assert hashlib.sha256(base).hexdigest() == V1_SHA256


def test_v1_signs_to_the_published_headers() -> None:
    assert v1() == {
        "Signature-Input": V1_INPUT,
        "Signature": "sig1=:NZBwyBHRRyRoeLqy1IzOa9VYBuI8TgMFt2GRDkDuJh4=:",
    }


def test_v2_signs_the_host_header_in_place_of_the_authority() -> None:
    components = tuple("host" if name == "@authority" else name for name in COMPONENTS)
    assert v1(components=components)["Signature"] == (
        "sig1=:zupMJUMfd/kMuvKc5zhRyfJPE3jTROuz1S1hn8SCTpE=:"
    )


def test_v3_signs_with_an_expiry_thirty_seconds_later() -> None:
    assert v1(expires=CREATED + 30)["Signature"] == (
        "sig1=:13MrOmtEIFb8cH00czAZWdEkgJr9QlnAQABRRF1A2gE=:"
    )


def test_v4_an_undecoded_secret_gives_another_signature() -> None:
    undecoded = v1(secret=SECRET_TEXT.encode())["Signature"]
    assert undecoded == "sig1=:wRxUC1f7b+Wz3Y++v+aM7CmOEinS2pqhd86ow+t2cPo=:"
    assert undecoded != v1()["Signature"]


def test_v5_signs_in_another_order_with_port_and_query() -> None:
    headers = dict(
        sign(
            V5,
            api_key="demo-key_01",
            secret=decode_secret("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
            nonce="AAECAwQFBgcICQoLDA0ODw==",
            created=1700000000,
            expires=1700000030,
            components=(
                "audiohook-session-id",
                "@authority",
                "x-api-key",
                "@request-target",
                "audiohook-organization-id",
                "audiohook-correlation-id",
            ),
            parameters=("created", "expires", "keyid", "alg", "nonce"),
        )
    )
    assert headers["Signature"] == "sig1=:b2+pqvRL6fW5vEk2vWi95ysrX6cEzxKSKZHFeC+Uj+o=:"


def test_v6_signs_the_example_of_the_drafts() -> None:
    key = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
    example = SignedRequest(
        target="/foo",
        authority="example.com",
        headers=(
            ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("Content-Type", "application/json"),
        ),
    )
    headers = dict(
        sign(
            example,
            api_key="test-shared-secret",
            secret=base64.b64decode(key),
            nonce="",
            created=1618884473,
            expires=0,
            components=("date", "@authority", "content-type"),
            parameters=("created", "keyid"),
            label="sig-b25",
        )
    )
    assert headers["Signature"] == "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:"


def test_the_base_takes_the_parameters_as_they_are_written() -> None:
    text = '( "@authority"  );created=1;  keyid="a"'
    assert signature_base(BARE, ("@authority",), text).decode() == (
        f'"@authority": {HOST}\n"@signature-params": {text}'
    )


def test_more_may_be_covered_than_is_required() -> None:
    received = request((*HEADERS, ("X-Extra", "more")))
    headers = sign(
        received,
        api_key=API_KEY,
        secret=SECRET,
        nonce=NONCE,
        created=CREATED,
        expires=CREATED + 30,
        components=(*COMPONENTS, "x-extra", "@method"),
    )
    values = signed(
        headers=received.headers,
        components=(*COMPONENTS, "x-extra", "@method"),
        changed={"@method": "GET"},
    )
    assert headers == list(values[-2:])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"secret": b""}, "without a client secret"),
        ({"components": ("x-absent",)}, "is not in the request"),
        ({"components": ("@query-params",)}, "not a component"),
        ({"nonce": "a\nb"}, "disallowed characters"),
        ({"label": "Sig"}, "cannot sign"),
        ({"created": 10**15}, "out of Integer range"),
        ({"parameters": ("tag",)}, "cannot sign"),
    ],
)
def test_what_cannot_be_signed_is_our_own_error(change: dict[str, object], complaint: str) -> None:
    arguments: dict[str, object] = {
        "api_key": API_KEY,
        "secret": SECRET,
        "nonce": NONCE,
        "created": CREATED,
        "expires": CREATED + 30,
        **change,
    }
    with pytest.raises(LocalProtocolError, match=complaint):
        sign(BARE, **arguments)  # type: ignore[arg-type]


def test_a_nonce_carries_all_its_random_octets() -> None:
    assert encode_nonce(b"ThisIsAUniqueNonce") == NONCE
    assert len(encode_nonce(bytes(16))) >= 22
    with pytest.raises(LocalProtocolError, match="at least 16"):
        encode_nonce(bytes(15))


ARGUMENTS = {
    "api_key": API_KEY,
    "organization_id": HEADERS[1][1],
    "session_id": HEADERS[2][1],
    "correlation_id": HEADERS[3][1],
    "nonce": NONCE,
    "created": CREATED,
}


def test_upgrade_headers_are_those_of_the_vector() -> None:
    uri = f"wss://{HOST}:443{TARGET}"
    headers = upgrade_headers(uri, secret=SECRET, expires=3282026430, **ARGUMENTS)  # type: ignore[arg-type]
    assert headers == [*HEADERS, *v1().items()]


def test_upgrade_headers_expire_after_thirty_seconds() -> None:
    headers = upgrade_headers(f"wss://{HOST}{TARGET}", secret=SECRET, **ARGUMENTS)  # type: ignore[arg-type]
    assert headers[5:] == list(v1(expires=CREATED + 30).items())


def test_upgrade_headers_without_a_secret_are_unsigned() -> None:
    headers = upgrade_headers(f"wss://{HOST}{TARGET}", secret=b"", **ARGUMENTS)  # type: ignore[arg-type]
    assert headers == list(HEADERS)


def test_upgrade_headers_refuse_a_bad_uri() -> None:
    with pytest.raises(ConfigurationError):
        upgrade_headers("audiohook", secret=SECRET, **ARGUMENTS)  # type: ignore[arg-type]


def test_the_test_signer_and_ours_agree() -> None:
    assert list(signed()) == [*HEADERS, *v1(expires=CREATED + 30).items()]
    assert hmac.digest(SECRET, b"", "sha256") != hmac.digest(SECRET_TEXT.encode(), b"", "sha256")
