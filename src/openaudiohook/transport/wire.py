"""The byte stream of one connection, on its way into picows.

picows reads frames faster than anything else in Python, and trusts its peers: it buffers
a frame however large it is said to be or closes with 1009, lets its buffer double on every
full read, and after an error goes on reading into it. So the bytes pass here first. The
frame headers are walked, nothing else is looked at, and a frame that is too large never
gets as far as picows.
"""

from __future__ import annotations

import abc
import asyncio
import enum
from typing import TYPE_CHECKING, Any, Final, cast

from picows import WSAutoPingStrategy, WSTransport
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from openaudiohook.protocol.types import MAX_RECEIVED_BYTES
from openaudiohook.transport.handshake import MAX_HEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from openaudiohook.transport.driver import Driver

__all__ = ["READ_BYTES", "Wire"]

# What one read may bring. The library's buffer doubles when a read fills it by 90 %, so it
# stays within the next step above one message and one read: 120 KiB.
READ_BYTES: Final = 16 * 1024
_FIRST_BUFFER_BYTES: Final = 4 * 1024

# Beyond this, a peer that sends and does not read is not read from either.
_MAX_UNSENT_BYTES: Final = 64 * 1024

# Frames of one connection before the others have a turn: a read full of tiny ones would keep
# the event loop for as long as a hundred calls take.
_FRAMES_AT_ONCE: Final = 32

# How fast one connection is read: 1 MiB/s, some 60 times the speed of speech. What is faster is
# a flood, or history that may come a second later, and waits in the kernel. Each frame counts
# for more than its bytes, because it costs more.
_QUOTA_BYTES: Final = 64 * 1024
_QUOTA_S: Final = 1 / 16
_FRAME_QUOTA_BYTES: Final = 512

# A masked frame whose length has 16 bits: what audio comes in.
_MASKED_LONG: Final = 0x80 | 126
_LONG_HEADER_BYTES: Final = 8

_NO_LENGTH: Final = 1 << 63  # RFC 6455 section 5.2: the highest bit is never set

_END_OF_HEAD: Final = b"\r\n\r\n"


class _Silent:
    """A logger for picows, whose log would hold keys, and payload of peers that misbehave."""

    def isEnabledFor(self, _level: int) -> bool:  # noqa: N802 - the name logging gave it
        return False

    def _drop(self, *_args: object, **_kwargs: object) -> None:
        """Log nothing."""

    debug = info = warning = error = exception = log = _drop


_SILENT: Final = _Silent()

# Bound once: an attribute look-up of `super()` would cost more than the call.
_get_buffer: Callable[[Any, int], memoryview] = WSProtocol.get_buffer
_buffer_updated: Callable[[Any, int], None] = WSProtocol.buffer_updated
_connection_made: Callable[[Any, asyncio.BaseTransport], None] = WSProtocol.connection_made
_connection_lost: Callable[[Any, Exception | None], None] = WSProtocol.connection_lost


class _Phase(enum.Enum):
    HEAD = enum.auto()
    FRAMES = enum.auto()
    SKIPPING = enum.auto()
    WAITING = enum.auto()
    DEAD = enum.auto()


_FRAMES: Final = _Phase.FRAMES


