"""The server keeps the limits of protocol section 13.1; the client enforces them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.by_hand import MS, SECOND, HandClient, HandServer, client_in, kinds, server_in

from openaudiohook.exceptions import LocalProtocolError
from openaudiohook.protocol.entities import Entity
from openaudiohook.protocol.events import (
    EntitiesReceived,
    MessageIgnored,
    PauseRequested,
    PeerViolated,
    SessionEnded,
    UpdateConfirmed,
)
from openaudiohook.protocol.types import ClientState, DisconnectReason, ServerState
from openaudiohook.testing.assertions import assert_ended_once, events_of

pytestmark = pytest.mark.unit

EVENT: dict[str, Any] = {"entities": [{"type": "com.example.x", "data": {}}]}


def entity(number: int = 0, *, size: int = 0) -> Entity:
    return Entity(type="com.example.x", data={"n": number, "pad": "x" * size})


# The server paces itself ---------------------------------------------------------------------


def timeline(client: HandClient, ns: int) -> list[tuple[int, str]]:
    """What is sent within a time, and when."""
    start_ns, sent = client.now_ns, [(client.now_ns, kind) for kind in kinds(client.read())]
    end_ns = start_ns + ns
    while (due := client.session.next_deadline_ns()) is not None and due <= end_ns:
        client.now_ns = due
        client.session.handle_deadline(due)
        sent += [(due, kind) for kind in kinds(client.read())]
    client.now_ns = end_ns
    return [(at - start_ns, kind) for at, kind in sent]


def test_entities_given_together_travel_in_one_event() -> None:
    client = server_in(ServerState.ACTIVE)
    client.session.send_entities([entity(1), entity(2)], client.now_ns)
    client.session.send_entities([entity(3)], client.now_ns)
    (event,) = client.read()
    assert [item["data"]["n"] for item in event["parameters"]["entities"]] == [1, 2, 3]


def test_entities_keep_their_order_and_none_is_lost_however_many() -> None:
    client = server_in(ServerState.ACTIVE)
    for number in range(500):
        client.session.send_entities([entity(number, size=3_000)], client.now_ns)
    client.wait(10 * SECOND)
    events = [item for item in client.heard if item["type"] == "event"]
    seen = [one["data"]["n"] for item in events for one in item["parameters"]["entities"]]
    assert seen == list(range(500))


def test_no_message_is_over_64000_bytes_and_big_entities_get_their_own() -> None:
    client = server_in(ServerState.ACTIVE)
    client.session.send_entities([entity(n, size=40_000) for n in range(3)], client.now_ns)
    sizes = [len(outgoing.data) for outgoing in client.session.data_to_send(client.now_ns)]
    assert len(sizes) == 3
    assert max(sizes) <= 64_000


def test_entities_that_fill_a_message_exactly_are_sent() -> None:
    client = server_in(ServerState.ACTIVE)
    client.session.send_entities([entity(size=63_000), entity(size=630)], client.now_ns)
    assert all(len(one.data) <= 64_000 for one in client.session.data_to_send(client.now_ns))


@pytest.mark.parametrize("bad", [entity(size=64_000), Entity(type="x", data=object())])
def test_entities_are_queued_all_or_none(bad: Entity) -> None:
    client = server_in(ServerState.ACTIVE)
    with pytest.raises(LocalProtocolError, match="entity of type"):
        client.session.send_entities([entity(), bad], client.now_ns)
    assert client.read() == []


def test_no_entities_are_no_event() -> None:
    client = server_in(ServerState.ACTIVE)
    client.session.send_entities([], client.now_ns)
    assert client.read() == []


def test_events_are_sent_at_five_a_second_after_a_burst() -> None:
    client = server_in(ServerState.ACTIVE)
    sent: list[int] = []
    for step in range(400):  # 20 s, an entity each 50 ms
        client.session.send_entities([entity(step)], client.now_ns)
        start_ns = client.now_ns
        sent += [start_ns + at for at, kind in timeline(client, 50 * MS) if kind == "event"]
        if step % 100 == 0:
            client.say("ping")
    for first, _ in enumerate(sent):
        within = [at for at in sent[first:] if at < sent[first] + SECOND]
        assert len(within) <= 26
    assert 100 <= len(sent) <= 20 * 5 + 25


def test_a_pong_never_waits_behind_events() -> None:
    client = server_in(ServerState.ACTIVE)
    for number in range(200):
        client.session.send_entities([entity(number, size=40_000)], client.now_ns)
    client.read()
    for _ in range(10):
        assert "pong" in kinds(client.say("ping"))[:1]
        client.wait(5 * SECOND)


def test_what_must_be_said_goes_before_events() -> None:
    client = server_in(ServerState.ACTIVE)
    for number in range(40):
        client.session.send_entities([entity(number, size=40_000)], client.now_ns)
    client.session.disconnect(client.now_ns)
    assert kinds(client.read())[0] == "disconnect"
    assert kinds(client.say("update", {"language": "fr-CA"}))[:1] == ["updated"]


def test_after_a_violation_events_that_wait_are_not_sent() -> None:
    client = server_in(ServerState.ACTIVE)
    for number in range(40):
        client.session.send_entities([entity(number, size=40_000)], client.now_ns)
    client.read()
    client.session.pause(client.now_ns)
    assert kinds(client.text(b"{")) == ["disconnect"]
    assert client.wait(5 * SECOND) == []


def test_the_last_results_are_sent_before_closed() -> None:
    client = server_in(ServerState.ACTIVE)
    client.session.send_entities([entity(n, size=40_000) for n in range(30)], client.now_ns)
    client.say("close", {"reason": "end"})
    client.finish()
    client.wait(3 * SECOND)
    assert kinds(client.heard).count("event") == 30
    assert kinds(client.heard)[-1] == "closed"


def test_a_wait_for_pacing_is_over_once_everything_was_read() -> None:
    client = server_in(ServerState.ACTIVE)
    pings_due_ns = client.session.next_deadline_ns()
    client.session.send_entities([entity(n, size=40_000) for n in range(20)], client.now_ns)
    assert kinds(client.read()).count("event") == 19
    assert client.session.next_deadline_ns() == client.now_ns + 200 * MS
    client.now_ns += 200 * MS
    assert kinds(client.read()) == ["event"]  # read without being woken
    assert client.session.next_deadline_ns() == pings_due_ns


def test_even_closed_keeps_the_limit_and_waits_no_longer_than_a_token_takes() -> None:
    client = server_in(ServerState.ACTIVE)
    for _ in range(24):
        assert kinds(client.say("update", {"language": "fr-CA"})) == ["updated"]
    client.say("close", {"reason": "end"})
    assert client.finish() == []
    assert client.wait(200 * MS - 1) == []
    assert kinds(client.wait(1)) == ["closed"]


@pytest.mark.parametrize("ask", ["pause", "resume"])
def test_a_wish_that_waits_wakes_the_session_by_itself(ask: str) -> None:
    client = server_in(ServerState.ACTIVE)
    for _ in range(5):
        getattr(client.session, ask)(client.now_ns)
        client.read()
    assert client.wait(500 * MS - 1) == []
    assert kinds(client.wait(1)) == [ask]


@pytest.mark.parametrize("ask", ["pause", "resume"])
def test_pause_and_resume_are_asked_at_two_a_second_after_a_burst_of_four(ask: str) -> None:
    client = server_in(ServerState.ACTIVE)
    sent: list[int] = []
    for _ in range(100):  # 10 s, asked each 100 ms
        getattr(client.session, ask)(client.now_ns)
        start_ns = client.now_ns
        sent += [start_ns + at for at, kind in timeline(client, 100 * MS) if kind == ask]
    assert len(sent) <= 4 + 20
    for first, _ in enumerate(sent[:-4]):
        assert sent[first + 4] - sent[first] >= 500 * MS
    assert len(sent) >= 20


def test_only_the_latest_wish_is_asked_when_many_wait() -> None:
    client = server_in(ServerState.ACTIVE)
    for _ in range(4):
        client.session.pause(client.now_ns)
        client.session.resume(client.now_ns)
        client.session.pause(client.now_ns)
    assert kinds(client.read()) == ["pause"]
    client.session.pause(client.now_ns)
    client.session.resume(client.now_ns)
    assert kinds(client.read()) == ["resume"]
    assert not client.session.is_pause_asked


def test_a_wish_that_still_waits_is_given_up_on_close() -> None:
    client = server_in(ServerState.ACTIVE)
    for _ in range(4):
        client.session.pause(client.now_ns)
        client.read()
    client.session.pause(client.now_ns)
    assert client.read() == []
    client.say("close", {"reason": "end"})
    client.wait(2 * SECOND)
    client.finish()
    assert kinds(client.heard)[-1] == "closed"
    assert kinds(client.heard).count("pause") == 4


def test_a_client_that_floods_with_pings_is_sent_away() -> None:
    client = server_in(ServerState.ACTIVE)
    for _ in range(200):
        client.say("ping")
    client.wait(SECOND)
    events = client.new_events()
    (violation,) = events_of(events, PeerViolated)
    assert (violation.code, violation.message_type) == (429, "ping")
    after = events[events.index(violation) + 1 :]
    assert {type(event) for event in after} == {MessageIgnored}
    assert kinds(client.heard)[-1] == "disconnect"
    assert kinds(client.heard).count("disconnect") == 1
    assert client.session.state is ServerState.SIGNALED_ERROR


def test_a_client_that_floods_with_updates_is_sent_away() -> None:
    client = server_in(ServerState.ACTIVE)
    for _ in range(200):
        client.say("update", {"language": "fr-CA"})
    assert client.session.state is ServerState.SIGNALED_ERROR


def test_info_that_does_not_fit_is_refused_at_once() -> None:
    client = server_in(ServerState.ACTIVE)
    for ask in (client.session.disconnect, client.session.reconnect):
        with pytest.raises(LocalProtocolError):
            ask(client.now_ns, info="x" * 64_000)
    assert client.read() == []
    assert client.session.state is ServerState.ACTIVE
    client.session.disconnect(client.now_ns, reason=DisconnectReason.ERROR, info="x" * 1_000)
    assert kinds(client.read()) == ["disconnect"]


# The client enforces the limits --------------------------------------------------------------


def rate_errors(server: HandServer) -> list[dict[str, Any]]:
    return [
        item["parameters"]
        for item in server.heard
        if isinstance(item, dict) and item["type"] == "error"
    ]


def test_25_messages_at_once_are_accepted_and_the_26th_is_answered_with_429() -> None:
    server = client_in(ClientState.OPEN)
    server.now_ns += SECOND // 2
    for _ in range(25):
        assert server.say("event", EVENT) == []
    (error,) = server.say("event", EVENT)
    assert error["parameters"]["code"] == 429
    assert error["parameters"]["retryAfter"] == "PT0.2S"
    assert server.session.state is ClientState.OPEN
    events = server.new_events()
    assert len(events_of(events, EntitiesReceived)) == 25  # the 26th was dropped
    (violation,) = events_of(events, PeerViolated)
    assert (violation.code, violation.is_fatal) == (429, False)


def test_after_the_wait_it_names_messages_are_accepted_again() -> None:
    server = client_in(ClientState.OPEN)
    while not rate_errors(server):
        server.say("event", EVENT)
    server.now_ns += 200 * MS
    assert server.say("event", EVENT) == []


def test_five_messages_a_second_go_on_without_end() -> None:
    server = client_in(ClientState.OPEN)
    pongs = 0
    for number in range(600):
        server.now_ns += 200 * MS
        server.session.handle_deadline(server.now_ns)
        server.read()
        sent = kinds(server.heard)
        if sent.count("ping") > pongs:
            pongs += 1
            server.say("pong")
        else:
            server.say("event", EVENT)
        assert not rate_errors(server), number
    assert server.session.state is ClientState.OPEN


@pytest.mark.parametrize("ask", ["pause", "resume"])
def test_the_fifth_pause_or_resume_at_once_is_answered_with_429(ask: str) -> None:
    server = client_in(ClientState.OPEN)
    for _ in range(4):
        server.say(ask)
    assert not rate_errors(server)
    (error,) = server.say(ask)
    assert error["parameters"]["code"] == 429
    assert error["parameters"]["retryAfter"] == "PT0.5S"
    server.now_ns += 500 * MS
    assert kinds(server.say(ask)) == ["paused" if ask == "pause" else "resumed"]


def test_a_dropped_pause_does_not_pause() -> None:
    server = client_in(ClientState.OPEN)
    for _ in range(4):
        server.say("pause")
        server.say("resume")
    server.new_events()
    server.say("pause")
    assert not server.session.is_server_paused
    assert events_of(server.new_events(), PauseRequested) == []


def test_answers_the_client_waits_for_are_heard_however_much_was_said() -> None:
    server = client_in(ClientState.OPEN)
    server.wait(SECOND)
    while not rate_errors(server):
        server.say("event", EVENT)
    assert "ping" in kinds(server.say("pong", clientseq=2))
    assert "close" in kinds(server.say("disconnect", {"reason": "completed"}))
    assert kinds(server.say("closed")) == ["CLOSE"]


def test_severe_abuse_ends_the_session_without_a_word() -> None:
    server = client_in(ClientState.OPEN)
    for _ in range(500):
        server.say("event", EVENT)
        if kinds(server.heard)[-1] == "CLOSE":
            break
    assert kinds(server.heard)[-1] == "CLOSE"
    assert "close" not in kinds(server.heard)
    assert server.session.state is ClientState.CLOSING_ERROR
    assert server.session.next_deadline_ns() is None
    assert server.say("event", EVENT) == []
    server.gone(1008)
    events = server.new_events()
    assert events_of(events, PeerViolated)[-1].is_fatal
    assert assert_ended_once(events).is_clean is False


def test_limits_do_not_count_in_the_close_transaction() -> None:
    server = client_in(ClientState.CLOSING)
    for _ in range(60):
        assert server.say("event", EVENT) == []
    assert len(events_of(server.new_events(), EntitiesReceived)) == 60
    assert kinds(server.say("closed")) == ["CLOSE"]
    server.gone(1000)
    assert events_of(server.new_events(), SessionEnded)[0].is_clean


def test_updated_over_the_limit_is_not_reported() -> None:
    server = client_in(ClientState.OPEN)
    while not rate_errors(server):
        server.say("updated")
    assert len(events_of(server.new_events(), UpdateConfirmed)) == 24
