"""A running service for the tests, and what its consumers are made of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from openaudiohook.host.consumer import (
    AudioFrame,
    Capabilities,
    Consumer,
    PerSession,
    Reply,
    SessionInfo,
)
from openaudiohook.service.config import ServiceConfig
from openaudiohook.service.service import Service


class Listener(Consumer):
    """Notes all it is told, and can be made to misbehave."""

    capabilities = Capabilities()

    def __init__(self, name: str = "listener") -> None:
        self.name = name
        self.session: SessionInfo | None = None
        self.reply: Reply | None = None
        self.calls: list[Any] = []
        self.received = bytearray()

    async def open(self, session: SessionInfo, reply: Reply) -> None:
        self.session, self.reply = session, reply
        self.calls.append("open")

    def audio(self, frame: AudioFrame) -> None:
        self.received += frame.payload

    def paused(self, position: int) -> None:
        self.calls.append(("paused", position))

    def resumed(self, start: int, discarded: int) -> None:
        self.calls.append(("resumed", start, discarded))

    def discarded(self, start: int, discarded: int) -> None:
        self.calls.append(("discarded", start, discarded))

    def updated(self, language: str | None, position: int) -> None:
        self.calls.append(("updated", language, position))

    async def close(self, reason: str) -> None:
        assert self.reply is not None
        self.calls.append(("close", reason, self.reply.position))


class Listeners(PerSession):
    """A factory that keeps what it made."""

    def __init__(
        self,
        make: Callable[[], Listener] = Listener,
        *,
        name: str = "listener",
        capabilities: Capabilities = Capabilities(),  # noqa: B008 - frozen
    ) -> None:
        self.made: list[Listener] = []
        super().__init__(self._make_one, name=name, capabilities=capabilities)
        self._make_listener = make

    def _make_one(self) -> Listener:
        self.made.append(self._make_listener())
        return self.made[-1]


Serve = Callable[..., AbstractAsyncContextManager[Service]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    @asynccontextmanager
    async def running(*, consumers: Any = None, **settings: Any) -> AsyncIterator[Service]:
        settings = {
            "port": 0,
            "no_auth": "api_key" not in settings and "credentials" not in settings,
            "recordings": str(tmp_path / "recordings"),
        } | settings
        async with Service(ServiceConfig(**settings), consumers=consumers) as service:
            yield service

    return running
