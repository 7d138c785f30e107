"""The service from outside: admission, health, metrics, draining, reloading, stopping."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import trustme
import websockets
from tests.service.conftest import Listener, Listeners
from tests.support.platform import Platform, until
from tests.support.wire import (
    ORGANIZATION_ID,
    SESSION_ID,
    as_text,
    client_message,
    open_parameters,
)

from openaudiohook.exceptions import ConfigurationError, HandshakeError
from openaudiohook.host.consumer import Capabilities, PerSession, Status
from openaudiohook.host.registry import Registry
from openaudiohook.protocol.events import DisconnectRequested, ReconnectRequested
from openaudiohook.service.config import ServiceConfig
from openaudiohook.service.process import raise_descriptor_limit
from openaudiohook.service.service import Service
from openaudiohook.transport import client_tls

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

Serve = Callable[..., AbstractAsyncContextManager[Service]]

SIGNED = {"api_key": "key", "client_secret": "c2VjcmV0"}


async def get(port: int, path: str, *, raw: bytes | None = None) -> tuple[int, bytes]:
    """One HTTP request, by hand."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw if raw is not None else f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    if raw is not None and not raw.endswith(b"\r\n\r\n"):
        writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body


async def test_a_signed_session_is_let_in_and_others_are_not(serve: Serve) -> None:
    async with serve(consumers=[], **SIGNED) as service:
        platform = await Platform.to(service.uri, secret=b"secret")
        await platform.close()
        for wrong in ({"secret": b"other"}, {"secret": b""}, {"api_key": "no", "secret": b"x"}):
            with pytest.raises(HandshakeError) as caught:
                await Platform.to(service.uri, **wrong)
            assert caught.value.status == 401
        refused = service.metrics.registry.get_sample_value(
            "openaudiohook_service_upgrades_refused_total", {"status": "401"}
        )
        assert refused == 3


async def test_health_is_answered_on_the_main_port_and_other_paths_are_404(serve: Serve) -> None:
    async with serve(consumers=[]) as service:
        platform = await Platform.to(service.uri)
        status, body = await get(service.port, "/health/check")
        assert (status, json.loads(body)) == (
            200,
            {"status": "ok", "sessions": 1, "degraded": []},
        )
        assert (await get(service.port, "/metrics"))[0] == 404
        await platform.close()


async def test_the_admin_listener_serves_metrics_and_health(serve: Serve) -> None:
    async with serve(consumers=[], admin="127.0.0.1:0") as service:
        port = service.admin_port
        assert port is not None
        platform = await Platform.to(service.uri)
        status, body = await get(port, "/metrics")
        assert status == 200
        assert b"openaudiohook_service_sessions 1.0" in body
        status, body = await get(port, "/health/check?full")
        assert json.loads(body)["degraded"] == {}
        await platform.close()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\n\r\n", 405),
        (b"hello\r\n\r\n", 400),
        (b"GET /metrics FTP/1.1\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", 400),
    ],
)
async def test_the_admin_listener_answers_only_what_it_knows(
    serve: Serve, raw: bytes, status: int
) -> None:
    async with serve(consumers=[], admin="127.0.0.1:0") as service:
        assert service.admin_port is not None
        assert (await get(service.admin_port, "", raw=raw))[0] == status


async def test_stopping_does_not_wait_for_whoever_holds_the_admin_port(serve: Serve) -> None:
    async with serve(consumers=[], admin="127.0.0.1:0") as service:
        assert service.admin_port is not None
        _, writer = await asyncio.open_connection("127.0.0.1", service.admin_port)
        await asyncio.sleep(0)
    writer.close()


async def test_without_an_admin_address_there_is_no_admin_port(serve: Serve) -> None:
    async with serve(consumers=[]) as service:
        assert service.admin_port is None


def peer(service: Service) -> websockets.connect:
    """A client of another library, without a session of ours."""
    headers = {
        "Audiohook-Session-Id": SESSION_ID,
        "Audiohook-Organization-Id": ORGANIZATION_ID,
        "Audiohook-Correlation-Id": "e160e428-53e2-487c-977d-96989bf5c99d",
    }
    return websockets.connect(service.uri, additional_headers=headers, compression=None)


async def tell(
    peer: websockets.ClientConnection, kind: str, parameters: Any = None, **rest: Any
) -> None:
    await peer.send(as_text(client_message(kind, parameters, **rest)).decode())


