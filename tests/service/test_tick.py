"""The loop turns once per tick while many sessions are live, and at once while few are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from tests.support.platform import Platform, until

from openaudiohook.service import service as services
from openaudiohook.service.service import Service
from openaudiohook.service.tick import Tick

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

TICK_S = 0.01
TURNS = 20


async def seconds_of_turns() -> float:
    """How long the loop takes over a number of turns with nothing to do."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    for _ in range(TURNS):
        await asyncio.sleep(0)
    return loop.time() - start


async def test_with_many_sessions_the_loop_turns_once_per_tick() -> None:
    tick = Tick(TICK_S, many=3)
    tick.adapt(3)
    await asyncio.sleep(0)
    assert await seconds_of_turns() >= (TURNS - 1) * TICK_S
    tick.adapt(0)


async def test_with_few_sessions_the_loop_is_left_alone() -> None:
    tick = Tick(TICK_S, many=3)
    tick.adapt(2)
    assert await seconds_of_turns() < (TURNS - 1) * TICK_S
    assert not tick.is_on


async def test_it_ends_when_sessions_have_become_few_and_begins_again() -> None:
    tick = Tick(TICK_S, many=3)
    for _ in range(2):
        tick.adapt(4)
        assert tick.is_on
        tick.adapt(2)
        await until(lambda: not tick.is_on)
    assert await seconds_of_turns() < (TURNS - 1) * TICK_S


async def test_changes_within_one_turn_do_not_make_two_of_it() -> None:
    tick = Tick(TICK_S, many=3)
    for sessions in (3, 2, 3, 4):
        tick.adapt(sessions)
    await asyncio.sleep(0)
    assert await seconds_of_turns() < 1.9 * TURNS * TICK_S
    tick.adapt(0)
    await until(lambda: not tick.is_on)


async def test_without_a_tick_no_number_of_sessions_slows_the_loop() -> None:
    tick = Tick(0)
    tick.adapt(10_000)
    assert not tick.is_on


async def test_a_turn_that_took_long_is_followed_at_once() -> None:
    tick = Tick(TICK_S, many=1)
    tick.adapt(1)
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0)
    start = loop.time()
    while loop.time() < start + 3 * TICK_S:
        pass  # work that takes longer than a tick
    worked = loop.time()
    await asyncio.sleep(0)
    assert loop.time() - worked < TICK_S
    tick.adapt(0)


async def test_sessions_are_served_the_same_with_and_without(
    serve: Callable[..., AbstractAsyncContextManager[Service]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks: list[Tick] = []

    def made(tick_s: float) -> Tick:
        ticks.append(Tick(tick_s, many=2))
        return ticks[-1]

    monkeypatch.setattr(services, "Tick", made)
    async with serve() as service:
        platforms = [await Platform.to(service.uri) for _ in range(2)]
        assert ticks[0].is_on
        for platform in platforms:
            platform.send(os.urandom(40_000))
        assert [(await platform.close()).is_clean for platform in platforms] == [True, True]
        await until(lambda: not ticks[0].is_on)
