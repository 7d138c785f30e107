"""How long and how often to measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["FULL", "QUICK", "Settings"]


def _quiet(_line: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run of the benchmarks is to do.

    Attributes:
        pairs: runs of ours and of the yardstick, one after the other.
        seconds: the measured time of each.
        warmup_s: what goes before it, once every session is open.
        streams: paced streams of the service.
        calls: calls of the Monitor, five endpoints each.
        rungs: of the service's ladder, in streams.
        call_rungs: of the Monitor's ladder, in calls.
        say: told what is going on.
    """

    pairs: int
    seconds: float
    warmup_s: float
    streams: int
    calls: int
    rungs: tuple[int, ...]
    call_rungs: tuple[int, ...]
    say: Callable[[str], None] = field(default=_quiet)


FULL = Settings(
    pairs=5,
    seconds=8.0,
    warmup_s=2.0,
    streams=1000,
    calls=200,
    rungs=(250, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 5000, 6000, 7000, 8000),
    call_rungs=(100, 200, 300, 400, 500, 600, 800, 1000, 1200),
)
QUICK = Settings(
    pairs=2,
    seconds=3.0,
    warmup_s=1.0,
    streams=250,
    calls=50,
    rungs=(250, 500),
    call_rungs=(50, 100),
)
