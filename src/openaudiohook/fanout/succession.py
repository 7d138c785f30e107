"""The sessions of one endpoint on one call, one after the other: who streams, and who follows.

The first session is tried until it opens, or for good not. Where reconnections are enabled, one
that asks to be moved, or that is lost, is followed by another (protocol section 14). Nothing here
waits or connects: whoever does says when, and asks at `dial_at_ns`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from openaudiohook.fanout.account import Account, Part, settle
from openaudiohook.fanout.cursor import Cursor
from openaudiohook.fanout.engine import Fanout
from openaudiohook.fanout.failures import Failure, FailureKind, disconnected, violated
from openaudiohook.fanout.notices import Notice, NoticeKind
from openaudiohook.fanout.outlet import Outlet
from openaudiohook.protocol.client import ClientSession, ClientTimers
from openaudiohook.protocol.events import (
    DisconnectRequested,
    PeerViolated,
    ReconnectRequested,
    SessionEnded,
    SessionEvent,
    SessionOpened,
)
from openaudiohook.protocol.media import SAMPLE_RATE
from openaudiohook.protocol.messages import ContinuedSession
from openaudiohook.protocol.types import ClientState, CloseReason, DisconnectReason, ErrorCode

__all__ = ["Leg", "RetryPolicy", "SessionReport", "Succession"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often, and how soon, a session that did not open is tried again.

    Attributes:
        retries: how many attempts follow the first.
        base_s: the pause before the first retry; each one is twice as long as the one before.
        cap_s: the longest pause.
        connect_s: how long one attempt may take to connect and upgrade.
        stable_s: a session that lasted less was one more attempt; the count goes on after it.
    """

    retries: int = 5
    base_s: float = 0.5
    cap_s: float = 8.0
    connect_s: float = 5.0
    stable_s: float = 10.0

    def delay_s(self, retry: int, jitter: float) -> float:
        """Return the pause before a retry, counted from 0, with a jitter from 0 to 1."""
        return min(self.cap_s, self.base_s * (1 << retry) * (0.8 + 0.4 * jitter))


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReport:
    """What one session of an endpoint did.

    Attributes:
        session_id: its id.
        start: the position of its `open`: where the history starts that it was offered.
        end: the position of its `close`, or of its loss; how far it came, while it lives.
        error: why it did not last; None where it was closed in good order.
        lost_at: the sample that was live when its connection was lost without `close`.
        account: of the samples from `start` to `end`; nothing in there is lost.
        failure: what `error` tells, for programs.
    """

    session_id: str
    start: int
    end: int
    error: str | None
    lost_at: int | None
    account: Account
    failure: Failure | None = None


class Leg:
    """One session of an endpoint: an attempt, and once it has opened a part of the stream.

    Attributes:
        session_id: its id; a retry has that of the attempt before it.
        attempt: which attempt with this id it is, counted from 0.
        start: the position of its `open`.
        language: the media language there.
        is_open: it got its `opened`.
        is_over: its session has ended.
        failure: why it is ending.
    """

    __slots__ = (
        "attempt",
        "cursor",
        "disconnect",
        "failure",
        "is_open",
        "is_over",
        "language",
        "lost_at",
        "opened_ns",
        "outlet",
        "session",
        "session_id",
        "start",
        "throttled_at",
        "warned_ns",
    )

    def __init__(self, session_id: str, *, attempt: int) -> None:
        self.session_id = session_id
        self.attempt = attempt
        self.session: ClientSession | None = None
        self.outlet: Outlet | None = None
        self.cursor: Cursor | None = None
        self.start = 0
        self.language: str | None = None
        self.opened_ns = 0
        self.is_open = False
        self.is_over = False
        self.lost_at: int | None = None
        self.disconnect: DisconnectReason | None = None
        self.failure: Failure | None = None
        self.throttled_at: int | None = None  # since which sample, where that was told
        self.warned_ns: dict[NoticeKind, int] = {}

    def close(self, reason: CloseReason, now_ns: int) -> None:
        """End its part of the stream here, where that has not ended yet."""
        assert self.session is not None
        assert self.outlet is not None
        if self.session.state is ClientState.OPEN:
            self.session.close(now_ns, reason=reason)
            self.outlet.flush()
        if self.cursor is not None:
            self.cursor.end()


