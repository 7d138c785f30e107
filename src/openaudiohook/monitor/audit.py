"""What the audit shows: who did what, and whether the journal is still what was written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, cast

from openaudiohook.store.chain import Finding, Verification
from openaudiohook.store.entries import (
    Acted,
    CallBegan,
    CallEnded,
    Entry,
    MonitoringSwitched,
    PauseBegan,
    PauseEnded,
)

__all__ = ["AuditRow", "audit_row", "findings_in_words", "verification_in_words"]


class AuditRow(NamedTuple):
    """One line of the audit.

    Attributes:
        number: of the journal's entry.
        utc_ns: when, in nanoseconds since 1970.
        requester: who: `client:<id>`, `flow:<name>`, `queue`, `flow`, `configuration`, `monitor`.
        action: what: `integration.created`, `pause.began` and the like.
        entity_type: of what; a call for everything that happens to one.
        entity_id: which; of a call the conversation's id.
        detail: more, by name.
    """

    number: int
    utc_ns: int
    organization_id: str
    requester: str
    action: str
    entity_type: str
    entity_id: str
    detail: Mapping[str, Any]

    @property
    def timestamp(self) -> str:
        """When, as RFC 3339 writes it: in UTC, to the millisecond."""
        seconds, rest = divmod(self.utc_ns, 1_000_000_000)
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"

    def as_json(self) -> dict[str, Any]:
        """The row as JSON says it."""
        return {
            "number": self.number,
            "timestamp": self.timestamp,
            "organizationId": self.organization_id,
            "requester": self.requester,
            "action": self.action,
            "entityType": self.entity_type,
            "entityId": self.entity_id,
            "detail": dict(self.detail),
        }


class _OfCall(NamedTuple):
    """How an entry about a call is shown: who, what, and what more there is to it."""

    requester: str
    action: str
    detail: dict[str, Any]


def _pause(entry: PauseBegan | PauseEnded, action: str) -> _OfCall:
    detail: dict[str, Any] = {"cause": entry.cause, "reason": entry.reason}
    if isinstance(entry, PauseBegan):
        detail["effectiveAt"] = entry.effective_at
        detail["gone"] = entry.gone or None
    return _OfCall(entry.requester, action, detail)


_OF_CALL: Final[Mapping[type[Any], Callable[[Any], _OfCall]]] = {
    CallBegan: lambda entry: _OfCall(
        "monitor",
        "call.began",
        {"edge": entry.edge, "queueId": entry.queue_id, "refused": entry.refused},
    ),
    CallEnded: lambda entry: _OfCall("monitor", "call.ended", {"reason": entry.reason}),
    MonitoringSwitched: lambda entry: _OfCall(
        entry.by, "monitoring.switched", {"on": entry.on, "action": entry.action}
    ),
    PauseBegan: lambda entry: _pause(entry, "pause.began"),
    PauseEnded: lambda entry: _pause(entry, "pause.ended"),
}


def audit_row(number: int, entry: Entry) -> AuditRow | None:
    """Show a journal entry as the audit does; None where nobody answers for it."""
    if isinstance(entry, Acted):
        return AuditRow(
            number=number,
            utc_ns=entry.utc_ns,
            organization_id=entry.organization_id,
            requester=entry.requester,
            action=entry.action,
            entity_type=entry.entity_type,
            entity_id=entry.entity_id,
            detail=entry.detail,
        )
    show = _OF_CALL.get(type(entry))
    if show is None:
        return None
    shown, call = show(entry), cast(CallBegan, entry)  # what entries about a call have in common
    detail = {"at": call.at, "part": call.part or None, **shown.detail}
    return AuditRow(
        number=number,
        utc_ns=entry.utc_ns,
        organization_id=entry.organization_id,
        requester=shown.requester,
        action=shown.action,
        entity_type="call",
        entity_id=call.conversation_id,
        detail={name: value for name, value in detail.items() if value is not None},
    )


_DONE: Final[Mapping[str, str]] = {
    "changed": "{entries} {were} changed",
    "removed": "{entries} {were} removed",
    "moved": "{entries} {were} moved, or put in again",
    "cut": "{entries} {were} cut off the end",
    "replaced": "{entries} {were} replaced: not what was there when the head was exported",
}


def verification_in_words(verification: Verification, *, has_head: bool) -> str:
    """Say what became of a journal, one line for each thing found.

    Args:
        verification: what was found.
        has_head: whether it was checked against an exported head.
    """
    lines = []
    if verification.is_intact:
        lines.append(f"intact: {_entries(1, verification.rows)}, head {verification.head}")
    else:
        lines.append(f"tampered with: {_count(verification.rows)} read, not what was written")
        lines += findings_in_words(verification)
    if verification.torn:
        lines.append(
            f"the last line is unfinished, {verification.torn} octets: a crash leaves one, and it "
            "goes when the Monitor starts"
        )
    if verification.is_intact and not has_head:
        lines.append("no exported head was given: a tail cut off on purpose would not show")
    return "\n".join(lines)


def findings_in_words(verification: Verification) -> list[str]:
    """Say what was done to which entries, a line for each."""
    if verification.rows > 1 and not verification.fitting:
        return ["no entry fits the key: it is another one, or all of them were made without it"]
    return [_finding(finding) for finding in verification.findings]


def _finding(finding: Finding) -> str:
    return _DONE[finding.kind].format(
        entries=_entries(finding.first, finding.last),
        were="was" if finding.first == finding.last else "were",
    )


def _entries(first: int, last: int) -> str:
    if last < first:
        return "no entries"
    return f"entry {first}" if first == last else f"entries {first} to {last}"


def _count(rows: int) -> str:
    return "1 line" if rows == 1 else f"{rows} lines"
