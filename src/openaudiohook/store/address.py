"""Where the database is: what may stand in its URL, and how the URL is shown to people."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from openaudiohook.exceptions import ConfigurationError

__all__ = ["Address", "parse_address"]

_EXAMPLES: Final = "sqlite:///openaudiohook.db or postgresql://USER:PASSWORD@HOST/DATABASE"
_SQLITE: Final = frozenset({"sqlite", "sqlite+aiosqlite"})
_POSTGRESQL: Final = frozenset({"postgresql", "postgres", "postgresql+asyncpg"})
_POSTGRESQL_OPTIONS: Final = {"host": "host", "port": "port", "sslmode": "ssl"}
"""What may follow the question mark, as libpq spells it and as the driver does."""
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


class Address(NamedTuple):
    """A database's URL, understood.

    Attributes:
        url: for the engine, with the password.
        shown: for people, without it.
        path: the file, where it is SQLite; None where it is PostgreSQL.
    """

    url: URL
    shown: str
    path: Path | None


def parse_address(text: str) -> Address:
    """Understand a database's URL; a SQLite file must be opened, it is never created by it.

    Raises:
        ConfigurationError: it is no such URL; the text shows no password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigurationError(f"the store is no URL; write {_EXAMPLES}") from None
    if url.drivername in _SQLITE:
        return _sqlite(url)
    if url.drivername in _POSTGRESQL:
        return _postgresql(url)
    raise ConfigurationError(
        f"the store cannot be {url.drivername.partition('+')[0]!r}; write {_EXAMPLES}"
    )


def _sqlite(url: URL) -> Address:
    if url.host or url.query:
        raise ConfigurationError(
            "the store's URL names a file with three slashes, sqlite:///FILE, or four where the "
            "path is absolute, and takes no options"
        )
    if not url.database or url.database == ":memory:":
        raise ConfigurationError("the store must outlive the process: name a file, sqlite:///FILE")
    path = Path(url.database).absolute()
    # A file that was moved away must be missed, not made anew beside the one that holds the data.
    opened = URL.create(
        "sqlite+aiosqlite", database=f"file:{quote(str(path))}", query={"mode": "rw", "uri": "true"}
    )
    return Address(opened, f"sqlite:///{url.database}", path)


def _postgresql(url: URL) -> Address:
    if unknown := sorted(set(url.query) - set(_POSTGRESQL_OPTIONS)):
        raise ConfigurationError(
            f"the store's URL has the option {unknown[0]!r}; known are "
            f"{', '.join(_POSTGRESQL_OPTIONS)}"
        )
    if url.query.get("sslmode", "prefer") not in _SSL_MODES:
        raise ConfigurationError(
            f"the store's URL has an unknown sslmode; known are {', '.join(_SSL_MODES)}"
        )
    if not url.database:
        raise ConfigurationError("the store's URL names no database: postgresql://HOST/DATABASE")
    options = {_POSTGRESQL_OPTIONS[name]: value for name, value in url.query.items()}
    shown = url.set(drivername="postgresql").render_as_string(hide_password=True)
    return Address(url.set(drivername="postgresql+asyncpg", query=options), shown, None)
