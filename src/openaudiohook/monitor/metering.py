"""Chargeable time: computed from the intervals of a session, never kept on its own.

A connection is charged from the sample that was live when `opened` arrived up to the position of
`close` (or of the loss), less the union of the free pauses. History sent after `opened` is older
than that sample, and so it is free; what was discarded or lost is charged. Where one session
follows another, a sample is charged once however many were connected, and not at all where none
was. Everything is in whole samples of call time: rounding is done once, where an invoice is made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from openaudiohook.fanout.pauses import PauseInterval, Span, length, subtract
from openaudiohook.protocol.types import PauseCause

__all__ = ["FREE_PAUSES", "chargeable_samples", "chargeable_spans"]

FREE_PAUSES: Final = frozenset({PauseCause.SECURE, PauseCause.CLIENT})
"""The pauses that are not charged by default; a tariff may add `server`."""


def chargeable_samples(
    *,
    opened_at: int | None,
    ended_at: int | None,
    pauses: Iterable[PauseInterval],
    free_pauses: Collection[PauseCause] = FREE_PAUSES,
) -> int:
    """Return how many samples of one endpoint's session are charged.

    The arguments are those of `chargeable_spans`.
    """
    return length(
        chargeable_spans(
            opened_at=opened_at, ended_at=ended_at, pauses=pauses, free_pauses=free_pauses
        )
    )


def chargeable_spans(
    *,
    opened_at: int | None,
    ended_at: int | None,
    pauses: Iterable[PauseInterval],
    free_pauses: Collection[PauseCause] = FREE_PAUSES,
) -> list[Span]:
    """Return which samples of one endpoint's session are charged.

    Of an endpoint with several sessions, the union of their spans is charged.

    Args:
        opened_at: the sample that was live when `opened` arrived; None where it never did.
        ended_at: the position of `close`, or where the session was lost.
        pauses: the session's pauses; they may overlap, in any order, and reach beyond the session.
        free_pauses: the causes whose time is not charged.
    """
    if opened_at is None or ended_at is None or ended_at <= opened_at:
        return []
    free = [(pause.start, pause.end) for pause in pauses if pause.cause in free_pauses]
    return subtract([(opened_at, ended_at)], free)
