"""Both ends on loopback: real sessions, real sockets, and waiting with a bound."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from tests.support.wire import CONVERSATION_ID, ORGANIZATION_ID, SESSION_ID

from openaudiohook.protocol import ClientSession, ServerSession, SessionEvent
from openaudiohook.protocol.events import (
    AudioFrame,
    CloseRequested,
    OpenRequested,
    SessionEnded,
    SessionOpened,
)
from openaudiohook.testing.session_pair import sample_open
from openaudiohook.transport import Admission, Admitted, Driver, Listener, listen
from openaudiohook.transport.connect import connect

PATH = "/api/v1/audiohook/ws"
BOUND_S = 15.0
IDS = (
    ("Audiohook-Organization-Id", ORGANIZATION_ID),
    ("Audiohook-Session-Id", SESSION_ID),
    ("Audiohook-Correlation-Id", CONVERSATION_ID),
)
OPEN_TEXT = json.dumps(
    {
        "version": "2",
        "id": SESSION_ID,
        "type": "open",
        "seq": 1,
        "serverseq": 0,
        "position": "PT0S",
        "parameters": {
            "organizationId": ORGANIZATION_ID,
            "conversationId": CONVERSATION_ID,
            "participant": {"id": SESSION_ID, "ani": "", "aniName": "", "dnis": ""},
            "media": [
                {
                    "type": "audio",
                    "format": "PCMU",
                    "channels": ["external", "internal"],
                    "rate": 8000,
                }
            ],
        },
    }
)
OPEN = OPEN_TEXT.encode()

T = TypeVar("T")


async def within(awaitable: Awaitable[T], *, bound_s: float = BOUND_S) -> T:
    async with asyncio.timeout(bound_s):
        return await awaitable


async def until(condition: Callable[[], object], *, bound_s: float = BOUND_S) -> None:
    """Let the loop run until the condition holds."""
    async with asyncio.timeout(bound_s):
        while not condition():
            await asyncio.sleep(0.001)


class Heard:
    """Takes a session's events; as a service it also answers what has to be answered."""

    def __init__(self) -> None:
        self.driver: Driver | None = None
        self.admitted: Admitted | None = None
        self.events: list[SessionEvent] = []
        self.audio = bytearray()
        self.raises: type[SessionEvent] | None = None

    def __call__(self, event: SessionEvent) -> None:
        if isinstance(event, AudioFrame):
            self.audio += event.payload
        else:
            self.events.append(event)
        if self.raises is not None and isinstance(event, self.raises):
            raise ValueError("secret text")
        if self.driver is None:
            return
        session = self.driver.session
        if isinstance(session, ServerSession):
            if isinstance(event, OpenRequested):
                session.accept(time.monotonic_ns(), media=event.parameters.media[0])
                self.driver.flush()
            elif isinstance(event, CloseRequested):
                session.finish(time.monotonic_ns())
        elif isinstance(event, SessionOpened):
            session.begin(time.monotonic_ns())

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    def has(self, kind: type[SessionEvent]) -> bool:
        return bool(self.of(kind))

    @property
    def ended(self) -> SessionEnded:
        (ended,) = self.of(SessionEnded)
        assert self.events[-1] is ended
        return ended


class Service:
    """A listener whose sessions accept everything."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.refusals: list[Any] = []
        self.raises: type[SessionEvent] | None = None
        self.listener: Listener

    def on_session(self, admitted: Admitted, driver: Driver) -> Heard:
        heard = Heard()
        heard.driver, heard.admitted, heard.raises = driver, admitted, self.raises
        self.heard.append(heard)
        return heard

    @property
    def uri(self) -> str:
        return self.listener.uri

    @property
    def port(self) -> int:
        return self.listener.port

    async def one(self) -> Heard:
        await until(lambda: self.heard)
        return self.heard[-1]


@asynccontextmanager
async def serving(
    *,
    admission: Admission | None = None,
    on_session: Any = None,
    host: str = "127.0.0.1",
    **rest: Any,
) -> AsyncIterator[Service]:
    service = Service()
    service.listener = await listen(
        host=host,
        port=0,
        path=PATH,
        admission=admission or Admission(require_auth=False),
        on_session=on_session or service.on_session,
        on_refused=service.refusals.append,
        **rest,
    )
    try:
        yield service
    finally:
        await within(service.listener.close())


async def dial(
    uri: str, *, headers: Sequence[tuple[str, str]] = IDS, heard: Heard | None = None, **rest: Any
) -> tuple[Driver, Heard]:
    heard = heard or Heard()
    session = ClientSession(session_id=SESSION_ID, now_ns=time.monotonic_ns())
    driver = await connect(uri, session=session, on_event=heard, headers=headers, **rest)
    heard.driver = driver
    return driver, heard


async def opened(uri: str, **rest: Any) -> tuple[Driver, Heard]:
    """A client whose session is open and flowing."""
    driver, heard = await dial(uri, **rest)
    session = driver.session
    assert isinstance(session, ClientSession)
    session.open(sample_open(), time.monotonic_ns())
    driver.flush()
    await until(lambda: heard.has(SessionOpened))
    return driver, heard


def client_of(driver: Driver) -> ClientSession:
    assert isinstance(driver.session, ClientSession)
    return driver.session
