"""Organizations: whose everything else is."""

from __future__ import annotations

from sqlalchemy import insert, select, update

from openaudiohook.exceptions import NotFound
from openaudiohook.store.database import Database
from openaudiohook.store.records import Organization
from openaudiohook.store.tables import organizations

__all__ = ["Organizations"]


class Organizations:
    """The organizations that one Monitor serves.

    Every method raises `StoreUnavailable` where the database fails.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[Organization]:
        """Return every organization, by id."""
        async with self._database.reading() as connection:
            rows = await connection.execute(select(organizations).order_by(organizations.c.id))
            return [Organization(**row) for row in rows.mappings()]

    async def get(self, organization_id: str) -> Organization:
        """Return one.

        Raises:
            NotFound: there is none of that id.
        """
        chosen = select(organizations).where(organizations.c.id == organization_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(chosen)).mappings().first()
        if row is None:
            raise NotFound(
                f"there is no organization {organization_id!r}", entity_type="organization"
            )
        return Organization(**row)

    async def put(self, organization: Organization) -> None:
        """Add an organization, or rename the one that has its id."""
        async with self._database.writing() as connection:
            changed = await connection.execute(
                update(organizations)
                .where(organizations.c.id == organization.id)
                .values(name=organization.name)
            )
            if changed.rowcount == 0:
                await connection.execute(
                    insert(organizations).values(id=organization.id, name=organization.name)
                )
