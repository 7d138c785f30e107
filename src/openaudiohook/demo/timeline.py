"""What became of every sample on each integration, as stretches that can be drawn.

The stretches are those the integration itself was told about; the Monitor adds only where live
audio began and which pauses were secure.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from openaudiohook.demo.checking import Receipt, Span

__all__ = ["Fate", "Lane", "Part", "Stretch", "Timeline", "fate_columns", "make_lane"]


class Fate(enum.StrEnum):
    """What became of a stretch of the call."""

    LIVE = "received live"
    CAUGHT_UP = "caught up from history"
    DISCARDED = "discarded"
    SECURE = "secure pause"
    PAUSED = "other pause"
    MISSING = "lost"


class Stretch(NamedTuple):
    """Samples from `start` up to `end`, and what became of them."""

    start: int
    end: int
    fate: Fate


class Lane(NamedTuple):
    """One integration: its stretches, in order and without a gap.

    Attributes:
        name: the integration.
        remark: what it is there to show, in a word or two.
        stretches: what became of the call.
    """

    name: str
    remark: str
    stretches: tuple[Stretch, ...]


class Part(NamedTuple):
    """A named part of the call, from `start` up to `end`."""

    start: int
    end: int
    name: str


class Timeline(NamedTuple):
    """A call as it is drawn, in samples from the first monitored one.

    Attributes:
        length: how long the call is.
        secure: where nothing could leave.
        parts: what happened in the call, in order.
        lanes: the integrations.
    """

    length: int
    secure: tuple[Span, ...]
    parts: tuple[Part, ...]
    lanes: tuple[Lane, ...]


def make_lane(
    name: str,
    remark: str,
    receipt: Receipt,
    *,
    length: int,
    live_from: int,
    secure: Sequence[Span],
) -> Lane:
    """Put together what an integration received, and what it was told it would not receive.

    Args:
        name: the integration.
        remark: what it is there to show.
        receipt: what it received and was told.
        length: how long the call is.
        live_from: the sample that was live when its session was opened.
        secure: the call's secure spans.
    """
    spans = [
        *((start, end, Fate.LIVE) for start, end in receipt.received),
        *((start, end, Fate.DISCARDED) for start, end in receipt.discarded),
        *((start, end, Fate.PAUSED) for start, end in receipt.paused),
    ]
    stretches: list[Stretch] = []
    at = 0
    for start, end, fate in sorted(spans):
        if start > at:
            stretches.append(Stretch(at, start, Fate.MISSING))
        if fate is Fate.LIVE:
            stretches += _split(start, end, [(0, live_from)], fate, Fate.CAUGHT_UP)
        elif fate is Fate.PAUSED:
            stretches += _split(start, end, secure, fate, Fate.SECURE)
        else:
            stretches.append(Stretch(start, end, fate))
        at = max(at, end)
    if at < length:
        stretches.append(Stretch(at, length, Fate.MISSING))
    return Lane(name, remark, tuple(stretches))


def fate_columns(lane: Lane, *, length: int, columns: int) -> list[Fate]:
    """Return what became of most of each column, where `columns` of them are the whole call."""
    return [
        _prevailing(lane.stretches, length * column // columns, length * (column + 1) // columns)
        for column in range(columns)
    ]


def _split(
    start: int, end: int, spans: Iterable[Span], outside: Fate, inside: Fate
) -> list[Stretch]:
    """Divide a stretch into what lies inside the spans and what does not."""
    edges = {start, end}
    inner = [(max(start, a), min(end, b)) for a, b in spans if a < end and b > start]
    for span in inner:
        edges.update(span)
    ordered = sorted(edges)
    return [
        Stretch(a, b, inside if any(x <= a and b <= y for x, y in inner) else outside)
        for a, b in pairwise(ordered)
    ]


def _prevailing(stretches: Sequence[Stretch], start: int, end: int) -> Fate:
    shares: dict[Fate, int] = {}
    for stretch in stretches:
        overlap = min(end, stretch.end) - max(start, stretch.start)
        if overlap > 0:
            shares[stretch.fate] = shares.get(stretch.fate, 0) + overlap
    return max(shares, key=lambda fate: shares[fate], default=Fate.MISSING)
