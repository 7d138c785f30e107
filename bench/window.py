"""The measured part of a sending program: its CPU time first, then how late it is.

Both are seen from inside, one after the other, so that watching for lateness costs nothing while
CPU time is measured.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Callable
from typing import Final

from bench.figures import quantile

__all__ = ["Latencies", "Stalls", "measure", "quiet_collector", "say"]

_PROBE_S: Final = 0.005


def say(**event: object) -> None:
    """Tell whoever started us."""
    print(json.dumps(event), flush=True)


def quiet_collector() -> None:
    """Do as `serve` does: what lives as long as the program is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1_000)


class Latencies:
    """How long after each frame was complete it had been written to its socket."""

    def __init__(self) -> None:
        self.is_on = False
        self.values_ns: list[int] = []

    def note(self, complete_ns: int) -> None:
        """Note a frame that has just been written."""
        if self.is_on:
            self.values_ns.append(time.monotonic_ns() - complete_ns)


class Stalls:
    """How long the event loop did not get to what was due."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to watch."""
        loop = asyncio.get_running_loop()
        self._due_s = loop.time() + _PROBE_S
        self._timer = loop.call_at(self._due_s, self._probe)

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _probe(self) -> None:
        self.longest_s = max(self.longest_s, time.monotonic() - self._due_s)
        self.start()


async def measure(
    *, seconds: float, frames: Callable[[], int], latencies: Latencies, watch: Callable[[], None]
) -> None:
    """Measure CPU time, then lateness; print `window`, `end` and `result`.

    Args:
        seconds: for each of the two.
        frames: how many frames were sent so far.
        latencies: where the program notes them.
        watch: makes it do so.
    """
    say(event="window")
    sent, cpu_s, at_s = frames(), time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    sent, cpu_s, took_s = frames() - sent, time.process_time() - cpu_s, time.monotonic() - at_s
    say(event="end")
    stalls = Stalls()
    watch()
    latencies.is_on = True
    stalls.start()
    await asyncio.sleep(seconds)
    stalls.stop()
    latencies.is_on = False
    values = latencies.values_ns
    say(
        event="result",
        frames=sent,
        seconds=took_s,
        cpu_s=cpu_s,
        written=len(values),
        latency_ms=[quantile(values, q) / 1e6 for q in (0.5, 0.99, 1.0)],
        stall_ms=stalls.longest_s * 1000,
    )
