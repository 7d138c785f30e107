"""The first version: configuration, and the projection of the journal."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["upgrade"]

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "calls",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("began_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("edge", sa.Text(), nullable=False),
        sa.Column("queue_id", sa.Text(), nullable=True),
        sa.Column("refused", sa.Text(), nullable=True),
        sa.Column("monitored_from", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_utc_ns", sa.BigInteger(), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint(
            "organization_id", "conversation_id", "part", name=op.f("pk_calls")
        ),
    )
    op.create_index(
        op.f("ix_calls_organization_id_began_utc_ns"),
        "calls",
        ["organization_id", "began_utc_ns"],
        unique=False,
    )
    op.create_table(
        "entries",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=True),
        sa.Column("requester", sa.Text(), nullable=True),
        sa.Column("entity_id", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_entries")),
    )
    op.create_index(
        op.f("ix_entries_organization_id_conversation_id_number"),
        "entries",
        ["organization_id", "conversation_id", "number"],
        unique=False,
    )
    op.create_index(
        op.f("ix_entries_organization_id_kind_number"),
        "entries",
        ["organization_id", "kind", "number"],
        unique=False,
    )
    op.create_table(
        "organizations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organizations")),
    )
    op.create_table(
        "pauses",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requester", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("end_at", sa.BigInteger(), nullable=True),
        sa.Column("start_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("end_utc_ns", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("cause IN ('secure', 'client', 'server')", name=op.f("ck_pauses_cause")),
        sa.PrimaryKeyConstraint(
            "organization_id",
            "conversation_id",
            "part",
            "number",
            "cause",
            "reason",
            "requester",
            name=op.f("pk_pauses"),
        ),
    )
    op.create_table(
        "phases",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("queue_id", sa.Text(), nullable=True),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("end_at", sa.BigInteger(), nullable=True),
        sa.Column("start_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("end_utc_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint(
            "organization_id", "conversation_id", "part", "number", name=op.f("pk_phases")
        ),
    )
    op.create_table(
        "projection",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("journal", sa.Text(), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_projection_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projection")),
    )
    op.create_table(
        "sessions",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=True),
        sa.Column("opened_at", sa.BigInteger(), nullable=True),
        sa.Column("opened_utc_ns", sa.BigInteger(), nullable=True),
        sa.Column("has_media", sa.Boolean(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_utc_ns", sa.BigInteger(), nullable=True),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("discarded", sa.BigInteger(), nullable=False),
        sa.Column("paused", sa.BigInteger(), nullable=False),
        sa.Column("lost", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "organization_id", "conversation_id", "part", "session_id", name=op.f("pk_sessions")
        ),
    )
    op.create_table(
        "credentials",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_credentials_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_credentials")),
    )
    op.create_table(
        "integration_names",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_integration_names_organization_id"),
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "integration_id", name=op.f("pk_integration_names")
        ),
    )
    op.create_table(
        "queues",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("enable_audio_monitoring", sa.Boolean(), nullable=False),
        sa.Column("enable_transcription", sa.Boolean(), nullable=False),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("hold_back_ms", sa.Integer(), nullable=False),
        sa.CheckConstraint("hold_back_ms BETWEEN 0 AND 3000", name=op.f("ck_queues_hold_back_ms")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_queues_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_queues")),
        sa.UniqueConstraint("organization_id", "name", name=op.f("uq_queues_organization_id_name")),
    )
    op.create_table(
        "integrations",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("connection_uri", sa.Text(), nullable=False),
        sa.Column("reconnections", sa.Boolean(), nullable=False),
        sa.Column("retry_upgrade_5xx", sa.Boolean(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("frame_ms", sa.Integer(), nullable=False),
        sa.Column("advanced", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("credential_id", sa.Text(), nullable=True),
        sa.Column("intended_state", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_text", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "channel IN ('both', 'external', 'internal')", name=op.f("ck_integrations_channel")
        ),
        sa.CheckConstraint(
            "intended_state IN ('ENABLED', 'DISABLED')", name=op.f("ck_integrations_intended_state")
        ),
        sa.CheckConstraint(
            "status IN ('INACTIVE', 'PROBING', 'ACTIVE', 'ERROR')",
            name=op.f("ck_integrations_status"),
        ),
        sa.CheckConstraint("frame_ms BETWEEN 20 AND 200", name=op.f("ck_integrations_frame_ms")),
        sa.CheckConstraint("slot BETWEEN 1 AND 5", name=op.f("ck_integrations_slot")),
        sa.ForeignKeyConstraint(
            ["organization_id", "credential_id"],
            ["credentials.organization_id", "credentials.id"],
            name=op.f("fk_integrations_organization_id_credential_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_integrations_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_integrations")),
        sa.UniqueConstraint(
            "organization_id", "name", name=op.f("uq_integrations_organization_id_name")
        ),
        sa.UniqueConstraint(
            "organization_id", "slot", name=op.f("uq_integrations_organization_id_slot")
        ),
    )
    op.bulk_insert(
        sa.table("projection", sa.column("id", sa.Integer), sa.column("number", sa.BigInteger)),
        [{"id": 1, "number": 0}],
    )
