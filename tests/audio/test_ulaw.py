from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.audio import ulaw

pytestmark = pytest.mark.unit

EVERY_BYTE = bytes(range(256))
EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16)


def reference_decode(byte: int) -> int:
    """Protocol section 9.7, one byte at a time."""
    inverted = ~byte & 0xFF
    magnitude = (((inverted & 0x0F) << 3) + 0x84) << ((inverted & 0x70) >> 4)
    return 0x84 - magnitude if inverted & 0x80 else magnitude - 0x84


def reference_encode(sample: int) -> int:
    biased = min(abs(sample), 32635) + 132
    exponent = biased.bit_length() - 8
    return (0x7F if sample < 0 else 0xFF) - ((exponent << 4) | ((biased >> (exponent + 3)) & 0x0F))


def test_the_decode_table_has_the_published_hash() -> None:
    table = ulaw.decode(EVERY_BYTE).astype("<i2").tobytes()
    assert (
        hashlib.sha256(table).hexdigest()
        == "3dab54339e520bb2c924826e3b72a917a2b612e9fd12fc867500f1d983a75827"
    )


def test_encoding_every_sample_has_the_published_hash() -> None:
    assert (
        hashlib.sha256(ulaw.encode(EVERY_SAMPLE)).hexdigest()
        == "5ee7cf5f273f842d2234121e4cb0c98d6b20a99ac29026f94e05b36955b195be"
    )


def test_only_negative_zero_differs_from_the_table_that_round_trips() -> None:
    table = ulaw.decode(EVERY_BYTE).copy()
    table[0x7F] = -1
    assert (
        hashlib.sha256(table.astype("<i2").tobytes()).hexdigest()
        == "12d2c9b687c3b364fe6b2fb04ff509e64a7d0b8baa8fdeb39429ba318b9e8565"
    )


@pytest.mark.parametrize(
    ("byte", "sample"),
    [
        (0x00, -32124),
        (0x06, -25980),
        (0x0D, -18812),
        (0x0F, -16764),
        (0x10, -15996),
        (0x7E, -8),
        (0x7F, 0),
        (0x80, 32124),
        (0x86, 25980),
        (0x8D, 18812),
        (0xA0, 7932),
        (0xFE, 8),
        (0xFF, 0),
    ],
)
def test_decodes_the_published_vectors(byte: int, sample: int) -> None:
    assert ulaw.decode(bytes([byte])).tolist() == [sample]


@pytest.mark.parametrize(
    ("sample", "byte"),
    [
        (0, 0xFF),
        (4, 0xFE),
        (-1, 0x7F),
        (-4, 0x7E),
        (100, 0xF2),
        (-100, 0x72),
        (1000, 0xCE),
        (-1000, 0x4E),
        (32767, 0x80),
        (-32768, 0x00),
    ],
)
def test_encodes_the_published_vectors(sample: int, byte: int) -> None:
    assert ulaw.encode(np.array([sample], np.int16)) == bytes([byte])


def test_the_tables_agree_with_the_formulas() -> None:
    assert ulaw.decode(EVERY_BYTE).tolist() == [reference_decode(byte) for byte in range(256)]
    assert ulaw.encode(EVERY_SAMPLE) == bytes(
        reference_encode(sample) for sample in range(-32768, 32768)
    )


@given(st.binary(max_size=400))
def test_every_byte_but_negative_zero_survives_a_round_trip(data: bytes) -> None:
    assert ulaw.encode(ulaw.decode(data)) == data.replace(b"\x7f", b"\xff")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_decodes_any_kind_of_bytes(kind: type) -> None:
    assert ulaw.decode(kind(b"\x80\x00")).tolist() == [32124, -32124]


def test_encodes_arrays_that_are_not_contiguous() -> None:
    stereo = np.array([[0, 1000], [100, -1000]], np.int16)
    assert ulaw.encode(stereo) == b"\xff\xce\xf2\x4e"
    assert ulaw.encode(stereo[:, 1]) == b"\xce\x4e"


@pytest.mark.parametrize("dtype", ["f4", "i4", ">i2", "u2"])
def test_refuses_samples_that_are_not_native_int16(dtype: str) -> None:
    with pytest.raises(TypeError, match="int16"):
        ulaw.encode(np.zeros(4, dtype))


def test_silence_is_ff_and_decodes_to_zero() -> None:
    assert ulaw.silence(3) == b"\xff\xff\xff"
    assert bytes([ulaw.SILENCE]) == b"\xff"
    assert not ulaw.decode(ulaw.silence(100)).any()
    assert ulaw.silence(0) == b""
    with pytest.raises(ValueError, match="negative"):
        ulaw.silence(-1)
