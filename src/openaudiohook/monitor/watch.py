"""What has to be looked at now and then while a Monitor runs.

Every second: how far each open session is, so that a crash loses no more of it; how long answers of
services take; and whether the journal and the database can be written. Every minute: secure pauses
that may have been forgotten, and conversations that nobody came back to. Every hour: the audit's
head goes out as an event, so that whoever keeps it finds a journal that was cut off.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final
from weakref import WeakKeyDictionary

from openaudiohook.exceptions import JournalError
from openaudiohook.fanout.endpoint import Endpoint
from openaudiohook.monitor.bulletins import Bulletins
from openaudiohook.monitor.custody import LiveCalls
from openaudiohook.monitor.directory import Directory
from openaudiohook.monitor.events import EventId
from openaudiohook.monitor.record import Record
from openaudiohook.monitor.regions import RoundTrips
from openaudiohook.store.journal import Journal
from openaudiohook.store.positions import Position, Positions
from openaudiohook.store.projector import Projector

__all__ = ["REMIND_AFTER_S", "Watch"]

REMIND_AFTER_S: Final = 300
"""How long a secure pause lasts when it is first reminded of; and how often it is from then on."""

ABANDONED_AFTER_S: Final = 24 * 3600
"""A conversation that nobody holds, and whose source has been lost for so long, is given up."""

_MINUTE: Final = 60
_HOUR: Final = 3600
_SECOND_NS: Final = 1_000_000_000

_log = logging.getLogger(__name__)


class Watch:
    """Looks after a platform. Time is given to it: `tick` is called every second.

    Args:
        keep: told hourly to keep what a restart needs to know.
        utc_ns: the wall clock.
        round_trips: keeps how long services take to answer, and judges that.
        remind_after_s: see `REMIND_AFTER_S`.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        positions: Positions,
        projector: Projector,
        record: Record,
        bulletins: Bulletins,
        directory: Directory,
        live_calls: LiveCalls,
        keep: Callable[[], Awaitable[None]],
        utc_ns: Callable[[], int],
        round_trips: RoundTrips,
        remind_after_s: int = REMIND_AFTER_S,
    ) -> None:
        self._journal = journal
        self._positions = positions
        self._projector = projector
        self._record = record
        self._bulletins = bulletins
        self._directory = directory
        self._live_calls = live_calls
        self._keep = keep
        self._utc_ns = utc_ns
        self._round_trips = round_trips
        self._measured: WeakKeyDictionary[Endpoint, int] = WeakKeyDictionary()
        self._remind_after_ns = remind_after_s * _SECOND_NS
        self._seconds = 0
        self._is_journal_away = False
        self._unrecorded = 0
        self._is_database_away = False
        self._exported = 0
        self._noted: set[str] = set()

    async def run(self) -> None:
        """Tick every second until cancelled."""
        while True:
            await asyncio.sleep(1)
            try:
                await self.tick()
            except Exception as error:  # whatever it is, the next second may be better
                _log.error("looking after the calls failed: %s", type(error).__name__)

    async def tick(self) -> None:
        """Do what is due a second after the last time."""
        self._seconds += 1
        self._note_positions()
        self._note_round_trips()
        await self._look_at_journal()
        self._look_at_database()
        if self._seconds % _MINUTE == 0:
            self.remind(within_ns=_MINUTE * _SECOND_NS)
            self._give_up()
        if self._seconds % _HOUR == 0:
            self.export_head()
            await self._keep()

    def remind(self, *, within_ns: int) -> None:
        """Raise an event for each secure pause that came to another multiple of the interval.

        Args:
            within_ns: since when that counts.
        """
        now_ns = self._utc_ns()
        for known in self._record.conversations.all():
            held = known.secure
            if not held:
                continue
            lasted = now_ns - min(one.utc_ns for one in held)
            due = lasted // self._remind_after_ns
            if due and (lasted - within_ns) // self._remind_after_ns < due:
                reasons = ", ".join(f"{one.reason} of {one.requester}" for one in held)
                self._bulletins.publish(
                    known.organization_id,
                    EventId.SECURE_PAUSE_REMINDER,
                    entity_type="call",
                    entity_id=known.conversation_id,
                    entity_name="",
                    text=f"it has lasted for {lasted // (_MINUTE * _SECOND_NS)} minutes; "
                    f"it is held by: {reasons}",
                    conversation_id=known.conversation_id,
                )

    def export_head(self) -> None:
        """Tell everybody who keeps it where the journal ends, unless nothing came since."""
        head = self._journal.head
        if head.number == self._exported:
            return
        self._tell_all(EventId.AUDIT_HEAD, str(head))
        self._exported = self._journal.head.number

    # ------------------------------------------------------------------------------------

    def _note_positions(self) -> None:
        sessions = self._record.conversations.sessions()
        positions = {}
        paused = {
            session_id: spans
            for call in self._live_calls.values()
            for session_id, spans in call.untold_pauses().items()
        }
        for session in sessions:
            call = self._live_calls.get((session.organization_id, session.conversation_id))
            if call is None or call.part != session.part or call.is_over:
                continue  # it is closing: the journal has the end of its call
            positions[session.session_id] = Position(
                session.organization_id,
                session.conversation_id,
                session.part,
                session.integration_id,
                call.position,
                tuple(paused.get(session.session_id, ())),
            )
        try:
            self._positions.note(positions)
            ended = self._noted - {session.session_id for session in sessions}
            for session_id in ended:
                self._positions.forget(session_id)  # the journal has its end
            self._noted = (self._noted | positions.keys()) - ended
        except JournalError as error:
            _log.warning("positions were not noted: %s", error)

    def _note_round_trips(self) -> None:
        for call in self._live_calls.values():
            for endpoint in call.running.endpoints:
                rtt_ns = endpoint.rtt_ns
                if rtt_ns is None or self._measured.get(endpoint) == rtt_ns:
                    continue
                self._measured[endpoint] = rtt_ns
                config = endpoint.config
                news = self._round_trips.note(config.integration_id, rtt_ns, region=config.region)
                if news is not None:
                    self._bulletins.publish(
                        call.organization_id,
                        news.event_id,
                        entity_type="integration",
                        entity_id=config.integration_id,
                        entity_name=config.name,
                        text=news.text,
                    )

    async def _look_at_journal(self) -> None:
        try:
            await self._record.sync()
        except JournalError as error:
            if not self._is_journal_away:
                self._is_journal_away = True
                self._tell_all(EventId.JOURNAL_NOT_WRITABLE, str(error))
        else:
            if self._is_journal_away:
                self._is_journal_away = False
                lost = self._record.unrecorded - self._unrecorded
                self._unrecorded += lost
                rest = f"; {lost} entries were too many to wait and are lost" if lost else ""
                self._tell_all(EventId.JOURNAL_WRITABLE, f"what had waited is written{rest}")

    def _look_at_database(self) -> None:
        if self._projector.is_away != self._is_database_away:
            self._is_database_away = self._projector.is_away
            if self._is_database_away:
                self._tell_all(EventId.DATABASE_AWAY, "reports wait until it is back")
            else:
                self._tell_all(EventId.DATABASE_BACK, f"{self._projector.lag} entries to go")

    def _give_up(self) -> None:
        oldest = self._utc_ns() - ABANDONED_AFTER_S * _SECOND_NS
        for known in self._record.conversations.all():
            if not known.is_attached and not known.held and known.utc_ns < oldest:
                self._record.conversations.forget(known)

    def _tell_all(self, event_id: EventId, text: str) -> None:
        for organization in self._directory.organizations:
            self._bulletins.publish(
                organization.id,
                event_id,
                entity_type="monitor",
                entity_id="monitor",
                entity_name="Monitor",
                text=text,
            )
