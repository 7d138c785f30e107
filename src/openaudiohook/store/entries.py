"""What a journal entry can say: one type for each kind of thing that happens.

Positions are whole samples of call time, counted from the call's entry; a stretch has a first
sample and the first one after it. A conversation whose source is attached again, after a crash or
a loss, begins another part with a timeline of its own. Every entry carries the wall clock beside.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

__all__ = [
    "Acted",
    "CallBegan",
    "CallEnded",
    "Entry",
    "EventRaised",
    "LanguageChanged",
    "MonitoringBegan",
    "MonitoringSwitched",
    "PauseBegan",
    "PauseEnded",
    "Phase",
    "PhaseBegan",
    "ServerPaused",
    "SessionEnded",
    "SessionOpened",
]

Phase: TypeAlias = Literal["ivr", "queue", "agent", "hold", "consult", "conference"]
"""What the customer goes through."""


class _Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What every entry has.

    Attributes:
        organization_id: whose it is.
        utc_ns: when, in nanoseconds since 1970.
    """

    organization_id: str
    utc_ns: int


class _CallEntry(_Entry, frozen=True, kw_only=True, omit_defaults=True):
    """What is about one call.

    Attributes:
        conversation_id: the call.
        part: which of its timelines, counted from 0.
        at: the sample of call time.
    """

    conversation_id: str
    part: int = 0
    at: int = 0


class CallBegan(_CallEntry, frozen=True, kw_only=True, omit_defaults=True, tag="call.began"):
    """A source began, or was attached again.

    Attributes:
        edge: where the call's media is handled, as its source declared.
        queue_id: the queue it entered, where it did.
        refused: why it may not be monitored; None where it may.
    """

    edge: str
    queue_id: str | None = None
    refused: str | None = None


class CallEnded(_CallEntry, frozen=True, kw_only=True, omit_defaults=True, tag="call.ended"):
    """The call ended at `at`; `reason` is `end`, `hangup`, `lost` or `error`."""

    reason: str = "end"


class PhaseBegan(_CallEntry, frozen=True, kw_only=True, omit_defaults=True, tag="call.phase"):
    """The customer came to another phase of the call."""

    phase: Phase
    queue_id: str | None = None


class MonitoringSwitched(
    _CallEntry, frozen=True, kw_only=True, omit_defaults=True, tag="monitoring.switched"
):
    """A queue's setting or a flow's action was applied; `action` is the action's name."""

    on: bool
    by: Literal["queue", "flow"]
    action: str | None = None


class MonitoringBegan(
    _CallEntry, frozen=True, kw_only=True, omit_defaults=True, tag="monitoring.began"
):
    """The first monitored sample: position zero of every first session."""


class LanguageChanged(
    _CallEntry, frozen=True, kw_only=True, omit_defaults=True, tag="call.language"
):
    """The media language from `at` on, and which stage set it."""

    language: str
    stage: str


class SessionOpened(
    _CallEntry, frozen=True, kw_only=True, omit_defaults=True, tag="session.opened"
):
    """An endpoint answered `opened`; `at` is the sample that was live then.

    Attributes:
        start: the sample at which the session's own timeline begins.
        has_media: it selected media; without, the session is free.
    """

    integration_id: str
    session_id: str
    start: int
    has_media: bool = True


class SessionEnded(_CallEntry, frozen=True, kw_only=True, omit_defaults=True, tag="session.ended"):
    """A session ended; `at` is the position of `close`, or of the loss.

    Attributes:
        event_id: of the operational event that tells why; None for a good end.
        sent, discarded, paused, lost: what became of its samples from `start` to `at`.
    """

    integration_id: str
    session_id: str
    event_id: str | None = None
    sent: int = 0
    discarded: int = 0
    paused: int = 0
    lost: int = 0


class PauseBegan(_CallEntry, frozen=True, kw_only=True, omit_defaults=True, tag="pause.began"):
    """A secure or client pause of the whole call begins; it counts from `at` on.

    Attributes:
        cause: `secure` or `client`.
        reason: its kind: `flow`, `agent`, `api`, `sbc`; or `monitoring` for a client pause.
        requester: whose it is.
        effective_at: the cut, where it lies before `at`: audio in between was withdrawn.
        gone: by integration id, the samples at or after the cut that had left already.
    """

    cause: Literal["secure", "client"]
    reason: str
    requester: str
    effective_at: int | None = None
    gone: dict[str, int] = {}


class PauseEnded(_CallEntry, frozen=True, kw_only=True, omit_defaults=True, tag="pause.ended"):
    """One's own reason for a pause was taken back; `at` is the first sample after it."""

    cause: Literal["secure", "client"]
    reason: str
    requester: str


class ServerPaused(_CallEntry, frozen=True, kw_only=True, omit_defaults=True, tag="session.paused"):
    """An endpoint had asked for a pause, from `at` up to `end`; told when it is over."""

    integration_id: str
    session_id: str
    end: int


class Acted(_Entry, frozen=True, kw_only=True, omit_defaults=True, tag="acted"):
    """Somebody changed something: the administrative part of the audit.

    Attributes:
        requester: who: `client:<id>`, `configuration`, or `monitor` for itself.
        action: what: `integration.created`, `credential.deleted`, `queue.changed` and the like.
        entity_type: of what: `integration`, `credential`, `queue`, `call`, `organization`.
        entity_id: which.
        detail: more, never a secret or personal data.
    """

    requester: str
    action: str
    entity_type: str
    entity_id: str
    detail: dict[str, str | int | bool | None] = {}


class EventRaised(_Entry, frozen=True, kw_only=True, omit_defaults=True, tag="event"):
    """An operational event.

    Attributes:
        event_id: of the catalogue: `AUDIOHOOK-nnnn`.
        entity_type: `integration`, `call`, `queue`, `organization` or `monitor`.
        entity_id: which one.
        entity_name: what people call it.
        conversation_id: the call, where it is about one.
        text: what happened, without personal data.
    """

    event_id: str
    entity_type: str
    entity_id: str
    entity_name: str
    text: str
    conversation_id: str | None = None


Entry: TypeAlias = (
    CallBegan
    | CallEnded
    | PhaseBegan
    | MonitoringSwitched
    | MonitoringBegan
    | LanguageChanged
    | SessionOpened
    | SessionEnded
    | PauseBegan
    | PauseEnded
    | ServerPaused
    | Acted
    | EventRaised
)
