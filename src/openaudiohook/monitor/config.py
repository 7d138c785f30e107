"""What a Monitor can be told: itself, its organizations, API clients, integrations and queues.

A TOML file; for the keys of `[monitor]` the environment, `OPENAUDIOHOOK_MONITOR_` and the key in
capitals, and then options win over it. Relative paths in a file start at the file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.monitor.declared import (
    DEFAULT_ORGANIZATION,
    SECTIONS,
    ApiClient,
    DeclaredIntegration,
    DeclaredQueue,
    Key,
    read_declared,
)
from openaudiohook.monitor.toml_file import TomlFile
from openaudiohook.protocol.types import PauseCause
from openaudiohook.store.records import Organization

__all__ = ["ENVIRONMENT_PREFIX", "SETTINGS", "MonitorConfig", "load_monitor_config"]

ENVIRONMENT_PREFIX: Final = "OPENAUDIOHOOK_MONITOR_"

_STATE_DIR: Final = "monitor-state"
_SQLITE: Final = "sqlite:///"

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Seconds = Annotated[int, msgspec.Meta(ge=60, le=2_592_000)]


class MonitorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a Monitor can be told; `SETTINGS` and `SECTIONS` say what each field means."""

    host: str = "127.0.0.1"
    port: Port = 3080
    state_dir: str = _STATE_DIR
    store: str | None = None
    key_file: str | None = None
    media_dir: str | None = None
    trace_dir: str | None = None
    region: str = ""
    free_pauses: frozenset[PauseCause] = frozenset({PauseCause.SECURE, PauseCause.CLIENT})
    allow_ws: bool = False
    ca_file: str | None = None
    requests_per_minute: Count = 300
    token_seconds: Seconds = 86_400
    organizations: tuple[Organization, ...] = (DEFAULT_ORGANIZATION,)
    clients: tuple[ApiClient, ...] = ()
    integrations: tuple[DeclaredIntegration, ...] = ()
    queues: tuple[DeclaredQueue, ...] = ()

    def __repr__(self) -> str:
        return f"MonitorConfig(host={self.host!r}, port={self.port})"

    @property
    def store_url(self) -> str:
        """The database: the one that was named, or SQLite in the state directory."""
        return self.store or f"sqlite:///{Path(self.state_dir, 'monitor.sqlite')}"

    @property
    def key_path(self) -> Path:
        """The file of the master key: the one that was named, or beside the state directory."""
        return Path(self.key_file or f"{self.state_dir.rstrip('/')}.key")

    def organization(self, name: str) -> Organization:
        """Find an organization by its name or its id.

        Raises:
            ConfigurationError: there is none of that name; the text lists those there are.
        """
        for organization in self.organizations:
            if name in (organization.name, organization.id):
                return organization
        known = ", ".join(f"'{organization.name}'" for organization in self.organizations)
        raise ConfigurationError(f"'{name}' is no organization of this Monitor; known are {known}")


SETTINGS: Final[Mapping[str, Key]] = {
    "host": Key("Address the control API listens on.", "an address or host name in quotes"),
    "port": Key("Its port; 0 takes a free one.", "a number from 0 to 65535"),
    "state_dir": Key(
        "Directory of the journal, of position checkpoints and of the default database. One "
        "Monitor at a time.",
        "a directory name in quotes",
    ),
    "store": Key(
        "Database: `sqlite:///FILE` or `postgresql://...`.",
        'a URL in quotes: "sqlite:///FILE" or "postgresql://..."',
        "SQLite in `state_dir`",
    ),
    "key_file": Key(
        "File of the 32-byte master key; made, for you alone to read, where there is none. Not "
        "read where `OPENAUDIOHOOK_MONITOR_KEY` holds the key.",
        "a file name in quotes",
        "`state_dir` with `.key` after it",
    ),
    "media_dir": Key(
        "Directory of the WAV files and scenarios that calls may be placed with.",
        "a directory name in quotes",
        "none: only tones",
    ),
    "trace_dir": Key(
        "Directory for traces of every session: types, numbers and positions, no content. "
        "`explain` reads them.",
        "a directory name in quotes",
        "none: nothing is traced",
    ),
    "region": Key(
        "Where this Monitor runs; an integration elsewhere raises an event.",
        'a name in quotes, for example "eu-central-1"',
    ),
    "free_pauses": Key(
        "The pauses that are not charged.",
        'a list of "secure", "client" and "server"',
        '`["secure", "client"]`',
    ),
    "allow_ws": Key("Accept `ws://` beyond this machine: unencrypted.", "true or false"),
    "ca_file": Key(
        "PEM file of authorities to trust besides the public ones.", "a file name in quotes"
    ),
    "requests_per_minute": Key(
        "How many requests one token of the control API is good for in a minute; more are "
        "answered 429.",
        "a number, 1 or more",
    ),
    "token_seconds": Key("How long a token is good for.", "a number of seconds, 60 or more"),
}
"""The keys of `[monitor]`."""

