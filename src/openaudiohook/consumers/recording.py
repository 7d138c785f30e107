"""One session's recording: a WAV that grows and a sidecar that tells about it.

Two sides meet here. The event loop only *tells* (`tell` appends to a queue); the writer's thread
does everything else (`flush`, `finish`). Neither waits for the other and there is no lock: the
queue is a deque, and each counter has one writer.

What the disk refuses becomes a gap (`not-written`); the silence for it is written as soon as the
disk takes data again, so that sample n of the file stays sample n of the session.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
from collections import deque
from collections.abc import Callable
from pathlib import Path
from time import time_ns
from typing import Any, BinaryIO, Final

from openaudiohook.audio import channels as stereo
from openaudiohook.audio.timeline import UNACCOUNTED, Timeline
from openaudiohook.audio.wav_writer import WavWriter
from openaudiohook.consumers.recording_sidecar import (
    Gap,
    LanguageChange,
    Message,
    Pause,
    Sidecar,
    seconds,
    sidecar_path,
    utc_text,
    write_sidecar,
)
from openaudiohook.exceptions import ConsumerError
from openaudiohook.host.consumer import SAMPLE_RATE, AudioFrame, Channel, SessionInfo

__all__ = ["MAX_GAP_SAMPLES", "MAX_QUEUED_SAMPLES", "NOT_WRITTEN", "Recording", "is_writable"]

NOT_WRITTEN: Final = "not-written"
"""The cause of a gap that is ours: the audio came and could not be kept."""

MAX_QUEUED_SAMPLES: Final = 30 * SAMPLE_RATE
"""Audio that may wait for a writer that does not keep up; more than this is not written."""

_PRESSING_SAMPLES: Final = 4 * SAMPLE_RATE
"""Audio that waits only if it comes much faster than it is spoken: a burst, or a flood."""

_FRAME_SAMPLES: Final = 100
"""What keeping a frame costs on top of its audio, as if it were audio: tiny frames are not free."""

MAX_GAP_SAMPLES: Final = 12 * 3600 * SAMPLE_RATE
"""A longer gap is no pause but a mistake: the recording ends before it."""

_MAX_MESSAGES: Final = 2_000
_IN_ORDER: Final = (Channel.EXTERNAL, Channel.INTERNAL)
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)

# Recordings are for the account the service runs under; who else may read them is the operator's.
_DIRECTORY_MODE: Final = 0o700
_FILE_MODE: Final = 0o600


class Recording:
    """The recording of one session.

    Attributes:
        session_id: whose it is.
        path: the WAV, or None while it could not be created.
    """

    __slots__ = (
        "_directory", "_file", "_is_dirty", "_is_over", "_is_pressed", "_is_swapped", "_lag",
        "_pause", "_queue", "_shed", "_sidecar", "_taken", "_timeline", "_told", "_utc_ns", "_wav",
        "path", "session_id",
    )  # fmt: skip

    def __init__(
        self, session: SessionInfo, *, directory: Path, utc_ns: Callable[[], int] = time_ns
    ) -> None:
        """Begin a recording; nothing is created before the first `flush`.

        Raises:
            ConsumerError: an id is no UUID, and so no name for a file.
        """
        assert session.media is not None
        # They are checked on the wire, too; what names a file is checked where it does.
        for name in (session.session_id, session.conversation_id):
            if _UUID.fullmatch(name) is None:
                raise ConsumerError("a session or conversation id that is not a UUID")
        received = session.media.channels
        names = tuple(channel.value for channel in _IN_ORDER if channel in received)
        self.session_id = session.session_id
        self.path: Path | None = None
        self._directory = directory / session.conversation_id
        self._is_swapped = len(received) == 2 and received != _IN_ORDER
        self._sidecar = Sidecar.of(session, channels=names)
        self._timeline = Timeline(start=session.start)
        self._wav: WavWriter | None = None
        self._file: BinaryIO | None = None
        self._queue: deque[AudioFrame | tuple[Any, ...]] = deque()
        self._told = 0
        self._taken = 0
        self._shed: tuple[int, int] | None = None
        self._lag = 0
        self._pause: int | None = None
        self._is_dirty = True
        self._is_over = False
        self._is_pressed = False
        self._utc_ns = utc_ns
        self._note("open", session.start)

    # On the event loop ------------------------------------------------------------------

    def tell_audio(self, frame: AudioFrame) -> bool:
        """Hand over a frame; False where too much waits already and it will not be written."""
        # Once it is too much it has to become a lot less: few long gaps, not many short ones.
        most = MAX_QUEUED_SAMPLES if self._shed is None else MAX_QUEUED_SAMPLES // 2
        if self._told - self._taken > most:
            start = frame.position if self._shed is None else self._shed[0]
            self._shed = (start, frame.position + frame.samples)
            return False
        self._tell_shed()
        self._told += frame.samples + _FRAME_SAMPLES
        self._queue.append(frame)
        return True

    def is_pressing(self) -> bool:
        """Whether so much waits that it should be written now; said once until it is."""
        if self._told - self._taken <= _PRESSING_SAMPLES or self._is_pressed:
            return False
        self._is_pressed = True
        return True

    def tell(self, what: str, *values: Any) -> None:
        """Hand over anything else: `paused`, `resumed`, `discarded`, `updated`, `ended`."""
        self._tell_shed()
        self._queue.append((what, *values))

    def _tell_shed(self) -> None:
        if self._shed is not None:
            self._queue.append(("shed", *self._shed))
            self._shed = None

    # On the writer's thread -------------------------------------------------------------

    def flush(self) -> None:
        """Write what was told since the last time.

        Raises:
            OSError: the disk did not take it. What could not be written is accounted for; call
                again later.
        """
        self._is_pressed = False
        self._write_queued()
        if self._is_dirty:
            self._save()

    def finish(self) -> None:
        """Write the rest, settle the header, complete the sidecar, close the file.

        Raises:
            OSError: the disk did not take all of it. The recording is closed all the same;
                what is on the disk can be recovered.
        """
        trouble: OSError | None = None
        self._sidecar.state = "complete"
        self._sidecar.ended_utc = utc_text(self._utc_ns())
        for step in (self._write_queued, self._settle, self._save):
            try:
                step()
            except OSError as error:
                trouble = _first(trouble, error)
        # Last, because the lock goes with the file: nobody repairs what is not finished.
        self.discard()
        if trouble is not None:
            raise trouble

    def discard(self) -> None:
        """Let go of the file as it is."""
        if self._file is not None:
            self._file.close()

    # ------------------------------------------------------------------------------------

    def _create(self) -> None:
        """Create the WAV, unless it is there. A repeated session id gets a number of its own."""
        if self._wav is not None:
            return
        if self._file is None:
            self._directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            self._file = self._open_new()
        # A full disk may have let us create the file, but not write its header.
        self._file.seek(0)
        self._wav = WavWriter(self._file, channels=len(self._sidecar.channels))

    def _open_new(self) -> BinaryIO:
        number = 1
        while True:
            suffix = "" if number == 1 else f".{number}"
            path = self._directory / f"{self.session_id}{suffix}.wav"
            number += 1
            if sidecar_path(path).exists():
                continue
            try:
                file = open(path, "xb", buffering=0, opener=_private)  # noqa: SIM115
            except FileExistsError:
                continue
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            self.path = path
            return file

    def _write_queued(self) -> None:
        trouble: OSError | None = None
        try:
            self._create()
        except OSError as error:
            trouble = error
        frames: list[bytes] = []
        queue, timeline = self._queue, self._timeline
        while queue:
            item = queue.popleft()
            if isinstance(item, AudioFrame):
                self._taken += item.samples + _FRAME_SAMPLES
                if item.position == timeline.position + self._lag:
                    frames.append(item.payload)
                    self._lag += item.samples
                else:
                    trouble = _first(trouble, self._write(frames))
                    frames.append(self._place(item))
                    self._lag += len(frames[0]) // len(self._sidecar.channels)
            else:
                trouble = _first(trouble, self._write(frames))
                getattr(self, f"_on_{item[0]}")(*item[1:])
                self._is_dirty = True
        trouble = _first(trouble, self._write(frames))
        if trouble is not None:
            raise trouble

    def _place(self, frame: AudioFrame) -> bytes:
        """Bring the timeline to a frame that is not where it was expected; return what is new."""
        ahead = frame.position - self._timeline.position
        if ahead > 0:
            self._advance(frame.position, cause=UNACCOUNTED)
            return frame.payload
        # Told to go back: what is recorded stays, and only what lies beyond it is added.
        return frame.payload[min(-ahead, frame.samples) * len(self._sidecar.channels) :]

    def _write(self, frames: list[bytes]) -> OSError | None:
        """Append frames; what the disk refuses becomes a gap. Empties the list."""
        samples, self._lag = self._lag, 0
        data = b"".join(frames) if not self._is_over else b""
        frames.clear()
        if self._is_swapped and data:
            data = stereo.reorder(data)
        try:
            self._catch_up()
            if data:
                self._appendable().append(data)
                self._timeline.audio(samples)
        except OSError as error:
            if data:
                self._advance(self._timeline.position + samples, cause=NOT_WRITTEN)
            self._is_dirty = True
            return error
        return None

    def _catch_up(self) -> None:
        """Write the silence that the file still lacks against the timeline."""
        missing = self._timeline.position - self._timeline.start
        if self._wav is not None:
            missing -= self._wav.samples
        if missing:
            self._appendable().silence(missing)

    def _appendable(self) -> WavWriter:
        if self._wav is None:
            raise OSError("the recording could not be created")
        return self._wav

    def _advance(self, position: int, *, cause: str) -> None:
        """Account for a gap up to `position`."""
        if self._is_over or position <= self._timeline.position:
            return
        if position - self._timeline.position > MAX_GAP_SAMPLES:
            self._is_over = True
            self._sidecar.ended_by = "gap-too-long"
            return
        self._timeline.advance(position, cause=cause)

    def _gap(self, start: int, length: int, *, cause: str) -> None:
        self._advance(start, cause=UNACCOUNTED)
        self._advance(start + length, cause=cause)

    def _on_paused(self, position: int) -> None:
        self._note("paused", position)
        if self._pause is None:
            self._pause = position

    def _on_resumed(self, start: int, discarded: int) -> None:
        self._note("resumed", start + discarded)
        self._end_pause(start + discarded)
        self._gap(start, discarded, cause="paused")

    def _on_discarded(self, start: int, discarded: int) -> None:
        self._note("discarded", start + discarded)
        self._gap(start, discarded, cause="discarded")

    def _on_shed(self, start: int, end: int) -> None:
        self._gap(start, end - start, cause=NOT_WRITTEN)

    def _on_updated(self, language: str | None, position: int) -> None:
        self._note("update", position)
        at = self._in_file(position)
        self._sidecar.languages.append(
            LanguageChange(position_s=seconds(at), position_samples=at, language=language)
        )

    def _on_ended(self, reason: str, position: int) -> None:
        self._note("close", position)
        cause = UNACCOUNTED if self._pause is None else "paused"
        self._end_pause(position)
        self._advance(position, cause=cause)
        self._sidecar.ended_by = self._sidecar.ended_by or reason

    def _end_pause(self, position: int) -> None:
        if self._pause is None:
            return
        start, end = self._in_file(self._pause), self._in_file(position)
        self._pause = None
        length = max(0, end - start)
        self._sidecar.pauses.append(
            Pause(
                start_s=seconds(start),
                duration_s=seconds(length),
                start_samples=start,
                duration_samples=length,
            )
        )

    def _note(self, message: str, position: int) -> None:
        if len(self._sidecar.messages) >= _MAX_MESSAGES:
            self._sidecar.messages_left_out += 1
            return
        at = self._in_file(position)
        self._sidecar.messages.append(
            Message(type=message, position_s=seconds(at), position_samples=at)
        )

    def _in_file(self, position: int) -> int:
        """A session position, counted from the file's first sample."""
        return max(0, position - self._timeline.start)

    def _settle(self) -> None:
        if self._wav is not None:
            self._wav.settle()

    def _save(self) -> None:
        """Write the sidecar as things stand."""
        sidecar, timeline = self._sidecar, self._timeline
        if self._wav is None or self.path is None:
            return
        sidecar.samples = self._wav.samples
        sidecar.duration_s = seconds(sidecar.samples)
        sidecar.sha256 = self._wav.sha256
        sidecar.gaps = [
            Gap(
                start_s=seconds(start := gap.start - timeline.start),
                duration_s=seconds(gap.length),
                cause=gap.cause or "",
                start_samples=start,
                duration_samples=gap.length,
            )
            for gap in timeline.gaps
        ]
        write_sidecar(sidecar_path(self.path), sidecar)
        self._is_dirty = False


def is_writable(directory: Path) -> OSError | None:
    """Try whether recordings can be written; None where they can.

    A whole block is written, because a full disk still takes an empty file.
    """
    probe = directory / f".openaudiohook-{os.getpid()}.probe"
    try:
        directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        try:
            probe.write_bytes(bytes(65536))
        finally:
            probe.unlink(missing_ok=True)
    except FileExistsError:
        return NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except OSError as error:
        return error
    return None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, _FILE_MODE)


def _first(one: OSError | None, other: OSError | None) -> OSError | None:
    return one if one is not None else other
