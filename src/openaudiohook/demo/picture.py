"""The timeline as a picture: each integration's own recording, and what became of every stretch.

An SVG of its own making, so that it looks the same everywhere and needs nothing installed. The
sound is drawn from the recordings, in every stretch, and not from what was sent: where a lane is
flat, its file is silent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import numpy as np

from openaudiohook.audio import RATE
from openaudiohook.audio.wav_reader import WavReader
from openaudiohook.demo.timeline import Fate, Lane, Stretch, Timeline

__all__ = ["draw_picture", "envelope"]

_WIDTH: Final = 1120
_LEFT: Final = 120
_RIGHT: Final = 24
_TOP: Final = 124
_LANE: Final = 64
_GAP: Final = 10
_BINS: Final = 488  # two pixels each

_COLOURS: Final = {
    Fate.LIVE: "#1f7a5c",
    Fate.CAUGHT_UP: "#2b62c4",
    Fate.DISCARDED: "#d9822b",
    Fate.SECURE: "#c23030",
    Fate.PAUSED: "#8a4fb0",
    Fate.MISSING: "#555555",
}
_HATCHED: Final = (Fate.DISCARDED, Fate.SECURE, Fate.PAUSED, Fate.MISSING)
_FONT: Final = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"


def envelope(path: Path, *, length: int, bins: int = _BINS) -> list[float]:
    """Return how loud a recording is, from 0 to 1, in as many bins as make up the call.

    Loudness is the square root of the peak, so that quiet speech is seen too.

    Raises:
        MediaError: it is no recording.
        OSError: it cannot be read.
    """
    peaks = []
    with path.open("rb") as file:
        reader = WavReader(file, name=path.name)
        for number in range(bins):
            end = length * (number + 1) // bins
            block = reader.read_linear(end - reader.position)
            peak = int(np.abs(block.astype(np.int32)).max()) if block.size else 0
            peaks.append((peak / 32768) ** 0.5)
    return peaks


def draw_picture(timeline: Timeline, envelopes: Mapping[str, Sequence[float]]) -> str:
    """Return the SVG.

    Args:
        timeline: the call.
        envelopes: by integration, what `envelope` says of its recording.
    """
    lanes_height = len(timeline.lanes) * (_LANE + _GAP) - _GAP
    bottom = _TOP + lanes_height
    height = bottom + 84
    out = [
        (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height}' "
            f"width='{_WIDTH}' height='{height}' {_FONT}>"
        ),
        "<title>One call, five integrations: what each of them received</title>",
        _patterns(),
        f"<rect width='{_WIDTH}' height='{height}' fill='#ffffff'/>",
        _text(24, 36, "One call, five integrations: what each of them received", 20, bold=True),
        _text(
            24,
            58,
            "Drawn from the recordings. Seconds from the first monitored sample.",
            13,
            fill="#555555",
        ),
        *_parts(timeline, bottom),
    ]
    for number, lane in enumerate(timeline.lanes):
        top = _TOP + number * (_LANE + _GAP)
        out += _lane(lane, timeline.length, envelopes.get(lane.name, ()), top)
    out += _secure(timeline, bottom)
    out += _axis(timeline.length, bottom)
    out += _legend(timeline, bottom + 62)
    out.append("</svg>\n")
    return "\n".join(out)


def _x(sample: int, length: int) -> float:
    return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * sample / max(1, length), 1)


def _text(
    x: float, y: float, text: str, size: int, *, fill: str = "#1c1c1c", bold: bool = False,
    anchor: str = "start",
) -> str:  # fmt: skip
    weight = " font-weight='600'" if bold else ""
    return (
        f"<text x='{x}' y='{y}' font-size='{size}' fill='{fill}' text-anchor='{anchor}'"
        f"{weight}>{escape(text)}</text>"
    )


def _patterns() -> str:
    return "<defs>" + "".join(
        f"<pattern id='{fate.name.lower()}' width='7' height='7' patternUnits='userSpaceOnUse' "
        f"patternTransform='rotate(45)'><rect width='7' height='7' fill='{_COLOURS[fate]}' "
        f"fill-opacity='0.12'/><rect width='2.5' height='7' fill='{_COLOURS[fate]}' "
        f"fill-opacity='0.55'/></pattern>"
        for fate in _HATCHED
    ) + "</defs>"  # fmt: skip


def _parts(timeline: Timeline, bottom: int) -> list[str]:
    """What happened in the call: a name above, a line down through the lanes."""
    out = []
    for part in timeline.parts:
        x = _x(part.start, timeline.length)
        out.append(f"<path d='M{x} {_TOP - 34}V{bottom}' stroke='#cccccc'/>")
        out.append(_text(x + 5, _TOP - 22, part.name, 13, bold=True))
    return out


def _lane(lane: Lane, length: int, levels: Sequence[float], top: int) -> list[str]:
    middle = top + _LANE / 2
    left, right = _x(0, length), _x(length, length)
    out = [
        _text(24, middle - 2, lane.name, 15, bold=True),
        _text(24, middle + 15, lane.remark, 12, fill="#555555"),
        f"<rect x='{left}' y='{top}' width='{right - left}' height='{_LANE}' fill='#f4f5f6'/>",
    ]
    for stretch in lane.stretches:
        out.append(_stretch(stretch, length, top))
        out.append(_sound(stretch, length, levels, middle))
    return out


def _stretch(stretch: Stretch, length: int, top: int) -> str:
    start, end = _x(stretch.start, length), _x(stretch.end, length)
    colour = _COLOURS[stretch.fate]
    fill = f"fill='{colour}' fill-opacity='0.13'"
    if stretch.fate in _HATCHED:
        fill = f"fill='url(#{stretch.fate.name.lower()})'"
    return (
        f"<rect x='{start}' y='{top}' width='{end - start:.1f}' height='{_LANE}' {fill}>"
        f"<title>{stretch.fate}: {_clock(stretch.start)} to {_clock(stretch.end)}</title></rect>"
    )


def _sound(stretch: Stretch, length: int, levels: Sequence[float], middle: float) -> str:
    """The recording's sound within a stretch, as bars about the lane's middle."""
    bars = []
    for number, level in enumerate(levels):
        at = length * (2 * number + 1) // (2 * len(levels))
        if stretch.start <= at < stretch.end:
            reach = max(0.5, level * (_LANE / 2 - 3))
            bars.append(f"M{_x(at, length)} {middle - reach:.1f}v{2 * reach:.1f}")
    return f"<path d='{''.join(bars)}' stroke='{_COLOURS[stretch.fate]}' stroke-width='1.6'/>"


def _secure(timeline: Timeline, bottom: int) -> list[str]:
    """The secure spans, over everything: on every lane at one and the same sample."""
    out = []
    for start, end in timeline.secure:
        left, right = _x(start, timeline.length), _x(end, timeline.length)
        out.append(
            f"<rect x='{left}' y='{_TOP - 12}' width='{right - left:.1f}' "
            f"height='{bottom - _TOP + 12}' fill='none' stroke='{_COLOURS[Fate.SECURE]}' "
            f"stroke-width='2'/>"
        )
    return out


def _axis(length: int, bottom: int) -> list[str]:
    seconds = length / RATE
    step = next((s for s in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if seconds / s <= 12), 1200)
    out = []
    for second in range(0, int(seconds) + 1, step):
        x = _x(second * RATE, length)
        out.append(f"<path d='M{x} {bottom}v6' stroke='#888888'/>")
        out.append(_text(x, bottom + 20, f"{second} s", 12, fill="#555555", anchor="middle"))
    return out


def _legend(timeline: Timeline, y: int) -> list[str]:
    drawn = {stretch.fate for lane in timeline.lanes for stretch in lane.stretches}
    out = []
    x: float = _LEFT
    for fate in Fate:
        if fate not in drawn:
            continue
        fill = f"url(#{fate.name.lower()})" if fate in _HATCHED else _COLOURS[fate]
        words = f"{fate}: nothing left" if fate is Fate.SECURE else str(fate)
        out.append(f"<rect x='{x}' y='{y - 11}' width='18' height='13' fill='{fill}'/>")
        out.append(_text(x + 25, y, words, 13))
        x += 60 + 7.2 * len(words)
    return out


def _clock(sample: int) -> str:
    return f"{sample / RATE:.3f} s"
