"""Credentials: written, used to sign, never read back by anybody else."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import delete, insert, select

from openaudiohook.exceptions import ConfigurationError, NotFound
from openaudiohook.store.database import Database
from openaudiohook.store.records import Credential
from openaudiohook.store.sealing import Sealer
from openaudiohook.store.tables import credentials, integrations

__all__ = ["Credentials"]


class Credentials:
    """The API keys and client secrets of every organization, each organization's apart.

    Every method raises `NotFound` for an organization or credential that is not there, and
    `StoreUnavailable` where the database fails.
    """

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def create(
        self,
        organization_id: str,
        *,
        id: str,  # noqa: A002
        name: str,
        api_key: str,
        client_secret: str,
    ) -> Credential:
        """Add a credential, sealed; an empty `client_secret` means requests without signature.

        Raises:
            ConfigurationError: the id is in use.
        """
        sealed = self._sealer.seal(
            msgspec.json.encode((api_key, client_secret)), _context(organization_id, id)
        )
        async with self._database.writing(organization_id) as connection:
            await connection.execute(
                insert(credentials).values(
                    organization_id=organization_id, id=id, name=name, sealed=sealed
                )
            )
        return Credential(id=id, organization_id=organization_id, name=name)

    async def get(self, organization_id: str, credential_id: str) -> Credential:
        """Return that there is one, not what it is."""
        row = await self._row(organization_id, credential_id)
        return Credential(id=row["id"], organization_id=organization_id, name=row["name"])

    async def all(self, organization_id: str) -> list[Credential]:
        """Return an organization's credentials, by name; not what they are."""
        chosen = (
            select(credentials.c.id, credentials.c.name)
            .where(credentials.c.organization_id == organization_id)
            .order_by(credentials.c.name, credentials.c.id)
        )
        async with self._database.reading() as connection:
            rows = await connection.execute(chosen)
            return [
                Credential(id=id_, organization_id=organization_id, name=name) for id_, name in rows
            ]

    async def reveal(self, organization_id: str, credential_id: str) -> tuple[str, str]:
        """Return the API key and the client secret, to sign with and for nothing else.

        Raises:
            StoreError: it was sealed with another key.
        """
        row = await self._row(organization_id, credential_id)
        opened = self._sealer.open(row["sealed"], _context(organization_id, credential_id))
        return msgspec.json.decode(opened, type=tuple[str, str])

    async def delete(self, organization_id: str, credential_id: str) -> None:
        """Remove one that no integration uses.

        Raises:
            ConfigurationError: an integration uses it.
        """
        async with self._database.writing(organization_id) as connection:
            user = await connection.scalar(
                select(integrations.c.name)
                .where(
                    integrations.c.organization_id == organization_id,
                    integrations.c.credential_id == credential_id,
                )
                .order_by(integrations.c.name)
            )
            if user is not None:
                raise ConfigurationError(
                    f"credential {credential_id!r} is used by integration {user!r}: give that "
                    "another one first"
                )
            gone = await connection.execute(
                delete(credentials).where(_is(organization_id, credential_id))
            )
            if gone.rowcount == 0:
                raise _not_found(credential_id)

    async def _row(self, organization_id: str, credential_id: str) -> Any:
        chosen = select(credentials).where(_is(organization_id, credential_id))
        async with self._database.reading() as connection:
            row = (await connection.execute(chosen)).mappings().first()
        if row is None:
            raise _not_found(credential_id)
        return row


def _is(organization_id: str, credential_id: str) -> Any:
    return (credentials.c.organization_id == organization_id) & (credentials.c.id == credential_id)


def _not_found(credential_id: str) -> NotFound:
    return NotFound(f"there is no credential {credential_id!r}", entity_type="credential")


def _context(organization_id: str, credential_id: str) -> bytes:
    """What the sealed bytes are bound to: copied into another row, they do not open."""
    return msgspec.json.encode(("credential", organization_id, credential_id))
