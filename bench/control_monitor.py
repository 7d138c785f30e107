"""A whole Monitor under measurement: platform, journal, database, control interface and calls.

Usage: python -m bench.control_monitor CALLS SECONDS WARMUP_SECONDS

It is configured through its control interface by `bench.control_traffic`. Once all of its calls
stream it measures twice: left alone, and beside requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from pathlib import Path
from typing import Final

import structlog
import uvloop

from bench.monitor_calls import FRAME_SAMPLES, Calls
from bench.window import measure, quiet_collector, say
from openaudiohook.fanout.endpoint import EndpointState
from openaudiohook.monitor.assembly import Assembled, assembled
from openaudiohook.monitor.config import MonitorConfig
from openaudiohook.monitor.declared import DEFAULT_ORGANIZATION, ApiClient

__all__ = ["CLIENT", "PAUSE_S", "SECRET"]

CLIENT: Final = "bench"
SECRET: Final = "the secret of the bench"
PAUSE_S: Final = 1.0
"""Between the two measurements; requests begin within it."""

_OPEN_S: Final = 60.0


class PlatformCalls(Calls):
    """The calls of a platform: others place them."""

    def __init__(self, running: Assembled) -> None:
        super().__init__()
        self._platform = running.platform

    async def come(self, calls: int, endpoints: int) -> None:
        """Wait until so many calls stream to so many endpoints each."""
        async with asyncio.timeout(_OPEN_S):
            while True:
                self._running = [call.running for call in self._platform._running.values()]
                states = self.states()
                if len(states) == calls * endpoints and all(
                    state is EndpointState.STREAMING for state in states
                ):
                    return
                await asyncio.sleep(0.05)

    def frames(self) -> int:
        """Return how many frames were sent; what was paused was not."""
        return sum(
            endpoint.cursor.account.sent // FRAME_SAMPLES
            for call in self._running
            for endpoint in call.endpoints
        )


async def main(calls: int, seconds: float, warmup_s: float, endpoints: int) -> None:
    """Run a Monitor, and measure it."""
    client = ApiClient(id=CLIENT, secret=SECRET, organization_id=DEFAULT_ORGANIZATION.id)
    config = MonitorConfig(
        port=0, state_dir=os.fspath(Path("state").absolute()), clients=(client,),
        requests_per_minute=1_000_000,
    )  # fmt: skip
    async with assembled(config) as running:
        say(event="listening", uri=running.server.uri)
        ours = PlatformCalls(running)
        await ours.come(calls, endpoints)
        quiet_collector()
        await asyncio.sleep(warmup_s)
        for _ in ("left alone", "beside requests"):
            await measure(
                seconds=seconds, frames=ours.frames, latencies=ours.latencies, watch=ours.watch
            )
            ours.unwatch()
            await asyncio.sleep(PAUSE_S)
        say(event="account", discarded=ours.discarded())


if __name__ == "__main__":
    logging.disable(logging.INFO)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with contextlib.suppress(KeyboardInterrupt):
        calls_, seconds_, warmup_, endpoints_ = sys.argv[1:]
        uvloop.run(main(int(calls_), float(seconds_), float(warmup_), int(endpoints_)))
