"""The Monitor under measurement: many calls at once, each streamed to every endpoint.

Usage: python -m bench.monitor_calls CALLS SECONDS WARMUP_SECONDS URI...
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from typing import Final

import structlog
import uvloop

from bench.window import Latencies, measure, quiet_collector, say
from openaudiohook.fanout.endpoint import EndpointConfig, EndpointState
from openaudiohook.fanout.engine import Fanout
from openaudiohook.monitor.monitor import Monitor, RunningCall
from openaudiohook.monitor.scenario import single_play
from openaudiohook.monitor.sources.tone import Tone
from openaudiohook.protocol.media import NS_PER_SAMPLE, SAMPLE_RATE

__all__ = ["Calls"]

FRAME_SAMPLES: Final = SAMPLE_RATE // 10
_CALL_S: Final = 3600
_CALLS_A_SECOND: Final = 50
_OPEN_S: Final = 30.0


class Calls:
    """Calls that run on one Monitor."""

    def __init__(self) -> None:
        self.latencies = Latencies()
        self._monitor = Monitor(keeps_evidence=False)  # as `openaudiohook monitor` does
        self._running: list[RunningCall] = []
        self._tick = Fanout.tick

    async def start(self, calls: int, configs: list[EndpointConfig]) -> None:
        """Begin the calls, a few at a time, and wait until every endpoint streams."""
        for _ in range(calls):
            scenario = single_play(Tone(samples=_CALL_S * SAMPLE_RATE))
            self._running.append(self._monitor.start(scenario, configs))
            await asyncio.sleep(1 / _CALLS_A_SECOND)
        async with asyncio.timeout(_OPEN_S):
            while any(state is not EndpointState.STREAMING for state in self.states()):
                await asyncio.sleep(0.05)

    def states(self) -> list[EndpointState]:
        """Return where the endpoints are."""
        return [endpoint.state for call in self._running for endpoint in call.endpoints]

    def frames(self) -> int:
        """Return how many frames were sent; nothing pauses here, so positions tell."""
        return sum(
            endpoint.cursor.position // FRAME_SAMPLES
            for call in self._running
            for endpoint in call.endpoints
        )

    def discarded(self) -> int:
        """Return how many samples were left out: none, or the measurement is void."""
        return sum(
            endpoint.cursor.account.discarded
            for call in self._running
            for endpoint in call.endpoints
        )

    def watch(self) -> None:
        """Note from now on, at each tick of a call, how long its newest samples were complete.

        A frame counts as written when those of all the call's endpoints are.
        """
        latencies, tick = self.latencies, Fanout.tick
        calls = {id(call.call.fanout): call for call in self._running}

        def timed_tick(fanout: Fanout, now_ns: int) -> None:
            before = [cursor.position for cursor in fanout.endpoints]
            tick(fanout, now_ns)
            began_ns = calls[id(fanout)]._began_ns
            for position, cursor in zip(before, fanout.endpoints, strict=True):
                if cursor.position != position:
                    latencies.note(began_ns + cursor.position * NS_PER_SAMPLE)

        self._tick, Fanout.tick = tick, timed_tick  # type: ignore[method-assign]

    def unwatch(self) -> None:
        """Note nothing any more, and forget what was noted."""
        Fanout.tick = self._tick  # type: ignore[method-assign]
        self.latencies.values_ns.clear()

    async def stop(self) -> None:
        """Hang up every call."""
        for call in self._running:
            call.hang_up()
        await asyncio.gather(*(call.finished() for call in self._running))


async def main(calls: int, seconds: float, warmup_s: float, uris: list[str]) -> None:
    """Start the calls, measure, hang up."""
    running = Calls()
    configs = [
        EndpointConfig(name=f"endpoint {number}", uri=uri, api_key="bench", client_secret=bytes(32))
        for number, uri in enumerate(uris, start=1)
    ]
    await running.start(calls, configs)
    quiet_collector()
    await asyncio.sleep(warmup_s)
    await measure(
        seconds=seconds,
        frames=running.frames,
        latencies=running.latencies,
        watch=running.watch,
    )
    say(event="account", discarded=running.discarded())
    await running.stop()


if __name__ == "__main__":
    logging.disable(logging.INFO)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]))
