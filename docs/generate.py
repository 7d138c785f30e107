"""Writes the pages and drawings that come from the code, or checks that they are fresh.

Usage: generate.py --write | --check
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec
from click.testing import CliRunner
from diagrams import CLIENT, DIAGRAMS, SERVER, Role
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from openaudiohook.cli import COMMANDS, main
from openaudiohook.monitor.config import ENVIRONMENT_PREFIX as MONITOR_PREFIX
from openaudiohook.monitor.config import SETTINGS as MONITOR_SETTINGS
from openaudiohook.monitor.config import MonitorConfig
from openaudiohook.monitor.declared import SCOPES, Key
from openaudiohook.monitor.declared import SECTIONS as MONITOR_SECTIONS
from openaudiohook.monitor.events import CATALOGUE
from openaudiohook.service.config import ENVIRONMENT_PREFIX, SETTINGS, ServiceConfig
from openaudiohook.service.metrics import Metrics, SupervisorMetrics

__all__ = ["GENERATED", "stale"]

DOCS = Path(__file__).resolve().parent
COLUMNS = 88


def help_of(*arguments: str) -> str:
    """What a command prints for `--help`, on a terminal of fixed width."""
    result = CliRunner().invoke(
        main,
        [*arguments, "--help"],
        prog_name="openaudiohook",
        terminal_width=COLUMNS,
        catch_exceptions=False,
    )
    if result.exit_code != 0:
        raise SystemExit(f"openaudiohook {' '.join(arguments)} --help: {result.output.strip()}")
    return result.output.strip()


def cli_page() -> str:
    """The reference of the command line."""
    parts = [
        "# Command line",
        "Exit statuses are explained under [Errors](errors.md#exit-statuses-of-the-command-line).",
        f"```text\n{help_of()}\n```",
    ]
    for name, command in COMMANDS.items():
        parts += [f"## {name}", command.summary, f"```text\n{help_of(name)}\n```"]
    parts.append("Independent, not affiliated with or endorsed by Genesys.")
    return "\n\n".join(parts) + "\n"


def states_page() -> str:
    """The tables of both machines, one row a state."""
    parts = [
        "# States",
        (
            "What each end takes, ignores and may do in each state; drawn in"
            " [The life of a session](../topics/session-lifecycle.md). A message that stands in"
            " neither column is a violation. Unknown message types are ignored in every state."
        ),
    ]
    for role in (SERVER, CLIENT):
        parts += [f"## {role.title}", "\n".join(state_rows(role))]
    return "\n\n".join(parts) + "\n"


def state_rows(role: Role) -> list[str]:
    """The table of one role."""
    rows = ["| state | takes | ignores | we may |", "| --- | --- | --- | --- |"]
    for state, cells in role.received.items():
        takes = [
            f"`{message}`" if after == state else f"`{message}` → {after}"
            for message, after in sorted(cells.items())
        ]
        ignores = [f"`{message}`" for message in sorted(role.ignored[state])]
        if set(role.ignored[state]) == role.messages:
            ignores = ["everything"]
        may = [f"`{intent}`" for intent, states in sorted(role.intents.items()) if state in states]
        rows.append(
            "| " + " | ".join([f"**{state}**", *map(", ".join, (takes, ignores, may))]) + " |"
        )
    return rows


def configuration_page() -> str:
    """Every key a service and a Monitor can be told."""
    parts = [
        "# Configuration",
        (
            "A TOML file comes first, then the environment, then options; later ones win. Relative"
            " paths in a file start at the file. Unknown keys and malformed values are errors that"
            " name the place and what would be right."
        ),
        "## Configuration of a service",
        (
            "What `openaudiohook serve` and `load_config` read. Lists are separated by commas in"
            " the environment."
        ),
        "\n".join(service_rows()),
        "## Configuration of a Monitor",
        (
            "What `openaudiohook monitor` and `load_monitor_config` read: keys of `[monitor]`, and"
            " tables that may be written several times."
            " [Administer the Monitor](../howto/administer-the-monitor.md) shows a whole file."
        ),
        "### [monitor]",
        "\n".join(monitor_rows()),
    ]
    for section, keys in MONITOR_SECTIONS.items():
        parts += [f"### [[{section}]]", "\n".join(section_rows(keys))]
        if section == "clients":
            rows = (f"| `{scope}` | {meaning} |" for scope, meaning in SCOPES.items())
            parts.append("\n".join(["| scope | allows |", "| --- | --- |", *rows]))
    parts.append(
        'A secret may stand elsewhere: `api_key = { env = "NAME" }`, or `{ file = "PATH" }`. An'
        " organization need not be named where there is only one; where none is declared there is"
        " one, called `default`."
    )
    return "\n\n".join(parts) + "\n"


def service_rows() -> Iterator[str]:
    """The table of a service's keys."""
    yield "| key | in the environment | default | meaning |"
    yield "| --- | --- | --- | --- |"
    defaults = {field.name: field.default for field in msgspec.structs.fields(ServiceConfig)}
    for key, setting in SETTINGS.items():
        variable = "" if key == "consumer" else f"`{ENVIRONMENT_PREFIX}{key.upper()}`"
        yield f"| `{key}` | {variable} | {shown(defaults[key])} | {setting.meaning} |"


