"""What goes over the wire, in the platform's spelling.

Where the platform has a shape its fields are here under its names, those that mean something on
this Monitor; what a client sends besides is left alone, as the platform's own programs send much.
Shapes of ours refuse what they do not know.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from openaudiohook.monitor.api.paging import Listing

__all__ = [
    "AUDIOHOOK",
    "CREDENTIAL_TYPE",
    "AudioHookProperties",
    "CallConversation",
    "CallConversationEntityListing",
    "CallParticipant",
    "CallRecordingState",
    "Conversation",
    "ConversationEntityListing",
    "ConversationPatch",
    "CreateIntegration",
    "CreateQueue",
    "Credential",
    "CredentialInfo",
    "CredentialInfoListing",
    "CredentialReference",
    "CredentialType",
    "Integration",
    "IntegrationConfiguration",
    "IntegrationConfigurationInfo",
    "IntegrationEntityListing",
    "IntegrationPatch",
    "IntegrationStatusInfo",
    "IntegrationType",
    "IntegrationTypeEntityListing",
    "MessageInfo",
    "Participant",
    "ParticipantCall",
    "PauseAnswer",
    "PutConfiguration",
    "Queue",
    "QueueEntityListing",
    "RecordingState",
    "SetRecordingState",
]

AUDIOHOOK: Final = "audiohook"
"""The one type of integration there is."""

CREDENTIAL_TYPE: Final = "audioHook"
"""The one type of credentials, and the name under which a configuration refers to them."""


class _Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A shape of the platform's; what is None or empty is left out."""


# Integrations ---------------------------------------------------------------------------------


class IntegrationType(_Shape, frozen=True, kw_only=True):
    """What an integration is; `audiohook` is the only type here."""

    id: str
    name: str | None = None
    description: str | None = None
    provider: str | None = None
    category: str | None = None
    max_instances: int | None = None
    self_uri: str | None = None


class IntegrationTypeEntityListing(Listing, frozen=True, kw_only=True):
    """A page of the types."""

    entities: tuple[IntegrationType, ...]


class CreateIntegration(_Shape, frozen=True, kw_only=True):
    """What a new integration is to be; without a name it is given one."""

    integration_type: IntegrationType
    name: str | None = None


class IntegrationPatch(_Shape, frozen=True, kw_only=True):
    """What is to change of an integration: whether it is switched on."""

    intended_state: Literal["ENABLED", "DISABLED"]


class MessageInfo(_Shape, frozen=True, kw_only=True):
    """A text for people."""

    message: str


class IntegrationStatusInfo(_Shape, frozen=True, kw_only=True):
    """What is.

    Attributes:
        code: for programs.
        effective: for people.
        detail: why, where something is wrong.
    """

    code: Literal["ACTIVE", "ACTIVATING", "INACTIVE", "DEACTIVATING", "ERROR"]
    effective: str
    detail: MessageInfo | None = None


class CredentialType(_Shape, frozen=True, kw_only=True):
    """The kind of credentials; `audioHook` is the only one here."""

    id: str | None = None
    name: str | None = None
    properties: dict[str, Any] | None = None
    display_order: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


class CredentialInfo(_Shape, frozen=True, kw_only=True):
    """That there are credentials; nobody is shown what they are."""

    id: str
    name: str
    type: CredentialType
    self_uri: str


class CredentialInfoListing(Listing, frozen=True, kw_only=True):
    """A page of credentials."""

    entities: tuple[CredentialInfo, ...]


class Credential(_Shape, frozen=True, kw_only=True):
    """New credentials.

    Attributes:
        type: `audioHook`, by its id or its name.
        credential_fields: `apiKey` and, where requests are to be signed, `clientSecret` in base64.
    """

    type: CredentialType | str
    credential_fields: dict[str, str]
    name: str | None = None


class CredentialReference(_Shape, frozen=True, kw_only=True):
    """Credentials, by their id."""

    id: str
    name: str | None = None
    type: CredentialType | None = None
    self_uri: str | None = None


