"""A test tone in mu-law, made from the sample's index alone, so that blocks join without a click.

At 1 kHz it is, byte for byte, the tone of protocol section 9.7.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from openaudiohook.audio import RATE, ulaw

__all__ = ["PEAK", "block"]

PEAK = 26214
"""The default amplitude: 0.8 of full scale."""


def block(start: int, samples: int, *, hz: int = 1000, peak: int = PEAK) -> bytes:
    """Return a tone's mu-law samples from index `start` on, one byte each.

    Index 0 is a zero crossing, and the wave first goes down. The same index always gives the
    same byte, whatever the blocks.

    Args:
        start: the sample index of the first sample, from 0.
        samples: how many samples.
        hz: the frequency, a whole number from 1 to 3999.
        peak: the amplitude, 0 to 32767.

    Raises:
        ValueError: an argument is out of its range.
    """
    if start < 0 or samples < 0:
        raise ValueError(f"start and samples cannot be negative: {start}, {samples}")
    period = _period(hz, peak)
    phase = start % len(period)
    repeats = -(-(phase + samples) // len(period))
    return (period * repeats)[phase : phase + samples]


@functools.lru_cache(maxsize=32)
def _period(hz: int, peak: int) -> bytes:
    if not 0 < hz < RATE // 2:
        raise ValueError(f"a tone at {RATE} Hz sampling has 1 to {RATE // 2 - 1} Hz, not {hz}")
    if not 0 <= peak <= 32767:
        raise ValueError(f"the peak of a 16-bit tone is 0 to 32767, not {peak}")
    # A whole frequency repeats after at most one second; the phase is reduced as an integer.
    length = RATE // math.gcd(hz, RATE)
    phase = (np.arange(length) * hz) % RATE
    wave = -peak * np.sin(2 * np.pi * phase / RATE)
    return ulaw.encode(np.rint(wave).astype(np.int16))