class Wire(WSProtocol):  # type: ignore[misc]
    """What both roles share; the subclass reads the other side's head of the handshake."""

    __slots__ = (
        "_head", "_is_blocked", "_is_client", "_is_held", "_left", "_phase", "_quota", "_quota_at",
        "_rest", "_scratch", "_skip", "_stub", "_view",
    )  # fmt: skip

    transport: WSTransport | None
    listener: Driver | None

    def __init__(
        self,
        *,
        is_client: bool,
        listener_factory: Callable[..., Any],
        host: str | None = None,
        target: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(
            host_port=host,
            ws_path=target,
            is_client_side=is_client,
            ws_listener_factory=listener_factory,
            logger=_SILENT,
            disconnect_on_exception=True,
            # Time-outs are ours: the library's leave futures behind that nobody awaits.
            websocket_handshake_timeout=None,
            # The protocol has pings of its own; those of WebSocket are answered by the driver.
            enable_auto_ping=False,
            auto_ping_idle_timeout=1,
            auto_ping_reply_timeout=1,
            auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
            enable_auto_pong=False,
            max_frame_size=MAX_RECEIVED_BYTES,
            extra_headers=headers,
            read_buffer_init_size=_FIRST_BUFFER_BYTES,
        )
        self._is_client = is_client
        self._phase = _Phase.HEAD
        self._head = bytearray()
        self._scratch: bytearray | None = None
        self._view = memoryview(b"")
        self._stub = b""  # the beginning of a header that has not come whole
        self._left = 0  # bytes of the frame begun that are still to come
        self._skip = 0  # bytes of a frame too large that are still to be dropped
        self._rest = b""  # what was read and waits for its turn
        self._is_blocked = False
        self._is_held = False
        self._quota = _QUOTA_BYTES
        self._quota_at = 0.0

    # For the subclass

    @abc.abstractmethod
    def head_received(self, head: bytes) -> bytes | None:
        """Take the other side's head, blank line included.

        Returns the head that picows is shown, or None where there will be no WebSocket.
        """

    @abc.abstractmethod
    def head_too_large(self) -> None:
        """Learn that the other side's head has no end within 16 KiB."""

    def upgraded(self) -> None:
        """Learn that the WebSocket is open, and nothing of it was read yet."""

    def lost(self) -> None:
        """Learn that the connection is gone."""

    # For the driver

    def stop_reading(self) -> None:
        """Drop whatever else arrives."""
        self._phase = _Phase.DEAD
        self._view = memoryview(b"")
        self._stub = self._rest = b""

    def block(self) -> None:
        """Read nothing until `unblock`."""
        self._is_blocked = True
        self.stream.pause_reading()

    def unblock(self) -> None:
        """Read on."""
        self._is_blocked = False
        self._go_on()

    @property
    def stream(self) -> asyncio.Transport:
        """The TCP or TLS connection."""
        assert self.transport is not None
        return self.transport.underlying_transport

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start with write buffers that count as full as soon as they hold anything."""
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=0)
        _connection_made(self, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """End whatever was going on."""
        self.stop_reading()
        _connection_lost(self, exc)
        self.lost()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes belong: in picows's buffer, or where they are dropped."""
        if self._phase is not _FRAMES:
            if self._scratch is None:
                self._scratch = bytearray(READ_BYTES)
            # A skip ends with the frame, so that what follows is read into the right place.
            skip = self._skip if self._phase is _Phase.SKIPPING else READ_BYTES
            return memoryview(self._scratch)[:skip]
        view = _get_buffer(self, sizehint)
        if len(view) > READ_BYTES:
            view = view[:READ_BYTES]
        self._view = view
        if self._stub:
            size = len(self._stub)
            view[:size] = self._stub
            return view[size:]
        return view

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on what arrived, as far as it may be."""
        self._quota -= nbytes
        if self._quota < 0:
            self._begin_quota()
        if self._phase is _FRAMES:
            view = self._view
            if (
                nbytes > _LONG_HEADER_BYTES
                and view[1] == _MASKED_LONG
                and (view[2] << 8 | view[3]) + _LONG_HEADER_BYTES == nbytes
                and not self._left
                and not self._stub
            ):
                # The rule for audio: one frame, masked, whole, and nothing else.
                self._quota -= _FRAME_QUOTA_BYTES
                self._forward(nbytes)
            elif nbytes < self._left:
                self._left -= nbytes
                self._forward(nbytes)
            else:
                nbytes += len(self._stub)
                self._stub = b""
                self._walk(nbytes)
        elif self._phase is _Phase.SKIPPING:
            self._skip -= nbytes
            if not self._skip:
                self._phase = _FRAMES
                self._scratch = None
        elif self._phase is _Phase.HEAD:
            self._read_head(nbytes)
        elif self._phase is _Phase.WAITING:
            # TLS may have had more in store than one read.
            assert self._scratch is not None
            self._rest += memoryview(self._scratch)[:nbytes]

    # Frames

    def _forward(self, nbytes: int) -> None:
        _buffer_updated(self, nbytes)
        listener = self.listener
        if listener is not None:
            listener.after_read(_MAX_UNSENT_BYTES)

    def _walk(self, end: int) -> None:
        """Go from header to header, and stop before a frame that is too large."""
        view = self._view
        at = self._left
        frames = 0
        while at < end:
            if frames == _FRAMES_AT_ONCE:
                self._quota -= frames * _FRAME_QUOTA_BYTES
                self._postpone(at, end)
                return
            frames += 1
            available = end - at
            flag = view[at + 1] & 0x7F if available > 1 else 0
            extended = 2 if flag == 126 else 8 if flag == 127 else 0
            if available < 2 + extended:
                self._stub = bytes(view[at:end])
                break
            size = int.from_bytes(view[at + 2 : at + 2 + extended], "big") if extended else flag
            total = 2 + extended + (view[at + 1] >> 7) * 4 + size
            if MAX_RECEIVED_BYTES < size < _NO_LENGTH and self._is_data(view[at], view[at + 1]):
                self._begin_skipping(view[at], size, at=at, rest=total - available)
                return
            at += total
        self._left = max(at - end, 0)
        self._quota -= frames * _FRAME_QUOTA_BYTES
        if at:
            self._forward(min(at, end))

    def _postpone(self, at: int, end: int) -> None:
        """Pass on what lies before `at`, and the rest when the others had their turn."""
        self._left = 0
        self._rest = bytes(self._view[at:end])
        self._phase = _Phase.WAITING
        self.stream.pause_reading()
        self._forward(at)
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._is_blocked or self._is_held or self.stream.is_closing():
            return  # whoever takes the first two back comes here again
        if self._phase is _Phase.WAITING:
            rest, self._rest = self._rest, b""
            self._phase = _FRAMES
            self._scratch = None
            self._feed(rest)
        if self._phase is not _Phase.WAITING and not (self._is_blocked or self._is_held):
            self.stream.resume_reading()

    def _feed(self, rest: bytes) -> None:
        """Take bytes that were read already."""
        while rest:
            if self._phase is _Phase.WAITING:
                self._rest += rest
                return
            view = self.get_buffer(-1)
            taken = min(len(rest), len(view))
            view[:taken] = rest[:taken]
            rest = rest[taken:]
            self._quota += taken  # it was counted when it was read
            self.buffer_updated(taken)

    def _begin_quota(self) -> None:
        """Let the next quota begin, and read nothing more until its time has come."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._quota += _QUOTA_BYTES
        early = self._quota_at + _QUOTA_S - now
        self._quota_at = max(now, now + early)
        if early > 0:
            self._is_held = True
            self.stream.pause_reading()
            loop.call_later(early, self._release)

    def _release(self) -> None:
        self._is_held = False
        self._go_on()

    def _is_data(self, first: int, second: int) -> bool:
        """Say whether picows would take such a frame if only it were smaller."""
        return first & 0x0F <= 2 and (second >> 7) != self._is_client

    def _begin_skipping(self, first: int, size: int, *, at: int, rest: int) -> None:
        self._left = 0
        if at:
            self._forward(at)
        if self._phase is _FRAMES and self.listener is not None:
            self._phase = _Phase.SKIPPING
            self._skip = rest
            self.listener.on_oversize_frame(first, size)

    # The handshake

    def _read_head(self, nbytes: int) -> None:
        assert self._scratch is not None
        searched = max(len(self._head) - len(_END_OF_HEAD), 0)
        self._head += memoryview(self._scratch)[:nbytes]
        end = self._head.find(_END_OF_HEAD, searched)
        if max(end, len(self._head) if end < 0 else 0) > MAX_HEAD_BYTES:
            self.stop_reading()
            self.head_too_large()
            return
        if end >= 0:
            end += len(_END_OF_HEAD)
        elif self._head[:1].isupper():
            return
        else:
            end = len(self._head)  # no HTTP at all, TLS perhaps: not worth waiting for
        head, rest = bytes(self._head[:end]), bytes(self._head[end:])
        self._head = bytearray()
        self._scratch = None
        shown = self.head_received(head)
        if shown is None:
            self.stop_reading()
            return
        view = _get_buffer(self, -1)
        view[: len(shown)] = shown
        self._phase = _FRAMES
        _buffer_updated(self, len(shown))
        self.upgraded()
        self._feed(rest)
