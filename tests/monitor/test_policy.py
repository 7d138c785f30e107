from __future__ import annotations

import pytest

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.monitor.policy import (
    Effect,
    MonitoringSwitch,
    SwitchedBy,
    refusal,
    require_eligible,
)

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


@pytest.mark.parametrize("enable", [True, False, None])
def test_only_true_enables_and_not_set_disables(enable: bool | None) -> None:
    switch = MonitoringSwitch()
    switch.apply(True, by=QUEUE)
    switch.act(enable)
    assert switch.is_on is (enable is True)
    assert switch.decided_by is FLOW


@pytest.mark.parametrize("monitoring", [False, True])
@pytest.mark.parametrize("transcription", [False, True])
def test_a_queue_is_on_by_either_switch_and_remembers_it(
    monitoring: bool, transcription: bool
) -> None:
    switch = MonitoringSwitch()
    switch.enter_queue(audio_monitoring=monitoring, transcription=transcription)
    is_on = switch.is_on
    assert is_on is (monitoring or transcription)
    switch.act(not is_on)
    switch.return_to_queue()
    assert switch.is_on is is_on


def test_the_first_on_connects_and_nothing_after_it_does() -> None:
    switch = MonitoringSwitch()
    assert switch.act(False) is Effect.NOTHING
    assert switch.act(True) is Effect.CONNECT
    assert switch.act(True) is Effect.NOTHING
    assert switch.act(None) is Effect.PAUSE
    assert switch.act(False) is Effect.NOTHING
    assert switch.enter_queue(audio_monitoring=False, transcription=True) is Effect.RESUME


@pytest.mark.parametrize("edge", ["byoc-premises", "ldm", "moon"])
def test_a_refusal_names_the_line_to_configure(edge: str) -> None:
    said = refusal(edge)
    assert said is not None
    assert 'edge = "byoc-cloud"' in said
