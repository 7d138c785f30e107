"""Every combination of queue, flow and action, and what follows, apart from the code.

A call comes through a flow, a queue and another flow. The last one that says anything decides, and
one that says nothing leaves it.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

from openaudiohook.monitor.policy import Action

TIMES = (0, 1_001, 2_402)
END = 4_003


class Flow(NamedTuple):
    """What a flow's action says; a flow without the action is None."""

    action: Action
    enable: bool | None


class Row(NamedTuple):
    """One call: a flow, a queue's two switches, a flow."""

    first: Flow | None
    monitoring: bool
    transcription: bool
    last: Flow | None


FLOWS: list[Flow | None] = [
    None,
    *(
        Flow(action, enable)
        for action in ("audioMonitoring", "transcription")
        for enable in (True, False, None)
    ),
]
ROWS = [
    Row(first, monitoring, transcription, last)
    for first, monitoring, transcription, last in itertools.product(
        FLOWS, (False, True), (False, True), FLOWS
    )
]


def says(flow: Flow | None) -> bool | None:
    """What a flow makes of the switch; None where it leaves it. NOT_SET disables."""
    return None if flow is None else flow.enable is True


def expected(row: Row) -> list[tuple[str, int]]:
    """What the wire shows, by the table; nothing where nobody is connected."""
    said = (says(row.first), row.monitoring or row.transcription, says(row.last))
    shown: list[tuple[str, int]] = []
    was = False
    for at, on in zip(TIMES, said, strict=True):
        if on is None or on == was:
            continue
        if not shown:
            shown.append(("open", at))
        else:
            shown.append(("resumed" if on else "paused", at))
        was = on
    return [*shown, ("close", END)] if shown else []


def paused(shown: list[tuple[str, int]]) -> list[tuple[int, int]]:
    starts = [at for what, at in shown if what == "paused"]
    ends = [at for what, at in shown if what == "resumed"]
    return list(itertools.zip_longest(starts, ends, fillvalue=END))
