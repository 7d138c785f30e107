from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from fanout.world import Endpoint, World, check
from openaudiohook.exceptions import LocalProtocolError
from openaudiohook.fanout.convoy import Convoy
from openaudiohook.fanout.cursor import Cursor, CursorState
from openaudiohook.protocol.client import Place
from openaudiohook.protocol.duration import format_duration
from openaudiohook.protocol.types import PauseCause

pytestmark = pytest.mark.unit

S = 8_000  # samples in a second


def opened_world(*channels: str) -> World:
    world = World()
    for number, channel in enumerate(channels):
        world.endpoint(f"{number} {channel}", channel=channel)
    world.settle()
    return world


def members(world: World) -> list[Endpoint]:
    convoy = world.call._convoy
    assert convoy is not None
    cursors = [lane.cursor for lane in convoy._lanes]
    return [endpoint for endpoint in world.endpoints if endpoint.cursor in cursors]


def hang_up(world: World) -> None:
    world.hang_up()
    for endpoint in world.endpoints:
        check(world, endpoint)


def test_endpoints_at_one_place_are_sent_one_payload_together() -> None:
    world = opened_world("both", "both", "both")
    world.play(S)
    assert members(world) == world.endpoints
    assert len({id(one.received.frames[-1][1]) for one in world.endpoints}) == 1
    hang_up(world)


def test_they_share_one_hash_until_one_of_them_leaves() -> None:
    world = opened_world("both", "both")
    staying, leaving = world.endpoints
    world.play(S)
    assert staying.cursor.digest is leaving.cursor.digest
    leaving.cut(world.now_ns)
    world.play(S)
    assert members(world) == [staying]
    assert leaving.cursor.account.sent_sha256 == hashlib.sha256(world.source[: 2 * S]).hexdigest()
    assert staying.cursor.account.sent_sha256 == hashlib.sha256(world.source[: 4 * S]).hexdigest()


def test_who_wants_other_channels_goes_by_himself() -> None:
    world = opened_world("both", "external", "both", "internal")
    world.play(S)
    assert members(world) == [world.endpoints[0], world.endpoints[2]]
    hang_up(world)
    assert world.endpoints[1].received.audio == world.source[: 2 * S : 2]


def test_who_missed_something_keeps_a_hash_of_his_own_and_rides_along() -> None:
    world = opened_world("both", "both")
    late = world.endpoint("late", dial=False)
    world.play(30 * S)
    late.dial(world.now_ns)
    world.play(5 * S)
    assert members(world) == world.endpoints
    assert late.cursor.digest is not world.endpoints[0].cursor.digest
    hang_up(world)


