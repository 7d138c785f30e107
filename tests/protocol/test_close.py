"""The close transaction (protocol section 10.5), and the loss of the socket at any point."""

from __future__ import annotations

import pytest
from tests.support.by_hand import SECOND, HandClient, HandServer, client_in, kinds, server_in

from openaudiohook.exceptions import LocalProtocolError, SessionClosed
from openaudiohook.protocol.entities import Entity
from openaudiohook.protocol.events import (
    AudioFrame,
    CloseRequested,
    DisconnectRequested,
    EntitiesReceived,
    SessionEnded,
)
from openaudiohook.protocol.types import (
    ClientState,
    CloseReason,
    DisconnectReason,
    ErrorCode,
    ServerState,
)
from openaudiohook.testing.assertions import assert_ended_once, events_of, the_event

pytestmark = pytest.mark.unit

EVENT = {"entities": [{"type": "com.example.last", "data": {"n": 1}}]}

# The client ----------------------------------------------------------------------------------


def test_no_audio_and_nothing_else_is_sent_after_close() -> None:
    server = client_in(ClientState.OPEN)
    server.audio(80)
    server.session.close(server.now_ns)
    for intent in (
        lambda: server.session.send_audio(b"\xff" * 160, server.now_ns),
        lambda: server.session.drop_audio(80, server.now_ns),
        lambda: server.session.pause(server.now_ns),
        lambda: server.session.update("fr-CA", server.now_ns),
        lambda: server.session.close(server.now_ns),
        lambda: server.session.fail(ErrorCode.INTERNAL, "x", server.now_ns),
    ):
        with pytest.raises(LocalProtocolError):
            intent()
    (close,) = server.read()
    assert (close["type"], close["parameters"], close["position"]) == (
        "close",
        {"reason": "end"},
        "PT0.01S",
    )
    assert not server.session.is_flowing


def test_events_after_close_still_reach_the_application() -> None:
    server = client_in(ClientState.CLOSING)
    server.say("event", EVENT)
    assert kinds(server.say("closed")) == ["CLOSE"]
    assert [type(event) for event in server.new_events()] == [EntitiesReceived]


def test_closed_is_answered_with_the_closing_handshake_and_nothing_follows() -> None:
    server = client_in(ClientState.CLOSING)
    (gone,) = server.say("closed")
    assert gone.code == 1000
    assert server.session.state is ClientState.CLOSED
    assert server.say("event", EVENT) == []
    assert server.say("closed") == []
    server.gone(1000)
    assert assert_ended_once(server.new_events()) == SessionEnded(
        reason=CloseReason.END, is_clean=True, position=0
    )


def test_what_closed_holds_besides_has_no_effect() -> None:
    server = client_in(ClientState.CLOSING)
    assert kinds(server.say("closed", {"summary": "long", "outputVariables": {"n": 7}})) == [
        "CLOSE"
    ]


@pytest.mark.parametrize("state", [ClientState.PREPARING, ClientState.OPENING, ClientState.OPEN])
def test_disconnect_is_answered_with_close(state: ClientState) -> None:
    server = client_in(state)
    (close,) = server.say("disconnect", {"reason": "completed", "info": "done"})
    assert (close["type"], close["parameters"]) == ("close", {"reason": "disconnect"})
    assert the_event(server.new_events(), DisconnectRequested) == DisconnectRequested(
        DisconnectReason.COMPLETED, "done"
    )
    server.say("closed")
    server.gone(1000)
    assert assert_ended_once(server.new_events()).reason is CloseReason.DISCONNECT


@pytest.mark.parametrize("reason", list(DisconnectReason))
def test_every_reason_to_disconnect_is_reported(reason: DisconnectReason) -> None:
    server = client_in(ClientState.OPENING)
    server.say("disconnect", {"reason": reason.value})
    assert the_event(server.new_events(), DisconnectRequested).reason is reason


def test_disconnect_that_crosses_close_is_ignored() -> None:
    server = client_in(ClientState.CLOSING)
    assert server.say("disconnect", {"reason": "completed"}) == []
    assert events_of(server.new_events(), DisconnectRequested) == []
    assert kinds(server.say("closed")) == ["CLOSE"]


