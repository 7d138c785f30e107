"""The audit in words: who did what, and what was done to the journal."""

from __future__ import annotations

import pytest

from openaudiohook.monitor.audit import AuditRow, audit_row, verification_in_words
from openaudiohook.store.chain import Finding, Head, Verification
from openaudiohook.store.entries import (
    Acted,
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

pytestmark = pytest.mark.unit

NOON = 1_790_000_000_123_456_789
CALL = {"organization_id": "o", "utc_ns": NOON, "conversation_id": "c", "at": 8000}
HEAD = Head(9, "ab" * 32)


def test_what_somebody_changed_is_shown_as_it_was_noted() -> None:
    entry = Acted(
        organization_id="o", utc_ns=NOON, requester="client:crm", action="queue.changed",
        entity_type="queue", entity_id="q", detail={"enableAudioMonitoring": True},
    )  # fmt: skip
    row = audit_row(7, entry)
    assert row == AuditRow(
        7, NOON, "o", "client:crm", "queue.changed", "queue", "q", {"enableAudioMonitoring": True}
    )
    assert row is not None
    assert row.as_json() == {
        "number": 7,
        "timestamp": "2026-09-21T14:13:20.123Z",
        "organizationId": "o",
        "requester": "client:crm",
        "action": "queue.changed",
        "entityType": "queue",
        "entityId": "q",
        "detail": {"enableAudioMonitoring": True},
    }


SHOWN: list[tuple[Entry, str, str, dict[str, object]]] = [
    (
        CallBegan(**CALL, edge="byoc-premises", queue_id="q", refused="its edge", part=1),
        "monitor", "call.began",
        {"at": 8000, "part": 1, "edge": "byoc-premises", "queueId": "q", "refused": "its edge"},
    ),
    (CallEnded(**CALL, reason="hangup"), "monitor", "call.ended", {"at": 8000, "reason": "hangup"}),
    (
        MonitoringSwitched(**CALL, on=False, by="flow", action="transcription"),
        "flow", "monitoring.switched", {"at": 8000, "on": False, "action": "transcription"},
    ),
    (
        PauseBegan(
            **CALL, cause="secure", reason="api", requester="client:crm", effective_at=7200,
            gone={"i": 800},
        ),
        "client:crm", "pause.began",
        {"at": 8000, "cause": "secure", "reason": "api", "effectiveAt": 7200, "gone": {"i": 800}},
    ),
    (
        PauseBegan(**CALL, cause="secure", reason="flow", requester="flow:card"),
        "flow:card", "pause.began", {"at": 8000, "cause": "secure", "reason": "flow"},
    ),
    (
        PauseEnded(**CALL, cause="client", reason="monitoring", requester="queue"),
        "queue", "pause.ended", {"at": 8000, "cause": "client", "reason": "monitoring"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "requester", "action", "detail"), SHOWN, ids=[case[2] for case in SHOWN]
)
def test_what_was_done_to_a_call_is_shown_with_its_sample(
    entry: Entry, requester: str, action: str, detail: dict[str, object]
) -> None:
    assert audit_row(3, entry) == AuditRow(3, NOON, "o", requester, action, "call", "c", detail)


@pytest.mark.parametrize(
    "entry",
    [
        PhaseBegan(**CALL, phase="ivr"),
        MonitoringBegan(**CALL),
        LanguageChanged(**CALL, language="de", stage="queue"),
        SessionOpened(**CALL, integration_id="i", session_id="s", start=0),
        SessionEnded(**CALL, integration_id="i", session_id="s"),
        ServerPaused(**CALL, integration_id="i", session_id="s", end=9000),
        EventRaised(
            organization_id="o", utc_ns=NOON, event_id="AUDIOHOOK-0002", entity_type="integration",
            entity_id="i", entity_name="n", text="t",
        ),
    ],
    ids=lambda entry: type(entry).__name__,
)  # fmt: skip
def test_what_nobody_answers_for_is_not_in_the_audit(entry: Entry) -> None:
    assert audit_row(3, entry) is None


def test_an_intact_journal_is_called_so_with_its_head() -> None:
    found = Verification(HEAD, 9, 9, ())
    assert verification_in_words(found, has_head=True) == f"intact: entries 1 to 9, head {HEAD}"
    assert verification_in_words(found, has_head=False).endswith(
        "\nno exported head was given: a tail cut off on purpose would not show"
    )
    one = Verification(HEAD, 1, 1, ())
    assert verification_in_words(one, has_head=True).startswith("intact: entry 1, head ")
    none = Verification(HEAD, 0, 0, ())
    assert verification_in_words(none, has_head=True).startswith("intact: no entries, head ")


def test_an_unfinished_line_is_told() -> None:
    told = verification_in_words(Verification(HEAD, 9, 9, (), torn=19), has_head=True)
    assert "the last line is unfinished, 19 octets: a crash leaves one" in told


def test_each_kind_of_tampering_has_its_words() -> None:
    found = Verification(
        HEAD, 9, 5,
        (
            Finding("changed", 2, 2), Finding("removed", 3, 4), Finding("moved", 6, 6),
            Finding("replaced", 7, 7), Finding("cut", 10, 12),
        ),
    )  # fmt: skip
    assert verification_in_words(found, has_head=True).splitlines() == [
        "tampered with: 9 lines read, not what was written",
        "entry 2 was changed",
        "entries 3 to 4 were removed",
        "entry 6 was moved, or put in again",
        "entry 7 was replaced: not what was there when the head was exported",
        "entries 10 to 12 were cut off the end",
    ]


def test_a_journal_that_fits_nowhere_is_told_from_one_that_was_changed() -> None:
    other = Verification(HEAD, 9, 0, (Finding("changed", 1, 9),))
    assert "no entry fits the key: it is another one, or" in verification_in_words(
        other, has_head=False
    )
    changed = Verification(HEAD, 1, 0, (Finding("changed", 1, 1),))
    assert verification_in_words(changed, has_head=False).splitlines() == [
        "tampered with: 1 line read, not what was written",
        "entry 1 was changed",
    ]
