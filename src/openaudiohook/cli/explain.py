"""`openaudiohook explain`: what became of a call on every integration, and why."""

from __future__ import annotations

import contextlib
import datetime
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import click
from rich.console import Console
from rich.table import Table

from openaudiohook.cli._control import control_options, controlled
from openaudiohook.exceptions import ConfigurationError, NotFound

if TYPE_CHECKING:
    from openaudiohook.monitor.explain import Explanation, Finding, PartExplained
    from openaudiohook.store.entries import Entry

__all__ = ["explain", "print_explanation"]

_WIDTH: Final = 100
_RATE: Final = 8000
_BATCH: Final = 5_000
_LATEST: Final = "latest"
_WHOLE: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@click.command()
@click.argument("conversation")
@control_options
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The Monitor's state directory, instead of --config.",
)
@click.option(
    "--trace",
    "trace_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A trace of its sessions: what was left out is then drawn where it was. Default: the one "
    "that the Monitor wrote, where --config says that it traces.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
def explain(
    conversation: str,
    *,
    api: str | None,
    client: str | None,
    config_file: Path | None,
    organization: str | None,
    allow_http: bool,
    state: Path | None,
    trace_file: Path | None,
    as_json: bool,
) -> None:
    """Say why a call was not, late or partly streamed, and where every sample is.

    It also says what the call cost. CONVERSATION is a conversation's id. With --config or --state
    the answer comes from the Monitor's journal on this machine, whether it runs or is long gone;
    then the beginning of an id will do, and 'latest' is the last one. With --api the Monitor itself
    is asked.

    Exit status: 0 explained; 1 nothing is known of that conversation; 2 wrong usage.
    """
    if [api, config_file, state].count(None) != 2:
        raise click.UsageError(
            "give one of --config, --state and --api: which Monitor's call is it?"
        )
    if api is not None and not _WHOLE.fullmatch(conversation):
        raise click.UsageError(
            "with --api give the whole id of the conversation: 'latest', or the beginning of an "
            "id, is for --config and --state"
        )
    if api is None:
        explanation = _from_journal(conversation, config_file, state, organization, trace_file)
    else:
        if trace_file is not None:
            raise click.UsageError("--trace is read beside a journal: with --config or --state")
        from openaudiohook.monitor.explain import Explanation

        control = controlled(
            api=api, client=client, config_file=None, organization=None, allow_http=allow_http
        )
        path = f"/api/v2/audiohook/calls/{quote(conversation, safe='')}/explanation"
        explanation = Explanation.from_json(control.get(path))
    if as_json:
        click.echo(json.dumps(explanation.as_json(), indent=2))
    else:
        width = None if sys.stdout.isatty() else _WIDTH
        print_explanation(Console(width=width, highlight=False, markup=False), explanation)


def _from_journal(
    conversation: str,
    config_file: Path | None,
    state: Path | None,
    organization: str | None,
    trace_file: Path | None,
) -> Explanation:
    from openaudiohook.monitor.config import load_monitor_config
    from openaudiohook.monitor.explain import explain as explained

    options = None if state is None else {"state_dir": str(state)}
    config = load_monitor_config(config_file, options=options)
    directory = Path(config.state_dir) / "journal"
    if not directory.is_dir():
        raise ConfigurationError(
            f"{directory}: no journal is there; has that Monitor run, and on this machine?"
        )
    whose = None if organization is None else config.organization(organization).id
    entries = [one for one in _entries(directory) if whose in (None, one.organization_id)]
    organization_id, conversation_id = _found(entries, conversation)
    if trace_file is None and config.trace_dir is not None:
        found = Path(config.trace_dir) / f"{conversation_id}.jsonl"
        trace_file = found if found.is_file() else None
    with _lines(trace_file) as trace:
        return explained(
            entries,
            organization_id=organization_id,
            conversation_id=conversation_id,
            names=_names(entries),
            free_pauses=config.free_pauses,
            trace=trace,
        )


# What is read ---------------------------------------------------------------------------


def _entries(directory: Path) -> Iterator[Entry]:
    from openaudiohook.store.segments import Reader

    reader, after = Reader(directory), 0
    while batch := reader.read(after, _BATCH):
        yield from (entry for _, entry in batch)
        after = batch[-1][0]


def _found(entries: Iterable[Entry], wanted: str) -> tuple[str, str]:
    """Which conversation of which organization is meant."""
    known = dict.fromkeys(
        (entry.organization_id, id_)
        for entry in entries
        if (id_ := getattr(entry, "conversation_id", None)) is not None
    )
    if wanted == _LATEST:
        if not known:
            raise NotFound("the journal knows no conversation yet", entity_type="conversation")
        return list(known)[-1]
    found = [one for one in known if one[1].startswith(wanted.lower())]
    if len(found) != 1:
        raise NotFound(
            f"{len(found)} conversations begin with {wanted}: give more of its id"
            if found
            else f"the journal knows no conversation {wanted}: was the call placed on another "
            "Monitor, or with another state_dir? `openaudiohook explain latest` shows the last one",
            entity_type="conversation",
        )
    return found[0]


def _names(entries: Iterable[Entry]) -> dict[str, str]:
    """What integrations are called, as far as any event says so."""
    from openaudiohook.store.entries import EventRaised

    return {
        entry.entity_id: entry.entity_name
        for entry in entries
        if isinstance(entry, EventRaised) and entry.entity_type == "integration"
    }


@contextlib.contextmanager
def _lines(path: Path | None) -> Iterator[Iterable[bytes]]:
    if path is None:
        yield ()
        return
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise ConfigurationError(f"--trace {path}: cannot be read: {error.strerror}") from None


# What is told ---------------------------------------------------------------------------


def print_explanation(console: Console, explanation: Explanation) -> None:
    """Print the answers, the drawing, and the accounts."""
    from openaudiohook.cli._timeline import draw

    console.print(f"conversation {explanation.conversation_id}", soft_wrap=True)
    for part in explanation.parts:
        _print_part_head(console, part, is_only=len(explanation.parts) == 1)
        for finding in explanation.findings:
            if finding.part == part.number:
                _print_finding(console, finding)
        if part.length and part.lanes:
            console.print()
            console.print(draw(part, width=min(console.width, 120)))
            console.print()
            console.print(_accounts(part))
    if not explanation.parts:
        for finding in explanation.findings:
            _print_finding(console, finding)


def _print_part_head(console: Console, part: PartExplained, *, is_only: bool) -> None:
    began = datetime.datetime.fromtimestamp(part.began_ns // 10**9, datetime.UTC)
    name = "call" if is_only else f"part {part.number}"
    monitored = "never monitored"
    if part.monitored_from is not None:
        monitored = f"monitored from {part.monitored_from / _RATE:.3f} s"
    console.print(
        f"{name} of {part.length / _RATE:.3f} s, began {began:%Y-%m-%d %H:%M:%S} UTC, "
        f"edge {part.edge}, {monitored}",
        soft_wrap=True,
    )


def _print_finding(console: Console, finding: Finding) -> None:
    console.print(f"  {_SIGNS.get(finding.kind, '!')} {finding.text}", soft_wrap=True)
    if finding.remedy and finding.kind not in ("good", "paused", "moved"):
        console.print(f"      {finding.remedy}", soft_wrap=True)


_SIGNS: Final = {"good": "+", "open": "-", "paused": "-", "moved": "-", "event": "-"}


def _accounts(part: PartExplained) -> Table:
    """Where every sample is: what was sent, discarded, paused and lost, and what is not known, is
    what the sessions lasted.
    """
    names = ("sent", "discarded", "paused", "lost", "unknown")
    causes = ("secure", "client", "server")
    shown = [
        name
        for name in (*names, *causes, "chargeable")
        if name in ("sent", "chargeable") or any(getattr(lane, name) for lane in part.lanes)
    ]
    table = Table()
    table.add_column("integration", no_wrap=True)
    for name in shown:
        table.add_column(f"{_HEADS.get(name, name)} s", justify="right", no_wrap=True)
    for lane in part.lanes:
        nothing_known = lane.unknown and not any(getattr(lane, name) for name in names[:-1])
        table.add_row(
            lane.name,
            *(
                "?"
                if nothing_known and name in names[:-1]
                else f"{getattr(lane, name) / _RATE:.3f}"
                for name in shown
            ),
        )
    return table


_HEADS: Final = {"chargeable": "charged", "unknown": "not known"}
