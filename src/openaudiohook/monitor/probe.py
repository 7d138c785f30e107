"""The connection probe: whether a service would take a call, asked when it is activated.

It is a session like any other, with the real handshake and signature and the normal offer, but for
the ids of conversation and participant, which are all zeros, and nobody's numbers. It is closed as
soon as it has opened: no audio, no pings (protocol section 15).
"""

from __future__ import annotations

import asyncio
import secrets
import ssl as tls
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from openaudiohook.auth.signing import encode_nonce, upgrade_headers
from openaudiohook.exceptions import AudioHookError
from openaudiohook.fanout.endpoint import EndpointConfig
from openaudiohook.fanout.failures import (
    Failure,
    FailureKind,
    disconnected,
    unconnected,
    violated,
)
from openaudiohook.protocol.client import ClientSession, ClientTimers
from openaudiohook.protocol.events import (
    DisconnectRequested,
    PeerViolated,
    SessionEnded,
    SessionEvent,
    SessionOpened,
)
from openaudiohook.protocol.media import MediaParameter, offer_for
from openaudiohook.protocol.messages import OpenParameters, Participant
from openaudiohook.protocol.types import NIL_UUID, ClientState
from openaudiohook.transport.connect import CONNECT_TIMEOUT_S, connect
from openaudiohook.transport.driver import Driver

__all__ = ["ProbeFailure", "ProbeResult", "probe"]

_WRAPPED: Final = "Connection probe error: "

# The platform's words, where they are known; the cause comes after them.
_HEADLINES: Final[dict[FailureKind, str]] = {
    **dict.fromkeys(
        (
            FailureKind.HOST_UNAVAILABLE,
            FailureKind.NAME_SERVER,
            FailureKind.NO_CONNECTION,
            FailureKind.CONNECT_TIMEOUT,
            FailureKind.TLS,
            FailureKind.UPGRADE_REFUSED,
            FailureKind.UPGRADE_MALFORMED,
            FailureKind.CONFIGURATION,
        ),
        "WebSocket connection failed",
    ),
    **dict.fromkeys((FailureKind.DISCONNECTED, FailureKind.DECLINED), "Session was refused"),
    **dict.fromkeys(
        (FailureKind.CLOSED_EARLY, FailureKind.CONNECTION_LOST), "WebSocket connection was lost"
    ),
    FailureKind.UNAUTHORIZED: "Authentication failed",
    FailureKind.OPEN_TIMEOUT: "Open transaction timed out",
    FailureKind.CLOSE_TIMEOUT: "Close transaction timed out",
    FailureKind.MALFORMED: "Received a malformed server message",
    FailureKind.SEQUENCE: "Received a server message with an invalid sequence number",
    FailureKind.MEDIA: "Received a selection of media that were not offered",
    FailureKind.CONFLICT: "Received an unexpected server message",
    FailureKind.TOO_LARGE: "Received a server message that is too large",
    FailureKind.UNEXPECTED_AUDIO: "Received an unexpected binary message",
    FailureKind.RATE_LIMITED: "Received too many server messages",
}
# Where it says all there is to say.
_WITHOUT_CAUSE: Final = frozenset({FailureKind.OPEN_TIMEOUT, FailureKind.CLOSE_TIMEOUT})


@dataclass(frozen=True, slots=True)
class ProbeFailure:
    """One way in which a probe failed.

    Attributes:
        kind: which one, for programs.
        text: what went wrong, the first time it did.
        count: how often it did.
    """

    kind: FailureKind
    text: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What a connection probe found.

    Attributes:
        failures: what went wrong, in that order; none where the service would do.
        rtt_ns: the shorter one of `open` to `opened` and `close` to `closed`; None where neither
            came.
        media: what the service selected; None where it selected nothing, which is as good.
        supported_languages: those that it listed.
    """

    failures: tuple[ProbeFailure, ...] = ()
    rtt_ns: int | None = None
    media: MediaParameter | None = None
    supported_languages: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the integration can be activated."""
        return not self.failures

    @property
    def errors(self) -> dict[str, int]:
        """Each distinct failure's text, and how often it happened."""
        return {failure.text: failure.count for failure in self.failures}

    @property
    def text(self) -> str:
        """All failures as the platform shows them; empty where there was none."""
        return " (AND) ".join(
            text if count == 1 else f"{count}x {text}" for text, count in self.errors.items()
        )


