"""Connections that flood cost little, and calls beside them notice nothing.

Three floods of 8 s, about 45 s together.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from tests.robustness import flooding
from tests.robustness.world import Calls, audio_in, percentile, serving, wav_of

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(180)]

REPOSITORY = Path(__file__).parents[2]
FLOODERS = 20
CALLS = 100
FLOOD_S = 8.0
MOST_BYTES_EACH = 300_000
MOST_ROUND_TRIP_MS = 100.0


@asynccontextmanager
async def flooded(port: int, kind: str) -> AsyncIterator[list[int]]:
    """Flood a port; afterwards the list holds how many bytes went through."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(REPOSITORY / "tests" / "robustness" / "flooding.py"),
        str(port), str(FLOODERS), kind,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    through: list[int] = []
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        assert line == b"flooding\n"
        yield through
        process.stdin.write(b"\n")
        through.append(int(await asyncio.wait_for(process.stdout.readline(), 30)))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def peak_bytes(service: psutil.Process, seconds: float) -> int:
    """The most memory a process has within a time."""
    loop, peak = asyncio.get_running_loop(), 0
    end_at = loop.time() + seconds
    while loop.time() < end_at:
        peak = max(peak, service.memory_info().rss)
        await asyncio.sleep(0.05)
    return peak


@pytest.mark.parametrize("kind", flooding.FLOODS)
async def test_a_flood_costs_little_and_calls_beside_it_notice_nothing(
    tmp_path: Path, kind: str
) -> None:
    async with serving(tmp_path) as service, Calls() as calls:
        process = psutil.Process(service.process.pid)
        await calls.open(service.uri, CALLS)
        await calls.talk(2.0)
        before = process.memory_info().rss
        for call in calls.all:
            call.platform.events.clear()
        async with flooded(service.port, kind) as through:
            peak = await peak_bytes(process, FLOOD_S)
        trips = [ms for call in calls.all for ms in call.round_trips_ms()]
        assert len(trips) >= CALLS * (FLOOD_S - 2)
        assert [call.complaints() for call in calls.all if call.complaints()] == []
        ended = list(calls.all)
        await calls.close(ended)
        # Nothing of the calls was lost.
        for call in ended:
            assert audio_in(wav_of(service.recordings, call)) == call.audio(call.samples)
    shutil.rmtree(tmp_path / "recordings")
    each = (peak - before) // FLOODERS
    p99 = percentile(trips, 0.99)
    print(
        f"{kind}: {through[0] / FLOOD_S / 1e6:.1f} MB/s went through, {each} bytes for each "
        f"flooder; round trips p50 {percentile(trips, 0.5):.1f} ms, p99 {p99:.1f} ms, worst "
        f"{max(trips):.1f} ms; our own clock was late by {calls.worst_lateness_s * 1e3:.0f} ms"
    )
    assert each <= MOST_BYTES_EACH
    assert p99 < MOST_ROUND_TRIP_MS
