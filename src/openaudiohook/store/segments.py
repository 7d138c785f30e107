"""The files of a journal, for whoever reads them: the writer, a projector, an auditor.

A journal is a directory of segments, `journal-<number of its first entry>.jsonl`. A segment is
never touched again once there is a later one. Reading takes no lock and disturbs no writer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from openaudiohook.exceptions import ConfigurationError, JournalError
from openaudiohook.store import chain
from openaudiohook.store.entries import Entry

__all__ = [
    "Reader",
    "Segment",
    "check",
    "durable_head",
    "identity",
    "segments",
    "verify",
    "write_durable_head",
]

_SEGMENT: Final = re.compile(r"journal-([0-9]{19})\.jsonl", re.ASCII)
_DURABLE: Final = "durable-head"


class Segment(NamedTuple):
    """One file of a journal; `first` is the number of its first entry."""

    first: int
    path: Path

    @classmethod
    def named(cls, directory: Path, first: int) -> Segment:
        """Say where the segment that begins with entry `first` is."""
        return cls(first, directory / f"journal-{first:019d}.jsonl")

    def lines(self, offset: int = 0) -> Iterator[bytes]:
        """Read the lines from an offset on; the last one may be torn."""
        with self.path.open("rb") as file:
            file.seek(offset)
            yield from file


def segments(directory: Path) -> list[Segment]:
    """List the segments in their order; none where there is no journal.

    Raises:
        JournalError: the directory cannot be read.
    """
    try:
        return sorted(
            Segment(int(match[1]), path)
            for path in directory.iterdir()
            if (match := _SEGMENT.fullmatch(path.name))
        )
    except FileNotFoundError:
        return []
    except OSError as error:
        raise JournalError(f"the journal cannot be read: {error.strerror}") from None


def identity(directory: Path) -> str | None:
    """Return what tells a journal from every other one: the mac of its first entry, once it has it.

    Raises:
        JournalError: it cannot be read.
    """
    for segment in segments(directory)[:1]:
        try:
            row = chain.parse_row(next(segment.lines(), b""))
        except OSError as error:
            raise JournalError(f"the journal cannot be read: {error.strerror}") from None
        return None if row is None else row.mac
    return None


def durable_head(directory: Path) -> chain.Head:
    """Return the head that was the last one known to be on disk.

    It finds what accidents do to a journal, such as a restored copy that lacks its end. Against
    intent it is no help, since it lies beside the journal: that takes a head kept elsewhere.

    Raises:
        JournalError: the file that holds it cannot be read, or holds something else.
    """
    path = directory / _DURABLE
    try:
        text = path.read_text("ascii")
    except FileNotFoundError:
        return chain.START
    except (OSError, UnicodeDecodeError):
        text = "?"
    if not text:  # the machine stopped before anything was in it
        return chain.START
    try:
        return chain.Head.parse(text)
    except ConfigurationError:
        raise JournalError(f"{path} does not hold the head of a journal: it was changed") from None


def write_durable_head(directory: Path, head: chain.Head) -> None:
    """Keep the head that is on disk by now; whoever reads meanwhile sees the old one or this.

    Raises:
        OSError: it cannot be written; the old one stays.
    """
    path = directory / _DURABLE
    unfinished = path.with_suffix(".new")
    fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "w", encoding="ascii") as file:  # noqa: PTH123 - a descriptor
        file.write(f"{head}\n")
    unfinished.replace(path)


def verify(directory: Path, *, key: bytes, head: chain.Head | None = None) -> chain.Verification:
    """Check a whole journal, also one that is being written.

    Args:
        directory: of the journal.
        key: the audit key.
        head: one that was exported, where there is one; without it nobody can tell whether
            somebody cut off the tail.

    Raises:
        JournalError: it cannot be read.
    """
    # In this order: what is durable by now is in the segments listed after.
    heads = [durable_head(directory), *([] if head is None else [head])]
    return check(segments(directory), key=key, after=chain.START, heads=heads)


def check(
    files: Sequence[Segment],
    *,
    key: bytes,
    after: chain.Head | None,
    heads: Sequence[chain.Head] = (),
) -> chain.Verification:
    """Check some segments that follow each other; see `chain.verify`."""
    lines = (line for segment in files for line in segment.lines())
    try:
        return chain.verify(lines, key=key, after=after, heads=heads)
    except OSError as error:
        raise JournalError(f"the journal cannot be read: {error.strerror}") from None


class Reader:
    """Reads a journal in order, from wherever; going on from where it stopped costs nothing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._at = (0, 0, 0)  # the last entry read, its segment's first, the offset after it

    def read(self, after: int = 0, limit: int = 1000) -> list[tuple[int, Entry]]:
        """Return at most `limit` entries that follow the one numbered `after`.

        A reader is for one thread at a time, any thread; it reads files, and so may block.

        Raises:
            JournalError: the journal cannot be read, or lacks an entry that should follow.
        """
        found: list[tuple[int, Entry]] = []
        # Listed before anything is read: the end of all but the last of these is final.
        files = segments(self._directory)
        begin = max((i for i, file in enumerate(files) if file.first <= after + 1), default=0)
        for file in files[begin:]:
            resumes = self._at[:2] == (after, file.first)
            offset = self._at[2] if resumes else 0
            try:
                for line in file.lines(offset):
                    if not line.endswith(b"\n"):  # it is still being written
                        break
                    offset += len(line)
                    row = chain.parse_row(line)
                    if row is not None and row.number <= after and not found:
                        continue
                    expected = after + len(found) + 1
                    if row is None or row.number != expected:
                        if found:  # those first; whoever goes on is told
                            return found
                        raise JournalError(
                            f"entry {expected} of the journal is not in its place: "
                            "`openaudiohook audit verify` tells more"
                        )
                    found.append((row.number, chain.decode(row)))
                    self._at = (row.number, file.first, offset)
                    if len(found) == limit:
                        return found
            except OSError as error:
                raise JournalError(f"the journal cannot be read: {error.strerror}") from None
        return found
