"""One driver for both roles: pumps a session on a WebSocket.

What arrives goes into the session, what the session reports goes to the one handler,
what it wants written is written, and one timer wakes it at its next deadline. Nothing
here waits, and nothing is done for a frame but that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from openaudiohook.exceptions import AudioHookError
from openaudiohook.protocol import (
    ClientSession,
    CloseConnection,
    DisconnectReason,
    ErrorCode,
    Outgoing,
    SendBinary,
    ServerSession,
)
from openaudiohook.protocol.events import AudioFrame, CloseRequested, SessionEnded, SessionEvent
from openaudiohook.transport.deadlines import deadlines_of
from openaudiohook.transport.messages import (
    CLOSE,
    NO_CODE,
    NORMAL,
    PING,
    PONG,
    PROTOCOL_ERROR,
    FramingError,
    Message,
    MessageAssembler,
    Oversize,
    close_code,
)
from openaudiohook.transport.sockets import kernel_unsent_bytes

if TYPE_CHECKING:
    from openaudiohook.transport.wire import Wire

__all__ = ["CLOSE_TIMEOUT_S", "Driver", "EventHandler"]

EventHandler = Callable[[SessionEvent], None]

CLOSE_TIMEOUT_S: Final = 5.0
"""How long the peer may take over the closing handshake before the connection is dropped."""

_log = logging.getLogger(__name__)

_TEXT_TYPE: Final = WSMsgType.TEXT
_BINARY_TYPE: Final = WSMsgType.BINARY


def _ignore(_event: SessionEvent) -> None:
    """Handle nothing: the session is over."""


class Driver(WSListener):
    """Runs one session on one connection. Use it on its event loop only.

    Events are delivered at once and in order, from within the call that caused them. What
    a handler raises is logged by type, and ends the session.

    Args:
        session: the session; new, and used by nobody else but through its intents.
        on_event: takes each session event; `SessionEnded` comes last, exactly once.
        close_timeout_s: how long the closing handshake may take.

    Attributes:
        session: call its intents, then `flush()`.
        on_writable: called whenever `is_writable` has become true again.
        ended: resolves to `SessionEnded` after that was delivered and the socket is gone.
    """

    __slots__ = (
        "_assembler",
        "_blocks_reading",
        "_close_at_ns",
        "_close_timeout_ns",
        "_deadlines",
        "_ended_event",
        "_fileno",
        "_is_blocked",
        "_is_broken",
        "_is_pumping",
        "_on_shut",
        "_slot",
        "_stream",
        "_told",
        "_transport",
        "_wire",
        "ended",
        "on_event",
        "on_writable",
        "session",
    )

    def __init__(
        self,
        session: ServerSession | ClientSession,
        on_event: EventHandler = _ignore,
        *,
        close_timeout_s: float = CLOSE_TIMEOUT_S,
    ) -> None:
        self.session = session
        self.on_event: EventHandler = on_event
        self.on_writable: Callable[[], None] | None = None
        loop = asyncio.get_running_loop()
        self._deadlines = deadlines_of(loop)
        self._slot: int | None = None  # among them
        self.ended: asyncio.Future[SessionEnded] = loop.create_future()
        self._transport: WSTransport | None = None
        self._stream: asyncio.Transport | None = None  # what is below it
        self._wire: Wire | None = None
        self._assembler = MessageAssembler()
        self._told: asyncio.Future[None] | None = None
        self._close_timeout_ns = round(close_timeout_s * 1e9)
        self._close_at_ns: int | None = None
        self._ended_event: SessionEnded | None = None
        self._fileno = -1
        self._on_shut: Callable[[], None] | None = None
        self._is_blocked = False
        self._blocks_reading = False
        self._is_broken = False
        self._is_pumping = False

    # For whoever owns the session

    def flush(self) -> None:
        """Write what the session has to say and deliver what it reports; after every intent."""
        self._pump(time.monotonic_ns())

    def send_audio(self, payload: bytes, now_ns: int) -> bool:
        """Write a frame past all queues: a client session's `send_audio` and `flush` in one.

        Returns:
            False, with nothing done, unless the frame can be written and nothing goes before it.
        """
        stream = self._stream
        if (
            stream is None
            or self._is_blocked
            or self._close_at_ns is not None
            or stream.is_closing()
            or not self.session.pass_audio(len(payload), now_ns)  # type: ignore[union-attr]
        ):
            return False
        # A frame that is sent causes no event and moves no deadline: there is nothing to pump.
        self._transport.send(_BINARY_TYPE, payload)  # type: ignore[union-attr]
        return True

    def clear(self, size_bytes: int) -> bool:
        """Say whether `send_audio` could take so many bytes now."""
        stream = self._stream
        return (
            stream is not None
            and not self._is_blocked
            and self._close_at_ns is None
            and not stream.is_closing()
            and self.session.passes_audio(size_bytes)  # type: ignore[union-attr]
        )

    def passage(self, on_shut: Callable[[], None]) -> tuple[asyncio.Transport, Any]:
        """Let frames be written past this driver, by one who moves the session's position on.

        Args:
            on_shut: called as soon as that may not be done any more, whatever the reason: audio
                may not flow, something waits to be written, or the connection ends. Only a
                connection that breaks is told by its `is_closing` first.

        Returns:
            The connection, for its `is_closing`, and what `send`s frames on it.
        """
        assert self._stream is not None
        assert self._transport is not None
        self._on_shut = on_shut
        return self._stream, self._transport

    @property
    def is_writable(self) -> bool:
        """Whether the connection is open, and nothing waits in its user-space buffer."""
        return not self._is_blocked and self._transport is not None and self._close_at_ns is None

    def unsent_bytes(self) -> int:
        """Return what the peer has not acknowledged: user-space buffer plus kernel, in bytes."""
        if self._transport is None:
            return 0
        unsent: int = self._transport.underlying_transport.get_write_buffer_size()
        return unsent if self._fileno < 0 else unsent + kernel_unsent_bytes(self._fileno)

    def abort(self) -> None:
        """Drop the connection now; the session ends as by any loss of it."""
        self._shut()
        if self._transport is not None:
            self._transport.disconnect(False)

    def fail(self, code: int, problem: str) -> None:
        """Fail the WebSocket with a close code (RFC 6455 section 7.1.7); nothing more is read.

        Args:
            code: the close code.
            problem: why, for the log; without anything the peer sent.
        """
        assert self._transport is not None
        _log.info("session %s: connection failed: %s", self.session.session_id, problem)
        if not self._transport.is_close_frame_sent:
            self._transport.send_close(WSCloseCode(code))
        self._shut()
        self._hang_up()
        self._connection_closed(code)

    # What the library calls

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Begin."""
        self._transport = transport
        self._stream = transport.underlying_transport
        sock = self._stream.get_extra_info("socket")
        self._fileno = -1 if sock is None else sock.fileno()
        self._wire = cast("Wire", transport.underlying_transport.get_protocol())
        self._pump(time.monotonic_ns())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take a frame; audio in one piece, the rule, goes straight to the session."""
        kind: Any = frame.msg_type  # an IntEnum, whatever its stub says
        has_reserved = frame.rsv1 or frame.rsv2 or frame.rsv3
        if kind is _BINARY_TYPE and frame.fin and not has_reserved:
            assembler = self._assembler
            if not assembler.is_inside:
                now_ns = time.monotonic_ns()
                payload = frame.get_payload_as_bytes()
                audio = self.session.take_audio(payload, now_ns)
                if audio is not None:
                    self._deliver_audio(audio, now_ns)
                else:
                    self.session.receive_binary(payload, now_ns)
                    self._pump(now_ns)
                return
        if kind is _TEXT_TYPE and frame.fin and not has_reserved and not self._assembler.is_inside:
            payload = frame.get_payload_as_bytes()
            if payload.isascii():  # the rule; else it has to be found out whether it is UTF-8
                now_ns = time.monotonic_ns()
                self.session.receive_text(payload, now_ns)
                self._pump(now_ns)
                return
        try:
            if (opcode := int(kind)) >= CLOSE:
                self._on_control(opcode, frame.get_payload_as_bytes(), has_reserved)
                return
            message = self._assembler.add(
                opcode,
                frame.get_payload_as_memoryview(),
                is_final=bool(frame.fin),
                has_reserved=bool(has_reserved),
            )
        except FramingError as error:
            self.fail(error.code, str(error))
            return
        self._receive(message)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """End: deliver the last event, then let go of everything."""
        now_ns = time.monotonic_ns()
        self._shut()
        self.session.receive_closed(None, now_ns)
        self._pump(now_ns)
        self._slot = self._deadlines.move(self, self._slot, None)
        self._transport = self._stream = self._wire = self.on_writable = None
        self.on_event = _ignore
        if self._ended_event is not None and not self.ended.done():
            self.ended.set_result(self._ended_event)

    def pause_writing(self) -> None:
        """Learn that something waits in the user-space buffer."""
        self._is_blocked = True
        self._shut()

    def resume_writing(self) -> None:
        """Learn that the user-space buffer is empty again."""
        self._is_blocked = False
        if self._transport is None:
            return
        if self._blocks_reading:
            self._blocks_reading = False
            assert self._wire is not None
            self._wire.unblock()
        if self.on_writable is not None and self.is_writable:
            try:
                self.on_writable()
            except Exception as error:
                self._handler_failed(error, time.monotonic_ns())

    # What the wire calls

    def on_oversize_frame(self, first: int, size_bytes: int) -> None:
        """Take the header of a data frame over the limit; its payload is being dropped."""
        try:
            message = self._assembler.add_oversize(
                first & 0x0F,
                size_bytes,
                is_final=bool(first & 0x80),
                has_reserved=bool(first & 0x70),
            )
        except FramingError as error:
            self.fail(error.code, str(error))
            return
        self._receive(message)

    def after_read(self, max_unsent_bytes: int) -> None:
        """Notice what the library did with what was read."""
        transport = self._transport
        if transport is None:
            return
        if transport.is_close_frame_sent and self._close_at_ns is None:
            sent: Any = transport.close_handshake.sent
            self.fail(int(sent.code), "malformed frame")
            if transport.is_client_side:
                # It has been told already: without this asyncio prints it once more, with a trace.
                self._told = asyncio.ensure_future(transport.wait_disconnected())
                self._told.add_done_callback(lambda told: told.cancelled() or told.exception())
        elif self._is_blocked and not self._blocks_reading:
            assert self._wire is not None
            if self._wire.stream.get_write_buffer_size() > max_unsent_bytes:
                self._blocks_reading = True
                self._wire.block()

    # Receiving

    def _receive(self, message: Message | Oversize | None) -> None:
        if message is None:
            return
        now_ns = time.monotonic_ns()
        if isinstance(message, Oversize):
            self.session.receive_oversize(
                now_ns, is_text=message.is_text, size_bytes=message.size_bytes
            )
        elif message.is_text:
            self.session.receive_text(message.data, now_ns)
        else:
            self.session.receive_binary(message.data, now_ns)
        self._pump(now_ns)

    def _on_control(self, opcode: int, payload: bytes, has_reserved: bool) -> None:
        assert self._transport is not None
        if has_reserved:
            raise FramingError(PROTOCOL_ERROR, "reserved bits in a control frame")
        if opcode == PING:
            if not self._transport.underlying_transport.is_closing():
                self._transport.send_pong(payload)
        elif opcode == CLOSE:
            code = close_code(payload)
            if not self._transport.is_close_frame_sent:
                self._transport.send_close(WSCloseCode(NORMAL if code == NO_CODE else code))
            if not self._transport.is_client_side:
                self._hang_up()  # a client waits for the server to do that, bounded
            self._connection_closed(code)
        else:
            assert opcode == PONG  # nobody here sends pings: not asked for, and allowed

    def _hang_up(self) -> None:
        """Say no more, and listen no more."""
        assert self._wire is not None
        self._wire.stop_reading()
        stream = self._wire.stream
        if stream.can_write_eof():
            # A full close would reset the connection while the peer still sends, and the
            # reset could overtake the close frame.
            stream.write_eof()
        else:
            stream.close()

    def _connection_closed(self, code: int) -> None:
        now_ns = time.monotonic_ns()
        self._begin_closing(now_ns)
        self.session.receive_closed(code, now_ns)
        self._pump(now_ns)

    # Sending

    def _pump(self, now_ns: int) -> None:
        """Write and deliver until there is nothing left of either, then set the timer."""
        if self._transport is None:
            return
        session = self.session
        if outgoing := session.data_to_send(now_ns):
            self._write(outgoing, now_ns)
        if self._is_pumping:
            return  # called by a handler: the pump around it goes on with the rest
        self._is_pumping = True
        try:
            events = session.events()
            while events:
                for event in events:
                    self._deliver(event, now_ns)
                if outgoing := session.data_to_send(now_ns):
                    self._write(outgoing, now_ns)
                events = session.events()
        finally:
            self._is_pumping = False
            if self._on_shut is not None and not session.is_flowing:  # type: ignore[union-attr]
                self._shut()
        self._set_deadline()

    def _shut(self) -> None:
        """Let nobody write past us any more."""
        on_shut, self._on_shut = self._on_shut, None
        if on_shut is not None:
            on_shut()

    def _write(self, outgoing: list[Outgoing], now_ns: int) -> None:
        for item in outgoing:
            assert self._transport is not None
            if self._transport.underlying_transport.is_closing():
                return  # the connection broke, and we are about to be told
            if isinstance(item, CloseConnection):
                self._transport.send_close(WSCloseCode(item.code))
                self._begin_closing(now_ns)
            else:
                kind = _BINARY_TYPE if isinstance(item, SendBinary) else _TEXT_TYPE
                self._transport.send(kind, item.data)

    # Delivering

    def _deliver_audio(self, frame: AudioFrame, now_ns: int) -> None:
        if self._is_broken:
            return
        try:
            self.on_event(frame)
        except Exception as error:
            self._handler_failed(error, now_ns)

    def _deliver(self, event: SessionEvent, now_ns: int) -> None:
        if type(event) is SessionEnded:
            self._ended_event = event
        elif self._is_broken:
            if type(event) is CloseRequested:
                self._end_session(now_ns)
            return
        try:
            self.on_event(event)
        except Exception as error:
            self._handler_failed(error, now_ns)

    def _handler_failed(self, error: Exception, now_ns: int) -> None:
        """End the session of a handler that raised; the others never notice."""
        # The text of a stranger's exception may hold anything.
        _log.error(
            "session %s: its handler raised %s; the session is ended",
            self.session.session_id,
            type(error).__name__,
        )
        self._is_broken = True
        self._end_session(now_ns)
        self._pump(now_ns)

    def _end_session(self, now_ns: int) -> None:
        session = self.session
        intents: tuple[Callable[[], None], ...]
        if isinstance(session, ClientSession):
            intents = (lambda: session.fail(ErrorCode.INTERNAL, "internal error", now_ns),)
        else:
            intents = (
                lambda: session.disconnect(now_ns, reason=DisconnectReason.ERROR),
                lambda: session.finish(now_ns),
            )
        for intent in intents:
            try:
                intent()
            except AudioHookError:  # the session is ending already, and its deadlines see to it
                continue
            return

    # Time

    def _begin_closing(self, now_ns: int) -> None:
        self._shut()
        if self._close_at_ns is None:
            self._close_at_ns = now_ns + self._close_timeout_ns

    def _set_deadline(self) -> None:
        at_ns = self._close_at_ns
        if at_ns is None:
            at_ns = self.session.next_deadline_ns()
        self._slot = self._deadlines.move(self, self._slot, at_ns)

    def deadline_reached(self, now_ns: int) -> None:
        """Act on what was waited for, and did not come."""
        self._slot = None
        if self._close_at_ns is not None and now_ns >= self._close_at_ns:
            self.abort()
            return
        self.session.handle_deadline(now_ns)
        self._pump(now_ns)
