"""What the platform side of a session says: numbered, placed in the stream, and noted.

What is to be said, and when, is decided by `client`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from openaudiohook.protocol import codec
from openaudiohook.protocol._pauses import PauseArbiter
from openaudiohook.protocol._pings import Pings
from openaudiohook.protocol._session import Outgoing, Place, SendText, Session
from openaudiohook.protocol._timers import ClientTimers
from openaudiohook.protocol._transitions import CLIENT_AFTER
from openaudiohook.protocol.duration import Duration
from openaudiohook.protocol.events import PeerViolated
from openaudiohook.protocol.media import samples_to_ns
from openaudiohook.protocol.messages import (
    ClientMessage,
    CloseParameters,
    DiscardedParameters,
    EmptyParameters,
    ErrorParameters,
    Parameters,
    PingParameters,
)
from openaudiohook.protocol.trace import Trace
from openaudiohook.protocol.types import ClientState, CloseReason, Role

__all__ = ["ClientVoice"]


class ClientVoice(Session):
    """The half of the platform side that speaks.

    Attributes:
        state: of protocol section 10.2.
    """

    __slots__ = ("_error_prefix", "_pauses", "_pings", "_place", "_timers", "state")

    role: ClassVar = Role.CLIENT

    def __init__(
        self, *, session_id: str, timers: ClientTimers, trace: Trace | None, error_prefix: str
    ) -> None:
        super().__init__(session_id=session_id, trace=trace)
        self.state = ClientState.PREPARING
        self._timers = timers
        self._error_prefix = error_prefix
        self._pauses = PauseArbiter()
        self._pings = Pings(interval_ns=timers.ping_ns)

    @property
    def position(self) -> int:
        """The sender's place in the stream, in samples."""
        return self._place.position

    @position.setter
    def position(self, position: int) -> None:
        self._place = Place(position)  # whoever it moved with stays where it was

    def data_to_send(self, now_ns: int) -> list[Outgoing]:
        """Take what is to be written now; the client side is not paced."""
        if not self._outgoing:
            return []
        outgoing = list(self._outgoing)
        self._outgoing.clear()
        return outgoing

    def _send(
        self, message_type: str, parameters: Parameters, now_ns: int, *, position: int | None = None
    ) -> None:
        message = ClientMessage(
            id=self.session_id,
            type=message_type,
            seq=self._sequence.sent + 1,
            serverseq=self._sequence.received,
            position=Duration(samples_to_ns(self.position if position is None else position)),
            parameters=parameters,
        )
        data = codec.encode_message(message)
        self._sequence.next()
        if self.trace is not None:
            self.trace.message(message, now_ns)
        self._outgoing.append(SendText(data))

    def _ping_on_schedule(self, now_ns: int) -> int:
        self._pings.schedule_next(now_ns)
        due_ns = self._deadlines["pong"] = self._pings.due_ns
        self._ping(now_ns)
        return due_ns

    def _ping(self, now_ns: int) -> None:
        pings, sequence = self._pings, self._sequence
        if self.trace is not None:
            rtt = None if pings.rtt_ns is None else Duration(pings.rtt_ns)
            self._send("ping", PingParameters(rtt=rtt), now_ns)
        else:
            data = codec.encode_ping(
                self.session_id,
                seq=sequence.next(),
                serverseq=sequence.received,
                position_ns=samples_to_ns(self.position),
                rtt_ns=pings.rtt_ns,
            )
            self._outgoing.append(SendText(data))
        pings.sent(sequence.sent, now_ns)

    def _say_paused(self, now_ns: int) -> None:
        if self._pauses.since is None:
            self._pauses.since = self.position
        self._send("paused", EmptyParameters(), now_ns)

    def _gap(self, message_type: str, samples: int, now_ns: int) -> None:
        start = self.position
        self.position += samples
        self._say_gap(message_type, start, samples, now_ns)

    def _say_gap(self, message_type: str, start: int, samples: int, now_ns: int) -> None:
        parameters = DiscardedParameters(
            start=Duration(samples_to_ns(start)), discarded=Duration(samples_to_ns(samples))
        )
        self._send(message_type, parameters, now_ns)

    def _close(self, reason: CloseReason, now_ns: int) -> None:
        self.state = CLIENT_AFTER["close"]
        self._start_closing(reason, now_ns)

    def _start_closing(self, reason: CloseReason, now_ns: int) -> None:
        self._reason = reason
        self._deadlines.clear()
        self._deadlines["close"] = now_ns + self._timers.close_ns
        self._send("close", CloseParameters(reason=reason), now_ns)

    def _violated(
        self,
        code: int,
        problem: str,
        now_ns: int,
        *,
        message_type: str | None,
        seq: int | None = None,
        is_fatal: bool = True,
        retry_after_ns: int | None = None,
        subject: Literal["sequence", "media"] | None = None,
    ) -> None:
        """Answer a violation with `error`, and with `close` where it is fatal (section 4.4)."""
        if self.state is ClientState.CLOSING_ERROR:  # it was told once: that is enough
            self._events.append(PeerViolated(code, problem, message_type, seq, False, subject))
            return
        self._events.append(PeerViolated(code, problem, message_type, seq, is_fatal, subject))
        parameters = ErrorParameters(
            code=code,
            message=self._error_prefix + problem,
            retry_after=None if retry_after_ns is None else Duration(retry_after_ns),
        )
        self._send("error", parameters, now_ns)
        if is_fatal:
            is_closing = self.state is ClientState.CLOSING
            self.state = CLIENT_AFTER["violation"]
            if not is_closing:
                self._start_closing(CloseReason.ERROR, now_ns)
