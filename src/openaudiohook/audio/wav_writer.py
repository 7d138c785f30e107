"""Writing mu-law WAV files that are readable however their writer ends.

The header is written first, with its sizes open (0xFFFFFFFF, which readers take as "to the end
of the file"), and audio is only ever appended. So a file whose writer was killed is a good WAV of
every sample that reached it; `settle`, or later whoever recovers it, puts the true sizes in.

A WAV's sizes have 32 bits. Beyond `MAX_DATA_BYTES` (74 hours of stereo) the sizes stay open: the
audio is still all there and in order, and `audio_bytes` still counts it, but a reader that trusts
the header may stop at 4 GiB.
"""

from __future__ import annotations

import hashlib
import struct
from typing import BinaryIO

from openaudiohook.audio import RATE, ulaw
from openaudiohook.audio.wav import MULAW, OPEN_SIZE
from openaudiohook.exceptions import MediaError

__all__ = ["DATA_OFFSET", "MAX_DATA_BYTES", "WavWriter", "audio_bytes", "header", "parse"]

# RIFF, then `fmt ` with the empty extension that codecs other than PCM have, `fact`, `data`.
_HEADER = struct.Struct("<4sI4s 4sIHHIIHHH 4sII 4sI")

DATA_OFFSET = _HEADER.size
"""Where the audio starts in a file written here: 58 bytes in."""

MAX_DATA_BYTES = OPEN_SIZE - DATA_OFFSET
"""The most audio that the header's sizes can tell."""

# From 2,048 bytes on `hashlib` lets other threads run meanwhile. To hash a second of audio takes
# 20 microseconds, and changing threads twice takes longer than that.
_HASHED_AT_ONCE_BYTES = 2000
_HASHED_APART_BYTES = 32_000

_SILENCE_BLOCK = ulaw.silence(65536)


def header(channels: int, data_bytes: int | None) -> bytes:
    """Return the header of a mu-law WAV file at 8,000 Hz.

    Args:
        channels: 1 or 2.
        data_bytes: how much audio follows, or None for "to the end of the file". More than
            `MAX_DATA_BYTES` cannot be told and counts as None.

    Raises:
        MediaError: there is no such number of channels, or the audio ends within a sample.
    """
    if channels not in (1, 2):
        raise MediaError(f"a recording has 1 or 2 channels, not {channels}")
    if data_bytes is None or data_bytes > MAX_DATA_BYTES:
        riff_size = fact_samples = data_size = OPEN_SIZE
    elif data_bytes < 0 or data_bytes % channels:
        raise MediaError(f"{data_bytes} bytes are not whole samples of {channels} channels")
    else:
        riff_size = DATA_OFFSET - 8 + data_bytes + (data_bytes & 1)
        fact_samples = data_bytes // channels
        data_size = data_bytes
    return _HEADER.pack(
        *(b"RIFF", riff_size, b"WAVE"),
        *(b"fmt ", 18, MULAW, channels, RATE, RATE * channels, channels, 8, 0),
        *(b"fact", 4, fact_samples),
        *(b"data", data_size),
    )


def parse(head: bytes) -> tuple[int, int | None]:
    """Return the channels and the audio's bytes that a header written here tells.

    The bytes are None while the sizes are open.

    Raises:
        MediaError: it is no header of ours, or not all of it.
    """
    if len(head) < DATA_OFFSET:
        raise MediaError(
            f"a recording's header has {DATA_OFFSET} bytes; only {len(head)} are there"
        )
    fields = _HEADER.unpack_from(head)
    channels, data_size = fields[6], fields[-1]
    data_bytes = None if data_size == OPEN_SIZE else data_size
    try:
        expected = header(channels, data_bytes)
    except MediaError:
        expected = b""
    if head[:DATA_OFFSET] != expected:
        raise MediaError("not the header of a recording made by this program")
    return channels, data_bytes


