"""The examples run, as their readers will run them."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path
from types import ModuleType

import pytest

from openaudiohook.audio import ulaw
from openaudiohook.audio.wav_writer import WavWriter
from openaudiohook.exceptions import ConfigurationError
from openaudiohook.fanout.endpoint import Endpoint, EndpointConfig
from openaudiohook.host.consumer import Entity
from openaudiohook.monitor import Monitor, single_play
from openaudiohook.monitor.sources.wav import WavFile
from openaudiohook.protocol.events import EntitiesReceived, SessionEvent
from openaudiohook.service.config import load_config
from openaudiohook.service.service import Service

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
RUN_HERE = {"five_endpoints.py", "fork_a_wav.py", "loudness.py", "silence_alert.py"}
RUN_BY_A_PAGE = {"secure_call.py"}  # docs/howto/administer-the-monitor.md, which is followed
LEVEL = re.compile(r" +([0-9]+) s +(-[0-9.]+) dBFS\n")
CREDENTIALS = {
    "OPENAUDIOHOOK_API_KEY": "test-key",
    "OPENAUDIOHOOK_CLIENT_SECRET": "c2VjcmV0LW9mLWEtdGVzdA==",
}


def silent_wav(path: Path, *, seconds: int) -> Path:
    with path.open("wb", buffering=0) as file:
        wav = WavWriter(file, channels=2)
        wav.append(ulaw.silence(2 * 8000 * seconds))
        wav.settle()
    return path


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def a_service(tmp_path: Path, **arguments: object) -> Service:
    options = {"port": 0, "recordings": str(tmp_path / "recordings")}
    return Service(load_config(environment=CREDENTIALS, options=options), **arguments)  # type: ignore[arg-type]


async def printed_by(example: str, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / example), *arguments,
        env={**os.environ, **CREDENTIALS}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


def test_every_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == RUN_HERE | RUN_BY_A_PAGE


def test_loudness_prints_a_level_for_each_second_of_a_call() -> None:
    environment = {**os.environ, **CREDENTIALS, "OPENAUDIOHOOK_PORT": "0"}
    with subprocess.Popen(
        [sys.executable, EXAMPLES / "loudness.py"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as service:
        try:
            assert service.stdout is not None
            ready = service.stdout.readline()
            uri = ready.removeprefix("listening on ").strip()
            assert uri.startswith("ws://127.0.0.1:"), ready
            subprocess.run(
                [sys.executable, "-m", "openaudiohook", "call", "--uri", uri, "--tone", "3",
                 "--speed", "10"],
                env=environment, capture_output=True, check=True, timeout=60,
            )  # fmt: skip
            levels = (LEVEL.fullmatch(line) for line in service.stdout)
            printed = list(islice((level for level in levels if level), 3))
        finally:
            service.terminate()
    assert [int(level[1]) for level in printed] == [0, 1, 2]
    assert all(-40 < float(level[2]) < 0 for level in printed)


@pytest.mark.anyio
async def test_fork_a_wav_streams_the_file_and_accounts_for_it(tmp_path: Path) -> None:
    wav = silent_wav(tmp_path / "call.wav", seconds=1)
    async with a_service(tmp_path) as service:
        printed = await printed_by("fork_a_wav.py", str(wav), service.uri)
    assert "recorder: completed, 8000 of 8000 samples sent" in printed
    (recording,) = (tmp_path / "recordings").rglob("*.wav")
    assert recording.read_bytes().endswith(ulaw.silence(16_000))


@pytest.mark.anyio
async def test_five_endpoints_all_get_the_same_and_none_the_secure_second(tmp_path: Path) -> None:
    async with a_service(tmp_path) as service:
        printed = await printed_by("five_endpoints.py", service.uri)
    accounts = re.findall(
        r"integration \d: completed, sent (\d+), paused (\d+), .* of (\d+) samples, SHA-256 (\w+)",
        printed,
    )
    assert len(accounts) == 5
    assert len(set(accounts)) == 1
    assert accounts[0][:3] == ("16000", "8000", "24000")


@pytest.mark.anyio
async def test_silence_alert_tells_the_platform_once(tmp_path: Path) -> None:
    wav = silent_wav(tmp_path / "call.wav", seconds=3)
    heard: list[Entity] = []

    def on_event(endpoint: Endpoint, event: SessionEvent) -> None:
        if isinstance(event, EntitiesReceived):
            heard.extend(event.entities)

    alert = loaded("silence_alert").factory
    async with a_service(tmp_path, consumers=[alert({"after_s": 1})]) as service:
        endpoint = EndpointConfig(
            name="alert",
            uri=service.uri,
            api_key=CREDENTIALS["OPENAUDIOHOOK_API_KEY"],
            client_secret=b"secret-of-a-test",
        )
        running = Monitor().start(
            single_play(WavFile(path=wav)), [endpoint], speed=4, on_event=on_event
        )
        report = await running.finished()
    assert report.is_good
    assert [entity.type for entity in heard] == ["silence"]
    with pytest.raises(ConfigurationError, match="after_s"):
        alert({"after_s": 0})
