from __future__ import annotations

import hashlib
from fractions import Fraction

import pytest

from fanout.world import MS, World, check
from openaudiohook.exceptions import ConfigurationError, LocalProtocolError, MediaError
from openaudiohook.fanout.convoy import Convoy
from openaudiohook.fanout.cursor import Cursor, CursorState
from openaudiohook.fanout.engine import Cut, Fanout
from openaudiohook.fanout.pauses import PauseInterval
from openaudiohook.fanout.ring import Ring
from openaudiohook.protocol.events import PeerViolated, SessionOpened
from openaudiohook.protocol.media import MediaParameter
from openaudiohook.protocol.types import (
    ClientState,
    CloseReason,
    DisconnectReason,
    MediaFormat,
    PauseCause,
)

pytestmark = pytest.mark.unit

SECURE, CLIENT, SERVER = PauseCause
S = 8_000  # samples in a second


def opened_world(**options: object) -> World:
    world = World(**options)  # type: ignore[arg-type]
    world.endpoint("a")
    world.settle()
    return world


# Frames ---------------------------------------------------------------------------------


def test_a_call_arrives_as_it_was_written() -> None:
    world = opened_world()
    (endpoint,) = world.endpoints
    world.play(S)
    world.hang_up()
    assert endpoint.received.audio == world.source[: 2 * S]
    assert [len(payload) for _, payload in endpoint.received.frames] == [1_600] * 10
    assert endpoint.received.closed_at == S
    assert endpoint.session._reason is CloseReason.END
    check(world, endpoint)


@pytest.mark.parametrize("frame_samples", [160, 800, 1_600])
def test_a_frame_goes_when_it_is_whole(frame_samples: int) -> None:
    world = opened_world(frame_samples=frame_samples)
    (endpoint,) = world.endpoints
    world.play(2 * frame_samples - 80)
    assert [position for position, _ in endpoint.received.frames] == [0]
    world.play(80)
    assert [position for position, _ in endpoint.received.frames] == [0, frame_samples]


def test_calls_can_have_their_frame_boundaries_apart() -> None:
    world = opened_world(phase_samples=240)
    (endpoint,) = world.endpoints
    world.play(S)
    world.hang_up()
    assert [position for position, _ in endpoint.received.frames][:3] == [0, 240, 1_040]
    check(world, endpoint)


def test_the_rest_of_a_frame_goes_at_hang_up() -> None:
    world = opened_world()
    (endpoint,) = world.endpoints
    world.play(S + 81)
    world.hang_up()
    assert endpoint.received.frames[-1] == (S, world.source[2 * S : 2 * (S + 81)])
    assert endpoint.received.closed_at == S + 81
    check(world, endpoint)


def test_one_channel_is_sent_where_one_was_selected() -> None:
    world = World()
    external = world.endpoint("external", channel="external")
    internal = world.endpoint("internal", channel="internal")
    picky = world.endpoint("picky", select=lambda offers: offers[2])
    world.settle()
    world.play(S)
    world.hang_up()
    assert external.received.audio == world.source[: 2 * S : 2]
    assert internal.received.audio == picky.received.audio == world.source[1 : 2 * S : 2]
    for endpoint in world.endpoints:
        check(world, endpoint)


def test_an_endpoint_that_keeps_up_costs_no_question_to_the_kernel_per_frame() -> None:
    world = opened_world()
    (endpoint,) = world.endpoints
    world.play(20 * S)
    assert endpoint.unsent_calls <= 11  # 200 frames


def test_whole_frames_on_time_take_the_short_way() -> None:
    world = opened_world()
    (endpoint,) = world.endpoints
    world.play(20 * S)
    # Not the first; and after each question to the kernel the answer is looked at.
    assert endpoint.direct_frames >= 185  # of 200
    before = endpoint.direct_frames
    world.call.begin_pause(PauseCause.SECURE, "flow")
    world.play(S)
    assert endpoint.direct_frames == before
    world.call.end_pause(PauseCause.SECURE, "flow")
    world.play(S)
    assert endpoint.direct_frames >= before + 8


