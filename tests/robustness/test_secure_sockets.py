"""Two hundred random schedules of secure pause through real sockets, five services each.

What arrives at a service, in whichever of its sessions, is all that left: it is compared with what
the answer to each request said had gone. Some endpoints may be followed by another session: theirs
ask to be moved, or are lost and come back.
"""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.fanout.schedules import (
    ENDPOINTS,
    FOREVER,
    Begin,
    Do,
    End,
    Gap,
    Language,
    Plan,
    Play,
    is_marked,
    plan,
)
from tests.fanout.services import Service, Streaming, Successive, running, until

from openaudiohook.fanout.endpoint import Endpoint, EndpointState
from openaudiohook.fanout.engine import Cut
from openaudiohook.fanout.pauses import length, subtract
from openaudiohook.protocol.types import Channel, ServerState

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(300)]

SCHEDULES = 200
SHARE = 25
SCALE = 10
CHANNELS = ("both", "internal", "both", "external", "both")
DEEDS = ("pause", "resume", "pause", "resume", "stall", "read", "drop", "dial", "dial",
         "move", "move", "move", "lose", "lose", "settle")  # fmt: skip
RECONNECTING = (1, 2, 3)
LIVING = (ServerState.ACTIVE, ServerState.PAUSED)
SETTLED = (EndpointState.STREAMING, EndpointState.COMPLETED, EndpointState.FAILED)


class Running:
    """One schedule on its way through five services."""

    def __init__(self, planned: Plan, services: list[Successive], streaming: Streaming) -> None:
        self.plan = planned
        self.services = services
        self.streaming = streaming
        self.call = streaming.call
        self.dialled: dict[int, Endpoint] = {}
        self.dropped: set[int] = set()
        self.moved: set[int] = set()
        self.lost: set[int] = set()
        self.cuts: list[tuple[Cut, list[int]]] = []  # with the span in which nothing may arrive

    def dial(self, index: int) -> None:
        endpoint = self.streaming.stream_to(
            self.services[index], channel=CHANNELS[index], reconnections=index in RECONNECTING
        )
        self.dialled[index] = endpoint

    async def run(self) -> None:
        for index in range(ENDPOINTS - 1):
            self.dial(index)
        await until(lambda: all(each.state in SETTLED for each in self.dialled.values()))
        for step in self.plan.steps:
            match step:
                case Play():
                    await self.play(step)
                case Begin():
                    self.begin(step)
                case End(cause=cause, requester=requester):
                    self.call.end_pause(cause, requester)
                    if not self.call.is_paused:
                        for _, span in self.cuts:
                            span[1] = min(span[1], self.call.head)
                case Gap(samples=samples):
                    self.call.skip(samples)
                case Language(tag=tag):
                    self.call.update_language(tag)
                case Do():
                    await self.do(step)
        if self.plan.late is not None:  # the call is over, and not all of it has left
            self.call.finish(time.monotonic_ns())
            self.begin(self.plan.late)
        for service in self.services:
            service.reads.set()
        await self.streaming.hang_up()

    async def play(self, play: Play) -> None:
        left = play.samples
        while left:
            samples = min(left, play.step)
            self.streaming.play(samples)
            self.call.tick(time.monotonic_ns())
            await asyncio.sleep(0)
            left -= samples

    def begin(self, begin: Begin) -> None:
        head = self.call.head
        effective_at = head - begin.delay if begin.names_it else None
        cut = self.call.begin_pause(begin.cause, begin.requester, effective_at=effective_at)
        self.cuts.append((cut, [cut.position, FOREVER]))
        if cut.position >= head - self.plan.hold_back and not self.call.is_finished:
            assert not any(cut.gone)

    async def do(self, do: Do) -> None:
        service = self.services[do.index]
        match do.what:
            case "dial" if do.index not in self.dialled:
                self.dial(do.index)
            case "stall":
                service.reads.clear()
            case "read":
                service.reads.set()
            case "drop" if do.index not in RECONNECTING and service.services and not self.dropped:
                self.dropped.add(do.index)
                service.latest.drop()
            case "lose" if do.index in RECONNECTING and self.is_streaming(do.index):
                self.lost.add(do.index)
                service.latest.drop()
            case "move" if do.index in RECONNECTING and self.is_streaming(do.index):
                self.moved.add(do.index)
                await service.ask_to_move()
            case "settle" if do.index in self.moved | self.lost:
                service.reads.set()
                await until(lambda: self.dialled[do.index].state in SETTLED)
            case "pause" if self.is_streaming(do.index):
                await service.latest.pause()
            case "resume" if self.is_streaming(do.index):
                await service.latest.resume()

    def is_streaming(self, index: int) -> bool:
        """Whether its latest session can be told something."""
        endpoint, service = self.dialled.get(index), self.services[index]
        return (
            endpoint is not None
            and endpoint.state is EndpointState.STREAMING
            and index not in self.dropped
            and is_living(service.latest)
        )

    def check(self) -> None:
        source = self.plan.source
        for index, (service, endpoint) in enumerate(
            zip(self.services, self.streaming.endpoints, strict=False)
        ):
            report = endpoint.report()
            account = report.account
            parts = (account.sent, account.discarded, account.lost, account.paused_union)
            assert sum(parts) == account.length == self.call.head
            spans = []
            for session in service.services:
                spans_here = []
                for position, payload in session.frames:
                    assert report.media is not None
                    channels = report.media.channels
                    end = position + len(payload) // len(channels)
                    stereo = source[2 * position : 2 * end]
                    step = 3 - len(channels)
                    assert payload == stereo[channels[0] is Channel.INTERNAL :: step]
                    spans_here.append((position, end))
                assert session.problems == []
                assert length(spans_here) == sum(end - start for start, end in spans_here)
                spans += spans_here
            for cut, (start, end) in self.cuts:
                arrived = length(subtract(spans, [(0, start), (end, FOREVER)]))
                gone = cut.gone[index] if index < len(cut.gone) else 0
                if index in self.dropped | self.lost:
                    assert arrived <= gone
                else:
                    assert arrived == gone
            if index not in self.dropped:
                assert report.state is EndpointState.COMPLETED, report.error
                if index not in self.lost:
                    assert length(spans) == account.sent


