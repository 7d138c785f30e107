"""One call as a Monitor runs it: played by the clock, and streamed to its endpoints."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from openaudiohook.audio import RATE
from openaudiohook.fanout.account import settle
from openaudiohook.fanout.clock import TICK_NS
from openaudiohook.fanout.endpoint import (
    CallDetails,
    Endpoint,
    EndpointConfig,
    EndpointReport,
    EndpointState,
)
from openaudiohook.fanout.engine import Fanout
from openaudiohook.fanout.notices import Notice
from openaudiohook.monitor.call import Call
from openaudiohook.monitor.observer import CallEnding
from openaudiohook.monitor.placement import Placement
from openaudiohook.monitor.report import CallReport
from openaudiohook.monitor.scenario import Scenario
from openaudiohook.protocol.events import SessionEvent
from openaudiohook.protocol.media import NS_PER_SAMPLE
from openaudiohook.protocol.messages import Participant
from openaudiohook.protocol.trace import Trace, TraceRecord
from openaudiohook.protocol.types import NIL_UUID

if TYPE_CHECKING:
    from openaudiohook.monitor.monitor import Monitor

__all__ = ["EventListener", "Lineup", "NoticeListener", "RunningCall", "TraceListener"]

EventListener = Callable[[Endpoint, SessionEvent], None]
NoticeListener = Callable[[Endpoint, Notice], None]
TraceListener = Callable[[TraceRecord], None]

Lineup = Callable[[], Sequence[EndpointConfig]]
"""Says who is to be streamed to, at the moment at which it is asked."""

_HISTORY_SAMPLES: Final = 30 * RATE
_CATCH_UP_SAMPLES: Final = 20 * RATE
_TURN_NS: Final = 2 * TICK_NS
_UNKNOWN: Final = -1 << 62
_MAX_HISTORY_SAMPLES: Final = 3600 * RATE  # a call that is run very fast keeps no more


class RunningCall:
    """A call that runs. Made by `Monitor.start`.

    Attributes:
        call: the call, for whoever switches or pauses it from outside.
        conversation_id: its conversation.
        endpoints: its endpoints; none before it is monitored.
    """

    def __init__(
        self,
        monitor: Monitor,
        scenario: Scenario,
        lineup: Lineup,
        *,
        conversation_id: str,
        speed: Fraction,
        frame_samples: int,
        slot: int,
        on_event: EventListener | None,
        on_ended: Callable[[Endpoint], None] | None,
        on_notice: NoticeListener | None,
        on_trace: TraceListener | None,
        placement: Placement | None,
    ) -> None:
        self.conversation_id = conversation_id
        self.endpoints: tuple[Endpoint, ...] = ()
        self._monitor = monitor
        self._scenario = scenario
        self._lineup = lineup
        self._configs: tuple[EndpointConfig, ...] | None = None  # until monitoring begins
        self._placement = placement
        self._speed = speed
        # How long a sample takes, as a quotient: a fraction's own arithmetic is slow.
        self._sample_ns = NS_PER_SAMPLE * speed.denominator, speed.numerator
        self._frame_samples = frame_samples
        self._frame_ns = 0
        self._frame_at = -1  # where the frame ends that gets complete next,
        self._frame_at_ns = _UNKNOWN  # and when
        self._slot = slot
        self._phase_samples = 0
        self._on_event = on_event
        self._on_ended = on_ended
        self._on_notice = on_notice
        self._on_trace = on_trace
        self._traces: list[Trace] = []
        self._tasks: list[asyncio.Task[EndpointReport]] = []
        self._is_over = asyncio.Event()
        self._was_interrupted = False
        self._fault: Exception | None = None
        self.call = Call(
            scenario,
            new_fanout=self._new_fanout,
            on_monitored=self._connect,
            placement=placement,
        )
        self._began_ns = monitor.now_ns()
        self._tick(self._began_ns)
        monitor.clock.add(self._tick, on_fault=self._fail)

    async def finished(self) -> CallReport:
        """Wait until the call is over and every endpoint has ended, and report.

        Cancelling it ends the call at once; its connections are dropped.
        """
        try:
            await self._is_over.wait()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=self._monitor.late_s)
                for endpoint in self.endpoints:
                    endpoint.stop()  # whoever has opened is not touched by it
                await asyncio.wait(self._tasks)
        finally:
            self._monitor.clock.remove(self._tick)
            self.call.close()
            for task in self._tasks:
                task.cancel()
            results = await asyncio.gather(*self._tasks, return_exceptions=True)
            self._write_traces()
        if self._fault is not None:
            raise self._fault
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return self._report()

    def hang_up(self, *, reason: CallEnding = "hangup") -> None:
        """End the call now: what was said is delivered, and every session closed in good order.

        An endpoint that has not opened yet gives up.

        Args:
            reason: why, for whoever observes the call.
        """
        if not self.call.is_over:
            self._was_interrupted = True
        self._end(reason)
        for endpoint in self.endpoints:
            endpoint.stop()

    def drop(self) -> None:
        """End the call at once: its connections are dropped, and what waits is lost."""
        self._was_interrupted = self._was_interrupted or not self.call.is_over
        self._monitor.clock.remove(self._tick)
        self._end("lost")
        for task in self._tasks:
            task.cancel()

    @property
    def live_position(self) -> int:
        """The sample of call time that is live now; where the call is over, its end."""
        if self.call.is_over:
            return self.call.position
        return max(self.call.position, self._elapsed(self._monitor.now_ns()))

    def catch_up(self) -> None:
        """Play up to the sample that is live now, so that what is asked next takes effect there.

        What is played so far is whole frames: it may be one frame behind.
        """
        call, now_ns = self.call, self._monitor.now_ns()
        if not call.is_over:
            call.advance(self._elapsed(now_ns), now_ns)
        if call.is_over:
            self._is_over.set()

    # What the clock does ----------------------------------------------------------------

    def _tick(self, now_ns: int) -> int | None:
        """Play and send what is due; say when there is something next."""
        call, at_ns = self.call, self._frame_at_ns
        if not call.is_over:
            # As was said when we asked to be called, or else as late as it is now.
            is_in_time = at_ns <= now_ns < at_ns + self._frame_ns
            call.advance(self._frame_at if is_in_time else self._due(now_ns), now_ns)
        if call.is_over:
            self._is_over.set()
        fanout = call.fanout
        if fanout is not None:
            fanout.tick(now_ns)
        if self._traces:
            self._write_traces()
        elif fanout is not None and not fanout.is_restless and not call.is_over:
            return self._next_frame_ns()
        return None

    def _next_frame_ns(self) -> int:
        """When the next frame is complete."""
        start, position = self.call.monitored_from, self.call.position
        assert start is not None
        is_whole = position == self._frame_at
        position += self._frame_samples
        if not is_whole:
            position -= (position - start - self._phase_samples) % self._frame_samples
        sample_ns, per = self._sample_ns
        self._frame_at = position
        self._frame_at_ns = at_ns = self._began_ns - (-position * sample_ns // per)  # rounded up
        return at_ns

    def _wake(self) -> None:
        self._monitor.clock.wake(self._tick)

    def _due(self, now_ns: int) -> int:
        """How far the call is to be played: only whole frames once it is monitored."""
        due = self._elapsed(now_ns)
        start = self.call.monitored_from
        if start is not None:
            due -= (due - start - self._phase_samples) % self._frame_samples
        return due

    def _elapsed(self, now_ns: int) -> int:
        """How much call time has passed, in whole samples."""
        sample_ns, per = self._sample_ns
        return (now_ns - self._began_ns) * per // sample_ns

    def _fail(self, error: Exception) -> None:
        """A mistake of our own: let go of everything, and let `finished()` tell."""
        self._fault = error
        self.call.fail()
        for task in self._tasks:
            task.cancel()
        self._is_over.set()

    def _end(self, reason: CallEnding) -> None:
        self.call.hang_up(self._monitor.now_ns(), reason=reason)
        self._is_over.set()

    # What monitoring does ---------------------------------------------------------------

    def _new_fanout(self) -> Fanout:
        configs = self._configs = tuple(self._lineup())  # from here on it is fixed
        wanted = [config.frame_ms * RATE // 1000 for config in configs if config.frame_ms]
        self._frame_samples = min(wanted, default=self._frame_samples)
        self._frame_ns = self._frame_samples * self._sample_ns[0] // self._sample_ns[1]
        # A frame that is complete right before a tick waits for nothing; and calls take turns,
        # so that not all of them send at one tick, nor at every one: each wakes the process, and
        # its readers.
        sample_ns, per = self._sample_ns
        start_ns = self._began_ns + self.call.position * sample_ns // per
        ahead = (self._slot * _TURN_NS - start_ns) * per // sample_ns
        self._phase_samples = ahead % self._frame_samples
        # History is there to bridge wall time; a fast call needs more of it for the same time.
        pace = max(Fraction(1), self._speed)
        return Fanout(
            frame_samples=self._frame_samples,
            speed=self._speed,
            ring_samples=min(int(_HISTORY_SAMPLES * pace), _MAX_HISTORY_SAMPLES),
            catch_up_samples=min(int(_CATCH_UP_SAMPLES * pace), _MAX_HISTORY_SAMPLES),
            phase_samples=self._phase_samples,
            hold_back_samples=self.call.hold_back_samples,
            keeps_evidence=self._monitor.keeps_evidence,
            on_wake=self._wake,
        )

    def _connect(self, fanout: Fanout) -> None:
        """Monitoring began: dial every endpoint, each on its own."""
        monitor, placement = self._monitor, self._placement
        details = CallDetails(
            organization_id=placement.organization_id if placement else monitor.organization_id,
            conversation_id=self.conversation_id,
            participant=Participant(
                id=(placement and placement.participant_id) or monitor.new_id(),
                ani=self._scenario.ani,
                ani_name="",
                dnis=self._scenario.dnis,
            ),
            language=self.call.language,
        )
        configs = self._configs or ()
        self.endpoints = tuple(self._endpoint(config, fanout, details) for config in configs)
        self.call.integration_ids = [config.integration_id for config in configs]
        for endpoint in self.endpoints:
            task = asyncio.create_task(endpoint.run(), name=f"endpoint {endpoint.config.name}")
            self._tasks.append(task)
            task.add_done_callback(functools.partial(self._ended, endpoint))

    def _endpoint(self, config: EndpointConfig, fanout: Fanout, details: CallDetails) -> Endpoint:
        monitor = self._monitor
        return Endpoint(
            config,
            call=fanout,
            details=details,
            session_id=monitor.new_id(),
            correlation_id=monitor.new_id(),
            retry=monitor.retry,
            timers=monitor.timers,
            ssl=monitor.ssl,
            new_id=monitor.new_id,
            new_trace=None if self._on_trace is None else self._new_trace,
            on_event=self._on_event,
            on_notice=self._on_notice,
            cut_offs=monitor.cut_offs,
            now_ns=monitor.now_ns,
        )

    def _new_trace(self, session_id: str) -> Trace:
        trace = Trace(session_id=session_id)
        self._traces.append(trace)
        return trace

    def _ended(self, endpoint: Endpoint, task: asyncio.Task[EndpointReport]) -> None:
        """One endpoint is done; a call that nobody listens to any more is hung up."""
        if self._on_ended is not None:
            self._on_ended(endpoint)
        is_alone = all(task.done() for task in self._tasks)
        if is_alone and self._placement is None and not self.call.is_over:
            self._end("end")

    def _write_traces(self) -> None:
        if self._on_trace is not None:
            for trace in self._traces:
                for record in trace.drain():
                    self._on_trace(record)

    def _report(self) -> CallReport:
        call = self.call
        configs = self._configs
        if configs is None:  # it was never monitored: who would have listened is known where given
            configs = () if self._placement else tuple(self._lineup())
        reports = tuple(endpoint.report() for endpoint in self.endpoints)
        return CallReport(
            conversation_id=self.conversation_id,
            call_samples=call.monitored_samples,
            monitored_from=call.monitored_from,
            secure_spans=call.secure_spans,
            cuts=tuple(call.cuts),
            endpoints=reports or tuple(_never_connected(config) for config in configs),
            free_pauses=self._monitor.free_pauses,
            problems=tuple(call.problems),
            was_interrupted=self._was_interrupted,
        )


def _never_connected(config: EndpointConfig) -> EndpointReport:
    """Report of an endpoint of a call that was never monitored: nothing was to be done."""
    return EndpointReport(
        name=config.name,
        uri=config.uri,
        session_id=NIL_UUID,
        state=EndpointState.COMPLETED,
        error=None,
        http_status=None,
        attempts=0,
        open_ns=None,
        rtt_ns=None,
        media=None,
        account=settle([], pauses=[], span=(0, 0), is_over=True),
    )
