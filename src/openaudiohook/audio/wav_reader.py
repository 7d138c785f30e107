"""Reading a call's audio from a WAV file as we go, never more of it than is asked for.

What a stream can be made of: mu-law or 16-bit PCM, one or two channels, 8,000 Hz. Anything else
is refused with the reason. Resampling is not done here; a caller that resamples opens the file
with `any_rate` and takes linear samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from openaudiohook.audio import RATE, channels, ulaw
from openaudiohook.audio.wav import MULAW, PCM, WavInfo, codec_name, read_info
from openaudiohook.exceptions import MediaError

__all__ = ["WavReader"]

_BITS = {MULAW: 8, PCM: 16}

# What a header may say before it is taken for damaged rather than for another rate.
_LOWEST_RATE, _HIGHEST_RATE = 1_000, 768_000


class WavReader:
    """A WAV file's audio from its start, in blocks.

    A file that ends before its header says so is read for what is there:
    `info.missing_samples` says how much is not.

    Attributes:
        info: what the file holds.
        position: the index of the next sample.
    """

    def __init__(self, file: BinaryIO, *, name: str, any_rate: bool = False) -> None:
        """Read the header of an open, seekable, binary file.

        Args:
            file: the file; it stays the caller's to close.
            name: what to call the file in errors.
            any_rate: accept other rates than 8,000 Hz; only `read_linear` and `info` are then
                meaningful, and resampling is the caller's.

        Raises:
            MediaError: the file holds no audio we can stream; the text names the file, the cause
                and what would be right.
        """
        self.info = read_info(file, name=name)
        _require_streamable(self.info, name=name, any_rate=any_rate)
        self.position = 0
        self._file = file
        self._width = self.info.channels * self.info.bits // 8

    def read(self, samples: int) -> tuple[bytes, ...]:
        """Return the next samples as mu-law, one `bytes` a channel, all of one length.

        At most `samples` of them; fewer before the end, none at it. 16-bit audio is encoded,
        mu-law is passed through untouched.
        """
        data = self._read(samples)
        if self.info.format_tag == PCM:
            data = ulaw.encode(np.frombuffer(data, "<i2").astype(np.int16, copy=False))
        return (data,) if self.info.channels == 1 else channels.split(data)

    def read_linear(self, samples: int) -> npt.NDArray[np.int16]:
        """Return the next samples as an int16 array of shape (samples, channels).

        At most `samples` of them; fewer before the end, none at it.
        """
        data = self._read(samples)
        if self.info.format_tag == PCM:
            linear = np.frombuffer(data, "<i2").astype(np.int16, copy=False)
        else:
            linear = ulaw.decode(data)
        return linear.reshape(-1, self.info.channels)

    def blocks(self, samples: int) -> Iterator[tuple[bytes, ...]]:
        """Yield mu-law blocks of `samples`, as `read` returns them; the last may be shorter."""
        if samples < 1:
            raise ValueError(f"a block has at least one sample, not {samples}")
        while (block := self.read(samples))[0]:
            yield block

    def _read(self, samples: int) -> bytes:
        if samples < 0:
            raise ValueError(f"cannot read {samples} samples")
        samples = min(samples, self.info.samples - self.position)
        data = self._file.read(samples * self._width)
        # A file that was cut shorter since it was opened just ends; never within a sample.
        complete = len(data) // self._width
        self.position += complete
        return data[: complete * self._width]


def _require_streamable(info: WavInfo, *, name: str, any_rate: bool) -> None:
    bits = _BITS.get(info.format_tag)
    if bits is None:
        raise MediaError(
            f"{name}: the audio is {codec_name(info.format_tag)}; "
            "mu-law (7) or 16-bit PCM (1) is needed"
        )
    if info.bits != bits:
        raise MediaError(
            f"{name}: {codec_name(info.format_tag)} with {info.bits} bits a sample; "
            f"{bits} bits are needed"
        )
    if info.channels > 2:
        raise MediaError(
            f"{name}: {info.channels} channels; one, or two (customer left, agent right), "
            "are needed"
        )
    if not _LOWEST_RATE <= info.rate <= _HIGHEST_RATE:
        raise MediaError(
            f"{name}: the header says {info.rate} Hz, which no audio has; 8000 Hz is needed"
        )
    if info.rate != RATE and not any_rate:
        raise MediaError(
            f"{name}: {info.rate} Hz; 8000 Hz is needed "
            "(the 'audio' extra can resample: pip install 'openaudiohook[audio]')"
        )
    if not info.samples:
        raise MediaError(f"{name}: the file holds no audio: not one complete sample")
