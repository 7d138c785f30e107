"""Entities of `event` (protocol section 8)."""

from __future__ import annotations

from typing import Any

import pytest

from openaudiohook.protocol.duration import Duration
from openaudiohook.protocol.entities import (
    AgentAssist,
    Alternative,
    ArticleSuggestion,
    AssistUtterance,
    BargeIn,
    BotTurnResponse,
    Entity,
    FaqSuggestion,
    Interpretation,
    Token,
    Transcript,
)
from openaudiohook.protocol.types import Channel

pytestmark = pytest.mark.unit

UTTERANCE = "b1c5a8de-93a0-4c0b-9d4c-55b0a7f4e812"

TRANSCRIPT: dict[str, Any] = {
    "id": UTTERANCE,
    "channelId": 0,
    "isFinal": True,
    "offset": "PT6.7S",
    "duration": "PT1.1S",
    "alternatives": [
        {
            "confidence": 0.93,
            "languages": ["en-US"],
            "interpretations": [
                {
                    "type": "display",
                    "transcript": "Good morning.",
                    "tokens": [
                        {
                            "type": "word",
                            "value": "Good",
                            "confidence": 0.95,
                            "offset": "PT6.7S",
                            "duration": "PT0.5S",
                            "language": "en-US",
                        },
                        {
                            "type": "word",
                            "value": "morning.",
                            "confidence": 0.91,
                            "offset": "PT7.25S",
                            "duration": "PT0.55S",
                        },
                    ],
                }
            ],
        }
    ],
}

ASSIST: dict[str, Any] = {
    "id": "0d8f3b1a-6a5e-4a0e-8f5e-2c3c1a7b9d10",
    "utterances": [
        {
            "id": UTTERANCE,
            "position": "PT14.1S",
            "duration": "PT1.9S",
            "text": "Where is it?",
            "language": "en-US",
            "confidence": 0.9,
            "channel": "external",
            "isFinal": True,
        }
    ],
    "suggestions": [
        {
            "type": "faq",
            "id": "a54b1f6e-3b3c-4f0a-9d55-0f6f9a2f7c21",
            "confidence": 0.88,
            "position": "PT16S",
            "question": "How do I track it?",
            "answer": "<p>Here.</p>",
        },
        {
            "type": "article",
            "id": "c96e4d7b-58a1-4c3d-b0f2-6e1d2c3b4a59",
            "confidence": 0.71,
            "title": "Delivery",
            "excerpts": ["Three days."],
            "documentUri": "https://kb.example.com/delivery",
            "metadata": {"section": "shipping"},
        },
    ],
}


def test_a_transcript_is_read_and_written_in_wire_form() -> None:
    transcript = Entity(type="transcript", data=TRANSCRIPT).decoded()
    assert isinstance(transcript, Transcript)
    assert transcript.offset == 6_700_000_000
    token = transcript.alternatives[0].interpretations[0].tokens[1]
    assert token == Token(
        value="morning.",
        confidence=0.91,
        offset=Duration(7_250_000_000),
        duration=Duration(550_000_000),
    )
    assert Entity.of(transcript) == Entity(type="transcript", data=TRANSCRIPT)


def test_a_transcript_needs_only_what_the_protocol_requires() -> None:
    transcript = Transcript(
        id=UTTERANCE,
        channel_id=1,
        is_final=False,
        alternatives=(
            Alternative(confidence=0.5, interpretations=(Interpretation(transcript="hm"),)),
        ),
    )
    assert Entity.of(transcript).data == {
        "id": UTTERANCE,
        "channelId": 1,
        "isFinal": False,
        "alternatives": [
            {"confidence": 0.5, "interpretations": [{"type": "display", "transcript": "hm"}]}
        ],
    }


def test_agent_assist_is_read_and_written_in_wire_form() -> None:
    assist = Entity(type="agentassist", data=ASSIST).decoded()
    assert isinstance(assist, AgentAssist)
    assert assist.utterances == (
        AssistUtterance(
            id=UTTERANCE,
            position=Duration(14_100_000_000),
            duration=Duration(1_900_000_000),
            text="Where is it?",
            language="en-US",
            confidence=0.9,
            channel=Channel.EXTERNAL,
            is_final=True,
        ),
    )
    faq, article = assist.suggestions
    assert isinstance(faq, FaqSuggestion)
    assert isinstance(article, ArticleSuggestion)
    assert Entity.of(assist) == Entity(type="agentassist", data=ASSIST)


@pytest.mark.parametrize(
    ("typed", "name", "data"),
    [
        (BargeIn(), "barge_in", {}),
        (
            BotTurnResponse(disposition="match", text="Twelve.", confidence=0.97),
            "bot_turn_response",
            {"disposition": "match", "text": "Twelve.", "confidence": 0.97},
        ),
        (BotTurnResponse(disposition="no_input"), "bot_turn_response", {"disposition": "no_input"}),
    ],
)
def test_audio_connector_entities_are_known(typed: Any, name: str, data: dict[str, Any]) -> None:
    assert Entity.of(typed) == Entity(type=name, data=data)
    assert Entity(type=name, data=data).decoded() == typed


@pytest.mark.parametrize("data", [{}, None, [1, 2], "text", {"deep": {"er": [None]}}])
def test_an_entity_of_any_other_type_holds_any_json(data: Any) -> None:
    entity = Entity(type="com.example.mood", data=data)
    assert entity.decoded() is None
    assert entity.data == data


def changed(**fields: Any) -> dict[str, Any]:
    return {**TRANSCRIPT, **fields}


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (changed(channelId=2), "channelId"),
        (changed(channelId="0"), "channelId"),
        (changed(isFinal=1), "isFinal"),
        (changed(id="first"), "id"),
        (changed(alternatives=[]), "alternatives"),
        (changed(offset=6.7), "offset"),
        (changed(offset="6.7 s"), "offset"),
        (changed(alternatives=[{"confidence": 1.5, "interpretations": []}]), "confidence"),
        (changed(alternatives=[{"confidence": 1.0, "interpretations": []}]), "interpretations"),
        ({"id": UTTERANCE}, "channelId"),
    ],
)
def test_a_transcript_off_its_schema_names_the_field(data: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=rf"^transcript: .*{field}"):
        Entity(type="transcript", data=data).decoded()


def test_a_part_of_an_entity_is_not_sent_alone() -> None:
    with pytest.raises(TypeError, match="Interpretation is not an entity"):
        Entity.of(Interpretation(transcript="hm"))


def test_what_is_no_json_is_not_written() -> None:
    transcript = Transcript(
        id=UTTERANCE,
        channel_id=0,
        is_final=True,
        alternatives=(
            Alternative(
                confidence=1.0,
                interpretations=(Interpretation(transcript=object()),),  # type: ignore[arg-type]
            ),
        ),
    )
    with pytest.raises(TypeError, match="cannot be written as JSON: object"):
        Entity.of(transcript)


def test_what_was_said_stays_out_of_repr() -> None:
    assert repr(Entity(type="transcript", data=TRANSCRIPT)) == "Entity(type='transcript')"
