"""Which parts of a request are signed, and how they are spelt in the signature base.

A signature covers a list of *components*. A name that begins with `@` is derived
from the request line or from the connection; any other name is a header. The values
here are what the signer hashed, byte for byte, so spelling is everything: protocol
sections 3.2 and 3.3, and RFC 9421 section 2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import urlsplit

from openaudiohook.exceptions import ConfigurationError, MalformedSignature

__all__ = [
    "CORRELATION_ID",
    "DERIVED_COMPONENTS",
    "ORGANIZATION_ID",
    "REQUIRED_COMPONENTS",
    "SESSION_ID",
    "X_API_KEY",
    "SignedRequest",
    "canonical_authority",
    "canonical_value",
    "component_value",
    "request_for_uri",
]

ORGANIZATION_ID = "audiohook-organization-id"
SESSION_ID = "audiohook-session-id"
CORRELATION_ID = "audiohook-correlation-id"
X_API_KEY = "x-api-key"

REQUIRED_COMPONENTS = (
    "@request-target",
    "@authority",
    ORGANIZATION_ID,
    SESSION_ID,
    CORRELATION_ID,
    X_API_KEY,
)
"""What a server requires to be covered, in the order the platform signs it."""

_DEFAULT_PORTS = {"https": "443", "wss": "443", "http": "80", "ws": "80"}
_OBS_FOLD = re.compile(r"[ \t]*\r\n[ \t]+")
_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_SIGNABLE = re.compile(r"[\t\x20-\x7e]*")
_URI = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as far as signatures are concerned.

    Attributes:
        target: path and query exactly as in the request line, for example `/ws?v=2`.
        headers: `(name, value)` pairs in the order received; a name may repeat.
        authority: the host the request is for; None means its `Host` header.
        scheme: `http`, `https`, `ws` or `wss`; decides which port goes without saying.
        method: the request method.
    """

    target: str
    headers: tuple[tuple[str, str], ...]
    authority: str | None = None
    scheme: str = "https"
    method: str = "GET"
    _values: Mapping[str, list[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        values: dict[str, list[str]] = {}
        for name, value in self.headers:
            values.setdefault(name.lower(), []).append(value)
        object.__setattr__(self, "_values", values)

    def header(self, name: str) -> str | None:
        """Return the canonical value of a header, repeats joined, or None if absent."""
        values = self._values.get(name.lower())
        return None if values is None else ", ".join(map(canonical_value, values))


def canonical_value(value: str) -> str:
    """Return one header line's value trimmed and unfolded (protocol section 3.3, step 4)."""
    if "\r" in value:
        value = _OBS_FOLD.sub(" ", value)
    return value.strip(" \t\r\n")


def canonical_authority(authority: str, scheme: str) -> str:
    """Return `host` or `host:port` in lower case, without the port the scheme implies."""
    authority = authority.lower()
    port = _DEFAULT_PORTS.get(scheme.lower())
    return authority.removesuffix(f":{port}") if port else authority


def component_value(request: SignedRequest, name: str) -> str:
    """Return the value of one covered component.

    Raises:
        MalformedSignature: the component is not one that may be covered, the request
            lacks it, or its value holds characters that no signature base can hold.
    """
    if name.startswith("@"):
        derive = DERIVED_COMPONENTS.get(name)
        if derive is None:
            raise MalformedSignature(f'"{name}" is not a component of a request')
        value = derive(request)
    elif _HEADER_NAME.fullmatch(name):
        value = request.header(name)
    else:
        raise MalformedSignature("a covered component is no header name in lower case")
    if value is None:
        raise MalformedSignature(f'the covered component "{name}" is not in the request')
    if not _SIGNABLE.fullmatch(value):
        raise MalformedSignature(f'"{name}" holds control or non-ASCII characters')
    return value


def request_for_uri(
    uri: str, headers: Iterable[tuple[str, str]] = (), *, method: str = "GET"
) -> SignedRequest:
    """Return the request that dials `uri`, with the authority and target it is signed for.

    Raises:
        ConfigurationError: the URI is not an absolute `ws`, `wss`, `http` or `https` URI
            with a host and without user name or fragment.
    """
    if not _URI.fullmatch(uri):
        raise ConfigurationError("not a usable URI: percent-encode spaces and non-ASCII letters")
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"not a usable URI: {error}") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise ConfigurationError("not a usable URI: it must begin with wss:// (or ws://)")
    if not host:
        raise ConfigurationError("not a usable URI: the host is missing")
    if "@" in parts.netloc or parts.fragment:
        raise ConfigurationError("not a usable URI: remove the user name or the #fragment")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return SignedRequest(
        target=target,
        headers=tuple(headers),
        authority=canonical_authority(parts.netloc.removesuffix(":"), parts.scheme),
        scheme=parts.scheme,
        method=method,
    )


def _authority(request: SignedRequest) -> str | None:
    authority = request.header("host") if request.authority is None else request.authority
    return None if authority is None else canonical_authority(authority, request.scheme)


def _target_uri(request: SignedRequest) -> str | None:
    authority = _authority(request)
    return None if authority is None else f"{request.scheme.lower()}://{authority}{request.target}"


def _no_status(request: SignedRequest) -> None:
    return None


DERIVED_COMPONENTS: Mapping[str, Callable[[SignedRequest], str | None]] = MappingProxyType(
    {
        "@method": lambda request: request.method,
        "@scheme": lambda request: request.scheme.lower(),
        "@target-uri": _target_uri,
        "@path": lambda request: request.target.partition("?")[0] or "/",
        "@query": lambda request: "?" + request.target.partition("?")[2],
        "@request-target": lambda request: request.target,
        "@authority": _authority,
        "@status": _no_status,
    }
)
"""The derived components a verifier knows; `@status` is known, and no request has one."""
