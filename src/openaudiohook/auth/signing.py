"""Sign an upgrade request: HMAC-SHA256 over a signature base.

Signer and verifier agree only if they agree on every byte of the base. Its last line,
`@signature-params`, is what stands in `Signature-Input`, to the letter. Protocol sections
3.2 and 3.3; RFC 9421 for what those leave open.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable, Sequence
from typing import Any

import http_sf

from openaudiohook.auth.components import (
    REQUIRED_COMPONENTS,
    SignedRequest,
    component_value,
    request_for_uri,
)
from openaudiohook.exceptions import LocalProtocolError, MalformedSignature

__all__ = [
    "ALGORITHM",
    "DEFAULT_LIFETIME_S",
    "PARAMETERS",
    "encode_nonce",
    "sign",
    "signature_base",
    "upgrade_headers",
]

ALGORITHM = "hmac-sha256"
PARAMETERS = ("keyid", "nonce", "alg", "created", "expires")
"""The signature parameters there may be, in the order the platform writes them."""

DEFAULT_LIFETIME_S = 30
_MIN_NONCE_OCTETS = 16


def signature_base(request: SignedRequest, components: Iterable[str], params_text: str) -> bytes:
    """Return the octets that are signed (protocol section 3.3).

    Args:
        request: the request as its signer saw it.
        components: the covered components, in order.
        params_text: everything after `label=` in `Signature-Input`.

    Raises:
        MalformedSignature: a component cannot be covered or is missing.
    """
    lines = [f'"{name}": {component_value(request, name)}' for name in components]
    lines.append(f'"@signature-params": {params_text}')
    return "\n".join(lines).encode("ascii")


def encode_nonce(random_octets: bytes) -> str:
    """Return a nonce of at least 128 random bits; 18 octets give the platform's 24 characters."""
    if len(random_octets) < _MIN_NONCE_OCTETS:
        raise LocalProtocolError(f"a nonce needs at least {_MIN_NONCE_OCTETS} random octets")
    return base64.b64encode(random_octets).decode("ascii")


def sign(
    request: SignedRequest,
    *,
    api_key: str,
    secret: bytes,
    nonce: str,
    created: int,
    expires: int,
    components: Sequence[str] = REQUIRED_COMPONENTS,
    parameters: Sequence[str] = PARAMETERS,
    label: str = "sig1",
) -> list[tuple[str, str]]:
    """Return the `Signature-Input` and `Signature` headers for a request.

    Args:
        request: what is signed; it must hold every covered header already.
        api_key: becomes `keyid`.
        secret: the decoded client secret.
        nonce: unique for each request; see `encode_nonce`.
        created: Unix seconds.
        expires: Unix seconds.
        components: what is covered, in order; more than the required may be.
        parameters: which of `PARAMETERS` are written, in order.
        label: the signature's name in both headers.

    Raises:
        LocalProtocolError: there is no secret, the request lacks a covered header, or a
            value cannot be written in a header.
    """
    if not secret:
        raise LocalProtocolError("cannot sign without a client secret")
    values = {
        "keyid": api_key,
        "nonce": nonce,
        "alg": ALGORITHM,
        "created": created,
        "expires": expires,
    }
    try:
        member: Any = ([*components], {name: values[name] for name in parameters})
        signature_input = http_sf.ser({label: member})
        base = signature_base(request, components, signature_input.partition("=")[2])
    except (ValueError, KeyError, MalformedSignature) as error:
        raise LocalProtocolError(f"cannot sign: {error}") from None
    value = hmac.digest(secret, base, "sha256")
    return [
        ("Signature-Input", signature_input),
        ("Signature", http_sf.ser({label: (value, {})})),
    ]


def upgrade_headers(
    uri: str,
    *,
    api_key: str,
    secret: bytes,
    organization_id: str,
    session_id: str,
    correlation_id: str,
    nonce: str,
    created: int,
    expires: int | None = None,
) -> list[tuple[str, str]]:
    """Return the headers an AudioHook client adds to its upgrade request (section 2.2).

    They are `Host`, the three ids, `X-API-KEY`, and the two signature headers unless
    the secret is empty. `created` and `expires` are Unix seconds; without `expires` the
    signature holds for 30 s.

    Raises:
        ConfigurationError: the URI cannot be used.
        LocalProtocolError: a value cannot be written in a header.
    """
    request = request_for_uri(uri)
    headers = [
        ("Host", component_value(request, "@authority")),
        ("Audiohook-Organization-Id", organization_id),
        ("Audiohook-Session-Id", session_id),
        ("Audiohook-Correlation-Id", correlation_id),
        ("X-API-KEY", api_key),
    ]
    if not secret:
        return headers
    return headers + sign(
        request_for_uri(uri, headers),
        api_key=api_key,
        secret=secret,
        nonce=nonce,
        created=created,
        expires=created + DEFAULT_LIFETIME_S if expires is None else expires,
    )
