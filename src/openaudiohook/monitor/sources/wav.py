"""A WAV file as a source, read as it plays, and resampled as it plays where its rate is another."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from openaudiohook.audio import RATE, channels, ulaw
from openaudiohook.audio.wav import WavInfo
from openaudiohook.audio.wav_reader import WavReader
from openaudiohook.exceptions import MediaError

__all__ = ["WavFile", "WavSource"]

# A file is read half a second at a time: a frame then costs a slice, not a call to the system.
_CHUNK_S: Final = 0.5


class WavFile(msgspec.Struct, frozen=True, kw_only=True):
    """A WAV file to play: mu-law or 16-bit PCM, mono or stereo (external left, internal right).

    Attributes:
        path: where it is.
        name: what to call it in errors; its path where that is None.
    """

    path: Path
    name: str | None = None

    def open(self) -> WavSource:
        """Open the file and check it.

        Raises:
            MediaError: its audio cannot be streamed, or its rate is not 8,000 Hz and the `audio`
                extra is not there; the text says which and what would be right.
            OSError: it cannot be read.
        """
        return WavSource(self.path, name=self.name or str(self.path))


class WavSource:
    """A WAV file that is read; see `WavFile`.

    Attributes:
        channels: one or two.
        samples: how long it is at 8 kHz; about that where it is resampled.
    """

    def __init__(self, path: Path, *, name: str) -> None:
        self._file = path.open("rb")
        try:
            self._reader = WavReader(self._file, name=name, any_rate=True)
            info = self._reader.info
            if info.is_truncated:
                whole = info.samples + info.missing_samples
                raise MediaError(
                    f"{name}: truncated: its header promises {whole / info.rate:.3f} s of audio, "
                    f"and only {info.samples / info.rate:.3f} s are there; use a complete copy"
                )
            self._resampler = None if info.rate == RATE else _resampler(info, name)
        except BaseException:
            self._file.close()
            raise
        self.channels = info.channels
        self.samples = info.samples * RATE // info.rate
        self._chunk = int(info.rate * _CHUNK_S)
        self._waiting = b""  # both channels by turns, where there are two
        self._at = 0
        self._is_drained = False

    def read(self, samples: int) -> tuple[bytes, ...]:
        """Return the next samples as mu-law, one `bytes` a channel.

        Raises:
            OSError: the file cannot be read any more.
        """
        size = min(samples * self.channels, self._fill(samples))
        block = self._take(size)
        return (block,) if self.channels == 1 else channels.split(block)

    def read_stereo(self, samples: int) -> bytes | None:
        """Return the next samples of both channels by turns; None where there are not as many.

        Raises:
            OSError: the file cannot be read any more.
        """
        if self.channels != 2 or self._fill(samples) < 2 * samples:
            return None
        return self._take(2 * samples)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _fill(self, samples: int) -> int:
        """Have so many samples waiting, or all there are; return how many bytes wait."""
        size = samples * self.channels
        while len(self._waiting) - self._at < size and not self._is_drained:
            self._waiting = self._waiting[self._at :] + self._next_chunk()
            self._at = 0
        return len(self._waiting) - self._at

    def _take(self, size: int) -> bytes:
        block = self._waiting[self._at : self._at + size]
        self._at += size
        return block

    def _next_chunk(self) -> bytes:
        if self._resampler is None:
            block = self._reader.read(self._chunk)
            self._is_drained = not block[0]
            return block[0] if self.channels == 1 else channels.interleave(*block)
        linear = self._reader.read_linear(self._chunk)
        self._is_drained = not len(linear)
        resampled = self._resampler.resample_chunk(linear, last=self._is_drained)
        return ulaw.encode(np.ascontiguousarray(resampled))


def _resampler(info: WavInfo, name: str) -> Any:
    try:
        import soxr
    except ImportError:
        raise MediaError(
            f"{name}: {info.rate} Hz; 8000 Hz is needed, or the 'audio' extra to resample: "
            "pip install 'openaudiohook[audio]'"
        ) from None
    return soxr.ResampleStream(info.rate, RATE, info.channels, dtype="int16")
