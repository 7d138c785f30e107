"""One conversation, folded from what the journal says of it: what happened, and to whom.

Samples are those of call time, counted from the call's entry; a conversation whose source was
attached again has several parts, each with a timeline of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.fanout.pauses import PauseInterval, Span, union
from openaudiohook.monitor.events import EventId
from openaudiohook.protocol.duration import parse_duration
from openaudiohook.protocol.media import NS_PER_SAMPLE
from openaudiohook.protocol.types import PauseCause
from openaudiohook.store.entries import (
    CallBegan,
    CallEnded,
    Entry,
    EventRaised,
    LanguageChanged,
    MonitoringBegan,
    MonitoringSwitched,
    PauseBegan,
    PauseEnded,
    PhaseBegan,
    ServerPaused,
    SessionEnded,
    SessionOpened,
)

__all__ = ["Chronicle", "Part", "Session", "chronicle_of", "sent_in_trace"]


@dataclass(slots=True)
class Session:
    """One session of one integration.

    Attributes:
        start: the sample at which its own timeline begins.
        opened_at: the sample that was live when it opened; None where it never did.
        ended: how it ended; None while it is open, or where nobody could tell any more.
        server_paused: where the endpoint had asked for a pause.
    """

    integration_id: str
    session_id: str
    start: int = 0
    opened_at: int | None = None
    has_media: bool = True
    ended: SessionEnded | None = None
    server_paused: list[Span] = field(default_factory=list)

    @property
    def was_cut_off(self) -> bool:
        """Whether its Monitor was killed: the account of its samples went with it."""
        return self.ended is not None and self.ended.event_id == EventId.MONITOR_RESTARTED

    @property
    def is_accounted(self) -> bool:
        """Whether it is known what became of its samples."""
        return self.ended is not None and not self.was_cut_off


@dataclass(slots=True)
class Part:
    """One of a conversation's timelines.

    Attributes:
        began_ns: the wall clock at its entry.
        last: the latest sample anything is known of: the call's end, where it has ended.
        ended: how; None while the call runs, or where the Monitor was gone.
        phases: what the customer went through, in order.
        switches: every queue's setting and flow's action that was applied.
        monitored_from: the first monitored sample; None where there was none.
        held: the secure and client pauses that nobody has ended.
        sessions: in the order in which they opened or ended.
    """

    number: int
    began_ns: int
    edge: str = "cloud"
    queue_id: str | None = None
    refused: str | None = None
    last: int = 0
    ended: CallEnded | None = None
    phases: list[PhaseBegan] = field(default_factory=list)
    switches: list[MonitoringSwitched] = field(default_factory=list)
    languages: list[LanguageChanged] = field(default_factory=list)
    monitored_from: int | None = None
    held: list[PauseBegan] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    _ended_pauses: list[PauseInterval] = field(default_factory=list)

    @property
    def pauses(self) -> list[PauseInterval]:
        """Every secure and client pause in the order of their starts."""
        held = [
            PauseInterval(PauseCause(one.cause), one.requester, one.at, self.last)
            for one in self.held
        ]
        return sorted([*self._ended_pauses, *held], key=lambda pause: (pause.start, pause.end))

    def session(self, integration_id: str, session_id: str) -> Session:
        """Return a session, a new one where none of that id is known."""
        for session in self.sessions:
            if session.session_id == session_id:
                return session
        session = Session(integration_id, session_id)
        self.sessions.append(session)
        return session

    def end_pause(self, ended: PauseEnded) -> None:
        """Turn a pause that holds into one that is over."""
        for held in self.held:
            if (held.cause, held.reason, held.requester) == (
                ended.cause,
                ended.reason,
                ended.requester,
            ):
                self.held.remove(held)
                self._ended_pauses.append(
                    PauseInterval(PauseCause(held.cause), held.requester, held.at, ended.at)
                )
                return


@dataclass(slots=True)
class Chronicle:
    """What is known of a conversation.

    Attributes:
        parts: its timelines, in order.
        events: the operational events about it, in order.
    """

    organization_id: str
    conversation_id: str
    parts: list[Part] = field(default_factory=list)
    events: list[EventRaised] = field(default_factory=list)

    def integration_ids(self) -> list[str]:
        """Every integration that had a part in it, in the order in which they showed up."""
        ids = [session.integration_id for part in self.parts for session in part.sessions]
        ids += [one.entity_id for one in self.events if one.entity_type == "integration"]
        return list(dict.fromkeys(ids))


def chronicle_of(
    entries: Iterable[Entry], *, organization_id: str, conversation_id: str
) -> Chronicle | None:
    """Fold what a journal says of one conversation; None where it says nothing of it.

    Args:
        entries: all entries, or those of the conversation, in the order of the journal.
        organization_id: whose conversation it is.
        conversation_id: which one.
    """
    chronicle = Chronicle(organization_id, conversation_id)
    parts: dict[int, Part] = {}
    for entry in entries:
        if (
            entry.organization_id != organization_id
            or getattr(entry, "conversation_id", None) != conversation_id
        ):
            continue
        if isinstance(entry, EventRaised):
            chronicle.events.append(entry)
            continue
        number: int = getattr(entry, "part", 0)
        part = parts.get(number)
        if part is None:
            part = parts[number] = Part(number, entry.utc_ns)
        _take(part, entry)
    chronicle.parts = [parts[number] for number in sorted(parts)]
    return chronicle if parts or chronicle.events else None


def _take(part: Part, entry: Entry) -> None:
    """Take one entry into its part."""
    part.last = max(part.last, getattr(entry, "at", 0))
    match entry:
        case CallBegan():
            part.began_ns, part.edge = entry.utc_ns, entry.edge
            part.queue_id, part.refused = entry.queue_id, entry.refused
        case CallEnded():
            part.ended = entry
        case PhaseBegan():
            part.phases.append(entry)
        case MonitoringSwitched():
            part.switches.append(entry)
        case MonitoringBegan():
            part.monitored_from = entry.at
        case LanguageChanged():
            part.languages.append(entry)
        case PauseBegan():
            part.held.append(entry)
        case PauseEnded():
            part.end_pause(entry)
        case SessionOpened():
            session = part.session(entry.integration_id, entry.session_id)
            session.start, session.opened_at = entry.start, entry.at
            session.has_media = entry.has_media
        case SessionEnded():
            part.session(entry.integration_id, entry.session_id).ended = entry
        case ServerPaused():
            session = part.session(entry.integration_id, entry.session_id)
            session.server_paused.append((entry.at, entry.end))
        case _:  # what else there is says nothing about a call's samples
            pass


def sent_in_trace(lines: Iterable[bytes], chronicle: Chronicle) -> dict[str, list[Span]]:
    """Read from a trace which samples of call time each session sent.

    Args:
        lines: of a trace file; those of other conversations' sessions are passed over.
        chronicle: of the conversation.

    Raises:
        ConfigurationError: it is no trace.
    """
    starts = {one.session_id: one.start for part in chronicle.parts for one in part.sessions}
    spans: dict[str, list[Span]] = {}
    for number, line in enumerate(lines, 1):
        try:
            record = msgspec.json.decode(line)
            start = starts.get(record.get("session", ""))
            if start is None:
                continue
            spans.setdefault(record["session"], [])
            if record["type"] == "audio":
                at = start + parse_duration(record["position"]) // NS_PER_SAMPLE
                spans[record["session"]].append((at, at + record["samples"]))
        except (msgspec.DecodeError, AttributeError, KeyError, TypeError, ValueError):
            raise ConfigurationError(f"line {number} is no line of a trace") from None
    return {session: union(found) for session, found in spans.items()}
