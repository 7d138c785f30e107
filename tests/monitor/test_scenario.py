from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.monitor.language import LanguageStage
from openaudiohook.monitor.policy import SwitchedBy
from openaudiohook.monitor.scenario import (
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
    Scenario,
    SecureFlow,
    Transfer,
    expected_samples,
    load_scenario,
    single_play,
)
from openaudiohook.monitor.sources.tone import Tone
from openaudiohook.monitor.sources.wav import WavFile
from openaudiohook.store.records import Queue

pytestmark = pytest.mark.unit

PLAY = '[[step]]\nat = 0\nplay = "caller.wav"\nchannel = "external"\n'


@pytest.fixture
def load(make_wav: Callable[..., Path]) -> Callable[[str], Scenario]:
    """Write a scenario beside three good files and read it."""

    def load(text: str) -> Scenario:
        path = make_wav("caller.wav", bytes(800))
        make_wav("both.wav", bytes(1600), channels=2)
        make_wav("sounds/music.wav", bytes(800))
        scenario = path.parent / "call.toml"
        scenario.write_text(text, encoding="utf-8")
        return load_scenario(scenario)

    return load


@pytest.fixture
def refusal(load: Callable[[str], Scenario], tmp_path: Path) -> Callable[[str], str]:
    """Read a bad scenario and return what was said about it, the directory left out."""

    def refusal(text: str) -> str:
        with pytest.raises(ConfigurationError) as caught:
            load(text)
        return str(caught.value).replace(f"{tmp_path}/", "")

    return refusal


def test_every_kind_of_step_is_read(load: Callable[[str], Scenario], tmp_path: Path) -> None:
    scenario = load(
        """
[call]
ani = "tel:+15550100"
dnis = "tel:+18005550123"
edge = "byoc-cloud"
language = "en-US"

[[step]]
at = 0.0
play = "caller.wav"
channel = "external"
[[step]]
at = 1
play = "both.wav"
[[step]]
at = 2.0
monitoring = true
[[step]]
at = 3.5
monitoring = false
by = "queue"
[[step]]
at = 9.0
secure = "start"
[[step]]
at = 14.000125
secure = "end"
[[step]]
at = 15.0
hold = "start"
music = "sounds/music.wav"
[[step]]
at = 16.0
hold = "end"
[[step]]
at = 17.0
transfer = "agent"
[[step]]
at = 18.0
client_pause = "start"
[[step]]
at = 19.0
client_pause = "end"
[[step]]
at = 30.0
language = "fr-CA"
[[step]]
at = 40.0
hangup = true
"""
    )
    assert (scenario.ani, scenario.dnis) == ("tel:+15550100", "tel:+18005550123")
    assert (scenario.edge, scenario.language) == ("byoc-cloud", "en-US")
    caller = WavFile(path=tmp_path / "caller.wav", name="caller.wav")
    both = WavFile(path=tmp_path / "both.wav", name="both.wav")
    music = WavFile(path=tmp_path / "sounds/music.wav", name="sounds/music.wav")
    assert scenario.steps == (
        Play(at=0, source=caller, channel="external"),
        Play(at=8000, source=both, channel="both"),
        Monitoring(at=16000, on=True, by=SwitchedBy.FLOW),
        Monitoring(at=28000, on=False, by=SwitchedBy.QUEUE),
        SecureFlow(at=72000, is_start=True),
        SecureFlow(at=112001, is_start=False),
        Hold(at=120000, is_start=True, music=music),
        Hold(at=128000, is_start=False, music=None),
        Transfer(at=136000, to="agent"),
        ClientPause(at=144000, is_start=True),
        ClientPause(at=152000, is_start=False),
        LanguageChange(at=240000, language="fr-CA"),
        Hangup(at=320000),
    )


def test_steps_happen_in_the_order_of_their_times(load: Callable[[str], Scenario]) -> None:
    scenario = load('[[step]]\nat = 2\nlanguage = "fr"\n[[step]]\nat = 1\nlanguage = "de"\n' + PLAY)
    assert [step.at for step in scenario.steps] == [0, 8000, 16000]


