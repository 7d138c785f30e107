"""A tone as a source: another pitch on each channel, so that swapped channels are heard."""

from __future__ import annotations

from typing import Final

import msgspec

from openaudiohook.audio import tone

__all__ = ["EXTERNAL_HZ", "INTERNAL_HZ", "Tone", "ToneSource"]

EXTERNAL_HZ: Final = 1000
INTERNAL_HZ: Final = 400


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

    def close(self) -> None:
        """Nothing is held."""
