"""One struct for each message of both roles (protocol sections 5 and 6).

A message holds its envelope and its typed `parameters`. Unknown fields are ignored on
reading; `codec` turns text into these and back.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

import msgspec

from openaudiohook.protocol.duration import Duration
from openaudiohook.protocol.entities import Entity
from openaudiohook.protocol.media import MediaParameter
from openaudiohook.protocol.types import CloseReason, DisconnectReason

__all__ = [
    "CLIENT_PARAMETERS",
    "SERVER_PARAMETERS",
    "ClientMessage",
    "CloseParameters",
    "ContinuedSession",
    "Count",
    "DiscardedParameters",
    "DisconnectParameters",
    "DtmfParameters",
    "EmptyParameters",
    "ErrorParameters",
    "EventParameters",
    "LanguageCode",
    "OpenParameters",
    "OpenedParameters",
    "Parameters",
    "Participant",
    "PingParameters",
    "ReconnectParameters",
    "ServerMessage",
    "UnknownParameters",
    "UpdateParameters",
    "Uuid",
    "is_language_code",
]

# Any RFC 4122 shape is accepted; fresh ids are version 4 (protocol section 4.3).
Uuid = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
# BCP 47 by shape: `es-419` and `cmn-Hans-CN` are as good as `en-US`.
LanguageCode = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*\Z", max_length=64)
]


def is_language_code(text: str) -> bool:
    """Tell whether a text has the shape of a language code."""
    try:
        msgspec.convert(text, LanguageCode)
    except msgspec.ValidationError:
        return False
    return True


class Parameters(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of all `parameters` bodies; Python names are snake_case of the wire names."""


class EmptyParameters(Parameters, frozen=True):
    """`{}`; extra content has no effect."""


class UnknownParameters(Parameters, frozen=True):
    """The body of a type that is not known: counted, never looked into."""


class Participant(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The tapped party. The three texts may be empty and are personal data."""

    id: Uuid
    ani: str
    ani_name: str
    dnis: str

    def __repr__(self) -> str:
        return f"Participant(id={self.id!r})"


class ContinuedSession(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier session of the same stream (protocol section 14.2)."""

    id: Uuid
    serverseq: Count
    clientseq: Count


class OpenParameters(Parameters, frozen=True):
    """What `open` tells (protocol section 5.1)."""

    organization_id: Uuid
    conversation_id: Uuid
    participant: Participant
    media: tuple[MediaParameter, ...]
    language: LanguageCode | None = None
    supported_languages: bool = False
    custom_config: dict[str, Any] | None = None
    input_variables: dict[str, str] | None = None
    continued_sessions: tuple[ContinuedSession, ...] = ()


class PingParameters(Parameters, frozen=True):
    """The round trip of the previous ping, where one was measured (protocol section 5.2)."""

    rtt: Duration | None = None


class UpdateParameters(Parameters, frozen=True):
    """The new media language (protocol section 5.3)."""

    language: LanguageCode | None = None


class DiscardedParameters(Parameters, frozen=True, omit_defaults=False):
    """A span that was not sent: of `discarded` and of `resumed` (protocol sections 5.5, 5.6)."""

    start: Duration
    discarded: Duration


class CloseParameters(Parameters, frozen=True):
    """Why the client closes (protocol section 5.7).

    A missing or new reason must not keep a session from ending: it is read as text.
    """

    reason: str | None = None

    @property
    def known_reason(self) -> CloseReason | None:
        """The reason, where it is one of the protocol's."""
        return next((reason for reason in CloseReason if reason == self.reason), None)


class ErrorParameters(Parameters, frozen=True):
    """What the client noticed (protocol section 5.8)."""

    code: Annotated[int, msgspec.Meta(ge=400, le=9999)]
    message: str
    retry_after: Duration | None = None


class DtmfParameters(Parameters, frozen=True):
    """A key press; Audio Connector only, read and ignored here (protocol section 5.9)."""

    digit: str

    def __repr__(self) -> str:
        return "DtmfParameters()"


class OpenedParameters(Parameters, frozen=True):
    """What the server chose (protocol section 6.1)."""

    media: tuple[MediaParameter, ...]
    start_paused: bool = False
    discard_to: Duration | None = None
    supported_languages: tuple[LanguageCode, ...] | None = None


class DisconnectParameters(Parameters, frozen=True):
    """Why the server wants the end (protocol section 6.3)."""

    reason: DisconnectReason
    info: str | None = None
    output_variables: dict[str, str] | None = None


class ReconnectParameters(Parameters, frozen=True):
    """Why the server wants a move, for logs (protocol section 6.4)."""

    info: str | None = None


class EventParameters(Parameters, frozen=True):
    """What consumers found (protocol section 6.5)."""

    entities: tuple[Entity, ...]


class ClientMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message from the client: envelope and typed parameters (protocol section 4.1).

    `position` is in nanoseconds. Of an unknown type `parameters` is `UnknownParameters`.
    """

    role: ClassVar[str] = "client"

    id: str
    type: str
    seq: int
    serverseq: int
    position: Duration
    parameters: Parameters


class ServerMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message from the server: envelope and typed parameters (protocol section 4.1)."""

    role: ClassVar[str] = "server"

    id: str
    type: str
    seq: int
    clientseq: int
    parameters: Parameters


CLIENT_PARAMETERS: Final[dict[str, type[Parameters]]] = {
    "open": OpenParameters,
    "ping": PingParameters,
    "update": UpdateParameters,
    "paused": EmptyParameters,
    "resumed": DiscardedParameters,
    "discarded": DiscardedParameters,
    "close": CloseParameters,
    "error": ErrorParameters,
    "dtmf": DtmfParameters,
    "playback_started": EmptyParameters,
    "playback_completed": EmptyParameters,
}

SERVER_PARAMETERS: Final[dict[str, type[Parameters]]] = {
    "opened": OpenedParameters,
    "pong": EmptyParameters,
    "updated": EmptyParameters,
    "closed": EmptyParameters,
    "pause": EmptyParameters,
    "resume": EmptyParameters,
    "disconnect": DisconnectParameters,
    "reconnect": ReconnectParameters,
    "event": EventParameters,
}