def monitor_rows() -> Iterator[str]:
    """The table of the keys of `[monitor]`."""
    yield "| key | in the environment | default | meaning |"
    yield "| --- | --- | --- | --- |"
    defaults = {field.name: field.default for field in msgspec.structs.fields(MonitorConfig)}
    for key, told in MONITOR_SETTINGS.items():
        default = told.default or shown(defaults[key])
        yield f"| `{key}` | `{MONITOR_PREFIX}{key.upper()}` | {default} | {told.meaning} |"


def section_rows(keys: Mapping[str, Key]) -> Iterator[str]:
    """The table of the keys of one of a Monitor's other tables."""
    yield "| key | default | meaning |"
    yield "| --- | --- | --- |"
    for key, told in keys.items():
        yield f"| `{key}` | {told.default} | {told.meaning} |"


def shown(default: object) -> str:
    """A default as a table shows it: nothing where there is none."""
    return "" if default in (None, "", msgspec.NODEFAULT) else f"`{toml(default)}`"


def toml(value: object) -> str:
    """A default as it would stand in a file."""
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def metrics_page() -> str:
    """Every metric a service exports."""
    parts = [
        "# Metrics of a service",
        (
            "Served as `/metrics` by the listener that `serve --admin HOST:PORT` opens, in the text"
            " format of Prometheus. No label holds an id, an address or a name of a person."
        ),
    ]
    rows = ["| metric | type | labels | meaning |", "| --- | --- | --- | --- |"]
    for metric, labels in service_metrics():
        shown = ", ".join(f"`{label}`" for label in labels)
        name = metric.name + ("_total" if metric.type == "counter" else "")
        rows.append(f"| `{name}` | {metric.type} | {shown} | {metric.documentation} |")
    return "\n\n".join([*parts, "\n".join(rows)]) + "\n"


def service_metrics() -> Iterator[tuple[Metric, tuple[str, ...]]]:
    """Each metric of a fresh service and its supervisor, with the names of its labels."""
    for metrics in (Metrics(), SupervisorMetrics(Path(tempfile.gettempdir()))):
        for collector in vars(metrics).values():
            if isinstance(collector, MetricWrapperBase):
                yield collector.describe()[0], collector._labelnames


def events_page() -> str:
    """Every operational event."""
    parts = [
        "# Operational events",
        (
            "What the Monitor tells whoever runs it. Each event names an entity (the integration,"
            " the call, or the Monitor), the conversation where there is one, and the time. Its"
            " text says what happened this time, without a number, a name or a secret. See them"
            " with `openaudiohook events`, or over `GET /api/v2/audiohook/events`."
        ),
        (
            "Ids are stable. Those below 0100 are the platform's own, with the meaning that is"
            " known of them; those from 0100 on are ours. An *error* is something that was not"
            " done, a *warning* something that was done less well."
        ),
    ]
    rows = ["| id | event | |", "| --- | --- | --- |"]
    sections = []
    for kind in CATALOGUE.values():
        anchor = re.sub(r"[^a-z0-9]+", "-", f"{kind.id}: {kind.name}".lower()).strip("-")
        rows.append(f"| [{kind.id}](#{anchor}) | {kind.name} | {kind.level} |")
        sections += [
            f"## {kind.id}: {kind.name}",
            f"{kind.description} {kind.meaning}",
            f"**What to do:** {kind.remedy}",
        ]
    return "\n\n".join([*parts, "\n".join(rows), *sections]) + "\n"


GENERATED: dict[Path, Callable[[], str]] = {
    DOCS / "reference" / "cli.md": cli_page,
    DOCS / "reference" / "configuration.md": configuration_page,
    DOCS / "reference" / "events.md": events_page,
    DOCS / "reference" / "metrics.md": metrics_page,
    DOCS / "reference" / "states.md": states_page,
    **{DOCS / "images" / name: drawing for name, drawing in DIAGRAMS.items()},
}
"""Every generated file, and what makes it."""


def stale() -> list[str]:
    """The generated files that differ from what the code would make now."""
    return [
        str(path.relative_to(DOCS.parent))
        for path, make in GENERATED.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != make()
    ]


def run(arguments: list[str]) -> int:
    """Do what the command line asks."""
    if arguments == ["--write"]:
        for path, make in GENERATED.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(make(), encoding="utf-8")
        return 0
    if arguments == ["--check"]:
        for name in stale():
            print(f"{name} is stale: `make docs-write`, look at the difference, commit it")
        return 1 if stale() else 0
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
