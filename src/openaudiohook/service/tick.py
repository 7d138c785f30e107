"""One look at all sockets per tick, while many sessions are live.

Each frame that arrives on its own wakes the process on its own, and a thousand live streams do
that ten thousand times a second. A loop that sleeps out a tick of two milliseconds finds many
sockets readable at once and pays for waking up once. docs/performance.md has what it saves.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

__all__ = ["MANY_SESSIONS", "Tick"]

MANY_SESSIONS: Final = 200
"""From this many live sessions on frames are close enough for a tick to bring several."""


class Tick:
    """Lets the running event loop turn once per tick, for as long as that pays.

    What arrives waits for the rest of the tick at most; turns that take longer than a tick follow
    each other at once. The sleep is the thread's, not the loop's: other threads go on.

    Args:
        tick_s: seconds from the start of one turn to the start of the next; 0 to leave the loop
            alone.
        many: live sessions from which on it pays.
    """

    __slots__ = ("_at_s", "_is_on", "_is_wanted", "_loop", "_many", "_tick_s")

    def __init__(self, tick_s: float, *, many: int = MANY_SESSIONS) -> None:
        self._loop = asyncio.get_running_loop()
        self._tick_s = tick_s
        self._many = many
        self._is_wanted = False
        self._is_on = False
        self._at_s = 0.0

    @property
    def is_on(self) -> bool:
        """Whether the loop turns once per tick now."""
        return self._is_on

    def adapt(self, sessions: int) -> None:
        """Learn how many sessions are live."""
        self._is_wanted = self._tick_s > 0 and sessions >= self._many
        if self._is_wanted and not self._is_on:
            self._is_on = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        if not self._is_wanted:
            self._is_on = False
            return
        left_s = self._at_s - time.monotonic()
        if left_s > 0:
            time.sleep(left_s)
            self._at_s += self._tick_s
        else:
            self._at_s = time.monotonic() + self._tick_s
        # The loop looks at its sockets before it comes back to us.
        self._loop.call_soon(self._turn)
