"""The timers of protocol section 10.3, by handing the sessions other times."""

from __future__ import annotations

import pytest
from tests.support.by_hand import MS, SECOND, HandClient, HandServer, client_in, kinds, server_in

from openaudiohook.exceptions import LocalProtocolError
from openaudiohook.protocol.client import ClientTimers, Place
from openaudiohook.protocol.events import (
    CloseRequested,
    PeerViolated,
    PingReceived,
    PongReceived,
    SessionEnded,
)
from openaudiohook.protocol.server import ServerTimers
from openaudiohook.protocol.trace import Trace
from openaudiohook.protocol.types import ClientState, ServerState
from openaudiohook.testing.assertions import assert_ended_once, events_of, the_event

pytestmark = pytest.mark.unit

# The client ----------------------------------------------------------------------------------


def test_opened_is_awaited_for_five_seconds() -> None:
    server = client_in(ClientState.OPENING)
    assert server.wait(5 * SECOND - 1) == []
    error, close = server.wait(1)
    assert error["parameters"]["code"] == 408
    assert close["parameters"] == {"reason": "error"}
    assert server.session.state is ClientState.CLOSING_ERROR
    violation = the_event(server.unread_events(), PeerViolated)
    assert (violation.code, violation.message_type, violation.is_fatal) == (408, "opened", True)
    server.say("closed")
    server.gone(1000)
    assert assert_ended_once(server.new_events()).timed_out == "open"


def test_opened_in_time_stops_the_wait() -> None:
    server = client_in(ClientState.OPENING)
    server.wait(5 * SECOND - 1)
    server.opened()
    assert kinds(server.wait(SECOND)) == ["ping"]


def test_nothing_is_awaited_before_open() -> None:
    server = client_in(ClientState.PREPARING)
    assert server.session.next_deadline_ns() is None
    assert server.wait(3600 * SECOND) == []


def test_pings_come_after_one_second_at_once_and_every_five() -> None:
    server = client_in(ClientState.OPENING)
    opened_ns = server.now_ns
    server.opened()
    server.begin()
    assert server.wait(SECOND - 1) == []
    (first,) = server.wait(1)
    assert (first["type"], first["parameters"]) == ("ping", {})
    server.wait(43 * MS)
    (second,) = server.say("pong")
    assert (second["type"], second["parameters"]) == ("ping", {"rtt": "PT0.043S"})
    server.wait(20 * MS)
    assert server.say("pong") == []
    sent = []
    for _ in range(3):
        (ping,) = server.wait(server.session.next_deadline_ns() - server.now_ns)
        sent.append((server.now_ns - opened_ns, ping["parameters"]["rtt"]))
        server.wait(7 * MS)
        server.say("pong")
    assert sent == [
        (6 * SECOND, "PT0.02S"),
        (11 * SECOND, "PT0.007S"),
        (16 * SECOND, "PT0.007S"),
    ]
    assert events_of(server.new_events(), PongReceived) == [
        PongReceived(ns * MS) for ns in (43, 20, 7, 7, 7)
    ]


def test_a_ping_carries_the_position() -> None:
    server = client_in(ClientState.OPEN)
    server.audio(8000)
    assert server.wait(SECOND)[0]["position"] == "PT1S"
    server.session.pause(server.now_ns)
    server.drop(1)
    server.read()
    assert server.say("pong")[0]["position"] == "PT1.000125S"


