"""Why a session did not open, or did not last, in words that help; and whether it may pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from openaudiohook.exceptions import HandshakeError
from openaudiohook.protocol.types import DisconnectReason, ErrorCode

__all__ = ["Failure", "disconnected", "refused", "violated"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt, or a session, failed.

    Attributes:
        error: what went wrong and what may help.
        may_pass: another attempt may fare better (protocol section 14): before `opened` it is
            worth a retry, after it a reconnection.
        http_status: of the refused upgrade, where there was one.
        reason: of the `disconnect`, where there was one.
    """

    error: str
    may_pass: bool = False
    http_status: int | None = None
    reason: DisconnectReason | None = None


_ADVICE: Final = {
    400: "it misses an AudioHook header, or takes ours for malformed",
    401: "check the API key and the client secret (Base64, decoded before it signs), and that "
    "the clocks of both sides agree",
    403: "the address or the key is not allowed there",
    404: "check the path of the URI",
    429: "it is asked too often; try later",
    503: "it is overloaded or shutting down; try later",
}


def refused(error: HandshakeError, *, uri: str) -> Failure:
    """Tell of an upgrade that was refused; no such thing is tried again."""
    if error.status is None:
        return Failure(str(error))
    advice = _ADVICE.get(error.status, "is an AudioHook service listening at this URI?")
    if 300 <= error.status < 400:
        advice = "redirects are not followed; give the final URI"
    return Failure(
        f"{urlsplit(uri).hostname} refused the connection with HTTP {error.status}: {advice}",
        http_status=error.status,
    )


def disconnected(reason: DisconnectReason, *, is_open: bool) -> Failure | None:
    """Tell of a `disconnect`; None where the server has had all it needs."""
    if is_open and reason is DisconnectReason.COMPLETED:
        return None
    when = "ended the session" if is_open else "refused the session"
    advice = {
        DisconnectReason.UNAUTHORIZED: ": check the API key and the client secret",
        DisconnectReason.ERROR: ": it reported a failure of its own; its log may tell more",
    }.get(reason, "")
    return Failure(
        f"the endpoint {when} with `disconnect` {reason}{advice}",
        may_pass=reason is DisconnectReason.ERROR,
        reason=reason,
    )


def violated(code: int, problem: str) -> Failure:
    """Tell of a violation that ended the session; only silence may pass."""
    if code == ErrorCode.TIMEOUT:
        return Failure(f"the endpoint was silent ({code}): {problem}", may_pass=True)
    return Failure(f"the endpoint broke the protocol ({code}): {problem}")
