"""Ten thousand random schedules of secure pause, in simulated time; about 60 s together."""

from __future__ import annotations

import pytest
from tests.fanout.schedules import Simulation, plan

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SCHEDULES = 10_000
SHARE = 1_000


@pytest.mark.parametrize("first", range(0, SCHEDULES, SHARE))
def test_nothing_captured_at_or_after_a_cut_leaves(first: int) -> None:
    for seed in range(first, first + SHARE):
        try:
            Simulation(plan(seed)).run()
        except BaseException as error:
            error.add_note(f"the schedule is plan({seed})")
            raise
