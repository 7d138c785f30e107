"""Services are replaced and reloaded under calls, and no call is lost.

Two services behind HAProxy, 50 calls; about 60 s together.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trustme
from tests.robustness.world import (
    PATH,
    STEREO,
    Call,
    Calls,
    Serving,
    audio_in,
    serving,
    settled,
    wav_of,
)

from openaudiohook.fanout.endpoint import EndpointConfig
from openaudiohook.monitor import Monitor, single_play
from openaudiohook.monitor.sources.tone import Tone
from openaudiohook.protocol.events import ReconnectRequested
from openaudiohook.transport import client_tls

pytestmark = [
    pytest.mark.slow,
    pytest.mark.anyio,
    pytest.mark.timeout(180),
    pytest.mark.skipif(shutil.which("haproxy") is None, reason="HAProxy is not installed"),
]

CALLS = 50
GRACE_S = 1.5
MOVED_S = 20

# TCP in, TCP out: what a network load balancer does. Who answers 503 gets nothing new.
BALANCER = """
global
    maxconn 2000
    stats socket {socket} mode 600 level admin
defaults
    mode tcp
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    retries 3
    option redispatch
frontend calls
    bind 127.0.0.1:{port}
    default_backend services
backend services
    balance roundrobin
    option httpchk GET /health/check
    default-server check inter 200ms fall 2 rise 1
    server one 127.0.0.1:{one}
    server two 127.0.0.1:{two}
"""


class Balancer:
    """A running HAProxy; its servers can be told to be somewhere else."""

    def __init__(self, port: int, control: Path) -> None:
        self.uri = f"ws://127.0.0.1:{port}{PATH}"
        self._control = control

    async def tell(self, command: str) -> str:
        reader, writer = await asyncio.open_unix_connection(str(self._control))
        writer.write(f"{command}\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        return answer

    async def states(self) -> dict[str, str]:
        """Each server's state: UP, DOWN and what lies between."""
        lines = (await self.tell("show stat")).splitlines()
        names = lines[0].removeprefix("# ").split(",")
        rows = [dict(zip(names, line.split(","), strict=False)) for line in lines[1:] if line]
        return {
            row["svname"]: row["status"]
            for row in rows
            if row["pxname"] == "services" and row["svname"] in ("one", "two")
        }

    async def until(self, **wanted: str) -> None:
        async with asyncio.timeout(20):
            while wanted.items() - (await self.states()).items():
                await asyncio.sleep(0.05)

    async def move(self, server: str, port: int) -> None:
        """Replace a server by one on another port."""
        await self.tell(f"set server services/{server} addr 127.0.0.1 port {port}")
        await self.until(**{server: "UP"})


@asynccontextmanager
async def balancing(directory: Path, one: Serving, two: Serving) -> AsyncIterator[Balancer]:
    # A port that was free a moment ago: HAProxy cannot be asked which one it took.
    probe = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = probe.sockets[0].getsockname()[1]
    probe.close()
    await probe.wait_closed()
    control = directory / "haproxy.sock"
    config = directory / "haproxy.cfg"
    config.write_text(BALANCER.format(socket=control, port=port, one=one.port, two=two.port))
    process = await asyncio.create_subprocess_exec(
        "haproxy", "-db", "-q", "-f", str(config),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await settled(control.exists)
        balancer = Balancer(port, control)
        await balancer.until(one="UP", two="UP")
        yield balancer
    finally:
        process.kill()
        await process.wait()


def holder(call: Call, services: list[Serving]) -> Serving:
    """The service that has a call."""
    (found,) = (each for each in services if list(each.recordings.rglob(f"{call.session_id}.wav")))
    return found


async def newcomers(uri: str, calls: Calls, done: list[Call]) -> None:
    """Open a call ten times a second, and end it after a while, until cancelled."""
    ending: set[asyncio.Task[None]] = set()

    async def one() -> None:
        (call,) = await calls.open(uri, 1)
        await calls.talk(1.0)
        await calls.close([call])
        done.append(call)

    try:
        while True:
            ending.add(asyncio.create_task(one()))
            await asyncio.sleep(0.1)
    finally:
        await asyncio.gather(*ending)


@pytest.mark.parametrize("asks_to_move", [False, True], ids=["waiting", "asking-to-move"])
async def test_a_rolling_restart_loses_no_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asks_to_move: bool
) -> None:
    """Old services keep their calls to the end, and new calls find a service all the time.

    Reconnection is switched off in these clients: where they are asked to move, they stay.
    """
    monkeypatch.setenv("OPENAUDIOHOOK_DRAIN_GRACE_S", str(GRACE_S))
    options = ("--drain-reconnect",) if asks_to_move else ()
    services: list[Serving] = []
    short: list[Call] = []

    async def start(stack: AsyncExitStack) -> Serving:
        directory = tmp_path / str(len(services))
        directory.mkdir()
        services.append(await stack.enter_async_context(serving(directory, *options)))
        return services[-1]

    async with AsyncExitStack() as stack:
        old = {"one": await start(stack), "two": await start(stack)}
        balancer = await stack.enter_async_context(balancing(tmp_path, old["one"], old["two"]))
        calls = await stack.enter_async_context(Calls())
        long = await calls.open(balancer.uri, CALLS)
        coming = asyncio.create_task(newcomers(balancer.uri, calls, short))
        for slot, service in old.items():
            successor = await start(stack)
            service.send(signal.SIGTERM)
            await balancer.until(**{slot: "DOWN"})
            await balancer.move(slot, successor.port)
            mine = [call for call in long if holder(call, services) is service]
            assert len(mine) == CALLS // 2
            if asks_to_move:
                await settled(
                    lambda mine=mine: all(call.platform.of(ReconnectRequested) for call in mine)
                )
            # They go on as if nothing had happened, for as long as they take.
            await calls.talk(2.0)
            assert [call.complaints() for call in long if call.complaints()] == []
            assert all(call.platform.is_open for call in long if call in calls.all)
            await calls.close(mine)
            assert await service.ended() == 0
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        assert len(short) > 50
        for call in long + short:
            assert audio_in(wav_of(holder(call, services).recordings, call)) == call.audio(
                call.samples
            )
        # The new ones have taken over.
        assert all(any(holder(call, services) is each for call in short) for each in services[2:])


