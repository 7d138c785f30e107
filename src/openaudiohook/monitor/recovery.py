"""What a Monitor that starts finds of the one before it.

Which conversations had a source, which sessions were open, who holds which conversation in secure
pause: all of it is in the journal. So that a start need not read one from its beginning, the state
is kept sealed beside it now and then; a copy that is missing, old, or not ours costs time and
nothing else.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec

from openaudiohook.exceptions import AudioHookError
from openaudiohook.monitor.conversations import Conversations, Known, OpenSession
from openaudiohook.monitor.events import EventId
from openaudiohook.monitor.record import Record
from openaudiohook.store.entries import CallEnded, ServerPaused, SessionEnded
from openaudiohook.store.journal import Journal
from openaudiohook.store.positions import Positions
from openaudiohook.store.sealing import Sealer

__all__ = ["close_left_open", "load", "snapshot", "write"]

_BATCH: Final = 1_000
_CONTEXT: Final = b"openaudiohook conversations 1"


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    journal: str | None
    number: int
    known: list[Known]
    sessions: list[OpenSession]


def snapshot(conversations: Conversations, journal: Journal, *, sealer: Sealer) -> bytes:
    """Return the state as of the journal's head, sealed.

    It is written only once the journal is on disk up to there: a state that is ahead of its
    journal would be believed later, when other entries have the numbers of those that are lost.
    """
    kept = _Kept(
        journal=journal.identity(),
        number=journal.head.number,
        known=conversations.all(),
        sessions=conversations.sessions(),
    )
    return sealer.seal(msgspec.msgpack.encode(kept), _CONTEXT)


def write(sealed: bytes, path: Path) -> None:
    """Keep a state in place of what was kept before.

    Raises:
        OSError: the file cannot be written.
    """
    beside = path.with_suffix(".new")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(sealed)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def load(conversations: Conversations, journal: Journal, path: Path, *, sealer: Sealer) -> None:
    """Fill in the state as of the journal's head: what was kept, and what was written since.

    Raises:
        JournalError: the journal cannot be read.
    """
    number = 0
    with contextlib.suppress(OSError, AudioHookError, msgspec.MsgspecError):
        kept = msgspec.msgpack.decode(sealer.open(path.read_bytes(), _CONTEXT), type=_Kept)
        if kept.number > journal.head.number:
            path.unlink()  # its tail was lost: other entries will have those numbers
        elif kept.journal == journal.identity():
            number = kept.number
            conversations.restore(kept.known, kept.sessions)
    while batch := journal.read(number, _BATCH):
        for _, entry in batch:
            conversations.apply(entry)
        number = batch[-1][0]


def close_left_open(record: Record, positions: Positions, *, utc_ns: int) -> list[Known]:
    """Write the end of what the Monitor before this one left open, and return whose source is lost.

    A session ends where its last checkpoint says that it was; at worst a second was lost.
    """
    latest = positions.read()
    conversations = record.conversations
    left = [known for known in conversations.all() if known.is_attached]
    for session in conversations.sessions():
        checkpoint = latest.get(session.session_id)
        for start, end in () if checkpoint is None else checkpoint.paused:
            record.note(
                ServerPaused(
                    organization_id=session.organization_id,
                    utc_ns=utc_ns,
                    conversation_id=session.conversation_id,
                    part=session.part,
                    at=start,
                    integration_id=session.integration_id,
                    session_id=session.session_id,
                    end=end,
                )
            )
        record.note(
            SessionEnded(
                organization_id=session.organization_id,
                utc_ns=utc_ns,
                conversation_id=session.conversation_id,
                part=session.part,
                at=session.at if checkpoint is None else max(session.at, checkpoint.at),
                integration_id=session.integration_id,
                session_id=session.session_id,
                event_id=EventId.MONITOR_RESTARTED,
            )
        )
    for known in left:
        record.note(
            CallEnded(
                organization_id=known.organization_id,
                utc_ns=utc_ns,
                conversation_id=known.conversation_id,
                part=known.part,
                at=known.at,  # its sessions' ends are in it
                reason="lost",
            )
        )
    if not record.waiting:  # else a second crash needs to know them still
        for session_id in latest:
            positions.forget(session_id)
    return left
