"""When a service is called far or slow, and when no longer."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.monitor.events import EventId
from openaudiohook.monitor.regions import Distance, RoundTrip, RoundTrips

pytestmark = pytest.mark.unit

MS = 1_000_000


def told(trips: RoundTrips, *rtts_ms: int, region: str = "") -> list[RoundTrip]:
    """What is told of a service while these are measured."""
    news = [trips.note("one", rtt * MS, region=region) for rtt in rtts_ms]
    return [each for each in news if each is not None]


def test_short_round_trips_are_no_news() -> None:
    trips = RoundTrips(region="eu")
    assert trips.latest("one") is None
    assert told(trips, *[20] * 20, region="us") == []
    assert trips.latest("one") == RoundTrip(20 * MS, Distance.NEAR, "round trips take 20 ms")


def test_long_ones_to_another_region_are_far_once() -> None:
    trips = RoundTrips(region="eu")
    (news,) = told(trips, *[150] * 20, region="us")
    assert (news.distance, news.event_id) == (Distance.FAR, EventId.ENDPOINT_FAR)
    assert news.text == "round trips take 150 ms: it runs in us, and the Monitor in eu"
    assert trips.latest("one") == news


@pytest.mark.parametrize(("ours", "theirs"), [("eu", "eu"), ("", "us"), ("eu", ""), ("", "")])
def test_the_same_region_or_an_unknown_one_is_slow_and_only_much_later(
    ours: str, theirs: str
) -> None:
    trips = RoundTrips(region=ours)
    assert told(trips, *[150] * 20, region=theirs) == []
    (news,) = told(trips, *[400] * 20, region=theirs)
    assert (news.distance, news.event_id) == (Distance.SLOW, EventId.ENDPOINT_SLOW)
    assert news.text == "round trips take 400 ms"


def test_one_late_answer_is_no_news_and_neither_are_the_first_two() -> None:
    trips = RoundTrips()
    assert told(trips, 900, 900) == []
    assert trips.latest("one") is None
    trips.forget("one")
    assert told(trips, 20, 20, 20, 900, 20, 900, 20, 20) == []


def test_it_has_to_be_clearly_better_to_be_called_near_again() -> None:
    trips = RoundTrips(region="eu", far_ms=100)
    assert len(told(trips, *[105] * 9, region="us")) == 1
    assert told(trips, *[95] * 20, region="us") == []
    (news,) = told(trips, *[79] * 20, region="us")
    assert (news.distance, news.event_id) == (Distance.NEAR, EventId.ENDPOINT_NEAR)
    assert told(trips, *[99] * 20, region="us") == []


def test_a_region_that_becomes_known_explains_what_was_slow() -> None:
    trips = RoundTrips(region="eu")
    assert [each.distance for each in told(trips, *[400] * 9)] == [Distance.SLOW]
    assert [each.distance for each in told(trips, 400, region="us")] == [Distance.FAR]


def test_services_are_judged_each_by_itself() -> None:
    trips = RoundTrips()
    for _ in range(5):
        trips.note("near", 10 * MS)
        trips.note("slow", 900 * MS)
    near, slow = trips.latest("near"), trips.latest("slow")
    assert near is not None
    assert slow is not None
    assert (near.distance, slow.distance) == (Distance.NEAR, Distance.SLOW)
    trips.forget("slow")
    assert trips.latest("slow") is None
    assert trips.latest("near") == near


@given(st.lists(st.integers(0, 2_000), min_size=3, max_size=60))
def test_changes_alternate_and_follow_the_middle_of_the_latest_nine(rtts: list[int]) -> None:
    trips = RoundTrips()
    news = told(trips, *rtts)
    assert [each.distance for each in news[:2]] == [Distance.SLOW, Distance.NEAR][: len(news)]
    assert all(a.distance != b.distance for a, b in itertools.pairwise(news))
    latest = trips.latest("one")
    assert latest is not None
    window = sorted(rtts[-9:])
    assert latest.rtt_ns == window[(len(window) - 1) // 2] * MS
    if latest.rtt_ns >= 300 * MS:
        assert latest.distance is Distance.SLOW
    if latest.rtt_ns < 240 * MS:
        assert latest.distance is Distance.NEAR
