"""What strangers can hold: connections, handshakes, descriptors, memory."""

from __future__ import annotations

import errno
import json
import resource
import socket
from typing import Any

import pytest
from tests.transport.raw import Raw, frame, head
from tests.transport.world import OPEN, PATH, opened, serving, until, within

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.protocol.events import DisconnectRequested, SessionEnded
from openaudiohook.transport import Admission, ConnectionLimits, KeyLimits, listen

pytestmark = pytest.mark.integration


@pytest.mark.anyio
async def test_sessions_over_the_limit_are_refused_with_a_disconnect(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(limits=ConnectionLimits(max_connections=1)) as service:
        first, _ = await opened(service.uri)
        async with await Raw.upgraded(service.port, after=frame(1, OPEN)) as raw:
            _, payload = await raw.frame()
            message = json.loads(payload)
            assert message["type"] == "disconnect"
            assert message["parameters"]["reason"] == "error"
            assert "too many connections" in message["parameters"]["info"]
            close = {"version": "2", "id": message["id"], "type": "close", "position": "PT0S"}
            close |= {"seq": 2, "serverseq": 1, "parameters": {"reason": "disconnect"}}
            raw.send(frame(1, json.dumps(close).encode()))
            assert json.loads((await raw.frame())[1])["type"] == "closed"
        assert len(service.heard) == 1
        assert caplog.text.count("sessions are refused") == 1
        first.abort()
        await within(first.ended)
        await until(lambda: not service.listener.connections)
        again, _ = await opened(service.uri)
        again.abort()
        await within(again.ended)


@pytest.mark.anyio
async def test_connections_far_over_the_limit_are_closed_unheard() -> None:
    async with serving(limits=ConnectionLimits(max_connections=2)) as service:
        raws = [await Raw.dial(service.port) for _ in range(5)]
        await until(lambda: service.listener.turned_away == 2)
        assert service.listener.connections == 3
        for raw in raws:
            raw.writer.transport.abort()


@pytest.mark.anyio
async def test_connections_that_never_upgrade_are_bounded() -> None:
    async with serving(limits=ConnectionLimits(max_handshakes=2)) as service:
        raws = [await Raw.dial(service.port) for _ in range(2)]
        await until(lambda: service.listener.connections == 2)
        late = await Raw.dial(service.port)
        assert await late.rest() == b""
        raws[0].send(head())
        assert (await raws[0].answer()).startswith(b"HTTP/1.1 101 ")
        # Who has upgraded makes room for another.
        raws.append(await Raw.upgraded(service.port))
        for raw in [*raws, late]:
            raw.writer.transport.abort()


@pytest.mark.anyio
async def test_an_address_with_too_many_connections_is_told_to_come_later() -> None:
    async with serving(limits=ConnectionLimits(max_per_address=1)) as service:
        async with await Raw.upgraded(service.port), await Raw.upgraded(service.port) as second:
            assert await second.close_code() == 1013
            async with await Raw.dial(service.port) as third:
                assert await third.rest() == b""
            await until(lambda: service.heard[1].has(SessionEnded))
            assert not service.heard[0].has(SessionEnded)
        await until(lambda: not service.listener.connections)
        async with await Raw.upgraded(service.port, after=frame(1, OPEN)) as raw:
            assert json.loads((await raw.frame())[1])["type"] == "opened"


@pytest.mark.anyio
async def test_a_key_over_its_limit_is_refused_with_a_time_to_come_again() -> None:
    admission = Admission(require_auth=False, limits=KeyLimits(max_sessions=1))
    async with serving(admission=admission) as service:
        async with await Raw.upgraded(service.port), await Raw.dial(service.port) as raw:
            raw.send(head())
            answer = await raw.rest()
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 5\r\n" in answer
        await until(lambda: not service.listener.connections)
        async with await Raw.upgraded(service.port):
            pass


@pytest.mark.anyio
async def test_a_listener_takes_nine_tenths_of_the_descriptors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for soft, most in ((1000, 900), (resource.RLIM_INFINITY, 1_000_000)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        async with serving() as service:
            assert service.listener.max_connections == most


@pytest.mark.anyio
async def test_out_of_descriptors_the_listener_goes_on() -> None:
    async with serving() as service:
        gate = service.listener.gate
        accept = socket.socket.accept
        failures = [OSError(errno.EMFILE, "too many")]

        def failing(self: socket.socket) -> Any:
            if failures:
                raise failures.pop()
            return accept(self)

        socket.socket.accept = failing  # type: ignore[method-assign]
        try:
            async with await Raw.dial(service.port) as raw:
                assert await raw.rest() == b""
            failures.append(OSError(errno.ENFILE, "too many"))
            async with await Raw.dial(service.port) as raw:
                assert await raw.rest() == b""
        finally:
            socket.socket.accept = accept  # type: ignore[method-assign]
        assert gate.turned_away == 2
        async with await Raw.upgraded(service.port):
            pass


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [
        ("127.0.0.1", None, "choose another port"),
        ("192.0.2.1", 0, "not one of this machine's"),
        ("no such host", 0, "no such host"),
        (f"{'a' * 64}.example", 0, "no such host"),
        ("..", 0, "no such host"),
    ],
)
@pytest.mark.anyio
async def test_an_address_that_cannot_be_listened_on_is_explained(
    host: str, port: int | None, text: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match=text):
            await listen(
                host=host,
                port=taken.getsockname()[1] if port is None else port,
                path=PATH,
                admission=Admission(require_auth=False),
                on_session=lambda admitted, driver: print,
            )


@pytest.mark.parametrize("path", ["ws", "/ws?x=1"])
@pytest.mark.anyio
async def test_a_path_that_cannot_match_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="path"):
        await listen(
            host="127.0.0.1",
            port=0,
            path=path,
            admission=Admission(require_auth=False),
            on_session=lambda admitted, driver: print,
        )


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="max_handshakes must be above 0"):
        ConnectionLimits(max_handshakes=0)


@pytest.mark.anyio
async def test_all_addresses_of_a_host_are_listened_on_with_one_port() -> None:
    for host in ("localhost", ""):
        async with serving(host=host) as service:
            async with await Raw.upgraded(service.port):
                pass
            assert service.uri.startswith(f"ws://{host or '0.0.0.0'}:")


@pytest.mark.anyio
async def test_closing_the_listener_ends_what_is_still_connected() -> None:
    async with serving() as service:
        driver, heard = await opened(service.uri)
        waiting = await Raw.dial(service.port)
        await until(lambda: service.listener.connections == 2)
    ended = await within(driver.ended)
    assert not ended.is_clean
    assert service.heard[0].has(SessionEnded)
    assert not heard.has(DisconnectRequested)
    assert service.listener.connections == 0
    waiting.writer.transport.abort()
