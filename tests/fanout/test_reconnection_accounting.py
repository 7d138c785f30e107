"""However sessions follow one another: every sample of the call is accounted for, exactly once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout.moving import Moving, check
from fanout.world import World
from openaudiohook.exceptions import LocalProtocolError
from openaudiohook.protocol.types import DisconnectReason, PauseCause, ServerState

pytestmark = pytest.mark.unit

LIVING = (ServerState.ACTIVE, ServerState.PAUSED)

Happening: TypeAlias = Callable[[World, Moving], object]


def play(samples: int) -> Happening:
    return lambda world, moving: world.play(samples)


def jump(samples: int) -> Happening:
    return lambda world, moving: (world.feed(samples), world.tick())


def gap(samples: int) -> Happening:
    return lambda world, moving: world.call.skip(samples)


def pause(cause: PauseCause, requester: str, back: int | None) -> Happening:
    def happen(world: World, moving: Moving) -> None:
        at = None if back is None else world.call.head - back
        world.call.begin_pause(cause, requester, effective_at=at)

    return happen


def resume(cause: PauseCause, requester: str) -> Happening:
    return lambda world, moving: world.call.end_pause(cause, requester)


def update(language: str) -> Happening:
    return lambda world, moving: world.call.update_language(language)


def at_server(intent: str, *arguments: DisconnectReason) -> Happening:
    def happen(world: World, moving: Moving) -> None:
        for link in moving.links:
            if link.leg.is_open and not link.is_cut and link.server.state in LIVING:
                options = {"reason": arguments[0]} if arguments else {}
                with contextlib.suppress(LocalProtocolError):  # it said `disconnect` before
                    getattr(link.server, intent)(world.now_ns, **options)

    return happen


def slow_to(rate: int | None) -> Happening:
    def happen(world: World, moving: Moving) -> None:
        moving.links[-1].rate = rate

    return happen


def die(world: World, moving: Moving) -> None:
    moving.links[-1].is_dead = True


def cut(world: World, moving: Moving) -> None:
    if not moving.links[-1].is_cut:
        moving.links[-1].cut(world.now_ns)


CAUSES = st.sampled_from([PauseCause.SECURE, PauseCause.CLIENT])
REQUESTERS = st.sampled_from(["flow", "agent"])
HAPPENINGS: st.SearchStrategy[Happening] = st.one_of(
    st.integers(1, 6_000).map(play),
    st.integers(1, 6_000).map(play),
    st.integers(1, 40_000).map(jump),
    st.integers(0, 3_000).map(gap),
    st.builds(pause, CAUSES, REQUESTERS, st.none() | st.integers(0, 9_000)),
    st.builds(resume, CAUSES, REQUESTERS),
    st.sampled_from(["en-US", "fr-CA"]).map(update),
    st.sampled_from(["reconnect", "pause", "resume"]).map(at_server),
    st.just(at_server("reconnect")),
    st.builds(at_server, st.just("disconnect"), st.sampled_from(list(DisconnectReason))),
    st.sampled_from([None, 3_000, 9_000, 40_000]).map(slow_to),
    st.sampled_from([cut, die]),
)
BEHAVIOURS = st.fixed_dictionaries(
    {},
    optional={
        "channel": st.sampled_from(["both", "external", "internal"]),
        "start_paused": st.booleans(),
        "discard_to": st.none() | st.integers(0, 60_000),
        "rate": st.none() | st.integers(6_000, 40_000),
        "refusal": st.sampled_from([None, *DisconnectReason]),
        "is_unreachable": st.booleans(),
        "select": st.sampled_from([lambda offers: offers[0], lambda offers: None]),
    },
)


@settings(max_examples=100)
@given(
    options=st.fixed_dictionaries(
        {
            "frame_samples": st.sampled_from([160, 800, 1_600]),
            "phase_samples": st.integers(0, 1_600),
            "ring_samples": st.just(1),
            "catch_up_samples": st.sampled_from([4_000, 12_000]),
            "throttle_in_samples": st.sampled_from([3_000, 16_000]),
            "throttle_out_samples": st.sampled_from([500, 2_000]),
            "hold_back_samples": st.sampled_from([0, 0, 2_000]),
        }
    ),
    behaviours=st.lists(BEHAVIOURS, max_size=8),
    happenings=st.lists(HAPPENINGS, max_size=25),
)
def test_every_sample_counts_once_over_all_sessions(
    options: dict[str, int], behaviours: list[dict[str, Any]], happenings: list[Happening]
) -> None:
    world = World(samples=25 * 40_000, **options)
    moving = Moving(world, *behaviours, base_s=0.05, cap_s=0.2, stable_s=0.3)
    world.settle()
    for happen in happenings:
        happen(world, moving)
        world.settle()
    moving.finish()
    check(moving, is_lossless=False)
    for leg in moving.succession.legs:
        assert leg.cursor is not None
        assert leg.cursor.fault is None