class Succession:
    """Decides what happens to an endpoint's stream. Time is given to it.

    Call `dial()` at `dial_at_ns`, connect, `offer()` what `open` tells, and let it `hear()` what
    the session reports; or tell it that the attempt `failed()`.

    Args:
        call: the call's timeline; the endpoint attaches itself.
        session_id: the UUID of the first session.
        new_id: makes those of the others.
        retry: when to try again.
        reconnections: whether a session that had opened may be followed by another.
        language: the media language at the first monitored sample, where it is known.
        jitter: makes a number from 0 to 1.
        now_ns: the time.
        patience_ns: how long a `pong` may take; who takes no audio for as long is gone.
        on_notice: told what an operator should know.

    Attributes:
        cursor: the endpoint's place in the call, in the latest session that opened.
        legs: the sessions that opened, in that order.
        dial_at_ns: when to dial next; None while there is no need.
        failure: why the latest attempt failed; in the end, why the endpoint did.
        is_over: no session streams, and none will.
    """

    def __init__(
        self,
        call: Fanout,
        *,
        session_id: str,
        new_id: Callable[[], str],
        retry: RetryPolicy,
        jitter: Callable[[], float],
        now_ns: int,
        reconnections: bool = False,
        language: str | None = None,
        patience_ns: int = ClientTimers().ping_ns,
        on_notice: Callable[[Notice], None] = lambda notice: None,
    ) -> None:
        self.cursor = call.attach()
        self.legs: list[Leg] = []
        self.session_id = session_id
        self.dial_at_ns: int | None = now_ns
        self.failure: Failure | None = None
        self.is_over = False
        self._call = call
        self._new_id = new_id
        self._retry = retry
        self._jitter = jitter
        self._reconnections = reconnections
        self._language = language
        self._patience_ns = patience_ns
        self._on_notice = on_notice
        self._streaming: Leg | None = None
        self._dialling: Leg | None = None
        self._tries = 0  # since a session last was stable
        self._attempt = 0  # with this session id
        self._is_stopped = False

    @property
    def is_streaming(self) -> bool:
        """Whether a session that has opened is at work."""
        return self._streaming is not None

    @property
    def account(self) -> Account:
        """The account so far; exact once both the call and the endpoint are at their ends."""
        head = self._call.head
        parts = [leg.cursor.part for leg in self.legs if leg.cursor is not None]
        return settle(
            [part for part in parts if part is not None],
            pauses=self._call.pauses.intervals(until=head),
            span=(0, head),
            is_over=self.is_over,
        )

    def reports(self) -> tuple[SessionReport, ...]:
        """Report on each session that opened."""
        reports: list[SessionReport] = []
        pauses = self._call.pauses.intervals(until=self._call.head)
        for leg, part in self._parts():
            span = part.start, part.end
            reports.append(
                SessionReport(
                    session_id=leg.session_id,
                    start=part.start,
                    end=part.end,
                    error=None if leg.failure is None else leg.failure.error,
                    lost_at=leg.lost_at,
                    account=settle([part], pauses=pauses, span=span, is_over=leg.is_over),
                    failure=leg.failure,
                )
            )
        return tuple(reports)

    def parts(self) -> dict[str, Part]:
        """Return what each session that opened did so far, by its id; nothing is settled yet."""
        return {leg.session_id: part for leg, part in self._parts()}

    def _parts(self) -> Iterator[tuple[Leg, Part]]:
        for leg in self.legs:
            part = None if leg.cursor is None else leg.cursor.part
            assert part is not None
            yield leg, part

    # Dialling ---------------------------------------------------------------------------

    def dial(self) -> Leg:
        """Begin an attempt."""
        leg = self._dialling = Leg(self.session_id, attempt=self._attempt)
        self.dial_at_ns = self.failure = None
        self._attempt += 1
        self._tries += 1
        return leg

    def offer(
        self, leg: Leg, session: ClientSession, outlet: Outlet
    ) -> tuple[ContinuedSession, ...]:
        """Settle what the session's `open` tells: its start and language, and what it continues."""
        leg.session, leg.outlet = session, outlet
        leg.start = self._call.history_start if self.legs else 0
        leg.language = self._call.ring.language_at(leg.start) or self._language
        return tuple(one.session.continued for one in self.legs if one.session is not None)

    def failed(self, leg: Leg, failure: Failure, now_ns: int) -> None:
        """Decide what follows an attempt that did not open (protocol sections 14.1 and 14.2)."""
        self._dialling = None
        if self.is_over:
            return
        streaming = self._streaming
        if self.legs and failure.reason is DisconnectReason.COMPLETED:
            if streaming is not None:
                streaming.disconnect = DisconnectReason.COMPLETED
                streaming.close(CloseReason.DISCONNECT, now_ns)
            else:
                self._finish(None)
        elif failure.may_pass and self._tries <= self._retry.retries and not self._is_stopped:
            self.failure = failure
            delay_ns = self._delay_ns()
            self.dial_at_ns = now_ns + delay_ns
            self._tell(
                leg, failure.kind, f"{failure.error}; trying again in {delay_ns / 1e9:.1f} s"
            )
        elif streaming is not None:
            self._tell(leg, failure.kind, f"{failure.error}; the session before it goes on")
            if failure.reason is DisconnectReason.UNAUTHORIZED:
                self._reconnections = False
            self._stay(streaming, now_ns)
        elif self.legs and (earlier := self.legs[-1].failure) is not None:
            error = f"{earlier.error}; no other session could take over: {failure.error}"
            self._tell(leg, failure.kind, f"no other session could take over: {failure.error}")
            self._finish(replace(failure, error=error))
        else:
            self._tell(leg, failure.kind, failure.error)
            self._finish(failure)

    def stop(self, now_ns: int) -> None:
        """Try no more: an endpoint that has not opened gives up. A stream goes on."""
        self._is_stopped = True
        if self.dial_at_ns is not None:
            self.dial_at_ns = None
            if self._streaming is not None:
                self._stay(self._streaming, now_ns)
            else:
                lost = self.legs[-1].failure if self.legs else None
                if not self.legs:
                    self._on_notice(Notice(_TOO_LATE.kind, _TOO_LATE.error, self.session_id))
                self._finish(self.failure or lost or _TOO_LATE)

    def close(self, now_ns: int) -> None:
        """End the endpoint's part here: a stream is closed with `end`, and nobody follows."""
        self._is_stopped = True
        if self._streaming is not None:
            self._streaming.close(CloseReason.END, now_ns)

    # Sessions ---------------------------------------------------------------------------

    def hear(self, leg: Leg, event: SessionEvent, now_ns: int) -> None:
        """Take what a session reports."""
        assert leg.session is not None
        match event:
            case SessionOpened():
                self._opened(leg, event, now_ns)
            case ReconnectRequested():
                if leg is self._streaming and self._may_go_on(leg) and self._is_idle:
                    leg.session.is_handing_over = self._replace(leg, now_ns)
            case DisconnectRequested(reason=reason):
                leg.disconnect = reason
                if not leg.session.is_handing_over:
                    leg.failure = leg.failure or disconnected(reason, is_open=leg.is_open)
            case PeerViolated(is_fatal=True):
                is_congested = self._is_congested(leg, now_ns)
                leg.failure = leg.failure or violated(event, is_congested=is_congested)
            case PeerViolated(code=ErrorCode.RATE_LIMITED):
                if self._may_warn(leg, NoticeKind.RATE_WARNING, now_ns):
                    self._tell(leg, NoticeKind.RATE_WARNING, event.problem)
            case SessionEnded():
                self._ended(leg, event, now_ns)
        failure = leg.failure
        if leg is self._streaming and failure and failure.may_pass and self._may_go_on(leg):
            self._lost(leg, now_ns)  # its close transaction may take its time

    @property
    def _is_idle(self) -> bool:
        return self._dialling is None and self.dial_at_ns is None

    def _opened(self, leg: Leg, event: SessionOpened, now_ns: int) -> None:
        session, outlet, streaming = leg.session, leg.outlet, self._streaming
        assert session is not None
        assert outlet is not None
        if self.is_over or (streaming is not None and self._is_delivered):
            self._dialling = None
            leg.close(CloseReason.END, now_ns)  # nothing is left to be said
            return
        if self.legs:
            leg.cursor = self._call.replace(
                self.cursor, session, outlet, event, now_ns, language=leg.language
            )
        else:
            leg.cursor = self.cursor
            leg.cursor.open(session, outlet, event, now_ns, language=leg.language)
        leg.is_open, leg.opened_ns = True, now_ns
        self.cursor = leg.cursor
        self.cursor.on_throttled = partial(self._throttled, leg)
        self.legs.append(leg)
        self._streaming, self._dialling = leg, None
        if streaming is not None:
            streaming.close(CloseReason.RECONNECT, now_ns)
        if len(self.legs) > 1:
            earlier = self.legs[-2].session_id
            self._tell(leg, NoticeKind.RECONNECTED, f"took the stream over from session {earlier}")

    def _ended(self, leg: Leg, ended: SessionEnded, now_ns: int) -> None:
        leg.is_over = True
        leg.failure = self._judge(leg, ended)
        if leg.cursor is not None:
            leg.cursor.end()
            if ended.reason is None:
                leg.lost_at = self._call.edge
        if leg is self._dialling:
            self.failed(leg, leg.failure or _UNOPENED, now_ns)
        elif leg is self._streaming:
            self._lost(leg, now_ns)

    def _judge(self, leg: Leg, ended: SessionEnded) -> Failure | None:
        """Return what went wrong in a session that is over."""
        fault = None if leg.cursor is None else leg.cursor.fault
        if fault is not None:
            return replace(_INTERNAL, error=f"internal error ({fault}); the session was ended")
        if leg.failure is not None:
            return leg.failure
        if ended.is_clean and ended.reason is not CloseReason.ERROR:
            return None
        if ended.reason is CloseReason.ERROR:
            return _INTERNAL
        if leg.is_open:
            return _LOST
        return _TOO_LATE if self._is_stopped else _UNOPENED

    def _lost(self, leg: Leg, now_ns: int) -> None:
        """Go on without a session that streamed, if somebody is to follow."""
        assert leg.cursor is not None
        self._streaming = None
        leg.cursor.end()
        failure = leg.failure
        if failure is not None:
            self._tell(leg, failure.kind, failure.error)
        if failure is None:
            self._finish(None)
        elif self._is_idle and not (
            failure.may_pass and self._may_go_on(leg) and self._replace(leg, now_ns)
        ):
            self._finish(failure)

    @property
    def _is_delivered(self) -> bool:
        return self._call.is_finished and self.cursor.position >= self._call.head

    def _may_go_on(self, leg: Leg) -> bool:
        return (
            self._reconnections
            and not self._is_stopped
            and leg.disconnect in (None, DisconnectReason.ERROR)
        )

    def _replace(self, leg: Leg, now_ns: int) -> bool:
        """See to it that another session follows; False where that was tried often enough."""
        if now_ns - leg.opened_ns >= self._retry.stable_s * 1e9:
            self._tries = 0
        if self._tries > self._retry.retries:
            return False
        self.session_id = self._new_id()
        self._attempt = 0
        self.dial_at_ns = now_ns + (self._delay_ns() if self._tries else 0)
        return True

    def _stay(self, leg: Leg, now_ns: int) -> None:
        """Give up moving: the session that streams has its say again."""
        assert leg.session is not None
        leg.session.is_handing_over = False
        if leg.disconnect is not None:  # it was held back, and nobody else is there
            self._reconnections = False
            leg.failure = leg.failure or disconnected(leg.disconnect, is_open=True)
            leg.close(CloseReason.DISCONNECT, now_ns)

    def _finish(self, failure: Failure | None) -> None:
        self.failure = failure
        self.dial_at_ns = None
        self.is_over = True
        self.cursor.end()

    def _throttled(self, leg: Leg, is_throttled: bool, position: int, now_ns: int) -> None:
        if is_throttled:
            if self._may_warn(leg, NoticeKind.THROTTLED, now_ns):
                leg.throttled_at = position
                text = "it takes the audio too slowly; some is left out from here on"
                self._tell(leg, NoticeKind.THROTTLED, text)
        elif leg.throttled_at is not None:
            seconds = (position - leg.throttled_at) / SAMPLE_RATE
            leg.throttled_at = None
            text = f"it keeps up again; {seconds:.1f} s are left out"
            self._tell(leg, NoticeKind.CAUGHT_UP, text)

    def _is_congested(self, leg: Leg, now_ns: int) -> bool:
        """Whether an endpoint that is behind still takes what it is sent: slow, and not gone."""
        taken_ns = None if leg.cursor is None else leg.cursor.taken_ns
        return taken_ns is not None and now_ns - taken_ns <= self._patience_ns

    def _may_warn(self, leg: Leg, kind: NoticeKind, now_ns: int) -> bool:
        """Whether a warning that may come over and over was not given for a while."""
        warned_ns = leg.warned_ns.get(kind)
        if warned_ns is not None and now_ns - warned_ns < _WARN_AGAIN_NS:
            return False
        leg.warned_ns[kind] = now_ns
        return True

    def _tell(self, leg: Leg, kind: FailureKind | NoticeKind, text: str) -> None:
        self._on_notice(Notice(kind, text, leg.session_id))

    def _delay_ns(self) -> int:
        return round(self._retry.delay_s(self._tries - 1, self._jitter()) * 1e9)


_WARN_AGAIN_NS: Final = 30_000_000_000
_INTERNAL = Failure(
    "internal error; the session was ended", may_pass=True, kind=FailureKind.INTERNAL
)
_LOST = Failure(
    "the connection was lost; what the call held from there on is lost too",
    may_pass=True,
    kind=FailureKind.CONNECTION_LOST,
)
_UNOPENED = Failure(
    "the connection was lost before `opened`", may_pass=True, kind=FailureKind.CLOSED_EARLY
)
_TOO_LATE = Failure("the call was over before the endpoint had opened", kind=FailureKind.CALL_OVER)
