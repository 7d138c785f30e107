"""What a Monitor writes into its journal, whatever becomes of the disk meanwhile.

A call goes on while the journal cannot be written: what it has to say waits, in order, and is
written before anything else once that works again. Whoever must know that something is recorded
asks for it, and is told where it is not.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from openaudiohook.exceptions import JournalError
from openaudiohook.monitor.conversations import Conversations
from openaudiohook.store.entries import Entry, PauseBegan, PauseEnded
from openaudiohook.store.journal import Journal

__all__ = ["MOST_WAITING", "Record"]

MOST_WAITING: Final = 100_000
"""How many entries wait for a journal that cannot be written; what comes then and is no pause is
not recorded."""

_NEVER_GIVEN_UP: Final = (PauseBegan, PauseEnded)


class Record:
    """The journal as the parts of a Monitor see it.

    Args:
        journal: the journal.
        conversations: what is known of every conversation; it follows what is written.

    Attributes:
        conversations: as given.
        unrecorded: how many entries were given up, because too many waited already.
    """

    def __init__(self, journal: Journal, conversations: Conversations) -> None:
        self.conversations = conversations
        self.unrecorded = 0
        self._journal = journal
        self._waiting: deque[Entry] = deque()

    @property
    def waiting(self) -> int:
        """How many entries the journal would not take so far."""
        return len(self._waiting)

    def note(self, entry: Entry) -> bool:
        """Write an entry, or keep it until it can be written; say whether it was written."""
        self.conversations.apply(entry)
        self._waiting.append(entry)
        try:
            self.retry()
        except JournalError:
            if len(self._waiting) > MOST_WAITING and not isinstance(entry, _NEVER_GIVEN_UP):
                self._waiting.pop()
                self.unrecorded += 1
            return False
        return True

    def insist(self, entry: Entry) -> None:
        """Write an entry now, or not at all.

        Raises:
            JournalError: it cannot be written; it will not be.
        """
        self.retry()
        self._journal.append(entry)
        self.conversations.apply(entry)

    def retry(self) -> None:
        """Write what waits.

        Raises:
            JournalError: it still cannot be written.
        """
        while self._waiting:
            self._journal.append(self._waiting[0])
            self._waiting.popleft()

    async def sync(self) -> None:
        """Return once everything that was noted is durable.

        Raises:
            JournalError: not all of it is.
        """
        self.retry()
        await self._journal.sync()
