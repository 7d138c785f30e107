"""A tone as a source: another pitch on each channel, so that swapped channels are heard."""

from __future__ import annotations

import functools
import math
from typing import Final

import msgspec

from openaudiohook.audio import RATE, channels, tone

__all__ = ["EXTERNAL_HZ", "INTERNAL_HZ", "Tone", "ToneSource"]

EXTERNAL_HZ: Final = 1000
INTERNAL_HZ: Final = 400

_REPEATS_AFTER: Final = RATE // math.gcd(RATE, EXTERNAL_HZ, INTERNAL_HZ)


class Tone(msgspec.Struct, frozen=True, kw_only=True):
    """A tone of some length: 1 kHz on the first channel, 400 Hz on the second.

    Attributes:
        samples: how long.
        channels: one or two.
    """

    samples: int
    channels: int = 2

    def open(self) -> ToneSource:
        """Start it."""
        return ToneSource(self.samples, channels=self.channels)


class ToneSource:
    """A tone that is read; see `Tone`."""

    def __init__(self, samples: int, *, channels: int) -> None:
        self.channels = channels
        self.samples = samples
        self._position = 0

    def read(self, samples: int) -> tuple[bytes, ...]:
        """Return the next samples as mu-law, one `bytes` a channel."""
        start = self._position
        samples = min(samples, self.samples - start)
        self._position += samples
        pitches = (EXTERNAL_HZ, INTERNAL_HZ)[: self.channels]
        return tuple(tone.block(start, samples, hz=hz) for hz in pitches)

    def read_stereo(self, samples: int) -> bytes | None:
        """Return the next samples of both channels by turns; None where there are not as many."""
        start = self._position
        if self.channels != 2 or self.samples - start < samples:
            return None
        self._position += samples
        at = 2 * (start % _REPEATS_AFTER)
        return _stereo(_REPEATS_AFTER + samples)[at : at + 2 * samples]

    def close(self) -> None:
        """Nothing is held."""


@functools.lru_cache(maxsize=8)
def _stereo(samples: int) -> bytes:
    """Both pitches from their beginning, by turns."""
    return channels.interleave(
        tone.block(0, samples, hz=EXTERNAL_HZ), tone.block(0, samples, hz=INTERNAL_HZ)
    )
