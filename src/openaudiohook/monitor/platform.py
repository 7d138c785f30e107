"""The Monitor as a platform: what is configured, the calls, and what is known of them.

The one counterpart of every interface: the control API, the command line, a configuration file.
Every method names the organization first; what belongs to another organization is not there. An
act travels one way: it is checked, it is done to the call, it is written into the journal, it is
answered; the database follows the journal by itself. Only the end of a secure pause is written
first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from openaudiohook.exceptions import JournalError
from openaudiohook.fanout.endpoint import EndpointConfig
from openaudiohook.monitor import recovery
from openaudiohook.monitor.activation import Activation, Found, Probe
from openaudiohook.monitor.bulletins import Bulletins
from openaudiohook.monitor.conversations import Conversations
from openaudiohook.monitor.directory import Directory
from openaudiohook.monitor.events import EventId
from openaudiohook.monitor.integration_desk import IntegrationDesk
from openaudiohook.monitor.metering import FREE_PAUSES
from openaudiohook.monitor.monitor import Monitor
from openaudiohook.monitor.probe import probe
from openaudiohook.monitor.record import Record
from openaudiohook.monitor.regions import RoundTrips
from openaudiohook.monitor.reports import Reports
from openaudiohook.monitor.switchboard import Switchboard
from openaudiohook.monitor.tracing import TraceFiles
from openaudiohook.monitor.watch import REMIND_AFTER_S, Watch
from openaudiohook.protocol.types import PauseCause
from openaudiohook.store.credentials import Credentials
from openaudiohook.store.database import Database
from openaudiohook.store.events import Audit, Events
from openaudiohook.store.integrations import Integrations
from openaudiohook.store.journal import Journal
from openaudiohook.store.ledger import Ledger
from openaudiohook.store.organizations import Organizations
from openaudiohook.store.positions import Positions
from openaudiohook.store.projector import Projector
from openaudiohook.store.queues import Queues
from openaudiohook.store.records import Integration
from openaudiohook.store.sealing import Sealer

__all__ = ["Platform"]

_STOP_S: Final = 15.0
"""How long sessions have for their good-bye: a `close` may be answered within 10 s."""

_CONVERSATIONS: Final = "conversations.sealed"

_log = logging.getLogger(__name__)


class Platform(IntegrationDesk, Switchboard, Reports):
    """A Monitor that serves organizations. `start` it before anything else, and `stop` it.

    What it is given it does not close. Its methods are those of `Administration` and
    `IntegrationDesk` (what is configured), of `Switchboard`, `Steering` and `Custody` (calls, what
    is done to them, and their pauses), and of `Reports`.

    Args:
        database: where what is configured is kept, and what reports are made of.
        journal: the truth of what happened.
        positions: how far open sessions are.
        sealer: seals credentials.
        monitor: what runs calls.
        media_dir: where what calls play is; None for tones only.
        traces: where sessions are traced; None for not at all.
        allow_ws: let `ws://` leave this machine.
        region: where the Monitor runs; empty where nobody said.
        free_pauses: the causes whose time is not charged.
        remind_after_s: how long a secure pause lasts when an event reminds of it.
        probe_endpoint: asks a service whether it would do.
        new_id: makes UUIDs.
        utc_ns: the wall clock.
    """

    def __init__(
        self,
        *,
        database: Database,
        journal: Journal,
        positions: Positions,
        sealer: Sealer,
        monitor: Monitor,
        media_dir: Path | None = None,
        traces: TraceFiles | None = None,
        allow_ws: bool = False,
        region: str = "",
        free_pauses: Collection[PauseCause] = FREE_PAUSES,
        remind_after_s: int = REMIND_AFTER_S,
        probe_endpoint: Probe | None = None,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        utc_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._journal = journal
        self._positions = positions
        self._sealer = sealer
        directory, integrations = Directory(), Integrations(database)
        credentials = Credentials(database, sealer)
        record = Record(journal, Conversations())
        bulletins = Bulletins(record, utc_ns=utc_ns)
        self._projector = projector = Projector(journal, database)
        round_trips = RoundTrips(region=region)
        self._activation = Activation(
            directory,
            states=integrations,
            keys=credentials,
            probe=probe_endpoint or _probing(monitor),
            on_settled=self._settled,
            allow_clear_text=allow_ws,
        )
        Switchboard.__init__(
            self,
            directory,
            monitor=monitor,
            record=record,
            bulletins=bulletins,
            media_dir=media_dir,
            traces=traces,
            new_id=new_id,
            utc_ns=utc_ns,
        )
        IntegrationDesk.__init__(
            self,
            directory,
            organizations=Organizations(database),
            integrations=integrations,
            credentials=credentials,
            queues=Queues(database),
            activation=self._activation,
            record=record,
            on_switched_off=self._switched_off,
            new_id=new_id,
            utc_ns=utc_ns,
            allow_ws=allow_ws,
            round_trips=round_trips,
        )
        Reports.__init__(
            self,
            directory,
            ledger=Ledger(database),
            integrations=integrations,
            events=Events(database),
            audit=Audit(database),
            projector=projector,
            bulletins=bulletins,
            free_pauses=free_pauses,
        )
        self._watch = Watch(
            journal=journal,
            positions=positions,
            projector=projector,
            record=record,
            bulletins=bulletins,
            directory=directory,
            live_calls=self._live_calls,
            keep=self._keep,
            utc_ns=utc_ns,
            round_trips=round_trips,
            remind_after_s=remind_after_s,
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Read what is configured and what is known of conversations, and begin to serve.

        Sessions that a Monitor before this one left open are closed where they had come to.

        Raises:
            StoreUnavailable: the database cannot be used; nothing was begun.
            StoreError: a credential does not open with this key, the journal cannot be read, or
                the database is another journal's.
        """
        await self._projector.begin()
        await self.load()
        kept = self._journal.directory / _CONVERSATIONS
        await asyncio.to_thread(
            recovery.load, self._record.conversations, self._journal, kept, sealer=self._sealer
        )
        left = recovery.close_left_open(self._record, self._positions, utc_ns=self._utc_ns())
        for known in left:
            self._publish(
                (known.organization_id, known.conversation_id),
                EventId.SOURCE_LOST,
                "the Monitor was stopped while the call went on",
            )
        for organization_id, calls in Counter(known.organization_id for known in left).items():
            text = f"{calls} call{' was' if calls == 1 else 's were'} cut off"
            self._tell(organization_id, EventId.MONITOR_RESTARTED, text)
        if self._journal.torn:
            for organization in self._directory.organizations:
                text = f"{self._journal.torn} octets were cut off"
                self._tell(organization.id, EventId.JOURNAL_REPAIRED, text)
        await self._keep()
        self._tasks = [
            asyncio.create_task(self._projector.run(), name="projector"),
            asyncio.create_task(self._watch.run(), name="watch"),
        ]

    async def stop(self) -> None:
        """Close every session in good order, export the audit's head, and stop."""
        await self._activation.close()
        await self.hang_up_all(within_s=_STOP_S)
        self._watch.export_head()
        self._bulletins.close()
        with contextlib.suppress(JournalError):  # it said so when it could not be written
            await self._record.sync()
        await self._projector.caught_up()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._keep()

    @property
    def failed(self) -> asyncio.Future[None]:
        """Done only if following the journal failed for good: then the Monitor should stop."""
        return self._tasks[0]

    # ------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Keep what a restart needs to know, so that it need not read the whole journal."""
        sealed = recovery.snapshot(self._record.conversations, self._journal, sealer=self._sealer)
        try:
            await self._record.sync()
            await asyncio.to_thread(
                recovery.write, sealed, self._journal.directory / _CONVERSATIONS
            )
        except (JournalError, OSError) as error:
            _log.warning("what a restart needs was not kept: %s", type(error).__name__)

    def _settled(self, integration: Integration, found: Found) -> None:
        if found.ok:
            self._monitor.cut_offs.forgive(integration.id)  # somebody has seen to it
        self._bulletins.publish(
            integration.organization_id,
            EventId.ACTIVATED if found.ok else EventId.ACTIVATION_FAILED,
            entity_type="integration",
            entity_id=integration.id,
            entity_name=integration.name,
            text=found.text,
        )

    def _switched_off(self, integration: Integration) -> None:
        self.close_sessions(integration.organization_id, integration.id)
        self._bulletins.publish(
            integration.organization_id,
            EventId.DEACTIVATED,
            entity_type="integration",
            entity_id=integration.id,
            entity_name=integration.name,
            text="it was switched off; its live sessions were closed",
        )

    def _tell(self, organization_id: str, event_id: EventId, text: str) -> None:
        self._bulletins.publish(
            organization_id,
            event_id,
            entity_type="monitor",
            entity_id="monitor",
            entity_name="Monitor",
            text=text,
        )


def _probing(monitor: Monitor) -> Probe:
    """Probe with what the Monitor's calls use."""

    async def ask(config: EndpointConfig, organization_id: str) -> Found:
        return await probe(
            config, organization_id, ssl=monitor.ssl, timers=monitor.timers, new_id=monitor.new_id
        )

    return ask
