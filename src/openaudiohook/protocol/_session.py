"""What the machines of both roles share: the way in, the way out, and the deadlines."""

from __future__ import annotations

import abc
from collections import deque
from typing import ClassVar, NamedTuple

from openaudiohook.exceptions import RemoteProtocolError, SessionClosed
from openaudiohook.protocol._sequence import Sequence
from openaudiohook.protocol.events import AudioFrame, SessionEnded, SessionEvent
from openaudiohook.protocol.media import MediaParameter, samples_to_ns
from openaudiohook.protocol.messages import ClientMessage, ServerMessage
from openaudiohook.protocol.trace import Trace
from openaudiohook.protocol.types import MAX_RECEIVED_BYTES, CloseReason, ErrorCode, Role

__all__ = [
    "Binary",
    "CloseConnection",
    "Outgoing",
    "Place",
    "SendBinary",
    "SendText",
    "Session",
    "Text",
]

Text = bytes | bytearray | memoryview | str
Binary = bytes | bytearray | memoryview


class SendText(NamedTuple):
    """Write one WebSocket text message."""

    data: bytes


class SendBinary(NamedTuple):
    """Write one WebSocket binary message."""

    data: bytes


class CloseConnection(NamedTuple):
    """Start the WebSocket closing handshake; nothing follows."""

    code: int


Outgoing = SendText | SendBinary | CloseConnection


class Place:
    """A position in the stream, in samples; sessions that move together share one."""

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        self.position = position


class Session(abc.ABC):
    """One AudioHook session on one connection, without any input or output of its own.

    Feed what arrived, take the events and what is to be written, and wake it at its
    deadline. Time is always an argument: `now_ns` of a monotonic clock.

    Attributes:
        session_id: the id in every message of both sides.
        position: stream position in samples at 8 kHz.
        media: the selected media; None before `opened`, or where no audio was wanted.
        trace: where the messages are noted; None unless one was given.
    """

    __slots__ = (
        "_deadlines",
        "_events",
        "_is_clean",
        "_is_over",
        "_outgoing",
        "_reason",
        "_sequence",
        "_timed_out",
        "media",
        "position",
        "session_id",
        "trace",
    )

    role: ClassVar[Role]

    def __init__(self, *, session_id: str, trace: Trace | None = None) -> None:
        self.session_id = session_id
        self.position = 0
        self.media: MediaParameter | None = None
        self.trace = trace
        self._sequence = Sequence()
        self._events: list[SessionEvent] = []
        self._outgoing: deque[Outgoing] = deque()
        self._deadlines: dict[str, int] = {}
        self._reason: CloseReason | None = None
        self._timed_out: str | None = None
        self._is_clean = False
        self._is_over = False

    def receive_text(self, data: Text, now_ns: int) -> None:
        """Take one text message, whole and unmasked. Never raises for what it holds."""
        if self._is_over:
            return
        try:
            message = self._decode(data)
        except RemoteProtocolError as error:
            self._note("unreadable", now_ns)
            self._unreadable(error, now_ns)
            return
        if self.trace is not None:
            self.trace.message(message, now_ns)
        self._receive(message, now_ns)

    @abc.abstractmethod
    def receive_binary(self, data: Binary, now_ns: int) -> None:
        """Take one binary message."""

    def take_audio(self, data: bytes, now_ns: int) -> AudioFrame | None:
        """Take a binary message and hand its frame out at once, past the other events.

        None, with nothing taken, where that cannot be: use `receive_binary` then.
        """
        return None

    def receive_oversize(
        self, now_ns: int, *, is_text: bool, size_bytes: int | None = None
    ) -> None:
        """Learn that a message over 65,536 bytes was skipped unread (protocol section 4.4)."""
        if self._is_over:
            return
        self._note("oversize", now_ns)
        size = "" if size_bytes is None else f" of {size_bytes} bytes"
        kind = "text" if is_text else "binary"
        problem = f"a {kind} message{size}; at most {MAX_RECEIVED_BYTES} are read"
        self._unreadable(RemoteProtocolError(problem, code=ErrorCode.TOO_LARGE), now_ns)

    def receive_closed(self, code: int | None, now_ns: int) -> None:
        """Learn that the connection is gone, in whatever way; only the first counts."""
        if self._has_ended:
            return
        if self.trace is not None:
            self.trace.other("connection_closed", sender=self._peer_role, now_ns=now_ns, code=code)
        self._connection_lost()
        self._is_over = True
        self._deadlines.clear()
        self._outgoing.clear()
        self._events.append(
            SessionEnded(
                reason=self._reason,
                is_clean=self._is_clean,
                position=self.position,
                timed_out=self._timed_out,
            )
        )

    def events(self) -> list[SessionEvent]:
        """Take what happened since the last time, in order."""
        if not self._events:
            return []
        events, self._events = self._events, []
        return events

    @abc.abstractmethod
    def data_to_send(self, now_ns: int) -> list[Outgoing]:
        """Take what may be written now, in order; call again at the deadline."""

    def next_deadline_ns(self) -> int | None:
        """Tell when `handle_deadline` wants to be called, if ever."""
        deadlines = self._deadlines
        return min(deadlines.values()) if deadlines else None

    def handle_deadline(self, now_ns: int) -> None:
        """Act on every wait that has expired by now."""
        expired = [item for item in self._deadlines.items() if item[1] <= now_ns]
        for name, deadline_ns in sorted(expired, key=lambda item: item[1]):
            if self._deadlines.get(name) == deadline_ns:
                del self._deadlines[name]
                self._expired(name, now_ns)

    @property
    @abc.abstractmethod
    def _has_ended(self) -> bool: ...

    @property
    @abc.abstractmethod
    def _peer_role(self) -> Role: ...

    @abc.abstractmethod
    def _decode(self, data: Text) -> ClientMessage | ServerMessage: ...

    @abc.abstractmethod
    def _receive(self, message: ClientMessage | ServerMessage, now_ns: int) -> None: ...

    @abc.abstractmethod
    def _unreadable(self, error: RemoteProtocolError, now_ns: int) -> None: ...

    @abc.abstractmethod
    def _connection_lost(self) -> None: ...

    @abc.abstractmethod
    def _expired(self, name: str, now_ns: int) -> None: ...

    def _close_connection(self, code: int) -> None:
        """Hand over the close of the connection as the last thing; ignore all else."""
        self._is_over = True
        self._deadlines.clear()
        self._outgoing.append(CloseConnection(code))

    def _require_not_over(self) -> None:
        if self._is_over:
            raise SessionClosed(
                f"session {self.session_id} has ended",
                reason=self._reason or self._timed_out or "connection lost",
                position_ns=samples_to_ns(self.position),
            )

    def _note(self, kind: str, now_ns: int) -> None:
        if self.trace is not None:
            self.trace.other(kind, sender=self._peer_role, now_ns=now_ns)
