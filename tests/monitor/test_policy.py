from __future__ import annotations

import pytest

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.monitor.policy import MonitoringSwitch, SwitchedBy, require_eligible

pytestmark = pytest.mark.unit

FLOW, QUEUE = SwitchedBy.FLOW, SwitchedBy.QUEUE


@pytest.mark.parametrize("edge", ["cloud", "byoc-cloud"])
def test_calls_on_a_cloud_edge_may_be_monitored(edge: str) -> None:
    require_eligible(edge)


@pytest.mark.parametrize(
    ("edge", "reason"),
    [
        ("byoc-premises", "BYOC Premises"),
        ("ldm", "premises-based Edge"),
        ("moon", "no edge of that name"),
        ("", "no edge of that name"),
        ("Cloud", "no edge of that name"),
    ],
)
def test_other_edges_are_refused_by_name_with_the_reason(edge: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        require_eligible(edge)
    assert f"'{edge}'" in str(caught.value)
    assert "'cloud' and 'byoc-cloud'" in str(caught.value)


def test_a_call_begins_unmonitored() -> None:
    switch = MonitoringSwitch()
    assert not switch.is_on
    assert not switch.was_on
    assert switch.decided_by is None


@pytest.mark.parametrize(
    ("writes", "is_on"),
    [
        ([(False, FLOW), (True, QUEUE)], True),
        ([(True, FLOW), (False, QUEUE)], False),
        ([(True, QUEUE), (False, FLOW)], False),
        ([(False, QUEUE), (True, FLOW)], True),
        ([(True, QUEUE), (True, FLOW)], True),
    ],
)
def test_the_last_writer_wins(writes: list[tuple[bool, SwitchedBy]], is_on: bool) -> None:
    switch = MonitoringSwitch()
    for on, by in writes:
        switch.apply(on, by=by)
    assert switch.is_on is is_on
    assert switch.decided_by is writes[-1][1]
    assert switch.was_on is any(on for on, _ in writes)


def test_a_queue_applies_its_setting_again_when_the_call_comes_back() -> None:
    switch = MonitoringSwitch()
    switch.apply(True, by=QUEUE)
    switch.apply(False, by=FLOW)
    switch.return_to_queue()
    assert switch.is_on
    assert switch.decided_by is QUEUE


def test_a_queue_without_a_setting_leaves_the_flows_word() -> None:
    switch = MonitoringSwitch()
    switch.apply(True, by=FLOW)
    switch.return_to_queue()
    assert switch.is_on
    assert switch.decided_by is FLOW
