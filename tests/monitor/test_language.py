from __future__ import annotations

import itertools

import pytest

from openaudiohook.monitor.language import LanguageStage, MediaLanguage

pytestmark = pytest.mark.unit

TRUNK, FLOW, QUEUE, IN_QUEUE, CALL = LanguageStage


def test_a_call_begins_with_the_trunks_language() -> None:
    assert MediaLanguage().value is None
    language = MediaLanguage("en-US")
    assert (language.value, language.stage) == ("en-US", TRUNK)


@pytest.mark.parametrize(
    ("trunk", "supported", "value"),
    [
        ("en-US", ["de-DE", "en-US"], "en-US"),
        ("EN-us", ["de-DE", "en-US"], "EN-us"),  # the same tag
        ("en-GB", ["de-DE", "en-US"], "de-DE"),
        (None, ["de-DE", "en-US"], "de-DE"),
        ("en-GB", [], "en-GB"),
        (None, [], None),
    ],
)
def test_a_flow_keeps_a_language_that_it_supports(
    trunk: str | None, supported: list[str], value: str | None
) -> None:
    language = MediaLanguage(trunk)
    assert language.enter_flow(supported) is (value != trunk)
    assert language.value == value
    assert language.reached is FLOW


@pytest.mark.parametrize(
    ("flow", "queue", "in_queue"),
    list(itertools.product([None, "fr-CA"], [None, "es-US"], [None, "it"])),
)
def test_each_stage_may_override_the_one_before(
    flow: str | None, queue: str | None, in_queue: str | None
) -> None:
    language = MediaLanguage("en-US")
    language.enter_flow(["en-US"])
    if flow is not None:
        assert language.set(flow, FLOW)
    assert language.enter_queue(queue) is (queue is not None)
    if in_queue is not None:
        assert language.set(in_queue, IN_QUEUE)
    language.answer()
    said = [("en-US", TRUNK), (flow, FLOW), (queue, QUEUE), (in_queue, IN_QUEUE)]
    assert (language.value, language.stage) == [one for one in said if one[0] is not None][-1]


def test_a_stage_that_has_passed_has_no_say() -> None:
    language = MediaLanguage("en-US")
    language.enter_queue()
    assert not language.set("fr", FLOW)
    assert not language.set("fr", TRUNK)
    assert language.set("it", IN_QUEUE)
    assert not language.set("fr", QUEUE)
    assert language.value == "it"


def test_the_value_of_the_answer_stands() -> None:
    language = MediaLanguage("en-US")
    language.enter_queue("es-US")
    language.answer()
    for stage in (TRUNK, FLOW, QUEUE, IN_QUEUE):
        assert not language.set("fr", stage)
    assert (language.value, language.stage) == ("es-US", QUEUE)
    assert language.set("de-DE", CALL)
    assert (language.value, language.stage) == ("de-DE", CALL)


def test_a_call_that_is_given_on_takes_a_language_again() -> None:
    language = MediaLanguage("en-US")
    language.answer()
    assert language.enter_queue("es-US")
    assert language.set("it", IN_QUEUE)
    language.answer()
    assert language.enter_flow(["fr-CA", "de"])
    assert language.value == "fr-CA"
    assert language.set("de", FLOW)


def test_saying_the_same_again_is_no_change() -> None:
    language = MediaLanguage("en-US")
    assert not language.set("en-US", CALL)
    assert not language.enter_queue("en-US")
