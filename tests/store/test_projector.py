"""The journal is copied into the database in order and exactly once, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update
from tests.support.histories import ORGANIZATIONS, history, interleaved, recomputed
from tests.support.postgresql import PostgreSQL

from openaudiohook.exceptions import JournalError, NotFound
from openaudiohook.monitor.usage import read_usage
from openaudiohook.protocol.types import PauseCause
from openaudiohook.store import ledger as ledger_module
from openaudiohook.store.database import Database
from openaudiohook.store.entries import (
    Acted,
    CallBegan,
    CallEnded,
    Entry,
    EventRaised,
    MonitoringSwitched,
    PauseBegan,
    PauseEnded,
)
from openaudiohook.store.events import Audit, Events
from openaudiohook.store.integrations import Integrations
from openaudiohook.store.journal import Journal
from openaudiohook.store.ledger import Ledger
from openaudiohook.store.projector import Projector
from openaudiohook.store.tables import calls, entries, projection

pytestmark = pytest.mark.integration

KEY = bytes(32)


@contextlib.asynccontextmanager
async def projecting(projector: Projector) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(projector.run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.open(tmp_path / "journal", key=KEY)


class Taken:
    """Takes a database away from those who use it, and gives it back."""

    def __init__(self, database: Database, server: PostgreSQL | None) -> None:
        self._path = database.address.path
        self._server = server
        self._lock: sqlite3.Connection | None = None

    async def away(self) -> None:
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)
        else:
            assert self._path is not None
            self._lock = sqlite3.connect(self._path, isolation_level=None, timeout=10)
            self._lock.execute("BEGIN EXCLUSIVE")

    async def back(self) -> None:
        if self._server is not None:
            await asyncio.to_thread(self._server.start)
        else:
            assert self._lock is not None
            self._lock.close()


@pytest.fixture
def taking(engine: str, request: pytest.FixtureRequest) -> Callable[[Database], Taken]:
    server = request.getfixturevalue("postgresql") if engine == "postgresql" else None
    return lambda database: Taken(database, server)


@pytest.mark.anyio
@pytest.mark.timeout(600)
async def test_a_thousand_histories_come_to_what_they_are_though_the_database_was_away(
    url: str, journal: Journal, taking: Callable[[Database], Taken]
) -> None:
    told = interleaved([history(seed) for seed in range(1000)], seed=7, at_once=30)
    third = len(told) // 3
    database = await Database.open(url, busy_timeout_ms=50)
    database_is = taking(database)

    projector = Projector(journal, database)
    async with projecting(projector):
        for entry in told[:third]:
            journal.append(entry)
        assert await projector.caught_up(100, timeout_s=120)
        await database_is.away()  # in the middle of the copy
        for entry in told[third : 2 * third]:
            journal.append(entry)
        assert not await projector.caught_up(timeout_s=0.5)
        assert projector.is_away
        await database_is.back()
        assert await projector.caught_up(projector.number + 1000, timeout_s=120)
    assert 0 < projector.lag < len(told)  # cut off in the middle; another one goes on

    second = Projector(journal, database, batch=77)
    async with projecting(second):
        for entry in told[2 * third :]:
            journal.append(entry)
        assert await second.caught_up(timeout_s=300)
    assert (second.lag, second.is_away) == (0, False)

    async with database.reading() as connection:
        numbers = (await connection.scalars(select(entries.c.number).order_by("number"))).all()
    assert numbers == list(range(1, len(told) + 1))
    for free in ({"secure", "client"}, {"secure", "client", "server"}):
        expected = recomputed(told, free=free)
        found = {}
        for organization in ORGANIZATIONS:
            rows = await read_usage(
                Ledger(database),
                Integrations(database),
                organization,
                free_pauses={PauseCause(cause) for cause in free},
            )
            for row in rows:
                found[organization, row.month, row.conversation_id, row.integration_id] = {
                    phase: {
                        "open": usage.open_ns,
                        **usage.paused_ns,
                        "chargeable": usage.chargeable_ns,
                    }
                    for phase, usage in row.phases.items()
                }
        assert found == expected
        assert len(found) > 1000
        assert sum(sums["chargeable"] for each in found.values() for sums in each.values()) > 0
    await database.close()
    journal.close()


@pytest.mark.anyio
async def test_an_append_wakes_the_projector(url: str, journal: Journal) -> None:
    database = await Database.open(url)
    projector = Projector(journal, database)
    async with projecting(projector):
        for seed in range(3):
            for entry in history(seed):
                journal.append(entry)
            assert await projector.caught_up(timeout_s=20)
    assert journal.on_append == []
    await database.close()
    journal.close()


@pytest.mark.anyio
async def test_a_commit_that_nobody_heard_of_is_not_repeated(url: str, journal: Journal) -> None:
    database = await Database.open(url)
    told = history(3)
    for entry in told:
        journal.append(entry)
    first, second = Projector(journal, database, batch=2), Projector(journal, database, batch=3)
    async with projecting(first), projecting(second):  # each sees the other's commits as its own
        assert await first.caught_up(timeout_s=20)
        assert await second.caught_up(timeout_s=20)
    async with database.reading() as connection:
        assert await connection.scalar(select(func.count()).select_from(entries)) == len(told)
    await database.close()
    journal.close()


@pytest.mark.anyio
async def test_another_journals_database_is_refused(url: str, journal: Journal) -> None:
    database = await Database.open(url)
    async with database.writing() as connection:
        await connection.execute(update(projection).values(number=5))
    with pytest.raises(JournalError, match="up to 5, and the journal ends with 0: it is another"):
        await Projector(journal, database).run()
    await database.close()
    journal.close()


@pytest.mark.anyio
async def test_a_second_monitor_on_a_database_is_refused_and_harms_nobody(
    url: str, journal: Journal, tmp_path: Path
) -> None:
    def event(text: str) -> EventRaised:
        return EventRaised(
            organization_id="o", utc_ns=1, event_id="AUDIOHOOK-0001", entity_type="monitor",
            entity_id="monitor", entity_name="Monitor", text=text,
        )  # fmt: skip

    database = await Database.open(url)
    first = Projector(journal, database)
    other = Journal.open(tmp_path / "other", key=KEY)
    second = Projector(other, database)
    running = asyncio.create_task(second.run())
    async with projecting(first):
        journal.append(event("first"))
        assert await first.caught_up()
        for _ in range(3):  # it is longer than the first one by now
            other.append(event("second"))
        with pytest.raises(JournalError, match="holds the entries of another journal"):
            await running
        journal.append(event("first"))
        assert await first.caught_up()
    page = await Events(database).page("o")
    assert [raised.text for _, raised in page] == ["first", "first"]
    await database.close()
    journal.close()
    other.close()


async def projected(url: str, journal: Journal, told: list[Entry]) -> Database:
    database = await Database.open(url)
    for entry in told:
        journal.append(entry)
    projector = Projector(journal, database)
    async with projecting(projector):
        assert await projector.caught_up(timeout_s=20)
    journal.close()
    return database


@pytest.mark.anyio
async def test_a_part_begins_under_the_reasons_that_were_held(url: str, journal: Journal) -> None:
    call = {"organization_id": "o", "conversation_id": "c", "utc_ns": 1}
    flow = {"cause": "secure", "reason": "flow", "requester": "flow:card"}
    api = {"cause": "secure", "reason": "api", "requester": "client:crm"}
    off = {"cause": "client", "reason": "monitoring", "requester": "configuration"}
    database = await projected(
        url,
        journal,
        [
            CallBegan(**call, edge="cloud"),
            PauseBegan(**call, at=10, **flow, gone={"i": 3}),
            PauseBegan(**call, at=15, **flow),
            PauseBegan(**call, at=20, **api),
            PauseBegan(**call, at=20, **off),
            CallEnded(**call, at=30, reason="lost"),
            PauseEnded(**call, at=30, **api),
            CallBegan(**call, part=1, edge="cloud"),
            PauseBegan(**call, part=1, **flow),
            PauseEnded(**call, part=1, at=7, **flow),
        ],
    )
    first, second = (await Ledger(database).conversation("o", "c")).parts
    assert [(each.reason, each.start, each.end) for each in first.pauses] == [
        ("flow", 10, None),
        ("api", 20, 30),
        ("monitoring", 20, None),
    ]
    assert [(each.reason, each.start, each.end) for each in second.pauses] == [("flow", 0, 7)]
    await database.close()


@pytest.mark.anyio
async def test_a_nul_in_a_text_does_not_stop_the_copy(url: str, journal: Journal) -> None:
    call = {"organization_id": "o", "conversation_id": "c", "utc_ns": 1}
    flow = {"cause": "secure", "reason": "flow", "requester": "flow:a\0b"}
    told = [
        CallBegan(**call, edge="cloud"),
        PauseBegan(**call, at=10, **flow),
        PauseEnded(**call, at=30, **flow),
    ]
    database = await projected(url, journal, told)
    record = await Ledger(database).conversation("o", "c")
    ((pause,),) = (part.pauses for part in record.parts)
    assert (pause.requester, pause.start, pause.end) == ("flow:a\N{REPLACEMENT CHARACTER}b", 10, 30)
    assert [entry for _, entry in record.entries] == told
    await database.close()


@pytest.mark.anyio
async def test_a_conversation_tells_all_there_is(url: str, journal: Journal) -> None:
    told = history(12)
    others = history(13)
    event = EventRaised(
        organization_id=told[0].organization_id,
        utc_ns=5,
        event_id="AUDIOHOOK-0002",
        entity_type="integration",
        entity_id="integration-0",
        entity_name="Recorder",
        conversation_id="conversation-6",
        text="The connection timed out.",
    )
    database = await projected(url, journal, [*told, *others, event])
    record = await Ledger(database).conversation(told[0].organization_id, "conversation-6")
    assert [entry for _, entry in record.entries] == [*told, event]
    ended = [entry for entry in told if isinstance(entry, CallEnded)]
    assert [part.ended_at for part in record.parts if part.end_reason] == [e.at for e in ended]
    with pytest.raises(NotFound, match="no conversation 'conversation-6'"):
        await Ledger(database).conversation("three", "conversation-6")
    await database.close()


@pytest.mark.anyio
async def test_parts_come_in_pages_and_by_month(
    url: str, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await projected(
        url, journal, [entry for seed in range(0, 40, 2) for entry in history(seed)]
    )
    ledger = Ledger(database)
    everything = [part async for part in ledger.parts("one")]
    assert [part async for part in ledger.parts("two")] == []
    monkeypatch.setattr(ledger_module, "_PAGE", 3)
    assert [part async for part in ledger.parts("one")] == everything
    months = [f"2026-{month:02}" for month in range(8, 13)]
    by_month = [part for month in months async for part in ledger.parts("one", month=month)]
    assert by_month == everything
    async with database.reading() as connection:
        assert len(everything) == await connection.scalar(select(func.count()).select_from(calls))
    await database.close()


@pytest.mark.anyio
async def test_events_and_audit_are_read_in_pages(url: str, journal: Journal) -> None:
    def event(number: int, **values: str) -> EventRaised:
        return EventRaised(
            organization_id="one",
            utc_ns=number,
            event_id="AUDIOHOOK-0001",
            entity_type="integration",
            entity_name="Recorder",
            text="The URI is invalid.",
            **{"entity_id": "i", **values},
        )

    acted = Acted(
        organization_id="one",
        utc_ns=1,
        requester="client:crm",
        action="integration.created",
        entity_type="integration",
        entity_id="i",
    )
    call = {"organization_id": "one", "conversation_id": "c", "utc_ns": 2}
    placed = Acted(
        **{k: v for k, v in call.items() if k != "conversation_id"},
        requester="client:crm",
        action="call.placed",
        entity_type="call",
        entity_id="c",
    )
    switched = MonitoringSwitched(**call, on=True, by="queue")
    elsewhere = Acted(
        organization_id="two",
        utc_ns=1,
        requester="client:crm",
        action="queue.created",
        entity_type="queue",
        entity_id="q",
    )
    told = [event(1), acted, event(3, conversation_id="c"), placed, switched, elsewhere]
    told.append(event(7, entity_id="j"))
    database = await projected(url, journal, told)
    events, audit = Events(database), Audit(database)
    assert await events.page("one") == [(1, told[0]), (3, told[2]), (7, told[6])]
    assert await events.page("one", after=1, limit=1) == [(3, told[2])]
    assert await events.page("one", conversation_id="c") == [(3, told[2])]
    assert await events.page("one", entity_id="j") == [(7, told[6])]
    assert await events.page("two") == []
    assert await audit.page("one") == [(2, acted), (4, placed), (5, switched)]
    assert await audit.page("one", after=2, limit=1) == [(4, placed)]
    assert await audit.page("one", requester="client:crm") == [(2, acted), (4, placed)]
    assert await audit.page("one", conversation_id="c") == [(4, placed), (5, switched)]
    assert await audit.page("one", entity_id="i") == [(2, acted)]
    assert await audit.page("two") == [(6, elsewhere)]
    await database.close()


@pytest.mark.anyio
async def test_a_table_that_is_gone_delays_the_copy_until_it_is_back(
    url: str, journal: Journal
) -> None:
    database = await Database.open(url)
    async with database.writing() as connection:
        await connection.execute(text("ALTER TABLE calls RENAME TO gone"))
    for entry in history(5):
        journal.append(entry)
    projector = Projector(journal, database)
    async with projecting(projector):
        assert not await projector.caught_up(timeout_s=0.3)
        assert projector.number == 0  # nothing of a batch without all of it
        async with database.writing() as connection:
            await connection.execute(text("ALTER TABLE gone RENAME TO calls"))
        assert await projector.caught_up(timeout_s=20)
    await database.close()
    journal.close()
