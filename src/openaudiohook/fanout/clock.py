"""The media clock: one timer a process, which advances every call each 10 ms."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

__all__ = ["TICK_NS", "MediaClock", "Tickable"]

TICK_NS: Final = 10_000_000

_REMEMBERED_TICKS: Final = 6_000  # one minute

Tickable: TypeAlias = Callable[[int], None]
"""What is advanced: called with the monotonic time in nanoseconds."""


class _Registered(NamedTuple):
    then: Tickable | None
    on_fault: Callable[[Exception], None] | None


_log = logging.getLogger(__name__)


class MediaClock:
    """Calls every registered tickable each 10 ms, from one timer of the running loop.

    The schedule is absolute, so it does not drift: a tick that comes late does not move those
    after it, and ticks that were missed altogether are left out. It runs only while something
    is registered.

    Attributes:
        ticks: how many ticks there were.
        max_lateness_ns: how late the latest of them came.
    """

    __slots__ = (
        "_due_ns",
        "_lateness",
        "_now_ns",
        "_tickables",
        "_timer",
        "max_lateness_ns",
        "ticks",
    )

    def __init__(self, *, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.ticks = 0
        self.max_lateness_ns = 0
        self._now_ns = now_ns
        self._tickables: dict[Tickable, _Registered] = {}
        self._lateness: deque[int] = deque(maxlen=_REMEMBERED_TICKS)
        self._timer: asyncio.TimerHandle | None = None
        self._due_ns = 0

    @property
    def is_running(self) -> bool:
        """Whether anything is registered."""
        return self._timer is not None

    def add(
        self,
        tickable: Tickable,
        *,
        then: Tickable | None = None,
        on_fault: Callable[[Exception], None] | None = None,
    ) -> None:
        """Advance `tickable` from the next tick on. Needs a running event loop.

        Args:
            tickable: what is called at each tick.
            then: what is called at each tick after everything registered was advanced.
            on_fault: told when one of the two raises, which is taken out then; all others go on.
        """
        self._tickables[tickable] = _Registered(then, on_fault)
        if self._timer is None:
            self._due_ns = self._now_ns() + TICK_NS
            self._arm()

    def remove(self, tickable: Tickable) -> None:
        """Advance it no more; nothing happens where it is not registered."""
        self._tickables.pop(tickable, None)
        if not self._tickables and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def lateness_ns(self, quantile: float) -> int:
        """Return how late the ticks of the last minute came, at a quantile from 0 to 1."""
        ordered = sorted(self._lateness)
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))] if ordered else 0

    def _arm(self) -> None:
        delay_s = max(0, self._due_ns - self._now_ns()) / 1e9
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def _tick(self) -> None:
        now_ns, fired = self._now_ns(), self._timer
        # A coarse timer may come a little early; that is on time.
        late_ns = max(0, now_ns - self._due_ns)
        self.ticks += 1
        self._lateness.append(late_ns)
        self.max_lateness_ns = max(self.max_lateness_ns, late_ns)
        self._due_ns += (1 + late_ns // TICK_NS) * TICK_NS
        registered = tuple(self._tickables.items())
        for tickable, _ in registered:
            self._call(tickable, tickable, now_ns)
        for tickable, (then, _) in registered:
            if then is not None:
                self._call(tickable, then, now_ns)
        if self._timer is fired:  # not stopped, nor started anew, by one of them
            self._timer = None
            if self._tickables:
                self._arm()

    def _call(self, tickable: Tickable, what: Tickable, now_ns: int) -> None:
        if tickable not in self._tickables:  # removed by one before it
            return
        try:
            what(now_ns)
        except Exception as error:
            # Its text may hold anything; whoever is told gets the whole of it.
            _log.error("a call was taken off the media clock: %s", type(error).__name__)
            taken_out = self._tickables.pop(tickable, None)
            if taken_out is not None and taken_out.on_fault is not None:
                taken_out.on_fault(error)
