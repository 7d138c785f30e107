"""What would it save to collect all frames of a tick, and write them after everything else?

The Monitor sends each frame as soon as it has found that it may: about 3 microseconds of Python
lie between two sends. Here the frames of a tick are put aside, and written in a loop that does
nothing else, so that readers have less time to fall asleep in between.

Finding: about 6 % of the CPU time of a frame in this form (23.4 and 24.5 microseconds became 22.0
and 23.1, with 200 calls x 5). Built in properly, with a frame that waits in each driver and goes
before every other write, it was 1 to 4 %, less than one run differs from the next; so it was left
out.

Usage: python -m experiments.late_writes   (three pairs of runs, four seconds each)
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import picows
import uvloop
from bench.monitor_calls import Calls
from bench.processes import MEASURED_CPU, OTHER_CPU, prepare_machine, python, running

from openaudiohook.fanout.clock import MediaClock
from openaudiohook.fanout.endpoint import EndpointConfig
from openaudiohook.transport.driver import Driver

CALLS: Final = 200
SECONDS: Final = 4.0


def write_late() -> None:
    """Put frames aside until the tick is over."""
    waiting: list[tuple[picows.WSTransport, bytes]] = []
    tick = MediaClock._tick

    def send_audio(driver: Driver, payload: bytes, now_ns: int) -> bool:
        transport = driver._transport
        if transport is None or not driver.is_writable:
            return False
        if not driver.session.pass_audio(len(payload), now_ns):
            return False
        waiting.append((transport, payload))
        return True

    def tick_and_write(clock: MediaClock) -> None:
        tick(clock)
        for transport, payload in waiting:
            transport.send(picows.WSMsgType.BINARY, payload)
        waiting.clear()

    class Late:
        """Writes when the tick is over."""

        def __init__(self, transport: picows.WSTransport) -> None:
            self.transport = transport

        def send(self, _kind: int, payload: bytes) -> None:
            waiting.append((self.transport, payload))

    direct = Driver.passage

    def passage(driver: Driver, on_shut: Callable[[], None]) -> tuple[asyncio.Transport, Any]:
        stream, transport = direct(driver, on_shut)
        return stream, Late(transport)

    Driver.passage = passage  # type: ignore[method-assign]
    Driver.send_audio, MediaClock._tick = send_audio, tick_and_write


async def measure(uri: str) -> None:
    """Print the CPU time of a frame."""
    calls = Calls()
    config = EndpointConfig(name="e", uri=uri, api_key="bench", client_secret=bytes(32))
    await calls.start(CALLS, [config] * 5)
    await asyncio.sleep(1)
    frames, cpu = calls.frames(), time.process_time()
    await asyncio.sleep(SECONDS)
    print((time.process_time() - cpu) / (calls.frames() - frames) * 1e6, flush=True)
    await calls.stop()


def main() -> None:
    """Measure both ways in turns, each in a process of its own."""
    prepare_machine()
    for _ in range(3):
        for how in ("at once", "late"):
            with running(python("bench.endpoint"), cpu=OTHER_CPU) as endpoint:
                uri = endpoint.line().removeprefix("listening on ") + "api/v1/audiohook/ws"
                command = python("experiments.late_writes", how, uri)
                with running(command, cpu=MEASURED_CPU) as sender:
                    print(f"written {how:8}{float(sender.line()):6.1f} µs a frame", flush=True)
                    sender.process.wait(30)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        if len(sys.argv) == 3:
            if sys.argv[1] == "late":
                write_late()
            uvloop.run(measure(sys.argv[2]))
        else:
            main()
