"""What differs between the profiles of protocol section 16, as far as a session sees it."""

from __future__ import annotations

import pytest
from tests.support.by_hand import (
    EXTERNAL_MEDIA,
    INTERNAL_MEDIA,
    L16_MEDIA,
    STEREO_MEDIA,
    HandClient,
    client_in,
    kinds,
    server_in,
)
from tests.support.wire import EXTERNAL, INTERNAL, STEREO, media

from openaudiohook.exceptions import LocalProtocolError
from openaudiohook.protocol.entities import BargeIn, Entity
from openaudiohook.protocol.events import (
    ErrorReported,
    MessageIgnored,
    OpenRequested,
    PeerViolated,
    SessionOpened,
)
from openaudiohook.protocol.types import ClientState, ServerState
from openaudiohook.testing.assertions import the_event
from openaudiohook.testing.session_pair import sample_open

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("dtmf", {"digit": "5"}),
        ("playback_started", {}),
        ("playback_completed", {}),
    ],
)
@pytest.mark.parametrize("state", [ServerState.ACTIVE, ServerState.PAUSED])
def test_what_only_a_voice_bot_needs_is_ignored_and_counted(
    state: ServerState, kind: str, parameters: dict[str, str]
) -> None:
    client = server_in(state)
    assert client.say(kind, parameters) == []
    assert client.new_events() == [MessageIgnored(kind, client.seq)]
    assert kinds(client.say("ping")) == ["pong"]


def test_inputs_for_a_bot_are_read_and_opened_like_any_other() -> None:
    client = HandClient()
    client.open(media=[EXTERNAL], inputVariables={"customerTier": "gold"})
    parameters = the_event(client.new_events(), OpenRequested).parameters
    assert parameters.input_variables == {"customerTier": "gold"}
    assert client.accept(media=EXTERNAL_MEDIA)[0]["parameters"]["media"] == [EXTERNAL]


def test_output_variables_of_a_server_have_no_effect() -> None:
    server = client_in(ClientState.OPEN)
    parameters = {"reason": "completed", "outputVariables": {"intent": "billing"}}
    assert kinds(server.say("disconnect", parameters)) == ["close"]


def test_audio_from_the_server_is_refused() -> None:
    server = client_in(ClientState.OPEN)
    error, close = server.binary(b"\xff" * 1600)
    assert error["parameters"]["code"] == 415
    assert close["parameters"]["reason"] == "error"
    assert the_event(server.new_events(), PeerViolated).message_type == "binary"


@pytest.mark.parametrize(
    ("asked", "answer"), [(True, ["en-US", "de-DE", "fr-CA"]), (False, None), (None, None)]
)
def test_languages_are_told_where_they_are_asked_for(
    asked: bool | None, answer: list[str] | None
) -> None:
    client = HandClient()
    client.open(**({} if asked is None else {"supportedLanguages": asked}))
    (opened,) = client.accept(supported_languages=["en-US", "de-DE", "fr-CA"])
    assert opened["parameters"].get("supportedLanguages") == answer


def test_languages_are_language_codes() -> None:
    client = HandClient()
    client.open(supportedLanguages=True)
    with pytest.raises(LocalProtocolError):
        client.session.accept(
            client.now_ns, media=STEREO_MEDIA, supported_languages=["English, please"]
        )
    assert client.session.state is ServerState.OPENING
    assert kinds(client.accept(supported_languages=["en-US"])) == ["opened"]


def test_the_client_asks_for_languages_and_reports_them() -> None:
    server = client_in(ClientState.PREPARING)
    (opening,) = server.open(parameters=sample_open(supported_languages=True))
    assert opening["parameters"]["supportedLanguages"] is True
    server.opened(supportedLanguages=["en-US", "es-419"])
    assert the_event(server.new_events(), SessionOpened).supported_languages == ("en-US", "es-419")


def test_a_client_told_not_to_be_sent_events_says_so_and_goes_on() -> None:
    client = server_in(ServerState.ACTIVE)
    client.session.send_entities([Entity.of(BargeIn())], client.now_ns)
    assert kinds(client.read()) == ["event"]
    client.say("error", {"code": 400, "message": "event messages are not allowed"})
    assert the_event(client.new_events(), ErrorReported).code == 400
    assert client.session.state is ServerState.ACTIVE


@pytest.mark.parametrize(
    ("offer", "selected", "size"),
    [
        (STEREO, STEREO_MEDIA, 2),
        (EXTERNAL, EXTERNAL_MEDIA, 1),
        (INTERNAL, INTERNAL_MEDIA, 1),
        (media("external", "internal", media_format="L16"), L16_MEDIA, 4),
    ],
)
def test_the_selected_offer_is_told_unmodified_and_counts_the_samples(
    offer: dict[str, object], selected: object, size: int
) -> None:
    client = HandClient()
    client.open(media=[media("internal", "external"), offer])
    (opened,) = client.accept(media=selected)
    assert opened["parameters"]["media"] == [offer]
    client.audio(100, frame_bytes=size)
    assert client.session.position == 100
    assert client.session.media == selected


def test_media_that_were_not_offered_cannot_be_selected() -> None:
    client = HandClient()
    client.open(media=[media("internal", "external"), EXTERNAL])
    for other in (STEREO_MEDIA, INTERNAL_MEDIA, L16_MEDIA):
        with pytest.raises(LocalProtocolError):
            client.session.accept(client.now_ns, media=other)
    with pytest.raises(LocalProtocolError):
        client.session.accept(client.now_ns, media=EXTERNAL_MEDIA, discard_to=-1)
    assert client.read() == []
    assert client.session.state is ServerState.OPENING
    assert kinds(client.accept(media=EXTERNAL_MEDIA)) == ["opened"]


def test_a_frame_the_client_sends_is_whole_samples_of_at_most_64000_bytes() -> None:
    server = client_in(ClientState.OPEN)
    for size in (0, 1, 321, 64_002):
        with pytest.raises(LocalProtocolError, match="bytes"):
            server.session.send_audio(b"\xff" * size, server.now_ns)
    assert server.session.position == 0
    assert kinds(server.audio(32_000)) == ["audio"]


def test_custom_configuration_has_a_limit_of_its_own() -> None:
    server = client_in(ClientState.PREPARING)
    room = 60_000 - len('{"pad":""}')
    with pytest.raises(LocalProtocolError, match="60001 bytes; at most 60000"):
        server.session.open(sample_open(custom_config={"pad": "x" * (room + 1)}), 0, position=80)
    with pytest.raises(LocalProtocolError):
        server.session.open(sample_open(), 0, position=-1)
    assert server.session.state is ClientState.PREPARING
    assert server.session.position == 0
    assert kinds(server.open(parameters=sample_open(custom_config={"pad": "x" * room}))) == ["open"]


@pytest.mark.parametrize("language", ["", "english, please", "en_US", "x" * 65])
def test_an_update_names_a_language_code(language: str) -> None:
    server = client_in(ClientState.OPEN)
    with pytest.raises(LocalProtocolError):
        server.session.update(language, server.now_ns)
    assert server.read() == []
