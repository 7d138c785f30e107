"""The endpoints of an organisation: at most five, each with its own address and credentials."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from openaudiohook.auth import decode_secret, request_for_uri, validate_api_key
from openaudiohook.exceptions import ConfigurationError
from openaudiohook.fanout.endpoint import EndpointConfig
from openaudiohook.monitor.toml_file import Table, TomlFile
from openaudiohook.protocol.types import MAX_CUSTOM_CONFIG_BYTES

__all__ = [
    "MAX_INTEGRATIONS",
    "load_integrations",
    "parse_custom_config",
    "require_count",
    "require_uri",
]

MAX_INTEGRATIONS: Final = 5
"""How many integrations an organisation has at most. The platform's rule: no setting changes it."""

_KEYS: Final = (
    "name", "uri", "api_key", "client_secret", "channel", "custom_config", "reconnections",
)  # fmt: skip


def require_count(count: int) -> None:
    """Return for a number of integrations that an organisation may have.

    Raises:
        ConfigurationError: there are none, or more than five.
    """
    if count > MAX_INTEGRATIONS:
        raise ConfigurationError(
            f"{count} endpoints were given; an organisation has "
            f"at most {MAX_INTEGRATIONS} integrations"
        )
    if not count:
        raise ConfigurationError("no endpoint was given; a call is streamed to one at least")


def require_uri(uri: str, *, allow_ws: bool = False) -> str:
    """Return the URI of an endpoint unchanged.

    Args:
        uri: what was configured.
        allow_ws: accept unencrypted `ws://` beyond this machine, too.

    Raises:
        ConfigurationError: it is no absolute `wss://` URI, or a `ws://` one that leaves this
            machine; the text says what would be right.
    """
    if not uri:
        raise ConfigurationError("the URI is empty; it begins with wss://")
    request_for_uri(uri)  # what cannot be signed cannot be dialled
    parts = urlsplit(uri)
    if parts.scheme not in ("wss", "ws"):
        raise ConfigurationError(f"not a usable URI: {parts.scheme}:// is no wss://")
    if parts.scheme == "ws" and not allow_ws and not _is_loopback(parts.hostname or ""):
        raise ConfigurationError(
            "ws:// would carry the call and its credentials unencrypted beyond this machine; "
            "use wss://, or --allow-ws for a network you trust"
        )
    return uri


def parse_custom_config(text: str) -> dict[str, Any]:
    """Read the JSON object that an endpoint gets as `customConfig`, unaltered.

    Raises:
        ConfigurationError: it is no JSON object, or longer than 60,000 bytes.
    """
    size = len(text.encode())
    if size > MAX_CUSTOM_CONFIG_BYTES:
        raise ConfigurationError(
            f"the custom configuration has {size} bytes; at most {MAX_CUSTOM_CONFIG_BYTES} fit"
        )
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"the custom configuration is not JSON: {error.msg} "
            f"(line {error.lineno}, column {error.colno})"
        ) from None
    except RecursionError:
        raise ConfigurationError("the custom configuration is nested too deeply") from None
    if not isinstance(value, dict):
        raise ConfigurationError('the custom configuration is a JSON object: {"key": ...}')
    return value


def load_integrations(path: Path, *, allow_ws: bool = False) -> tuple[EndpointConfig, ...]:
    """Read a file of `[[endpoint]]` tables.

    Each has a `uri`, an `api_key` and a `client_secret`, and may have a `name`, a `channel`, a
    `custom_config` (a table, or JSON in a text), and `reconnections = true`.

    Raises:
        ConfigurationError: it cannot be used; the text names file, line and key, and what would
            be right, and never shows a secret.
    """
    file = TomlFile(path)
    file.top().refuse_unknown(("endpoint",))
    tables = file.sections("endpoint")
    try:
        require_count(len(tables))
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    configs: list[EndpointConfig] = []
    for number, table in enumerate(tables, 1):
        config = _integration(table, number, allow_ws=allow_ws)
        if any(config.name == other.name for other in configs):
            raise table.error("name", f"'{config.name}' is the name of another endpoint")
        configs.append(config)
    return tuple(configs)


def _integration(table: Table, number: int, *, allow_ws: bool) -> EndpointConfig:
    table.refuse_unknown(_KEYS)
    values: dict[str, Any] = {
        "name": table.text("name", f"endpoint-{number}"),
        "channel": table.choice("channel", ("both", "external", "internal"), "both"),
        "reconnections": table.boolean("reconnections", False),
        "allow_clear_text": allow_ws,
    }
    checks: Sequence[tuple[str, Any]] = (
        ("uri", lambda text: require_uri(text, allow_ws=allow_ws)),
        ("api_key", validate_api_key),
        ("client_secret", decode_secret),
    )
    for key, check in checks:
        text = table.text(key)
        try:
            values[key] = check(text)
        except ConfigurationError as error:
            raise table.error(key, str(error)) from None
    custom = table.values.get("custom_config")
    if custom is not None:
        try:
            text = custom if isinstance(custom, str) else json.dumps(custom, default=float)
            values["custom_config"] = parse_custom_config(text)
        except (ConfigurationError, TypeError) as error:
            problem = "dates have no place in JSON" if isinstance(error, TypeError) else str(error)
            raise table.error("custom_config", problem) from None
    return EndpointConfig(**values)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
