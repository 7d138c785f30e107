"""Peers that break RFC 6455 or HTTP, on a bare socket."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

import pytest
from tests.transport.raw import Raw, frame, head
from tests.transport.world import OPEN, PATH, Heard, Service, serving, until, within

from openaudiohook.protocol import DisconnectReason, Role
from openaudiohook.protocol.events import OpenRequested, PeerViolated, PingReceived, SessionEnded
from openaudiohook.transport import Admission, ConnectionLimits, HttpReply, listen

pytestmark = pytest.mark.integration

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


async def message(raw: Raw) -> dict[str, Any]:
    opcode, payload = await raw.frame()
    assert opcode == TEXT
    parsed: dict[str, Any] = json.loads(payload)
    return parsed


async def gone(heard: Heard) -> None:
    assert heard.driver is not None
    await within(heard.driver.ended)
    assert not heard.ended.is_clean


@pytest.mark.parametrize(
    ("what", "code"),
    [
        pytest.param([frame(TEXT, b"{}", rsv=4)], 1002, id="rsv1 on text"),
        pytest.param([frame(BINARY, b"\xff" * 4, rsv=2)], 1002, id="rsv2 on binary"),
        pytest.param([frame(BINARY, b"\xff" * 4, rsv=1)], 1002, id="rsv3 on binary"),
        pytest.param([frame(PING, b"", rsv=4)], 1002, id="rsv on ping"),
        pytest.param([frame(BINARY, rsv=4, claimed=70_000)], 1002, id="rsv on an oversize frame"),
        pytest.param([frame(CONTINUATION, b"x")], 1002, id="orphan continuation"),
        pytest.param([frame(CONTINUATION, b"x", fin=False)], 1002, id="orphan, not final"),
        pytest.param([frame(CONTINUATION, claimed=70_000)], 1002, id="orphan, oversize"),
        pytest.param(
            [frame(TEXT, b"{", fin=False), frame(TEXT, b"}")], 1002, id="text inside text"
        ),
        pytest.param(
            [frame(TEXT, b"{", fin=False), frame(BINARY, b"\xff\xff")],
            1002,
            id="binary inside text",
        ),
        pytest.param(
            [frame(TEXT, b"{", fin=False), frame(BINARY, claimed=70_000)],
            1002,
            id="oversize binary inside text",
        ),
        pytest.param([frame(TEXT, b"{}", masked=False)], 1002, id="unmasked"),
        pytest.param([frame(BINARY, masked=False, claimed=70_000)], 1002, id="unmasked oversize"),
        pytest.param([frame(3, b"")], 1002, id="reserved data opcode"),
        pytest.param([frame(3, claimed=70_000)], 1002, id="reserved opcode, oversize"),
        pytest.param([frame(11, b"")], 1002, id="reserved control opcode"),
        pytest.param([frame(PING, b"", fin=False)], 1002, id="fragmented ping"),
        pytest.param([frame(PING, b"x" * 126)], 1002, id="long ping"),
        pytest.param([frame(PING, claimed=70_000)], 1002, id="very long ping"),
        pytest.param([frame(TEXT, b"{}", wide=True)], 1002, id="length in too many bytes"),
        pytest.param([frame(TEXT, claimed=2**63, wide=True)], 1002, id="negative length"),
        pytest.param([frame(TEXT, b"\xff{}")], 1007, id="bad UTF-8"),
        pytest.param([frame(TEXT, b"\xed\xa0\x80")], 1007, id="surrogate"),
        pytest.param(
            [frame(TEXT, b"\xc3", fin=False), frame(CONTINUATION, b"x")],
            1007,
            id="bad UTF-8 across fragments",
        ),
        pytest.param([frame(CLOSE, b"\x03")], 1002, id="half a close code"),
        pytest.param([frame(CLOSE, b"\x03\xed")], 1002, id="close code 1005"),
        pytest.param([frame(CLOSE, b"\x03\xee")], 1002, id="close code 1006"),
        pytest.param([frame(CLOSE, b"\x00\x00")], 1002, id="close code 0"),
        pytest.param([frame(CLOSE, b"\x03\xe8\xff")], 1007, id="close reason not UTF-8"),
    ],
)
@pytest.mark.anyio
async def test_a_broken_frame_fails_the_connection(what: list[bytes], code: int) -> None:
    async with serving() as service, await Raw.upgraded(service.port) as raw:
        raw.send(*what)
        # Whatever else comes is not read as frames any more.
        raw.send(frame(TEXT, OPEN), b"\xff" * 50_000)
        assert await raw.close_code() == code
        assert await raw.rest() == b""
        raw.writer.transport.abort()
        heard = await service.one()
        await gone(heard)
        assert not heard.has(OpenRequested)


@pytest.mark.parametrize("step", [1, 3, 7])
@pytest.mark.anyio
async def test_frames_are_understood_however_tcp_cuts_them(step: int) -> None:
    stream = frame(TEXT, OPEN[:40], fin=False) + frame(PING, b"a")
    stream += frame(CONTINUATION, b"", fin=False)
    stream += frame(CONTINUATION, OPEN[40:]) + frame(BINARY, b"\x7f" * 400)
    async with serving() as service, await Raw.upgraded(service.port) as raw:
        raw.writer.transport.get_extra_info("socket").setsockopt(6, 1, 1)
        for at in range(0, len(stream), step):
            raw.send(stream[at : at + step])
            await asyncio.sleep(0)
        assert await raw.frame() == (PONG, b"a")
        assert (await message(raw))["type"] == "opened"
        heard = await service.one()
        await until(lambda: len(heard.audio) == 400)


@pytest.mark.anyio
async def test_frames_sent_along_with_the_request_are_read() -> None:
    async with (
        serving() as service,
        await Raw.upgraded(service.port, after=frame(TEXT, OPEN)) as raw,
    ):
        assert (await message(raw))["type"] == "opened"


@pytest.mark.anyio
async def test_garbage_behind_the_request_fails_that_connection_only() -> None:
    async with serving() as service:
        async with await Raw.upgraded(service.port, after=b"GET / HTTP/1.1\r\n\r\n" * 500) as raw:
            assert await raw.close_code() == 1002
        async with await Raw.upgraded(service.port, after=frame(TEXT, OPEN)) as raw:
            assert (await message(raw))["type"] == "opened"


@pytest.mark.parametrize("kind", [TEXT, BINARY])
@pytest.mark.parametrize("size", [65_537, 1_000_000])
@pytest.mark.parametrize("chunk", [777, 100_000])
@pytest.mark.anyio
async def test_an_oversize_frame_is_skipped_and_answered(kind: int, size: int, chunk: int) -> None:
    async with serving() as service, await Raw.upgraded(service.port) as raw:
        raw.send(frame(TEXT, OPEN))
        assert (await message(raw))["type"] == "opened"
        stream = frame(kind, b"x" * size) + frame(PING, b"still here")
        for at in range(0, len(stream), chunk):
            raw.send(stream[at : at + chunk])
            await within(raw.writer.drain())
        refused = await message(raw)
        assert (refused["type"], refused["parameters"]["reason"]) == ("disconnect", "error")
        assert await raw.frame() == (PONG, b"still here")
        heard = await service.one()
        assert [event.code for event in heard.of(PeerViolated)] == [413]


@pytest.mark.anyio
async def test_a_message_too_large_by_its_fragments_is_reported_once() -> None:
    async with serving() as service, await Raw.upgraded(service.port) as raw:
        raw.send(frame(TEXT, OPEN))
        assert (await message(raw))["type"] == "opened"
        raw.send(frame(BINARY, b"\xff" * 60_000, fin=False))
        for _ in range(20):
            raw.send(frame(CONTINUATION, b"\xff" * 60_000, fin=False))
            raw.send(frame(CONTINUATION, b"\xff" * 80_000, fin=False))
            await within(raw.writer.drain())
        raw.send(frame(CONTINUATION, b"\xff" * 2), frame(PING, b"p"))
        assert (await message(raw))["type"] == "disconnect"
        assert await raw.frame() == (PONG, b"p")
        heard = await service.one()
        assert len(heard.of(PeerViolated)) == 1
        assert heard.audio == b""


@pytest.mark.anyio
async def test_a_message_of_exactly_the_limit_is_read_in_one_frame_and_in_many() -> None:
    async with serving() as service, await Raw.upgraded(service.port) as raw:
        raw.send(frame(TEXT, OPEN))
        audio = bytes(range(256)) * 256
        raw.send(frame(BINARY, audio), frame(BINARY, audio[:1], fin=False))
        raw.send(frame(CONTINUATION, b"", fin=False), frame(CONTINUATION, audio[1:]))
        heard = await service.one()
        await until(lambda: len(heard.audio) == 2 * 65_536)
        assert heard.audio == audio * 2
        assert not heard.has(PeerViolated)


@pytest.mark.anyio
async def test_pongs_and_pings_of_the_library_level_are_harmless() -> None:
    async with serving() as service, await Raw.upgraded(service.port) as raw:
        raw.send(frame(PONG, b"unasked"), frame(PING, b""), frame(PING, b"y" * 125))
        assert await raw.frame() == (PONG, b"")
        assert await raw.frame() == (PONG, b"y" * 125)


@pytest.mark.parametrize(
    ("sent", "answered"), [(b"", 1000), (b"\x03\xe9bye", 1001), (b"\x0b\xb9", 3001)]
)
@pytest.mark.anyio
async def test_a_close_frame_is_answered_and_the_server_hangs_up(
    sent: bytes, answered: int
) -> None:
    async with serving() as service, await Raw.upgraded(service.port) as raw:
        raw.send(frame(CLOSE, sent))
        assert await raw.close_code() == answered
        assert await raw.rest() == b""
        raw.writer.transport.abort()
        await gone(await service.one())
        await until(lambda: not service.listener.connections)


@pytest.mark.anyio
async def test_a_connection_that_just_vanishes_ends_the_session() -> None:
    async with serving() as service:
        async with await Raw.upgraded(service.port) as raw:
            raw.send(frame(TEXT, OPEN))
            assert (await message(raw))["type"] == "opened"
        await gone(await service.one())


@pytest.mark.anyio
async def test_a_peer_that_never_answers_our_close_is_dropped_in_time() -> None:
    limits = ConnectionLimits(close_timeout_s=0.05)
    async with serving(limits=limits) as service, await Raw.upgraded(service.port) as raw:
        raw.send(frame(TEXT, b"\xff"))
        assert await raw.close_code() == 1007
        # Half-open: we neither close nor read on.
        heard = await service.one()
        await gone(heard)


@pytest.mark.anyio
async def test_a_slow_request_is_not_waited_for() -> None:
    limits = ConnectionLimits(handshake_timeout_s=0.1)
    async with serving(limits=limits) as service, await Raw.dial(service.port) as raw:
        began = time.monotonic()

        async def trickle() -> None:
            for byte in head():
                raw.send(bytes([byte]))
                await asyncio.sleep(0.005)

        task = asyncio.create_task(trickle())
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await raw.answer()
        task.cancel()
        assert time.monotonic() - began < 5
        await until(lambda: not service.listener.connections)
        assert not service.heard


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        pytest.param(head(X_Long="y" * 17_000), 431, id="giant header"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5_000, 431, id="no end"),
        pytest.param(head(**{f"x{i}": "y" for i in range(120)}), 431, id="many headers"),
        pytest.param(head(method="POST"), 405, id="POST"),
        pytest.param(head(method="DELETE", target="/other"), 405, id="DELETE"),
        pytest.param(head(target="/other"), 404, id="other path"),
        pytest.param(head(target=PATH + "/"), 404, id="path with a slash more"),
        pytest.param(head(target="http://evil/x"), 400, id="absolute target"),
        pytest.param(head(version="HTTP/2.0"), 400, id="HTTP/2"),
        pytest.param(head(version="HTTP/1.0"), 400, id="HTTP/1.0"),
        pytest.param(b"\x16\x03\x01\x02\x00\r\n\r\n", 400, id="TLS"),
        pytest.param(b"\r\n\r\n", 400, id="nothing"),
        pytest.param(head(Content_Length="5"), 400, id="body"),
        pytest.param(head(Content_Length="0, 5"), 400, id="two lengths"),
        pytest.param(head(Transfer_Encoding="chunked"), 400, id="chunked"),
        pytest.param(head().replace(b"Host:", b"Host :"), 400, id="space in a name"),
        pytest.param(head().replace(b"Host", b"\r\n X"), 400, id="folded"),
        pytest.param(head(X_A="a\x00b"), 400, id="control character"),
        pytest.param(head(X_A="a\nb"), 400, id="bare LF"),
        pytest.param(head(Connection="close"), 400, id="Connection: close"),
        pytest.param(head(Upgrade="h2c"), 400, id="another upgrade"),
        pytest.param(head(without="Upgrade"), 400, id="no upgrade"),
        pytest.param(head(Sec_WebSocket_Version="8"), 426, id="version 8"),
        pytest.param(head(Sec_WebSocket_Key="short"), 400, id="bad key"),
        pytest.param(head(Sec_WebSocket_Key="YQ=="), 400, id="short key"),
        pytest.param(head(without="Sec-WebSocket-Key"), 400, id="no key"),
        pytest.param(head(without="Audiohook-Session-Id"), 400, id="no session id"),
        pytest.param(head(without="Audiohook-Organization-Id"), 400, id="no organization id"),
        pytest.param(head(without="Audiohook-Correlation-Id"), 400, id="no correlation id"),
        pytest.param(head(Audiohook_Session_Id="1; drop"), 400, id="malformed session id"),
        pytest.param(head(Audiohook_Retry_Attempt="-1"), 400, id="negative attempt"),
    ],
)
@pytest.mark.anyio
async def test_a_bad_request_is_refused_with_an_empty_body(
    request_head: bytes, status: int
) -> None:
    async with serving() as service, await Raw.dial(service.port) as raw:
        raw.send(request_head, b"more" * 1000)
        answer = await raw.rest()
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert answer.endswith(b"\r\n\r\n")
        assert b"\r\nContent-Length: 0\r\n" in answer
        assert b"drop" not in answer
        assert [refusal.status for refusal in service.refusals] == [status]
        assert not service.heard


@pytest.mark.parametrize(
    "connection", ["keep-alive, Upgrade", "upgrade", "Upgrade,keep-alive", "UPGRADE"]
)
@pytest.mark.anyio
async def test_every_spelling_of_connection_upgrade_is_accepted(connection: str) -> None:
    async with serving() as service, await Raw.dial(service.port) as raw:
        raw.send(head(Connection=connection))
        assert (await raw.answer()).startswith(b"HTTP/1.1 101 ")


@pytest.mark.anyio
async def test_what_the_application_raises_is_not_told_to_the_peer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError("secret text")

    caplog.set_level(logging.DEBUG)
    async with serving(on_session=broken, on_get=broken) as service:
        for target in (PATH, "/health/check"):
            async with await Raw.dial(service.port) as raw:
                raw.send(head(target=target, without="Upgrade" if target != PATH else ""))
                answer = await raw.rest()
                assert answer.startswith(b"HTTP/1.1 500 ")
                assert b"secret" not in answer
        assert [refusal.cause for refusal in service.refusals] == ["RuntimeError"] * 2
        await until(lambda: not service.listener.connections)
    assert "secret text" not in caplog.text


@pytest.mark.anyio
async def test_a_refusal_is_told_to_the_hook_and_not_logged_as_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with serving() as service, await Raw.dial(service.port) as raw:
        raw.send(head(target="/other"))
        assert (await raw.rest()).startswith(b"HTTP/1.1 404 ")
        assert [refusal.status for refusal in service.refusals] == [404]
    assert "404" not in caplog.text


@pytest.mark.anyio
async def test_a_refusal_hook_that_raises_changes_nothing() -> None:
    def broken(_: object) -> None:
        raise RuntimeError("secret text")

    service = Service()
    listener = await listen(
        host="127.0.0.1",
        port=0,
        path=PATH,
        admission=Admission(require_auth=False),
        on_session=service.on_session,
        on_refused=broken,
    )
    async with await Raw.dial(listener.port) as raw:
        raw.send(head(target="/"))
        assert (await raw.rest()).startswith(b"HTTP/1.1 404 ")
    await within(listener.close())


@pytest.mark.anyio
async def test_plain_gets_are_answered_on_the_same_port() -> None:
    def on_get(path: str) -> HttpReply | None:
        if path != "/health/check":
            return None
        return HttpReply(503, b'{"status": "draining"}', headers=(("Retry-After", "7"),))

    async with serving(on_get=on_get) as service:
        for request_head in (
            b"GET /health/check?deep=1 HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /health/check HTTP/1.0\r\n\r\n",
        ):
            async with await Raw.dial(service.port) as raw:
                raw.send(request_head)
                answer = await raw.rest()
                assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
                assert b"Content-Type: application/json\r\n" in answer
                assert b"Retry-After: 7\r\n" in answer
                assert answer.endswith(b'\r\n\r\n{"status": "draining"}')
        async with await Raw.dial(service.port) as raw:
            raw.send(b"GET /health/other HTTP/1.1\r\n\r\n")
            assert (await raw.rest()).startswith(b"HTTP/1.1 404 ")


@pytest.mark.anyio
async def test_a_handler_that_raises_ends_its_session_in_order(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as service:
        service.raises = PingReceived
        async with await Raw.upgraded(service.port, after=frame(TEXT, OPEN)) as raw:
            opened = await message(raw)
            ping = {"version": "2", "id": opened["id"], "position": "PT0S", "parameters": {}}
            ping |= {"type": "ping", "seq": 2, "serverseq": 1}
            raw.send(frame(TEXT, json.dumps(ping).encode()))
            assert (await message(raw))["type"] == "pong"
            disconnect = await message(raw)
            assert disconnect["parameters"]["reason"] == DisconnectReason.ERROR
            close = {**ping, "type": "close", "seq": 3, "serverseq": 3}
            close["parameters"] = {"reason": "disconnect"}
            raw.send(frame(TEXT, json.dumps(close).encode()))
            assert (await message(raw))["type"] == "closed"
            raw.send(frame(CLOSE, b"\x03\xe8"))
            assert await raw.close_code() == 1000
        heard = await service.one()
        assert heard.driver is not None
        assert heard.driver.session.role is Role.SERVER
        await within(heard.driver.ended)
        assert heard.has(SessionEnded)
    assert "ValueError" in caplog.text
    assert "secret text" not in caplog.text
