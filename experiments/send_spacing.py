"""What does one `send` cost, depending on what the sender does between two of them?

Finding: work between the sends makes the sends themselves dearer, because the peer's CPU falls
asleep in between and each send has to wake it. Sends that follow each other directly find it
awake. So a sender does well to work out everything that is due first, and to write it after that.

Usage: python -m experiments.send_spacing   (three seconds a variant, 1,000 connections)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from typing import Final

import picows
import uvloop
from bench.processes import MEASURED_CPU, OTHER_CPU, prepare_machine, python, running

from openaudiohook.transport.sockets import bound_sending

CONNECTIONS: Final = 1000
SECONDS: Final = 3.0
TICK_S: Final = 0.01
FRAME: Final = bytes(1600)


def busy(nanoseconds: int) -> int:
    """Work for a while; return the CPU time it took."""
    started = time.process_time_ns()
    while time.process_time_ns() - started < nanoseconds:
        pass
    return time.process_time_ns() - started


async def variant(uri: str, *, is_bounded: bool, work_ns: int, is_batched: bool) -> float:
    """Return the microseconds of CPU time a send takes, the work not counted."""

    def made(_parsed: object) -> socket.socket | None:
        if not is_bounded:
            return None
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        bound_sending(sock)
        sock.setblocking(True)
        sock.connect(address)
        sock.setblocking(False)
        return sock

    address = ("127.0.0.1", int(uri.rsplit(":", 1)[1].strip("/")))
    transports = [
        (await picows.ws_connect(picows.WSListener, uri, socket_factory=made))[0]
        for _ in range(CONNECTIONS)
    ]
    sent = worked = tick = 0
    cpu, start = time.process_time_ns(), time.monotonic()
    while (now := time.monotonic()) < start + SECONDS:
        due = transports[tick % 10 :: 10]
        if is_batched:
            worked += sum(busy(work_ns) for _ in due) if work_ns else 0
            for transport in due:
                transport.send(picows.WSMsgType.BINARY, FRAME)
        else:
            for transport in due:
                worked += busy(work_ns) if work_ns else 0
                transport.send(picows.WSMsgType.BINARY, FRAME)
        sent += len(due)
        tick += 1
        await asyncio.sleep(max(0.0, start + tick * TICK_S - now))
    cpu = time.process_time_ns() - cpu
    for transport in transports:
        transport.disconnect()
    return (cpu - worked) / sent / 1000


def main() -> None:
    """Measure every variant twice, in turns."""
    prepare_machine()
    os.sched_setaffinity(0, {MEASURED_CPU})
    for _ in range(2):
        for is_bounded in (False, True):
            for work_ns, is_batched in ((0, False), (20_000, False), (20_000, True)):
                with running(python("bench.endpoint"), cpu=OTHER_CPU) as endpoint:
                    uri = endpoint.line().removeprefix("listening on ")
                    microseconds = uvloop.run(
                        variant(uri, is_bounded=is_bounded, work_ns=work_ns, is_batched=is_batched)
                    )
                where = "before all sends" if is_batched else "before each send"
                print(
                    f"{'small buffers' if is_bounded else 'default buffers':16}"
                    f"{f'20 µs of work {where}' if work_ns else 'no work':32}"
                    f"{microseconds:6.1f} µs a send",
                    flush=True,
                )


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
