"""Writes the measured part of docs/performance.md, between two markers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bench.figures import LEAST_RUNS, Figure
from bench.plots import file_name
from bench.processes import ROOT
from bench.table import bound_text, median_text, spread_text

__all__ = ["BEGIN", "END", "PAGE", "measured_part", "replaced", "write_docs"]

PAGE: Final = ROOT / "docs" / "performance.md"
BEGIN: Final = "<!-- measured: begin; written by `python -m bench --write-docs` -->"
END: Final = "<!-- measured: end -->"


def write_docs(report: dict[str, Any], figures: Sequence[Figure]) -> None:
    """Put a report's figures into the page."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(replaced(page, measured_part(report, figures)), encoding="utf-8")


def replaced(page: str, part: str) -> str:
    """Return the page with what stands between its markers replaced.

    Raises:
        ValueError: it has no such markers.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks its markers, {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{part.strip()}\n\n{END}{after}"


def measured_part(report: dict[str, Any], figures: Sequence[Figure]) -> str:
    """Return the measured part of the page: machine, command, figures, runs, drawings."""
    settings = report["settings"]
    pairs = "1 pair" if settings["pairs"] == 1 else f"{settings['pairs']} pairs"
    when, how = report["started"][:10], report["command"]
    parts = [
        f"Measured {when} by `{how}`: {pairs} of runs, {settings['seconds']:g} s each.",
        _table(("machine", ""), [(name, value) for name, value in report["machine"].items()]),
    ]
    if report["quick"]:
        parts.insert(0, "**A quick run at a light load: no claim can be held to it.**")
    elif settings["pairs"] < LEAST_RUNS:
        parts.insert(0, f"**Fewer than {LEAST_RUNS} pairs: a glance, and no verdict.**")
    parts += [
        "### Figures",
        _table(
            ("figure", "ours", "yardstick", "ratio", "bound", "spread", "verdict"),
            [
                (
                    figure.title,
                    f"{median_text(figure.ours)} {figure.unit}",
                    median_text(figure.yardstick),
                    median_text(figure.ratios),
                    bound_text(figure),
                    spread_text(figure),
                    figure.remark,
                )
                for figure in figures
            ],
        ),
        "### Runs",
    ]
    shown: list[Sequence[dict[str, Any]]] = []
    for figure in figures:
        parts += [f"#### {figure.title}", f"![{figure.title}](images/{file_name(figure)})"]
        if figure.note:
            parts.append(figure.note)
        if figure.runs and figure.runs not in shown:
            shown.append(figure.runs)
            names = list(dict.fromkeys(name for row in figure.runs for name in row))
            rows = [[str(row.get(name, "")) for name in names] for row in figure.runs]
            parts.append(_table(names, rows))
    return "\n\n".join(parts)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
