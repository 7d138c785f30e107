"""Nothing that is captured in a secure pause leaves, nor is it stored anywhere on the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.world import Endpoint, World, check
from openaudiohook.exceptions import LocalProtocolError
from openaudiohook.fanout.engine import Fanout
from openaudiohook.protocol.types import PauseCause

pytestmark = pytest.mark.unit

SECURE, CLIENT = PauseCause.SECURE, PauseCause.CLIENT
S = 8_000
# Two samples of each channel that the source's audio does not hold in this order.
MARKER = bytes((0x5A, 0xA5, 0x5B, 0xB5)) * 40


def holds_marker(octets: bytes | bytearray) -> bool:
    """Whether the marker is in there: as stereo, or as one of its channels."""
    return any(
        part in octets for part in (MARKER[:8], MARKER[1:9], MARKER[::2][:8], MARKER[1::2][:8])
    )


def remembered(call: Fanout) -> bytes:
    """Everything a call holds: its ring, and the payloads that endpoints share."""
    payloads = [layout._payload for layout in call.ring._layouts.values()]
    return bytes(call.ring._octets) + b"|".join(payloads)


def say_the_number(world: World, samples: int) -> None:
    """The card number is spoken: the source offers it, and the call does not take it."""
    while samples:
        step = min(samples, len(MARKER) // 2)
        with pytest.raises(LocalProtocolError, match="must not be stored"):
            world.call.write(MARKER[: 2 * step], world.now_ns)
        world.call.skip(step)
        world.tick()
        # What the ring took last; the rest of it was looked at before.
        ring = world.call.ring
        at = 2 * (ring.head % ring.capacity)
        assert not holds_marker(ring._octets[max(0, at - 4 * step) : at])
        samples -= step
    assert not holds_marker(remembered(world.call))


def assert_nothing_left(endpoint: Endpoint) -> None:
    assert not holds_marker(b"".join(endpoint.received.octets))
    assert not holds_marker(b"".join(data for _, data in endpoint.queue))


def five(world: World) -> list[Endpoint]:
    """All that an endpoint can be: live, mono, slow, in a pause of its own, and late."""
    endpoints = [
        world.endpoint("stereo"),
        world.endpoint("internal", channel="internal"),
        world.endpoint("slow", rate=14_000),
        world.endpoint("pausing"),
        world.endpoint("late", dial=False),
    ]
    world.settle()
    return endpoints


def test_the_marker_is_seen_where_there_is_no_pause() -> None:
    world = World()
    endpoints = five(world)
    world.play(S)
    for _ in range(40):
        world.call.write(MARKER, world.now_ns)
        world.tick()
    assert holds_marker(remembered(world.call))
    assert all(holds_marker(b"".join(e.received.octets)) for e in endpoints[:2])


@pytest.mark.parametrize("before", [S, S + 1, S + 799, S + 400, 3 * S + 37])
@pytest.mark.parametrize("cause", [SECURE, CLIENT])
def test_a_marker_in_the_span_never_leaves(before: int, cause: PauseCause) -> None:
    world = World()
    endpoints = five(world)
    pausing, late = endpoints[3], endpoints[4]
    world.play(before)
    cut = world.call.begin_pause(cause, "flow").position
    assert cut == before
    say_the_number(world, S + 13)
    pausing.server.pause(world.now_ns)
    world.settle()
    say_the_number(world, 300)
    late.dial(world.now_ns)
    say_the_number(world, S)
    pausing.server.resume(world.now_ns)  # lifts its own pause only
    world.settle()
    say_the_number(world, S)
    end = world.call.end_pause(cause, "flow")
    world.play(2 * S)
    world.hang_up()
    for endpoint in endpoints:
        assert_nothing_left(endpoint)
        assert cut in endpoint.received.paused_at
        assert set(endpoint.received.paused_at) == {cut}  # all at the same sample
        assert endpoint.received.resumed == [(cut, end - cut)]
        account = endpoint.cursor.account
        assert max(account.paused_secure, account.paused_client) == end - cut
        check(world, endpoint)


def test_a_frame_that_straddles_the_cut_is_split_there() -> None:
    world = World()
    endpoint = world.endpoint("a")
    world.settle()
    world.play(S + 333)
    world.call.begin_pause(SECURE, "flow")
    say_the_number(world, 500)
    world.call.end_pause(SECURE, "flow")
    world.play(S)
    frames = [(position, len(payload) // 2) for position, payload in endpoint.received.frames]
    assert frames[9:13] == [(7_200, 800), (8_000, 333), (8_833, 767), (9_600, 800)]
    world.hang_up()
    check(world, endpoint)


def test_a_pause_is_told_at_the_next_tick() -> None:
    world = World()
    endpoint = world.endpoint("a")
    world.settle()
    world.play(S + 80)
    world.call.begin_pause(SECURE, "flow")
    world.tick()
    assert endpoint.received.paused_at == [S + 80]
    world.call.end_pause(SECURE, "flow")
    world.tick()
    assert endpoint.received.resumed == [(S + 80, 0)]
    world.hang_up()
    check(world, endpoint)


def test_the_cut_does_not_wait_for_a_tick() -> None:
    world = World()
    endpoint = world.endpoint("a")
    world.settle()
    world.feed(100)
    world.call.begin_pause(SECURE, "flow")
    with pytest.raises(LocalProtocolError):
        world.call.write(MARKER, world.now_ns)
    world.call.skip(50)
    world.call.end_pause(SECURE, "flow")
    world.feed(700)
    world.tick()
    assert endpoint.received.paused_at == [100]
    assert endpoint.received.resumed == [(100, 50)]
    world.hang_up()
    check(world, endpoint)


def test_the_stream_goes_on_when_the_last_reason_has_ended() -> None:
    world = World()
    endpoint = world.endpoint("a")
    world.settle()
    world.play(S)
    world.call.begin_pause(SECURE, "flow")
    say_the_number(world, S)
    world.call.begin_pause(SECURE, "agent")
    world.call.begin_pause(CLIENT, "switch")
    say_the_number(world, S)
    world.call.end_pause(SECURE, "flow")
    say_the_number(world, S)
    world.call.end_pause(SECURE, "agent")
    say_the_number(world, S)
    world.call.end_pause(CLIENT, "switch")
    world.play(S)
    world.hang_up()
    assert endpoint.received.paused_at == [S]
    assert endpoint.received.resumed == [(S, 4 * S)]
    account = endpoint.cursor.account
    assert (account.paused_secure, account.paused_client) == (3 * S, 3 * S)
    assert account.paused_union == 4 * S
    assert_nothing_left(endpoint)
    check(world, endpoint)


def test_a_servers_resume_does_not_lift_a_secure_pause() -> None:
    world = World()
    endpoint = world.endpoint("a")
    world.settle()
    world.play(S)
    endpoint.server.pause(world.now_ns)
    world.settle()
    world.play(S)
    world.call.begin_pause(SECURE, "flow")
    say_the_number(world, S)
    endpoint.server.resume(world.now_ns)
    world.settle()
    say_the_number(world, S)
    assert not endpoint.session.is_flowing
    assert endpoint.received.resumed == []
    world.call.end_pause(SECURE, "flow")
    world.play(S)
    world.hang_up()
    assert endpoint.received.resumed == [(S, 3 * S)]
    assert_nothing_left(endpoint)
    check(world, endpoint)


def test_a_session_that_opens_during_a_secure_pause_streams_nothing_of_it() -> None:
    world = World()
    world.call.begin_pause(SECURE, "flow")
    say_the_number(world, 2 * S)
    endpoint = world.endpoint("a", start_paused=True)
    world.settle()
    say_the_number(world, S)
    assert endpoint.received.frames == []
    assert endpoint.received.paused_at == [0]
    world.call.end_pause(SECURE, "flow")
    world.play(S)
    assert endpoint.received.frames == []  # the server's own pause holds
    endpoint.server.resume(world.now_ns)
    world.settle()
    world.play(S)
    world.hang_up()
    assert endpoint.received.resumed == [(0, 4 * S)]
    assert_nothing_left(endpoint)
    check(world, endpoint)


def test_what_waited_before_the_cut_is_delivered_after_it() -> None:
    world = World()
    slow = world.endpoint("slow")
    world.settle()
    world.play(S)
    slow.rate, slow.allowance = 0, 0  # stuck
    world.play(S + 55)
    cut = world.call.begin_pause(SECURE, "flow").position
    say_the_number(world, S)
    assert slow.received.paused_at == []
    slow.rate = None
    say_the_number(world, S)
    assert slow.received.paused_at == [cut]
    assert slow.received.audio == world.source[: 2 * cut]
    world.hang_up()
    assert_nothing_left(slow)
    check(world, slow)


@given(
    frame_samples=st.sampled_from([160, 333, 800]),
    spans=st.lists(
        st.tuples(st.integers(1, 3_000), st.integers(1, 3_000), st.sampled_from([SECURE, CLIENT])),
        min_size=1,
        max_size=4,
    ),
    rates=st.tuples(*[st.none() | st.integers(4_000, 30_000)] * 3),
)
def test_every_endpoint_pauses_at_the_same_samples(
    frame_samples: int,
    spans: list[tuple[int, int, PauseCause]],
    rates: tuple[int | None, ...],
) -> None:
    world = World(samples=30_000, frame_samples=frame_samples)
    endpoints = [world.endpoint(f"{at}", rate=rate) for at, rate in enumerate(rates)]
    world.settle()
    cuts, resumes = [], []
    for play, pause, cause in spans:
        world.play(play)
        cuts.append(world.call.begin_pause(cause, "flow").position)
        say_the_number(world, pause)
        world.call.end_pause(cause, "flow")
        resumes.append((cuts[-1], pause))
    world.hang_up()
    for endpoint in endpoints:
        assert endpoint.received.paused_at == cuts
        assert endpoint.received.resumed == resumes
        assert_nothing_left(endpoint)
        check(world, endpoint)
