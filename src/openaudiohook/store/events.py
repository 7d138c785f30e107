"""What happened, read back from the projected journal: operational events, and the audit."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, cast

import msgspec
from sqlalchemy import ColumnElement, select

from openaudiohook.store.database import Database
from openaudiohook.store.entries import Entry, EventRaised
from openaudiohook.store.tables import entries

__all__ = ["AUDITED", "Audit", "Events"]

AUDITED: Final = (
    "acted",
    "call.began",
    "call.ended",
    "monitoring.switched",
    "pause.began",
    "pause.ended",
)
"""The kinds of entry that somebody answers for."""

_ENTRY: Final = msgspec.json.Decoder(Entry)


class Events:
    """Operational events, in the order in which they were raised.

    Every method raises `StoreUnavailable` where the database fails.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self,
        organization_id: str,
        *,
        after: int = 0,
        limit: int = 100,
        conversation_id: str | None = None,
        entity_id: str | None = None,
    ) -> list[tuple[int, EventRaised]]:
        """Return an organization's events that come after the number, with their numbers."""
        chosen = []
        if conversation_id is not None:
            chosen.append(entries.c.conversation_id == conversation_id)
        if entity_id is not None:
            chosen.append(entries.c.entity_id == entity_id)
        page = await _page(self._database, organization_id, ("event",), chosen, after, limit)
        return cast(list[tuple[int, EventRaised]], page)


class Audit:
    """Who did what: the same journal, seen by requester.

    Every method raises `StoreUnavailable` where the database fails.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self,
        organization_id: str,
        *,
        after: int = 0,
        limit: int = 100,
        requester: str | None = None,
        conversation_id: str | None = None,
        entity_id: str | None = None,
    ) -> list[tuple[int, Entry]]:
        """Return an organization's audited entries that come after the number, with their numbers.

        Args:
            organization_id: whose.
            after: the number of the last entry that is known already.
            limit: how many to return at most.
            requester: who did it: of a flow's or queue's switch, `flow` or `queue`.
            conversation_id: to which call.
            entity_id: to which integration, credential, queue or organization.
        """
        chosen = []
        if requester is not None:
            chosen.append(entries.c.requester == requester)
        if conversation_id is not None:
            chosen.append(entries.c.conversation_id == conversation_id)
        if entity_id is not None:
            chosen.append(entries.c.entity_id == entity_id)
        return await _page(self._database, organization_id, AUDITED, chosen, after, limit)


async def _page(
    database: Database,
    organization_id: str,
    kinds: Collection[str],
    chosen: list[ColumnElement[bool]],
    after: int,
    limit: int,
) -> list[tuple[int, Entry]]:
    query = (
        select(entries.c.number, entries.c.body)
        .where(
            entries.c.organization_id == organization_id,
            entries.c.kind.in_(kinds),
            entries.c.number > after,
            *chosen,
        )
        .order_by(entries.c.number)
        .limit(limit)
    )
    async with database.reading() as connection:
        rows = await connection.execute(query)
        return [(number, _ENTRY.decode(body)) for number, body in rows]
