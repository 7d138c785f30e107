"""The life of one endpoint on one call: dial, sign, open, stream, close; and its report.

Until `opened` a failure that may pass is retried; from then on the first failure is the last one
(protocol section 14.1). Whatever the endpoint does ends up in its report, never as an exception.
"""

from __future__ import annotations

import asyncio
import enum
import random
import secrets
import ssl as tls
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from openaudiohook.auth.signing import encode_nonce, upgrade_headers
from openaudiohook.exceptions import AudioHookError, EndpointError, HandshakeError
from openaudiohook.fanout.account import Account
from openaudiohook.fanout.engine import Fanout
from openaudiohook.protocol.client import ClientSession, ClientTimers
from openaudiohook.protocol.events import (
    DisconnectRequested,
    PeerViolated,
    PongReceived,
    SessionEnded,
    SessionEvent,
    SessionOpened,
)
from openaudiohook.protocol.media import MediaParameter, offer_for
from openaudiohook.protocol.messages import OpenParameters, Participant
from openaudiohook.protocol.trace import Trace
from openaudiohook.protocol.types import ClientState, CloseReason, DisconnectReason, ErrorCode
from openaudiohook.transport.connect import connect
from openaudiohook.transport.driver import Driver

__all__ = [
    "CallDetails",
    "Endpoint",
    "EndpointConfig",
    "EndpointReport",
    "EndpointState",
    "RetryPolicy",
]

_RETRY_HEADER: Final = "Audiohook-Retry-Attempt"


class EndpointState(enum.StrEnum):
    """Where an endpoint is in its life on a call."""

    CONNECTING = "connecting"
    OPENING = "opening"
    STREAMING = "streaming"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """A service that a call is streamed to.

    Attributes:
        name: what it is called in reports.
        uri: where it listens, `ws://` or `wss://`.
        api_key: sent in `X-API-KEY`.
        client_secret: signs the request, decoded from Base64; empty for no signature.
        channel: which channels it is offered.
        custom_config: passed on in `open` as it is; at most 60,000 bytes.
        asks_languages: whether it is asked to list its languages in `opened`.
        allow_clear_text: let `ws://` leave this machine, audio and all.
    """

    name: str
    uri: str
    api_key: str = field(repr=False)
    client_secret: bytes = field(default=b"", repr=False)
    channel: Literal["both", "external", "internal"] = "both"
    custom_config: dict[str, Any] | None = field(default=None, repr=False)
    asks_languages: bool = False
    allow_clear_text: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDetails:
    """What `open` tells every endpoint about the call.

    Attributes:
        organization_id: of the platform's organisation; also in the request header.
        conversation_id: of the whole interaction.
        participant: whose voice `external` is.
        language: the media language at the first monitored sample, where it is known.
    """

    organization_id: str
    conversation_id: str
    participant: Participant
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often, and how soon, a session that did not open is tried again.

    Attributes:
        retries: how many attempts follow the first.
        base_s: the pause before the first retry; each one is twice as long as the one before.
        cap_s: the longest pause.
        connect_s: how long one attempt may take to connect and upgrade.
    """

    retries: int = 5
    base_s: float = 0.5
    cap_s: float = 8.0
    connect_s: float = 5.0

    def delay_s(self, retry: int, jitter: float) -> float:
        """Return the pause before a retry, counted from 0, with a jitter from 0 to 1."""
        return min(self.cap_s, self.base_s * (1 << retry) * (0.8 + 0.4 * jitter))


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointReport:
    """How it went with one endpoint.

    Attributes:
        name: the endpoint's name.
        uri: where it listens.
        session_id: the AudioHook session; the same in every attempt.
        state: `completed` where the session was closed in good order, else `failed`.
        error: what went wrong and what may help; None where nothing did.
        http_status: of the refused upgrade, where there was one.
        attempts: how often it was dialled.
        open_ns: from the first dial to `opened`; None where it never came.
        rtt_ns: the latest round trip of a ping.
        media: what the endpoint selected.
        account: what became of every sample, exact once the call is over.
    """

    name: str
    uri: str
    session_id: str
    state: EndpointState
    error: str | None
    http_status: int | None
    attempts: int
    open_ns: int | None
    rtt_ns: int | None
    media: MediaParameter | None
    account: Account


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why an attempt, or the session, failed."""

    error: str
    is_retryable: bool = False
    http_status: int | None = None