class AudioHookProperties(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """The properties of an integration; all but the first two are ours.

    Attributes:
        connection_uri: where it listens; begins with `wss://`.
        channel: which channels are offered.
        reconnections: whether a lost session may be followed by another one.
        retry_upgrade_5xx: whether an upgrade refused with a 5xx status is tried again; the
            platform never does.
        region: where it runs.
        frame_ms: how much audio goes in one message, in milliseconds.
    """

    connection_uri: str = ""
    channel: Literal["both", "external", "internal"] = "both"
    reconnections: bool = False
    retry_upgrade_5xx: bool = msgspec.field(name="retryUpgrade5xx", default=False)
    region: str = ""
    frame_ms: int = 100


class IntegrationConfiguration(_Shape, frozen=True, kw_only=True, omit_defaults=False):
    """How an integration is configured.

    Attributes:
        version: of this configuration; a change names the one it was made from.
        advanced: passed on as `customConfig`, as it was given to the last byte.
        credentials: under `audioHook` those in use.
    """

    id: str
    name: str
    version: int
    properties: AudioHookProperties
    advanced: msgspec.Raw
    notes: str
    credentials: dict[str, CredentialReference]
    self_uri: str


class PutConfiguration(_Shape, frozen=True, kw_only=True):
    """A configuration as it is to be; what is left out stays as it is.

    Attributes:
        version: the version that was read before.
        properties: all of them: what is left out within gets its default.
        advanced: a JSON object of at most 60,000 bytes.
        credentials: under `audioHook` those to be used; an empty object for none.
    """

    version: int
    name: str | None = None
    properties: AudioHookProperties | None = None
    advanced: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    notes: str | None = None
    credentials: dict[str, CredentialReference] | None = None


class IntegrationConfigurationInfo(_Shape, frozen=True, kw_only=True):
    """The configuration, as part of its integration."""

    current: IntegrationConfiguration


class Integration(_Shape, frozen=True, kw_only=True, omit_defaults=False):
    """A service that monitored calls are streamed to."""

    id: str
    name: str
    integration_type: IntegrationType
    notes: str
    intended_state: Literal["ENABLED", "DISABLED"]
    config: IntegrationConfigurationInfo
    reported_state: IntegrationStatusInfo
    attributes: dict[str, str]
    self_uri: str


class IntegrationEntityListing(Listing, frozen=True, kw_only=True):
    """A page of integrations."""

    entities: tuple[Integration, ...]


# Queues ---------------------------------------------------------------------------------------


class CreateQueue(_Shape, frozen=True, kw_only=True):
    """A queue as it is to be.

    Attributes:
        enable_audio_monitoring: whether its calls are monitored.
        enable_transcription: the same under the other name.
        default_media_language: the media language it sets.
        hold_back_ms: how long audio waits before it leaves, 0 to 3,000 ms. Ours.
        version: ours: given, the change is refused where somebody else was faster.
    """

    name: str
    enable_audio_monitoring: bool | None = None
    enable_transcription: bool | None = None
    default_media_language: str | None = None
    hold_back_ms: int | None = None
    version: int | None = None


class Queue(_Shape, frozen=True, kw_only=True):
    """A queue and its switches."""

    id: str
    name: str
    enable_audio_monitoring: bool
    enable_transcription: bool
    hold_back_ms: int
    version: int
    self_uri: str
    default_media_language: str | None = None


class QueueEntityListing(Listing, frozen=True, kw_only=True):
    """A page of queues."""

    entities: tuple[Queue, ...]


# Conversations --------------------------------------------------------------------------------

RecordingState = Literal["ACTIVE", "PAUSED", "NONE"]
CallRecordingState = Literal["active", "paused", "none"]


class SetRecordingState(_Shape, frozen=True, kw_only=True):
    """`PAUSED` begins a secure pause, `ACTIVE` ends one's own."""

    recording_state: Literal["ACTIVE", "PAUSED"]


class ConversationPatch(_Shape, frozen=True, kw_only=True):
    """A pause of a conversation, or its end.

    Attributes:
        recording_state: `PAUSED` begins one's own pause, `ACTIVE` ends it.
        secure_pause: whether it is a secure one; only `false` makes it one that is not.
        effective_at: ours, of a secure pause that is told late: the sample of call time from
            which on it is to hold.
        state: `disconnected` hangs up, instead of a pause.
    """

    recording_state: Literal["ACTIVE", "PAUSED"] | None = None
    secure_pause: bool | None = None
    effective_at: Annotated[int, msgspec.Meta(ge=0)] | None = None
    state: Literal["disconnected"] | None = None


class PauseAnswer(_Shape, frozen=True, kw_only=True, omit_defaults=False):
    """Ours: what holds from this answer on.

    Attributes:
        position: the sample of call time: nothing captured at or after it leaves; or, where a
            pause has ended, the first sample that may.
        part: which of the conversation's timelines it is; each attached source begins one.
        gone: by integration id, how many samples at or after it had left already.
        held_by: the kinds of the reasons for a secure pause that hold now.
    """

    position: int
    part: int | None = None
    gone: dict[str, int] = {}
    held_by: tuple[str, ...] = ()


class ParticipantCall(_Shape, frozen=True, kw_only=True, omit_defaults=False):
    """The call of a participant."""

    id: str
    state: Literal["connected", "disconnected"]
    direction: Literal["inbound"]
    held: bool
    recording: bool
    recording_state: CallRecordingState
    secure_pause: bool


class Participant(_Shape, frozen=True, kw_only=True, omit_defaults=False):
    """The customer, whom the sessions follow."""

    id: str
    purpose: Literal["customer"]
    calls: tuple[ParticipantCall, ...]


class CallParticipant(ParticipantCall, frozen=True, kw_only=True, omit_defaults=False):
    """The customer, where only calls are asked for."""

    purpose: Literal["customer"]


class Conversation(_Shape, frozen=True, kw_only=True, omit_defaults=False):
    """A conversation; `audiohook` is ours, and answers a PATCH only."""

    id: str
    state: Literal["connected", "disconnected"]
    recording_state: RecordingState
    secure_pause: bool
    participants: tuple[Participant, ...]
    self_uri: str
    audiohook: PauseAnswer | msgspec.UnsetType = msgspec.UNSET


class ConversationEntityListing(Listing, frozen=True, kw_only=True):
    """The active conversations."""

    entities: tuple[Conversation, ...]


class CallConversation(_Shape, frozen=True, kw_only=True, omit_defaults=False):
    """A conversation as a call: the platform writes its state in small letters here."""

    id: str
    recording_state: CallRecordingState
    secure_pause: bool
    participants: tuple[CallParticipant, ...]
    self_uri: str


class CallConversationEntityListing(Listing, frozen=True, kw_only=True):
    """The active calls."""

    entities: tuple[CallConversation, ...]