def answer_pings(server: HandServer, count: int) -> None:
    while count:
        if kinds(server.wait(SECOND // 10)) == ["ping"]:
            count -= 1
            if server.say("pong"):  # the first pong is answered with the second ping
                count -= 1
                server.say("pong")


def test_a_ping_unanswered_when_the_next_is_due_ends_the_session() -> None:
    server = client_in(ClientState.OPEN)
    answer_pings(server, 3)
    due_ns = server.session.next_deadline_ns() - server.now_ns
    assert kinds(server.wait(due_ns)) == ["ping"]
    assert server.wait(5 * SECOND - 1) == []
    error, close = server.wait(1)
    assert error["parameters"]["code"] == 408
    assert close["parameters"] == {"reason": "error"}
    violation = the_event(server.unread_events(), PeerViolated)
    assert (violation.code, violation.message_type) == (408, "pong")
    server.gone()
    ended = assert_ended_once(server.new_events())
    assert (ended.timed_out, ended.is_clean, ended.reason) == ("pong", False, "error")


def test_the_first_ping_unanswered_ends_the_session_too() -> None:
    server = client_in(ClientState.OPEN)
    assert kinds(server.wait(6 * SECOND)) == ["ping", "error", "close"]


def test_a_pong_just_in_time_keeps_the_session() -> None:
    server = client_in(ClientState.OPEN)
    server.wait(SECOND)
    server.wait(5 * SECOND - 1)
    assert kinds(server.say("pong")) == ["ping"]
    server.say("pong")
    assert kinds(server.wait(1)) == ["ping"]


def test_a_ping_that_is_due_soon_may_go_early_and_the_schedule_stays() -> None:
    server = client_in(ClientState.OPEN)
    answer_pings(server, 3)
    session, due_ns = server.session, server.session.next_deadline_ns()
    assert due_ns is not None
    server.wait(due_ns - 50 * MS - server.now_ns)
    assert session.ping_early(server.now_ns, before_ns=due_ns) == due_ns
    assert server.read() == []
    assert session.ping_early(server.now_ns, before_ns=due_ns + 1) == due_ns + 5 * SECOND
    assert kinds(server.read()) == ["ping"]
    # It is on its way: another one is not sent early, and what is missed is told at its time.
    later_ns = server.now_ns + 60 * SECOND
    assert session.ping_early(server.now_ns, before_ns=later_ns) == due_ns + 5 * SECOND
    assert server.wait(due_ns + 5 * SECOND - 1 - server.now_ns) == []
    assert kinds(server.wait(1)) == ["error", "close"]


def test_there_are_no_early_pings_before_opened_nor_after_the_end() -> None:
    server = client_in(ClientState.OPENING)
    assert server.session.ping_early(server.now_ns, before_ns=server.now_ns + SECOND) is None
    server = client_in(ClientState.OPEN)
    server.session.close(server.now_ns)
    server.read()
    assert server.session.ping_early(server.now_ns, before_ns=1 << 62) is None
    assert server.read() == []


def test_after_a_stall_of_our_own_a_ping_still_has_its_time_to_be_answered() -> None:
    server = client_in(ClientState.OPEN)
    answer_pings(server, 2)
    server.now_ns += 60 * SECOND  # nobody woke the session
    server.session.handle_deadline(server.now_ns)
    assert kinds(server.read()) == ["ping"]
    assert server.session.next_deadline_ns() == server.now_ns + 5 * SECOND


def test_no_pings_in_the_close_transaction() -> None:
    server = client_in(ClientState.OPEN)
    server.session.close(server.now_ns)
    assert kinds(server.read()) == ["close"]
    assert server.wait(10 * SECOND - 1) == []


@pytest.mark.parametrize("state", [ClientState.CLOSING, ClientState.CLOSING_ERROR])
def test_closed_is_awaited_for_ten_seconds_then_the_socket_is_closed(state: ClientState) -> None:
    server = client_in(state)
    assert server.wait(10 * SECOND - 1) == []
    answer = server.wait(1)
    assert kinds(answer) == ["error", "CLOSE"]
    assert answer[0]["parameters"]["code"] == 408
    violation = the_event(server.unread_events(), PeerViolated)
    assert (violation.code, violation.message_type, violation.is_fatal) == (408, "closed", True)
    assert server.session.state is ClientState.CLOSED
    assert server.session.next_deadline_ns() is None
    server.gone(1000)
    ended = assert_ended_once(server.new_events())
    assert (ended.is_clean, ended.timed_out) == (False, "close")


def test_events_do_not_prolong_the_wait_for_closed() -> None:
    server = client_in(ClientState.CLOSING)
    server.wait(9 * SECOND)
    server.say("event", {"entities": [{"type": "x", "data": {}}]})
    assert kinds(server.wait(SECOND)) == ["error", "CLOSE"]


def test_the_client_waits_as_long_as_it_is_told() -> None:
    timers = ClientTimers(
        open_ns=2 * SECOND, first_ping_ns=3 * SECOND, ping_ns=7 * SECOND, close_ns=4 * SECOND
    )
    server = HandServer(timers=timers)
    server.open()
    assert server.session.next_deadline_ns() == 2 * SECOND
    server.opened()
    assert server.session.next_deadline_ns() == 3 * SECOND
    server.wait(3 * SECOND)
    assert server.session.next_deadline_ns() == 10 * SECOND
    server.session.close(server.now_ns)
    assert server.session.next_deadline_ns() == 7 * SECOND


# The server ----------------------------------------------------------------------------------


def test_open_is_awaited_for_ten_seconds() -> None:
    client = HandClient(now_ns=77)
    assert client.wait(10 * SECOND - 1) == []
    (disconnect,) = client.wait(1)
    assert disconnect["type"] == "disconnect"
    assert disconnect["parameters"]["reason"] == "error"
    assert (disconnect["seq"], disconnect["clientseq"]) == (1, 0)
    assert client.session.state is ServerState.SIGNALED_ERROR
    violation = the_event(client.unread_events(), PeerViolated)
    assert (violation.code, violation.message_type) == (408, "open")
    assert kinds(client.wait(10 * SECOND)) == ["CLOSE"]
    client.gone(1000)
    assert assert_ended_once(client.new_events()).timed_out == "open"


def test_a_late_open_after_the_wait_is_ignored_and_close_is_answered() -> None:
    client = HandClient()
    client.wait(10 * SECOND)
    assert client.open() == []
    client.say("close", {"reason": "disconnect"})
    assert kinds(client.finish()) == ["closed"]


def test_open_in_time_stops_the_wait_and_the_application_may_take_its_time() -> None:
    client = HandClient()
    client.open()
    assert client.session.next_deadline_ns() is None


@pytest.mark.parametrize("state", [ServerState.ACTIVE, ServerState.PAUSED])
def test_a_session_without_pings_for_three_intervals_is_lost(state: ServerState) -> None:
    client = server_in(state)
    client.audio(80) if state is ServerState.ACTIVE else client.say("update", {})
    assert client.wait(15 * SECOND - 1) == []
    (gone,) = client.wait(1)
    assert gone.code == 1000
    assert client.session.state is ServerState.CLOSED
    assert client.session.next_deadline_ns() is None
    client.gone(1006)
    ended = assert_ended_once(client.new_events())
    assert (ended.is_clean, ended.timed_out) == (False, "ping")


def test_each_ping_gives_fifteen_seconds_more() -> None:
    client = server_in(ServerState.ACTIVE)
    for _ in range(4):
        client.wait(14 * SECOND)
        assert kinds(client.say("ping", {"rtt": "PT0.02S"})) == ["pong"]
    assert client.session.state is ServerState.ACTIVE
    assert events_of(client.new_events(), PingReceived)[-1] == PingReceived(20 * MS, 0)


@pytest.mark.parametrize(
    "state", [ServerState.PREPARING, ServerState.OPENING, ServerState.ACTIVE, ServerState.PAUSED]
)
def test_close_is_awaited_for_ten_seconds_after_our_disconnect(state: ServerState) -> None:
    client = server_in(state)
    client.session.disconnect(client.now_ns)
    assert kinds(client.read()) == ["disconnect"]
    assert client.wait(10 * SECOND - 1) == []
    (gone,) = client.wait(1)
    assert gone.code == 1000
    client.gone(1000)
    ended = assert_ended_once(client.new_events())
    assert (ended.is_clean, ended.timed_out, ended.reason) == (False, "close", None)


def test_close_is_awaited_for_ten_seconds_after_a_violation() -> None:
    client = server_in(ServerState.ACTIVE)
    client.text(b"{")
    assert client.wait(10 * SECOND - 1) == []
    assert kinds(client.wait(1)) == ["CLOSE"]


def test_what_arrives_does_not_prolong_the_wait_for_close() -> None:
    client = server_in(ServerState.ACTIVE)
    client.text(b"{")
    client.wait(9 * SECOND)
    client.say("ping")
    assert kinds(client.wait(SECOND)) == ["CLOSE"]


def test_close_in_time_stops_the_waits_and_leaves_the_last_results_their_time() -> None:
    client = server_in(ServerState.ACTIVE)
    client.session.disconnect(client.now_ns)
    client.read()
    client.say("close", {"reason": "disconnect"})
    the_event(client.new_events(), CloseRequested)
    assert client.session.next_deadline_ns() is None
    client.wait(9 * SECOND)
    assert kinds(client.finish()) == ["closed"]


def test_the_socket_is_closed_five_seconds_after_closed() -> None:
    client = server_in(ServerState.CLOSED)
    assert client.wait(5 * SECOND - 1) == []
    (gone,) = client.wait(1)
    assert gone.code == 1000
    client.gone(1000)
    ended = assert_ended_once(client.new_events())
    assert (ended.is_clean, ended.timed_out) == (True, "linger")


def test_a_client_that_closes_the_socket_itself_times_nothing_out() -> None:
    client = server_in(ServerState.CLOSED)
    client.gone(1005)
    ended = assert_ended_once(client.new_events())
    assert ended == SessionEnded(reason="end", is_clean=True, position=0, timed_out=None)
    assert client.session.next_deadline_ns() is None


def test_the_server_waits_as_long_as_it_is_told() -> None:
    timers = ServerTimers(
        open_ns=1 * SECOND, ping_ns=2 * SECOND, close_ns=3 * SECOND, linger_ns=4 * SECOND
    )
    client = HandClient(timers=timers)
    assert client.session.next_deadline_ns() == 1 * SECOND
    client.open()
    client.accept()
    assert client.session.next_deadline_ns() == 2 * SECOND
    client.session.disconnect(client.now_ns)
    client.read()
    client.wait(SECOND)
    client.say("ping")
    client.wait(SECOND)
    assert client.session.next_deadline_ns() == 3 * SECOND
    client.say("close", {"reason": "disconnect"})
    client.finish()
    assert client.session.next_deadline_ns() == client.now_ns + 4 * SECOND


def test_waking_a_session_early_changes_nothing() -> None:
    for hand in (server_in(ServerState.ACTIVE), client_in(ClientState.OPEN)):
        deadline_ns = hand.session.next_deadline_ns()
        hand.session.handle_deadline(deadline_ns - 1)
        assert hand.read() == []
        assert hand.session.next_deadline_ns() == deadline_ns


def test_a_ping_says_the_same_where_it_is_traced() -> None:
    plain, traced = client_in(ClientState.OPENING), client_in(ClientState.OPENING)
    trace = traced.session.trace = Trace(session_id=traced.session.session_id)
    said = []
    for server in (plain, traced):
        server.opened()
        server.begin()
        pings = server.wait(SECOND)
        server.wait(43 * MS)
        pings += server.say("pong")
        server.say("pong")
        pings += server.wait(5 * SECOND)
        said.append(pings)
    assert said[0] == said[1]
    assert [ping["type"] for ping in said[0]] == ["ping"] * 3
    assert sum("ping" in str(record) for record in trace.drain()) >= 3


def test_sessions_move_together_until_one_moves_by_itself() -> None:
    staying, leaving = (client_in(ClientState.OPEN).session for _ in range(2))
    place = Place(staying.position)
    staying.move_with(place)
    leaving.move_with(place)
    place.position += 800
    assert (staying.position, leaving.position) == (800, 800)
    leaving.position = 900
    assert (staying.position, leaving.position, place.position) == (800, 900, 800)
    with pytest.raises(LocalProtocolError, match="from one position on"):
        leaving.move_with(place)
    assert leaving.position == 900
