"""One session: what the protocol reports goes to the consumers, what they ask goes back.

`opened` is answered before any consumer does anything. Frames take the first branch of
`ServiceSession.on_event` and nothing else on their way to the dispatch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from time import monotonic_ns, time_ns
from typing import Any, Final, cast

from openaudiohook.exceptions import LocalProtocolError, SessionClosed
from openaudiohook.host.consumer import Capabilities, Consumer, ConsumerFactory, SessionInfo
from openaudiohook.host.dispatch import Budgets, Observer, SessionDispatch
from openaudiohook.protocol import (
    AudioFrame,
    DisconnectReason,
    Entity,
    ErrorCode,
    MediaFormat,
    MediaParameter,
    OpenParameters,
    ServerSession,
    ServerState,
    SessionEvent,
    select_media,
)
from openaudiohook.protocol.events import (
    AudioDiscarded,
    AudioPaused,
    AudioResumed,
    CloseRequested,
    ErrorReported,
    LanguageUpdated,
    OpenRequested,
    PeerViolated,
    PingReceived,
    SessionEnded,
)
from openaudiohook.protocol.media import SAMPLE_RATE
from openaudiohook.service.config import ServiceConfig
from openaudiohook.service.continuation import Continuations
from openaudiohook.service.log import get_logger
from openaudiohook.service.metrics import Metrics
from openaudiohook.service.probe import answer_probe
from openaudiohook.transport import Admitted, Driver

__all__ = ["ServiceSession", "SessionContext", "choose_media"]

_log = get_logger(__name__)

_KNOWN_CODES: Final = frozenset(ErrorCode)
_OPEN_STATES: Final = (ServerState.ACTIVE, ServerState.PAUSED)
_REPLY_STATES: Final = {
    "entities": (*_OPEN_STATES, ServerState.CLOSING),
    "pause": _OPEN_STATES,
    "resume": _OPEN_STATES,
    "disconnect": _OPEN_STATES,
}


class SessionContext:
    """What all sessions of a service share.

    Attributes:
        config: how the service was set up.
        factories: the consumers it runs.
        languages: what is told to a platform that asks for languages.
        observer: who is told what became of consumers.
        metrics: what is counted.
        refusal: says why no new session can be served now, or None.
        sessions: those that are not over yet.
        continuations: where their streams stand, and those of sessions that ended lately.
    """

    def __init__(
        self,
        *,
        config: ServiceConfig,
        factories: Sequence[ConsumerFactory],
        observer: Observer,
        metrics: Metrics,
        refusal: Callable[[], str | None],
        on_count: Callable[[int], None] | None = None,
    ) -> None:
        self.config = config
        self.factories = tuple(factories)
        self.observer = observer
        self.metrics = metrics
        self.refusal = refusal
        self.sessions: set[ServiceSession] = set()
        self.continuations = Continuations()
        self._on_count = on_count
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self.budgets = Budgets(
            burst_ns=config.inline_burst_ms * 1_000_000,
            backlog_samples=round(config.open_backlog_s * SAMPLE_RATE),
            close_ns=round(config.close_budget_s * 1e9),
        )
        spoken = {code for factory in factories for code in factory.capabilities.languages}
        self.languages = config.languages or tuple(sorted(spoken))

    def enter(self, session: ServiceSession) -> None:
        """Count a session in."""
        self.sessions.add(session)
        self._is_empty.clear()
        self._count()

    def leave(self, session: ServiceSession) -> None:
        """Count a session out: its connection is gone and its consumers are closed."""
        self.sessions.discard(session)
        self._count()
        if not self.sessions:
            self._is_empty.set()

    def _count(self) -> None:
        self.metrics.sessions.set(len(self.sessions))
        if self._on_count is not None:
            self._on_count(len(self.sessions))

    async def emptied(self) -> None:
        """Wait until there is no session."""
        await self._is_empty.wait()


def choose_media(
    offered: Sequence[MediaParameter], wanted: Sequence[Capabilities]
) -> MediaParameter | None:
    """Take the first offer every consumer can use, or else one that any can (section 9.5).

    Without consumers mu-law is taken, so that the session is a session. None means that nothing
    offered is of use.
    """
    if not wanted:
        return select_media(offered, lambda media: media.format is MediaFormat.PCMU)
    chosen = select_media(offered, lambda media: all(each.can_use(media) for each in wanted))
    if chosen is None:
        chosen = select_media(offered, lambda media: any(each.can_use(media) for each in wanted))
    return chosen


class ServiceSession:
    """One session from its upgrade to its end; `on_event` takes what its driver reports."""

    __slots__ = (
        "_accounted",
        "_admitted",
        "_context",
        "_dispatch",
        "_driver",
        "_end_reason",
        "_has_disconnected",
        "_is_over",
        "_lost_reason",
        "_opened_ns",
        "_tasks",
    )

    def __init__(self, context: SessionContext, admitted: Admitted, driver: Driver) -> None:
        self._context = context
        self._admitted = admitted
        self._driver = driver
        self._dispatch: SessionDispatch | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened_ns = monotonic_ns()
        self._accounted = 0
        self._has_disconnected = False
        self._lost_reason = "lost"
        self._end_reason: str | None = None
        self._is_over = False
        context.enter(self)

    @property
    def session(self) -> ServerSession:
        """The protocol's side of it."""
        return cast(ServerSession, self._driver.session)

    def on_event(self, event: SessionEvent) -> None:
        """Take one event of the protocol session."""
        if type(event) is AudioFrame:
            if self._dispatch is not None:
                self._dispatch.audio(event)
            return
        handle = _HANDLERS.get(type(event))
        if handle is not None:
            handle(self, event)

    # What consumers ask (SessionControl) ------------------------------------------------

    def send_entities(self, entities: Sequence[Entity]) -> None:
        """Send entities, if the session still can."""
        if self._can("entities"):
            self.session.send_entities(entities, monotonic_ns())
            self._driver.flush()

    def pause(self) -> None:
        """Ask the client for a pause."""
        if self._can("pause"):
            self.session.pause(monotonic_ns())
            self._driver.flush()

    def resume(self) -> None:
        """Take the pause back."""
        if self._can("resume"):
            self.session.resume(monotonic_ns())
            self._driver.flush()

    def disconnect(self, reason: DisconnectReason, info: str | None) -> None:
        """Ask the client for the end; once is enough."""
        if not self._has_disconnected and self._can("disconnect"):
            self._has_disconnected = True
            self.session.disconnect(monotonic_ns(), reason=reason, info=info)
            self._driver.flush()

    def ask_reconnect(self) -> None:
        """Ask the client to move the stream elsewhere."""
        if self.session.state in _OPEN_STATES:
            self.session.reconnect(monotonic_ns(), info="draining")
            self._driver.flush()

    def abort(self) -> None:
        """Drop the connection; consumers are closed with `shutdown`."""
        self._lost_reason = "shutdown"
        self._driver.abort()

    def _can(self, what: str) -> bool:
        if self.session.state in _REPLY_STATES[what]:
            return True
        self._context.metrics.replies_dropped.labels(what).inc()
        return False

    # What the protocol reports ----------------------------------------------------------

    def _on_open(self, event: OpenRequested) -> None:
        context, session, now_ns = self._context, self.session, monotonic_ns()
        parameters = event.parameters
        capabilities = [factory.capabilities for factory in context.factories]
        media = choose_media(parameters.media, capabilities)
        cause, info = context.refusal(), ""
        if cause is None and media is None and parameters.media:
            cause, info = "media", "none of the offered media is of use"
        if cause is not None:
            self._refuse(cause, info or cause, now_ns)
            return
        if event.is_probe:
            answer_probe(
                session,
                media=media,
                probe_media=context.config.probe_media,
                languages=context.languages,
                now_ns=now_ns,
            )
            self._driver.flush()
            context.metrics.probes.inc()
            _log.info("probe answered", session=self._admitted.session_id)
            return
        discard_to = context.continuations.discard_to(
            parameters, media=media, position=event.position, now_ns=now_ns
        )
        session.accept(
            now_ns, media=media, discard_to=discard_to, supported_languages=context.languages
        )
        context.continuations.begin(session, parameters)
        self._driver.flush()
        context.metrics.open_seconds.observe((monotonic_ns() - self._opened_ns) / 1e9)
        self._accounted = event.position
        self._begin(parameters, media, event.position)

    def _begin(self, parameters: OpenParameters, media: MediaParameter | None, start: int) -> None:
        context, admitted = self._context, self._admitted
        info = SessionInfo(
            session_id=admitted.session_id,
            conversation_id=parameters.conversation_id,
            organization_id=parameters.organization_id,
            correlation_id=admitted.correlation_id,
            participant=parameters.participant,
            media=media,
            language=parameters.language,
            custom_config=parameters.custom_config,
            start=start,
            opened_utc_ns=time_ns(),
            continued_sessions=parameters.continued_sessions,
        )
        consumers: list[Consumer] = []
        for factory in context.factories:
            if media is None or factory.capabilities.can_use(media):
                try:
                    consumers.append(factory.create())
                except Exception as error:
                    context.observer.consumer_detached(factory.name, "failed", type(error).__name__)
        self._dispatch = SessionDispatch(
            info, control=self, observer=context.observer, budgets=context.budgets
        )
        self._dispatch.open(consumers)
        _log.info(
            "session opened",
            session=admitted.session_id,
            conversation=parameters.conversation_id,
            correlation=admitted.correlation_id,
            channels=[channel.value for channel in media.channels] if media else [],
            retry=admitted.retry_attempt,
            continues=parameters.continued_sessions[-1].id
            if parameters.continued_sessions
            else None,
        )

    def _refuse(self, cause: str, info: str, now_ns: int) -> None:
        self._has_disconnected = True
        self.session.refuse(now_ns, reason=DisconnectReason.ERROR, info=info)
        self._driver.flush()
        self._context.metrics.sessions_refused.labels(cause).inc()
        _log.warning("session refused", session=self._admitted.session_id, cause=cause)

    def _on_paused(self, event: AudioPaused) -> None:
        if self._dispatch is not None:
            self._dispatch.paused(event.position)

    def _on_resumed(self, event: AudioResumed) -> None:
        if self._dispatch is not None:
            self._dispatch.resumed(event.start, event.discarded)

    def _on_discarded(self, event: AudioDiscarded) -> None:
        if self._dispatch is not None:
            self._dispatch.discarded(event.start, event.discarded)

    def _on_updated(self, event: LanguageUpdated) -> None:
        if self._dispatch is not None:
            self._dispatch.updated(event.language, event.position)

    def _on_ping(self, event: PingReceived) -> None:
        if event.rtt_ns is not None:
            self._context.metrics.round_trip_seconds.observe(event.rtt_ns / 1e9)
        self._account()

    def _on_error(self, event: ErrorReported) -> None:
        code = str(event.code) if event.code in _KNOWN_CODES else "other"
        self._context.metrics.errors_reported.labels(code).inc()
        _log.warning("client reported an error", session=self._admitted.session_id, code=event.code)

    def _on_violation(self, event: PeerViolated) -> None:
        self._context.metrics.violations.labels(str(event.code)).inc()
        _log.warning(
            "client violated the protocol",
            session=self._admitted.session_id,
            code=int(event.code),
            type=event.message_type,
            seq=event.seq,
            problem=event.problem,
        )

    def _on_close(self, event: CloseRequested) -> None:
        self._end_reason = event.reason.value if event.reason else "end"
        if self._dispatch is None:
            self._finish()
        else:
            self._spawn(self._close(self._dispatch, self._end_reason, event.position))

    async def _close(self, dispatch: SessionDispatch, reason: str, position: int) -> None:
        """Close the consumers, then answer `close`: their last results go before `closed`."""
        await dispatch.close(reason, position)
        self._finish()

    def _finish(self) -> None:
        try:
            self.session.finish(monotonic_ns())
        except (LocalProtocolError, SessionClosed):
            return  # the connection was lost meanwhile
        self._driver.flush()

    def _on_ended(self, event: SessionEnded) -> None:
        self._account()
        self._context.continuations.end(self.session, monotonic_ns())
        self._is_over = True
        reason = self._end_reason or self._lost_reason
        self._context.metrics.sessions_ended.labels(reason).inc()
        _log.info(
            "session ended",
            session=self._admitted.session_id,
            reason=reason,
            clean=event.is_clean,
            timed_out=event.timed_out,
            seconds=round(event.position / SAMPLE_RATE, 3),
        )
        if self._dispatch is not None and self._end_reason is None:
            self._spawn(self._dispatch.close(reason, event.position))
        elif not self._tasks:
            self._leave()

    def _account(self) -> None:
        position = self.session.position
        if position > self._accounted:
            seconds = (position - self._accounted) / SAMPLE_RATE
            self._context.metrics.stream_seconds.inc(seconds)
            self._accounted = position

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks and self._is_over:
            self._leave()

    def _leave(self) -> None:
        self._dispatch = None  # each knows the other: let counting free them
        self._context.leave(self)


_HANDLERS: Final[dict[type, Callable[[ServiceSession, Any], None]]] = {
    OpenRequested: ServiceSession._on_open,
    AudioPaused: ServiceSession._on_paused,
    AudioResumed: ServiceSession._on_resumed,
    AudioDiscarded: ServiceSession._on_discarded,
    LanguageUpdated: ServiceSession._on_updated,
    PingReceived: ServiceSession._on_ping,
    ErrorReported: ServiceSession._on_error,
    PeerViolated: ServiceSession._on_violation,
    CloseRequested: ServiceSession._on_close,
    SessionEnded: ServiceSession._on_ended,
}
