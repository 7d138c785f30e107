"""Whole sessions as scripts: a real client and a real server, a link, and a clock."""

from __future__ import annotations

import pytest
from tests.support.by_hand import client_in, server_in

from openaudiohook.exceptions import LocalProtocolError, SessionClosed
from openaudiohook.protocol import SendBinary
from openaudiohook.protocol.entities import Entity
from openaudiohook.protocol.events import (
    AudioDiscarded,
    AudioFrame,
    AudioPaused,
    AudioResumed,
    CloseRequested,
    DisconnectRequested,
    EntitiesReceived,
    ErrorReported,
    LanguageUpdated,
    OpenRequested,
    PeerViolated,
    PongReceived,
    ReconnectRequested,
    ResumeRequested,
    SessionEnded,
    SessionEvent,
    SessionOpened,
    UpdateConfirmed,
)
from openaudiohook.protocol.types import (
    ClientState,
    CloseReason,
    DisconnectReason,
    ErrorCode,
    ServerState,
)
from openaudiohook.testing.assertions import (
    assert_ended_once,
    assert_tiles,
    audio_of,
    events_of,
    the_event,
)
from openaudiohook.testing.session_pair import SessionPair, sample_open

pytestmark = pytest.mark.unit

FRAME_S = 0.1
FRAME = 800


def frame(number: int) -> bytes:
    return bytes([number % 256]) * (FRAME * 2)


def stream(pair: SessionPair, frames: int, *, first: int = 0) -> bytes:
    """Send frames at the pace of a call: what flows is sent, what does not is dropped."""
    sent = b""
    for number in range(first, first + frames):
        if pair.client.is_flowing:
            sent += frame(number)
            pair.client.send_audio(frame(number), pair.now_ns)
        else:
            pair.client.drop_audio(FRAME, pair.now_ns)
        pair.run(FRAME_S)
    return sent


def hang_up(pair: SessionPair) -> None:
    pair.client.close(pair.now_ns)
    pair.run(4 * pair.delay_s + 1)


def both_ended_cleanly(pair: SessionPair) -> None:
    for events in (pair.client_events, pair.server_events):
        assert assert_ended_once(events).is_clean
        assert events_of(events, PeerViolated) == []
    assert pair.client.state is ClientState.DISCONNECTED
    assert pair.server.state is ServerState.DISCONNECTED


@pytest.mark.parametrize("delay_s", [0.0, 0.03, 0.7])
def test_a_call_is_streamed_and_ends(delay_s: float) -> None:
    pair = SessionPair(delay_s=delay_s)
    pair.open()
    sent = stream(pair, 100)
    hang_up(pair)
    both_ended_cleanly(pair)
    assert audio_of(pair.server_events) == sent
    assert assert_tiles(pair.server_events) == 100 * FRAME
    assert pair.kinds_sent_by("client")[0] == "open"
    assert pair.kinds_sent_by("client")[-2:] == ["close", "CLOSE"]
    assert pair.kinds_sent_by("server")[0] == "opened"
    assert pair.kinds_sent_by("server")[-1] == "closed"
    trips = {event.rtt_ns for event in events_of(pair.client_events, PongReceived)}
    assert trips == {round(2 * delay_s * 1_000_000_000)}


def test_an_idle_session_lives_on_its_pings_for_hours() -> None:
    pair = SessionPair(delay_s=0.05)
    pair.open(media=None)
    pair.run(4 * 3600)
    assert pair.client.state is ClientState.OPEN
    assert pair.kinds_sent_by("client").count("ping") == 1 + 4 * 720
    hang_up(pair)
    both_ended_cleanly(pair)