def audio_bytes(head: bytes, file_size: int) -> int:
    """Return how many bytes of audio a file written here holds, whole samples only.

    It never counts less than is there: where the file holds other than its header tells, the
    file is believed.

    Args:
        head: the file's first `DATA_OFFSET` bytes.
        file_size: its size in bytes.

    Raises:
        MediaError: it is no header of ours, or not all of it.
    """
    channels, data_bytes = parse(head)
    present = file_size - DATA_OFFSET
    # A settled file of odd length has one byte of padding after its audio.
    if data_bytes is not None and present == data_bytes + (data_bytes & 1):
        return data_bytes
    return present - present % channels


class WavWriter:
    """Appends mu-law to an open file as a WAV.

    The file should be unbuffered (`open(path, "wb", buffering=0)`), so that what was appended has
    left the process, and must be empty. It stays the caller's to flush and close.

    An append that fails (a full disk) leaves the account as it was: whatever part of it reached
    the file is overwritten by the next one, so the recording stays in step.

    Attributes:
        channels: 1 or 2.
        data_bytes: how much audio was appended.
    """

    def __init__(self, file: BinaryIO, *, channels: int) -> None:
        self.channels = channels
        self.data_bytes = 0
        self._file = file
        self._hash = hashlib.sha256()
        self._is_torn = False
        self._is_settled = False
        self._write(header(channels, None))

    @property
    def samples(self) -> int:
        """How many samples the recording has."""
        return self.data_bytes // self.channels

    @property
    def sha256(self) -> str:
        """The SHA-256 of the audio so far, in hexadecimal; the header is not in it."""
        return self._hash.hexdigest()

    def append(self, data: bytes | bytearray | memoryview) -> None:
        """Append audio, interleaved if there are two channels.

        Raises:
            MediaError: the audio ends within a sample, or the file is settled; nothing is written.
            OSError: the file could not be written; the audio counts as not appended.
        """
        if self._is_settled:
            raise MediaError("the recording is settled; nothing can be appended")
        if len(data) % self.channels:
            raise MediaError(f"{len(data)} bytes are not whole samples of {self.channels} channels")
        if self._is_torn:
            self._file.seek(DATA_OFFSET + self.data_bytes)
            self._is_torn = False
        try:
            self._write(data)
        except OSError:
            self._is_torn = True
            raise
        self.data_bytes += len(data)
        self._add_to_hash(data)

    def silence(self, samples: int) -> None:
        """Append silence in every channel.

        Raises:
            OSError: the file could not be written; `samples` tells how far it got.
        """
        if samples < 0:
            raise MediaError(f"a gap cannot have {samples} samples")
        remaining = samples * self.channels
        while remaining:
            size = min(remaining, len(_SILENCE_BLOCK))
            self.append(memoryview(_SILENCE_BLOCK)[:size])
            remaining -= size

    def settle(self) -> None:
        """Put the true sizes in the header; nothing is appended after that. May be repeated.

        Raises:
            OSError: the file could not be written; it is still readable, and may be settled again.
        """
        end = DATA_OFFSET + self.data_bytes
        self._is_settled = True
        self._file.truncate(end)
        self._file.seek(0)
        self._write(header(self.channels, self.data_bytes))
        # The padding comes last: a header without it is whole, padding without a header is audio.
        self._file.seek(end)
        self._write(bytes(self.data_bytes & 1))

    def _add_to_hash(self, data: bytes | bytearray | memoryview) -> None:
        if len(data) > _HASHED_APART_BYTES:
            self._hash.update(data)
            return
        view = memoryview(data)
        for at in range(0, len(view), _HASHED_AT_ONCE_BYTES):
            self._hash.update(view[at : at + _HASHED_AT_ONCE_BYTES])

    def _write(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of it: an unbuffered file may take only a part at a time."""
        rest = memoryview(data)
        while rest:
            written = self._file.write(rest)
            if not written:
                raise OSError("the file takes no more data")
            rest = rest[written:]
