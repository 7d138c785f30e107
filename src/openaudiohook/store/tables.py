"""The tables: what is configured, and what the journal is projected into.

Configured things are kept by organization, and refer to each other within one only. The projection
is `entries`, each entry as it was, and the intervals that usage is computed from: `calls`,
`phases`, `sessions` and `pauses`, in whole samples of call time with the wall clock beside.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    "MOST_INTEGRATIONS",
    "calls",
    "credentials",
    "entries",
    "integration_names",
    "integrations",
    "metadata",
    "organizations",
    "pauses",
    "phases",
    "projection",
    "queues",
    "sessions",
]

MOST_INTEGRATIONS: Final = 5
"""How many integrations an organization may have; the tables hold the same number."""

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text(name: str, *, key: bool = False, null: bool = False) -> Column[Any]:
    return Column(name, Text, primary_key=key, nullable=null)


def _number(name: str, *, key: bool = False, null: bool = False) -> Column[Any]:
    return Column(name, BigInteger, primary_key=key, nullable=null, autoincrement=False)


def _owner() -> Column[Any]:
    return Column("organization_id", Text, ForeignKey("organizations.id"), primary_key=True)


organizations: Final = Table("organizations", metadata, _text("id", key=True), _text("name"))

credentials: Final = Table(
    "credentials",
    metadata,
    _owner(),
    _text("id", key=True),
    _text("name"),
    Column("sealed", LargeBinary, nullable=False),
)

integrations: Final = Table(
    "integrations",
    metadata,
    _owner(),
    _text("id", key=True),
    Column("slot", Integer, nullable=False),
    _text("name"),
    Column("version", Integer, nullable=False),
    _text("channel"),
    _text("connection_uri"),
    Column("reconnections", Boolean, nullable=False),
    Column("retry_upgrade_5xx", Boolean, nullable=False),
    _text("region"),
    Column("frame_ms", Integer, nullable=False),
    _text("advanced"),
    _text("notes"),
    _text("credential_id", null=True),
    _text("intended_state"),
    _text("status"),
    _text("status_text"),
    UniqueConstraint("organization_id", "slot"),
    UniqueConstraint("organization_id", "name"),
    CheckConstraint("slot BETWEEN 1 AND 5", name="slot"),
    CheckConstraint("channel IN ('both', 'external', 'internal')", name="channel"),
    CheckConstraint("frame_ms BETWEEN 20 AND 200", name="frame_ms"),
    CheckConstraint("intended_state IN ('ENABLED', 'DISABLED')", name="intended_state"),
    CheckConstraint("status IN ('INACTIVE', 'PROBING', 'ACTIVE', 'ERROR')", name="status"),
    ForeignKeyConstraint(
        ["organization_id", "credential_id"], ["credentials.organization_id", "credentials.id"]
    ),
)

integration_names: Final = Table(
    "integration_names",  # they stay when an integration goes: its usage is still to be charged
    metadata,
    _owner(),
    _text("integration_id", key=True),
    _text("name"),
)

queues: Final = Table(
    "queues",
    metadata,
    _owner(),
    _text("id", key=True),
    _text("name"),
    Column("version", Integer, nullable=False),
    Column("enable_audio_monitoring", Boolean, nullable=False),
    Column("enable_transcription", Boolean, nullable=False),
    _text("language", null=True),
    Column("hold_back_ms", Integer, nullable=False),
    UniqueConstraint("organization_id", "name"),
    CheckConstraint("hold_back_ms BETWEEN 0 AND 3000", name="hold_back_ms"),
)

projection: Final = Table(
    "projection",  # one row: the number of the last entry that is in the tables below, and whose
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    _number("number"),
    _text("journal", null=True),
    CheckConstraint("id = 1", name="one_row"),
)

entries: Final = Table(
    "entries",
    metadata,
    _number("number", key=True),
    _text("organization_id"),
    _text("kind"),
    _number("utc_ns"),
    _text("conversation_id", null=True),
    _text("requester", null=True),
    _text("entity_id", null=True),
    _text("body"),
    Index(None, "organization_id", "kind", "number"),
    Index(None, "organization_id", "conversation_id", "number"),
)


def _part() -> list[Column[Any]]:
    """Columns that say which timeline of which conversation."""
    return [
        _text("organization_id", key=True),
        _text("conversation_id", key=True),
        Column("part", Integer, primary_key=True, autoincrement=False),
    ]


calls: Final = Table(
    "calls",
    metadata,
    *_part(),
    _number("began_utc_ns"),
    _text("edge"),
    _text("queue_id", null=True),
    _text("refused", null=True),
    _number("monitored_from", null=True),
    _number("ended_at", null=True),
    _number("ended_utc_ns", null=True),
    _text("end_reason", null=True),
    Index(None, "organization_id", "began_utc_ns"),
)

phases: Final = Table(
    "phases",
    metadata,
    *_part(),
    _number("number", key=True),
    _text("phase"),
    _text("queue_id", null=True),
    _number("start_at"),
    _number("end_at", null=True),
    _number("start_utc_ns"),
    _number("end_utc_ns", null=True),
)

sessions: Final = Table(
    "sessions",
    metadata,
    *_part(),
    _text("session_id", key=True),
    _text("integration_id"),
    _number("start_at", null=True),
    _number("opened_at", null=True),
    _number("opened_utc_ns", null=True),
    Column("has_media", Boolean, nullable=False),
    _number("ended_at", null=True),
    _number("ended_utc_ns", null=True),
    _text("event_id", null=True),
    _number("sent"),
    _number("discarded"),
    _number("paused"),
    _number("lost"),
)

pauses: Final = Table(
    "pauses",
    metadata,
    *_part(),
    _number("number", key=True),
    _text("cause", key=True),  # a new part may begin under several reasons at once,
    _text("reason", key=True),  # all of them told by the number of its own beginning
    _text("requester", key=True),
    _text("session_id", null=True),
    _number("start_at"),
    _number("end_at", null=True),
    _number("start_utc_ns"),
    _number("end_utc_ns", null=True),
    CheckConstraint("cause IN ('secure', 'client', 'server')", name="cause"),
)
