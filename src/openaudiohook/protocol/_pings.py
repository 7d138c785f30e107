"""When the client pings, and what came back (protocol section 10.3)."""

from __future__ import annotations

__all__ = ["Pings"]


class Pings:
    """The schedule of pings, and those without an answer.

    Attributes:
        due_ns: when the next ping of the schedule is due.
        rtt_ns: the latest round trip; None before the first `pong`.
    """

    __slots__ = ("_interval_ns", "_sent_ns", "due_ns", "rtt_ns")

    def __init__(self, *, interval_ns: int) -> None:
        self._interval_ns = interval_ns
        self._sent_ns: dict[int, int] = {}
        self.due_ns = 0
        self.rtt_ns: int | None = None

    @property
    def is_unanswered(self) -> bool:
        """Whether a ping waits for its `pong`."""
        return bool(self._sent_ns)

    def schedule_next(self, now_ns: int) -> None:
        """Move on by an interval; after a stall the schedule starts anew.

        A ping must be given its time to be answered, even if it was sent late.
        """
        due_ns = self.due_ns + self._interval_ns
        self.due_ns = due_ns if due_ns > now_ns else now_ns + self._interval_ns

    def sent(self, seq: int, now_ns: int) -> None:
        """Note a ping by its `seq`."""
        self._sent_ns[seq] = now_ns

    def answered(self, clientseq: int, now_ns: int) -> bool:
        """Match a `pong` to its ping and measure the round trip; False if none fits."""
        sent_ns = self._sent_ns.pop(clientseq, None)
        if sent_ns is None:
            return False
        self.rtt_ns = now_ns - sent_ns
        return True
