from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.fanout.pauses import PauseInterval, length
from openaudiohook.monitor.metering import FREE_PAUSES, chargeable_samples, chargeable_spans
from openaudiohook.protocol.types import PauseCause

pytestmark = pytest.mark.unit

SECURE, CLIENT, SERVER = PauseCause.SECURE, PauseCause.CLIENT, PauseCause.SERVER


def pause(cause: PauseCause, start: int, end: int) -> PauseInterval:
    return PauseInterval(cause, "somebody", start, end)


def test_a_session_is_charged_from_opened_to_close() -> None:
    assert chargeable_samples(opened_at=400, ended_at=8000, pauses=[]) == 7600


@pytest.mark.parametrize(
    ("opened_at", "ended_at"), [(None, None), (None, 800), (800, None), (800, 800), (800, 700)]
)
def test_what_never_opened_or_ended_at_once_is_free(
    opened_at: int | None, ended_at: int | None
) -> None:
    assert chargeable_samples(opened_at=opened_at, ended_at=ended_at, pauses=[]) == 0


def test_sessions_that_overlap_are_charged_once_and_what_lay_between_them_is_free() -> None:
    moved = chargeable_spans(opened_at=0, ended_at=600, pauses=[])
    moved += chargeable_spans(opened_at=500, ended_at=900, pauses=[pause(SECURE, 700, 800)])
    moved += chargeable_spans(opened_at=950, ended_at=1000, pauses=[])
    assert length(moved) == 900 - 100 + 50


def test_secure_and_client_pauses_are_free_and_overlaps_count_once() -> None:
    pauses = [pause(SECURE, 100, 300), pause(CLIENT, 200, 400), pause(CLIENT, 250, 260)]
    assert chargeable_samples(opened_at=0, ended_at=1000, pauses=pauses) == 700


def test_server_pauses_are_charged_unless_the_tariff_says_otherwise() -> None:
    pauses = [pause(SERVER, 100, 300), pause(SECURE, 250, 400)]
    assert chargeable_samples(opened_at=0, ended_at=1000, pauses=pauses) == 850
    everything = FREE_PAUSES | {SERVER}
    assert (
        chargeable_samples(opened_at=0, ended_at=1000, pauses=pauses, free_pauses=everything) == 700
    )


def test_pauses_before_opened_and_after_the_end_change_nothing() -> None:
    pauses = [pause(SECURE, 0, 150), pause(CLIENT, 900, 5000), pause(SECURE, 2000, 3000)]
    assert chargeable_samples(opened_at=100, ended_at=1000, pauses=pauses) == 750


intervals = st.builds(
    lambda cause, start, length: pause(cause, start, start + length),
    st.sampled_from(PauseCause),
    st.integers(0, 120),
    st.integers(0, 60),
)


@given(
    opened_at=st.none() | st.integers(0, 120),
    ended_at=st.none() | st.integers(0, 120),
    pauses=st.lists(intervals, max_size=8),
    free=st.sets(st.sampled_from(PauseCause)),
)
def test_the_charge_is_the_count_of_samples_that_are_live_and_in_no_free_pause(
    opened_at: int | None,
    ended_at: int | None,
    pauses: list[PauseInterval],
    free: set[PauseCause],
) -> None:
    live = range(0) if opened_at is None or ended_at is None else range(opened_at, ended_at)
    expected = sum(
        not any(p.cause in free and p.start <= sample < p.end for p in pauses) for sample in live
    )
    assert (
        chargeable_samples(opened_at=opened_at, ended_at=ended_at, pauses=pauses, free_pauses=free)
        == expected
    )
