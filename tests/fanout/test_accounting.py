"""Whatever happens in a call: every sample of every endpoint is accounted for, exactly once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout.world import Endpoint, World, check
from openaudiohook.fanout.cursor import CursorState
from openaudiohook.protocol.types import DisconnectReason, PauseCause, ServerState

pytestmark = pytest.mark.unit

ENDPOINTS = 3
LIVING = (ServerState.ACTIVE, ServerState.PAUSED)

Happening: TypeAlias = Callable[[World], None]


def play(samples: int) -> Happening:
    return lambda world: world.play(samples)


def jump(samples: int) -> Happening:
    """A stall: much time at once, and only one tick for it."""
    return lambda world: (world.feed(samples), world.tick())[0]


def gap(samples: int) -> Happening:
    return lambda world: world.call.skip(samples)


def pause(cause: PauseCause, requester: str) -> Happening:
    return lambda world: (world.call.begin_pause(cause, requester), None)[1]


def resume(cause: PauseCause, requester: str) -> Happening:
    return lambda world: (world.call.end_pause(cause, requester), None)[1]


def update(language: str) -> Happening:
    return lambda world: world.call.update_language(language)


def at_endpoint(index: int, act: Callable[[World, Endpoint], None]) -> Happening:
    def happen(world: World) -> None:
        endpoint = world.endpoints[index]
        if endpoint.is_connected and not endpoint.is_cut:
            act(world, endpoint)

    return happen


def dial(index: int) -> Happening:
    def happen(world: World) -> None:
        endpoint = world.endpoints[index]
        if not endpoint.is_connected:
            endpoint.dial(world.now_ns)
            world.settle()

    return happen


def server_pause(world: World, endpoint: Endpoint) -> None:
    if endpoint.server.state in LIVING:
        endpoint.server.pause(world.now_ns)


def server_resume(world: World, endpoint: Endpoint) -> None:
    if endpoint.server.state in LIVING:
        endpoint.server.resume(world.now_ns)


def server_disconnect(world: World, endpoint: Endpoint) -> None:
    # A session that was asked to end `completed` lives on until `close` arrives.
    if endpoint.server.state in LIVING and not endpoint.server._disconnect_sent:
        endpoint.server.disconnect(world.now_ns, reason=DisconnectReason.COMPLETED)


def slow_to(rate: int | None) -> Callable[[World, Endpoint], None]:
    def act(world: World, endpoint: Endpoint) -> None:
        endpoint.rate = rate

    return act


def die(world: World, endpoint: Endpoint) -> None:
    endpoint.is_dead = True


def cut(world: World, endpoint: Endpoint) -> None:
    endpoint.cut(world.now_ns)


CAUSES = st.sampled_from([PauseCause.SECURE, PauseCause.CLIENT])
REQUESTERS = st.sampled_from(["flow", "agent"])
INDEXES = st.integers(0, ENDPOINTS - 1)
HAPPENINGS = st.one_of(
    st.integers(1, 6_000).map(play),
    st.integers(1, 6_000).map(play),
    st.integers(1, 40_000).map(jump),
    st.integers(0, 3_000).map(gap),
    st.builds(pause, CAUSES, REQUESTERS),
    st.builds(resume, CAUSES, REQUESTERS),
    st.sampled_from(["en-US", "fr-CA"]).map(update),
    INDEXES.map(dial),
    st.builds(
        at_endpoint,
        INDEXES,
        st.one_of(
            st.sampled_from([server_pause, server_resume, server_pause, server_resume]),
            st.sampled_from([None, 3_000, 9_000, 20_000, 200_000]).map(slow_to),
            st.sampled_from([server_disconnect, die, cut]),
        ),
    ),
)
SHAPES = st.fixed_dictionaries(
    {
        "channel": st.sampled_from(["both", "external", "internal"]),
        "select": st.sampled_from(
            [lambda offers: offers[0], lambda offers: offers[-1], lambda offers: None]
        ),
        "start_paused": st.booleans(),
        "discard_to": st.none() | st.integers(0, 20_000),
        "rate": st.none() | st.integers(6_000, 40_000),
        "dial": st.booleans(),
    }
)


OPTIONS = st.fixed_dictionaries(
    {
        "frame_samples": st.sampled_from([160, 800, 1_600]),
        "phase_samples": st.integers(0, 1_600),
        "speed": st.sampled_from([1, 3]),
        # Small ones, so that short schedules go all the way round.
        "ring_samples": st.just(1),
        "catch_up_samples": st.sampled_from([4_000, 12_000]),
        "throttle_in_samples": st.sampled_from([3_000, 16_000]),
        "throttle_out_samples": st.sampled_from([500, 2_000]),
    }
)


def a_call(
    options: dict[str, int],
    shapes: list[dict[str, object]],
    happenings: list[Happening],
    *,
    is_direct: bool = True,
) -> World:
    world = World(samples=25 * 40_000, **options)
    for index, shape in enumerate(shapes):
        world.endpoint(f"{index}", is_direct=is_direct, **shape)
    world.settle()
    for happen in happenings:
        happen(world)
        world.settle()
    for endpoint in world.endpoints:
        if not endpoint.is_connected:
            endpoint.cursor.end()
            endpoint.is_cut = True
        elif endpoint.is_dead:
            endpoint.cut(world.now_ns)
    world.hang_up()
    return world


@settings(max_examples=150)
@given(
    options=OPTIONS,
    shapes=st.lists(SHAPES, min_size=ENDPOINTS, max_size=ENDPOINTS),
    happenings=st.lists(HAPPENINGS, max_size=25),
)
def test_every_sample_is_accounted_for(
    options: dict[str, int], shapes: list[dict[str, object]], happenings: list[Happening]
) -> None:
    world = a_call(options, shapes, happenings)
    for endpoint in world.endpoints:
        check(world, endpoint)
        assert endpoint.cursor.state is CursorState.ENDED
        account = endpoint.cursor.account
        assert account.paused_secure == world.endpoints[0].cursor.account.paused_secure


@settings(max_examples=100)
@given(
    options=OPTIONS,
    shapes=st.lists(SHAPES, min_size=ENDPOINTS, max_size=ENDPOINTS),
    happenings=st.lists(HAPPENINGS, max_size=20),
)
def test_the_short_way_to_the_wire_changes_nothing(
    options: dict[str, int], shapes: list[dict[str, object]], happenings: list[Happening]
) -> None:
    direct = a_call(options, shapes, happenings)
    queued = a_call(options, shapes, happenings, is_direct=False)
    for short, long in zip(direct.endpoints, queued.endpoints, strict=True):
        assert long.direct_frames == 0
        assert short.received == long.received  # to the octet, and to the tick
        assert short.cursor.account == long.cursor.account
        assert short.client_events == long.client_events
