"""`openaudiohook events`: what went wrong on a Monitor that runs, and what else it has to say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from openaudiohook.cli._control import control_options, controlled
from openaudiohook.exceptions import ControlError

if TYPE_CHECKING:
    from openaudiohook.monitor.control_client import ControlClient

__all__ = ["events"]

_PATH: Final = "/api/v2/audiohook/events"


@click.command()
@control_options
@click.option("--follow", is_flag=True, help="Go on and print what is raised from now on.")
@click.option("--conversation", metavar="ID", help="Those about one conversation only.")
@click.option(
    "--last", type=click.IntRange(0), default=20, show_default=True, help="How many earlier ones."
)
@click.option("--explain", "with_remedy", is_flag=True, help="Say of each what helps.")
@click.option("--json", "as_json", is_flag=True, help="Print each as one line of JSON.")
def events(
    *,
    api: str | None,
    client: str | None,
    config_file: Path | None,
    organization: str | None,
    allow_http: bool,
    follow: bool,
    conversation: str | None,
    last: int,
    with_remedy: bool,
    as_json: bool,
) -> None:
    """Print a running Monitor's operational events, the oldest first.

    The Monitor is the one of --config, or of --api and --client. With --follow, until Ctrl-C.

    Exit status: 0 all well; 1 the Monitor did not answer, or answered no; 2 wrong usage; 130
    Ctrl-C.
    """
    control = controlled(
        api=api,
        client=client,
        config_file=config_file,
        organization=organization,
        allow_http=allow_http,
    )
    earlier = list(control.all(_PATH, conversationId=conversation))
    _print(earlier[len(earlier) - min(last, len(earlier)) :], as_json, with_remedy)
    if follow:
        _print(_new(control, conversation), as_json, with_remedy)
        raise ControlError("the Monitor ended the stream: it stops, or the login has expired")


def _new(control: ControlClient, conversation: str | None) -> Iterator[dict[str, Any]]:
    for event in control.stream(_PATH):
        if conversation is None or event.get("conversationId") == conversation:
            yield event


def _print(told: Iterable[dict[str, Any]], as_json: bool, with_remedy: bool) -> None:
    for event in told:
        click.echo(json.dumps(event) if as_json else _line(event, with_remedy=with_remedy))


def _line(event: dict[str, Any], *, with_remedy: bool) -> str:
    """One event as people read it: when, which, about what, and what happened."""
    from openaudiohook.monitor.events import CATALOGUE

    kind = CATALOGUE.get(event["eventEntity"]["id"])
    about = event.get("entityName") or event["entityType"]
    call = f" [{event['conversationId']}]" if event.get("conversationId") else ""
    level = "" if kind is None else f"{kind.level:<7} "
    line = (
        f"{event['timestamp']} {level}{event['eventEntity']['id']} {about}{call}: {event['text']}"
    )
    if with_remedy and kind is not None:
        line += f"\n    {kind.remedy}"
    return line
