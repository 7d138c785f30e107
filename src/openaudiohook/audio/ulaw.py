"""G.711 mu-law, to and from 16-bit linear samples (protocol section 9.7)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["SILENCE", "decode", "encode", "silence"]

SILENCE = 0xFF
"""The byte that silence is on the wire."""

_BIAS = 132
_CLIP = 32635


def _decode_table() -> npt.NDArray[np.int16]:
    inverted = ~np.arange(256) & 0xFF
    magnitude = (((inverted & 0x0F) << 3) + _BIAS) << ((inverted & 0x70) >> 4)
    return np.where(inverted & 0x80, _BIAS - magnitude, magnitude - _BIAS).astype(np.int16)


def _encode_table() -> npt.NDArray[np.uint8]:
    # Indexed by the sample's 16 bits read as unsigned, so that no offset is added per sample.
    sample = np.arange(65536).astype(np.uint16).view(np.int16).astype(np.int32)
    biased = np.minimum(np.abs(sample), _CLIP) + _BIAS
    # frexp gives the bit length exactly: these integers have fewer bits than a float's mantissa.
    exponent = np.frexp(biased)[1] - 8
    base = np.where(sample < 0, 0x7F, 0xFF)
    byte: npt.NDArray[np.int64] = base - ((exponent << 4) | ((biased >> (exponent + 3)) & 0x0F))
    return byte.astype(np.uint8)


_DECODED = _decode_table()
_ENCODED = _encode_table()


def decode(data: bytes | bytearray | memoryview) -> npt.NDArray[np.int16]:
    """Return the linear samples of mu-law bytes, one int16 a byte.

    The standard table: 0x7F (negative zero) decodes to 0. Interleaved input stays interleaved.
    """
    return _DECODED.take(np.frombuffer(data, np.uint8))


def encode(samples: npt.NDArray[np.int16]) -> bytes:
    """Return the mu-law bytes of native int16 samples, in C order, one byte a sample.

    Magnitudes above 32635 are clipped, as G.711 has it.

    Raises:
        TypeError: the samples are not native int16; nothing is converted unasked.
    """
    if samples.dtype != np.int16:
        raise TypeError(f"mu-law is made of int16 samples, not {samples.dtype}")
    return _ENCODED.take(np.ascontiguousarray(samples).view(np.uint16)).tobytes()


def silence(samples: int) -> bytes:
    """Return that many bytes of silence (one byte is one sample of one channel)."""
    if samples < 0:
        raise ValueError(f"a length in samples cannot be negative: {samples}")
    return bytes((SILENCE,)) * samples
