"""A Monitor put together from its configuration: journal, database, platform, control interface."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.monitor.api.server import ControlServer
from openaudiohook.monitor.applying import apply
from openaudiohook.monitor.config import MonitorConfig
from openaudiohook.monitor.monitor import Monitor
from openaudiohook.monitor.platform import Platform
from openaudiohook.monitor.tracing import TraceFiles
from openaudiohook.store.database import Database
from openaudiohook.store.journal import Journal
from openaudiohook.store.keys import KEY_VARIABLE, audit_key, load_master_key
from openaudiohook.store.positions import Positions
from openaudiohook.store.sealing import Sealer
from openaudiohook.transport.tls import client_tls

__all__ = ["Assembled", "assembled"]


class Assembled(NamedTuple):
    """A Monitor that runs.

    Attributes:
        platform: what it serves.
        server: the control interface; it listens.
        applied: what was done to bring the platform to its configuration, in words.
    """

    platform: Platform
    server: ControlServer
    applied: list[str]


@contextlib.asynccontextmanager
async def assembled(
    config: MonitorConfig, *, keeps_evidence: bool = False
) -> AsyncIterator[Assembled]:
    """Run a Monitor until the context is left; then its calls are closed in good order.

    Args:
        config: what it is told. The key is taken from `OPENAUDIOHOOK_MONITOR_KEY`, else from its
            file, which is made where there is none.
        keeps_evidence: see `Monitor`.

    Raises:
        ConfigurationError: something that is configured cannot be used.
        StoreUnavailable: the database does not answer. Nothing was begun.
        JournalError: the journal cannot be used, or another Monitor has it.
    """
    media_dir, state = _directories(config)
    ssl = None if config.ca_file is None else client_tls(Path(config.ca_file))
    master = load_master_key(config.key_path, os.environ.get(KEY_VARIABLE), create=True)
    async with contextlib.AsyncExitStack() as stack:
        database = await Database.open(config.store_url)
        stack.push_async_callback(database.close)
        journal = Journal.open(state / "journal", key=audit_key(master))
        stack.callback(journal.close)
        positions = Positions.open(state / "journal")
        stack.callback(positions.close)
        platform = Platform(
            database=database,
            journal=journal,
            positions=positions,
            sealer=Sealer(master),
            monitor=Monitor(free_pauses=config.free_pauses, ssl=ssl, keeps_evidence=keeps_evidence),
            media_dir=media_dir,
            traces=None if config.trace_dir is None else TraceFiles(Path(config.trace_dir)),
            allow_ws=config.allow_ws,
            region=config.region,
            free_pauses=config.free_pauses,
        )
        await platform.start()
        stack.push_async_callback(platform.stop)
        applied = await apply(platform, config)
        server = ControlServer(
            platform,
            config.clients,
            host=config.host,
            port=config.port,
            token_seconds=config.token_seconds,
            requests_per_minute=config.requests_per_minute,
        )
        await stack.enter_async_context(server)
        yield Assembled(platform, server, applied)


def _directories(config: MonitorConfig) -> tuple[Path | None, Path]:
    """Look for the media, and make the state directory where there is none."""
    media_dir = None if config.media_dir is None else Path(config.media_dir)
    if media_dir is not None and not media_dir.is_dir():
        raise ConfigurationError(
            f"media_dir: {media_dir} is no directory; make it, or name another"
        )
    state = Path(config.state_dir)
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"state_dir: {state}: {error.strerror}") from None
    return media_dir, state
