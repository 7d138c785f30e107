"""An observer that remembers, and what a service saw of a call, both in samples of call time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.monitor.services import Session

from openaudiohook.fanout.endpoint import Endpoint
from openaudiohook.fanout.failures import Failure
from openaudiohook.monitor.observer import SessionOutcome
from openaudiohook.protocol.events import (
    AudioDiscarded,
    AudioPaused,
    AudioResumed,
    CloseRequested,
    OpenRequested,
    SessionEvent,
)


class Told(NamedTuple):
    what: str
    at: int
    more: tuple[Any, ...] = ()


class Notes:
    """A `CallObserver`; `told` is everything in the order in which it was told."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.outcomes: list[SessionOutcome] = []
        self.failures: list[Failure | None] = []

    def all(self, what: str) -> list[Told]:
        return [one for one in self.told if one.what == what]

    def at(self, what: str) -> list[int]:
        return [one.at for one in self.all(what)]

    def pauses(self, *, until: int) -> list[tuple[int, int]]:
        """The union of the call's own pauses, as it was told."""
        held: set[tuple[Any, ...]] = set()
        spans: list[tuple[int, int]] = []
        since = 0
        for one in self.told:
            if one.what == "paused":
                since = since if held else one.at
                held.add(one.more[:3])
            elif one.what == "resumed":
                held.remove(one.more[:3])
                if not held:
                    spans.append((since, one.at))
        return [*spans, *([(since, until)] if held else [])]

    def phase(self, phase: str, at: int, queue_id: str | None) -> None:
        self.told.append(Told("phase", at, (phase, queue_id)))

    def switched(self, on: bool, by: str, action: str | None, at: int) -> None:
        self.told.append(Told("switched", at, (on, by, action)))

    def monitoring_refused(self, reason: str, at: int) -> None:
        self.told.append(Told("refused", at, (reason,)))

    def monitoring_began(self, at: int) -> None:
        self.told.append(Told("began", at))

    def language(self, language: str, stage: str, at: int) -> None:
        self.told.append(Told("language", at, (language, stage)))

    def pause_began(
        self,
        cause: str,
        reason: str,
        requester: str,
        at: int,
        effective_at: int | None,
        gone: Mapping[str, int],
    ) -> None:
        self.told.append(Told("paused", at, (cause, reason, requester, effective_at, dict(gone))))

    def pause_ended(self, cause: str, reason: str, requester: str, at: int) -> None:
        self.told.append(Told("resumed", at, (cause, reason, requester)))

    def session_opened(
        self, endpoint: Endpoint, session_id: str, start: int, at: int, has_media: bool
    ) -> None:
        self.told.append(Told("opened", at, (session_id, start, has_media)))

    def session_ended(
        self, endpoint: Endpoint, outcome: SessionOutcome, failure: Failure | None
    ) -> None:
        self.told.append(Told("closed", outcome.end, (outcome.session_id,)))
        self.outcomes.append(outcome)
        self.failures.append(failure)

    def server_paused(self, endpoint: Endpoint, session_id: str, start: int, end: int) -> None:
        self.told.append(Told("server", start, (session_id, end)))

    def endpoint_event(self, endpoint: Endpoint, kind: str, text: str) -> None:
        self.told.append(Told("event", 0, (str(kind), text)))

    def ended(self, at: int, reason: str) -> None:
        self.told.append(Told("ended", at, (reason,)))


_TELLING = (OpenRequested, AudioPaused, AudioResumed, AudioDiscarded, CloseRequested)


def wire(session: Session, start: int) -> list[tuple[str, int]]:
    """What one service saw, but the audio: the message and its position in call time."""
    return [_seen(event, start) for event in session.events if isinstance(event, _TELLING)]


def _seen(event: SessionEvent, start: int) -> tuple[str, int]:
    match event:
        case OpenRequested(position=position):
            return "open", start + position
        case AudioPaused(position=position):
            return "paused", start + position
        case AudioResumed(start=since, discarded=discarded):
            return "resumed", start + since + discarded
        case AudioDiscarded(start=since):
            return "discarded", start + since
        case CloseRequested(position=position):
            return "close", start + position
    raise AssertionError(event)
