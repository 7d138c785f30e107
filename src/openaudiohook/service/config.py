"""What a service can be told: defaults, a TOML file, the environment, options, in that order.

Later ones win. Every key of the file is also an environment variable, `OPENAUDIOHOOK_` and the
key in capitals; lists are separated by commas there. Relative paths in a file start at the file.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from openaudiohook.auth import Credentials, parse_credentials
from openaudiohook.exceptions import ConfigurationError
from openaudiohook.transport.sockets import is_loopback

__all__ = [
    "ENVIRONMENT_PREFIX",
    "SETTINGS",
    "Address",
    "ServiceConfig",
    "Setting",
    "load_config",
    "read_credentials",
]

ENVIRONMENT_PREFIX: Final = "OPENAUDIOHOOK_"

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Count = Annotated[int, msgspec.Meta(ge=1)]
TickMilliseconds = Annotated[float, msgspec.Meta(ge=0, le=20)]
Workers = Annotated[int, msgspec.Meta(ge=1, le=256)]


class Address(msgspec.Struct, frozen=True):
    """A host and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `HOST:PORT`; an IPv6 address stands in brackets.

        Raises:
            ValueError: it is not of that form.
        """
        host, colon, port = text.rpartition(":")
        if not colon or not host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
            raise ValueError("HOST:PORT is needed, for example 127.0.0.1:9090")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))


def _check_host(key: str, host: str) -> None:
    """Refuse what the resolver would not even look up: an empty or endless part, a NUL."""
    try:
        is_name = b"\0" not in host.encode("idna")
    except UnicodeError:
        is_name = False
    if not is_name:
        raise ConfigurationError(f"{key}: {host!r} is no address or host name")


class ServiceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a service can be told; `SETTINGS` says what each field means.

    Raises:
        ConfigurationError: from `checked`, where the fields contradict each other.
    """

    host: str = "127.0.0.1"
    port: Port = 3000
    path: str = "/api/v1/audiohook/ws"
    workers: Workers = 1
    tls_cert: str | None = None
    tls_key: str | None = None
    credentials: str | None = None
    api_key: str | None = None
    client_secret: str | None = None
    no_auth: bool = False
    allow_remote_no_auth: bool = False
    consumers: tuple[str, ...] = ("recorder",)
    recordings: str = "recordings"
    languages: tuple[str, ...] = ()
    probe_media: Literal["select", "empty"] = "select"
    admin: str | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    max_sessions: Count | None = None
    tick_ms: TickMilliseconds = 2.0
    open_backlog_s: Seconds = 10.0
    inline_burst_ms: Count = 200
    close_budget_s: Seconds = 5.0
    drain_grace_s: Seconds = 2.0
    drain_timeout_s: Seconds = 3600.0
    drain_reconnect: bool = False
    consumer: dict[str, dict[str, Any]] = {}

    def __repr__(self) -> str:
        return f"ServiceConfig(host={self.host!r}, port={self.port}, path={self.path!r})"

    def checked(self) -> ServiceConfig:
        """Return the configuration if its parts fit together.

        Raises:
            ConfigurationError: they do not; the text names the keys and what would be right.
        """
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigurationError("tls_cert and tls_key belong together: give both or neither")
        if (self.api_key is None) != (self.client_secret is None):
            raise ConfigurationError(
                "api_key and client_secret belong together: give both "
                "(an empty client_secret where requests come unsigned)"
            )
        if self.admin is not None:
            try:
                _check_host("admin", Address.parse(self.admin).host)
            except ValueError as error:
                raise ConfigurationError(f"admin: {error}") from None
        _check_host("host", self.host)
        if not self.path.startswith("/"):
            raise ConfigurationError(f"path: {self.path!r} must start with /")
        has_credentials = self.api_key is not None or self.credentials is not None
        if self.no_auth:
            if has_credentials:
                raise ConfigurationError("no_auth ignores credentials: leave one of them out")
            if not is_loopback(self.host) and not self.allow_remote_no_auth:
                raise ConfigurationError(
                    f"no_auth on {self.host} would let anyone in; listen on 127.0.0.1, or give "
                    "allow_remote_no_auth (--allow-remote-no-auth) as well if you mean it"
                )
        elif not has_credentials:
            raise ConfigurationError(
                "no credentials: give api_key and client_secret (--api-key and --client-secret, or "
                "OPENAUDIOHOOK_API_KEY and OPENAUDIOHOOK_CLIENT_SECRET), or a credentials file "
                "(--credentials), or let every client in with no_auth (--no-auth)"
            )
        return self


class Setting(msgspec.Struct, frozen=True):
    """One key: what it means, and what would be right where something else stands."""

    meaning: str
    wanted: str


