"""`openaudiohook usage`: minutes per integration and phase, and what of them is charged."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from openaudiohook.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from openaudiohook.monitor.usage import IntegrationUsage, Usage
    from openaudiohook.protocol.types import PauseCause
    from openaudiohook.store.records import Organization

__all__ = ["usage"]

_WIDTH: Final = 120
_ALL: Final = "all"
_COLUMNS: Final = (
    "month", "organizationId", "organization", "integrationId", "integration", "phase",
    "conversations", "openNs", "secureNs", "clientNs", "serverNs", "chargeableNs",
    "nobodySpokeNs", "roundingNs", "minutes",
)  # fmt: skip


class _Report(NamedTuple):
    """What one organization used."""

    organization: Organization
    integrations: list[IntegrationUsage]


@click.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The Monitor's configuration file: says which database and tariff.",
)
@click.option(
    "--store",
    metavar="URL",
    envvar="OPENAUDIOHOOK_MONITOR_STORE",
    help="The Monitor's database. Default: as --config says.",
)
@click.option("--month", metavar="MONTH", help="Only this one, as in 2026-11. Default: all.")
@click.option("--organization", metavar="NAME", help="Only this one. Default: all.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="For people in minutes; for programs in nanoseconds.",
)
def usage(
    *,
    config_file: Path | None,
    store: str | None,
    month: str | None,
    organization: str | None,
    form: str,
) -> None:
    """Show minutes per integration and phase of the call, and what of them is charged.

    Everything is computed from the intervals in the Monitor's database, also while it runs. A call
    counts in the month in which it began, by UTC, and a session once it has ended. Minutes are
    rounded once, for each integration and month.

    Exit status: 0 all well; 1 the database cannot be read; 2 wrong usage.
    """
    if config_file is None and store is None:
        raise click.UsageError("give --config or --store: whose usage is it?")
    try:
        reports, free = asyncio.run(_read(config_file, store, month, organization))
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"this needs {error.name}: pip install 'openaudiohook[monitor]'"
        ) from None
    if form == "csv":
        _print_csv(reports)
    elif form == "json":
        click.echo(json.dumps(_as_json(reports, free), indent=2))
    else:
        _print_tables(reports, free)


async def _read(
    config_file: Path | None, store: str | None, month: str | None, name: str | None
) -> tuple[list[_Report], Collection[PauseCause]]:
    """Read what each organization used, and which pauses were free."""
    from openaudiohook.monitor.config import load_monitor_config
    from openaudiohook.monitor.usage import by_integration, read_usage
    from openaudiohook.store.database import Database
    from openaudiohook.store.integrations import Integrations
    from openaudiohook.store.ledger import Ledger
    from openaudiohook.store.organizations import Organizations

    config = load_monitor_config(config_file)
    database = await Database.open(store or config.store_url, migrate=False)
    try:
        organizations = await Organizations(database).all()
        reports = []
        for organization in _chosen(organizations, name):
            rows = await read_usage(
                Ledger(database),
                Integrations(database),
                organization.id,
                month=month,
                free_pauses=config.free_pauses,
            )
            reports.append(_Report(organization, by_integration(rows)))
    finally:
        await database.close()
    return reports, config.free_pauses


def _chosen(organizations: list[Organization], name: str | None) -> list[Organization]:
    chosen = [one for one in organizations if name in (None, one.name, one.id)]
    if not chosen and name is not None:
        known = ", ".join(f"'{one.name}'" for one in organizations) or "none"
        raise ConfigurationError(f"'{name}' is no organization of this Monitor; there are {known}")
    return chosen


# For people -------------------------------------------------------------------------------


def _print_tables(reports: list[_Report], free: Collection[PauseCause]) -> None:
    from rich.console import Console
    from rich.table import Table

    from openaudiohook.monitor.usage import NOBODY_SPEAKS

    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False, markup=False)
    for organization, month, integrations in _by_month(reports):
        table = Table(title=f"{organization.name}, {month}: minutes", title_justify="left")
        for column in ("integration", "phase"):
            table.add_column(column, overflow="fold")
        for column in ("open", "secure pause", "client pause", "server pause", "charged"):
            table.add_column(column, justify="right")
        for one in integrations:
            for phase, spent in one.phases.items():
                table.add_row(one.name, phase, *_minutes(spent))
            table.add_row(one.name, _ALL, *_minutes(one.total), style="bold", end_section=True)
        console.print(table)
        for one in integrations:
            console.print(_sum(one, NOBODY_SPEAKS), soft_wrap=True)
    if not any(report.integrations for report in reports):
        console.print("no session has ended in that time: nothing is charged")
    console.print(f"free pauses: {', '.join(sorted(free)) or 'none'}", soft_wrap=True)


def _sum(one: IntegrationUsage, mute: Collection[str]) -> str:
    return (
        f"{one.name}: {one.minutes} min charged, {_minute(one.chargeable_ns)} rounded once "
        f"({_minute(one.rounding_ns, sign='+')}); {_minute(one.nobody_spoke_ns)} of it paid though "
        f"nobody spoke ({', '.join(mute)}); {_calls(one.conversations)}"
    )


def _by_month(
    reports: list[_Report],
) -> Iterator[tuple[Organization, str, list[IntegrationUsage]]]:
    for report in reports:
        for month in sorted({one.month for one in report.integrations}):
            of_it = [one for one in report.integrations if one.month == month]
            yield report.organization, month, of_it


def _minutes(spent: Usage) -> list[str]:
    all_ns = (
        spent.open_ns, spent.secure_ns, spent.client_ns, spent.server_ns, spent.chargeable_ns,
    )  # fmt: skip
    return [_minute(ns) for ns in all_ns]


def _minute(ns: int, *, sign: str = "-") -> str:
    return f"{ns / 60_000_000_000:{sign}.3f}"


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count} calls"


# For programs -----------------------------------------------------------------------------


def _print_csv(reports: list[_Report]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for report in reports:
        organization = report.organization
        for one in report.integrations:
            start = (one.month, organization.id, organization.name, one.integration_id, one.name)
            for phase, spent in one.phases.items():
                writer.writerow([*start, phase, "", *_numbers(spent).values(), "", "", ""])
            sums = [one.nobody_spoke_ns, one.rounding_ns, one.minutes]
            total = _numbers(one.total).values()
            writer.writerow([*start, _ALL, one.conversations, *total, *sums])


def _as_json(reports: list[_Report], free: Collection[PauseCause]) -> dict[str, Any]:
    return {
        "freePauses": sorted(free),
        "organizations": [
            {
                "id": report.organization.id,
                "name": report.organization.name,
                "integrations": [_one_as_json(one) for one in report.integrations],
            }
            for report in reports
        ],
    }


def _one_as_json(one: IntegrationUsage) -> dict[str, Any]:
    return {
        "month": one.month,
        "integrationId": one.integration_id,
        "name": one.name,
        "conversations": one.conversations,
        **_numbers(one.total),
        "nobodySpokeNs": one.nobody_spoke_ns,
        "roundingNs": one.rounding_ns,
        "minutes": one.minutes,
        "phases": {phase: _numbers(spent) for phase, spent in one.phases.items()},
    }


def _numbers(spent: Usage) -> dict[str, int]:
    return {
        "openNs": spent.open_ns,
        "secureNs": spent.secure_ns,
        "clientNs": spent.client_ns,
        "serverNs": spent.server_ns,
        "chargeableNs": spent.chargeable_ns,
    }
