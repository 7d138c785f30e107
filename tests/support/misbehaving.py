"""A server that misbehaves as it is told, on another WebSocket library or on bare TCP.

What it does on a connection is a script: a coroutine that is given the connection, and says and
hears by hand. Scripts follow each other, connection by connection; the last one is repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any

from tests.support.wire import as_text, server_message
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

__all__ = ["Misbehaving", "Script", "Talk", "bare", "behave", "misbehaving", "refuse", "reset"]

Json = dict[str, Any]


class Talk:
    """One connection, by hand.

    Attributes:
        headers: of its request.
        heard: every message that came.
        audio: every binary message that came.
        log: both, in order.
        seq: the number of what was said last.
        gone: set when the connection is.
    """

    def __init__(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.connection = connection
        self.headers: Headers = connection.request.headers
        self.heard: list[Json] = []
        self.audio: list[bytes] = []
        self.log: list[Json | bytes] = []
        self.seq = 0
        self.gone = asyncio.Event()

    async def say(self, kind: str, parameters: Any = None, **envelope: Any) -> None:
        """Send a message, numbered as it should be unless told otherwise."""
        self.seq += 1
        fields = {"id": self.headers["Audiohook-Session-Id"], "seq": self.seq}
        fields["clientseq"] = self.heard[-1]["seq"] if self.heard else 0
        message = server_message(kind, parameters, **(fields | envelope))
        await self.connection.send(as_text(message).decode())

    async def send(self, data: bytes | str) -> None:
        """Send anything."""
        await self.connection.send(data)

    async def hear(self, kind: str | None = None) -> Json:
        """Wait for the next message, or the next one of that type; audio is put aside."""
        while True:
            data = await self.connection.recv()
            if isinstance(data, bytes):
                self.audio.append(data)
                self.log.append(data)
                continue
            message: Json = json.loads(data)
            self.heard.append(message)
            self.log.append(message)
            if kind in (None, message["type"]):
                return message

    async def open(self, media: Json | str | None = "first", **parameters: Any) -> Json:
        """Wait for `open` and answer it; `media` is what is selected: the first offer, or none."""
        opening = await self.hear("open")
        if media == "first":
            media = opening["parameters"]["media"][0]
        await self.say("opened", {"media": [] if media is None else [media], **parameters})
        return opening

    async def obey(self) -> None:
        """Answer what is to be answered until the connection is gone."""
        while True:
            kind = (await self.hear())["type"]
            if kind == "ping":
                await self.say("pong")
            elif kind == "close":
                await self.say("closed")

    async def take_time(self, seconds: float) -> None:
        """Do nothing for so long: as one who is slow, or who was told to wait."""
        await asyncio.sleep(seconds)

    async def listen(self) -> None:
        """Answer nothing until the connection is gone."""
        while True:
            await self.hear()

    async def obey_until(self, event: asyncio.Event) -> None:
        """Do so until something has happened, or the connection is gone."""
        answers, waits = asyncio.ensure_future(self.obey()), asyncio.ensure_future(event.wait())
        await asyncio.wait((answers, waits), return_when=asyncio.FIRST_COMPLETED)
        waits.cancel()
        if answers.done():
            await answers
        answers.cancel()
        await asyncio.wait((answers,))

    def types(self) -> list[str]:
        """The types of what was heard."""
        return [message["type"] for message in self.heard]

    def errors(self) -> list[tuple[int, str]]:
        """Code and text of every `error` that was heard."""
        return [
            (message["parameters"]["code"], message["parameters"]["message"])
            for message in self.heard
            if message["type"] == "error"
        ]


Script = Callable[[Talk], Awaitable[None]]


async def behave(talk: Talk) -> None:
    """Do everything right."""
    await talk.open()
    await talk.obey()


def refuse(reason: str) -> Script:
    """Answer `open` with `disconnect`."""

    async def script(talk: Talk) -> None:
        await talk.hear("open")
        await talk.say("disconnect", {"reason": reason})
        await talk.obey()

    script.__name__ = reason
    return script


@dataclass
class Misbehaving:
    """A server and what came to it.

    Attributes:
        scripts: what it does, connection by connection; a number is an HTTP status that the
            upgrade is refused with.
        talks: the connections that were upgraded.
        requests: the headers of every request.
        uri: where it listens.
    """

    scripts: list[Script | int]
    talks: list[Talk] = field(default_factory=list)
    requests: list[Headers] = field(default_factory=list)
    uri: str = ""

    @property
    def attempts(self) -> list[str]:
        """What the requests said about which attempt they were."""
        return [headers["Audiohook-Retry-Attempt"] for headers in self.requests]

    def _script(self) -> Script | int:
        return self.scripts[min(len(self.requests), len(self.scripts)) - 1]

    async def _upgrade(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request.headers)
        script = self._script()
        return connection.respond(script, "") if isinstance(script, int) else None

    async def _handle(self, connection: ServerConnection) -> None:
        script, talk = self._script(), Talk(connection)
        assert not isinstance(script, int)
        self.talks.append(talk)
        try:
            await script(talk)
            await connection.wait_closed()
        except ConnectionClosed:
            pass
        finally:
            talk.gone.set()


@contextlib.asynccontextmanager
async def misbehaving(
    *scripts: Script | int, ssl: SSLContext | None = None, max_queue: int | None = None
) -> AsyncIterator[Misbehaving]:
    """Let a server listen on a free port of this machine."""
    server = Misbehaving(list(scripts) or [behave])
    async with serve(
        server._handle,
        "127.0.0.1",
        0,
        ssl=ssl,
        process_request=server._upgrade,
        ping_interval=None,
        close_timeout=1,
        max_queue=max_queue,
    ) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        server.uri = f"{'wss' if ssl else 'ws'}://127.0.0.1:{port}/audiohook"
        yield server


@dataclass
class Bare:
    """A TCP server: how often it was called, and where."""

    uri: str = ""
    calls: int = 0


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def bare(handler: Handler, *, scheme: str = "ws") -> AsyncIterator[Bare]:
    """Let a server that knows no HTTP listen on a free port of this machine."""
    server = Bare()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.calls += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.transport.abort()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with listening:
        server.uri = f"{scheme}://127.0.0.1:{listening.sockets[0].getsockname()[1]}/audiohook"
        yield server


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection once the request has come."""
    await reader.readuntil(b"\r\n\r\n")
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
