from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.audio.timeline import UNACCOUNTED, Span, Timeline
from openaudiohook.exceptions import MediaError

pytestmark = pytest.mark.unit


def test_audio_moves_the_position() -> None:
    line = Timeline()
    line.audio(800)
    line.audio(0)
    line.audio(800)
    assert line.position == 1600
    assert line.gaps == ()
    assert list(line.spans()) == [Span(0, 1600, None)]


def test_a_reported_gap_is_where_it_was_reported() -> None:
    # Protocol section 11's worked example: 1.2 s of audio, 3 s discarded, then 200 ms.
    line = Timeline()
    line.audio(9600)
    assert line.gap(9600, 24000, cause="paused") == 24000
    assert line.position == 33600
    line.audio(1600)
    assert line.gaps == (Span(9600, 24000, "paused"),)
    assert list(line.spans()) == [
        Span(0, 9600, None),
        Span(9600, 24000, "paused"),
        Span(33600, 1600, None),
    ]
    assert (line.audio_samples, line.gap_samples) == (11200, 24000)


def test_a_reconnected_stream_starts_where_its_open_says() -> None:
    line = Timeline(start=8000)
    line.audio(80)
    assert (line.start, line.position, line.audio_samples) == (8000, 8080, 80)
    assert list(line.spans()) == [Span(8000, 80, None)]


def test_neighbouring_gaps_of_one_cause_are_one_gap() -> None:
    line = Timeline()
    line.gap(0, 100, cause="discarded")
    line.gap(100, 50, cause="discarded")
    line.gap(150, 50, cause="paused")
    line.audio(10)
    line.gap(210, 5, cause="paused")
    assert line.gaps == (
        Span(0, 150, "discarded"),
        Span(150, 50, "paused"),
        Span(210, 5, "paused"),
    )


def test_a_gap_ahead_of_the_audio_leaves_no_hole() -> None:
    line = Timeline()
    line.audio(100)
    assert line.gap(130, 20, cause="discarded") == 50
    assert line.gaps == (Span(100, 30, UNACCOUNTED), Span(130, 20, "discarded"))


def test_an_empty_gap_at_the_position_changes_nothing() -> None:
    line = Timeline()
    line.audio(100)
    assert line.gap(100, 0, cause="paused") == 0
    assert line.advance(100, cause="paused") == 0
    assert (line.position, line.gaps) == (100, ())


def test_advancing_fills_up_to_a_position() -> None:
    line = Timeline()
    line.audio(100)
    assert line.advance(250, cause="lost") == 150
    assert line.gaps == (Span(100, 150, "lost"),)
    assert line.gaps[0].end == 250


def test_going_backwards_is_refused_and_changes_nothing() -> None:
    line = Timeline()
    line.audio(100)
    with pytest.raises(MediaError, match="sample 99, before the stream's position 100"):
        line.gap(99, 500, cause="discarded")
    with pytest.raises(MediaError, match="cannot go back to sample 99"):
        line.advance(99, cause="lost")
    with pytest.raises(MediaError, match="-1 samples"):
        line.gap(100, -1, cause="discarded")
    with pytest.raises(MediaError, match="-1 samples"):
        line.audio(-1)
    assert (line.position, line.gaps) == (100, ())
    with pytest.raises(MediaError, match="negative"):
        Timeline(start=-1)


PAGE = Path(__file__).parents[2] / "docs" / "topics" / "positions-and-discard.md"


def test_the_topic_pages_example_runs_as_printed() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert "assert" in example
    exec(example, {})


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("audio"), st.integers(0, 2000)),
        st.tuples(
            st.just("gap"),
            st.integers(-50, 200),
            st.integers(0, 2000),
            st.sampled_from(["paused", "discarded"]),
        ),
    ),
    max_size=60,
)


@given(st.integers(0, 10**9), STEPS)
def test_spans_tile_the_line_exactly(start: int, steps: list[tuple]) -> None:
    line = Timeline(start=start)
    silence = audio = 0
    for step in steps:
        before = (line.position, line.gaps)
        if step[0] == "audio":
            line.audio(step[1])
            audio += step[1]
            continue
        _, ahead, length, cause = step
        if ahead < 0:
            with pytest.raises(MediaError):
                line.gap(line.position + ahead, length, cause=cause)
            assert (line.position, line.gaps) == before
        else:
            silence += line.gap(line.position + ahead, length, cause=cause)
    spans = list(line.spans())
    at = start
    for span in spans:
        assert span.start == at
        assert span.length > 0
        at = span.end
    assert at == line.position == start + audio + silence
    assert line.audio_samples == audio == sum(s.length for s in spans if s.cause is None)
    assert line.gap_samples == silence == sum(s.length for s in spans if s.cause is not None)
    assert tuple(span for span in spans if span.cause is not None) == line.gaps
    for left, right in itertools.pairwise(spans):
        assert left.cause != right.cause
