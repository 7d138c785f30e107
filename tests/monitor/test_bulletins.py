"""Events: kept, and handed to whoever listens, however slowly."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from openaudiohook.monitor.bulletins import MOST_UNREAD, Bulletins
from openaudiohook.monitor.conversations import Conversations
from openaudiohook.monitor.events import EventId
from openaudiohook.monitor.record import Record
from openaudiohook.store.entries import EventRaised
from openaudiohook.store.journal import Journal

pytestmark = [pytest.mark.unit, pytest.mark.anyio]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal.open(tmp_path, key=bytes(32))
    yield journal
    journal.close()


@pytest.fixture
def bulletins(journal: Journal) -> Bulletins:
    return Bulletins(Record(journal, Conversations()), utc_ns=lambda: 7)


def publish(bulletins: Bulletins, text: str, organization: str = "one") -> EventRaised:
    return bulletins.publish(
        organization,
        EventId.ACTIVATED,
        entity_type="integration",
        entity_id="i",
        entity_name="name",
        text=text,
    )


async def test_an_event_is_kept_and_told(bulletins: Bulletins, journal: Journal) -> None:
    async with bulletins.subscribe("one") as news:
        event = publish(bulletins, "first")
        assert await anext(news) == event
    assert [entry for _, entry in journal.read()] == [event]
    assert event.utc_ns == 7


async def test_only_ones_own_organizations_events_are_told(bulletins: Bulletins) -> None:
    async with bulletins.subscribe("one") as news:
        publish(bulletins, "not this", "another")
        publish(bulletins, "this")
        assert (await anext(news)).text == "this"


async def test_who_is_slow_loses_the_oldest_and_is_told(bulletins: Bulletins) -> None:
    async with bulletins.subscribe("one") as slow, bulletins.subscribe("one") as quick:
        for number in range(MOST_UNREAD + 5):
            publish(bulletins, f"{number}")
            assert (await anext(quick)).text == f"{number}"
        missed = await anext(slow)
        assert missed.event_id == EventId.EVENTS_MISSED
        assert missed.text.startswith("5 events")
        read = [(await anext(slow)).text for _ in range(MOST_UNREAD)]
        assert read == [f"{number}" for number in range(5, MOST_UNREAD + 5)]


async def test_who_waits_is_woken_and_then_let_go(bulletins: Bulletins) -> None:
    news = bulletins.subscribe("one")

    async def listen() -> list[str]:
        return [event.text async for event in news]

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0)
    publish(bulletins, "first")
    await asyncio.sleep(0)
    bulletins.close()
    publish(bulletins, "too late")
    assert await asyncio.wait_for(listening, 10) == ["first"]
