"""`openaudiohook audit`: who did what, and whether the journal was tampered with."""

from __future__ import annotations

import functools
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from openaudiohook.cli import EXIT_FAILED
from openaudiohook.exceptions import ConfigurationError

if TYPE_CHECKING:
    from openaudiohook.monitor.audit import AuditRow

__all__ = ["audit"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Place(NamedTuple):
    """Where a Monitor's journal and its key are, and what its organizations are called."""

    journal: Path
    key_file: Path
    organization_id: Callable[[str], str]


def _place_options(command: _Command) -> _Command:
    options = (
        click.option(
            "--state",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="The Monitor's state directory.",
        ),
        click.option(
            "--config",
            "config_file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="The Monitor's configuration file, which names that directory.",
        ),
        click.option(
            "--format",
            "form",
            type=click.Choice(["table", "json"]),
            default="table",
            show_default=True,
            help="For people, or for programs: JSON, a line for each row.",
        ),
    )
    return functools.reduce(lambda inner, option: option(inner), reversed(options), command)


@click.group(invoke_without_command=True)
@_place_options
@click.option("--organization", metavar="ID", help="One organization's only.")
@click.option("--requester", metavar="WHO", help="What one did: client:ID, flow:NAME, ...")
@click.option("--entity", metavar="ID", help="What was done to one: an integration, a call, ...")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="The last N rows only.")
@click.pass_context
def audit(
    ctx: click.Context,
    *,
    state: Path | None,
    config_file: Path | None,
    form: str,
    organization: str | None,
    requester: str | None,
    entity: str | None,
    last: int | None,
) -> None:
    """Show who did what on a Monitor, and check that its journal was not tampered with.

    Lists it, the oldest first; `audit verify` checks it. Reads the journal itself, also while the
    Monitor runs, and asks neither the Monitor nor the database.

    Exit status: 0 all well; 1 the journal cannot be read, or an entry is not in its place; 2
    wrong usage.
    """
    if ctx.invoked_subcommand is not None:
        given = click.core.ParameterSource.COMMANDLINE
        if any(ctx.get_parameter_source(name) is given for name in ctx.params):
            raise click.UsageError(f"options of {ctx.invoked_subcommand} come after its name")
        return
    place = _place(state, config_file)
    wanted = None if organization is None else place.organization_id(organization)
    rows: Iterable[AuditRow] = (
        row
        for row in _rows(place.journal)
        if wanted in (None, row.organization_id)
        and requester in (None, row.requester)
        and entity in (None, row.entity_id)
    )
    if last is not None:
        rows = deque(rows, maxlen=last)
    if form == "json":
        for row in rows:
            click.echo(json.dumps(row.as_json()))
    else:
        _print_table(rows)


@audit.command()
@_place_options
@click.option(
    "--head",
    metavar="NUMBER:CODE",
    help="A head that was exported, as its event shows it: the journal must still contain it.",
)
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The Monitor's key; or OPENAUDIOHOOK_MONITOR_KEY. Default: as --config says, or DIR.key.",
)
@click.pass_context
def verify(
    ctx: click.Context,
    *,
    state: Path | None,
    config_file: Path | None,
    form: str,
    head: str | None,
    key_file: Path | None,
) -> None:
    """Check that the journal is what was written.

    Finds entries that were changed, removed or moved by somebody without the key. Whether the
    end was cut off shows against a head that was exported (--head).

    Exit status: 0 intact; 1 it is not, or cannot be read; 2 wrong usage.
    """
    from openaudiohook.monitor.audit import verification_in_words
    from openaudiohook.store.chain import Head
    from openaudiohook.store.keys import KEY_VARIABLE, audit_key, load_master_key
    from openaudiohook.store.segments import verify as verify_journal

    place = _place(state, config_file)
    exported = None if head is None else Head.parse(head)
    # A key that is named here is meant, whatever the environment says.
    value = os.environ.get(KEY_VARIABLE) if key_file is None else None
    key = audit_key(load_master_key(key_file or place.key_file, value))
    found = verify_journal(place.journal, key=key, head=exported)
    if form == "json":
        result = {
            "intact": found.is_intact,
            "lines": found.rows,
            "fitting": found.fitting,
            "head": str(found.head),
            "findings": [finding._asdict() for finding in found.findings],
            "unfinishedOctets": found.torn,
        }
        click.echo(json.dumps(result))
    else:
        click.echo(verification_in_words(found, has_head=exported is not None))
    if not found.is_intact:
        ctx.exit(EXIT_FAILED)


def _place(state: Path | None, config_file: Path | None) -> _Place:
    if (state is None) is (config_file is None):
        raise click.UsageError("give one of --state and --config: which Monitor's journal is it?")
    if state is not None:
        place = _Place(state / "journal", Path(f"{state.resolve()}.key"), str)
    else:
        from openaudiohook.monitor.config import load_monitor_config

        config = load_monitor_config(config_file)
        place = _Place(
            Path(config.state_dir, "journal"),
            config.key_path,
            lambda name: config.organization(name).id,
        )
    if not place.journal.is_dir():
        raise ConfigurationError(f"there is no journal in {place.journal.parent}")
    return place


def _rows(journal: Path) -> Iterator[AuditRow]:
    from openaudiohook.monitor.audit import audit_row
    from openaudiohook.store.segments import Reader

    reader, number = Reader(journal), 0
    while entries := reader.read(number):
        for number, entry in entries:
            if (row := audit_row(number, entry)) is not None:
                yield row


def _print_table(rows: Iterable[AuditRow]) -> None:
    table = [["NUMBER", "TIME", "REQUESTER", "ACTION", "ENTITY", "DETAIL"]]
    for row in rows:
        detail = " ".join(f"{name}={_shown(value)}" for name, value in row.detail.items())
        entity = f"{row.entity_type} {row.entity_id}"
        cells = (str(row.number), row.timestamp, row.requester, row.action, entity, detail)
        table.append([_printable(cell) for cell in cells])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _printable(text: str) -> str:
    """A requester's name is the requester's choice: it must not steer this terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
