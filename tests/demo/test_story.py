"""A call's chapters, told from its scenario."""

from __future__ import annotations

import pytest

from openaudiohook.demo.run import bundled_call
from openaudiohook.demo.story import cut, load_captions, monitored_from, tell
from openaudiohook.exceptions import ConfigurationError
from openaudiohook.monitor.policy import SwitchedBy
from openaudiohook.monitor.scenario import Hangup, Monitoring, Scenario, SecureFlow, Transfer

pytestmark = pytest.mark.unit

SECOND = 8000


def test_the_bundled_call_goes_from_the_ivr_to_the_farewell() -> None:
    scenario, captions = bundled_call()
    story = tell(scenario, captions)
    assert [chapter.name for chapter in story.chapters] == [
        "ivr", "queue", "agent", "secure flow", "agent", "hold", "agent", "farewell",
    ]  # fmt: skip
    assert "not monitored" in story.chapters[0].remark
    assert all("not monitored" not in chapter.remark for chapter in story.chapters[1:])
    starts = [chapter.start for chapter in story.chapters]
    assert [chapter.end for chapter in story.chapters] == [*starts[1:], scenario.steps[-1].at]
    assert starts[0] == 0


def test_a_moment_has_its_chapter_and_what_is_said() -> None:
    scenario, captions = bundled_call()
    story = tell(scenario, captions)
    assert story.chapter_at(0).name == "ivr"
    assert story.chapter_at(9 * SECOND - 1).name == "ivr"
    assert story.chapter_at(9 * SECOND).name == "queue"
    assert story.chapter_at(99 * SECOND).name == "farewell"
    said = story.caption_at(14 * SECOND)
    assert said is not None
    assert (said.speaker, said.text) == ("agent", "Hello, this is Anna. How may I help?")
    assert story.caption_at(0) is None


def test_what_is_said_in_the_secure_flow_is_not_shown() -> None:
    scenario, captions = bundled_call()
    (secure,) = (one for one in tell(scenario).chapters if one.name == "secure flow")
    assert secure.end is not None
    assert captions
    assert [one for one in captions if one.start < secure.end and one.end > secure.start] == []


def test_a_call_without_labels_has_no_captions(tmp_path: object) -> None:
    from pathlib import Path

    assert load_captions(Path(str(tmp_path)) / "call.toml") == ()


def test_a_call_is_hung_up_where_it_is_cut() -> None:
    scenario, _ = bundled_call(30)
    assert isinstance(scenario.steps[-1], Hangup)
    assert scenario.steps[-1].at == 30 * SECOND
    assert all(step.at < 30 * SECOND for step in scenario.steps[:-1])
    assert any(isinstance(step, SecureFlow) for step in scenario.steps)
    assert tell(scenario).chapters[-1][1:3] == (30 * SECOND, "secure flow")


def test_a_cut_after_the_end_changes_nothing() -> None:
    scenario, _ = bundled_call()
    assert cut(scenario, 1000) is scenario


@pytest.mark.parametrize("seconds", [0.5, 9])
def test_a_call_that_ends_before_it_is_monitored_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match=r"not monitored before 9 s"):
        bundled_call(seconds)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
def test_a_cut_that_is_no_number_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="a number of seconds"):
        bundled_call(seconds)


def test_steps_at_one_moment_make_one_chapter() -> None:
    scenario = Scenario(
        steps=(
            Transfer(at=0, to="queue"),
            Monitoring(at=0, on=True, by=SwitchedBy.QUEUE),
            Transfer(at=800, to="queue"),
            SecureFlow(at=1600, is_start=True),
            SecureFlow(at=1600, is_start=False),
            Transfer(at=1600, to="agent"),
        )
    )
    chapters = tell(scenario).chapters
    assert [(one.start, one.end, one.name) for one in chapters] == [
        (0, 1600, "queue"),
        (1600, None, "agent"),
    ]
    assert monitored_from(scenario) == 0
