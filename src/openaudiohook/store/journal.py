"""The journal: what happened, in order, on local disk, and chained so that changes show.

It is the truth that the database is a projection of. One process writes it; anybody who may read
the directory may read it meanwhile, through `segments`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Final, NamedTuple, Self

from openaudiohook.exceptions import JournalError
from openaudiohook.store import chain, segments
from openaudiohook.store.chain import Head, Verification
from openaudiohook.store.entries import Entry
from openaudiohook.store.line_file import LineFile, sync_directory
from openaudiohook.store.segments import Segment

__all__ = ["Head", "Journal", "Verification"]

_LOCK: Final = "lock"
_SEGMENT_BYTES: Final = 8 << 20

_log = logging.getLogger(__name__)


class _Durable(NamedTuple):
    """What is on disk: the journal's head then, and its last segment's size."""

    head: Head
    size: int


class Journal:
    """An append-only journal in a directory, written by this process alone.

    `append` hands an entry to the kernel, so that killing the process loses nothing; `sync` waits
    until the disk has it, together with whoever else waits. A segment is followed by another one
    once it is large enough and all of it is on disk, so that only the last one can have a torn
    end. All but `read` and `verify` belong to the event loop's thread.

    Attributes:
        directory: where its segments are.
        head: of the last entry; export it, to find a tail that is cut off later.
        torn: how many octets of a line that was never finished were cut off when it was opened.
        on_append: called with the number of each entry right after it was written; must not raise.
    """

    def __init__(self, directory: Path, *, key: bytes, segment_bytes: int, lock: int) -> None:
        """Use `open`."""
        self.directory = directory
        self.on_append: list[Callable[[int], None]] = []
        self._key = key
        self._segment_bytes = segment_bytes
        self._lock = lock
        self._reader = segments.Reader(directory)
        self._flush: asyncio.Future[_Durable] | None = None
        self._is_in_doubt = False
        self._is_open = True
        self._has_new_name = False
        self.head, self.torn, self._file = self._open_last()
        self._file.sync()
        sync_directory(directory)
        segments.write_durable_head(directory, self.head)
        self._durable = _Durable(self.head, self._file.size)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")

    @classmethod
    def open(cls, directory: Path, *, key: bytes, segment_bytes: int = _SEGMENT_BYTES) -> Self:
        """Open the journal of a directory to write it, or begin one there.

        The last two segments are checked, each entry against the one before it; `verify` checks
        the whole.

        Args:
            directory: made where it is not there, for its owner alone.
            key: the audit key.
            segment_bytes: how large a segment is when the next one begins.

        Raises:
            JournalError: another process writes it, it cannot be written, or its end is not what
                was written with this key.
        """
        lock = None
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = _take(directory)
            return cls(directory, key=key, segment_bytes=segment_bytes, lock=lock)
        except (OSError, JournalError) as error:
            if lock is not None:
                os.close(lock)
            if isinstance(error, JournalError):
                raise
            raise JournalError(
                f"the journal in {directory} cannot be opened: {error.strerror}"
            ) from None

    def append(self, entry: Entry) -> int:
        """Write an entry, without waiting for the disk, and return its number.

        Raises:
            JournalError: it cannot be written; the journal is as before, and the next one may do.
        """
        self._check_open()
        head, line = chain.link(self._key, self.head, chain.encode(entry))
        try:
            self._file.append(line)
        except OSError as error:
            raise JournalError(f"the journal cannot be written: {error.strerror}") from None
        self.head = head
        for tell in self.on_append:
            tell(head.number)
        return head.number

    async def sync(self) -> None:
        """Wait until the disk has everything appended so far.

        Whoever calls while the disk is at work waits for one more turn of it, together.

        Raises:
            JournalError: it has not; trying again may help.
        """
        wanted = self.head.number
        while self._durable.head.number < wanted:
            self._check_open()
            if self._flush is None:
                self._flush = asyncio.get_running_loop().run_in_executor(
                    self._thread, self._put_on_disk, _Durable(self.head, self._file.size)
                )
                self._flush.add_done_callback(self._flushed)
            try:
                await asyncio.shield(self._flush)
            except OSError as error:
                raise JournalError(f"the journal cannot be put on disk: {error.strerror}") from None
            if self._flush is not None and self._flush.done():
                await asyncio.sleep(0)  # waiting for what is done lets nobody else run

    def read(self, after: int = 0, limit: int = 1000) -> list[tuple[int, Entry]]:
        """Return at most `limit` entries that follow the one numbered `after`, from disk.

        Going on from where the last call stopped costs nothing. One thread at a time, any thread.

        Raises:
            JournalError: it cannot be read, or an entry is not in its place.
        """
        return self._reader.read(after, limit)

    def identity(self) -> str | None:
        """Return what tells this journal from every other one; None while it is empty.

        Raises:
            JournalError: it cannot be read.
        """
        return segments.identity(self.directory)

    def verify(self, head: Head | None = None) -> Verification:
        """Check all of it, against a head that was exported where there is one; any thread.

        Raises:
            JournalError: it cannot be read.
        """
        return segments.verify(self.directory, key=self._key, head=head)

    def close(self) -> None:
        """Put it on disk, and let another process write it; more than once does no harm.

        Raises:
            JournalError: the disk refused; it is closed nevertheless.
        """
        if not self._is_open:
            return
        self._is_open = False
        self._thread.shutdown()
        try:
            self._put_on_disk(_Durable(self.head, self._file.size))
        except OSError as error:
            raise JournalError(f"the journal cannot be put on disk: {error.strerror}") from None
        finally:
            self._file.close()
            os.close(self._lock)

    def _check_open(self) -> None:
        if not self._is_open:
            raise JournalError("the journal is closed")

    def _open_last(self) -> tuple[Head, int, LineFile]:
        """Check the end of what is there, and open the file that goes on."""
        files = segments.segments(self.directory)
        durable = segments.durable_head(self.directory)
        tail = files[-2:]
        found = segments.check(
            tail, key=self._key, after=chain.START if tail == files else None, heads=[durable]
        )
        if not found.is_intact:
            raise JournalError(_refusal(self.directory, found))
        if not files:
            return found.head, 0, LineFile(Segment.named(self.directory, 1).path, size=0)
        path = files[-1].path
        size = path.stat().st_size - found.torn
        if size < 0:
            raise JournalError(
                f"a file of the journal that is not the last one has a torn end: {path.parent}"
            )
        if found.torn:
            _log.warning(
                "the journal's last line was unfinished, %d octets: cut off after entry %d",
                found.torn, found.head.number,
            )  # fmt: skip
        return found.head, found.torn, LineFile(path, size=size)

    def _put_on_disk(self, until: _Durable) -> _Durable:
        """Wait for the disk, in a thread of its own; return what it has."""
        if self._is_in_doubt:
            self._write_again(until)
        self._file.sync()
        if self._has_new_name:
            sync_directory(self.directory)
        with contextlib.suppress(OSError):  # an older one does as well
            segments.write_durable_head(self.directory, until.head)
        return until

    def _flushed(self, flush: asyncio.Future[_Durable]) -> None:
        """The disk is done, or has refused: back on the loop."""
        self._flush = None
        self._is_in_doubt = flush.exception() is not None
        if self._is_in_doubt:
            return
        self._has_new_name = False
        self._durable = flush.result()
        is_all = self._durable.head == self.head
        if self._is_open and is_all and self._file.size >= self._segment_bytes:
            with contextlib.suppress(OSError):  # then this segment grows a little larger
                self._begin_segment()

    def _begin_segment(self) -> None:
        path = Segment.named(self.directory, self.head.number + 1).path
        file = LineFile(path, size=0)
        self._file.close()
        self._file = file
        self._durable = _Durable(self.head, 0)
        self._has_new_name = True

    def _write_again(self, until: _Durable) -> None:
        """Write again what the disk may lack, from what the kernel still has.

        A kernel that failed to write back may take its pages for written from then on, so that
        the next wait for the disk would succeed and mean nothing.
        """
        data = self._file.read(self._durable.size, until.size)
        found = chain.verify(BytesIO(data), key=self._key, after=self._durable.head)
        if found.head != until.head or not found.is_intact:
            raise JournalError(
                f"the disk lost what was written after entry {self._durable.head.number}"
            )
        self._file.rewrite(data, self._durable.size)


def _take(directory: Path) -> int:
    """Lock a journal for this process, and return the lock."""
    lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "of unknown number"
        os.close(lock)
        raise JournalError(
            f"the journal in {directory} is written by process {holder}: stop that one first, or "
            "use another state directory"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _refusal(directory: Path, found: Verification) -> str:
    if found.rows and not found.fitting:
        return f"no entry of the journal in {directory} fits the key: it is another Monitor's"
    finding = found.findings[0]
    done = "cut off" if finding.kind == "cut" else finding.kind
    return (
        f"the journal in {directory} is not what was written: entry {finding.first} was {done}; "
        "`openaudiohook audit verify` tells more"
    )
