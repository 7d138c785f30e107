"""WAV files built byte by byte, so that each can be wrong in one place."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

Riff = Callable[..., bytes]


def build_riff(
    data: bytes = b"",
    *,
    tag: int = 7,
    channels: int = 1,
    rate: int = 8000,
    bits: int = 8,
    align: int | None = None,
    fmt: bytes | None = None,
    before: bytes = b"",
    after: bytes = b"",
    data_size: int | None = None,
    riff_size: int | None = None,
) -> bytes:
    if align is None:
        align = channels * bits // 8
    if fmt is None:
        fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * align, align, bits)
    size = len(data) if data_size is None else data_size
    body = b"WAVE" + chunk(b"fmt ", fmt) + before
    body += b"data" + struct.pack("<I", size) + data + bytes(len(data) & bool(after)) + after
    return b"RIFF" + struct.pack("<I", len(body) if riff_size is None else riff_size) + body


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) & 1)


@pytest.fixture(scope="session")
def riff() -> Riff:
    return build_riff
