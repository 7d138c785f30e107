"""Every combination of queue, flow and action, on real calls over real connections."""

from __future__ import annotations

import asyncio

import pytest
from tests.monitor.observing import Notes, wire
from tests.monitor.precedence import END, FLOWS, ROWS, TIMES, Flow, Row, expected, paused, says
from tests.monitor.services import Service, Session, serving

from openaudiohook.monitor import Monitor
from openaudiohook.monitor.live_call import LiveCall
from openaudiohook.monitor.scenario import EnterQueue, FlowAction, Hangup, Play, Scenario, Step
from openaudiohook.monitor.sources.tone import Tone
from openaudiohook.protocol.events import OpenRequested
from openaudiohook.store.records import Queue

pytestmark = pytest.mark.integration

ORGANIZATION = "5b2f6c0e-8f5d-4a1b-b7a4-2d9c64f3a001"


def scenario(row: Row) -> Scenario:
    steps: list[Step] = [Play(at=0, source=Tone(samples=END + 100), channel="both")]
    if row.first is not None:
        steps.append(FlowAction(at=TIMES[0], action=row.first.action, enable=row.first.enable))
    queue = Queue(
        id="sales",
        organization_id=ORGANIZATION,
        name="sales",
        enable_audio_monitoring=row.monitoring,
        enable_transcription=row.transcription,
    )
    steps.append(EnterQueue(at=TIMES[1], queue=queue))
    if row.last is not None:
        steps.append(FlowAction(at=TIMES[2], action=row.last.action, enable=row.last.enable))
    return Scenario(steps=(*steps, Hangup(at=END)))


def audio(shown: list[tuple[str, int]]) -> bytes:
    """What may be on the wire: the tone from the first monitored sample on, pauses left out."""
    external, internal = Tone(samples=END).open().read(END)
    stereo = bytearray(2 * END)
    stereo[::2], stereo[1::2] = external, internal
    for start, end in reversed(paused(shown)):
        del stereo[2 * start : 2 * end]
    return bytes(stereo[2 * shown[0][1] :])


def session_of(service: Service, conversation_id: str) -> list[Session]:
    found = []
    for session in service.sessions:
        (opened,) = session.seen(OpenRequested)
        assert isinstance(opened, OpenRequested)
        if opened.parameters.conversation_id == conversation_id:
            found.append(session)
    return found


def test_the_table_has_every_combination() -> None:
    assert len(ROWS) == len(set(ROWS)) == 7 * 2 * 2 * 7
    assert {len(expected(row)) for row in ROWS} == {0, 2, 3, 4}


@pytest.mark.anyio
@pytest.mark.parametrize("first", FLOWS, ids=str)
async def test_the_wire_and_what_is_told_are_as_the_table_says(first: Flow | None) -> None:
    rows = [row for row in ROWS if row.first == first]
    assert len(rows) == 28
    async with serving() as service:
        monitor = Monitor()
        calls = []
        for row in rows:
            notes = Notes()
            live = LiveCall(
                monitor,
                scenario(row),
                organization_id=ORGANIZATION,
                conversation_id=monitor.new_id(),
                integrations=lambda: [service.config(integration_id="one")],
                observer=notes,
                speed=2,
            )
            calls.append((row, live, notes))
        await asyncio.gather(*(live.finished() for _, live, _ in calls))
        for row, live, notes in calls:
            check(row, session_of(service, live.conversation_id), notes)


def check(row: Row, sessions: list[Session], notes: Notes) -> None:
    shown = expected(row)
    assert notes.at("ended") == [END]
    if not shown:
        assert sessions == []
        assert notes.at("began") == notes.at("opened") == []
        return
    began = shown[0][1]
    (session,) = sessions
    assert wire(session, began) == shown
    assert bytes(session.audio) == audio(shown)
    # What is told is what was on the wire, to the sample.
    assert notes.at("began") == [began]
    assert notes.at("paused") == [at for what, at in shown if what == "paused"]
    assert notes.at("resumed") == [at for what, at in shown if what == "resumed"]
    assert notes.pauses(until=END) == paused(shown)
    (opened,) = notes.all("opened")
    assert opened.more == (str(session.session.session_id), began, True)
    assert began <= opened.at <= END
    (outcome,) = notes.outcomes
    held = sum(end - start for start, end in paused(shown))
    assert (outcome.start, outcome.end, outcome.opened_at) == (began, END, opened.at)
    assert (outcome.paused, outcome.discarded, outcome.lost) == (held, 0, 0)
    assert outcome.sent == len(session.audio) // 2 == END - began - held
    assert notes.failures == [None]
    switched = [(*one.more, one.at) for one in notes.all("switched")]
    assert switched == [
        *([(says(row.first), "flow", row.first.action, TIMES[0])] if row.first else []),
        (row.monitoring or row.transcription, "queue", None, TIMES[1]),
        *([(says(row.last), "flow", row.last.action, TIMES[2])] if row.last else []),
    ]
