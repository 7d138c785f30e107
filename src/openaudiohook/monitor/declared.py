"""Organizations, API clients, integrations and queues as a configuration file declares them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from openaudiohook.auth import decode_secret, validate_api_key
from openaudiohook.exceptions import ConfigurationError
from openaudiohook.monitor.integrations import (
    MAX_INTEGRATIONS,
    parse_custom_config,
    require_uri,
)
from openaudiohook.monitor.scenario import MAX_HOLD_BACK_MS
from openaudiohook.monitor.toml_file import Table, TomlFile
from openaudiohook.protocol.messages import LanguageCode
from openaudiohook.store.records import Channel, Organization

__all__ = [
    "DEFAULT_ORGANIZATION",
    "SCOPES",
    "SECTIONS",
    "ApiClient",
    "Declared",
    "DeclaredIntegration",
    "DeclaredQueue",
    "Key",
    "read_declared",
]

_LONGEST_NAME: Final = 128

SCOPES: Final[Mapping[str, str]] = {
    "integrations": "Create, configure, switch and delete integrations and their credentials.",
    "integrations:readonly": "See integrations.",
    "routing": "Create, change and delete queues.",
    "routing:readonly": "See queues.",
    "conversations": "Place, steer, pause and hang up calls.",
    "conversations:readonly": "See calls.",
    "audiohook:readonly": "See usage and operational events.",
    "audits:readonly": "See the audit.",
}
"""What an API client may be allowed."""

_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_OID, "openaudiohook")


def _id_of(name: str) -> str:
    """The id of an organization that was given none: always the same one for a name."""
    return str(uuid.uuid5(_NAMESPACE, f"organization {name}"))


DEFAULT_ORGANIZATION: Final = Organization(id=_id_of("default"), name="default")
"""The organization of a Monitor that was told of none."""


class ApiClient(msgspec.Struct, frozen=True, kw_only=True):
    """Who may use the control API: an OAuth client of one organization."""

    id: str
    secret: str
    organization_id: str
    scopes: frozenset[str] = frozenset(SCOPES)

    def __repr__(self) -> str:
        return f"ApiClient(id={self.id!r})"


class DeclaredIntegration(msgspec.Struct, frozen=True, kw_only=True):
    """An integration as the file wants it; the fields are those of `Integration`.

    Attributes:
        active: whether it is to be active; None leaves that to whoever switches it elsewhere.
    """

    organization_id: str
    name: str
    uri: str
    api_key: str
    client_secret: str = ""
    channel: Channel = "both"
    reconnections: bool = False
    retry_upgrade_5xx: bool = False
    region: str = ""
    frame_ms: int = 100
    advanced: str = "{}"
    notes: str = ""
    active: bool | None = True

    def __repr__(self) -> str:
        return f"DeclaredIntegration(name={self.name!r})"


class DeclaredQueue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue as the file wants it; the fields are those of `Queue`."""

    organization_id: str
    name: str
    enable_audio_monitoring: bool = False
    enable_transcription: bool = False
    language: str | None = None
    hold_back_ms: int = 0


class Declared(NamedTuple):
    """Everything a file declares; the names are those of its tables."""

    organizations: tuple[Organization, ...]
    clients: tuple[ApiClient, ...]
    integrations: tuple[DeclaredIntegration, ...]
    queues: tuple[DeclaredQueue, ...]


class Key(NamedTuple):
    """One key of the file: what it means, and what would be right where something else stands."""

    meaning: str
    wanted: str
    default: str = ""


