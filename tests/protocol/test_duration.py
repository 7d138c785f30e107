"""Durations: exact, strict, and the shapes of protocol section 4.3."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.protocol.duration import Duration, format_duration, parse_duration

pytestmark = pytest.mark.unit

OFFICIAL = re.compile(r"^PT(?:\d*\.)?\d+S$")


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("PT0S", 0),
        ("PT0.2S", 200_000_000),
        ("PT73.125S", 73_125_000_000),
        ("PT.5S", 500_000_000),
        ("PT1.S", 1_000_000_000),
        ("PT007S", 7_000_000_000),
        ("PT0.000125S", 125_000),
        ("PT0.000000001S", 1),
        ("PT86400.000125S", 86_400_000_125_000),
        ("PT999999999999999999S", 999_999_999_999_999_999_000_000_000),
    ],
)
def test_wire_durations_are_read_exactly(text: str, ns: int) -> None:
    assert parse_duration(text) == ns


def test_digits_below_a_nanosecond_are_cut_off() -> None:
    assert parse_duration("PT1.0000000019S") == 1_000_000_001


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PT",
        "PTS",
        "PT.S",
        "P1S",
        "PT1",
        "1S",
        "PT-1S",
        "PT+1S",
        "PT1e3S",
        "PT1,5S",
        "PT1H",
        "PT1M30S",
        "PT1.2.3S",
        "pt1s",
        "PT1S\n",
        " PT1S",
        "PT1 S",
        "PT٣S",  # a digit, but not one of ours
        "PT0x10S",
        "PTNaNS",
        "PT1_000S",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"PT73\.125S"):
        parse_duration(text)


def test_endless_digits_are_refused_before_they_are_computed() -> None:
    with pytest.raises(ValueError, match="written"):
        parse_duration("PT" + "9" * 5_000 + "S")
    with pytest.raises(ValueError, match="at most 18 digits"):
        parse_duration("PT" + "9" * 19 + "S")


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "PT0S"),
        (1_000_000_000, "PT1S"),
        (10_000_000_000, "PT10S"),
        (200_000_000, "PT0.2S"),
        (73_125_000_000, "PT73.125S"),
        (125_000, "PT0.000125S"),
        (1, "PT0.000000001S"),
    ],
)
def test_durations_are_written_without_trailing_zeros(ns: int, text: str) -> None:
    assert format_duration(ns) == text


def test_a_negative_duration_is_not_written() -> None:
    with pytest.raises(ValueError, match="negative: -1 ns"):
        format_duration(-1)


def test_a_duration_prints_in_wire_form() -> None:
    assert repr(Duration(1_500_000_000)) == "Duration(PT1.5S)"


@given(st.integers(min_value=0, max_value=10**26))
def test_writing_and_reading_gives_the_same_duration(ns: int) -> None:
    text = format_duration(ns)
    assert OFFICIAL.match(text)
    assert parse_duration(text) == ns


@given(st.integers(min_value=0, max_value=10**12))
def test_samples_never_need_more_than_six_decimals(samples: int) -> None:
    fraction = format_duration(samples * 125_000).removesuffix("S").partition(".")[2]
    assert len(fraction) <= 6


@given(st.text(max_size=80))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        assert parse_duration(text) >= 0
    except ValueError:
        assert not OFFICIAL.fullmatch(text) or not text.isascii() or len(text) > 20
