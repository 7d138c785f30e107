"""The media clock: one timer a process, which advances calls at whole multiples of 10 ms."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

__all__ = ["TICK_NS", "MediaClock", "Tickable"]

TICK_NS: Final = 10_000_000

_REMEMBERED_TICKS: Final = 6_000  # one minute

Tickable: TypeAlias = Callable[[int], int | None]
"""What is advanced: called with the monotonic time, it returns when it is to be called next.

Both are in nanoseconds; None is the next tick.
"""

# uvloop rounds to whole milliseconds: with half of one more no tick comes early.
_ROUNDING_S: Final = 0.0005


_NO_TICK: Final = -1
_NEVER: Final = -2


class _Registered:
    """What is advanced, and at which tick next.

    That is `_NO_TICK` while it is being called, and `_NEVER` once it was taken out.
    """

    __slots__ = ("on_fault", "tick", "tickable")

    def __init__(self, tickable: Tickable, on_fault: Callable[[Exception], None] | None) -> None:
        self.tickable = tickable
        self.on_fault = on_fault
        self.tick = _NO_TICK


_log = logging.getLogger(__name__)


class MediaClock:
    """Calls every registered tickable each 10 ms, from one timer of the running loop.

    Ticks are at whole multiples of 10 ms of the monotonic clock, so they do not drift: one that
    comes late does not move those after it, and those that were missed altogether are left out.
    A tickable that says when it has something to do next is not called before, and a tick at which
    nobody has is left out: to wake up for nothing costs as much as to send ten frames.

    Attributes:
        ticks: how many ticks there were.
        max_lateness_ns: how late the latest of them came.
    """

    __slots__ = (
        "_due_ns",
        "_lateness",
        "_now_ns",
        "_slots",
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
        # By the number of the tick. What was moved to another tick meanwhile is left where it was.
        self._slots: dict[int, list[_Registered]] = {}
        self._lateness: deque[int] = deque(maxlen=_REMEMBERED_TICKS)
        self._timer: asyncio.TimerHandle | None = None
        self._due_ns = 0  # when it fires

    @property
    def is_running(self) -> bool:
        """Whether anything is registered."""
        return self._timer is not None

    def add(
        self,
        tickable: Tickable,
        *,
        on_fault: Callable[[Exception], None] | None = None,
    ) -> None:
        """Advance `tickable` from the next tick on. Needs a running event loop.

        Args:
            tickable: what is called at a tick; it says when next.
            on_fault: told when it raises; then it is taken out, and all others go on.
        """
        if tickable in self._tickables:
            self._tickables[tickable].tick = _NEVER
        registered = self._tickables[tickable] = _Registered(tickable, on_fault)
        self._see_to(self._enter(registered, self._now_ns(), None))

    def wake(self, tickable: Tickable) -> None:
        """Call it at the next tick, whatever it said; nothing happens if it is not registered."""
        registered = self._tickables.get(tickable)
        if registered is not None:
            self._see_to(self._enter(registered, self._now_ns(), None))

    def remove(self, tickable: Tickable) -> None:
        """Advance it no more; nothing happens where it is not registered."""
        registered = self._tickables.pop(tickable, None)
        if registered is not None:
            registered.tick = _NEVER
        if not self._tickables and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._slots.clear()

    def lateness_ns(self, quantile: float) -> int:
        """Return how late the ticks of the last minute came, at a quantile from 0 to 1."""
        ordered = sorted(self._lateness)
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))] if ordered else 0

    def _see_to(self, tick: int) -> None:
        """Let there be a tick with that number."""
        if self._timer is None or tick * TICK_NS < self._due_ns:
            if self._timer is not None:
                self._timer.cancel()
            self._due_ns = tick * TICK_NS
            self._arm()

    def _arm(self) -> None:
        delay_s = max(0, self._due_ns - self._now_ns()) / 1e9
        self._timer = asyncio.get_running_loop().call_later(delay_s + _ROUNDING_S, self._tick)

    def _tick(self) -> None:
        now_ns, fired = self._now_ns(), self._timer
        late_ns = max(0, now_ns - self._due_ns)
        self.ticks += 1
        self._lateness.append(late_ns)
        self.max_lateness_ns = max(self.max_lateness_ns, late_ns)
        latest = now_ns // TICK_NS
        for number in sorted(number for number in self._slots if number <= latest):
            for each in self._slots.pop(number, ()):
                if each.tick != number:
                    continue  # it was moved to another one, or taken out
                each.tick = _NO_TICK
                try:
                    due_ns = each.tickable(now_ns)
                except Exception as error:
                    self._failed(each, error)
                    continue
                if each.tick == _NO_TICK:  # else it was woken meanwhile, or taken out
                    self._enter(each, now_ns, due_ns)
        if self._timer is fired:  # not stopped, nor started anew, by one of them
            self._timer = None
            if self._tickables:
                self._see_to(min(self._slots))

    def _enter(self, registered: _Registered, now_ns: int, due_ns: int | None) -> int:
        """Have it called at the first tick at or after that time, and not before the next one."""
        tick = now_ns // TICK_NS + 1
        if due_ns is not None:
            tick = max(tick, -(-due_ns // TICK_NS))
        if registered.tick != tick:
            registered.tick = tick
            slot = self._slots.get(tick)
            if slot is None:
                self._slots[tick] = [registered]
            else:
                slot.append(registered)
        return tick

    def _failed(self, registered: _Registered, error: Exception) -> None:
        # Its text may hold anything; whoever is told gets the whole of it.
        _log.error("a call was taken off the media clock: %s", type(error).__name__)
        registered.tick = _NEVER
        if self._tickables.get(registered.tickable) is registered:
            del self._tickables[registered.tickable]
        if registered.on_fault is not None:
            registered.on_fault(error)
