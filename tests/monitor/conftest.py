from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

MULAW, PCM = 7, 1


@pytest.fixture
def make_wav(tmp_path: Path) -> Callable[..., Path]:
    """Write a WAV file of given audio bytes and return its path."""

    def make(
        name: str,
        data: bytes,
        *,
        channels: int = 1,
        rate: int = 8000,
        tag: int = MULAW,
        promised: int | None = None,
    ) -> Path:
        width = channels * (2 if tag == PCM else 1)
        form = struct.pack(
            "<HHIIHH", tag, channels, rate, rate * width, width, 8 * width // channels
        )
        size = len(data) if promised is None else promised
        body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"RIFF" + struct.pack("<I", len(body) + size) + body + data)
        return path

    return make
