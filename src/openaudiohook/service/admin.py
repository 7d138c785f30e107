"""The operator's own listener: `/metrics` and `/health/check`, plain HTTP, GET only.

It speaks just enough HTTP for a scraper and a load balancer, holds no connection open, and is
meant for loopback or a management network: nothing here is authenticated.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.service.config import Address

__all__ = ["AdminListener", "AdminReply"]

AdminReply = tuple[int, str, bytes]
"""Status, content type and body."""

_MAX_HEAD_BYTES = 8 * 1024
_TIMEOUT_S = 5.0
_REMEDIES = {
    errno.EADDRINUSE: "another program has it: stop that one, or choose another port",
    errno.EACCES: "it is reserved for the system: choose a port above 1023",
    errno.EADDRNOTAVAIL: "the address is not one of this machine's: use 127.0.0.1",
}
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Down"}


class AdminListener:
    """Serves a few pages, each made when it is asked for."""

    def __init__(self, pages: dict[str, Callable[[], AdminReply]]) -> None:
        self._pages = pages
        self._server: asyncio.Server | None = None
        self._answering: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self, address: Address) -> None:
        """Listen.

        Raises:
            ConfigurationError: the address or port cannot be used.
        """
        try:
            self._server = await asyncio.start_server(
                self._answer, address.host, address.port, limit=_MAX_HEAD_BYTES
            )
        except OSError as error:
            raise ConfigurationError(
                f"admin: cannot listen on {address.host} port {address.port}: {_remedy(error)}"
            ) from None

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            for task in self._answering:
                task.cancel()
            await asyncio.gather(*self._answering, return_exceptions=True)
            await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                status, content_type, body = self._reply(await self._read_request(reader))
                head = (
                    f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {content_type}\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                )
                writer.write(head.encode() + body)
                await writer.drain()
        except (OSError, TimeoutError):
            pass  # whoever asked is gone, or never asked
        finally:
            self._answering.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _read_request(self, reader: asyncio.StreamReader) -> list[bytes]:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return []
        return head.split(b"\r\n", 1)[0].split(b" ")

    def _reply(self, request: list[bytes]) -> AdminReply:
        if len(request) != 3 or not request[2].startswith(b"HTTP/1."):
            return 400, "text/plain", b"not an HTTP request\n"
        if request[0] != b"GET":
            return 405, "text/plain", b"only GET is served here\n"
        page = self._pages.get(request[1].partition(b"?")[0].decode("latin-1"))
        if page is None:
            known = " and ".join(self._pages)
            return 404, "text/plain", f"there are {known}\n".encode()
        return page()


def _remedy(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "no such host; use an address of this machine"
    number = error.errno or 0  # asyncio words the error anew, and keeps its number
    return _REMEDIES.get(number, os.strerror(number))
