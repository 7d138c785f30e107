"""The journal on disk: numbered, chained, read while written, durable together, one writer."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaudiohook.exceptions import JournalError
from openaudiohook.store import segments
from openaudiohook.store.chain import START, Finding
from openaudiohook.store.entries import Acted, Entry, PhaseBegan
from openaudiohook.store.journal import Head, Journal

pytestmark = [pytest.mark.unit, pytest.mark.anyio]

KEY = b"k" * 32
SMALL = 500  # octets of a segment: two or three entries


def phase(at: int) -> Entry:
    return PhaseBegan(organization_id="o", utc_ns=at, conversation_id="c", at=at, phase="agent")


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("journal-*.jsonl"))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def journal(directory: Path) -> Iterator[Journal]:
    journal = Journal.open(directory, key=KEY, segment_bytes=SMALL)
    yield journal
    journal.close()


async def written(journal: Journal, count: int) -> None:
    """Append so that segments fill up."""
    for at in range(count):
        journal.append(phase(at))
        await journal.sync()


def reopened(directory: Path) -> Journal:
    return Journal.open(directory, key=KEY, segment_bytes=SMALL)


# -- writing and reading --------------------------------------------------------------------


def test_entries_are_numbered_from_one_and_told(journal: Journal) -> None:
    told: list[int] = []
    journal.on_append.append(told.append)
    assert journal.head == START
    assert [journal.append(phase(at)) for at in range(3)] == [1, 2, 3] == told
    assert journal.head.number == 3


def test_an_entry_can_be_read_at_once(journal: Journal) -> None:
    journal.append(phase(7))
    assert journal.read() == [(1, phase(7))]
    assert journal.read(1) == []
    journal.append(phase(8))
    assert journal.read(1) == [(2, phase(8))]


async def test_reading_crosses_segments_in_batches(journal: Journal, directory: Path) -> None:
    await written(journal, 20)
    assert len(files(directory)) > 5
    found: list[tuple[int, Entry]] = []
    while batch := journal.read(len(found), limit=3):
        assert len(batch) <= 3
        found += batch
    assert found == [(at + 1, phase(at)) for at in range(20)]


async def test_reading_may_begin_anywhere(journal: Journal) -> None:
    await written(journal, 20)
    for after in (13, 0, 19, 5, 20, 4):
        assert [number for number, _ in journal.read(after)] == list(range(after + 1, 21))


async def test_a_journal_goes_on_where_it_ended(journal: Journal, directory: Path) -> None:
    await written(journal, 7)
    head = journal.head
    journal.close()
    again = reopened(directory)
    try:
        assert (again.head, again.torn) == (head, 0)
        assert again.append(phase(7)) == 8
        found = again.verify(head)
        assert (found.is_intact, found.rows, found.head) == (True, 8, again.head)
    finally:
        again.close()


async def test_a_segment_that_was_begun_and_not_used_goes_on(
    journal: Journal, directory: Path
) -> None:
    while files(directory)[-1].stat().st_size:
        await written(journal, 1)
    head = journal.head
    journal.close()
    again = reopened(directory)
    try:
        assert again.head == head
        again.append(phase(0))
        assert again.verify(head).is_intact
    finally:
        again.close()


async def test_a_segment_ends_only_when_all_of_it_is_durable(
    journal: Journal, directory: Path
) -> None:
    for at in range(30):
        journal.append(phase(at))
    assert len(files(directory)) == 1
    flush = asyncio.ensure_future(journal.sync())
    await asyncio.sleep(0)  # it has begun, for 30 entries
    journal.append(phase(30))
    await flush
    assert len(files(directory)) == 1
    await journal.sync()
    assert len(files(directory)) == 2


def test_nobody_but_its_owner_may_read_it(journal: Journal, directory: Path) -> None:
    journal.append(phase(0))
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


# -- durable --------------------------------------------------------------------------------


async def test_syncing_makes_the_head_durable(journal: Journal, directory: Path) -> None:
    journal.append(phase(0))
    assert segments.durable_head(directory) == START
    await journal.sync()
    assert segments.durable_head(directory) == journal.head


async def test_those_who_wait_share_the_disk(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (turns.append(fd), fsync(fd))[1])

    async def append_and_sync(at: int) -> None:
        journal.append(phase(at))
        await journal.sync()

    await asyncio.gather(*(append_and_sync(at) for at in range(100)))
    assert 1 <= len(turns) <= 3
    await journal.sync()  # nothing new: nothing to wait for
    assert len(turns) <= 3


async def test_a_waiter_that_gives_up_spoils_nothing(journal: Journal) -> None:
    journal.append(phase(0))
    waiting = asyncio.ensure_future(journal.sync())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await journal.sync()
    assert segments.durable_head(journal.directory) == journal.head


async def test_a_disk_that_refuses_is_told_to_everybody_who_waits(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(phase(0))
    await journal.sync()
    journal.append(phase(1))
    journal.append(phase(2))
    refusing(monkeypatch)
    outcomes = await asyncio.gather(*(journal.sync() for _ in range(3)), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == [
        "the journal cannot be put on disk: Input/output error"
    ] * 3
    journal.append(phase(3))  # writing goes on
    monkeypatch.undo()
    await journal.sync()
    assert segments.durable_head(journal.directory) == journal.head
    assert journal.verify(journal.head).rows == 4


async def test_after_a_refusal_what_the_disk_may_lack_is_written_again(
    journal: Journal, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(phase(0))
    await journal.sync()
    start = files(directory)[0].stat().st_size
    journal.append(phase(1))
    refusing(monkeypatch)
    with pytest.raises(JournalError):
        await journal.sync()
    monkeypatch.undo()
    rewritten: list[tuple[int, int]] = []
    pwrite = os.pwrite

    def noting(fd: int, data: bytes, offset: int) -> int:
        rewritten.append((offset, len(data)))
        return pwrite(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", noting)
    await journal.sync()
    assert rewritten[0] == (start, files(directory)[0].stat().st_size - start)


async def test_what_the_disk_lost_is_never_called_durable(
    journal: Journal, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(phase(0))
    refusing(monkeypatch)
    with pytest.raises(JournalError):
        await journal.sync()
    monkeypatch.undo()
    path = files(directory)[0]
    path.write_bytes(bytes(path.stat().st_size))
    for _ in range(2):
        with pytest.raises(JournalError, match="the disk lost what was written after entry 0"):
            await journal.sync()
    with pytest.raises(JournalError, match="the disk lost"):
        journal.close()


def refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk fail: no test can make a real one do that."""

    def fail(_fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)


