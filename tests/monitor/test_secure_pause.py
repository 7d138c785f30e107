from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.exceptions import LocalProtocolError
from openaudiohook.monitor.secure_pause import SecureKind, SecurePause, SecureReason

pytestmark = pytest.mark.unit

FLOW, AGENT, API = SecureKind.FLOW, SecureKind.AGENT, SecureKind.API


def test_a_reason_holds_from_its_sample_until_its_end() -> None:
    pause = SecurePause()
    assert pause.begin(FLOW, "ivr", at=100)
    assert pause.is_held
    assert pause.spans(until=150) == ((100, 150),)
    assert pause.end(FLOW, "ivr", at=180)
    assert not pause.is_held
    assert pause.spans(until=1000) == ((100, 180),)


def test_repeating_a_start_changes_nothing() -> None:
    pause = SecurePause()
    assert pause.begin(FLOW, "ivr", at=100)
    assert not pause.begin(FLOW, "ivr", at=120)
    assert pause.end(FLOW, "ivr", at=130)
    assert pause.spans(until=200) == ((100, 130),)


def test_ending_one_reason_leaves_the_others_in_force() -> None:
    pause = SecurePause()
    pause.begin(FLOW, "ivr", at=10)
    pause.begin(AGENT, "anna", at=20)
    assert not pause.end(AGENT, "anna", at=30)
    assert pause.is_held
    assert pause.reasons == {SecureReason(FLOW, "ivr")}
    assert pause.end(FLOW, "ivr", at=40)
    assert pause.spans(until=50) == ((10, 40),)


@pytest.mark.parametrize(("kind", "requester"), [(AGENT, "ivr"), (FLOW, "other"), (API, "x")])
def test_nobody_ends_anothers_reason(kind: SecureKind, requester: str) -> None:
    pause = SecurePause()
    pause.begin(FLOW, "ivr", at=10)
    with pytest.raises(LocalProtocolError, match="no secure pause"):
        pause.end(kind, requester, at=20)
    assert pause.reasons == {SecureReason(FLOW, "ivr")}
    assert pause.spans(until=30) == ((10, 30),)


@pytest.mark.parametrize("act", ["begin", "end"])
def test_a_cut_in_the_past_is_refused(act: str) -> None:
    pause = SecurePause()
    pause.begin(FLOW, "ivr", at=100)
    with pytest.raises(LocalProtocolError, match="cannot go back"):
        if act == "begin":
            pause.begin(AGENT, "anna", at=99)
        else:
            pause.end(FLOW, "ivr", at=99)
    assert pause.reasons == {SecureReason(FLOW, "ivr")}


def test_a_reason_of_no_length_leaves_no_span() -> None:
    pause = SecurePause()
    pause.begin(FLOW, "ivr", at=5)
    assert pause.end(FLOW, "ivr", at=5)
    assert pause.spans(until=10) == ()


def test_spans_that_meet_are_one() -> None:
    pause = SecurePause()
    pause.begin(FLOW, "ivr", at=5)
    pause.end(FLOW, "ivr", at=9)
    pause.begin(AGENT, "anna", at=9)
    assert pause.spans(until=12) == ((5, 12),)


def test_since_when_each_reason_holds_can_be_asked() -> None:
    pause = SecurePause()
    pause.begin(FLOW, "ivr", at=5)
    pause.begin(AGENT, "anna", at=9)
    pause.begin(FLOW, "ivr", at=12)
    assert pause.held_since == {SecureReason(FLOW, "ivr"): 5, SecureReason(AGENT, "anna"): 9}
    assert next(iter(pause.held_since)) == (FLOW, "ivr")  # the oldest first
    pause.end(FLOW, "ivr", at=20)
    assert pause.held_since == {SecureReason(AGENT, "anna"): 9}


def test_a_reason_reads_as_kind_and_requester() -> None:
    assert str(SecureReason(FLOW, "ivr")) == "flow:ivr"


@given(
    st.lists(
        st.tuples(
            st.booleans(), st.sampled_from(SecureKind), st.sampled_from("ab"), st.integers(0, 20)
        ),
        max_size=30,
    )
)
def test_the_call_is_held_exactly_while_any_reason_is_left(
    acts: list[tuple[bool, SecureKind, str, int]],
) -> None:
    pause, at = SecurePause(), 0
    held: set[tuple[SecureKind, str]] = set()
    expected: set[int] = set()
    for starts, kind, requester, later in acts:
        if held:
            expected |= set(range(at, at + later))
        at += later
        if starts:
            pause.begin(kind, requester, at=at)
            held.add((kind, requester))
        elif (kind, requester) in held:
            held.remove((kind, requester))
            assert pause.end(kind, requester, at=at) is (not held)
        assert pause.is_held is bool(held)
    covered = [n for start, end in pause.spans(until=at) for n in range(start, end)]
    assert covered == sorted(expected)
