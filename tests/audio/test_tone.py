from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.audio import RATE, level, tone, ulaw

pytestmark = pytest.mark.unit


def test_one_period_at_1_khz_is_the_published_one() -> None:
    assert tone.block(0, 8).hex(" ").upper() == "FF 0D 06 0D FF 8D 86 8D"


@given(
    hz=st.integers(1, 3999),
    start=st.integers(0, 10**12),
    lengths=st.lists(st.integers(0, 500), max_size=6),
)
def test_blocks_join_to_what_one_block_is(hz: int, start: int, lengths: list[int]) -> None:
    at = start
    blocks = []
    for length in lengths:
        blocks.append(tone.block(at, length, hz=hz))
        at += length
    assert b"".join(blocks) == tone.block(start, sum(lengths), hz=hz)


@pytest.mark.parametrize("hz", [50, 440, 697, 1000, 1633, 3999])
def test_all_of_the_energy_is_at_its_frequency(hz: int) -> None:
    spectrum = np.abs(np.fft.rfft(ulaw.decode(tone.block(0, RATE, hz=hz)).astype(float)))
    assert int(spectrum.argmax()) == hz


@pytest.mark.parametrize("peak", [0, 1000, 32767])
def test_peak_sets_the_amplitude(peak: int) -> None:
    samples = ulaw.decode(tone.block(0, RATE, hz=440, peak=peak))
    assert int(np.abs(samples.astype(int)).max()) == pytest.approx(peak, rel=0.04)
    if peak:
        expected = 20 * np.log10(peak / 32768 / np.sqrt(2))
        assert level.measure(samples).rms_dbfs == pytest.approx(expected, abs=0.2)


@pytest.mark.parametrize(
    "arguments",
    [
        {"start": -1, "samples": 1},
        {"start": 0, "samples": -1},
        {"start": 0, "samples": 1, "hz": 0},
        {"start": 0, "samples": 1, "hz": 4000},
        {"start": 0, "samples": 1, "peak": -1},
        {"start": 0, "samples": 1, "peak": 32768},
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"negative|Hz|peak"):
        tone.block(arguments.pop("start"), arguments.pop("samples"), **arguments)
