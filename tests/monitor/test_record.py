"""What is written while the journal can be written, and what becomes of it while it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.monitor.platforms import full_disk

from openaudiohook.exceptions import JournalError
from openaudiohook.monitor import record as record_module
from openaudiohook.monitor.conversations import Conversations
from openaudiohook.monitor.record import Record
from openaudiohook.store.entries import Acted, CallBegan
from openaudiohook.store.journal import Journal

pytestmark = [pytest.mark.unit, pytest.mark.anyio]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal.open(tmp_path, key=bytes(32))
    yield journal
    journal.close()


def act(number: int) -> Acted:
    return Acted(
        organization_id="one",
        utc_ns=number,
        requester="monitor",
        action="queue.changed",
        entity_type="queue",
        entity_id=f"{number}",
    )


def written(journal: Journal) -> list[int]:
    return [entry.utc_ns for _, entry in journal.read()]


async def test_what_had_to_wait_is_written_first_and_in_order(journal: Journal) -> None:
    record = Record(journal, Conversations())
    assert record.note(act(1))
    with full_disk():
        assert not record.note(act(2))
        assert not record.note(act(3))
        with pytest.raises(JournalError):
            await record.sync()
        assert record.waiting == 2
    assert record.note(act(4))
    await record.sync()
    assert record.waiting == 0
    assert written(journal) == [1, 2, 3, 4]


async def test_what_is_insisted_on_is_written_now_or_never(journal: Journal) -> None:
    record = Record(journal, Conversations())
    with full_disk():
        record.note(act(1))
        with pytest.raises(JournalError):
            record.insist(act(2))
    record.insist(act(3))
    assert written(journal) == [1, 3]


async def test_what_is_noted_is_known_though_it_is_not_written(journal: Journal) -> None:
    record = Record(journal, Conversations())
    began = CallBegan(organization_id="one", utc_ns=1, conversation_id="call", edge="cloud")
    with full_disk():
        record.note(began)
        assert record.conversations.get("one", "call") is not None


async def test_what_is_too_much_to_wait_is_counted(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_module, "MOST_WAITING", 3)
    record = Record(journal, Conversations())
    with full_disk():
        for number in range(5):
            record.note(act(number))
    assert (record.waiting, record.unrecorded) == (3, 2)
    await record.sync()
    assert written(journal) == [0, 1, 2]
