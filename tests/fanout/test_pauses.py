from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.fanout.pauses import PauseInterval, Pauses, length, subtract, union
from openaudiohook.protocol.types import PauseCause

pytestmark = pytest.mark.unit

SECURE, CLIENT = PauseCause.SECURE, PauseCause.CLIENT


def test_repeating_a_pause_changes_nothing() -> None:
    pauses = Pauses()
    assert pauses.begin(SECURE, "flow", at=10) == 10
    assert pauses.begin(SECURE, "flow", at=20) == 10
    assert pauses.end(SECURE, "flow", at=30)
    assert not pauses.is_paused
    assert pauses.intervals(until=40) == [PauseInterval(SECURE, "flow", 10, 30)]


def test_since_when_a_pause_holds_can_be_asked() -> None:
    pauses = Pauses()
    assert pauses.held_since(SECURE, "flow") is None
    pauses.begin(SECURE, "flow", at=10)
    pauses.begin(SECURE, "flow", at=20)
    assert pauses.held_since(SECURE, "flow") == 10
    pauses.end(SECURE, "flow", at=30)
    assert pauses.held_since(SECURE, "flow") is None


def test_ending_one_ends_only_that_one() -> None:
    pauses = Pauses()
    for cause, requester in ((SECURE, "flow"), (SECURE, "agent"), (CLIENT, "flow")):
        pauses.begin(cause, requester, at=0)
    pauses.end(SECURE, "flow", at=5)
    assert pauses.reasons == {(SECURE, "agent"), (CLIENT, "flow")}
    assert pauses.is_paused


def test_ending_what_does_not_hold_changes_nothing() -> None:
    pauses = Pauses()
    pauses.begin(SECURE, "flow", at=0)
    assert not pauses.end(CLIENT, "flow", at=5)
    assert not pauses.end(SECURE, "agent", at=5)
    assert pauses.reasons == {(SECURE, "flow")}


def test_intervals_are_in_order_and_those_that_hold_end_now() -> None:
    pauses = Pauses()
    pauses.begin(CLIENT, "switch", at=3)
    pauses.begin(SECURE, "flow", at=5)
    pauses.end(SECURE, "flow", at=7)
    assert pauses.intervals(until=9) == [
        PauseInterval(CLIENT, "switch", 3, 9),
        PauseInterval(SECURE, "flow", 5, 7),
    ]


SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda s: (s[0], sum(s))))


def samples(spans: list[tuple[int, int]]) -> set[int]:
    return {at for start, end in spans for at in range(start, end)}


@given(SPANS)
def test_a_union_holds_each_sample_once_and_in_order(spans: list[tuple[int, int]]) -> None:
    joined = union(spans)
    assert samples(joined) == samples(spans)
    assert length(spans) == sum(end - start for start, end in joined) == len(samples(spans))
    assert all(before[1] < after[0] for before, after in pairwise(joined))


@given(SPANS, SPANS)
def test_a_difference_holds_what_only_the_first_have(
    spans: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    left = subtract(spans, others)
    assert samples(left) == samples(spans) - samples(others)
    assert length(left) == sum(end - start for start, end in left)


def test_a_difference_of_many_spans_looks_at_each_a_few_times() -> None:
    class Sample(int):
        """A position that counts how often it is looked at."""

        looks = 0

        def __lt__(self, other: int) -> bool:
            Sample.looks += 1
            return int(self) < int(other)

        def __gt__(self, other: int) -> bool:
            Sample.looks += 1
            return int(self) > int(other)

    many = 2_000
    spans = [(Sample(10 * n), Sample(10 * n + 8)) for n in range(many)]
    others = [(Sample(10 * n + 4), Sample(10 * n + 6)) for n in range(many)]
    assert length(subtract(spans, others)) == 6 * many
    assert Sample.looks < 50 * many  # every one at every other would be a thousand times as often
