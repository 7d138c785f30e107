from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.audio import l16
from openaudiohook.exceptions import MediaError

pytestmark = pytest.mark.unit


def test_is_little_endian_unless_told_otherwise() -> None:
    assert l16.decode(b"\x01\x00\x00\x80").tolist() == [1, -32768]
    assert l16.decode(b"\x00\x01\x80\x00", byteorder="big").tolist() == [1, -32768]
    samples = np.array([1, -32768], np.int16)
    assert l16.encode(samples) == b"\x01\x00\x00\x80"
    assert l16.encode(samples, byteorder="big") == b"\x00\x01\x80\x00"


@given(st.lists(st.integers(-32768, 32767)), st.sampled_from(["little", "big"]))
def test_samples_survive_a_round_trip(values: list[int], byteorder: l16.ByteOrder) -> None:
    samples = np.array(values, np.int16)
    decoded = l16.decode(l16.encode(samples, byteorder=byteorder), byteorder=byteorder)
    assert decoded.dtype == np.int16
    assert decoded.tolist() == values


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(MediaError, match="2 bytes a sample, and 3 bytes"):
        l16.decode(b"\x00\x00\x00")


def test_samples_of_another_type_are_refused() -> None:
    with pytest.raises(TypeError, match="int16"):
        l16.encode(np.zeros(2, np.float32))  # type: ignore[arg-type]


def test_silence_is_zero() -> None:
    assert l16.silence(2) == bytes(4)
    with pytest.raises(ValueError, match="negative"):
        l16.silence(-1)
