"""Tests of what a run of the generator counts for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bench.generator import Run

pytestmark = pytest.mark.unit

RUN = Run(
    streams=100,
    us_per_frame=20.0,
    cpu=0.5,
    other=0.1,
    late_ms=1.0,
    round_trip_ms=(0.2, 2.0, 3.0),
    setup_ms=(0.2, 2.0, 3.0),
    kb_per_stream=30.0,
    floods=0,
    mb_per_flood=0.0,
    flood_mb_per_s=0.0,
    problems="",
)


@pytest.mark.parametrize(
    "changed",
    [
        {"late_ms": 20.0},
        {"round_trip_ms": (0.2, 100.0, 200.0)},
        {"cpu": 0.95},
        {"problems": "1 lost"},
    ],
)
def test_a_rung_counts_only_within_every_limit(changed: dict[str, object]) -> None:
    assert RUN.counts
    assert not replace(RUN, **changed).counts  # type: ignore[arg-type]


def test_a_row_says_why_a_run_does_not_count() -> None:
    assert replace(RUN, problems="1 lost").row("service")["counts"] == "1 lost"
    assert replace(RUN, cpu=0.99).row("service")["counts"] == "no"
