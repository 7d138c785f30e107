"""What would it save if calls took fewer turns, so that the process were woken less often?

Frames of 100 ms get complete at ten moments of 10 ms. Calls that take turns at all ten are sent
evenly; at five of them, or two, as many frames are sent in fewer and longer bursts.

Finding: with 200 calls x 5, and ticks left out at which nobody has anything to do, ten turns cost
12.4 to 13.0 microseconds a frame, five 11.5 to 12.6, two 11.3 to 12.5. A wake-up for nothing costs
about 100. Five were chosen: they save most of it, and a burst stays under 3 ms.

Usage: python -m experiments.turns   (three runs of each, four seconds each)
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Final

import uvloop
from bench.processes import MEASURED_CPU, OTHER_CPU, prepare_machine, python, running

from experiments.late_writes import measure
from openaudiohook.fanout.clock import TICK_NS
from openaudiohook.monitor import running as running_calls

TURNS: Final = (10, 5, 2)


def main() -> None:
    """Measure each in turns, in a process of its own."""
    prepare_machine()
    for _ in range(3):
        for turns in TURNS:
            with running(python("bench.endpoint"), cpu=OTHER_CPU) as endpoint:
                uri = endpoint.line().removeprefix("listening on ") + "api/v1/audiohook/ws"
                command = python("experiments.turns", str(turns), uri)
                with running(command, cpu=MEASURED_CPU) as sender:
                    print(f"{turns:2} turns {float(sender.line()):6.1f} µs a frame", flush=True)
                    sender.process.wait(30)


async def one(turns: int, uri: str) -> None:
    """Measure that many."""
    running_calls._TURN_NS = 10 // turns * TICK_NS  # type: ignore[misc]
    await measure(uri)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        if len(sys.argv) == 3:
            uvloop.run(one(int(sys.argv[1]), sys.argv[2]))
        else:
            main()
