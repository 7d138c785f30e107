"""The projector: copies the journal into the database, in order, each entry exactly once.

The number of the last entry that was copied is kept in the same transaction as what it changed, so
that a crash between the two cannot be. A database that is away delays the copy and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from sqlalchemy import or_, select, update

from openaudiohook.exceptions import JournalError, StoreError
from openaudiohook.store.database import Database
from openaudiohook.store.entries import Entry
from openaudiohook.store.projection import project
from openaudiohook.store.tables import projection

__all__ = ["JournalSource", "Projector"]

_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0

_log = logging.getLogger(__name__)


class _Numbered(Protocol):
    @property
    def number(self) -> int: ...


class JournalSource(Protocol):
    """What the projector needs of a journal."""

    on_append: list[Callable[[int], None]]

    @property
    def head(self) -> _Numbered:
        """The last entry's number, and more."""

    def identity(self) -> str | None:
        """Return what tells it from every other journal; None while it is empty."""

    async def sync(self) -> None:
        """Wait until everything appended so far is durable."""

    def read(self, after: int = 0, limit: int = 1000) -> list[tuple[int, Entry]]:
        """Return the entries that follow a number; called in another thread."""


class Projector:
    """Copies a journal into a database while `run` runs.

    One runs for each database. Only what is durable is copied, lest a journal that lost its tail
    in a power failure give the same numbers to other entries. While it runs, nobody else calls
    `journal.read`.

    Args:
        journal: the truth.
        database: its copy.
        batch: how many entries are copied in one transaction at most.

    Attributes:
        number: of the last entry that is known to be in the database.
        is_away: the database, or the journal, failed when it was last used.
    """

    def __init__(self, journal: JournalSource, database: Database, *, batch: int = 500) -> None:
        self.number = 0
        self.is_away = False
        self._journal = journal
        self._database = database
        self._batch = batch
        self._identity: str | None = None
        self._copied: str | None = None  # the journal whose entries are in the database
        self._appended = asyncio.Event()
        self._moved = asyncio.Condition()

    @property
    def lag(self) -> int:
        """How many entries are in the journal and not known to be in the database."""
        return max(0, self._journal.head.number - self.number)

    async def begin(self) -> None:
        """Find out where the copy ends, before `run` does.

        Raises:
            StoreUnavailable: the database is away.
            JournalError: it is another journal's; see `run`.
        """
        await self._begin()
        self._require_mine()

    async def run(self) -> None:
        """Copy what there is and whatever is appended, until it is cancelled.

        While the database is away it is tried again, after 0.1 s and then less and less often, at
        least every 5 s.

        Raises:
            JournalError: the database holds entries that this journal does not have: it is
                another journal's.
        """
        self._journal.on_append.append(self._wake)
        try:
            await self._trying(self._begin)
            while True:
                self._require_mine()
                self._appended.clear()
                if self.lag:
                    await self._trying(self._copy)
                else:
                    await self._appended.wait()
        finally:
            self._journal.on_append.remove(self._wake)

    async def caught_up(self, number: int | None = None, timeout_s: float = 5) -> bool:
        """Wait until an entry, by default the last one there is, is in the database.

        Args:
            number: the entry's.
            timeout_s: how long to wait at most; then the answer is False.
        """
        wanted = self._journal.head.number if number is None else number
        try:
            async with asyncio.timeout(timeout_s), self._moved:
                await self._moved.wait_for(lambda: self.number >= wanted)
        except TimeoutError:
            return False
        return True

    def _require_mine(self) -> None:
        if self.number > self._journal.head.number:
            raise JournalError(
                f"the database holds entries up to {self.number}, and the journal ends with "
                f"{self._journal.head.number}: it is another journal's database"
            )
        if self._copied not in (None, self._identity):
            raise JournalError(
                "the database holds the entries of another journal: each Monitor needs a database "
                "of its own"
            )

    def _wake(self, _number: int) -> None:
        self._appended.set()

    async def _trying(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step, as often as it takes."""
        pause = _FIRST_PAUSE_S
        while True:
            try:
                await step()
            except StoreError as error:
                if not self.is_away:
                    _log.warning("reports wait, calls go on: %s", error)
                self.is_away = True
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            else:
                if self.is_away:
                    _log.warning("reports go on: the store is back")
                self.is_away = False
                return

    async def _begin(self) -> None:
        """Find out where the copy ends."""
        self._identity = await asyncio.to_thread(self._journal.identity)
        async with self._database.reading() as connection:
            row = (await connection.execute(select(projection))).one()
        self._copied = row.journal
        await self._found(row.number)

    async def _copy(self) -> None:
        """Copy one batch."""
        await self._journal.sync()
        batch = await asyncio.to_thread(self._journal.read, self.number, self._batch)
        if not batch:
            raise JournalError(f"the journal does not return entry {self.number + 1}")
        last = batch[-1][0]
        if self._identity is None:  # it was empty when we began
            self._identity = await asyncio.to_thread(self._journal.identity)
        is_ours = or_(projection.c.journal.is_(None), projection.c.journal == self._identity)
        async with self._database.writing() as connection:
            moved = await connection.execute(
                update(projection)
                .where(projection.c.number == self.number, is_ours)
                .values(number=last, journal=self._identity)
            )
            if moved.rowcount:
                await project(connection, batch)
        if moved.rowcount:
            await self._found(last)
        else:  # the last transaction had come through, though nobody said so
            await self._begin()

    async def _found(self, number: int) -> None:
        async with self._moved:
            self.number = number
            self._moved.notify_all()
