"""What happens on a call, written down: the observer of one part of one call.

It turns what a call tells into journal entries and operational events, and decides nothing. It is
told of rare things only, never of a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

from openaudiohook.fanout.endpoint import Endpoint
from openaudiohook.fanout.failures import Failure, FailureKind
from openaudiohook.fanout.notices import NoticeKind
from openaudiohook.monitor.bulletins import Bulletins
from openaudiohook.monitor.events import EventId, event_for
from openaudiohook.monitor.observer import CallEnding, Phase, SessionOutcome
from openaudiohook.monitor.record import Record
from openaudiohook.store.entries import (
    CallBegan,
    CallEnded,
    Entry,
    LanguageChanged,
    MonitoringBegan,
    MonitoringSwitched,
    PauseBegan,
    PauseEnded,
    PhaseBegan,
    ServerPaused,
    SessionEnded,
    SessionOpened,
)

__all__ = ["Bookkeeper"]

_FAILURES: Final = frozenset(FailureKind)


class Bookkeeper:
    """A `CallObserver` that writes.

    Args:
        organization_id: whose call it is.
        conversation_id: which conversation.
        part: which of its timelines.
        record: what takes entries.
        bulletins: what takes events.
        utc_ns: the wall clock.
        edge: where the call's media is handled.
        queue_id: the queue it begins in.
        refused: why it may not be monitored; None where it may.
        on_over: told when the call's time has ended.

    Attributes:
        is_stopping: the Monitor stops: what ends now has lost its source, and may come back.
    """

    def __init__(
        self,
        *,
        organization_id: str,
        conversation_id: str,
        part: int,
        record: Record,
        bulletins: Bulletins,
        utc_ns: Callable[[], int],
        edge: str,
        queue_id: str | None = None,
        refused: str | None = None,
        on_over: Callable[[], None] = lambda: None,
    ) -> None:
        self.is_stopping = False
        self._organization_id = organization_id
        self._conversation_id = conversation_id
        self._part = part
        self._record = record
        self._bulletins = bulletins
        self._utc_ns = utc_ns
        self._on_over = on_over
        self._edge = edge
        self._queue_id = queue_id
        self._refused = refused
        self._has_begun = False

    def begin(self) -> None:
        """Write that the part began; everything else that is written has this done first."""
        if self._has_begun:
            return
        self._has_begun = True
        self._note(CallBegan, 0, edge=self._edge, queue_id=self._queue_id, refused=self._refused)

    # What a call tells ------------------------------------------------------------------

    def phase(self, phase: Phase, at: int, queue_id: str | None) -> None:
        """The customer came to another phase."""
        self._note(PhaseBegan, at, phase=phase, queue_id=queue_id)

    def switched(self, on: bool, by: Literal["queue", "flow"], action: str | None, at: int) -> None:
        """A queue's setting or a flow's action was applied."""
        self._note(MonitoringSwitched, at, on=on, by=by, action=action)

    def monitoring_refused(self, reason: str, at: int) -> None:
        """The call may not be monitored."""
        self._publish(EventId.EDGE_REFUSED, reason)

    def monitoring_began(self, at: int) -> None:
        """The first monitored sample."""
        self._note(MonitoringBegan, at)

    def language(self, language: str, stage: str, at: int) -> None:
        """The media language from here on."""
        self._note(LanguageChanged, at, language=language, stage=stage)

    def pause_began(
        self,
        cause: Literal["secure", "client"],
        reason: str,
        requester: str,
        at: int,
        effective_at: int | None,
        gone: Mapping[str, int],
    ) -> None:
        """A pause of the whole call began."""
        self._note(
            PauseBegan,
            at,
            cause=cause,
            reason=reason,
            requester=requester,
            effective_at=effective_at,
            gone=dict(gone),
        )

    def pause_ended(
        self, cause: Literal["secure", "client"], reason: str, requester: str, at: int
    ) -> None:
        """A reason was taken back."""
        self._note(PauseEnded, at, cause=cause, reason=reason, requester=requester)

    def session_opened(
        self, endpoint: Endpoint, session_id: str, start: int, at: int, has_media: bool
    ) -> None:
        """An endpoint answered `opened`."""
        self._note(
            SessionOpened,
            at,
            integration_id=endpoint.config.integration_id,
            session_id=session_id,
            start=start,
            has_media=has_media,
        )

    def session_ended(
        self, endpoint: Endpoint, outcome: SessionOutcome, failure: Failure | None
    ) -> None:
        """A session that had opened ended; where that was not in order, an event says why."""
        self._note(
            SessionEnded,
            outcome.end,
            integration_id=endpoint.config.integration_id,
            session_id=outcome.session_id,
            event_id=None if failure is None else event_for(failure),
            sent=outcome.sent,
            discarded=outcome.discarded,
            paused=outcome.paused,
            lost=outcome.lost,
        )

    def server_paused(self, endpoint: Endpoint, session_id: str, start: int, end: int) -> None:
        """An endpoint had its session paused."""
        self._note(
            ServerPaused,
            start,
            integration_id=endpoint.config.integration_id,
            session_id=session_id,
            end=end,
        )

    def endpoint_event(self, endpoint: Endpoint, kind: str, text: str) -> None:
        """Something an operator should know of one endpoint."""
        self._bulletins.publish(
            self._organization_id,
            event_for(FailureKind(kind) if kind in _FAILURES else NoticeKind(kind)),
            entity_type="integration",
            entity_id=endpoint.config.integration_id,
            entity_name=endpoint.config.name,
            text=text,
            conversation_id=self._conversation_id,
        )

    def ended(self, at: int, reason: CallEnding) -> None:
        """The call's time has ended."""
        self._note(CallEnded, at, reason="lost" if self.is_stopping else reason)
        self._on_over()

    def _publish(self, event_id: EventId, text: str) -> None:
        self.begin()
        self._bulletins.publish(
            self._organization_id,
            event_id,
            entity_type="call",
            entity_id=self._conversation_id,
            entity_name="",
            text=text,
            conversation_id=self._conversation_id,
        )

    def _note(self, kind: Callable[..., Entry], at: int, **more: object) -> None:
        self.begin()
        self._record.note(
            kind(
                organization_id=self._organization_id,
                utc_ns=self._utc_ns(),
                conversation_id=self._conversation_id,
                part=self._part,
                at=at,
                **more,
            )
        )
