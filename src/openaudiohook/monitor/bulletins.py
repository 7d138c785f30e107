"""Operational events: written into the journal, and handed to everybody who listens.

Who listens has a queue of his own, of a bounded length. If he is slow he loses the oldest of them,
and is told how many; nobody else, and no call, ever waits for him.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final, Literal

from openaudiohook.monitor.events import EventId
from openaudiohook.monitor.record import Record
from openaudiohook.store.entries import EventRaised

__all__ = ["MOST_UNREAD", "Bulletins", "EntityType", "Subscription"]

MOST_UNREAD: Final = 1_000
"""How many events wait for a subscriber."""

EntityType = Literal["integration", "call", "queue", "organization", "monitor"]


class Subscription(AsyncIterator[EventRaised]):
    """The events of one organization from now on. Close it, or leave its `async with`.

    Args:
        organization_id: whose events.
        missed: makes what a subscriber gets in place of events that he was too slow for.
        most_unread: how many wait for him.
    """

    def __init__(
        self,
        organization_id: str,
        *,
        missed: Callable[[str, int], EventRaised],
        on_close: Callable[[Subscription], None],
        most_unread: int = MOST_UNREAD,
    ) -> None:
        self.organization_id = organization_id
        self._missed = missed
        self._on_close = on_close
        self._most_unread = most_unread
        self._unread: deque[EventRaised] = deque()
        self._lost = 0
        self._is_closed = False
        self._has_news = asyncio.Event()

    def put(self, event: EventRaised) -> None:
        """Hand an event over; the oldest one makes place where there is none."""
        if len(self._unread) >= self._most_unread:
            self._unread.popleft()
            self._lost += 1
        self._unread.append(event)
        self._has_news.set()

    def close(self) -> None:
        """Listen no more: the iteration ends after what was handed over. It may be repeated."""
        self._is_closed = True
        self._has_news.set()
        self._on_close(self)

    async def __anext__(self) -> EventRaised:
        while not (self._lost or self._unread):
            if self._is_closed:
                raise StopAsyncIteration
            self._has_news.clear()
            await self._has_news.wait()
        if self._lost:
            lost, self._lost = self._lost, 0
            return self._missed(self.organization_id, lost)
        return self._unread.popleft()

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class Bulletins:
    """Raises operational events.

    Args:
        record: what takes them down.
        utc_ns: the wall clock.
    """

    def __init__(self, record: Record, *, utc_ns: Callable[[], int]) -> None:
        self._record = record
        self._utc_ns = utc_ns
        self._subscriptions: set[Subscription] = set()

    def publish(
        self,
        organization_id: str,
        event_id: str,
        *,
        entity_type: EntityType,
        entity_id: str,
        entity_name: str,
        text: str,
        conversation_id: str | None = None,
    ) -> EventRaised:
        """Raise an event of the catalogue; the text holds nothing personal and no secret."""
        event = EventRaised(
            organization_id=organization_id,
            utc_ns=self._utc_ns(),
            event_id=event_id,
            entity_type=entity_type,
            entity_id=entity_id,
            entity_name=entity_name,
            text=text,
            conversation_id=conversation_id,
        )
        self._record.note(event)
        for subscription in self._subscriptions:
            if subscription.organization_id == organization_id:
                subscription.put(event)
        return event

    def subscribe(self, organization_id: str) -> Subscription:
        """Listen to an organization's events from now on."""
        subscription = Subscription(
            organization_id, missed=self._missed, on_close=self._subscriptions.discard
        )
        self._subscriptions.add(subscription)
        return subscription

    def close(self) -> None:
        """Let every subscriber's iteration end."""
        for subscription in tuple(self._subscriptions):
            subscription.close()

    def _missed(self, organization_id: str, lost: int) -> EventRaised:
        return EventRaised(
            organization_id=organization_id,
            utc_ns=self._utc_ns(),
            event_id=EventId.EVENTS_MISSED,
            entity_type="monitor",
            entity_id="monitor",
            entity_name="Monitor",
            text=f"{lost} events came faster than they were read and are left out here; "
            "they are kept, and can be asked for",
        )