def test_between_frames_endpoints_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    world = opened_world()
    (endpoint,) = world.endpoints
    world.play(S)
    advance, send, seen = Cursor.advance, Convoy.send, []

    def advancing(cursor: Cursor, now_ns: int) -> bool:
        seen.append(now_ns)
        return advance(cursor, now_ns)

    def sending(
        convoy: Convoy, ring: Ring, start: int, samples: int, edge: int, now_ns: int
    ) -> bool:
        seen.append(now_ns)
        return send(convoy, ring, start, samples, edge, now_ns)

    monkeypatch.setattr(Cursor, "advance", advancing)
    monkeypatch.setattr(Convoy, "send", sending)
    world.play(S)
    assert len(set(seen)) == 10
    assert endpoint.cursor.position == 2 * S


# Opening late ---------------------------------------------------------------------------


def test_a_late_endpoint_gets_the_history_faster_than_real_time() -> None:
    world = World()
    endpoint = world.endpoint("late", dial=False)
    world.play(10 * S)
    endpoint.dial(world.now_ns)
    started_ns = world.now_ns
    world.settle()
    assert endpoint.cursor.state is CursorState.CATCHING_UP
    world.play_until(lambda: endpoint.cursor.state is CursorState.LIVE)
    assert world.now_ns - started_ns < 1_000 * MS
    assert max(len(payload) for _, payload in endpoint.received.frames) <= 64_000
    assert len(endpoint.received.frames) < 30  # in larger pieces than live
    world.play(S)
    world.hang_up()
    assert endpoint.received.audio == world.source[: 2 * world.call.head]
    assert endpoint.received.gaps == []
    assert endpoint.cursor.account.opened_at == 10 * S
    check(world, endpoint)


def test_what_is_older_than_20_s_is_discarded_when_a_session_opens() -> None:
    world = World()
    endpoint = world.endpoint("late", dial=False)
    world.play(25 * S + 123)
    endpoint.dial(world.now_ns)
    world.settle()
    world.play(S)
    world.hang_up()
    assert endpoint.received.gaps == [("discarded", 0, 5 * S + 123)]
    assert endpoint.received.frames[0][0] == 5 * S + 123
    assert endpoint.cursor.account.discarded == 5 * S + 123
    check(world, endpoint)


def test_an_endpoint_that_opens_after_the_hang_up_still_gets_the_history() -> None:
    world = World()
    endpoint = world.endpoint("late", dial=False)
    world.play(3 * S)
    world.call.finish(world.now_ns)
    endpoint.dial(world.now_ns)
    world.settle()
    world.hang_up()
    assert endpoint.received.audio == world.source[: 6 * S]
    assert endpoint.received.closed_at == 3 * S
    check(world, endpoint)


@pytest.mark.parametrize(("discard_to", "expected"), [(0, 0), (2 * S, 2 * S), (9 * S, 4 * S)])
def test_discard_to_is_honoured_as_far_as_there_is_history(discard_to: int, expected: int) -> None:
    world = World()
    endpoint = world.endpoint("late", dial=False, discard_to=discard_to)
    world.play(4 * S)
    endpoint.dial(world.now_ns)
    world.settle()
    world.play(S)
    world.hang_up()
    gaps = [("discarded", 0, expected)] if expected else []
    assert endpoint.received.gaps == gaps
    assert endpoint.received.frames[0][0] == expected
    check(world, endpoint)


def test_discarded_precedes_paused_where_both_were_asked_for() -> None:
    world = World()
    endpoint = world.endpoint("late", dial=False, discard_to=S, start_paused=True)
    world.play(4 * S)
    endpoint.dial(world.now_ns)
    world.settle()
    world.play(S)
    endpoint.server.resume(world.now_ns)
    world.settle()
    world.play(S)
    world.hang_up()
    received = endpoint.received
    assert received.order[1:3] == ["AudioDiscarded", "AudioPaused"]
    assert received.gaps == [("discarded", 0, S), ("resumed", S, 4 * S)]
    assert endpoint.cursor.account.paused_server == 4 * S
    check(world, endpoint)


