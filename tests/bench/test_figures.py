"""Tests of what the benchmarks make of their runs."""

from __future__ import annotations

import math

import pytest
from bench.figures import Figure, quantile, spread

pytestmark = pytest.mark.unit


def ratio(ours: list[float], yardstick: list[float], *, bound: float = 1.5) -> Figure:
    return Figure(
        name="service",
        title="CPU per frame",
        unit="µs",
        bound=bound,
        is_ratio=True,
        ours=ours,
        yardstick=yardstick,
    )


def test_a_ratio_is_the_median_of_the_pairs_and_not_of_the_medians() -> None:
    figure = ratio([10, 40, 12, 13, 12], [10, 32, 10, 10, 10])

    assert figure.ratios == pytest.approx([1.0, 1.25, 1.2, 1.3, 1.2])
    assert figure.value == pytest.approx(1.2)


def test_the_spread_is_the_range_in_parts_of_the_median() -> None:
    assert spread([9, 10, 12]) == pytest.approx(0.3)


def test_the_spread_of_zeros_is_not_zero() -> None:
    assert math.isinf(spread([0, 0, 0]))


def test_a_bound_is_met_by_the_median() -> None:
    assert ratio([14, 14, 15, 15, 16], [10] * 5).verdict == "met"


def test_a_bound_is_missed_by_the_median() -> None:
    assert ratio([15, 15, 16, 16, 17], [10] * 5).verdict == "missed"


def test_the_bound_itself_still_meets() -> None:
    assert ratio([15] * 5, [10] * 5).verdict == "met"


def test_a_lower_bound_is_met_from_above() -> None:
    figure = Figure(name="core", title="", unit="x", bound=5000, at_least=True, ours=[5001] * 5)

    assert figure.verdict == "met"
    assert not figure.meets(4999)


def test_runs_that_differ_by_more_than_a_fifth_say_nothing() -> None:
    figure = ratio([10, 10, 11, 12, 12.3], [10] * 5)

    assert figure.verdict == "inconclusive"
    assert figure.remark == "inconclusive (5 of 5 runs meet it)"


def test_fewer_than_five_runs_say_nothing() -> None:
    assert ratio([10] * 4, [10] * 4).verdict == "too few runs"


def test_without_a_bound_there_is_no_verdict() -> None:
    figure = Figure(name="ladder-tls", title="", unit="streams", ours=[1] * 5)

    assert (figure.verdict, figure.remark) == ("no bound", "no bound")


def test_a_run_whose_yardstick_failed_makes_no_ratio() -> None:
    assert ratio([10, 20], [0, 10]).ratios == [2.0]


def test_an_absolute_bound_ignores_the_yardstick() -> None:
    figure = Figure(name="memory", title="", unit="KB", bound=45, ours=[40] * 5, yardstick=[10] * 5)

    assert (figure.value, figure.verdict) == (40, "met")


def test_a_figure_survives_its_report() -> None:
    figure = ratio([11, 12, 13, 11, 12], [10] * 5)

    assert Figure.from_json(figure.as_json()) == figure


@pytest.mark.parametrize(("q", "expected"), [(0.0, 1), (0.5, 6), (0.99, 10), (1.0, 10)])
def test_a_quantile_is_one_of_the_values(q: float, expected: float) -> None:
    assert quantile(range(1, 11), q) == expected


def test_a_quantile_of_nothing_is_zero() -> None:
    assert quantile([], 0.99) == 0
