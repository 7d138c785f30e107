"""Where a call's audio comes from: WAV files and tones.

A source is pulled: it gives mu-law by the number of samples asked for, and knows no clock.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Source", "SourceSpec"]


class Source(Protocol):
    """Audio of one or two channels at 8 kHz, read once from its start."""

    @property
    def channels(self) -> int:
        """How many channels it has; of two the first is external."""

    @property
    def samples(self) -> int:
        """About how long it is; exact unless it is resampled."""

    def read(self, samples: int) -> tuple[bytes, ...]:
        """Return the next samples as mu-law, one `bytes` a channel, all of one length.

        As many as were asked for; fewer before the end, and none at it.
        """

    def read_stereo(self, samples: int) -> bytes | None:
        """Return the next samples of both channels by turns: one `read`, already interleaved.

        None, with nothing read, where it has one channel only, or not as many samples left.
        """

    def close(self) -> None:
        """Let go of what it holds; it may be repeated."""


class SourceSpec(Protocol):
    """What to play, before it plays: opening it gives a source at its start."""

    def open(self) -> Source:
        """Open it.

        Raises:
            MediaError: it holds no audio that can be streamed.
            OSError: it cannot be read.
        """
