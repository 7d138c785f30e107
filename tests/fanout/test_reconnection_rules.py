"""When another session follows, and what it is told: against servers that misbehave.

The rules are those of protocol section 14.2. How one endpoint's sessions follow each other in
detail is tested in simulated time beside this.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from tests.support.misbehaving import Script, Talk, behave, misbehaving, refuse
from tests.support.wire import as_text, media, seconds, server_message

from fanout.services import QUICK, Streaming, until
from fanout.world import noise
from openaudiohook.fanout.endpoint import Endpoint, EndpointReport, EndpointState
from openaudiohook.fanout.failures import FailureKind
from openaudiohook.fanout.notices import Notice, NoticeKind
from openaudiohook.fanout.pauses import Span, length, union
from openaudiohook.protocol.client import ClientTimers
from openaudiohook.protocol.types import PauseCause

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

S = 8_000
MS = 1_000_000
SOURCE = noise(60 * S)
TIMERS = ClientTimers(open_ns=200 * MS, first_ping_ns=20 * MS, ping_ns=150 * MS, close_ns=100 * MS)
Kind = FailureKind


class Call:
    """A call to one server, and what was told of it."""

    def __init__(self, streaming: Streaming, uri: str, **options: Any) -> None:
        self.streaming = streaming
        self.notices: list[Notice] = []
        settings: dict[str, Any] = {"reconnections": True, "timers": TIMERS, **options}
        self.endpoint: Endpoint = streaming.stream_to(
            uri, on_notice=lambda endpoint, notice: self.notices.append(notice), **settings
        )

    async def sessions(self, count: int) -> None:
        """Wait until so many have opened."""
        await until(
            lambda: (
                len(self.endpoint.report().sessions) == count
                and self.endpoint.state is EndpointState.STREAMING
            )
        )

    async def over(self) -> EndpointReport:
        """Wait until the endpoint gives up."""
        await until(lambda: self.streaming.tasks[0].done())
        return self.endpoint.report()

    async def hang_up(self) -> EndpointReport:
        await self.streaming.hang_up()
        return self.endpoint.report()

    async def play(self, samples: int, *, step: int = 800) -> None:
        for _ in range(samples // step):
            self.streaming.play(step)
            await asyncio.sleep(0.001)


def name_of(value: object) -> str | None:
    return getattr(value, "__name__", None)


# What another session follows after, and what not --------------------------------------


async def drop(talk: Talk) -> None:
    await talk.open()
    talk.connection.transport.abort()


async def hang_up(talk: Talk) -> None:
    await talk.open()
    await talk.connection.close()


async def fail(talk: Talk) -> None:
    await talk.open()
    await talk.say("disconnect", {"reason": "error"})
    await talk.obey()


async def no_pong(talk: Talk) -> None:
    await talk.open()
    await talk.hear("close")
    await talk.say("closed")


async def no_closed(talk: Talk) -> None:
    await talk.open()
    while True:
        if (await talk.hear())["type"] == "ping":
            await talk.say("pong")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (drop, Kind.CONNECTION_LOST),
        (hang_up, Kind.CONNECTION_LOST),
        (fail, Kind.DISCONNECTED),
        (no_pong, Kind.PONG_TIMEOUT),
    ],
    ids=name_of,
)
async def test_a_session_that_is_lost_is_followed_by_another(
    script: Script, kind: FailureKind
) -> None:
    async with misbehaving(script, behave) as server, Streaming(SOURCE) as streaming:
        call = Call(streaming, server.uri)
        await call.play(S)
        await call.sessions(2)
        await call.play(S)
        report = await call.hang_up()
    assert (report.state, report.failure) == (EndpointState.COMPLETED, None)
    assert [notice.kind for notice in call.notices] == [kind, NoticeKind.RECONNECTED]
    first, second = report.sessions
    assert first.failure is not None
    assert first.failure.kind is kind
    opening = server.talks[1].heard[0]
    assert (opening["position"], opening["id"]) == ("PT0S", second.session_id)
    assert [one["id"] for one in opening["parameters"]["continuedSessions"]] == [first.session_id]
    assert b"".join(server.talks[1].audio) == SOURCE[: 4 * S]
    assert report.account.sent == report.account.length == 2 * S
    if kind is Kind.PONG_TIMEOUT:
        assert server.talks[0].errors() == [(408, "no pong in time")]


@pytest.mark.anyio
async def test_a_close_that_is_not_answered_is_followed_by_another_session() -> None:
    async with misbehaving(no_closed, behave) as server, Streaming(SOURCE) as streaming:
        call = Call(streaming, server.uri)
        await call.sessions(1)
        await call.play(S)
        report = await call.hang_up()
    assert (report.state, len(report.sessions)) == (EndpointState.COMPLETED, 2)
    assert [notice.kind for notice in call.notices] == [
        Kind.CLOSE_TIMEOUT, NoticeKind.RECONNECTED,
    ]  # fmt: skip
    assert server.talks[0].errors() == [(408, "no closed in time")]


async def malformed(talk: Talk) -> None:
    await talk.open()
    await talk.send("{}")
    await talk.obey()


async def misnumbered(talk: Talk) -> None:
    await talk.open()
    await talk.say("pause", seq=9)
    await talk.obey()


async def twice_opened(talk: Talk) -> None:
    await talk.open()
    await talk.say("opened", {"media": []})
    await talk.obey()


async def too_large(talk: Talk) -> None:
    await talk.open()
    await talk.send("x" * 65_537)
    await talk.obey()


async def audio(talk: Talk) -> None:
    await talk.open()
    await talk.send(b"\xff" * 160)
    await talk.obey()


def disconnect(reason: str) -> Script:
    async def script(talk: Talk) -> None:
        await talk.open()
        await talk.say("disconnect", {"reason": reason})
        await talk.obey()

    script.__name__ = reason
    return script


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "kind", "code"),
    [
        (malformed, Kind.MALFORMED, 400),
        (misnumbered, Kind.SEQUENCE, 400),
        (twice_opened, Kind.CONFLICT, 409),
        (too_large, Kind.TOO_LARGE, 413),
        (audio, Kind.UNEXPECTED_AUDIO, 415),
        (disconnect("unauthorized"), Kind.UNAUTHORIZED, None),
        (disconnect("rejected"), Kind.DECLINED, None),
        (disconnect("completed"), None, None),
    ],
    ids=name_of,
)
async def test_nothing_follows_a_session_that_broke_the_protocol_or_was_declined(
    script: Script, kind: FailureKind | None, code: int | None
) -> None:
    async with misbehaving(script, behave) as server, Streaming(SOURCE) as streaming:
        call = Call(streaming, server.uri)
        report = await call.over()
        await until(server.talks[0].gone.is_set)
        assert (report.attempts, len(server.requests)) == (1, 1)
    assert (report.failure.kind if report.failure else None) is kind
    assert [error[0] for error in server.talks[0].errors()] == ([] if code is None else [code])
    assert [notice.kind for notice in call.notices] == ([] if kind is None else [kind])


# What the new server says, where the old session is alive --------------------------------


async def asks_to_move(talk: Talk) -> None:
    await talk.open()
    await talk.say("reconnect")
    await talk.obey()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("reason", "dialled", "ends"),
    [("completed", 2, True), ("unauthorized", 2, False), ("rejected", 3, False)],
)
async def test_a_disconnect_of_the_new_server_decides(
    reason: str, dialled: int, ends: bool
) -> None:
    asked = asyncio.Event()

    async def asks_twice(talk: Talk) -> None:
        await talk.open()
        await talk.say("reconnect")
        await talk.obey_until(asked)
        await talk.say("reconnect")
        await talk.obey()

    async with (
        misbehaving(asks_twice, refuse(reason), refuse(reason)) as server,
        Streaming(SOURCE) as streaming,
    ):
        call = Call(streaming, server.uri)
        await until(lambda: len(server.talks) == 2)
        await until(server.talks[1].gone.is_set)
        asked.set()
        if ends:
            report = await call.over()
        else:
            await until(lambda: len(server.talks) == dialled)
            await call.play(S)
            report = await call.hang_up()
        await until(server.talks[0].gone.is_set)
    assert (report.state, len(report.sessions)) == (EndpointState.COMPLETED, 1)
    assert len(server.requests) == dialled
    (close,) = [message for message in server.talks[0].heard if message["type"] == "close"]
    assert close["parameters"]["reason"] == ("disconnect" if ends else "end")
    assert report.account.sent == (0 if ends else S)


@pytest.mark.anyio
async def test_error_of_the_new_server_is_retried_and_the_old_session_serves_meanwhile() -> None:
    scripts = [asks_to_move, refuse("error"), refuse("error"), behave]
    async with misbehaving(*scripts) as server, Streaming(SOURCE) as streaming:
        call = Call(streaming, server.uri)
        await call.play(S)
        await call.sessions(2)
        await call.play(S)
        report = await call.hang_up()
    assert server.attempts == ["0", "0", "1", "2"]
    assert (report.state, report.account.sent) == (EndpointState.COMPLETED, 2 * S)
    (close,) = [message for message in server.talks[0].heard if message["type"] == "close"]
    assert close["parameters"]["reason"] == "reconnect"


@pytest.mark.anyio
async def test_errors_without_end_fall_back_to_the_old_session() -> None:
    async with misbehaving(asks_to_move, refuse("error")) as server, Streaming(SOURCE) as streaming:
        call = Call(streaming, server.uri, retry=replace(QUICK, retries=2))
        await until(lambda: len(server.requests) == 4 - 1)
        await call.play(S)
        report = await call.hang_up()
    assert (report.state, report.failure, len(report.sessions)) == (
        EndpointState.COMPLETED,
        None,
        1,
    )
    assert b"".join(server.talks[0].audio) == SOURCE[: 2 * S]


@pytest.mark.anyio
async def test_the_old_sessions_disconnect_counts_no_more_while_it_moves() -> None:
    may_open = asyncio.Event()

    async def asks_and_leaves(talk: Talk) -> None:
        await talk.open()
        await talk.say("reconnect")
        await talk.say("disconnect", {"reason": "completed"})
        await talk.obey()

    async def opens_late(talk: Talk) -> None:
        await talk.hear("open")
        await may_open.wait()
        await talk.say("opened", {"media": [media("external", "internal")]})
        await talk.obey()

    timers = ClientTimers()
    async with misbehaving(asks_and_leaves, opens_late) as server, Streaming(SOURCE) as streaming:
        call = Call(streaming, server.uri, timers=timers)
        await until(lambda: len(server.talks) == 2)
        await call.play(S)
        assert "close" not in server.talks[0].types()
        may_open.set()
        await call.sessions(2)
        report = await call.hang_up()
    assert (report.state, report.failure, report.account.sent) == (EndpointState.COMPLETED, None, S)


# What a new session is told ---------------------------------------------------------------


@pytest.mark.anyio
async def test_twenty_seconds_are_offered_with_pauses_gaps_and_languages_in_order() -> None:
    gate = asyncio.Event()

    async def lost_later(talk: Talk) -> None:
        await talk.open()
        await talk.obey_until(gate)
        talk.connection.transport.abort()

    async with misbehaving(lost_later, behave) as server, Streaming(SOURCE) as streaming:
        call = Call(streaming, server.uri, timers=ClientTimers())
        await call.sessions(1)
        await call.play(10 * S)
        streaming.call.update_language("de-DE")
        await call.play(5 * S)
        streaming.call.begin_pause(PauseCause.CLIENT, "switch")
        await call.play(2 * S)
        streaming.call.end_pause(PauseCause.CLIENT, "switch")
        await call.play(3 * S)
        streaming.call.update_language("fr-CA")
        await call.play(10 * S)
        await until(lambda: streaming.endpoints[0].cursor.position == 30 * S)
        gate.set()
        await call.sessions(2)
        await until(lambda: streaming.endpoints[0].cursor.position == 30 * S)
        report = await call.hang_up()
    heard = server.talks[1].heard
    opening = heard[0]
    assert opening["position"] == seconds(10 * S)
    assert opening["parameters"]["language"] == "de-DE"
    told = [
        (message["type"], message["position"], message["parameters"])
        for message in heard
        if message["type"] in ("paused", "resumed", "discarded", "update")
    ]
    assert told == [
        ("paused", seconds(15 * S), {}),
        ("resumed", seconds(17 * S), {"start": seconds(15 * S), "discarded": seconds(2 * S)}),
        ("update", seconds(20 * S), {"language": "fr-CA"}),
    ]
    expected = SOURCE[20 * S : 30 * S] + SOURCE[34 * S : 60 * S]
    assert b"".join(server.talks[1].audio) == expected
    assert report.account.paused_client == 2 * S
    assert report.account.lost == 0


@pytest.mark.anyio
async def test_what_the_new_server_has_already_is_skipped_and_said() -> None:
    async def knows(talk: Talk) -> None:
        await talk.open(discardTo=seconds(2 * S))
        await talk.obey()

    gate = asyncio.Event()

    async def moves(talk: Talk) -> None:
        await talk.open()
        await talk.obey_until(gate)
        await talk.say("reconnect")
        await talk.obey()

    async with misbehaving(moves, knows) as server, Streaming(SOURCE) as streaming:
        call = Call(streaming, server.uri, timers=ClientTimers())
        await call.sessions(1)
        await call.play(3 * S)
        gate.set()
        await call.sessions(2)
        report = await call.hang_up()
    gaps = [each["parameters"] for each in server.talks[1].heard if each["type"] == "discarded"]
    assert gaps == [{"start": "PT0S", "discarded": seconds(2 * S)}]
    assert b"".join(server.talks[1].audio) == SOURCE[4 * S : 6 * S]
    assert report.account.sent == report.account.length == 3 * S


@pytest.mark.anyio
async def test_a_planned_move_under_load_loses_no_sample_that_is_not_announced() -> None:
    """Five servers, four moves each, while audio comes at many times real time."""
    moves = 4
    async with contextlib.AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(misbehaving(*[asks_to_move] * moves, behave))
            for _ in range(5)
        ]
        streaming = await stack.enter_async_context(Streaming(SOURCE, speed=20))
        calls = [Call(streaming, server.uri, timers=ClientTimers()) for server in servers]
        played = 0
        while played < 10 * S or not all(len(server.talks) == moves + 1 for server in servers):
            assert played < 60 * S
            await calls[0].play(800)
            played += 800
        for call in calls:
            await call.sessions(moves + 1)
        await calls[0].hang_up()
        reports = [call.endpoint.report() for call in calls]
    for server, report in zip(servers, reports, strict=True):
        assert (report.state, report.failure) == (EndpointState.COMPLETED, None)
        account = report.account
        assert (account.lost, account.length) == (0, played)
        assert account.sent + account.discarded == played
        sent: list[Span] = []
        announced: list[Span] = []
        for talk, session in zip(server.talks, report.sessions, strict=True):
            at = session.start
            for item in talk.log:
                if isinstance(item, bytes):
                    assert item == SOURCE[2 * at : 2 * at + len(item)]
                    end = at + len(item) // 2
                    sent.append((at, end))
                elif item["type"] == "discarded":
                    assert item["parameters"]["start"] == seconds(at)
                    end = at + samples(item["parameters"]["discarded"])
                    announced.append((at, end))
                else:
                    continue
                at = end
            assert at == session.end
        assert length(union(sent)) == account.sent
        assert length(union(sent + announced)) == played


def samples(duration: str) -> int:
    """The samples of a wire duration."""
    return int(Decimal(duration[2:-1]) * S)


# Congestion ------------------------------------------------------------------------------


async def upgraded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """Answer the upgrade by hand; return the session's id."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    fields = {name.lower(): value for name, value in fields.items()}
    digest = hashlib.sha1(
        (fields["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode(),
        usedforsecurity=False,
    ).digest()
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + b64encode(digest) + b"\r\n\r\n"
    )
    return fields["audiohook-session-id"]


@contextlib.asynccontextmanager
async def trickling(bytes_per_step: int) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that opens every session, reads so many bytes each 5 ms, or none, and leaves."""
    ids: list[str] = []
    tasks: set[asyncio.Task[None]] = set()
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
    listening.bind(("127.0.0.1", 0))

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            ids.append(await upgraded(reader, writer))
            header = await reader.readexactly(2)
            size = int.from_bytes(await reader.readexactly(2), "big")
            assert header[1] == 0x80 | 126
            mask = await reader.readexactly(4)
            masked = await reader.readexactly(size)
            opening = json.loads(bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked)))
            answer = as_text(
                server_message(
                    "opened",
                    {"media": opening["parameters"]["media"][:1]},
                    id=opening["id"],
                    clientseq=1,
                )
            )
            writer.write(b"\x81\x7e" + len(answer).to_bytes(2, "big") + answer)
            async with asyncio.timeout(2):
                while True:
                    await asyncio.sleep(0.005)
                    if bytes_per_step:
                        await reader.read(bytes_per_step)
        except TimeoutError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(handle, sock=listening, limit=2_048)
    async with server:
        yield f"ws://127.0.0.1:{listening.getsockname()[1]}/audiohook", ids
        await asyncio.gather(*tasks)


SLOW = ClientTimers(first_ping_ns=300 * MS, ping_ns=900 * MS, close_ns=50 * MS)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("bytes_per_step", "kind", "sessions"),
    [(20, Kind.CONGESTED, 1), (0, Kind.PONG_TIMEOUT, 2)],
    ids=["too-slow", "gone"],
)
async def test_who_is_far_too_slow_is_not_followed_and_who_is_gone_is(
    bytes_per_step: int, kind: FailureKind, sessions: int
) -> None:
    async with trickling(bytes_per_step) as (uri, ids), Streaming(SOURCE) as streaming:
        call = Call(streaming, uri, timers=SLOW, retry=replace(QUICK, retries=1))
        await call.sessions(1)
        while not streaming.tasks[0].done():
            if streaming.call.head < 50 * S:
                streaming.play(800)
            await asyncio.sleep(0.005)
        report = call.endpoint.report()
    kinds = [notice.kind for notice in call.notices if notice.kind != NoticeKind.CAUGHT_UP]
    assert kinds[:2] == [NoticeKind.THROTTLED, kind]
    assert report.state is EndpointState.FAILED
    assert len(report.sessions) == len(ids) == sessions
    assert report.failure is not None
    assert report.failure.kind is kind
    assert NoticeKind.SAMPLES_LOST in kinds


@pytest.mark.anyio
async def test_a_throttled_session_goes_on_and_is_not_replaced() -> None:
    reads = asyncio.Event()

    async def stalls(talk: Talk) -> None:
        await talk.open()
        talk.connection.transport.pause_reading()
        await reads.wait()
        talk.connection.transport.resume_reading()
        await talk.obey()

    async with misbehaving(stalls) as server, Streaming(SOURCE) as streaming:
        call = Call(streaming, server.uri, timers=ClientTimers())
        await call.sessions(1)
        while not call.notices:
            assert streaming.call.head < 50 * S
            await call.play(S)
        reads.set()
        await until(lambda: len(call.notices) == 2)
        await call.play(S)
        report = await call.hang_up()
    assert [notice.kind for notice in call.notices] == [
        NoticeKind.THROTTLED, NoticeKind.CAUGHT_UP,
    ]  # fmt: skip
    assert (report.attempts, len(report.sessions)) == (1, 1)
    (gap,) = [each["parameters"] for each in server.talks[0].heard if each["type"] == "discarded"]
    assert report.account.discarded > 0
    assert gap["discarded"] == seconds(report.account.discarded)
    left_out = call.notices[1].text.rpartition("; ")[2]
    assert left_out == f"{report.account.discarded / S:.1f} s are left out"
