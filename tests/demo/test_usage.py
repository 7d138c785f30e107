"""What the demo's call cost, as the control interface tells it."""

from __future__ import annotations

import io
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from openaudiohook.demo.report import Outcome, UsageLine
from openaudiohook.demo.staging import stage_call
from openaudiohook.demo.usage import usage_claim, usage_lines, usage_table
from openaudiohook.monitor.report import CallReport
from openaudiohook.monitor.scenario import Hangup, load_scenario

pytestmark = pytest.mark.unit

ROW: dict[str, Any] = {
    "name": "plain",
    "openSeconds": 1.0,
    "pausedSeconds": {"secure": 0.25, "client": 0.0, "server": 0.0},
    "chargeableSeconds": 0.75,
    "phases": {"queue": {"chargeableSeconds": 0.25}, "agent": {"chargeableSeconds": 0.5}},
}
LINE = UsageLine("plain", open=8000, secure=2000, client=0, server=0, charged=6000, mute=2000)
CALL = Path(__file__).parents[2] / "src/openaudiohook/demo/call/call.toml"


def test_seconds_are_read_as_samples() -> None:
    assert usage_lines([ROW]) == (LINE,)


def test_what_is_charged_is_compared_with_every_account(
    outcomes: list[Outcome], call_report: Callable[[list[Outcome]], CallReport]
) -> None:
    call = call_report(outcomes)
    exact = [
        LINE._replace(name=one.name, charged=call.chargeable_samples(one)) for one in call.endpoints
    ]
    assert usage_claim(call, exact).holds
    assert exact[0].charged > 0
    short = usage_claim(call, exact[1:])
    assert short.failures == (
        f"{exact[0].name}: 0 samples are charged, and its account says {exact[0].charged}",
    )


def test_the_table_fits_80_columns() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(usage_table([LINE._replace(name="a-long-name-of-one")]))
    assert max(len(line.rstrip()) for line in out.getvalue().splitlines()) <= 80
    assert "0.75" in out.getvalue()


def test_a_call_is_staged_as_it_is(tmp_path: Path) -> None:
    stage_call(CALL, tmp_path, until=None)
    assert (tmp_path / "call.toml").read_bytes() == CALL.read_bytes()
    assert {path.name for path in tmp_path.glob("*.wav")} == {
        path.name for path in CALL.parent.glob("*.wav")
    }


def test_a_call_is_staged_hung_up_earlier(tmp_path: Path) -> None:
    stage_call(CALL, tmp_path, until=80_000)
    staged, whole = load_scenario(tmp_path / "call.toml"), load_scenario(CALL)
    assert staged.steps[-1] == Hangup(at=80_000)
    earlier = [step for step in whole.steps if step.at < 80_000]
    assert [(type(one), one.at) for one in staged.steps[:-1]] == [
        (type(one), one.at) for one in earlier
    ]
    assert msgspec.structs.replace(staged, steps=()) == msgspec.structs.replace(whole, steps=())
    assert tomllib.loads((tmp_path / "call.toml").read_text(encoding="utf-8"))["call"]["ani"]
