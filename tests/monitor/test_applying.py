"""A configuration file applied to a platform: once, again, and after changes."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from tests.monitor.platforms import ORG, platform_in
from tests.monitor.services import KEY, SECRET, Service, serving, until

from openaudiohook.exceptions import TooManyIntegrations
from openaudiohook.monitor.applying import apply
from openaudiohook.monitor.config import MonitorConfig, load_monitor_config
from openaudiohook.monitor.platform import Platform
from openaudiohook.store.records import Integration, Queue

pytestmark = [pytest.mark.integration, pytest.mark.anyio]


def declared(tmp_path: Path, service: Service, *, key: str = KEY, more: str = "") -> MonitorConfig:
    path = tmp_path / "monitor.toml"
    path.write_text(
        f"""
[[organizations]]
id = "{ORG}"
name = "one"

[[integrations]]
name = "transcripts"
uri = "{service.uri}"
api_key = "{key}"
client_secret = "{base64.b64encode(SECRET).decode()}"
{more}

[[queues]]
name = "Sales"
enable_audio_monitoring = true
""",
        encoding="utf-8",
    )
    return load_monitor_config(path, environment={})


async def settled(platform: Platform) -> Integration:
    (integration,) = await platform.integrations(ORG)
    directory = platform._directory
    await until(lambda: directory.integration(ORG, integration.id).status != "PROBING")
    return directory.integration(ORG, integration.id)


async def test_what_is_declared_is_made_and_a_second_time_nothing_is_done(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        config = declared(tmp_path, service)
        assert await apply(platform, config) == [
            "queue 'Sales' created",
            "integration 'transcripts' created",
            "integration 'transcripts' configured",
            "integration 'transcripts' switched on",
        ]
        integration = await settled(platform)
        assert (integration.status, integration.version) == ("ACTIVE", 2)
        assert await apply(platform, config) == []
        assert (await settled(platform)).version == 2
        acted = [entry for _, entry in await platform.audit(ORG, requester="configuration")]
        assert len(acted) >= 4


async def test_what_differs_is_changed_and_probed_anew(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        await apply(platform, declared(tmp_path, service))
        await settled(platform)
        changed = declared(tmp_path, service, more='channel = "external"')
        assert await apply(platform, changed) == [
            "integration 'transcripts' configured",
            "integration 'transcripts' switched on",
        ]
        integration = await settled(platform)
        assert (integration.channel, integration.status, integration.status_text) == (
            "external", "ACTIVE", "",
        )  # fmt: skip
        assert len(service.sessions) == 2


async def test_a_new_key_replaces_the_credential(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        await apply(platform, declared(tmp_path, service))
        first = (await settled(platform)).credential_id
        await apply(platform, declared(tmp_path, service, key="another"))
        integration = await settled(platform)
        assert integration.credential_id != first
        assert (integration.status, "Authentication" in integration.status_text) == ("ERROR", True)
        assert [one.id for one in await platform.credentials(ORG)] == [integration.credential_id]


async def test_one_that_is_not_to_be_active_is_switched_off(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        await apply(platform, declared(tmp_path, service))
        await settled(platform)
        off = declared(tmp_path, service, more="active = false")
        assert await apply(platform, off) == ["integration 'transcripts' deactivated"]
        assert (await settled(platform)).status == "INACTIVE"
        assert await apply(platform, off) == []


async def test_what_is_not_declared_is_left_alone(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        other = await platform.create_integration(ORG, name="other", requester="client:a")
        queue = Queue(id="", organization_id=ORG, name="Other", enable_transcription=True)
        await platform.create_queue(ORG, queue, requester="client:a")
        await apply(platform, declared(tmp_path, service))
        names = {one.name: one for one in await platform.integrations(ORG)}
        assert names["other"] == other
        assert {one.name for one in await platform.queues(ORG)} == {"Other", "Sales"}


async def test_a_queue_follows_its_declaration(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        config = declared(tmp_path, service)
        await apply(platform, config)
        (queue,) = await platform.queues(ORG)
        off = Queue(id=queue.id, organization_id=ORG, name="Sales", version=queue.version)
        await platform.put_queue(ORG, off, seen_version=queue.version, requester="client:a")
        assert "queue 'Sales' changed" in await apply(platform, config)
        (queue,) = await platform.queues(ORG)
        assert queue.enable_audio_monitoring


async def test_a_sixth_integration_is_refused(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        for number in range(5):
            await platform.create_integration(ORG, name=str(number), requester="client:a")
        with pytest.raises(TooManyIntegrations):
            await apply(platform, declared(tmp_path, service))
