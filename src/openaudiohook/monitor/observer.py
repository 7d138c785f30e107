"""What is told of a call as it happens, to whoever writes it down.

Positions are samples of call time, counted from the call's entry. Everything is told synchronously
and in the order in which it happens; who is told must not raise, and decides nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from openaudiohook.fanout.endpoint import Endpoint
from openaudiohook.fanout.failures import Failure, FailureKind
from openaudiohook.fanout.notices import NoticeKind
from openaudiohook.store.entries import Phase

__all__ = ["CallEnding", "CallObserver", "Phase", "SessionOutcome", "Unobserved"]

CallEnding = Literal["end", "hangup", "lost", "error"]
"""How a part of a call ends: by itself, from outside, with its source, or by a mistake of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOutcome:
    """What became of one session, in samples of call time.

    `sent + discarded + paused + lost == end - start`, exactly.

    Attributes:
        session_id: its id.
        start: where its own timeline began.
        opened_at: the sample that was live when `opened` arrived.
        end: the position of its `close`, or the sample that was live when it was lost.
        sent: samples that were handed to the connection.
        discarded: samples that were left out.
        paused: samples in any pause, each counted once.
        lost: samples between what had been handed over and the loss.
    """

    session_id: str
    start: int
    opened_at: int
    end: int
    sent: int
    discarded: int
    paused: int
    lost: int


class CallObserver(Protocol):
    """Told of one part of one call."""

    def phase(self, phase: Phase, at: int, queue_id: str | None) -> None:
        """The customer came to another phase; `queue_id` is told with the phase `queue`."""

    def switched(self, on: bool, by: Literal["queue", "flow"], action: str | None, at: int) -> None:
        """A queue's setting, or a flow's action of that name, was applied."""

    def monitoring_refused(self, reason: str, at: int) -> None:
        """The call may not be monitored, and why; it goes on untouched. Told at its entry."""

    def monitoring_began(self, at: int) -> None:
        """The first monitored sample. The endpoints are those of this moment."""

    def language(self, language: str, stage: str, at: int) -> None:
        """The media language from here on, and the `LanguageStage` that said so."""

    def pause_began(
        self,
        cause: Literal["secure", "client"],
        reason: str,
        requester: str,
        at: int,
        effective_at: int | None,
        gone: Mapping[str, int],
    ) -> None:
        """A pause of the whole call began. The cut has been made when this is told.

        It is told once more for a reason that holds already where an earlier cut is asked for; and
        of a part that begins under a reason, it is told at sample 0.

        Args:
            cause: `secure` or `client`.
            reason: its kind: `flow`, `agent`, `api`, `sbc`; `monitoring` where it was switched off.
            requester: whose it is.
            at: the sample from which on the pause counts as one.
            effective_at: the cut, where that lies before `at`: what was captured in between is
                taken back from all who had not been sent it, and counts as discarded.
            gone: by integration id, the samples at or after the cut that had left already.
        """

    def pause_ended(
        self, cause: Literal["secure", "client"], reason: str, requester: str, at: int
    ) -> None:
        """That reason, and no other, was taken back; `at` is the first sample after it."""

    def session_opened(
        self, endpoint: Endpoint, session_id: str, start: int, at: int, has_media: bool
    ) -> None:
        """A session opened: its own timeline begins at `start`, and `at` was live then."""

    def session_ended(
        self, endpoint: Endpoint, outcome: SessionOutcome, failure: Failure | None
    ) -> None:
        """A session that had opened ended; `failure` tells why where that was not in order."""

    def server_paused(self, endpoint: Endpoint, session_id: str, start: int, end: int) -> None:
        """The endpoint had its session paused; told when that is over."""

    def endpoint_event(self, endpoint: Endpoint, kind: FailureKind | NoticeKind, text: str) -> None:
        """Something that an operator should know of one endpoint."""

    def ended(self, at: int, reason: CallEnding) -> None:
        """The call's time has ended; its sessions end after it."""


class Unobserved(CallObserver):
    """An observer that does nothing with what it is told."""
