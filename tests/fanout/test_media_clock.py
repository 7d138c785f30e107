from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from openaudiohook.fanout.clock import TICK_NS, MediaClock

pytestmark = pytest.mark.unit


class Timer:
    """A monotonic clock that tests move."""

    def __init__(self) -> None:
        self.now_ns = 1_000

    def __call__(self) -> int:
        return self.now_ns


async def fire(clock: MediaClock, timer: Timer, *, after_ns: int = TICK_NS) -> None:
    """Let the clock's timer fire, that long after its last tick was due."""
    timer.now_ns = clock._due_ns - TICK_NS + after_ns
    ticks = clock.ticks
    assert clock._timer is not None
    clock._timer.cancel()
    clock._arm()
    async with asyncio.timeout(5):
        while clock.ticks == ticks:
            await asyncio.sleep(0)


@pytest.mark.anyio
async def test_everything_registered_is_advanced_with_the_time() -> None:
    timer = Timer()
    clock, first, second = MediaClock(now_ns=timer), [], []
    clock.add(first.append)
    clock.add(second.append)
    await fire(clock, timer)
    await fire(clock, timer)
    assert first == second == [TICK_NS, 2 * TICK_NS]
    clock.remove(first.append)
    clock.remove(second.append)


@pytest.mark.anyio
async def test_a_late_tick_does_not_move_the_next() -> None:
    timer = Timer()
    clock, seen = MediaClock(now_ns=timer), []
    clock.add(seen.append)
    await fire(clock, timer, after_ns=TICK_NS + 4_000_000)
    assert clock._due_ns == 2 * TICK_NS
    await fire(clock, timer, after_ns=TICK_NS * 5 // 2)  # one and a half ticks late
    assert clock._due_ns == 4 * TICK_NS
    assert clock.ticks == 2
    assert clock.max_lateness_ns == TICK_NS * 3 // 2
    assert clock.lateness_ns(0.0) == 4_000_000
    assert clock.lateness_ns(0.99) == TICK_NS * 3 // 2
    clock.remove(seen.append)


def test_a_clock_that_never_ran_was_never_late() -> None:
    assert MediaClock().lateness_ns(0.99) == 0


@pytest.mark.anyio
async def test_it_runs_only_while_something_is_registered() -> None:
    clock = MediaClock()
    assert not clock.is_running
    seen: list[int] = []
    tickable: Callable[[int], None] = seen.append
    clock.add(tickable)
    assert clock.is_running
    clock.remove(tickable)
    clock.remove(tickable)
    assert not clock.is_running


@pytest.mark.anyio
async def test_it_stops_when_the_last_one_takes_itself_out() -> None:
    timer = Timer()
    clock = MediaClock(now_ns=timer)

    def once(now_ns: int) -> None:
        clock.remove(once)

    clock.add(once)
    await fire(clock, timer)
    assert not clock.is_running


@pytest.mark.anyio
async def test_one_may_take_out_and_bring_in_another_while_it_is_advanced() -> None:
    timer = Timer()
    clock, late = MediaClock(now_ns=timer), []

    def never(now_ns: int) -> None:
        raise AssertionError("it was taken out before its turn")

    def swap(now_ns: int) -> None:
        clock.remove(never)
        clock.remove(swap)
        clock.add(late.append)

    clock.add(swap)
    clock.add(never)
    await fire(clock, timer)
    assert late == []
    await fire(clock, timer)
    assert len(late) == 1
    clock.remove(late.append)


@pytest.mark.anyio
@pytest.mark.parametrize("is_told", [True, False])
async def test_one_that_raises_is_taken_out_and_the_others_go_on(is_told: bool) -> None:
    timer = Timer()
    clock, seen, faults = MediaClock(now_ns=timer), [], []

    def fail(now_ns: int) -> None:
        raise RuntimeError("what nobody should read")

    clock.add(fail, on_fault=faults.append if is_told else None)
    clock.add(seen.append)
    await fire(clock, timer)
    await fire(clock, timer)
    assert len(seen) == 2
    assert [type(fault) for fault in faults] == [RuntimeError] * is_told
    clock.remove(seen.append)


@pytest.mark.anyio
async def test_who_says_when_next_is_not_called_before_unless_woken() -> None:
    timer = Timer()
    clock, sparing, restless = MediaClock(now_ns=timer), [], []

    def first(now_ns: int) -> int | None:
        sparing.append(now_ns // TICK_NS)
        return now_ns + 3 * TICK_NS

    clock.add(first)
    clock.add(restless.append)
    for _ in range(7):
        await fire(clock, timer)
    assert sparing == [1, 4, 7]
    clock.wake(first)
    for _ in range(4):
        await fire(clock, timer)
    assert sparing == [1, 4, 7, 8, 11]
    assert len(restless) == 11
    clock.remove(first)
    clock.remove(restless.append)


@pytest.mark.anyio
async def test_ticks_at_which_nobody_has_anything_to_do_are_left_out_until_someone_has() -> None:
    timer = Timer()
    clock, sparing, waking = MediaClock(now_ns=timer), [], []

    def seldom(now_ns: int) -> int:
        sparing.append(now_ns // TICK_NS)
        return now_ns + 50 * TICK_NS

    clock.add(seldom)
    await fire(clock, timer)
    assert clock._due_ns == 51 * TICK_NS
    await fire(clock, timer)
    assert (sparing, clock.ticks) == ([1, 51], 2)
    clock.add(waking.append)  # who comes in between need not wait so long
    assert clock._due_ns == 52 * TICK_NS
    await fire(clock, timer)
    clock.remove(waking.append)
    await fire(clock, timer)  # the tick it was to have: for nobody
    assert clock._due_ns == 101 * TICK_NS
    clock.wake(seldom)
    assert clock._due_ns == 54 * TICK_NS
    await fire(clock, timer)
    assert (sparing, waking) == ([1, 51, 54], [52 * TICK_NS])
    clock.remove(seldom)
    clock.wake(seldom)  # too late, and no matter


@pytest.mark.anyio
async def test_it_ticks_by_itself() -> None:
    clock, enough = MediaClock(), asyncio.Event()

    def count(now_ns: int) -> None:
        if clock.ticks == 3:
            enough.set()

    clock.add(count)
    async with asyncio.timeout(5):
        await enough.wait()
    clock.remove(count)


@pytest.mark.anyio
async def test_one_that_registers_itself_anew_and_fails_can_still_be_removed() -> None:
    timer = Timer()
    clock, calls = MediaClock(now_ns=timer), []
    other: Callable[[int], None] = [].append

    def failing(now_ns: int) -> None:
        calls.append(now_ns)
        if len(calls) == 1:
            clock.add(failing)
            raise RuntimeError

    clock.add(failing)
    clock.add(other)
    await fire(clock, timer)
    clock.remove(failing)
    await fire(clock, timer)
    await fire(clock, timer)
    assert len(calls) == 1
    clock.remove(other)
