"""What a platform reports: usage, operational events, the audit, and why a call was as it was.

What has been written is in the reports: each waits until the database has followed the journal to
where it was when the report was asked for.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from openaudiohook.exceptions import StoreUnavailable
from openaudiohook.monitor.bulletins import Bulletins, Subscription
from openaudiohook.monitor.directory import Directory
from openaudiohook.monitor.explain import Explanation, explain
from openaudiohook.monitor.usage import UsageRow, read_usage
from openaudiohook.protocol.types import PauseCause
from openaudiohook.store.entries import Entry, EventRaised
from openaudiohook.store.events import Audit, Events
from openaudiohook.store.integrations import Integrations
from openaudiohook.store.ledger import Ledger
from openaudiohook.store.projector import Projector

__all__ = ["Reports"]

CATCH_UP_S: Final = 5.0
"""How long a report waits for the database to follow the journal."""


class Reports:
    """The part of a platform that reports.

    Every method raises `NotFound` for another organization's conversation and `StoreUnavailable`
    where the database is away or has not caught up.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        ledger: Ledger,
        integrations: Integrations,
        events: Events,
        audit: Audit,
        projector: Projector,
        bulletins: Bulletins,
        free_pauses: Collection[PauseCause],
    ) -> None:
        self._directory = directory
        self._ledger = ledger
        self._integrations = integrations
        self._events = events
        self._audit = audit
        self._projector = projector
        self._bulletins = bulletins
        self._free_pauses = free_pauses

    async def usage(self, organization_id: str, month: str | None = None) -> list[UsageRow]:
        """Return what each integration streamed of each conversation, and what of it is charged.

        Args:
            organization_id: whose.
            month: `YYYY-MM`; None for all there is.

        Raises:
            ConfigurationError: there is no such month.
        """
        await self._catch_up(organization_id)
        return await read_usage(
            self._ledger,
            self._integrations,
            organization_id,
            month=month,
            free_pauses=self._free_pauses,
        )

    async def events(
        self,
        organization_id: str,
        *,
        after: int = 0,
        limit: int = 100,
        conversation_id: str | None = None,
        entity_id: str | None = None,
    ) -> list[tuple[int, EventRaised]]:
        """Return operational events with their numbers, the oldest first.

        Args:
            organization_id: whose.
            after: the number of the last one that is known already.
            limit: how many at most.
            conversation_id: only those about a call.
            entity_id: only those about an integration, for example.
        """
        await self._catch_up(organization_id)
        return await self._events.page(
            organization_id,
            after=after,
            limit=limit,
            conversation_id=conversation_id,
            entity_id=entity_id,
        )

    def subscribe(self, organization_id: str) -> Subscription:
        """Listen to operational events from now on. Close what is returned, or use `async with`."""
        self._directory.organization(organization_id)
        return self._bulletins.subscribe(organization_id)

    async def audit(
        self,
        organization_id: str,
        *,
        after: int = 0,
        limit: int = 100,
        requester: str | None = None,
        conversation_id: str | None = None,
        entity_id: str | None = None,
    ) -> list[tuple[int, Entry]]:
        """Return who did what, with the numbers of the entries, the oldest first.

        Args:
            organization_id: whose.
            after: the number of the last one that is known already.
            limit: how many at most.
            requester: only what one did.
            conversation_id: only what was done to a call.
            entity_id: only what was done to an integration, for example.
        """
        await self._catch_up(organization_id)
        return await self._audit.page(
            organization_id,
            after=after,
            limit=limit,
            requester=requester,
            conversation_id=conversation_id,
            entity_id=entity_id,
        )

    async def explain(self, organization_id: str, conversation_id: str) -> Explanation:
        """Say why a call was not, late or partly streamed, what it cost, and where it all is."""
        await self._catch_up(organization_id)
        record = await self._ledger.conversation(organization_id, conversation_id)
        integrations = self._directory.integrations(organization_id)
        return explain(
            (entry for _, entry in record.entries),
            organization_id=organization_id,
            conversation_id=conversation_id,
            names={one.id: one.name for one in integrations},
            active={one.integration_id for one in self._directory.active(organization_id)},
            free_pauses=self._free_pauses,
        )

    async def _catch_up(self, organization_id: str) -> None:
        self._directory.organization(organization_id)
        if not await self._projector.caught_up(timeout_s=CATCH_UP_S):
            raise StoreUnavailable(
                f"the database is {self._projector.lag} entries behind the journal; nothing is "
                "lost, ask again once it is back"
            )
