"""The `websockets` library at the other end, whichever end that is, fragmenting and not."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.wire import SESSION_ID
from tests.transport.world import IDS, OPEN_TEXT, client_of, dial, opened, serving, until, within
from websockets.asyncio.client import connect as websockets_connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from openaudiohook.protocol import ServerSession
from openaudiohook.protocol.events import DisconnectRequested, PeerViolated, PongReceived
from openaudiohook.testing.session_pair import sample_open

pytestmark = pytest.mark.integration


def split(data: Any, parts: int) -> list[Any]:
    step = -(-len(data) // parts)
    return [data[at : at + step] for at in range(0, len(data), step)]


class PlainClient:
    """An AudioHook client of a few lines on the `websockets` library."""

    def __init__(self, connection: Any, parts: int) -> None:
        self.connection = connection
        self.parts = parts
        self.seq = 0
        self.serverseq = 0

    async def send(self, kind: str, parameters: dict[str, Any], position: str = "PT0S") -> None:
        self.seq += 1
        message = {
            "version": "2",
            "id": SESSION_ID,
            "type": kind,
            "seq": self.seq,
            "serverseq": self.serverseq,
            "position": position,
            "parameters": parameters,
        }
        await self.write(json.dumps(message))

    async def write(self, data: str | bytes) -> None:
        await within(self.connection.send(data if self.parts == 1 else split(data, self.parts)))

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await within(self.connection.recv()))
        self.serverseq = message["seq"]
        return message


@pytest.mark.parametrize("parts", [1, 5])
@pytest.mark.anyio
async def test_websockets_as_client_of_our_listener(parts: int) -> None:
    audio = os.urandom(80_000)
    async with (
        serving() as service,
        websockets_connect(service.uri, additional_headers=IDS, compression=None) as connection,
    ):
        client = PlainClient(connection, parts)
        await client.send("open", json.loads(OPEN_TEXT)["parameters"])
        assert (await client.receive())["type"] == "opened"
        for at in range(0, len(audio), 1600):
            await client.write(audio[at : at + 1600])
        await client.send("ping", {}, "PT5S")
        assert (await client.receive())["type"] == "pong"
        # The library's own pings are answered, too.
        await within(await connection.ping())
        await client.send("close", {"reason": "end"}, "PT5S")
        assert (await client.receive())["type"] == "closed"
        await within(connection.close())
        assert connection.close_code == 1000
        heard = await service.one()
        assert heard.driver is not None
        ended = await within(heard.driver.ended)
        assert ended.is_clean
        assert heard.audio == audio


@pytest.mark.anyio
async def test_compression_is_not_negotiated() -> None:
    async with (
        serving() as service,
        websockets_connect(service.uri, additional_headers=IDS) as connection,
    ):
        assert connection.response is not None
        assert "Sec-WebSocket-Extensions" not in connection.response.headers


@asynccontextmanager
async def websockets_server(
    handler: Callable[[ServerConnection], Awaitable[None]], **rest: Any
) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0, **rest) as server:
        (sock,) = server.sockets
        yield f"ws://127.0.0.1:{sock.getsockname()[1]}/ws?bot=1"


class PlainServer:
    """An AudioHook server of a few lines on the `websockets` library."""

    def __init__(self, parts: int = 1) -> None:
        self.parts = parts
        self.audio = bytearray()
        self.request: Any = None
        self.seq = 0

    async def send(self, connection: ServerConnection, kind: str, message: Any) -> None:
        self.seq += 1
        parameters: dict[str, Any] = {}
        if kind == "disconnect":
            parameters = {"reason": "completed"}
        elif kind == "opened":
            parameters = {"startPaused": False, "media": message["parameters"]["media"][:1]}
        answer = {
            "version": "2",
            "id": message["id"],
            "type": kind,
            "seq": self.seq,
            "clientseq": message["seq"],
            "parameters": parameters,
        }
        text = json.dumps(answer)
        await connection.send(text if self.parts == 1 else split(text, self.parts))

    async def __call__(self, connection: ServerConnection) -> None:
        self.request = connection.request
        answers = {"open": "opened", "ping": "pong", "close": "closed"}
        async for data in connection:
            if isinstance(data, bytes):
                self.audio += data
                continue
            message = json.loads(data)
            if message["type"] in answers:
                await self.send(connection, answers[message["type"]], message)


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.anyio
async def test_websockets_as_server_of_our_client(parts: int) -> None:
    server = PlainServer(parts)
    audio = os.urandom(160_000)
    async with websockets_server(server) as uri:
        driver, heard = await opened(uri, headers=[*IDS, ("X-API-KEY", "k")])
        session = client_of(driver)
        for at in range(0, len(audio), 3200):
            await until(lambda: driver.is_writable)
            session.send_audio(audio[at : at + 3200], time.monotonic_ns())
            driver.flush()
        await until(lambda: heard.has(PongReceived))
        session.close(time.monotonic_ns())
        driver.flush()
        ended = await within(driver.ended)
    assert ended.is_clean
    assert server.audio == audio
    headers = server.request.headers
    assert server.request.path == "/ws?bot=1"
    assert headers["User-Agent"].startswith("openaudiohook/")
    assert headers["X-API-KEY"] == "k"
    assert headers["Host"] == uri.split("/")[2]
    assert "Sec-WebSocket-Extensions" not in headers
    assert not heard.has(PeerViolated)


@pytest.mark.anyio
async def test_a_large_message_of_a_server_is_skipped_and_reported() -> None:
    said: list[Any] = []

    async def handler(connection: ServerConnection) -> None:
        server = PlainServer()
        message = json.loads(await connection.recv())
        await server.send(connection, "opened", message)
        await connection.send("x" * 300_000)
        async for data in connection:
            if isinstance(data, str):
                said.append(json.loads(data))
            if said and said[-1]["type"] == "close":
                await server.send(connection, "closed", said[-1])

    async with websockets_server(handler) as uri:
        driver, heard = await opened(uri)
        await within(driver.ended)
        assert [(m["type"], m["parameters"].get("code")) for m in said] == [
            ("error", 413),
            ("close", None),
        ]
        assert heard.of(PeerViolated)[0].code == 413


@pytest.mark.parametrize("code", [1000, 1011, 3000])
@pytest.mark.anyio
async def test_a_server_that_closes_on_its_own_ends_the_session(code: int) -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.close(code, "text of a stranger")

    async with websockets_server(handler) as uri:
        driver, heard = await dial(uri)
        ended = await within(driver.ended)
        assert not ended.is_clean
        assert heard.ended is ended
        assert not driver.is_writable
        assert driver.unsent_bytes() == 0
        driver.flush()
        driver.abort()


@pytest.mark.anyio
async def test_a_server_may_ask_for_the_end() -> None:
    async def handler(connection: ServerConnection) -> None:
        server = PlainServer()
        message = json.loads(await connection.recv())
        await server.send(connection, "opened", message)
        await server.send(connection, "disconnect", message)
        await server.send(connection, "closed", json.loads(await connection.recv()))
        try:
            await connection.recv()
        except ConnectionClosed:
            return

    async with websockets_server(handler) as uri:
        driver, heard = await dial(uri)
        session = client_of(driver)
        session.open(sample_open(), time.monotonic_ns())
        driver.flush()
        ended = await within(driver.ended)
        assert ended.is_clean
        assert [event.reason for event in heard.of(DisconnectRequested)] == ["completed"]


@pytest.mark.anyio
async def test_what_the_service_asks_reaches_a_websockets_client() -> None:
    async with (
        serving() as service,
        websockets_connect(service.uri, additional_headers=IDS, compression=None) as connection,
    ):
        client = PlainClient(connection, 1)
        await client.send("open", json.loads(OPEN_TEXT)["parameters"])
        await client.receive()
        heard = await service.one()
        assert heard.driver is not None
        assert isinstance(heard.driver.session, ServerSession)
        heard.driver.session.pause(time.monotonic_ns())
        heard.driver.flush()
        assert (await client.receive())["type"] == "pause"
