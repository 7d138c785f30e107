"""Text to message and back (protocol sections 2.4, 4.1 and 4.4).

Reading goes envelope first, with `parameters` kept raw, then by type: so an unknown type
keeps its envelope and its `seq` is counted. Readers ignore unknown fields; writers only
write what the protocol names. Every way in which text can be bad becomes
`RemoteProtocolError`, whose text names fields and types and never a value.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal, NoReturn, TypeVar

import msgspec

from openaudiohook.exceptions import LocalProtocolError, RemoteProtocolError
from openaudiohook.protocol.duration import Duration, format_duration, parse_duration
from openaudiohook.protocol.media import MediaParameter
from openaudiohook.protocol.messages import (
    CLIENT_PARAMETERS,
    SERVER_PARAMETERS,
    ClientMessage,
    Count,
    OpenParameters,
    Parameters,
    ServerMessage,
    UnknownParameters,
    Uuid,
)
from openaudiohook.protocol.types import (
    MAX_CUSTOM_CONFIG_BYTES,
    MAX_RECEIVED_BYTES,
    MAX_SENT_BYTES,
    VERSION,
    ErrorCode,
)

__all__ = [
    "decode_client_message",
    "decode_server_message",
    "encode_message",
    "encode_ping",
    "require_short_custom_config",
]

Text = bytes | bytearray | memoryview | str
_Envelope = TypeVar("_Envelope")


def _decode_hook(kind: type, value: object) -> object:
    if kind is Duration and isinstance(value, str):
        return parse_duration(value)
    raise ValueError(f"Expected a {kind.__name__.lower()}, got {type(value).__name__}")


def _encode_hook(value: object) -> object:
    if isinstance(value, Duration):
        return format_duration(value)
    raise TypeError(f"cannot be written as JSON: {type(value).__name__}")


class _ClientEnvelope(msgspec.Struct):
    version: Literal["2"]
    id: Uuid
    type: str
    seq: Count
    serverseq: Count
    position: Duration
    parameters: msgspec.Raw


class _ServerEnvelope(msgspec.Struct):
    version: Literal["2"]
    id: Uuid
    type: str
    seq: Count
    clientseq: Count
    parameters: msgspec.Raw


class _MediaShape(msgspec.Struct):
    """What every media parameter must have; `MediaParameter` has defaults, the wire has none."""

    type: str
    format: str
    channels: list[str]
    rate: int


class _HasMedia(msgspec.Struct):
    media: list[_MediaShape]


def _decoders(types: dict[str, type[Parameters]]) -> dict[str, msgspec.json.Decoder[Parameters]]:
    return {name: msgspec.json.Decoder(kind, dec_hook=_decode_hook) for name, kind in types.items()}


_CLIENT_ENVELOPE: Final = msgspec.json.Decoder(_ClientEnvelope, dec_hook=_decode_hook)
_SERVER_ENVELOPE: Final = msgspec.json.Decoder(_ServerEnvelope, dec_hook=_decode_hook)
_CLIENT_DECODERS: Final = _decoders(CLIENT_PARAMETERS)
_SERVER_DECODERS: Final = _decoders(SERVER_PARAMETERS)
_UNKNOWN: Final = msgspec.json.Decoder(UnknownParameters)
_HAS_MEDIA: Final = msgspec.json.Decoder(_HasMedia)
_ENCODER: Final = msgspec.json.Encoder(enc_hook=_encode_hook)

# What msgspec raises for bad text; the last two are not documented as such.
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
# From the first quote to the last: what is quoted may hold quotes itself. It is the peer's text,
# or a pattern that tells a reader little.
_QUOTED: Final = re.compile(r"( matching regex)? (?:'.*'|\".*\")", re.DOTALL)
_WANTED: Final = {"$.version": f'"{VERSION}"', "$.id": "a UUID", "$.conversationId": "a UUID"}


def decode_client_message(text: Text) -> ClientMessage:
    """Read a client's message, at the server.

    Raises:
        RemoteProtocolError: it is too large, not JSON, or does not fit protocol section 5.
    """
    envelope = _read(_CLIENT_ENVELOPE, text)
    return ClientMessage(
        id=envelope.id,
        type=envelope.type,
        seq=envelope.seq,
        serverseq=envelope.serverseq,
        position=envelope.position,
        parameters=_read_parameters(_CLIENT_DECODERS, envelope),
    )


def decode_server_message(text: Text) -> ServerMessage:
    """Read a server's message, at the client.

    Raises:
        RemoteProtocolError: it is too large, not JSON, or does not fit protocol section 6.
    """
    envelope = _read(_SERVER_ENVELOPE, text)
    return ServerMessage(
        id=envelope.id,
        type=envelope.type,
        seq=envelope.seq,
        clientseq=envelope.clientseq,
        parameters=_read_parameters(_SERVER_DECODERS, envelope),
    )


def require_short_custom_config(parameters: OpenParameters) -> None:
    """Return where `customConfig` is absent or at most 60,000 bytes (protocol section 5.1).

    Raises:
        LocalProtocolError: it is longer.
    """
    if parameters.custom_config is not None:
        size = len(msgspec.json.encode(parameters.custom_config))
        if size > MAX_CUSTOM_CONFIG_BYTES:
            raise LocalProtocolError(
                f"customConfig is {size} bytes; at most {MAX_CUSTOM_CONFIG_BYTES} are allowed"
            )


def encode_message(message: ClientMessage | ServerMessage) -> bytes:
    """Write a message as UTF-8 JSON, envelope fields in the order of protocol section 4.1.

    Raises:
        LocalProtocolError: it is over 64,000 bytes, or holds what JSON cannot.
    """
    envelope: dict[str, Any] = {
        "version": VERSION,
        "id": message.id,
        "type": message.type,
        "seq": message.seq,
    }
    if isinstance(message, ClientMessage):
        envelope["serverseq"] = message.serverseq
        envelope["position"] = message.position
    else:
        envelope["clientseq"] = message.clientseq
    envelope["parameters"] = message.parameters
    try:
        data = _ENCODER.encode(envelope)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise LocalProtocolError(
            f"{message.type} holds what JSON cannot: {type(error).__name__}"
        ) from None
    if len(data) > MAX_SENT_BYTES:
        raise LocalProtocolError(
            f"{message.type} would be {len(data)} bytes; a message has at most {MAX_SENT_BYTES}"
        )
    return data


def encode_ping(
    session_id: str, *, seq: int, serverseq: int, position_ns: int, rtt_ns: int | None
) -> bytes:
    """Write a client's `ping`: the same bytes as `encode_message`, for a third of the time.

    It is the one message that is sent all the time.
    """
    quoted_id = _ENCODER.encode(session_id).decode()
    rtt = "" if rtt_ns is None else f'"rtt":"{format_duration(rtt_ns)}"'
    return (
        f'{{"version":"{VERSION}","id":{quoted_id},"type":"ping","seq":{seq},'
        f'"serverseq":{serverseq},"position":"{format_duration(position_ns)}",'
        f'"parameters":{{{rtt}}}}}'
    ).encode()


def _read(decoder: msgspec.json.Decoder[_Envelope], text: Text) -> _Envelope:
    try:
        data = text.encode() if isinstance(text, str) else text
        if len(data) > MAX_RECEIVED_BYTES:
            raise RemoteProtocolError(
                f"a message of {len(data)} bytes; at most {MAX_RECEIVED_BYTES} are read",
                code=ErrorCode.TOO_LARGE,
            )
        return decoder.decode(data)
    except _UNREADABLE as error:
        _refuse(error)


def _read_parameters(
    decoders: dict[str, msgspec.json.Decoder[Parameters]],
    envelope: _ClientEnvelope | _ServerEnvelope,
) -> Parameters:
    decoder = decoders.get(envelope.type)
    try:
        if decoder is None:
            return _UNKNOWN.decode(envelope.parameters)
        if envelope.type in ("open", "opened"):
            _HAS_MEDIA.decode(envelope.parameters)
        try:
            return decoder.decode(envelope.parameters)
        except msgspec.ValidationError:
            if envelope.type != "open":
                raise
            return _open_without_unknown_media(decoder, envelope.parameters)
    except _UNREADABLE as error:
        _refuse(error, message_type=envelope.type, seq=envelope.seq)


def _open_without_unknown_media(
    decoder: msgspec.json.Decoder[Parameters], raw: msgspec.Raw
) -> Parameters:
    """Read `open` again without the offers this version does not know.

    A platform that begins to offer another format must not break a server that only
    wants one it knows. Where none is left, there is nothing to select (section 9.5).
    """
    fields = msgspec.json.decode(raw)
    offers = fields["media"]
    fields["media"] = [offer for offer in offers if _is_known_media(offer)]
    if offers and not fields["media"]:
        raise msgspec.ValidationError("none of the offered media is known: PCMU or L16 at 8000")
    return decoder.decode(_ENCODER.encode(fields))


def _is_known_media(offer: object) -> bool:
    try:
        msgspec.convert(offer, MediaParameter)
    except msgspec.ValidationError:
        return False
    return True


def _problem(text: str) -> str:
    """Say what msgspec says, without what the peer wrote, and with what would be right."""
    problem = _QUOTED.sub(lambda match: " of another form" if match[1] else "", text)
    wanted = _WANTED.get(text.rpartition("`")[0].rpartition("`")[2])
    return f"{problem}; {wanted} is needed" if wanted else problem


def _refuse(
    error: Exception, *, message_type: str | None = None, seq: int | None = None
) -> NoReturn:
    if isinstance(error, msgspec.ValidationError):
        problem = _problem(str(error))
    elif isinstance(error, RecursionError):
        problem = "JSON is nested too deeply"
    else:
        problem = "not valid JSON in UTF-8"
    known = message_type is not None
    raise RemoteProtocolError(
        f"parameters: {problem}" if known else problem,
        code=ErrorCode.BAD_MESSAGE,
        message_type=message_type,
        seq=seq,
    ) from None