_TYPES: Final = {field.name: field.type for field in msgspec.structs.fields(MonitorConfig)}
_PATHS: Final = ("state_dir", "key_file", "media_dir", "trace_dir", "ca_file")


def load_monitor_config(
    path: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
    client: str | None = None,
) -> MonitorConfig:
    """Put a configuration together and check it.

    Args:
        path: a TOML file.
        environment: the environment's variables; None means this process's.
        options: what the command line sets of `[monitor]`; None there means not set.
        client: `ID:SECRET` of one more API client, of the first organization, with every scope.

    Raises:
        ConfigurationError: something is unknown, malformed or contradictory; the text names the
            file and line or the variable, the key, and what would be right, and shows no secret.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    if path is not None:
        file = TomlFile(path)
        values["state_dir"] = str(file.directory / _STATE_DIR)
        file.top().refuse_unknown(("monitor", *SECTIONS))
        values |= _monitor(file)
        declared = read_declared(
            file, environment=environment, allow_ws=values.get("allow_ws", False)
        )
        values |= declared._asdict()
    for key in SETTINGS:
        name = ENVIRONMENT_PREFIX + key.upper()
        if name in environment:
            text = environment[name]
            value: Any = text.split(",") if key == "free_pauses" else text
            values[key] = _converted(key, value, place=f"environment variable {name}", strict=False)
    for key, value in (options or {}).items():
        if value is not None:
            values[key] = _converted(key, value, place=f"option {key}")
    config = MonitorConfig(**values)
    _require_store(config.store_url)
    if client is not None:
        config = _with_client(config, client)
    return config


def _monitor(file: TomlFile) -> dict[str, Any]:
    """Read `[monitor]`."""
    table = file.section("monitor")
    if table is None:
        return {}
    table.refuse_unknown(tuple(SETTINGS))
    values = {}
    for key, value in table.values.items():
        try:
            values[key] = msgspec.convert(value, _TYPES[key])
        except msgspec.ValidationError:
            raise table.error(key, f"{SETTINGS[key].wanted} is needed") from None
        if key in _PATHS and values[key]:
            values[key] = str(file.directory / values[key])
    if "store" in values:
        try:
            _require_store(values["store"])
        except ConfigurationError as error:
            raise table.error(None, str(error)) from None
        if values["store"].startswith(_SQLITE):
            values["store"] = _SQLITE + str(file.directory / values["store"].removeprefix(_SQLITE))
    return values


def _require_store(url: str) -> None:
    """Refuse what is no database we know; the URL is not shown, for it may hold a password."""
    if not url.startswith((_SQLITE, "postgresql://")):
        raise ConfigurationError(f"store: {SETTINGS['store'].wanted} is needed")


def _converted(key: str, value: Any, *, place: str, strict: bool = True) -> Any:
    try:
        return msgspec.convert(value, _TYPES[key], strict=strict)
    except msgspec.ValidationError:
        raise ConfigurationError(f"{place}: {SETTINGS[key].wanted} is needed") from None


def _with_client(config: MonitorConfig, text: str) -> MonitorConfig:
    id_, colon, secret = text.partition(":")
    if not (colon and id_ and secret):
        raise ConfigurationError("--client: ID:SECRET is needed, neither of them empty")
    for client in config.clients:
        if client.id == id_:
            if client.secret == secret:  # the environment may well hold one that is declared
                return config
            raise ConfigurationError(
                f"--client {id_}: the file declares a client of that id, with another secret"
            )
    first = config.organizations[0]
    added = ApiClient(id=id_, secret=secret, organization_id=first.id)
    return msgspec.structs.replace(config, clients=(*config.clients, added))
