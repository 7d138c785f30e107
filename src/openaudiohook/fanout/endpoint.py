"""The life of one endpoint on one call: dial, sign, open, stream, close; and its report.

Until `opened` a failure that may pass is retried; from then on it is final, unless another session
may follow (protocol section 14). What is to be done is decided by `succession`; here it is waited
for. Whatever the endpoint does ends up in its report, never as an exception.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import random
import secrets
import ssl as tls
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from openaudiohook.auth.signing import encode_nonce, upgrade_headers
from openaudiohook.exceptions import AudioHookError
from openaudiohook.fanout.abuse import CutOffs
from openaudiohook.fanout.account import Account, Part
from openaudiohook.fanout.cursor import Cursor
from openaudiohook.fanout.engine import Fanout
from openaudiohook.fanout.failures import Failure, FailureKind, barred, unconnected
from openaudiohook.fanout.notices import Notice, NoticeKind
from openaudiohook.fanout.succession import Leg, RetryPolicy, SessionReport, Succession
from openaudiohook.protocol.client import ClientSession, ClientTimers
from openaudiohook.protocol.events import (
    EntitiesReceived,
    PeerViolated,
    PongReceived,
    SessionEvent,
    SessionOpened,
)
from openaudiohook.protocol.media import SAMPLE_RATE, MediaParameter, offer_for
from openaudiohook.protocol.messages import OpenParameters, Participant
from openaudiohook.protocol.trace import Trace
from openaudiohook.protocol.types import ClientState, ErrorCode
from openaudiohook.transport.connect import connect
from openaudiohook.transport.driver import Driver

__all__ = [
    "CallDetails",
    "Endpoint",
    "EndpointConfig",
    "EndpointReport",
    "EndpointState",
    "RetryPolicy",
    "SessionReport",
]

_RETRY_HEADER: Final = "Audiohook-Retry-Attempt"


class EndpointState(enum.StrEnum):
    """Where an endpoint is in its life on a call."""

    CONNECTING = "connecting"
    OPENING = "opening"
    STREAMING = "streaming"
    RETRYING = "retrying"
    RECONNECTING = "reconnecting"
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
        reconnections: whether a session that had opened may be followed by another one, when the
            service asks for it or the session is lost (protocol section 14.2).
        integration_id: of the integration that this is, where there is one.
        retry_upgrade_5xx: try an upgrade again that was refused with a 5xx status. Ours: the
            platform never does.
        region: where the service says it runs; empty where nobody said.
        frame_ms: how much audio goes in one message, where the call may choose it; None for any.
    """

    name: str
    uri: str
    api_key: str = field(repr=False)
    client_secret: bytes = field(default=b"", repr=False)
    channel: Literal["both", "external", "internal"] = "both"
    custom_config: dict[str, Any] | None = field(default=None, repr=False)
    asks_languages: bool = False
    allow_clear_text: bool = False
    reconnections: bool = False
    integration_id: str = ""
    retry_upgrade_5xx: bool = False
    region: str = ""
    frame_ms: int | None = None


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
class EndpointReport:
    """How it went with one endpoint.

    Attributes:
        name: the endpoint's name.
        uri: where it listens.
        session_id: the latest AudioHook session; the same in every attempt to open it.
        state: `completed` where the session was closed in good order, else `failed`.
        error: what went wrong and what may help; None where nothing did.
        http_status: of the refused upgrade, where there was one.
        attempts: how often it was dialled.
        open_ns: from the first dial to the first `opened`; None where it never came.
        rtt_ns: the latest round trip of a ping.
        media: what the endpoint selected.
        account: what became of every sample, exact once the call is over.
        sessions: what each session that opened did of it.
        failure: what `error` tells, for programs.
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
    sessions: tuple[SessionReport, ...] = ()
    failure: Failure | None = None


class Endpoint:
    """One endpoint on one call. Await `run()` once; it ends when the endpoint's part does.

    Args:
        config: the service.
        call: the call's timeline; the endpoint attaches itself.
        details: what `open` tells.
        session_id: a fresh UUID, of the first session.
        correlation_id: a UUID for the logs of both sides.
        retry: when to try again.
        timers: how long the session waits.
        ssl: the TLS settings for `wss://`; None for the system's.
        new_id: makes the UUIDs of sessions that follow the first.
        new_trace: makes what notes the messages of the session with that id.
        on_state: told of every change of `state`.
        on_event: told of everything a session reports, after the endpoint itself.
        on_notice: told what an operator should know: every attempt and session that failed, and
            what happened to the stream.
        cut_offs: who is not dialled for a while; shared with the endpoints of other calls.
        now_ns: the monotonic clock.
        utc_ns: the wall clock, for signatures.
        new_nonce: makes the nonce of a signature; never the same one twice.
        jitter: makes a number from 0 to 1.

    Attributes:
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
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        new_trace: Callable[[str], Trace] | None = None,
        on_state: Callable[[Endpoint, EndpointState], None] | None = None,
        on_event: Callable[[Endpoint, SessionEvent], None] | None = None,
        on_notice: Callable[[Endpoint, Notice], None] | None = None,
        cut_offs: CutOffs | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
        utc_ns: Callable[[], int] = time.time_ns,
        new_nonce: Callable[[], str] = lambda: encode_nonce(secrets.token_bytes(16)),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.config = config
        self.state = EndpointState.CONNECTING
        self.attempts = 0
        self._details = details
        self._correlation_id = correlation_id
        self._retry = retry or RetryPolicy()
        self._timers = timers
        self._ssl = ssl
        self._new_trace = new_trace
        self._trace: Trace | None = None
        self._on_state = on_state
        self._on_event = on_event
        self._on_notice = on_notice
        self._call = call
        self._server = config.integration_id or config.uri
        self._cut_offs = cut_offs or CutOffs()
        self._now_ns = now_ns
        self._utc_ns = utc_ns
        self._new_nonce = new_nonce
        self._succession = Succession(
            call,
            session_id=session_id,
            new_id=new_id,
            retry=self._retry,
            jitter=jitter,
            now_ns=now_ns(),
            reconnections=config.reconnections,
            language=details.language,
            patience_ns=(timers or ClientTimers()).ping_ns,
            on_notice=self._tell,
        )
        self._drivers: list[Driver] = []
        self._dialled: Driver | None = None  # until its session has opened, or has not
        self._has_changed = asyncio.Event()
        self._mistake: Exception | None = None
        self._is_stopped = False
        self._dialled_ns = 0
        self._opened_ns: int | None = None
        self._rtt_ns: int | None = None
        self._media: MediaParameter | None = None

    @property
    def cursor(self) -> Cursor:
        """The endpoint's place in the call, in the latest session that opened."""
        return self._succession.cursor

    @property
    def session_id(self) -> str:
        """The latest session's id."""
        return self._succession.session_id

    @property
    def rtt_ns(self) -> int | None:
        """The latest round trip of a ping; None before the first."""
        return self._rtt_ns

    @property
    def account(self) -> Account:
        """The account of all sessions so far."""
        return self._succession.account

    async def run(self) -> EndpointReport:
        """See the endpoint through the call, and report.

        Where the endpoint fails for good before the call is over, the account in the report
        goes only as far as the call then went: ask `report()` again after the hang-up.
        """
        succession = self._succession
        self._dialled_ns = self._now_ns()
        try:
            while not succession.is_over:
                if await self._is_time_to_dial():
                    await self._dial()
            for driver in self._drivers:  # the last ones may still be closing
                await asyncio.shield(driver.ended)
        finally:
            self.cursor.end()
            for driver in self._drivers:
                if not driver.ended.done():
                    driver.abort()
        self._enter(EndpointState.FAILED if succession.failure else EndpointState.COMPLETED)
        report = self.report()
        if report.account.lost and succession.legs:
            seconds, so_far = report.account.lost / SAMPLE_RATE, " so far"
            if self._call.is_finished:
                so_far = ""
            text = f"{seconds:.1f} s of audio were never offered{so_far}"
            self._tell(Notice(NoticeKind.SAMPLES_LOST, text))
        return report

    def stop(self) -> None:
        """Try no more: an endpoint that has not opened yet gives up. A stream goes on."""
        self._is_stopped = True
        self._succession.stop(self._now_ns())
        if self._dialled is not None:
            self._dialled.abort()
        self._has_changed.set()

    def close(self) -> None:
        """Take leave in good order: a stream is closed with `end`, and what waits is lost."""
        self._succession.close(self._now_ns())
        self.stop()

    def report(self) -> EndpointReport:
        """Report how it went so far."""
        succession = self._succession
        failure = succession.failure
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
            media=self._media,
            account=succession.account,
            sessions=succession.reports(),
            failure=failure,
        )

    def parts(self) -> dict[str, Part]:
        """Return what each session that opened did so far, by its id.

        It is cheap where `report()` is not: that settles what became of every sample.
        """
        return self._succession.parts()

    # One attempt ------------------------------------------------------------------------

    async def _is_time_to_dial(self) -> bool:
        """Wait until it is, or until that has to be judged anew."""
        at_ns = self._succession.dial_at_ns
        delay_s = None if at_ns is None else (at_ns - self._now_ns()) / 1e9
        if delay_s is not None and delay_s <= 0:
            return True
        self._show()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._change()
        return False

    async def _change(self) -> None:
        await self._has_changed.wait()
        self._has_changed.clear()
        if self._mistake is not None:
            raise self._mistake

    async def _dial(self) -> None:
        """Dial and open; return when the session has opened, or has not."""
        config, leg = self.config, self._succession.dial()
        left_ns = self._cut_offs.left_ns(self._server, now_ns := self._now_ns())
        if left_ns:
            self._succession.failed(leg, barred(-(-left_ns // 1_000_000_000)), now_ns)
            return
        self.attempts += 1
        self._show(EndpointState.CONNECTING)
        if self._new_trace is not None and leg.attempt == 0:
            self._trace = self._new_trace(leg.session_id)
        session = ClientSession(
            session_id=leg.session_id,
            now_ns=self._now_ns(),
            timers=self._timers,
            trace=self._trace,
        )
        leg.session = session
        try:
            driver = await connect(
                config.uri,
                session=session,
                on_event=lambda event: self._heard(leg, event),
                headers=self._headers(leg),
                ssl=self._ssl,
                timeout_s=self._retry.connect_s,
                allow_clear_text=config.allow_clear_text,
            )
        except AudioHookError as error:
            if not leg.is_over:
                failure = unconnected(
                    error, uri=config.uri, retry_upgrade_5xx=config.retry_upgrade_5xx
                )
                self._succession.failed(leg, failure, self._now_ns())
            return
        self._drivers = [one for one in self._drivers if not one.ended.done()]
        self._drivers.append(driver)
        self._dialled = driver
        if self._is_stopped:
            driver.abort()
        elif session.state is ClientState.PREPARING:  # else the server spoke first, and refused
            self._show(EndpointState.OPENING)
            self._open(leg, session, driver)
        while not (leg.is_open or leg.is_over):
            if self._succession.is_over:
                driver.abort()
            await self._change()
        if leg.is_over:
            await asyncio.shield(driver.ended)
        self._dialled = None

    def _open(self, leg: Leg, session: ClientSession, driver: Driver) -> None:
        continued = self._succession.offer(leg, session, driver)
        details = self._details
        parameters = OpenParameters(
            organization_id=details.organization_id,
            conversation_id=details.conversation_id,
            participant=details.participant,
            media=offer_for(self.config.channel),
            language=leg.language,
            supported_languages=self.config.asks_languages,
            custom_config=self.config.custom_config,
            continued_sessions=continued,
        )
        try:
            session.open(parameters, self._now_ns(), position=leg.start)
        except AudioHookError as error:
            leg.failure = Failure(str(error), FailureKind.CONFIGURATION)
            driver.abort()
        driver.flush()

    def _headers(self, leg: Leg) -> list[tuple[str, str]]:
        headers = upgrade_headers(
            self.config.uri,
            api_key=self.config.api_key,
            secret=self.config.client_secret,
            organization_id=self._details.organization_id,
            session_id=leg.session_id,
            correlation_id=self._correlation_id,
            nonce=self._new_nonce(),
            created=self._utc_ns() // 1_000_000_000,
        )
        return [*headers, (_RETRY_HEADER, str(leg.attempt))]

    def _heard(self, leg: Leg, event: SessionEvent) -> None:
        now_ns = self._now_ns()
        try:
            self._succession.hear(leg, event, now_ns)
        except Exception as error:  # a mistake of ours, and not the listener's: run() raises it
            self._mistake = error
            self._has_changed.set()
            raise
        match event:
            case SessionOpened(media=media):
                self._media = media
                if self._opened_ns is None:
                    self._opened_ns = now_ns
            case PongReceived(rtt_ns=rtt_ns):
                self._rtt_ns = rtt_ns
            case PeerViolated(code=ErrorCode.RATE_LIMITED, is_fatal=True):
                self._cut_offs.cut_off(self._server, now_ns)
        if not isinstance(event, PongReceived | EntitiesReceived):  # these change nothing
            self._show()
            self._has_changed.set()
        if self._on_event is not None:
            self._on_event(self, event)

    def _tell(self, notice: Notice) -> None:
        if self._on_notice is not None:
            self._on_notice(self, notice)

    def _show(self, state: EndpointState | None = None) -> None:
        """Tell the state: that of the stream where there is one, else that of the attempt."""
        succession = self._succession
        if succession.is_streaming:
            state = EndpointState.STREAMING
        elif succession.legs:
            state = EndpointState.RECONNECTING
        elif succession.dial_at_ns is not None and self.attempts:
            state = state or EndpointState.RETRYING
        if state is not None and not succession.is_over:
            self._enter(state)

    def _enter(self, state: EndpointState) -> None:
        if state is not self.state or state is EndpointState.CONNECTING:
            self.state = state
            if self._on_state is not None:
                self._on_state(self, state)
