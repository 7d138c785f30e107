"""Both databases, for tests that are the same on each."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.postgresql import PostgreSQL, binaries

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """One server for the whole run, stopped at its end."""
    folder = binaries()
    if folder is None:
        pytest.skip("PostgreSQL is not installed")
    server = PostgreSQL(folder)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def new_postgresql_database(postgresql: PostgreSQL) -> Callable[[], str]:
    """Makes an empty database and returns its URL."""

    def new() -> str:
        import asyncpg

        name = f"test_{next(_numbers)}"

        async def create() -> None:
            connection = await asyncpg.connect(postgresql.url())
            await connection.execute(f"CREATE DATABASE {name}")
            await connection.close()

        asyncio.run(create())
        return postgresql.url(name)

    return new


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    if engine == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    new: Callable[[], str] = request.getfixturevalue("new_postgresql_database")
    return new()
