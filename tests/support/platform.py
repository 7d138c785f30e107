"""A platform for tests of the service: the real client session on the real transport."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from openaudiohook.auth import encode_nonce, upgrade_headers
from openaudiohook.protocol import (
    ClientSession,
    ClientState,
    ClientTimers,
    CloseReason,
    MediaParameter,
    OpenParameters,
    Participant,
    SessionEvent,
    offer_for,
)
from openaudiohook.protocol.events import SessionEnded, SessionOpened
from openaudiohook.transport import Driver, connect

__all__ = ["CONVERSATION_ID", "ORGANIZATION_ID", "Platform", "until"]

CONVERSATION_ID = "c0ffee00-1111-4222-8333-444455556666"
ORGANIZATION_ID = "5b2f6c0e-8f5d-4a1b-b7a4-2d9c64f3a001"
PARTICIPANT_ID = "1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b"


async def until(condition: Callable[[], Any], *, within_s: float = 10.0) -> None:
    """Wait until something is true, bounded."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.002)


class Platform:
    """One call streamed to a service. Open it with `await Platform.to(uri)`."""

    def __init__(self, session_id: str | None = None, timers: ClientTimers | None = None) -> None:
        self.session_id = session_id or str(uuid.uuid4())
        self.session = ClientSession(
            session_id=self.session_id,
            now_ns=time.monotonic_ns(),
            timers=timers or ClientTimers(),
        )
        self.events: list[SessionEvent] = []
        self.sent = bytearray()
        self._driver: Driver | None = None

    @property
    def driver(self) -> Driver:
        assert self._driver is not None
        return self._driver

    @classmethod
    async def to(
        cls,
        uri: str,
        *,
        api_key: str = "key",
        secret: bytes = b"",
        session_id: str | None = None,
        conversation_id: str = CONVERSATION_ID,
        participant_id: str = PARTICIPANT_ID,
        organization_id: str = ORGANIZATION_ID,
        media: Sequence[MediaParameter] | None = None,
        position: int = 0,
        waits: bool = True,
        timers: ClientTimers | None = None,
        ssl: Any = None,
        **parameters: Any,
    ) -> Platform:
        platform = cls(session_id, timers)
        platform._driver = await connect(
            uri,
            session=platform.session,
            on_event=platform.events.append,
            ssl=ssl,
            headers=upgrade_headers(
                uri,
                api_key=api_key,
                secret=secret,
                organization_id=ORGANIZATION_ID,
                session_id=platform.session_id,
                correlation_id=str(uuid.uuid4()),
                nonce=encode_nonce(os.urandom(18)),
                created=int(time.time()),
            ),
        )
        platform.session.open(
            OpenParameters(
                organization_id=organization_id,
                conversation_id=conversation_id,
                participant=Participant(
                    id=participant_id, ani="tel:+15550100", ani_name="Erika", dnis="tel:+1800"
                ),
                media=tuple(offer_for("both") if media is None else media),
                **parameters,
            ),
            time.monotonic_ns(),
            position=position,
        )
        platform.driver.flush()
        if waits:
            await until(lambda: platform.opened is not None)
            platform.do("begin")
        return platform

    @property
    def opened(self) -> SessionOpened | None:
        return next((event for event in self.events if isinstance(event, SessionOpened)), None)

    @property
    def is_open(self) -> bool:
        return self.session.state is ClientState.OPEN

    def of(self, kind: type) -> list[Any]:
        """The events of one type."""
        return [event for event in self.events if isinstance(event, kind)]

    def do(self, intent: str, *values: Any, **named: Any) -> None:
        """Call an intent of the session and write what it has to say."""
        getattr(self.session, intent)(*values, time.monotonic_ns(), **named)
        self.driver.flush()

    def send(self, payload: bytes, *, frame_bytes: int = 1600) -> None:
        """Send audio in frames."""
        for at in range(0, len(payload), frame_bytes):
            self.do("send_audio", payload[at : at + frame_bytes])
        self.sent += payload

    async def close(self) -> SessionEnded:
        """Close in order and wait for the end."""
        if self.is_open:
            self.do("close", reason=CloseReason.END)
        return await self.ended()

    async def ended(self) -> SessionEnded:
        """Wait for the end."""
        async with asyncio.timeout(15):
            return await asyncio.shield(self.driver.ended)

    async def drop(self) -> None:
        """Lose the connection."""
        self.driver.abort()
        await self.ended()
