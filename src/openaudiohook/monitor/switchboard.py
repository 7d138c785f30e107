"""The calls of a platform: placed, given another source, and seen through to their end.

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
from typing import Final

from msgspec.structs import replace

from openaudiohook.exceptions import ConfigurationError, NotFound
from openaudiohook.fanout.endpoint import EndpointConfig
from openaudiohook.monitor.bookkeeping import Bookkeeper
from openaudiohook.monitor.bulletins import Bulletins
from openaudiohook.monitor.conversations import SWITCH, Known
from openaudiohook.monitor.custody import LiveCalls
from openaudiohook.monitor.directory import Directory
from openaudiohook.monitor.events import EventId
from openaudiohook.monitor.live_call import LiveCall
from openaudiohook.monitor.media import SourceRequest, scenario_of
from openaudiohook.monitor.monitor import MAX_SPEED, Monitor, TraceListener
from openaudiohook.monitor.orders import PlaceCall
from openaudiohook.monitor.policy import refusal
from openaudiohook.monitor.record import Record
from openaudiohook.monitor.scenario import Scenario
from openaudiohook.monitor.secure_pause import SecureKind, SecureReason
from openaudiohook.monitor.steering import Steering
from openaudiohook.monitor.tracing import TraceFiles
from openaudiohook.store.records import Queue

__all__ = ["Switchboard"]

_SAMPLES_PER_MS: Final = 8

_log = logging.getLogger(__name__)


class Switchboard(Steering):
    """The part of a platform that places its calls.

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
        super().__init__(live_calls, directory=directory, record=record, utc_ns=utc_ns)
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
        if queue is not None and place.source.scenario is None:
            call.answer()  # nobody in there could; a scenario says itself when an agent does
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

    # Ending -----------------------------------------------------------------------------

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
            queue_id=queue_id,
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