# -- one writer -----------------------------------------------------------------------------


def test_a_second_writer_is_refused_by_name(journal: Journal, directory: Path) -> None:
    with pytest.raises(JournalError, match=f"is written by process {os.getpid()}: stop that one"):
        reopened(directory)
    journal.append(phase(0))
    assert journal.verify().is_intact


def test_closing_lets_another_one_write(journal: Journal, directory: Path) -> None:
    journal.close()
    journal.close()
    reopened(directory).close()


async def test_a_closed_journal_takes_nothing(journal: Journal) -> None:
    journal.append(phase(0))
    journal.close()
    with pytest.raises(JournalError, match="the journal is closed"):
        journal.append(phase(1))
    with pytest.raises(JournalError, match="the journal is closed"):
        await journal.sync()
    assert segments.durable_head(journal.directory) == journal.head  # by closing


def test_closing_tells_when_the_disk_refuses(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = reopened(directory)
    journal.append(phase(0))
    refusing(monkeypatch)
    with pytest.raises(JournalError, match="cannot be put on disk"):
        journal.close()
    monkeypatch.undo()
    reopened(directory).close()


@pytest.mark.parametrize("name", ["lock", "journal-0000000000000000001.jsonl"])
def test_a_file_that_cannot_be_used_is_told(name: str, directory: Path) -> None:
    (directory / name).mkdir(parents=True)
    with pytest.raises(JournalError, match=r"Is a directory"):
        reopened(directory)
    (directory / name).rmdir()
    reopened(directory).close()


def test_a_place_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=r"the journal in .*file.* cannot be opened: "):
        Journal.open(tmp_path / "file" / "journal", key=KEY)


