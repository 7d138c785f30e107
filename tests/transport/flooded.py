"""A service in a process of its own, which tells how much memory it holds when asked."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.transport.world import Heard, serving

from openaudiohook.protocol import SessionEvent
from openaudiohook.protocol.events import AudioFrame
from openaudiohook.transport import Admitted, Driver


class Forgetful(Heard):
    """Keeps no audio: what is measured is the transport."""

    def __call__(self, event: SessionEvent) -> None:
        if not isinstance(event, AudioFrame):
            super().__call__(event)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def main() -> None:
    """Print the port; then for every line read, the memory now and its peak since the last."""
    peak = 0
    loop = asyncio.get_running_loop()
    sessions = 0

    def on_session(admitted: Admitted, driver: Driver) -> Forgetful:
        nonlocal sessions
        sessions += 1
        heard = Forgetful()
        heard.driver, heard.admitted = driver, admitted
        return heard

    async with serving(on_session=on_session) as service:
        print(service.port, flush=True)
        asked = loop.run_in_executor(None, sys.stdin.readline)
        while True:
            peak = max(peak, resident_bytes())
            if asked.done():
                if not asked.result():
                    return
                print(resident_bytes(), peak, sessions, flush=True)
                peak = 0
                asked = loop.run_in_executor(None, sys.stdin.readline)
            await asyncio.sleep(0.005)


if __name__ == "__main__":
    asyncio.run(main())
