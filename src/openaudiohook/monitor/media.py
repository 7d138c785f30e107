"""What a call that is placed plays: a file, a tone or a scenario, from one directory only.

Who places a call names a file below the Monitor's media directory. Whatever lies elsewhere is not
there for him, however the name is written.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from openaudiohook.audio import RATE
from openaudiohook.exceptions import ConfigurationError, MediaError
from openaudiohook.monitor.scenario import Play, Scenario, load_scenario
from openaudiohook.monitor.sources.tone import Tone
from openaudiohook.monitor.sources.wav import WavFile

__all__ = ["LONGEST_TONE_S", "SourceRequest", "scenario_of"]

LONGEST_TONE_S: Final = 24 * 3600
"""No call is longer than a day."""


class SourceRequest(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What is to be played; exactly one of the three.

    Attributes:
        file: a WAV file, by its path below the media directory.
        tone: so many seconds of a tone of 1 kHz on the external channel, 400 Hz on the internal.
        scenario: a scenario, by its path below the media directory.
    """

    file: str | None = None
    tone: Decimal | None = None
    scenario: str | None = None


def scenario_of(request: SourceRequest, *, media_dir: Path | None) -> Scenario:
    """Return what a call plays, with everything it needs looked at.

    A file and a tone only play: whether the call is monitored is up to its queue and its flow.

    Raises:
        ConfigurationError: not exactly one thing is named; the name leads out of the media
            directory, or to nothing that can be played; or no such directory is configured.
    """
    named = [name for name in request.__struct_fields__ if getattr(request, name) is not None]
    if len(named) != 1:
        raise ConfigurationError(
            "a source is one of 'file', 'tone' and 'scenario'; "
            f"this one names {' and '.join(repr(name) for name in named) or 'none'}"
        )
    if request.tone is not None:
        return _playing(Tone(samples=_tone_samples(request.tone)))
    if request.file is not None:
        path = _within(media_dir, request.file, what="file")
        return _playing(_checked(WavFile(path=path, name=request.file)))
    assert request.scenario is not None
    path = _within(media_dir, request.scenario, what="scenario")
    try:
        scenario = load_scenario(path)
    except ConfigurationError as error:  # where the directory lies is nobody's business
        raise ConfigurationError(str(error).replace(str(path), request.scenario)) from None
    for step in scenario.steps:
        for source in (getattr(step, "source", None), getattr(step, "music", None)):
            if isinstance(source, WavFile):
                _within(media_dir, str(source.path), what="file", name=source.name)
    return scenario


def _playing(source: Tone | WavFile) -> Scenario:
    return Scenario(steps=(Play(at=0, source=source, channel="both"),))


def _tone_samples(seconds: Decimal) -> int:
    if not seconds.is_finite() or not 0 < seconds <= LONGEST_TONE_S:
        raise ConfigurationError(
            f"a tone lasts more than 0 and at most {LONGEST_TONE_S} seconds, not {seconds}"
        )
    samples = seconds * RATE
    if samples != samples.to_integral_value():
        raise ConfigurationError(
            f"a tone lasts a whole number of samples, of 0.000125 s each, and {seconds} s are none"
        )
    return int(samples)


def _within(media_dir: Path | None, below: str, *, what: str, name: str | None = None) -> Path:
    if media_dir is None:
        raise ConfigurationError(
            f"no media directory is configured, so no {what} can be played; set 'media_dir'"
        )
    try:
        root = media_dir.resolve()
        path = (root / below).resolve()
        is_there = path.is_relative_to(root) and path.is_file()
    except (OSError, ValueError, RuntimeError):  # a name too long, with a NUL, a loop of links
        is_there = False
    if not is_there:
        raise ConfigurationError(
            f"{what} '{name or below}' is not in the media directory; give its path from there"
        )
    return path


def _checked(file: WavFile) -> WavFile:
    try:
        file.open().close()
    except MediaError as error:
        raise ConfigurationError(str(error)) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(f"file '{file.name}' cannot be read: {reason}") from None
    return file
