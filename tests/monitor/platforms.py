"""A platform to try: its state in a directory, services to stream to, and a tone to stream."""

from __future__ import annotations

import base64
import resource
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from tests.monitor.services import KEY, SECRET, until

from openaudiohook.monitor.media import SourceRequest
from openaudiohook.monitor.monitor import Monitor
from openaudiohook.monitor.platform import Platform
from openaudiohook.store.database import Database
from openaudiohook.store.entries import Entry
from openaudiohook.store.journal import Journal
from openaudiohook.store.keys import audit_key
from openaudiohook.store.positions import Positions
from openaudiohook.store.records import Integration, Organization, Queue
from openaudiohook.store.sealing import Sealer

ORG = "d7934305-0972-4844-938e-9060eef73d05"
OTHER = "11111111-2222-4333-8444-555555555555"
MASTER = bytes(range(32))
ADMIN = "client:admin"
TONE = SourceRequest(tone=Decimal(600))


@asynccontextmanager
async def platform_in(
    directory: Path, *, master: bytes = MASTER, **settings: Any
) -> AsyncIterator[Platform]:
    """Run a platform whose state is in a directory; what it was left there it finds."""
    url = f"sqlite:///{directory / 'monitor.sqlite'}"
    database = await Database.open(url, busy_timeout_ms=100)
    try:
        journal = Journal.open(directory / "journal", key=audit_key(master))
        try:
            positions = Positions.open(directory / "journal")
            try:
                platform = Platform(
                    database=database,
                    journal=journal,
                    positions=positions,
                    sealer=Sealer(master),
                    monitor=settings.pop("monitor", None) or Monitor(),
                    **settings,
                )
                await platform.start()
                for id_, name in ((ORG, "one"), (OTHER, "other")):
                    await platform.put_organization(
                        Organization(id=id_, name=name), requester="configuration"
                    )
                try:
                    yield platform
                finally:
                    await platform.stop()
            finally:
                positions.close()
        finally:
            journal.close()
    finally:
        await database.close()


class Listening(Protocol):
    """A service that can be streamed to."""

    @property
    def uri(self) -> str: ...


async def integrate(
    platform: Platform,
    service: Listening,
    *,
    name: str = "one",
    key: str = KEY,
    secret: bytes = SECRET,
    **settings: Any,
) -> Integration:
    """Create an integration for a service, and have it active."""
    credential = await platform.create_credential(
        ORG,
        name=name,
        api_key=key,
        client_secret=base64.b64encode(secret).decode(),
        requester=ADMIN,
    )
    created = await platform.create_integration(ORG, name=name, requester=ADMIN)
    wanted = Integration(
        id=created.id,
        organization_id=ORG,
        name=name,
        connection_uri=service.uri,
        credential_id=credential.id,
        **settings,
    )
    await platform.put_configuration(ORG, wanted, seen_version=1, requester=ADMIN)
    await platform.set_intended_state(ORG, created.id, "ENABLED", requester=ADMIN)
    return await settled(platform, created.id)


async def settled(platform: Platform, integration_id: str) -> Integration:
    """Wait for an integration's probe."""
    directory = platform._directory
    await until(lambda: directory.integration(ORG, integration_id).status != "PROBING")
    return directory.integration(ORG, integration_id)


async def queue_on(platform: Platform, **settings: Any) -> Queue:
    """Create a queue that is switched on."""
    queue = Queue(
        id="", organization_id=ORG, name="support", enable_audio_monitoring=True, **settings
    )
    return await platform.create_queue(ORG, queue, requester=ADMIN)


async def entries_of(platform: Platform, conversation_id: str) -> list[Entry]:
    """Everything that the journal has about a conversation, by way of the database."""
    await platform._projector.caught_up()
    record = await platform._ledger.conversation(ORG, conversation_id)
    return [entry for _, entry in record.entries]


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow meanwhile: the journal's as little as the database's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@asynccontextmanager
async def database_away(directory: Path) -> AsyncIterator[None]:
    """Somebody else holds the database locked."""
    lock = sqlite3.connect(directory / "monitor.sqlite", isolation_level=None, timeout=0)
    try:
        await until(lambda: _is_locked(lock))
        yield
    finally:
        lock.close()


def _is_locked(lock: sqlite3.Connection) -> bool:
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:  # whoever has it needs the loop to be done with it
        return False
    return True
