"""What the signer called us, where a proxy stands in between.

The platform signs the host and the path of the URI typed into the integration. A
proxy that rewrites either makes every signature fail, so what it changed has to be
undone here, and only as far as the operator says: nothing is trusted by default.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from openaudiohook.auth.components import SignedRequest
from openaudiohook.exceptions import ConfigurationError, MalformedSignature

__all__ = ["ExternalAddress", "forwarded_host"]

_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_FORWARDED_PAIR = re.compile(r'(?i)(?:^|[;,])[ \t]*host=(?:"([^"\\]*)"|([^;,\s"]*))')
_SCHEMES = ("http", "https", "ws", "wss")


@dataclass(frozen=True, slots=True)
class ExternalAddress:
    """How our address looks from outside.

    Attributes:
        authority: `host` or `host:port` of the URI configured at the platform;
            overrides every header.
        scheme: scheme of that URI, where it is not the one the proxy speaks to us.
        path_prefix: what the proxy cuts off the front of the path, for example `/edge`.
        trust: the header in which our own proxy hands on the original host. Off by
            default; only right where every request passes that proxy.
    """

    authority: str | None = None
    scheme: Literal["http", "https", "ws", "wss"] | None = None
    path_prefix: str = ""
    trust: Literal["x-forwarded-host", "forwarded"] | None = None

    def __post_init__(self) -> None:
        if self.authority is not None and not _AUTHORITY.fullmatch(self.authority):
            raise ConfigurationError(
                "external authority: write host or host:port, without scheme and path"
            )
        if self.scheme is not None and self.scheme not in _SCHEMES:
            raise ConfigurationError(f"external scheme: one of {', '.join(_SCHEMES)}")
        if self.path_prefix and (
            not self.path_prefix.startswith("/") or self.path_prefix.endswith("/")
        ):
            raise ConfigurationError(
                "external path prefix: begin with a slash and end without, such as /edge"
            )
        if self.trust not in (None, "x-forwarded-host", "forwarded"):
            raise ConfigurationError("trusted header: x-forwarded-host or forwarded")

    def as_signed(self, request: SignedRequest) -> SignedRequest:
        """Return the request as its signer saw it.

        Raises:
            MalformedSignature: the trusted header is missing or does not name one host.
        """
        authority = self.authority
        if authority is None and self.trust is not None:
            authority = forwarded_host(request, self.trust)
            if authority is None:
                raise MalformedSignature(f"the trusted header {self.trust} names no single host")
        return replace(
            request,
            target=self.path_prefix + request.target,
            authority=request.authority if authority is None else authority,
            scheme=self.scheme or request.scheme,
        )


def forwarded_host(request: SignedRequest, header: str) -> str | None:
    """Return the host that `X-Forwarded-Host` or `Forwarded` (RFC 7239) names, if exactly one.

    A list means that a stranger or a second proxy had a hand in it: then None.
    """
    value = request.header(header)
    if value is None:
        return None
    if header.lower() == "forwarded":
        hosts = [quoted or plain for quoted, plain in _FORWARDED_PAIR.findall(value)]
        value = hosts[0] if len(hosts) == 1 else ""
    return value if _AUTHORITY.fullmatch(value) else None
