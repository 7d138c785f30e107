"""One recording: positions, gaps, channels, its sidecar, and a disk that says no."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import soundfile

from openaudiohook.audio.wav_reader import WavReader
from openaudiohook.audio.wav_writer import DATA_OFFSET
from openaudiohook.consumers.recording import (
    MAX_GAP_SAMPLES,
    MAX_QUEUED_SAMPLES,
    Recording,
    is_writable,
)
from openaudiohook.exceptions import ConsumerError
from openaudiohook.host.consumer import AudioFrame, Channel, MediaParameter, SessionInfo

pytestmark = pytest.mark.unit

MakeSession = Callable[..., SessionInfo]
MakeFrame = Callable[..., AudioFrame]
DiskFull = Callable[[int], AbstractContextManager[None]]

SWAPPED = MediaParameter(channels=(Channel.INTERNAL, Channel.EXTERNAL))
MONO = MediaParameter(channels=(Channel.INTERNAL,))


@pytest.fixture
def recording(make_session: MakeSession, tmp_path: Path) -> Recording:
    return Recording(make_session(), directory=tmp_path)


def audio(recording: Recording) -> bytes:
    assert recording.path is not None
    return recording.path.read_bytes()[DATA_OFFSET:]


def sidecar(recording: Recording) -> dict[str, Any]:
    assert recording.path is not None
    found: dict[str, Any] = json.loads(recording.path.with_suffix(".json").read_bytes())
    return found


def finish(recording: Recording, *, reason: str = "end", position: int) -> dict[str, Any]:
    recording.tell("ended", reason, position)
    recording.finish()
    return sidecar(recording)


def spans(entries: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(entry["start_samples"], entry["duration_samples"]) for entry in entries]


def test_audio_is_kept_byte_for_byte(
    recording: Recording, make_frame: MakeFrame, tmp_path: Path
) -> None:
    frames = [make_frame(0, fill=1), make_frame(800, fill=7), make_frame(1600, 333, fill=9)]
    for frame in frames:
        assert recording.tell_audio(frame)
    record = finish(recording, position=1933)
    expected = b"".join(frame.payload for frame in frames)
    assert audio(recording) == expected
    assert recording.path == tmp_path / record["conversation_id"] / f"{record['session_id']}.wav"
    assert record["samples"] == 1933
    assert record["duration_s"] == 1933 / 8000
    assert record["sha256"] == hashlib.sha256(expected).hexdigest()
    assert record["gaps"] == []
    assert record["state"] == "complete"
    assert record["ended_by"] == "end"


def test_the_sidecar_tells_whose_recording_it_is(recording: Recording) -> None:
    record = finish(recording, position=0)
    assert record["organization_id"] == "5b2f6c0e-8f5d-4a1b-b7a4-2d9c64f3a001"
    assert record["correlation_id"] == "e160e428-53e2-487c-977d-96989bf5c99d"
    assert record["participant"] == {
        "id": "1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b",
        "ani": "tel:+15550100",
        "aniName": "Erika Example",
        "dnis": "tel:+18005550123",
    }
    assert record["media"] == {
        "type": "audio",
        "format": "PCMU",
        "channels": ["external", "internal"],
        "rate": 8000,
    }
    assert record["channels"] == ["external", "internal"]
    assert record["language"] == "en-US"
    assert record["started_utc"] == "2023-11-14T22:13:20.123Z"
    assert record["ended_utc"].endswith("Z")


def test_channels_are_put_in_the_order_external_internal(
    make_session: MakeSession, make_frame: MakeFrame, tmp_path: Path
) -> None:
    recording = Recording(make_session(media=SWAPPED), directory=tmp_path)
    recording.tell_audio(make_frame(0, 3, fill=5, media=SWAPPED))
    record = finish(recording, position=3)
    assert audio(recording) == bytes([5, 6] * 3)
    assert record["media"]["channels"] == ["internal", "external"]
    assert record["channels"] == ["external", "internal"]


def test_a_mono_session_gives_a_mono_file(
    make_session: MakeSession, make_frame: MakeFrame, tmp_path: Path
) -> None:
    recording = Recording(make_session(media=MONO), directory=tmp_path)
    recording.tell_audio(make_frame(0, 801, fill=5, media=MONO))
    finish(recording, position=801)
    assert recording.path is not None
    with recording.path.open("rb") as file:
        reader = WavReader(file, name="mono")
        assert (reader.info.channels, reader.info.samples) == (1, 801)
        assert reader.read(801) == (b"\x06" * 801,)


def test_gaps_are_silence_of_their_length_and_listed_with_their_cause(
    recording: Recording, make_frame: MakeFrame
) -> None:
    recording.tell("discarded", 0, 100)
    recording.tell_audio(make_frame(100, 50))
    recording.tell("paused", 150)
    recording.tell("resumed", 150, 200)
    recording.tell_audio(make_frame(350, 50))
    recording.tell_audio(make_frame(420, 10))
    record = finish(recording, position=430)
    sound, silence = b"\x01\x02", b"\xff\xff"
    assert audio(recording) == (
        silence * 100 + sound * 50 + silence * 200 + sound * 50 + silence * 20 + sound * 10
    )
    assert [gap["cause"] for gap in record["gaps"]] == ["discarded", "paused", "unaccounted"]
    assert spans(record["gaps"]) == [(0, 100), (150, 200), (400, 20)]
    assert spans(record["pauses"]) == [(150, 200)]
    assert record["gaps"][1]["start_s"] == 150 / 8000
    assert record["gaps"][1]["duration_s"] == 200 / 8000


def test_a_recording_ends_where_close_says_so_a_last_pause_is_silence(
    recording: Recording, make_frame: MakeFrame
) -> None:
    recording.tell_audio(make_frame(0, 100))
    recording.tell("paused", 100)
    record = finish(recording, position=500)
    assert record["samples"] == 500
    assert spans(record["gaps"]) == [(100, 400)]
    assert record["gaps"][0]["cause"] == "paused"
    assert spans(record["pauses"]) == [(100, 400)]


def test_a_repeated_paused_is_one_pause(recording: Recording, make_frame: MakeFrame) -> None:
    recording.tell_audio(make_frame(0, 100))
    recording.tell("paused", 100)
    recording.tell("paused", 100)
    recording.tell("resumed", 100, 0)
    recording.tell("resumed", 100, 0)
    record = finish(recording, position=100)
    assert spans(record["pauses"]) == [(100, 0)]
    assert record["gaps"] == []


def test_a_continued_session_starts_at_its_open_position(
    make_session: MakeSession, make_frame: MakeFrame, tmp_path: Path
) -> None:
    recording = Recording(make_session(start=8000), directory=tmp_path)
    recording.tell_audio(make_frame(8000, 100))
    recording.tell("discarded", 8100, 60)
    record = finish(recording, position=8160)
    assert record["start_samples"] == 8000
    assert record["samples"] == 160
    assert spans(record["gaps"]) == [(100, 60)]
    assert record["messages"][0] == {"type": "open", "position_s": 0.0, "position_samples": 0}


def test_audio_that_was_there_before_is_not_kept_twice(
    recording: Recording, make_frame: MakeFrame
) -> None:
    recording.tell_audio(make_frame(0, 100))
    recording.tell_audio(make_frame(60, 100, fill=9))
    recording.tell_audio(make_frame(20, 10, fill=9))
    record = finish(recording, position=160)
    assert audio(recording) == b"\x01\x02" * 100 + b"\x09\x0a" * 60
    assert record["samples"] == 160


def test_messages_are_listed_by_type_and_place(recording: Recording, make_frame: MakeFrame) -> None:
    recording.tell_audio(make_frame(0, 80))
    recording.tell("updated", "fr-CA", 80)
    recording.tell("paused", 80)
    recording.tell("resumed", 80, 20)
    record = finish(recording, position=100)
    assert [(m["type"], m["position_samples"]) for m in record["messages"]] == [
        ("open", 0), ("update", 80), ("paused", 80), ("resumed", 100), ("close", 100),
    ]  # fmt: skip
    assert record["languages"] == [
        {"position_s": 0.01, "position_samples": 80, "language": "fr-CA"}
    ]


def test_the_list_of_messages_is_bounded(recording: Recording) -> None:
    for _ in range(3000):
        recording.tell("paused", 0)
    record = finish(recording, position=0)
    assert len(record["messages"]) == 2000
    assert record["messages_left_out"] == 1002


def test_the_file_is_a_readable_wav_at_any_moment(
    recording: Recording, make_frame: MakeFrame
) -> None:
    for number in range(3):
        recording.tell_audio(make_frame(number * 800))
        recording.flush()
        assert recording.path is not None
        # A copy of what is on the disk now is what a kill would leave.
        data, rate = soundfile.read(io.BytesIO(recording.path.read_bytes()))
        assert (data.shape, rate) == (((number + 1) * 800, 2), 8000)
    assert sidecar(recording)["state"] == "recording"
    finish(recording, position=2400)
    assert recording.path is not None
    assert soundfile.info(recording.path).frames == 2400


def test_what_is_known_so_far_is_in_the_sidecar_after_a_flush(
    recording: Recording, make_frame: MakeFrame
) -> None:
    recording.tell_audio(make_frame(0))
    recording.tell("discarded", 800, 400)
    recording.flush()
    assert spans(sidecar(recording)["gaps"]) == [(800, 400)]
    finish(recording, position=1200)


def test_a_repeated_session_id_leaves_the_earlier_recording_alone(
    make_session: MakeSession, make_frame: MakeFrame, tmp_path: Path
) -> None:
    paths = []
    for fill in (1, 11, 21):
        recording = Recording(make_session(), directory=tmp_path)
        recording.tell_audio(make_frame(0, fill=fill))
        finish(recording, position=800)
        paths.append(recording.path)
    names = [path.name for path in paths if path is not None]
    session_id = make_session().session_id
    assert names == [f"{session_id}.wav", f"{session_id}.2.wav", f"{session_id}.3.wav"]
    assert [path.read_bytes()[DATA_OFFSET] for path in paths if path] == [1, 11, 21]
    assert len({path.with_suffix(".json") for path in paths if path}) == 3


def test_a_sidecar_without_its_recording_is_not_overwritten(
    make_session: MakeSession, make_frame: MakeFrame, tmp_path: Path
) -> None:
    first = Recording(make_session(), directory=tmp_path)
    finish(first, position=0)
    assert first.path is not None
    first.path.unlink()
    second = Recording(make_session(), directory=tmp_path)
    finish(second, position=0)
    assert second.path is not None
    assert second.path.name.endswith(".2.wav")


@pytest.mark.parametrize("field", ["session_id", "conversation_id"])
@pytest.mark.parametrize(
    "value", ["../../etc/passwd", "/etc/passwd", "", "..", f"{'a' * 8}-../.-aaaa-aaaa-{'a' * 12}"]
)
def test_an_id_that_is_no_uuid_never_names_a_file(
    make_session: MakeSession, tmp_path: Path, field: str, value: str
) -> None:
    with pytest.raises(ConsumerError, match="not a UUID"):
        Recording(make_session(**{field: value}), directory=tmp_path / "inside")
    assert list(tmp_path.iterdir()) == []


def test_recordings_are_private_to_the_account(recording: Recording) -> None:
    finish(recording, position=0)
    assert recording.path is not None
    assert recording.path.stat().st_mode & 0o777 == 0o600
    assert recording.path.with_suffix(".json").stat().st_mode & 0o777 == 0o600
    assert recording.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_full_disk_costs_a_gap_and_not_the_place_of_what_follows(
    recording: Recording, make_frame: MakeFrame, disk_full: DiskFull
) -> None:
    recording.tell_audio(make_frame(0, fill=1))
    recording.flush()
    recording.tell_audio(make_frame(800, fill=3))
    with disk_full(DATA_OFFSET + 2000), pytest.raises(OSError, match="too large"):
        recording.flush()
    recording.tell_audio(make_frame(1600, fill=5))
    record = finish(recording, position=2400)
    assert audio(recording) == b"\x01\x02" * 800 + b"\xff\xff" * 800 + b"\x05\x06" * 800
    assert spans(record["gaps"]) == [(800, 800)]
    assert record["gaps"][0]["cause"] == "not-written"
    assert record["sha256"] == hashlib.sha256(audio(recording)).hexdigest()


def test_a_disk_that_stays_full_leaves_what_was_written(
    recording: Recording, make_frame: MakeFrame, disk_full: DiskFull
) -> None:
    recording.tell_audio(make_frame(0, fill=1))
    recording.flush()
    recording.tell_audio(make_frame(800, fill=3))
    with disk_full(DATA_OFFSET + 1600):
        recording.tell("ended", "end", 1600)
        with pytest.raises(OSError, match="too large"):
            recording.finish()
    assert recording.path is not None
    assert soundfile.info(recording.path).frames == 800


def test_a_directory_that_appears_later_gets_the_recording_from_its_start(
    make_session: MakeSession, make_frame: MakeFrame, tmp_path: Path
) -> None:
    blocked = tmp_path / "recordings"
    blocked.write_text("a file where the directory should be")
    recording = Recording(make_session(), directory=blocked)
    recording.tell_audio(make_frame(0))
    with pytest.raises(OSError, match="Not a directory"):
        recording.flush()
    blocked.unlink()
    recording.tell_audio(make_frame(800))
    record = finish(recording, position=1600)
    assert audio(recording) == b"\xff\xff" * 800 + b"\x01\x02" * 800
    assert spans(record["gaps"]) == [(0, 800)]
    assert record["gaps"][0]["cause"] == "not-written"


def test_a_recording_that_could_never_be_created_ends_with_the_error(
    make_session: MakeSession, make_frame: MakeFrame, tmp_path: Path
) -> None:
    blocked = tmp_path / "recordings"
    blocked.write_text("a file where the directory should be")
    recording = Recording(make_session(), directory=blocked)
    recording.tell_audio(make_frame(0))
    recording.tell("ended", "end", 800)
    with pytest.raises(OSError, match="Not a directory"):
        recording.finish()
    assert recording.path is None
    recording.discard()


def test_a_header_that_did_not_fit_is_written_when_it_does(
    recording: Recording, make_frame: MakeFrame, disk_full: DiskFull
) -> None:
    recording.tell_audio(make_frame(0))
    with disk_full(10), pytest.raises(OSError, match="too large"):
        recording.flush()
    recording.tell_audio(make_frame(800))
    record = finish(recording, position=1600)
    assert audio(recording) == b"\xff\xff" * 800 + b"\x01\x02" * 800
    assert record["gaps"][0]["cause"] == "not-written"


def test_more_than_can_wait_is_refused_and_becomes_a_gap(
    recording: Recording, make_frame: MakeFrame
) -> None:
    accepted = 0
    for position in range(0, MAX_QUEUED_SAMPLES + 80_000, 8000):
        accepted += recording.tell_audio(make_frame(position, 8000))
    assert accepted == 30
    recording.flush()
    assert recording.tell_audio(make_frame(MAX_QUEUED_SAMPLES + 80_000, 8000))
    record = finish(recording, position=MAX_QUEUED_SAMPLES + 88_000)
    assert spans(record["gaps"]) == [(30 * 8000, 10 * 8000)]
    assert record["gaps"][0]["cause"] == "not-written"


def test_a_gap_no_call_can_have_ends_the_recording(
    recording: Recording, make_frame: MakeFrame
) -> None:
    recording.tell_audio(make_frame(0))
    recording.tell("discarded", 800, MAX_GAP_SAMPLES + 1)
    recording.tell_audio(make_frame(800 + MAX_GAP_SAMPLES + 1))
    record = finish(recording, position=1600 + MAX_GAP_SAMPLES + 1)
    assert record["samples"] == 800
    assert record["ended_by"] == "gap-too-long"
    assert audio(recording) == make_frame(0).payload


def test_a_session_without_a_sample_is_an_empty_wav(recording: Recording) -> None:
    record = finish(recording, position=0)
    assert record["samples"] == 0
    assert record["sha256"] == hashlib.sha256(b"").hexdigest()


def test_discarding_a_recording_leaves_the_file_as_it_is(
    recording: Recording, make_frame: MakeFrame
) -> None:
    recording.tell_audio(make_frame(0))
    recording.flush()
    recording.discard()
    assert len(audio(recording)) == 1600


def test_the_directory_is_tried_by_writing_to_it(tmp_path: Path, disk_full: DiskFull) -> None:
    assert is_writable(tmp_path / "new" / "one") is None
    assert list((tmp_path / "new" / "one").iterdir()) == []
    with disk_full(100):
        error = is_writable(tmp_path)
    assert isinstance(error, OSError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new"]
