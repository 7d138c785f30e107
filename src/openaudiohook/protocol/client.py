"""The platform side of a session (protocol sections 7, 10.2, 10.3, 11, 12 and 13.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from openaudiohook.exceptions import LocalProtocolError, RemoteProtocolError
from openaudiohook.protocol import codec
from openaudiohook.protocol._client_voice import ClientVoice
from openaudiohook.protocol._limits import MessageLimits
from openaudiohook.protocol._pauses import Trigger
from openaudiohook.protocol._session import (
    Binary,
    Place,
    SendBinary,
    Text,
)
from openaudiohook.protocol._timers import ClientTimers
from openaudiohook.protocol._transitions import (
    AUDIO,
    CLIENT_AFTER,
    CLIENT_IGNORED,
    CLIENT_INTENTS,
    CLIENT_NOT_FATAL,
    CLIENT_RECEIVED,
    CLIENT_TIMEOUTS,
)
from openaudiohook.protocol.events import (
    DisconnectRequested,
    EntitiesReceived,
    MessageIgnored,
    PauseRequested,
    PeerViolated,
    PongReceived,
    ReconnectRequested,
    ResumeRequested,
    SessionOpened,
    UpdateConfirmed,
)
from openaudiohook.protocol.media import (
    MediaParameter,
    ns_to_samples,
    samples_to_ns,
    selection_problem,
)
from openaudiohook.protocol.messages import (
    SERVER_PARAMETERS,
    ContinuedSession,
    DisconnectParameters,
    ErrorParameters,
    EventParameters,
    OpenedParameters,
    OpenParameters,
    ReconnectParameters,
    ServerMessage,
    UpdateParameters,
    is_language_code,
)
from openaudiohook.protocol.trace import Trace
from openaudiohook.protocol.types import (
    MAX_RECEIVED_BYTES,
    MAX_SENT_BYTES,
    ClientState,
    CloseReason,
    ErrorCode,
    Role,
)

__all__ = ["ClientSession", "ClientTimers", "Place"]

# Answers we asked for are heard even when the server talks too much; only what it says
# of its own accord is dropped.
_DROPPED_OVER_LIMIT: Final = frozenset({"event", "pause", "resume", "reconnect", "updated"})


class ClientSession(ClientVoice):
    """Platform side of one session.

    `position` is the sender's place in the stream. It moves by `send_audio`, `discard` and
    `drop_audio` only, so whoever feeds the session decides what time means. The session
    answers pauses, `disconnect` and every violation by itself.

    Args:
        session_id: also sent in the request header.
        now_ns: the time.
        timers: how long to wait.
        trace: where to note the messages.
        error_prefix: begins the text of every `error` that answers the server.

    Attributes:
        is_handing_over: another session is about to take the stream over: a `disconnect` is
            reported, and no longer answered (protocol section 14.2).
    """

    __slots__ = (
        "_frame_bytes",
        "_has_begun",
        "_limits",
        "_offered",
        "is_handing_over",
    )

    def __init__(
        self,
        *,
        session_id: str,
        now_ns: int,
        timers: ClientTimers | None = None,
        trace: Trace | None = None,
        error_prefix: str = "",
    ) -> None:
        super().__init__(
            session_id=session_id,
            timers=timers or ClientTimers(),
            trace=trace,
            error_prefix=error_prefix,
        )
        self.is_handing_over = False
        self._offered: tuple[MediaParameter, ...] = ()
        self._has_begun = False
        self._frame_bytes = 0
        self._limits = MessageLimits(now_ns=now_ns)

    # What we do

    def move_with(self, place: Place) -> None:
        """Stand where `place` is, wherever that moves, until this session moves by itself.

        For one who counts and writes the same frames for many sessions, while each of them could
        `pass_audio`: they are counted once.
        """
        if place.position != self.position:
            raise LocalProtocolError("sessions move together from one position on")
        self._place = place

    @property
    def is_flowing(self) -> bool:
        """Whether audio may be sent now."""
        return (
            self.state is ClientState.OPEN
            and self._has_begun
            and self._frame_bytes > 0
            and not self._pauses.holds
        )

    @property
    def continued(self) -> ContinuedSession:
        """How the `open` of a later session names this one (protocol section 14.2)."""
        sequence = self._sequence
        return ContinuedSession(
            id=self.session_id, serverseq=sequence.received, clientseq=sequence.acknowledged
        )

    @property
    def is_client_paused(self) -> bool:
        """Whether our own pause holds."""
        return self._pauses.by_client

    @property
    def is_server_paused(self) -> bool:
        """Whether the server's pause holds."""
        return self._pauses.by_server

    def open(self, parameters: OpenParameters, now_ns: int, *, position: int = 0) -> None:
        """Send `open`, the first message (protocol section 5.1).

        Args:
            parameters: what is offered and told.
            now_ns: the time.
            position: where the offered stream starts, in samples: 0 for a first session.

        Raises:
            LocalProtocolError: `customConfig` is over 60,000 bytes, or it was sent before.
        """
        self._require("open")
        codec.require_short_custom_config(parameters)
        self._send("open", parameters, now_ns, position=position)
        self.position = position
        self._offered = parameters.media
        self.state = CLIENT_AFTER["open"]
        self._deadlines["open"] = now_ns + self._timers.open_ns

    def begin(self, now_ns: int, *, discard: int = 0) -> None:
        """Start the stream; once, right after `SessionOpened`.

        Says what of the offered history is skipped, then confirms a pause that holds from
        the start, the server's `startPaused` or our own.

        Args:
            now_ns: the time.
            discard: samples that are not offered after all; 0 sends no `discarded`.
        """
        self._require("begin")
        if self._has_begun or discard < 0:
            problem = "was called before" if self._has_begun else "cannot discard less than nothing"
            raise LocalProtocolError(f"begin() {problem}")
        self._has_begun = True
        if discard and self._pauses.since is None:
            self._gap("discarded", discard, now_ns)
        else:  # A pause that was confirmed already covers it.
            self.position += discard
        if self._pauses.holds and self._pauses.since is None:
            self._say_paused(now_ns)

    def send_audio(self, payload: bytes, now_ns: int) -> None:
        """Send a frame: whole samples in the order of the selected channels.

        Raises:
            LocalProtocolError: audio may not flow now, or the frame has the wrong length.
        """
        size = len(payload)
        if not self.is_flowing or size % self._frame_bytes or not 0 < size <= MAX_SENT_BYTES:
            self._require("send_audio")
            if not self.is_flowing:
                raise LocalProtocolError("send_audio() is not possible while audio may not flow")
            raise LocalProtocolError(
                f"a frame of {size} bytes; 1 to {MAX_SENT_BYTES // self._frame_bytes} samples of "
                f"{self._frame_bytes} bytes are possible"
            )
        if self.trace is not None:
            self._trace_audio(size // self._frame_bytes, now_ns)
        self.position += size // self._frame_bytes
        self._outgoing.append(SendBinary(payload))

    def pass_audio(self, size_bytes: int, now_ns: int) -> bool:
        """Count a frame that the caller writes itself, at once: `send_audio` without the queue.

        Returns:
            False, with nothing changed, where that would not be the same: something waits to be
            written before it, audio may not flow, or the size is wrong. Use `send_audio` then.
        """
        if not self.passes_audio(size_bytes):
            return False
        if self.trace is not None:
            self._trace_audio(size_bytes // self._frame_bytes, now_ns)
        self.position += size_bytes // self._frame_bytes
        return True

    def passes_audio(self, size_bytes: int) -> bool:
        """Say whether `pass_audio` would count such a frame."""
        pauses, unit = self._pauses, self._frame_bytes
        return not (
            self._outgoing
            or self.state is not ClientState.OPEN
            or not self._has_begun
            or pauses.by_client
            or pauses.by_server
            or not unit
            or size_bytes % unit
            or not 0 < size_bytes <= MAX_SENT_BYTES
        )

    def drop_audio(self, samples: int, now_ns: int) -> None:
        """Let time run on while paused, or where the server wanted no audio."""
        self._require("drop_audio")
        if self.is_flowing:
            raise LocalProtocolError("drop_audio() is for pauses; a gap needs discard()")
        if samples < 0:
            raise LocalProtocolError("drop_audio() cannot go back")
        self.position += samples

    def discard(self, samples: int, now_ns: int) -> None:
        """Announce that `samples` are not sent: `discarded` (protocol section 5.6)."""
        self._require("discard")
        if not self.is_flowing or samples <= 0:
            raise LocalProtocolError("discard() needs flowing audio and at least one sample")
        self._gap("discarded", samples, now_ns)

    def pause(self, now_ns: int) -> None:
        """Begin our own pause, at the current position (protocol section 11)."""
        self._pause_by_client("client pause", now_ns)

    def resume(self, now_ns: int) -> None:
        """End our own pause; a pause of the server's goes on."""
        self._pause_by_client("client resume", now_ns)

    def ping_early(self, now_ns: int, *, before_ns: int) -> int | None:
        """Send the next ping now if it is due before then; return when the one after it is.

        For who writes to the connection now, and not again before then: two writes at once cost
        less than two. None where there are no pings, at the beginning and at the end.
        """
        due_ns = self._deadlines.get("pong")
        if due_ns is None or due_ns >= before_ns or self._pings.is_unanswered:
            return due_ns
        return self._ping_on_schedule(now_ns)

    def update(self, language: str, now_ns: int) -> None:
        """Tell the media language from here on (protocol section 5.3).

        Raises:
            LocalProtocolError: not while open, or it is no language code.
        """
        self._require("update")
        if not is_language_code(language):
            raise LocalProtocolError("update() needs a language code, for example en-US")
        self._send("update", UpdateParameters(language=language), now_ns)

    def close(self, now_ns: int, *, reason: CloseReason = CloseReason.END) -> None:
        """End the session; no audio after this (protocol section 10.5)."""
        self._require("close")
        self._close(reason, now_ns)

    def fail(self, code: ErrorCode, message: str, now_ns: int) -> None:
        """Report a failure of our own with `error`, and end the session."""
        self._require("fail")
        self._send("error", ErrorParameters(code=code, message=message), now_ns)
        self.state = CLIENT_AFTER["fail"]
        self._start_closing(CloseReason.ERROR, now_ns)

    def _require(self, intent: str) -> None:
        self._require_not_over()
        if self.state not in CLIENT_INTENTS[intent]:
            raise LocalProtocolError(f"{intent}() is not possible while {self.state}")

    def _pause_by_client(self, trigger: Trigger, now_ns: int) -> None:
        self._require(trigger.removeprefix("client "))
        if not self._pauses.allows(trigger):
            held = "already" if self.is_client_paused else "not"
            raise LocalProtocolError(f"the client's pause does {held} hold")
        self._arbitrate(trigger, now_ns)

    def _trace_audio(self, samples: int, now_ns: int) -> None:
        assert self.trace is not None
        self.trace.audio(position_ns=samples_to_ns(self.position), samples=samples, now_ns=now_ns)

    def _arbitrate(self, trigger: Trigger, now_ns: int) -> None:
        answer = self._pauses.apply(trigger)
        if not self._has_begun and self._pauses.since is None and trigger.startswith("client"):
            return  # begin() says it.
        if answer == "paused":
            self._say_paused(now_ns)
        elif answer == "resumed":
            start = self.position if self._pauses.since is None else self._pauses.since
            self._pauses.since = None
            self._say_gap("resumed", start, self.position - start, now_ns)

    # What arrives

    def receive_binary(self, data: Binary, now_ns: int) -> None:
        """Refuse a binary message: no server may send audio here (protocol section 9.6)."""
        if AUDIO in CLIENT_IGNORED[self.state]:
            return
        if len(data) > MAX_RECEIVED_BYTES:
            self.receive_oversize(now_ns, is_text=False, size_bytes=len(data))
            return
        self._note(AUDIO, now_ns)
        self._violated(
            ErrorCode.UNSUPPORTED_MEDIA, "unexpected binary message", now_ns, message_type="binary"
        )

    def _decode(self, data: Text) -> ServerMessage:
        return codec.decode_server_message(data)

    def _unreadable(
        self,
        error: RemoteProtocolError,
        now_ns: int,
        *,
        subject: Literal["sequence"] | None = None,
    ) -> None:
        self._violated(
            error.code,
            str(error),
            now_ns,
            message_type=error.message_type,
            seq=error.seq,
            subject=subject,
        )

    def _receive(self, message: ServerMessage, now_ns: int) -> None:  # type: ignore[override]
        subject: Literal["sequence"] | None = None
        try:
            if message.id != self.session_id and message.id.lower() != self.session_id.lower():
                raise RemoteProtocolError(
                    "id is not the session's", message_type=message.type, seq=message.seq
                )
            subject = "sequence"
            self._sequence.accept(
                seq=message.seq, acknowledged=message.clientseq, message_type=message.type
            )
        except RemoteProtocolError as error:
            is_awaited = "closed" in CLIENT_RECEIVED[self.state]
            self._unreadable(error, now_ns, subject=subject)
            if message.type != "closed" or not is_awaited:
                return
            # A wrong number is reported, and still it is the end.
        if not self._is_within_limits(message, now_ns):
            return
        after = CLIENT_RECEIVED[self.state].get(message.type)
        if message.type == "disconnect" and self.is_handing_over and after is not None:
            self._report_disconnect(message)
        elif after is not None:
            self.state = after
            _HANDLERS[message.type](self, message, now_ns)
        elif message.type not in SERVER_PARAMETERS or message.type in CLIENT_IGNORED[self.state]:
            self._events.append(MessageIgnored(message.type, message.seq))
        else:
            self._violated(
                ErrorCode.CONFLICT,
                f"{message.type} while {self.state}",
                now_ns,
                message_type=message.type,
                seq=message.seq,
                is_fatal=message.type not in CLIENT_NOT_FATAL,
            )

    def _is_within_limits(self, message: ServerMessage, now_ns: int) -> bool:
        """Count a message against the limits of protocol section 13.1; answer a breach."""
        wait_ns = self._limits.count(message.type, now_ns)
        if wait_ns is None or self.state not in CLIENT_INTENTS["fail"]:
            return True
        problem = f"too many {message.type} messages"
        if self._limits.is_abuse(now_ns):
            self._events.append(
                PeerViolated(
                    ErrorCode.RATE_LIMITED, problem, message.type, message.seq, is_fatal=True
                )
            )
            self.state = CLIENT_AFTER["violation"]
            self._close_connection(1008)
            return False
        self._violated(
            ErrorCode.RATE_LIMITED,
            problem,
            now_ns,
            message_type=message.type,
            seq=message.seq,
            is_fatal=False,
            retry_after_ns=wait_ns,
        )
        return message.type not in _DROPPED_OVER_LIMIT

    def _opened(self, message: ServerMessage, now_ns: int) -> None:
        parameters = message.parameters
        assert isinstance(parameters, OpenedParameters)
        problem = selection_problem(parameters.media, offered=self._offered)
        if problem is not None:
            self._violated(
                ErrorCode.BAD_MESSAGE,
                problem,
                now_ns,
                message_type="opened",
                seq=message.seq,
                subject="media",
            )
            return
        self._deadlines.pop("open", None)
        self.media = parameters.media[0] if parameters.media else None
        self._frame_bytes = self.media.frame_bytes if self.media is not None else 0
        self._pings.due_ns = now_ns + self._timers.first_ping_ns
        self._deadlines["pong"] = self._pings.due_ns
        self._pauses.by_server = parameters.start_paused
        discard_to = parameters.discard_to
        self._events.append(
            SessionOpened(
                media=self.media,
                start_paused=parameters.start_paused,
                discard_to=None if discard_to is None else ns_to_samples(discard_to),
                supported_languages=parameters.supported_languages,
            )
        )

    def _pong(self, message: ServerMessage, now_ns: int) -> None:
        is_first = self._pings.rtt_ns is None
        if self._pings.answered(message.clientseq, now_ns):
            assert self._pings.rtt_ns is not None
            self._events.append(PongReceived(self._pings.rtt_ns))
            if is_first:
                self._ping(now_ns)
            return
        code, problem = ErrorCode.CONFLICT, "pong without a ping"
        if self._pings.is_unanswered:
            code, problem = ErrorCode.BAD_MESSAGE, "pong names another message than the ping"
        self._violated(code, problem, now_ns, message_type="pong", seq=message.seq, is_fatal=False)

    def _paused_by_server(self, message: ServerMessage, now_ns: int) -> None:
        self._arbitrate("pause", now_ns)
        self._events.append(PauseRequested())

    def _resumed_by_server(self, message: ServerMessage, now_ns: int) -> None:
        self._arbitrate("resume", now_ns)
        self._events.append(ResumeRequested(flowing=self.is_flowing))

    def _event(self, message: ServerMessage, now_ns: int) -> None:
        parameters = message.parameters
        assert isinstance(parameters, EventParameters)
        self._events.append(EntitiesReceived(parameters.entities))

    def _updated(self, message: ServerMessage, now_ns: int) -> None:
        self._events.append(UpdateConfirmed())

    def _reconnect(self, message: ServerMessage, now_ns: int) -> None:
        parameters = message.parameters
        assert isinstance(parameters, ReconnectParameters)
        self._events.append(ReconnectRequested(parameters.info))

    def _disconnect(self, message: ServerMessage, now_ns: int) -> None:
        self._report_disconnect(message)
        self._start_closing(CloseReason.DISCONNECT, now_ns)

    def _report_disconnect(self, message: ServerMessage) -> None:
        parameters = message.parameters
        assert isinstance(parameters, DisconnectParameters)
        self._events.append(DisconnectRequested(parameters.reason, parameters.info))

    def _closed(self, message: ServerMessage, now_ns: int) -> None:
        self._is_clean = True
        self._close_connection(1000)

    def _connection_lost(self) -> None:
        self.state = CLIENT_AFTER["connection lost"]

    @property
    def _has_ended(self) -> bool:
        return self.state is ClientState.DISCONNECTED

    @property
    def _peer_role(self) -> Role:
        return Role.SERVER

    # Time

    def _expired(self, name: str, now_ns: int) -> None:
        if name == "pong" and not self._pings.is_unanswered:
            self._ping_on_schedule(now_ns)
            return
        self._timed_out = self._timed_out or name
        expected = _EXPECTED[name]
        if name == "close":
            self._events.append(
                PeerViolated(
                    ErrorCode.TIMEOUT, f"no {expected} in time", expected, None, is_fatal=True
                )
            )
            parameters = ErrorParameters(
                code=ErrorCode.TIMEOUT, message=f"{self._error_prefix}no {expected} in time"
            )
            self._send("error", parameters, now_ns)
            self.state = CLIENT_TIMEOUTS[name][self.state]
            self._close_connection(1000)
            return
        self._violated(ErrorCode.TIMEOUT, f"no {expected} in time", now_ns, message_type=expected)


_EXPECTED: Final = {"open": "opened", "pong": "pong", "close": "closed"}

_HANDLERS: Final[dict[str, Callable[[ClientSession, ServerMessage, int], None]]] = {
    "opened": ClientSession._opened,
    "pong": ClientSession._pong,
    "pause": ClientSession._paused_by_server,
    "resume": ClientSession._resumed_by_server,
    "event": ClientSession._event,
    "updated": ClientSession._updated,
    "reconnect": ClientSession._reconnect,
    "disconnect": ClientSession._disconnect,
    "closed": ClientSession._closed,
}