@pytest.mark.parametrize(
    "change",
    [
        lambda world: world.endpoints[0].server.pause(world.now_ns),
        lambda world: world.endpoints[0].server.resume(world.now_ns),
        lambda world: None,
        lambda world: world.call.update_language("fr-CA"),
        lambda world: world.call.begin_pause(PauseCause.SECURE, "flow"),
        lambda world: world.call.begin_pause(PauseCause.CLIENT, "flow", effective_at=S // 2),
        lambda world: world.endpoint("one more"),
        lambda world: world.endpoints[0].cut(world.now_ns),
        lambda world: setattr(world.endpoints[0], "is_dead", True),
    ],
)
def test_whatever_changes_is_dealt_with_at_once(
    change: Callable[[World], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, alone = opened_world("both", "both"), opened_world("both", "both")

    def run(world: World) -> None:
        world.play(S + 30)
        change(world)
        world.play(11 * S)  # two pings on schedule

    run(world)
    monkeypatch.setattr(Convoy, "form", lambda cursors, at, now_ns: None)
    run(alone)
    for one, other in zip(world.endpoints, alone.endpoints, strict=True):
        assert one.received.octets == other.received.octets  # pings, pauses and audio, in order
        assert one.received.frames == other.received.frames
        assert one.received.gaps == other.received.gaps
        assert one.received.paused_at == other.received.paused_at
        assert one.cursor.account == other.cursor.account


def test_one_that_cannot_be_written_to_ends_alone() -> None:
    world = World()
    broken, other = world.endpoint("broken"), world.endpoint("other")

    def fail(kind: int, payload: bytes) -> None:
        raise RuntimeError("secret text")

    broken.send = fail  # type: ignore[method-assign]
    world.settle()
    world.play(S)
    assert broken.cursor.fault == "RuntimeError"
    assert broken.cursor.state is CursorState.ENDED
    hang_up_other(world, other)


def hang_up_other(world: World, other: Endpoint) -> None:
    world.hang_up()
    assert other.received.audio == world.source[: 2 * S]
    check(world, other)


def test_nothing_is_written_to_a_connection_that_is_about_to_end() -> None:
    world = opened_world("both")
    (endpoint,) = world.endpoints
    world.play(S)
    written = endpoint.direct_frames
    endpoint.is_closing = lambda: True  # type: ignore[method-assign]
    convoy = world.call._convoy
    assert convoy is not None
    assert not convoy.send(world.call.ring, S, 800, world.call.edge, world.now_ns)
    assert endpoint.direct_frames == written


def test_a_convoy_needs_somebody() -> None:
    world = World()
    endpoint = world.endpoint("never opens", dial=False)
    world.play(S)
    assert Convoy.form([endpoint.cursor], S, world.now_ns) is None
    assert isinstance(endpoint.cursor, Cursor)


def test_an_endpoint_that_joins_within_a_tick_leaves_no_convoy_of_before() -> None:
    world = opened_world("both", "both")
    world.play(S)
    one = world.endpoints[0]
    flush, joined = one.flush, []

    def flushing() -> None:
        flush()
        if not joined:
            joined.append(world.call.attach())

    world.call.update_language("fr-CA")  # something that is flushed in the tick that sends a frame
    one.flush = flushing  # type: ignore[method-assign]
    world.feed(800)
    world.call.tick(world.now_ns)
    assert joined
    world.play(2 * S)
    hang_up(world)


@pytest.mark.parametrize("what", ["unsent_bytes", "clear", "is_closing"])
def test_a_connection_that_raises_when_it_is_asked_ends_alone(what: str) -> None:
    world = opened_world("both", "both")
    broken, other = world.endpoints

    def fail(*_: object) -> int:
        raise RuntimeError("secret text")

    world.play(S)
    setattr(broken, what, fail)
    world.play(S)
    world.call.wake()
    world.play(3 * S)
    assert other.cursor.position == 5 * S
    assert other.cursor.fault is None


def test_who_has_ended_is_sent_nothing_more() -> None:
    world = opened_world("both", "both")
    world.play(S)
    ended = world.endpoints[0]
    ended.cursor.end()
    frames = ended.direct_frames
    world.play(S)
    assert ended.direct_frames == frames


def test_who_was_paused_by_its_server_rides_again() -> None:
    world = opened_world("both", "both")
    world.play(S)
    world.endpoints[0].server.pause(world.now_ns)
    world.play(S)
    assert members(world) == [world.endpoints[1]]
    world.endpoints[0].server.resume(world.now_ns)
    world.play(S)
    assert members(world) == world.endpoints
    hang_up(world)


def test_pings_on_schedule_go_right_after_a_frame_and_break_up_nothing() -> None:
    world = opened_world("both", "both")
    world.play(3 * S)
    convoy, said = world.call._convoy, len(world.endpoints[0].received.octets)
    world.play(9 * S)
    assert world.call._convoy is convoy
    octets = world.endpoints[0].received.octets[said:]
    pings = [at for at, data in enumerate(octets) if b'"type":"ping"' in data]
    assert len(pings) == 2
    for at in pings:
        position = world.endpoints[0].cursor.position - 800 * sum(
            b'"type"' not in data for data in octets[at:]
        )
        assert f'"position":"{format_duration(position * 125_000)}"'.encode() in octets[at]
    hang_up(world)


def test_who_moves_with_others_leaves_them_by_moving() -> None:
    world = opened_world("both", "both")
    world.play(S)
    staying, leaving = (endpoint.session for endpoint in world.endpoints)
    world.endpoints[1].server.pause(world.now_ns)
    world.play(800)
    leaving.drop_audio(80, world.now_ns)
    assert leaving.position == staying.position + 80
    with pytest.raises(LocalProtocolError, match="from one position on"):
        leaving.move_with(Place(staying.position))
