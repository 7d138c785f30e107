"""Calls, as the control interface places, steers, pauses and reports them; services listen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.monitor.services import Service, Session, serving, until
from tests.monitor_api.controls import ADMIN, READER, STRANGER, Control, controlled

from openaudiohook.protocol.events import AudioPaused, AudioResumed, LanguageUpdated

pytestmark = pytest.mark.integration

CALLS = "/api/v2/audiohook/calls"
EVENTS = "/api/v2/audiohook/events"


@asynccontextmanager
async def monitored(tmp_path: Path, **queue: Any) -> AsyncIterator[tuple[Control, Session, str]]:
    """A Monitor, one service, and a call that streams to it."""
    async with serving() as service, controlled(tmp_path) as control:
        await control.integrate(service.uri)
        conversation_id = await control.place(queueId=await queue_on(control, **queue))
        await until(lambda: call_sessions(service) and call_sessions(service)[0].frames)
        yield control, call_sessions(service)[0], conversation_id


async def queue_on(control: Control, **more: Any) -> str:
    body = {"name": "support", "enableAudioMonitoring": True, **more}
    return str((await control.ask("POST", "/api/v2/routing/queues", body))["id"])


def call_sessions(service: Service) -> list[Session]:
    """The sessions that are no probes."""
    return [one for one in service.sessions if one.events and not is_probe(one)]


def is_probe(session: Session) -> bool:
    return bool(getattr(session.events[0], "is_probe", False))


@pytest.mark.anyio
async def test_nothing_captured_after_the_position_of_a_secure_pause_leaves(tmp_path: Path) -> None:
    async with monitored(tmp_path) as (control, session, conversation_id):
        path = f"/api/v2/conversations/calls/{conversation_id}"
        answer = await control.ask("PATCH", path, {"recordingState": "PAUSED", "securePause": True})
        pause = answer["audiohook"]
        assert answer["recordingState"] == "PAUSED"
        assert answer["securePause"] is True
        assert pause["heldBy"] == ["api"]
        assert not any(pause["gone"].values())
        await until(lambda: session.seen(AudioPaused))
        end = session.frames[-1][0] + session.frames[-1][1]
        assert end <= pause["position"]
        assert (await control.ask("GET", path))["recordingState"] == "paused"

        resumed = await control.ask("PATCH", path, {"recordingState": "ACTIVE"})
        assert resumed["recordingState"] == "ACTIVE"
        assert resumed["audiohook"]["heldBy"] == []
        await until(lambda: session.seen(AudioResumed))
        count = len(session.frames)
        await until(lambda: len(session.frames) > count)
        assert session.frames[count][0] >= resumed["audiohook"]["position"]


@pytest.mark.anyio
async def test_a_pause_by_recordingstate_is_a_secure_one(tmp_path: Path) -> None:
    async with monitored(tmp_path) as (control, session, conversation_id):
        path = f"/api/v2/conversations/calls/{conversation_id}"
        answer = await control.client.put(
            f"{path}/recordingstate", json={"recordingState": "PAUSED"}
        )
        assert answer.json() == "PAUSED"
        assert int(answer.headers["Audiohook-Position"]) > 0
        assert (await control.ask("GET", path))["securePause"] is True
        await until(lambda: session.seen(AudioPaused))


@pytest.mark.anyio
async def test_a_pause_that_is_not_secure_is_a_clients(tmp_path: Path) -> None:
    async with monitored(tmp_path) as (control, session, conversation_id):
        path = f"/api/v2/conversations/calls/{conversation_id}"
        pause = {"recordingState": "PAUSED", "securePause": False}
        answer = await control.ask("PATCH", path, pause)
        assert (answer["recordingState"], answer["securePause"]) == ("PAUSED", False)
        await until(lambda: session.seen(AudioPaused))
        state = await control.ask("GET", f"{CALLS}/{conversation_id}")
        assert [(one["cause"], one["requester"]) for one in state["pauses"]] == [
            ("client", "client:admin")
        ]
        await control.ask("PATCH", path, {"recordingState": "ACTIVE"})
        await until(lambda: session.seen(AudioResumed))


@pytest.mark.anyio
async def test_a_pause_that_is_told_late_takes_back_what_still_waits(tmp_path: Path) -> None:
    async with monitored(tmp_path, holdBackMs=1000) as (control, _, conversation_id):
        at = (await control.ask("GET", f"{CALLS}/{conversation_id}"))["positionSamples"]
        answer = await control.ask(
            "PATCH",
            f"/api/v2/conversations/calls/{conversation_id}",
            {"recordingState": "PAUSED", "effectiveAt": at - 2000},
        )
        assert answer["audiohook"]["position"] == at - 2000
        assert not any(answer["audiohook"]["gone"].values())


@pytest.mark.anyio
async def test_a_flow_acts_on_a_call(tmp_path: Path) -> None:
    async with monitored(tmp_path) as (control, session, conversation_id):
        path = f"{CALLS}/{conversation_id}/flowactions"
        state = await control.ask("POST", path, {"action": "transcription", "enable": None})
        assert state["monitored"] is False
        await until(lambda: len(session.seen(AudioPaused)) == 1)
        state = await control.ask("POST", path, {"action": "audioMonitoring", "enable": True})
        assert state["monitored"] is True
        await until(lambda: len(session.seen(AudioResumed)) == 1)
        state = await control.ask(
            "POST", path, {"action": "secureFlow", "enable": True, "flow": "payment"}
        )
        assert state["securePaused"] is True
        assert state["audiohook"]["heldBy"] == ["flow"]
        assert state["audiohook"]["position"] > 0
        await until(lambda: len(session.seen(AudioPaused)) == 2)
        state = await control.ask(
            "POST", path, {"action": "secureFlow", "enable": False, "flow": "payment"}
        )
        assert state["securePaused"] is False
        state = await control.ask("POST", path, {"action": "setLanguage", "language": "de-DE"})
        assert state["language"] == "de-DE"
        await until(lambda: session.seen(LanguageUpdated))


@pytest.mark.anyio
async def test_a_call_that_has_just_ended_is_in_the_usage(tmp_path: Path) -> None:
    async with monitored(tmp_path) as (control, _, conversation_id):
        await control.ask("POST", f"{CALLS}/{conversation_id}/hangup")
        usage = await control.ask("GET", "/api/v2/audiohook/usage")
        (entry,) = usage["entities"]
        assert entry["conversationId"] == conversation_id
        assert entry["name"] == "one"
        assert entry["openSeconds"] == entry["chargeableSeconds"] > 0
        assert entry["pausedSeconds"] == {"secure": 0, "client": 0, "server": 0}
        assert set(entry["phases"]) == {"agent"}
        month = await control.ask("GET", f"/api/v2/audiohook/usage?month={entry['month']}")
        assert month == usage
        assert (await control.ask("GET", "/api/v2/audiohook/usage?month=2001-01"))["total"] == 0


@pytest.mark.parametrize(
    ("edge", "is_refused"),
    [("byoc-premises", True), ("ldm", True), ("elsewhere", True), ("byoc-cloud", False)],
)
@pytest.mark.anyio
async def test_a_call_on_a_refused_edge_begins_unmonitored_with_its_event(
    tmp_path: Path, edge: str, is_refused: bool
) -> None:
    async with serving() as service, controlled(tmp_path) as control:
        await control.integrate(service.uri)
        conversation_id = await control.place(
            queueId=await queue_on(control), edgeType=edge, source={"tone": 1}, speed=10
        )
        state = await control.ask("GET", f"{CALLS}/{conversation_id}")
        assert (state["refused"] is not None) is is_refused
        calls = control.platform._running
        await until(lambda: not calls)
        assert bool(call_sessions(service)) is not is_refused
        told = await control.ask("GET", f"{EVENTS}?conversationId={conversation_id}")
        assert [one["eventEntity"]["id"] for one in told["entities"]] == (
            ["AUDIOHOOK-0150"] if is_refused else []
        )
        if is_refused:
            assert edge in told["entities"][0]["text"]


@pytest.mark.anyio
async def test_a_source_that_is_attached_begins_another_part_as_it_was_held(tmp_path: Path) -> None:
    async with monitored(tmp_path) as (control, _, conversation_id):
        path = f"/api/v2/conversations/calls/{conversation_id}"
        await control.ask("PATCH", path, {"recordingState": "PAUSED"})
        state = await control.ask("POST", f"{CALLS}/{conversation_id}/source", {"tone": 60})
        assert state["part"] == 1
        assert state["securePaused"] is True
        again = await control.ask("PATCH", path, {"recordingState": "ACTIVE"})
        assert again["audiohook"]["part"] == 1
        assert again["recordingState"] == "ACTIVE"


@pytest.mark.anyio
async def test_what_is_active_is_listed(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control:
        ids = {await control.place() for _ in range(3)}
        for path in ("/api/v2/conversations", "/api/v2/conversations/calls"):
            page = await control.ask("GET", path)
            assert {each["id"] for each in page["entities"]} == ids
            assert page["total"] == 3
        nobody = await control.ask("GET", "/api/v2/conversations?communicationType=Chat")
        assert nobody["entities"] == []
        states = (await control.ask("GET", CALLS))["entities"]
        assert {each["conversationId"] for each in states} == ids
        for each in ids:
            path = f"/api/v2/conversations/calls/{each}"
            ended = await control.ask("PATCH", path, {"state": "disconnected"})
            assert ended["state"] == "disconnected"
        assert (await control.ask("GET", CALLS))["total"] == 0


@pytest.mark.anyio
async def test_who_did_what_is_in_the_audit(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control:
        conversation_id = await control.place()
        path = f"/api/v2/conversations/calls/{conversation_id}"
        await control.ask("PATCH", path, {"recordingState": "PAUSED"})
        audit = "/api/v2/audiohook/audit?requester=client:admin"
        told = (await control.ask("GET", audit))["entities"]
        assert [each["action"] for each in told] == ["call.placed", "pause.began"]
        assert {each["requester"] for each in told} == {"client:admin"}
        assert {each["entityId"] for each in told} == {conversation_id}
        assert told[1]["detail"]["cause"] == "secure"
        first = await control.ask("GET", f"{audit}&pageSize=1")
        assert first["entities"] == told[:1]
        second = await control.ask("GET", first["nextUri"])
        assert second["entities"] == told[1:]


@pytest.mark.anyio
async def test_how_far_a_service_is_shows_with_its_integration(tmp_path: Path) -> None:
    async with monitored(tmp_path) as (control, _, _):
        (listed,) = (await control.ask("GET", "/api/v2/integrations"))["entities"]
        assert listed["attributes"] == {}
        path = f"/api/v2/integrations/{listed['id']}"
        for _ in range(9):
            control.platform._round_trips.note(listed["id"], 412_500_000)
        shown = await control.ask("GET", path)
        assert shown["attributes"] == {"roundTripMs": "412.500", "distance": "slow"}
        assert shown["reportedState"]["code"] == "ACTIVE"
        assert "412 ms" in shown["reportedState"]["detail"]["message"]


@pytest.mark.anyio
async def test_a_queue_keeps_what_it_is_told(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control:
        wanted = {
            "name": "Support [1]?",
            "enableTranscription": True,
            "defaultMediaLanguage": "fr-CA",
            "holdBackMs": 500,
            "mediaSettings": {"call": {}},
        }
        created = await control.ask("POST", "/api/v2/routing/queues", wanted)
        path = f"/api/v2/routing/queues/{created['id']}"
        assert await control.ask("GET", path) == created
        assert created["enableAudioMonitoring"] is False
        assert {key: created[key] for key in wanted if key in created} == {
            key: value for key, value in wanted.items() if key != "mediaSettings"
        }
        for name, found in (("support*", 1), ("support [1]?", 1), ("support 1x", 0), ("*", 1)):
            page = await control.client.get("/api/v2/routing/queues", params={"name": name})
            assert page.json()["total"] == found, name
        answers = await asyncio.gather(
            *(control.client.put(path, json={"name": f"n {each}"}) for each in range(4))
        )
        assert [answer.status_code for answer in answers] == [200] * 4


# Events as they happen ------------------------------------------------------------------------


@asynccontextmanager
async def listening(
    control: Control, headers: dict[str, str] | None = None
) -> AsyncIterator[AsyncIterator[str]]:
    """The lines of a stream of events, once it has begun."""
    async with control.client.stream(
        "GET", EVENTS, headers={"Accept": "text/event-stream", **(headers or {})}
    ) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        assert (await anext(lines)).startswith(":")
        yield lines


async def next_event(lines: AsyncIterator[str]) -> dict[str, Any]:
    async with asyncio.timeout(20):
        async for line in lines:
            if line.startswith("data: "):
                return dict(json.loads(line.removeprefix("data: ")))
    raise AssertionError("the stream ended")


@pytest.mark.anyio
async def test_events_are_streamed_to_their_own_organization_only(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control:
        stranger = await control.login(STRANGER)
        async with listening(control) as mine, listening(control, stranger) as theirs:
            first = await control.place(edgeType="ldm")
            event = await next_event(mine)
            assert event["eventEntity"]["id"] == "AUDIOHOOK-0150"
            assert event["conversationId"] == first
            body = {"source": {"tone": 1}, "edgeType": "byoc-premises"}
            placed = await control.ask("POST", CALLS, body, headers=stranger)
            assert (await next_event(theirs))["conversationId"] == placed["conversationId"]
        told = await control.ask("GET", EVENTS)
        stored = told["entities"][0]
        assert {key: stored[key] for key in event} == event


@pytest.mark.anyio
async def test_a_stream_of_events_ends_with_the_server(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control, listening(control) as lines:
        async with asyncio.timeout(1.5):  # less than the server waits before it breaks off
            await control.server.close()
            assert [line async for line in lines if line] == []


@pytest.mark.anyio
async def test_a_stream_of_events_is_let_go_when_nobody_listens(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control:
        subscriptions = control.server._app.state.subscriptions
        async with httpx.AsyncClient(base_url=control.server.uri) as client:
            headers = {**await control.login(ADMIN), "Accept": "text/event-stream"}
            async with client.stream("GET", EVENTS, headers=headers) as answer:
                assert answer.is_success
                await until(lambda: subscriptions)
        await until(lambda: not subscriptions)


@pytest.mark.anyio
async def test_a_stream_of_events_needs_the_scope_for_it(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control:
        headers = {**await control.login(READER), "Accept": "text/event-stream"}
        assert (await control.client.get(EVENTS, headers=headers)).status_code == 403
