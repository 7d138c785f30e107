"""Calls that come and go beside calls that stay leave nothing behind in the service.

30 s, or OPENAUDIOHOOK_CHURN_S seconds; five minutes where CI=true. And 10 s to open 300 calls.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import psutil
import pytest
from tests.robustness.world import Call, Calls, descriptors_of, percentile, serving, settled

from openaudiohook.service.config import ServiceConfig
from openaudiohook.service.service import Service

CHURN_S = float(
    os.environ.get("OPENAUDIOHOOK_CHURN_S", "300" if os.environ.get("CI") == "true" else "30")
)
STEADY = 300
EACH_SECOND = 20
CALL_S = 1.5

# Bounds on what may have grown between the end of the first sixth and the end.
MORE_BYTES = 8_000_000
MORE_DESCRIPTORS = 0
MORE_THREADS = 0

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(round(CHURN_S) + 120)]


async def test_calls_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    churned = 0
    ending: set[asyncio.Task[None]] = set()

    async def one_call(uri: str, calls: Calls) -> None:
        nonlocal churned
        (call,) = await calls.open(uri, 1)
        await calls.talk(CALL_S)
        assert call.samples > 0
        await calls.close([call])
        churned += 1

    async def churn(uri: str, calls: Calls, seconds: float) -> None:
        """Set up calls at their rate, and wait until the last of them is torn down."""
        began = loop.time()
        for number in range(round(seconds * EACH_SECOND)):
            await asyncio.sleep(max(0.0, began + number / EACH_SECOND - loop.time()))
            task = asyncio.create_task(one_call(uri, calls))
            ending.add(task)
            task.add_done_callback(ending.discard)
        await asyncio.gather(*ending)

    async with serving(tmp_path) as service, Calls() as calls:
        process = psutil.Process(service.process.pid)
        idle = Standing(process)
        steady = await calls.open(service.uri, STEADY)
        await churn(service.uri, calls, CHURN_S / 6)
        before = Standing(process)
        await churn(service.uri, calls, CHURN_S * 5 / 6)
        after = Standing(process)
        metrics = await service.metrics()
        assert metrics["sessions"] == STEADY
        assert metrics['sessions_ended_total{reason="end"}'] == churned
        assert complaints(steady) == []
        trips = [ms for call in steady for ms in call.round_trips_ms()]
        await calls.close(steady)
        assert all(call.samples > 8_000 * (CHURN_S - 5) for call in steady)
        # With the last call everything that calls need is given back.
        await settled(lambda: descriptors_of(process) <= idle.descriptors)
        assert process.num_threads() <= idle.threads + 1  # the recorder's, once it is needed
    shutil.rmtree(tmp_path / "recordings")
    print(
        f"{churned} calls in {CHURN_S:.0f} s beside {STEADY}: "
        f"{(after.rss - before.rss) / 1e6:+.1f} MB ({before.rss / 1e6:.0f} MB before), "
        f"{after.descriptors - before.descriptors:+d} descriptors, "
        f"{after.threads - before.threads:+d} threads; "
        f"round trips p99 {percentile(trips, 0.99):.1f} ms"
    )
    assert churned == round(CHURN_S / 6 * EACH_SECOND) + round(CHURN_S * 5 / 6 * EACH_SECOND)
    assert after.rss - before.rss <= MORE_BYTES
    assert after.descriptors - before.descriptors <= MORE_DESCRIPTORS
    assert after.threads - before.threads <= MORE_THREADS


class Standing:
    """What a process holds now."""

    def __init__(self, process: psutil.Process) -> None:
        self.rss = process.memory_info().rss
        self.descriptors = descriptors_of(process)
        self.threads = process.num_threads()


def complaints(calls: list[Call]) -> list[object]:
    return [each for call in calls for each in call.complaints()]


async def test_tasks_go_with_their_calls(tmp_path: Path) -> None:
    config = ServiceConfig(no_auth=True, port=0, recordings=str(tmp_path))
    async with Service(config) as service, Calls() as calls:
        before = asyncio.all_tasks()
        for _ in range(10):
            opened = await calls.open(service.uri, 20)
            await calls.talk(0.2)
            await calls.close(opened)
        await settled(lambda: service.sessions == 0)
        await settled(lambda: not asyncio.all_tasks() - before)
