"""`openaudiohook recover`: repair what a crash left."""

from __future__ import annotations

from pathlib import Path

import click

from openaudiohook.cli import EXIT_FAILED
from openaudiohook.consumers.recording_recovery import recover as recover_recordings

__all__ = ["recover"]


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.pass_context
def recover(ctx: click.Context, directory: Path) -> None:
    """Repair the recordings under DIR that a crash left unfinished.

    Sizes in the WAV headers are settled, missing or stale sidecars are rebuilt, and audio is
    never shortened. Prints a line per file; run it as often as you like, also beside a running
    service: files still being written are left alone.

    Exit status: 0 all well; 1 a file could not be repaired, and its line says why; 2 wrong usage.
    """
    has_failed = False
    for outcome in recover_recordings(directory):
        has_failed |= outcome.result == "failed"
        length = f"{outcome.samples / 8000:.3f} s" if outcome.samples else ""
        note = ", ".join(part for part in (length, outcome.detail) if part)
        click.echo(f"{outcome.result}: {outcome.path}{f' ({note})' if note else ''}")
    if has_failed:
        ctx.exit(EXIT_FAILED)
