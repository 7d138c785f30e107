"""The two message counters of a session (protocol section 4.2)."""

from __future__ import annotations

from openaudiohook.exceptions import RemoteProtocolError
from openaudiohook.protocol.types import ErrorCode

__all__ = ["Sequence"]


class Sequence:
    """Counts what was sent and received, and checks what the peer claims of both.

    Attributes:
        sent: `seq` of our latest message; 0 before the first.
        received: `seq` of the peer's latest message; 0 before the first.
        acknowledged: the latest of ours that the peer said it had received.
    """

    __slots__ = ("acknowledged", "received", "sent")

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0
        self.acknowledged = 0

    def next(self) -> int:
        """Number the message that is handed over now."""
        self.sent += 1
        return self.sent

    def accept(self, *, seq: int, acknowledged: int, message_type: str) -> None:
        """Count a received message.

        Args:
            seq: the peer's own number.
            acknowledged: its `serverseq` or `clientseq`: the latest of ours it has seen.
            message_type: for the error.

        Raises:
            RemoteProtocolError: a number is skipped, repeated, invented or goes back.
        """
        problem = None
        if seq != self.received + 1:
            problem = f"seq is {seq}, expected {self.received + 1}"
        elif acknowledged > self.sent:
            problem = f"acknowledges message {acknowledged}, only {self.sent} were sent"
        elif acknowledged < self.acknowledged:
            problem = f"acknowledges message {acknowledged} after {self.acknowledged}"
        if problem is not None:
            raise RemoteProtocolError(
                problem, code=ErrorCode.BAD_MESSAGE, message_type=message_type, seq=seq
            )
        self.received = seq
        self.acknowledged = acknowledged
