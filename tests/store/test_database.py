"""Opening a database: what is made, what is refused, and what the refusal says."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, insert, inspect, select, text
from tests.support.postgresql import PostgreSQL

from openaudiohook.exceptions import ConfigurationError, NotFound, StoreUnavailable
from openaudiohook.store.address import parse_address
from openaudiohook.store.database import Database
from openaudiohook.store.migrations import VERSION_TABLE
from openaudiohook.store.organizations import Organizations
from openaudiohook.store.records import Organization
from openaudiohook.store.tables import metadata, organizations, projection

pytestmark = pytest.mark.integration


@pytest.mark.anyio
async def test_migrations_make_what_the_tables_say(url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": VERSION_TABLE,
                "compare_type": True,
                "compare_server_default": True,
            },
        )
        return list(compare_metadata(context, metadata))

    def checks(connection: Connection) -> dict[str, set[str | None]]:
        found = inspect(connection)
        return {
            name: {check["name"] for check in found.get_check_constraints(name)}
            for name in metadata.tables
        }

    database = await Database.open(url)
    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []
        migrated = await connection.run_sync(checks)
    async with database.writing() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.run_sync(metadata.create_all)
        assert migrated == await connection.run_sync(checks)
    await database.close()
    assert migrated["integrations"] > {"ck_integrations_slot", "ck_integrations_frame_ms"}


@pytest.mark.anyio
async def test_those_who_start_at_once_migrate_once(url: str) -> None:
    databases = await asyncio.gather(*(Database.open(url) for _ in range(8)))
    async with databases[0].reading() as connection:
        versions = (await connection.execute(text(f"SELECT * FROM {VERSION_TABLE}"))).all()
        rows = (await connection.execute(select(projection))).all()
    await asyncio.gather(*(database.close() for database in databases))
    assert versions == [("0001",)]
    assert rows == [(1, 0, None)]


@pytest.mark.anyio
async def test_what_is_open_again_is_what_was_stored(url: str) -> None:
    database = await Database.open(url)
    async with database.writing() as connection:
        await connection.execute(insert(organizations).values(id="o", name="One"))
    await database.close()
    again = await Database.open(url, migrate=False)
    async with again.writing("o") as connection:
        assert (await connection.execute(select(organizations))).all() == [("o", "One")]
    with pytest.raises(NotFound, match="no organization 'p'"):
        async with again.writing("p"):
            pass
    await again.close()


@pytest.mark.anyio
async def test_a_transaction_that_raises_leaves_nothing(url: str) -> None:
    database = await Database.open(url)
    with pytest.raises(KeyError):
        async with database.writing() as connection:
            await connection.execute(insert(organizations).values(id="o", name="One"))
            raise KeyError
    with pytest.raises(ConfigurationError, match="organizations") as refused:
        async with database.writing() as connection:
            for _ in range(2):
                await connection.execute(insert(organizations).values(id="o", name="My name"))
    assert "My name" not in str(refused.value)
    async with database.reading() as connection:
        assert (await connection.execute(select(organizations))).all() == []
    await database.close()


@pytest.mark.anyio
async def test_an_empty_database_is_not_filled_unless_asked(url: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"start the Monitor|check the path"):
        await Database.open(url, migrate=False)
    path = parse_address(url).path
    assert path is None or not path.exists()


@pytest.mark.anyio
async def test_a_newer_schema_is_refused(url: str) -> None:
    database = await Database.open(url)
    async with database.writing() as connection:
        await connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    await database.close()
    for migrate in (True, False):
        with pytest.raises(StoreUnavailable, match=r"9999, which is newer .* install the version"):
            await Database.open(url, migrate=migrate)


@pytest.mark.anyio
async def test_another_programs_tables_are_left_alone(url: str) -> None:
    database = await Database.open(url)
    async with database.writing() as connection:
        await connection.execute(text(f"DROP TABLE {VERSION_TABLE}"))
    await database.close()
    with pytest.raises(StoreUnavailable, match="'calls' that is not ours: name an empty database"):
        await Database.open(url)


@pytest.mark.anyio
async def test_a_failed_statement_says_where_and_hides_what_was_given(url: str) -> None:
    database = await Database.open(url)
    with pytest.raises(StoreUnavailable) as failed:
        async with database.reading() as connection:
            await connection.execute(text("SELECT * FROM nothing WHERE x = :x"), {"x": "secret"})
    await database.close()
    assert str(failed.value).startswith(database.address.shown)
    assert "secret" not in f"{failed.value} {failed.value.__cause__}"


@pytest.mark.anyio
async def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/a b?.db".replace("?", "%3F"))
    await database.close()
    (file,) = tmp_path.glob("*.db")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.anyio
async def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "text.db"
    file.write_text("these are words, not tables; " * 100, encoding="utf-8")
    with pytest.raises(StoreUnavailable, match="no SQLite database: name another one"):
        await Database.open(f"sqlite:///{file}")
    with pytest.raises(StoreUnavailable, match="check the path"):
        await Database.open(f"sqlite:///{tmp_path}/missing/store.db")


@pytest.mark.anyio
async def test_a_locked_file_is_waited_for_and_then_said_to_be_locked(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    database = await Database.open(f"sqlite:///{file}", busy_timeout_ms=50)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailable, match="another process holds it locked"):
        async with database.writing():
            pass
    other.execute("ROLLBACK")
    other.close()
    async with database.writing() as connection:
        await connection.execute(insert(organizations).values(id="o", name="One"))
    await database.close()


@pytest.mark.anyio
async def test_a_server_that_refuses_or_is_away_is_named_without_the_password(
    postgresql: PostgreSQL,
) -> None:
    password, port = postgresql.password, postgresql.port
    for url, reason in [
        (postgresql.url("nowhere"), "there is no such database"),
        (postgresql.url().replace(password, "wr0ng"), "refuses the user or the password"),
        (postgresql.url().replace("tester", "nobody"), "refuses the user or the password"),
        (postgresql.url().replace(str(port), "1"), "does not answer"),
        (f"{postgresql.url()}?sslmode=require", "it takes no TLS connections"),
    ]:
        with pytest.raises(StoreUnavailable, match=reason) as refused:
            await Database.open(url)
        said = f"{refused.value} {refused.value.__cause__!r}"
        assert password not in said
        assert "wr0ng" not in said
        assert "tester:***@" in str(refused.value) or "nobody:***@" in str(refused.value)


@pytest.mark.anyio
async def test_a_server_that_goes_away_is_missed_and_found_again(
    postgresql: PostgreSQL, new_postgresql_database: Callable[[], str]
) -> None:
    database = await Database.open(await asyncio.to_thread(new_postgresql_database))
    repository = Organizations(database)
    await repository.put(Organization(id="o", name="One"))
    with pytest.raises(StoreUnavailable, match="does not answer"):
        async with database.writing() as connection:
            await connection.execute(insert(organizations).values(id="p", name="Lost"))
            await asyncio.to_thread(postgresql.stop)
    for attempt in (repository.all(), repository.put(Organization(id="p", name="Lost"))):
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await attempt
    await asyncio.to_thread(postgresql.start)
    assert await repository.all() == [Organization(id="o", name="One")]
    await database.close()


@pytest.mark.anyio
async def test_a_file_that_is_moved_away_is_missed_and_not_made_anew(tmp_path: Path) -> None:
    file, elsewhere = tmp_path / "store.db", tmp_path / "elsewhere.db"
    database = await Database.open(f"sqlite:///{file}")
    await Organizations(database).put(Organization(id="o", name="One"))
    await database.close()  # its connections only: it opens new ones
    file.rename(elsewhere)
    with pytest.raises(StoreUnavailable, match="No such file or directory: check the path"):
        await Organizations(database).all()
    assert not file.exists()
    elsewhere.rename(file)
    assert await Organizations(database).all() == [Organization(id="o", name="One")]
    await database.close()


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("store.db", "no URL"),
        ("mysql://me:hunter2@h/d", "cannot be 'mysql'"),
        ("sqlite://", "must outlive"),
        ("sqlite:///:memory:", "must outlive"),
        ("sqlite://host/file", "three slashes"),
        ("sqlite:///file?cache=shared", "no options"),
        ("postgresql://me:hunter2@h", "names no database"),
        ("postgresql://me:hunter2@h/d?colour=red", "the option 'colour'; known are host"),
        ("postgresql://me:hunter2@h/d?sslmode=on", "unknown sslmode; known are disable, allow"),
        ("postgresql://me:hunter2@h:port/d", "no URL"),
    ],
)
def test_a_url_that_cannot_be_used_says_what_would_be_right(url: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as refused:
        parse_address(url)
    assert "hunter2" not in str(refused.value)


def test_a_url_is_shown_without_its_password() -> None:
    address = parse_address("postgres://me:hunter2@db.example.com/calls?sslmode=require")
    assert address.shown == "postgresql://me:***@db.example.com/calls?sslmode=require"
    assert address.url.password == "hunter2"
    assert address.path is None
    assert parse_address("sqlite:///store.db").path == Path("store.db").absolute()
