"""The Monitor: runs calls on one media clock, and streams each to its endpoints in parallel."""

from __future__ import annotations

import ssl as tls
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from fractions import Fraction
from typing import Final

from openaudiohook.audio import RATE
from openaudiohook.exceptions import ConfigurationError
from openaudiohook.fanout.abuse import CutOffs
from openaudiohook.fanout.clock import MediaClock
from openaudiohook.fanout.endpoint import Endpoint, EndpointConfig, RetryPolicy
from openaudiohook.fanout.engine import MAX_FRAME_SAMPLES
from openaudiohook.monitor.integrations import require_count
from openaudiohook.monitor.metering import FREE_PAUSES
from openaudiohook.monitor.placement import Placement
from openaudiohook.monitor.report import CallReport
from openaudiohook.monitor.running import (
    EventListener,
    Lineup,
    NoticeListener,
    RunningCall,
    TraceListener,
)
from openaudiohook.monitor.scenario import Scenario
from openaudiohook.protocol.client import ClientTimers
from openaudiohook.protocol.types import NIL_UUID, PauseCause

__all__ = [
    "MAX_SPEED",
    "EventListener",
    "Lineup",
    "Monitor",
    "NoticeListener",
    "RunningCall",
    "TraceListener",
]

MAX_SPEED: Final = 1000
"""How many times faster than real time a call can run: what must be kept grows with it."""

LATE_S: Final = 5.0
"""How long after a call an endpoint that did not open is still tried: time for three retries,
and well within the 20 s of history it would then be given."""


class Monitor:
    """The platform's side: starts calls and streams them. Needs a running event loop.

    Args:
        organization_id: the organisation whose calls these are; a random one where it is None.
        free_pauses: the causes whose time is not charged.
        timers: how long sessions wait.
        retry: when an endpoint that did not open is tried again.
        late_s: how long after a call an endpoint that did not open is still tried.
        ssl: TLS settings for `wss://`; None for the system's.
        keeps_evidence: count the hash of what each endpoint is sent, for whoever compares both
            ends. A platform that runs for years leaves it out.
        clock: the media clock, shared by all calls of the process.
        now_ns: the monotonic clock.
        new_id: makes the UUIDs of sessions and conversations.
    """

    def __init__(
        self,
        *,
        organization_id: str | None = None,
        free_pauses: Collection[PauseCause] = FREE_PAUSES,
        timers: ClientTimers | None = None,
        retry: RetryPolicy | None = None,
        late_s: float = LATE_S,
        ssl: tls.SSLContext | None = None,
        keeps_evidence: bool = True,
        clock: MediaClock | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self.organization_id = organization_id or new_id()
        self.free_pauses = free_pauses
        self.timers = timers
        self.retry = retry
        self.late_s = late_s
        self.ssl = ssl
        self.keeps_evidence = keeps_evidence
        self.now_ns = now_ns
        self.new_id = new_id
        self.clock = clock or MediaClock(now_ns=now_ns)
        self.cut_offs = CutOffs()
        self._calls = 0

    def start(
        self,
        scenario: Scenario,
        endpoints: Sequence[EndpointConfig] | Lineup,
        *,
        conversation_id: str | None = None,
        speed: Fraction | int = 1,
        frame_samples: int = RATE // 10,
        on_event: EventListener | None = None,
        on_ended: Callable[[Endpoint], None] | None = None,
        on_notice: NoticeListener | None = None,
        on_trace: TraceListener | None = None,
        placement: Placement | None = None,
    ) -> RunningCall:
        """Begin a call; it runs by itself from here on. Await `finished()` of what is returned.

        Args:
            scenario: what happens on it.
            endpoints: where it is streamed to, one to five; or what is asked for them at the
                moment at which monitoring begins, and then there may be none.
            conversation_id: a fresh UUID where it is None.
            speed: how many times faster than real time call time runs.
            frame_samples: how much audio goes in one message, unless an endpoint wants less.
            on_event: told of everything an endpoint's session reports.
            on_ended: told of every endpoint whose part is over.
            on_notice: told what an operator should know of an endpoint: `monitor.events` has an
                event for everything that it is told.
            on_trace: given every record of every session's trace.
            placement: how the call stands on a platform. There it goes on though it may not be
                monitored, or nobody listens to it any more.

        Raises:
            ConfigurationError: the call may not be monitored, or not like that.
        """
        if not callable(endpoints):
            configs = tuple(endpoints)
            require_count(len(configs))
            endpoints = lambda: configs  # noqa: E731
        if conversation_id == NIL_UUID:
            raise ConfigurationError(
                "the conversation id of zeros means a connection probe; give a call another one"
            )
        if not 0 < speed <= MAX_SPEED:
            raise ConfigurationError(f"the speed is above 0 and at most {MAX_SPEED}, not {speed}")
        if not 1 <= frame_samples <= MAX_FRAME_SAMPLES:
            raise ConfigurationError(
                f"a frame has 1 to {MAX_FRAME_SAMPLES} samples, not {frame_samples}"
            )
        self._calls += 1
        return RunningCall(
            self,
            scenario,
            endpoints,
            conversation_id=conversation_id or self.new_id(),
            speed=Fraction(speed),
            frame_samples=frame_samples,
            slot=self._calls,
            on_event=on_event,
            on_ended=on_ended,
            on_notice=on_notice,
            on_trace=on_trace,
            placement=placement,
        )

    async def run(
        self,
        scenario: Scenario,
        endpoints: Sequence[EndpointConfig],
        *,
        conversation_id: str | None = None,
        speed: Fraction | int = 1,
        frame_samples: int = RATE // 10,
    ) -> CallReport:
        """Run a call from entry to end, and report. The arguments are those of `start`."""
        running = self.start(
            scenario,
            endpoints,
            conversation_id=conversation_id,
            speed=speed,
            frame_samples=frame_samples,
        )
        return await running.finished()
