"""What a WAV file's header says, read without judging whether we can use it.

Tolerant of what occurs: chunks we do not know, odd chunk padding, `WAVE_FORMAT_EXTENSIBLE`,
sizes left open by a program that wrote to a pipe or was killed, and a `data` chunk that promises
more than the file holds (which is told). Whether the audio can be used is for
`openaudiohook.audio.wav_reader` to say.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

from openaudiohook.exceptions import MediaError

__all__ = ["MULAW", "OPEN_SIZE", "PCM", "WavInfo", "codec_name", "read_info"]

PCM = 1
"""The format tag of linear samples."""

MULAW = 7
"""The format tag of G.711 mu-law."""

OPEN_SIZE = 0xFFFF_FFFF
"""The size field that means "to the end of the file"."""

_EXTENSIBLE = 0xFFFE
# The last 14 bytes of the sub-format GUID under which an ordinary format tag is extended.
_TAG_GUID = bytes.fromhex("000000001000800000aa00389b71")

# From here up, a promise the file does not keep is a placeholder (writers to a pipe use 0x7FFFF000
# or the largest number) and not a loss.
_PLACEHOLDER_FROM = 0x7FFF_0000

_CODECS = {
    0: "unknown",
    PCM: "PCM",
    2: "Microsoft ADPCM",
    3: "IEEE float",
    6: "A-law",
    MULAW: "mu-law",
    0x11: "IMA ADPCM",
    0x31: "GSM 6.10",
    0x55: "MP3",
    0x65: "G.722",
    0x83: "G.729",
}


@dataclass(frozen=True, slots=True)
class WavInfo:
    """What a WAV file holds.

    Attributes:
        format_tag: `PCM`, `MULAW`, or another codec's number.
        channels: how many.
        rate: samples a second of each channel.
        bits: bits a sample.
        samples: complete samples in the file, each counting once for all channels.
        missing_samples: how many more the header promises than the file holds.
        data_offset: where the audio starts, in bytes.
    """

    format_tag: int
    channels: int
    rate: int
    bits: int
    samples: int
    missing_samples: int
    data_offset: int

    @property
    def is_truncated(self) -> bool:
        """Whether the file ends before its audio does."""
        return self.missing_samples > 0


def codec_name(format_tag: int) -> str:
    """Return what a format tag is called, with its number: `A-law (6)`."""
    return f"{_CODECS.get(format_tag, 'codec')} ({format_tag})"


def read_info(file: BinaryIO, *, name: str) -> WavInfo:
    """Read a WAV file's header and leave the file at its first sample.

    Args:
        file: the file, opened for reading in binary; it must be seekable.
        name: what to call the file in errors.

    Raises:
        MediaError: the file is empty, not a WAV, or its header is cut off or contradicts itself;
            the text names the file, the cause and what would be right.
    """
    try:
        file_size = file.seek(0, io.SEEK_END)
        file.seek(0)
    except io.UnsupportedOperation:
        raise MediaError(
            f"{name}: cannot be read as a WAV file because it is a pipe; save it to a file first"
        ) from None
    if file_size == 0:
        raise MediaError(f"{name}: the file is empty; a WAV file is needed")
    riff_size = _read_riff(file, name)
    form: tuple[int, int, int, int] | None = None
    while True:
        head = file.read(8)
        if len(head) < 8:
            missing = "data" if form else "fmt"
            raise MediaError(
                f"{name}: truncated: the file ends before its '{missing}' chunk; "
                "a WAV file has a 'fmt ' chunk and then a 'data' chunk"
            )
        chunk, size = struct.unpack("<4sI", head)
        if chunk == b"data":
            break
        if chunk == b"fmt " and form is None:
            form = _parse_format(file.read(min(size, 40)), size, name)
            size -= min(size, 40)
        # Chunks are padded to an even length; a chunk cut off ends the loop above.
        file.seek(size + (size & 1), io.SEEK_CUR)
    if form is None:
        raise MediaError(f"{name}: the 'data' chunk comes before the 'fmt ' chunk that explains it")
    format_tag, channels, rate, bits = form
    data_offset = file.tell()
    available = file_size - data_offset
    promised = size
    if _is_open(size, riff_size=riff_size, available=available, file_size=file_size):
        promised = available
    width = channels * bits // 8
    samples = min(promised, available) // width
    return WavInfo(
        format_tag=format_tag,
        channels=channels,
        rate=rate,
        bits=bits,
        samples=samples,
        missing_samples=promised // width - samples,
        data_offset=data_offset,
    )


def _read_riff(file: BinaryIO, name: str) -> int:
    """Read the file's first 12 bytes and return the size in them."""
    head = file.read(12)
    kind, form = head[:4], head[8:12]
    if kind in (b"RF64", b"BW64", b"RIFX"):
        raise MediaError(f"{name}: an {kind.decode()} file; an ordinary (RIFF) WAV file is needed")
    if not b"RIFF".startswith(kind) or not b"WAVE".startswith(form):
        raise MediaError(f"{name}: not a WAV file: it does not start with 'RIFF' and 'WAVE'")
    if len(head) < 12:
        raise MediaError(f"{name}: truncated: the header is cut off after {len(head)} bytes")
    return int.from_bytes(head[4:8], "little")


def _parse_format(body: bytes, size: int, name: str) -> tuple[int, int, int, int]:
    """Return format tag, channels, rate and bits a sample of a `fmt ` chunk."""
    if len(body) < min(size, 40):
        raise MediaError(f"{name}: truncated: the file ends within its 'fmt ' chunk")
    if size < 16:
        raise MediaError(f"{name}: the 'fmt ' chunk has {size} bytes; at least 16 are needed")
    tag, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _EXTENSIBLE:
        if size < 40:
            raise MediaError(
                f"{name}: an extensible 'fmt ' chunk has 40 bytes; this one has {size}"
            )
        if body[26:40] != _TAG_GUID:
            raise MediaError(f"{name}: the codec's sub-format is not a registered one")
        (tag,) = struct.unpack_from("<H", body, 24)
    if not channels or not rate:
        raise MediaError(f"{name}: the header says {channels} channels at {rate} Hz")
    # A compressed codec has blocks of its own; only for plain samples must the sizes agree.
    if tag in (PCM, MULAW):
        if not bits or bits % 8:
            raise MediaError(f"{name}: the header says {bits} bits a sample; 8 or 16 are usual")
        if align != channels * bits // 8:
            raise MediaError(
                f"{name}: the header contradicts itself: {channels} channels of {bits} bits are "
                f"{channels * bits // 8} bytes, and it says {align}"
            )
    return tag, channels, rate, bits


def _is_open(size: int, *, riff_size: int, available: int, file_size: int) -> bool:
    """Say whether a `data` size means "to the end of the file"."""
    if size == 0:
        # Really empty if the outer size was settled, too; never filled in if it was not.
        return riff_size + 8 != file_size
    return size == OPEN_SIZE or (size > available and size >= _PLACEHOLDER_FROM)
