"""A clock that stands still until it is told to move: time for tests, without waiting."""

from __future__ import annotations

from openaudiohook.protocol.duration import NS_PER_S

__all__ = ["ManualClock"]


class ManualClock:
    """Monotonic nanoseconds that only `advance` and `advance_to` move.

    Sessions take the time as an argument; hand them `clock.now_ns`.
    """

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    @property
    def now_ns(self) -> int:
        """The present, in nanoseconds."""
        return self._now_ns

    def advance(self, seconds: float = 0, *, ns: int = 0) -> int:
        """Move forward and return the new present.

        Args:
            seconds: how far, in seconds; rounded to whole nanoseconds.
            ns: added to it, exact.

        Raises:
            ValueError: the step goes backward.
        """
        step = round(seconds * NS_PER_S) + ns
        return self.advance_to(self._now_ns + step)

    def advance_to(self, now_ns: int) -> int:
        """Move to a point in time and return it.

        Raises:
            ValueError: the point is in the past.
        """
        if now_ns < self._now_ns:
            raise ValueError(f"time cannot go back from {self._now_ns} ns to {now_ns} ns")
        self._now_ns = now_ns
        return now_ns

    def __repr__(self) -> str:
        return f"ManualClock({self._now_ns})"
