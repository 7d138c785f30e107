"""One call: its timeline from entry to hang-up, what happens on it, and what of it is monitored.

Everything happens at an exact sample of call time: blocks are cut where a step takes effect. The
monitored part begins where monitoring is first switched on; from there on a `Fanout` holds it,
whose sample 0 is that one. Nothing that plays during a secure or client pause is given to it: the
sources play on, and their audio goes nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from openaudiohook.fanout.engine import Cut, Fanout
from openaudiohook.monitor.language import LanguageStage, MediaLanguage
from openaudiohook.monitor.observer import CallEnding, Phase
from openaudiohook.monitor.placement import ClientReason, Placement
from openaudiohook.monitor.playing import Playing
from openaudiohook.monitor.policy import (
    Action,
    Effect,
    MonitoringSwitch,
    SwitchedBy,
    refusal,
    require_eligible,
)
from openaudiohook.monitor.scenario import Scenario
from openaudiohook.monitor.script import perform
from openaudiohook.monitor.secure_pause import SecureKind, SecurePause, SecureReason, SecureSpan
from openaudiohook.monitor.sources import SourceSpec
from openaudiohook.monitor.steps import Played
from openaudiohook.protocol.types import PauseCause
from openaudiohook.store.records import Queue

__all__ = ["SWITCHED_OFF", "Call"]

SWITCHED_OFF: Final = "monitoring"
"""Why a call is in client pause that is monitored and switched off."""

_MONITOR: Final = "monitor"
_NEVER: Final = 1 << 62
_SAMPLES_PER_MS: Final = 8
_OVERLAID: Final = ("hold", "consult")
_ANSWERED: Final = ("agent", "conference")


class Call:
    """A scenario as it happens. Time is given to it: `advance` plays up to a sample.

    Attributes:
        position: samples of call time so far, from call entry.
        monitored_from: the position at which monitoring was first switched on, or None.
        fanout: the monitored timeline, or None before that.
        refused: why the call may not be monitored; None where it may.
        phase: what the customer goes through.
        queue_id: the queue that the call entered last.
        hold_back_samples: how long audio waits before it leaves: the longest that anything asked.
        integration_ids: whose endpoints the monitored timeline has, in their order.
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
        placement: Placement | None = None,
    ) -> None:
        """Begin a call at its entry.

        Args:
            scenario: what happens.
            new_fanout: makes the monitored timeline when monitoring is first switched on.
            on_monitored: told once, when there is one.
            placement: how the call stands on the platform that it was placed on, where it was.

        Raises:
            ConfigurationError: the call's edge is not one whose calls may be monitored. A call on
                a platform goes on nevertheless, and is never monitored.
        """
        if placement is None:
            require_eligible(scenario.edge)
            placement = Placement(organization_id="")
        self.position = 0
        self.monitored_from: int | None = None
        self.fanout: Fanout | None = None
        self.refused = refusal(scenario.edge)
        self.phase = placement.phase
        self.queue_id = placement.queue_id
        self.hold_back_samples = scenario.hold_back_samples
        self.integration_ids: Sequence[str] = ()
        self.is_over = False
        self.problems: list[str] = []
        self.cuts: list[tuple[SecureReason, Cut]] = []
        self._placement: Placement | None = placement  # until the entry
        self._tell = placement.observer
        self._pauses_on_hold = scenario.pauses_on_hold
        self._steps = scenario.steps
        self._next_step = 0
        self._step_at = 0  # where the next one is
        self._new_fanout = new_fanout
        self._on_monitored = on_monitored
        self._switch = MonitoringSwitch()
        self._language = MediaLanguage(scenario.language)
        self._secure = SecurePause()
        self._client: dict[ClientReason, int] = {}  # and since when
        self._cut_at: dict[SecureReason, int] = {}
        self._playing = Playing(self.problems)
        # What goes on when a hold or a consult ends.
        self._talk: Phase = "agent" if placement.phase in _OVERLAID else placement.phase
        if self._talk in _ANSWERED:  # in the part before this one
            self._language.answer()
        for kind, requester in placement.held_reasons:
            self.begin_secure_pause(kind, requester)
        for reason, requester in placement.held_client:
            self.begin_client_pause(requester, reason=reason)

    @property
    def language(self) -> str | None:
        """The media language now."""
        return self._language.value

    @property
    def is_monitored(self) -> bool:
        """Whether monitoring is switched on."""
        return self._switch.is_on

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

    @property
    def held_since(self) -> dict[SecureReason, int]:
        """Since which sample of call time each reason for a secure pause holds, oldest first."""
        return self._secure.held_since

    @property
    def held_client(self) -> tuple[ClientReason, ...]:
        """Every reason for a client pause that holds."""
        return tuple(self._client)

    # Time -----------------------------------------------------------------------------

    def advance(self, to: int, now_ns: int) -> None:
        """Play up to sample `to`, or to the end of the call if that comes first."""
        if to < self._step_at:
            stereo = self._playing.read_both(to - self.position)
            if stereo is not None:  # nothing else happens until then
                self._pass_on(stereo, now_ns)
                return
        while not self.is_over:
            self._take_steps(now_ns)
            if self.is_over or self.position >= to:
                return
            end = to
            if self._next_step < len(self._steps):
                end = min(to, self._steps[self._next_step].at)
            elif self._playing.is_idle:
                self.hang_up(now_ns)
                return
            is_last = self._next_step == len(self._steps)
            self._pass_on(self._playing.read(end - self.position, is_last=is_last), now_ns)

    def hang_up(self, now_ns: int, *, reason: CallEnding = "end") -> None:
        """End the call here: what is monitored is delivered, then closed. It may be repeated."""
        if self.is_over:
            return
        self.is_over = True
        self.close()
        self._tell.ended(self.position, reason)
        if self.fanout is not None:
            self.fanout.finish(now_ns)

    def fail(self) -> None:
        """End the call here because of a mistake of ours."""
        if not self.is_over:
            self.is_over = True
            self._tell.ended(self.position, "error")

    def close(self) -> None:
        """Let go of every source. It may be repeated."""
        self._playing.close()

    # What flows, queues and agents do -------------------------------------------------

    def switch_monitoring(self, on: bool, *, by: SwitchedBy) -> None:
        """Switch monitoring: the last writer wins. Off is a pause, for it may go on again."""
        self._follow(self._switch.apply(on, by=by))

    def act(self, action: Action, enable: bool | None) -> None:
        """Take a flow's action of that name; None is NOT_SET, which switches off."""
        self._follow(self._switch.act(enable), action)

    def enter_queue(self, queue: Queue) -> None:
        """The call comes to a queue: its switches, its language and its hold-back apply."""
        self.hold_back_samples = max(self.hold_back_samples, queue.hold_back_ms * _SAMPLES_PER_MS)
        if self.fanout is not None:
            self.fanout.hold_back(self.hold_back_samples)
        self.queue_id = queue.id
        self._enter_phase("queue")
        self._follow_language(self._language.enter_queue(queue.language))
        effect = self._switch.enter_queue(
            audio_monitoring=queue.enable_audio_monitoring,
            transcription=queue.enable_transcription,
        )
        self._follow(effect)

    def return_to_queue(self) -> None:
        """The call comes back to the queue that it was in, whose setting is applied again."""
        self._enter_phase("queue")
        self._follow_language(self._language.enter_queue())
        effect = self._switch.return_to_queue()
        if self._switch.decided_by is SwitchedBy.QUEUE:
            self._follow(effect)

    def enter_flow(self, languages: Sequence[str] = ()) -> None:
        """The call comes to an IVR flow, which supports those languages, its own first."""
        self._enter_phase("ivr")
        self._follow_language(self._language.enter_flow(languages))

    def answer(self) -> None:
        """An agent answers; the media language of this moment stands."""
        self._language.answer()
        self._enter_phase("agent")

    def play(self, source: SourceSpec, channel: Played) -> None:
        """Start a source on a channel, in place of what played there."""
        self._playing.start(source, channel)

    def hold(self, music: SourceSpec | None, *, is_consult: bool = False) -> None:
        """Put the customer on hold; the agent may consult somebody in private meanwhile."""
        self._playing.hold(music)
        self._show("consult" if is_consult else "hold")

    def take_back(self) -> None:
        """End a hold or a consultation, unless a transfer has ended it."""
        if self.phase in _OVERLAID:
            self._enter_phase(self._talk)

    def confer(self, *, is_start: bool) -> None:
        """Let the consulted agent join, or leave again."""
        if is_start:
            self._enter_phase("conference")
        elif self._talk == "conference":
            self._enter_phase("agent")

    def set_language(self, language: str, stage: LanguageStage = LanguageStage.CALL) -> bool:
        """Take a media language from the next sample on; say whether it is another one."""
        is_other = self._language.set(language, stage)
        self._follow_language(is_other)
        return is_other

    # Pauses ---------------------------------------------------------------------------

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
        start = self.monitored_from
        if self.fanout is None or start is None:
            if is_new:
                self._tell.pause_began("secure", kind.value, requester, self.position, None, {})
            return None
        if effective_at is not None:
            effective_at = max(0, effective_at - start)
        cut = self.fanout.begin_pause(PauseCause.SECURE, str(reason), effective_at=effective_at)
        if is_new:
            self.cuts.append((reason, cut))
        if is_new or cut.position < self._cut_at[reason]:
            self._cut_at[reason] = cut.position
            self._tell.pause_began(
                "secure",
                kind.value,
                requester,
                start + cut.began,
                start + cut.position if cut.position < cut.began else None,
                dict(zip(self.integration_ids, cut.gone, strict=False)),
            )
        return cut

    def end_secure_pause(self, kind: SecureKind, requester: str) -> None:
        """Take one's own reason for the secure pause back; others may still hold it.

        Raises:
            LocalProtocolError: this requester holds no such reason.
        """
        reason = SecureReason(kind, requester)
        self._secure.end(kind, requester, at=self.position)
        self._cut_at.pop(reason, None)
        if self.fanout is not None:
            self.fanout.end_pause(PauseCause.SECURE, str(reason))
        self._tell.pause_ended("secure", kind.value, requester, self.position)

    def begin_client_pause(self, requester: str, *, reason: str = "api") -> None:
        """Pause every endpoint from the next sample on. Repeating it changes nothing."""
        if (reason, requester) not in self._client:
            self._client[reason, requester] = self.position
            if self.fanout is not None:
                self.fanout.begin_pause(PauseCause.CLIENT, _name(reason, requester))
            self._tell.pause_began("client", reason, requester, self.position, None, {})

    def end_client_pause(self, requester: str, *, reason: str = "api") -> None:
        """Take one's own pause back; where there is none nothing changes."""
        if self._client.pop((reason, requester), None) is not None:
            if self.fanout is not None:
                self.fanout.end_pause(PauseCause.CLIENT, _name(reason, requester))
            self._tell.pause_ended("client", reason, requester, self.position)

    # Steps ----------------------------------------------------------------------------

    def _enter(self, placement: Placement) -> None:
        """What holds at call entry."""
        if self._language.value is not None:
            self._tell.language(self._language.value, self._language.stage, 0)
        if self.refused is not None:
            self._tell.monitoring_refused(self.refused, 0)
        if placement.is_on:
            self._apply(self._switch.apply(True, by=SwitchedBy.FLOW))
        if placement.queue is not None:
            self.enter_queue(placement.queue)
        else:
            self._show(self.phase, is_new=True)

    def _take_steps(self, now_ns: int) -> None:
        if self._placement is not None:
            placement, self._placement = self._placement, None
            self._enter(placement)
        while not self.is_over and self._next_step < len(self._steps):
            step = self._steps[self._next_step]
            self._step_at = step.at
            if step.at > self.position:
                return
            self._next_step += 1
            perform(self, step, now_ns)
        self._step_at = _NEVER

    def _enter_phase(self, phase: Phase) -> None:
        """The customer hears who is there now, and neither music nor a consultation."""
        self._talk = phase
        self._playing.talk(is_conference=phase == "conference")
        self._show(phase)

    def _show(self, phase: Phase, *, is_new: bool = False) -> None:
        if phase != "hold":  # the part before this one may have begun it
            self.end_client_pause(_MONITOR, reason="hold")
        elif self._pauses_on_hold:
            self.begin_client_pause(_MONITOR, reason="hold")
        if is_new or phase == "queue" or phase != self.phase:
            self.phase = phase
            self._tell.phase(phase, self.position, self.queue_id if phase == "queue" else None)

    def _follow_language(self, is_other: bool) -> None:
        language = self._language
        if is_other and language.value is not None:
            if self.fanout is not None:
                self.fanout.update_language(language.value)
            self._tell.language(language.value, language.stage, self.position)

    def _follow(self, effect: Effect, action: Action | None = None) -> None:
        switch = self._switch
        assert switch.decided_by is not None
        self._tell.switched(switch.is_on, switch.decided_by.value, action, self.position)
        self._apply(effect)

    def _apply(self, effect: Effect) -> None:
        if self.refused is not None or self.is_over:
            return
        match effect:
            case Effect.CONNECT:
                self._begin_monitoring()
            case Effect.PAUSE:
                self.begin_client_pause(SWITCHED_OFF, reason=SWITCHED_OFF)
            case Effect.RESUME:
                self.end_client_pause(SWITCHED_OFF, reason=SWITCHED_OFF)

    def _begin_monitoring(self) -> None:
        self.monitored_from = self.position
        self.fanout = self._new_fanout()
        for reason in self._secure.reasons:  # what opens during a secure pause opens paused
            self.fanout.begin_pause(PauseCause.SECURE, str(reason))
            self._cut_at[reason] = 0
        for client in self._client:
            self.fanout.begin_pause(PauseCause.CLIENT, _name(*client))
        self._tell.monitoring_began(self.position)
        self._on_monitored(self.fanout)

    # Audio ----------------------------------------------------------------------------

    def _pass_on(self, stereo: bytes, now_ns: int) -> None:
        samples = len(stereo) // 2
        self.position += samples
        fanout = self.fanout
        if fanout is None or not samples:
            return
        if fanout.is_paused:
            fanout.skip(samples)
        else:
            fanout.write(stereo, now_ns)


def _name(reason: str, requester: str) -> str:
    """The requester of a client pause in the monitored timeline."""
    return SWITCHED_OFF if reason == SWITCHED_OFF else f"{reason}:{requester}"
