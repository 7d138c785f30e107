"""The ledger: what became of every call, as intervals in samples of call time.

Usage is computed from these intervals, whenever it is asked for, and kept nowhere.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import RowMapping, Table, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from openaudiohook.exceptions import ConfigurationError, NotFound
from openaudiohook.store.database import Database
from openaudiohook.store.entries import Entry, Phase
from openaudiohook.store.tables import calls, entries, pauses, phases, sessions

__all__ = [
    "ConversationRecord",
    "Ledger",
    "PartRecord",
    "PauseRecord",
    "PhaseRecord",
    "SessionRecord",
    "month_ns",
]

_PAGE: Final = 20
"""Parts read at once: few, for the loop that computes usage from them also paces audio."""

_MONTH: Final = re.compile(r"(\d{4})-(\d{2})")
_SECOND_NS: Final = 1_000_000_000
_ENTRY: Final = msgspec.json.Decoder(Entry)


class PhaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the customer went through, from `start` up to `end`; None while it lasts."""

    phase: Phase
    queue_id: str | None
    start: int
    end: int | None


class PauseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A pause, from `start` up to `end`; None where it lasted as long as its part of the call.

    Attributes:
        cause: `secure` and `client` pauses are the whole call's, `server` one session's.
        reason: the kind of reason.
        requester: whose it is.
        session_id: the session, of a server pause.
    """

    cause: Literal["secure", "client", "server"]
    reason: str
    requester: str
    session_id: str | None
    start: int
    end: int | None


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A session of an integration.

    Attributes:
        start: the sample at which its own timeline begins; None where it never opened.
        opened_at: the sample that was live when it opened; None where it never did.
        ended_at: the position of `close`, or of the loss; None while it is open.
        has_media: it selected media.
        event_id: of the event that tells why it ended badly.
        sent, discarded, paused, lost: what became of its samples.
    """

    session_id: str
    integration_id: str
    start: int | None
    opened_at: int | None
    opened_utc_ns: int | None
    ended_at: int | None
    ended_utc_ns: int | None
    has_media: bool
    event_id: str | None
    sent: int
    discarded: int
    paused: int
    lost: int


class PartRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One of a conversation's timelines, and every interval on it.

    Attributes:
        began_utc_ns: the wall clock at its sample 0.
        monitored_from: the first monitored sample; None where there was none.
        ended_at: the sample at which the call ended; None while it lasts.
        end_reason: why it ended.
    """

    conversation_id: str
    part: int
    began_utc_ns: int
    edge: str
    queue_id: str | None
    refused: str | None
    monitored_from: int | None
    ended_at: int | None
    ended_utc_ns: int | None
    end_reason: str | None
    phases: tuple[PhaseRecord, ...]
    sessions: tuple[SessionRecord, ...]
    pauses: tuple[PauseRecord, ...]


class ConversationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All there is about a conversation: its parts, and every entry with its number."""

    conversation_id: str
    parts: tuple[PartRecord, ...]
    entries: tuple[tuple[int, Entry], ...]


