"""A call's script: what plays when, and what happens to the call meanwhile.

Read from TOML, or made for a single file or tone. Times count from call entry and are whole
samples here; `docs/reference/scenario.md` describes the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from openaudiohook.audio import RATE
from openaudiohook.exceptions import ConfigurationError, MediaError
from openaudiohook.fanout.engine import MAX_HOLD_BACK_SAMPLES
from openaudiohook.monitor.language import LanguageStage
from openaudiohook.monitor.policy import ACTIONS, SwitchedBy
from openaudiohook.monitor.sources import SourceSpec
from openaudiohook.monitor.sources.wav import WavFile
from openaudiohook.monitor.steps import (
    ClientPause,
    Conference,
    Consult,
    EnterQueue,
    FlowAction,
    Hangup,
    Hold,
    LanguageChange,
    Monitoring,
    Play,
    Played,
    SecureFlow,
    Step,
    Transfer,
)
from openaudiohook.monitor.toml_file import Table, TomlFile
from openaudiohook.protocol.messages import LanguageCode
from openaudiohook.store.records import Queue

__all__ = [
    "MAX_HOLD_BACK_MS",
    "ClientPause",
    "Conference",
    "Consult",
    "EnterQueue",
    "FlowAction",
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

MAX_HOLD_BACK_MS: Final = MAX_HOLD_BACK_SAMPLES * 1000 // RATE
"""How long a call's audio can be held back."""

