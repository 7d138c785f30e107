"""The pages about precedence and scenarios say what the code does: their tables are read."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import get_args

import pytest

from openaudiohook.monitor import scenario
from openaudiohook.monitor.language import LanguageStage
from openaudiohook.monitor.policy import (
    ELIGIBLE_EDGES,
    Effect,
    MonitoringSwitch,
    SwitchedBy,
    refusal,
)
from openaudiohook.store.entries import Phase

pytestmark = pytest.mark.unit

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
PRECEDENCE = (DOCS / "topics/precedence.md").read_text(encoding="utf-8")
SCENARIO = (DOCS / "reference/scenario.md").read_text(encoding="utf-8")
YES_NO = {"yes": True, "no": False}


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table whose first column has that heading."""
    table = re.search(rf"^\| {re.escape(heading)} \|.*?\n\|[-| ]+\n((?:\|.*\n)+)", page, re.M)
    assert table is not None, heading
    lines = table[1].splitlines()
    return [[cell.strip(" `") for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_queues_table_is_what_a_queue_does() -> None:
    told = rows(PRECEDENCE, "a queue's `enableAudioMonitoring`")
    assert len(told) == 4
    for monitoring, transcription, outcome in told:
        for was_on in (False, True):
            switch = MonitoringSwitch()
            switch.apply(was_on, by=SwitchedBy.FLOW)
            switch.enter_queue(
                audio_monitoring=monitoring == "true", transcription=transcription == "true"
            )
            assert ("on" if switch.is_on else "off") == outcome


def test_the_actions_table_is_what_an_action_does() -> None:
    told = dict(rows(PRECEDENCE, "a flow's action, Audio Monitoring or Transcription"))
    assert told.pop("no such action") == "as it was"
    values = {"true": True, "false": False, "NOT_SET": None}
    assert told.keys() == values.keys()
    for written, outcome in told.items():
        for was_on in (False, True):
            switch = MonitoringSwitch()
            switch.apply(was_on, by=SwitchedBy.QUEUE)
            switch.act(values[written])
            assert ("on" if switch.is_on else "off") == outcome


def test_the_effects_table_is_what_follows() -> None:
    told = rows(PRECEDENCE, "ever on before")
    possible = [row for row in itertools.product((False, True), repeat=3) if row[0] or not row[1]]
    assert {tuple(YES_NO[cell] for cell in row[:3]) for row in told} == set(possible)
    for ever, until_now, now, effect in told:
        switch = MonitoringSwitch()
        if YES_NO[ever]:
            switch.apply(True, by=SwitchedBy.FLOW)
            switch.apply(YES_NO[until_now], by=SwitchedBy.FLOW)
        assert switch.apply(YES_NO[now], by=SwitchedBy.QUEUE) is Effect(effect)


def test_the_edges_table_is_who_may_be_monitored() -> None:
    told = dict(rows(PRECEDENCE, "edge"))
    assert told.pop("any other").startswith("no")
    assert refusal("any other") is not None
    for edge, said in told.items():
        assert said.startswith("yes") == (refusal(edge) is None)
    assert set(ELIGIBLE_EDGES) < told.keys()


def test_every_phase_has_its_channels() -> None:
    assert [row[0] for row in rows(PRECEDENCE, "phase")] == list(get_args(Phase))


def test_every_stage_of_the_language_is_told_in_its_order() -> None:
    stages = [row[0] for row in rows(PRECEDENCE, "stage")]
    assert stages == [stage for stage in LanguageStage if stage is not LanguageStage.CALL]


def test_the_scenario_page_has_every_step_and_every_key() -> None:
    steps = SCENARIO[SCENARIO.index("A step has `at`") :]
    told = {
        match["key"]: match["what"]
        for match in re.finditer(r"^\| `(?P<key>\w+) = [^|]*\| (?P<what>.*) \|$", steps, re.M)
    }
    assert told.keys() == scenario._KINDS.keys()
    for kind, (_, extras) in scenario._KINDS.items():
        for extra in extras:
            assert f"`{extra}" in told[kind], (kind, extra)
    calls = SCENARIO[SCENARIO.index("## `[call]`") : SCENARIO.index("## `[[queue]]`")]
    assert {row[0] for row in rows(calls, "key")} == set(scenario._CALL_KEYS)
    queues = SCENARIO[SCENARIO.index("## `[[queue]]`") : SCENARIO.index("## `[[step]]`")]
    assert {row[0] for row in rows(queues, "key")} == set(scenario._QUEUE_KEYS)
