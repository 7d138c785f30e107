"""What became of every sample, and the lanes drawn of it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.demo.conftest import LENGTH, SECURE, WriteWav, recorded

from openaudiohook.demo.checking import Receipt
from openaudiohook.demo.drawing import GLYPHS, draw
from openaudiohook.demo.picture import draw_picture, envelope
from openaudiohook.demo.timeline import Fate, Lane, Part, Stretch, Timeline, fate_columns, make_lane
from openaudiohook.exceptions import MediaError

pytestmark = pytest.mark.unit

SECOND = 8000
CALL = 50 * SECOND
CARD = (15 * SECOND, 25 * SECOND)


def lane(name: str, *, live_from: int = 0, discarded: tuple[int, int] | None = None) -> Lane:
    receipt = Receipt()
    receipt.received = [(0, CARD[0]), (CARD[1], CALL)]
    receipt.paused = [CARD]
    if discarded is not None:
        receipt.received = [
            (0, CARD[0]), (CARD[1], discarded[0]), (discarded[1], CALL)
        ]  # fmt: skip
        receipt.discarded = [discarded]
    return make_lane(name, "why", receipt, length=CALL, live_from=live_from, secure=[CARD])


@pytest.fixture
def timeline() -> Timeline:
    return Timeline(
        length=CALL,
        secure=(CARD,),
        parts=(
            Part(0, CARD[0], "agent"),
            Part(*CARD, "secure flow"),
            Part(CARD[1], CALL - 6 * SECOND, "hold"),
            Part(CALL - 6 * SECOND, CALL, "farewell"),
        ),
        lanes=(
            lane("plain"),
            lane("slow", discarded=(30 * SECOND, 35 * SECOND)),
            lane("late", live_from=10 * SECOND),
        ),
    )


# Lanes ------------------------------------------------------------------------------------


def test_what_came_before_the_session_opened_was_caught_up() -> None:
    assert lane("late", live_from=10 * SECOND).stretches == (
        Stretch(0, 10 * SECOND, Fate.CAUGHT_UP),
        Stretch(10 * SECOND, CARD[0], Fate.LIVE),
        Stretch(*CARD, Fate.SECURE),
        Stretch(CARD[1], CALL, Fate.LIVE),
    )


def test_a_pause_that_is_only_partly_secure_is_divided() -> None:
    receipt = Receipt()
    receipt.paused = [(0, 100)]
    stretches = make_lane(
        "a", "", receipt, length=100, live_from=0, secure=[(20, 30), (50, 200)]
    ).stretches
    assert stretches == (
        Stretch(0, 20, Fate.PAUSED),
        Stretch(20, 30, Fate.SECURE),
        Stretch(30, 50, Fate.PAUSED),
        Stretch(50, 100, Fate.SECURE),
    )


def test_what_nobody_told_of_is_lost() -> None:
    receipt = Receipt()
    receipt.received = [(10, 20)]
    stretches = make_lane("a", "", receipt, length=40, live_from=0, secure=()).stretches
    assert stretches == (
        Stretch(0, 10, Fate.MISSING),
        Stretch(10, 20, Fate.LIVE),
        Stretch(20, 40, Fate.MISSING),
    )


@given(
    st.lists(st.tuples(st.integers(1, 50), st.sampled_from("rdp")), max_size=12),
    st.integers(0, 200),
    st.integers(0, 100),
)
def test_stretches_tile_the_call(
    told: list[tuple[int, str]], live_from: int, secure_from: int
) -> None:
    receipt, at = Receipt(), 0
    kinds = {"r": receipt.received, "d": receipt.discarded, "p": receipt.paused}
    for samples, kind in told:
        kinds[kind].append((at, at + samples))
        at += samples
    length = at + 7
    stretches = make_lane(
        "a",
        "",
        receipt,
        length=length,
        live_from=live_from,
        secure=[(secure_from, secure_from + 9)],
    ).stretches
    edges = [0, *(stretch.end for stretch in stretches)]
    assert [stretch.start for stretch in stretches] == edges[:-1]
    assert edges[-1] == length
    assert all(stretch.end > stretch.start for stretch in stretches)


def test_a_column_shows_what_became_of_most_of_it() -> None:
    stretches = (Stretch(0, 60, Fate.LIVE), Stretch(60, 100, Fate.DISCARDED))
    columns = fate_columns(Lane("a", "", stretches), length=100, columns=2)
    assert columns == [Fate.LIVE, Fate.DISCARDED]


# In the terminal --------------------------------------------------------------------------


def drawn(timeline: Timeline, width: int = 80) -> dict[str, str]:
    lines = draw(timeline, width=width).plain.splitlines()
    assert max(len(line) for line in lines) <= width
    return {line.split(maxsplit=1)[0]: line for line in lines if line}


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_secure_span_is_at_the_same_columns_of_every_lane(
    timeline: Timeline, width: int
) -> None:
    lines = drawn(timeline, width)
    secure = GLYPHS[Fate.SECURE][0]
    spans = {(lines[name].find(secure), lines[name].rfind(secure) + 1) for name in _NAMES}
    assert len(spans) == 1
    ((start, end),) = spans
    label = len("plain ")
    columns = len(lines["plain"]) - label
    assert start == pytest.approx(label + columns * 15 / 50, abs=1)
    assert end == pytest.approx(label + columns * 25 / 50, abs=1)
    assert {lines[name].count(secure) for name in _NAMES} == {end - start}


_NAMES = ("plain", "slow", "late")


def test_discards_and_catch_up_are_on_their_own_lanes_only(timeline: Timeline) -> None:
    lines = drawn(timeline)
    for fate, owner in ((Fate.DISCARDED, "slow"), (Fate.CAUGHT_UP, "late")):
        glyph = GLYPHS[fate][0]
        assert [name for name in _NAMES if glyph in lines[name]] == [owner]
    columns = len(lines["late"]) - len("plain ")
    assert lines["late"].count(GLYPHS[Fate.CAUGHT_UP][0]) == pytest.approx(columns / 5, abs=1)


def test_what_happened_stands_above_and_the_last_name_is_whole(timeline: Timeline) -> None:
    header = draw(timeline, width=80).plain.splitlines()[1]
    assert header.index("|secure flow") == drawn(timeline)["plain"].find(GLYPHS[Fate.SECURE][0])
    assert header.endswith("|farewell")


def test_the_legend_names_what_is_drawn_and_nothing_else(timeline: Timeline) -> None:
    legend = draw(timeline, width=100).plain.splitlines()[-1]
    narrow = draw(timeline, width=60).plain.splitlines()
    assert len(narrow) == len(draw(timeline, width=100).plain.splitlines()) + 1
    assert [fate in legend for fate in Fate] == [True, True, True, True, False, False]


def test_a_call_without_a_length_can_be_drawn() -> None:
    assert "plain" in draw(Timeline(0, (), (), (Lane("plain", "", ()),))).plain


# As a picture -----------------------------------------------------------------------------


def shapes(svg: str) -> list[dict[str, str]]:
    return [
        {**one.attrib, "title": "".join(one.itertext())}
        for one in ET.fromstring(svg).iter()
        if one.tag.endswith("}rect")
    ]


def test_the_secure_span_is_a_box_over_all_lanes(timeline: Timeline) -> None:
    rects = shapes(draw_picture(timeline, {}))
    hatched = [one for one in rects if one.get("fill") == "url(#secure)" and one["title"]]
    (box,) = (one for one in rects if one.get("fill") == "none")
    assert len(hatched) == 3
    assert {one["x"] for one in hatched} == {box["x"]}
    assert {one["width"] for one in hatched} == {box["width"]}
    assert {one["title"] for one in hatched} == {"secure pause: 15.000 s to 25.000 s"}
    top, bottom = float(box["y"]), float(box["y"]) + float(box["height"])
    assert all(top <= float(one["y"]) < bottom for one in hatched)
    assert float(box["x"]) == pytest.approx(120 + 976 * 15 / 50)


def test_names_are_escaped() -> None:
    svg = draw_picture(Timeline(8, (), (Part(0, 8, "<b> & c"),), ()), {})
    assert "&lt;b&gt; &amp; c" in svg


def test_sound_is_drawn_from_the_recording_and_the_secure_span_is_flat(
    tmp_path: Path, write_wav: WriteWav
) -> None:
    levels = envelope(write_wav(tmp_path / "a.wav", recorded(), 2), length=LENGTH, bins=80)
    start, end = (80 * edge // LENGTH for edge in SECURE)
    assert levels[start:end] == [0] * (end - start)
    assert min(levels[:start] + levels[end:]) > 0.8
    receipt = Receipt()
    receipt.received, receipt.paused = [(0, SECURE[0]), (SECURE[1], LENGTH)], [SECURE]
    one = make_lane("a", "", receipt, length=LENGTH, live_from=0, secure=[SECURE])
    svg = draw_picture(Timeline(LENGTH, (SECURE,), (), (one,)), {"a": levels})
    bars = [
        re.findall(r"v([\d.]+)", path.attrib["d"])
        for path in ET.fromstring(svg).iter()
        if path.attrib.get("stroke-width") == "1.6"
    ]
    assert [len(stretch) for stretch in bars] == [30, 20, 30]
    assert {float(bar) for bar in bars[1]} == {1.0}
    assert min(float(bar) for bar in bars[0] + bars[2]) > 40


def test_a_recording_shorter_than_the_call_is_flat_where_it_has_ended(
    tmp_path: Path, write_wav: WriteWav
) -> None:
    levels = envelope(write_wav(tmp_path / "a.wav", recorded(), 2), length=2 * LENGTH, bins=10)
    assert levels[5:] == [0] * 5


def test_what_is_no_recording_has_no_envelope(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"nothing")
    with pytest.raises(MediaError):
        envelope(tmp_path / "a.wav", length=10)
