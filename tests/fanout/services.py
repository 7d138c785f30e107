"""AudioHook services on the `websockets` library, well behaved and not, for calls to stream to."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from openaudiohook.fanout.clock import MediaClock
from openaudiohook.fanout.endpoint import CallDetails, Endpoint, EndpointConfig, RetryPolicy
from openaudiohook.fanout.engine import Fanout
from openaudiohook.protocol import CloseConnection, Entity, SendText
from openaudiohook.protocol.client import ClientTimers
from openaudiohook.protocol.events import (
    AudioDiscarded,
    AudioFrame,
    AudioPaused,
    AudioResumed,
    CloseRequested,
    OpenRequested,
    PeerViolated,
)
from openaudiohook.protocol.messages import OpenParameters, Participant
from openaudiohook.protocol.server import ServerSession
from openaudiohook.protocol.types import DisconnectReason

MS = 1_000_000
ORGANIZATION = "5b2f6c0e-8f5d-4a1b-b7a4-2d9c64f3a001"
SESSION = "7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9a11"
KEY = "SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh"
SECRET = b"a secret that must appear in no text"
DETAILS = CallDetails(
    organization_id=ORGANIZATION,
    conversation_id="c0ffee00-1111-4222-8333-444455556666",
    participant=Participant(
        id="1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b", ani="tel:+15550100", ani_name="", dnis=""
    ),
    language="en-US",
)
QUICK = RetryPolicy(base_s=0.01, cap_s=0.05)


@dataclass(kw_only=True)
class Service:
    """A service and what came to it.

    Attributes:
        status: what the upgrade is refused with.
        refusals: how many sessions are refused with `disconnect`, and why.
        holds_upgrades: it answers no upgrade until `admits` is set.
        reads: cleared, it stops reading.
        edit: changes what it says on the wire.
    """

    status: int | None = None
    refusals: int = 0
    refusal: DisconnectReason = DisconnectReason.ERROR
    speaks_first: bool = False
    holds_upgrades: bool = False
    is_mute: bool = False
    is_mute_at_close: bool = False
    selects_nothing: bool = False
    edit: Callable[[bytes], bytes] = lambda data: data
    uri: str = ""
    admits: asyncio.Event = field(default_factory=asyncio.Event)
    reads: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[Headers] = field(default_factory=list)
    opens: list[OpenParameters] = field(default_factory=list)
    frames: list[tuple[int, bytes]] = field(default_factory=list)
    gaps: list[tuple[str, int, int]] = field(default_factory=list)
    paused_at: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    session: ServerSession | None = None
    connection: ServerConnection | None = None

    @property
    def audio(self) -> bytes:
        return b"".join(payload for _, payload in self.frames)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.audio).hexdigest()

    async def upgrade(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request.headers)
        await self.admits.wait()
        if self.status is None:
            return None
        return connection.respond(self.status, "")  # type: ignore[arg-type]

    async def handle(self, connection: ServerConnection) -> None:
        request = connection.request
        assert request is not None
        self.connection = connection
        self.session = ServerSession(
            session_id=request.headers["Audiohook-Session-Id"],
            organization_id=request.headers["Audiohook-Organization-Id"],
            now_ns=time.monotonic_ns(),
        )
        if self.speaks_first:
            self.session.disconnect(time.monotonic_ns(), reason=self.refusal)
            await self.say()
        await self.reads.wait()
        async for message in connection:
            await self.reads.wait()
            now_ns = time.monotonic_ns()
            if isinstance(message, str):
                self.session.receive_text(message, now_ns)
            else:
                self.session.receive_binary(message, now_ns)
            self.listen(now_ns)
            await self.say()

    def listen(self, now_ns: int) -> None:
        session = self.session
        assert session is not None
        for event in session.events():
            match event:
                case OpenRequested(parameters=parameters):
                    self.opens.append(parameters)
                    if self.refusals:
                        self.refusals -= 1
                        session.refuse(now_ns, reason=self.refusal)
                    else:
                        media = None if self.selects_nothing else parameters.media[0]
                        session.accept(now_ns, media=media)
                case AudioFrame(position=position, payload=payload):
                    self.frames.append((position, payload))
                case AudioPaused(position=position):
                    self.paused_at.append(position)
                case AudioResumed(start=start, discarded=discarded):
                    self.gaps.append(("resumed", start, discarded))
                case AudioDiscarded(start=start, discarded=discarded):
                    self.gaps.append(("discarded", start, discarded))
                case PeerViolated(problem=problem):
                    self.problems.append(problem)
                case CloseRequested():
                    self.closed.set()
                    if not self.is_mute_at_close:
                        session.finish(now_ns)

    async def say(self) -> None:
        session, connection = self.session, self.connection
        assert session is not None
        assert connection is not None
        for item in session.data_to_send(time.monotonic_ns()):
            if isinstance(item, SendText) and not self.is_mute:
                await connection.send(self.edit(item.data).decode())
            elif isinstance(item, CloseConnection):
                await connection.close(item.code)

    async def pause(self) -> None:
        assert self.session is not None
        self.session.pause(time.monotonic_ns())
        await self.say()

    async def resume(self) -> None:
        assert self.session is not None
        self.session.resume(time.monotonic_ns())
        await self.say()

    async def send_entities(self, *entities: Entity) -> None:
        assert self.session is not None
        self.session.send_entities(entities, time.monotonic_ns())
        await self.say()

    async def disconnect(self, reason: DisconnectReason) -> None:
        assert self.session is not None
        self.session.disconnect(time.monotonic_ns(), reason=reason)
        await self.say()

    def drop(self) -> None:
        """Be gone, without a word."""
        assert self.connection is not None
        self.connection.transport.abort()


@dataclass(kw_only=True)
class Successive(Service):
    """A service that keeps every session it had: one `Service` for each connection.

    Attributes:
        later: how those after the first are, where they are unlike it.
    """

    later: list[dict[str, Any]] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)

    async def handle(self, connection: ServerConnection) -> None:
        options = self.later.pop(0) if self.services and self.later else {}
        service = Service(**options)
        service.reads = self.reads
        if self.refusals:
            self.refusals -= 1
            service.refusals = 1
        self.services.append(service)
        await service.handle(connection)

    @property
    def latest(self) -> Service:
        return self.services[-1]

    async def ask_to_move(self) -> None:
        service = self.latest
        assert service.session is not None
        service.session.reconnect(time.monotonic_ns())
        await service.say()


@contextlib.asynccontextmanager
async def running(*services: Service) -> AsyncIterator[None]:
    """Let services listen on free ports of this machine; small buffers show who does not read."""
    async with contextlib.AsyncExitStack() as stack:
        for service in services:
            service.reads.set()
            if not service.holds_upgrades:
                service.admits.set()
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            sock.bind(("127.0.0.1", 0))
            server = await stack.enter_async_context(
                serve(
                    service.handle,
                    sock=sock,
                    process_request=service.upgrade,
                    max_queue=1,
                    ping_interval=None,
                    close_timeout=1,
                )
            )
            port = next(iter(server.sockets)).getsockname()[1]
            service.uri = f"ws://127.0.0.1:{port}/api/v1/audiohook/ws"
        yield


class Streaming:
    """A call that is streamed to services: its timeline, its endpoints and their tasks."""

    def __init__(self, source: bytes, **options: object) -> None:
        self.source = source
        self.call = Fanout(**options)  # type: ignore[arg-type]
        self.clock = MediaClock()
        self.endpoints: list[Endpoint] = []
        self.tasks: list[asyncio.Task[object]] = []

    def stream_to(self, service: Service | str, **options: object) -> Endpoint:
        uri = service if isinstance(service, str) else service.uri
        config = {"name": f"{len(self.endpoints)}", "uri": uri, "api_key": KEY}
        config |= {"client_secret": SECRET}
        settings = ("channel", "custom_config", "asks_languages", "api_key", "client_secret")
        for name in (*settings, "reconnections", "retry_upgrade_5xx", "integration_id"):
            if name in options:
                config[name] = options.pop(name)  # type: ignore[assignment]
        endpoint = Endpoint(
            EndpointConfig(**config),  # type: ignore[arg-type]
            call=self.call,
            details=DETAILS,
            session_id=SESSION,
            correlation_id="e160e428-53b2-487c-8a4d-2f5a1b2c3d4e",
            **{"retry": QUICK, "timers": ClientTimers(), **options},  # type: ignore[arg-type]
        )
        self.endpoints.append(endpoint)
        self.tasks.append(asyncio.create_task(endpoint.run()))
        return endpoint

    async def __aenter__(self) -> Streaming:
        self.clock.add(self.call.tick)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.clock.remove(self.call.tick)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def play(self, samples: int) -> None:
        """Let so much call time pass at once."""
        if self.call.is_paused:
            self.call.skip(samples)
        else:
            head = 2 * self.call.head
            self.call.write(self.source[head : head + 2 * samples], time.monotonic_ns())

    async def hang_up(self) -> None:
        self.call.finish(time.monotonic_ns())
        async with asyncio.timeout(30):
            await asyncio.gather(*self.tasks)


async def until(is_so: Callable[[], object], *, within_s: float = 20) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within_s):
        while not is_so():
            await asyncio.sleep(0.002)