class Endpoint:
    """One endpoint on one call. Await `run()` once; it ends when the endpoint's part does.

    Args:
        config: the service.
        call: the call's timeline; the endpoint attaches itself.
        details: what `open` tells.
        session_id: a fresh UUID.
        correlation_id: a UUID for the logs of both sides.
        retry: when to try again.
        timers: how long the session waits.
        ssl: the TLS settings for `wss://`; None for the system's.
        trace: where to note the session's messages.
        on_state: told of every change of `state`.
        on_event: told of everything the session reports, after the endpoint itself.
        now_ns: the monotonic clock.
        utc_ns: the wall clock, for signatures.
        new_nonce: makes the nonce of a signature; never the same one twice.
        jitter: makes a number from 0 to 1.

    Attributes:
        cursor: the endpoint's place in the call.
        state: where it is in its life.
        attempts: how often it was dialled.
    """

    def __init__(
        self,
        config: EndpointConfig,
        *,
        call: Fanout,
        details: CallDetails,
        session_id: str,
        correlation_id: str,
        retry: RetryPolicy | None = None,
        timers: ClientTimers | None = None,
        ssl: tls.SSLContext | None = None,
        trace: Trace | None = None,
        on_state: Callable[[Endpoint, EndpointState], None] | None = None,
        on_event: Callable[[Endpoint, SessionEvent], None] | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
        utc_ns: Callable[[], int] = time.time_ns,
        new_nonce: Callable[[], str] = lambda: encode_nonce(secrets.token_bytes(16)),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.config = config
        self.cursor = call.attach()
        self.state = EndpointState.CONNECTING
        self.attempts = 0
        self.session_id = session_id
        self._details = details
        self._correlation_id = correlation_id
        self._retry = retry or RetryPolicy()
        self._timers = timers
        self._ssl = ssl
        self._trace = trace
        self._on_state = on_state
        self._on_event = on_event
        self._now_ns = now_ns
        self._utc_ns = utc_ns
        self._new_nonce = new_nonce
        self._jitter = jitter
        self._session: ClientSession | None = None
        self._driver: Driver | None = None
        self._is_stopped = asyncio.Event()
        self._dialled_ns = 0
        self._opened_ns: int | None = None
        self._rtt_ns: int | None = None
        self._failure: _Failure | None = None

    async def run(self) -> EndpointReport:
        """See the endpoint through the call, and report.

        Where the endpoint fails for good before the call is over, the account in the report
        goes only as far as the call then went: ask `report()` again after the hang-up.
        """
        self._dialled_ns = self._now_ns()
        try:
            while True:
                self._failure = await self._attempt()
                failure = self._failure
                if failure is None or self._opened_ns is not None or not failure.is_retryable:
                    break
                if self._is_stopped.is_set() or self.attempts > self._retry.retries:
                    break
                self._enter(EndpointState.RETRYING)
                await self._pause(self._retry.delay_s(self.attempts - 1, self._jitter()))
                if self._is_stopped.is_set():
                    break
        finally:
            self.cursor.end()
            if self._driver is not None and not self._driver.ended.done():
                self._driver.abort()
        self._enter(EndpointState.FAILED if self._failure else EndpointState.COMPLETED)
        return self.report()

    def stop(self) -> None:
        """Try no more: an endpoint that has not opened yet gives up. A stream goes on."""
        self._is_stopped.set()
        driver = self._driver
        if self._opened_ns is None and driver is not None:
            driver.abort()

    def report(self) -> EndpointReport:
        """Report how it went so far."""
        failure = self._failure
        session = self._session
        return EndpointReport(
            name=self.config.name,
            uri=self.config.uri,
            session_id=self.session_id,
            state=self.state,
            error=failure.error if failure else None,
            http_status=failure.http_status if failure else None,
            attempts=self.attempts,
            open_ns=None if self._opened_ns is None else self._opened_ns - self._dialled_ns,
            rtt_ns=self._rtt_ns,
            media=None if session is None else session.media,
            account=self.cursor.account,
        )

    # One attempt ------------------------------------------------------------------------

    async def _attempt(self) -> _Failure | None:
        """Dial, open and stream; return what went wrong."""
        self._failure = None
        self._enter(EndpointState.CONNECTING)
        attempt, self.attempts = self.attempts, self.attempts + 1
        now_ns = self._now_ns()
        session = ClientSession(
            session_id=self.session_id, now_ns=now_ns, timers=self._timers, trace=self._trace
        )
        try:
            driver = await connect(
                self.config.uri,
                session=session,
                on_event=self._heard,
                headers=self._headers(attempt),
                ssl=self._ssl,
                timeout_s=self._retry.connect_s,
                allow_clear_text=self.config.allow_clear_text,
            )
        except HandshakeError as error:
            return _Failure(_refused(error, self.config), http_status=error.status)
        except EndpointError as error:
            return _Failure(str(error), is_retryable=error.retryable)
        except AudioHookError as error:  # of our own making: a URI, a key that cannot be sent
            return _Failure(str(error))
        self._session, self._driver = session, driver
        if self._is_stopped.is_set():
            driver.abort()
        elif session.state is ClientState.PREPARING:  # else the server spoke first, and refused
            self._enter(EndpointState.OPENING)
            try:
                session.open(self._open_parameters(), self._now_ns())
            except AudioHookError as error:
                self._failure = _Failure(str(error))
                driver.abort()
            driver.flush()
        return self._judge(await asyncio.shield(driver.ended))

    def _headers(self, attempt: int) -> list[tuple[str, str]]:
        headers = upgrade_headers(
            self.config.uri,
            api_key=self.config.api_key,
            secret=self.config.client_secret,
            organization_id=self._details.organization_id,
            session_id=self.session_id,
            correlation_id=self._correlation_id,
            nonce=self._new_nonce(),
            created=self._utc_ns() // 1_000_000_000,
        )
        return [*headers, (_RETRY_HEADER, str(attempt))]

    def _open_parameters(self) -> OpenParameters:
        return OpenParameters(
            organization_id=self._details.organization_id,
            conversation_id=self._details.conversation_id,
            participant=self._details.participant,
            media=offer_for(self.config.channel),
            language=self._details.language,
            supported_languages=self.config.asks_languages,
            custom_config=self.config.custom_config,
        )

    def _heard(self, event: SessionEvent) -> None:
        match event:
            case SessionOpened():
                self._opened(event)
            case PongReceived(rtt_ns=rtt_ns):
                self._rtt_ns = rtt_ns
            case DisconnectRequested(reason=reason):
                self._failure = self._failure or _disconnected(reason, self._opened_ns is not None)
            case PeerViolated(code=code, problem=problem, is_fatal=True):
                self._failure = self._failure or _violated(code, problem)
            case SessionEnded() if self._opened_ns is not None:  # else it may be retried
                self.cursor.end()
        if self._on_event is not None:
            self._on_event(self, event)

    def _opened(self, event: SessionOpened) -> None:
        session, driver = self._session, self._driver
        assert session is not None
        assert driver is not None
        self._opened_ns = self._now_ns()
        self._enter(EndpointState.STREAMING)
        self.cursor.open(session, driver, event, self._opened_ns)

    def _judge(self, ended: SessionEnded) -> _Failure | None:
        """Return what went wrong in a session that is over."""
        if self.cursor.fault is not None:
            return _Failure(f"internal error ({self.cursor.fault}); the session was ended")
        if self._failure is not None:
            return self._failure
        if ended.is_clean and ended.reason is not CloseReason.ERROR:
            return None
        if ended.reason is CloseReason.ERROR:
            return _Failure("internal error; the session was ended")
        if self._opened_ns is None:
            if self._is_stopped.is_set():
                return _Failure("the call was over before the endpoint had opened")
            return _Failure("the connection was lost before `opened`", is_retryable=True)
        return _Failure("the connection was lost; what the call held from there on is lost too")

    async def _pause(self, delay_s: float) -> None:
        try:
            async with asyncio.timeout(delay_s):
                await self._is_stopped.wait()
        except TimeoutError:
            pass

    def _enter(self, state: EndpointState) -> None:
        self.state = state
        if self._on_state is not None:
            self._on_state(self, state)


_ADVICE: Final = {
    400: "it misses an AudioHook header, or takes ours for malformed",
    401: "check the API key and the client secret (Base64, decoded before it signs), and that "
    "the clocks of both sides agree",
    403: "the address or the key is not allowed there",
    404: "check the path of the URI",
    429: "it is asked too often; try later",
    503: "it is overloaded or shutting down; try later",
}


def _refused(error: HandshakeError, config: EndpointConfig) -> str:
    if error.status is None:
        return str(error)
    host = urlsplit(config.uri).hostname
    advice = _ADVICE.get(error.status, "is an AudioHook service listening at this URI?")
    if 300 <= error.status < 400:
        advice = "redirects are not followed; give the final URI"
    return f"{host} refused the connection with HTTP {error.status}: {advice}"


def _disconnected(reason: DisconnectReason, is_open: bool) -> _Failure | None:
    if is_open and reason is DisconnectReason.COMPLETED:
        return None
    when = "ended the session" if is_open else "refused the session"
    advice = {
        DisconnectReason.UNAUTHORIZED: ": check the API key and the client secret",
        DisconnectReason.ERROR: ": it reported a failure of its own; its log may tell more",
    }.get(reason, "")
    return _Failure(
        f"the endpoint {when} with `disconnect` {reason}{advice}",
        is_retryable=reason is DisconnectReason.ERROR and not is_open,
    )


def _violated(code: int, problem: str) -> _Failure:
    return _Failure(
        f"the endpoint broke the protocol ({code}): {problem}"
        if code != ErrorCode.TIMEOUT
        else f"the endpoint was silent ({code}): {problem}",
        is_retryable=code == ErrorCode.TIMEOUT,
    )
