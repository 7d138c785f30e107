"""One drawing a figure: every run, ours beside the yardstick, and the bound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.figures import Figure
from bench.processes import ROOT

__all__ = ["IMAGES", "draw", "file_name"]

IMAGES: Final = ROOT / "docs" / "images"

_OURS, _YARDSTICK, _BOUND = "#1f6f8b", "#9a9a9a", "#b3392f"
_RUNG_PANELS: Final = (("round trip p99 ms", 100.0), ("latency p99 ms", 20.0), ("CPU %", 95.0))


def file_name(figure: Figure) -> str:
    """Return the name of a figure's drawing."""
    return f"bench-{figure.name}.svg"


def draw(figures: Sequence[Figure], directory: Path) -> None:
    """Draw every figure into a directory."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update(
        {
            "svg.hashsalt": "openaudiohook",
            "svg.fonttype": "path",
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "figure.facecolor": "white",
        }
    )
    directory.mkdir(parents=True, exist_ok=True)
    for figure in figures:
        drawing = _ladder(figure) if "ladder" in figure.name else _runs(figure)
        drawing.savefig(directory / file_name(figure), metadata={"Date": None}, format="svg")


def _runs(figure: Figure) -> Any:
    """Draw each run as a dot, pairs joined by a line, and the bound."""
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(7.2, 2.6), layout="constrained")
    axes = drawing.subplots()
    numbers = range(1, len(figure.ours) + 1)
    lanes = [("ours", figure.ours, _OURS)]
    if figure.yardstick:
        lanes.append(("yardstick", figure.yardstick, _YARDSTICK))
        for at, ours, bare in zip(numbers, figure.ours, figure.yardstick, strict=True):
            axes.plot([at, at], [ours, bare], color="#dddddd", linewidth=3, zorder=1)
    for label, values, colour in lanes:
        axes.scatter(numbers, values, color=colour, s=42, label=label, zorder=3)
    if figure.bound is not None:
        if figure.is_ratio:
            bounds = [figure.bound * bare for bare in figure.yardstick]
            axes.scatter(
                numbers, bounds, color=_BOUND, marker="_", s=400, zorder=2,
                label=f"{figure.bound:g} x the yardstick",
            )  # fmt: skip
        else:
            axes.axhline(figure.bound, color=_BOUND, linewidth=1.2, label="bound")
    highest = max([*figure.ours, *figure.yardstick, 0.0 if figure.is_ratio else figure.bound or 0])
    axes.set(
        title=figure.title, xlabel="run", ylabel=figure.unit, xticks=list(numbers),
        ylim=(0, highest * 1.25 or 1), xlim=(0.5, len(figure.ours) + 0.5),
    )  # fmt: skip
    axes.title.set_fontsize(10)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=9)
    return drawing


def _ladder(figure: Figure) -> Any:
    """Draw CPU and latency over the rungs, and cross out the runs that do not count."""
    from matplotlib.figure import Figure as Drawing

    panels = [(name, bound) for name, bound in _RUNG_PANELS if name in figure.runs[0]]
    drawing = Drawing(figsize=(7.2, 2.9), layout="constrained")
    drawing.suptitle(figure.title, fontsize=10)
    for axes, (panel, bound) in zip(drawing.subplots(1, len(panels)), panels, strict=True):
        whos = list(dict.fromkeys(row["who"] for row in figure.runs))
        for who, colour in zip(whos, (_OURS, _YARDSTICK), strict=False):
            rows = [row for row in figure.runs if row["who"] == who]
            for marker, counts in (("o", True), ("x", False)):
                points = [
                    (_rung(row), row[panel]) for row in rows if (row["counts"] == "yes") is counts
                ]
                label = who if counts else f"{who}, does not count"
                if points:
                    axes.scatter(*zip(*points, strict=True), color=colour, marker=marker, s=30,
                                 label=label)  # fmt: skip
        axes.axhline(bound, color=_BOUND, linewidth=1.2)
        farthest = max(_rung(row) for row in figure.runs)
        axes.set(xlabel=figure.unit, ylabel=panel, xlim=(0, farthest * 1.08), ylim=(0, None))
        if "ms" in panel:
            axes.set_yscale("symlog", linthresh=1)
            axes.yaxis.set_major_formatter("{x:g}")
            axes.set_ylim(0, None)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)
    return drawing


def _rung(row: dict[str, Any]) -> int:
    rung: int = row["streams"] if "streams" in row else row["calls"]
    return rung