def test_pauses_within_the_history_are_replayed_in_order() -> None:
    world = World()
    live = world.endpoint("live")
    late = world.endpoint("late", dial=False)
    world.settle()
    world.play(S)
    world.call.begin_pause(SECURE, "flow")
    world.play(2 * S + 40)
    world.call.end_pause(SECURE, "flow")
    world.call.update_language("fr-CA")
    world.play(S)
    world.call.skip(500)
    world.play(S)
    late.dial(world.now_ns)
    world.settle()
    world.play(S)
    world.hang_up()
    assert late.received.paused_at == live.received.paused_at == [S]
    assert late.received.resumed == live.received.resumed == [(S, 2 * S + 40)]
    assert late.received.gaps == live.received.gaps
    assert late.received.languages == live.received.languages == [("fr-CA", 3 * S + 40)]
    assert late.received.audio == live.received.audio
    for endpoint in world.endpoints:
        check(world, endpoint)


def test_a_call_that_begins_paused_opens_paused() -> None:
    world = World()
    world.call.begin_pause(SECURE, "flow")
    world.play(S)
    endpoint = world.endpoint("a")
    world.settle()
    assert endpoint.received.order == ["OpenRequested", "AudioPaused"]
    assert endpoint.received.paused_at == [0]
    world.play(S)
    world.call.end_pause(SECURE, "flow")
    world.play(S)
    world.hang_up()
    assert endpoint.received.resumed == [(0, 2 * S)]
    check(world, endpoint)


def test_history_that_ends_in_a_pause_is_delivered_up_to_the_cut() -> None:
    world = World()
    endpoint = world.endpoint("late", dial=False)
    world.play(S + 11)
    world.call.begin_pause(CLIENT, "switch")
    world.play(S)
    endpoint.dial(world.now_ns)
    world.settle()
    world.play(S)
    assert endpoint.received.audio == world.source[: 2 * (S + 11)]
    assert endpoint.received.paused_at == [S + 11]
    world.hang_up()
    assert endpoint.received.closed_at == 3 * S + 11
    check(world, endpoint)


def test_a_session_that_opens_amid_a_long_pause_starts_paused_at_the_edge_of_history() -> None:
    world = World()
    endpoint = world.endpoint("late", dial=False)
    world.play(S)
    world.call.update_language("es-419")
    world.call.begin_pause(CLIENT, "switch")
    world.play(30 * S)
    endpoint.dial(world.now_ns)
    world.settle()
    assert endpoint.received.gaps == [("discarded", 0, 11 * S)]
    assert endpoint.received.paused_at == [11 * S]
    assert endpoint.received.languages == [("es-419", 11 * S)]
    world.call.end_pause(CLIENT, "switch")
    world.play(S)
    world.hang_up()
    assert endpoint.received.resumed == [(11 * S, 20 * S)]
    # On the wire it was discarded; in the account it is what it was: a pause of the call.
    assert endpoint.cursor.account.paused_client == 30 * S
    assert endpoint.cursor.account.discarded == S
    check(world, endpoint)


def test_history_does_not_begin_inside_a_gap_of_the_call() -> None:
    world = World()
    endpoint = world.endpoint("late", dial=False)
    world.play(S)
    world.call.skip(5 * S)
    world.play(18 * S)
    endpoint.dial(world.now_ns)
    world.settle()
    world.hang_up()
    assert endpoint.received.gaps == [("discarded", 0, 6 * S)]
    check(world, endpoint)


def test_a_cursor_opens_once() -> None:
    world = opened_world()
    (endpoint,) = world.endpoints
    opened = next(e for e in endpoint.client_events if isinstance(e, SessionOpened))
    with pytest.raises(LocalProtocolError, match="a cursor opens once, and this one is live"):
        endpoint.cursor.open(endpoint.session, endpoint, opened, world.now_ns)


def test_media_the_ring_cannot_deliver_is_refused() -> None:
    world = World()
    endpoint = world.endpoint("a", dial=False)
    opened = SessionOpened(MediaParameter(format=MediaFormat.L16), False, None, None)
    with pytest.raises(MediaError, match="cannot be delivered as L16"):
        endpoint.cursor.open(endpoint.session, endpoint, opened, 0)
    assert endpoint.cursor.state is CursorState.WAITING
    assert endpoint.cursor.position == 0


def test_where_no_media_was_selected_time_runs_on_and_counts_as_discarded() -> None:
    world = World()
    endpoint = world.endpoint("silent", select=lambda offers: None)
    world.settle()
    world.play(S)
    world.call.begin_pause(CLIENT, "switch")
    world.play(S)
    world.call.end_pause(CLIENT, "switch")
    world.call.skip(S)
    world.play(S)
    world.hang_up()
    assert endpoint.received.frames == []
    assert endpoint.received.closed_at == 4 * S
    account = endpoint.cursor.account
    assert (account.sent, account.discarded, account.paused_client) == (0, 3 * S, S)
    check(world, endpoint)


