"""The bundled call is what its labels and its scenario say; no synthesiser is needed to tell."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

import openaudiohook
from openaudiohook.audio import level
from openaudiohook.audio.wav_reader import WavReader

pytestmark = pytest.mark.unit

FOLDER = Path(openaudiohook.__file__).parent / "demo" / "call"
RATE = 8000


@pytest.fixture(scope="module")
def steps() -> list[dict]:
    return tomllib.loads((FOLDER / "call.toml").read_text(encoding="utf-8"))["step"]


@pytest.fixture(scope="module")
def labels() -> dict:
    return json.loads((FOLDER / "call.labels.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def heard(steps: list[dict]) -> dict[str, np.ndarray]:
    """Each channel as linear samples, the scenario's files laid out as they are played."""
    end = round(steps[-1]["at"] * RATE)
    line = {channel: np.zeros(end, np.int16) for channel in ("external", "internal")}
    for step in steps:
        if name := step.get("play") or step.get("music"):
            samples = linear(name)
            at = round(step["at"] * RATE)
            track = line[step.get("channel", "internal")][at:]
            track[: len(samples)] = samples[: len(track)]
            track[len(samples) :] = 0
    return line


def linear(name: str) -> np.ndarray:
    with (FOLDER / name).open("rb") as file:
        source = WavReader(file, name=name)
        assert (source.info.format_tag, source.info.channels) == (7, 1)
        assert not source.info.is_truncated
        return source.read_linear(source.info.samples)[:, 0]


def at_of(steps: list[dict], key: str, value: object) -> float:
    (at,) = (step["at"] for step in steps if step.get(key) == value)
    return at


def test_it_tells_the_whole_story(steps: list[dict]) -> None:
    keys = [key for step in steps for key in step if key not in ("at", "channel", "by", "music")]
    told = [key for key in keys if key != "play"]
    assert told == [
        *("transfer", "transfer", "monitoring", "transfer"),
        *("secure", "secure", "hold", "hold", "language", "hangup"),
    ]
    assert [step["at"] for step in steps] == sorted(step["at"] for step in steps)
    assert 55 <= steps[-1]["at"] <= 65
    played = {name for step in steps for name in (step.get("play"), step.get("music")) if name}
    assert played == {path.name for path in FOLDER.glob("*.wav")}


def test_every_step_is_on_an_exact_sample(steps: list[dict]) -> None:
    assert all((step["at"] * RATE).is_integer() for step in steps)


def test_labels_and_scenario_agree(steps: list[dict], labels: dict) -> None:
    assert labels["call_s"] == steps[-1]["at"]
    assert labels["monitored_from_s"] == at_of(steps, "monitoring", True) > 0
    for kind in ("secure", "hold"):
        (span,) = labels[f"{kind}_spans"]
        assert span["start_s"] == at_of(steps, kind, "start")
        assert span["end_s"] == at_of(steps, kind, "end")
    for span in (*labels["secure_spans"], *labels["hold_spans"], *labels["utterances"]):
        assert span["start_samples"] == span["start_s"] * RATE
        assert span["end_samples"] == span["end_s"] * RATE


def test_the_secure_span_covers_the_card_with_half_a_second_to_spare(labels: dict) -> None:
    (secure,) = labels["secure_spans"]
    card = [said for said in labels["utterances"] if said["is_secure"]]
    assert any("Four one one one" in said["text"] for said in card)
    for said in card:
        assert said["start_s"] >= secure["start_s"] + 0.5
        assert said["end_s"] <= secure["end_s"] - 0.5
    for said in labels["utterances"]:
        if not said["is_secure"]:
            assert said["end_s"] <= secure["start_s"] or said["start_s"] >= secure["end_s"]


def test_everything_said_is_heard_where_its_label_says(
    labels: dict, heard: dict[str, np.ndarray]
) -> None:
    for said in labels["utterances"]:
        span = heard[said["channel"]][said["start_samples"] : said["end_samples"]]
        measured = level.measure(span)
        assert -24 < measured.rms_dbfs < -18, said["text"]
        assert measured.peak_dbfs < -2, said["text"]


def test_between_what_is_said_the_customer_is_only_line_noise(
    labels: dict, heard: dict[str, np.ndarray]
) -> None:
    rest = heard["external"].copy()
    for said in labels["utterances"]:
        if said["channel"] == "external":
            rest[said["start_samples"] : said["end_samples"]] = 0
    assert level.measure(rest).peak_dbfs < -40
    # Noise, not digital silence: 0xFF in a recording then means that the audio was left out.
    block = heard["external"][: 800 * (len(rest) // 800)].reshape(-1, 800)
    assert (block != 0).any(axis=1).all()


def test_music_is_heard_on_hold(labels: dict, heard: dict[str, np.ndarray]) -> None:
    (hold,) = labels["hold_spans"]
    span = heard["internal"][hold["start_samples"] : hold["end_samples"]]
    assert -30 < level.measure(span).rms_dbfs < -22


def test_it_is_small_and_nothing_clips(heard: dict[str, np.ndarray]) -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_500_000
    for samples in heard.values():
        assert level.measure(samples).peak_dbfs < -2
