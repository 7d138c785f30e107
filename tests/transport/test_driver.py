"""The driver: back-pressure, deadlines, handlers that fail, and the end."""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import json
import logging
import time
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.transport.raw import Raw, frame
from tests.transport.world import OPEN, Heard, client_of, dial, opened, serving, until, within

from openaudiohook.protocol import ClientSession, ServerSession, ServerTimers
from openaudiohook.protocol.duration import NS_PER_S
from openaudiohook.protocol.events import (
    CloseRequested,
    OpenRequested,
    PauseRequested,
    SessionEnded,
    SessionEvent,
    SessionOpened,
)
from openaudiohook.testing.session_pair import sample_open
from openaudiohook.transport import ConnectionLimits, Driver

pytestmark = pytest.mark.integration

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Peer:
    """A WebSocket server by hand, which reads when it is told to."""

    def __init__(self) -> None:
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter
        self.is_up = asyncio.Event()
        self.begins_with = b""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        (key,) = [line[19:] for line in lines if line.startswith("Sec-WebSocket-Key: ")]
        accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        writer.write(self.begins_with)
        self.is_up.set()

    async def say(self, kind: str, clientseq: int, seq: int, **parameters: Any) -> None:
        message = {
            "version": "2",
            "id": "7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9a11",
            "type": kind,
            "seq": seq,
            "clientseq": clientseq,
            "parameters": parameters,
        }
        self.writer.write(frame(1, json.dumps(message).encode(), masked=False))

    async def open(self, driver: Driver, heard: Heard) -> ClientSession:
        session = client_of(driver)
        session.open(sample_open(), time.monotonic_ns())
        driver.flush()
        media = {
            "type": "audio",
            "format": "PCMU",
            "channels": ["external", "internal"],
            "rate": 8000,
        }
        await within(self.is_up.wait())
        await self.say("opened", 1, 1, startPaused=False, media=[media])
        await until(lambda: heard.has(SessionOpened))
        return session


@asynccontextmanager
async def peering(begins_with: bytes = b"") -> AsyncIterator[tuple[Peer, str]]:
    peer = Peer()
    peer.begins_with = begins_with
    server = await asyncio.start_server(peer.handle, "127.0.0.1", 0)
    async with server:
        try:
            yield peer, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        finally:
            peer.writer.transport.abort()


@pytest.mark.anyio
async def test_a_peer_that_stops_reading_is_seen_before_two_seconds_of_audio() -> None:
    async with peering() as (peer, uri):
        driver, heard = await dial(uri)
        session = await peer.open(driver, heard)
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        writable: list[bool] = []
        driver.on_writable = lambda: writable.append(driver.is_writable)
        await until(lambda: driver.unsent_bytes() == 0)
        sent = 0
        while driver.is_writable:
            assert driver.unsent_bytes() < 32_000
            session.send_audio(b"\xff" * 1600, time.monotonic_ns())
            driver.flush()
            sent += 1600
            await asyncio.sleep(0)
            assert sent < 10_000_000
        # All but these bytes is in the peer's kernel, where nobody can see it.
        assert 0 < driver.unsent_bytes() < 32_000
        assert not writable
        unsent = driver.unsent_bytes()
        session.send_audio(b"\xff" * 1600, time.monotonic_ns())
        driver.flush()
        assert driver.unsent_bytes() >= unsent + 1600
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        while not writable:
            await within(peer.reader.read(65_536))
        assert writable == [True]
        await until(lambda: driver.unsent_bytes() == 0)
        driver.abort()
        await within(driver.ended)


@pytest.mark.anyio
async def test_a_session_that_cannot_write_still_ends() -> None:
    async with peering() as (peer, uri):
        driver, heard = await dial(uri, close_timeout_s=0.05)
        session = await peer.open(driver, heard)
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        while driver.is_writable:
            session.send_audio(b"\xff" * 1600, time.monotonic_ns())
            driver.flush()
            await asyncio.sleep(0)
        driver.fail(1002, "as a test")
        assert not driver.is_writable
        await within(driver.ended)
        assert heard.has(SessionEnded)


@pytest.mark.anyio
async def test_what_a_server_sends_with_its_answer_is_read() -> None:
    ping = frame(9, b"hello", masked=False)
    async with peering(begins_with=ping + ping[:3]) as (peer, uri):
        driver, _ = await dial(uri)
        peer.writer.write(ping[3:])
        for _ in range(2):
            header = await within(peer.reader.readexactly(6))
            assert header[:2] == bytes([0x8A, 0x85])
            await within(peer.reader.readexactly(5))
        driver.abort()
        await within(driver.ended)