async def test_calls_that_can_reconnect_move_and_the_old_services_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reconnection switch a service need not wait for its calls: they leave it."""
    monkeypatch.setenv("OPENAUDIOHOOK_DRAIN_GRACE_S", str(GRACE_S))
    directories = [tmp_path / name for name in ("0", "1", "2", "3")]
    for directory in directories:
        directory.mkdir()
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(serving(directory, "--drain-reconnect"))
            for directory in directories
        ]
        balancer = await stack.enter_async_context(balancing(tmp_path, *services[:2]))
        config = EndpointConfig(name="moved", uri=balancer.uri, api_key="key", reconnections=True)
        monitor = Monitor()
        running = [
            asyncio.ensure_future(
                monitor.start(single_play(Tone(samples=MOVED_S * 8000)), [config]).finished()
            )
            for _ in range(CALLS)
        ]
        await settled(lambda: len(list(tmp_path.rglob("*.wav"))) == CALLS)
        for slot, old, new in zip(("one", "two"), services[:2], services[2:], strict=True):
            old.send(signal.SIGTERM)
            await balancer.until(**{slot: "DOWN"})
            await balancer.move(slot, new.port)
            assert await old.ended() == 0
            assert not any(call.done() for call in running)
        reports = [await call for call in running]
    endpoints = [endpoint for report in reports for endpoint in report.endpoints]
    assert [endpoint.error for endpoint in endpoints if endpoint.error] == []
    assert {endpoint.state.value for endpoint in endpoints} == {"completed"}
    assert all(len(endpoint.sessions) >= 2 for endpoint in endpoints)
    for endpoint in endpoints:
        assert (endpoint.account.lost, endpoint.account.sent) == (0, MOVED_S * 8000)
    audio = tone_bytes(MOVED_S * 8000)
    for report in reports:
        recorded = assembled(tmp_path, report.conversation_id, samples=MOVED_S * 8000)
        assert recorded == audio


def tone_bytes(samples: int) -> bytes:
    stereo = bytearray(STEREO * samples)
    stereo[::2], stereo[1::2] = Tone(samples=samples).open().read(samples)
    return bytes(stereo)


def assembled(directory: Path, conversation_id: str, *, samples: int) -> bytes:
    """A call put together from what each service has of it; zeros for what nobody has."""
    whole = bytearray(STEREO * samples)
    for path in directory.rglob(f"{conversation_id}/*.json"):
        sidecar = json.loads(path.read_bytes())
        audio = bytearray(audio_in(path.with_suffix(".wav")))
        start = sidecar["start_samples"]
        for gap in sidecar["gaps"]:
            # What was left out here is somewhere else: it must not cover that.
            first, length = gap["start_samples"], gap["duration_samples"]
            here = slice(first * STEREO, (first + length) * STEREO)
            there = slice((start + first) * STEREO, (start + first + length) * STEREO)
            audio[here] = whole[there]
        whole[start * STEREO : start * STEREO + len(audio)] = audio
    return bytes(whole)


async def test_a_reload_under_load_drops_no_call(tmp_path: Path) -> None:
    """SIGHUP again and again while 50 calls go on and others come."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def install() -> None:
        issued = authority.issue_cert("127.0.0.1")
        key.write_bytes(issued.private_key_pem.bytes())
        cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))

    install()
    context = client_tls(tmp_path / "ca.pem")
    options = ("--tls-cert", str(cert), "--tls-key", str(key), "--workers", "2")
    async with serving(tmp_path, *options) as service, Calls() as calls:
        await calls.open(service.uri, CALLS, ssl=context)
        for number in range(20):
            install()
            service.send(signal.SIGHUP)
            await calls.open(service.uri, 1, ssl=context)
            # Both workers, each time: a certificate is not replaced while it is read.
            await settled(
                lambda number=number: (
                    sum("reloaded" in line for line in service.lines) == 2 * (number + 1)
                )
            )
        assert len(calls.all) == CALLS + 20
        assert [call.complaints() for call in calls.all if call.complaints()] == []
        ended = list(calls.all)
        await calls.close(ended)
        for call in ended:
            assert audio_in(wav_of(service.recordings, call)) == call.audio(call.samples)
        assert not any("reload failed" in line for line in service.lines)
