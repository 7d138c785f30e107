"""Servers that talk too much, over real sockets: told first, cut off in the end (section 13.1)."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from tests.support.misbehaving import Talk, behave, misbehaving

from fanout.services import QUICK, Streaming, until
from fanout.world import noise
from openaudiohook.fanout.abuse import CutOffs
from openaudiohook.fanout.endpoint import Endpoint, EndpointState
from openaudiohook.fanout.failures import FailureKind
from openaudiohook.fanout.notices import Notice, NoticeKind

pytestmark = [pytest.mark.integration, pytest.mark.timeout(30)]

S = 8_000
SOURCE = noise(10 * S)
BURST = {"event": 25, "updated": 25, "pause": 4, "resume": 4}
PARAMETERS: dict[str, Any] = {"event": {"entities": [{"type": "com.example.x", "data": {}}]}}


class Notices(list[Notice]):
    """What was told of an endpoint."""

    def __call__(self, endpoint: Endpoint, notice: Notice) -> None:
        self.append(notice)

    def kinds(self) -> list[str]:
        return [notice.kind for notice in self]


def flood(kind: str, count: int) -> Any:
    async def script(talk: Talk) -> None:
        await talk.open()
        for _ in range(count):
            await talk.say(kind, PARAMETERS.get(kind))
        await talk.obey()

    return script


@pytest.mark.anyio
@pytest.mark.parametrize("kind", list(BURST))
async def test_a_message_over_the_limit_is_answered_with_429_and_the_stream_goes_on(
    kind: str,
) -> None:
    count, notices = BURST[kind] + 10, Notices()
    async with misbehaving(flood(kind, count)) as server, Streaming(SOURCE) as streaming:
        endpoint = streaming.stream_to(server.uri, on_notice=notices)
        await until(lambda: server.talks and len(server.talks[0].errors()) >= 8)
        (talk,) = server.talks
        if kind == "pause":
            await until(lambda: "paused" in talk.types())
            await talk.say("resume")
            await until(lambda: "resumed" in talk.types())
        streaming.play(S)
        await streaming.hang_up()
        report = endpoint.report()
    assert (report.state, report.failure) == (EndpointState.COMPLETED, None)
    assert report.account.sent == S
    # Some refill while they arrive, and `opened` takes one, too.
    refused = [message["parameters"] for message in talk.heard if message["type"] == "error"]
    assert 8 <= len(refused) <= 11
    for parameters in refused:
        assert (parameters["code"], parameters["message"]) == (429, f"too many {kind} messages")
        (wait,) = re.findall(r"^PT(\d+\.?\d*)S$", parameters["retryAfter"])
        assert 0 < float(wait) <= 1
    assert notices.kinds() == [NoticeKind.RATE_WARNING]  # not one for each


@pytest.mark.anyio
async def test_after_the_wait_that_was_named_a_message_is_heeded_again() -> None:
    heeded = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.open()
        for _ in range(5):
            await talk.say("pause")
        error = await talk.hear("error")
        await talk.take_time(float(error["parameters"]["retryAfter"][2:-1]) + 0.05)
        talk.heard.clear()
        talk.heard.append(error)
        await talk.say("pause")
        while (await talk.hear())["type"] != "paused":
            assert talk.heard[-1]["type"] != "error"
        heeded.set()
        await talk.obey()

    async with misbehaving(script) as server, Streaming(SOURCE) as streaming:
        streaming.stream_to(server.uri)
        async with asyncio.timeout(10):
            await heeded.wait()
        await streaming.hang_up()


@pytest.mark.anyio
@pytest.mark.parametrize("kind", list(BURST))
async def test_who_does_not_stop_is_cut_off_without_a_word(kind: str) -> None:
    notices = Notices()
    async with misbehaving(flood(kind, 300)) as server, Streaming(SOURCE) as streaming:
        endpoint = streaming.stream_to(server.uri, on_notice=notices, reconnections=True)
        await until(lambda: streaming.tasks[0].done())
        (talk,) = server.talks
        await until(talk.gone.is_set)
        report = endpoint.report()
    assert report.failure is not None
    assert (report.state, report.failure.kind) == (EndpointState.FAILED, FailureKind.RATE_LIMITED)
    assert report.attempts == 1  # a rate limit is no reason to reconnect
    assert talk.connection.close_code == 1008
    assert notices.kinds() == [NoticeKind.RATE_WARNING, FailureKind.RATE_LIMITED]


@pytest.mark.anyio
async def test_a_server_that_was_cut_off_is_not_dialled_for_a_while() -> None:
    cut_offs, now = CutOffs(base_s=60), [1_000_000_000]
    options = {"cut_offs": cut_offs, "now_ns": lambda: now[0]}
    async with (
        misbehaving(flood("event", 300), behave) as server,
        Streaming(SOURCE) as streaming,
    ):
        streaming.stream_to(server.uri, integration_id="one", **options)
        await until(lambda: streaming.tasks[0].done())

        notices = Notices()
        again = streaming.stream_to(
            server.uri, integration_id="one", on_notice=notices, reconnections=True, **options
        )
        await until(lambda: streaming.tasks[1].done())
        assert len(server.requests) == 1
        assert (again.attempts, again.state) == (0, EndpointState.FAILED)
        assert notices.kinds() == [FailureKind.BARRED]
        assert notices[0].text.endswith("for another 60 s")

        # Another integration is another matter, even on the same machine.
        other = streaming.stream_to(server.uri, integration_id="two", **options)
        await until(lambda: other.state is EndpointState.STREAMING)

        now[0] += 60_000_000_000
        later = streaming.stream_to(server.uri, integration_id="one", retry=QUICK, **options)
        await until(lambda: later.state is EndpointState.STREAMING)
        await streaming.hang_up()
        assert later.report().failure is None


def test_who_is_cut_off_again_stays_so_for_longer() -> None:
    second = 1_000_000_000
    cut_offs, now = CutOffs(base_s=10, cap_s=30), 0
    assert cut_offs.left_ns("a", now) == 0
    lengths = []
    for _ in range(4):
        cut_offs.cut_off("a", now)
        cut_offs.cut_off("a", now + second)  # of the same flood
        lengths.append(cut_offs.left_ns("a", now))
        now += lengths[-1] + second
    assert [length // second for length in lengths] == [10, 20, 30, 30]
    assert cut_offs.left_ns("b", now) == 0
    now += 300 * second
    cut_offs.cut_off("a", now)
    assert cut_offs.left_ns("a", now) == 10 * second
    cut_offs.forgive("a")
    assert cut_offs.left_ns("a", now) == 0
