"""`openaudiohook consumers`: what is installed and could be switched on."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from openaudiohook.host.registry import Registry

__all__ = ["consumers"]


@click.command()
def consumers() -> None:
    """List the consumers that are installed.

    Installing one switches nothing on: name it with `serve --consumer NAME`.

    Exit status: 0 all well; 2 wrong usage.
    """
    table = Table(box=None, pad_edge=False)
    for column in ("NAME", "PACKAGE", "TARGET"):
        table.add_column(column, no_wrap=True)
    for found in Registry().installed():
        table.add_row(found.name, found.distribution, found.target)
    Console(highlight=False, soft_wrap=True).print(table)
