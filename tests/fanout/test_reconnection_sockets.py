"""Reconnection over real sockets, against services on another WebSocket library."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from fanout import services
from fanout.services import QUICK, SESSION, Service, Streaming, running, until
from fanout.world import noise
from openaudiohook.fanout.account import Account
from openaudiohook.fanout.endpoint import Endpoint, EndpointState
from openaudiohook.fanout.pauses import length, union
from openaudiohook.protocol import SessionEvent
from openaudiohook.protocol.client import ClientTimers
from openaudiohook.protocol.events import ReconnectRequested
from openaudiohook.protocol.trace import Trace
from openaudiohook.protocol.types import DisconnectReason

pytestmark = pytest.mark.integration

S = 8_000
MS = 1_000_000
SOURCE = noise(60 * S)
FAILED, COMPLETED = EndpointState.FAILED, EndpointState.COMPLETED


class Successive(services.Successive):
    """One that checks what came."""

    def check(self) -> int:
        """Return how many samples came, each once; every one is the source's at its place."""
        spans = []
        for service in self.services:
            assert service.problems == []
            for position, payload in service.frames:
                assert payload == SOURCE[2 * position :][: len(payload)]
                spans.append((position, position + len(payload) // 2))
        return length(union(spans))


def assert_exact(account: Account) -> None:
    parts = (account.sent, account.discarded, account.lost, account.paused_union)
    assert min(parts) >= 0
    assert sum(parts) == account.length


def stream_to(streaming: Streaming, service: Service, **options: Any) -> Endpoint:
    return streaming.stream_to(service, **{"reconnections": True, **options})


async def play(streaming: Streaming, samples: int, *, step: int = 800) -> None:
    for _ in range(samples // step):
        streaming.play(step)
        await asyncio.sleep(0.002)


@pytest.mark.anyio
async def test_a_stream_is_moved_under_load_and_nothing_is_missing() -> None:
    service, traced = Successive(), []

    def new_trace(session_id: str) -> Trace:
        traced.append(session_id)
        return Trace(session_id=session_id)

    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = stream_to(streaming, service, new_trace=new_trace)
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        for moves in range(1, 4):
            await play(streaming, 5 * S)
            await service.ask_to_move()
            await play(streaming, 2 * S)
            await until(lambda moves=moves: len(endpoint.report().sessions) == moves + 1)
        await play(streaming, S)
        await streaming.hang_up()
        report = endpoint.report()
    assert (report.state, report.error, report.attempts) == (COMPLETED, None, 4)
    assert report.account.sent == report.account.length == 22 * S == service.check()
    assert report.account.resent > 0
    assert_exact(report.account)
    ids = [session.session_id for session in report.sessions]
    assert ids == traced
    assert (ids[0], len(set(ids)), report.session_id) == (SESSION, 4, ids[-1])
    for index, one in enumerate(service.services):
        assert [each.id for each in one.opens[0].continued_sessions] == ids[:index]
        assert one.closed.is_set()
        assert one.session is not None
        assert one.sha256 == report.sessions[index].account.sent_sha256
    assert len({headers["Signature-Input"] for headers in service.requests}) == 4
    assert [headers["Audiohook-Retry-Attempt"] for headers in service.requests] == ["0"] * 4


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["drop", "error", "silence", "fault"])
async def test_a_session_that_is_lost_is_followed_by_another(how: str) -> None:
    service, states = Successive(), []
    timers = ClientTimers(first_ping_ns=20 * MS, ping_ns=100 * MS, close_ns=50 * MS)
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = stream_to(
            streaming, service, timers=timers, on_state=lambda endpoint, state: states.append(state)
        )
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        await play(streaming, S)
        await until(lambda: len(service.services[0].frames) == 10)
        match how:
            case "drop":
                service.services[0].drop()
            case "error":
                await service.services[0].disconnect(DisconnectReason.ERROR)
            case "silence":
                service.services[0].is_mute = True
            case _:
                endpoint.cursor.layout = None
                streaming.play(800)
        await until(lambda: len(endpoint.report().sessions) == 2)
        await play(streaming, S)
        await streaming.hang_up()
        report = endpoint.report()
    assert (report.state, report.error) == (COMPLETED, None)
    assert EndpointState.RECONNECTING in states
    assert report.sessions[0].error is not None
    assert report.account.sent == report.account.length == service.check()
    assert_exact(report.account)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("refusal", "sessions", "state"),
    [("completed", 1, COMPLETED), ("unauthorized", 1, COMPLETED), ("rejected", 1, COMPLETED)],
)
async def test_what_the_new_server_says_is_heeded(
    refusal: str, sessions: int, state: EndpointState
) -> None:
    later = {"refusals": 1, "refusal": DisconnectReason(refusal)}
    service = Successive(later=[later])
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = stream_to(streaming, service)
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        await play(streaming, S)
        await service.ask_to_move()
        await until(lambda: len(service.services) == 2 and service.services[1].closed.is_set())
        if refusal == "completed":
            await until(lambda: streaming.tasks[0].done())
        await play(streaming, S)
        await streaming.hang_up()
        report = endpoint.report()
    assert (report.state, report.error, len(report.sessions)) == (state, None, sessions)
    lost = S if refusal == "completed" else 0
    assert report.account.lost == lost
    assert report.account.sent == 2 * S - lost == service.check()


@pytest.mark.anyio
async def test_a_refused_upgrade_leaves_the_old_session_in_charge() -> None:
    service = Successive()
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = stream_to(streaming, service)
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        service.status = 503
        await service.ask_to_move()
        await until(lambda: len(service.requests) == 2)
        await play(streaming, S)
        await streaming.hang_up()
        report = endpoint.report()
    assert (report.state, report.attempts, len(report.sessions)) == (COMPLETED, 2, 1)
    assert report.account.sent == S == service.check()


@pytest.mark.anyio
async def test_a_refused_upgrade_ends_a_stream_that_was_lost() -> None:
    service = Successive()
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = stream_to(streaming, service)
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        service.status = 503
        service.services[0].drop()
        await until(lambda: streaming.tasks[0].done())
        report = endpoint.report()
    assert (report.state, report.http_status) == (FAILED, 503)
    assert report.error is not None
    assert "no other session could take over" in report.error


@pytest.mark.anyio
async def test_errors_are_retried_before_another_session_takes_over() -> None:
    refusing = {"refusals": 1, "refusal": DisconnectReason.ERROR}
    service = Successive(later=[dict(refusing), dict(refusing)])
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = stream_to(streaming, service)
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        await play(streaming, S)
        service.services[0].drop()
        await until(lambda: len(endpoint.report().sessions) == 2)
        await play(streaming, S)
        await streaming.hang_up()
        report = endpoint.report()
    assert (report.state, report.attempts) == (COMPLETED, 4)
    attempts = [headers["Audiohook-Retry-Attempt"] for headers in service.requests]
    assert attempts == ["0", "0", "1", "2"]
    assert report.account.sent == 2 * S == service.check()


@pytest.mark.anyio
async def test_without_the_switch_a_service_that_asks_is_not_followed() -> None:
    service, heard = Successive(), asyncio.Event()

    def on_event(endpoint: Endpoint, event: SessionEvent) -> None:
        if isinstance(event, ReconnectRequested):
            heard.set()

    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = stream_to(streaming, service, reconnections=False, on_event=on_event)
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        await service.ask_to_move()
        await heard.wait()
        await play(streaming, S)
        await streaming.hang_up()
    assert (endpoint.report().state, endpoint.attempts) == (COMPLETED, 1)


@pytest.mark.anyio
async def test_a_hang_up_does_not_wait_for_a_move_that_hangs() -> None:
    service = Successive(later=[{"is_mute": True}])
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = stream_to(streaming, service)
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        await play(streaming, S)
        await service.ask_to_move()
        await until(lambda: len(service.services) == 2 and service.services[1].opens)
        began = time.monotonic()
        await streaming.hang_up()
        assert time.monotonic() - began < 4  # the new server's time for `opened` is 5 s
    report = endpoint.report()
    assert (report.state, len(report.sessions)) == (COMPLETED, 1)
    assert report.account.sent == S


@pytest.mark.anyio
async def test_stopping_ends_a_move() -> None:
    service = Successive(later=[{"is_mute": True}])
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = stream_to(streaming, service)
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        await service.ask_to_move()
        await until(lambda: len(service.services) == 2 and service.services[1].opens)
        endpoint.stop()
        await play(streaming, S)
        await streaming.hang_up()
    report = endpoint.report()
    assert (report.state, report.account.sent) == (COMPLETED, S)


@pytest.mark.anyio
async def test_a_service_that_drops_every_session_is_left_in_the_end() -> None:
    service = Successive()
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = stream_to(streaming, service, retry=replace(QUICK, retries=2))
        dropped = 0
        while not streaming.tasks[0].done():
            if len(service.services) > dropped and service.services[-1].opens:
                service.services[-1].drop()
                dropped += 1
            await asyncio.sleep(0.002)
        report = endpoint.report()
    assert (report.state, report.attempts) == (FAILED, 3)
    assert report.error is not None
    assert "the connection was lost" in report.error
