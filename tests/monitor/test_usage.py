"""Usage by phase: what counts, what counts once, what is free, and where it is rounded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from openaudiohook.monitor.usage import (
    IntegrationUsage,
    Usage,
    UsageRow,
    by_integration,
    usage_of_part,
    usage_rows,
)
from openaudiohook.protocol.types import PauseCause
from openaudiohook.store.ledger import PartRecord, PauseRecord, PhaseRecord, SessionRecord

pytestmark = pytest.mark.unit

SECOND = 8000
SECOND_NS = 10**9
AUGUST = 1_785_542_400 * SECOND_NS  # the first of August 2026, UTC


def session(
    start: float, end: float | None, *, id_: str = "s", integration: str = "i", **values: Any
) -> SessionRecord:
    return SessionRecord(
        **{
            "session_id": id_,
            "integration_id": integration,
            "start": 0,
            "opened_at": round(start * SECOND),
            "opened_utc_ns": 0,
            "ended_at": None if end is None else round(end * SECOND),
            "ended_utc_ns": None,
            "has_media": True,
            "event_id": None,
            "sent": 0,
            "discarded": 0,
            "paused": 0,
            "lost": 0,
            **values,
        }
    )


def pause(cause: Any, start: float, end: float | None, id_: str | None = None) -> PauseRecord:
    return PauseRecord(
        cause=cause,
        reason="r",
        requester="r",
        session_id=id_,
        start=round(start * SECOND),
        end=None if end is None else round(end * SECOND),
    )


def phase(name: Any, start: float) -> PhaseRecord:
    return PhaseRecord(phase=name, queue_id=None, start=round(start * SECOND), end=None)


def part(*intervals: Any, number: int = 0, began_utc_ns: int = AUGUST) -> PartRecord:
    def of(kind: type) -> tuple[Any, ...]:
        return tuple(each for each in intervals if isinstance(each, kind))

    return PartRecord(
        conversation_id="c",
        part=number,
        began_utc_ns=began_utc_ns,
        edge="cloud",
        queue_id=None,
        refused=None,
        monitored_from=0,
        ended_at=None,
        ended_utc_ns=None,
        end_reason=None,
        phases=of(PhaseRecord),
        sessions=of(SessionRecord),
        pauses=of(PauseRecord),
    )


def seconds(open_: float, **values: float) -> Usage:
    """Usage of so many seconds; charged is what is open unless said."""
    named = {"secure": 0.0, "client": 0.0, "server": 0.0, "chargeable": open_} | values
    return Usage(
        open_ns=round(open_ * SECOND_NS),
        **{f"{name}_ns": round(value * SECOND_NS) for name, value in named.items()},
    )


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        pytest.param([session(0.4, 60)], seconds(59.6), id="from opened to close"),
        pytest.param([session(0, 60, has_media=False)], None, id="no media"),
        pytest.param([session(0, 60, opened_at=None)], None, id="never opened"),
        pytest.param([session(0, None)], None, id="not ended yet"),
        pytest.param([session(5, 5)], None, id="no sample long"),
        pytest.param(
            [session(0, 30, id_="a"), session(28, 60, id_="b")], seconds(60), id="handover overlap"
        ),
        pytest.param(
            [session(0, 30, id_="a"), session(40, 60, id_="b")], seconds(50), id="between sessions"
        ),
        pytest.param(
            [session(0, 60), pause("secure", 20, 30), pause("client", 28, 40)],
            seconds(60, secure=10, client=12, chargeable=40),
            id="overlapping pauses count once",
        ),
        pytest.param(
            [session(0, 60), pause("secure", 50, None)],
            seconds(60, secure=10, chargeable=50),
            id="a pause that nobody ended",
        ),
        pytest.param(
            [session(0, 60), pause("server", 20, 30, "s")], seconds(60, server=10), id="server"
        ),
        pytest.param(
            [session(0, 40, id_="a"), session(20, 60, id_="b"), pause("server", 20, 60, "a")],
            seconds(60, server=20),
            id="another session's server pause",
        ),
    ],
)
def test_what_an_integration_used(intervals: list[Any], expected: Usage | None) -> None:
    found = usage_of_part(part(*intervals))
    assert found == ({} if expected is None else {"i": {"untold": expected}})


def test_server_pauses_are_free_where_the_tariff_says_so() -> None:
    told = part(session(0, 60), pause("secure", 10, 20), pause("server", 15, 30, "s"))
    used = usage_of_part(told)["i"]["untold"]
    assert used == seconds(60, secure=10, server=15, chargeable=50)
    freed = usage_of_part(told, free_pauses=set(PauseCause))["i"]["untold"]
    assert freed == seconds(60, secure=10, server=15, chargeable=40)


def test_each_sample_is_in_the_phase_it_was_in() -> None:
    told = part(
        phase("ivr", 1),
        phase("queue", 5),
        phase("agent", 10),
        phase("hold", 20),
        phase("agent", 30),
        session(0, 60),
        session(12, 25, integration="j"),
        pause("secure", 8, 12),
    )
    assert usage_of_part(told) == {
        "i": {
            "untold": seconds(1),
            "ivr": seconds(4),
            "queue": seconds(5, secure=2, chargeable=3),
            "agent": seconds(40, secure=2, chargeable=38),
            "hold": seconds(10),
        },
        "j": {"agent": seconds(8), "hold": seconds(5)},
    }


async def told(*parts: PartRecord) -> AsyncIterator[PartRecord]:
    for each in parts:
        yield each


@pytest.mark.anyio
async def test_the_parts_of_a_conversation_add_up_within_a_month() -> None:
    rows = await usage_rows(
        told(
            part(phase("hold", 0), session(0, 60)),
            part(phase("hold", 0), phase("agent", 10), session(0, 30), number=1),
            part(session(0, 7), session(0, 9, integration="gone"), began_utc_ns=AUGUST - 1),
        ),
        names={"i": "Recorder"},
    )
    assert [(row.month, row.integration_id, row.name) for row in rows] == [
        ("2026-08", "i", "Recorder"),
        ("2026-07", "i", "Recorder"),
        ("2026-07", "gone", "gone"),
    ]
    first = rows[0]
    assert first.phases == {"hold": seconds(70), "agent": seconds(20)}
    assert first.total == seconds(90)
    assert first.nobody_spoke_ns == 70 * SECOND_NS
    assert first.paused_ns == {"secure": 0, "client": 0, "server": 0}


def row(ns: int, *, month: str = "2026-08", name: str = "Recorder") -> UsageRow:
    return UsageRow(
        month=month,
        integration_id=name.lower(),
        name=name,
        conversation_id="c",
        phases={"agent": Usage(open_ns=ns, chargeable_ns=ns)},
    )


@pytest.mark.parametrize(
    ("calls", "minutes"),
    [
        ([29_999_999_999], 0),
        ([30_000_000_000], 1),
        ([20_000_000_000] * 3, 1),  # each alone would be none
        ([40_000_000_000] * 3, 2),  # each alone would be one
        ([89_999_999_999], 1),
        ([90_000_000_000], 2),
    ],
)
def test_minutes_are_rounded_once_for_all_calls(calls: list[int], minutes: int) -> None:
    (used,) = by_integration(row(ns) for ns in calls)
    assert isinstance(used, IntegrationUsage)
    assert used.minutes == minutes
    assert used.chargeable_ns + used.rounding_ns == minutes * 60 * SECOND_NS
    assert used.conversations == len(calls)


def test_integrations_are_charged_apart_and_by_month() -> None:
    rows = [row(1, name="B"), row(2, month="2026-07", name="B"), row(3, name="A"), row(4, name="B")]
    assert [(one.month, one.name, one.chargeable_ns) for one in by_integration(rows)] == [
        ("2026-07", "B", 2),
        ("2026-08", "A", 3),
        ("2026-08", "B", 5),
    ]