def test_both_sides_pause_and_one_resumes_after_the_other() -> None:
    pair = SessionPair(delay_s=0.02)
    pair.open()
    sent = stream(pair, 10)
    pair.server.pause(pair.now_ns)
    sent += stream(pair, 5, first=10)  # one frame is still on its way
    pair.client.pause(pair.now_ns)  # the agent takes a card number
    stream(pair, 20)
    pair.server.resume(pair.now_ns)
    stream(pair, 10)
    assert not pair.client.is_flowing
    assert events_of(pair.client_events, ResumeRequested) == [ResumeRequested(flowing=False)]
    pair.client.resume(pair.now_ns)
    sent += stream(pair, 10, first=50)
    hang_up(pair)
    both_ended_cleanly(pair)
    assert audio_of(pair.server_events) == sent
    assert assert_tiles(pair.server_events) == 55 * FRAME
    resumed = the_event(pair.server_events, AudioResumed)
    assert (resumed.start, resumed.start + resumed.discarded) == (11 * FRAME, 45 * FRAME)
    assert len(events_of(pair.server_events, AudioPaused)) == 3


def test_a_server_that_is_behind_skips_and_starts_paused() -> None:
    pair = SessionPair(delay_s=0.02)
    pair.open(start_paused=True, discard_to=16_000, discard=16_000)
    stream(pair, 5)
    pair.server.resume(pair.now_ns)
    pair.run(0.05)
    sent = stream(pair, 5)
    hang_up(pair)
    both_ended_cleanly(pair)
    assert audio_of(pair.server_events) == sent
    assert the_event(pair.server_events, AudioDiscarded) == AudioDiscarded(0, 16_000)
    assert the_event(pair.server_events, AudioResumed) == AudioResumed(16_000, 5 * FRAME)
    assert the_event(pair.client_events, SessionOpened).start_paused


def test_a_gap_and_a_change_of_language_keep_their_place_in_the_stream() -> None:
    pair = SessionPair(delay_s=0.02)
    pair.open()
    stream(pair, 3)
    pair.client.discard(1_234, pair.now_ns)
    pair.client.update("fr-CA", pair.now_ns)
    stream(pair, 2)
    hang_up(pair)
    both_ended_cleanly(pair)
    assert the_event(pair.server_events, AudioDiscarded) == AudioDiscarded(2400, 1_234)
    assert the_event(pair.server_events, LanguageUpdated) == LanguageUpdated("fr-CA", 3_634)
    assert len(events_of(pair.client_events, UpdateConfirmed)) == 1
    assert assert_tiles(pair.server_events) == 3_634 + 2 * FRAME


def test_results_come_back_while_the_call_goes_on_and_the_last_ones_after_close() -> None:
    pair = SessionPair(delay_s=0.02)

    def say_goodbye(event: SessionEvent) -> None:
        if isinstance(event, CloseRequested):
            pair.server.send_entities([Entity(type="com.example.last", data={})], pair.now_ns)

    pair.on_server_event(say_goodbye)
    pair.open()
    pair.server.send_entities([Entity(type="com.example.first", data={})], pair.now_ns)
    stream(pair, 10)
    hang_up(pair)
    both_ended_cleanly(pair)
    received = events_of(pair.client_events, EntitiesReceived)
    assert [event.entities[0].type for event in received] == [
        "com.example.first",
        "com.example.last",
    ]


def test_a_server_that_has_heard_enough_asks_for_the_end() -> None:
    pair = SessionPair(delay_s=0.02)
    pair.open()
    stream(pair, 10)
    pair.server.disconnect(pair.now_ns, info="caller verified")
    pair.run(1)
    both_ended_cleanly(pair)
    assert the_event(pair.client_events, DisconnectRequested).reason is DisconnectReason.COMPLETED
    assert the_event(pair.server_events, CloseRequested).reason is CloseReason.DISCONNECT


def test_disconnect_and_close_cross_on_the_wire() -> None:
    pair = SessionPair(delay_s=0.2)
    pair.open()
    pair.server.disconnect(pair.now_ns)
    pair.client.close(pair.now_ns)
    pair.run(2)
    both_ended_cleanly(pair)
    assert events_of(pair.client_events, DisconnectRequested) == []
    assert the_event(pair.client_events, SessionEnded).reason is CloseReason.END


def test_a_server_that_moves_asks_for_it_and_the_client_replaces_the_session() -> None:
    pair = SessionPair(delay_s=0.02)
    pair.open()
    pair.server.reconnect(pair.now_ns, info="instance draining")
    sent = stream(pair, 5)
    assert the_event(pair.client_events, ReconnectRequested).info == "instance draining"
    pair.client.close(pair.now_ns, reason=CloseReason.RECONNECT)
    pair.run(1)
    both_ended_cleanly(pair)
    assert audio_of(pair.server_events) == sent
    assert the_event(pair.server_events, CloseRequested).reason is CloseReason.RECONNECT


