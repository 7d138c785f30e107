"""Pauses by both sides: every row of the table of protocol section 11, and its rules."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.by_hand import HandServer, Item, client_in, kinds, server_in
from tests.support.wire import seconds

from openaudiohook.exceptions import LocalProtocolError
from openaudiohook.protocol.events import (
    AudioDiscarded,
    AudioFrame,
    AudioPaused,
    AudioResumed,
    PauseRequested,
    PeerViolated,
    ResumeRequested,
    SessionOpened,
)
from openaudiohook.protocol.types import ClientState, ServerState
from openaudiohook.testing.assertions import assert_tiles, events_of, the_event

pytestmark = pytest.mark.unit


def paused_by(*, client: bool, server: bool) -> HandServer:
    """A client session that played 1 s, then was paused as told, then dropped 1 s."""
    hand = client_in(ClientState.OPEN)
    hand.audio(8000)
    if server:
        hand.say("pause")
    if client:
        hand.session.pause(hand.now_ns)
    if client or server:
        hand.drop(8000)
    hand.read()
    hand.new_events()
    assert flags(hand) == (client, server)
    return hand


def flags(hand: HandServer) -> tuple[bool, bool]:
    return hand.session.is_client_paused, hand.session.is_server_paused


def trigger(hand: HandServer, what: str) -> list[Item]:
    if what in ("pause", "resume"):
        return hand.say(what)
    if what == "client pause starts":
        hand.session.pause(hand.now_ns)
    else:
        hand.session.resume(hand.now_ns)
    return hand.read()


def shown(items: list[Item]) -> list[tuple[str, Any]]:
    return [(item["type"], item["position"], item["parameters"]) for item in items]


# The paused span of `paused_by` is [1 s, 2 s).
PAUSED = ("paused", "PT2S", {})
RESUMED = ("resumed", "PT2S", {"start": "PT1S", "discarded": "PT1S"})
ALREADY = ("resumed", "PT1S", {"start": "PT1S", "discarded": "PT0S"})

# (C, S) before; trigger; (C, S) after; what the client sends.
TABLE: list[tuple[tuple[int, int], str, tuple[int, int], list[Any]]] = [
    ((0, 0), "pause", (0, 1), [("paused", "PT1S", {})]),
    ((0, 1), "pause", (0, 1), [PAUSED]),
    ((1, 0), "pause", (1, 1), [PAUSED]),
    ((1, 1), "pause", (1, 1), [PAUSED]),
    ((0, 1), "resume", (0, 0), [RESUMED]),
    ((1, 1), "resume", (1, 0), [PAUSED]),
    ((0, 0), "resume", (0, 0), [ALREADY]),
    ((1, 0), "resume", (1, 0), [PAUSED]),
    ((0, 0), "client pause starts", (1, 0), [("paused", "PT1S", {})]),
    ((0, 1), "client pause starts", (1, 1), [PAUSED]),
    ((1, 0), "client pause ends", (0, 0), [RESUMED]),
    ((1, 1), "client pause ends", (0, 1), []),
]


@pytest.mark.parametrize(("before", "what", "after", "sent"), TABLE)
def test_each_row_of_the_pause_table(
    before: tuple[int, int], what: str, after: tuple[int, int], sent: list[Any]
) -> None:
    hand = paused_by(client=bool(before[0]), server=bool(before[1]))
    assert shown(trigger(hand, what)) == sent
    assert flags(hand) == (bool(after[0]), bool(after[1]))
    assert hand.session.is_flowing is (after == (0, 0))
    assert hand.session.state is ClientState.OPEN
    expected = {
        "pause": [PauseRequested()],
        "resume": [ResumeRequested(flowing=after == (0, 0))],
    }
    assert hand.new_events() == expected.get(what, [])
    if after == (0, 0):
        assert kinds(hand.audio(80)) == ["audio"]


@pytest.mark.parametrize("server", [False, True])
def test_a_client_pause_cannot_begin_or_end_twice(server: bool) -> None:
    hand = paused_by(client=True, server=server)
    with pytest.raises(LocalProtocolError, match="already"):
        hand.session.pause(hand.now_ns)
    assert flags(hand) == (True, server)
    hand = paused_by(client=False, server=server)
    with pytest.raises(LocalProtocolError, match="not"):
        hand.session.resume(hand.now_ns)
    assert flags(hand) == (False, server)
    assert hand.read() == []


@pytest.mark.parametrize(("client", "server"), [(True, False), (False, True), (True, True)])
def test_audio_flows_only_while_neither_side_pauses(client: bool, server: bool) -> None:
    hand = paused_by(client=client, server=server)
    position = hand.session.position
    with pytest.raises(LocalProtocolError):
        hand.session.send_audio(b"\xff" * 320, hand.now_ns)
    with pytest.raises(LocalProtocolError):
        hand.session.discard(80, hand.now_ns)
    assert hand.session.position == position
    assert hand.read() == []


def test_time_is_dropped_only_in_a_pause_and_never_backward() -> None:
    hand = paused_by(client=False, server=False)
    with pytest.raises(LocalProtocolError):
        hand.session.drop_audio(80, hand.now_ns)
    hand = paused_by(client=True, server=False)
    with pytest.raises(LocalProtocolError):
        hand.session.drop_audio(-1, hand.now_ns)
    assert hand.session.position == 16_000


def test_resumed_covers_overlapping_pauses_from_the_first_paused_on() -> None:
    hand = client_in(ClientState.OPEN)
    hand.audio(8000)
    assert shown(hand.say("pause")) == [("paused", "PT1S", {})]
    hand.drop(8000)
    hand.session.pause(hand.now_ns)
    assert shown(hand.read()) == [("paused", "PT2S", {})]
    hand.drop(8000)
    assert shown(hand.say("resume")) == [("paused", "PT3S", {})]
    hand.drop(8000)
    hand.session.resume(hand.now_ns)
    assert shown(hand.read()) == [("resumed", "PT4S", {"start": "PT1S", "discarded": "PT3S"})]
    assert kinds(hand.audio(800)) == ["audio"]


def test_a_second_pause_starts_its_own_span() -> None:
    hand = paused_by(client=True, server=False)
    hand.session.resume(hand.now_ns)
    hand.audio(4000)
    hand.session.pause(hand.now_ns)
    hand.drop(1)
    hand.session.resume(hand.now_ns)
    assert shown(hand.read())[-1] == (
        "resumed",
        "PT2.500125S",
        {"start": "PT2.5S", "discarded": "PT0.000125S"},
    )


def test_the_worked_example() -> None:
    hand = client_in(ClientState.OPEN)
    for _ in range(5):
        hand.audio(1600)
    assert hand.session.position == 8000
    hand.audio(1600)  # in flight while the server asks
    assert shown(hand.say("pause")) == [("paused", "PT1.2S", {})]
    hand.drop(3 * 8000)
    assert shown(hand.say("resume")) == [
        ("resumed", "PT4.2S", {"start": "PT1.2S", "discarded": "PT3S"})
    ]
    hand.audio(1600)
    assert seconds(hand.session.position) == "PT4.4S"


# From the start ------------------------------------------------------------------------------


def test_start_paused_is_confirmed_directly_after_opened() -> None:
    hand = client_in(ClientState.OPENING)
    hand.opened(startPaused=True)
    assert the_event(hand.new_events(), SessionOpened).start_paused
    assert shown(hand.begin()) == [("paused", "PT0S", {})]
    assert flags(hand) == (False, True)
    hand.drop(1600)
    assert shown(hand.say("resume")) == [
        ("resumed", "PT0.2S", {"start": "PT0S", "discarded": "PT0.2S"})
    ]


def test_discard_to_is_honoured_with_discarded() -> None:
    hand = client_in(ClientState.OPENING)
    hand.opened(discardTo="PT2.4S")
    assert the_event(hand.new_events(), SessionOpened).discard_to == 19_200
    assert shown(hand.begin(discard=19_200)) == [
        ("discarded", "PT2.4S", {"start": "PT0S", "discarded": "PT2.4S"})
    ]
    assert hand.session.is_flowing


def test_discarded_precedes_paused_where_both_are_asked() -> None:
    hand = client_in(ClientState.OPENING)
    hand.opened(startPaused=True, discardTo="PT1S")
    assert shown(hand.begin(discard=8000)) == [
        ("discarded", "PT1S", {"start": "PT0S", "discarded": "PT1S"}),
        ("paused", "PT1S", {}),
    ]


def test_resume_while_still_discarding_is_answered_with_no_gap() -> None:
    hand = client_in(ClientState.OPENING)
    hand.opened(startPaused=True, discardTo="PT1S")
    assert shown(hand.say("resume")) == [
        ("resumed", "PT0S", {"start": "PT0S", "discarded": "PT0S"})
    ]
    assert shown(hand.begin(discard=8000)) == [
        ("discarded", "PT1S", {"start": "PT0S", "discarded": "PT1S"})
    ]
    assert hand.session.is_flowing


def test_discard_to_behind_or_absent_needs_no_discarded() -> None:
    hand = client_in(ClientState.OPENING)
    hand.opened(discardTo="PT0S")
    assert hand.begin() == []
    assert hand.session.is_flowing


def test_nothing_less_than_nothing_is_discarded_at_the_start() -> None:
    hand = client_in(ClientState.OPENING)
    hand.opened()
    with pytest.raises(LocalProtocolError):
        hand.session.begin(hand.now_ns, discard=-1)
    assert hand.begin() == []
    with pytest.raises(LocalProtocolError, match="before"):
        hand.session.begin(hand.now_ns)


def test_a_pause_asked_before_the_stream_began_covers_what_is_skipped() -> None:
    hand = client_in(ClientState.OPENING)
    hand.opened()
    assert shown(hand.say("pause")) == [("paused", "PT0S", {})]
    assert hand.begin(discard=8000) == []
    assert shown(hand.say("resume")) == [
        ("resumed", "PT1S", {"start": "PT0S", "discarded": "PT1S"})
    ]


@pytest.mark.parametrize("state", [ClientState.PREPARING, ClientState.OPENING])
def test_a_client_pause_before_opened_is_told_when_the_stream_begins(state: ClientState) -> None:
    hand = client_in(state)
    hand.session.pause(hand.now_ns)
    if state is ClientState.PREPARING:
        hand.open()
    assert hand.opened() == []
    assert shown(hand.begin(discard=8000)) == [
        ("discarded", "PT1S", {"start": "PT0S", "discarded": "PT1S"}),
        ("paused", "PT1S", {}),
    ]
    assert flags(hand) == (True, False)


def test_a_client_pause_that_ends_before_the_stream_begins_is_not_told() -> None:
    hand = client_in(ClientState.OPENING)
    hand.session.pause(hand.now_ns)
    hand.session.resume(hand.now_ns)
    hand.opened()
    assert hand.begin() == []
    assert hand.session.is_flowing


def test_what_was_told_as_paused_before_the_stream_began_is_told_as_resumed() -> None:
    hand = client_in(ClientState.OPENING)
    hand.opened()
    hand.say("pause")
    hand.session.pause(hand.now_ns)
    assert kinds(hand.read()) == ["paused"]
    assert kinds(hand.say("resume")) == ["paused"]
    hand.session.resume(hand.now_ns)
    assert kinds(hand.read()) == ["resumed"]
    assert hand.begin() == []
    assert hand.session.is_flowing


def test_begin_comes_before_audio() -> None:
    hand = client_in(ClientState.OPENING)
    hand.opened()
    with pytest.raises(LocalProtocolError):
        hand.session.send_audio(b"\xff" * 320, hand.now_ns)
    assert not hand.session.is_flowing


# Gaps, sessions without audio ----------------------------------------------------------------


def test_a_gap_while_flowing_is_told_and_counted() -> None:
    hand = client_in(ClientState.OPEN)
    hand.audio(800)
    hand.session.discard(1, hand.now_ns)
    assert shown(hand.read()) == [
        ("discarded", "PT0.100125S", {"start": "PT0.1S", "discarded": "PT0.000125S"})
    ]
    for samples in (0, -1):
        with pytest.raises(LocalProtocolError):
            hand.session.discard(samples, hand.now_ns)
    assert hand.session.position == 801


def test_time_runs_on_in_a_session_without_audio() -> None:
    hand = client_in(ClientState.OPENING)
    hand.opened(None)
    hand.begin()
    assert hand.session.media is None
    assert not hand.session.is_flowing
    hand.drop(12_000)
    with pytest.raises(LocalProtocolError):
        hand.session.send_audio(b"\xff" * 2, hand.now_ns)
    hand.session.update("fr-CA", hand.now_ns)
    assert hand.read()[0]["position"] == "PT1.5S"


def test_a_stream_may_begin_behind_zero() -> None:
    hand = client_in(ClientState.PREPARING)
    (opening,) = hand.open(position=763_200)
    assert opening["position"] == "PT95.4S"
    hand.opened()
    hand.begin(discard=800)
    assert hand.heard[-1]["parameters"] == {"start": "PT95.4S", "discarded": "PT0.1S"}


# At the server -------------------------------------------------------------------------------


def test_the_server_follows_the_client_through_pauses_and_gaps() -> None:
    client = server_in(ServerState.ACTIVE)
    client.audio(8000)
    client.session.pause(client.now_ns)
    assert kinds(client.read()) == ["pause"]
    assert client.session.is_pause_asked
    client.audio(1600)  # in flight
    assert client.say("paused") == []
    assert client.session.state is ServerState.PAUSED
    client.session.resume(client.now_ns)
    assert kinds(client.read()) == ["resume"]
    assert not client.session.is_pause_asked
    assert client.span("resumed", 9600, 24_000) == []
    assert client.session.state is ServerState.ACTIVE
    client.span("discarded", 33_600, 800)
    client.audio(1)
    assert [event for event in client.new_events() if not isinstance(event, AudioFrame)] == [
        AudioPaused(9600),
        AudioResumed(9600, 24_000),
        AudioDiscarded(33_600, 800),
    ]
    assert client.session.position == 34_401


def test_repeated_confirmations_are_legal_at_the_server() -> None:
    client = server_in(ServerState.ACTIVE)
    client.audio(80)
    for kind in ("paused", "paused", "paused"):
        assert client.say(kind) == []
    for _ in range(2):
        assert client.span("resumed", 80, 0) == []
    assert client.session.state is ServerState.ACTIVE
    assert events_of(client.new_events(), PeerViolated) == []


def test_the_server_asks_to_start_paused_with_either_way_of_saying_it() -> None:
    client = server_in(ServerState.OPENING)
    (opened,) = client.accept(start_paused=True, discard_to=19_200)
    assert opened["parameters"]["startPaused"] is True
    assert opened["parameters"]["discardTo"] == "PT2.4S"
    assert client.session.is_pause_asked
    client = server_in(ServerState.OPENING)
    client.session.pause(client.now_ns)
    assert client.read() == []
    assert client.accept()[0]["parameters"]["startPaused"] is True


def test_the_server_may_want_audio_from_the_very_start() -> None:
    (opened,) = server_in(ServerState.OPENING).accept(discard_to=0)
    assert opened["parameters"]["discardTo"] == "PT0S"


def test_a_pause_taken_back_before_opened_is_not_in_it() -> None:
    client = server_in(ServerState.PREPARING)
    client.session.pause(client.now_ns)
    client.session.resume(client.now_ns)
    client.open()
    assert "startPaused" not in client.accept()[0]["parameters"]
    assert not client.session.is_pause_asked


def test_a_server_that_starts_paused_takes_a_client_that_does_not_honour_discard_to() -> None:
    client = server_in(ServerState.OPENING)
    client.accept(discard_to=19_200)
    assert client.audio(800) == []
    assert client.session.position == 800


def test_what_the_server_reports_tiles_whatever_start_the_client_claims() -> None:
    client = server_in(ServerState.ACTIVE)
    client.audio(800)
    client.span("discarded", 1600, 800)  # a hole before the claimed start
    client.audio(800)
    client.say("paused")
    client.span("resumed", 2400, 1600)  # the start before what was heard
    client.audio(800)
    events = client.new_events()
    assert assert_tiles(events) == client.session.position == 4800
    assert the_event(events, AudioDiscarded) == AudioDiscarded(800, 1600)
    assert the_event(events, AudioResumed) == AudioResumed(3200, 800)


def test_before_opened_nobody_holds_the_stream() -> None:
    for state in (ClientState.PREPARING, ClientState.OPENING):
        assert flags(client_in(state)) == (False, False)
    assert not server_in(ServerState.ACTIVE).session.is_pause_asked
