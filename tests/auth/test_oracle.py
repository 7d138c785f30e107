"""Against a library we did not write: it verifies what we sign, and we what it signs."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any

import pytest
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    algorithms,
)
from hypothesis import given
from hypothesis import strategies as st
from tests.support.signed import API_KEY, COMPONENTS, CREATED, DECOY, HEADERS, NONCE, NOW_NS

from openaudiohook.auth import (
    Credentials,
    InMemoryKeys,
    ReplayCache,
    SignedRequest,
    request_for_uri,
    sign,
    verify,
)
from openaudiohook.exceptions import SignatureMismatch

pytestmark = pytest.mark.peer

FAR_FUTURE = 3282026430

hosts = st.from_regex(r"[a-z][a-z0-9-]{0,10}\.example(:(8443|3000|443))?", fullmatch=True)
targets = st.from_regex(r"(/[A-Za-z0-9._~-]{0,8}){1,4}(\?[a-z0-9=&%20.-]{0,12})?", fullmatch=True)
values = st.from_regex(r"[!-~]([ -~]{0,30}[!-~])?", fullmatch=True)
secrets = st.binary(min_size=1, max_size=80)
orders = st.permutations(COMPONENTS)
nonces = st.from_regex(r'[ !#-\[\]-~"\\]{22,60}', fullmatch=True)


@dataclass
class Message:
    """What the library wants to be given."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    request_target: str = "/"


class Keys(HTTPSignatureKeyResolver):
    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    def resolve_public_key(self, key_id: str) -> bytes:
        return self.secret

    resolve_private_key = resolve_public_key


def message(host: str, target: str, org: str) -> Message:
    headers = {**dict(HEADERS), "Host": host, "Audiohook-Organization-Id": org}
    return Message("GET", f"https://{host}/", headers, request_target=target)


def library_verifies(signed: Message, secret: bytes) -> list[Any]:
    verifier = HTTPMessageVerifier(
        signature_algorithm=algorithms.HMAC_SHA256, key_resolver=Keys(secret)
    )
    return verifier.verify(signed, max_age=None)


@given(hosts, targets, values, secrets, orders, nonces)
def test_the_library_verifies_what_we_sign(
    host: str, target: str, org: str, secret: bytes, order: list[str], nonce: str
) -> None:
    theirs = message(host, target, org)
    ours = SignedRequest(target=target, headers=tuple(theirs.headers.items()))
    theirs.headers |= dict(
        sign(
            ours,
            api_key=API_KEY,
            secret=secret,
            nonce=nonce,
            created=CREATED,
            expires=FAR_FUTURE,
            components=order,
        )
    )
    (result,) = library_verifies(theirs, secret)
    assert result.parameters["nonce"] == nonce
    with pytest.raises(InvalidSignature):
        library_verifies(theirs, secret + b"x")


@given(hosts, targets, values, secrets, orders, nonces, st.booleans())
def test_we_verify_what_the_library_signs(
    host: str, target: str, org: str, secret: bytes, order: list[str], nonce: str, has_alg: bool
) -> None:
    theirs = message(host, target, org)
    signer = HTTPMessageSigner(
        signature_algorithm=algorithms.HMAC_SHA256, key_resolver=Keys(secret)
    )
    signer.sign(
        theirs,
        key_id=API_KEY,
        created=datetime.datetime.fromtimestamp(CREATED, tz=datetime.UTC),
        expires=datetime.datetime.fromtimestamp(FAR_FUTURE, tz=datetime.UTC),
        nonce=nonce,
        include_alg=has_alg,
        covered_component_ids=order,
    )
    received = SignedRequest(target=target, headers=tuple(theirs.headers.items()))
    keys = InMemoryKeys([Credentials(API_KEY, secret)], decoy=DECOY)
    assert verify(received, keys=keys, utc_ns=NOW_NS, replay=ReplayCache()).is_signed
    wrong = InMemoryKeys([Credentials(API_KEY, secret + b"x")], decoy=DECOY)
    with pytest.raises(SignatureMismatch):
        verify(received, keys=wrong, utc_ns=NOW_NS, replay=None)


def test_the_library_accepts_the_official_vector() -> None:
    uri = "https://audiohook.example.com/api/v1/voicebiometrics/ws"
    request = request_for_uri(uri, HEADERS)
    vector = Message("GET", uri, dict(HEADERS), request_target=request.target)
    vector.headers |= dict(
        sign(
            request,
            api_key=API_KEY,
            secret=b"MySuperSecretKeyTellNo-1!2@3#4$5",
            nonce=NONCE,
            created=CREATED,
            expires=FAR_FUTURE,
        )
    )
    assert library_verifies(vector, b"MySuperSecretKeyTellNo-1!2@3#4$5")
