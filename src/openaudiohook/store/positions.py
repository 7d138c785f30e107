"""How far live sessions have come, noted each second: what a crash would otherwise take along.

The journal tells when a session opens and ends. Where the process dies between the two, the last
checkpoint says how far it had come. A file of bounded size, one line for each note, rewritten from
time to time; unlike the journal it is not chained, since nothing is owed on its word alone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple, Self

import msgspec

from openaudiohook.exceptions import JournalError
from openaudiohook.store.line_file import LineFile, sync_directory

__all__ = ["Position", "Positions"]

_NAME: Final = "positions.jsonl"
_FILE_BYTES: Final = 4 << 20


class Position(NamedTuple):
    """How far a session had come.

    Attributes:
        part: of the conversation's timelines, counted from 0.
        at: the sample of call time that was live.
        paused: where its endpoint had it paused, as far as the journal does not say so yet.
    """

    organization_id: str
    conversation_id: str
    part: int
    integration_id: str
    at: int
    paused: tuple[tuple[int, int], ...] = ()


class _Line(msgspec.Struct, omit_defaults=True):
    """One line: what is noted anew, and what is forgotten."""

    note: dict[str, Position] = {}
    forget: tuple[str, ...] = ()


_decoder: Final = msgspec.json.Decoder(_Line)


class Positions:
    """The latest position of each session that is neither ended nor forgotten.

    The kernel has a note when `note` returns, so that killing the process loses nothing; `sync`
    puts them on disk, for the end of the machine. The file never grows beyond twice the larger of
    `file_bytes` and what the live sessions need.
    """

    def __init__(self, directory: Path, *, file_bytes: int = _FILE_BYTES) -> None:
        """Use `open`."""
        self._directory = directory
        self._path = directory / _NAME
        self._limit = self._file_bytes = file_bytes
        self._latest, size = _load(self._path)
        self._file = LineFile(self._path, size=size)

    @classmethod
    def open(cls, directory: Path, *, file_bytes: int = _FILE_BYTES) -> Self:
        """Open the checkpoints of a directory, or begin some; its journal's lock guards them.

        Args:
            directory: made where it is not there, for its owner alone.
            file_bytes: how large the file may grow before it is written anew.

        Raises:
            JournalError: they cannot be read or written.
        """
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return cls(directory, file_bytes=file_bytes)
        except OSError as error:
            raise JournalError(
                f"the positions in {directory} cannot be opened: {error.strerror}"
            ) from None

    def note(self, positions: Mapping[str, Position | tuple[str, str, int, str, int]]) -> None:
        """Note how far sessions have come, by session id; those left out stay as they are.

        Raises:
            JournalError: it cannot be written; what was noted before stays.
        """
        noted = {session: Position(*position) for session, position in positions.items()}
        if noted:
            self._write(_Line(note=noted))
            self._latest.update(noted)

    def forget(self, session_id: str) -> None:
        """Leave out a session from now on: the journal has its end. An unknown one is no error.

        Raises:
            JournalError: it cannot be written; the session stays.
        """
        if session_id in self._latest:
            self._write(_Line(forget=(session_id,)))
            del self._latest[session_id]

    def read(self) -> dict[str, Position]:
        """Return the latest position of each session by its id, those of an earlier run too."""
        return dict(self._latest)

    async def sync(self) -> None:
        """Wait until the disk has what was noted so far.

        Raises:
            JournalError: it has not.
        """
        try:
            await asyncio.to_thread(_sync, self._path)
        except OSError as error:
            raise JournalError(f"the positions cannot be put on disk: {error.strerror}") from None

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _write(self, line: _Line) -> None:
        try:
            if self._file.size > self._limit:
                self._write_anew()
            self._file.append(msgspec.json.encode(line) + b"\n")
        except OSError as error:
            raise JournalError(f"the positions cannot be written: {error.strerror}") from None

    def _write_anew(self) -> None:
        """Replace the file by one line; whenever we are killed, one of the two is there."""
        unfinished = self._path.with_suffix(".new")
        file = LineFile(unfinished, size=0)
        try:
            file.append(msgspec.json.encode(_Line(note=self._latest)) + b"\n")
            unfinished.replace(self._path)
        except OSError:
            file.close()
            raise
        self._file.close()
        self._file = file
        self._limit = max(self._file_bytes, 2 * file.size)


def _load(path: Path) -> tuple[dict[str, Position], int]:
    """Read what was noted, and how many octets of it are whole lines."""
    latest: dict[str, Position] = {}
    size = 0
    try:
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                noted = _decoder.decode(line)
                latest.update(noted.note)
                for session in noted.forget:
                    latest.pop(session, None)
                size += len(line)
    except FileNotFoundError:
        return {}, 0
    except msgspec.DecodeError:
        raise JournalError(
            f"{path} was changed: set it aside to go on without the positions in it"
        ) from None
    return latest, size


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    sync_directory(path.parent)