# Back-pressure --------------------------------------------------------------------------


def test_a_slow_endpoint_is_throttled_at_2_s_and_live_again_at_half_a_second() -> None:
    world = World()
    slow = world.endpoint("slow", rate=8_000)  # half of real time
    world.settle()
    backlog = []
    states = []
    for _ in range(2_000):
        world.play(80)
        state = slow.cursor.state
        if not states or states[-1] is not state:
            waiting = world.call.head - slow.cursor.position
            backlog.append((str(state), waiting + slow.queued_bytes // 2, slow.queued_bytes // 2))
            states.append(state)
    entered = [total for state, total, _ in backlog if state == "throttled"]
    left = [queued for state, _, queued in backlog[2:] if state == "live"]
    assert len(entered) >= 2
    assert len(left) >= 2
    assert all(2 * S <= total < 2 * S + 960 for total in entered)
    assert all(queued <= S // 2 + 200 for queued in left)  # the `discarded` itself is written
    world.hang_up()
    gaps = slow.received.gaps
    assert len(gaps) >= len(left)
    assert {cause for cause, _, _ in gaps} == {"discarded"}
    account = slow.cursor.account
    assert account.discarded == sum(length for _, _, length in gaps)
    assert account.lost == 0
    check(world, slow)


def test_what_is_left_of_the_history_on_the_way_is_backlog() -> None:
    world = World()
    late = world.endpoint("late", dial=False, rate=120_000)
    world.play(9 * S)
    late.dial(world.now_ns)
    world.settle()
    world.play_until(lambda: late.cursor.state is CursorState.LIVE)
    assert late.queued_bytes > 4_000
    late.is_dead = True
    world.play_until(lambda: late.cursor.state is CursorState.THROTTLED)
    waiting = world.call.head - late.cursor.position + late.queued_bytes // 2
    assert 2 * S <= waiting < 2 * S + 960


def test_messages_are_not_skipped_while_throttled() -> None:
    world = World()
    slow = world.endpoint("slow", rate=8_000)
    fast = world.endpoint("fast")
    world.settle()
    world.play_until(lambda: slow.cursor.state is CursorState.THROTTLED)
    world.play(85)
    world.call.begin_pause(SECURE, "flow")
    cut = world.call.head
    world.tick()
    assert slow.cursor.state is CursorState.THROTTLED
    assert slow.session.is_client_paused  # `paused` is on its way, whatever waits
    world.play(3 * S)
    assert slow.cursor.position == world.call.head - world.call.head % 800
    world.call.end_pause(SECURE, "flow")
    world.call.update_language("fr-CA")
    world.play(5 * S)
    world.hang_up()
    assert slow.received.paused_at == fast.received.paused_at == [cut]
    assert slow.received.resumed == fast.received.resumed == [(cut, 3 * S)]
    assert slow.received.languages == [("fr-CA", cut + 3 * S)]
    for endpoint in world.endpoints:
        check(world, endpoint)


def test_a_stall_of_ours_is_not_the_endpoints_fault() -> None:
    world = World()
    endpoint = world.endpoint("a")
    world.settle()
    world.play(S)
    world.feed(5 * S)
    world.tick()
    assert endpoint.cursor.position == S + 4_000  # no tick does all of it
    world.play(S)
    world.hang_up()
    assert endpoint.received.audio == world.source[: 14 * S]
    assert {len(payload) for _, payload in endpoint.received.frames} == {1_600}
    check(world, endpoint)


def test_a_pause_is_no_backlog() -> None:
    world = World()
    endpoint = world.endpoint("a", rate=16_200)
    world.settle()
    world.play(S)
    endpoint.rate = 0  # stuck with a second waiting
    endpoint.allowance = 0
    world.play(S)
    world.call.begin_pause(CLIENT, "switch")
    world.play(2 * S)
    assert endpoint.cursor.state is CursorState.LIVE
    endpoint.rate = None
    world.call.end_pause(CLIENT, "switch")
    world.play(S)
    world.hang_up()
    assert endpoint.cursor.account.discarded == 0
    check(world, endpoint)


@pytest.mark.parametrize("speed", [Fraction(1), Fraction(4), Fraction(5, 2)])
def test_thresholds_are_wall_time(speed: Fraction) -> None:
    world = World(speed=speed, samples=200_000)
    endpoint = world.endpoint("stuck")
    world.settle()
    endpoint.is_dead = True
    world.play_until(lambda: endpoint.cursor.state is CursorState.THROTTLED, step=int(80 * speed))
    waiting = world.call.head - endpoint.cursor.position + endpoint.queued_bytes // 2
    assert 2 * S * speed <= waiting < 2 * S * speed + 800 + 80 * speed
    assert world.now_ns < 2_200 * MS


def test_a_fast_call_is_delivered_in_whole_frames() -> None:
    world = World(speed=20)
    endpoint = world.endpoint("a")
    world.settle()
    for _ in range(100):
        world.feed(20 * 80)
        world.tick()
    assert {len(payload) for _, payload in endpoint.received.frames} == {1_600}
    assert endpoint.cursor.position == 160_000
    world.hang_up()
    check(world, endpoint)


def test_hanging_up_on_a_throttled_endpoint_discards_the_rest_and_closes() -> None:
    world = World()
    slow = world.endpoint("slow", rate=8_000)
    world.settle()
    world.play_until(lambda: slow.cursor.state is CursorState.THROTTLED)
    world.call.finish(world.now_ns)
    assert slow.session.state is ClientState.CLOSING
    world.hang_up()
    assert slow.received.closed_at == world.call.head
    assert slow.received.gaps[-1][0] == "discarded"
    assert slow.cursor.account.lost == 0
    check(world, slow)


def test_what_waits_is_delivered_after_the_hang_up() -> None:
    world = World()
    slow = world.endpoint("slow", rate=18_000)
    world.play(S)
    slow.allowance = -18_000  # stuck for a second
    world.play(S + 80)
    assert world.call.head - slow.cursor.position > 800 or slow.queued_bytes > 3_200
    world.hang_up()
    assert slow.received.audio == world.source[: 2 * (2 * S + 80)]
    check(world, slow)


def test_history_does_not_throttle_an_endpoint_that_keeps_up() -> None:
    world = World()
    late = world.endpoint("late", dial=False, rate=16_000 * 3)  # thrice real time
    world.play(19 * S)
    late.dial(world.now_ns)
    world.settle()
    world.play(12 * S)
    assert late.cursor.state is CursorState.LIVE
    world.hang_up()
    assert late.received.gaps == []
    check(world, late)


def test_history_that_falls_out_of_the_ring_before_it_was_sent_is_discarded() -> None:
    world = World()
    late = world.endpoint("late", dial=False, rate=8_000)
    world.play(19 * S)
    late.dial(world.now_ns)
    world.settle()
    world.play(S)
    world.call.begin_pause(CLIENT, "switch")
    world.play(27 * S)
    world.call.end_pause(CLIENT, "switch")
    world.play(S)
    world.hang_up()
    assert late.received.gaps[0][0] == "discarded"
    assert late.received.paused_at == [20 * S]
    assert late.received.resumed == [(20 * S, 27 * S)]
    check(world, late)


def test_a_silent_endpoint_ends_at_the_pong_time_out_and_its_rest_is_lost() -> None:
    world = World()
    dead = world.endpoint("dead")
    world.settle()
    world.play(2 * S)
    dead.is_dead = True
    world.play(3 * S)
    world.call.begin_pause(SECURE, "flow")
    world.play(15 * S)
    world.call.end_pause(SECURE, "flow")
    assert dead.cursor.state is CursorState.ENDED
    timeouts = [e.code for e in dead.client_events if isinstance(e, PeerViolated)]
    assert timeouts[0] == 408
    world.play(S)
    dead.cut(world.now_ns)
    world.hang_up()
    account = dead.cursor.account
    assert account.paused_secure == 15 * S
    assert account.lost > 0
    check(world, dead)


# Pauses ---------------------------------------------------------------------------------


def test_a_server_pause_is_the_endpoints_own() -> None:
    world = World()
    pausing, other = world.endpoint("pausing"), world.endpoint("other")
    world.settle()
    world.play(S + 80)
    pausing.server.pause(world.now_ns)
    world.settle()
    world.play(S)
    pausing.server.resume(world.now_ns)
    world.settle()
    world.play(S)
    world.hang_up()
    assert other.received.audio == world.source[: 2 * world.call.head]
    account = pausing.cursor.account
    assert pausing.received.paused_at == [S]
    assert pausing.received.resumed == [(S, S)]
    assert account.intervals == (PauseInterval(SERVER, "endpoint", S, 2 * S),)
    assert account.paused_server == account.paused_union == S
    assert other.cursor.account.paused_union == 0
    for endpoint in world.endpoints:
        check(world, endpoint)


def test_overlapping_pauses_count_once_in_the_union() -> None:
    world = opened_world()
    (endpoint,) = world.endpoints
    world.play(S)
    endpoint.server.pause(world.now_ns)
    world.settle()
    world.play(S)
    assert world.call.begin_pause(SECURE, "flow").position == 2 * S
    world.play(S)
    world.call.begin_pause(CLIENT, "switch")
    endpoint.server.resume(world.now_ns)
    world.settle()
    world.play(S)
    world.call.end_pause(SECURE, "flow")
    world.play(S)
    assert world.call.end_pause(CLIENT, "switch") == 5 * S
    world.play(S)
    world.hang_up()
    account = endpoint.cursor.account
    assert (account.paused_server, account.paused_secure) == (2 * S, 2 * S)
    assert (account.paused_client, account.paused_union) == (2 * S, 4 * S)
    assert account.intervals == (
        PauseInterval(SERVER, "endpoint", S, 3 * S),
        PauseInterval(SECURE, "flow", 2 * S, 4 * S),
        PauseInterval(CLIENT, "switch", 3 * S, 5 * S),
    )
    assert endpoint.received.resumed == [(S, 4 * S)]
    assert account.sent == 2 * S
    check(world, endpoint)


def test_a_pause_that_still_holds_ends_with_the_call() -> None:
    world = opened_world()
    (endpoint,) = world.endpoints
    world.play(S)
    world.call.begin_pause(CLIENT, "switch")
    world.play(S)
    endpoint.server.pause(world.now_ns)
    world.settle()
    world.play(S)
    world.hang_up()
    account = endpoint.cursor.account
    assert account.intervals == (
        PauseInterval(CLIENT, "switch", S, 3 * S),
        PauseInterval(SERVER, "endpoint", 2 * S, 3 * S),
    )
    assert endpoint.received.closed_at == account.ended_at == 3 * S
    check(world, endpoint)


def test_a_pause_is_idempotent_and_ends_once() -> None:
    call = Fanout()
    call.write(bytes(200), 0)
    assert call.begin_pause(SECURE, "flow") == Cut(100, 100, ())
    call.skip(50)
    assert call.begin_pause(SECURE, "flow") == Cut(100, 100, ())
    assert call.begin_pause(SECURE, "agent") == Cut(150, 150, ())
    assert call.is_paused
    call.end_pause(SECURE, "flow")
    assert call.end_pause(SECURE, "flow") == 150
    assert call.is_paused
    assert call.end_pause(SECURE, "agent") == 150
    assert not call.is_paused
    assert len(call.ring.records) == 2


def test_nothing_is_stored_while_paused() -> None:
    call = Fanout()
    call.begin_pause(CLIENT, "switch")
    with pytest.raises(LocalProtocolError, match="must not be stored"):
        call.write(bytes(200), 0)
    assert call.head == 0


def test_a_server_does_not_pause_the_call() -> None:
    call = Fanout()
    with pytest.raises(LocalProtocolError, match="belongs to one session"):
        call.begin_pause(SERVER, "endpoint")
    assert not call.is_paused


def test_a_gap_of_the_source_is_announced() -> None:
    world = opened_world()
    (endpoint,) = world.endpoints
    world.play(S + 7)
    world.call.skip(0)
    world.call.skip(300)
    world.play(S)
    endpoint.server.pause(world.now_ns)
    world.settle()
    world.call.skip(400)
    world.play(S)
    world.hang_up()
    assert endpoint.received.gaps == [("discarded", S + 7, 300)]
    assert endpoint.cursor.account.discarded == 300
    check(world, endpoint)


# Ends -----------------------------------------------------------------------------------


def test_after_the_hang_up_no_time_passes() -> None:
    call = Fanout()
    call.finish(0)
    with pytest.raises(LocalProtocolError, match="was hung up"):
        call.write(bytes(2), 0)
    with pytest.raises(LocalProtocolError, match="was hung up"):
        call.skip(1)


def test_a_server_that_has_enough_ends_its_own_part() -> None:
    world = World()
    done, other = world.endpoint("done"), world.endpoint("other")
    world.settle()
    world.play(S)
    done.server.disconnect(world.now_ns, reason=DisconnectReason.COMPLETED)
    world.settle()
    world.play(S)
    world.call.begin_pause(SECURE, "flow")
    world.play(S)
    world.call.end_pause(SECURE, "flow")
    world.play(S)
    world.hang_up()
    account = done.cursor.account
    assert (account.sent, account.lost, account.paused_secure) == (S, 2 * S, S)
    assert account.ended_at == S
    assert other.cursor.account.lost == 0
    for endpoint in world.endpoints:
        check(world, endpoint)


def test_an_endpoint_that_never_opens_loses_everything_but_the_pauses() -> None:
    world = World()
    endpoint = world.endpoint("a", dial=False)
    world.play(S)
    world.call.begin_pause(SECURE, "flow")
    world.play(S)
    endpoint.cursor.end()
    endpoint.is_cut = True
    world.hang_up()
    account = endpoint.cursor.account
    assert (account.lost, account.paused_secure) == (S, S)
    assert account.opened_at is account.ended_at is None
    check(world, endpoint)


class Broken:
    """A hash that fails."""

    def copy(self) -> Broken:
        return self

    def update(self, payload: bytes) -> None:
        raise RuntimeError("secret text")

    def hexdigest(self) -> str:
        return ""


def test_a_fault_of_ours_ends_one_endpoint_only() -> None:
    world = World()
    broken, other = world.endpoint("broken"), world.endpoint("other")
    world.settle()
    broken.cursor.is_whole = False
    broken.cursor.digest = Broken()  # type: ignore[assignment]
    world.play(2 * S)
    assert broken.cursor.fault == "RuntimeError"
    assert broken.cursor.state is CursorState.ENDED
    assert b"".join(broken.received.octets[-2:]).count(b'"code":500') == 1
    world.hang_up()
    assert other.received.audio == world.source[: 4 * S]
    check(world, other)


def test_a_call_remembers_when_its_audio_was_complete() -> None:
    call = Fanout()
    call.write(bytes(160), 5)
    call.write(bytes(160), 7)
    assert [call.completed_ns(position) for position in (1, 80, 81, 160, 161)] == [5, 5, 7, 7, None]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"frame_samples": 0}, "1 to 32000 samples, not 0"),
        ({"frame_samples": 32_001}, "not 32001"),
        ({"speed": 0}, "above 0"),
        ({"throttle_in_samples": 5, "throttle_out_samples": 5}, "smaller backlog"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, int], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        Fanout(**options)  # type: ignore[arg-type]


def test_the_endpoints_are_those_attached() -> None:
    call = Fanout()
    cursors = (call.attach(), call.attach())
    assert call.endpoints == cursors


@pytest.mark.parametrize("keeps", [True, False])
def test_evidence_is_kept_for_whoever_asks_for_it_and_changes_nothing_else(keeps: bool) -> None:
    world = World(keeps_evidence=keeps)
    first, second = world.endpoint("first"), world.endpoint("second", channel="external")
    world.play(4_000)
    world.call.begin_pause(PauseCause.CLIENT, "a")
    world.play(800)
    world.call.end_pause(PauseCause.CLIENT, "a")
    first.server.pause(world.now_ns)
    world.play(1_600)
    first.server.resume(world.now_ns)
    world.play(4_000)
    world.hang_up()
    for endpoint, audio in ((first, first.received.audio), (second, second.received.audio)):
        account = endpoint.cursor.account
        assert account.sent == len(audio) // (2 if endpoint is first else 1)
        assert account.sent_sha256 == (hashlib.sha256(audio).hexdigest() if keeps else None)
    assert (world.call.completed_ns(800) is not None) is keeps
