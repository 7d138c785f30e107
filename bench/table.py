"""The figures as a table for the terminal, and as text."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rich.table import Table

from bench.figures import Figure

__all__ = ["bound_text", "median_text", "number", "render", "spread_text"]

_COLOURS = {"met": "green", "missed": "bold red", "no bound": "dim"}


def number(value: float) -> str:
    """Return a value with as many digits as mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def median_text(values: Sequence[float]) -> str:
    """Return the median of some runs; nothing where there are none."""
    return number(statistics.median(values)) if values else ""


def bound_text(figure: Figure) -> str:
    """Return what the figure is held to."""
    if figure.bound is None:
        return ""
    sign = "≥" if figure.at_least else "≤"
    unit = "x the yardstick" if figure.is_ratio else figure.unit
    return f"{sign} {figure.bound:g} {unit}"


def spread_text(figure: Figure) -> str:
    """Return how far the runs lie apart, and how many there were."""
    return f"{figure.spread:.0%} of {len(figure.judged)}" if figure.judged else ""


def render(figures: Sequence[Figure]) -> Table:
    """Return one row a figure."""
    table = Table(title="openaudiohook, medians")
    for heading in ("figure", "ours", "yardstick", "ratio", "bound", "spread", "verdict"):
        table.add_column(heading, justify="left" if heading in ("figure", "verdict") else "right")
    for figure in figures:
        table.add_row(
            figure.title,
            f"{median_text(figure.ours)} {figure.unit}",
            median_text(figure.yardstick),
            median_text(figure.ratios),
            bound_text(figure),
            spread_text(figure),
            f"[{_COLOURS.get(figure.verdict, 'yellow')}]{figure.remark}",
        )
    return table
