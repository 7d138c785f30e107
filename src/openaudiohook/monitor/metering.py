"""Chargeable time: computed from the intervals of a session, never kept on its own.

A connection is charged from the sample that was live when `opened` arrived up to the position of
`close` (or of the loss), less the union of the free pauses. History sent after `opened` is older
than that sample, and so it is free; what was discarded or lost is charged. Everything is in whole
samples of call time: rounding is done once, where an invoice is made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from openaudiohook.fanout.pauses import PauseInterval
from openaudiohook.protocol.types import PauseCause

__all__ = ["FREE_PAUSES", "chargeable_samples"]

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

    Args:
        opened_at: the sample that was live when `opened` arrived; None where it never did.
        ended_at: the position of `close`, or where the session was lost.
        pauses: the session's pauses; they may overlap, in any order, and reach beyond the session.
        free_pauses: the causes whose time is not charged.
    """
    if opened_at is None or ended_at is None or ended_at <= opened_at:
        return 0
    free = sorted((pause.start, pause.end) for pause in pauses if pause.cause in free_pauses)
    charged, at = 0, opened_at
    for start, end in free:
        charged += max(0, min(start, ended_at) - at)
        at = max(at, min(end, ended_at))
    return charged + ended_at - at
