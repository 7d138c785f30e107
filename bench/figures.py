"""What a measurement comes to: medians, spreads, and verdicts against the budgets.

A figure is held to its bound by the median of several runs. Where the yardstick belongs to it,
each run has one of the yardstick right before or after it, and the median is that of the
quotients of these pairs: what the machine did meanwhile, it did to both.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

__all__ = ["LEAST_RUNS", "MOST_SPREAD", "Figure", "Verdict", "quantile", "spread"]

LEAST_RUNS: Final = 5
MOST_SPREAD: Final = 0.20

Verdict = str
"""`met`, `missed`, `inconclusive`, `too few runs`, or `no bound`."""


def spread(values: Sequence[float]) -> float:
    """Return how far apart the runs lie: the whole range, as a part of their median."""
    median = statistics.median(values)
    return (max(values) - min(values)) / median if median else math.inf


def quantile(values: Sequence[float], q: float) -> float:
    """Return the value at a quantile from 0 to 1; 0 where there is none."""
    ordered = sorted(values)
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)] if ordered else 0.0


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure and the runs it comes from.

    Attributes:
        name: short, as on the command line and in file names.
        title: what is measured.
        unit: of `ours` and `yardstick`.
        bound: what the median is held to; None where nothing was promised.
        at_least: the bound is a lower one.
        is_ratio: the bound holds for ours divided by the yardstick.
        ours: one value a run.
        yardstick: one value a run, beside ours; empty where there is no yardstick.
        runs: everything else that was seen, one table row a run.
        note: what else to know, in a sentence.
    """

    name: str
    title: str
    unit: str
    bound: float | None = None
    at_least: bool = False
    is_ratio: bool = False
    ours: Sequence[float] = ()
    yardstick: Sequence[float] = ()
    runs: Sequence[dict[str, Any]] = field(default_factory=tuple)
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        """Ours divided by the yardstick, pair by pair."""
        pairs = zip(self.ours, self.yardstick, strict=False)
        return [ours / bare for ours, bare in pairs if bare]

    @property
    def judged(self) -> Sequence[float]:
        """What the bound is for: the ratios, or ours as it is."""
        return self.ratios if self.is_ratio else self.ours

    @property
    def value(self) -> float:
        """The median of what is judged."""
        return statistics.median(self.judged) if self.judged else math.nan

    @property
    def spread(self) -> float:
        """How far apart what is judged lies."""
        return spread(self.judged) if self.judged else math.inf

    def meets(self, value: float) -> bool:
        """Say whether a value is on the right side of the bound."""
        assert self.bound is not None
        return value >= self.bound if self.at_least else value <= self.bound

    @property
    def verdict(self) -> Verdict:
        """Whether the bound is met, so far as this run can tell."""
        if self.bound is None:
            return "no bound"
        if len(self.judged) < LEAST_RUNS:
            return "too few runs"
        if self.spread > MOST_SPREAD:
            return "inconclusive"
        return "met" if self.meets(self.value) else "missed"

    @property
    def remark(self) -> str:
        """The verdict, and where the runs differ too much what they still agree on."""
        if self.bound is None or not self.judged:
            return self.verdict
        meeting = sum(self.meets(value) for value in self.judged)
        if self.verdict in ("met", "missed"):
            return self.verdict
        return f"{self.verdict} ({meeting} of {len(self.judged)} runs meet it)"

    def as_json(self) -> dict[str, Any]:
        """Return everything, the derived values included."""
        derived = {
            "value": None if math.isnan(self.value) else self.value,
            "spread": None if math.isinf(self.spread) else self.spread,
            "ratios": self.ratios,
            "verdict": self.verdict,
        }
        return {**asdict(self), **derived}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Figure:
        """Return the figure that `as_json` wrote."""
        return cls(**{name: data[name] for name in cls.__dataclass_fields__})
