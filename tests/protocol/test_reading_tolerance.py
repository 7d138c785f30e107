"""Readers are tolerant: what is new or extra is ignored, and counted (sections 4.1, 4.4, 19)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.by_hand import HandClient, client_in, kinds, server_in
from tests.support.wire import STEREO, as_text, client_message, media, open_parameters

from openaudiohook.protocol.entities import Entity
from openaudiohook.protocol.events import (
    EntitiesReceived,
    ErrorReported,
    LanguageUpdated,
    MessageIgnored,
    OpenRequested,
    SessionOpened,
)
from openaudiohook.protocol.media import MediaParameter
from openaudiohook.protocol.types import ClientState, ServerState
from openaudiohook.testing.assertions import the_event

pytestmark = pytest.mark.unit

EXTRA: dict[str, Any] = {"future": {"deep": [1, None, {"x": "y"}]}, "position2": "PT1S"}


def test_unknown_fields_in_every_place_of_open_are_ignored() -> None:
    parameters = open_parameters(
        participant=open_parameters()["participant"] | EXTRA,
        media=[STEREO | EXTRA],
        continuedSessions=[],
        **EXTRA,
    )
    client = HandClient()
    client.say("open", parameters, **EXTRA)
    assert the_event(client.new_events(), OpenRequested).parameters.media == (MediaParameter(),)


def test_unknown_fields_of_a_server_are_ignored_and_so_is_its_position() -> None:
    server = client_in(ClientState.OPENING)
    server.say("opened", {"media": [STEREO | EXTRA], "selectedLanguage": "en-US"}, **EXTRA)
    assert the_event(server.new_events(), SessionOpened).media == MediaParameter()
    assert server.say("updated", {"note": 1}, position="PT7S", serverseq=4) == []
    assert server.session.state is ClientState.OPEN


def test_languages_of_any_bcp_47_shape_are_read() -> None:
    client = server_in(ServerState.ACTIVE)
    for language in ("en-US", "es-419", "cmn-CN", "zh-Hans-CN", "de"):
        assert kinds(client.say("update", {"language": language})) == ["updated"]
        assert the_event(client.new_events(), LanguageUpdated).language == language


def test_update_without_a_language_is_answered_and_reported() -> None:
    client = server_in(ServerState.ACTIVE)
    assert kinds(client.say("update", {})) == ["updated"]
    assert client.new_events() == [LanguageUpdated(None, 0)]


def test_updated_is_not_required() -> None:
    server = client_in(ClientState.OPEN)
    server.session.update("fr-CA", server.now_ns)
    server.session.update("en-US", server.now_ns)
    assert [item["parameters"]["language"] for item in server.read()] == ["fr-CA", "en-US"]


def test_a_duration_may_end_in_its_point() -> None:
    client = HandClient()
    client.say("open", open_parameters(), position="PT1.S")
    assert client.session.position == 8000


def test_error_codes_nobody_has_heard_of_are_reported() -> None:
    client = server_in(ServerState.ACTIVE)
    client.say("error", {"code": 4711, "message": "x", "retryAfter": "PT3S"})
    assert client.new_events() == [ErrorReported(4711, "x", 3_000_000_000)]


def test_entities_nobody_has_heard_of_are_passed_on_unread() -> None:
    server = client_in(ClientState.OPEN)
    entities = [
        {"type": "com.example.x", "data": [1, {"y": None}]},
        {"type": "transcript", "data": 7},
    ]
    server.say("event", {"entities": entities})
    assert server.new_events() == [
        EntitiesReceived(
            (
                Entity(type="com.example.x", data=[1, {"y": None}]),
                Entity(type="transcript", data=7),
            )
        )
    ]


def test_an_event_without_entities_is_read() -> None:
    server = client_in(ClientState.OPEN)
    assert server.say("event", {"entities": []}) == []
    assert server.new_events() == [EntitiesReceived(())]


def test_unknown_types_are_counted_in_both_directions() -> None:
    client = server_in(ServerState.ACTIVE)
    for kind in ("metrics", "hold_started"):
        client.say(kind, EXTRA)
    assert kinds(client.say("ping")) == ["pong"]
    assert client.new_events()[:2] == [
        MessageIgnored("metrics", 2),
        MessageIgnored("hold_started", 3),
    ]


def test_offers_of_unknown_kinds_do_not_keep_a_session_from_opening() -> None:
    client = HandClient()
    client.open(media=[media("external", media_format="OPUS"), STEREO])
    assert the_event(client.new_events(), OpenRequested).parameters.media == (MediaParameter(),)
    assert kinds(client.accept()) == ["opened"]


def test_an_open_that_offers_nothing_is_for_the_application_to_judge() -> None:
    client = HandClient()
    client.open(media=[])
    assert the_event(client.new_events(), OpenRequested).parameters.media == ()
    assert client.accept(media=None)[0]["parameters"]["media"] == []


def test_offers_of_which_none_is_known_are_not_taken_for_no_offers() -> None:
    client = HandClient()
    (answer,) = client.open(
        media=[media("external", media_format="OPUS"), STEREO | {"rate": 16000}]
    )
    assert (answer["type"], answer["parameters"]["reason"]) == ("disconnect", "error")
    assert "none of the offered media" in answer["parameters"]["info"]


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_audio_is_taken_from_any_buffer_and_copied(form: type) -> None:
    client = server_in(ServerState.ACTIVE)
    buffer = bytearray(b"\x01\x02" * 80)
    client.session.receive_binary(form(buffer), client.now_ns)
    buffer[:] = b"\x00" * 160
    (frame,) = client.new_events()
    assert frame.payload == b"\x01\x02" * 80


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview, bytes.decode])
def test_text_is_taken_in_any_form(form: Any) -> None:
    client = HandClient()
    text = as_text(client_message("open", open_parameters()))
    client.session.receive_text(form(text), 0)
    assert client.session.state is ServerState.OPENING
