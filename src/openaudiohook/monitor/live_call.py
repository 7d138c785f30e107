"""One conversation's part that runs on a Monitor and is steered from outside.

Whatever is asked takes effect at the sample that is live then. A secure pause begins even earlier:
at the first sample that was not written yet, so that nothing after it is on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from fractions import Fraction

from openaudiohook.audio import RATE
from openaudiohook.fanout.endpoint import EndpointConfig
from openaudiohook.fanout.engine import Cut
from openaudiohook.monitor.language import LanguageStage
from openaudiohook.monitor.monitor import Monitor, RunningCall, TraceListener
from openaudiohook.monitor.observer import CallObserver, Phase, SessionOutcome
from openaudiohook.monitor.placement import ClientReason, Placement
from openaudiohook.monitor.policy import Action
from openaudiohook.monitor.report import CallReport
from openaudiohook.monitor.scenario import Scenario
from openaudiohook.monitor.secure_pause import SecureKind, SecureReason
from openaudiohook.store.records import Queue

__all__ = ["CallObserver", "LiveCall", "SessionOutcome"]


class LiveCall:
    """A call that runs from the moment at which it is made. Needs a running event loop.

    Attributes:
        organization_id: whose it is.
        conversation_id: which conversation it is part of.
        part: which of the conversation's timelines it is, counted from 0.
        running: the call as the Monitor runs it.
    """

    def __init__(
        self,
        monitor: Monitor,
        scenario: Scenario,
        *,
        organization_id: str,
        conversation_id: str,
        integrations: Callable[[], Sequence[EndpointConfig]],
        observer: CallObserver,
        part: int = 0,
        queue: Queue | None = None,
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
            phase: what the customer goes through at entry, where it is no queue.
            is_on: monitoring is on at entry, as it was when the part before this one ended.
            held_reasons: the reasons for a secure pause under which it begins: it streams nothing
                before every one has ended.
            held_client: the same for client pauses: kind of the reason, and requester.
            participant_id: the customer's id; a fresh one where it is None.
            speed: how many times faster than real time call time runs.
            frame_samples: how much audio goes in one message.
            on_trace: given every record of every session's trace.

        Raises:
            ConfigurationError: the speed, the frame or the conversation's id cannot be used.
        """

    @property
    def edge(self) -> str:
        """Where the call's media is handled."""

    @property
    def refused(self) -> str | None:
        """Why the call may not be monitored; None where it may."""

    @property
    def phase(self) -> Phase:
        """What the customer goes through now."""

    @property
    def queue_id(self) -> str | None:
        """The queue that it entered last."""

    @property
    def language(self) -> str | None:
        """The media language now."""

    @property
    def position(self) -> int:
        """The sample of call time that is live now."""

    @property
    def is_monitored(self) -> bool:
        """Whether monitoring is switched on."""

    @property
    def is_over(self) -> bool:
        """Whether the call's time has ended; sessions may still be closing."""

    @property
    def is_done(self) -> bool:
        """Whether every session is over, too."""

    @property
    def held_since(self) -> dict[SecureReason, int]:
        """Since which sample each reason for a secure pause holds, the oldest first."""

    @property
    def held_client(self) -> tuple[ClientReason, ...]:
        """The reasons for a client pause that hold now, being switched off aside."""

    async def finished(self) -> CallReport:
        """Wait until the call and every session are over, and report."""

    # Steering -------------------------------------------------------------------------

    def enter_queue(self, queue: Queue) -> None:
        """The call comes to a queue: its switches and its language apply, and its hold-back."""

    def enter_flow(self, supported_languages: Sequence[str] = ()) -> None:
        """The call is given to an IVR flow, with the languages it supports, its own first."""

    def answer(self) -> None:
        """An agent answers: the media language of this moment stands."""

    def flow_action(self, action: Action, enable: bool | None) -> None:
        """A flow's action of either name switches monitoring; None (NOT_SET) switches it off."""

    def set_language(self, language: str, stage: LanguageStage = LanguageStage.CALL) -> bool:
        """Take a media language; say whether it changed. A stage that has passed has no say."""

    def begin_secure_pause(
        self, kind: SecureKind, requester: str, effective_at: int | None = None
    ) -> Cut:
        """Let nothing out from now on; return the cut, in samples of call time.

        Starting always works. Repeating it changes nothing, but that an earlier cut takes back
        more. `gone` is in the order of `running.endpoints`.
        """

    def end_secure_pause(self, kind: SecureKind, requester: str) -> int:
        """Take one's own reason back; return the first sample that is outside of it.

        That is the one which is live now: nothing that passed before is let out.

        Raises:
            LocalProtocolError: this requester holds no such reason.
        """

    def begin_client_pause(self, requester: str, reason: str = "api") -> int:
        """Pause every endpoint from the live sample on, and return that."""

    def end_client_pause(self, requester: str) -> int:
        """Take one's own client pause back; return the live sample."""

    def close_integration(self, integration_id: str) -> None:
        """Close that integration's session with `end`, for good; the others go on."""

    def hang_up(self) -> None:
        """End the call now: what was said is delivered, and every session closed with `end`."""

    def attach(self, scenario: Scenario, *, observer: CallObserver) -> LiveCall:
        """Go on with another source: this part ends as `lost`, and what is returned follows it.

        The new part is under the same reasons from its first sample on, and monitored if this one
        was.
        """
