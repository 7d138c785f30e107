"""Traces of a Monitor's sessions: a file for each conversation, types and positions, no content.

They are for whoever has to know what went over the wire, and when; `explain` reads them. A disk
that is full ends the trace, and nothing else.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import IO

from openaudiohook.monitor.monitor import TraceListener
from openaudiohook.protocol.trace import TraceRecord, trace_header, trace_line

__all__ = ["TraceFiles", "trace_file"]

_log = logging.getLogger(__name__)


def trace_file(directory: Path, conversation_id: str) -> Path:
    """Where the trace of a conversation is, if there is one."""
    return directory / f"{conversation_id}.jsonl"


class TraceFiles:
    """Writes traces into a directory.

    Args:
        directory: made where it is not there, for its owner alone.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: dict[str, IO[bytes] | None] = {}

    def listener(self, conversation_id: str) -> TraceListener:
        """Return what takes the records of one conversation; its file is made with the first."""

        def write(record: TraceRecord) -> None:
            if conversation_id not in self._open:
                self._open[conversation_id] = self._begin(conversation_id)
            file = self._open[conversation_id]
            if file is None:
                return
            try:
                file.write(trace_line(record) + b"\n")
            except OSError as error:
                self._give_up(conversation_id, error)

        return write

    def close(self, conversation_id: str) -> None:
        """Finish the file of a conversation, if it has one; another part of it may follow."""
        file = self._open.pop(conversation_id, None)
        if file is not None:
            try:
                file.close()
            except OSError as error:
                _log.warning("a trace was not finished: %s", error.strerror)

    def _begin(self, conversation_id: str) -> IO[bytes] | None:
        path = trace_file(self._directory, conversation_id)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            is_new = not path.exists()
            path.touch(mode=0o600)
            file = path.open("ab")
            if is_new:
                file.write(trace_header() + b"\n")
        except OSError as error:
            _log.warning("a trace cannot be written: %s", error.strerror)
            return None
        return file

    def _give_up(self, conversation_id: str, error: OSError) -> None:
        _log.warning("a trace ends early: %s", error.strerror)
        self.close(conversation_id)
        self._open[conversation_id] = None