async def test_a_peer_we_did_not_write_is_served(serve: Serve) -> None:
    listeners = Listeners()
    async with serve(consumers=[listeners]) as service, peer(service) as client:
        await tell(client, "open", open_parameters())
        opened = json.loads(await client.recv())
        assert (opened["type"], opened["seq"]) == ("opened", 1)
        await client.send(b"\x01" * 1600)
        await tell(client, "close", {"reason": "end"}, seq=2, serverseq=1, position="PT0.1S")
        closed = json.loads(await client.recv())
        assert (closed["type"], closed["seq"], closed["clientseq"]) == ("closed", 2, 2)
        assert bytes(listeners.made[0].received) == b"\x01" * 1600
        assert listeners.made[0].calls[-1] == ("close", "end", 800)


async def test_a_protocol_violation_ends_that_session_and_is_counted(serve: Serve) -> None:
    listeners = Listeners()
    async with serve(consumers=[listeners]) as service:
        other = await Platform.to(service.uri)
        async with peer(service) as client:
            await tell(client, "open", open_parameters())
            await client.recv()
            await client.send(b"odd")
            disconnect = json.loads(await client.recv())
            assert disconnect["parameters"]["reason"] == "error"
            await tell(client, "close", {"reason": "disconnect"}, seq=2, serverseq=2)
            assert json.loads(await client.recv())["type"] == "closed"
        assert other.is_open
        await other.close()
        counted = service.metrics.registry.get_sample_value(
            "openaudiohook_service_violations_total", {"code": "400"}
        )
        assert counted == 1
        assert listeners.made[1].calls == ["open", ("close", "disconnect", 0)]


async def test_while_draining_calls_go_on_and_new_ones_are_sent_elsewhere(serve: Serve) -> None:
    listeners = Listeners()
    async with serve(consumers=[listeners], admin="127.0.0.1:0") as service:
        running = await Platform.to(service.uri)
        draining = asyncio.ensure_future(service.drained(grace_s=0.3))
        await until(lambda: service.health.is_draining)
        assert (await get(service.port, "/health/check"))[0] == 503
        # In the grace new sessions are served as before.
        during = await Platform.to(service.uri)
        await during.close()
        assert service._drain is not None
        await until(lambda: service._drain.is_refusing)
        late = await Platform.to(service.uri, waits=False)
        await late.ended()
        assert [event.reason for event in late.of(DisconnectRequested)] == ["error"]
        running.send(b"\x01" * 1600)
        assert not draining.done()
        assert (await running.close()).is_clean
        await asyncio.wait_for(draining, 10)
        assert bytes(listeners.made[0].received) == b"\x01" * 1600


async def test_draining_has_a_limit_and_then_asks_the_rest_to_end(serve: Serve) -> None:
    listeners = Listeners()
    async with serve(consumers=[listeners]) as service:
        platform = await Platform.to(service.uri)
        await asyncio.wait_for(service.drained(grace_s=0, timeout_s=0.01), 10)
        asked = platform.of(DisconnectRequested)
        assert [(event.reason, event.info) for event in asked] == [
            ("error", "service is shutting down")
        ]
        assert (await platform.ended()).is_clean
        assert listeners.made[0].calls == ["open", ("close", "disconnect", 0)]


async def test_draining_can_ask_clients_to_move(serve: Serve) -> None:
    async with serve(consumers=[], drain_reconnect=True) as service:
        platform = await Platform.to(service.uri)
        draining = asyncio.ensure_future(service.drained(grace_s=0))
        await until(lambda: platform.of(ReconnectRequested))
        await platform.close()
        await asyncio.wait_for(draining, 10)


async def test_stopping_at_once_closes_consumers_with_shutdown(serve: Serve) -> None:
    listeners = Listeners()
    async with serve(consumers=[listeners]) as service:
        platform = await Platform.to(service.uri)
        platform.send(b"\x01" * 1600)
        await until(lambda: len(listeners.made[0].received) == 1600)
        await service.stop()
        assert listeners.made[0].calls == ["open", ("close", "shutdown", 800)]
        await platform.ended()


async def test_certificates_are_reloaded_without_dropping_calls(
    serve: Serve, tmp_path: Path
) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    authorities = [trustme.CA(), trustme.CA()]
    for number, authority in enumerate(authorities):
        (tmp_path / f"ca{number}.pem").write_bytes(authority.cert_pem.bytes())

    def install(authority: trustme.CA) -> None:
        issued = authority.issue_cert("127.0.0.1")
        key.write_bytes(issued.private_key_pem.bytes())
        cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))

    install(authorities[0])
    files = {"tls_cert": str(cert), "tls_key": str(key)}
    async with serve(consumers=[], **files, **SIGNED) as service:
        assert service.uri.startswith("wss://127.0.0.1:")
        first = await Platform.to(
            service.uri, secret=b"secret", ssl=client_tls(tmp_path / "ca0.pem")
        )
        install(authorities[1])
        service.reload()
        second = await Platform.to(
            service.uri, secret=b"secret", ssl=client_tls(tmp_path / "ca1.pem")
        )
        assert first.is_open
        cert.write_text("broken")
        with pytest.raises(ConfigurationError, match="cannot be used"):
            service.reload()
        await (
            await Platform.to(service.uri, secret=b"secret", ssl=client_tls(tmp_path / "ca1.pem"))
        ).close()
        await first.close()
        await second.close()


