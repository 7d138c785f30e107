"""A call's script: what plays when, and what happens to the call meanwhile.

Read from TOML, or made for a single file or tone. Times count from call entry and are whole
samples here; `docs/reference/scenario.md` describes the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from openaudiohook.audio import RATE
from openaudiohook.exceptions import ConfigurationError, MediaError
from openaudiohook.fanout.engine import MAX_HOLD_BACK_SAMPLES
from openaudiohook.monitor.policy import SwitchedBy
from openaudiohook.monitor.sources import SourceSpec
from openaudiohook.monitor.sources.wav import WavFile
from openaudiohook.monitor.toml_file import Table, TomlFile
from openaudiohook.protocol.messages import LanguageCode

__all__ = [
    "MAX_HOLD_BACK_MS",
    "ClientPause",
    "Hangup",
    "Hold",
    "LanguageChange",
    "Monitoring",
    "Play",
    "Played",
    "Scenario",
    "SecureFlow",
    "Step",
    "Transfer",
    "expected_samples",
    "load_scenario",
    "single_play",
]

Played = Literal["external", "internal", "both"]

MAX_HOLD_BACK_MS: Final = MAX_HOLD_BACK_SAMPLES * 1000 // RATE
"""How long a call's audio can be held back."""

_LONGEST_CALL_S: Final = 24 * 3600


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happens to a call before its sample `at`, counted from call entry."""

    at: int


class Play(Step, frozen=True, kw_only=True):
    """A source starts on a channel, and replaces what played there.

    On `both` a stereo source plays its channels, external first, and a mono one plays on external
    with silence on the other side.
    """

    source: SourceSpec
    channel: Played


class Monitoring(Step, frozen=True, kw_only=True):
    """Monitoring is switched, by the flow's action or by the queue's setting."""

    on: bool
    by: SwitchedBy


class SecureFlow(Step, frozen=True, kw_only=True):
    """A secure flow begins or ends.

    Attributes:
        effective_at: the sample of call time from which on it is to have held, for one that is
            told late; None where it is told in time.
    """

    is_start: bool
    effective_at: int | None = None


class ClientPause(Step, frozen=True, kw_only=True):
    """The platform pauses the stream for reasons of its own, or no longer does."""

    is_start: bool


class LanguageChange(Step, frozen=True, kw_only=True):
    """The call's media language from here on."""

    language: str


class Hold(Step, frozen=True, kw_only=True):
    """The agent puts the customer on hold, or takes the call back. Hold is not a pause.

    Attributes:
        music: what the customer hears meanwhile, over and over; silence where it is None.
    """

    is_start: bool
    music: SourceSpec | None


class Transfer(Step, frozen=True, kw_only=True):
    """The call moves on; its sessions continue. A queue applies its monitoring setting again."""

    to: Literal["queue", "agent", "ivr"]


class Hangup(Step, frozen=True, kw_only=True):
    """The call ends."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One call from entry to end; the steps are in the order in which they happen.

    Attributes:
        ani: the caller's address; personal data.
        dnis: the called address; personal data.
        edge: where the call's media is handled.
        language: the media language at call entry.
        hold_back_samples: how long audio waits before it leaves, so that it can be taken back.
    """

    steps: tuple[Step, ...]
    ani: str = ""
    dnis: str = ""
    edge: str = "cloud"
    language: str | None = None
    hold_back_samples: int = 0

    def __repr__(self) -> str:
        return f"Scenario(edge={self.edge!r}, steps={len(self.steps)})"


def single_play(
    source: SourceSpec, *, channel: Played = "both", language: str | None = None
) -> Scenario:
    """Make the scenario of one source, monitored from call entry to its end."""
    on = Monitoring(at=0, on=True, by=SwitchedBy.FLOW)
    play = Play(at=0, source=source, channel=channel)
    return Scenario(steps=(on, play), language=language)


