"""Connection probes (protocol section 15), from both sides."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.by_hand import EXTERNAL_MEDIA, HandClient, kinds
from tests.support.wire import EXTERNAL, NIL, PARTICIPANT_ID, open_parameters, without

from openaudiohook.protocol.events import OpenRequested, SessionEnded
from openaudiohook.testing.assertions import the_event

pytestmark = pytest.mark.unit

NOBODY = {"id": NIL, "ani": "", "aniName": "", "dnis": ""}
SOMEBODY = NOBODY | {"id": PARTICIPANT_ID}


def probe(**changes: Any) -> dict[str, Any]:
    parameters = open_parameters(
        conversationId=NIL, participant=NOBODY, media=[EXTERNAL], **changes
    )
    return without(parameters, "language")


def test_a_probe_is_opened_and_closed_like_any_session() -> None:
    client = HandClient()
    client.say("open", probe())
    assert the_event(client.new_events(), OpenRequested).is_probe
    (opened,) = client.accept(media=EXTERNAL_MEDIA)
    assert (opened["seq"], opened["parameters"]) == (1, {"media": [EXTERNAL]})
    client.say("close", {"reason": "end"})
    (closed,) = client.finish()
    assert (closed["seq"], closed["clientseq"]) == (2, 2)
    client.gone(1000)
    assert the_event(client.new_events(), SessionEnded).is_clean


@pytest.mark.parametrize(
    ("conversation", "participant", "is_probe"),
    [
        (NIL, NOBODY, True),
        (NIL, SOMEBODY, True),
        ("c0ffee00-1111-4222-8333-444455556666", NOBODY, True),
        ("c0ffee00-1111-4222-8333-444455556666", SOMEBODY, False),
    ],
)
def test_either_nil_id_marks_a_probe(
    conversation: str, participant: dict[str, str], is_probe: bool
) -> None:
    client = HandClient()
    client.open(conversationId=conversation, participant=participant)
    assert the_event(client.new_events(), OpenRequested).is_probe is is_probe


@pytest.mark.parametrize(
    ("asked", "told"),
    [(True, ["en-US", "de-DE"]), (False, None), (None, None)],
)
def test_languages_are_told_only_to_a_probe_that_asks(
    asked: bool | None, told: list[str] | None
) -> None:
    client = HandClient()
    changes = {} if asked is None else {"supportedLanguages": asked}
    client.say("open", probe(**changes))
    (opened,) = client.accept(media=EXTERNAL_MEDIA, supported_languages=["en-US", "de-DE"])
    assert opened["parameters"].get("supportedLanguages") == told


def test_a_probe_may_be_refused() -> None:
    client = HandClient()
    client.say("open", probe())
    client.session.refuse(client.now_ns, info="draining")
    (disconnect,) = client.read()
    assert disconnect["parameters"] == {"reason": "error", "info": "draining"}
    client.say("close", {"reason": "disconnect"})
    assert kinds(client.finish()) == ["closed"]


def test_a_probe_without_answer_for_its_languages_still_opens() -> None:
    client = HandClient()
    client.say("open", probe(supportedLanguages=True))
    (opened,) = client.accept(media=EXTERNAL_MEDIA, supported_languages=[])
    assert opened["parameters"]["supportedLanguages"] == []
