"""What each entry of the journal changes in the tables.

`entries` gets every entry as it is. The others get the intervals that usage is computed from: each
begins with one entry and is ended by a later one. Nothing is computed here that a report could
compute, and nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Table, and_, exists, insert, literal, null, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from openaudiohook.store.entries import (
    CallBegan,
    CallEnded,
    Entry,
    MonitoringBegan,
    PauseBegan,
    PauseEnded,
    PhaseBegan,
    ServerPaused,
    SessionEnded,
    SessionOpened,
)
from openaudiohook.store.tables import calls, entries, pauses, phases, sessions

__all__ = ["SWITCHED_OFF", "project"]

SWITCHED_OFF: Final = "monitoring"
"""The reason of a client pause that a switch made: it lasts as long as its part of the call."""

_OVER: Final = ("end", "hangup")
"""After these endings a conversation does not go on; after others its source may come back."""


async def project(connection: AsyncConnection, batch: Sequence[tuple[int, Entry]]) -> None:
    """Write a batch of entries, in order, with their numbers, within the transaction."""
    if not batch:
        return
    await connection.execute(insert(entries), [_row(number, entry) for number, entry in batch])
    for number, entry in batch:
        step = _STEPS.get(type(entry))
        if step is not None:
            await step(connection, number, _storable(entry))


def _storable(entry: Entry) -> Entry:
    """Return what fits into columns: PostgreSQL keeps no NUL, and no entry may stop the copy."""
    texts = {name: getattr(entry, name) for name in entry.__struct_fields__}
    unfit = {name: text for name, text in texts.items() if isinstance(text, str) and "\0" in text}
    if not unfit:
        return entry
    mended = {name: text.replace("\0", "\N{REPLACEMENT CHARACTER}") for name, text in unfit.items()}
    return msgspec.structs.replace(entry, **mended)


def _row(number: int, entry: Entry) -> dict[str, Any]:
    body = msgspec.json.encode(entry).decode()
    entry = _storable(entry)
    conversation = getattr(entry, "conversation_id", None)
    if conversation is None and getattr(entry, "entity_type", None) == "call":
        conversation = getattr(entry, "entity_id", None)
    return {
        "number": number,
        "organization_id": entry.organization_id,
        "kind": entry.__struct_config__.tag,
        "utc_ns": entry.utc_ns,
        "conversation_id": conversation,
        "requester": getattr(entry, "requester", None) or getattr(entry, "by", None),
        "entity_id": getattr(entry, "entity_id", None) or getattr(entry, "integration_id", None),
        "body": body,
    }


# What each kind does ----------------------------------------------------------------------


async def _call_began(connection: AsyncConnection, number: int, entry: CallBegan) -> None:
    await _put(
        connection,
        calls,
        _part(entry),
        began_utc_ns=entry.utc_ns,
        edge=entry.edge,
        queue_id=entry.queue_id,
        refused=entry.refused,
    )
    if entry.part:
        await _carry_pauses(connection, number, entry)


async def _carry_pauses(connection: AsyncConnection, number: int, entry: CallBegan) -> None:
    """Begin a part under every reason of the one before that nobody has taken back."""
    began = pauses.c
    columns = {
        "organization_id": began.organization_id,
        "conversation_id": began.conversation_id,
        "part": literal(entry.part),
        "number": literal(number),
        "cause": began.cause,
        "reason": began.reason,
        "requester": began.requester,
        "session_id": null(),
        "start_at": literal(entry.at),
        "start_utc_ns": literal(entry.utc_ns),
    }
    before = and_(
        calls.c.organization_id == began.organization_id,
        calls.c.conversation_id == began.conversation_id,
        calls.c.part == began.part,
    )
    still_held = (
        select(*columns.values())
        .select_from(pauses.join(calls, before))
        .where(
            began.organization_id == entry.organization_id,
            began.conversation_id == entry.conversation_id,
            began.part == entry.part - 1,
            began.end_at.is_(None),
            or_(began.cause == "secure", began.reason != SWITCHED_OFF),
            or_(calls.c.end_reason.is_(None), calls.c.end_reason.not_in(_OVER)),
        )
    )
    await connection.execute(insert(pauses).from_select(list(columns), still_held))


async def _call_ended(connection: AsyncConnection, _number: int, entry: CallEnded) -> None:
    await _change(
        connection,
        calls,
        _part(entry),
        ended_at=entry.at,
        ended_utc_ns=entry.utc_ns,
        end_reason=entry.reason,
    )
    await _end_open(connection, phases, _part(entry), entry)


async def _phase_began(connection: AsyncConnection, number: int, entry: PhaseBegan) -> None:
    await _end_open(connection, phases, _part(entry), entry)
    await connection.execute(
        insert(phases).values(
            **_part(entry),
            number=number,
            phase=entry.phase,
            queue_id=entry.queue_id,
            start_at=entry.at,
            start_utc_ns=entry.utc_ns,
        )
    )


async def _monitoring_began(
    connection: AsyncConnection, _number: int, entry: MonitoringBegan
) -> None:
    await _change(connection, calls, _part(entry), monitored_from=entry.at)


async def _session_opened(connection: AsyncConnection, _number: int, entry: SessionOpened) -> None:
    await _put(
        connection,
        sessions,
        _part(entry) | {"session_id": entry.session_id},
        integration_id=entry.integration_id,
        start_at=entry.start,
        opened_at=entry.at,
        opened_utc_ns=entry.utc_ns,
        has_media=entry.has_media,
        sent=0,
        discarded=0,
        paused=0,
        lost=0,
    )


async def _session_ended(connection: AsyncConnection, _number: int, entry: SessionEnded) -> None:
    key = _part(entry) | {"session_id": entry.session_id}
    ended = {
        "ended_at": entry.at,
        "ended_utc_ns": entry.utc_ns,
        "event_id": entry.event_id,
        "sent": entry.sent,
        "discarded": entry.discarded,
        "paused": entry.paused,
        "lost": entry.lost,
    }
    if not await _change(connection, sessions, key, **ended):  # it never opened
        never = {"integration_id": entry.integration_id, "has_media": False}
        await connection.execute(insert(sessions).values(**key, **never, **ended))


async def _pause_began(connection: AsyncConnection, number: int, entry: PauseBegan) -> None:
    key = _pause(entry)
    row = key | {"number": number, "start_at": entry.at, "start_utc_ns": entry.utc_ns}
    holds = exists().where(*_equal(pauses, key), pauses.c.end_at.is_(None))
    values = [literal(value, pauses.c[name].type) for name, value in row.items()]
    # Repeating a reason that holds changes nothing.
    await connection.execute(insert(pauses).from_select(list(row), select(*values).where(~holds)))


async def _pause_ended(connection: AsyncConnection, _number: int, entry: PauseEnded) -> None:
    await _end_open(connection, pauses, _pause(entry), entry)


async def _server_paused(connection: AsyncConnection, number: int, entry: ServerPaused) -> None:
    await connection.execute(
        insert(pauses).values(
            **_part(entry),
            number=number,
            cause="server",
            reason="endpoint",
            requester=entry.integration_id,
            session_id=entry.session_id,
            start_at=entry.at,
            end_at=entry.end,
            start_utc_ns=entry.utc_ns,
            end_utc_ns=entry.utc_ns,
        )
    )


_STEPS: Final[dict[type, Callable[[AsyncConnection, int, Any], Awaitable[None]]]] = {
    CallBegan: _call_began,
    CallEnded: _call_ended,
    PhaseBegan: _phase_began,
    MonitoringBegan: _monitoring_began,
    SessionOpened: _session_opened,
    SessionEnded: _session_ended,
    PauseBegan: _pause_began,
    PauseEnded: _pause_ended,
    ServerPaused: _server_paused,
}
"""What changes an interval; the other kinds are in `entries` only."""


# Rows -------------------------------------------------------------------------------------


def _part(entry: Any) -> dict[str, Any]:
    return {
        "organization_id": entry.organization_id,
        "conversation_id": entry.conversation_id,
        "part": entry.part,
    }


def _pause(entry: PauseBegan | PauseEnded) -> dict[str, Any]:
    key = {"cause": entry.cause, "reason": entry.reason, "requester": entry.requester}
    return _part(entry) | key


def _equal(table: Table, key: dict[str, Any]) -> list[Any]:
    return [table.c[name] == value for name, value in key.items()]


async def _change(
    connection: AsyncConnection, table: Table, key: dict[str, Any], **values: Any
) -> bool:
    """Change a row; say whether it was there."""
    changed = await connection.execute(update(table).where(*_equal(table, key)).values(**values))
    return changed.rowcount > 0


async def _put(
    connection: AsyncConnection, table: Table, key: dict[str, Any], **values: Any
) -> None:
    """Add a row, or change the one that is there."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).values(**key, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))


async def _end_open(
    connection: AsyncConnection, table: Table, key: dict[str, Any], entry: Any
) -> None:
    """End the intervals that are open where an entry is."""
    await connection.execute(
        update(table)
        .where(*_equal(table, key), table.c.end_at.is_(None))
        .values(end_at=entry.at, end_utc_ns=entry.utc_ns)
    )
