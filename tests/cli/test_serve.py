"""`serve` as its user meets it: a process with options, one line on stdout, signals, exit codes."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import soundfile
from click.testing import CliRunner
from tests.support.platform import CONVERSATION_ID, Platform, until

from openaudiohook.audio.wav_writer import DATA_OFFSET
from openaudiohook.cli import main
from openaudiohook.consumers.recording_recovery import recover
from openaudiohook.exceptions import HandshakeError
from openaudiohook.protocol.events import ReconnectRequested

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

KEY = {"OPENAUDIOHOOK_API_KEY": "key", "OPENAUDIOHOOK_CLIENT_SECRET": "c2VjcmV0"}


class Running(NamedTuple):
    process: asyncio.subprocess.Process
    uri: str
    log: asyncio.Task[bytes]


Serve = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    @asynccontextmanager
    async def running(*options: str, **environment: str) -> AsyncIterator[Running]:
        """`openaudiohook serve` in a process of its own, once it says that it listens."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "openaudiohook", "serve", "--port", "0",
            "--recordings", str(tmp_path / "recordings"), *options,
            env=os.environ | environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        log = asyncio.create_task(process.stderr.read())
        try:
            line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
            match = re.fullmatch(r"listening on (wss?://\S+)\n", line)
            assert match is not None, line
            yield Running(process, match[1], log)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await log

    return running


async def ended(running: Running) -> int:
    return await asyncio.wait_for(running.process.wait(), 30)


