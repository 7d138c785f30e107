"""What goes wrong on a platform raises the event of the catalogue that explains it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fanout.services import QUICK
from tests.monitor.platforms import ADMIN, ORG, TONE, integrate, platform_in, queue_on, settled
from tests.monitor.services import KEY, SECRET, until
from tests.support.misbehaving import Misbehaving, Script, Talk, behave, misbehaving, refuse

from openaudiohook.monitor.events import EventId
from openaudiohook.monitor.monitor import Monitor
from openaudiohook.monitor.orders import PlaceCall
from openaudiohook.monitor.platform import Platform
from openaudiohook.protocol.client import ClientTimers
from openaudiohook.store.entries import EventRaised
from openaudiohook.store.records import Integration

pytestmark = [pytest.mark.integration, pytest.mark.anyio, pytest.mark.timeout(60)]

MS = 1_000_000
TIMERS = ClientTimers(open_ns=200 * MS, first_ping_ns=20 * MS, ping_ns=150 * MS, close_ns=200 * MS)
RETRY = replace(QUICK, retries=1)


class World:
    """A platform with one integration, which is active."""

    def __init__(self, platform: Platform, integration: Integration, server: Misbehaving) -> None:
        self.platform = platform
        self.integration = integration
        self.server = server
        self.raised: list[EventRaised] = []
        self.queue_id = ""

    async def place(self, **options: Any) -> str:
        """Place a call in a queue that is switched on; return its conversation."""
        place = PlaceCall(source=TONE, queue_id=self.queue_id, **options)
        call = await self.platform.place_call(ORG, place, requester=ADMIN)
        return call.conversation_id

    async def event(self, id_: EventId, count: int = 1) -> EventRaised:
        """Wait for an event, and return it."""

        def found() -> list[EventRaised]:
            return [event for event in self.raised if event.event_id == id_]

        try:
            await until(lambda: len(found()) >= count)
        except TimeoutError:
            raise AssertionError(f"raised were {self.ids}") from None
        return found()[-1]

    @property
    def ids(self) -> list[str]:
        return [event.event_id for event in self.raised]


@asynccontextmanager
async def platform_with(
    directory: Path,
    *scripts: Script | int,
    runs_in: str = "",
    timers: ClientTimers = TIMERS,
    **settings: Any,
) -> AsyncIterator[World]:
    """Run a platform whose integration was probed in good order; then the server misbehaves."""
    monitor = Monitor(timers=timers, retry=RETRY)
    async with (
        misbehaving(behave, *scripts) as server,
        platform_in(directory, monitor=monitor, region=runs_in) as platform,
    ):
        integration = await integrate(platform, server, **settings)
        assert integration.status == "ACTIVE"
        world = World(platform, integration, server)
        world.queue_id = (await queue_on(platform)).id
        subscription = platform.subscribe(ORG)

        async def listen() -> None:
            async for event in subscription:
                world.raised.append(event)

        task = asyncio.create_task(listen())
        try:
            yield world
        finally:
            subscription.close()
            await task


async def drop(talk: Talk) -> None:
    await talk.open()
    talk.connection.transport.abort()


async def silent(talk: Talk) -> None:
    await talk.listen()


async def no_pong(talk: Talk) -> None:
    await talk.open()
    await talk.hear("close")
    await talk.say("closed")


async def malformed(talk: Talk) -> None:
    await talk.open()
    await talk.send("{")
    await talk.obey()


async def misnumbered(talk: Talk) -> None:
    await talk.open()
    await talk.say("pause", seq=9)
    await talk.obey()


async def flood(talk: Talk) -> None:
    await talk.open()
    for _ in range(200):
        await talk.say("updated")
    await talk.obey()


@pytest.mark.parametrize(
    ("script", "event_id"),
    [
        (401, EventId.UNAUTHORIZED),
        (404, EventId.UPGRADE_REFUSED),
        (refuse("error"), EventId.ENDPOINT_FAILED),
        (refuse("rejected"), EventId.ENDPOINT_DECLINED),
        (silent, EventId.TIMED_OUT),
        (drop, EventId.CONNECTION_LOST),
        (no_pong, EventId.PONG_MISSING),
        (malformed, EventId.MESSAGE_INVALID),
        (misnumbered, EventId.SEQUENCE_INVALID),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_a_failure_on_a_call_is_an_event_of_the_integration_and_is_kept(
    tmp_path: Path, script: Script | int, event_id: EventId
) -> None:
    async with platform_with(tmp_path, script) as world:
        conversation_id = await world.place()
        event = await world.event(event_id)
        assert (event.entity_type, event.entity_id) == ("integration", world.integration.id)
        assert (event.entity_name, event.conversation_id) == ("one", conversation_id)
        assert event.text
        kept = await world.platform.events(ORG, conversation_id=conversation_id)
        assert event in [each for _, each in kept]
        assert not world.platform.call(ORG, conversation_id).is_over  # the call goes on


async def test_a_flood_is_told_cut_off_and_forgiven_on_activation(tmp_path: Path) -> None:
    async with platform_with(tmp_path, flood, behave) as world:
        await world.place()
        await world.event(EventId.RATE_WARNING)
        await world.event(EventId.RATE_LIMITED)
        assert len(world.server.requests) == 2
        await world.place()
        barred = await world.event(EventId.ENDPOINT_BARRED)
        assert "refused to it for another" in barred.text
        assert len(world.server.requests) == 2
        id_ = world.integration.id
        for state in ("DISABLED", "ENABLED"):
            await world.platform.set_intended_state(ORG, id_, state, requester=ADMIN)
        assert (await settled(world.platform, id_)).status == "ACTIVE"
        await world.event(EventId.ACTIVATED)
        await world.place()
        await until(lambda: len(world.server.talks) == 4 and world.server.talks[-1].heard)


async def test_a_session_that_takes_over_is_told(tmp_path: Path) -> None:
    async with platform_with(tmp_path, drop, behave, reconnections=True) as world:
        await world.place()
        await world.event(EventId.CONNECTION_LOST)
        taken = await world.event(EventId.RECONNECTED)
        assert "took the stream over from session" in taken.text


@pytest.mark.parametrize("edge", ["byoc-premises", "ldm"])
async def test_a_refused_edge_is_told_of_the_call(tmp_path: Path, edge: str) -> None:
    async with platform_with(tmp_path) as world:
        conversation_id = await world.place(edge_type=edge)
        event = await world.event(EventId.EDGE_REFUSED)
        assert (event.entity_type, event.conversation_id) == ("call", conversation_id)
        assert len(world.server.requests) == 1  # the probe


async def test_an_activation_that_fails_tells_everything_that_was_wrong(tmp_path: Path) -> None:
    async with platform_with(tmp_path) as world:
        world.server.scripts[:] = [404]
        id_ = world.integration.id
        for state in ("DISABLED", "ENABLED"):
            await world.platform.set_intended_state(ORG, id_, state, requester=ADMIN)
        failed = await settled(world.platform, id_)
        event = await world.event(EventId.ACTIVATION_FAILED)
    assert (failed.status, failed.status_text) == ("ERROR", event.text)
    assert event.text.startswith("WebSocket connection failed: 127.0.0.1 refused the connection")
    assert (event.entity_id, event.conversation_id) == (id_, None)


async def test_a_far_service_is_told_of_and_shows_in_its_status(tmp_path: Path) -> None:
    async def far(talk: Talk) -> None:
        await talk.open()
        while (await talk.hear())["type"] == "ping":
            await talk.take_time(0.11)
            await talk.say("pong")
        await talk.say("closed")

    timers = ClientTimers(first_ping_ns=20 * MS, ping_ns=1_000 * MS)
    regions = {"runs_in": "eu-west", "region": "us-east"}
    async with platform_with(tmp_path, far, timers=timers, **regions) as world:
        await world.place()
        event = await world.event(EventId.ENDPOINT_FAR)
        shown = await world.platform.integration(ORG, world.integration.id)
    assert event.entity_id == world.integration.id
    assert "it runs in us-east, and the Monitor in eu-west" in event.text
    assert shown.status == "ACTIVE"
    assert "it runs in us-east, and the Monitor in eu-west" in shown.status_text


async def test_no_event_holds_a_secret_or_a_number(tmp_path: Path) -> None:
    async with platform_with(tmp_path, 401) as world:
        await world.place()
        await world.event(EventId.UNAUTHORIZED)
        text = repr(world.raised)
    for secret in (KEY, SECRET.decode(), base64.b64encode(SECRET).decode(), "tel:", "+1555"):
        assert secret not in text
