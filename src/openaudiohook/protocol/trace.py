"""Session traces: one JSON line for each message, without payload unless asked.

A trace says what went over the wire and when, for bug reports and conformance. It holds
types, numbers, positions and lengths. With `payload` it also holds the parameters of
text messages, and says so in its first line; audio is never in it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from openaudiohook.protocol.duration import format_duration
from openaudiohook.protocol.messages import ClientMessage, ServerMessage
from openaudiohook.protocol.types import Role

__all__ = ["TRACE_VERSION", "Trace", "TraceRecord", "trace_header", "trace_line"]

TRACE_VERSION: Final = 1

_ENCODER: Final = msgspec.json.Encoder()


class TraceRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a trace.

    Attributes:
        t_ns: monotonic time at which the machine took or gave the message.
        session: the session id.
        sender: whose message it is.
        type: the message type, `audio`, `unreadable`, `oversize` or `connection_closed`.
        seq: the sender's number; `ack` the number it acknowledges.
        position: wire form; of audio the position of its first sample.
        samples: of audio, the time steps in it.
        parameters: only in traces with payload.
        code: WebSocket close code, where the connection closed.
    """

    t_ns: int
    session: str
    sender: Role
    type: str
    seq: int | None = None
    ack: int | None = None
    position: str | None = None
    samples: int | None = None
    parameters: Any = None
    code: int | None = None


class Trace:
    """Collects the records of one session until they are drained."""

    __slots__ = ("_payload", "_records", "_session_id")

    def __init__(self, *, session_id: str, payload: bool = False) -> None:
        self._session_id = session_id
        self._payload = payload
        self._records: list[TraceRecord] = []

    def drain(self) -> list[TraceRecord]:
        """Take what was collected since the last time."""
        records, self._records = self._records, []
        return records

    def message(self, message: ClientMessage | ServerMessage, now_ns: int) -> None:
        """Note a text message."""
        if isinstance(message, ClientMessage):
            sender, ack, position = Role.CLIENT, message.serverseq, message.position
        else:
            sender, ack, position = Role.SERVER, message.clientseq, None
        self._records.append(
            TraceRecord(
                t_ns=now_ns,
                session=self._session_id,
                sender=sender,
                type=message.type,
                seq=message.seq,
                ack=ack,
                position=None if position is None else format_duration(position),
                parameters=message.parameters if self._payload else None,
            )
        )

    def audio(self, *, position_ns: int, samples: int, now_ns: int) -> None:
        """Note a binary message from the client by its place and length."""
        self._records.append(
            TraceRecord(
                t_ns=now_ns,
                session=self._session_id,
                sender=Role.CLIENT,
                type="audio",
                position=format_duration(position_ns),
                samples=samples,
            )
        )

    def other(
        self,
        kind: str,
        *,
        sender: Role,
        now_ns: int,
        code: int | None = None,
    ) -> None:
        """Note what was no message: it could not be read, or the connection went."""
        self._records.append(
            TraceRecord(t_ns=now_ns, session=self._session_id, sender=sender, type=kind, code=code)
        )


def trace_header(*, payload: bool = False) -> bytes:
    """Make the first line of a trace file; it says whether parameters are in it."""
    return _ENCODER.encode({"trace": "openaudiohook", "version": TRACE_VERSION, "payload": payload})


def trace_line(record: TraceRecord) -> bytes:
    """Write a record as one line, without the line end."""
    return _ENCODER_WITH_DURATIONS.encode(record)


def _encode_hook(value: object) -> object:
    return format_duration(int(value)) if isinstance(value, int) else str(value)


_ENCODER_WITH_DURATIONS: Final = msgspec.json.Encoder(enc_hook=_encode_hook)
