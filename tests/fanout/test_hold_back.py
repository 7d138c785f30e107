"""Audio that is held back, and cuts that lie in the past."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout.world import Endpoint, World, check
from openaudiohook.exceptions import ConfigurationError
from openaudiohook.fanout.cursor import CursorState
from openaudiohook.fanout.engine import MAX_HOLD_BACK_SAMPLES, Cut, Fanout
from openaudiohook.fanout.ring import (
    SILENCE,
    Discarded,
    Paused,
    Record,
    Resumed,
    Ring,
    Updated,
)
from openaudiohook.protocol.media import offer_for
from openaudiohook.protocol.types import PauseCause

pytestmark = pytest.mark.unit

SECURE, CLIENT = PauseCause.SECURE, PauseCause.CLIENT
S = 8_000


def a_call(**options: object) -> tuple[World, Endpoint]:
    world = World(**options)
    endpoint = world.endpoint("a")
    world.settle()
    return world, endpoint


# Holding back ---------------------------------------------------------------------------


def test_audio_leaves_so_much_later() -> None:
    world, endpoint = a_call(hold_back_samples=2 * S)
    world.play(2 * S)
    assert endpoint.received.frames == []
    world.play(S)
    assert endpoint.received.audio == world.source[: 2 * S]
    assert (world.call.head, world.call.edge) == (3 * S, S)
    assert endpoint.cursor.state is CursorState.LIVE


def test_nothing_is_held_back_unless_asked() -> None:
    world, endpoint = a_call()
    world.play(S)
    assert world.call.edge == world.call.head == endpoint.cursor.position


@pytest.mark.parametrize("samples", [-1, MAX_HOLD_BACK_SAMPLES + 1])
def test_only_so_much_can_be_held_back(samples: int) -> None:
    with pytest.raises(ConfigurationError, match="0 to 24000 samples can be held back"):
        Fanout(hold_back_samples=samples)


def test_what_is_held_back_is_no_backlog() -> None:
    world, endpoint = a_call(hold_back_samples=3 * S, throttle_in_samples=S)
    world.play(20 * S)
    assert endpoint.cursor.account.discarded == 0
    world.hang_up()
    assert endpoint.received.audio == world.source[: 40 * S]
    check(world, endpoint)


@pytest.mark.parametrize("rate", [None, 14_000, 30_000])
def test_at_the_hang_up_the_rest_is_delivered(rate: int | None) -> None:
    world, endpoint = a_call(hold_back_samples=3 * S)
    world.play(5 * S)
    endpoint.rate = rate  # three seconds at once are more than the backlog it may have
    world.hang_up()
    assert endpoint.received.audio == world.source[: 10 * S]
    assert endpoint.received.closed_at == 5 * S
    check(world, endpoint)


def test_a_slow_endpoint_is_throttled_as_if_nothing_were_held_back() -> None:
    world, endpoint = a_call(hold_back_samples=2 * S)
    endpoint.rate = 8_000
    world.play(20 * S)
    account = endpoint.cursor.account
    assert account.discarded > 4 * S
    world.hang_up()
    check(world, endpoint)


def test_a_session_that_opens_late_is_live_at_the_edge() -> None:
    world = World(hold_back_samples=S, catch_up_samples=2 * S)
    world.play(5 * S)
    endpoint = world.endpoint("late")
    world.settle()
    assert endpoint.cursor.account.opened_at == 4 * S
    assert endpoint.received.gaps == [("discarded", 0, 2 * S)]
    world.play(S)
    assert endpoint.received.audio == world.source[4 * S : 10 * S]
    world.hang_up()
    check(world, endpoint)


def test_pauses_and_languages_wait_as_the_audio_does() -> None:
    world, endpoint = a_call(hold_back_samples=S)
    world.play(2 * S + 37)
    world.call.update_language("fr-CA")
    world.call.begin_pause(CLIENT, "switch")
    world.play(S - 100)
    assert (endpoint.received.paused_at, endpoint.received.languages) == ([], [])
    world.play(100)
    assert endpoint.received.paused_at == [2 * S + 37]
    assert endpoint.received.languages == [("fr-CA", 2 * S + 37)]
    assert endpoint.received.audio == world.source[: 2 * (2 * S + 37)]
    world.call.end_pause(CLIENT, "switch")
    world.play(S)
    assert endpoint.received.resumed == [(2 * S + 37, S)]
    world.hang_up()
    check(world, endpoint)


def test_held_back_audio_is_complete_when_it_becomes_live() -> None:
    call = Fanout(hold_back_samples=1_000)
    for at in range(10):
        call.write(bytes(2 * 800), at)
        call.tick(at)
    assert [call.completed_ns(at) for at in (1, 600, 601, 7_000, 7_001)] == [1, 1, 2, 9, None]
    call.begin_pause(CLIENT, "switch")  # time that passes in a pause counts as well
    call.skip(800)
    call.tick(77)
    assert call.completed_ns(7_001) == 77


# Cuts in the past -----------------------------------------------------------------------


def test_a_secure_pause_takes_back_all_that_is_held_back() -> None:
    world, endpoint = a_call(hold_back_samples=2 * S)
    world.play(5 * S)
    assert world.call.begin_pause(SECURE, "agent") == Cut(3 * S, 5 * S, (0,))
    world.play(S)
    assert endpoint.received.audio == world.source[: 6 * S]
    assert endpoint.received.gaps == [("discarded", 3 * S, 2 * S)]
    assert endpoint.received.paused_at == [5 * S]
    world.call.end_pause(SECURE, "agent")
    world.play(3 * S)
    world.hang_up()
    assert endpoint.received.resumed == [(5 * S, S)]
    account = endpoint.cursor.account
    assert (account.discarded, account.paused_secure) == (2 * S, S)
    check(world, endpoint)


def test_a_client_pause_takes_nothing_back() -> None:
    world, endpoint = a_call(hold_back_samples=2 * S)
    world.play(5 * S)
    assert world.call.begin_pause(CLIENT, "switch") == Cut(5 * S, 5 * S, (0,))
    world.play(3 * S)
    assert endpoint.received.audio == world.source[: 10 * S]
    assert endpoint.received.gaps == []


def test_a_cut_that_is_told_late_says_what_had_gone() -> None:
    world, endpoint = a_call()
    late = world.endpoint("late", dial=False)
    world.play(2 * S + 300)
    cut = world.call.begin_pause(SECURE, "flow", effective_at=2 * S - 50)
    assert cut == Cut(2 * S - 50, 2 * S + 300, (50, 0))  # the frame of 300 was not whole yet
    late.dial(world.now_ns)
    world.settle()
    world.play(S)
    assert endpoint.received.audio == world.source[: 4 * S]
    assert endpoint.received.gaps == [("discarded", 2 * S, 300)]
    assert late.received.audio == world.source[: 2 * (2 * S - 50)]  # split there
    assert late.received.gaps == [("discarded", 2 * S - 50, 350)]
    assert endpoint.received.paused_at == late.received.paused_at == [2 * S + 300]
    world.hang_up()
    for each in world.endpoints:
        check(world, each)


@pytest.mark.parametrize(("asked", "cut"), [(9 * S, S), (-5, 0), (0, 0), (S, S)])
def test_a_start_is_neither_refused_nor_put_off(asked: int, cut: int) -> None:
    world, endpoint = a_call()
    world.play(S)
    answer = world.call.begin_pause(SECURE, "flow", effective_at=asked)
    assert answer == Cut(cut, S, (S - cut,))
    assert world.call.is_paused
    world.hang_up()
    check(world, endpoint)


def test_repeating_it_takes_back_more_only_for_an_earlier_cut() -> None:
    world, endpoint = a_call(hold_back_samples=S)
    world.play(2 * S)
    first = Cut(2 * S - 100, 2 * S, (0,))
    assert world.call.begin_pause(SECURE, "flow", effective_at=2 * S - 100) == first
    world.play(80)
    for effective_at in (None, 2 * S, 2 * S - 100):
        assert world.call.begin_pause(SECURE, "flow", effective_at=effective_at) == first
    assert world.call.ring.records == [Discarded(2 * S - 100, 2 * S), Paused(2 * S)]
    earlier = world.call.begin_pause(SECURE, "flow", effective_at=2 * S - 150)
    assert earlier == Cut(2 * S - 150, 2 * S, (0,))
    world.play(2 * S)
    world.hang_up()
    assert endpoint.received.audio == world.source[: 2 * (2 * S - 150)]
    assert endpoint.cursor.account.discarded == 150
    check(world, endpoint)


def test_a_later_reason_may_reach_back_over_a_pause_that_is_over() -> None:
    world, endpoint = a_call(hold_back_samples=S)
    world.play(3 * S)
    world.call.begin_pause(CLIENT, "switch")
    world.play(400)
    world.call.update_language("de")
    world.call.end_pause(CLIENT, "switch")
    world.play(400)
    assert world.call.begin_pause(SECURE, "flow", effective_at=3 * S - 200).gone == (0,)
    world.play(2 * S)
    assert endpoint.received.audio == world.source[: 2 * (3 * S - 200)]
    assert endpoint.received.gaps == [
        ("discarded", 3 * S - 200, 200),
        ("resumed", 3 * S, 400),
        ("discarded", 3 * S + 400, 400),
    ]
    assert endpoint.received.paused_at == [3 * S, 3 * S + 800]
    world.hang_up()
    account = endpoint.cursor.account
    assert (account.discarded, account.paused_client, account.paused_secure) == (600, 400, 2 * S)
    check(world, endpoint)


def test_an_endpoint_that_wants_no_media_or_is_paused_is_accounted_for_as_well() -> None:
    world = World()
    deaf = world.endpoint("deaf", select=lambda offers: None)
    pausing = world.endpoint("pausing", start_paused=True)
    world.settle()
    world.play(S)
    assert world.call.begin_pause(SECURE, "flow", effective_at=100).gone == (0, 0)
    world.play(S)
    world.hang_up()
    for endpoint in (deaf, pausing):
        check(world, endpoint)


def test_what_was_withdrawn_is_in_no_later_history() -> None:
    world, _ = a_call()
    world.play(2 * S)
    world.call.begin_pause(SECURE, "flow", effective_at=S)
    world.call.end_pause(SECURE, "flow")
    world.play(800)
    late = world.endpoint("late")
    skipping = world.endpoint("skipping", discard_to=S + 5)  # within the gap
    world.settle()
    world.play(800)
    kept = world.source[: 2 * S], world.source[4 * S : 2 * (2 * S + 1_600)]
    assert late.received.audio == b"".join(kept)
    assert skipping.received.audio == kept[1]
    world.hang_up()
    for endpoint in world.endpoints:
        check(world, endpoint)


# The ring -------------------------------------------------------------------------------


def test_the_ring_erases_what_is_withdrawn_and_what_was_read_of_it() -> None:
    ring = Ring(100)
    ring.write(bytes(range(1, 161)))
    layout = ring.layout_for(offer_for("both")[0])
    ring.read(40, 20, layout)
    ring.withdraw(60)
    assert layout._payload  # it lies before
    ring.read(50, 10, layout)
    ring.withdraw(55)
    assert layout._payload == b""
    assert bytes(ring._octets[:110]) == bytes(range(1, 111))
    assert set(ring._octets[110:]) == {SILENCE}
    assert ring.head == 80
    ring.withdraw(80)
    ring.write(bytes(2))
    assert ring.records == [Discarded(55, 60), Discarded(60, 80)]


def test_the_ring_erases_all_of_it_where_the_cut_has_fallen_out() -> None:
    ring = Ring(10)
    ring.write(bytes(60))
    ring.withdraw(3)
    assert set(ring._octets) == {SILENCE}
    assert (ring.head, ring.records) == (30, [Discarded(3, 30)])


RECORDS = st.lists(st.tuples(st.sampled_from("prdu"), st.integers(1, 9)), max_size=8)


@given(RECORDS, st.integers(0, 60), st.integers(0, 9))
def test_withdrawing_turns_audio_into_gaps_and_nothing_else(
    happened: list[tuple[str, int]], start: int, more: int
) -> None:
    ring = Ring(100)
    silent: set[int] = set()
    since: int | None = None
    for what, samples in happened:
        at = ring.head
        ring.skip(samples)
        if since is not None:
            silent |= set(range(at, ring.head))
        match what:
            case "p" if since is None:
                since = ring.head
                ring.records.append(Paused(since))
            case "r" if since is not None:
                ring.records.append(Resumed(ring.head, since))
                since = None
            case "d" if since is None:
                ring.records.append(Discarded(ring.head, ring.head + samples))
                silent |= set(range(ring.head, ring.head + samples))
                ring.skip(samples)
            case "u":
                ring.records.append(Updated(ring.head, "de"))
    at = ring.head
    ring.skip(more)
    if since is not None:
        silent |= set(range(at, ring.head))
    before = list(ring.records)
    inserted = ring.withdraw(start)
    # The old history is there as it was; what is new fills the audio from the start on, exactly.
    renumbered = [at + sum(index <= at for index in inserted) for at in range(len(before))]
    assert [ring.records[at] for at in renumbered] == before
    new: list[Record] = [r for at, r in enumerate(ring.records) if at not in renumbered]
    filled: list[int] = []
    for gap in new:
        assert isinstance(gap, Discarded)
        filled += range(gap.position, gap.end)
    assert filled == sorted(set(range(start, ring.head)) - silent)
    assert [r.position for r in ring.records] == sorted(r.position for r in ring.records)
    audio = set(range(ring.head)) - silent - set(filled)
    assert ring.audio_after(0, index=0, is_paused=False) == len(audio)
    for until in range(0, ring.head + 1, 3):
        counted = ring.audio_after(0, index=0, is_paused=False, until=until)
        assert counted == len([at for at in audio if at < until])
    assert ring.withdraw(start) == []


# Holding back for longer ----------------------------------------------------------------


@settings(max_examples=15)
@given(first=st.integers(0, S), later=st.integers(0, 2 * S), before=st.integers(1, 2 * S))
def test_audio_is_held_back_for_longer_from_one_moment_on(
    first: int, later: int, before: int
) -> None:
    world, endpoint = a_call(hold_back_samples=first)
    world.play(before)
    edge = world.call.edge
    world.call.hold_back(later)
    held = max(first, later)
    assert world.call.hold_back_samples == held
    for _ in range(3):
        world.play(S)
        # What was live stays so, and no more gets live before it has waited so long.
        assert world.call.edge == max(edge, world.call.head - held)
    cut = world.call.begin_pause(SECURE, "flow")
    assert cut.position == max(0, world.call.head - held)
    world.tick()
    audio = endpoint.received.audio
    assert audio == world.source[: len(audio)]
    assert cut.gone == (max(0, len(audio) // 2 - cut.position),)
