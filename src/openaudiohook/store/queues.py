"""Queues and their switches, changed by those who saw what they change."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from openaudiohook.exceptions import ConfigurationError, NotFound, VersionConflict
from openaudiohook.store.database import Database
from openaudiohook.store.records import Queue
from openaudiohook.store.tables import queues

__all__ = ["Queues"]

_COLUMNS: Final = [queues.c[name] for name in Queue.__struct_fields__]


class Queues:
    """The queues of every organization, each organization's apart.

    Every method raises `NotFound` for an organization or queue that is not there, and
    `StoreUnavailable` where the database fails.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, organization_id: str, queue: Queue) -> Queue:
        """Add a queue; it begins with version 1.

        Raises:
            ConfigurationError: the name, or the id, is in use.
        """
        queue = msgspec.structs.replace(queue, organization_id=organization_id, version=1)
        async with self._database.writing(organization_id) as connection:
            await _name_is_free(connection, queue)
            await connection.execute(insert(queues).values(**msgspec.structs.asdict(queue)))
        return queue

    async def all(self, organization_id: str) -> list[Queue]:
        """Return an organization's queues, by name."""
        chosen = (
            select(*_COLUMNS)
            .where(queues.c.organization_id == organization_id)
            .order_by(queues.c.name)
        )
        async with self._database.reading() as connection:
            return [Queue(**row) for row in (await connection.execute(chosen)).mappings()]

    async def get(self, organization_id: str, queue_id: str) -> Queue:
        """Return one."""
        async with self._database.reading() as connection:
            return await _get(connection, organization_id, queue_id)

    async def put(self, organization_id: str, queue: Queue, *, seen_version: int) -> Queue:
        """Change a queue, and return it with its new version.

        Raises:
            VersionConflict: the stored version is not `seen_version`.
            ConfigurationError: the name is in use.
        """
        async with self._database.writing(organization_id) as connection:
            stored = await _get(connection, organization_id, queue.id)
            if stored.version != seen_version:
                raise VersionConflict(
                    f"queue {stored.id!r} is of version {stored.version} by now, and the change "
                    f"was made to version {seen_version}",
                    current=stored.version,
                )
            changed = msgspec.structs.replace(
                queue, organization_id=organization_id, version=stored.version + 1
            )
            await _name_is_free(connection, changed)
            await connection.execute(
                update(queues)
                .where(_is(organization_id, queue.id))
                .values(**msgspec.structs.asdict(changed))
            )
        return changed

    async def delete(self, organization_id: str, queue_id: str) -> None:
        """Remove one."""
        async with self._database.writing(organization_id) as connection:
            gone = await connection.execute(delete(queues).where(_is(organization_id, queue_id)))
            if gone.rowcount == 0:
                raise _not_found(queue_id)


def _is(organization_id: str, queue_id: str) -> Any:
    return (queues.c.organization_id == organization_id) & (queues.c.id == queue_id)


def _not_found(queue_id: str) -> NotFound:
    return NotFound(f"there is no queue {queue_id!r}", entity_type="queue")


async def _get(connection: AsyncConnection, organization_id: str, queue_id: str) -> Queue:
    chosen = select(*_COLUMNS).where(_is(organization_id, queue_id))
    row = (await connection.execute(chosen)).mappings().first()
    if row is None:
        raise _not_found(queue_id)
    return Queue(**row)


async def _name_is_free(connection: AsyncConnection, queue: Queue) -> None:
    """Raise `ConfigurationError` where another queue of the organization has the name."""
    taken = await connection.scalar(
        select(queues.c.id).where(
            queues.c.organization_id == queue.organization_id,
            queues.c.name == queue.name,
            queues.c.id != queue.id,
        )
    )
    if taken is not None:
        raise ConfigurationError(
            f"the name {queue.name!r} is in use by queue {taken!r}: choose another"
        )
