"""A service that is not ready: it answers every `open` with `disconnect` error, after a while."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from openaudiohook.protocol.events import (
    CloseRequested,
    OpenRequested,
    SessionEnded,
    SessionEvent,
)
from openaudiohook.protocol.server import ServerSession
from openaudiohook.transport.admission import Admission, Admitted
from openaudiohook.transport.driver import Driver, EventHandler
from openaudiohook.transport.listen import listen

__all__ = ["open_refusing_service"]

_HOST: Final = "127.0.0.1"
_INFO: Final = "starting up; try again"


@contextlib.asynccontextmanager
async def open_refusing_service(
    admission: Admission, *, path: str, after_s: float
) -> AsyncIterator[int]:
    """Run such a service on a free loopback port, and yield the port.

    Args:
        admission: who may ask at all; the signatures are checked as anywhere.
        path: the path that upgrades.
        after_s: how long it takes its time before it refuses; below 5 s.
    """

    def on_session(admitted: Admitted, driver: Driver) -> EventHandler:
        return _refusing(driver, after_s)

    listener = await listen(
        host=_HOST, port=0, path=path, admission=admission, on_session=on_session
    )
    try:
        yield listener.port
    finally:
        await listener.close()


def _refusing(driver: Driver, after_s: float) -> Callable[[SessionEvent], None]:
    session = driver.session
    assert isinstance(session, ServerSession)
    timer: asyncio.TimerHandle | None = None

    def refuse() -> None:
        session.refuse(time.monotonic_ns(), info=_INFO)
        driver.flush()

    def on_event(event: SessionEvent) -> None:
        nonlocal timer
        match event:
            case OpenRequested():
                timer = asyncio.get_running_loop().call_later(after_s, refuse)
            case CloseRequested():
                session.finish(time.monotonic_ns())
            case SessionEnded() if timer is not None:
                timer.cancel()

    return on_event
