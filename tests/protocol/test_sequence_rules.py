"""The numbers of protocol section 4.2, counted over whole sessions.

What a wrong number does is in test_bad_input; here is that right ones come out.
"""

from __future__ import annotations

import pytest
from tests.support.by_hand import SECOND, HandClient, client_in, kinds, server_in

from openaudiohook.exceptions import RemoteProtocolError
from openaudiohook.protocol._sequence import Sequence
from openaudiohook.protocol.entities import Entity
from openaudiohook.protocol.types import ClientState, ServerState

pytestmark = pytest.mark.unit

X = Entity(type="com.example.x", data={})


def test_the_first_message_of_each_side_is_number_one() -> None:
    client = HandClient()
    client.open()
    (opened,) = client.accept()
    assert (opened["seq"], opened["clientseq"]) == (1, 1)
    server = client_in(ClientState.PREPARING)
    (opening,) = server.open()
    assert (opening["seq"], opening["serverseq"]) == (1, 0)


def test_a_pong_names_its_ping_even_when_more_follows_at_once() -> None:
    client = server_in(ServerState.ACTIVE)
    client.put("ping")
    client.put("update", {"language": "fr-CA"})
    client.put("discarded", {"start": "PT0S", "discarded": "PT0S"})
    client.session.receive_binary(b"\xff" * 320, client.now_ns)
    client.put("ping")
    client.put("close", {"reason": "end"})
    assert [(item["type"], item["clientseq"]) for item in client.read()] == [
        ("pong", 2),
        ("updated", 3),
        ("pong", 5),
    ]
    assert client.finish()[0]["clientseq"] == 6


def test_clientseq_never_goes_back_when_answers_wait() -> None:
    client = server_in(ServerState.ACTIVE)
    client.put("update", {"language": "fr-CA"})
    client.put("ping")
    client.put("dtmf", {"digit": "1"})
    client.session.send_entities([X], client.now_ns)
    acknowledged = [item["clientseq"] for item in client.read()]
    assert acknowledged == sorted(acknowledged)
    assert acknowledged == [2, 3, 4]


def test_audio_and_ignored_messages_leave_no_gap_in_the_numbers() -> None:
    client = server_in(ServerState.ACTIVE)
    client.audio(800)
    client.say("error", {"code": 400, "message": "x"})
    client.say("dtmf", {"digit": "1"})
    client.say("playback_started")
    client.say("metrics")
    client.say("paused")
    client.say("resumed", {"start": "PT0.1S", "discarded": "PT0S"})
    client.say("close", {"reason": "end"})
    (closed,) = client.finish()
    assert (closed["seq"], closed["clientseq"]) == (2, 8)


@pytest.mark.parametrize(
    "kind", ["update", "discarded", "error", "paused", "resumed", "ping", "dtmf", "metrics"]
)
def test_each_message_followed_at_once_by_close_leaves_the_numbers_intact(kind: str) -> None:
    parameters = {
        "update": {"language": "fr-CA"},
        "discarded": {"start": "PT0S", "discarded": "PT0S"},
        "resumed": {"start": "PT0S", "discarded": "PT0S"},
        "error": {"code": 429, "message": "slower", "retryAfter": "PT3S"},
        "dtmf": {"digit": "#"},
    }
    client = server_in(ServerState.ACTIVE)
    client.put(kind, parameters.get(kind))
    client.put("close", {"reason": "end"})
    closed = client.finish()[-1]
    assert (closed["type"], closed["clientseq"]) == ("closed", 3)


def test_the_client_tells_the_latest_number_it_has_seen() -> None:
    server = client_in(ClientState.OPEN)
    server.say("event", {"entities": [{"type": "x", "data": {}}]})
    server.say("hint")
    server.session.update("fr-CA", server.now_ns)
    server.session.pause(server.now_ns)
    assert [(item["seq"], item["serverseq"]) for item in server.read()] == [(2, 3), (3, 3)]


def test_numbers_stay_exact_over_a_long_session() -> None:
    client = server_in(ServerState.ACTIVE)
    for _ in range(2_000):
        client.now_ns += 5 * SECOND
        assert kinds(client.say("ping")) == ["pong"]
    client.say("close", {"reason": "end"})
    assert client.finish()[0]["seq"] == 2_002


def test_a_sequence_counts_what_it_accepts() -> None:
    sequence = Sequence()
    assert [sequence.next(), sequence.next()] == [1, 2]
    sequence.accept(seq=1, acknowledged=2, message_type="ping")
    assert (sequence.received, sequence.acknowledged, sequence.sent) == (1, 2, 2)


@pytest.mark.parametrize(
    ("seq", "acknowledged", "problem"),
    [
        (2, 1, "seq is 2, expected 3"),
        (4, 1, "seq is 4, expected 3"),
        (3, 4, "acknowledges message 4, only 3 were sent"),
        (3, 0, "acknowledges message 0 after 1"),
    ],
)
def test_a_sequence_refuses_and_stays_as_it_was(seq: int, acknowledged: int, problem: str) -> None:
    sequence = Sequence()
    for _ in range(3):
        sequence.next()
    sequence.accept(seq=1, acknowledged=1, message_type="open")
    sequence.accept(seq=2, acknowledged=1, message_type="ping")
    with pytest.raises(RemoteProtocolError, match=problem) as caught:
        sequence.accept(seq=seq, acknowledged=acknowledged, message_type="ping")
    assert (caught.value.code, caught.value.message_type, caught.value.seq) == (400, "ping", seq)
    assert (sequence.received, sequence.acknowledged) == (2, 1)
