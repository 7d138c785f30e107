"""What a crash left: header sizes, missing and stale sidecars, and files in use."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

from openaudiohook.audio.wav_writer import DATA_OFFSET, header
from openaudiohook.consumers.recording import Recording
from openaudiohook.consumers.recording_recovery import Outcome, recover
from openaudiohook.exceptions import ConfigurationError
from openaudiohook.host.consumer import AudioFrame, Channel, MediaParameter, SessionInfo

pytestmark = pytest.mark.unit

MakeSession = Callable[..., SessionInfo]
MakeFrame = Callable[..., AudioFrame]
MONO = MediaParameter(channels=(Channel.EXTERNAL,))


@pytest.fixture
def crash(
    make_session: MakeSession, make_frame: MakeFrame, tmp_path: Path
) -> Iterator[Callable[..., Path]]:
    """Leaves what a killed service would: a copy of the files of a recording under way."""
    running: list[Recording] = []

    def leave(*, media: MediaParameter = MediaParameter(), samples: int = 801) -> Path:  # noqa: B008
        recording = Recording(make_session(media=media), directory=tmp_path / "live")
        running.append(recording)
        recording.tell("discarded", 0, 100)
        recording.tell_audio(make_frame(100, samples - 100, media=media))
        recording.flush()
        shutil.copytree(tmp_path / "live", tmp_path / "left")
        assert recording.path is not None
        return tmp_path / "left" / recording.path.relative_to(tmp_path / "live")

    yield leave
    for recording in running:
        recording.discard()


def only(outcomes: Iterator[Outcome]) -> Outcome:
    (outcome,) = outcomes
    return outcome


def sidecar(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.with_suffix(".json").read_bytes())
    return record


@pytest.mark.parametrize("media", [MediaParameter(), MONO])
def test_sizes_are_settled_and_the_sidecar_is_brought_up_to_date(
    crash: Callable[..., Path], media: MediaParameter
) -> None:
    path = crash(media=media)
    audio = path.read_bytes()[DATA_OFFSET:]
    outcome = only(recover(path.parents[1]))
    assert (outcome.result, outcome.samples) == ("recovered", 801)
    assert path.read_bytes()[:DATA_OFFSET] == header(len(media.channels), len(audio))
    assert path.read_bytes()[DATA_OFFSET:][: len(audio)] == audio
    assert soundfile.info(path).frames == 801
    record = sidecar(path)
    assert record["state"] == "recovered"
    assert record["samples"] == 801
    assert record["sha256"] == hashlib.sha256(audio).hexdigest()
    assert record["participant"]["ani"] == "tel:+15550100"
    assert [gap["duration_samples"] for gap in record["gaps"]] == [100]
    assert record["ended_utc"]


def test_a_second_run_changes_nothing(crash: Callable[..., Path]) -> None:
    path = crash(media=MONO)
    list(recover(path.parents[1]))
    before = {file: file.read_bytes() for file in (path, path.with_suffix(".json"))}
    assert only(recover(path.parents[1])).result == "complete"
    assert {file: file.read_bytes() for file in before} == before


@pytest.mark.parametrize("damage", ["missing", "empty", "not JSON", "other JSON"])
def test_a_sidecar_that_is_no_use_is_rebuilt_from_the_audio(
    crash: Callable[..., Path], make_session: MakeSession, damage: str
) -> None:
    path = crash()
    audio = path.read_bytes()[DATA_OFFSET:]
    text = {"empty": b"", "not JSON": b"\xff{", "other JSON": b'{"state": "x"}'}
    path.with_suffix(".json").unlink()
    if damage in text:
        path.with_suffix(".json").write_bytes(text[damage])
    outcome = only(recover(path.parents[1]))
    assert outcome.detail == "sidecar rebuilt, sizes settled"
    record = sidecar(path)
    session = make_session()
    assert record["session_id"] == session.session_id
    assert record["conversation_id"] == session.conversation_id
    assert record["channels"] == ["external", "internal"]
    assert record["sha256"] == hashlib.sha256(audio).hexdigest()
    assert record["participant"] is None


def test_the_number_of_a_repeated_session_is_not_part_of_its_id(
    crash: Callable[..., Path], make_session: MakeSession
) -> None:
    path = crash()
    renamed = path.rename(path.with_name(f"{path.stem}.2.wav"))
    assert only(recover(path.parents[1])).detail == "sidecar rebuilt, sizes settled"
    assert sidecar(renamed)["session_id"] == make_session().session_id


def test_a_settled_file_with_a_stale_sidecar_is_told_as_such(crash: Callable[..., Path]) -> None:
    path = crash()
    list(recover(path.parents[1]))
    with path.open("ab") as file:
        file.write(b"\x01\x02")
    outcome = only(recover(path.parents[1]))
    assert (outcome.result, outcome.samples) == ("recovered", 802)
    assert outcome.detail == "sizes corrected, sidecar updated"


def test_half_a_sample_at_the_end_is_left_there_and_not_counted(crash: Callable[..., Path]) -> None:
    path = crash()
    with path.open("ab") as file:
        file.write(b"\x07")
    size = path.stat().st_size
    assert only(recover(path.parents[1])).samples == 801
    assert path.stat().st_size == size
    assert soundfile.info(path).frames == 801
    assert only(recover(path.parents[1])).result == "complete"


def test_a_file_that_is_being_written_is_left_alone(
    make_session: MakeSession, make_frame: MakeFrame, tmp_path: Path
) -> None:
    recording = Recording(make_session(), directory=tmp_path)
    recording.tell_audio(make_frame(0))
    recording.flush()
    assert recording.path is not None
    before = recording.path.read_bytes()
    assert only(recover(tmp_path)).result == "busy"
    assert recording.path.read_bytes() == before
    recording.tell("ended", "end", 800)
    recording.finish()
    assert only(recover(tmp_path)).result == "complete"


@pytest.mark.parametrize("size", [0, 3, 30])
def test_a_header_cut_short_holds_nothing_to_recover(crash: Callable[..., Path], size: int) -> None:
    path = crash()
    os.truncate(path, size)
    assert only(recover(path.parents[1])).result == "empty"
    assert path.stat().st_size == size


def test_a_wav_of_another_program_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "other.wav"
    soundfile.write(path, [0.0] * 800, 8000, subtype="PCM_16")
    before = path.read_bytes()
    outcome = only(recover(tmp_path))
    assert outcome.result == "failed"
    assert "not the header of a recording" in outcome.detail
    assert path.read_bytes() == before


def test_what_cannot_be_opened_is_told_and_the_rest_goes_on(crash: Callable[..., Path]) -> None:
    path = crash()
    (path.parent / "a-directory.wav").mkdir()
    outcomes = {outcome.path.name: outcome for outcome in recover(path.parents[1])}
    assert outcomes["a-directory.wav"].detail == "Is a directory"
    assert outcomes[path.name].result == "recovered"


def test_a_file_system_without_locks_is_no_obstacle(
    crash: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    path = crash()
    monkeypatch.setattr(fcntl, "flock", refuse)
    assert only(recover(path.parents[1])).result == "recovered"


@pytest.mark.parametrize("name", ["missing", "file"])
def test_something_else_than_a_directory_is_said_so(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="the directory of the recordings is needed"):
        list(recover(tmp_path / name))
