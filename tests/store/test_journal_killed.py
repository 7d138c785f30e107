"""Processes that are killed while they write, and disks that fill up: nothing told is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from openaudiohook.exceptions import JournalError
from openaudiohook.store.entries import PhaseBegan
from openaudiohook.store.journal import Journal
from openaudiohook.store.line_file import LineFile
from openaudiohook.store.positions import Positions

pytestmark = pytest.mark.integration

KEY = b"k" * 32

# Appends as fast as it can, syncs now and then, notes positions, and says what it has done.
WRITER = """
import asyncio, os, sys
from pathlib import Path
from openaudiohook.store.entries import PhaseBegan
from openaudiohook.store.journal import Journal
from openaudiohook.store.positions import Positions

async def main(directory):
    journal = Journal.open(directory / "journal", key=b"k" * 32, segment_bytes=20_000)
    positions = Positions.open(directory, file_bytes=10_000)
    number = journal.head.number
    while True:
        for _ in range(7):
            number = journal.append(
                PhaseBegan(
                    organization_id="o", utc_ns=number, conversation_id="c" * 3000,
                    at=number, phase="agent",
                )
            )
            positions.note({"s": ("o", "c", 0, "i", number), "gone": ("o", "c", 0, "i", 1)})
            os.write(1, b"%d\\n" % number)
        positions.forget("gone")
        await journal.sync()

asyncio.run(main(Path(sys.argv[1])))
"""


def killed_after(directory: Path, lines: int) -> int:
    """Run the writer, kill it in the middle of its work; return the last number it told."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline() for _ in range(lines)]
        writer.send_signal(signal.SIGKILL)
        told += writer.stdout.read().splitlines(keepends=True)
    assert writer.returncode == -signal.SIGKILL
    return int([line for line in told if line.endswith(b"\n")][-1])


def test_whenever_the_writer_is_killed_what_it_told_is_there(tmp_path: Path) -> None:
    chosen = random.Random(4)
    told = 0
    for _ in range(8):
        told = killed_after(tmp_path, chosen.randint(1, 60))
        journal = Journal.open(tmp_path / "journal", key=KEY)
        try:
            found = journal.verify(journal.head)
            assert found.is_intact
            assert found.rows == found.fitting == journal.head.number
            # One entry may be written and not told yet; a torn one was not.
            assert journal.head.number - told in (0, 1)
            entries = journal.read(limit=found.rows + 1)
            assert [number for number, _ in entries] == list(range(1, found.rows + 1))
        finally:
            journal.close()
        positions = Positions.open(tmp_path)
        try:
            assert positions.read()["s"].at - told in (0, 1)
        finally:
            positions.close()
    assert len(list((tmp_path / "journal").glob("journal-*"))) > 1


# Fills a disk, as far as a limit of the file's size is one, and then gets room again.
FILLING = """
import asyncio, resource, sys
from pathlib import Path
from openaudiohook.exceptions import JournalError
from openaudiohook.store.entries import PhaseBegan
from openaudiohook.store.journal import Journal
from openaudiohook.store.positions import Positions

def phase(at):
    return PhaseBegan(organization_id="o", utc_ns=at, conversation_id="c", at=at, phase="agent")

def room(octets):
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if octets is None else octets, hard))

directory = Path(sys.argv[1])
journal = Journal.open(directory / "journal", key=b"k" * 32)
positions = Positions.open(directory)
room(1_000)
written = noted = refused = 0
for at in range(20):
    try:
        written = journal.append(phase(at))
    except JournalError as error:
        assert str(error) == "the journal cannot be written: File too large", error
        refused += 1
    assert journal.head.number == written
    try:
        positions.note({"s": ("o", "c", 0, "i", at)})
        noted = at
    except JournalError as error:
        assert str(error) == "the positions cannot be written: File too large", error
    assert positions.read()["s"].at == noted
assert refused == 20 - written > 0
for path in (*journal.directory.glob("journal-*"), directory / "positions.jsonl"):
    data = path.read_bytes()
    assert data.endswith(b"\\n") and len(data) <= 1_000, path
asyncio.run(journal.sync())
room(None)
assert journal.append(phase(99)) == written + 1
positions.note({"s": ("o", "c", 0, "i", 99)})
asyncio.run(journal.sync())
found = journal.verify(journal.head)
assert found.is_intact and not found.torn and found.rows == written + 1, found
print("refused", refused)
"""


def test_a_full_disk_is_told_leaves_nothing_half_written_and_is_survived(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILLING, str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("refused ")


def test_what_cannot_be_taken_back_at_once_is_taken_back_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails twice: while it writes, and while the part is taken back."""
    file = LineFile(tmp_path / "lines")
    file.append(b"one\n")
    pwrite = os.pwrite

    def half(fd: int, data: bytes, offset: int) -> int:
        if offset > 4:
            raise OSError(28, "No space left on device")
        return pwrite(fd, data[:2], offset)

    def stuck(_fd: int, _size: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pwrite", half)
    monkeypatch.setattr(os, "ftruncate", stuck)
    with pytest.raises(OSError, match="No space left"):
        file.append(b"two and more\n")
    assert file.path.read_bytes() == b"one\ntw"
    monkeypatch.undo()
    file.append(b"3\n")
    file.close()
    assert file.path.read_bytes() == b"one\n3\n"


def test_a_file_that_cannot_be_cut_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="Invalid argument"):
        LineFile(tmp_path / "fifo", size=0)


def test_two_processes_never_write_one_journal(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal", key=KEY)
    journal.append(
        PhaseBegan(organization_id="o", utc_ns=0, conversation_id="c", at=0, phase="ivr")
    )
    refused = subprocess.run(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert refused.returncode == 1
    assert f"is written by process {os.getpid()}: stop that one first" in refused.stderr
    assert journal.verify(journal.head).is_intact
    journal.close()
    with pytest.raises(JournalError, match="the journal is closed"):
        journal.append(
            PhaseBegan(organization_id="o", utc_ns=0, conversation_id="c", at=0, phase="ivr")
        )
