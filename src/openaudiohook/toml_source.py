"""Reading TOML so that every mistake can be named with its line.

`tomllib` keeps no positions of what it read well, so the text is scanned once more for where
tables and keys are written. Unusual spellings, such as tables within a line, go without a line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from openaudiohook.exceptions import ConfigurationError

__all__ = ["TableLines", "parse_toml", "table_lines", "toml_text", "top_lines"]

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([\w.\"'-]+)\s*\]\]?\s*(?:#.*)?")
_KEY: Final = re.compile(r"\s*[\"']?([\w-]+)[\"']?\s*(?:\.[^=]*)?=(.*)")


class TableLines(NamedTuple):
    """Where one table is written.

    Attributes:
        header: the line of its header, counted from 1; None for the keys before any header.
        keys: the line of each of its keys.
    """

    header: int | None
    keys: dict[str, int]

    def line_of(self, key: str) -> int | None:
        """Return the line of a key, or else that of the table's header."""
        return self.keys.get(key, self.header)


def toml_text(content: bytes, *, source: str) -> str:
    """Decode the content of a TOML file.

    Raises:
        ConfigurationError: it is not UTF-8; the text names `source` and the byte.
    """
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{source}: byte {error.start} is not UTF-8; a TOML file is UTF-8 text"
        ) from None


def parse_toml(
    text: str, *, source: str, parse_float: Callable[[str], Any] = float
) -> dict[str, Any]:
    """Parse TOML.

    Args:
        text: what to parse.
        source: what it is called in errors, the name of the file.
        parse_float: makes a number of what has a point.

    Raises:
        ConfigurationError: it is not TOML; the text names `source` and, as far as it is known,
            the line.
    """
    try:
        return tomllib.loads(text, parse_float=parse_float)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problem = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ConfigurationError(f"{source}: not valid TOML: {problem}") from None


def table_lines(text: str) -> Mapping[str, list[TableLines]]:
    """Find where the tables of a name and their keys are written; "" is before any header."""
    keys: dict[str, int] = {}
    found = {"": [TableLines(None, keys)]}
    quote = ""
    for number, line in enumerate(text.splitlines(), 1):
        if quote:  # within a text of several lines, nothing is a key
            if quote in line:
                quote = ""
            continue
        if match := _HEADER.fullmatch(line):
            keys = {}
            found.setdefault(match[2].strip("\"'"), []).append(TableLines(number, keys))
        elif match := _KEY.match(line):
            keys.setdefault(match[1], number)
            value = match[2].strip()
            for mark in ('"""', "'''"):
                if value.startswith(mark) and mark not in value[3:]:
                    quote = mark
    return found


def top_lines(tables: Mapping[str, list[TableLines]]) -> dict[str, int | None]:
    """Return where each name at the top is first written: a key, a table, a table of tables."""
    lines: dict[str, int | None] = {}
    for name, found in tables.items():
        if name:
            lines.setdefault(name.partition(".")[0].strip("\"'"), found[0].header)
    return lines | tables[""][0].keys
