"""What a test wants to know about a session's events, with failures that say where."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from openaudiohook.protocol.events import (
    AudioDiscarded,
    AudioFrame,
    AudioPaused,
    AudioResumed,
    OpenRequested,
    SessionEnded,
    SessionEvent,
)

__all__ = ["assert_ended_once", "assert_tiles", "audio_of", "events_of", "the_event"]

E = TypeVar("E", bound=SessionEvent)


def events_of(events: Iterable[SessionEvent], kind: type[E]) -> list[E]:
    """Pick the events of one kind, in order."""
    return [event for event in events if isinstance(event, kind)]


def the_event(events: Iterable[SessionEvent], kind: type[E]) -> E:
    """Pick the one event of a kind.

    Raises:
        AssertionError: there is none, or more than one.
    """
    seen = list(events)
    found = events_of(seen, kind)
    if len(found) != 1:
        names = [type(event).__name__ for event in seen]
        raise AssertionError(f"expected one {kind.__name__}, got {len(found)} in {names}")
    return found[0]


def audio_of(events: Iterable[SessionEvent]) -> bytes:
    """Join the payload of all audio frames."""
    return b"".join(event.payload for event in events_of(events, AudioFrame))


def assert_tiles(events: Iterable[SessionEvent], *, start: int | None = None) -> int:
    """Check that frames and reported gaps tile the time line: no hole, no overlap.

    Args:
        events: a server session's events, in order.
        start: the first sample; by default the position of `open`, else 0.

    Returns:
        The position behind the last frame or gap, in samples.

    Raises:
        AssertionError: something begins before or behind the end of what came before it,
            or audio arrives in a pause.
    """
    position = 0 if start is None else start
    paused = False
    for number, event in enumerate(events):
        begin, samples = position, 0
        if isinstance(event, OpenRequested) and start is None:
            position = begin = event.position
        elif isinstance(event, AudioFrame):
            begin, samples = event.position, event.samples
            if paused:
                raise AssertionError(f"event {number}: audio at sample {begin} in a pause")
        elif isinstance(event, AudioPaused):
            paused = True
        elif isinstance(event, AudioResumed | AudioDiscarded):
            begin, samples = event.start, event.discarded
            paused = paused and not isinstance(event, AudioResumed)
        if begin != position:
            raise AssertionError(
                f"event {number}: {type(event).__name__} begins at sample {begin}, "
                f"the one before it ended at {position}"
            )
        position += samples
    return position


def assert_ended_once(events: Iterable[SessionEvent]) -> SessionEnded:
    """Check that the session ended exactly once, and that nothing was reported after that.

    Raises:
        AssertionError: it did not, or something was.
    """
    seen = list(events)
    ended = the_event(seen, SessionEnded)
    if seen[-1] is not ended:
        raise AssertionError(f"{type(seen[-1]).__name__} was reported after SessionEnded")
    return ended
