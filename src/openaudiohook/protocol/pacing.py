"""Message limits as token buckets, in exact integers (protocol section 13.1)."""

from __future__ import annotations

from typing import Final

from openaudiohook.protocol.duration import NS_PER_S

__all__ = [
    "CONTROL_RESERVE",
    "PAUSE_BURST",
    "PAUSE_PER_S",
    "TEXT_BURST",
    "TEXT_PER_S",
    "TokenBucket",
]

TEXT_PER_S: Final = 5
TEXT_BURST: Final = 25
PAUSE_PER_S: Final = 2
PAUSE_BURST: Final = 4

# Tokens that entities leave untouched, so that `pong` never waits behind them.
CONTROL_RESERVE: Final = 5


class TokenBucket:
    """A bucket of `burst` tokens, refilled at `per_s` tokens a second.

    Time is kept, not tokens: the bucket is the moment at which it would be full, which
    makes refilling exact and free.
    """

    __slots__ = ("_burst_ns", "_cost_ns", "_full_at_ns")

    def __init__(self, *, per_s: int, burst: int, now_ns: int) -> None:
        self._cost_ns = NS_PER_S // per_s
        self._burst_ns = self._cost_ns * burst
        self._full_at_ns = now_ns

    def take(self, now_ns: int, *, leaving: int = 0) -> bool:
        """Take one token if more than `leaving` are there; say whether it was taken."""
        full_at_ns = self._full_at_ns
        if full_at_ns <= now_ns:  # it is full
            full_at_ns = now_ns
        if full_at_ns + (leaving + 1) * self._cost_ns - self._burst_ns > now_ns:
            return False
        self._full_at_ns = full_at_ns + self._cost_ns
        return True

    def ready_at_ns(self, *, leaving: int = 0) -> int:
        """Tell when `take` would next succeed; may lie in the past."""
        return self._full_at_ns + (leaving + 1) * self._cost_ns - self._burst_ns
