"""Usage: what each integration was connected for, by phase of the call, and what of it is charged.

It is computed from the ledger's intervals whenever it is asked for. A sample of a conversation
counts once for an integration, however many of its sessions were open then; sessions without media,
attempts that never opened, and probes are no usage. Everything here is exact, in nanoseconds; an
invoice rounds once, for each integration and month.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, Self

import msgspec

from openaudiohook.fanout.pauses import PauseInterval, Span, length, subtract, union
from openaudiohook.monitor.metering import FREE_PAUSES, chargeable_spans
from openaudiohook.protocol.media import NS_PER_SAMPLE
from openaudiohook.protocol.types import PauseCause
from openaudiohook.store.integrations import Integrations
from openaudiohook.store.ledger import Ledger, PartRecord, PauseRecord, SessionRecord

__all__ = [
    "MINUTE_NS",
    "NOBODY_SPEAKS",
    "UNTOLD",
    "IntegrationUsage",
    "Usage",
    "UsageRow",
    "by_integration",
    "read_usage",
    "usage_of_part",
    "usage_rows",
]

MINUTE_NS: Final = 60_000_000_000

NOBODY_SPEAKS: Final = ("ivr", "queue", "hold")
"""The phases in which no agent is there: what they cost is paid though nobody spoke."""

UNTOLD: Final = "untold"
"""The phase of what comes before the first phase that a source told of."""

_EVERYTHING: Final = 1 << 62


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How long an integration was connected, in nanoseconds of call time.

    Attributes:
        open_ns: from the sample that was live when it opened to the end; pauses included.
        secure_ns, client_ns, server_ns: how much of that was paused, by cause; causes may overlap.
        chargeable_ns: `open_ns` less the union of the free pauses.
    """

    open_ns: int = 0
    secure_ns: int = 0
    client_ns: int = 0
    server_ns: int = 0
    chargeable_ns: int = 0

    @property
    def paused_ns(self) -> dict[str, int]:
        """How much was paused, by cause."""
        return {"secure": self.secure_ns, "client": self.client_ns, "server": self.server_ns}

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in _USAGE_FIELDS})


_USAGE_FIELDS: Final = Usage.__struct_fields__


class _Phased(msgspec.Struct, frozen=True, kw_only=True):
    """Usage by phase of the call.

    Attributes:
        phases: usage by phase, in the order in which the phases first came; they add up to `total`.
    """

    phases: dict[str, Usage]

    @property
    def total(self) -> Usage:
        """The usage of all phases."""
        return sum(self.phases.values(), start=Usage())

    @property
    def open_ns(self) -> int:
        """How long it was connected."""
        return self.total.open_ns

    @property
    def paused_ns(self) -> dict[str, int]:
        """How much of that was paused, by cause: `secure`, `client`, `server`."""
        return self.total.paused_ns

    @property
    def chargeable_ns(self) -> int:
        """What is charged of it."""
        return self.total.chargeable_ns

    @property
    def nobody_spoke_ns(self) -> int:
        """What is charged though nobody spoke: in the IVR, in the queue and on hold."""
        return sum(self.phases.get(name, Usage()).chargeable_ns for name in NOBODY_SPEAKS)


class UsageRow(_Phased, frozen=True, kw_only=True):
    """What one integration had of one conversation.

    Attributes:
        month: in which it began, by the clock of UTC: `2026-11`.
        name: the integration's.
    """

    month: str
    integration_id: str
    name: str
    conversation_id: str


class IntegrationUsage(_Phased, frozen=True, kw_only=True):
    """What one integration had in one month.

    Attributes:
        month: such as `2026-11`.
        name: the integration's.
        conversations: how many there were.
    """

    month: str
    integration_id: str
    name: str
    conversations: int

    @property
    def minutes(self) -> int:
        """What an invoice says: whole minutes, the nearest; a half counts as a whole one."""
        return (2 * self.chargeable_ns + MINUTE_NS) // (2 * MINUTE_NS)

    @property
    def rounding_ns(self) -> int:
        """What rounding added to what was charged; below zero where it took something away."""
        return self.minutes * MINUTE_NS - self.chargeable_ns

    @classmethod
    def of(cls, rows: Iterable[UsageRow]) -> Self:
        """Add up rows of one integration and month; there is at least one."""
        rows = list(rows)
        phases: dict[str, Usage] = {}
        for row in rows:
            phases = _added(phases, row.phases)
        first = rows[0]
        return cls(
            month=first.month,
            integration_id=first.integration_id,
            name=first.name,
            conversations=len(rows),
            phases=phases,
        )


async def read_usage(
    ledger: Ledger,
    integrations: Integrations,
    organization_id: str,
    *,
    month: str | None = None,
    free_pauses: Collection[PauseCause] = FREE_PAUSES,
) -> list[UsageRow]:
    """Compute an organization's usage from its ledger; the arguments are those of `usage_rows`.

    Raises:
        ConfigurationError: the month is none.
        StoreUnavailable: the database failed.
    """
    return await usage_rows(
        ledger.parts(organization_id, month=month),
        names=await integrations.names(organization_id),
        free_pauses=free_pauses,
    )


