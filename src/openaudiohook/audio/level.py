"""How loud a block of audio is, in dB relative to full scale (dBFS).

Full scale is a sample of 32768. So the peak of the loudest block is 0 dBFS, and a sine that
just reaches it has an RMS level of -3.01 dBFS. Silence, and an empty block, is minus infinity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from openaudiohook.audio import ulaw

__all__ = ["Level", "measure", "measure_ulaw"]

_FULL_SCALE = 32768.0


@dataclass(frozen=True, slots=True)
class Level:
    """The level of one block of one channel.

    Attributes:
        rms_dbfs: the root mean square.
        peak_dbfs: the largest magnitude.
    """

    rms_dbfs: float
    peak_dbfs: float


def measure(samples: npt.NDArray[np.int16]) -> Level:
    """Return the level of int16 samples; of several channels, all together."""
    if not samples.size:
        return Level(-math.inf, -math.inf)
    values = samples.astype(np.float64).ravel()
    rms = math.sqrt(float(values @ values) / values.size)
    return Level(_dbfs(rms), _dbfs(float(np.abs(values).max())))


def measure_ulaw(data: bytes | bytearray | memoryview) -> Level:
    """Return the level of mu-law bytes."""
    return measure(ulaw.decode(data))


def _dbfs(magnitude: float) -> float:
    return 20 * math.log10(magnitude / _FULL_SCALE) if magnitude else -math.inf