SECTIONS: Final[Mapping[str, Mapping[str, Key]]] = {
    "organizations": {
        "name": Key("What people call it.", "text in quotes"),
        "id": Key("A UUID; it is `organizationId` on the wire.", "a UUID", "made of the name"),
    },
    "clients": {
        "id": Key("What the client logs in as.", "text in quotes"),
        "secret": Key("Its secret.", "text in quotes, or a reference"),
        "scopes": Key("What it may do.", "a list of scopes", "everything"),
        "organization": Key("Whose it is, by name or id.", "a name", "the only one"),
    },
    "integrations": {
        "name": Key("What people call it; unique in the organization.", "text in quotes"),
        "uri": Key("Where the service listens, `wss://`.", "a URI in quotes"),
        "api_key": Key("What the service issued.", "text in quotes, or a reference"),
        "client_secret": Key(
            "What the service issued, base64.", "text in quotes, or a reference", "unsigned"
        ),
        "channel": Key("`both`, `external` or `internal`.", "one of them", '`"both"`'),
        "reconnections": Key("Whether lost sessions are continued.", "true or false", "`false`"),
        "retry_upgrade_5xx": Key(
            "Whether an upgrade refused with a 5xx status is tried again. Ours: the platform "
            "never does.",
            "true or false",
            "`false`",
        ),
        "region": Key("Where the service runs.", "text in quotes", "unknown"),
        "frame_ms": Key("Audio in one message, 20 to 200 ms.", "a number", "`100`"),
        "advanced": Key(
            "What is passed on as `customConfig`, at most 60,000 bytes.",
            "a table, or a JSON object in quotes",
            "`{}`",
        ),
        "notes": Key("For people.", "text in quotes"),
        "active": Key("Whether it is switched on, and so probed.", "true or false", "`true`"),
        "organization": Key("Whose it is, by name or id.", "a name", "the only one"),
    },
    "queues": {
        "name": Key("What people call it; unique in the organization.", "text in quotes"),
        "enable_audio_monitoring": Key("Whether its calls are monitored.", "bool", "`false`"),
        "enable_transcription": Key("The same, by the other name.", "bool", "`false`"),
        "language": Key("The media language it sets.", "a BCP 47 tag", "none"),
        "hold_back_ms": Key("How long audio waits before it leaves, 0 to 3,000.", "int", "`0`"),
        "organization": Key("Whose it is, by name or id.", "a name", "the only one"),
    },
}
"""The keys of the tables that may be written several times."""


def read_declared(
    file: TomlFile, *, environment: Mapping[str, str], allow_ws: bool = False
) -> Declared:
    """Read `[[organizations]]`, `[[clients]]`, `[[integrations]]` and `[[queues]]` of a file.

    Args:
        file: the file.
        environment: where `{ env = "NAME" }` is looked up.
        allow_ws: accept `ws://` beyond this machine.

    Raises:
        ConfigurationError: something is unknown, malformed or contradictory; the text names file,
            line and key, and what would be right, and shows no secret.
    """
    return _Reader(file, environment, allow_ws=allow_ws).read()


