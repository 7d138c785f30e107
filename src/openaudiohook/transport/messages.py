"""From WebSocket frames to messages: fragments, limits, and what RFC 6455 forbids.

The library below hands over frames one by one and checks little of what makes them a
message. What is refused here fails the connection with a close code of RFC 6455: 1002
for reserved bits and for continuations out of place, 1007 for text that is not UTF-8. A
message that is merely too large is the protocol's business (section 4.4): it is skipped,
nothing of it is kept, and it is reported once.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from openaudiohook.protocol.types import MAX_RECEIVED_BYTES

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "INVALID_TEXT",
    "NORMAL",
    "NO_CODE",
    "PING",
    "PONG",
    "PROTOCOL_ERROR",
    "TEXT",
    "FramingError",
    "Message",
    "MessageAssembler",
    "Oversize",
    "close_code",
]

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

NORMAL: Final = 1000
PROTOCOL_ERROR: Final = 1002
NO_CODE: Final = 1005
INVALID_TEXT: Final = 1007

# RFC 6455 section 7.4: what may stand in a close frame; 1004 to 1006 and 1015 never do.
_SENDABLE: Final = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})


class FramingError(Exception):
    """The peer broke RFC 6455: fail the connection with `code`."""

    def __init__(self, code: int, problem: str) -> None:
        super().__init__(problem)
        self.code = code


class Message(NamedTuple):
    """One whole message.

    `data` is the frame's own memory where the message came in one frame: use it at once.
    """

    is_text: bool
    data: bytes | bytearray | memoryview


class Oversize(NamedTuple):
    """A message over the limit, announced as soon as that is known and skipped."""

    is_text: bool
    size_bytes: int | None


class MessageAssembler:
    """Joins the data frames of one connection to messages of at most `limit` bytes."""

    __slots__ = ("_is_skipping", "_is_text", "_limit", "_parts", "is_inside")

    def __init__(self, *, limit: int = MAX_RECEIVED_BYTES) -> None:
        self._limit = limit
        self._is_text = False
        self._is_skipping = False
        self._parts = bytearray()
        self.is_inside = False

    def add(
        self, opcode: int, payload: memoryview, *, is_final: bool, has_reserved: bool = False
    ) -> Message | Oversize | None:
        """Take a data frame; return the message it completes, or that it is too large.

        Raises:
            FramingError: the frame may not stand here, or the text is not UTF-8.
        """
        self._begin(opcode, has_reserved)
        size = len(self._parts) + len(payload)
        if self._is_skipping or size > self._limit:
            return self._skip(None, is_final=is_final)
        if not is_final:
            self._parts += payload
            self.is_inside = True
            return None
        data: bytearray | memoryview = payload
        if self.is_inside:
            self._parts += payload
            data, self._parts = self._parts, bytearray()
            self.is_inside = False
        if self._is_text:
            try:
                str(data, "utf-8")
            except UnicodeDecodeError:
                raise FramingError(INVALID_TEXT, "a text message is not UTF-8") from None
        return Message(self._is_text, data)

    def add_oversize(
        self, opcode: int, size_bytes: int, *, is_final: bool, has_reserved: bool = False
    ) -> Oversize | None:
        """Take the header of a data frame whose payload alone exceeds the limit.

        Raises:
            FramingError: the frame may not stand here.
        """
        self._begin(opcode, has_reserved)
        return self._skip(
            size_bytes if is_final and not self.is_inside else None, is_final=is_final
        )

    def _begin(self, opcode: int, has_reserved: bool) -> None:
        if has_reserved:
            raise FramingError(PROTOCOL_ERROR, "reserved bits without an extension")
        if opcode == CONTINUATION:
            if not self.is_inside:
                raise FramingError(PROTOCOL_ERROR, "a continuation of no message")
        elif self.is_inside:
            raise FramingError(PROTOCOL_ERROR, "a new message inside a fragmented one")
        else:
            self._is_text = opcode == TEXT

    def _skip(self, size_bytes: int | None, *, is_final: bool) -> Oversize | None:
        was_skipping = self._is_skipping
        self._is_skipping = self.is_inside = not is_final
        self._parts = bytearray()
        return None if was_skipping else Oversize(self._is_text, size_bytes)


def close_code(payload: bytes) -> int:
    """Return the code of a close frame, 1005 where it has none.

    Raises:
        FramingError: the code is none that may be sent (RFC 6455 section 7.4).
    """
    if not payload:
        return NO_CODE
    code = int.from_bytes(payload[:2], "big")
    if code not in _SENDABLE:
        raise FramingError(PROTOCOL_ERROR, "a close code that may not be sent")
    return code
