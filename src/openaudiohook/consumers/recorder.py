"""Keeps every session as a mu-law WAV and a JSON sidecar.

`DIRECTORY/<conversationId>/<sessionId>.wav` and `.json`; a session id that comes again is numbered,
`<sessionId>.2.wav`. See docs/topics/recordings.md for what is promised.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from openaudiohook.consumers.recording import Recording
from openaudiohook.consumers.recording_writer import RecordingWriter
from openaudiohook.exceptions import ConfigurationError
from openaudiohook.host.consumer import (
    AudioFrame,
    Capabilities,
    Consumer,
    Reply,
    SessionInfo,
    Status,
)

__all__ = ["DEFAULT_DIRECTORY", "Recorder"]

DEFAULT_DIRECTORY: Final = "recordings"
_NAME: Final = "recorder"
_CAPABILITIES: Final = Capabilities()


class Recorder:
    """The recorder's factory: one directory and one writing thread for all sessions.

    Options:
        directory: where recordings go; `recordings` by default.
    """

    name = _NAME
    capabilities = _CAPABILITIES

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Read the options; nothing is created yet.

        Raises:
            ConfigurationError: an option is unknown, or not what it should be.
        """
        for option in options:
            if option != "directory":
                raise ConfigurationError(f"unknown option '{option}'; known is 'directory'")
        directory = options.get("directory", DEFAULT_DIRECTORY)
        if not isinstance(directory, str | Path) or not str(directory):
            raise ConfigurationError("directory: the name of a directory is needed")
        self.directory = Path(directory)
        self._writer: RecordingWriter | None = None

    async def start(self, status: Status) -> None:
        """Begin to write. A directory that takes no recordings is told, and does not stop us."""
        loop = asyncio.get_running_loop()

        def tell(what: Callable[..., None], *values: str) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is gone, and the operator with it
                loop.call_soon_threadsafe(what, *values)

        self._writer = RecordingWriter(
            self.directory,
            on_trouble=lambda reason: tell(status.degraded, reason),
            on_recovery=lambda: tell(status.healthy),
        )
        await asyncio.to_thread(self._writer.start)

    def create(self) -> Consumer:
        """Make the recorder of one session."""
        assert self._writer is not None, "start() comes first"
        return _SessionRecorder(self._writer, self.directory)

    async def stop(self) -> None:
        """Finish what is left and end the writing thread."""
        if self._writer is not None:
            await asyncio.to_thread(self._writer.stop)
            self._writer = None


class _SessionRecorder:
    """Records one session: hands everything to the recording, and waits only to finish it."""

    __slots__ = ("_directory", "_is_behind", "_recording", "_reply", "_writer")

    name = _NAME
    capabilities = _CAPABILITIES

    def __init__(self, writer: RecordingWriter, directory: Path) -> None:
        self._writer = writer
        self._directory = directory
        self._recording: Recording | None = None
        self._reply: Reply | None = None
        self._is_behind = False

    async def open(self, session: SessionInfo, reply: Reply) -> None:
        # A session without audio leaves no recording.
        if session.media is None:
            return
        self._reply = reply
        self._recording = Recording(session, directory=self._directory)
        self._writer.add(self._recording)

    def audio(self, frame: AudioFrame) -> None:
        recording = self._recording
        if recording is None:
            return
        is_behind = not recording.tell_audio(frame)
        if is_behind is not self._is_behind:
            self._is_behind = is_behind
            assert self._reply is not None
            if is_behind:
                self._reply.degraded("audio comes faster than it can be written")
            else:
                self._reply.healthy()
        if recording.is_pressing():
            self._writer.hurry(recording)

    def paused(self, position: int) -> None:
        self._tell("paused", position)

    def resumed(self, start: int, discarded: int) -> None:
        self._tell("resumed", start, discarded)

    def discarded(self, start: int, discarded: int) -> None:
        self._tell("discarded", start, discarded)

    def updated(self, language: str | None, position: int) -> None:
        self._tell("updated", language, position)

    async def close(self, reason: str) -> None:
        recording, reply = self._recording, self._reply
        if recording is None or reply is None:
            return
        recording.tell("ended", reason, reply.position)
        loop = asyncio.get_running_loop()
        finished = asyncio.Event()

        def on_finished() -> None:
            with contextlib.suppress(RuntimeError):  # nobody waits on a loop that is gone
                loop.call_soon_threadsafe(finished.set)

        self._writer.finish(recording, on_finished)
        await finished.wait()

    def _tell(self, what: str, *values: Any) -> None:
        if self._recording is not None:
            self._recording.tell(what, *values)
