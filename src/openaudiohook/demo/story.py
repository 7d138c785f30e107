"""What happens in a call, told from its scenario: the words beside the display and the drawings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from openaudiohook.audio import RATE
from openaudiohook.monitor.scenario import (
    Hangup,
    Hold,
    LanguageChange,
    Monitoring,
    Scenario,
    SecureFlow,
    Step,
    Transfer,
)

__all__ = ["Caption", "Chapter", "Story", "cut", "load_captions", "monitored_from", "tell"]

_REMARKS: Final = {
    "ivr": "what is said is streamed",
    "queue": "the music is streamed",
    "agent": "what is said is streamed",
    "secure flow": "a card number is read; nothing leaves",
    "hold": "no pause: the music is streamed",
    "farewell": "the media language changes",
}
_UNMONITORED: Final = "not monitored, nothing leaves yet"
_FAREWELL: Final = "farewell"


class Chapter(NamedTuple):
    """A part of the call, in samples from call entry.

    Attributes:
        start: its first sample.
        end: the first sample after it; None where the scenario does not say how long it lasts.
        name: ivr, queue, agent, secure flow, hold, farewell; or call, before any of them.
        remark: what that means, in a few words.
    """

    start: int
    end: int | None
    name: str
    remark: str


class Caption(NamedTuple):
    """What is said from one sample up to another, counted from call entry."""

    start: int
    end: int
    speaker: str
    text: str


class Story(NamedTuple):
    """A call's chapters, and what is said in it where that is known."""

    chapters: tuple[Chapter, ...]
    captions: tuple[Caption, ...] = ()

    def chapter_at(self, sample: int) -> Chapter:
        """Return the chapter of a sample of call time."""
        return next(one for one in reversed(self.chapters) if one.start <= sample)

    def caption_at(self, sample: int) -> Caption | None:
        """Return what is said at a sample of call time."""
        return next((one for one in self.captions if one.start <= sample < one.end), None)


class _Utterance(msgspec.Struct):
    """One line of the labels that lie beside a bundled call."""

    speaker: str
    text: str
    is_secure: bool
    start_samples: int
    end_samples: int


class _Labels(msgspec.Struct):
    utterances: list[_Utterance]


def tell(scenario: Scenario, captions: Sequence[Caption] = ()) -> Story:
    """Divide a call into chapters."""
    chapters: list[Chapter] = []
    place, is_secure, is_held, is_monitored, is_farewell = "call", False, False, False, False
    starts: list[tuple[int, str, str]] = [(0, place, _UNMONITORED)]
    for index, step in enumerate(scenario.steps):
        match step:
            case Transfer(to=to):
                place = to
            case SecureFlow(is_start=is_start):
                is_secure = is_start
            case Hold(is_start=is_start):
                is_held = is_start
            case Monitoring(on=on):
                is_monitored = is_monitored or on
            case LanguageChange():
                is_farewell = all(isinstance(one, Hangup) for one in scenario.steps[index + 1 :])
        name = "secure flow" if is_secure else "hold" if is_held else place
        name = _FAREWELL if is_farewell and name == place else name
        remark = _REMARKS.get(name, "") if is_monitored else _UNMONITORED
        if starts[-1][0] == step.at:
            starts.pop()
        if not starts or starts[-1][1:] != (name, remark):
            starts.append((step.at, name, remark))
    ends = [*(at for at, _, _ in starts[1:]), _hangup(scenario.steps)]
    for (at, name, remark), end in zip(starts, ends, strict=True):
        if end is None or end > at:
            chapters.append(Chapter(at, end, name, remark))
    return Story(tuple(chapters), tuple(captions))


def load_captions(scenario_path: Path) -> tuple[Caption, ...]:
    """Read what is said in a call from the labels beside its scenario, if there are any.

    What is said in a secure flow is left out, as it is everywhere.
    """
    path = scenario_path.with_suffix(".labels.json")
    if not path.is_file():
        return ()
    labels = msgspec.json.decode(path.read_bytes(), type=_Labels)
    return tuple(
        Caption(one.start_samples, one.end_samples, one.speaker, one.text)
        for one in labels.utterances
        if not one.is_secure
    )


def cut(scenario: Scenario, seconds: float) -> Scenario:
    """Return the scenario hung up `seconds` after call entry, if it lasts so long."""
    at = round(seconds * RATE)
    steps = tuple(step for step in scenario.steps if step.at < at)
    if any(isinstance(step, Hangup) for step in steps):
        return scenario
    return msgspec.structs.replace(scenario, steps=(*steps, Hangup(at=at)))


def monitored_from(scenario: Scenario) -> int | None:
    """Return the sample, from call entry, at which monitoring is first switched on."""
    return next((s.at for s in scenario.steps if isinstance(s, Monitoring) and s.on), None)


def _hangup(steps: Sequence[Step]) -> int | None:
    return next((step.at for step in steps if isinstance(step, Hangup)), None)
