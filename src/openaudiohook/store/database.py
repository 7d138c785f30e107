"""The database: opened, brought up to date, and used in transactions that say what is wrong.

SQLite in WAL mode or PostgreSQL, by URL; everything above speaks to both through SQLAlchemy Core.
"""

from __future__ import annotations

import sqlite3
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, event, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from openaudiohook.exceptions import ConfigurationError, NotFound, StoreUnavailable
from openaudiohook.store.address import Address, parse_address
from openaudiohook.store.migrations import check, upgrade
from openaudiohook.store.tables import organizations

__all__ = ["Database"]

_CONNECT_TIMEOUT_S: Final = 5.0
_COMMAND_TIMEOUT_S: Final = 10.0
_BUSY_TIMEOUT_MS: Final = 5000
_WRITES: Final = "openaudiohook_writes"

_UNFIT: Final = (
    "the database cannot take a value: a text holds a NUL character, or a number is too large"
)

_POSTGRESQL_REASONS: Final = {
    "InvalidPasswordError": "it refuses the user or the password of the URL",
    "InvalidAuthorizationSpecificationError": "it refuses the user or the password of the URL",
    "InvalidCatalogNameError": "there is no such database: create it, or correct the URL",
    "InsufficientPrivilegeError": "the user of the URL may not do what is needed there; make the "
    "user the owner of the database",
    "TooManyConnectionsError": "it takes no more connections: raise max_connections",
    "CannotConnectNowError": "it is starting or stopping: try again in a moment",
}
"""What errors of the driver mean, by the name of their class."""

_SQLITE_REASONS: Final = {
    "not a database": "the file is no SQLite database: name another one",
    "locked": "another process holds it locked: find which, or wait until it is done",
    "readonly": "the file may not be written: check who owns it",
    "full": "the disk is full: make room",
    "malformed": "the file is damaged: restore it, or let a new one be filled from the journal",
}
"""What messages of SQLite mean, by what they contain."""


