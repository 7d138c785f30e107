"""Calls through the platform: placed, steered, looked at, hung up; and what is written of them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.monitor.platforms import (
    ADMIN,
    ORG,
    TONE,
    entries_of,
    integrate,
    platform_in,
    queue_on,
)
from tests.monitor.services import serving, until

from openaudiohook.exceptions import ConfigurationError, LocalProtocolError, NotFound
from openaudiohook.monitor.events import EventId
from openaudiohook.monitor.media import SourceRequest
from openaudiohook.monitor.orders import FlowAction, PlaceCall
from openaudiohook.protocol.events import AudioPaused, AudioResumed, LanguageUpdated
from openaudiohook.store.entries import (
    Acted,
    CallBegan,
    CallEnded,
    LanguageChanged,
    MonitoringSwitched,
    SessionEnded,
    SessionOpened,
)

pytestmark = [pytest.mark.integration, pytest.mark.anyio]


def flow(action: str, **more: Any) -> FlowAction:
    return FlowAction(action=action, **more)  # type: ignore[arg-type]


async def test_in_a_queue_that_is_on_a_call_is_monitored_at_once(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        integration = await integrate(platform, service)
        queue = await queue_on(platform)
        place = PlaceCall(source=TONE, queue_id=queue.id)
        call = await platform.place_call(ORG, place, requester=ADMIN)
        assert call.is_monitored
        await until(lambda: len(service.sessions) == 2 and service.sessions[1].frames)
        state = platform.call_state(ORG, call.conversation_id)
        assert (state["state"], state["phase"], state["queueId"]) == (
            "connected", "agent", queue.id,
        )  # fmt: skip
        (session,) = state["sessions"]
        assert session["integrationId"] == integration.id
        assert session["state"] == "streaming"
        assert [one.conversation_id for one in platform.calls(ORG)] == [call.conversation_id]
        await platform.hang_up(ORG, call.conversation_id, requester=ADMIN)
        assert platform.calls(ORG) == []
        await until(lambda: call.is_done)
        entries = await entries_of(platform, call.conversation_id)
        assert isinstance(entries[0], CallBegan)
        (opened,) = (one for one in entries if isinstance(one, SessionOpened))
        (ended,) = (one for one in entries if isinstance(one, SessionEnded))
        (over,) = (one for one in entries if isinstance(one, CallEnded))
        assert over.reason == "hangup"
        assert ended.sent == ended.at - opened.start == over.at
        acted = [one.action for one in entries if isinstance(one, Acted)]
        assert acted == ["call.placed", "call.hungUp"]


async def test_a_language_is_taken_after_the_answer_too(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        await integrate(platform, service)
        queue = await queue_on(platform)
        place = PlaceCall(source=TONE, queue_id=queue.id)
        call = await platform.place_call(ORG, place, requester=ADMIN)
        assert call.phase == "agent"
        await until(lambda: len(service.sessions) == 2)
        await platform.flow_action(
            ORG, call.conversation_id, flow("setLanguage", language="de-DE"), requester=ADMIN
        )
        await until(lambda: service.sessions[1].seen(LanguageUpdated))
        changed = await entries_of(platform, call.conversation_id)
        assert [one.stage for one in changed if isinstance(one, LanguageChanged)] == ["call"]


async def test_a_call_that_is_never_switched_on_is_never_connected(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        await integrate(platform, service)
        call = await platform.place_call(
            ORG, PlaceCall(source=SourceRequest(tone=Decimal("0.5"))), requester=ADMIN
        )
        await until(lambda: call.is_done)
        assert len(service.sessions) == 1
        assert await platform.usage(ORG) == []
        with pytest.raises(NotFound):
            platform.call(ORG, call.conversation_id)


async def test_a_flow_switches_it_and_changes_its_language(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        await integrate(platform, service)
        call = await platform.place_call(ORG, PlaceCall(source=TONE), requester=ADMIN)

        async def act(action: str, **more: Any) -> None:
            await platform.flow_action(
                ORG, call.conversation_id, flow(action, **more), requester=ADMIN
            )

        await act("audioMonitoring", enable=True)
        await until(lambda: len(service.sessions) == 2)
        session = service.sessions[1]
        await act("transcription")
        await until(lambda: session.seen(AudioPaused))
        await act("transcription", enable=True)
        await until(lambda: session.seen(AudioResumed))
        await act("setLanguage", language="de-DE")
        await until(lambda: session.seen(LanguageUpdated))
        with pytest.raises(ConfigurationError, match="BCP 47"):
            await act("setLanguage", language="?")
        with pytest.raises(ConfigurationError, match="BCP 47"):
            await act("setLanguage")
        with pytest.raises(ConfigurationError, match="begins or ends"):
            await act("secureFlow")
        entries = await entries_of(platform, call.conversation_id)
        switched = [
            (one.on, one.by, one.action) for one in entries if isinstance(one, MonitoringSwitched)
        ]
        assert switched == [
            (True, "flow", "audioMonitoring"),
            (False, "flow", "transcription"),
            (True, "flow", "transcription"),
        ]


@pytest.mark.parametrize("edge", ["byoc-premises", "ldm", "moon"])
async def test_an_edge_that_is_refused_begins_unmonitored_with_its_event(
    edge: str, tmp_path: Path
) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        await integrate(platform, service)
        queue = await queue_on(platform)
        place = PlaceCall(source=TONE, queue_id=queue.id, edge_type=edge)
        call = await platform.place_call(ORG, place, requester=ADMIN)
        assert call.refused is not None
        assert edge in call.refused
        assert platform.call_state(ORG, call.conversation_id)["refused"] == call.refused
        (event,) = (
            event
            for _, event in await platform.events(ORG)
            if event.conversation_id == call.conversation_id
        )
        assert (event.event_id, event.text) == (EventId.EDGE_REFUSED, call.refused)
        await platform.hang_up(ORG, call.conversation_id, requester=ADMIN)
        await until(lambda: call.is_done)
        assert len(service.sessions) == 1
        (began, *_) = await entries_of(platform, call.conversation_id)
        assert isinstance(began, CallBegan)
        assert began.refused == call.refused


async def test_another_source_begins_another_part_that_is_monitored_as_the_one_before(
    tmp_path: Path,
) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        await integrate(platform, service)
        queue = await queue_on(platform, language="fr-CA")
        place = PlaceCall(source=TONE, queue_id=queue.id)
        first = await platform.place_call(ORG, place, requester=ADMIN)
        await until(lambda: len(service.sessions) == 2)
        second = await platform.attach_source(ORG, first.conversation_id, TONE, requester=ADMIN)
        assert (second.part, second.language, second.phase) == (1, "fr-CA", "agent")
        assert platform.call(ORG, first.conversation_id) is second
        await until(lambda: len(service.sessions) == 3 and service.sessions[2].frames)
        await until(lambda: first.is_done)
        entries = await entries_of(platform, first.conversation_id)
        told = [
            (type(one).__name__, one.part)
            for one in entries
            if isinstance(one, CallBegan | CallEnded)
        ]
        assert told == [("CallBegan", 0), ("CallEnded", 0), ("CallBegan", 1)]


async def test_stopped_in_the_middle_it_goes_on_with_another_source(tmp_path: Path) -> None:
    async with serving() as service:
        async with platform_in(tmp_path) as platform:
            await integrate(platform, service)
            queue = await queue_on(platform)
            place = PlaceCall(source=TONE, queue_id=queue.id)
            call = await platform.place_call(ORG, place, requester=ADMIN)
            await until(lambda: len(service.sessions) == 2)
        async with platform_in(tmp_path) as platform:
            state = platform.call_state(ORG, call.conversation_id)
            assert (state["state"], state["sessions"]) == ("detached", [])
            with pytest.raises(NotFound):
                platform.call(ORG, call.conversation_id)
            with pytest.raises(LocalProtocolError, match="no source"):
                await platform.flow_action(
                    ORG, call.conversation_id, flow("audioMonitoring"), requester=ADMIN
                )
            again = await platform.place_call(
                ORG,
                PlaceCall(source=TONE, conversation_id=call.conversation_id),
                requester=ADMIN,
            )
            assert (again.conversation_id, again.part) == (call.conversation_id, 1)
            assert again.is_monitored
            assert (again.phase, again.queue_id) == ("agent", queue.id)
            with pytest.raises(ConfigurationError, match="attached"):
                await platform.place_call(
                    ORG,
                    PlaceCall(source=TONE, conversation_id=call.conversation_id),
                    requester=ADMIN,
                )
        async with platform_in(tmp_path) as platform:
            await platform.hang_up(ORG, call.conversation_id, requester=ADMIN)
            with pytest.raises(NotFound):
                platform.call_state(ORG, call.conversation_id)


@pytest.mark.parametrize("speed", ["0", "-1", "1001", "NaN", "Infinity", "1e999999"])
async def test_a_speed_that_is_none_is_refused(speed: str, tmp_path: Path) -> None:
    async with platform_in(tmp_path) as platform:
        with pytest.raises(ConfigurationError, match="the speed is above 0"):
            await platform.place_call(
                ORG, PlaceCall(source=TONE, speed=Decimal(speed)), requester=ADMIN
            )
        assert platform.conversations(ORG) == []


async def test_unknown_queues_are_refused(tmp_path: Path) -> None:
    async with platform_in(tmp_path) as platform:
        with pytest.raises(ConfigurationError, match="no queue"):
            await platform.place_call(ORG, PlaceCall(source=TONE, queue_id="none"), requester=ADMIN)
        call = await platform.place_call(ORG, PlaceCall(source=TONE), requester=ADMIN)
        with pytest.raises(NotFound):
            await platform.enter_queue(ORG, call.conversation_id, "none", requester=ADMIN)


async def test_a_call_that_comes_to_a_queue_that_is_on_is_monitored(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        await integrate(platform, service)
        queue = await queue_on(platform)
        call = await platform.place_call(ORG, PlaceCall(source=TONE), requester=ADMIN)
        await platform.enter_queue(ORG, call.conversation_id, queue.id, requester=ADMIN)
        await until(lambda: len(service.sessions) == 2 and service.sessions[1].frames)


async def test_an_endpoint_that_fails_raises_its_event(tmp_path: Path) -> None:
    async with platform_in(tmp_path) as platform:
        async with serving() as service:
            await integrate(platform, service)
        queue = await queue_on(platform)
        place = PlaceCall(source=TONE, queue_id=queue.id)
        async with platform.subscribe(ORG) as news:
            call = await platform.place_call(ORG, place, requester=ADMIN)
            event = await anext(news)
        assert event.event_id == EventId.CONNECTION_FAILED
        assert (event.entity_type, event.entity_name) == ("integration", "one")
        assert event.conversation_id == call.conversation_id


async def test_what_was_streamed_is_in_usage_and_explained_at_once(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        integration = await integrate(platform, service)
        queue = await queue_on(platform)
        place = PlaceCall(
            source=SourceRequest(tone=Decimal(2)), queue_id=queue.id, speed=Decimal(4)
        )
        call = await platform.place_call(ORG, place, requester=ADMIN)
        await until(lambda: call.is_done)
        (row,) = await platform.usage(ORG)
        assert (row.integration_id, row.name) == (integration.id, "one")
        entries = await entries_of(platform, call.conversation_id)
        (opened,) = (one for one in entries if isinstance(one, SessionOpened))
        assert row.chargeable_ns == (16_000 - opened.at) * 125_000
        explanation = await platform.explain(ORG, call.conversation_id)
        assert explanation.parts[0].lanes[0].sent == 16_000
