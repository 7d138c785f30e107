"""What the demo says at its end: the table, the drawing, the claims, and where the files are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from openaudiohook.audio import RATE
from openaudiohook.demo.drawing import draw
from openaudiohook.demo.report import Claim, DemoReport, Outcome
from openaudiohook.demo.timeline import Timeline
from openaudiohook.demo.usage import usage_table

__all__ = ["print_summary", "results_table"]

_UNITS: Final = (
    "Audio in seconds. sha256: = where sent and received audio have the same hash.\n"
    "p50 and p99: ms from a frame's completion to a consumer of the service."
)


def print_summary(console: Console, report: DemoReport, timeline: Timeline) -> None:
    """Print everything there is to say."""
    console.print(results_table(report))
    console.print(_UNITS, soft_wrap=True)
    console.print()
    console.print(draw(timeline, width=min(console.width, 120)))
    console.print()
    for claim in report.claims:
        console.print(_claim(claim), soft_wrap=True)
    console.print()
    for what, path in _files(report):
        console.print(f"{what}\n   {path}", markup=False, highlight=False, soft_wrap=True)
    if report.usage:
        console.print()
        console.print(usage_table(report.usage))


def results_table(report: DemoReport) -> Table:
    """Draw the table: one row for each integration. It fits 80 columns."""
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
        header_style="bold",
    )
    table.add_column("", no_wrap=True)
    for head in ("sent", "received"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("sha256", no_wrap=True)
    for head in ("p50", "p99", "paused", "charged", "gaps"):
        table.add_column(head, justify="right", no_wrap=True)
    for outcome in report.outcomes:
        table.add_row(*_row(report, outcome))
    return table


def _row(report: DemoReport, outcome: Outcome) -> Iterable[Text]:
    account, receipt = outcome.endpoint.account, outcome.receipt
    digest = f"= {receipt.sha256[:8]}"
    if account.sent_sha256 != receipt.sha256:
        digest = "differ"
    paused = {
        "secure": account.paused_secure,
        "client": account.paused_client,
        "server": account.paused_server,
    }
    gaps = Text("none")
    if receipt.discarded:
        total = sum(end - start for start, end in receipt.discarded)
        gaps = Text(f"{len(receipt.discarded)}: {_seconds(total)}", style="yellow")
    return (
        Text(outcome.name, style="bold"),
        Text(_seconds(account.sent)),
        Text(_seconds(receipt.samples), style="" if outcome.is_exact else "red"),
        Text(digest, style="green" if digest != "differ" else "bold red"),
        Text(_milliseconds(receipt.latency.quantile(0.5))),
        Text(_milliseconds(receipt.latency.quantile(0.99))),
        Text("\n".join(f"{_seconds(n)} {cause}" for cause, n in paused.items() if n) or "none"),
        Text(_seconds(report.call.chargeable_samples(outcome.endpoint))),
        gaps,
    )


def _claim(claim: Claim) -> Text:
    if not claim.is_shown:
        return Text(f"-   {claim.text}: not reached in a call this short", style="dim")
    if claim.holds:
        return Text.assemble(("ok  ", "green"), claim.text)
    line = Text.assemble(("NO  ", "bold red"), claim.text)
    for failure in claim.failures:
        line.append(f"\n    {failure}")
    return line


def _files(report: DemoReport) -> Iterable[tuple[str, str]]:
    folder = report.recordings / report.call.conversation_id
    yield "Recordings, and a JSON file beside each that accounts for every sample:", f"{folder}/"
    picture = "(it could not be written)" if report.picture is None else str(report.picture)
    yield "The timeline as a picture, drawn from the recordings:", picture


def _seconds(samples: int) -> str:
    return f"{samples / RATE:.2f}"


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"
