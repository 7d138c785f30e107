"""A TCP relay on loopback: the bad line between the Monitor and one of its endpoints.

It sends each connection where it is told to, and can hold what the client sends to a byte rate.
Its buffers are small, as those of a thin line are: what it does not take stays with the sender,
who notices. What the server answers passes freely.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final

__all__ = ["Relay", "open_relay"]

_HOST: Final = "127.0.0.1"
_TICK_S: Final = 0.02

# The least with which loopback, whose segments are large, still runs without stalls.
_SMALL_BUFFER_BYTES: Final = 4096
_FREE_CHUNK_BYTES: Final = 65536


class Relay:
    """A running relay.

    Attributes:
        port: where it listens.
        connections: how many it has accepted.
        passed_bytes: how many bytes of the clients' it has passed on.
    """

    def __init__(
        self,
        listener: socket.socket,
        *,
        route: Callable[[int], int],
        bytes_per_s: int | None,
    ) -> None:
        self.port: int = listener.getsockname()[1]
        self.connections = 0
        self.passed_bytes = 0
        self._listener = listener
        self._route = route
        self._bytes_per_s = bytes_per_s
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to accept."""
        self._spawn(self._accept())

    async def close(self) -> None:
        """Drop every connection and stop listening; it may be repeated."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        for number in itertools.count(1):
            client, _ = await loop.sock_accept(self._listener)
            self.connections = number
            self._spawn(self._carry(client, self._route(number)))

    async def _carry(self, client: socket.socket, port: int) -> None:
        """Carry one connection until either side ends it."""
        loop = asyncio.get_running_loop()
        with client, socket.socket() as server:
            for each in (client, server):
                each.setblocking(False)
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                await loop.sock_connect(server, (_HOST, port))
                async with asyncio.TaskGroup() as directions:
                    directions.create_task(self._upstream(client, server))
                    directions.create_task(_copy(server, client))
            except* OSError:  # a broken connection is over, and closing both says so
                pass

    async def _upstream(self, client: socket.socket, server: socket.socket) -> None:
        rate = self._bytes_per_s
        loop = asyncio.get_running_loop()
        chunk = _FREE_CHUNK_BYTES if rate is None else max(1, int(rate * _TICK_S))
        free_at = loop.time()
        while data := await loop.sock_recv(client, chunk):
            await loop.sock_sendall(server, data)
            self.passed_bytes += len(data)
            if rate is not None:
                free_at = max(free_at, loop.time() - _TICK_S) + len(data) / rate
                await asyncio.sleep(free_at - loop.time())
        server.shutdown(socket.SHUT_WR)


async def _copy(source: socket.socket, target: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, _FREE_CHUNK_BYTES):
        await loop.sock_sendall(target, data)
    target.shutdown(socket.SHUT_WR)


@contextlib.asynccontextmanager
async def open_relay(
    route: Callable[[int], int],
    *,
    bytes_per_s: int | None = None,
) -> AsyncIterator[Relay]:
    """Run a relay on a free loopback port.

    Args:
        route: the loopback port for the n-th connection; the first is 1.
        bytes_per_s: hold what clients send to this rate, with small buffers; None lets it pass.
    """
    with socket.socket() as listener:
        if bytes_per_s is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER_BYTES)
        listener.bind((_HOST, 0))
        listener.listen()
        listener.setblocking(False)
        relay = Relay(listener, route=route, bytes_per_s=bytes_per_s)
        relay.start()
        try:
            yield relay
        finally:
            await relay.close()
