"""A nonce is good once, for as long as its signature could be accepted."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.auth import ReplayCache
from openaudiohook.exceptions import ReplayedRequest

pytestmark = pytest.mark.unit


def test_a_nonce_is_refused_the_second_time() -> None:
    cache = ReplayCache()
    cache.admit("key", "nonce", utc_ns=0, window_ns=16)
    with pytest.raises(ReplayedRequest, match="used before"):
        cache.admit("key", "nonce", utc_ns=16, window_ns=16)


def test_a_nonce_is_forgotten_when_its_window_is_over() -> None:
    cache = ReplayCache()
    cache.admit("key", "nonce", utc_ns=0, window_ns=16)
    cache.admit("key", "nonce", utc_ns=17, window_ns=16)
    assert len(cache) == 1


def test_the_same_nonce_of_another_key_is_another_pair() -> None:
    cache = ReplayCache()
    cache.admit("key", "nonce", utc_ns=0, window_ns=16)
    cache.admit("other", "nonce", utc_ns=0, window_ns=16)
    cache.admit("ke", "ynonce", utc_ns=0, window_ns=16)
    assert len(cache) == 3


def test_a_full_cache_refuses_and_recovers() -> None:
    cache = ReplayCache(max_entries=2)
    cache.admit("key", "a", utc_ns=0, window_ns=16)
    cache.admit("key", "b", utc_ns=5, window_ns=16)
    with pytest.raises(ReplayedRequest, match="full"):
        cache.admit("key", "c", utc_ns=10, window_ns=16)
    cache.admit("key", "c", utc_ns=17, window_ns=16)
    assert len(cache) == 2


def test_a_clock_set_back_forgets_nothing_early() -> None:
    cache = ReplayCache()
    cache.admit("key", "late", utc_ns=1000, window_ns=16)
    cache.admit("key", "early", utc_ns=0, window_ns=16)
    with pytest.raises(ReplayedRequest):
        cache.admit("key", "early", utc_ns=16, window_ns=16)
    with pytest.raises(ReplayedRequest):
        cache.admit("key", "late", utc_ns=16, window_ns=16)


def test_a_cache_without_room_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ReplayCache(max_entries=0)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=60))
def test_no_nonce_passes_twice_within_its_window(steps: list[tuple[int, int]]) -> None:
    cache, passed, now = ReplayCache(max_entries=4), dict[int, int](), 0
    for step, nonce in steps:
        now += step
        remembered = {each for each, at in passed.items() if at + 16 >= now}
        refused = nonce in remembered or len(remembered) >= 4
        if refused:
            with pytest.raises(ReplayedRequest):
                cache.admit("key", str(nonce), utc_ns=now, window_ns=16)
        else:
            cache.admit("key", str(nonce), utc_ns=now, window_ns=16)
            passed[nonce] = now
        assert len(cache) <= 4


def test_an_entry_costs_what_the_documentation_says() -> None:
    count = 20_000
    tracemalloc.start()
    cache = ReplayCache(max_entries=count)
    before = tracemalloc.get_traced_memory()[0]
    for number in range(count):
        cache.admit("key", f"{number:0500}", utc_ns=number << 32, window_ns=1 << 60)
    spent = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert spent / count < 200
