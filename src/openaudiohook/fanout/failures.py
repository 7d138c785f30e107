"""Why a session did not open, or did not last, in words that help; and whether it may pass.

Whether another attempt is worth it is the table of protocol section 14: `may_pass` of each kind.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from openaudiohook.exceptions import AudioHookError, EndpointError, HandshakeError
from openaudiohook.protocol.events import PeerViolated
from openaudiohook.protocol.types import DisconnectReason, ErrorCode

__all__ = ["Failure", "FailureKind", "barred", "disconnected", "unconnected", "violated"]


class FailureKind(enum.StrEnum):
    """Every way in which an attempt or a session fails; for programs, and never renamed."""

    # Before the connection.
    CONFIGURATION = "configuration"
    BARRED = "barred"
    HOST_UNAVAILABLE = "host-unavailable"
    NAME_SERVER = "name-server"
    NO_CONNECTION = "no-connection"
    CONNECT_TIMEOUT = "connect-timeout"
    TLS = "tls"
    # The upgrade.
    UPGRADE_REFUSED = "upgrade-refused"
    UPGRADE_MALFORMED = "upgrade-malformed"
    UNAUTHORIZED = "unauthorized"
    # `open`.
    OPEN_TIMEOUT = "open-timeout"
    CLOSED_EARLY = "closed-early"
    # At any time after it.
    DISCONNECTED = "disconnected"
    DECLINED = "declined"
    MALFORMED = "malformed"
    SEQUENCE = "sequence"
    MEDIA = "media"
    CONFLICT = "conflict"
    TOO_LARGE = "too-large"
    UNEXPECTED_AUDIO = "unexpected-audio"
    RATE_LIMITED = "rate-limited"
    # Once it has opened.
    PONG_TIMEOUT = "pong-timeout"
    CONGESTED = "congested"
    CONNECTION_LOST = "connection-lost"
    CLOSE_TIMEOUT = "close-timeout"
    # Ours.
    INTERNAL = "internal"
    CALL_OVER = "call-over"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt, or a session, failed.

    Attributes:
        error: what went wrong and what may help.
        kind: which failure it is, for programs.
        may_pass: another attempt may fare better (protocol section 14): before `opened` it is
            worth a retry, after it a reconnection.
        http_status: of the refused upgrade, where there was one.
        reason: of the `disconnect`, where there was one.
    """

    error: str
    kind: FailureKind
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

_DISCONNECTED: Final = {
    DisconnectReason.UNAUTHORIZED: (
        FailureKind.UNAUTHORIZED,
        ": check the API key and the client secret",
    ),
    DisconnectReason.ERROR: (
        FailureKind.DISCONNECTED,
        ": it reported a failure of its own; its log may tell more",
    ),
}

_VIOLATED: Final = {
    ErrorCode.CONFLICT: FailureKind.CONFLICT,
    ErrorCode.TOO_LARGE: FailureKind.TOO_LARGE,
    ErrorCode.UNSUPPORTED_MEDIA: FailureKind.UNEXPECTED_AUDIO,
    ErrorCode.RATE_LIMITED: FailureKind.RATE_LIMITED,
}
_SUBJECTS: Final = {"sequence": FailureKind.SEQUENCE, "media": FailureKind.MEDIA}
_TIMED_OUT: Final = {
    "opened": FailureKind.OPEN_TIMEOUT,
    "pong": FailureKind.PONG_TIMEOUT,
    "closed": FailureKind.CLOSE_TIMEOUT,
}


def unconnected(error: AudioHookError, *, uri: str, retry_upgrade_5xx: bool = False) -> Failure:
    """Tell why `transport.connect` gave no connection.

    Args:
        error: what it raised.
        uri: where to.
        retry_upgrade_5xx: an upgrade refused with a 5xx status may pass. Ours: on the platform
            no refusal of an upgrade does.
    """
    if isinstance(error, HandshakeError):
        return _refused(error, uri=uri, retry_upgrade_5xx=retry_upgrade_5xx)
    if isinstance(error, EndpointError):
        return Failure(str(error), may_pass=error.retryable, kind=FailureKind(error.kind))
    # What is neither is of our own making: a URI, a key that cannot be sent.
    return Failure(str(error), kind=FailureKind.CONFIGURATION)


def _refused(error: HandshakeError, *, uri: str, retry_upgrade_5xx: bool) -> Failure:
    status = error.status
    if status is None:
        return Failure(str(error), kind=FailureKind.UPGRADE_MALFORMED)
    advice = _ADVICE.get(status, "is an AudioHook service listening at this URI?")
    if 300 <= status < 400:
        advice = "redirects are not followed; give the final URI"
    return Failure(
        f"{urlsplit(uri).hostname} refused the connection with HTTP {status}: {advice}",
        may_pass=retry_upgrade_5xx and 500 <= status < 600,
        http_status=status,
        kind=FailureKind.UNAUTHORIZED if status == 401 else FailureKind.UPGRADE_REFUSED,
    )


def disconnected(reason: DisconnectReason, *, is_open: bool) -> Failure | None:
    """Tell of a `disconnect`; None where the server has had all it needs."""
    if is_open and reason is DisconnectReason.COMPLETED:
        return None
    when = "ended the session" if is_open else "refused the session"
    kind, advice = _DISCONNECTED.get(reason, (FailureKind.DECLINED, ""))
    return Failure(
        f"the endpoint {when} with `disconnect` {reason}{advice}",
        may_pass=reason is DisconnectReason.ERROR,
        reason=reason,
        kind=kind,
    )


def violated(violation: PeerViolated, *, is_congested: bool = False) -> Failure:
    """Tell of a violation that ended the session; only silence may pass.

    Args:
        violation: what the session reported.
        is_congested: the endpoint was throttled and still took what it was sent, far too slowly:
            a missing `pong` is no silence then, and another session would fare no better.
    """
    code, problem = violation.code, violation.problem
    if code == ErrorCode.TIMEOUT:
        kind = _TIMED_OUT.get(violation.message_type or "", FailureKind.PONG_TIMEOUT)
        if is_congested and kind is FailureKind.PONG_TIMEOUT:
            return Failure(
                f"the endpoint takes audio too slowly, even throttled ({code}): {problem}; look "
                "for what it waits for before it reads on, and at the network to it",
                kind=FailureKind.CONGESTED,
            )
        return Failure(f"the endpoint was silent ({code}): {problem}", may_pass=True, kind=kind)
    kind = _VIOLATED.get(ErrorCode(code), FailureKind.MALFORMED)
    if violation.subject is not None:
        kind = _SUBJECTS[violation.subject]
    return Failure(f"the endpoint broke the protocol ({code}): {problem}", kind=kind)


def barred(seconds: int) -> Failure:
    """Tell that a server which was cut off for talking too much is not dialled for a while."""
    return Failure(
        "the endpoint was cut off because it sent far too many messages; new sessions are "
        f"refused to it for another {seconds} s",
        kind=FailureKind.BARRED,
    )
