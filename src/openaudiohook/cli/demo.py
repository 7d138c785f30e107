"""`openaudiohook demo`: the bundled call through five integrations at once."""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import click
import structlog
from rich.console import Console

from openaudiohook.cli import EXIT_FAILED, EXIT_OK
from openaudiohook.cli.monitor import require_extras
from openaudiohook.exceptions import ConfigurationError

__all__ = ["demo"]

_WIDTH = 80  # of what is no terminal


@click.command()
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), metavar="FILE",
    help="Write the result as one JSON object.",
)  # fmt: skip
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), metavar="N",
    help="Hang up N seconds after the caller dialed.",
)  # fmt: skip
@click.option(
    "--recordings", type=click.Path(path_type=Path), metavar="DIR",
    help="Where recordings go.  [default: ./recordings/demo-<time>]",
)  # fmt: skip
@click.pass_context
def demo(
    ctx: click.Context, *, json_file: Path | None, seconds: float | None, recordings: Path | None
) -> None:
    """Stream the bundled call to five services at once and show what arrived.

    In real time, on this machine, about a minute. A Monitor runs here; five integrations are made
    through its control interface, and it is asked there what they cost. Three are plain. One is
    behind a line that is too thin; one refuses twice and then catches up. In the call a card
    number is read in a secure flow, and nothing of that leaves.

    Exit status: 0 everything the demo claims was so; 1 it was not, and then it says what; 2 wrong
    usage; 130 Ctrl-C.
    """
    require_extras()
    from openaudiohook.demo.display import displaying
    from openaudiohook.demo.run import Demo, bundled_call
    from openaudiohook.demo.summary import print_summary

    scenario, captions = bundled_call(seconds)
    if json_file is not None:
        _require_writable(json_file)
    if recordings is None:
        now = datetime.datetime.now(datetime.UTC)
        recordings = Path("recordings") / f"demo-{now:%Y%m%dT%H%M%SZ}"
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH)
    job = Demo(scenario, recordings=recordings, captions=captions)
    try:
        with displaying(console) as display, asyncio.Runner(loop_factory=_loop_factory()) as runner:
            _set_up_logging()
            report = runner.run(job.run(display))
    except KeyboardInterrupt:
        click.echo(f"Interrupted. What was recorded so far is in {recordings}", err=True)
        raise
    print_summary(console, report, job.timeline)
    if json_file is not None:
        json_file.write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    ctx.exit(EXIT_OK if report.is_good else EXIT_FAILED)


def _require_writable(path: Path) -> None:
    """Find out before the minute has gone by."""
    try:
        path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise ConfigurationError(f"--json {path}: cannot be written: {error.strerror}") from None


def _set_up_logging() -> None:
    """Let what is wrong be heard, and only that.

    On a live display, stderr is what stands in for it there, so that lines do not collide.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0),
            ],
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder()],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
