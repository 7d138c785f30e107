"""Measures every figure, prints each against its budget, and fails when one is missed.

`python -m bench` runs everything; name figures to run some of them. A machine that others use
as well gives an honest "inconclusive" at best.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from bench import control, core, fanout, service
from bench.docs import write_docs
from bench.figures import Figure
from bench.generator import build
from bench.machine import describe
from bench.plots import IMAGES, draw
from bench.processes import prepare_machine
from bench.settings import FULL, QUICK, Settings
from bench.table import render

MEASUREMENTS: Final[dict[str, Callable[[Settings], list[Figure]]]] = {
    "core": core.measure_core,
    "signature": core.measure_signature,
    "service": service.measure_service,
    "service-tls": service.measure_service_tls,
    "setup": service.measure_setup,
    "setup-tls": service.measure_setup_tls,
    "flood": service.measure_flood,
    "fanout": fanout.measure_fanout,
    "control": control.measure_control,
    "ladder": service.measure_ladder,
    "ladder-tls": service.measure_ladder_tls,
    "fanout-ladder": fanout.measure_fanout_ladder,
    "workers": service.measure_workers,
}
_COLUMNS: Final = 180
_WITHOUT_SOCKETS: Final = {"core", "signature"}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(sorted(MEASUREMENTS)), metavar="[FIGURE]...")
@click.option("--quick", is_flag=True, help="Short runs at a light load: does it work at all?")
@click.option("--pairs", type=click.IntRange(1, 50), help="Runs of ours and of the yardstick.")
@click.option("--seconds", type=click.FloatRange(1, 600), help="Measured time of each run.")
@click.option("--streams", type=click.IntRange(1, 20_000), help="Paced streams of the service.")
@click.option("--calls", type=click.IntRange(1, 5_000), help="Calls of the Monitor, x 5.")
@click.option("--json", "report", type=click.Path(path_type=Path), help="Write everything here.")
@click.option(
    "--plots", type=click.Path(path_type=Path), help="Draw each figure into this directory."
)
@click.option(
    "--write-docs",
    "docs_from",
    type=click.Path(path_type=Path, exists=True),
    help="Measure nothing: write docs/performance.md and its plots from such a report.",
)
def main(
    names: tuple[str, ...],
    quick: bool,
    pairs: int | None,
    seconds: float | None,
    streams: int | None,
    calls: int | None,
    report: Path | None,
    plots: Path | None,
    docs_from: Path | None,
) -> None:
    """Measure what openaudiohook costs. Without a FIGURE, all of them."""
    console = Console(width=None if sys.stdout.isatty() else _COLUMNS)
    if docs_from is not None:
        written = json.loads(docs_from.read_text())
        known = [Figure.from_json(each) for each in written["figures"]]
        draw(known, IMAGES)
        write_docs(written, known)
        return
    prepare_machine()
    chosen = names or tuple(MEASUREMENTS)
    if not _WITHOUT_SOCKETS.issuperset(chosen):
        build()
    usual = QUICK if quick else FULL
    settings = replace(
        usual,
        pairs=pairs or usual.pairs,
        seconds=seconds or usual.seconds,
        streams=streams or usual.streams,
        calls=calls or usual.calls,
        say=lambda line: console.print(line, style="dim", highlight=False, soft_wrap=True),
    )
    started, machine = datetime.now(UTC), describe()
    figures: list[Figure] = []
    for name in chosen:
        console.print(f"[bold]{name}")
        figures += MEASUREMENTS[name](settings)
    console.print(render(figures))
    if report is not None:
        report.write_text(
            json.dumps(_report(settings, chosen, quick, started, machine, figures), indent=1)
        )
    if plots is not None:
        draw(figures, plots)
    sys.exit(any(figure.verdict == "missed" for figure in figures))


def _command(arguments: list[str]) -> str:
    """Return what was asked for, without where the answer was to go."""
    kept = ["python -m bench"]
    rest = iter(arguments)
    for argument in rest:
        if argument in ("--json", "--plots"):
            next(rest, None)
        elif not argument.startswith(("--json=", "--plots=")):
            kept.append(argument)
    return " ".join(kept)


def _report(
    settings: Settings,
    names: tuple[str, ...],
    quick: bool,
    started: datetime,
    machine: dict[str, str],
    figures: list[Figure],
) -> dict[str, Any]:
    return {
        "format": 1,
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": _command(sys.argv[1:]),
        "quick": quick,
        "settings": {
            "pairs": settings.pairs,
            "seconds": settings.seconds,
            "streams": settings.streams,
            "calls": settings.calls,
        },
        "measured": list(names),
        "machine": machine,
        "figures": [figure.as_json() for figure in figures],
    }


if __name__ == "__main__":
    main()
