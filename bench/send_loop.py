"""The yardstick of the Monitor: a loop that sends the same frames with picows alone.

Every 10 ms the connections whose frame is complete are sent it; that is all. There is no ring,
no session, no back-pressure, no account.

Usage: python -m bench.send_loop CALLS SECONDS WARMUP_SECONDS URI...
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
import uuid
from typing import Final

import picows
import uvloop

from bench.window import Latencies, measure, quiet_collector

__all__ = ["SendLoop"]

_TICK_NS: Final = 10_000_000
_PHASES: Final = 10  # ticks a frame
_FRAME: Final = bytes(range(256)) * 6 + bytes(64)
_BINARY: Final = picows.WSMsgType.BINARY


class _Client(picows.WSListener):
    """Opens a session and learns that it was opened."""

    def __init__(self) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        message = {"version": "2", "id": str(uuid.uuid4()), "type": "open", "seq": 1}
        text = json.dumps({**message, "parameters": {}}, separators=(",", ":"))
        transport.send(picows.WSMsgType.TEXT, text.encode("ascii"))

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if not self.opened.done():
            self.opened.set_result(None)


class SendLoop:
    """Sends frames on connections, a tenth of them each tick."""

    def __init__(self, calls: int) -> None:
        self.sent = 0
        self.latencies = Latencies()
        self.is_watched = False
        self._calls: list[list[picows.WSTransport]] = [[] for _ in range(calls)]
        self._tick = 0
        self._start_ns = 0
        self._timer: asyncio.TimerHandle | None = None

    async def connect(self, uris: list[str]) -> None:
        """Open one connection to each endpoint for each call."""
        for transports in self._calls:
            for uri in uris:
                client = _Client()
                transport, _ = await picows.ws_connect(lambda client=client: client, uri)
                await client.opened
                transports.append(transport)

    def start(self) -> None:
        """Begin to send."""
        self._start_ns = time.monotonic_ns()
        self._arm()

    def stop(self) -> None:
        """Send no more, and hang up."""
        if self._timer is not None:
            self._timer.cancel()
        for transports in self._calls:
            for transport in transports:
                transport.disconnect()

    def watch(self) -> None:
        """Note how late each frame is from now on."""
        self.is_watched = True

    def _arm(self) -> None:
        due_ns = self._start_ns + self._tick * _TICK_NS
        delay_s = max(0, due_ns - time.monotonic_ns()) / 1e9
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._on_tick)

    def _on_tick(self) -> None:
        due_ns = self._start_ns + self._tick * _TICK_NS
        for transports in self._calls[self._tick % _PHASES :: _PHASES]:
            for transport in transports:
                transport.send(_BINARY, _FRAME)
                if self.is_watched:
                    self.latencies.note(due_ns)
            self.sent += len(transports)
        self._tick += 1
        self._arm()


async def main(calls: int, seconds: float, warmup_s: float, uris: list[str]) -> None:
    """Connect, send, measure."""
    loop = SendLoop(calls)
    await loop.connect(uris)
    quiet_collector()
    loop.start()
    await asyncio.sleep(warmup_s)
    await measure(
        seconds=seconds, frames=lambda: loop.sent, latencies=loop.latencies, watch=loop.watch
    )
    loop.stop()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]))