SETTINGS: Final[Mapping[str, Setting]] = {
    "host": Setting("Address to listen on.", "an address or host name in quotes"),
    "port": Setting("Port to listen on; 0 takes a free one.", "a number from 0 to 65535"),
    "path": Setting("Path of the WebSocket.", 'a path in quotes, for example "/audiohook"'),
    "workers": Setting(
        "Processes that share the port and the load; with more than 1 a supervisor keeps them.",
        "a number from 1 to 256",
    ),
    "tls_cert": Setting("PEM file with the certificate and its chain.", "a file name in quotes"),
    "tls_key": Setting("PEM file with the certificate's private key.", "a file name in quotes"),
    "credentials": Setting("TOML file with `[[credentials]]` tables.", "a file name in quotes"),
    "api_key": Setting("The one API key, instead of a file.", "text in quotes"),
    "client_secret": Setting("Its client secret, base64.", "base64 text in quotes"),
    "no_auth": Setting("Let every client in, unauthenticated.", "true or false"),
    "allow_remote_no_auth": Setting("Allow `no_auth` beyond loopback.", "true or false"),
    "consumers": Setting("Consumers to run, by name.", 'names in quotes: ["recorder"]'),
    "recordings": Setting("Directory of the recorder.", "a directory name in quotes"),
    "languages": Setting(
        "Languages told to a platform that asks; empty means those of the consumers.",
        'language codes in quotes: ["en-US"]',
    ),
    "probe_media": Setting(
        "How connection probes are answered: with a valid selection, or with no media.",
        '"select" or "empty"',
    ),
    "admin": Setting(
        "`HOST:PORT` of the listener for `/metrics` and `/health/check`.",
        '"HOST:PORT", for example "127.0.0.1:9090"',
    ),
    "log_level": Setting("Least severe log lines shown.", '"debug", "info", "warning" or "error"'),
    "max_sessions": Setting(
        "Sessions at once; more are asked to try elsewhere.", "a number, 1 or more"
    ),
    "tick_ms": Setting(
        "While 200 sessions or more are live, how often the sockets are looked at, in "
        "milliseconds; 0 is at once, always.",
        "milliseconds, 0 to 20",
    ),
    "open_backlog_s": Setting(
        "Audio kept for a consumer that is still opening, in seconds.", "seconds, 0 to 86400"
    ),
    "inline_burst_ms": Setting(
        "Time on the event loop a consumer may use at once, in milliseconds.",
        "a number, 1 or more",
    ),
    "close_budget_s": Setting("Time consumers have to close, in seconds.", "seconds, 0 to 86400"),
    "drain_grace_s": Setting(
        "On SIGTERM, how long new sessions are still served, in seconds: until a load balancer "
        "has noticed.",
        "seconds, 0 to 86400",
    ),
    "drain_timeout_s": Setting(
        "On SIGTERM, how long running sessions may take to end, in seconds.",
        "seconds, 0 to 86400",
    ),
    "drain_reconnect": Setting(
        "On SIGTERM, ask clients to move their sessions (`reconnect`), once the grace is over; "
        "those that cannot are served to their end.",
        "true or false",
    ),
    "consumer": Setting(
        "Options of one consumer, in a table of its own: `[consumer.NAME]`.",
        "a table for each consumer: [consumer.NAME]",
    ),
}

_TYPES: Final = {field.name: field.type for field in msgspec.structs.fields(ServiceConfig)}
_PATHS: Final = ("tls_cert", "tls_key", "credentials", "recordings")


def load_config(
    path: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> ServiceConfig:
    """Put a configuration together and check it.

    Args:
        path: a TOML file.
        environment: the environment's variables.
        options: what the command line or the program sets; None means not set.

    Raises:
        ConfigurationError: something is unknown, malformed or contradictory; the text names the
            file and line or the variable, the key, and what would be right.
    """
    values: dict[str, Any] = {}
    if path is not None:
        values |= _from_file(path)
    values |= _from_environment(environment or {})
    chosen = {key: value for key, value in (options or {}).items() if value is not None}
    if chosen.get("no_auth"):
        # Said on the command line, it means this run: what the surroundings offer is left out.
        for key in ("api_key", "client_secret", "credentials"):
            values.pop(key, None)
    for key, value in chosen.items():
        values[key] = _converted(key, value, where=f"option {key}")
    return ServiceConfig(**values).checked()


def read_credentials(config: ServiceConfig) -> tuple[Credentials, ...]:
    """Read the credentials a configuration names.

    Raises:
        ConfigurationError: they cannot be read, or are malformed; the text never shows them.
    """
    found: list[Credentials] = []
    if config.api_key is not None:
        found.append(Credentials.from_text(config.api_key, config.client_secret or ""))
    if config.credentials is not None:
        text = _read_text(Path(config.credentials))
        found.extend(parse_credentials(text, source=config.credentials))
    return tuple(found)


def _from_file(path: Path) -> dict[str, Any]:
    text = _read_text(path)
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problem = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ConfigurationError(f"{path}: not valid TOML: {problem}") from None
    values = {}
    for key, value in document.items():
        line = _line_of(text, key)
        value = _converted(key, value, where=str(path) if line is None else f"{path}, line {line}")
        values[key] = str(path.parent / value) if key in _PATHS else value
    return values


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for key, kind in _TYPES.items():
        name = ENVIRONMENT_PREFIX + key.upper()
        text = environment.get(name)
        if text is None or key == "consumer":
            continue
        parts = [part.strip() for part in text.split(",") if part.strip()]
        value: Any = parts if kind == tuple[str, ...] else text
        values[key] = _converted(key, value, where=f"environment variable {name}", strict=False)
    return values


def _converted(key: str, value: Any, *, where: str, strict: bool = True) -> Any:
    setting = SETTINGS.get(key)
    if setting is None:
        close = difflib.get_close_matches(key, SETTINGS, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(SETTINGS)}"
        raise ConfigurationError(f"{where}: {key}: unknown key; {hint}")
    try:
        return msgspec.convert(value, _TYPES[key], strict=strict)
    except msgspec.ValidationError:
        raise ConfigurationError(f"{where}: {key}: {setting.wanted} is needed") from None


def _line_of(text: str, key: str) -> int | None:
    """Find where a key or its table is written; the TOML reader keeps no positions."""
    name = rf"[\"']?{re.escape(key)}[\"']?"
    pattern = re.compile(rf"\s*(?:{name}\s*[=.]|\[+\s*{name}\s*[\].])")
    return next((n for n, line in enumerate(text.splitlines(), 1) if pattern.match(line)), None)


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path}: byte {error.start} is not UTF-8; a TOML file is UTF-8 text"
        ) from None