class _Reader:
    """Reads the tables that may be written several times."""

    def __init__(self, file: TomlFile, environment: Mapping[str, str], *, allow_ws: bool) -> None:
        self._file = file
        self._environment = environment
        self._allow_ws = allow_ws
        self._organizations: tuple[Organization, ...] = (DEFAULT_ORGANIZATION,)

    def read(self) -> Declared:
        found: list[Organization] = []
        for table in self._tables("organizations"):
            name = self._new_name(table, [one.name for one in found])
            id_ = table.text("id", None)
            if id_ is not None and not _is_uuid(id_):
                raise table.error("id", "a UUID is needed, in the form 8-4-4-4-12")
            id_ = (id_ or _id_of(name)).lower()
            if id_ in [one.id for one in found]:
                raise table.error("id", "another organization has that id")
            found.append(Organization(id=id_, name=name))
        self._organizations = tuple(found) or self._organizations
        return Declared(self._organizations, self._clients(), self._integrations(), self._queues())

    def _tables(self, section: str) -> tuple[Table, ...]:
        tables = self._file.sections(section)
        for table in tables:
            table.refuse_unknown(tuple(SECTIONS[section]))
        return tables

    def _clients(self) -> tuple[ApiClient, ...]:
        found: list[ApiClient] = []
        for table in self._tables("clients"):
            id_ = self._new_name(table, [one.id for one in found], key="id")
            if ":" in id_:
                raise table.error("id", "a colon has no place in it: it ends the id at a login")
            secret = self._secret(table, "secret")
            if not secret:
                raise table.error("secret", "it is empty; a long random text is needed")
            scopes = table.values.get("scopes", list(SCOPES))
            if not isinstance(scopes, list) or not scopes:
                raise table.error("scopes", "a list of scopes is needed")
            for scope in scopes:
                if scope not in SCOPES:
                    known = ", ".join(f"'{name}'" for name in SCOPES)
                    raise table.error("scopes", f"{scope!r} is no scope; known are {known}")
            found.append(
                ApiClient(
                    id=id_,
                    secret=secret,
                    organization_id=self._organization(table),
                    scopes=frozenset(scopes),
                )
            )
        return tuple(found)

    def _integrations(self) -> tuple[DeclaredIntegration, ...]:
        found: list[DeclaredIntegration] = []
        for table in self._tables("integrations"):
            organization_id = self._organization(table)
            names = [one.name for one in found if one.organization_id == organization_id]
            if len(names) == MAX_INTEGRATIONS:
                raise table.error(
                    None, f"an organization has at most {MAX_INTEGRATIONS} integrations"
                )
            found.append(
                DeclaredIntegration(
                    organization_id=organization_id,
                    name=self._new_name(table, names),
                    uri=self._checked(table, "uri", table.text("uri"), self._require_uri),
                    api_key=self._checked(
                        table, "api_key", self._secret(table, "api_key"), validate_api_key
                    ),
                    client_secret=self._checked(
                        table,
                        "client_secret",
                        self._secret(table, "client_secret", ""),
                        decode_secret,
                    ),
                    channel=table.choice("channel", ("both", "external", "internal"), "both"),
                    reconnections=table.boolean("reconnections", False),
                    retry_upgrade_5xx=table.boolean("retry_upgrade_5xx", False),
                    region=table.text("region", ""),
                    frame_ms=_whole(table, "frame_ms", 20, 200, 100),
                    advanced=_advanced(table),
                    notes=table.text("notes", ""),
                    active=table.boolean("active", True),
                )
            )
        return tuple(found)

    def _queues(self) -> tuple[DeclaredQueue, ...]:
        found: list[DeclaredQueue] = []
        for table in self._tables("queues"):
            organization_id = self._organization(table)
            names = [one.name for one in found if one.organization_id == organization_id]
            found.append(
                DeclaredQueue(
                    organization_id=organization_id,
                    name=self._new_name(table, names),
                    enable_audio_monitoring=table.boolean("enable_audio_monitoring", False),
                    enable_transcription=table.boolean("enable_transcription", False),
                    language=_language(table),
                    hold_back_ms=_whole(table, "hold_back_ms", 0, MAX_HOLD_BACK_MS, 0),
                )
            )
        return tuple(found)

    def _organization(self, table: Table) -> str:
        """Whose a table is; where there is only one organization that need not be said."""
        name = table.text("organization", None)
        known = ", ".join(f"'{one.name}'" for one in self._organizations)
        if name is None:
            if len(self._organizations) > 1:
                raise table.error(None, f"'organization' is missing; it is one of {known}")
            return self._organizations[0].id
        for organization in self._organizations:
            if name in (organization.name, organization.id):
                return organization.id
        raise table.error("organization", f"'{name}' is none of {known}")

    def _new_name(self, table: Table, taken: list[str], *, key: str = "name") -> str:
        name: str = table.text(key).strip()
        if not name or len(name) > _LONGEST_NAME or not name.isprintable():
            raise table.error(key, f"1 to {_LONGEST_NAME} printable characters are needed")
        if name in taken:
            raise table.error(key, f"'{name}' is taken by another one")
        return name

    def _secret(self, table: Table, key: str, default: str | None = None) -> str:
        """Read a text, or where it is to be found: `{ env = "NAME" }` or `{ file = "PATH" }`."""
        value = table.values.get(key, default)
        if not isinstance(value, dict):
            text: str = table.text(key) if default is None else table.text(key, default)
            return text
        match value:
            case {"env": str(name), **others} if not others:
                if name not in self._environment:
                    raise table.error(key, f"the environment has no variable {name}")
                return self._environment[name]
            case {"file": str(name), **others} if not others:
                try:
                    return (self._file.directory / name).read_text(encoding="utf-8").strip()
                except (OSError, UnicodeDecodeError) as error:
                    reason = getattr(error, "strerror", None) or "not UTF-8 text"
                    raise table.error(key, f"{name}: cannot be read: {reason}") from None
        raise table.error(key, 'text is needed, or { env = "NAME" }, or { file = "PATH" }')

    def _require_uri(self, uri: str) -> str:
        return require_uri(uri, allow_ws=self._allow_ws)

    @staticmethod
    def _checked(table: Table, key: str, value: str, check: Callable[[str], object]) -> str:
        try:
            check(value)
        except ConfigurationError as error:
            raise table.error(key, str(error)) from None
        return value


def _advanced(table: Table) -> str:
    """Read what is passed on as it is: JSON, or a table that is written as JSON."""
    value = table.values.get("advanced", {})
    try:
        text = value if isinstance(value, str) else json.dumps(value, default=_number)
        parse_custom_config(text)
    except TypeError:
        raise table.error("advanced", "dates have no place in JSON") from None
    except ConfigurationError as error:
        raise table.error("advanced", str(error)) from None
    return text


def _number(value: object) -> float:
    """What `tomllib` read as a decimal number, as JSON has it."""
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError


def _language(table: Table) -> str | None:
    language: str | None = table.text("language", None)
    try:
        msgspec.convert(language, LanguageCode | None)
    except msgspec.ValidationError:
        raise table.error("language", f"'{language}' is no BCP 47 tag like en-US") from None
    return language


def _whole(table: Table, key: str, least: int, most: int, default: int) -> int:
    value = table.values.get(key, default)
    if type(value) is not int or not least <= value <= most:
        raise table.error(key, f"a whole number from {least} to {most} is needed")
    return value


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
