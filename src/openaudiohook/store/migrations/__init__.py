"""The schema's versions, and how a database is brought to the newest.

Each version is a module of `versions`, named and numbered in order; what they make together is
what `tables` says. A database is changed within one transaction, by one process at a time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from openaudiohook.exceptions import StoreUnavailable
from openaudiohook.store.tables import metadata

__all__ = ["VERSION_TABLE", "check", "upgrade"]

VERSION_TABLE: Final = "openaudiohook_schema"
"""Holds the schema's version."""

_LOCK: Final = 0x0A0D_10_40
"""The number of PostgreSQL's advisory lock that one who migrates holds."""


def upgrade(connection: Connection) -> None:
    """Make the tables, or bring them up to date; the transaction that is open keeps others out.

    Raises:
        StoreUnavailable: the tables are newer than this version knows, or are not ours.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    context, scripts = _context(connection), _scripts()
    version, newest = _version(connection, context, scripts), scripts.get_current_head()
    assert newest is not None
    if version == newest:
        return
    steps = list(scripts.iterate_revisions(newest, version or "base"))
    with Operations.context(context):
        for step in reversed(steps):
            step.module.upgrade()
    context.stamp(scripts, newest)


def check(connection: Connection) -> None:
    """See that the tables are there and up to date.

    Raises:
        StoreUnavailable: they are not, are newer than this version knows, or are not ours.
    """
    scripts = _scripts()
    version = _version(connection, _context(connection), scripts)
    if version is None:
        raise StoreUnavailable("the database is empty: start the Monitor on it first")
    if version != scripts.get_current_head():
        raise StoreUnavailable(
            f"its schema is of version {version}, which is older: start this version's Monitor on "
            "it, and it will be brought up to date"
        )


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).parent))


def _context(connection: Connection) -> MigrationContext:
    return MigrationContext.configure(
        connection,
        opts={"version_table": VERSION_TABLE, "transactional_ddl": True},
    )


def _version(
    connection: Connection, context: MigrationContext, scripts: ScriptDirectory
) -> str | None:
    """Return the schema's version; None where there is none yet."""
    version = context.get_current_revision()
    if version is None:
        others = sorted(set(inspect(connection).get_table_names()) & set(metadata.tables))
        if others:
            raise StoreUnavailable(
                f"there is a table {others[0]!r} that is not ours: name an empty database"
            )
    elif version not in {script.revision for script in scripts.walk_revisions()}:
        raise StoreUnavailable(
            f"its schema is of version {version}, which is newer than this openaudiohook knows: "
            "install the version that made it, or a later one"
        )
    return version
