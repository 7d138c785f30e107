"""L16, 16-bit signed linear samples, to and from bytes (protocol section 9.1).

Little-endian unless asked otherwise: that is what the platform's own code reads and writes,
although RFC 3551 uses the name for big-endian samples.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from openaudiohook.exceptions import MediaError

__all__ = ["ByteOrder", "decode", "encode", "silence"]

ByteOrder = Literal["little", "big"]

_WIRE = {"little": np.dtype("<i2"), "big": np.dtype(">i2")}


def decode(
    data: bytes | bytearray | memoryview, *, byteorder: ByteOrder = "little"
) -> npt.NDArray[np.int16]:
    """Return the native int16 samples of L16 bytes, without copying where the order is ours.

    Raises:
        MediaError: the length is odd, so the last sample is cut in half.
    """
    if len(data) % 2:
        raise MediaError(f"L16 has 2 bytes a sample, and {len(data)} bytes were given")
    return np.frombuffer(data, _WIRE[byteorder]).astype(np.int16, copy=False)


def encode(samples: npt.NDArray[np.int16], *, byteorder: ByteOrder = "little") -> bytes:
    """Return the L16 bytes of native int16 samples, in C order, two bytes a sample.

    Raises:
        TypeError: the samples are not native int16; nothing is converted unasked.
    """
    if samples.dtype != np.int16:
        raise TypeError(f"L16 is made of int16 samples, not {samples.dtype}")
    return samples.astype(_WIRE[byteorder], copy=False).tobytes()


def silence(samples: int) -> bytes:
    """Return that many samples of one channel's silence, two zero bytes each."""
    if samples < 0:
        raise ValueError(f"a length in samples cannot be negative: {samples}")
    return bytes(2 * samples)
