"""Random histories of calls, as a journal tells them, and what they come to, found the slow way.

The recomputation shares no code with the package: it cuts a timeline wherever any entry is, and for
each piece asks the entries themselves what held there.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

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

ORGANIZATIONS = ("one", "two")
PHASES = ("ivr", "queue", "agent", "hold", "consult", "conference")
REASONS = [
    ("secure", "flow", "flow:card"),
    ("secure", "api", "client:crm"),
    ("secure", "agent", "client:crm"),
    ("client", "monitoring", "configuration"),
    ("client", "api", "client:crm"),
]
CARRIED = [reason for reason in REASONS if reason[:2] != ("client", "monitoring")]
FIRST_NS = 1_790_000_000_000_000_000


def history(seed: int) -> list[Entry]:
    """One conversation from its beginning, perhaps to its end, in the order of a journal."""
    chance = random.Random(seed)
    told: list[Entry] = []
    began_ns = FIRST_NS + chance.randrange(60 * 86_400 * 10**9)
    for part in range(chance.choice((1, 1, 1, 2, 3))):
        call = {
            "organization_id": ORGANIZATIONS[seed % 2],
            "conversation_id": f"conversation-{seed // 2}",  # both organizations have the same ids
            "part": part,
        }
        # Positions are far apart in some histories, and often the same in others.
        length = chance.choice((6, 40, 80_000, 10**9))
        is_over = _part(chance, told, call, length, began_ns)
        began_ns += length * 125_000 + chance.randrange(10**12)
        if is_over and chance.random() < 0.7:
            break
    return told


def _part(
    chance: random.Random, told: list[Entry], call: dict[str, Any], length: int, began_ns: int
) -> bool:
    """Add one part's entries; say whether the conversation is over."""
    entries: list[tuple[int, float, Entry]] = []

    def tell(kind: Any, at: int, *, told_at: int | None = None, **values: Any) -> None:
        moment = at if told_at is None else told_at
        entry = kind(**call, at=at, utc_ns=began_ns + moment * 125_000, **values)
        entries.append((moment, chance.random(), entry))

    end = chance.randrange(length + 1)
    if chance.random() < 0.7:
        tell(PhaseBegan, 0, phase=chance.choice(PHASES))
    for _ in range(chance.randrange(5)):
        tell(PhaseBegan, chance.randint(0, end), phase=chance.choice(PHASES))
    tell(MonitoringBegan, chance.randint(0, end))
    for _ in range(chance.randrange(9)):
        cause, reason, requester = chance.choice(REASONS)
        tell(
            chance.choice((PauseBegan, PauseEnded)),
            chance.randint(0, end),
            cause=cause,
            reason=reason,
            requester=requester,
        )
    for integration in range(chance.choice((1, 1, 2, 3, 5))):
        for number in range(chance.choice((0, 1, 1, 1, 2, 4))):
            session = {
                "integration_id": f"integration-{integration}",
                "session_id": f"session-{call['part']}-{integration}-{number}",
            }
            fate = chance.random()
            start, stop = sorted((chance.randint(0, end), chance.randint(0, end)))
            if fate < 0.1:  # it never opened
                tell(SessionEnded, stop, **session, event_id="AUDIOHOOK-0002", lost=stop)
                continue
            tell(SessionOpened, start, **session, start=0, has_media=fate > 0.2)
            for _ in range(chance.choice((0, 0, 1, 3))):
                low, high = sorted((chance.randint(start, stop), chance.randint(start, stop)))
                tell(ServerPaused, low, told_at=high, **session, end=high)
            if fate < 0.95:  # else nobody knows yet how it ends
                tell(SessionEnded, stop, **session, sent=stop - start)
    # Of several at one sample, a session opens before it is paused or ends.
    order = {SessionOpened: 0, ServerPaused: 2, SessionEnded: 3}
    entries.sort(key=lambda each: (each[0], order.get(type(each[2]), 1), each[1]))
    told.append(CallBegan(**call, utc_ns=began_ns, edge="cloud"))
    told.extend(entry for _, _, entry in entries)
    reason = chance.choice(("end", "hangup", "lost", "error", None))
    if reason is not None:
        told.append(CallEnded(**call, at=end, utc_ns=began_ns + end * 125_000, reason=reason))
    return reason in ("end", "hangup")


