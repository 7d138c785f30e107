"""Services to be streamed to: the real transport and session, with behaviour to choose."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from openaudiohook.auth import Credentials, InMemoryKeys
from openaudiohook.fanout.endpoint import EndpointConfig
from openaudiohook.protocol import ServerSession, SessionEvent
from openaudiohook.protocol.events import AudioFrame, CloseRequested, OpenRequested
from openaudiohook.transport import Admission, Admitted, Driver, Listener, listen

KEY, SECRET = "a-key", b"a secret of the tests"
PATH = "/audiohook"

Act = Callable[["Session", SessionEvent], object]


class Session:
    """One session as its service sees it.

    Attributes:
        events: everything but audio, in order.
        audio: the bytes of all frames.
        frames: position and length of each frame.
    """

    def __init__(self, admitted: Admitted, driver: Driver, act: Act) -> None:
        assert isinstance(driver.session, ServerSession)
        self.admitted = admitted
        self.driver = driver
        self.session: ServerSession = driver.session
        self.events: list[SessionEvent] = []
        self.audio = bytearray()
        self.frames: list[tuple[int, int]] = []
        self._act = act

    def __call__(self, event: SessionEvent) -> None:
        if isinstance(event, AudioFrame):
            self.audio += event.payload
            self.frames.append((event.position, event.samples))
        else:
            self.events.append(event)
        self._act(self, event)

    def accept(self, event: SessionEvent, *, start_paused: bool = False) -> None:
        if isinstance(event, OpenRequested):
            media = event.parameters.media[0]
            self.session.accept(time.monotonic_ns(), media=media, start_paused=start_paused)
            self.driver.flush()

    def seen(self, kind: type[SessionEvent]) -> list[SessionEvent]:
        return [event for event in self.events if isinstance(event, kind)]


def polite(session: Session, event: SessionEvent) -> None:
    """Accept what comes, and close in good order."""
    session.accept(event)
    close(session, event)


def close(session: Session, event: SessionEvent) -> None:
    if isinstance(event, CloseRequested):
        session.session.finish(time.monotonic_ns())
        session.driver.flush()


class Service:
    """A listener and its sessions."""

    def __init__(self, act: Act) -> None:
        self.sessions: list[Session] = []
        self.listener: Listener | None = None
        self._act = act

    def on_session(self, admitted: Admitted, driver: Driver) -> Session:
        self.sessions.append(Session(admitted, driver, self._act))
        return self.sessions[-1]

    @property
    def uri(self) -> str:
        assert self.listener is not None
        return self.listener.uri

    def config(self, name: str = "one", **settings: object) -> EndpointConfig:
        values = {"api_key": KEY, "client_secret": SECRET, **settings}
        return EndpointConfig(name=name, uri=self.uri, **values)  # type: ignore[arg-type]


@asynccontextmanager
async def serving(act: Act = polite) -> AsyncIterator[Service]:
    """Run a service that checks signatures, on a free port."""
    service = Service(act)
    keys = InMemoryKeys([Credentials(KEY, SECRET)], decoy=bytes(32))
    service.listener = await listen(
        host="127.0.0.1",
        port=0,
        path=PATH,
        admission=Admission(keys),
        on_session=service.on_session,
    )
    try:
        yield service
    finally:
        await service.listener.close()


async def until(condition: Callable[[], object], *, bound_s: float = 20.0) -> None:
    """Let the loop run until the condition holds."""
    async with asyncio.timeout(bound_s):
        while not condition():
            await asyncio.sleep(0.001)