def test_a_failure_of_our_own_is_told_before_close() -> None:
    server = client_in(ClientState.OPEN)
    server.session.fail(ErrorCode.UNAVAILABLE, "shutting down", server.now_ns)
    error, close = server.read()
    assert error["parameters"] == {"code": 503, "message": "shutting down"}
    assert close["parameters"] == {"reason": "error"}
    server.say("closed")
    server.gone(1000)
    assert assert_ended_once(server.new_events()).reason is CloseReason.ERROR


def test_a_failure_whose_text_does_not_fit_changes_nothing() -> None:
    server = client_in(ClientState.OPEN)
    with pytest.raises(LocalProtocolError):
        server.session.fail(ErrorCode.INTERNAL, "x" * 64_000, server.now_ns)
    assert server.session.state is ClientState.OPEN
    server.session.close(server.now_ns, reason=CloseReason.RECONNECT)
    (close,) = server.read()
    assert (close["parameters"], close["seq"]) == ({"reason": "reconnect"}, 2)


# The server ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state",
    [
        ServerState.PREPARING,
        ServerState.OPENING,
        ServerState.ACTIVE,
        ServerState.PAUSED,
        ServerState.SIGNALED_ERROR,
        ServerState.UNAUTHORIZED,
    ],
)
def test_close_in_every_state_is_answered_with_closed_and_the_socket_stays(
    state: ServerState,
) -> None:
    client = server_in(state)
    client.say("close", {"reason": "end"})
    assert the_event(client.new_events(), CloseRequested) == CloseRequested(CloseReason.END, 0)
    (closed,) = client.finish()
    assert (closed["type"], closed["parameters"]) == ("closed", {})
    assert closed["clientseq"] == client.seq
    assert client.session.state is ServerState.CLOSED
    client.gone(1000)
    assert assert_ended_once(client.new_events()).is_clean


def test_closed_after_opened_alone_is_number_two() -> None:
    client = server_in(ServerState.ACTIVE)
    client.say("close", {"reason": "end"})
    assert client.finish()[0]["seq"] == 2


@pytest.mark.parametrize("parameters", [{}, {"reason": "later"}, {"reason": None}])
def test_close_without_a_known_reason_is_answered_too(parameters: dict[str, str]) -> None:
    client = server_in(ServerState.ACTIVE)
    client.say("close", parameters)
    assert the_event(client.new_events(), CloseRequested).reason is None
    assert kinds(client.finish()) == ["closed"]


def test_the_last_results_may_be_sent_after_close_and_none_after_finish() -> None:
    client = server_in(ServerState.ACTIVE)
    client.say("close", {"reason": "end"})
    client.session.send_entities([Entity(type="x", data=1)], client.now_ns)
    assert kinds(client.read()) == ["event"]
    client.session.send_entities([Entity(type="x", data=2)], client.now_ns)
    client.session.finish(client.now_ns)
    with pytest.raises(LocalProtocolError):
        client.session.send_entities([Entity(type="x", data=3)], client.now_ns)
    with pytest.raises(LocalProtocolError):
        client.session.finish(client.now_ns)
    assert kinds(client.read()) == ["event", "closed"]


@pytest.mark.parametrize("state", [ServerState.PREPARING, ServerState.OPENING])
def test_no_results_are_sent_in_a_session_that_was_never_opened(state: ServerState) -> None:
    client = server_in(state)
    client.say("close", {"reason": "end"})
    with pytest.raises(LocalProtocolError):
        client.session.send_entities([Entity(type="x", data=1)], client.now_ns)
    assert kinds(client.finish()) == ["closed"]


def test_audio_goes_on_between_our_disconnect_and_close() -> None:
    client = server_in(ServerState.ACTIVE)
    client.session.disconnect(client.now_ns)
    assert kinds(client.audio(80)) == ["disconnect"]
    assert events_of(client.new_events(), AudioFrame)
    assert client.session.state is ServerState.ACTIVE
    for again in (client.session.disconnect, client.session.reconnect):
        with pytest.raises(LocalProtocolError):
            again(client.now_ns)
    assert client.read() == []


