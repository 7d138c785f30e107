"""What a call may play: one thing, from the media directory, and nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.monitor.media import SourceRequest, scenario_of
from openaudiohook.monitor.sources.tone import Tone
from openaudiohook.monitor.sources.wav import WavFile
from openaudiohook.monitor.steps import Play

pytestmark = pytest.mark.unit

MakeWav = Callable[..., Path]


@pytest.fixture
def media(tmp_path: Path, make_wav: MakeWav) -> Path:
    make_wav("media/in/call.wav", bytes(800))
    make_wav("outside.wav", bytes(800))
    directory = tmp_path / "media"
    (directory / "good.toml").write_text('[[step]]\nat = 0\nplay = "in/call.wav"\n')
    (directory / "leading out.toml").write_text('[[step]]\nat = 0\nplay = "../outside.wav"\n')
    (directory / "bad.toml").write_text('[[step]]\nat = 0\nplay = "missing.wav"\n')
    (directory / "link.wav").symlink_to(tmp_path / "outside.wav")
    (directory / "no audio.wav").write_bytes(b"RIFF")
    return directory


def test_a_file_is_found_below_the_directory(media: Path) -> None:
    scenario = scenario_of(SourceRequest(file="in/call.wav"), media_dir=media)
    (play,) = scenario.steps
    assert isinstance(play, Play)
    assert play.source == WavFile(path=media / "in" / "call.wav", name="in/call.wav")


def test_a_tone_lasts_as_long_as_was_asked(media: Path) -> None:
    (play,) = scenario_of(SourceRequest(tone=Decimal("1.5")), media_dir=None).steps
    assert isinstance(play, Play)
    assert play.source == Tone(samples=12_000)


def test_a_scenario_plays_what_lies_beside_it(media: Path) -> None:
    assert len(scenario_of(SourceRequest(scenario="good.toml"), media_dir=media).steps) == 1


@pytest.mark.parametrize(
    "source",
    [
        SourceRequest(file="../outside.wav"),
        SourceRequest(file="in/../../outside.wav"),
        SourceRequest(file="/etc/hostname"),
        SourceRequest(file="link.wav"),
        SourceRequest(file="in"),
        SourceRequest(file=""),
        SourceRequest(file="missing.wav"),
        SourceRequest(file="a\0b"),
        SourceRequest(file="a" * 5_000),
        SourceRequest(scenario="../media/../outside.wav"),
        SourceRequest(scenario="leading out.toml"),
    ],
    ids=str,
)
def test_nothing_from_elsewhere_is_there(source: SourceRequest, media: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not in the media directory") as caught:
        scenario_of(source, media_dir=media)
    assert str(media.parent) not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (SourceRequest(), "names none"),
        (SourceRequest(file="in/call.wav", tone=Decimal(1)), "names 'file' and 'tone'"),
        (SourceRequest(file="no audio.wav"), "no audio.wav"),
        (SourceRequest(scenario="bad.toml"), "bad.toml, line 3"),
        (SourceRequest(tone=Decimal(0)), "more than 0"),
        (SourceRequest(tone=Decimal(-1)), "more than 0"),
        (SourceRequest(tone=Decimal("1e9")), "at most 86400"),
        (SourceRequest(tone=Decimal("0.0001")), "whole number of samples"),
    ],
)
def test_what_cannot_be_played_is_refused(source: SourceRequest, problem: str, media: Path) -> None:
    with pytest.raises(ConfigurationError, match=problem) as caught:
        scenario_of(source, media_dir=media)
    assert str(media.parent) not in str(caught.value)


@pytest.mark.parametrize("tone", ["NaN", "sNaN", "Infinity"])
def test_what_is_no_number_is_no_length(tone: str) -> None:
    with pytest.raises(ConfigurationError, match="a tone lasts"):
        scenario_of(SourceRequest(tone=Decimal(tone)), media_dir=None)


def test_a_refusal_is_short_however_small_the_number() -> None:
    with pytest.raises(ConfigurationError, match="whole number") as caught:
        scenario_of(SourceRequest(tone=Decimal("1e-99999")), media_dir=None)
    assert len(str(caught.value)) < 200


def test_without_a_directory_there_are_tones_only() -> None:
    with pytest.raises(ConfigurationError, match="set 'media_dir'"):
        scenario_of(SourceRequest(file="call.wav"), media_dir=None)
