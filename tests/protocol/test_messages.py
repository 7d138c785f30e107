"""The structs of all messages: names, defaults, and what they keep to themselves."""

from __future__ import annotations

import json

import msgspec
import pytest

from openaudiohook.protocol.duration import Duration, format_duration
from openaudiohook.protocol.events import AudioFrame, ErrorReported
from openaudiohook.protocol.media import MediaParameter
from openaudiohook.protocol.messages import (
    CLIENT_PARAMETERS,
    SERVER_PARAMETERS,
    ClientMessage,
    CloseParameters,
    DiscardedParameters,
    DtmfParameters,
    EmptyParameters,
    OpenedParameters,
    OpenParameters,
    Participant,
    PingParameters,
    ServerMessage,
)
from openaudiohook.protocol.types import CloseReason

pytestmark = pytest.mark.unit

UUID = "7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9a11"


def as_wire(parameters: msgspec.Struct) -> object:
    return json.loads(msgspec.json.encode(parameters, enc_hook=format_duration))


def test_every_message_of_the_protocol_is_known_in_its_direction() -> None:
    assert set(CLIENT_PARAMETERS) == {
        "open",
        "ping",
        "update",
        "close",
        "paused",
        "resumed",
        "discarded",
        "error",
        "dtmf",
        "playback_started",
        "playback_completed",
    }
    assert set(SERVER_PARAMETERS) == {
        "opened",
        "pong",
        "updated",
        "closed",
        "pause",
        "resume",
        "disconnect",
        "event",
        "reconnect",
    }


def test_absent_options_are_not_written() -> None:
    participant = Participant(id=UUID, ani="", ani_name="", dnis="")
    parameters = OpenParameters(
        organization_id=UUID, conversation_id=UUID, participant=participant, media=()
    )
    assert as_wire(parameters) == {
        "organizationId": UUID,
        "conversationId": UUID,
        "participant": {"id": UUID, "ani": "", "aniName": "", "dnis": ""},
        "media": [],
    }
    assert as_wire(OpenedParameters(media=())) == {"media": []}
    assert as_wire(PingParameters()) == {}
    assert as_wire(EmptyParameters()) == {}
    assert as_wire(CloseParameters(reason=CloseReason.END)) == {"reason": "end"}


def test_a_span_of_no_length_is_written_in_full() -> None:
    parameters = DiscardedParameters(start=Duration(0), discarded=Duration(0))
    assert as_wire(parameters) == {"start": "PT0S", "discarded": "PT0S"}


def test_messages_are_frozen() -> None:
    message = ServerMessage(id=UUID, type="pong", seq=1, clientseq=1, parameters=EmptyParameters())
    with pytest.raises(AttributeError):
        message.seq = 2  # type: ignore[misc]


def test_each_message_knows_its_role() -> None:
    assert (ClientMessage.role, ServerMessage.role) == ("client", "server")


def test_personal_data_audio_and_keys_pressed_stay_out_of_repr() -> None:
    participant = Participant(
        id=UUID, ani="tel:+15550100", ani_name="Erika", dnis="tel:+18005550123"
    )
    frame = AudioFrame(payload=b"\x12\x34", position=8, samples=1, media=MediaParameter())
    error = ErrorReported(code=400, message="about Erika", retry_after_ns=None)
    assert repr(participant) == f"Participant(id={UUID!r})"
    assert repr(DtmfParameters(digit="7")) == "DtmfParameters()"
    assert repr(frame) == "AudioFrame(position=8, samples=1)"
    assert repr(error) == "ErrorReported(code=400)"
