"""The calls of a platform: placed, steered, hung up, and given another source.

A call goes on with what is in memory: neither a database that is away nor a journal that cannot be
written stops one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from openaudiohook.exceptions import ConfigurationError, LocalProtocolError, NotFound
from openaudiohook.fanout.endpoint import EndpointConfig
from openaudiohook.monitor.bookkeeping import Bookkeeper
from openaudiohook.monitor.bulletins import Bulletins
from openaudiohook.monitor.call_state import state_of, state_of_detached
from openaudiohook.monitor.conversations import SWITCH, Known
from openaudiohook.monitor.custody import Custody, LiveCalls
from openaudiohook.monitor.directory import Directory
from openaudiohook.monitor.events import EventId
from openaudiohook.monitor.language import LanguageStage
from openaudiohook.monitor.live_call import LiveCall
from openaudiohook.monitor.media import SourceRequest, scenario_of
from openaudiohook.monitor.monitor import MAX_SPEED, Monitor, TraceListener
from openaudiohook.monitor.orders import FlowAction, PlaceCall, SecureAnswer, SecureEnd
from openaudiohook.monitor.policy import refusal
from openaudiohook.monitor.record import Record
from openaudiohook.monitor.scenario import Scenario
from openaudiohook.monitor.secure_pause import SecureKind, SecureReason
from openaudiohook.monitor.tracing import TraceFiles
from openaudiohook.protocol.messages import LanguageCode
from openaudiohook.store.entries import Acted, CallEnded
from openaudiohook.store.records import Queue

__all__ = ["Switchboard"]

_SAMPLES_PER_MS: Final = 8

_log = logging.getLogger(__name__)


class Switchboard(Custody):
    """The part of a platform that has its calls.

    Every method raises `NotFound` for what is not there or belongs to another organization.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        monitor: Monitor,
        record: Record,
        bulletins: Bulletins,
        media_dir: Path | None,
        traces: TraceFiles | None,
        new_id: Callable[[], str],
        utc_ns: Callable[[], int],
    ) -> None:
        live_calls: LiveCalls = {}
        super().__init__(live_calls, record=record, utc_ns=utc_ns)
        self._directory = directory
        self._monitor = monitor
        self._bulletins = bulletins
        self._media_dir = media_dir
        self._traces = traces
        self._new_id = new_id
        self._keepers: dict[tuple[str, str], Bookkeeper] = {}
        self._running: dict[asyncio.Task[None], LiveCall] = {}

    # Placing ----------------------------------------------------------------------------

    async def place_call(
        self, organization_id: str, place: PlaceCall, *, requester: str
    ) -> LiveCall:
        """Begin a call; in a queue that is switched on it is monitored at once.

        A call on an edge that may not be monitored begins all the same, and is never connected. A
        conversation whose source was lost goes on in another part, held as it was.

        Raises:
            ConfigurationError: there is nothing of that name to play, no such queue, or a source
                is attached to the conversation already.
        """
        self._directory.organization(organization_id)
        queue = None if place.queue_id is None else self._queue(organization_id, place.queue_id)
        conversation_id = place.conversation_id or self._new_id()
        key = organization_id, conversation_id
        if self._live(*key) is not None:
            raise ConfigurationError("a source is attached to this conversation already")
        if not place.speed.is_finite() or not 0 < place.speed <= MAX_SPEED:
            raise ConfigurationError(
                f"the speed is above 0 and at most {MAX_SPEED}, not {place.speed}"
            )
        scenario = scenario_of(place.source, media_dir=self._media_dir)
        scenario = replace(scenario, edge=place.edge_type or scenario.edge)
        known = self._record.conversations.get(*key)
        if known is None:
            call = self._begin(key, scenario, queue=queue, speed=Fraction(place.speed))
        else:
            call = self._go_on(known, scenario, queue=queue, speed=Fraction(place.speed))
        self._acted_on_call(organization_id, requester, "call.placed", conversation_id)
        return call

    async def attach_source(
        self, organization_id: str, conversation_id: str, source: SourceRequest, *, requester: str
    ) -> LiveCall:
        """Give a conversation another source, in place of the one it has or has lost.

        It begins a new part, under every reason for a pause that was not taken back, and monitored
        if the part before was.

        Raises:
            ConfigurationError: there is nothing of that name to play.
        """
        known = self._known(organization_id, conversation_id)
        scenario = scenario_of(source, media_dir=self._media_dir)
        live = self._live(organization_id, conversation_id)
        if live is None:
            call = self._go_on(known, replace(scenario, edge=known.edge), queue=None)
        else:
            key = organization_id, conversation_id
            keeper = self._keeper(key, known.part + 1, edge=live.edge, queue_id=known.queue_id)
            call = live.attach(replace(scenario, edge=live.edge), observer=keeper)
            self._run(call, keeper)
        self._acted_on_call(organization_id, requester, "call.attached", conversation_id)
        return call

    # Looking ----------------------------------------------------------------------------

    def calls(self, organization_id: str) -> list[LiveCall]:
        """Return an organization's calls that go on."""
        self._directory.organization(organization_id)
        calls = self._live_calls.values()
        return [one for one in calls if one.organization_id == organization_id and not one.is_over]

    def call(self, organization_id: str, conversation_id: str) -> LiveCall:
        """Return a call that goes on."""
        call = self._live(organization_id, conversation_id)
        if call is None:
            raise NotFound("no call of that conversation goes on", entity_type="conversation")
        return call

    def conversations(self, organization_id: str) -> list[str]:
        """Return the ids of all conversations that have not ended, with or without a source."""
        self._directory.organization(organization_id)
        return [one.conversation_id for one in self._record.conversations.all(organization_id)]

    def call_state(self, organization_id: str, conversation_id: str) -> dict[str, Any]:
        """Return how a conversation stands, its sessions included, as a JSON object."""
        known = self._known(organization_id, conversation_id)
        call = self._live(organization_id, conversation_id)
        return state_of_detached(known) if call is None else state_of(call, known)

    # Steering ---------------------------------------------------------------------------

    async def flow_action(
        self, organization_id: str, conversation_id: str, action: FlowAction, *, requester: str
    ) -> SecureAnswer | SecureEnd | None:
        """Have a flow act on a call; a secure flow is answered as a secure pause is.

        Raises:
            ConfigurationError: a value that the action needs is missing, or cannot be used.
            LocalProtocolError: the conversation has no source, or holds no such secure flow.
            JournalError: see `begin_secure_pause` and `end_secure_pause`.
        """
        if action.action == "secureFlow":
            answer = await self._secure_flow(organization_id, conversation_id, action)
            self._acted_on_call(organization_id, requester, "call.secureFlow", conversation_id)
            return answer
        self._known(organization_id, conversation_id)
        call = self._live(organization_id, conversation_id)
        if call is None:
            raise LocalProtocolError("the conversation has no source now; attach one first")
        if action.action == "setLanguage":
            stage = LanguageStage.IN_QUEUE_FLOW if call.phase == "queue" else LanguageStage.FLOW
            call.set_language(_language(action.language), stage)
        else:
            call.flow_action(action.action, action.enable)
        self._acted_on_call(organization_id, requester, f"call.{action.action}", conversation_id)
        return None

    async def enter_queue(
        self, organization_id: str, conversation_id: str, queue_id: str, *, requester: str
    ) -> None:
        """Have a call come to a queue: its switches, its language and its hold-back apply."""
        call = self.call(organization_id, conversation_id)
        call.enter_queue(self._directory.queue(organization_id, queue_id))
        self._acted_on_call(organization_id, requester, "call.queued", conversation_id)

    async def hang_up(self, organization_id: str, conversation_id: str, *, requester: str) -> None:
        """End a conversation: what was said is delivered, and every session is closed."""
        known = self._known(organization_id, conversation_id)
        call = self._live(organization_id, conversation_id)
        if call is not None:
            call.hang_up()
        else:
            ended = CallEnded(
                organization_id=organization_id,
                utc_ns=self._utc_ns(),
                conversation_id=conversation_id,
                part=known.part,
                at=known.at,
                reason="hangup",
            )
            self._record.note(ended)
        self._acted_on_call(organization_id, requester, "call.hungUp", conversation_id)

    def close_sessions(self, organization_id: str, integration_id: str) -> None:
        """Close an integration's live sessions with `end`; the others of each call go on."""
        for call in self._running.values():
            if call.organization_id == organization_id:
                call.close_integration(integration_id)

    async def hang_up_all(self, *, within_s: float) -> None:
        """Close every session in good order, because the Monitor stops.

        The conversations have not ended: a source may be attached to each of them again.
        """
        for keeper in self._keepers.values():
            keeper.is_stopping = True
        for call in tuple(self._running.values()):
            call.hang_up()
        if self._running:
            await asyncio.wait(tuple(self._running), timeout=within_s)
        for call in tuple(self._running.values()):  # whoever has not said good-bye by now
            call.drop()
        await asyncio.gather(*self._running, return_exceptions=True)

    # ------------------------------------------------------------------------------------

    def _begin(
        self, key: tuple[str, str], scenario: Scenario, *, queue: Queue | None, speed: Fraction
    ) -> LiveCall:
        queue_id = None if queue is None else queue.id
        keeper = self._keeper(key, 0, edge=scenario.edge, queue_id=queue_id)
        return self._run(
            LiveCall(
                self._monitor,
                scenario,
                organization_id=key[0],
                conversation_id=key[1],
                integrations=lambda: self._active(key[0]),
                observer=keeper,
                queue=queue,
                speed=speed,
                on_trace=self._trace(key[1]),
            ),
            keeper,
        )

    def _go_on(
        self,
        known: Known,
        scenario: Scenario,
        *,
        queue: Queue | None,
        speed: Fraction = Fraction(1),
    ) -> LiveCall:
        """Begin the next part of a conversation whose source was lost."""
        key = known.organization_id, known.conversation_id
        queue_id = known.queue_id if queue is None else queue.id
        held, client = [], []
        for one in known.held:
            if one.cause == "secure":
                held.append(SecureReason(SecureKind(one.reason), one.requester))
            elif one.reason != SWITCH:
                client.append((one.reason, one.requester))
        if queue is None and queue_id is not None:
            with contextlib.suppress(NotFound):
                before = self._directory.queue(key[0], queue_id)
                held_back = max(scenario.hold_back_samples, before.hold_back_ms * _SAMPLES_PER_MS)
                scenario = replace(scenario, hold_back_samples=held_back)
        keeper = self._keeper(key, known.part + 1, edge=scenario.edge, queue_id=queue_id)
        is_on, phase = bool(known.is_on), known.phase
        call = LiveCall(
            self._monitor,
            replace(scenario, language=known.language or scenario.language),
            organization_id=key[0],
            conversation_id=key[1],
            integrations=lambda: self._active(key[0]),
            observer=keeper,
            part=known.part + 1,
            queue=queue,
            phase=phase,
            is_on=is_on,
            held_reasons=held,
            held_client=client,
            speed=speed,
            on_trace=self._trace(key[1]),
        )
        self._run(call, keeper)
        if held:
            kinds = ", ".join(sorted({str(one.kind) for one in held}))
            self._publish(key, EventId.SECURE_PAUSE_RESTORED, f"it is held by: {kinds}")
        return call

    def _keeper(
        self, key: tuple[str, str], part: int, *, edge: str, queue_id: str | None
    ) -> Bookkeeper:
        return Bookkeeper(
            organization_id=key[0],
            conversation_id=key[1],
            part=part,
            record=self._record,
            bulletins=self._bulletins,
            utc_ns=self._utc_ns,
            edge=edge,
            queue_id=queue_id,
            refused=refusal(edge),
        )

    def _run(self, call: LiveCall, keeper: Bookkeeper) -> LiveCall:
        keeper.begin()
        key = call.organization_id, call.conversation_id
        self._live_calls[key], self._keepers[key] = call, keeper
        task = asyncio.create_task(self._see_through(call), name=f"call {call.conversation_id}")
        self._running[task] = call
        task.add_done_callback(lambda done: self._running.pop(done, None))
        return call

    async def _see_through(self, call: LiveCall) -> None:
        """Wait for a call and its sessions to end; what went wrong with it is its alone."""
        key = call.organization_id, call.conversation_id
        try:
            report = await call.finished()
        except asyncio.CancelledError:  # it was dropped
            pass
        except Exception as error:
            _log.error("a call ended by a mistake of ours: %s", type(error).__name__)
            self._publish(
                key, EventId.INTERNAL_ERROR, f"the call was given up: {type(error).__name__}"
            )
        else:
            for problem in report.problems:
                self._publish(key, EventId.SOURCE_UNPLAYABLE, problem)
        finally:
            if self._live_calls.get(key) is call:
                del self._live_calls[key], self._keepers[key]
                if self._traces is not None:
                    self._traces.close(call.conversation_id)

    def _trace(self, conversation_id: str) -> TraceListener | None:
        return None if self._traces is None else self._traces.listener(conversation_id)

    def _active(self, organization_id: str) -> Sequence[EndpointConfig]:
        return self._directory.active(organization_id)

    def _queue(self, organization_id: str, queue_id: str) -> Queue:
        try:
            return self._directory.queue(organization_id, queue_id)
        except NotFound as error:
            raise ConfigurationError(str(error)) from None

    async def _secure_flow(
        self, organization_id: str, conversation_id: str, action: FlowAction
    ) -> SecureAnswer | SecureEnd:
        if action.enable is None:
            raise ConfigurationError("secureFlow: 'enable' says whether it begins or ends")
        # A scenario's own secure flow goes by its bare name.
        held = self._held(organization_id, conversation_id)
        is_scenario = SecureReason(SecureKind.FLOW, action.flow) in held
        requester = action.flow if is_scenario else f"flow:{action.flow}"
        if action.enable:
            return await self.begin_secure_pause(
                organization_id,
                conversation_id,
                kind=SecureKind.FLOW,
                requester=requester,
                effective_at=action.effective_at,
            )
        return await self.end_secure_pause(
            organization_id, conversation_id, kind=SecureKind.FLOW, requester=requester
        )

    def _publish(self, key: tuple[str, str], event_id: EventId, text: str) -> None:
        self._bulletins.publish(
            key[0],
            event_id,
            entity_type="call",
            entity_id=key[1],
            entity_name="",
            text=text,
            conversation_id=key[1],
        )

    def _acted_on_call(
        self, organization_id: str, requester: str, action: str, conversation_id: str
    ) -> None:
        """Write who did it; a call waits for no disk."""
        self._record.note(
            Acted(
                organization_id=organization_id,
                utc_ns=self._utc_ns(),
                requester=requester,
                action=action,
                entity_type="call",
                entity_id=conversation_id,
            )
        )


def _language(language: str | None) -> str:
    try:
        return msgspec.convert(language, LanguageCode)
    except msgspec.ValidationError:
        raise ConfigurationError(
            "setLanguage: 'language' is a BCP 47 tag, for example 'en-US'"
        ) from None
