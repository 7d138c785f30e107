"""What goes over the wire under `/api/v2/audiohook/`, where the platform has no shapes.

It is spelt like the platform's own, and what is None is left out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

__all__ = [
    "AuditEntry",
    "AuditEntryListing",
    "CallStateListing",
    "EventEntity",
    "OperationalEvent",
    "OperationalEventListing",
    "PausedSeconds",
    "PhaseUsage",
    "Placed",
    "UsageEntry",
    "UsageListing",
    "utc",
]


def utc(utc_ns: int) -> datetime:
    """Return nanoseconds since 1970 as a time of day, to the microsecond."""
    return datetime.fromtimestamp(utc_ns // 10**9, UTC).replace(microsecond=utc_ns // 1_000 % 10**6)


class _Ours(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A shape that the platform has none for."""


class Placed(_Ours, frozen=True, kw_only=True):
    """A call that has begun."""

    conversation_id: str


class CallStateListing(_Ours, frozen=True, kw_only=True):
    """How every conversation stands that has not ended, each as `GET calls/{id}` tells."""

    entities: tuple[dict[str, Any], ...]
    total: int


class PausedSeconds(_Ours, frozen=True, kw_only=True, omit_defaults=False):
    """How long it was paused, by cause; causes may overlap."""

    secure: float
    client: float
    server: float


class PhaseUsage(_Ours, frozen=True, kw_only=True, omit_defaults=False):
    """What one phase of the call has of it."""

    open_seconds: float
    paused_seconds: PausedSeconds
    chargeable_seconds: float


class UsageEntry(_Ours, frozen=True, kw_only=True, omit_defaults=False):
    """What one integration had of one conversation, exactly: nothing here is rounded.

    Attributes:
        open_seconds: from the sample that was live when it opened to its end, pauses included.
        chargeable_seconds: less the pauses that are free.
        phases: the same by phase of the call.
    """

    integration_id: str
    name: str
    conversation_id: str
    month: str
    open_seconds: float
    paused_seconds: PausedSeconds
    chargeable_seconds: float
    phases: dict[str, PhaseUsage]


class UsageListing(_Ours, frozen=True, kw_only=True):
    """The organization's usage."""

    entities: tuple[UsageEntry, ...]
    total: int


class EventEntity(_Ours, frozen=True, kw_only=True, omit_defaults=False):
    """Which event of the catalogue it is."""

    id: str
    name: str
    description: str


class OperationalEvent(_Ours, frozen=True, kw_only=True):
    """An operational event; `number`, `level` and `text` are ours.

    Attributes:
        number: where it stands in the journal; not known yet in a stream.
    """

    event_entity: EventEntity
    entity_type: str
    entity_id: str
    entity_name: str
    timestamp: datetime
    text: str
    level: str | None = None
    conversation_id: str | None = None
    number: int | None = None


class OperationalEventListing(_Ours, frozen=True, kw_only=True):
    """Events in the order in which they were raised."""

    entities: tuple[OperationalEvent, ...]
    next_uri: str | None = None


class AuditEntry(_Ours, frozen=True, kw_only=True):
    """Something that somebody did.

    Attributes:
        number: where it stands in the journal.
        requester: who: `client:<id>`, `configuration`, `monitor`, or a flow.
    """

    number: int
    timestamp: datetime
    action: str
    entity_type: str
    entity_id: str
    requester: str | None = None
    conversation_id: str | None = None
    detail: dict[str, Any] = {}


class AuditEntryListing(_Ours, frozen=True, kw_only=True):
    """What was done, in order."""

    entities: tuple[AuditEntry, ...]
    next_uri: str | None = None
