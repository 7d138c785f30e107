"""The one thread that writes all recordings of a process.

The event loop never writes to disk. Each recording is flushed every `flush_s`; they are spread
over the slots of a wheel that turns once in that time, so that the disk is asked for a little all
the time and not for everything at once. What begins or ends is dealt with at once, and so is what
comes so fast that it would fill the memory.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Final

from openaudiohook.consumers.recording import Recording, is_writable

__all__ = ["FLUSH_S", "RecordingWriter"]

FLUSH_S: Final = 0.48
"""How often each recording is flushed. Rarely, because each flush costs; 0.5 s is promised."""

_SLOTS: Final = 8
PROBE_S: Final = 2.0


class RecordingWriter:
    """Writes recordings, and says when it cannot.

    Recordings go on whatever the disk does: what it refuses is accounted for by each of them.
    While something is wrong, the directory is tried again and again.
    """

    def __init__(
        self,
        directory: Path,
        *,
        on_trouble: Callable[[str], None],
        on_recovery: Callable[[], None],
        flush_s: float = FLUSH_S,
        probe_s: float = PROBE_S,
    ) -> None:
        """Prepare; `start` begins.

        Args:
            directory: where recordings go.
            on_trouble: called on the writer's thread with a reason, when it changes.
            on_recovery: called on the writer's thread when all is well again.
            flush_s: how often each recording is flushed.
            probe_s: how often the directory is tried while something is wrong.
        """
        self._directory = directory
        self._on_trouble = on_trouble
        self._on_recovery = on_recovery
        self._probe_s = probe_s
        self._tick_s = flush_s / _SLOTS
        self._slots: tuple[dict[Recording, None], ...] = tuple({} for _ in range(_SLOTS))
        self._slot_of: dict[Recording, int] = {}
        self._commands: deque[tuple[Recording, Callable[[], None] | None]] = deque()
        self._wake = threading.Event()
        self._is_stopping = False
        self._failing: set[Recording] = set()
        self._trouble: str | None = None
        self._probe_at = 0.0
        self._thread = threading.Thread(target=self._run, name="recordings", daemon=True)

    def start(self) -> None:
        """Try the directory and begin to write. Blocks for as long as the trial takes."""
        error = is_writable(self._directory)
        if error is not None:
            self._report(error)
        self._thread.start()

    def add(self, recording: Recording) -> None:
        """Begin to flush a recording. Any thread; returns at once."""
        self._commands.append((recording, None))
        self._wake.set()

    def hurry(self, recording: Recording) -> None:
        """Flush a recording now, whoever's turn it is. Any thread; returns at once."""
        self.add(recording)

    def finish(self, recording: Recording, on_finished: Callable[[], None]) -> None:
        """Finish a recording, then call `on_finished` on the writer's thread. Any thread."""
        self._commands.append((recording, on_finished))
        self._wake.set()

    def stop(self) -> None:
        """Finish every recording and end the thread. Blocks until that is done."""
        self._is_stopping = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        slot, due_at = 0, monotonic()
        while True:
            is_idle = not self._slot_of and self._trouble is None
            self._wake.wait(None if is_idle else max(0.0, due_at - monotonic()))
            self._wake.clear()
            self._obey()
            if self._is_stopping and not self._commands:
                break
            now = monotonic()
            if now >= due_at:
                for recording in tuple(self._slots[slot]):
                    self._attempt(recording, recording.flush)
                slot = (slot + 1) % _SLOTS
                # After a stall, or a time without work, there is nothing to make up for.
                due_at = max(due_at, now - self._tick_s) + self._tick_s
            if self._trouble is not None and now >= self._probe_at:
                self._probe(now)
        for recording in tuple(self._slot_of):
            self._end(recording)

    def _obey(self) -> None:
        while self._commands:
            recording, on_finished = self._commands.popleft()
            if on_finished is None:
                if recording not in self._slot_of:
                    slot = min(range(_SLOTS), key=lambda number: len(self._slots[number]))
                    self._slots[slot][recording] = None
                    self._slot_of[recording] = slot
                self._attempt(recording, recording.flush)
            else:
                self._end(recording)
                on_finished()

    def _end(self, recording: Recording) -> None:
        if recording in self._slot_of:
            self._attempt(recording, recording.finish)
            self._remove(recording)

    def _remove(self, recording: Recording) -> None:
        slot = self._slot_of.pop(recording, None)
        if slot is not None:
            del self._slots[slot][recording]
        self._failing.discard(recording)

    def _attempt(self, recording: Recording, step: Callable[[], None]) -> None:
        try:
            step()
        except OSError as error:
            self._failing.add(recording)
            self._report(error)
        except Exception as error:
            # Not the disk's doing: one recording is lost to it, the thread and the others are not.
            self._remove(recording)
            recording.discard()
            self._report(error)
        else:
            self._failing.discard(recording)

    def _report(self, error: Exception) -> None:
        # The path in an OSError is not told: it has the ids of a call in it.
        cause = error.strerror if isinstance(error, OSError) else None
        reason = f"{self._directory}: recordings cannot be written: {cause or type(error).__name__}"
        self._probe_at = monotonic() + self._probe_s
        if reason != self._trouble:
            self._trouble = reason
            self._on_trouble(reason)

    def _probe(self, now: float) -> None:
        self._probe_at = now + self._probe_s
        if not self._failing and is_writable(self._directory) is None:
            self._trouble = None
            self._on_recovery()
