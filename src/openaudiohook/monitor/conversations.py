"""What is known of every conversation that has not ended: a fold of the journal's entries.

It follows what is written while a Monitor runs, and is made anew from the journal when one starts.
What matters most are the reasons for which a conversation is held: a source that is attached again
begins under all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from openaudiohook.store.entries import (
    CallBegan,
    CallEnded,
    Entry,
    LanguageChanged,
    MonitoringSwitched,
    PauseBegan,
    PauseEnded,
    Phase,
    PhaseBegan,
    SessionEnded,
    SessionOpened,
)

__all__ = ["SWITCH", "Conversations", "Held", "Known", "OpenSession"]

SWITCH: Final = "monitoring"
"""Why a call is in client pause that is monitored and switched off; it is over with the part."""

_OVER: Final = ("end", "hangup")
"""After these endings the conversation is over; after others its source may come back."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Why a conversation is held: the pause's cause, the reason, and whose it is.

    Attributes:
        utc_ns: since when.
    """

    cause: Literal["secure", "client"]
    reason: str
    requester: str
    utc_ns: int = 0

    def is_of(self, other: Held | PauseBegan | PauseEnded) -> bool:
        """Whether it is the same reason, whenever it began."""
        mine = self.cause, self.reason, self.requester
        return mine == (other.cause, other.reason, other.requester)


class OpenSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session that opened, and of whose end nobody knows; its call may have ended before it.

    Attributes:
        at: the latest sample at which it is known to have been open.
    """

    session_id: str
    integration_id: str
    organization_id: str
    conversation_id: str
    part: int
    at: int


class Known(msgspec.Struct, kw_only=True):
    """A conversation that has not ended.

    Attributes:
        organization_id: whose it is.
        conversation_id: which.
        part: its latest timeline.
        is_attached: that part has a source.
        at: the latest sample of it that an entry tells of.
        utc_ns: when that was.
        edge: where its media is handled.
        queue_id: the queue it came to last.
        phase: what the customer goes through.
        language: its media language, where one was set.
        is_on: monitoring is switched on; None where nobody ever switched it.
        held: why it is held, in the order in which that began.
    """

    organization_id: str
    conversation_id: str
    part: int = 0
    is_attached: bool = True
    at: int = 0
    utc_ns: int = 0
    edge: str = "cloud"
    queue_id: str | None = None
    phase: Phase = "ivr"
    language: str | None = None
    is_on: bool | None = None
    held: list[Held] = []

    @property
    def secure(self) -> tuple[Held, ...]:
        """The reasons of its secure pause."""
        return tuple(one for one in self.held if one.cause == "secure")


class Conversations:
    """Every conversation that has not ended, by organization and id; and every open session."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Known] = {}
        self._sessions: dict[str, OpenSession] = {}

    def __len__(self) -> int:
        return len(self._known)

    def get(self, organization_id: str, conversation_id: str) -> Known | None:
        """Return a conversation, or None where there is none, or none any more."""
        return self._known.get((organization_id, conversation_id))

    def all(self, organization_id: str | None = None) -> list[Known]:
        """Return all of them, or those of one organization."""
        known = self._known.values()
        return [one for one in known if organization_id in (None, one.organization_id)]

    def sessions(self) -> list[OpenSession]:
        """Return the open sessions, those of calls that have ended too."""
        return list(self._sessions.values())

    def forget(self, known: Known) -> None:
        """Let a conversation go that nobody came back to."""
        self._known.pop((known.organization_id, known.conversation_id), None)

    def restore(self, known: Iterable[Known], sessions: Iterable[OpenSession]) -> None:
        """Take what was kept of them."""
        self._known = {(one.organization_id, one.conversation_id): one for one in known}
        self._sessions = {one.session_id: one for one in sessions}

    def apply(self, entry: Entry) -> None:
        """Follow what happened. What tells of a conversation that has ended changes nothing."""
        if not isinstance(entry, _TELLING):
            return
        self._follow_sessions(entry)
        key = entry.organization_id, entry.conversation_id
        known = self._known.get(key)
        if known is None:
            if not isinstance(entry, CallBegan):
                return
            known = self._known[key] = Known(
                organization_id=entry.organization_id, conversation_id=entry.conversation_id
            )
        if entry.part != known.part and not isinstance(entry, CallBegan):
            return
        known.at = max(known.at, entry.at)
        known.utc_ns = max(known.utc_ns, entry.utc_ns)
        self._follow(known, entry)
        if isinstance(entry, CallEnded) and entry.reason in _OVER:
            del self._known[key]

    def _follow_sessions(self, entry: Entry) -> None:
        """Follow which sessions are open; they outlast their call by their good-bye."""
        match entry:
            case SessionOpened():
                self._sessions[entry.session_id] = OpenSession(
                    session_id=entry.session_id,
                    integration_id=entry.integration_id,
                    organization_id=entry.organization_id,
                    conversation_id=entry.conversation_id,
                    part=entry.part,
                    at=entry.at,
                )
            case SessionEnded():
                self._sessions.pop(entry.session_id, None)
            case CallEnded():
                ended = entry.organization_id, entry.conversation_id, entry.part
                for one in self.sessions():
                    if (one.organization_id, one.conversation_id, one.part) == ended:
                        at = max(one.at, entry.at)
                        self._sessions[one.session_id] = msgspec.structs.replace(one, at=at)

    def _follow(self, known: Known, entry: Entry) -> None:
        match entry:
            case CallBegan(part=part, edge=edge, at=at):
                known.part, known.edge, known.at = part, edge, at
                known.is_attached = True
                known.held = [one for one in known.held if one.reason != SWITCH]
                known.queue_id = entry.queue_id or known.queue_id
            case CallEnded():
                known.is_attached = False
            case PhaseBegan(phase=phase):
                known.phase = phase
                known.queue_id = entry.queue_id or known.queue_id
            case MonitoringSwitched(on=on):
                known.is_on = on
            case LanguageChanged(language=language):
                known.language = language
            case PauseBegan():
                if not any(one.is_of(entry) for one in known.held):
                    known.held = [*known.held, _held(entry)]
            case PauseEnded():
                known.held = [one for one in known.held if not one.is_of(entry)]


_TELLING: Final = (
    CallBegan,
    CallEnded,
    PhaseBegan,
    MonitoringSwitched,
    LanguageChanged,
    SessionOpened,
    SessionEnded,
    PauseBegan,
    PauseEnded,
)


def _held(entry: PauseBegan) -> Held:
    return Held(
        cause=entry.cause, reason=entry.reason, requester=entry.requester, utc_ns=entry.utc_ns
    )
