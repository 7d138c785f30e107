"""Entities of the `event` message: transcript, agent assist, and whatever else (section 8).

`Entity.data` is plain JSON. The typed structs below build and check the two entity
types that have a schema: `Entity.of(transcript)` for sending, `entity.decoded()` for reading.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from openaudiohook.protocol.duration import Duration, format_duration, parse_duration
from openaudiohook.protocol.types import Channel

__all__ = [
    "AgentAssist",
    "Alternative",
    "ArticleSuggestion",
    "AssistUtterance",
    "BargeIn",
    "BotTurnResponse",
    "Entity",
    "FaqSuggestion",
    "Interpretation",
    "Token",
    "Transcript",
    "TypedEntity",
]

Confidence = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
_UuidText = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
]


class TypedEntity(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of the entities whose `data` has a schema."""


class Token(TypedEntity, frozen=True, tag_field="type", tag="word"):
    """One word; offsets within an interpretation are distinct."""

    value: str
    confidence: Confidence
    offset: Duration
    duration: Duration
    language: str | None = None


class Interpretation(TypedEntity, frozen=True, tag_field="type", tag="display"):
    """One reading of an utterance, as it is shown."""

    transcript: str
    tokens: tuple[Token, ...] = ()


class Alternative(TypedEntity, frozen=True):
    """One recognition hypothesis."""

    confidence: Confidence
    interpretations: Annotated[tuple[Interpretation, ...], msgspec.Meta(min_length=1)]
    languages: tuple[str, ...] = ()


class Transcript(TypedEntity, frozen=True):
    """`transcript` (protocol section 8.1); offsets are stream positions of the session."""

    id: _UuidText
    channel_id: Annotated[int, msgspec.Meta(ge=0, le=1)]
    is_final: bool
    alternatives: Annotated[tuple[Alternative, ...], msgspec.Meta(min_length=1)]
    offset: Duration | None = None
    duration: Duration | None = None


class AssistUtterance(TypedEntity, frozen=True):
    """An utterance an agent-assist entity refers to (protocol section 8.2)."""

    id: _UuidText
    position: Duration
    text: str
    language: str
    confidence: Confidence
    channel: Channel
    is_final: bool
    duration: Duration | None = None


class FaqSuggestion(TypedEntity, frozen=True, tag_field="type", tag="faq"):
    """A question and its answer (restricted HTML)."""

    id: _UuidText
    confidence: Confidence
    question: str
    answer: str
    position: Duration | None = None


class ArticleSuggestion(TypedEntity, frozen=True, tag_field="type", tag="article"):
    """A document worth reading."""

    id: _UuidText
    confidence: Confidence
    title: str
    excerpts: tuple[str, ...]
    document_uri: str
    metadata: dict[str, str] | None = None
    position: Duration | None = None


class AgentAssist(TypedEntity, frozen=True):
    """`agentassist` (experimental; protocol section 8.2)."""

    id: _UuidText
    utterances: tuple[AssistUtterance, ...] = ()
    suggestions: tuple[FaqSuggestion | ArticleSuggestion, ...] = ()


class BargeIn(TypedEntity, frozen=True):
    """`barge_in` (Audio Connector; known, not acted on)."""


class BotTurnResponse(TypedEntity, frozen=True):
    """`bot_turn_response` (Audio Connector; known, not acted on)."""

    disposition: Literal["no_input", "no_match", "match"]
    text: str | None = None
    confidence: Confidence | None = None


_TYPES: Final[dict[str, type[TypedEntity]]] = {
    "transcript": Transcript,
    "agentassist": AgentAssist,
    "barge_in": BargeIn,
    "bot_turn_response": BotTurnResponse,
}
_NAMES: Final = {cls: name for name, cls in _TYPES.items()}


def _encode(value: object) -> object:
    if isinstance(value, Duration):
        return format_duration(value)
    raise TypeError(f"cannot be written as JSON: {type(value).__name__}")


def _decode(kind: type, value: object) -> object:
    if kind is Duration and isinstance(value, str):
        return parse_duration(value)
    raise ValueError(f"a {kind.__name__.lower()} cannot be read from {type(value).__name__}")


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """One item of an `event` message: a type and any JSON (protocol section 6.5)."""

    type: str
    data: Any

    def __repr__(self) -> str:
        return f"Entity(type={self.type!r})"

    @classmethod
    def of(cls, typed: TypedEntity) -> Entity:
        """Wrap a typed entity for sending.

        Raises:
            TypeError: the struct is a part of an entity, not an entity.
        """
        name = _NAMES.get(type(typed))
        if name is None:
            raise TypeError(f"{type(typed).__name__} is not an entity by itself")
        # By way of the text, so that what is sent equals what is received, lists included.
        return cls(
            type=name, data=msgspec.json.decode(msgspec.json.encode(typed, enc_hook=_encode))
        )

    def decoded(self) -> TypedEntity | None:
        """Read `data` by its type's schema; None where the type has none.

        Raises:
            ValueError: the data does not fit the schema; the text names the field only.
        """
        cls = _TYPES.get(self.type)
        if cls is None:
            return None
        try:
            return msgspec.convert(self.data, cls, dec_hook=_decode, strict=True)
        except msgspec.ValidationError as error:
            raise ValueError(f"{self.type}: {error}") from None