class Ledger:
    """The intervals of every call, each organization's apart.

    Every method raises `StoreUnavailable` where the database fails.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def conversation(self, organization_id: str, conversation_id: str) -> ConversationRecord:
        """Return all there is about one conversation.

        Raises:
            NotFound: the organization has no such conversation, or it is not in the database yet.
        """
        mine = [
            calls.c.organization_id == organization_id,
            calls.c.conversation_id == conversation_id,
        ]
        told = (
            select(entries.c.number, entries.c.body)
            .where(
                entries.c.organization_id == organization_id,
                entries.c.conversation_id == conversation_id,
            )
            .order_by(entries.c.number)
        )
        async with self._database.reading() as connection:
            parts = await _parts(connection, mine, limit=None)
            if not parts:
                raise NotFound(
                    f"there is no conversation {conversation_id!r}", entity_type="conversation"
                )
            rows = await connection.execute(told)
            return ConversationRecord(
                conversation_id=conversation_id,
                parts=tuple(parts),
                entries=tuple((number, _ENTRY.decode(body)) for number, body in rows),
            )

    async def parts(
        self, organization_id: str, *, month: str | None = None
    ) -> AsyncIterator[PartRecord]:
        """Yield the parts of all conversations in the order in which they began.

        Args:
            organization_id: whose.
            month: only those that began in it, `2026-11`; by the clock of UTC.

        Raises:
            ConfigurationError: the month is none.
        """
        chosen = [calls.c.organization_id == organization_id]
        if month is not None:
            first, after = month_ns(month)
            chosen += [calls.c.began_utc_ns >= first, calls.c.began_utc_ns < after]
        page = chosen
        while True:
            async with self._database.reading() as connection:
                parts = await _parts(connection, page, limit=_PAGE)
            for part in parts:
                yield part
            if len(parts) < _PAGE:
                return
            last = parts[-1]
            order = tuple_(calls.c.began_utc_ns, calls.c.conversation_id, calls.c.part)
            page = [*chosen, order > (last.began_utc_ns, last.conversation_id, last.part)]


def month_ns(month: str) -> tuple[int, int]:
    """Return when a month such as `2026-11` begins and ends, in nanoseconds since 1970.

    Raises:
        ConfigurationError: it is none.
    """
    match = _MONTH.fullmatch(month)
    year, number = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1970 <= year <= 2200 or not 1 <= number <= 12:
        raise ConfigurationError(f"{month!r} is no month: write year and month, as in 2026-11")
    after = (year + 1, 1) if number == 12 else (year, number + 1)
    first, end = (datetime(*each, 1, tzinfo=UTC) for each in ((year, number), after))
    return int(first.timestamp()) * _SECOND_NS, int(end.timestamp()) * _SECOND_NS


async def _parts(
    connection: AsyncConnection, chosen: Sequence[Any], *, limit: int | None
) -> list[PartRecord]:
    """Return the chosen parts of one organization with their intervals."""
    query = (
        select(calls)
        .where(*chosen)
        .order_by(calls.c.began_utc_ns, calls.c.conversation_id, calls.c.part)
        .limit(limit)
    )
    rows = (await connection.execute(query)).mappings().all()
    if not rows:
        return []
    return [
        PartRecord(
            **{name: row[name] for name in _PART_COLUMNS},
            phases=tuple(_phase(each) for each in found[phases]),
            sessions=tuple(_session(each) for each in found[sessions]),
            pauses=tuple(_pause(each) for each in found[pauses]),
        )
        for row, found in await _with_intervals(connection, rows)
    ]


_PART_COLUMNS: Final = [name for name in PartRecord.__struct_fields__ if name in calls.c]
_ORDER: Final = {
    phases: (phases.c.number,),
    sessions: (
        func.coalesce(sessions.c.opened_utc_ns, sessions.c.ended_utc_ns),
        sessions.c.session_id,
    ),
    pauses: (
        pauses.c.start_at,
        pauses.c.number,
        pauses.c.cause,
        pauses.c.reason,
        pauses.c.requester,
    ),
}


async def _with_intervals(
    connection: AsyncConnection, rows: Sequence[RowMapping]
) -> Iterable[tuple[RowMapping, dict[Table, list[RowMapping]]]]:
    """Return each row of `calls` together with its rows of the other tables."""
    of_parts: dict[tuple[str, int], dict[Table, list[RowMapping]]] = {
        (row["conversation_id"], row["part"]): {table: [] for table in _ORDER} for row in rows
    }
    conversations = sorted({conversation for conversation, _ in of_parts})
    for table, order in _ORDER.items():
        query = (
            select(table)
            .where(
                table.c.organization_id == rows[0]["organization_id"],
                table.c.conversation_id.in_(conversations),
            )
            .order_by(*order)
        )
        for found in (await connection.execute(query)).mappings():
            part = of_parts.get((found["conversation_id"], found["part"]))
            if part is not None:
                part[table].append(found)
    return zip(rows, of_parts.values(), strict=True)


def _phase(row: RowMapping) -> PhaseRecord:
    return PhaseRecord(
        phase=row["phase"], queue_id=row["queue_id"], start=row["start_at"], end=row["end_at"]
    )


def _session(row: RowMapping) -> SessionRecord:
    same = {name: row[name] for name in SessionRecord.__struct_fields__ if name != "start"}
    return SessionRecord(start=row["start_at"], **same)


def _pause(row: RowMapping) -> PauseRecord:
    return PauseRecord(
        cause=row["cause"],
        reason=row["reason"],
        requester=row["requester"],
        session_id=row["session_id"],
        start=row["start_at"],
        end=row["end_at"],
    )
