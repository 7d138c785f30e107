"""An append-only file of lines: a line is there whole, or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["LineFile", "sync_directory"]


class LineFile:
    """A file that lines are appended to, by one writer.

    A line goes to the kernel at once, so that the end of this process loses nothing; `sync` makes
    it outlast the end of the machine. Where a line does not fit, on a full disk for one, nothing
    of it stays, and the next one may try again.

    Attributes:
        path: where it is.
        size: its length in octets.
    """

    def __init__(self, path: Path, *, size: int | None = None) -> None:
        """Open it, or make it, for its owner alone; what is after `size` octets is cut off."""
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.size = os.fstat(self._fd).st_size if size is None else size
        self._has_rest = size is not None
        try:
            self._drop_rest()
        except OSError:
            os.close(self._fd)
            raise

    def append(self, line: bytes) -> None:
        """Write a line.

        Raises:
            OSError: it cannot be written; the file is as before.
        """
        self._drop_rest()
        self._has_rest = True  # until all of it is there, whatever happens meanwhile
        try:
            written = 0
            while written < len(line):  # a disk that fills up takes a part first
                written += os.pwrite(self._fd, line[written:], self.size + written)
        except OSError:
            with contextlib.suppress(OSError):
                self._drop_rest()
            raise
        self.size += len(line)
        self._has_rest = False

    def read(self, start: int, end: int) -> bytes:
        """Return the octets from `start` up to `end`, as the kernel has them."""
        return os.pread(self._fd, end - start, start)

    def rewrite(self, data: bytes, start: int) -> None:
        """Write the same octets again: for what the kernel may have given up writing to disk."""
        written = 0
        while written < len(data):
            written += os.pwrite(self._fd, data[written:], start + written)

    def sync(self) -> None:
        """Wait until everything is on disk; may be called from another thread.

        Raises:
            OSError: it is not, and may never be.
        """
        os.fsync(self._fd)

    def close(self) -> None:
        """Let go of it; what was not synced is the kernel's to write."""
        os.close(self._fd)

    def _drop_rest(self) -> None:
        if self._has_rest:
            os.ftruncate(self._fd, self.size)
            self._has_rest = False


def sync_directory(directory: Path) -> None:
    """Wait until the names in a directory are on disk."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