async def test_credentials_are_reloaded(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"

    def install(secret: str) -> None:
        path.write_text(f'[[credentials]]\napi_key = "key"\nclient_secret = "{secret}"\n')

    install("c2VjcmV0")
    async with serve(consumers=[], credentials=str(path)) as service:
        install("b3RoZXI=")
        service.reload()
        platform = await Platform.to(service.uri, secret=b"other")
        await platform.close()
        with pytest.raises(HandshakeError):
            await Platform.to(service.uri, secret=b"secret")
        install("not base64!")
        with pytest.raises(ConfigurationError):
            service.reload()
        await (await Platform.to(service.uri, secret=b"other")).close()


async def test_a_reload_without_credentials_or_certificate_is_nothing(serve: Serve) -> None:
    async with serve(consumers=[]) as service:
        service.reload()


@pytest.mark.parametrize("which", ["port", "admin"])
async def test_a_port_in_use_is_an_error_and_leaves_nothing_running(which: str) -> None:
    started: list[str] = []

    class Counting(PerSession):
        async def start(self, status: Status) -> None:
            started.append("start")

        async def stop(self) -> None:
            started.append("stop")

    factory = Counting(Listener, name="counting", capabilities=Capabilities())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings: dict[str, Any] = (
            {"port": port} if which == "port" else {"port": 0, "admin": f"127.0.0.1:{port}"}
        )
        service = Service(ServiceConfig(no_auth=True, **settings), consumers=[factory])
        with pytest.raises(ConfigurationError, match=f"127.0.0.1 port {port}"):
            await service.start()
    assert started == ["start", "stop"]


async def test_a_factory_that_fails_costs_its_consumer_only(serve: Serve) -> None:
    class Broken(PerSession):
        async def stop(self) -> None:
            raise RuntimeError

    def fail() -> Listener:
        raise RuntimeError

    broken = Broken(fail, name="broken", capabilities=Capabilities())
    good = Listeners()
    async with serve(consumers=[good, broken]) as service:
        platform = await Platform.to(service.uri)
        assert (await platform.close()).is_clean
        detached = service.metrics.registry.get_sample_value(
            "openaudiohook_service_consumers_detached_total",
            {"consumer": "broken", "cause": "failed"},
        )
        assert detached == 1
    assert good.made[0].calls == ["open", ("close", "end", 0)]


async def test_consumers_are_found_by_name_with_their_options(tmp_path: Path) -> None:
    seen: list[Any] = []
    registry = Registry([])

    def make(options: Any) -> PerSession:
        seen.append(dict(options))
        return PerSession(Listener, name="mine", capabilities=Capabilities())

    registry.add("mine", make)
    config = ServiceConfig(
        no_auth=True, consumers=("mine", "mine"), consumer={"mine": {"limit": 3}}
    )
    Service(config, registry=registry)
    assert seen == [{"limit": 3}]


async def test_options_for_a_consumer_that_does_not_run_are_a_mistake() -> None:
    config = ServiceConfig(no_auth=True, consumers=(), consumer={"mine": {}})
    with pytest.raises(ConfigurationError, match=r"\[consumer.mine\] has options, but"):
        Service(config)


async def test_the_recorder_takes_the_services_directory_unless_it_has_its_own() -> None:
    for consumer, expected in (({}, "calls"), ({"recorder": {"directory": "own"}}, "own")):
        config = ServiceConfig(no_auth=True, recordings="calls", consumer=consumer)
        (factory,) = Service(config)._factories
        assert str(factory.directory) == expected  # type: ignore[attr-defined]


async def test_a_service_is_described_only_once_it_listens() -> None:
    service = Service(ServiceConfig(no_auth=True), consumers=[])
    assert service.sessions == 0
    await service.stop()


def test_as_many_files_as_allowed_may_be_opened() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
        assert raise_descriptor_limit() >= 256
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_a_service_in_a_program_prints_nothing(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where log lines go is the program's to say; stdout is never ours."""
    async with serve(drain_grace_s=0.0, **SIGNED) as service:
        with pytest.raises(HandshakeError):
            await Platform.to(service.uri, secret=b"other")
        platform = await Platform.to(service.uri, secret=b"secret")
        platform.send(bytes(1_600))
        await platform.drop()
        await service.drained()
    assert capfd.readouterr().out == ""