def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`openaudiohook serve` that ends by itself."""
    surroundings = {name: text for name, text in os.environ.items() if name not in KEY}
    return subprocess.run(
        [sys.executable, "-m", "openaudiohook", "serve", *options],
        env=surroundings | environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def recorded(directory: Path, session_id: str) -> Path:
    return directory / "recordings" / CONVERSATION_ID / f"{session_id}.wav"


async def test_a_session_through_the_command_is_recorded_byte_for_byte(
    serve: Serve, tmp_path: Path
) -> None:
    async with serve(**KEY) as service:
        assert re.fullmatch(r"ws://127\.0\.0\.1:\d+/api/v1/audiohook/ws", service.uri)
        platform = await Platform.to(service.uri, secret=b"secret")
        platform.send(os.urandom(64_000))
        assert (await platform.close()).is_clean
        path = recorded(tmp_path, platform.session_id)
        assert path.read_bytes()[DATA_OFFSET:] == bytes(platform.sent)
        with pytest.raises(HandshakeError):
            await Platform.to(service.uri, secret=b"wrong")
        service.process.send_signal(signal.SIGTERM)
        assert await ended(service) == 0
        log = (await service.log).decode()
    assert "session opened" in log
    assert "status=401" in log
    for secret in ("15550100", "Erika", "c2VjcmV0", "1800"):
        assert secret not in log


async def test_a_kill_leaves_a_readable_recording_and_recover_completes_it(
    serve: Serve, tmp_path: Path
) -> None:
    async with serve("--no-auth") as service:
        platform = await Platform.to(service.uri)
        payload = os.urandom(800)
        clock = asyncio.get_running_loop()
        started = clock.time()
        while clock.time() - started < 2.0:
            platform.send(payload)
            await asyncio.sleep(0.05)
        service.process.kill()
        await ended(service)
        await platform.ended()
    path = recorded(tmp_path, platform.session_id)
    sent = len(platform.sent) // 2
    assert sent - soundfile.info(path).frames <= 8000
    assert json.loads(path.with_suffix(".json").read_bytes())["state"] == "recording"
    (outcome,) = recover(tmp_path / "recordings")
    assert outcome.result == "recovered"
    audio = path.read_bytes()[DATA_OFFSET:]
    assert audio == bytes(platform.sent)[: len(audio)]
    assert soundfile.info(path).frames == outcome.samples
    record = json.loads(path.with_suffix(".json").read_bytes())
    assert (record["state"], record["samples"]) == ("recovered", outcome.samples)


async def test_a_signal_drains_and_a_second_one_does_not_wait(serve: Serve, tmp_path: Path) -> None:
    async with serve("--no-auth") as service:
        platform = await Platform.to(service.uri)
        platform.send(b"\x01" * 1600)
        service.process.send_signal(signal.SIGINT)
        health = service.uri.replace("ws://", "http://").replace(
            "/api/v1/audiohook/ws", "/health/check"
        )

        def status() -> int:
            try:
                with urllib.request.urlopen(health, timeout=5) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                error.close()
                return error.code

        while await asyncio.to_thread(status) != 503:
            pass
        assert platform.is_open
        service.process.send_signal(signal.SIGINT)
        assert await ended(service) == 1
        await platform.ended()
    path = recorded(tmp_path, platform.session_id)
    assert path.read_bytes()[DATA_OFFSET:] == b"\x01" * 1600
    assert json.loads(path.with_suffix(".json").read_bytes())["ended_by"] == "shutdown"


async def test_the_end_of_the_last_call_ends_the_draining(serve: Serve) -> None:
    async with serve("--no-auth") as service:
        platform = await Platform.to(service.uri)
        service.process.send_signal(signal.SIGINT)
        assert (await platform.close()).is_clean
        assert await ended(service) == 0


async def test_no_authentication_is_loud(serve: Serve) -> None:
    async with serve("--no-auth") as service:
        platform = await Platform.to(service.uri, api_key="any", secret=b"any")
        await platform.close()
        service.process.send_signal(signal.SIGINT)
        await ended(service)
        assert b"NO AUTHENTICATION" in await service.log


async def test_a_full_disk_is_told_and_calls_go_on(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("a file where the directory should be")
    async with serve("--no-auth") as service:
        platform = await Platform.to(service.uri)
        platform.send(b"\x01" * 1600)
        assert (await platform.close()).is_clean
        service.process.send_signal(signal.SIGINT)
        assert await ended(service) == 0
        assert b"consumer degraded" in await service.log


def test_neither_credentials_nor_no_auth_is_wrong_usage() -> None:
    result = run("--port", "0")
    assert result.returncode == 2
    assert "--no-auth" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--no-auth", "--host", "0.0.0.0"), "--allow-remote-no-auth"),
        (("--no-auth", "--consumer", "nobody"), "no consumer is called 'nobody'"),
        (("--no-auth", "--port", "70000"), "70000"),
        (("--no-auth", "--tls-cert", "a"), "belong together"),
        (("--no-auth", "--tls-cert", "none.pem", "--tls-key", "none.pem"), "none.pem"),
        (("--api-key", "k", "--client-secret", "a b"), "not base64"),
        (("--credentials", "none.toml"), "none.toml: cannot be read"),
        (("--no-auth", "--config", "none.toml"), "none.toml: cannot be read"),
    ],
)
def test_wrong_usage_is_exit_2_with_a_sentence(options: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(main, ["serve", "--port", "0", *options])
    assert result.exit_code == 2, result.output
    assert message in result.output


@pytest.mark.parametrize("options", [("--port",), ("--port", "0", "--admin")])
def test_a_port_in_use_is_exit_1_and_named(options: tuple[str, ...]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        address = f"127.0.0.1:{port}" if options[-1] == "--admin" else str(port)
        result = run("--no-auth", *options, address)
    assert result.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}: another program has it" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("no.such.host.invalid:9090", "no such host"),
        ("203.0.113.9:9090", "the address is not one of this machine's"),
    ],
)
def test_an_admin_address_that_cannot_be_had_is_explained(address: str, message: str) -> None:
    result = run("--no-auth", "--port", "0", "--admin", address)
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stdout == ""


@pytest.fixture
def untouched() -> Iterator[None]:
    """What `serve` sets for its process is set back."""
    root = logging.getLogger()
    before, level, thresholds = root.handlers[:], root.level, gc.get_threshold()
    yield
    root.handlers[:] = before
    root.setLevel(level)
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("has_uvloop", [True, False])
def test_the_command_serves_reloads_and_ends_within_one_process(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    has_uvloop: bool,
) -> None:
    if not has_uvloop:
        monkeypatch.setitem(sys.modules, "uvloop", None)
    keys = tmp_path / "keys.toml"
    keys.write_text('[[credentials]]\napi_key = "key"\nclient_secret = ""\n')
    config = tmp_path / "service.toml"
    config.write_text('credentials = "keys.toml"\nport = 0\ndrain_grace_s = 0.0\n')
    told: list[Any] = []

    def operate() -> None:
        """Wait for the line, break the credentials, reload, mend them, reload, stop."""
        text = ""
        while "\n" not in text:
            text += capfd.readouterr().out
        told.append(text)
        keys.write_text("broken")
        log = ""
        os.kill(os.getpid(), signal.SIGHUP)
        while "reload failed" not in log:
            log += capfd.readouterr().err
        keys.write_text('[[credentials]]\napi_key = "key2"\nclient_secret = ""\n')
        os.kill(os.getpid(), signal.SIGHUP)
        while "credentials reloaded" not in log:
            log += capfd.readouterr().err
        os.kill(os.getpid(), signal.SIGTERM)

    operator = threading.Thread(target=operate, daemon=True)
    operator.start()
    options = ["serve", "--config", str(config), "--recordings", str(tmp_path / "r")]
    main(options, standalone_mode=False)
    operator.join(10)
    assert told[0].startswith("listening on ws://127.0.0.1:")


async def test_below_the_log_level_nothing_is_said(serve: Serve) -> None:
    async with serve("--no-auth", "--consumer", "recorder", "--log-level", "error") as service:
        service.process.send_signal(signal.SIGINT)
        assert await ended(service) == 0
        assert await service.log == b""


async def test_several_workers_are_one_service_with_one_line(serve: Serve, tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text('[[credentials]]\napi_key = "key"\nclient_secret = "c2VjcmV0"\n')
    options = ("--workers", "2", "--credentials", str(keys), "--drain-reconnect")
    async with serve(*options, OPENAUDIOHOOK_DRAIN_GRACE_S="0") as service:
        platforms = [await Platform.to(service.uri, secret=b"secret") for _ in range(12)]
        keys.write_text("broken")
        service.process.send_signal(signal.SIGHUP)
        for platform in platforms:
            platform.send(b"\x01" * 1600)
        service.process.send_signal(signal.SIGTERM)
        for platform in platforms:
            await until(lambda: platform.of(ReconnectRequested))  # noqa: B023
            assert (await platform.close()).is_clean
        assert await ended(service) == 0
        assert service.process.stdout is not None
        assert await service.process.stdout.read() == b""
        log = (await service.log).decode().splitlines()
    assert sum("reload failed" in line for line in log) == 1
    opened = [line for line in log if "session opened" in line]
    assert len(opened) == len(platforms)
    assert {line.rpartition("worker=")[2].split()[0] for line in opened} == {"0", "1"}
    for platform in platforms:
        path = recorded(tmp_path, platform.session_id)
        assert path.read_bytes()[DATA_OFFSET:] == b"\x01" * 1600


async def test_a_second_signal_stops_all_workers_at_once(serve: Serve, tmp_path: Path) -> None:
    async with serve("--no-auth", "--workers", "2") as service:
        platforms = [await Platform.to(service.uri) for _ in range(12)]
        service.process.send_signal(signal.SIGTERM)
        service.process.send_signal(signal.SIGINT)
        assert await ended(service) == 1
        await asyncio.gather(*(platform.ended() for platform in platforms))
        # Nobody is left who would hold it.
        await service.log


def test_a_port_in_use_is_exit_1_with_several_workers_too() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run("--no-auth", "--workers", "2", "--port", str(port))
    assert result.returncode == 1
    assert f"port {port}" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
