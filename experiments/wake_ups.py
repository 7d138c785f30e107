"""What does it save to let the service look at its sockets only once in a while?

With a thousand live streams every frame wakes the loop on its own. A loop that looks once per tick
finds many sockets readable at once, and pays for waking up once for all of them. The price is that
much latency. It is a setting now, `tick_ms`; this compares its values.

Usage: python -m experiments.wake_ups STREAMS [TICK_MS...]   (0 is a loop left alone)
"""

from __future__ import annotations

import base64
import sys

from bench.generator import API_KEY, SECRET, drive
from bench.processes import MEASURED_CPU, prepare_machine, python, running


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
            command = python("openaudiohook", "serve", "--port", "0")
            environment["OPENAUDIOHOOK_TICK_MS"] = tick
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
