"""Serves the control interface in the loop that runs, beside the calls."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final

import uvicorn

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.monitor.api.app import build_app
from openaudiohook.monitor.api.tokens import Tokens
from openaudiohook.monitor.declared import ApiClient
from openaudiohook.monitor.platform import Platform

__all__ = ["ControlServer"]

_CLOSE_S: Final = 2
_BACKLOG: Final = 128
_MOST_CONNECTIONS: Final = 1_000


class _Server(uvicorn.Server):
    """A server that leaves signals to the program it is part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield


class ControlServer:
    """The control interface of one platform. Use `start` and `close`, or `async with`.

    Args:
        platform: what it asks.
        clients: who may log in.
        host: the address it listens on.
        port: the port; 0 takes a free one.
        token_seconds: how long a token is good for.
        requests_per_minute: how many requests are answered for one token.
    """

    def __init__(
        self,
        platform: Platform,
        clients: Iterable[ApiClient],
        *,
        host: str = "127.0.0.1",
        port: int = 3080,
        token_seconds: int = 86_400,
        requests_per_minute: int = 300,
    ) -> None:
        tokens = Tokens(clients, seconds=token_seconds, requests_per_minute=requests_per_minute)
        self._app = build_app(platform, tokens)
        self._host = host
        self._wanted_port = port
        self._listener: socket.socket | None = None
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._listener is not None
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def uri(self) -> str:
        """Where it listens, as a client is told."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigurationError: the address or the port cannot be used.
        """
        self._listener = _listen(self._host, self._wanted_port)
        self._server = _Server(
            uvicorn.Config(
                self._app,
                http="h11",
                ws="none",
                lifespan="off",
                loop="none",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_graceful_shutdown=_CLOSE_S,
            )
        )
        self._task = asyncio.create_task(
            self._server.serve([self._listener]), name="control interface"
        )
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Answer what was asked, and listen no more. It may be repeated."""
        if self._server is None or self._task is None:
            return
        for subscription in tuple(self._app.state.subscriptions):
            subscription.close()
        self._server.should_exit = True
        await self._task
        self._server = self._task = None

    async def __aenter__(self) -> ControlServer:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not an address"
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {reason}; choose another host or port"
        ) from None
    return listener
