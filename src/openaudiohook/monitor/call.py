"""One call: its timeline from entry to hang-up, what plays on it, and what of it is monitored.

Everything happens at an exact sample of call time: blocks are cut where a step takes effect. The
monitored part begins where monitoring is first switched on; from there on a `Fanout` holds it,
whose sample 0 is that one. Nothing that plays during a secure or client pause is given to it: the
sources play on, and their audio goes nowhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from openaudiohook.audio import channels, ulaw
from openaudiohook.exceptions import MediaError
from openaudiohook.fanout.engine import Cut, Fanout
from openaudiohook.monitor.policy import MonitoringSwitch, SwitchedBy, require_eligible
from openaudiohook.monitor.scenario import (
    ClientPause,
    Hangup,
    Hold,
    LanguageChange,
    Monitoring,
    Play,
    Played,
    Scenario,
    SecureFlow,
    Step,
    Transfer,
)
from openaudiohook.monitor.secure_pause import SecureKind, SecurePause, SecureReason, SecureSpan
from openaudiohook.monitor.sources import Source, SourceSpec
from openaudiohook.protocol.types import Channel, PauseCause

__all__ = ["Call"]

_SCENARIO = "scenario"
_SWITCH = "monitoring"
_NEVER: Final = 1 << 62


class _Track(NamedTuple):
    """What plays on one channel: a source, and which of its channels."""

    source: Source
    side: int


class Call:
    """A scenario as it happens. Time is given to it: `advance` plays up to a sample.

    Attributes:
        position: samples of call time so far, from call entry.
        monitored_from: the position at which monitoring was first switched on, or None.
        fanout: the monitored timeline, or None before that.
        language: the media language now.
        is_over: whether the call has ended.
        problems: what could not be played, in words for the operator.
        cuts: what every secure pause cut off, and which it was, in samples from the first
            monitored one.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        new_fanout: Callable[[], Fanout],
        on_monitored: Callable[[Fanout], None] = lambda fanout: None,
    ) -> None:
        """Begin a call at its entry.

        Args:
            scenario: what happens.
            new_fanout: makes the monitored timeline when monitoring is first switched on.
            on_monitored: told once, when there is one.

        Raises:
            ConfigurationError: the call's edge is not one whose calls may be monitored.
        """
        require_eligible(scenario.edge)
        self.position = 0
        self.monitored_from: int | None = None
        self.fanout: Fanout | None = None
        self.language = scenario.language
        self.is_over = False
        self.problems: list[str] = []
        self.cuts: list[tuple[SecureReason, Cut]] = []
        self._steps = scenario.steps
        self._next_step = 0
        self._step_at = 0  # where the next one is
        self._new_fanout = new_fanout
        self._on_monitored = on_monitored
        self._switch = MonitoringSwitch()
        self._secure = SecurePause()
        self._client: set[str] = set()
        self._tracks: dict[Channel, _Track] = {}
        self._both: Source | None = None  # what plays on both channels, if one source does
        self._is_held = False
        self._music_spec: SourceSpec | None = None
        self._music: Source | None = None

    @property
    def monitored_samples(self) -> int:
        """How much of the call was monitored so far, pauses included."""
        return 0 if self.fanout is None else self.fanout.head

    @property
    def secure_spans(self) -> tuple[SecureSpan, ...]:
        """Where nothing secure could leave, in samples from the first monitored one."""
        start = self.monitored_from
        if start is None:
            return ()
        spans = self._secure.spans(until=self.position)
        return tuple(
            SecureSpan(max(0, span.start - start), span.end - start)
            for span in spans
            if span.end > start
        )

    def advance(self, to: int, now_ns: int) -> None:
        """Play up to sample `to`, or to the end of the call if that comes first."""
        if to < self._step_at and self._play_both(to - self.position, now_ns):
            return  # nothing else happens until then
        while not self.is_over:
            self._take_steps(now_ns)
            if self.is_over or self.position >= to:
                return
            end = to
            if self._next_step < len(self._steps):
                end = min(to, self._steps[self._next_step].at)
            elif not self._tracks:
                self.hang_up(now_ns)
                return
            self._play(end - self.position, now_ns)

    def hang_up(self, now_ns: int) -> None:
        """End the call here: what is monitored is delivered, then closed. It may be repeated."""
        if self.is_over:
            return
        self.is_over = True
        self.close()
        if self.fanout is not None:
            self.fanout.finish(now_ns)

    def close(self) -> None:
        """Let go of every source. It may be repeated."""
        for channel in Channel:
            self._stop(channel)
        self._stop_music()

    def switch_monitoring(self, on: bool, *, by: SwitchedBy) -> None:
        """Switch monitoring: the last writer wins. Off is a pause, for it may go on again."""
        self._switch.apply(on, by=by)
        self._follow_switch()

    @property
    def held_since(self) -> dict[SecureReason, int]:
        """Since which sample of call time each reason for a secure pause holds, oldest first."""
        return self._secure.held_since

    def begin_secure_pause(
        self, kind: SecureKind, requester: str, *, effective_at: int | None = None
    ) -> Cut | None:
        """Let nothing out from now on, and take back what still waits from the cut on.

        Repeating it changes nothing, except that an earlier cut takes back more.

        Args:
            kind: what kind of request it is.
            requester: whose.
            effective_at: the cut, as a sample of call time. One that is yet to come means now: a
                start is neither refused nor put off. Where it is None, all that is held back is
                taken back.

        Returns:
            What was cut off, in samples from the first monitored one, and how much of it had
            left; None where nothing is monitored yet, and so nothing can have left.
        """
        reason = SecureReason(kind, requester)
        is_new = self._secure.begin(kind, requester, at=self.position)
        if self.fanout is None or self.monitored_from is None:
            return None
        if effective_at is not None:
            effective_at = max(0, effective_at - self.monitored_from)
        cut = self.fanout.begin_pause(PauseCause.SECURE, str(reason), effective_at=effective_at)
        if is_new:
            self.cuts.append((reason, cut))
        return cut

    def end_secure_pause(self, kind: SecureKind, requester: str) -> None:
        """Take one's own reason for the secure pause back; others may still hold it.

        Raises:
            LocalProtocolError: this requester holds no such reason.
        """
        self._secure.end(kind, requester, at=self.position)
        if self.fanout is not None:
            self.fanout.end_pause(PauseCause.SECURE, str(SecureReason(kind, requester)))

    def begin_client_pause(self, requester: str) -> None:
        """Pause every endpoint from the next sample on. Repeating it changes nothing."""
        if requester not in self._client:
            self._client.add(requester)
            if self.fanout is not None:
                self.fanout.begin_pause(PauseCause.CLIENT, requester)

    def end_client_pause(self, requester: str) -> None:
        """Take one's own pause back; where there is none nothing changes."""
        if requester in self._client:
            self._client.remove(requester)
            if self.fanout is not None:
                self.fanout.end_pause(PauseCause.CLIENT, requester)

    def update_language(self, language: str) -> None:
        """Change the media language from the next sample on."""
        self.language = language
        if self.fanout is not None:
            self.fanout.update_language(language)

    # Steps ----------------------------------------------------------------------------

    def _take_steps(self, now_ns: int) -> None:
        while not self.is_over and self._next_step < len(self._steps):
            step = self._steps[self._next_step]
            self._step_at = step.at
            if step.at > self.position:
                return
            self._next_step += 1
            self._take(step, now_ns)
        self._step_at = _NEVER

    def _take(self, step: Step, now_ns: int) -> None:
        match step:
            case Play(source=source, channel=channel):
                self._start(source, channel)
            case Monitoring(on=on, by=by):
                self.switch_monitoring(on, by=by)
            case SecureFlow(is_start=True, effective_at=effective_at):
                self.begin_secure_pause(SecureKind.FLOW, _SCENARIO, effective_at=effective_at)
            case SecureFlow():
                self.end_secure_pause(SecureKind.FLOW, _SCENARIO)
            case ClientPause(is_start=True):
                self.begin_client_pause(_SCENARIO)
            case ClientPause():
                self.end_client_pause(_SCENARIO)
            case LanguageChange(language=language):
                self.update_language(language)
            case Hold(is_start=is_start, music=music):
                self._stop_music()
                self._is_held, self._music_spec = is_start, music
            case Transfer(to="queue"):
                self._switch.return_to_queue()
                self._follow_switch()
            case Hangup():
                self.hang_up(now_ns)
            case _:  # a transfer to an agent or an IVR: the same sessions go on
                pass

    def _follow_switch(self) -> None:
        if not self._switch.is_on:
            if self.fanout is not None:
                self.begin_client_pause(_SWITCH)
        elif self.fanout is None:
            self._begin_monitoring()
        else:
            self.end_client_pause(_SWITCH)

    def _begin_monitoring(self) -> None:
        self.monitored_from = self.position
        self.fanout = self._new_fanout()
        for reason in self._secure.reasons:  # what opens during a secure pause opens paused
            self.fanout.begin_pause(PauseCause.SECURE, str(reason))
        for requester in self._client:
            self.fanout.begin_pause(PauseCause.CLIENT, requester)
        self._on_monitored(self.fanout)

    # Audio ----------------------------------------------------------------------------

    def _play(self, samples: int, now_ns: int) -> None:
        """Play that many samples, or fewer where the call ends with what plays."""
        if self._play_both(samples, now_ns):
            return
        external, internal = self._read(samples)
        if self._next_step == len(self._steps):
            samples = max(len(external), len(internal))
        if not samples:
            return
        if self._is_held:
            internal = self._held(samples)
        stereo = channels.interleave(_padded(external, samples), _padded(internal, samples))
        self._pass_on(stereo, samples, now_ns)

    def _play_both(self, samples: int, now_ns: int) -> bool:
        """Play where one source is all that plays, as is the rule, and does not end here."""
        if self._both is None or self._is_held or samples <= 0:
            return False
        try:
            stereo = self._both.read_stereo(samples)
        except OSError:
            return False  # that is dealt with where one channel after the other is read
        if stereo is None:
            return False
        self._pass_on(stereo, samples, now_ns)
        return True

    def _pass_on(self, stereo: bytes, samples: int, now_ns: int) -> None:
        self.position += samples
        fanout = self.fanout
        if fanout is None:
            return
        if fanout.pauses.is_paused:
            fanout.skip(samples)
        else:
            fanout.write(stereo, now_ns)

    def _read(self, samples: int) -> tuple[bytes, bytes]:
        """Read what plays on each channel; what has ended plays no more."""
        read: dict[int, tuple[bytes, ...]] = {}
        blocks = {Channel.EXTERNAL: b"", Channel.INTERNAL: b""}
        for channel, track in tuple(self._tracks.items()):
            key = id(track.source)
            if key not in read:
                read[key] = self._read_source(track.source, samples)
            blocks[channel] = read[key][track.side]
            if len(blocks[channel]) < samples:
                self._stop(channel)
        return blocks[Channel.EXTERNAL], blocks[Channel.INTERNAL]

    def _read_source(self, source: Source, samples: int) -> tuple[bytes, ...]:
        try:
            return source.read(samples)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self.problems.append(f"an audio file could not be read to its end: {reason}")
            return (b"",) * source.channels

    def _held(self, samples: int) -> bytes:
        """What the customer hears on hold: the music, from its start again and again."""
        heard = b""
        while self._music_spec is not None and len(heard) < samples:
            from_start = self._music is None
            if self._music is None:
                self._music = self._open(self._music_spec)
            more = b""
            if self._music is not None:
                (more,) = self._read_source(self._music, samples - len(heard))
            heard += more
            if len(heard) < samples:
                self._stop_music()
                if from_start and not more:  # it cannot be played at all
                    self._music_spec = None
        return heard

    def _start(self, spec: SourceSpec, channel: Played) -> None:
        source = self._open(spec)
        replaced = (
            (Channel.EXTERNAL, Channel.INTERNAL) if channel == "both" else (Channel(channel),)
        )
        for each in replaced:
            self._stop(each)
        if source is not None:
            for side, each in enumerate(replaced[: source.channels]):
                self._tracks[each] = _Track(source, side)
            if len(replaced) == source.channels == 2:
                self._both = source

    def _open(self, spec: SourceSpec) -> Source | None:
        """Open what is to be played now; the call goes on without it where that fails."""
        try:
            return spec.open()
        except MediaError as error:
            self.problems.append(str(error))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self.problems.append(f"an audio file could not be opened: {reason}")
        return None

    def _stop(self, channel: Channel) -> None:
        self._both = None
        track = self._tracks.pop(channel, None)
        if track is not None and all(
            other.source is not track.source for other in self._tracks.values()
        ):
            track.source.close()

    def _stop_music(self) -> None:
        if self._music is not None:
            self._music.close()
            self._music = None


def _padded(block: bytes, samples: int) -> bytes:
    return block + ulaw.silence(samples - len(block)) if len(block) < samples else block
