"""A conversation drawn in the terminal: the call above, a lane of characters for each integration.

It is readable without colours, for those who read a log.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from rich.text import Text

if TYPE_CHECKING:
    from openaudiohook.monitor.explain import PartExplained
    from openaudiohook.monitor.lanes import Fate, Lane, Stretch

__all__ = ["draw"]

_RATE: Final = 8000
_RULER_S: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
_GLYPHS: Final[dict[Fate, tuple[str, str, str]]] = {
    "streamed": ("█", "green", "streamed live"),
    "before opened": ("▓", "bright_blue", "before it opened: sent afterwards, at most 20 s"),
    "discarded": ("·", "bold yellow", "left out"),
    "secure": ("░", "red", "secure pause"),
    "client": ("-", "magenta", "client pause"),
    "server": ("=", "cyan", "server pause"),
    "not known": ("?", "yellow", "connected: what was sent is not known"),
    "not connected": ("x", "bold red", "not connected"),
    "not monitored": (" ", "", "not monitored"),
}
"""How each fate is drawn: a character, its style, and what it is called."""


def draw(part: PartExplained, *, width: int) -> Text:
    """Draw one part of a conversation, with a legend below."""
    names = ["call", *(lane.name for lane in part.lanes)]
    label = 2 + max(len(name) for name in names)
    columns = max(10, width - label)

    def column(sample: int) -> int:
        return round(sample * columns / part.length) if part.length else 0

    lines = [_ruler(part.length, label, columns, column), _phases(part, label, columns, column)]
    drawn: set[Fate] = set()
    for lane in part.lanes:
        fates = _fates(lane, part.length, columns)
        drawn.update(fates)
        lines.append(_lane(lane.name, fates, label))
    lines += _legend(drawn, width)
    return Text("\n", no_wrap=True, overflow="crop").join(lines)


def _ruler(length: int, label: int, columns: int, column: Callable[[int], int]) -> Text:
    step = next((s for s in _RULER_S if column(s * _RATE) >= 8), _RULER_S[-1])
    line = [" "] * (label + columns)
    for second in range(0, length // _RATE + 1, step):
        mark = "0 s" if second == 0 else str(second)
        at = label + column(second * _RATE)
        line[at : at + len(mark)] = mark
    return Text("".join(line[: label + columns]).rstrip(), style="dim")


def _phases(part: PartExplained, label: int, columns: int, column: Callable[[int], int]) -> Text:
    """What the customer went through, and where monitoring began."""
    line = [" "] * (label + columns)
    line[: len("call")] = "call"
    marks: list[tuple[int, str]] = [*part.phases]
    if part.monitored_from is not None:
        marks.append((part.monitored_from, "monitored"))
    for at, name in sorted(marks, key=lambda mark: mark[0]):
        text = f"|{name}"
        start = label + column(at)
        if line[start : start + 1] == ["|"]:  # two things at one place: one after the other
            while start < len(line) and line[start] != " ":
                start += 1
        line[start : start + len(text)] = text
    return Text("".join(line[: label + columns]).rstrip(), style="bold")


def _fates(lane: Lane, length: int, columns: int) -> list[Fate]:
    """What became of most of each column."""
    return [
        _prevailing(
            lane.stretches,
            length * i // columns,
            max(length * (i + 1) // columns, length * i // columns + 1),  # of a short call
        )
        for i in range(columns)
    ]


def _lane(name: str, fates: Iterable[Fate], label: int) -> Text:
    line = Text(f"{name:<{label}}")
    for fate, run in groupby(fates):
        glyph, style, _ = _GLYPHS[fate]
        line.append(glyph * len(list(run)), style=style)
    return line


def _prevailing(stretches: Sequence[Stretch], start: int, end: int) -> Fate:
    shares: dict[Fate, int] = {}
    for stretch in stretches:
        overlap = min(end, stretch.end) - max(start, stretch.start)
        if overlap > 0:
            shares[stretch.fate] = shares.get(stretch.fate, 0) + overlap
    return max(shares, key=lambda fate: shares[fate], default="not monitored")


def _legend(drawn: Collection[Fate], width: int) -> list[Text]:
    """What is drawn, in as many lines as it takes."""
    lines = [Text()]
    for fate, (glyph, style, name) in _GLYPHS.items():
        if fate not in drawn or fate == "not monitored":
            continue
        entry = Text.assemble((glyph * 2, style), f" {name}")
        if lines[-1]:
            if len(lines[-1]) + len(entry) + 3 <= width:
                entry = Text("   ") + entry
            else:
                lines.append(Text())
        lines[-1].append_text(entry)
    return lines if lines[-1] else []
