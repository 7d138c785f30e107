"""The deadlines of one event loop, met by one timer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from openaudiohook.transport.deadlines import Deadlines, deadlines_of

pytestmark = pytest.mark.unit

MS = 1_000_000


class Sleeper:
    """Notes when it is woken."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.slot: int | None = None
        self.woken: list[int] = []
        self.then = then

    def deadline_reached(self, now_ns: int) -> None:
        self.slot = None
        self.woken.append(now_ns)
        self.then()


def set_deadline(deadlines: Deadlines, sleeper: Sleeper, at_ns: int | None) -> None:
    sleeper.slot = deadlines.move(sleeper, sleeper.slot, at_ns)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.mark.anyio
async def test_each_is_woken_once_at_its_time_and_never_early() -> None:
    deadlines, start_ns = Deadlines(), time.monotonic_ns()
    sleepers = {after_ms: Sleeper() for after_ms in (60, 15, 35)}
    for after_ms, sleeper in sleepers.items():
        set_deadline(deadlines, sleeper, start_ns + after_ms * MS)
    await until(lambda: all(sleeper.woken for sleeper in sleepers.values()))
    for after_ms, sleeper in sleepers.items():
        (woken_ns,) = sleeper.woken
        assert woken_ns >= start_ns + after_ms * MS
    assert sleepers[15].woken < sleepers[35].woken < sleepers[60].woken


@pytest.mark.anyio
async def test_a_deadline_that_moved_or_is_gone_wakes_nobody() -> None:
    deadlines, start_ns = Deadlines(), time.monotonic_ns()
    moved, gone, last = Sleeper(), Sleeper(), Sleeper()
    for sleeper in (moved, gone):
        set_deadline(deadlines, sleeper, start_ns + 20 * MS)
    set_deadline(deadlines, last, start_ns + 60 * MS)
    set_deadline(deadlines, moved, start_ns + 3_600_000 * MS)
    set_deadline(deadlines, gone, None)
    await until(lambda: last.woken)
    assert moved.woken == gone.woken == []
    set_deadline(deadlines, moved, start_ns)  # a time that has passed: at once
    await until(lambda: moved.woken)


@pytest.mark.anyio
async def test_who_is_woken_may_move_another_one_and_himself() -> None:
    deadlines, start_ns = Deadlines(), time.monotonic_ns()
    other = Sleeper()
    first = Sleeper(then=lambda: set_deadline(deadlines, other, None))
    again = Sleeper()
    again.then = lambda: len(again.woken) < 3 and set_deadline(deadlines, again, start_ns)
    for sleeper in (other, again, first):  # those entered last come first
        set_deadline(deadlines, sleeper, start_ns + 10 * MS)
    await until(lambda: len(again.woken) == 3)
    assert len(first.woken) == 1
    assert other.woken == []


@pytest.mark.anyio
async def test_one_that_fails_keeps_nobody_from_being_woken() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    deadlines, start_ns = Deadlines(), time.monotonic_ns()

    def fail() -> None:
        raise RuntimeError("what nobody should read")

    before, failing, after = Sleeper(), Sleeper(fail), Sleeper()
    for sleeper in (before, failing, after):
        set_deadline(deadlines, sleeper, start_ns)
    await until(lambda: before.woken and failing.woken and after.woken)
    assert [type(context["exception"]) for context in told] == [RuntimeError]


@pytest.mark.anyio
async def test_a_loop_has_one_of_them() -> None:
    loop = asyncio.get_running_loop()
    assert deadlines_of(loop) is deadlines_of(loop)
    other = asyncio.new_event_loop()
    assert deadlines_of(other) is not deadlines_of(loop)
    other.close()
