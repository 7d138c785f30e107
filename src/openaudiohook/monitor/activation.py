"""From what is wanted of an integration to what is: it is probed, and then it is active or not.

Switching on answers at once. The probe runs behind it, and what it finds decides: an integration
whose service answered is active, and calls that are monitored from then on are streamed to it; one
whose service did not is inactive, and says everything that went wrong.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace

from openaudiohook.auth import decode_secret
from openaudiohook.exceptions import (
    AudioHookError,
    ConfigurationError,
    NotFound,
    StoreUnavailable,
)
from openaudiohook.fanout.endpoint import EndpointConfig
from openaudiohook.monitor.directory import Directory
from openaudiohook.monitor.integrations import parse_custom_config
from openaudiohook.store.credentials import Credentials
from openaudiohook.store.integrations import Integrations
from openaudiohook.store.records import Integration, Status

__all__ = ["EDITED", "Activation", "Found", "Probe", "require_complete"]

EDITED: Final = (
    "the configuration was changed since: switch the integration off and on again "
    "for the changes to take effect"
)
"""Status text of an active integration that streams with an earlier configuration."""

_AGAIN_S: Final = 1.0

_log = logging.getLogger(__name__)


class Found(Protocol):
    """What a probe found: whether the service would do, and what there is to say about it."""

    @property
    def ok(self) -> bool:
        """Whether the service answered as it should."""

    @property
    def text(self) -> str:
        """What went wrong, each thing with how often it did; a word of praise else."""


Probe = Callable[[EndpointConfig, str], Awaitable[Found]]
"""Probes a service for an organization."""


class Activation:
    """Probes integrations that are switched on.

    Args:
        directory: what is told what is active.
        states: keeps what was found.
        keys: reveals credentials.
        probe: asks a service whether it would do.
        on_settled: told what was found of an integration.
        allow_clear_text: let `ws://` leave this machine.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        states: Integrations,
        keys: Credentials,
        probe: Probe,
        on_settled: Callable[[Integration, Found], None],
        allow_clear_text: bool = False,
    ) -> None:
        self._directory = directory
        self._states = states
        self._keys = keys
        self._probe = probe
        self._on_settled = on_settled
        self._allow_clear_text = allow_clear_text
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def config(self, integration: Integration) -> EndpointConfig:
        """Return what an integration streams with.

        Raises:
            ConfigurationError: it has no URI or no credential yet, or it cannot be used.
            StoreUnavailable: its credential cannot be read.
        """
        require_complete(integration)
        assert integration.credential_id is not None
        key, secret = await self._keys.reveal(
            integration.organization_id, integration.credential_id
        )
        custom = parse_custom_config(integration.advanced)
        return EndpointConfig(
            integration_id=integration.id,
            name=integration.name,
            uri=integration.connection_uri,
            api_key=key,
            client_secret=decode_secret(secret),
            channel=integration.channel,
            custom_config=custom or None,
            reconnections=integration.reconnections,
            retry_upgrade_5xx=integration.retry_upgrade_5xx,
            region=integration.region,
            frame_ms=integration.frame_ms,
            allow_clear_text=self._allow_clear_text,
        )

    def begin(self, integration: Integration) -> None:
        """Probe an integration, behind what was begun for it before."""
        key = integration.organization_id, integration.id
        self.cancel(*key)
        task = asyncio.create_task(self._activate(integration), name=f"probe {integration.id}")
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._over(key, done))

    def cancel(self, organization_id: str, integration_id: str) -> None:
        """Give up on a probe that is on its way."""
        task = self._tasks.pop((organization_id, integration_id), None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Give up on all of them."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _activate(self, integration: Integration) -> None:
        organization_id, id_ = integration.organization_id, integration.id
        try:
            config = await self.config(integration)
            found = await self._probe(config, organization_id)
        except AudioHookError as error:
            found = _Refused(str(error))
        except Exception as error:  # a mistake of ours must not leave it probing for ever
            _log.error("a probe was given up: %s", type(error).__name__)
            found = _Refused("the connection probe failed by a mistake of the Monitor's own")
        self._on_settled(self._directory.integration(organization_id, id_), found)
        if found.ok:
            self._directory.activate(organization_id, id_, config)
            await self._settle(integration, "ACTIVE", "")
        else:
            self._directory.deactivate(organization_id, id_)
            await self._settle(integration, "ERROR", found.text)

    async def _settle(self, probed: Integration, status: Status, found: str) -> None:
        """Keep what was found: at once in memory; a database that is away is asked again."""
        organization_id, id_ = probed.organization_id, probed.id
        now = self._directory.integration(organization_id, id_)
        self._directory.keep_integration(replace(now, status=status, status_text=found))
        while True:
            async with self._directory.changing(organization_id):
                # While nobody else changes it: what is there now may be newer than what was probed.
                now = self._directory.integration(organization_id, id_)
                is_edited = status == "ACTIVE" and now.version != probed.version
                text = EDITED if is_edited else found
                try:
                    settled = await self._states.set_state(
                        organization_id, id_, status=status, status_text=text
                    )
                except StoreUnavailable:
                    pass
                else:
                    self._directory.keep_integration(settled)
                    return
            await asyncio.sleep(_AGAIN_S)

    def _over(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, NotFound):  # it was deleted meanwhile
            _log.error("a probe was given up: %s", type(error).__name__)


class _Refused(NamedTuple):
    """What there is to say where nothing could be asked."""

    text: str
    ok: bool = False


def require_complete(integration: Integration) -> None:
    """Return for an integration that could be probed.

    Raises:
        ConfigurationError: something is missing; the text says what.
    """
    missing = [
        what
        for what, value in (
            ("connection URI", integration.connection_uri),
            ("credential", integration.credential_id),
        )
        if not value
    ]
    if missing:
        raise ConfigurationError(
            f"integration '{integration.name}' has no {' and no '.join(missing)} yet; "
            "put its configuration first"
        )
