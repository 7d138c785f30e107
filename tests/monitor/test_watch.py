"""What is looked at now and then: positions, forgotten pauses, the audit's head, round trips."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.monitor.platforms import (
    ADMIN,
    ORG,
    OTHER,
    TONE,
    database_away,
    full_disk,
    integrate,
    platform_in,
    queue_on,
)
from tests.monitor.services import serving, until

from openaudiohook.monitor.events import EventId
from openaudiohook.monitor.orders import PlaceCall
from openaudiohook.monitor.platform import Platform
from openaudiohook.monitor.secure_pause import SecureKind
from openaudiohook.monitor.watch import ABANDONED_AFTER_S
from openaudiohook.store.chain import Head
from openaudiohook.store.entries import EventRaised

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

SECOND_NS = 1_000_000_000


class Clock:
    """A wall clock that is set by hand."""

    def __init__(self) -> None:
        self.now_ns = 1_800_000_000 * SECOND_NS

    def __call__(self) -> int:
        return self.now_ns

    def pass_minutes(self, minutes: int) -> None:
        self.now_ns += minutes * 60 * SECOND_NS


async def raised(platform: Platform, event_id: EventId) -> list[EventRaised]:
    return [event for _, event in await platform.events(ORG) if event.event_id == event_id]


async def test_a_long_secure_pause_is_reminded_of_at_every_multiple(tmp_path: Path) -> None:
    clock = Clock()
    async with platform_in(tmp_path, utc_ns=clock, remind_after_s=300) as platform:
        call = await platform.place_call(ORG, PlaceCall(source=TONE), requester=ADMIN)
        await platform.begin_secure_pause(
            ORG, call.conversation_id, kind=SecureKind.AGENT, requester=ADMIN
        )
        for _ in range(11):
            clock.pass_minutes(1)
            platform._watch.remind(within_ns=60 * SECOND_NS)
        first, second = await raised(platform, EventId.SECURE_PAUSE_REMINDER)
        assert first.conversation_id == call.conversation_id
        assert first.text == f"it has lasted for 5 minutes; it is held by: agent of {ADMIN}"
        assert "for 10 minutes" in second.text
        assert platform.call_state(ORG, call.conversation_id)["securePaused"]


async def test_the_head_goes_out_to_every_organization_and_holds(tmp_path: Path) -> None:
    async with platform_in(tmp_path) as platform:
        head = platform._journal.head
        platform._watch.export_head()
        platform._watch.export_head()  # nothing has come since
        (event,) = await raised(platform, EventId.AUDIT_HEAD)
        assert Head.parse(event.text) == head
        assert len(await platform.events(OTHER)) == 1
        assert platform._journal.verify(head).is_intact


async def test_stopped_the_monitor_exports_the_head(tmp_path: Path) -> None:
    async with platform_in(tmp_path) as platform:
        await queue_on(platform)
    async with platform_in(tmp_path) as platform:
        assert len(await raised(platform, EventId.AUDIT_HEAD)) == 1


async def test_positions_are_noted_while_a_session_lives(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        integration = await integrate(platform, service)
        queue = await queue_on(platform)
        place = PlaceCall(source=TONE, queue_id=queue.id)
        call = await platform.place_call(ORG, place, requester=ADMIN)
        await until(lambda: len(service.sessions) == 2 and service.sessions[1].frames)
        await platform._watch.tick()
        (position,) = platform._positions.read().values()
        assert position.integration_id == integration.id
        assert 0 < position.at <= call.position
        await platform.hang_up(ORG, call.conversation_id, requester=ADMIN)
        await until(lambda: call.is_done)
        await platform._watch.tick()
        assert platform._positions.read() == {}


async def test_it_is_told_when_the_journal_cannot_be_written_and_when_it_can(
    tmp_path: Path,
) -> None:
    async with platform_in(tmp_path) as platform, platform.subscribe(ORG) as news:
        with full_disk():
            await platform.place_call(ORG, PlaceCall(source=TONE), requester=ADMIN)
            await platform._watch.tick()
            await platform._watch.tick()
            assert (await anext(news)).event_id == EventId.JOURNAL_NOT_WRITABLE
        await platform._watch.tick()
        assert (await anext(news)).event_id == EventId.JOURNAL_WRITABLE


async def test_it_is_told_when_the_database_is_away_and_when_it_is_back(tmp_path: Path) -> None:
    async with platform_in(tmp_path) as platform, platform.subscribe(ORG) as news:
        async with database_away(tmp_path):
            await platform.place_call(ORG, PlaceCall(source=TONE), requester=ADMIN)
            await until(lambda: platform._projector.is_away)
            await platform._watch.tick()
            assert (await anext(news)).event_id == EventId.DATABASE_AWAY
        await until(lambda: not platform._projector.is_away)
        await platform._watch.tick()
        assert (await anext(news)).event_id == EventId.DATABASE_BACK


async def test_who_is_held_is_not_given_up_though_nobody_comes_back(tmp_path: Path) -> None:
    clock = Clock()
    async with platform_in(tmp_path, utc_ns=clock) as platform:
        held = await platform.place_call(ORG, PlaceCall(source=TONE), requester=ADMIN)
        await platform.begin_secure_pause(
            ORG, held.conversation_id, kind=SecureKind.API, requester=ADMIN
        )
        paused = await platform.place_call(ORG, PlaceCall(source=TONE), requester=ADMIN)
        await platform.begin_client_pause(ORG, paused.conversation_id, requester=ADMIN)
        await platform.place_call(ORG, PlaceCall(source=TONE), requester=ADMIN)
    async with platform_in(tmp_path, utc_ns=clock) as platform:
        assert len(platform.conversations(ORG)) == 3
        clock.now_ns += (ABANDONED_AFTER_S + 1) * SECOND_NS
        platform._watch._give_up()
        left = sorted([held.conversation_id, paused.conversation_id])
        assert sorted(platform.conversations(ORG)) == left


async def test_a_service_that_answers_slowly_shows_in_its_status(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        integration = await integrate(platform, service)
        queue = await queue_on(platform)
        place = PlaceCall(source=TONE, queue_id=queue.id)
        call = await platform.place_call(ORG, place, requester=ADMIN)
        await until(lambda: len(service.sessions) == 2)
        (endpoint,) = call.running.endpoints
        for number in range(3):
            endpoint._rtt_ns = 400_000_000 + number  # what pings would find far away
            await platform._watch.tick()
        (event,) = await raised(platform, EventId.ENDPOINT_SLOW)
        assert event.entity_id == integration.id
        shown = await platform.integration(ORG, integration.id)
        assert (shown.status, shown.status_text) == ("ACTIVE", "round trips take 400 ms")
        trip = platform.round_trip(ORG, integration.id)
        assert trip is not None
        assert trip.rtt_ns == 400_000_001