def test_the_position_of_close_is_the_last_word_on_where_the_stream_ended() -> None:
    client = server_in(ServerState.ACTIVE)
    client.audio(800)
    client.position = 4000
    client.say("close", {"reason": "end"})
    assert the_event(client.new_events(), CloseRequested).position == 4000
    client = server_in(ServerState.ACTIVE)
    client.audio(800)
    client.say("close", {"reason": "end"}, position="PT0S")
    assert the_event(client.new_events()[1:], CloseRequested).position == 800
    client = server_in(ServerState.ACTIVE)
    client.say("close", {"reason": "end"}, position="PT900000000S")
    assert the_event(client.new_events(), CloseRequested).position == 0


# The socket is lost --------------------------------------------------------------------------


@pytest.mark.parametrize("code", [None, 1000, 1001, 1005, 1006, 1011])
@pytest.mark.parametrize("state", [state for state in ServerState if state != "disconnected"])
def test_the_server_reports_its_end_once_wherever_the_socket_is_lost(
    state: ServerState, code: int | None
) -> None:
    client = server_in(state)
    client.gone(code)
    client.gone(1006)
    client.say("ping")
    client.audio(80)
    client.text(b"{")
    client.session.receive_oversize(client.now_ns, is_text=False)
    assert client.read() == []
    assert client.session.next_deadline_ns() is None
    assert client.session.state is ServerState.DISCONNECTED
    ended = assert_ended_once(client.new_events())
    assert ended.is_clean is (state is ServerState.CLOSED)


@pytest.mark.parametrize("code", [None, 1000, 1006])
@pytest.mark.parametrize("state", [state for state in ClientState if state != "disconnected"])
def test_the_client_reports_its_end_once_wherever_the_socket_is_lost(
    state: ClientState, code: int | None
) -> None:
    server = client_in(state)
    server.gone(code)
    server.gone(code)
    server.say("pong")
    server.binary(b"\xff")
    server.session.receive_oversize(server.now_ns, is_text=True)
    assert server.read() == []
    assert server.session.next_deadline_ns() is None
    assert server.session.state is ClientState.DISCONNECTED
    ended = assert_ended_once(server.new_events())
    assert ended.is_clean is (state is ClientState.CLOSED)


def test_what_was_queued_when_the_socket_was_lost_is_not_sent() -> None:
    client = server_in(ServerState.ACTIVE)
    client.session.send_entities([Entity(type="x", data=1)], client.now_ns)
    client.session.pause(client.now_ns)
    assert client.gone() == []
    server = client_in(ClientState.OPEN)
    server.session.update("fr-CA", server.now_ns)
    assert server.gone() == []


def test_nothing_follows_the_close_of_the_connection() -> None:
    client = server_in(ServerState.ACTIVE)
    for number in range(100):  # more than pacing lets out in time
        client.session.send_entities([Entity(type="x", data="x" * 40_000)], client.now_ns)
        client.put("ping" if number % 40 == 39 else "metrics")
    client.wait(30 * SECOND)
    client.session.events()
    assert kinds(client.heard)[-1] == "CLOSE"
    assert kinds(client.heard).count("event") < 100
    assert client.wait(30 * SECOND) == []


def ended(hand: HandClient | HandServer) -> SessionClosed:
    with pytest.raises(SessionClosed) as caught:
        if isinstance(hand, HandClient):
            hand.session.pause(hand.now_ns)
        else:
            hand.session.close(hand.now_ns)
    return caught.value


def test_using_a_session_after_its_end_tells_how_and_where_it_ended() -> None:
    server = client_in(ClientState.OPEN)
    server.audio(8000)
    server.session.close(server.now_ns)
    server.read()
    server.say("closed")
    error = ended(server)
    assert (error.reason, error.position_ns) == ("end", 1_000_000_000)
    client = server_in(ServerState.ACTIVE)
    client.gone()
    assert ended(client).reason == "connection lost"
    client = server_in(ServerState.ACTIVE)
    client.wait(15_000_000_000)
    assert ended(client).reason == "ping"