def test_a_session_that_is_not_wanted_is_refused_before_it_opens() -> None:
    pair = SessionPair(delay_s=0.02)
    pair.client.open(sample_open(), pair.now_ns)
    pair.run(0.02)
    the_event(pair.server_events, OpenRequested)
    pair.server.refuse(pair.now_ns, reason=DisconnectReason.UNAUTHORIZED)
    pair.run(1)
    both_ended_cleanly(pair)
    assert pair.kinds_sent_by("server") == ["disconnect", "closed"]
    assert pair.kinds_sent_by("client") == ["open", "close", "CLOSE"]


def test_an_application_that_never_answers_open_is_given_up_on() -> None:
    pair = SessionPair()
    pair.client.open(sample_open(), pair.now_ns)
    pair.run(6)
    assert assert_ended_once(pair.client_events).timed_out == "open"
    assert the_event(pair.server_events, ErrorReported).code == 408
    assert the_event(pair.server_events, CloseRequested).reason is CloseReason.ERROR
    assert assert_ended_once(pair.server_events).is_clean


def test_an_application_that_never_finishes_is_given_up_on() -> None:
    pair = SessionPair(finishes=False)
    pair.open()
    pair.client.close(pair.now_ns)
    pair.run(9.9)
    assert pair.client.state is ClientState.CLOSING
    pair.run(1)
    ended = assert_ended_once(pair.client_events)
    assert (ended.is_clean, ended.timed_out) == (False, "close")
    assert not assert_ended_once(pair.server_events).is_clean


def test_a_connection_that_is_cut_ends_both_sides_once_and_at_once() -> None:
    pair = SessionPair(delay_s=0.05)
    pair.open()
    stream(pair, 10)
    pair.cut()
    assert not assert_ended_once(pair.client_events).is_clean
    assert not assert_ended_once(pair.server_events).is_clean
    assert assert_tiles(pair.server_events) <= 10 * FRAME
    wire = len(pair.wire)
    pair.run(60)
    assert len(pair.wire) == wire


def test_a_silent_network_is_noticed_by_both_sides() -> None:
    pair = SessionPair()
    pair.open()
    pair.run(7)
    pair.hold("client")
    pair.hold("server")
    pair.run(60)
    assert "error" in pair.kinds_sent_by("client")
    assert events_of(pair.client_events, PeerViolated)[0].code == ErrorCode.TIMEOUT
    assert pair.client.state is ClientState.CLOSED
    assert pair.server.state is ServerState.CLOSED
    pair.cut()
    assert assert_ended_once(pair.client_events).timed_out == "pong"
    assert assert_ended_once(pair.server_events).timed_out == "ping"


def test_a_server_that_stalls_shortly_loses_nothing() -> None:
    pair = SessionPair(delay_s=0.02)
    pair.open()
    sent = stream(pair, 20)
    pair.hold("server")
    sent += stream(pair, 30, first=20)
    pair.release("server")
    sent += stream(pair, 20, first=50)
    hang_up(pair)
    both_ended_cleanly(pair)
    assert audio_of(pair.server_events) == sent
    assert assert_tiles(pair.server_events) == 70 * FRAME


def test_a_shorter_way_does_not_overtake_a_longer_one() -> None:
    pair = SessionPair(delay_s=0.5)
    pair.open()
    pair.client.send_audio(frame(1), pair.now_ns)
    pair.run()
    pair.delay_s = 0.0
    pair.client.send_audio(frame(2), pair.now_ns)
    pair.run(0.5)
    assert audio_of(pair.server_events) == frame(1) + frame(2)