def is_living(service: Service) -> bool:
    session = service.session
    return session is not None and service.opens != [] and session.state in LIVING


async def through_sockets(seed: int) -> Running:
    planned = plan(seed, deeds=DEEDS, scale=SCALE)
    services = [Successive(refusals=int(seed % 7 == index)) for index in range(ENDPOINTS)]
    async with (
        running(*services),
        Streaming(
            planned.source,
            hold_back_samples=planned.hold_back,
            phase_samples=planned.phase,
            frame_samples=16 * SCALE,
        ) as streaming,
    ):
        one = Running(planned, services, streaming)
        await one.run()
    one.check()
    return one


@pytest.mark.parametrize("first", range(0, SCHEDULES, SHARE))
async def test_nothing_captured_at_or_after_a_cut_arrives(first: int) -> None:
    seen = {"told late": 0, "gone before": 0, "cuts": 0, "moved": 0, "came back": 0}
    for seed in range(first, first + SHARE):
        try:
            one = await through_sockets(seed)
        except BaseException as error:
            error.add_note(f"the schedule is plan({seed}, deeds=DEEDS, scale=SCALE)")
            raise
        seen["told late"] += is_marked(one.plan.source)
        seen["cuts"] += len(one.cuts)
        seen["gone before"] += any(any(cut.gone) for cut, _ in one.cuts)
        seen["moved"] += sum(len(one.services[index].services) > 1 for index in one.moved)
        seen["came back"] += sum(len(one.services[index].services) > 1 for index in one.lost)
    assert min(seen.values()) > 0, seen
