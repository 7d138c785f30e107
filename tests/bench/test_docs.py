"""Tests of the page the benchmarks write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench.docs import BEGIN, END, PAGE, measured_part, replaced
from bench.figures import Figure
from bench.plots import draw, file_name

pytestmark = pytest.mark.unit

FIGURE = Figure(
    name="service",
    title="Service, CPU per frame",
    unit="µs",
    bound=1.5,
    is_ratio=True,
    ours=[12, 12.5, 13, 12, 12],
    yardstick=[10, 10, 10, 10, 10],
    runs=[{"who": "service", "streams": 1000, "counts": "yes"}],
)
LADDER = Figure(
    name="ladder",
    title="Highest rung",
    unit="streams",
    at_least=True,
    is_ratio=True,
    ours=[500],
    yardstick=[1000],
    runs=[
        {"who": who, "streams": rung, "CPU %": 50.0, "round trip p99 ms": 2.0, "counts": counts}
        for who in ("service", "bare")
        for rung, counts in ((500, "yes"), (1000, "no"))
    ],
)
REPORT: dict[str, Any] = {
    "started": "2026-01-02T03:04:05+00:00",
    "command": "python -m bench",
    "quick": False,
    "settings": {"pairs": 5, "seconds": 8.0, "streams": 1000, "calls": 200},
    "machine": {"processor": "a processor"},
}


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"

    assert replaced(page, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="markers"):
        replaced("a page", "new")


def test_the_page_of_this_project_has_its_markers() -> None:
    assert "new figures" in replaced(PAGE.read_text(encoding="utf-8"), "new figures")


def test_the_page_names_machine_command_median_bound_spread_and_verdict() -> None:
    part = measured_part(REPORT, [FIGURE])

    assert "Measured 2026-01-02 by `python -m bench`: 5 pairs of runs, 8 s each." in part
    assert "| processor | a processor |" in part
    assert (
        "| Service, CPU per frame | 12.0 µs | 10.0 | 1.20 | ≤ 1.5 x the yardstick "
        "| 8% of 5 | met |" in part
    )
    assert "| service | 1000 | yes |" in part


def test_a_quick_run_says_that_it_is_one() -> None:
    assert measured_part({**REPORT, "quick": True}, [FIGURE]).startswith("**A quick run")


def test_too_few_pairs_are_called_a_glance() -> None:
    settings = {**REPORT["settings"], "pairs": 4}

    assert measured_part({**REPORT, "settings": settings}, [FIGURE]).startswith("**Fewer than 5")


def test_each_figure_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")

    draw([FIGURE, LADDER], tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {file_name(FIGURE), file_name(LADDER)}
    assert all(b"</svg>" in path.read_bytes() for path in tmp_path.iterdir())
