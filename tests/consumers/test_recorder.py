"""The recorder as a consumer: its options, its life, and what it does for sessions."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from openaudiohook.audio.wav_writer import DATA_OFFSET
from openaudiohook.consumers.recorder import Recorder
from openaudiohook.consumers.recording import MAX_QUEUED_SAMPLES, Recording
from openaudiohook.exceptions import ConfigurationError
from openaudiohook.host.consumer import AudioFrame, SessionInfo

pytestmark = [pytest.mark.unit, pytest.mark.anyio]

MakeSession = Callable[..., SessionInfo]
MakeFrame = Callable[..., AudioFrame]


class Status:
    def __init__(self) -> None:
        self.told: list[str] = []
        self.position = 0

    def degraded(self, reason: str) -> None:
        self.told.append(reason)

    def healthy(self) -> None:
        self.told.append("healthy")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dir": "x"}, "unknown option 'dir'; known is 'directory'"),
        ({"directory": 3}, "directory: the name of a directory"),
        ({"directory": ""}, "directory: the name of a directory"),
    ],
)
async def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Recorder(options)


async def test_the_default_directory_is_recordings_here() -> None:
    assert Recorder({}).directory == Path("recordings")


async def test_a_session_becomes_a_recording(
    tmp_path: Path, make_session: MakeSession, make_frame: MakeFrame
) -> None:
    recorder, status = Recorder({"directory": str(tmp_path)}), Status()
    await recorder.start(status)
    consumer = recorder.create()
    await consumer.open(make_session(), status)  # type: ignore[arg-type]
    consumer.audio(make_frame(0, 100))
    consumer.paused(100)
    consumer.resumed(100, 50)
    consumer.discarded(150, 25)
    consumer.updated("fr-CA", 175)
    status.position = 200
    await consumer.close("end")
    await recorder.stop()
    session = make_session()
    path = tmp_path / session.conversation_id / f"{session.session_id}.wav"
    assert path.read_bytes()[DATA_OFFSET:] == b"\x01\x02" * 100 + b"\xff\xff" * 100
    record = json.loads(path.with_suffix(".json").read_bytes())
    assert [gap["cause"] for gap in record["gaps"]] == ["paused", "discarded", "unaccounted"]
    assert record["samples"] == 200
    assert status.told == []


async def test_a_session_without_audio_leaves_nothing(
    tmp_path: Path, make_session: MakeSession, make_frame: MakeFrame
) -> None:
    recorder, status = Recorder({"directory": tmp_path}), Status()
    await recorder.start(status)
    consumer = recorder.create()
    await consumer.open(make_session(media=None), status)  # type: ignore[arg-type]
    consumer.audio(make_frame(0))
    consumer.paused(0)
    await consumer.close("end")
    await recorder.stop()
    assert list(tmp_path.iterdir()) == []


async def test_a_closing_that_is_given_up_still_finishes_the_recording(
    tmp_path: Path, make_session: MakeSession, make_frame: MakeFrame
) -> None:
    recorder, status = Recorder({"directory": tmp_path}), Status()
    await recorder.start(status)
    consumer = recorder.create()
    await consumer.open(make_session(), status)  # type: ignore[arg-type]
    consumer.audio(make_frame(0))
    closing = asyncio.ensure_future(consumer.close("end"))
    await asyncio.sleep(0)
    closing.cancel()
    await recorder.stop()
    session = make_session()
    path = tmp_path / session.conversation_id / f"{session.session_id}.json"
    assert json.loads(path.read_bytes())["state"] == "complete"


async def test_audio_the_writer_cannot_keep_up_with_is_told_once_and_so_is_the_end_of_it(
    tmp_path: Path,
    make_session: MakeSession,
    make_frame: MakeFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk_answers, flush = threading.Event(), Recording.flush

    def slow_flush(recording: Recording) -> None:
        assert disk_answers.wait(10)
        flush(recording)

    monkeypatch.setattr(Recording, "flush", slow_flush)
    recorder, status = Recorder({"directory": tmp_path}), Status()
    await recorder.start(status)
    consumer = recorder.create()
    await consumer.open(make_session(), status)  # type: ignore[arg-type]

    def send(samples: int) -> None:
        consumer.audio(make_frame(status.position, samples))
        status.position += samples

    # One frame that is more than may wait: what comes right behind it is too much.
    for samples in (MAX_QUEUED_SAMPLES + 1, 800, 800, 800):
        send(samples)
    assert status.told == ["audio comes faster than it can be written"]
    disk_answers.set()
    async with asyncio.timeout(10):
        while len(status.told) == 1:
            send(1)
            await asyncio.sleep(0.001)
    send(800)
    await consumer.close("end")
    await recorder.stop()
    assert status.told == ["audio comes faster than it can be written", "healthy"]


async def test_trouble_is_told_on_the_event_loop(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")
    recorder, status = Recorder({"directory": blocked}), Status()
    await recorder.start(status)
    await asyncio.sleep(0)
    assert status.told == [f"{blocked}: recordings cannot be written: Not a directory"]
    await recorder.stop()


async def test_stopping_what_never_started_is_nothing() -> None:
    await Recorder({}).stop()
