"""The yardsticks of the Monitor: a loop that sends the same frames with picows alone.

Every 10 ms the connections whose frame is complete are sent it; that is all. There is no ring,
no session, no back-pressure, no account. With `--pings` each connection is also sent the
protocol's `ping` every 5 s, right after a frame, and the answers are read: then all that goes over
the wire is what the Monitor sends and receives.

Usage: python -m bench.send_loop [--pings] CALLS SECONDS WARMUP_SECONDS URI...
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
_TEXT: Final = picows.WSMsgType.TEXT
_PING_TICKS: Final = 500


class _Client(picows.WSListener):
    """Opens a session and learns that it was opened; whatever else comes is read, and dropped."""

    def __init__(self) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ping = b""

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        session_id = str(uuid.uuid4())
        self.ping = _message(
            id=session_id,
            type="ping",
            seq=2,
            serverseq=1,
            position="PT1234.5S",
            parameters={"rtt": "PT0.001234567S"},
        )
        transport.send(_TEXT, _message(id=session_id, type="open", seq=1, parameters={}))

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if not self.opened.done():
            self.opened.set_result(None)


def _message(**fields: object) -> bytes:
    return json.dumps({"version": "2", **fields}, separators=(",", ":")).encode("ascii")


class SendLoop:
    """Sends frames on connections, a tenth of them each tick; and pings, if it is to."""

    def __init__(self, calls: int, *, pings: bool) -> None:
        self.sent = 0
        self.latencies = Latencies()
        self.is_watched = False
        self._calls: list[list[picows.WSTransport]] = [[] for _ in range(calls)]
        # By the tick after whose frames they are sent: evenly spread, and each right after a frame.
        self._pings: dict[int, list[tuple[picows.WSTransport, bytes]]] = {}
        self._is_pinging = pings
        self._tick = 0
        self._start_ns = 0
        self._timer: asyncio.TimerHandle | None = None

    async def connect(self, uris: list[str]) -> None:
        """Open one connection to each endpoint for each call."""
        for number, transports in enumerate(self._calls):
            turn = number * _PING_TICKS // len(self._calls)
            pings = self._pings.setdefault(turn - turn % _PHASES + number % _PHASES, [])
            for uri in uris:
                client = _Client()
                transport, _ = await picows.ws_connect(lambda client=client: client, uri)
                await client.opened
                transports.append(transport)
                if self._is_pinging:
                    pings.append((transport, client.ping))

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
        for transport, ping in self._pings.get(self._tick % _PING_TICKS, ()):
            transport.send(_TEXT, ping)
        self._tick += 1
        self._arm()


async def main(
    calls: int, seconds: float, warmup_s: float, uris: list[str], *, pings: bool
) -> None:
    """Connect, send, measure."""
    loop = SendLoop(calls, pings=pings)
    await loop.connect(uris)
    quiet_collector()
    loop.start()
    await asyncio.sleep(warmup_s)
    await measure(
        seconds=seconds, frames=lambda: loop.sent, latencies=loop.latencies, watch=loop.watch
    )
    loop.stop()


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--pings"]
    calls, seconds, warmup_s, *uris = arguments
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(
            main(int(calls), float(seconds), float(warmup_s), uris, pings="--pings" in sys.argv)
        )
