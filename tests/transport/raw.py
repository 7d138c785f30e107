"""A client without manners: a bare socket, and WebSocket frames written by hand."""

from __future__ import annotations

import asyncio
import os
import struct
from types import TracebackType

from tests.support.wire import CONVERSATION_ID, ORGANIZATION_ID, SESSION_ID
from tests.transport.world import PATH, within

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def head(
    *,
    method: str = "GET",
    target: str = PATH,
    version: str = "HTTP/1.1",
    without: str = "",
    **changes: str,
) -> bytes:
    """An upgrade request; `changes` replace or add headers, with _ for -."""
    headers = {
        "Host": "127.0.0.1",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
        "Audiohook-Organization-Id": ORGANIZATION_ID,
        "Audiohook-Session-Id": SESSION_ID,
        "Audiohook-Correlation-Id": CONVERSATION_ID,
    }
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    headers.pop(without, None)
    lines = [f"{method} {target} {version}", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    claimed: int | None = None,
    wide: bool = False,
) -> bytes:
    """One frame; `claimed` is the length its header tells, `wide` spends 64 bits on it."""
    size = len(payload) if claimed is None else claimed
    first = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    mark = 0x80 if masked else 0
    if wide or size > 0xFFFF:
        first += struct.pack("!BQ", mark | 127, size)
    elif size > 125:
        first += struct.pack("!BH", mark | 126, size)
    else:
        first += bytes([mark | size])
    if not masked:
        return first + payload
    mask = os.urandom(4)
    return first + mask + masking(payload, mask)


def masking(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


class Raw:
    """A connection that sends what it is told and reads frames without asking anybody."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def dial(cls, port: int) -> Raw:
        return cls(*await within(asyncio.open_connection("127.0.0.1", port)))

    @classmethod
    async def upgraded(cls, port: int, *, after: bytes = b"") -> Raw:
        raw = await cls.dial(port)
        raw.send(head() + after)
        answer = await raw.answer()
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        return raw

    async def __aenter__(self) -> Raw:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.writer.transport.abort()

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def answer(self) -> bytes:
        return await within(self.reader.readuntil(b"\r\n\r\n"))

    async def rest(self) -> bytes:
        """All until the other side hangs up."""
        return await within(self.reader.read())

    async def frame(self) -> tuple[int, bytes]:
        first, second = await within(self.reader.readexactly(2))
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
        return first & 0x0F, await within(self.reader.readexactly(size))

    async def close_code(self) -> int:
        """The code of the close frame that comes next."""
        opcode, payload = await self.frame()
        assert opcode == 8, (opcode, payload)
        return int.from_bytes(payload[:2], "big")
