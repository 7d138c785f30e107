"""What the demo prints at its end."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from tests.demo.conftest import LENGTH, SECURE, MakeOutcome

from openaudiohook.demo.checking import Receipt
from openaudiohook.demo.report import Claim, DemoReport, Outcome, Role, check
from openaudiohook.demo.summary import print_summary
from openaudiohook.demo.timeline import Fate, Lane, Part, Stretch, Timeline
from openaudiohook.monitor.report import CallReport

pytestmark = pytest.mark.unit

MakeCall = Callable[[list[Outcome]], CallReport]

TIMELINE = Timeline(
    LENGTH,
    (SECURE,),
    (Part(0, LENGTH, "agent"),),
    (Lane("plain", "", (Stretch(0, LENGTH, Fate.LIVE),)),),
)


def printed(report: DemoReport) -> str:
    out = io.StringIO()
    print_summary(Console(file=out, width=80, highlight=False), report, TIMELINE)
    return out.getvalue()


def row(text: str, name: str) -> list[str]:
    """The row of the table, which comes before the drawing."""
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [name])


def report_of(
    call: CallReport, outcomes: list[Outcome], claims: tuple[Claim, ...], picture: Path | None
) -> DemoReport:
    return DemoReport(call, tuple(outcomes), claims, Path("recordings/demo-1"), picture)


def test_the_table_fits_80_columns_and_shows_both_sides(
    outcomes: list[Outcome], call_report: MakeCall
) -> None:
    call = call_report(outcomes)
    text = printed(report_of(call, outcomes, check(call, outcomes), Path("t.svg")))
    digest = outcomes[0].receipt.sha256[:8]
    assert row(text, "plain") == [
        "plain", "0.75", "0.75", "=", digest, "1.5", "1.5", "0.25", "secure", "0.75", "none",
    ]  # fmt: skip
    assert row(text, "slow")[-2:] == ["1:", "0.06"]
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    assert text.count("ok  ") == 8
    assert "recordings/demo-1/c0ffee00-1111-4222-8333-444455556666/" in text
    assert "   t.svg" in text


def test_what_differs_is_said_so(
    outcomes: list[Outcome], call_report: MakeCall, make_outcome: MakeOutcome
) -> None:
    outcomes[0] = make_outcome(Role.PLAIN, received=b"\0\0")
    text = printed(report_of(call_report(outcomes), outcomes, (), None))
    assert row(text, "plain")[:4] == ["plain", "0.75", "0.00", "differ"]
    assert "could not be written" in text


def test_claims_are_held_refuted_or_not_reached(
    outcomes: list[Outcome], call_report: MakeCall
) -> None:
    claims = (
        Claim("one holds", ()),
        Claim("one does not", ("plain: because", "slow: too")),
        Claim("one comes later", (), is_shown=False),
    )
    lines = printed(report_of(call_report(outcomes), outcomes, claims, None)).splitlines()
    start = lines.index("ok  one holds")
    assert lines[start + 1 : start + 5] == [
        "NO  one does not",
        "    plain: because",
        "    slow: too",
        "-   one comes later: not reached in a call this short",
    ]


def test_an_integration_that_received_nothing_has_no_latency(
    outcomes: list[Outcome], call_report: MakeCall
) -> None:
    outcomes[0] = outcomes[0]._replace(receipt=Receipt())
    text = printed(report_of(call_report(outcomes), outcomes, (), None))
    assert row(text, "plain")[4:6] == ["-", "-"]