async def probe(
    config: EndpointConfig,
    organization_id: str,
    *,
    ssl: tls.SSLContext | None = None,
    timers: ClientTimers | None = None,
    connect_s: float = CONNECT_TIMEOUT_S,
    new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    now_ns: Callable[[], int] = time.monotonic_ns,
    utc_ns: Callable[[], int] = time.time_ns,
    new_nonce: Callable[[], str] = lambda: encode_nonce(secrets.token_bytes(16)),
) -> ProbeResult:
    """Find out whether a service would take a call; it never raises for what the service does.

    What is found wrong is also told to the service, in an `error` that begins with
    "Connection probe error: ". One attempt is made, and takes 20 s at most.

    Args:
        config: the service.
        organization_id: on whose behalf.
        ssl: the TLS settings for `wss://`; None for the system's.
        timers: how long the session waits.
        connect_s: how long it may take to connect and upgrade.
        new_id: makes the ids of session and correlation.
        now_ns: the monotonic clock.
        utc_ns: the wall clock, for the signature.
        new_nonce: makes the nonce of the signature.
    """
    session = ClientSession(
        session_id=new_id(), now_ns=now_ns(), timers=timers, error_prefix=_WRAPPED
    )
    attempt = _Attempt(session, now_ns)
    try:
        headers = upgrade_headers(
            config.uri,
            api_key=config.api_key,
            secret=config.client_secret,
            organization_id=organization_id,
            session_id=session.session_id,
            correlation_id=new_id(),
            nonce=new_nonce(),
            created=utc_ns() // 1_000_000_000,
        )
        driver = await connect(
            config.uri,
            session=session,
            on_event=attempt.hear,
            headers=[*headers, ("Audiohook-Retry-Attempt", "0")],
            ssl=ssl,
            timeout_s=connect_s,
            allow_clear_text=config.allow_clear_text,
        )
    except AudioHookError as error:
        attempt.fail(unconnected(error, uri=config.uri))
        return attempt.result
    try:
        attempt.open(config, organization_id, driver)
        await asyncio.shield(driver.ended)
    finally:
        if not driver.ended.done():
            driver.abort()
    return attempt.result


class _Attempt:
    """What happens in one probe's session."""

    def __init__(self, session: ClientSession, now_ns: Callable[[], int]) -> None:
        self._session = session
        self._now_ns = now_ns
        self._failures: dict[FailureKind, ProbeFailure] = {}
        self._asked_ns = 0
        self._rtts_ns: list[int] = []
        self._opened: SessionOpened | None = None

    @property
    def result(self) -> ProbeResult:
        opened = self._opened
        return ProbeResult(
            failures=tuple(self._failures.values()),
            rtt_ns=min(self._rtts_ns, default=None),
            media=opened.media if opened else None,
            supported_languages=tuple(opened.supported_languages or ()) if opened else (),
        )

    def open(self, config: EndpointConfig, organization_id: str, driver: Driver) -> None:
        """Send `open`; whoever spoke first has refused already."""
        if self._session.state is not ClientState.PREPARING:
            return
        parameters = OpenParameters(
            organization_id=organization_id,
            conversation_id=NIL_UUID,
            participant=Participant(id=NIL_UUID, ani="", ani_name="", dnis=""),
            media=offer_for(config.channel),
            supported_languages=config.asks_languages,
            custom_config=config.custom_config,
        )
        self._asked_ns = self._now_ns()
        try:
            self._session.open(parameters, self._asked_ns)
        except AudioHookError as error:
            self.fail(Failure(str(error), FailureKind.CONFIGURATION))
            driver.abort()
            return
        driver.flush()

    def hear(self, event: SessionEvent) -> None:
        """Take what the session reports."""
        match event:
            case SessionOpened():
                now_ns = self._now_ns()
                self._opened = event
                self._rtts_ns.append(now_ns - self._asked_ns)
                self._asked_ns = now_ns
                self._session.close(now_ns)  # the driver, which called us, writes it
            case DisconnectRequested(reason=reason):
                failure = disconnected(reason, is_open=False)
                assert failure is not None
                self.fail(failure)
            case PeerViolated(is_fatal=is_fatal):
                if is_fatal or self._failures:
                    self.fail(violated(event))
            case SessionEnded(is_clean=is_clean):
                self._ended(is_clean=is_clean)

    def fail(self, failure: Failure) -> None:
        """Count a failure; the first of a kind tells what it was."""
        kind, known = failure.kind, self._failures.get(failure.kind)
        if known is not None:
            self._failures[kind] = ProbeFailure(kind, known.text, known.count + 1)
            return
        text = _HEADLINES[kind]
        if kind not in _WITHOUT_CAUSE:
            text += f": {failure.error}"
        self._failures[kind] = ProbeFailure(kind, f"{text}.")

    def _ended(self, *, is_clean: bool) -> None:
        if is_clean and self._opened is not None:
            self._rtts_ns.append(self._now_ns() - self._asked_ns)
        elif not self._failures:
            kind, before = FailureKind.CLOSED_EARLY, "opened"
            if self._opened is not None:
                kind, before = FailureKind.CONNECTION_LOST, "closed"
            self.fail(Failure(f"the endpoint closed the connection before `{before}`", kind))
