"""The one writing thread: flushing by itself, finishing at once, and telling of trouble."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import soundfile

from openaudiohook.audio.wav_writer import DATA_OFFSET
from openaudiohook.consumers.recording import Recording
from openaudiohook.consumers.recording_writer import FLUSH_S, RecordingWriter
from openaudiohook.host.consumer import AudioFrame, SessionInfo

pytestmark = pytest.mark.unit

MakeSession = Callable[..., SessionInfo]
MakeFrame = Callable[..., AudioFrame]


class Told:
    """What the writer told, and waiting for it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.changed = threading.Condition()

    def add(self, what: str) -> None:
        with self.changed:
            self.calls.append(what)
            self.changed.notify_all()

    def until(self, condition: Callable[[], Any]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, timeout=10), self.calls


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@pytest.fixture
def writer(directory: Path, told: Told) -> Iterator[RecordingWriter]:
    writer = RecordingWriter(
        directory,
        on_trouble=told.add,
        on_recovery=lambda: told.add("recovered"),
        flush_s=0.016,
        probe_s=0.01,
    )
    writer.start()
    yield writer
    writer.stop()


def finished(writer: RecordingWriter, *recordings: Recording) -> None:
    for recording in recordings:
        done = threading.Event()
        writer.finish(recording, done.set)
        assert done.wait(10)


def grown(path: Path, size: int) -> bool:
    return path.exists() and path.stat().st_size >= size


def test_a_recording_reaches_the_disk_without_being_asked(
    writer: RecordingWriter,
    directory: Path,
    told: Told,
    make_session: MakeSession,
    make_frame: MakeFrame,
) -> None:
    recording = Recording(make_session(), directory=directory)
    writer.add(recording)
    recording.tell_audio(make_frame(0))
    path = directory / make_session().conversation_id / f"{recording.session_id}.wav"
    wait = threading.Event()
    for _ in range(2000):
        if grown(path, DATA_OFFSET + 1600):
            break
        wait.wait(0.005)
    assert soundfile.info(path).frames == 800
    finished(writer, recording)
    assert told.calls == []


def test_every_recording_is_flushed_in_half_a_second() -> None:
    assert 0.4 < FLUSH_S <= 0.5


def test_many_recordings_share_the_thread(
    writer: RecordingWriter, directory: Path, make_session: MakeSession, make_frame: MakeFrame
) -> None:
    threads = threading.active_count()
    recordings = []
    for number in range(20):
        session = make_session(session_id=f"7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f{number:04x}")
        recordings.append(Recording(session, directory=directory))
        writer.add(recordings[-1])
        for position in range(0, 4000, 800):
            recordings[-1].tell_audio(make_frame(position, fill=number))
    assert threading.active_count() == threads
    finished(writer, *recordings)
    for number, recording in enumerate(recordings):
        assert recording.path is not None
        assert recording.path.read_bytes()[DATA_OFFSET:] == bytes([number, number + 1]) * 4000


def test_stopping_finishes_what_is_left(
    directory: Path, told: Told, make_session: MakeSession, make_frame: MakeFrame
) -> None:
    writer = RecordingWriter(directory, on_trouble=told.add, on_recovery=lambda: None)
    writer.start()
    recording = Recording(make_session(), directory=directory)
    writer.add(recording)
    recording.tell_audio(make_frame(0))
    writer.stop()
    assert recording.path is not None
    assert soundfile.info(recording.path).frames == 800
    assert b'"complete"' in recording.path.with_suffix(".json").read_bytes()


def test_a_directory_that_cannot_be_used_is_told_at_the_start(tmp_path: Path, told: Told) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")
    writer = RecordingWriter(
        blocked, on_trouble=told.add, on_recovery=lambda: told.add("recovered"), probe_s=0.01
    )
    writer.start()
    assert told.calls == [f"{blocked}: recordings cannot be written: Not a directory"]
    blocked.unlink()
    told.until(lambda: told.calls[-1] == "recovered")
    writer.stop()


def test_trouble_is_told_once_and_recovery_when_all_is_well(
    writer: RecordingWriter,
    directory: Path,
    told: Told,
    make_session: MakeSession,
    make_frame: MakeFrame,
    disk_full: Callable[[int], AbstractContextManager[None]],
) -> None:
    recording = Recording(make_session(), directory=directory)
    writer.add(recording)
    with disk_full(1000):
        for position in range(0, 8000, 800):
            recording.tell_audio(make_frame(position))
        told.until(lambda: told.calls)
    told.until(lambda: told.calls[-1] == "recovered")
    assert told.calls == [
        f"{directory}: recordings cannot be written: File too large",
        "recovered",
    ]
    recording.tell_audio(make_frame(8000))
    finished(writer, recording)
    assert recording.path is not None
    assert soundfile.info(recording.path).frames == 8800


def test_a_bug_costs_one_recording_and_not_the_thread(
    writer: RecordingWriter,
    directory: Path,
    told: Told,
    make_session: MakeSession,
    make_frame: MakeFrame,
) -> None:
    bad = Recording(make_session(), directory=directory)
    good = Recording(make_session(), directory=directory)
    writer.add(bad)
    writer.add(good)
    bad.tell("no such message")
    told.until(lambda: told.calls)
    assert told.calls[0] == f"{directory}: recordings cannot be written: AttributeError"
    good.tell_audio(make_frame(0))
    finished(writer, good, bad)
    assert good.path is not None
    assert soundfile.info(good.path).frames == 800