def expected_samples(scenario: Scenario) -> int:
    """Return about how long the call will be, in samples from call entry.

    Raises:
        MediaError: a file that is to be played cannot be.
        OSError: it cannot be read.
    """
    end = 0
    for step in scenario.steps:
        end = max(end, step.at)
        if isinstance(step, Hangup):
            return step.at
        if isinstance(step, Play):
            source = step.source.open()
            source.close()
            end = max(end, step.at + source.samples)
    return end


def load_scenario(path: Path) -> Scenario:
    """Read a scenario and check everything in it, the audio files included.

    Raises:
        ConfigurationError: it cannot be used; the text names file, line and key, and what would
            be right.
    """
    file = TomlFile(path)
    file.top().refuse_unknown(("call", "step"))
    call = file.section("call")
    settings: dict[str, Any] = {}
    if call is not None:
        call.refuse_unknown(("ani", "dnis", "edge", "language", "hold_back_ms"))
        settings = {key: call.text(key) for key in ("ani", "dnis", "edge") if key in call.values}
        if "language" in call.values:
            settings["language"] = _language(call)
        if "hold_back_ms" in call.values:
            settings["hold_back_samples"] = _hold_back(call)
    tables = file.sections("step")
    if not tables:
        raise ConfigurationError(f"{path}: no [[step]]; a call needs at least one with 'play'")
    read = sorted(
        ((_step(table, file.directory), table) for table in tables), key=lambda pair: pair[0].at
    )
    _check_order(read)
    return Scenario(steps=tuple(step for step, _ in read), **settings)


def _step(table: Table, directory: Path) -> Step:
    kinds = [key for key in table.values if key in _KINDS]
    known = (*_KINDS, "at", *(extra for _, extras in _KINDS.values() for extra in extras))
    table.refuse_unknown(known)
    if len(kinds) != 1:
        what = " and ".join(f"'{kind}'" for kind in kinds) or "nothing"
        raise table.error(
            kinds[1] if kinds else None,
            f"a step does one thing, and this one does {what}; the things are {', '.join(_KINDS)}",
        )
    kind = kinds[0]
    read, extras = _KINDS[kind]
    for key in table.values:
        if key not in (kind, "at", *extras):
            raise table.error(key, f"does not belong to '{kind}'")
    return read(table, _at(table), directory)


def _at(table: Table, key: str = "at") -> int:
    seconds: Decimal = table.number(key)
    if not 0 <= seconds <= _LONGEST_CALL_S:
        raise table.error(key, f"a time is 0 to {_LONGEST_CALL_S} seconds, not {seconds}")
    samples = seconds * RATE
    if samples != samples.to_integral_value():
        nearest = samples.to_integral_value() / RATE
        raise table.error(
            key, f"a time is a whole number of samples (0.000125 s): {nearest}, not {seconds}"
        )
    return int(samples)


def _hold_back(table: Table) -> int:
    milliseconds: Decimal = table.number("hold_back_ms")
    if not 0 <= milliseconds <= MAX_HOLD_BACK_MS or milliseconds % 1:
        raise table.error(
            "hold_back_ms",
            f"a whole number of 0 to {MAX_HOLD_BACK_MS} milliseconds, not {milliseconds}",
        )
    return int(milliseconds) * RATE // 1000


def _language(table: Table) -> str:
    try:
        return msgspec.convert(table.text("language"), LanguageCode)
    except msgspec.ValidationError:
        raise table.error("language", "a language is a BCP 47 tag, for example 'en-US'") from None


def _wav(table: Table, key: str, directory: Path) -> tuple[WavFile, int]:
    """Read a path, look whether the file can be played, and count its channels."""
    spec = WavFile(path=directory / table.text(key), name=table.values[key])
    try:
        source = spec.open()
    except MediaError as error:
        raise table.error(key, str(error)) from None
    except (OSError, ValueError) as error:  # a path with a NUL in it is a ValueError
        reason = getattr(error, "strerror", None) or "not a path"
        raise table.error(
            key, f"'{spec.name}' cannot be read: {reason}; paths are relative to the scenario"
        ) from None
    source.close()
    return spec, source.channels