def test_history_is_offered_from_before_the_live_moment() -> None:
    pair = SessionPair(delay_s=0.02)
    pair.open(position=763_200, discard=800)
    sent = stream(pair, 5)
    hang_up(pair)
    both_ended_cleanly(pair)
    assert the_event(pair.server_events, OpenRequested).position == 763_200
    assert the_event(pair.server_events, AudioDiscarded) == AudioDiscarded(763_200, 800)
    assert assert_tiles(pair.server_events) == 764_000 + 5 * FRAME
    assert audio_of(pair.server_events) == sent


def test_a_chatty_server_stays_within_the_limits_its_client_enforces() -> None:
    pair = SessionPair(delay_s=0.02)
    pair.open()
    for number in range(600):
        pair.server.send_entities([Entity(type="n", data=number)], pair.now_ns)
        (pair.server.pause if number % 2 else pair.server.resume)(pair.now_ns)
        pair.run(0.05)
    hang_up(pair)
    both_ended_cleanly(pair)
    received = [
        entity.data
        for event in events_of(pair.client_events, EntitiesReceived)
        for entity in event.entities
    ]
    assert received == list(range(600))
    assert "error" not in pair.kinds_sent_by("client")


# The short way ---------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(ClientState))
@pytest.mark.parametrize(
    "before", ["nothing", "client pause", "server pause", "a message that waits"]
)
@pytest.mark.parametrize("size", [0, 1, 2, 320, 64_000, 64_002])
def test_audio_passes_where_sending_it_would_write_it_alone(
    state: ClientState, before: str, size: int
) -> None:
    passing, sending = client_in(state), client_in(state)
    for hand in (passing, sending):
        if state is ClientState.OPEN and before == "client pause":
            hand.session.pause(hand.now_ns)
            hand.session.data_to_send(hand.now_ns)
        elif state is ClientState.OPEN and before == "server pause":
            hand.say("pause")
        elif state is ClientState.OPEN and before == "a message that waits":
            hand.session.update("fr-CA", hand.now_ns)
    has_passed = passing.session.pass_audio(size, passing.now_ns)
    payload = bytes(size)
    try:
        sending.session.send_audio(payload, sending.now_ns)
    except (LocalProtocolError, SessionClosed):
        assert not has_passed
    else:
        written = sending.session.data_to_send(sending.now_ns)
        assert has_passed is (written == [SendBinary(payload)])
        if not has_passed:
            passing.session.send_audio(payload, passing.now_ns)
    assert passing.session.position == sending.session.position
    assert passing.session.events() == sending.session.events()
    assert passing.session.next_deadline_ns() == sending.session.next_deadline_ns()


@pytest.mark.parametrize("state", list(ServerState))
@pytest.mark.parametrize("size", [0, 1, 320, 65_536, 65_538])
@pytest.mark.parametrize("is_first", [True, False])
def test_audio_taken_at_once_is_the_audio_received(
    state: ServerState, size: int, is_first: bool
) -> None:
    taking, receiving = server_in(state), server_in(state)
    before: list[SessionEvent] = []
    for hand in (taking, receiving):
        if not is_first:
            hand.session.receive_text("{}", hand.now_ns)  # what comes of it waits
    payload = bytes(size)
    taken = taking.session.take_audio(payload, taking.now_ns)
    if taken is None:
        taking.session.receive_binary(payload, taking.now_ns)
    else:
        before = [taken]
    receiving.session.receive_binary(payload, receiving.now_ns)
    events = receiving.session.events()
    assert before + taking.session.events() == events
    assert taking.session.data_to_send(taking.now_ns) == receiving.session.data_to_send(
        receiving.now_ns
    )
    assert taking.session.position == receiving.session.position
    assert (taken is not None) is (len(events) == 1 and type(events[0]) is AudioFrame)


def test_a_client_takes_no_audio() -> None:
    hand = client_in(ClientState.OPEN)
    assert hand.session.take_audio(bytes(320), hand.now_ns) is None


def test_audio_does_not_pass_before_the_stream_began_nor_where_none_is_wanted() -> None:
    hand = client_in(ClientState.OPENING)
    hand.opened()
    assert not hand.session.pass_audio(320, hand.now_ns)
    hand = client_in(ClientState.OPENING)
    hand.opened(None)
    hand.begin()
    assert not hand.session.pass_audio(320, hand.now_ns)
    assert hand.session.position == 0
