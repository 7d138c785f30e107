"""Tells a call's observer of its endpoints' sessions: who opened, who was paused, who ended.

Sessions count from the first monitored sample; what is told is in call time.
"""

from __future__ import annotations

from collections.abc import Sequence

from openaudiohook.fanout.account import Part
from openaudiohook.fanout.endpoint import Endpoint, SessionReport
from openaudiohook.fanout.notices import Notice
from openaudiohook.fanout.pauses import PauseInterval, Span, length, subtract
from openaudiohook.monitor.call import Call
from openaudiohook.monitor.observer import CallObserver, SessionOutcome
from openaudiohook.protocol.events import (
    PauseRequested,
    SessionEnded,
    SessionEvent,
    SessionOpened,
)

__all__ = ["SessionWatch"]


class SessionWatch:
    """Watches every endpoint of one call.

    Args:
        observer: who is told.

    Attributes:
        call: the call; given before any endpoint has something to tell.
    """

    def __init__(self, observer: CallObserver) -> None:
        self.call: Call | None = None
        self._tell = observer
        self._open: dict[str, int] = {}  # the sessions that opened, and how many pauses were told
        self._ended: set[str] = set()
        self._paused: set[Endpoint] = set()  # who ever asked for a pause
        self._left: set[Endpoint] = set()

    def leave(self, endpoint: Endpoint) -> None:
        """Take an endpoint's end for wanted: it is no news that it did not open."""
        self._left.add(endpoint)

    def notice(self, endpoint: Endpoint, notice: Notice) -> None:
        """Pass on what an operator should know."""
        if endpoint not in self._left:
            self._tell.endpoint_event(endpoint, notice.kind, notice.text)

    def hear(self, endpoint: Endpoint, event: SessionEvent) -> None:
        """Take what a session reports, after the endpoint itself has."""
        match event:
            case SessionOpened(media=media):
                for session in endpoint.report().sessions:
                    if session.session_id not in self._open:
                        self._tell_open(endpoint, session, has_media=media is not None)
            case SessionEnded():
                self._tell_ends(endpoint)
            case PauseRequested():
                self._paused.add(endpoint)
            case _ if endpoint in self._paused:  # that it is over is only seen a moment later
                self._tell_pauses(endpoint)

    def done(self, endpoint: Endpoint) -> None:
        """The endpoint's part is over: it has no session any more, and gets no other."""
        self._tell_ends(endpoint, is_done=True)

    def untold_pauses(self) -> dict[str, list[Span]]:
        """Return, by open session, the pauses of its endpoint that were not told of yet.

        The last one of a session may hold still.
        """
        return {
            session_id: spans
            for endpoint in self._paused
            for session_id, part in endpoint.parts().items()
            if self._is_open(session_id)
            and (spans := [self._span(part, pause) for pause in self._untold(session_id, part)])
        }

    def _tell_open(self, endpoint: Endpoint, session: SessionReport, *, has_media: bool) -> None:
        self._open[session.session_id] = 0
        at = session.account.opened_at
        assert at is not None
        from_ = self._from
        self._tell.session_opened(
            endpoint, session.session_id, from_ + session.start, from_ + at, has_media
        )

    def _tell_ends(self, endpoint: Endpoint, *, is_done: bool = False) -> None:
        for session in endpoint.report().sessions:
            is_over = is_done or session.account.ended_at is not None
            if is_over and self._is_open(session.session_id):
                self._ended.add(session.session_id)
                part = endpoint.parts()[session.session_id]
                self._tell_new_pauses(endpoint, session.session_id, part)
                self._tell.session_ended(endpoint, self._outcome(session), session.failure)

    def _tell_pauses(self, endpoint: Endpoint) -> None:
        """Tell of the pauses that are over."""
        for session_id, part in endpoint.parts().items():
            if self._is_open(session_id):
                self._tell_new_pauses(endpoint, session_id, part, before=part.end)

    def _tell_new_pauses(
        self, endpoint: Endpoint, session_id: str, part: Part, *, before: int | None = None
    ) -> None:
        for pause in self._untold(session_id, part):
            if before is not None and pause.end >= before:
                break  # it may hold still
            self._open[session_id] += 1
            start, end = self._span(part, pause)
            if start < end:
                self._tell.server_paused(endpoint, session_id, start, end)

    def _is_open(self, session_id: str) -> bool:
        """Whether a session was told to have opened, and not yet to have ended."""
        return session_id in self._open and session_id not in self._ended

    def _untold(self, session_id: str, part: Part) -> Sequence[PauseInterval]:
        return part.pauses[self._open[session_id] :]

    def _span(self, part: Part, pause: PauseInterval) -> Span:
        """Say where a pause was in call time, as far as it was this session's."""
        # A session that follows another one has its pauses, too: they were told.
        return self._from + max(pause.start, part.start), self._from + pause.end

    def _outcome(self, session: SessionReport) -> SessionOutcome:
        """Account for a session to its end, which is that of its connection where that was lost."""
        call, account, from_ = self.call, session.account, self._from
        assert call is not None
        assert call.fanout is not None
        assert account.opened_at is not None
        end = max(session.end, session.lost_at or 0)
        rest = [(session.end, end)]
        held = [(one.start, one.end) for one in call.fanout.pauses.intervals(until=end)]
        lost = length(subtract(rest, held))
        return SessionOutcome(
            session_id=session.session_id,
            start=from_ + session.start,
            opened_at=from_ + account.opened_at,
            end=from_ + end,
            sent=account.sent,
            discarded=account.discarded,
            paused=account.paused_union + end - session.end - lost,
            lost=account.lost + lost,
        )

    @property
    def _from(self) -> int:
        """The call time of the first monitored sample."""
        assert self.call is not None
        return self.call.monitored_from or 0
