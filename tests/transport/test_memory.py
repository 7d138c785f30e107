"""What a connection costs the service that sends all it can and reads nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.transport.raw import Raw, frame
from tests.transport.world import OPEN, until, within

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]
FLOODERS = 40
BOUND_BYTES = 300_000

FLOODS = {
    "small frames": frame(2, b"\xff" * 100) * 2000,
    "large frames": frame(2, b"\xff" * 65_536) * 4,
    "oversize frames": frame(2, b"\xff" * 1_000_000),
    "fragments": frame(2, b"", fin=False) + frame(0, b"\xff", fin=False) * 5_000,
    "WebSocket pings": frame(9, b"p" * 125) * 2000,
    "messages that want an answer": frame(1, b"{}") * 300,
}


class Flooded:
    """The service under test, in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> list[int]:
        assert self.process.stdout is not None
        return [
            int(word) for word in (await within(self.process.stdout.readline(), bound_s=60)).split()
        ]

    async def memory(self) -> tuple[int, int, int]:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        now, peak, sessions = await self.line()
        return now, peak, sessions


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("kind", FLOODS)
@pytest.mark.anyio
async def test_a_flood_costs_little_memory(kind: str) -> None:
    flooded = Flooded(
        await asyncio.create_subprocess_exec(
            sys.executable,
            str(REPOSITORY / "tests" / "transport" / "flooded.py"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
    )
    raws: list[Raw] = []
    try:
        (port,) = await flooded.line()
        # The first session pays for what is loaded once.
        raws.append(await Raw.upgraded(port, after=frame(1, OPEN)))
        await raws[0].frame()
        before, _, _ = await flooded.memory()
        for _ in range(FLOODERS):
            raw = await Raw.upgraded(port, after=frame(1, OPEN))
            await raw.frame()
            raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
            raws.append(raw)
        for _ in range(8):
            for raw in raws[1:]:
                if raw.writer.transport.get_write_buffer_size() < 1_000_000:
                    raw.send(FLOODS[kind])
            await asyncio.sleep(0)
        await taken(raws)
        _, peak, sessions = await flooded.memory()
        assert sessions == FLOODERS + 1
        each = (peak - before) // FLOODERS
        print(f"{kind}: {each} bytes for each flooder")
        assert each <= BOUND_BYTES
    finally:
        for raw in raws:
            raw.writer.transport.abort()
        assert flooded.process.stdin is not None
        flooded.process.stdin.close()
        await within(flooded.process.wait())


async def taken(raws: list[Raw]) -> None:
    """Wait until the service takes no more: everything was sent, or nothing moves."""
    sizes: list[int] = []

    def is_quiet() -> bool:
        sizes.append(sum(raw.writer.transport.get_write_buffer_size() for raw in raws))
        return sizes[-1] == 0 or (len(sizes) > 200 and sizes[-1] == sizes[-200])

    await until(is_quiet, bound_s=60)