def _play(table: Table, at: int, directory: Path) -> Step:
    channel: Played = table.choice("channel", ("external", "internal", "both"), "both")
    source, channels = _wav(table, "play", directory)
    if channels == 2 and channel != "both":
        raise table.error(
            "channel", f"the file is stereo, and plays on 'both'; a mono file plays on '{channel}'"
        )
    return Play(at=at, source=source, channel=channel)


def _monitoring(table: Table, at: int, directory: Path) -> Step:
    by = SwitchedBy(table.choice("by", tuple(SwitchedBy), SwitchedBy.FLOW))
    return Monitoring(at=at, on=table.boolean("monitoring"), by=by)


def _secure(table: Table, at: int, directory: Path) -> Step:
    is_start, effective_at = _is_start(table, "secure"), None
    if "effective_at" in table.values:
        if not is_start:
            raise table.error("effective_at", "belongs to 'secure = \"start\"'; an end is now")
        effective_at = _at(table, "effective_at")
        if effective_at > at:
            raise table.error("effective_at", "is before 'at', at which it is told, or at the same")
    return SecureFlow(at=at, is_start=is_start, effective_at=effective_at)


def _hold(table: Table, at: int, directory: Path) -> Step:
    is_start = _is_start(table, "hold")
    music = None
    if "music" in table.values:
        if not is_start:
            raise table.error("music", "music begins with 'hold = \"start\"'")
        music, channels = _wav(table, "music", directory)
        if channels != 1:
            raise table.error("music", "the file is stereo; hold music is mono")
    return Hold(at=at, is_start=is_start, music=music)


def _hangup(table: Table, at: int, directory: Path) -> Step:
    if table.boolean("hangup") is not True:
        raise table.error("hangup", "it is true, or the step is left out")
    return Hangup(at=at)


def _is_start(table: Table, key: str) -> bool:
    return bool(table.choice(key, ("start", "end")) == "start")


_KINDS: Final[dict[str, tuple[Callable[[Table, int, Path], Step], tuple[str, ...]]]] = {
    "play": (_play, ("channel",)),
    "monitoring": (_monitoring, ("by",)),
    "secure": (_secure, ("effective_at",)),
    "language": (lambda t, at, _: LanguageChange(at=at, language=_language(t)), ()),
    "hold": (_hold, ("music",)),
    "transfer": (
        lambda t, at, _: Transfer(at=at, to=t.choice("transfer", ("queue", "agent", "ivr"))),
        (),
    ),
    "client_pause": (
        lambda t, at, _: ClientPause(at=at, is_start=_is_start(t, "client_pause")),
        (),
    ),
    "hangup": (_hangup, ()),
}
"""What a step can do: how it is read, and which keys it takes besides `at`."""


def _check_order(read: Iterable[tuple[Step, Table]]) -> None:
    """Refuse what cannot happen in that order: ends without a start, steps after the hang-up."""
    begun: dict[type[Step], bool] = {}
    keys = {SecureFlow: "secure", ClientPause: "client_pause", Hold: "hold"}
    hangup: Table | None = None
    plays = False
    last: Table | None = None
    for step, table in read:
        last = table
        if hangup is not None:
            line = hangup.line
            raise table.error("at", f"the call has ended with {hangup.name} (line {line})")
        plays = plays or isinstance(step, Play)
        if isinstance(step, Hangup):
            hangup = table
        elif isinstance(step, SecureFlow | ClientPause | Hold):
            if not step.is_start and not begun.get(type(step)):
                key = keys[type(step)]
                raise table.error(key, f"ends what no '{key} = \"start\"' before it began")
            begun[type(step)] = step.is_start
    if hangup is None and not plays and last is not None:
        raise last.error(None, "nothing ever plays; add a step with 'play', or one with 'hangup'")
