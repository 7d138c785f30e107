"""What does it save to let the service sleep a little between two looks at its sockets?

With a thousand live streams every frame wakes the loop on its own. A loop that sleeps for a few
milliseconds finds many sockets readable at once, and pays for waking up once for all of them. The
price is that much latency; and while sessions are being set up each round trip pays it as well.

Usage: python -m experiments.wake_ups STREAMS [TICK_MS...]   (0 is the service as it is)
"""

from __future__ import annotations

import base64
import sys

from bench.generator import API_KEY, SECRET, drive
from bench.processes import MEASURED_CPU, prepare_machine, running

# The service as shipped, whose loop sleeps once a turn while at least 100 sessions are live.
PROGRAM = """
import asyncio, sys, time
from openaudiohook.cli import main
from openaudiohook.service.service import Service
tick_s, start = float(sys.argv.pop(1)) / 1000, Service.start
async def started(service):
    await start(service)
    loop = asyncio.get_running_loop()
    def turn():
        if service.sessions >= 100:
            time.sleep(tick_s)
            loop.call_soon(turn)
        else:
            loop.call_later(0.1, turn)
    if tick_s:
        turn()
Service.start = started
sys.argv[0] = "openaudiohook"
main()
"""


def main() -> None:
    """Measure each tick twice, in turns."""
    prepare_machine()
    streams = int(sys.argv[1])
    ticks = sys.argv[2:] or ["0", "2", "5"]
    environment = {
        "OPENAUDIOHOOK_API_KEY": API_KEY,
        "OPENAUDIOHOOK_CLIENT_SECRET": base64.b64encode(SECRET).decode("ascii"),
    }
    for _ in range(2):
        for tick in ticks:
            command = [sys.executable, "-c", PROGRAM, tick, "serve", "--port", "0"]
            with running(command, cpu=MEASURED_CPU, environment=environment) as server:
                uri = server.line().partition("listening on ")[2]
                run = drive(server, uri, streams=streams, rate=250, warmup_s=1, seconds=4)
            print(
                f"tick {tick} ms: {run.us_per_frame:.1f} µs a frame, CPU {run.cpu:.0%}, others "
                f"{run.other:.0%}, round trip p50 {run.round_trip_ms[0]} p99 "
                f"{run.round_trip_ms[1]} ms, opened p99 {run.setup_ms[1]} ms, late p99 "
                f"{run.late_ms} ms {run.problems}",
                flush=True,
            )


if __name__ == "__main__":
    main()
