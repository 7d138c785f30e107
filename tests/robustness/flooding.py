"""Connections that send all they can and read nothing, in a process of their own.

Arguments: port, how many, and which flood. Prints "flooding" once all are let in, then floods
until its stdin ends, and prints how many bytes went through.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys

from tests.transport.raw import Raw, frame
from tests.transport.world import OPEN

FLOODS = {
    "audio": frame(2, b"\xff" * 1600) * 40,
    "small audio": frame(2, b"\xff" * 100) * 600,
    "answers": frame(1, b"{}") * 300,
}


async def flood(sock: socket.socket, data: bytes) -> int:
    loop, sent = asyncio.get_running_loop(), 0
    with contextlib.suppress(OSError):
        while True:
            await loop.sock_sendall(sock, data)
            sent += len(data)
            await asyncio.sleep(0)
    return sent


async def main(port: int, count: int, kind: str) -> None:
    sockets: list[socket.socket] = []
    raws: list[Raw] = []
    for _ in range(count):
        raw = await Raw.upgraded(port, after=frame(1, OPEN))
        await raw.frame()
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        duplicate = raw.writer.get_extra_info("socket").dup()
        duplicate.setblocking(False)
        raws.append(raw)
        sockets.append(duplicate)
    print("flooding", flush=True)
    loop = asyncio.get_running_loop()
    floods = [asyncio.create_task(flood(sock, FLOODS[kind])) for sock in sockets]
    await loop.run_in_executor(None, sys.stdin.readline)
    for each in sockets:
        each.shutdown(socket.SHUT_RDWR)
    print(sum(await asyncio.gather(*floods)), flush=True)
    for each in sockets:
        each.close()
    for raw in raws:
        raw.writer.transport.abort()


if __name__ == "__main__":
    os.nice(10)  # in truth who floods has machines of his own
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
