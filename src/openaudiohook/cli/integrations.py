"""`openaudiohook integrations`: what is configured on a Monitor that runs, and how it is."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click
from rich.console import Console
from rich.table import Table

from openaudiohook.cli import EXIT_FAILED, EXIT_OK
from openaudiohook.cli._control import control_options, controlled
from openaudiohook.exceptions import ControlError

if TYPE_CHECKING:
    from openaudiohook.monitor.control_client import ControlClient

__all__ = ["integrations"]

_WIDTH: Final = 120
_PATH: Final = "/api/v2/integrations"
_POLL_S: Final = 0.2
_PROBE_S: Final = 60.0


@click.command()
@control_options
@click.option("--enable", metavar="NAME", help="Switch one on: it is probed, and then active.")
@click.option("--disable", metavar="NAME", help="Switch one off: its live sessions are closed.")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.pass_context
def integrations(
    ctx: click.Context,
    *,
    api: str | None,
    client: str | None,
    config_file: Path | None,
    organization: str | None,
    allow_http: bool,
    enable: str | None,
    disable: str | None,
    as_json: bool,
) -> None:
    """List a running Monitor's integrations, or switch one.

    The Monitor is the one of --config, or of --api and --client.

    Exit status: 0 what is switched on is active; 1 it is not, and the list says why; 2 wrong usage.
    """
    if enable is not None and disable is not None:
        raise click.UsageError("give --enable or --disable, not both")
    control = controlled(
        api=api,
        client=client,
        config_file=config_file,
        organization=organization,
        allow_http=allow_http,
    )
    if enable is not None:
        _switch(control, enable, "ENABLED")
    if disable is not None:
        _switch(control, disable, "DISABLED")
    found = _listed(control)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _print(found)
    wanted = [one for one in found if one["intendedState"] == "ENABLED"]
    is_good = all(one["state"] == "ACTIVE" for one in wanted)
    ctx.exit(EXIT_OK if is_good else EXIT_FAILED)


def _listed(control: ControlClient) -> list[dict[str, Any]]:
    """Every integration with the part of its configuration that people look for."""
    found = []
    for integration in control.all(_PATH):
        config = control.get(f"{_PATH}/{integration['id']}/config/current")
        state = integration.get("reportedState") or {}
        detail = state.get("detail") or {}
        found.append(
            {
                "id": integration["id"],
                "name": integration["name"],
                "intendedState": integration.get("intendedState", "DISABLED"),
                "state": state.get("code", "INACTIVE"),
                "detail": detail.get("message", ""),
                "version": config["version"],
                "properties": config.get("properties") or {},
            }
        )
    return found


def _switch(control: ControlClient, name: str, state: Literal["ENABLED", "DISABLED"]) -> None:
    """Switch one, and wait until it is known what came of it."""
    present = {one["name"]: one["id"] for one in control.all(_PATH)}
    if name not in present:
        known = ", ".join(f"'{each}'" for each in present) or "none"
        raise ControlError(f"'{name}' is no integration of this Monitor, which has {known}")
    path = f"{_PATH}/{present[name]}"
    control.patch(path, {"intendedState": state})
    give_up_at = time.monotonic() + _PROBE_S
    while (control.get(path).get("reportedState") or {}).get("code") in _ON_THE_WAY:
        if time.monotonic() > give_up_at:
            raise ControlError(f"the probe of '{name}' has not ended within {_PROBE_S:g} s")
        time.sleep(_POLL_S)


_ON_THE_WAY: Final = ("ACTIVATING", "DEACTIVATING", "PROBING")


def _print(found: list[dict[str, Any]]) -> None:
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False, markup=False)
    if not found:
        console.print("no integration is configured: `openaudiohook init` makes one")
        return
    table = Table()
    for column in ("name", "state", "channel", "connection URI"):
        table.add_column(column, overflow="fold")
    for one in found:
        properties = one["properties"]
        state = one["state"] if one["intendedState"] == "ENABLED" else "off"
        table.add_row(
            one["name"],
            state.lower(),
            properties.get("channel", ""),
            properties.get("connectionUri", ""),
        )
    console.print(table)
    for one in found:
        if one["detail"]:
            console.print(f"{one['name']}: {one['detail']}", soft_wrap=True)
