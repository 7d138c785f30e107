from __future__ import annotations

import math

import numpy as np
import pytest

from openaudiohook.audio import level, tone, ulaw

pytestmark = pytest.mark.unit


def test_full_scale_is_zero_decibels() -> None:
    square = np.tile(np.array([-32768, -32768], np.int16), 50)
    assert level.measure(square) == level.Level(0.0, 0.0)


def test_a_sine_is_three_decibels_below_its_peak() -> None:
    wave = np.rint(32767 * np.sin(2 * np.pi * np.arange(8000) / 80)).astype(np.int16)
    measured = level.measure(wave)
    assert measured.peak_dbfs == pytest.approx(0, abs=0.01)
    assert measured.rms_dbfs == pytest.approx(-3.01, abs=0.01)


def test_half_the_amplitude_is_six_decibels_less() -> None:
    loud, soft = (level.measure(np.full(10, value, np.int16)) for value in (16384, 8192))
    assert loud.rms_dbfs - soft.rms_dbfs == pytest.approx(6.02, abs=0.01)


def test_silence_and_nothing_are_minus_infinity() -> None:
    nothing = level.Level(-math.inf, -math.inf)
    assert level.measure(np.zeros(0, np.int16)) == nothing
    assert level.measure(np.zeros(80, np.int16)) == nothing
    assert level.measure_ulaw(ulaw.silence(80)) == nothing


def test_mulaw_is_measured_as_what_it_decodes_to() -> None:
    data = tone.block(0, 800)
    assert level.measure_ulaw(data) == level.measure(ulaw.decode(data))


def test_several_channels_are_measured_together() -> None:
    stereo = np.array([[16384, 0], [16384, 0]], np.int16)
    assert level.measure(stereo).peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert level.measure(stereo).rms_dbfs == pytest.approx(-9.03, abs=0.01)
