"""What the call cost, as the Monitor's control interface reports it once it is over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.table import Table

from openaudiohook.audio import RATE
from openaudiohook.demo.report import Claim, UsageLine
from openaudiohook.monitor.report import CallReport

__all__ = ["usage_claim", "usage_lines", "usage_table"]

_MUTE: Final = ("ivr", "hold", "queue")
"""The phases of a call in which nobody speaks to the customer."""


def usage_lines(rows: Iterable[Mapping[str, Any]]) -> tuple[UsageLine, ...]:
    """Read what `GET /api/v2/audiohook/usage` answered: seconds, which are whole samples."""
    return tuple(
        UsageLine(
            name=row["name"],
            open=_samples(row["openSeconds"]),
            secure=_samples(row["pausedSeconds"]["secure"]),
            client=_samples(row["pausedSeconds"]["client"]),
            server=_samples(row["pausedSeconds"]["server"]),
            charged=_samples(row["chargeableSeconds"]),
            mute=sum(
                _samples(phase["chargeableSeconds"])
                for name, phase in row["phases"].items()
                if name in _MUTE
            ),
        )
        for row in rows
    )


def usage_claim(call: CallReport, usage: Sequence[UsageLine]) -> Claim:
    """Claim that what is charged is what the sessions' accounts say, to the sample."""
    return Claim("what is charged is what each session's account says", tuple(_wrong(call, usage)))


def _wrong(call: CallReport, usage: Sequence[UsageLine]) -> Iterator[str]:
    charged = {line.name: line.charged for line in usage}
    for endpoint in call.endpoints:
        expected, told = call.chargeable_samples(endpoint), charged.get(endpoint.name, 0)
        if told != expected:
            yield f"{endpoint.name}: {told} samples are charged, and its account says {expected}"


def usage_table(usage: Iterable[UsageLine]) -> Table:
    """Draw the usage in seconds; it fits 80 columns."""
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
        header_style="bold",
        title="Usage in seconds, as GET /api/v2/audiohook/usage reports it",
        title_justify="left",
        title_style="",
    )
    table.add_column("", no_wrap=True)
    heads = ("open", "secure", "client", "server", "charged", "charged, nobody spoke")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for line in usage:
        table.add_row(line.name, *(f"{samples / RATE:.2f}" for samples in line[1:]))
    return table


def _samples(seconds: float) -> int:
    return round(seconds * RATE)