@pytest.mark.parametrize(
    "broken", [frame(1, b"{}", masked=True), frame(0, b"x", masked=False), b"\xff" * 100]
)
@pytest.mark.anyio
async def test_a_server_that_breaks_the_framing_is_left(broken: bytes) -> None:
    async with peering(begins_with=broken) as (peer, uri):
        driver, heard = await dial(uri)
        data = await within(peer.reader.read())
        assert data[0] == 0x88
        peer.writer.close()
        await within(driver.ended)
        assert not heard.ended.is_clean


@pytest.mark.anyio
async def test_a_client_waits_for_the_server_to_hang_up_but_not_forever() -> None:
    async with peering(begins_with=frame(8, b"\x03\xe8", masked=False)) as (peer, uri):
        driver, heard = await dial(uri, close_timeout_s=0.05)
        first = await within(peer.reader.readexactly(1))
        assert first == b"\x88"
        await within(driver.ended)
        assert heard.has(SessionEnded)


@pytest.mark.anyio
async def test_a_session_nobody_opens_is_ended_by_its_deadline() -> None:
    timers = ServerTimers(open_ns=NS_PER_S // 20, close_ns=NS_PER_S // 20)
    limits = ConnectionLimits(close_timeout_s=0.05)
    async with (
        serving(timers=timers, limits=limits) as service,
        await Raw.upgraded(service.port) as raw,
    ):
        opcode, payload = await raw.frame()
        assert opcode == 1
        assert json.loads(payload)["type"] == "disconnect"
        assert await raw.close_code() == 1000
        heard = await service.one()
        assert heard.driver is not None
        await within(heard.driver.ended)


@pytest.mark.anyio
async def test_our_close_is_finished_by_the_peers_answer() -> None:
    timers = ServerTimers(open_ns=NS_PER_S // 100, close_ns=NS_PER_S // 100)
    async with serving(timers=timers) as service, await Raw.upgraded(service.port) as raw:
        await raw.frame()
        assert await raw.close_code() == 1000
        raw.send(frame(2, b"\xff" * 100), frame(8, b"\x03\xe8"))
        assert await raw.rest() == b""


@pytest.mark.parametrize("kind", [OpenRequested, CloseRequested])
@pytest.mark.anyio
async def test_a_service_that_fails_ends_its_session_and_no_other(
    kind: type[SessionEvent], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving() as service:
        other, _ = await opened(service.uri)
        service.raises = kind
        driver, heard = await dial(service.uri)
        session = client_of(driver)
        session.open(sample_open(), time.monotonic_ns())
        driver.flush()
        if kind is CloseRequested:
            await until(lambda: heard.has(SessionOpened))
            session.close(time.monotonic_ns())
            driver.flush()
        ended = await within(driver.ended)
        assert ended.is_clean
        assert client_of(other).is_flowing
        other.abort()
        await within(other.ended)
    assert "its handler raised ValueError" in caplog.text
    assert "secret text" not in caplog.text


@pytest.mark.anyio
async def test_a_handler_that_fails_at_the_end_changes_nothing() -> None:
    async with serving() as service:
        service.raises = SessionEnded
        driver, _ = await opened(service.uri)
        driver.abort()
        await within(driver.ended)
        heard = await service.one()
        assert heard.driver is not None
        await within(heard.driver.ended)


@pytest.mark.anyio
async def test_a_monitor_that_fails_sends_error_and_close() -> None:
    async with serving() as service:
        heard = Heard()
        heard.raises = PauseRequested
        driver, _ = await opened(service.uri, heard=heard)
        server = await service.one()
        assert server.driver is not None
        assert isinstance(server.driver.session, ServerSession)
        server.driver.session.pause(time.monotonic_ns())
        server.driver.flush()
        ended = await within(driver.ended)
        assert ended.is_clean
        assert ended.reason == "error"
        assert [type(event).__name__ for event in server.events][-4:-1] == [
            "AudioPaused",
            "ErrorReported",
            "CloseRequested",
        ]


@pytest.mark.anyio
async def test_a_callback_that_fails_ends_the_session() -> None:
    async with peering() as (peer, uri):
        driver, heard = await dial(uri)
        session = await peer.open(driver, heard)
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]

        def fail() -> None:
            raise RuntimeError("secret text")

        driver.on_writable = fail
        while driver.is_writable:
            session.send_audio(b"\xff" * 1600, time.monotonic_ns())
            driver.flush()
            await asyncio.sleep(0)
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        received = bytearray()
        while not any(part in received for part in (b"\x81",)) or session.is_flowing:
            received += await within(peer.reader.read(65_536))
        assert not session.is_flowing
        driver.abort()
        await within(driver.ended)


@pytest.mark.anyio
async def test_a_callback_that_fails_before_the_session_began_ends_it() -> None:
    async with serving() as service:
        driver, heard = await dial(service.uri)

        def fail() -> None:
            raise RuntimeError

        driver.on_writable = fail
        driver.pause_writing()
        driver.resume_writing()
        await within(driver.ended)
        assert heard.ended.reason == "error"


@pytest.mark.anyio
async def test_a_handler_may_act_and_flush_while_it_is_called() -> None:
    order: list[str] = []
    async with serving() as service:

        def on_session(admitted: Any, driver: Driver) -> Any:
            session = driver.session
            assert isinstance(session, ServerSession)
            driver.flush()  # nothing is connected yet, and nothing happens

            def on_event(event: SessionEvent) -> None:
                order.append(type(event).__name__)
                if isinstance(event, OpenRequested):
                    session.accept(time.monotonic_ns(), media=event.parameters.media[0])
                    driver.flush()
                    order.append("accepted")
                elif isinstance(event, CloseRequested):
                    session.finish(time.monotonic_ns())

            return on_event

        service.listener.on_session = on_session
        driver, _ = await opened(service.uri)
        session = client_of(driver)
        session.close(time.monotonic_ns())
        driver.flush()
        assert (await within(driver.ended)).is_clean
    assert order == ["OpenRequested", "accepted", "CloseRequested", "SessionEnded"]


@pytest.mark.anyio
async def test_a_peer_that_asks_and_does_not_listen_is_not_read_without_end() -> None:
    async with serving() as service, await Raw.upgraded(service.port) as raw:
        raw.send(frame(1, OPEN))
        await raw.frame()
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        pings = frame(9, b"p" * 125) * 1000
        heard = await service.one()
        driver = heard.driver
        assert driver is not None
        # Our kernel takes the first of the pongs; then we stop reading, and the peer's fills.
        async with asyncio.timeout(30):
            while raw.writer.transport.get_write_buffer_size() < 500_000:
                raw.send(pings)
                await asyncio.sleep(0)
        # No connection is read faster than its quota, so it takes its time to be stuck.
        await until(lambda: driver.unsent_bytes() > 64 * 1024, bound_s=30)
        assert driver.unsent_bytes() < 256 * 1024
        raw.writer.transport.resume_reading()  # type: ignore[attr-defined]
        seen = 0
        while raw.writer.transport.get_write_buffer_size() or heard.driver.unsent_bytes():
            seen += len(await within(raw.reader.read(1_000_000)))
        assert seen > 500_000


@pytest.mark.anyio
async def test_a_session_that_has_ended_is_freed_without_the_garbage_collector() -> None:
    async with serving() as service:
        gc.collect()
        gc.disable()
        try:
            driver, heard = await opened(service.uri)
            server = await service.one()
            client_of(driver).close(time.monotonic_ns())
            driver.flush()
            await within(driver.ended)
            assert server.driver is not None
            await within(server.driver.ended)
            freed = [weakref.ref(driver), weakref.ref(server.driver)]
            service.heard.clear()
            del driver, heard, server
            await until(lambda: not any(ref() for ref in freed), bound_s=2)
        finally:
            gc.enable()


@pytest.mark.anyio
async def test_a_malformed_frame_ends_the_session_without_a_trace_on_the_console() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with peering() as (peer, uri):
        driver, heard = await dial(uri)
        await peer.open(driver, heard)
        peer.writer.write(b"\x81\x7e\x00\x01x")  # a length of one byte in two (RFC 6455 5.2)
        await within(driver.ended)
        assert heard.has(SessionEnded)
        del driver, heard
        gc.collect()
    assert complaints == []


@pytest.mark.anyio
async def test_frames_may_be_written_past_it_until_it_says_otherwise() -> None:
    async with peering() as (peer, uri):
        driver, heard = await dial(uri)
        told: list[str] = []
        assert not driver.clear(1600)  # not open yet
        await peer.open(driver, heard)
        assert driver.clear(1600)
        stream, writer = driver.passage(lambda: told.append("paused"))
        writer.send(2, b"\xff" * 1600)
        driver.session.ping_early(time.monotonic_ns(), before_ns=1 << 62)
        driver.flush()
        assert not told  # a ping is written, and keeps nothing from following
        assert not stream.is_closing()
        await peer.say("pause", 1, 2)
        await until(lambda: told)
        assert not driver.clear(1600)  # the server's pause holds
        await peer.say("resume", 1, 3)
        await until(lambda: driver.clear(1600))
        assert not driver.clear(1599)  # no whole sample
        stream, _ = driver.passage(lambda: told.append("ended"))
        driver.abort()
        assert stream.is_closing()
        assert told == ["paused", "ended"]  # each but once
        assert not driver.clear(1600)
        await within(driver.ended)
        assert not driver.clear(1600)
