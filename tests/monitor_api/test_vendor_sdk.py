"""The platform's own SDK configures and steers a Monitor; only its host is another one."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.monitor.platforms import ORG
from tests.monitor.services import KEY, until
from tests.monitor_api.controls import ADMIN, CREDENTIAL_FIELDS, Control, controlled

from openaudiohook.host.consumer import (
    AudioFrame,
    Capabilities,
    Consumer,
    PerSession,
    Reply,
    SessionInfo,
)
from openaudiohook.service.config import ServiceConfig
from openaudiohook.service.service import Service

pytest.importorskip("PureCloudPlatformClientV2")
pytestmark = pytest.mark.peer

SCRIPT = Path(__file__).with_name("vendor_script.py")


class Ear(Consumer):
    """Notes what one session is told."""

    name = "ear"
    capabilities = Capabilities()

    def __init__(self, made: list[Ear]) -> None:
        self.session: SessionInfo | None = None
        self.told: list[str] = []
        self.samples = 0
        made.append(self)

    async def open(self, session: SessionInfo, reply: Reply) -> None:
        self.session = session

    def audio(self, frame: AudioFrame) -> None:
        self.samples += frame.samples

    def paused(self, position: int) -> None:
        self.told.append("paused")

    def resumed(self, start: int, discarded: int) -> None:
        self.told.append("resumed")

    async def close(self, reason: str) -> None:
        self.told.append(reason)


async def run_script(control: Control, uri: str, home: Path) -> dict[str, Any]:
    """Run the script as its author would: its own process, its own home."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SCRIPT),
        *(control.server.uri, ADMIN.id, ADMIN.secret, uri, KEY),
        CREDENTIAL_FIELDS["clientSecret"],
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return dict(json.loads(out))


async def call_the_queue(control: Control) -> str:
    """Place a call as soon as a queue is switched on."""
    directory = control.platform._directory
    await until(
        lambda: any(one.enable_audio_monitoring for one in directory.queues(ORG)), bound_s=60
    )
    return await control.place(queueId=directory.queues(ORG)[0].id)


@pytest.mark.anyio
async def test_a_script_of_the_platforms_sdk_runs_with_only_its_host_changed(
    tmp_path: Path,
) -> None:
    made: list[Ear] = []
    ears = PerSession(lambda: Ear(made), name=Ear.name, capabilities=Ear.capabilities)
    config = ServiceConfig(
        port=0, api_key=KEY, client_secret=CREDENTIAL_FIELDS["clientSecret"], recordings=None
    )
    async with (
        Service(config, consumers=[ears]) as service,
        controlled(tmp_path) as control,
    ):
        placing = asyncio.create_task(call_the_queue(control))
        seen = await run_script(control, service.uri, tmp_path)
        conversation_id = await placing
        probes = service.metrics.registry.get_sample_value("openaudiohook_service_probes_total")
        await until(lambda: len(made) == 5 and all(ear.told[-1:] == ["end"] for ear in made))

    assert seen["types"] == ["audiohook"]
    assert seen["sixth"]["status"] == 409
    assert set(seen["sixth"]) == {"message", "code", "status", "contextId", "details", "errors"}
    assert seen["sixth"]["code"] == "too.many.integrations"
    assert probes == 5
    assert seen["states"] == ["ACTIVE"] * 5
    assert seen["pages"] == [2, 2, 1]
    assert seen["total"] == 5
    assert seen["queue"] is True
    assert seen["queues"] == ["support"]
    assert seen["conversation"] == conversation_id
    assert seen["calls"] == [conversation_id]
    active, paused = ["ACTIVE", False], ["PAUSED", True]
    assert seen["recording"] == [active, paused, paused, active, paused, active]
    assert seen["left"] == [0, 0, 0]
    assert seen["gone"] == 404
    for ear in made:
        assert ear.session is not None
        assert ear.session.conversation_id == conversation_id
        assert ear.told == ["paused", "resumed", "paused", "resumed", "end"]
    configs = [ear.session.custom_config or {} for ear in made if ear.session is not None]
    assert sorted(config["number"] for config in configs) == [1, 2, 3, 4, 5]