# -- what is found when it is opened --------------------------------------------------------


async def test_a_torn_last_line_is_cut_off_and_told(
    journal: Journal, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await written(journal, 4)
    head = journal.head
    journal.close()
    with files(directory)[-1].open("ab") as file:
        file.write(b'{"number":5,"mac":"')
    assert segments.verify(directory, key=KEY).torn == 19
    again = reopened(directory)
    try:
        assert (again.head, again.torn) == (head, 19)
        assert "unfinished, 19 octets: cut off after entry 4" in caplog.text
        assert again.append(phase(4)) == 5
        assert again.verify(head).is_intact
    finally:
        again.close()


def test_a_tail_of_zeros_is_a_torn_line(journal: Journal, directory: Path) -> None:
    journal.append(phase(0))
    journal.close()
    with files(directory)[-1].open("ab") as file:
        file.write(bytes(4096))
    again = reopened(directory)
    assert (again.torn, again.head.number) == (4096, 1)
    again.close()


async def test_a_changed_end_is_refused(journal: Journal, directory: Path) -> None:
    await written(journal, 12)
    journal.close()
    path = files(directory)[-2]
    data = path.read_bytes()
    path.write_bytes(b'"queue"'.join(data.rsplit(b'"agent"', 1)))
    with pytest.raises(JournalError, match=r"is not what was written: entry \d+ was changed"):
        reopened(directory)
    path.write_bytes(data)
    reopened(directory).close()


def test_another_key_is_refused_and_told_from_tampering(journal: Journal, directory: Path) -> None:
    for at in range(3):
        journal.append(phase(at))
    journal.close()
    with pytest.raises(JournalError, match=r"no entry of the journal in .* fits the key"):
        Journal.open(directory, key=b"x" * 32)


async def test_a_journal_that_lost_durable_entries_is_refused(
    journal: Journal, directory: Path
) -> None:
    await written(journal, 8)
    journal.close()
    files(directory)[-2].unlink()
    files(directory)[-1].unlink()
    with pytest.raises(JournalError, match="was cut off"):
        reopened(directory)


def test_a_torn_end_before_an_empty_segment_is_refused(journal: Journal, directory: Path) -> None:
    journal.append(phase(0))
    journal.close()
    with files(directory)[0].open("ab") as file:
        file.write(b'{"num')
    segments.Segment.named(directory, 2).path.touch()
    with pytest.raises(JournalError, match="not the last one has a torn end"):
        reopened(directory)


@pytest.mark.parametrize("content", [b"?", b"\xff", b"12", b"1:00\n"])
def test_a_durable_head_that_is_none_is_refused(
    content: bytes, journal: Journal, directory: Path
) -> None:
    journal.close()
    (directory / "durable-head").write_bytes(content)
    with pytest.raises(JournalError, match="does not hold the head of a journal"):
        reopened(directory)


def test_a_durable_head_that_was_never_written_is_none(journal: Journal, directory: Path) -> None:
    journal.append(phase(0))
    journal.close()
    (directory / "durable-head").write_bytes(b"")
    again = reopened(directory)
    assert again.head.number == 1
    again.close()


# -- what is found when it is read or verified ----------------------------------------------


async def test_a_removed_segment_is_found(journal: Journal, directory: Path) -> None:
    await written(journal, 20)
    gone = files(directory)[2]
    rows = gone.read_bytes().count(b"\n")
    first = int(gone.stem.removeprefix("journal-"))
    gone.unlink()
    assert journal.verify().findings == (Finding("removed", first, first + rows - 1),)
    assert [number for number, _ in journal.read()] == list(range(1, first))
    with pytest.raises(JournalError, match=f"entry {first} of the journal is not in its place"):
        journal.read(first - 1)


async def test_a_removed_row_is_never_passed_over_in_silence(
    journal: Journal, directory: Path
) -> None:
    for at in range(5):
        journal.append(phase(at))
    path = files(directory)[0]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert [number for number, _ in journal.read()] == [1, 2]
    with pytest.raises(JournalError, match="entry 3 of the journal is not in its place"):
        journal.read(2)
    path.write_bytes(b"".join([*lines[:2], b"?\n", *lines[3:]]))
    with pytest.raises(JournalError, match="entry 3 of the journal is not in its place"):
        journal.read(2)


def test_a_line_that_is_being_written_is_read_when_it_is_whole(
    journal: Journal, directory: Path
) -> None:
    for at in range(2):
        journal.append(phase(at))
    path = files(directory)[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert [number for number, _ in journal.read()] == [1]
    path.write_bytes(whole)
    assert [number for number, _ in journal.read(1)] == [2]


def test_a_tail_that_was_cut_by_accident_shows_without_an_exported_head(
    journal: Journal, directory: Path
) -> None:
    for at in range(3):
        journal.append(phase(at))
    journal.close()
    path = files(directory)[0]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    assert segments.verify(directory, key=KEY).findings == (Finding("cut", 3, 3),)


def test_a_tail_cut_by_intent_shows_against_an_exported_head(
    journal: Journal, directory: Path
) -> None:
    for at in range(3):
        journal.append(phase(at))
    exported = Head.parse(str(journal.head))
    journal.close()
    path = files(directory)[0]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    (directory / "durable-head").unlink()
    assert segments.verify(directory, key=KEY).is_intact
    found = segments.verify(directory, key=KEY, head=exported)
    assert found.findings == (Finding("cut", 3, 3),)


def test_where_there_is_no_journal_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert segments.segments(tmp_path / "none") == []
    assert segments.Reader(tmp_path / "none").read() == []


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="the journal cannot be read: Not a directory"):
        segments.segments(tmp_path / "file")
    segments.Segment.named(tmp_path, 1).path.mkdir()
    with pytest.raises(JournalError, match="the journal cannot be read: Is a directory"):
        segments.Reader(tmp_path).read()
    with pytest.raises(JournalError, match="the journal cannot be read: Is a directory"):
        segments.verify(tmp_path, key=KEY)


# -- any history ----------------------------------------------------------------------------

STEPS = st.lists(st.sampled_from(["append", "sync", "close", "kill", "tear"]), max_size=40)


@settings(max_examples=60)
@given(STEPS)
def test_any_history_of_runs_is_one_chain(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    directory = tmp_path_factory.mktemp("history")
    expected: list[tuple[int, Entry]] = []
    with asyncio.Runner() as runner:
        journal = reopened(directory)
        for step in steps:
            if step == "append":
                entry = Acted(
                    organization_id="o", utc_ns=len(expected), requester="r", action="a",
                    entity_type="t", entity_id="e",
                )  # fmt: skip
                expected.append((journal.append(entry), entry))
            elif step == "sync":
                runner.run(journal.sync())
            else:
                if step == "close":
                    journal.close()
                else:
                    abandon(journal)
                if step == "tear":
                    with files(directory)[-1].open("ab") as file:
                        file.write(b'{"number":')
                journal = reopened(directory)
        found = journal.verify(journal.head)
        assert (found.is_intact, found.rows) == (True, len(expected))
        assert journal.read(limit=len(expected) + 1) == expected
        journal.close()


def abandon(journal: Journal) -> None:
    """Let go of the files as the kernel does for a process that was killed."""
    journal._thread.shutdown()
    journal._file.close()
    os.close(journal._lock)
    journal._is_open = False