def interleaved(histories: Sequence[list[Entry]], *, seed: int, at_once: int) -> list[Entry]:
    """One journal of many conversations, some of which run at the same time."""
    chance = random.Random(seed)
    waiting = [list(reversed(history)) for history in reversed(histories)]
    running: list[list[Entry]] = []
    journal = []
    while waiting or running:
        while waiting and len(running) < at_once:
            running.append(waiting.pop())
        one = chance.choice(running)
        journal.append(one.pop())
        if not one:
            running.remove(one)
    return journal


Found = dict[tuple[str, str, str, str], dict[str, dict[str, int]]]
"""By organization, month, conversation and integration: by phase: nanoseconds by what."""


def recomputed(entries: Iterable[Entry], *, free: Collection[str]) -> Found:
    """What the histories come to, with these causes of pauses free."""
    parts: dict[tuple[str, str, int], list[Any]] = defaultdict(list)
    for entry in entries:
        if hasattr(entry, "part"):
            parts[entry.organization_id, entry.conversation_id, entry.part].append(entry)
    found: Found = {}
    for (organization, conversation, part), told in sorted(parts.items()):
        before = parts.get((organization, conversation, part - 1), [])
        carried = _carried(before, parts.get((organization, conversation, part - 2), []))
        began = datetime.fromtimestamp(told[0].utc_ns / 10**9, UTC)
        for integration in {getattr(entry, "integration_id", None) for entry in told} - {None}:
            for phase, spent in _spent(told, carried, integration, free).items():
                key = organization, f"{began:%Y-%m}", conversation, integration
                sums = found.setdefault(key, {}).setdefault(phase, dict.fromkeys(spent, 0))
                for name, samples in spent.items():
                    sums[name] += samples * 125_000
    return found


def _carried(before: list[Any], before_that: list[Any]) -> set[tuple[str, str, str]]:
    """The reasons a part begins under: those that held at the end of the one before."""
    if not before or any(
        isinstance(e, CallEnded) and e.reason in ("end", "hangup") for e in before
    ):
        return set()
    held = _carried(before_that, [])
    for entry in before:
        if isinstance(entry, PauseBegan):
            held.add((entry.cause, entry.reason, entry.requester))
        elif isinstance(entry, PauseEnded):
            held.discard((entry.cause, entry.reason, entry.requester))
    return held & set(CARRIED)


def _spent(
    told: list[Any], carried: set[tuple[str, str, str]], integration: str, free: Collection[str]
) -> dict[str, dict[str, int]]:
    cuts = sorted({entry.at for entry in told} | {getattr(entry, "end", 0) for entry in told} | {0})
    spent: dict[str, dict[str, int]] = {}
    for sample, after in pairwise(cuts):  # nothing changes within: look at the first sample only
        sessions = _open_sessions(told, integration, sample)
        if not sessions:
            continue
        causes = _causes(told, carried, sample)
        asked = {
            entry.session_id
            for entry in told
            if isinstance(entry, ServerPaused) and entry.at <= sample < entry.end
        }
        of_session = [causes | ({"server"} if each in asked else set()) for each in sessions]
        phase = "untold"
        for entry in told:
            if isinstance(entry, PhaseBegan) and entry.at <= sample:
                phase = entry.phase
        names = ("open", "secure", "client", "server", "chargeable")
        sums = spent.setdefault(phase, dict.fromkeys(names, 0))
        sums["open"] += after - sample
        for cause in ("secure", "client", "server"):
            sums[cause] += (after - sample) * any(cause in each for each in of_session)
        sums["chargeable"] += (after - sample) * any(not each & set(free) for each in of_session)
    return spent


def _open_sessions(told: list[Any], integration: str, sample: int) -> list[str]:
    ends = {e.session_id: e.at for e in told if isinstance(e, SessionEnded)}
    return [
        entry.session_id
        for entry in told
        if isinstance(entry, SessionOpened)
        and entry.integration_id == integration
        and entry.has_media
        and entry.at <= sample < ends.get(entry.session_id, -1)
    ]


def _causes(told: list[Any], carried: set[tuple[str, str, str]], sample: int) -> set[str]:
    held = set(carried)
    for entry in told:
        if isinstance(entry, PauseBegan | PauseEnded) and entry.at <= sample:
            reason = entry.cause, entry.reason, entry.requester
            (held.add if isinstance(entry, PauseBegan) else held.discard)(reason)
    return {cause for cause, _, _ in held}
