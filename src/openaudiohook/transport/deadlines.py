"""When drivers are to be woken: one timer of the event loop for the deadlines of all of them.

A session's deadline moves with every ping. Here that costs two look-ups, where a timer of its own
would have to be cancelled and made anew, or would fire for nothing.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from typing import Final, Protocol
from weakref import WeakKeyDictionary

__all__ = ["Deadlines", "Sleeper", "deadlines_of"]

# Deadlines are met at whole multiples of this: those of many sessions then wake the loop together.
_GRID_NS: Final = 10_000_000

# uvloop rounds to whole milliseconds: a timer that came early would come again, and again.
_ROUNDING_S: Final = 0.0005


class Sleeper(Protocol):
    """What has a deadline."""

    def deadline_reached(self, now_ns: int) -> None:
        """Act on it."""
        ...


class Deadlines:
    """The deadlines of one event loop. Use it on that loop only."""

    __slots__ = ("_fired", "_numbers", "_slots", "_timer", "_timer_at")

    def __init__(self) -> None:
        self._slots: dict[int, dict[Sleeper, None]] = {}  # by the number on the grid
        self._numbers: list[int] = []  # a heap of them, with some whose slots are gone
        self._fired = 0  # the latest whose time has come
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0

    def move(self, sleeper: Sleeper, slot: int | None, at_ns: int | None) -> int | None:
        """Wake it at that time, or up to 10 ms later, once; return its slot, for the next move.

        Args:
            sleeper: who is to be woken.
            slot: what the last move returned; None when it was woken since, and at first.
            at_ns: the time, in nanoseconds of the monotonic clock; None for never.
        """
        wanted = None if at_ns is None else max(-(-at_ns // _GRID_NS), self._fired + 1)
        if wanted == slot:
            return slot
        if slot is not None:
            sleepers = self._slots[slot]
            del sleepers[sleeper]
            if not sleepers:
                del self._slots[slot]
        if wanted is not None:
            if wanted not in self._slots:
                self._slots[wanted] = {}
                heapq.heappush(self._numbers, wanted)
            self._slots[wanted][sleeper] = None
            self._see_to(wanted)
        return wanted

    def _see_to(self, number: int) -> None:
        if self._timer is not None:
            if self._timer_at <= number:
                return
            self._timer.cancel()
        delay_s = max(number * _GRID_NS - time.monotonic_ns(), 0) / 1e9
        self._timer_at = number
        self._timer = asyncio.get_running_loop().call_later(delay_s + _ROUNDING_S, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now_ns = time.monotonic_ns()
        numbers, slots = self._numbers, self._slots
        while numbers and (numbers[0] * _GRID_NS <= now_ns or numbers[0] not in slots):
            number = heapq.heappop(numbers)
            slot = slots.get(number)
            if slot is None:
                continue
            self._fired = number
            while slot:  # one of them may move another one
                sleeper, _ = slot.popitem()
                try:
                    sleeper.deadline_reached(now_ns)
                except Exception as error:
                    # A mistake of ours, and the others' deadlines are none the less met.
                    context = {"message": "a deadline was not met", "exception": error}
                    asyncio.get_running_loop().call_exception_handler(context)
            slots.pop(number, None)
        if numbers:
            self._see_to(numbers[0])


_ALL: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Deadlines]] = WeakKeyDictionary()


def deadlines_of(loop: asyncio.AbstractEventLoop) -> Deadlines:
    """Return those of that loop."""
    deadlines = _ALL.get(loop)
    if deadlines is None:
        deadlines = _ALL[loop] = Deadlines()
    return deadlines