_LONGEST_CALL_S: Final = 24 * 3600
_LATER_STAGES: Final = tuple(stage for stage in LanguageStage if stage is not LanguageStage.TRUNK)
_CALL_KEYS: Final = ("ani", "dnis", "edge", "language", "hold_back_ms", "pause_on_hold")
_QUEUE_KEYS: Final = (
    "name", "enable_audio_monitoring", "enable_transcription", "language", "hold_back_ms",
)  # fmt: skip


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One call from entry to end; the steps are in the order in which they happen.

    Attributes:
        ani: the caller's address; personal data.
        dnis: the called address; personal data.
        edge: where the call's media is handled.
        language: the media language at call entry: the trunk's.
        hold_back_samples: how long audio waits before it leaves, so that it can be taken back.
        pauses_on_hold: whether a hold is a client pause. It is none by default.
    """

    steps: tuple[Step, ...]
    ani: str = ""
    dnis: str = ""
    edge: str = "cloud"
    language: str | None = None
    hold_back_samples: int = 0
    pauses_on_hold: bool = False

    def __repr__(self) -> str:
        return f"Scenario(edge={self.edge!r}, steps={len(self.steps)})"


def single_play(
    source: SourceSpec,
    *,
    channel: Played = "both",
    language: str | None = None,
    is_monitored: bool = True,
) -> Scenario:
    """Make the scenario of one source that plays from call entry to its end.

    It is monitored all the while, or else by whatever switches it on.
    """
    on = Monitoring(at=0, on=True, by=SwitchedBy.FLOW)
    play = Play(at=0, source=source, channel=channel)
    return Scenario(steps=(on, play) if is_monitored else (play,), language=language)


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
    file.top().refuse_unknown(("call", "queue", "step"))
    call = file.section("call")
    settings: dict[str, Any] = {}
    if call is not None:
        call.refuse_unknown(_CALL_KEYS)
        settings["pauses_on_hold"] = call.boolean("pause_on_hold", False)
        settings |= {key: call.text(key) for key in ("ani", "dnis", "edge") if key in call.values}
        if "language" in call.values:
            settings["language"] = _language(call)
        if "hold_back_ms" in call.values:
            settings["hold_back_samples"] = _hold_back_ms(call) * RATE // 1000
    reader = _Reader(file.directory, _queues(file))
    tables = file.sections("step")
    if not tables:
        raise ConfigurationError(f"{path}: no [[step]]; a call needs at least one with 'play'")
    read = sorted(((_step(table, reader), table) for table in tables), key=lambda pair: pair[0].at)
    _check_order(read)
    return Scenario(steps=tuple(step for step, _ in read), **settings)


class _Reader(NamedTuple):
    """What a step may refer to."""

    directory: Path
    queues: Mapping[str, Queue]


def _queues(file: TomlFile) -> dict[str, Queue]:
    queues: dict[str, Queue] = {}
    for table in file.sections("queue"):
        table.refuse_unknown(_QUEUE_KEYS)
        name = table.text("name")
        if name in queues:
            raise table.error("name", f"'{name}' is the name of another queue")
        queues[name] = Queue(
            id=name,
            organization_id="",
            name=name,
            enable_audio_monitoring=table.boolean("enable_audio_monitoring", False),
            enable_transcription=table.boolean("enable_transcription", False),
            language=_language(table) if "language" in table.values else None,
            hold_back_ms=_hold_back_ms(table) if "hold_back_ms" in table.values else 0,
        )
    return queues


def _step(table: Table, reader: _Reader) -> Step:
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
    return read(table, _at(table), reader)


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


def _hold_back_ms(table: Table) -> int:
    milliseconds: Decimal = table.number("hold_back_ms")
    if not 0 <= milliseconds <= MAX_HOLD_BACK_MS or milliseconds % 1:
        raise table.error(
            "hold_back_ms",
            f"a whole number of 0 to {MAX_HOLD_BACK_MS} milliseconds, not {milliseconds}",
        )
    return int(milliseconds)


def _language(table: Table) -> str:
    return _tag(table, "language", table.text("language"))


def _tag(table: Table, key: str, text: str) -> str:
    try:
        return msgspec.convert(text, LanguageCode)
    except msgspec.ValidationError:
        raise table.error(key, "a language is a BCP 47 tag, for example 'en-US'") from None


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


def _play(table: Table, at: int, reader: _Reader) -> Step:
    channel: Played = table.choice("channel", ("external", "internal", "both", "consulted"), "both")
    source, channels = _wav(table, "play", reader.directory)
    if channels == 2 and channel != "both":
        raise table.error(
            "channel", f"the file is stereo, and plays on 'both'; a mono file plays on '{channel}'"
        )
    return Play(at=at, source=source, channel=channel)


def _monitoring(table: Table, at: int, reader: _Reader) -> Step:
    by = SwitchedBy(table.choice("by", tuple(SwitchedBy), SwitchedBy.FLOW))
    return Monitoring(at=at, on=table.boolean("monitoring"), by=by)


def _secure(table: Table, at: int, reader: _Reader) -> Step:
    is_start, effective_at = _is_start(table, "secure"), None
    if "effective_at" in table.values:
        if not is_start:
            raise table.error("effective_at", "belongs to 'secure = \"start\"'; an end is now")
        effective_at = _at(table, "effective_at")
        if effective_at > at:
            raise table.error("effective_at", "is before 'at', at which it is told, or at the same")
    return SecureFlow(at=at, is_start=is_start, effective_at=effective_at)


def _action(table: Table, at: int, reader: _Reader) -> Step:
    action = table.choice("action", ACTIONS)
    return FlowAction(at=at, action=action, enable=table.boolean("enable", None))


def _queue(table: Table, at: int, reader: _Reader) -> Step:
    name = table.text("queue")
    if name not in reader.queues:
        raise table.error("queue", f"no [[queue]] of this file has the name '{name}'")
    return EnterQueue(at=at, queue=reader.queues[name])


def _language_change(table: Table, at: int, reader: _Reader) -> Step:
    stage = LanguageStage(table.choice("stage", _LATER_STAGES, LanguageStage.CALL))
    return LanguageChange(at=at, language=_language(table), stage=stage)


def _transfer(table: Table, at: int, reader: _Reader) -> Step:
    to = table.choice("transfer", ("queue", "agent", "ivr"))
    if "languages" in table.values and to != "ivr":
        raise table.error("languages", "these are the languages of a flow: of 'transfer = \"ivr\"'")
    languages = table.texts("languages", ())
    return Transfer(
        at=at, to=to, languages=tuple(_tag(table, "languages", one) for one in languages)
    )


def _hold(table: Table, at: int, reader: _Reader) -> Step:
    is_start = _is_start(table, "hold")
    return Hold(at=at, is_start=is_start, music=_music(table, "hold", is_start, reader))


def _consult(table: Table, at: int, reader: _Reader) -> Step:
    is_start = _is_start(table, "consult")
    return Consult(at=at, is_start=is_start, music=_music(table, "consult", is_start, reader))


def _music(table: Table, kind: str, is_start: bool, reader: _Reader) -> SourceSpec | None:
    if "music" not in table.values:
        return None
    if not is_start:
        raise table.error("music", f"music begins with '{kind} = \"start\"'")
    music, channels = _wav(table, "music", reader.directory)
    if channels != 1:
        raise table.error("music", "the file is stereo; hold music is mono")
    return music


def _hangup(table: Table, at: int, reader: _Reader) -> Step:
    if table.boolean("hangup") is not True:
        raise table.error("hangup", "it is true, or the step is left out")
    return Hangup(at=at)


def _is_start(table: Table, key: str) -> bool:
    return bool(table.choice(key, ("start", "end")) == "start")


_KINDS: Final[dict[str, tuple[Callable[[Table, int, _Reader], Step], tuple[str, ...]]]] = {
    "play": (_play, ("channel",)),
    "monitoring": (_monitoring, ("by",)),
    "secure": (_secure, ("effective_at",)),
    "action": (_action, ("enable",)),
    "queue": (_queue, ()),
    "language": (_language_change, ("stage",)),
    "hold": (_hold, ("music",)),
    "consult": (_consult, ("music",)),
    "conference": (
        lambda t, at, _: Conference(at=at, is_start=_is_start(t, "conference")),
        (),
    ),
    "transfer": (_transfer, ("languages",)),
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
    keys = {
        SecureFlow: "secure",
        ClientPause: "client_pause",
        Hold: "hold",
        Consult: "consult",
        Conference: "conference",
    }
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
        elif isinstance(step, SecureFlow | ClientPause | Hold | Consult | Conference):
            if not step.is_start and not begun.get(type(step)):
                key = keys[type(step)]
                raise table.error(key, f"ends what no '{key} = \"start\"' before it began")
            begun[type(step)] = step.is_start
    if hangup is None and not plays and last is not None:
        raise last.error(None, "nothing ever plays; add a step with 'play', or one with 'hangup'")