async def usage_rows(
    parts: AsyncIterable[PartRecord],
    *,
    names: Mapping[str, str],
    free_pauses: Collection[PauseCause] = FREE_PAUSES,
) -> list[UsageRow]:
    """Compute usage by conversation and integration, in the order in which both first came.

    Sessions count once they have ended.

    Args:
        parts: of one organization's conversations, each with its intervals.
        names: integrations' names by id.
        free_pauses: the causes whose time is not charged.
    """
    found: dict[tuple[str, str, str], dict[str, Usage]] = {}
    async for part in parts:
        month = f"{datetime.fromtimestamp(part.began_utc_ns // 1_000_000_000, UTC):%Y-%m}"
        for integration_id, phases in usage_of_part(part, free_pauses=free_pauses).items():
            key = month, part.conversation_id, integration_id
            found[key] = _added(found.get(key, {}), phases)
        await asyncio.sleep(0)  # calls run in this loop, and their audio does not wait for reports
    return [
        UsageRow(
            month=month,
            integration_id=integration_id,
            name=names.get(integration_id, integration_id),
            conversation_id=conversation_id,
            phases=phases,
        )
        for (month, conversation_id, integration_id), phases in found.items()
    ]


def by_integration(rows: Iterable[UsageRow]) -> list[IntegrationUsage]:
    """Add usage up by month and integration, in the order of months and names."""
    grouped: dict[tuple[str, str, str], list[UsageRow]] = defaultdict(list)
    for row in rows:
        grouped[row.month, row.name, row.integration_id].append(row)
    return [IntegrationUsage.of(grouped[key]) for key in sorted(grouped)]


def usage_of_part(
    part: PartRecord, *, free_pauses: Collection[PauseCause] = FREE_PAUSES
) -> dict[str, dict[str, Usage]]:
    """Return the usage of one timeline by integration and phase; phases without any are absent."""
    sessions: dict[str, list[SessionRecord]] = defaultdict(list)
    for session in part.sessions:
        sessions[session.integration_id].append(session)
    usage = {}
    for integration_id, of_it in sessions.items():
        spans = _spans(of_it, part.pauses, free_pauses)
        if not spans["open_ns"]:
            continue
        phases = {
            name: _lengths({what: _both(each, within) for what, each in spans.items()})
            for name, within in _phases(part).items()
        }
        used = {name: each for name, each in phases.items() if each.open_ns}
        if used:
            usage[integration_id] = used
    return usage


def _spans(
    sessions: Iterable[SessionRecord],
    pauses: Collection[PauseRecord],
    free_pauses: Collection[PauseCause],
) -> dict[str, list[Span]]:
    """Return what the sessions of one integration had, by the name of the field of `Usage`."""
    spans: dict[str, list[Span]] = {name: [] for name in _USAGE_FIELDS}
    for session in sessions:
        opened_at, ended_at = session.opened_at, session.ended_at
        if not session.has_media or opened_at is None or ended_at is None:
            continue
        mine = [
            PauseInterval(
                PauseCause(pause.cause),
                pause.requester,
                pause.start,
                _EVERYTHING if pause.end is None else pause.end,
            )
            for pause in pauses
            if pause.session_id in (None, session.session_id)
        ]
        open_ = union([(opened_at, ended_at)])
        spans["open_ns"] += open_
        for cause in PauseCause:
            paused = [(pause.start, pause.end) for pause in mine if pause.cause is cause]
            spans[f"{cause}_ns"] += _both(open_, paused)
        spans["chargeable_ns"] += chargeable_spans(
            opened_at=opened_at, ended_at=ended_at, pauses=mine, free_pauses=free_pauses
        )
    return spans


def _phases(part: PartRecord) -> dict[str, list[Span]]:
    """Return where each phase was; each sample is in one, also what comes before the first one."""
    starts = [(UNTOLD, -1), *sorted(((each.phase, each.start) for each in part.phases), key=_start)]
    spans: dict[str, list[Span]] = defaultdict(list)
    for (name, start), (_, end) in zip(starts, [*starts[1:], ("", _EVERYTHING)], strict=True):
        spans[name].append((start, end))
    return spans


def _start(phase: tuple[str, int]) -> int:
    return phase[1]


def _both(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """Return the samples that are in any of `spans` and in any of `others`."""
    spans = union(spans)
    return subtract(spans, subtract(spans, others))


def _lengths(spans: Mapping[str, list[Span]]) -> Usage:
    return Usage(**{name: length(each) * NS_PER_SAMPLE for name, each in spans.items()})


def _added(one: Mapping[str, Usage], other: Mapping[str, Usage]) -> dict[str, Usage]:
    names = dict.fromkeys([*one, *other])
    return {name: one.get(name, Usage()) + other.get(name, Usage()) for name in names}
