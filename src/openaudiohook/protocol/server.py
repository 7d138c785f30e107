"""The third-party side of a session (protocol sections 6, 7, 10.4, 10.5 and 13.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from openaudiohook.exceptions import LocalProtocolError, RemoteProtocolError
from openaudiohook.protocol._outbox import Outbox
from openaudiohook.protocol._session import Binary, Outgoing, SendText, Session, Text
from openaudiohook.protocol._timers import ServerTimers
from openaudiohook.protocol._transitions import (
    AUDIO,
    SERVER_AFTER,
    SERVER_IGNORED,
    SERVER_INTENTS,
    SERVER_RECEIVED,
    SERVER_TIMEOUTS,
)
from openaudiohook.protocol.codec import decode_client_message, encode_message
from openaudiohook.protocol.duration import Duration
from openaudiohook.protocol.entities import Entity
from openaudiohook.protocol.events import (
    AudioDiscarded,
    AudioFrame,
    AudioPaused,
    AudioResumed,
    CloseRequested,
    ErrorReported,
    LanguageUpdated,
    MessageIgnored,
    OpenRequested,
    PeerViolated,
    PingReceived,
)
from openaudiohook.protocol.media import (
    SAMPLE_RATE,
    MediaParameter,
    ns_to_samples,
    samples_to_ns,
)
from openaudiohook.protocol.messages import (
    CLIENT_PARAMETERS,
    ClientMessage,
    CloseParameters,
    DiscardedParameters,
    DisconnectParameters,
    EmptyParameters,
    ErrorParameters,
    OpenedParameters,
    OpenParameters,
    Parameters,
    PingParameters,
    ReconnectParameters,
    ServerMessage,
    UpdateParameters,
    is_language_code,
)
from openaudiohook.protocol.trace import Trace
from openaudiohook.protocol.types import (
    MAX_RECEIVED_BYTES,
    NIL_UUID,
    DisconnectReason,
    ErrorCode,
    Role,
    ServerState,
)

__all__ = ["MAX_JUMP_SAMPLES", "ServerSession", "ServerTimers"]

# A peer that claims a longer gap is lying or broken; it would make a recorder fill disks.
MAX_JUMP_SAMPLES: Final = 24 * 3600 * SAMPLE_RATE


class ServerSession(Session):
    """Third-party side of one session.

    `OpenRequested` is to be answered with `accept()` or `refuse()`, within the client's
    5 s; `CloseRequested` with `finish()`, within its 10 s. Everything else the protocol
    asks for is answered here.

    Args:
        session_id: from the `Audiohook-Session-Id` header.
        organization_id: from the `Audiohook-Organization-Id` header; `open` must agree.
        now_ns: the time of the upgrade.
        timers: how long to wait.
        trace: where to note the messages.
    """

    __slots__ = (
        "_asks_languages",
        "_disconnect_sent",
        "_frame_bytes",
        "_is_finishing",
        "_offered",
        "_organization_id",
        "_outbox",
        "_pause_wanted",
        "_timers",
        "_was_opened",
        "state",
    )

    role: ClassVar = Role.SERVER

    def __init__(
        self,
        *,
        session_id: str,
        organization_id: str,
        now_ns: int,
        timers: ServerTimers | None = None,
        trace: Trace | None = None,
    ) -> None:
        super().__init__(session_id=session_id, trace=trace)
        self.state = ServerState.PREPARING
        self._organization_id = organization_id
        self._timers = timers or ServerTimers()
        self._outbox = Outbox(now_ns=now_ns)
        self._offered: tuple[MediaParameter, ...] = ()
        self._asks_languages = False
        self._pause_wanted = False
        self._is_finishing = False
        self._was_opened = False
        self._disconnect_sent = False
        self._frame_bytes = 0
        self._deadlines["open"] = now_ns + self._timers.open_ns

    # What arrives

    def receive_binary(self, data: Binary, now_ns: int) -> None:
        """Take the audio of one binary message; the payload is copied once."""
        frame = self._frame(data, now_ns)
        if frame is None:
            self._bad_audio(len(data), now_ns)
        else:
            self._events.append(frame)

    def take_audio(self, data: bytes, now_ns: int) -> AudioFrame | None:
        """Take a binary message and hand its frame out at once: `receive_binary` and `events`.

        Returns:
            None, with nothing taken, where other events come first, or it is no audio that may
            come now. Use the two of them then.
        """
        return None if self._events else self._frame(data, now_ns)

    def _frame(self, data: Binary, now_ns: int) -> AudioFrame | None:
        """Make the frame and move on, if it may come; all that happens to a frame in the core."""
        size, unit, media = len(data), self._frame_bytes, self.media
        if (
            self.state not in _TAKE_AUDIO
            or media is None
            or size % unit
            or size > MAX_RECEIVED_BYTES
        ):
            return None
        samples = size // unit
        position = self.position
        self.position = position + samples
        if self.trace is not None:
            self.trace.audio(position_ns=samples_to_ns(position), samples=samples, now_ns=now_ns)
        return AudioFrame(bytes(data), position, samples, media)

    def _bad_audio(self, size: int, now_ns: int) -> None:
        if AUDIO in SERVER_IGNORED[self.state]:
            return
        if size > MAX_RECEIVED_BYTES:
            self.receive_oversize(now_ns, is_text=False, size_bytes=size)
            return
        self._note(AUDIO, now_ns)
        if AUDIO not in SERVER_RECEIVED[self.state]:
            code, problem = ErrorCode.CONFLICT, f"audio while {self.state}"
        elif not self._frame_bytes:
            code, problem = ErrorCode.UNSUPPORTED_MEDIA, "audio, though none was selected"
        else:
            code = ErrorCode.BAD_MESSAGE
            problem = f"audio of {size} bytes is no multiple of {self._frame_bytes}"
        self._violated(code, problem, message_type="binary", now_ns=now_ns)

    def _decode(self, data: Text) -> ClientMessage:
        return decode_client_message(data)

    def _unreadable(self, error: RemoteProtocolError, now_ns: int) -> None:
        self._violated(
            error.code, str(error), message_type=error.message_type, seq=error.seq, now_ns=now_ns
        )

    def _receive(self, message: ClientMessage, now_ns: int) -> None:  # type: ignore[override]
        ignores = self._disconnect_sent or self.state in _ONLY_CLOSE_COUNTS
        try:
            if message.id.lower() != self.session_id.lower():
                raise RemoteProtocolError(
                    "id is not the session's", message_type=message.type, seq=message.seq
                )
            self._sequence.accept(
                seq=message.seq, acknowledged=message.serverseq, message_type=message.type
            )
        except RemoteProtocolError as error:
            if not ignores:
                self._unreadable(error, now_ns)
                return
            # Whatever the peer got wrong, its `close` must still find an answer.
            self._sequence.received = max(self._sequence.received, message.seq)
        after = SERVER_RECEIVED[self.state].get(message.type)
        if after is not None:
            self.state = after
            handle = _HANDLERS.get(message.type, ServerSession._ignore)
            handle(self, message, now_ns)
        elif message.type not in CLIENT_PARAMETERS or message.type in SERVER_IGNORED[self.state]:
            self._ignore(message, now_ns)
        else:
            self._violated(
                ErrorCode.CONFLICT,
                f"{message.type} while {self.state}",
                message_type=message.type,
                seq=message.seq,
                now_ns=now_ns,
            )

    def _ignore(self, message: ClientMessage, now_ns: int) -> None:
        self._events.append(MessageIgnored(message.type, message.seq))

    def _open(self, message: ClientMessage, now_ns: int) -> None:
        parameters = message.parameters
        assert isinstance(parameters, OpenParameters)
        self._deadlines.pop("open", None)
        self._offered = parameters.media
        self._asks_languages = parameters.supported_languages
        self.position = ns_to_samples(message.position)
        if parameters.organization_id.lower() != self._organization_id.lower():
            self._violated(
                ErrorCode.BAD_MESSAGE,
                "organizationId is not the one of the request header",
                message_type="open",
                seq=message.seq,
                now_ns=now_ns,
                reason=DisconnectReason.UNAUTHORIZED,
            )
            return
        self._events.append(
            OpenRequested(
                parameters=parameters,
                position=self.position,
                is_probe=NIL_UUID in (parameters.conversation_id, parameters.participant.id),
            )
        )

    def _ping(self, message: ClientMessage, now_ns: int) -> None:
        parameters = message.parameters
        assert isinstance(parameters, PingParameters)
        self._deadlines["ping"] = now_ns + self._timers.ping_ns
        if self._answer("pong", message, now_ns):
            self._events.append(PingReceived(parameters.rtt, ns_to_samples(message.position)))

    def _answer(self, answer: str, message: ClientMessage, now_ns: int) -> bool:
        """Queue an answer, unless the client asks faster than we may answer."""
        if not self._outbox.has_room:
            self._violated(
                ErrorCode.RATE_LIMITED,
                f"{message.type} faster than it may be answered",
                message_type=message.type,
                seq=message.seq,
                now_ns=now_ns,
            )
            return False
        self._outbox.control(answer, EmptyParameters(), message.seq)
        return True

    def _update(self, message: ClientMessage, now_ns: int) -> None:
        parameters = message.parameters
        assert isinstance(parameters, UpdateParameters)
        if self._answer("updated", message, now_ns):
            self._events.append(LanguageUpdated(parameters.language, self.position))

    def _paused(self, message: ClientMessage, now_ns: int) -> None:
        self._events.append(AudioPaused(self.position))

    def _gap(self, message: ClientMessage, now_ns: int) -> None:
        """Move to `start + discarded`, and report the way there from where we were.

        Both numbers are the client's claims. What is reported always joins on to the
        audio before it, so that gaps and frames tile the time line whatever was claimed.
        """
        parameters = message.parameters
        assert isinstance(parameters, DiscardedParameters)
        start = self.position
        target = ns_to_samples(parameters.start + parameters.discarded)
        if target < start or target - start > MAX_JUMP_SAMPLES:
            self._violated(
                ErrorCode.BAD_MESSAGE,
                f"{message.type} leads {'back' if target < start else 'over a day ahead'}",
                message_type=message.type,
                seq=message.seq,
                now_ns=now_ns,
            )
            return
        self.position = target
        event = AudioResumed if message.type == "resumed" else AudioDiscarded
        self._events.append(event(start, target - start))

    def _error(self, message: ClientMessage, now_ns: int) -> None:
        parameters = message.parameters
        assert isinstance(parameters, ErrorParameters)
        self._events.append(
            ErrorReported(parameters.code, parameters.message, parameters.retry_after)
        )

    def _close(self, message: ClientMessage, now_ns: int) -> None:
        parameters = message.parameters
        assert isinstance(parameters, CloseParameters)
        self._deadlines.clear()
        self._reason = parameters.known_reason
        self._outbox.pause(None)
        self.position = max(self.position, self._plausible(ns_to_samples(message.position)))
        self._events.append(CloseRequested(self._reason, self.position))

    def _plausible(self, position: int) -> int:
        return position if position - self.position <= MAX_JUMP_SAMPLES else self.position

    # What we do

    @property
    def is_pause_asked(self) -> bool:
        """Whether our own pause is outstanding: the latest thing we asked for was a pause."""
        return self._pause_wanted

    def accept(
        self,
        now_ns: int,
        *,
        media: MediaParameter | None,
        start_paused: bool = False,
        discard_to: int | None = None,
        supported_languages: Sequence[str] | None = None,
    ) -> None:
        """Answer `open` with `opened` (protocol section 6.1).

        Args:
            now_ns: the time.
            media: one of the offers, unmodified; None for a session without audio.
            start_paused: begin in a server pause.
            discard_to: audio is only wanted from this position on, in samples.
            supported_languages: the languages served; told only where `open` asked.

        Raises:
            LocalProtocolError: there is no `open` to answer, or the media was not offered.
        """
        self._require("accept")
        if media is not None and media not in self._offered:
            raise LocalProtocolError("accept() needs one of the offered media, unmodified")
        if discard_to is not None and discard_to < 0:
            raise LocalProtocolError(f"discard_to is a position, not {discard_to}")
        languages = supported_languages if self._asks_languages else None
        if not all(is_language_code(language) for language in languages or ()):
            raise LocalProtocolError("supported_languages are language codes, for example en-US")
        paused = start_paused or self._pause_wanted
        parameters = OpenedParameters(
            media=() if media is None else (media,),
            start_paused=paused,
            discard_to=None if discard_to is None else Duration(samples_to_ns(discard_to)),
            supported_languages=None if languages is None else tuple(languages),
        )
        self._queue("opened", parameters)
        self.state = SERVER_AFTER["accept"]
        self.media = media
        self._frame_bytes = media.frame_bytes if media is not None else 0
        self._pause_wanted = paused
        self._was_opened = True
        self._deadlines["ping"] = now_ns + self._timers.ping_ns

    def refuse(
        self,
        now_ns: int,
        *,
        reason: DisconnectReason = DisconnectReason.ERROR,
        info: str | None = None,
    ) -> None:
        """Answer `open` with `disconnect`: the session is not wanted (protocol section 6.3)."""
        self._require("refuse")
        self._disconnect(now_ns, reason, info)

    def disconnect(
        self,
        now_ns: int,
        *,
        reason: DisconnectReason = DisconnectReason.COMPLETED,
        info: str | None = None,
    ) -> None:
        """Ask the client to end the session (protocol section 6.3).

        Args:
            now_ns: the time.
            reason: why; `completed` lets audio flow on until `close` arrives.
            info: text for the client's logs; nothing sensitive.
        """
        self._require("disconnect")
        self._disconnect(now_ns, reason, info)

    def reconnect(self, now_ns: int, *, info: str | None = None) -> None:
        """Ask the client to move the stream to a new session (protocol section 6.4)."""
        self._require("reconnect")
        self._queue("reconnect", ReconnectParameters(info=info))

    def pause(self, now_ns: int) -> None:
        """Ask for a pause; before `opened` it becomes its `startPaused`."""
        self._require("pause")
        self._pause_wanted = True
        if self._was_opened:
            self._outbox.pause("pause")

    def resume(self, now_ns: int) -> None:
        """Ask for the end of our pause; before `opened` it takes `startPaused` back."""
        self._require("resume")
        self._pause_wanted = False
        if self._was_opened:
            self._outbox.pause("resume")

    def send_entities(self, entities: Sequence[Entity], now_ns: int) -> None:
        """Queue entities; as many as fit go into one `event`, paced (protocol section 6.5).

        Raises:
            LocalProtocolError: not while open or closing, or an entity is too large.
        """
        self._require("send_entities")
        if not self._was_opened or self._is_finishing:
            raise LocalProtocolError("entities can be sent from opened until closed only")
        self._outbox.entities(entities)

    def finish(self, now_ns: int) -> None:
        """Answer `close`: what is queued is sent, then `closed` (protocol section 10.5)."""
        self._require("finish")
        if self._is_finishing:
            raise LocalProtocolError("finish() was called before")
        self._is_finishing = True
        self._outbox.closed()

    def _require(self, intent: str) -> None:
        self._require_not_over()
        if self.state not in SERVER_INTENTS[intent]:
            raise LocalProtocolError(f"{intent}() is not possible while {self.state}")
        if self._disconnect_sent and intent in ("disconnect", "refuse", "accept", "reconnect"):
            raise LocalProtocolError(f"{intent}() is not possible after disconnect")

    def _disconnect(self, now_ns: int, reason: DisconnectReason, info: str | None) -> None:
        self._queue("disconnect", DisconnectParameters(reason=reason, info=info))
        self._disconnect_sent = True
        self.state = SERVER_AFTER.get(f"disconnect {reason}", self.state)
        self._deadlines.pop("open", None)
        self._deadlines["close"] = now_ns + self._timers.close_ns
        if self.state in _ONLY_CLOSE_COUNTS:
            self._outbox.silence()
            self._deadlines.pop("ping", None)

    def _queue(self, message_type: str, parameters: Parameters) -> None:
        """Queue a control message whose content is ours; what is too large fails here."""
        encode_message(
            ServerMessage(
                id=self.session_id, type=message_type, seq=0, clientseq=0, parameters=parameters
            )
        )
        self._outbox.control(message_type, parameters, self._sequence.received)

    def _violated(
        self,
        code: int,
        problem: str,
        *,
        message_type: str | None,
        now_ns: int,
        seq: int | None = None,
        reason: DisconnectReason = DisconnectReason.ERROR,
    ) -> None:
        """Answer a violation: one `disconnect`, and silence from then on (section 4.4)."""
        if self._disconnect_sent or self.state in _ONLY_CLOSE_COUNTS:
            return
        self._events.append(PeerViolated(code, problem, message_type, seq, is_fatal=True))
        self._disconnect(now_ns, reason, problem)

    def _connection_lost(self) -> None:
        self.state = SERVER_AFTER["connection lost"]

    @property
    def _has_ended(self) -> bool:
        return self.state is ServerState.DISCONNECTED

    @property
    def _peer_role(self) -> Role:
        return Role.CLIENT

    # Time

    def _expired(self, name: str, now_ns: int) -> None:
        if name == "pacing":
            return
        after = SERVER_TIMEOUTS[name][self.state]
        if name == "open":
            self._timed_out = name
            self._events.append(
                PeerViolated(ErrorCode.TIMEOUT, "no open in time", "open", None, is_fatal=True)
            )
            self._disconnect(now_ns, DisconnectReason.ERROR, "no open in time")
            return
        self._timed_out = self._timed_out or name
        self.state = after
        self._close_connection(1000)

    # What is to be written

    def data_to_send(self, now_ns: int) -> list[Outgoing]:
        """Take what may be written now; the rest waits for the limits of section 13.1."""
        if not self._is_over and not self._outbox.is_empty:
            self._deadlines.pop("pacing", None)
            for message_type, parameters, clientseq in self._outbox.ready(
                now_ns, self._sequence.received
            ):
                self._hand_over(message_type, parameters, clientseq, now_ns)
            if (ready_ns := self._outbox.ready_at_ns()) is not None:
                self._deadlines["pacing"] = ready_ns
        outgoing = list(self._outgoing)
        self._outgoing.clear()
        return outgoing

    def _hand_over(
        self, message_type: str, parameters: Parameters, clientseq: int, now_ns: int
    ) -> None:
        message = ServerMessage(
            id=self.session_id,
            type=message_type,
            seq=self._sequence.next(),
            clientseq=clientseq,
            parameters=parameters,
        )
        if self.trace is not None:
            self.trace.message(message, now_ns)
        self._outgoing.append(SendText(encode_message(message)))
        if message_type == "closed":
            self.state = SERVER_AFTER["finish"]
            self._is_clean = True
            self._deadlines["linger"] = now_ns + self._timers.linger_ns


# A tuple, for a hash of an enum's member is work in Python; audio changes no state.
_TAKE_AUDIO: Final = tuple(state for state in ServerState if AUDIO in SERVER_RECEIVED[state])

_ONLY_CLOSE_COUNTS: Final = frozenset(
    {
        ServerState.SIGNALED_ERROR,
        ServerState.UNAUTHORIZED,
        ServerState.CLOSING,
        ServerState.CLOSED,
        ServerState.DISCONNECTED,
    }
)

_HANDLERS: Final[dict[str, Callable[[ServerSession, ClientMessage, int], None]]] = {
    "open": ServerSession._open,
    "ping": ServerSession._ping,
    "update": ServerSession._update,
    "paused": ServerSession._paused,
    "resumed": ServerSession._gap,
    "discarded": ServerSession._gap,
    "error": ServerSession._error,
    "close": ServerSession._close,
}
