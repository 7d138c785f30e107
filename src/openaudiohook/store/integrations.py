"""Integrations: at most five to an organization, changed by those who saw what they change."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from openaudiohook.exceptions import (
    ConfigurationError,
    NotFound,
    TooManyIntegrations,
    VersionConflict,
)
from openaudiohook.store.database import Database
from openaudiohook.store.records import Integration, Status
from openaudiohook.store.tables import (
    MOST_INTEGRATIONS,
    credentials,
    integration_names,
    integrations,
)

__all__ = ["Integrations"]

_STATE: Final = frozenset({"intended_state", "status", "status_text"})
_COLUMNS: Final = [integrations.c[name] for name in Integration.__struct_fields__]


class Integrations:
    """The integrations of every organization, each organization's apart.

    Every method raises `NotFound` for an organization or integration that is not there, and
    `StoreUnavailable` where the database fails.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, organization_id: str, *, id: str, name: str) -> Integration:  # noqa: A002
        """Add an integration that is not configured yet.

        Raises:
            TooManyIntegrations: the organization has five.
            ConfigurationError: the name, or the id, is in use.
        """
        integration = Integration(id=id, organization_id=organization_id, name=name)
        async with self._database.writing(organization_id) as connection:
            slots = await connection.scalars(
                select(integrations.c.slot).where(integrations.c.organization_id == organization_id)
            )
            free = sorted(set(range(1, MOST_INTEGRATIONS + 1)) - set(slots))
            if not free:
                raise TooManyIntegrations(
                    f"organization {organization_id!r} has {MOST_INTEGRATIONS} integrations, and "
                    "may have no more: delete one first"
                )
            await _name_is_free(connection, integration)
            await connection.execute(
                insert(integrations).values(slot=free[0], **msgspec.structs.asdict(integration))
            )
            await _note_name(connection, integration)
        return integration

    async def all(self, organization_id: str) -> list[Integration]:
        """Return an organization's integrations, by name."""
        chosen = (
            select(*_COLUMNS)
            .where(integrations.c.organization_id == organization_id)
            .order_by(integrations.c.name)
        )
        async with self._database.reading() as connection:
            return [_integration(row) for row in (await connection.execute(chosen)).mappings()]

    async def get(self, organization_id: str, integration_id: str) -> Integration:
        """Return one."""
        async with self._database.reading() as connection:
            return await _get(connection, organization_id, integration_id)

    async def put(
        self, organization_id: str, integration: Integration, *, seen_version: int
    ) -> Integration:
        """Change the configuration, and return it with its new version.

        What is wanted and what is, `intended_state` and `status`, stay as they are stored.

        Raises:
            VersionConflict: the stored version is not `seen_version`.
            ConfigurationError: the name is in use, or the credential is not there.
        """
        async with self._database.writing(organization_id) as connection:
            stored = await _get(connection, organization_id, integration.id)
            if stored.version != seen_version:
                raise VersionConflict(
                    f"integration {stored.id!r} is of version {stored.version} by now, and the "
                    f"change was made to version {seen_version}",
                    current=stored.version,
                )
            changed = msgspec.structs.replace(
                integration,
                organization_id=organization_id,
                version=stored.version + 1,
                **{name: getattr(stored, name) for name in _STATE},
            )
            await _name_is_free(connection, changed)
            await _credential_is_there(connection, changed)
            await connection.execute(
                update(integrations)
                .where(_is(organization_id, changed.id))
                .values(**msgspec.structs.asdict(changed))
            )
            await _note_name(connection, changed)
        return changed

    async def set_state(
        self,
        organization_id: str,
        integration_id: str,
        *,
        intended_state: str | None = None,
        status: Status | None = None,
        status_text: str | None = None,
    ) -> Integration:
        """Change what is wanted, what is, and why; None leaves a thing as it is."""
        state = {
            "intended_state": intended_state, "status": status, "status_text": status_text,
        }  # fmt: skip
        given = {name: value for name, value in state.items() if value is not None}
        async with self._database.writing(organization_id) as connection:
            if given:
                await connection.execute(
                    update(integrations).where(_is(organization_id, integration_id)).values(**given)
                )
            return await _get(connection, organization_id, integration_id)

    async def delete(self, organization_id: str, integration_id: str) -> None:
        """Remove one; its name is kept for the usage that is still to be charged."""
        async with self._database.writing(organization_id) as connection:
            await _get(connection, organization_id, integration_id)
            await connection.execute(
                delete(integrations).where(_is(organization_id, integration_id))
            )

    async def names(self, organization_id: str) -> dict[str, str]:
        """Return the last name of every integration there ever was, by id."""
        chosen = select(integration_names.c.integration_id, integration_names.c.name).where(
            integration_names.c.organization_id == organization_id
        )
        async with self._database.reading() as connection:
            rows = await connection.execute(chosen)
            return {row.integration_id: row.name for row in rows}


def _is(organization_id: str, integration_id: str) -> Any:
    return (integrations.c.organization_id == organization_id) & (
        integrations.c.id == integration_id
    )


def _integration(row: RowMapping) -> Integration:
    return Integration(**row)


async def _get(
    connection: AsyncConnection, organization_id: str, integration_id: str
) -> Integration:
    chosen = select(*_COLUMNS).where(_is(organization_id, integration_id))
    row = (await connection.execute(chosen)).mappings().first()
    if row is None:
        raise NotFound(f"there is no integration {integration_id!r}", entity_type="integration")
    return _integration(row)


async def _name_is_free(connection: AsyncConnection, integration: Integration) -> None:
    """Raise `ConfigurationError` where another integration of the organization has the name."""
    taken = await connection.scalar(
        select(integrations.c.id).where(
            integrations.c.organization_id == integration.organization_id,
            integrations.c.name == integration.name,
            integrations.c.id != integration.id,
        )
    )
    if taken is not None:
        raise ConfigurationError(
            f"the name {integration.name!r} is in use by integration {taken!r}: choose another"
        )


async def _credential_is_there(connection: AsyncConnection, integration: Integration) -> None:
    if integration.credential_id is None:
        return
    found = await connection.scalar(
        select(credentials.c.id).where(
            credentials.c.organization_id == integration.organization_id,
            credentials.c.id == integration.credential_id,
        )
    )
    if found is None:
        raise ConfigurationError(
            f"there is no credential {integration.credential_id!r}: create it first"
        )


async def _note_name(connection: AsyncConnection, integration: Integration) -> None:
    of_it = {
        "organization_id": integration.organization_id, "integration_id": integration.id,
    }  # fmt: skip
    changed = await connection.execute(
        update(integration_names).filter_by(**of_it).values(name=integration.name)
    )
    if changed.rowcount == 0:
        await connection.execute(insert(integration_names).values(**of_it, name=integration.name))
