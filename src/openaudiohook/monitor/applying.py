"""Bringing a platform to what a configuration file declares, and nothing beyond.

It may be done as often as one likes: what is as declared is left alone, and what is not declared,
too. Integrations and queues are known by their names within an organization. Nothing is deleted
but a credential that another one has replaced.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.monitor.config import MonitorConfig
from openaudiohook.monitor.declared import DeclaredIntegration, DeclaredQueue
from openaudiohook.monitor.platform import Platform
from openaudiohook.store.records import Integration, Queue

__all__ = ["REQUESTER", "apply"]

REQUESTER: Final = "configuration"
"""Who the audit says it was."""


async def apply(platform: Platform, config: MonitorConfig) -> list[str]:
    """Create, change and switch what differs from the configuration; return what was done.

    An integration that is to be active and was changed is switched off and on again, and so
    probed anew. The probe runs behind: it is not waited for.

    Args:
        platform: a platform that was started.
        config: what is wanted.

    Raises:
        ConfigurationError: it cannot be had, for example a sixth integration.
        StoreUnavailable: the database is away.
    """
    done: list[str] = []
    for organization in config.organizations:
        if organization not in platform.organizations():
            await platform.put_organization(organization, requester=REQUESTER)
            done.append(f"organization '{organization.name}' put")
    for queue in config.queues:
        done += await _apply_queue(platform, queue)
    for integration in config.integrations:
        done += await _apply_integration(platform, integration)
    return done


async def _apply_queue(platform: Platform, wanted: DeclaredQueue) -> Iterable[str]:
    owner = wanted.organization_id
    here = next((one for one in await platform.queues(owner) if one.name == wanted.name), None)
    target = Queue(
        id="" if here is None else here.id,
        organization_id=owner,
        name=wanted.name,
        version=1 if here is None else here.version,
        enable_audio_monitoring=wanted.enable_audio_monitoring,
        enable_transcription=wanted.enable_transcription,
        language=wanted.language,
        hold_back_ms=wanted.hold_back_ms,
    )
    if here is None:
        await platform.create_queue(owner, target, requester=REQUESTER)
        return [f"queue '{wanted.name}' created"]
    if here != target:
        await platform.put_queue(owner, target, seen_version=here.version, requester=REQUESTER)
        return [f"queue '{wanted.name}' changed"]
    return []


async def _apply_integration(platform: Platform, wanted: DeclaredIntegration) -> list[str]:
    owner = wanted.organization_id
    done = []
    present = await platform.integrations(owner)
    here = next((one for one in present if one.name == wanted.name), None)
    if here is None:
        here = await platform.create_integration(owner, name=wanted.name, requester=REQUESTER)
        done.append(f"integration '{wanted.name}' created")
    credential_id, replaced = await _credential(platform, wanted, here)
    target = replace(
        here,
        channel=wanted.channel,
        connection_uri=wanted.uri,
        reconnections=wanted.reconnections,
        retry_upgrade_5xx=wanted.retry_upgrade_5xx,
        region=wanted.region,
        frame_ms=wanted.frame_ms,
        advanced=wanted.advanced,
        notes=wanted.notes,
        credential_id=credential_id,
    )
    is_changed = target != here
    if is_changed:
        here = await platform.put_configuration(
            owner, target, seen_version=here.version, requester=REQUESTER
        )
        done.append(f"integration '{wanted.name}' configured")
    if replaced is not None:
        with contextlib.suppress(ConfigurationError):  # somebody else uses it
            await platform.delete_credential(owner, replaced, requester=REQUESTER)
    return done + await _switch(platform, wanted, here, is_changed=is_changed)


async def _credential(
    platform: Platform, wanted: DeclaredIntegration, here: Integration
) -> tuple[str, str | None]:
    """Return the id of the credential to use, and that of the one it replaces."""
    owner, present = wanted.organization_id, here.credential_id
    if present is not None and await platform.is_credential(
        owner, present, api_key=wanted.api_key, client_secret=wanted.client_secret
    ):
        return present, None
    created = await platform.create_credential(
        owner,
        name=wanted.name,
        api_key=wanted.api_key,
        client_secret=wanted.client_secret,
        requester=REQUESTER,
    )
    return created.id, present


async def _switch(
    platform: Platform, wanted: DeclaredIntegration, here: Integration, *, is_changed: bool
) -> list[str]:
    """Switch on, off, or on anew where that is wanted and not so."""
    owner = wanted.organization_id
    is_on = here.intended_state == "ENABLED"
    if wanted.active is None or (not wanted.active and not is_on):
        return []
    if not wanted.active:
        await platform.set_intended_state(owner, here.id, "DISABLED", requester=REQUESTER)
        return [f"integration '{wanted.name}' deactivated"]
    if is_on and not is_changed and here.status in ("ACTIVE", "PROBING"):
        return []
    await platform.set_intended_state(owner, here.id, "ENABLED", requester=REQUESTER)
    return [f"integration '{wanted.name}' switched on"]
