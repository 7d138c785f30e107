"""One conversation's part that runs on a Monitor and is steered from outside.

Whatever is asked takes effect at the sample that is live then. A secure pause begins even earlier:
at the first sample that was not written yet, so that nothing after it is on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from fractions import Fraction

import msgspec

from openaudiohook.audio import RATE
from openaudiohook.fanout.engine import Cut
from openaudiohook.fanout.pauses import Span
from openaudiohook.monitor.call import SWITCHED_OFF
from openaudiohook.monitor.language import LanguageStage
from openaudiohook.monitor.monitor import Monitor
from openaudiohook.monitor.observer import CallObserver, Phase, SessionOutcome
from openaudiohook.monitor.placement import ClientReason, Placement
from openaudiohook.monitor.policy import Action
from openaudiohook.monitor.report import CallReport
from openaudiohook.monitor.running import Lineup, TraceListener
from openaudiohook.monitor.scenario import Scenario
from openaudiohook.monitor.secure_pause import SecureKind, SecureReason
from openaudiohook.monitor.session_watch import SessionWatch
from openaudiohook.store.records import Queue

__all__ = ["CallObserver", "LiveCall", "SessionOutcome"]


class LiveCall:
    """A call that runs from the moment at which it is made. Needs a running event loop.

    Attributes:
        organization_id: whose it is.
        conversation_id: which conversation it is part of.
        part: which of the conversation's timelines it is, counted from 0.
        participant_id: the followed customer's id; the same in every part.
        running: the call as the Monitor runs it.
    """

    def __init__(
        self,
        monitor: Monitor,
        scenario: Scenario,
        *,
        organization_id: str,
        conversation_id: str,
        integrations: Lineup,
        observer: CallObserver,
        part: int = 0,
        queue: Queue | None = None,
        queue_id: str | None = None,
        phase: Phase = "ivr",
        is_on: bool = False,
        held_reasons: Sequence[SecureReason] = (),
        held_client: Sequence[ClientReason] = (),
        participant_id: str | None = None,
        speed: Fraction | int = 1,
        frame_samples: int = RATE // 10,
        on_trace: TraceListener | None = None,
    ) -> None:
        """Place a call.

        Args:
            monitor: what runs it.
            scenario: what happens on it; its `edge` says where its media is handled, and its
                `language` is the trunk's.
            organization_id: whose it is.
            conversation_id: which conversation it is part of.
            integrations: asked once, when monitoring begins, for the integrations that are active
                then; nothing is added later. There may be none.
            observer: told of everything, from now on.
            part: which of the conversation's timelines it is.
            queue: the queue it is placed in: its switches are applied at entry.
            queue_id: the queue that it entered last, in a part before this one.
            phase: what the customer goes through at entry, where it is no queue.
            is_on: monitoring is on at entry, as it was when the part before this one ended.
            held_reasons: the reasons for a secure pause under which it begins: it streams nothing
                before every one has ended.
            held_client: the same for client pauses: kind of the reason, and requester.
            participant_id: the customer's id; a fresh one where it is None.
            speed: how many times faster than real time call time runs.
            frame_samples: how much audio goes in one message; the shortest `frame_ms` of the
                integrations, where they have one, goes before it.
            on_trace: given every record of every session's trace.

        Raises:
            ConfigurationError: the speed, the frame or the conversation's id cannot be used.
        """
        self.organization_id = organization_id
        self.conversation_id = conversation_id
        self.part = part
        self.participant_id = participant_id or monitor.new_id()
        self._monitor = monitor
        self._integrations = integrations
        self._speed = speed
        self._frame_samples = frame_samples
        self._on_trace = on_trace
        self._edge = scenario.edge
        self._watch = SessionWatch(observer)
        self.running = monitor.start(
            scenario,
            integrations,
            conversation_id=conversation_id,
            speed=speed,
            frame_samples=frame_samples,
            on_event=self._watch.hear,
            on_ended=self._watch.done,
            on_notice=self._watch.notice,
            on_trace=on_trace,
            placement=Placement(
                organization_id=organization_id,
                participant_id=self.participant_id,
                observer=observer,
                queue=queue,
                queue_id=queue_id,
                phase=phase,
                is_on=is_on,
                held_reasons=tuple(held_reasons),
                held_client=tuple(held_client),
            ),
        )
        self._call = self._watch.call = self.running.call
        self._ending = asyncio.create_task(self.running.finished(), name=f"call {conversation_id}")
        self._ending.add_done_callback(_retrieve)

    @property
    def edge(self) -> str:
        """Where the call's media is handled."""
        return self._edge

    @property
    def refused(self) -> str | None:
        """Why the call may not be monitored; None where it may."""
        return self._call.refused

    @property
    def phase(self) -> Phase:
        """What the customer goes through now."""
        return self._call.phase

    @property
    def queue_id(self) -> str | None:
        """The queue that it entered last."""
        return self._call.queue_id

    @property
    def language(self) -> str | None:
        """The media language now."""
        return self._call.language

    @property
    def position(self) -> int:
        """The sample of call time that is live now."""
        return self.running.live_position

    @property
    def is_monitored(self) -> bool:
        """Whether monitoring is switched on, and the call may be monitored."""
        return self._call.is_monitored and self.refused is None

    @property
    def is_over(self) -> bool:
        """Whether the call's time has ended; sessions may still be closing."""
        return self._call.is_over

    @property
    def is_done(self) -> bool:
        """Whether every session is over, too."""
        return self._ending.done()

    @property
    def held_since(self) -> dict[SecureReason, int]:
        """Since which sample each reason for a secure pause holds, the oldest first."""
        return self._call.held_since

    @property
    def held_client(self) -> tuple[ClientReason, ...]:
        """The reasons for a client pause that hold now, being switched off aside."""
        return tuple(reason for reason in self._call.held_client if reason[0] != SWITCHED_OFF)

    def untold_pauses(self) -> dict[str, list[Span]]:
        """Return, by open session, the pauses of its endpoint that the observer does not know yet.

        It is told of one a little after its end; until then a crash would take it along.
        """
        return self._watch.untold_pauses()

    async def finished(self) -> CallReport:
        """Wait until the call and every session are over, and report.

        Whoever stops waiting leaves the call as it is.
        """
        return await asyncio.shield(self._ending)

    def drop(self) -> None:
        """End the call at once and drop its connections; `finished` is cancelled."""
        self.running.drop()
        self._ending.cancel()

    # Steering -------------------------------------------------------------------------

    def enter_queue(self, queue: Queue) -> None:
        """The call comes to a queue: its switches and its language apply, and its hold-back."""
        if self._is_live():
            self._call.enter_queue(queue)

    def enter_flow(self, supported_languages: Sequence[str] = ()) -> None:
        """The call is given to an IVR flow, with the languages it supports, its own first."""
        if self._is_live():
            self._call.enter_flow(supported_languages)

    def answer(self) -> None:
        """An agent answers: the media language of this moment stands."""
        if self._is_live():
            self._call.answer()

    def flow_action(self, action: Action, enable: bool | None) -> None:
        """A flow's action of either name switches monitoring; None (NOT_SET) switches it off."""
        if self._is_live():
            self._call.act(action, enable)

    def set_language(self, language: str, stage: LanguageStage = LanguageStage.CALL) -> bool:
        """Take a media language; say whether it changed. A stage that has passed has no say."""
        return self._is_live() and self._call.set_language(language, stage)

    def begin_secure_pause(
        self, kind: SecureKind, requester: str, effective_at: int | None = None
    ) -> Cut:
        """Let nothing out from now on; return the cut, in samples of call time.

        Starting always works. Repeating it changes nothing, but that an earlier cut takes back
        more. `gone` is in the order of `running.endpoints`.
        """
        # Not at the live sample: what was not written yet, is not to be.
        call = self._call
        cut = call.begin_secure_pause(kind, requester, effective_at=effective_at)
        if cut is None or call.monitored_from is None:
            at = call.held_since[SecureReason(kind, requester)]
            return Cut(at, at, ())
        return Cut(call.monitored_from + cut.position, call.monitored_from + cut.began, cut.gone)

    def end_secure_pause(self, kind: SecureKind, requester: str) -> int:
        """Take one's own reason back; return the first sample that is outside of it.

        That is the one which is live now: nothing that passed before is let out.

        Raises:
            LocalProtocolError: this requester holds no such reason.
        """
        self.running.catch_up()
        self._call.end_secure_pause(kind, requester)
        return self._call.position

    def begin_client_pause(self, requester: str, reason: str = "api") -> int:
        """Pause every endpoint from the live sample on, and return that."""
        if self._is_live():
            self._call.begin_client_pause(requester, reason=reason)
        return self._call.position

    def end_client_pause(self, requester: str, reason: str = "api") -> int:
        """Take one's own client pause back; return the live sample."""
        if self._is_live():
            self._call.end_client_pause(requester, reason=reason)
        return self._call.position

    def close_integration(self, integration_id: str) -> None:
        """Close that integration's session with `end`, for good; the others go on."""
        for endpoint in self.running.endpoints:
            if endpoint.config.integration_id == integration_id:
                self._watch.leave(endpoint)
                endpoint.close()

    def hang_up(self) -> None:
        """End the call now: what was said is delivered, and every session closed with `end`."""
        if self._is_live():
            self.running.hang_up()

    def attach(self, scenario: Scenario, *, observer: CallObserver) -> LiveCall:
        """Go on with another source: this part ends as `lost`, and what is returned follows it.

        The new part is under the same reasons from its first sample on, in the same phase and
        language, and monitored if this one was.
        """
        call = self._call
        if self._is_live():
            self.running.hang_up(reason="lost")
        return LiveCall(
            self._monitor,
            msgspec.structs.replace(
                scenario,
                language=call.language or scenario.language,
                hold_back_samples=max(call.hold_back_samples, scenario.hold_back_samples),
            ),
            organization_id=self.organization_id,
            conversation_id=self.conversation_id,
            integrations=self._integrations,
            observer=observer,
            part=self.part + 1,
            queue_id=call.queue_id,
            phase=call.phase,
            is_on=call.is_monitored,
            held_reasons=tuple(call.held_since),
            held_client=self.held_client,
            participant_id=self.participant_id,
            speed=self._speed,
            frame_samples=self._frame_samples,
            on_trace=self._on_trace,
        )

    def _is_live(self) -> bool:
        """Bring the call to the sample that is live; False where it is over."""
        self.running.catch_up()
        return not self._call.is_over


def _retrieve(task: asyncio.Task[CallReport]) -> None:
    """Look at what a call ended with: whoever wants to know awaits `finished`."""
    if not task.cancelled():
        task.exception()
