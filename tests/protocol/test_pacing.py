"""The token bucket: exact, in integers (protocol section 13.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.by_hand import MS, SECOND

from openaudiohook.protocol.pacing import TokenBucket

pytestmark = pytest.mark.unit


def test_a_full_bucket_gives_its_burst_at_once_and_then_its_rate() -> None:
    bucket = TokenBucket(per_s=5, burst=25, now_ns=7)
    assert sum(bucket.take(7) for _ in range(30)) == 25
    assert bucket.ready_at_ns() == 7 + 200 * MS
    assert not bucket.take(7 + 200 * MS - 1)
    assert bucket.take(7 + 200 * MS)
    assert not bucket.take(7 + 200 * MS)


def test_an_idle_bucket_fills_up_to_its_burst_and_no_further() -> None:
    bucket = TokenBucket(per_s=2, burst=4, now_ns=0)
    while bucket.take(0):
        pass
    assert sum(bucket.take(3600 * SECOND) for _ in range(10)) == 4


def test_a_refused_take_costs_nothing() -> None:
    bucket = TokenBucket(per_s=2, burst=1, now_ns=0)
    assert bucket.take(0)
    assert not any(bucket.take(ns) for ns in range(0, 500 * MS, 50 * MS))
    assert bucket.take(500 * MS)


def test_a_reserve_is_left_for_others() -> None:
    bucket = TokenBucket(per_s=5, burst=25, now_ns=0)
    assert sum(bucket.take(0, leaving=5) for _ in range(30)) == 20
    assert bucket.ready_at_ns(leaving=5) == 200 * MS
    assert bucket.ready_at_ns() <= 0
    assert sum(bucket.take(0) for _ in range(30)) == 5


@given(st.lists(st.integers(min_value=0, max_value=2 * SECOND), max_size=200))
def test_no_window_holds_more_than_burst_and_rate_allow(steps: list[int]) -> None:
    bucket = TokenBucket(per_s=5, burst=25, now_ns=0)
    now_ns, taken = 0, []
    for step in steps:
        now_ns += step
        if bucket.take(now_ns):
            taken.append(now_ns)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            allowed = 25 + (taken[last] - taken[first]) * 5 // SECOND
            assert last - first + 1 <= allowed


@given(st.lists(st.integers(min_value=0, max_value=SECOND), max_size=50))
def test_a_token_is_there_when_the_bucket_said_so(steps: list[int]) -> None:
    bucket = TokenBucket(per_s=2, burst=4, now_ns=0)
    now_ns = 0
    for step in steps:
        now_ns += step
        ready_ns = bucket.ready_at_ns()
        assert bucket.take(now_ns) is (ready_ns <= now_ns)
