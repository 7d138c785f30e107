"""Several workers as one service: they come, die and go as their supervisor says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.service.test_service import get
from tests.support.platform import Platform, until

from openaudiohook.auth import upgrade_headers
from openaudiohook.consumers.recording_recovery import recover
from openaudiohook.exceptions import ConfigurationError, HandshakeError
from openaudiohook.protocol import ClientSession
from openaudiohook.protocol.events import DisconnectRequested, ReconnectRequested, SessionEnded
from openaudiohook.service.config import ServiceConfig
from openaudiohook.service.service import Service
from openaudiohook.service.supervisor import Supervisor
from openaudiohook.transport import connect

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

SIGNED = {"no_auth": False, "api_key": "key", "client_secret": "c2VjcmV0"}
BACK_WITHIN_S = 1.0


@asynccontextmanager
async def supervised(directory: Path, **settings: Any) -> AsyncIterator[Supervisor]:
    """A service of two workers, unless the settings say otherwise."""
    settings = {
        "port": 0,
        "no_auth": True,
        "workers": 2,
        "recordings": str(directory / "recordings"),
        "admin": "127.0.0.1:0",
        "drain_grace_s": 0.0,
    } | settings
    async with Supervisor(ServiceConfig(**settings)) as supervisor:
        yield supervisor


async def metrics(supervisor: Supervisor) -> dict[str, float]:
    assert supervisor.admin_port is not None
    status, body = await get(supervisor.admin_port, "/metrics")
    assert status == 200
    lines = [line for line in body.decode().splitlines() if not line.startswith("#")]
    return {
        name.removeprefix("openaudiohook_service_"): float(value)
        for name, _, value in (line.rpartition(" ") for line in lines)
    }


async def health(supervisor: Supervisor) -> tuple[int, dict[str, Any]]:
    assert supervisor.admin_port is not None
    status, body = await get(supervisor.admin_port, "/health/check")
    return status, json.loads(body)


def connections(pid: int) -> int:
    """How many clients a worker has."""
    found = psutil.Process(pid).net_connections("tcp")
    return sum(1 for each in found if each.status == psutil.CONN_ESTABLISHED)


async def on_both(supervisor: Supervisor) -> list[Platform]:
    """Calls enough that each worker has some; the kernel spreads them by a hash."""
    platforms = [await Platform.to(supervisor.uri) for _ in range(8)]
    while not all(connections(pid) for pid in supervisor.pids):
        platforms.append(await Platform.to(supervisor.uri))
        assert len(platforms) < 100
    return platforms


async def test_sessions_are_spread_counted_and_measured_as_one_service(tmp_path: Path) -> None:
    async with supervised(tmp_path) as supervisor:
        assert len(supervisor.pids) == 2
        platforms = await on_both(supervisor)
        assert supervisor.sessions == len(platforms)
        assert await health(supervisor) == (
            200,
            {"status": "ok", "sessions": len(platforms), "degraded": {}},
        )
        # Whichever worker answers on the main port speaks for the service.
        for _ in range(6):
            status, body = await get(supervisor.port, "/health/check")
            assert (status, json.loads(body)["sessions"]) == (200, len(platforms))
        counted = await metrics(supervisor)
        assert counted["sessions"] == len(platforms)
        assert counted["workers"] == 2
        for platform in platforms:
            platform.send(bytes(1_600))
            assert (await platform.close()).is_clean
        await until(lambda: supervisor.sessions == 0)
        counted = await metrics(supervisor)
        assert counted["sessions"] == 0
        assert counted['sessions_ended_total{reason="end"}'] == len(platforms)
        assert counted["stream_seconds_total"] == pytest.approx(len(platforms) / 10)
    assert supervisor.sessions == 0


async def test_a_killed_worker_costs_its_own_sessions_and_is_back_within_a_second(
    tmp_path: Path,
) -> None:
    async with supervised(tmp_path) as supervisor:
        platforms = await on_both(supervisor)
        for platform in platforms:
            platform.send(b"\x01" * 16_000)
        audio = tmp_path / "recordings"
        await until(lambda: sum(p.stat().st_size > 16_000 for p in audio.rglob("*.wav")) >= 1)
        victim, survivor = supervisor.pids
        lost_expected = connections(victim)
        os.kill(victim, signal.SIGKILL)
        killed_at = time.monotonic()
        await until(lambda: len(supervisor.pids) == 2 and victim not in supervisor.pids)
        back_s = time.monotonic() - killed_at
        assert back_s <= BACK_WITHIN_S
        assert survivor in supervisor.pids
        lost = [platform for platform in platforms if platform.of(SessionEnded)]
        kept = [platform for platform in platforms if platform not in lost]
        assert len(lost) == lost_expected
        assert supervisor.sessions == len(kept)
        # The new one takes calls, and the old one's are served on.
        more = await on_both(supervisor)
        for platform in kept + more:
            platform.send(b"\x02" * 1_600)
            assert (await platform.close()).is_clean
        counted = await metrics(supervisor)
        assert counted["workers_lost_total"] == 1
        assert counted["workers"] == 2
        # What the dead one had written can be had.
        outcomes = {outcome.path.stem: outcome for outcome in recover(audio)}
        for platform in lost:
            assert outcomes[platform.session_id].result in ("recovered", "empty")
        for platform in kept:
            assert outcomes[platform.session_id].samples == 8_800


async def test_counts_of_a_dead_worker_stay_counted(tmp_path: Path) -> None:
    async with supervised(tmp_path, workers=2) as supervisor:
        for platform in await on_both(supervisor):
            await platform.close()
        await until(lambda: supervisor.sessions == 0)
        before = await metrics(supervisor)
        for pid in supervisor.pids:
            os.kill(pid, signal.SIGKILL)
            await until(lambda: len(supervisor.pids) == 2 and pid not in supervisor.pids)  # noqa: B023
        after = await metrics(supervisor)
        name = 'sessions_ended_total{reason="end"}'
        assert after[name] == before[name]
        assert after["workers_lost_total"] == 2


async def test_a_nonce_seen_by_one_worker_is_refused_by_all(tmp_path: Path) -> None:
    session_id = "7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9a11"

    async with supervised(tmp_path, **SIGNED) as supervisor:
        replayed = upgrade_headers(
            supervisor.uri,
            api_key="key",
            secret=b"secret",
            organization_id=session_id,
            session_id=session_id,
            correlation_id=session_id,
            nonce="VGhpc0lzQVVuaXF1ZU5vbmNl",
            created=int(time.time()),
        )

        async def is_admitted() -> bool:
            session = ClientSession(session_id=session_id, now_ns=time.monotonic_ns())
            try:
                driver = await connect(
                    supervisor.uri, session=session, on_event=lambda _event: None, headers=replayed
                )
            except HandshakeError:
                return False
            driver.abort()
            await driver.ended
            return True

        # At once, so that the workers race, and often enough that both are asked.
        admitted = await asyncio.gather(*(is_admitted() for _ in range(30)))
        assert sum(admitted) == 1
        assert not await is_admitted()
        # A refusal is answered first and counted then.
        async with asyncio.timeout(10):
            while (await metrics(supervisor))['upgrades_refused_total{status="401"}'] != 30:
                await asyncio.sleep(0.01)


async def test_the_limit_of_sessions_holds_for_all_workers_together(tmp_path: Path) -> None:
    async with supervised(tmp_path, max_sessions=4) as supervisor:
        platforms = [await Platform.to(supervisor.uri) for _ in range(4)]
        for _ in range(6):
            refused = await Platform.to(supervisor.uri, waits=False)
            await refused.ended()
            assert [event.reason for event in refused.of(DisconnectRequested)] == ["error"]
        for platform in platforms:
            assert (await platform.close()).is_clean


async def test_trouble_of_any_worker_is_the_services(tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("a file where the directory should be")
    async with supervised(tmp_path) as supervisor:
        async with asyncio.timeout(10):
            while (await health(supervisor))[1]["status"] != "degraded":
                await asyncio.sleep(0.02)
        assert (await health(supervisor))[1]["degraded"] == {
            "recorder": [
                f"{tmp_path / 'recordings'}: recordings cannot be written: Not a directory"
            ]
        }
        (tmp_path / "recordings").unlink()
        async with asyncio.timeout(10):
            while (await health(supervisor))[1]["status"] != "ok":
                await asyncio.sleep(0.02)


async def test_draining_drains_every_worker(tmp_path: Path) -> None:
    async with supervised(tmp_path, drain_reconnect=True) as supervisor:
        platforms = await on_both(supervisor)
        draining = asyncio.ensure_future(supervisor.drained())
        await until(lambda: all(platform.of(ReconnectRequested) for platform in platforms))
        assert (await health(supervisor))[0] == 503
        assert (await get(supervisor.port, "/health/check"))[0] == 503
        assert not draining.done()
        for platform in platforms:
            platform.send(bytes(1_600))
            assert (await platform.close()).is_clean
        await asyncio.wait_for(draining, 10)
        assert supervisor.sessions == 0


async def test_a_worker_that_dies_while_draining_is_not_replaced_and_its_calls_are_told(
    tmp_path: Path,
) -> None:
    async with supervised(tmp_path) as supervisor:
        platforms = await on_both(supervisor)
        draining = asyncio.ensure_future(supervisor.drained())
        victim = supervisor.pids[0]
        dropped = connections(victim)
        os.kill(victim, signal.SIGKILL)
        await until(lambda: len(supervisor.pids) == 1)
        for platform in platforms:
            if not platform.of(SessionEnded):
                await platform.close()
        await asyncio.wait_for(draining, 10)
        assert supervisor.sessions == dropped


async def test_stopping_at_once_finishes_recordings(tmp_path: Path) -> None:
    async with supervised(tmp_path) as supervisor:
        platforms = await on_both(supervisor)
        for platform in platforms:
            platform.send(b"\x01" * 1_600)
        paths = tmp_path / "recordings"
        await until(lambda: len(list(paths.rglob("*.wav"))) == len(platforms))
        await supervisor.stop()
        await asyncio.gather(*(platform.ended() for platform in platforms))
    sidecars = [json.loads(path.read_bytes()) for path in paths.rglob("*.json")]
    assert {sidecar["ended_by"] for sidecar in sidecars} == {"shutdown"}


async def test_workers_whose_supervisor_is_gone_serve_their_calls_to_the_end(
    tmp_path: Path,
) -> None:
    async with supervised(tmp_path) as supervisor:
        platforms = await on_both(supervisor)
        pids = supervisor.pids
        # As the kernel does when the supervisor is killed: its ends are closed.
        for worker in supervisor._workers.values():
            worker._writer.close()
        # The port is free for whoever comes next.
        port, reserved = supervisor.port, supervisor._reserved
        for each in reserved:
            each.close()

        async def is_free() -> bool:
            config = ServiceConfig(no_auth=True, port=port, consumers=())
            try:
                async with Service(config, consumers=()):
                    return True
            except ConfigurationError:
                return False

        async with asyncio.timeout(10):
            while not await is_free():
                await asyncio.sleep(0.02)
        for platform in platforms:
            platform.send(bytes(1_600))
            assert (await platform.close()).is_clean
        async with asyncio.timeout(15):
            while any(psutil.pid_exists(pid) for pid in pids):
                await asyncio.sleep(0.02)


async def test_credentials_are_reloaded_by_all_workers_or_none(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"

    def install(secret: str) -> None:
        path.write_text(f'[[credentials]]\napi_key = "key"\nclient_secret = "{secret}"\n')

    install("c2VjcmV0")
    async with supervised(tmp_path, no_auth=False, credentials=str(path)) as supervisor:
        running = await Platform.to(supervisor.uri, secret=b"secret")
        install("not base64!")
        with pytest.raises(ConfigurationError):
            supervisor.reload()
        for _ in range(6):
            await (await Platform.to(supervisor.uri, secret=b"secret")).close()
        install("b3RoZXI=")
        supervisor.reload()

        async def is_taken(secret: bytes) -> bool:
            try:
                platform = await Platform.to(supervisor.uri, secret=secret)
            except HandshakeError:
                return False
            await platform.close()
            return True

        async with asyncio.timeout(10):
            while not all([await is_taken(b"other") for _ in range(8)]):
                await asyncio.sleep(0.02)
        assert not any([await is_taken(b"secret") for _ in range(8)])
        assert running.is_open
        await running.close()


async def test_a_port_that_others_share_is_in_use(tmp_path: Path) -> None:
    async with supervised(tmp_path) as supervisor:
        with pytest.raises(ConfigurationError, match=f"port {supervisor.port}"):
            async with supervised(tmp_path, port=supervisor.port):
                pass


async def test_a_worker_that_cannot_start_is_the_services_failure(tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text('[[credentials]]\napi_key = "key"\nclient_secret = ""\n')
    supervisor = Supervisor(ServiceConfig(port=0, workers=2, credentials=str(keys), consumers=()))
    keys.write_text("broken")
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        await supervisor.start()
    assert supervisor.pids == ()


async def test_what_cannot_work_is_found_before_a_worker_is_started() -> None:
    with pytest.raises(ConfigurationError, match="nobody"):
        Supervisor(ServiceConfig(no_auth=True, workers=2, consumers=("nobody",)))


async def test_a_service_in_one_process_says_that_it_is_one() -> None:
    with pytest.raises(ConfigurationError, match="one process, not 2"):
        Service(ServiceConfig(no_auth=True, workers=2))