class Database:
    """A database that is open, and of our schema.

    Every failure of the database is a `StoreUnavailable` that says what to do and shows no
    password. Its methods may be used by any number of tasks of one loop.

    Attributes:
        address: where it is; `address.shown` is for people.
    """

    def __init__(self, address: Address, engine: AsyncEngine) -> None:
        self.address = address
        self._engine = engine
        self._failures = _failures(address)
        self._unfit = _unfit(address)

    @classmethod
    async def open(
        cls, url: str, *, migrate: bool = True, busy_timeout_ms: int = _BUSY_TIMEOUT_MS
    ) -> Database:
        """Open the database and see that its schema is ours.

        Args:
            url: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/DATABASE`.
            migrate: make the tables, or bring older ones up to date; otherwise what is there must
                be up to date. A SQLite file is made only with it. Several that start at once
                migrate once.
            busy_timeout_ms: how long SQLite waits for another process's write.

        Raises:
            StoreUnavailable: it does not answer, is none of ours, or its schema is newer than this
                version, or older and not to be changed.
            ConfigurationError: the URL is none, or its driver is not installed.
        """
        address = parse_address(url)
        if address.path is not None and migrate:
            try:
                # Nobody else may read it: it holds sealed secrets, and who called when.
                address.path.touch(mode=0o600, exist_ok=True)
            except OSError as error:
                raise StoreUnavailable(f"{address.shown}: {_file_reason(error)}") from error
        database = cls(address, _engine(address, busy_timeout_ms=busy_timeout_ms))
        try:
            async with database.writing() if migrate else database.reading() as connection:
                await connection.run_sync(upgrade if migrate else check)
        except StoreUnavailable as error:
            await database.close()
            if str(error).startswith(address.shown):
                raise
            raise StoreUnavailable(f"{address.shown}: {error}") from error
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Begin a transaction that only reads; all of it sees the database as of one moment.

        Raises:
            StoreUnavailable: the database failed.
        """
        async with self._transaction(writes=False) as connection:
            yield connection

    @asynccontextmanager
    async def writing(self, organization_id: str | None = None) -> AsyncIterator[AsyncConnection]:
        """Begin a transaction that writes; it is committed where nothing is raised.

        Args:
            organization_id: whose things are changed: those who change the same organization's
                wait for each other, so that what was read in the transaction still holds when it
                is written.

        Raises:
            NotFound: there is no such organization.
            ConfigurationError: what is written breaks a constraint of the tables.
            StoreUnavailable: the database failed.
        """
        async with self._transaction(writes=True) as connection:
            if organization_id is not None:
                found = await connection.execute(
                    select(organizations.c.id)
                    .where(organizations.c.id == organization_id)
                    .with_for_update()  # SQLite has one writer at a time anyway
                )
                if found.first() is None:
                    raise NotFound(
                        f"there is no organization {organization_id!r}", entity_type="organization"
                    )
            yield connection

    @asynccontextmanager
    async def _transaction(self, *, writes: bool) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                if not writes and self.address.path is None:
                    await connection.execution_options(isolation_level="REPEATABLE READ")
                await connection.execution_options(**{_WRITES: writes})
                async with connection.begin():
                    yield connection
        except IntegrityError as error:
            raise ConfigurationError(
                f"the database refuses the change: {_constraint(error)}"
            ) from error
        except OverflowError:
            raise ConfigurationError(_UNFIT) from None
        except self._failures as error:
            if self._is_unfit(error):
                raise ConfigurationError(_UNFIT) from None
            raise StoreUnavailable(f"{self.address.shown}: {self._reason(error)}") from error

    def _is_unfit(self, error: Exception) -> bool:
        """Whether it failed for what was given, not for the database."""
        original = getattr(error, "orig", None) or error
        return isinstance(original, self._unfit) or isinstance(original.__cause__, self._unfit)

    def _reason(self, error: BaseException) -> str:
        """Say what a failure means to whoever runs the database."""
        original = getattr(error, "orig", None) or error
        if self.address.path is not None:
            if isinstance(original, OSError):
                return _file_reason(original)
            text = str(original)
            for part, reason in _SQLITE_REASONS.items():
                if part in text:
                    return reason
        else:
            causes = [original, original.__cause__]
            for name in (type(cause).__name__ for cause in causes):
                if name in _POSTGRESQL_REASONS:
                    return _POSTGRESQL_REASONS[name]
            if any(isinstance(cause, ssl.SSLError) for cause in causes):
                return "TLS failed: check its certificate, the authority and sslmode"
            if "rejected SSL" in str(original):
                return "it takes no TLS connections: switch ssl on there, or correct sslmode"
            if getattr(error, "connection_invalidated", False) or any(
                isinstance(cause, OSError) for cause in causes
            ):
                return "it does not answer: check that it runs, and the host and port of the URL"
        return f"it failed with {type(original).__name__}; its own log says more"


def _unfit(address: Address) -> tuple[type[Exception], ...]:
    """Every type of exception by which the driver says that a value is none it can take."""
    if address.path is not None:
        return ()
    import asyncpg

    return (asyncpg.DataError,)


def _failures(address: Address) -> tuple[type[Exception], ...]:
    """Every type of exception by which the engine says that the database failed."""
    if address.path is not None:
        return (SQLAlchemyError, sqlite3.Error, OSError)
    import asyncpg

    return (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


def _file_reason(error: OSError) -> str:
    return f"{error.strerror}: check the path, and who may read and write there"


def _constraint(error: IntegrityError) -> str:
    """Name the constraint that was broken; never the values that break it."""
    cause = getattr(error.orig, "__cause__", None)
    name = getattr(cause, "constraint_name", None)
    return f"it breaks {name}" if name else str(error.orig)


def _engine(address: Address, *, busy_timeout_ms: int) -> AsyncEngine:
    options: dict[str, Any] = {"hide_parameters": True, "pool_pre_ping": True, "pool_size": 5}
    options["pool_timeout"] = _COMMAND_TIMEOUT_S
    if address.path is None:
        options["connect_args"] = {
            "timeout": _CONNECT_TIMEOUT_S,
            "command_timeout": _COMMAND_TIMEOUT_S,
            "server_settings": {"application_name": "openaudiohook"},
        }
    try:
        engine = create_async_engine(address.url, **options)
    except ImportError as error:
        extra = "postgres" if address.path is None else "db"
        raise ConfigurationError(
            f"{address.shown} needs {error.name}: pip install 'openaudiohook[{extra}]'"
        ) from error
    if address.path is not None:
        _prepare_sqlite(engine, address.path, busy_timeout_ms=busy_timeout_ms)
    return engine


def _prepare_sqlite(engine: AsyncEngine, path: Path, *, busy_timeout_ms: int) -> None:
    """Set every connection up, and begin transactions ourselves: the driver begins them late."""

    @event.listens_for(engine.sync_engine, "do_connect")
    def connecting(*_arguments: object) -> None:
        # The driver's thread outlives a file that does not open: it is found out before.
        with path.open("r+b"):
            pass

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {busy_timeout_ms:d}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begun(connection: Connection) -> None:
        # A transaction that will write takes the lock at once: taken later it may be refused.
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
