"""The timeline in the terminal: a lane of characters for each integration.

It is readable without colours, for those who read a log.
"""

from __future__ import annotations

from itertools import groupby
from typing import Final

from rich.text import Text

from openaudiohook.audio import RATE
from openaudiohook.demo.timeline import Fate, Lane, Timeline, fate_columns

__all__ = ["GLYPHS", "draw"]

GLYPHS: Final = {
    Fate.LIVE: ("█", "green"),
    Fate.CAUGHT_UP: ("▓", "bright_blue"),
    Fate.DISCARDED: ("·", "bold yellow"),
    Fate.SECURE: ("░", "red"),
    Fate.PAUSED: ("-", "magenta"),
    Fate.MISSING: ("x", "bold red"),
}
"""How each fate is drawn: a character, and its style."""

_MARGIN: Final = 3  # the last part's name may reach into it
_RULER_S: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600)


def draw(timeline: Timeline, *, width: int = 80) -> Text:
    """Draw the lanes, with what happened in the call above them and a legend below."""
    label = 1 + max((len(lane.name) for lane in timeline.lanes), default=0)
    columns = max(10, width - label - _MARGIN)
    lines = [
        _ruler(timeline, label, columns),
        _parts(timeline, label, columns, width),
        *(_lane(lane, timeline.length, label, columns) for lane in timeline.lanes),
        Text(),
        *_legend(timeline, width),
    ]
    return Text("\n", no_wrap=True, overflow="crop").join(lines)


def _column(sample: int, length: int, columns: int) -> int:
    return round(sample * columns / length) if length else 0


def _ruler(timeline: Timeline, label: int, columns: int) -> Text:
    length = timeline.length
    step = next((s for s in _RULER_S if _column(s * RATE, length, columns) >= 8), _RULER_S[-1])
    line = [" "] * (label + columns + _MARGIN)
    for second in range(0, length // RATE + 1, step):
        mark = f"{second} s" if second == 0 else str(second)
        at = label + _column(second * RATE, length, columns)
        line[at : at + len(mark)] = mark
    return Text("".join(line).rstrip(), style="dim")


def _parts(timeline: Timeline, label: int, columns: int, width: int) -> Text:
    line = [" "] * width
    for index, part in enumerate(timeline.parts):
        start = label + _column(part.start, timeline.length, columns)
        end = label + _column(part.end, timeline.length, columns)
        if index == len(timeline.parts) - 1:
            end = width
        if end > start:
            text = ("|" + part.name)[: end - start]
            line[start : start + len(text)] = text
    return Text("".join(line).rstrip(), style="bold")


def _lane(lane: Lane, length: int, label: int, columns: int) -> Text:
    line = Text(f"{lane.name:<{label}}")
    for fate, run in groupby(fate_columns(lane, length=length, columns=columns)):
        glyph, style = GLYPHS[fate]
        line.append(glyph * len(list(run)), style=style)
    return line


def _legend(timeline: Timeline, width: int) -> list[Text]:
    """What is drawn, in as many lines as it takes."""
    drawn = {stretch.fate for lane in timeline.lanes for stretch in lane.stretches}
    lines = [Text()]
    for fate, (glyph, style) in GLYPHS.items():
        if fate not in drawn:
            continue
        entry = Text.assemble((glyph * 2, style), f" {fate}")
        if lines[-1]:
            if len(lines[-1]) + len(entry) + 3 <= width:
                entry = Text("   ") + entry
            else:
                lines.append(Text())
        lines[-1].append_text(entry)
    return lines
