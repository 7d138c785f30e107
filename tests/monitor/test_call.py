"""A call against the real monitored timeline: what is in the ring, and what its history says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.monitor.observing import Notes

from openaudiohook.audio.channels import interleave
from openaudiohook.exceptions import ConfigurationError, LocalProtocolError, MediaError
from openaudiohook.fanout.engine import Cut, Fanout
from openaudiohook.fanout.pauses import PauseInterval
from openaudiohook.fanout.ring import Discarded, Paused, Resumed, Updated
from openaudiohook.monitor.call import Call
from openaudiohook.monitor.placement import Placement
from openaudiohook.monitor.policy import ACTIONS, SwitchedBy
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
    Step,
    Transfer,
    single_play,
)
from openaudiohook.monitor.secure_pause import SecureKind, SecureReason
from openaudiohook.monitor.sources.tone import Tone
from openaudiohook.monitor.sources.wav import WavFile
from openaudiohook.protocol.media import MediaParameter
from openaudiohook.protocol.types import PauseCause
from openaudiohook.store.records import Queue

pytestmark = pytest.mark.unit

FLOW, QUEUE = SwitchedBy.FLOW, SwitchedBy.QUEUE
ON = Monitoring(at=0, on=True, by=FLOW)
SILENCE = 0xFF


class Bytes:
    """A source of given bytes, and a note of whether it was closed."""

    def __init__(self, *channels: bytes, fails_at: int | None = None) -> None:
        self.channels = len(channels)
        self.samples = len(channels[0])
        self.is_closed = False
        self._audio = channels
        self._position = 0
        self._fails_at = fails_at

    def open(self) -> Bytes:
        again = Bytes(*self._audio, fails_at=self._fails_at)
        self.opened = [*getattr(self, "opened", []), again]
        return again

    def read(self, samples: int) -> tuple[bytes, ...]:
        if self._fails_at is not None and self._position >= self._fails_at:
            raise OSError(5, "Input/output error")
        start = self._position
        self._position += samples
        return tuple(channel[start : start + samples] for channel in self._audio)

    def read_stereo(self, samples: int) -> bytes | None:
        if self.channels == 1 or self.samples - self._position < samples:
            return None
        return interleave(*self.read(samples))

    def close(self) -> None:
        self.is_closed = True


def call_of(*steps: Step, **settings: Any) -> Call:
    return Call(Scenario(steps=tuple(steps), **settings), new_fanout=Fanout)


def play(at: int, *channels: bytes, on: str = "both", fails_at: int | None = None) -> Play:
    return Play(at=at, source=Bytes(*channels, fails_at=fails_at), channel=on)  # type: ignore[arg-type]


def run(call: Call, *, block: int = 80, limit: int = 100_000) -> Call:
    to = 0
    while not call.is_over:
        to += block
        assert to < limit, "the call does not end"
        call.advance(to, to * 125_000)
    return call


def heard(call: Call) -> tuple[bytes, bytes]:
    """What is in the ring, external and internal."""
    assert call.fanout is not None
    ring = call.fanout.ring
    stereo = ring.read(0, ring.head, ring.layout_for(MediaParameter()))
    return stereo[::2], stereo[1::2]


def silence(samples: int) -> bytes:
    return bytes([SILENCE]) * samples


@pytest.mark.parametrize("edge", ["byoc-premises", "ldm", "somewhere"])
def test_a_call_on_another_edge_is_refused(edge: str) -> None:
    with pytest.raises(ConfigurationError, match=edge):
        call_of(ON, edge=edge)


@pytest.mark.parametrize("block", [1, 7, 100, 1000])
def test_a_stereo_source_fills_both_channels_and_ends_the_call(block: int) -> None:
    call = run(call_of(ON, play(0, b"abc" * 50, b"xyz" * 50)), block=block)
    assert heard(call) == (b"abc" * 50, b"xyz" * 50)
    assert call.monitored_samples == 150
    assert call.monitored_from == 0
    assert call.position == 150
    assert call.fanout is not None
    assert call.fanout.is_finished


@pytest.mark.parametrize(("on", "side"), [("both", 0), ("external", 0), ("internal", 1)])
def test_a_mono_source_has_silence_on_the_other_side(on: str, side: int) -> None:
    call = run(call_of(ON, play(0, b"abc" * 50, on=on)))
    assert heard(call)[side] == b"abc" * 50
    assert heard(call)[1 - side] == silence(150)


def test_a_second_play_on_a_channel_replaces_the_first_at_its_sample() -> None:
    first, second = play(0, b"a" * 500, on="external"), play(101, b"b" * 50, on="external")
    call = run(call_of(ON, first, second))
    assert heard(call)[0] == b"a" * 101 + b"b" * 50
    assert first.source.opened[0].is_closed


def test_a_play_on_one_side_leaves_the_other_side_of_a_stereo_source() -> None:
    stereo = play(0, b"a" * 200, b"x" * 200)
    call = call_of(ON, stereo, play(50, b"b" * 20, on="external"))
    call.advance(100, 0)
    assert not stereo.source.opened[0].is_closed
    run(call)
    assert heard(call) == (b"a" * 50 + b"b" * 20 + silence(130), b"x" * 200)
    assert stereo.source.opened[0].is_closed


def test_the_call_goes_on_while_a_step_is_still_to_come() -> None:
    call = run(call_of(ON, play(0, b"a" * 50), play(120, b"b" * 30)))
    assert heard(call)[0] == b"a" * 50 + silence(70) + b"b" * 30


def test_a_hangup_ends_the_call_at_its_sample() -> None:
    endless = play(0, b"a" * 5000)
    call = run(call_of(ON, endless, Hangup(at=333)))
    assert heard(call)[0] == b"a" * 333
    assert endless.source.opened[0].is_closed
    call.hang_up(0)
    call.advance(1000, 0)
    assert call.position == call.monitored_samples == 333


def test_the_monitored_part_begins_where_monitoring_is_switched_on() -> None:
    told: list[Fanout] = []
    scenario = Scenario(steps=(play(0, bytes(range(200))), Monitoring(at=37, on=True, by=QUEUE)))
    call = Call(scenario, new_fanout=Fanout, on_monitored=told.append)
    call.advance(37, 0)
    assert call.fanout is not None
    run(call)
    assert told == [call.fanout]
    assert call.monitored_from == 37
    assert call.position == 200
    assert call.monitored_samples == 163
    assert heard(call)[0] == bytes(range(37, 200))


def test_a_call_that_is_never_switched_on_is_never_monitored() -> None:
    call = run(
        call_of(
            Monitoring(at=0, on=False, by=QUEUE),
            play(0, b"a" * 100),
            SecureFlow(at=10, is_start=True),
            ClientPause(at=11, is_start=True),
            ClientPause(at=12, is_start=False),
            SecureFlow(at=20, is_start=False),
            LanguageChange(at=30, language="de"),
        )
    )
    assert call.fanout is None
    assert call.monitored_from is None
    assert call.monitored_samples == 0
    assert call.secure_spans == ()
    assert call.language == "de"


def test_off_is_a_client_pause_and_on_resumes_the_same_timeline() -> None:
    call = run(
        call_of(
            ON,
            play(0, bytes(range(100))),
            Monitoring(at=20, on=False, by=FLOW),
            Monitoring(at=50, on=True, by=QUEUE),
        )
    )
    assert call.fanout is not None
    assert call.fanout.ring.records == [Paused(20), Resumed(50, 20)]
    assert call.fanout.pauses.intervals(until=100) == [
        PauseInterval(PauseCause.CLIENT, "monitoring", 20, 50)
    ]
    assert heard(call)[0] == bytes(range(20)) + silence(30) + bytes(range(50, 100))


def test_a_transfer_to_the_queue_applies_its_setting_again() -> None:
    call = run(
        call_of(
            Monitoring(at=0, on=True, by=QUEUE),
            play(0, b"a" * 100),
            Monitoring(at=20, on=False, by=FLOW),
            Transfer(at=30, to="agent"),
            Transfer(at=40, to="ivr"),
            Transfer(at=60, to="queue"),
        )
    )
    assert call.fanout is not None
    assert call.fanout.ring.records == [Paused(20), Resumed(60, 20)]


@pytest.mark.parametrize("block", [1, 33, 1000])
def test_a_secure_span_never_enters_the_ring(block: int) -> None:
    marker = b"\x2a" * 60
    call = run(
        call_of(
            ON,
            play(0, b"a" * 70 + marker + b"b" * 70, b"x" * 70 + marker + b"y" * 70),
            SecureFlow(at=70, is_start=True),
            SecureFlow(at=130, is_start=False),
        ),
        block=block,
    )
    assert call.fanout is not None
    assert call.secure_spans == ((70, 130),)
    assert heard(call) == (
        b"a" * 70 + silence(60) + b"b" * 70,
        b"x" * 70 + silence(60) + b"y" * 70,
    )
    assert b"\x2a" not in bytes(call.fanout.ring._octets)
    assert call.fanout.pauses.intervals(until=200) == [
        PauseInterval(PauseCause.SECURE, "flow:scenario", 70, 130)
    ]


def test_what_opens_during_pauses_opens_paused_and_no_switch_lifts_a_secure_one() -> None:
    call = run(
        call_of(
            play(0, bytes(range(200))),
            SecureFlow(at=10, is_start=True),
            ClientPause(at=20, is_start=True),
            Monitoring(at=50, on=True, by=FLOW),
            ClientPause(at=60, is_start=False),
            Monitoring(at=65, on=True, by=QUEUE),
            SecureFlow(at=80, is_start=False),
        )
    )
    assert call.fanout is not None
    assert call.monitored_from == 50
    assert call.fanout.ring.records == [Paused(0), Resumed(30, 0)]
    assert call.secure_spans == ((0, 30),)
    assert heard(call)[0] == silence(30) + bytes(range(80, 200))


def test_secure_spans_before_monitoring_are_not_the_sessions() -> None:
    call = run(
        call_of(
            play(0, bytes(200)),
            SecureFlow(at=10, is_start=True),
            SecureFlow(at=30, is_start=False),
            Monitoring(at=50, on=True, by=FLOW),
            SecureFlow(at=190, is_start=True),
        )
    )
    assert call.secure_spans == ((140, 150),)


def test_a_secure_flow_that_is_told_late_takes_back_what_was_captured_since() -> None:
    call = run(
        call_of(
            play(0, b"a" * 30 + b"\x2a" * 30 + b"b" * 40),
            Monitoring(at=10, on=True, by=FLOW),
            SecureFlow(at=50, is_start=True, effective_at=30),
            SecureFlow(at=60, is_start=False),
        )
    )
    assert call.fanout is not None
    assert heard(call)[0] == b"a" * 20 + silence(30) + b"b" * 40
    assert call.fanout.ring.records[:2] == [Discarded(20, 40), Paused(40)]
    assert call.cuts == [(SecureReason(SecureKind.FLOW, "scenario"), Cut(20, 40, ()))]
    assert call.secure_spans == ((40, 50),)


def test_a_cut_before_the_first_monitored_sample_takes_back_everything() -> None:
    call = call_of(play(0, b"a" * 90), Monitoring(at=40, on=True, by=FLOW))
    assert call.begin_secure_pause(SecureKind.API, "x", effective_at=0) is None
    call.end_secure_pause(SecureKind.API, "x")
    call.advance(60, 0)
    assert call.begin_secure_pause(SecureKind.AGENT, "anna", effective_at=10) == Cut(0, 20, ())
    assert call.held_since == {SecureReason(SecureKind.AGENT, "anna"): 60}
    # Repeating it changes nothing; and so it is noted once.
    assert call.begin_secure_pause(SecureKind.AGENT, "anna") == Cut(0, 20, ())
    assert len(call.cuts) == 1
    call.advance(80, 0)
    assert heard(call)[0] == silence(40)


def test_an_agents_secure_pause_outlives_the_flow() -> None:
    call = call_of(ON, play(0, b"a" * 100), SecureFlow(at=10, is_start=True), Hangup(at=100))
    call.advance(20, 0)
    call.begin_secure_pause(SecureKind.AGENT, "anna")
    call.begin_secure_pause(SecureKind.AGENT, "anna")
    with pytest.raises(LocalProtocolError):
        call.end_secure_pause(SecureKind.AGENT, "ben")
    call.end_secure_pause(SecureKind.FLOW, "scenario")
    assert call.fanout is not None
    assert call.fanout.is_paused
    call.advance(40, 0)
    call.end_secure_pause(SecureKind.AGENT, "anna")
    run(call)
    assert heard(call)[0] == b"a" * 10 + silence(30) + b"a" * 60
    assert call.secure_spans == ((10, 40),)


def test_pauses_can_be_asked_for_before_monitoring_and_twice() -> None:
    call = call_of(play(0, b"a" * 100))
    call.begin_secure_pause(SecureKind.API, "x")
    call.end_secure_pause(SecureKind.API, "x")
    call.begin_client_pause("api")
    call.begin_client_pause("api")
    call.end_client_pause("api")
    call.end_client_pause("api")
    run(call)
    assert call.fanout is None


def test_a_language_is_announced_where_it_changes() -> None:
    call = run(
        call_of(
            play(0, b"a" * 100),
            LanguageChange(at=10, language="de"),
            Monitoring(at=20, on=True, by=FLOW),
            LanguageChange(at=50, language="fr-CA"),
            language="en-US",
        )
    )
    assert call.fanout is not None
    assert call.language == "fr-CA"
    assert call.fanout.ring.records == [Updated(30, "fr-CA")]


def test_hold_is_no_pause_the_customer_hears_music_and_the_agent_is_silent() -> None:
    music = Bytes(b"mn" * 15)
    call = run(
        call_of(
            ON,
            play(0, bytes(range(200)), on="external"),
            play(0, b"x" * 70 + b"y" * 130, on="internal"),
            Hold(at=30, is_start=True, music=music),
            Hold(at=110, is_start=False, music=None),
        )
    )
    assert call.fanout is not None
    assert call.fanout.ring.records == []
    external, internal = heard(call)
    assert external == bytes(range(200))
    assert internal == b"x" * 30 + (b"mn" * 40) + b"y" * 90
    assert all(source.is_closed for source in music.opened)


def test_hold_without_music_is_silence_and_music_keeps_no_call_alive() -> None:
    call = run(call_of(ON, play(0, b"a" * 60, b"x" * 60), Hold(at=30, is_start=True, music=None)))
    assert heard(call) == (b"a" * 60, b"x" * 30 + silence(30))
    music = Hold(at=30, is_start=True, music=Bytes(b"m"))
    call = run(call_of(ON, play(0, b"a" * 60, b"x" * 60), music))
    assert heard(call) == (b"a" * 60, b"x" * 30 + b"m" * 30)


@pytest.mark.parametrize("broken", [Bytes(b""), Bytes(b"m" * 10, fails_at=0)])
def test_music_that_cannot_be_played_is_silence(broken: Bytes) -> None:
    call = run(call_of(ON, play(0, b"a" * 60), Hold(at=30, is_start=True, music=broken)))
    assert heard(call) == (b"a" * 60, silence(60))


def test_a_file_that_fails_ends_and_the_call_goes_on_and_tells() -> None:
    bad = play(0, b"a" * 5000, on="external", fails_at=80)
    call = run(call_of(ON, bad, play(0, b"x" * 300, on="internal")))
    assert heard(call) == (b"a" * 80 + silence(220), b"x" * 300)
    assert call.problems == ["an audio file could not be read to its end: Input/output error"]


def test_a_file_that_is_gone_or_bad_by_now_is_told_and_silent(
    tmp_path: Path, make_wav: Callable[..., Path]
) -> None:
    gone = Play(at=0, source=WavFile(path=tmp_path / "gone.wav"), channel="external")
    bad = Play(at=0, source=WavFile(path=make_wav("b.wav", b""), name="b.wav"), channel="internal")
    music = Hold(at=10, is_start=True, music=WavFile(path=tmp_path / "gone.wav"))
    call = run(call_of(ON, gone, bad, music, Hangup(at=100)))
    assert heard(call) == (silence(100), silence(100))
    assert call.problems[0] == "an audio file could not be opened: No such file or directory"
    assert call.problems[1].startswith("b.wav: ")
    assert len(call.problems) == 3


def test_a_single_tone_plays_to_its_end() -> None:
    call = Call(single_play(Tone(samples=1234)), new_fanout=Fanout)
    run(call, block=800)
    assert call.monitored_samples == 1234
    with pytest.raises(MediaError):
        WavFile(path=Path("/dev/null")).open()


TIMES = st.integers(0, 300)
QUEUES = st.builds(
    Queue,
    id=st.just("sales"),
    organization_id=st.just(""),
    name=st.just("Sales"),
    enable_audio_monitoring=st.booleans(),
    enable_transcription=st.booleans(),
)
steps = st.one_of(
    st.builds(SecureFlow, at=TIMES, is_start=st.booleans()),
    st.builds(ClientPause, at=TIMES, is_start=st.booleans()),
    st.builds(Monitoring, at=TIMES, on=st.booleans(), by=st.sampled_from(SwitchedBy)),
    st.builds(
        FlowAction,
        at=TIMES,
        action=st.sampled_from(ACTIONS),
        enable=st.sampled_from([True, False, None]),
    ),
    st.builds(EnterQueue, at=TIMES, queue=QUEUES),
    st.builds(Transfer, at=TIMES, to=st.sampled_from(["queue", "agent", "ivr"])),
    st.builds(Hold, at=TIMES, is_start=st.booleans(), music=st.none()),
    st.builds(Consult, at=TIMES, is_start=st.booleans(), music=st.none()),
    st.builds(Conference, at=TIMES, is_start=st.booleans()),
)


def _possible(found: list[Step]) -> list[Step]:
    """Steps in order, without the ends that no start came before."""
    kept: list[Step] = []
    for step in sorted(found, key=lambda step: step.at):
        if isinstance(step, SecureFlow) and not step.is_start:
            flows = [other for other in kept if isinstance(other, SecureFlow)]
            if not flows or not flows[-1].is_start:
                continue
        kept.append(step)
    return kept


class Expected:
    """What becomes of a call, sample by sample, from its script alone."""

    def __init__(self) -> None:
        self.is_monitored = self.is_off = False
        self.is_secure = self.is_paused = False
        self.queue: bool | None = None
        self.talk, self.is_away = "ivr", ""

    def take(self, step: Step) -> None:
        match step:
            case SecureFlow(is_start=is_start):
                self.is_secure = is_start
            case ClientPause(is_start=is_start):
                self.is_paused = is_start
            case Monitoring(on=on, by=by):
                self.queue = on if by is QUEUE else self.queue
                self.switch(on)
            case FlowAction(enable=enable):
                self.switch(enable is True)
            case EnterQueue(queue=queue):
                self.queue = queue.enable_audio_monitoring or queue.enable_transcription
                self.switch(self.queue)
                self.talk, self.is_away = "queue", ""
            case Transfer(to=to):
                if to == "queue" and self.queue is not None:
                    self.switch(self.queue)
                self.talk, self.is_away = to, ""
            case Hold(is_start=is_start):
                self.is_away = "hold" if is_start else ""
            case Consult(is_start=is_start):
                self.is_away = "consult" if is_start else ""
            case Conference(is_start=True):
                self.talk, self.is_away = "conference", ""
            case Conference():
                if self.talk == "conference":
                    self.talk, self.is_away = "agent", ""

    def switch(self, on: bool) -> None:
        self.is_monitored, self.is_off = self.is_monitored or on, not on

    @property
    def is_silent(self) -> bool:
        return self.is_secure or self.is_paused or self.is_off


@settings(max_examples=100)
@given(found=st.lists(steps, max_size=10), block=st.integers(1, 400))
def test_the_ring_holds_exactly_what_was_monitored_and_not_paused(
    found: list[Step], block: int
) -> None:
    script = _possible(found)
    said, agent = bytes(1 + n % 250 for n in range(400)), bytes(1 + n % 120 for n in range(400))
    notes = Notes()
    scenario = Scenario(
        steps=(play(0, said, on="external"), play(0, agent, on="internal"), *script)
    )
    placement = Placement(organization_id="", observer=notes)
    call = run(Call(scenario, new_fanout=Fanout, placement=placement), block=block)
    expected, external, internal = Expected(), bytearray(), bytearray()
    began, phases, silent = None, [(0, "ivr")], []
    for sample in range(400):
        for step in (step for step in script if step.at == sample):
            expected.take(step)
            phase = expected.is_away or expected.talk
            if phase != phases[-1][1]:
                phases.append((sample, phase))
        if expected.is_monitored:
            began = sample if began is None else began
            if expected.is_silent:
                silent.append(sample)
            external.append(SILENCE if expected.is_silent else said[sample])
            away = expected.is_silent or expected.is_away
            internal.append(SILENCE if away else agent[sample])
    if began is None:
        assert call.fanout is None
        assert notes.at("began") == []
    else:
        assert heard(call) == (bytes(external), bytes(internal))
        assert notes.at("began") == [began]
        # What was told is what was not let out.
        spans = notes.pauses(until=400)
        assert [at for at in range(began, 400) if any(a <= at < b for a, b in spans)] == silent
    told = [(one.at, one.more[0]) for one in notes.all("phase")]
    merged = [one for n, one in enumerate(told) if n == 0 or one[1] != told[n - 1][1]]
    assert merged == phases
    assert notes.at("ended") == [400]
