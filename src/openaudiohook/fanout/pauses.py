"""Who holds the stream paused, and for which samples; with the arithmetic of spans.

A pause has a cause and a requester, and the two together are its name: repeating it changes
nothing, and ending one ends only that one. While any holds, the stream is paused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from openaudiohook.protocol.types import PauseCause

__all__ = ["PauseInterval", "Pauses", "Reason", "Span", "length", "subtract", "union"]

Reason: TypeAlias = tuple[PauseCause, str]
"""A cause and its requester."""

Span: TypeAlias = tuple[int, int]
"""A stretch in samples: its first one, and the first one after it."""


class PauseInterval(NamedTuple):
    """One pause by one requester: samples from `start` up to `end`."""

    cause: PauseCause
    requester: str
    start: int
    end: int


class Pauses:
    """The pauses of one stream, those that hold and those that are over."""

    __slots__ = ("_ended", "_held")

    def __init__(self) -> None:
        self._held: dict[Reason, int] = {}
        self._ended: list[PauseInterval] = []

    @property
    def is_paused(self) -> bool:
        """Whether any pause holds."""
        return bool(self._held)

    @property
    def reasons(self) -> frozenset[Reason]:
        """The causes and requesters whose pauses hold now."""
        return frozenset(self._held)

    def held_since(self, cause: PauseCause, requester: str) -> int | None:
        """Return the sample at which that pause began; None where it does not hold."""
        return self._held.get((cause, requester))

    def begin(self, cause: PauseCause, requester: str, *, at: int) -> int:
        """Begin a pause at sample `at`; return where it began, which is earlier if it held."""
        return self._held.setdefault((cause, requester), at)

    def end(self, cause: PauseCause, requester: str, *, at: int) -> bool:
        """End that pause and no other at sample `at`; say whether it had held."""
        start = self._held.pop((cause, requester), None)
        if start is None:
            return False
        self._ended.append(PauseInterval(cause, requester, start, at))
        return True

    def intervals(self, *, until: int) -> list[PauseInterval]:
        """Return every pause so far, in the order of their starts; those that hold end `until`."""
        held = (PauseInterval(*reason, start, until) for reason, start in self._held.items())
        return sorted([*self._ended, *held], key=lambda interval: (interval.start, interval.end))


def union(spans: Iterable[Span]) -> list[Span]:
    """Return the samples that are in any of the spans, as separate spans in order."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        elif end > start:
            joined.append((start, end))
    return joined


def subtract(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """Return the samples that are in any of `spans` and in none of `others`."""
    left: list[Span] = []
    removed = union(others)
    next_ = 0  # the first one that may reach into what is still to be looked at
    for start, end in union(spans):
        at = start
        while next_ < len(removed) and removed[next_][0] < end:
            from_, to = removed[next_]
            if from_ > at:
                left.append((at, from_))
            at = max(at, to)
            if to > end:
                break  # it may reach into the next span, too
            next_ += 1
        if at < end:
            left.append((at, end))
    return left


def length(spans: Iterable[Span]) -> int:
    """Return how many samples are in any of the spans, each counted once."""
    return sum(end - start for start, end in union(spans))