def test_steps_of_one_time_keep_the_order_of_the_file(load: Callable[[str], Scenario]) -> None:
    scenario = load(PLAY + "".join(f'[[step]]\nat = 1\nlanguage = "{x}"\n' for x in ("de", "fr")))
    assert scenario.steps[1:] == (
        LanguageChange(at=8000, language="de"),
        LanguageChange(at=8000, language="fr"),
    )


def test_the_caller_is_not_in_the_representation(load: Callable[[str], Scenario]) -> None:
    assert "555" not in repr(load('[call]\nani = "tel:+15550100"\n' + PLAY))


def test_a_call_without_a_call_table_is_on_a_cloud_edge(load: Callable[[str], Scenario]) -> None:
    scenario = load(PLAY)
    assert (scenario.edge, scenario.language, scenario.ani) == ("cloud", None, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "call.toml: no [[step]]; a call needs at least one with 'play'"),
        ("[[step]\nat = 0", "call.toml: not valid TOML: Expected ']]' at the end of an array"),
        ("a = ", "(at end of document)"),
        ("\n\nx = 1 y", "(at line 3, column 7)"),
        ("x = " + "[" * 5000, "call.toml: not valid TOML: nested too deeply"),
        ("volume = 3", "call.toml, line 1: volume: unknown key; known are 'call', 'queue', 'step'"),
        ("\n[cal]\nani = 'x'", "line 2: cal: unknown key; did you mean 'call'?"),
        ("call = 3", "line 1: call: a table is needed, not a number"),
        ("[call]\nanni = 'x'", "line 2: [call]: anni: unknown key; did you mean 'ani'?"),
        ("[call]\n\nani = 5", "line 3: [call]: ani: a text is needed, not a number"),
        ("[call]\nlanguage = 'english!'", "line 2: [call]: language: a language is a BCP 47 tag"),
        ("[call]\ndnis = 2020-01-01", "line 2: [call]: dnis: a text is needed, not a date"),
        ("[step]\nat = 0", "line 1: step: each one is written under its own [[step]]"),
        ("step = [1]", "line 1: step: each one is written under its own [[step]]"),
        ("[[step]]\nplay = 'caller.wav'", "line 1: [[step]] 1: 'at' is missing; it is a number"),
        (
            PLAY + "[[step]]\nat = 1\nplai = 'x'",
            "line 7: [[step]] 2: plai: unknown key; did you mean 'play'?",
        ),
        (
            "[[step]]\nat = 1",
            "[[step]] 1: a step does one thing, and this one does nothing",
        ),
        (
            "[[step]]\nat = 1\nhangup = true\nsecure = 'end'",
            "line 4: [[step]] 1: secure: a step does one thing, and this one does 'hangup' and",
        ),
        (
            "[[step]]\nat = 1\nhangup = true\nby = 'flow'",
            "line 4: [[step]] 1: by: does not belong to 'hangup'",
        ),
        ("[[step]]\nat = '1'\nhangup = true", "line 2: [[step]] 1: at: a number is needed, not a"),
        ("[[step]]\nat = true\nhangup = true", "at: a number is needed, not true or false"),
        ("[[step]]\nat = nan\nhangup = true", "at: a finite number is needed, not NaN"),
        ("[[step]]\nat = -0.5\nhangup = true", "at: a time is 0 to 86400 seconds, not -0.5"),
        ("[[step]]\nat = 1e9\nhangup = true", "at: a time is 0 to 86400 seconds, not 1E+9"),
        (
            "[[step]]\nat = 0.1001\nhangup = true",
            "at: a time is a whole number of samples (0.000125 s): 0.100125, not 0.1001",
        ),
        ("[[step]]\nat = 1\nhangup = false", "hangup: it is true, or the step is left out"),
        ("[[step]]\nat = 1\nsecure = 'stop'", "secure: 'stop' is not one of 'start', 'end'"),
        ("[[step]]\nat = 1\ntransfer = 'me'", "'me' is not one of 'queue', 'agent', 'ivr'"),
        ("[[step]]\nat = 1\nmonitoring = 'on'", "monitoring: true or false is needed, not a text"),
        ("[[step]]\nat = 1\nmonitoring = true\nby = 'me'", "'me' is not one of 'flow', 'queue'"),
        ("[[step]]\nat = 1\nlanguage = 7", "language: a text is needed, not a number"),
        ("[[step]]\nat = 1\nlanguage = ''", "language: a language is a BCP 47 tag"),
        (
            "[[step]]\nat = 0\nplay = ['a']",
            "[[step]] 1: play: a text is needed, not a list",
        ),
        (
            "[[step]]\nat = 0\nplay = 'none.wav'",
            "play: 'none.wav' cannot be read: No such file or directory; paths are relative to the",
        ),
        ("[[step]]\nat = 0\nplay = 'sounds'", "'sounds' cannot be read: Is a directory"),
        ('[[step]]\nat = 0\nplay = "a\\u0000b"', "cannot be read: not a path"),
        ("[[step]]\nat = 0\nplay = 'call.toml'", "play: call.toml: not a WAV file"),
        (
            "[[step]]\nat = 0\nplay = 'both.wav'\nchannel = 'internal'",
            "line 4: [[step]] 1: channel: the file is stereo, and plays on 'both'",
        ),
        ("[[step]]\nat = 0\nplay = 'caller.wav'\nchannel = 'left'", "'left' is not one of"),
        (
            PLAY + "[[step]]\nat = 1\nhold = 'start'\nmusic = 'both.wav'",
            "line 8: [[step]] 2: music: the file is stereo; hold music is mono",
        ),
        (
            PLAY + "[[step]]\nat = 1\nhold = 'end'\nmusic = 'caller.wav'",
            "line 8: [[step]] 2: music: music begins with 'hold = \"start\"'",
        ),
        (
            PLAY + "[[step]]\nat = 1\nsecure = 'end'",
            "line 7: [[step]] 2: secure: ends what no 'secure = \"start\"' before it began",
        ),
        (
            PLAY + "[[step]]\nat = 1\nsecure = 'start'\neffective_at = 1.000125",
            "line 8: [[step]] 2: effective_at: is before 'at', at which it is told, or at the same",
        ),
        (
            PLAY + "[[step]]\nat = 1\nsecure = 'start'\neffective_at = 0.0001",
            "effective_at: a time is a whole number of samples (0.000125 s): 0.000125, not 0.0001",
        ),
        (
            PLAY + "[[step]]\nat = 1\nsecure = 'start'\neffective_at = -1",
            "effective_at: a time is 0 to 86400 seconds, not -1",
        ),
        (
            PLAY + "[[step]]\nat = 1\nsecure = 'end'\neffective_at = 1",
            "effective_at: belongs to 'secure = \"start\"'; an end is now",
        ),
        (
            PLAY + "[[step]]\nat = 1\nmonitoring = true\neffective_at = 1",
            "effective_at: does not belong to 'monitoring'",
        ),
        (
            "[call]\nhold_back_ms = 3001\n" + PLAY,
            "hold_back_ms: a whole number of 0 to 3000 milliseconds, not 3001",
        ),
        ("[call]\nhold_back_ms = 0.5\n" + PLAY, "hold_back_ms: a whole number of 0 to 3000"),
        ("[call]\nhold_back_ms = -1\n" + PLAY, "hold_back_ms: a whole number of 0 to 3000"),
        ("[call]\nhold_back_ms = '1'\n" + PLAY, "hold_back_ms: a number is needed, not a text"),
        (
            PLAY + "[[step]]\nat = 2\nhold = 'start'\n[[step]]\nat = 1\nhold = 'end'",
            "line 10: [[step]] 3: hold: ends what no 'hold = \"start\"' before it began",
        ),
        (
            "[[step]]\nat = 1\nhangup = true\n[[step]]\nat = 2\nlanguage = 'de'",
            "line 5: [[step]] 2: at: the call has ended with [[step]] 1 (line 1)",
        ),
        ("[[step]]\nat = 1\nmonitoring = true", "nothing ever plays; add a step with 'play'"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_would_be_right(
    refusal: Callable[[str], str], text: str, said: str
) -> None:
    assert said in refusal(text)


def test_a_secure_flow_may_be_told_late_and_audio_held_back(
    load: Callable[[str], Scenario],
) -> None:
    told = "[[step]]\nat = 2\nsecure = 'start'\neffective_at = 1.75"
    scenario = load("[call]\nhold_back_ms = 1500\n" + PLAY + told)
    assert scenario.hold_back_samples == 12_000
    assert scenario.steps[-1] == SecureFlow(at=16_000, is_start=True, effective_at=14_000)
    assert load(PLAY).hold_back_samples == 0


def test_a_key_within_a_long_text_is_no_key(refusal: Callable[[str], str]) -> None:
    text = '[call]\nani = """\nedge = 1\n"""\nedge = 2\n' + PLAY
    assert refusal(text).startswith("call.toml, line 5: [call]: edge:")


def test_inline_tables_are_read_and_their_errors_go_without_a_line(
    load: Callable[[str], Scenario], refusal: Callable[[str], str]
) -> None:
    assert load("step = [{at = 1, hangup = true}]").steps == (Hangup(at=8000),)
    assert refusal("step = [{at = 1, hangup = 1}]") == (
        "call.toml: [[step]] 1: hangup: true or false is needed, not a number"
    )


def test_a_file_of_the_wrong_rate_is_named_with_what_would_be_right(
    refusal: Callable[[str], str],
    make_wav: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "soxr", None)
    make_wav("fast.wav", bytes(1000), rate=44100)
    assert refusal("[[step]]\nat = 0\nplay = 'fast.wav'").startswith(
        "call.toml, line 3: [[step]] 1: play: fast.wav: 44100 Hz; 8000 Hz is needed, or the 'audio'"
    )


def test_a_scenario_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml: cannot be read: No such file"):
        load_scenario(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9\n")
    with pytest.raises(ConfigurationError, match=r"latin\.toml: byte 5 is not UTF-8"):
        load_scenario(tmp_path / "latin.toml")


def test_a_single_source_is_monitored_from_call_entry() -> None:
    tone = Tone(samples=80)
    scenario = single_play(tone, channel="internal", language="de-DE")
    assert scenario.language == "de-DE"
    assert scenario.steps == (
        Monitoring(at=0, on=True, by=SwitchedBy.FLOW),
        Play(at=0, source=tone, channel="internal"),
    )


def test_a_calls_length_is_expected_from_its_hangup_or_else_from_what_plays(
    load: Callable[[str], Scenario],
) -> None:
    assert expected_samples(single_play(Tone(samples=80))) == 80
    assert expected_samples(load(PLAY)) == 800
    late = PLAY + '[[step]]\nat = 1\nplay = "both.wav"\n'
    assert expected_samples(load(late)) == 8800
    assert expected_samples(load(PLAY + '[[step]]\nat = 3\nlanguage = "de"\n')) == 24000
    assert expected_samples(load(PLAY + "[[step]]\nat = 0.05\nhangup = true\n")) == 400


def test_queues_flows_and_talks_of_several_are_read(
    load: Callable[[str], Scenario], tmp_path: Path
) -> None:
    scenario = load(
        """
[[queue]]
name = "billing"
enable_audio_monitoring = true
language = "fr-CA"
hold_back_ms = 250
[[queue]]
name = "sales"
enable_transcription = true
[[step]]
at = 0
play = "caller.wav"
channel = "consulted"
[[step]]
at = 0.5
transfer = "ivr"
languages = ["de-DE", "en-US"]
[[step]]
at = 1
action = "transcription"
[[step]]
at = 1.5
action = "audioMonitoring"
enable = false
[[step]]
at = 2
queue = "billing"
[[step]]
at = 2.5
queue = "sales"
[[step]]
at = 3
language = "it"
stage = "in-queue-flow"
[[step]]
at = 4
consult = "start"
music = "sounds/music.wav"
[[step]]
at = 5
consult = "end"
[[step]]
at = 6
conference = "start"
[[step]]
at = 7
conference = "end"
"""
    )
    billing = Queue(
        id="billing",
        organization_id="",
        name="billing",
        enable_audio_monitoring=True,
        language="fr-CA",
        hold_back_ms=250,
    )
    sales = Queue(id="sales", organization_id="", name="sales", enable_transcription=True)
    caller = WavFile(path=tmp_path / "caller.wav", name="caller.wav")
    music = WavFile(path=tmp_path / "sounds/music.wav", name="sounds/music.wav")
    assert scenario.steps == (
        Play(at=0, source=caller, channel="consulted"),
        Transfer(at=4000, to="ivr", languages=("de-DE", "en-US")),
        FlowAction(at=8000, action="transcription", enable=None),
        FlowAction(at=12000, action="audioMonitoring", enable=False),
        EnterQueue(at=16000, queue=billing),
        EnterQueue(at=20000, queue=sales),
        LanguageChange(at=24000, language="it", stage=LanguageStage.IN_QUEUE_FLOW),
        Consult(at=32000, is_start=True, music=music),
        Consult(at=40000, is_start=False, music=None),
        Conference(at=48000, is_start=True),
        Conference(at=56000, is_start=False),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("queue = 3\n", "queue: each one is written under its own [[queue]]"),
        ("[[queue]]\n", "line 1: [[queue]] 1: 'name' is missing; it is a text"),
        (
            "[[queue]]\nname = 'a'\n[[queue]]\nname = 'a'\n",
            "line 4: [[queue]] 2: name: 'a' is the name of another queue",
        ),
        (
            "[[queue]]\nname = 'a'\nenable_monitoring = true\n",
            "enable_monitoring: unknown key; did you mean 'enable_audio_monitoring'?",
        ),
        ("[[queue]]\nname = 'a'\nlanguage = 'not a tag'\n", "language: a language is a BCP 47"),
        ("[[queue]]\nname = 'a'\nhold_back_ms = 3001\n", "a whole number of 0 to 3000"),
        ("[[step]]\nat = 1\nqueue = 'a'\n", "queue: no [[queue]] of this file has the name 'a'"),
        ("[[step]]\nat = 1\naction = 'secureFlow'\n", "'secureFlow' is not one of 'audioMonit"),
        ("[[step]]\nat = 1\naction = 'transcription'\nenable = 'NOT_SET'\n", "true or false is"),
        ("[[step]]\nat = 1\nlanguage = 'de'\nstage = 'trunk'\n", "'trunk' is not one of 'flow'"),
        ("[[step]]\nat = 1\ntransfer = 'queue'\nlanguages = ['de']\n", "these are the languages"),
        ("[[step]]\nat = 1\ntransfer = 'ivr'\nlanguages = 'de'\n", "a list is needed, not a t"),
        ("[[step]]\nat = 1\ntransfer = 'ivr'\nlanguages = [1]\n", "a list of texts is needed"),
        ("[[step]]\nat = 1\ntransfer = 'ivr'\nlanguages = ['a b']\n", "languages: a language is"),
        ("[[step]]\nat = 1\nconsult = 'end'\n", "consult: ends what no 'consult = \"start\"'"),
        ("[[step]]\nat = 1\nconference = 'end'\n", "conference: ends what no 'conference = "),
        (
            "[[step]]\nat = 1\nconsult = 'end'\nmusic = 'sounds/music.wav'\n",
            "music begins with",
        ),
        ("[[step]]\nat = 1\nplay = 'both.wav'\nchannel = 'consulted'\n", "the file is stereo"),
    ],
)
def test_a_mistake_in_queues_and_flows_is_named(
    refusal: Callable[[str], str], text: str, said: str
) -> None:
    refused = refusal(text if text.startswith("queue") else text + PLAY)
    assert said in refused


def test_a_single_source_may_be_left_to_what_switches_it_on() -> None:
    scenario = single_play(Tone(samples=80), is_monitored=False)
    assert [type(step) for step in scenario.steps] == [Play]
