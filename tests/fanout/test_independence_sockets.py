"""Independence once more, through real sockets, with services on another WebSocket library."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from fanout.services import Service, Streaming, running, until
from fanout.world import noise
from openaudiohook.fanout.endpoint import EndpointState
from openaudiohook.protocol import Entity
from openaudiohook.protocol.client import ClientTimers
from openaudiohook.protocol.types import DisconnectReason, PauseCause

pytestmark = pytest.mark.integration

S = 8_000
MS = 1_000_000
SECONDS = 8
BAD = 2  # its neighbours come before and after it
SOURCE = noise(SECONDS * S)
EXPECTED = SOURCE[: 6 * S] + SOURCE[10 * S :]  # a secure pause from 3 s to 5 s
FAILED, COMPLETED = EndpointState.FAILED, EndpointState.COMPLETED


async def nothing(bad: Service, second: int) -> None:
    pass


async def does_not_read(bad: Service, second: int) -> None:
    if second == 1:
        bad.reads.clear()
    if second == SECONDS:
        bad.reads.set()


async def dies(bad: Service, second: int) -> None:
    if second == 2:
        bad.drop()


async def lies_about_seq(bad: Service, second: int) -> None:
    bad.edit = lambda data: data.replace(b'"seq":', b'"seq":9', 1)
    if second == 2:
        await bad.send_entities(Entity(type="vendor-thing", data={}))


async def pauses(bad: Service, second: int) -> None:
    await (bad.pause() if second % 2 else bad.resume())


Behaviour = tuple[Callable[[], Service], Callable[[Service, int], Awaitable[None]], EndpointState]
BEHAVIOURS: dict[str, Behaviour] = {
    "well behaved": (Service, nothing, COMPLETED),
    "slow": (Service, does_not_read, COMPLETED),
    "dead": (Service, dies, FAILED),
    "refusing with 401": (lambda: Service(status=401), nothing, FAILED),
    "refusing twice": (lambda: Service(refusals=2), nothing, COMPLETED),
    "refusing for good": (
        lambda: Service(refusals=9, refusal=DisconnectReason.UNAUTHORIZED), nothing, FAILED
    ),
    "lying about seq": (Service, lies_about_seq, FAILED),
    "pausing": (Service, pauses, COMPLETED),
    "silent on open": (lambda: Service(is_mute=True), nothing, FAILED),
    "wrong media": (
        lambda: Service(edit=lambda data: data.replace(b'"PCMU"', b'"L16"')), nothing, FAILED
    ),
}  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize("name", BEHAVIOURS)
async def test_the_other_four_receive_the_same_bytes(name: str) -> None:
    make, behave, expected = BEHAVIOURS[name]
    bad, good = make(), [Service() for _ in range(4)]
    services = [*good[:2], bad, *good[2:]]
    timers = ClientTimers(
        open_ns=100 * MS, first_ping_ns=10 * MS, ping_ns=3_000 * MS, close_ns=3_000 * MS
    )
    hasty = ClientTimers(open_ns=50 * MS, close_ns=50 * MS)
    async with running(*services), Streaming(SOURCE) as streaming:
        for service in services:
            is_mute = service.is_mute
            streaming.stream_to(service, timers=hasty if is_mute else timers)
        ends = [streaming.endpoints[at] for at in (0, 1, 3, 4)]
        await until(lambda: all(end.state is EndpointState.STREAMING for end in ends))
        for second in range(1, SECONDS + 1):
            streaming.play(S)
            # On time: all of this second, before the next one begins.
            await until(lambda: all(end.cursor.position == streaming.call.head for end in ends))
            if streaming.endpoints[BAD].state is EndpointState.STREAMING:
                await behave(bad, second)
            if second == 3:
                streaming.call.begin_pause(PauseCause.SECURE, "flow")
            if second == 5:
                streaming.call.end_pause(PauseCause.SECURE, "flow")
        await streaming.hang_up()
        reports = [endpoint.report() for endpoint in streaming.endpoints]
    for service in good:
        assert service.audio == EXPECTED
        assert service.paused_at == [3 * S]
        assert service.gaps == [("resumed", 3 * S, 2 * S)]
        assert service.problems == []
    for report in reports:
        account = report.account
        parts = (account.sent, account.discarded, account.lost, account.paused_union)
        assert sum(parts) == account.length == SECONDS * S
        assert account.paused_secure == 2 * S
    for at in (0, 1, 3, 4):
        assert reports[at].state is COMPLETED
        assert reports[at].account.sent == (SECONDS - 2) * S
    assert reports[BAD].state is expected
    if expected is COMPLETED:
        assert reports[BAD].account.sent_sha256 == bad.sha256
    account = reports[BAD].account
    assert (account.discarded > 0) is (name == "slow")
    assert (account.paused_server > 0) is (name == "pausing")
    assert (account.lost > 0) is (expected is FAILED)
