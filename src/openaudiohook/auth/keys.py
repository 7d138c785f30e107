"""API keys and the client secrets that belong to them.

The operator of a service issues both and types them into the platform's integration:
protocol section 3.1. A secret is base64 text; its decoded octets are the HMAC key. An
empty secret means that requests with that key come unsigned.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.toml_source import TableLines, parse_toml, table_lines

__all__ = [
    "MAX_CREDENTIAL_LENGTH",
    "Credentials",
    "InMemoryKeys",
    "KeyStore",
    "decode_secret",
    "is_api_key",
    "parse_credentials",
    "validate_api_key",
]

MAX_CREDENTIAL_LENGTH = 512
"""Most characters an API key or a client secret may have."""

_API_KEY = re.compile(r"[a-zA-Z0-9+/_-]+={0,2}")
_SECRET = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{3}=?|[A-Za-z0-9+/]{2}(?:==)?)?")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/=]")
_MIN_DECOY = 32


class KeyStore(Protocol):
    """Where a verifier looks up secrets: in memory, at once, without waiting."""

    @property
    def decoy(self) -> bytes:
        """Random octets to compute with when a key is unknown, so that both take as long."""

    def secret_for(self, api_key: str) -> bytes | None:
        """Return the key's secret, `b""` where it has none, or None for an unknown key."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """One API key and its decoded client secret; the representation shows neither.

    Attributes:
        api_key: the value of `X-API-KEY`.
        secret: the HMAC key, `b""` where requests come unsigned.
    """

    api_key: str = field(repr=False)
    secret: bytes = field(repr=False)

    @classmethod
    def from_text(cls, api_key: str, client_secret: str) -> Credentials:
        """Check and decode a pair as the operator writes it.

        Raises:
            ConfigurationError: one of the two is malformed; the text says how.
        """
        return cls(validate_api_key(api_key), decode_secret(client_secret))


class InMemoryKeys:
    """An immutable snapshot of API keys and secrets.

    To change keys while running, build another snapshot and swap the reference.
    """

    __slots__ = ("_decoy", "_secrets")

    def __init__(self, credentials: Iterable[Credentials], *, decoy: bytes) -> None:
        if len(decoy) < _MIN_DECOY:
            raise ValueError(f"the decoy must be at least {_MIN_DECOY} random octets")
        secrets: dict[str, bytes] = {}
        for number, pair in enumerate(credentials, start=1):
            if pair.api_key in secrets:
                raise ConfigurationError(f"credentials {number}: the API key is given twice")
            secrets[pair.api_key] = pair.secret
        self._secrets: Mapping[str, bytes] = secrets
        self._decoy = decoy

    def __len__(self) -> int:
        return len(self._secrets)

    def __repr__(self) -> str:
        return f"InMemoryKeys({len(self)} keys)"

    @property
    def decoy(self) -> bytes:
        """The octets computed with when a key is unknown."""
        return self._decoy

    def secret_for(self, api_key: str) -> bytes | None:
        """Return the key's secret, `b""` where it has none, or None for an unknown key."""
        return self._secrets.get(api_key)


def is_api_key(text: str) -> bool:
    """Say whether the text has the form of an API key."""
    return len(text) <= MAX_CREDENTIAL_LENGTH and _API_KEY.fullmatch(text) is not None


def validate_api_key(text: str) -> str:
    """Return the API key unchanged.

    Raises:
        ConfigurationError: it is empty, too long, or holds characters it may not.
    """
    if not text:
        raise ConfigurationError("the API key is empty")
    if len(text) > MAX_CREDENTIAL_LENGTH:
        raise ConfigurationError(
            f"the API key has {len(text)} characters, at most {MAX_CREDENTIAL_LENGTH} are allowed"
        )
    if not is_api_key(text):
        raise ConfigurationError(
            "the API key may hold letters, digits and + / _ - only, and end in at most two ="
        )
    return text


def decode_secret(text: str) -> bytes:
    """Return the octets of a client secret, `b""` for the empty text.

    Padding may be left out, as the platform allows.

    Raises:
        ConfigurationError: it is not base64, or too long; the text never shows it.
    """
    if len(text) > MAX_CREDENTIAL_LENGTH:
        raise ConfigurationError(
            f"the client secret has {len(text)} characters, "
            f"at most {MAX_CREDENTIAL_LENGTH} are allowed"
        )
    if not _SECRET.fullmatch(text):
        raise ConfigurationError(f"the client secret is not base64: {_why_not_base64(text)}")
    unpadded = text.rstrip("=")
    return base64.b64decode(unpadded + "=" * (-len(unpadded) % 4))


def _why_not_base64(text: str) -> str:
    foreign = _NOT_BASE64.search(text)
    if foreign is None:
        if "=" in text.rstrip("="):
            return "= may stand at the end only"
        return f"{len(text)} characters do not make whole octets; some may be missing"
    where = f"position {foreign.start() + 1}"
    if foreign.group() in "-_":
        return f"{where} holds - or _; use the standard alphabet with + and /"
    if foreign.group().isspace():
        return f"{where} holds white space"
    return f"{where} holds a character other than letters, digits, + and /"


def parse_credentials(text: str, *, source: str) -> tuple[Credentials, ...]:
    """Read the text of a credentials file.

    The file is TOML, one table for each key:

        [[credentials]]
        api_key = "..."
        client_secret = "..."     # base64; "" if requests come unsigned

    Args:
        text: the file's content.
        source: its name, for error messages.

    Raises:
        ConfigurationError: names the source, the line where it can be told, the key, and
            what would be right.
    """
    document = parse_toml(text, source=source)
    strange = sorted(document.keys() - {"credentials"})
    if strange:
        raise ConfigurationError(
            f"{source}: unknown key {strange[0]!r}; only [[credentials]] tables belong here"
        )
    tables = document.get("credentials")
    if not isinstance(tables, list) or not tables:
        raise ConfigurationError(
            f"{source}: no credentials; add a [[credentials]] table with api_key and client_secret"
        )
    written = table_lines(text).get("credentials", [])
    found: dict[str, Credentials] = {}
    for index, table in enumerate(tables):
        lines = written[index] if index < len(written) else TableLines(None, {})
        where = _Place(source, index, lines)
        pair = _read_table(table, where)
        if pair.api_key in found:
            raise where.error("api_key", "this key is given twice")
        found[pair.api_key] = pair
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a credentials file something is wrong."""

    source: str
    index: int
    lines: TableLines

    def error(self, key: str, message: str) -> ConfigurationError:
        line = self.lines.line_of(key)
        at = f"{self.source}, line {line}" if line else self.source
        return ConfigurationError(f"{at}: credentials {self.index + 1}, {key}: {message}")


def _read_table(table: Any, where: _Place) -> Credentials:
    if not isinstance(table, dict):
        raise where.error("api_key", "missing; write a [[credentials]] table")
    for key in table:
        if key not in ("api_key", "client_secret"):
            raise where.error(key, "unknown; only api_key and client_secret belong here")
    values = []
    for key, example in (("api_key", "the key"), ("client_secret", 'base64, "" for unsigned')):
        if key not in table:
            raise where.error(key, f'missing; add {key} = "..." ({example})')
        if not isinstance(table[key], str):
            raise where.error(key, f"must be text in quotes ({example})")
        values.append(table[key])
    for key, check in (("api_key", validate_api_key), ("client_secret", decode_secret)):
        try:
            check(table[key])
        except ConfigurationError as error:
            raise where.error(key, str(error)) from None
    return Credentials.from_text(*values)
