"""Secure pause over random schedules: some of them. `tests/robustness` runs all of them."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.fanout.schedules import SECURE, SHAPE, Begin, Play, Simulation, composed, is_marked, plan

from openaudiohook.fanout.ring import Ring

pytestmark = pytest.mark.unit

SCHEDULES = 250


def test_nothing_captured_at_or_after_a_cut_leaves() -> None:
    seen: Counter[str] = Counter()
    for seed in range(SCHEDULES):
        planned = plan(seed)
        simulation = Simulation(planned)
        simulation.run()
        reasons = {(s.cause, s.requester) for s in planned.steps if isinstance(s, Begin)}
        seen["held back"] += planned.hold_back > 0
        seen["asked after the hang-up"] += planned.late is not None
        seen["several reasons"] += len(reasons) > 1
        seen["told late"] += is_marked(planned.source)
        for endpoint in simulation.endpoints:
            account = simulation.account(endpoint)
            seen["left before it was told"] += endpoint.leaving.has_exposed
            seen["opened late"] += endpoint.has_opened and endpoint is simulation.endpoints[-1]
            seen["paused by the server"] += account.paused_server > 0
            seen["discarded"] += account.discarded > 0
            seen["lost"] += account.lost > 0
            seen["reconnected"] += len(endpoint.cursors) > 1
            seen["sent again"] += account.resent > 0
            seen["slow"] += endpoint.has_been_slow
    # The schedules do hold what they are meant to try.
    assert min(seen.values()) >= 5, seen
    assert len(seen) == 12


@pytest.mark.parametrize("delay", [1, 15, 16, 40, 41])
@pytest.mark.parametrize("hold_back", [0, 15, 16, 40, 80])
def test_what_is_held_back_for_long_enough_has_not_left(hold_back: int, delay: int) -> None:
    spoken, frame = 200, SHAPE["frame_samples"]
    steps = [Play(spoken, 8), Begin(SECURE, "a", delay, True), Play(50, 8)]
    simulation = Simulation(composed(hold_back, 0, steps, None))
    simulation.run()
    had_left = (spoken - hold_back) // frame * frame
    for endpoint in simulation.endpoints[:-1]:
        assert endpoint.leaving.spans[-1][1] == max(spoken - delay, had_left)
        assert endpoint.leaving.has_exposed is (had_left > spoken - delay)
    assert hold_back < delay or had_left <= spoken - delay


def test_a_leak_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ring, "withdraw", lambda ring, start: [])
    failed = 0
    for seed in range(60):
        try:
            Simulation(plan(seed)).run()
        except AssertionError:
            failed += 1
    assert failed > 10
