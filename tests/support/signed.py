"""Signed requests for tests, built by hand from the protocol's text, not by our signer."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from openaudiohook.auth import Credentials, InMemoryKeys, SignedRequest

__all__ = [
    "API_KEY",
    "COMPONENTS",
    "CREATED",
    "DECOY",
    "HEADERS",
    "HOST",
    "KEYS",
    "NONCE",
    "NOW_NS",
    "PARAMS",
    "SECRET",
    "SECRET_TEXT",
    "TARGET",
    "request",
    "signed",
]

API_KEY = "SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh"
SECRET_TEXT = "TXlTdXBlclNlY3JldEtleVRlbGxOby0xITJAMyM0JDU="
SECRET = b"MySuperSecretKeyTellNo-1!2@3#4$5"
HOST = "audiohook.example.com"
TARGET = "/api/v1/voicebiometrics/ws"
NONCE = "VGhpc0lzQVVuaXF1ZU5vbmNl"
CREATED = 1641013200
NOW_NS = CREATED * 10**9
HEADERS: tuple[tuple[str, str], ...] = (
    ("Host", HOST),
    ("Audiohook-Organization-Id", "d7934305-0972-4844-938e-9060eef73d05"),
    ("Audiohook-Session-Id", "30b0e395-84d3-4570-ac13-9a62d8f514c0"),
    ("Audiohook-Correlation-Id", "e160e428-53e2-487c-977d-96989bf5c99d"),
    ("X-API-KEY", API_KEY),
)
COMPONENTS = (
    "@request-target",
    "@authority",
    "audiohook-organization-id",
    "audiohook-session-id",
    "audiohook-correlation-id",
    "x-api-key",
)
PARAMS: Mapping[str, str] = {
    "keyid": f'"{API_KEY}"',
    "nonce": f'"{NONCE}"',
    "alg": '"hmac-sha256"',
    "created": str(CREATED),
    "expires": str(CREATED + 30),
}
DECOY = bytes(range(100, 132))
KEYS = InMemoryKeys(
    [Credentials(API_KEY, SECRET), Credentials("unsigned", b"")],
    decoy=DECOY,
)


def signed(
    *,
    headers: Sequence[tuple[str, str]] = HEADERS,
    target: str = TARGET,
    authority: str = HOST,
    components: Sequence[str] = COMPONENTS,
    params: Mapping[str, str] = PARAMS,
    secret: bytes = SECRET,
    label: str = "sig1",
    changed: Mapping[str, str | None] | None = None,
    **overrides: str | None,
) -> tuple[tuple[str, str], ...]:
    """Return the headers with a signature added.

    `overrides` replace signature parameters by their wire text (None leaves one out);
    `changed` replaces component values in the base only.
    """
    params = {name: value for name, value in {**params, **overrides}.items() if value is not None}
    listed = " ".join(f'"{name}"' for name in components)
    text = f"({listed})" + "".join(f";{name}={value}" for name, value in params.items())
    values: dict[str, Any] = {name.lower(): value for name, value in headers}
    values |= {"@request-target": target, "@authority": authority, **(changed or {})}
    lines = [f'"{name}": {values.get(name, "")}' for name in components]
    base = "\n".join([*lines, f'"@signature-params": {text}'])
    mac = hmac.new(secret, base.encode(), hashlib.sha256).digest()
    return (
        *headers,
        ("Signature-Input", f"{label}={text}"),
        ("Signature", f"{label}=:{base64.b64encode(mac).decode()}:"),
    )


def request(headers: Sequence[tuple[str, str]] | None = None, **fields: Any) -> SignedRequest:
    """Return the request with these headers, by default a good one."""
    fields.setdefault("target", TARGET)
    return SignedRequest(headers=tuple(signed() if headers is None else headers), **fields)
