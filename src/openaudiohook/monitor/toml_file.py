"""TOML files with an error for every mistake: which file, line and key, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.toml_source import TableLines, parse_toml, table_lines, toml_text, top_lines

__all__ = ["Table", "TomlFile"]

_MISSING: Final = object()
_KINDS: Final[Mapping[type, str]] = {
    str: "a text",
    bool: "true or false",
    int: "a number",
    Decimal: "a number",
    list: "a list",
    dict: "a table",
}


class Table:
    """One table of a file; every reading names file, line and key where it fails.

    Attributes:
        name: how the table is called in errors: `[call]`, `[[step]] 3`.
        values: the table as `tomllib` read it.
    """

    def __init__(
        self,
        values: dict[str, Any],
        *,
        file_name: str,
        name: str,
        line: int | None,
        key_lines: Mapping[str, int | None],
    ) -> None:
        self.name = name
        self.values = values
        self.line = line
        self._file_name = file_name
        self._key_lines = key_lines

    def line_of(self, key: str | None) -> int | None:
        """The line a key was written in, or else the table's; None where it was not found."""
        return self.line if key is None else self._key_lines.get(key, self.line)

    def error(self, key: str | None, problem: str) -> ConfigurationError:
        """Make the error of this table's key, or of the table itself."""
        line = self.line_of(key)
        place = self._file_name if line is None else f"{self._file_name}, line {line}"
        parts = [place, self.name, *(() if key is None else (key,)), problem]
        return ConfigurationError(": ".join(part for part in parts if part))

    def refuse_unknown(self, known: Collection[str]) -> None:
        """Raise the error of the first key that is none of `known`."""
        for key in self.values:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean '{close[0]}'? " if close else ""
                raise self.error(key, f"unknown key; {hint}known are {_listed(known)}")

    def text(self, key: str, default: Any = _MISSING) -> Any:
        """Read a text."""
        return self._read(key, str, default)

    def boolean(self, key: str, default: Any = _MISSING) -> Any:
        """Read true or false."""
        return self._read(key, bool, default)

    def choice(self, key: str, choices: Collection[str], default: Any = _MISSING) -> Any:
        """Read one of some texts."""
        value = self._read(key, str, default)
        if value not in choices and value is not default:
            raise self.error(key, f"'{value}' is not one of {_listed(choices)}")
        return value

    def texts(self, key: str, default: Any = _MISSING) -> Any:
        """Read a list of texts."""
        value = self._read(key, list, default)
        if value is not default and not all(type(one) is str for one in value):
            raise self.error(key, "a list of texts is needed")
        return value

    def table(self, key: str, default: Any = _MISSING) -> Any:
        """Read a table of anything."""
        return self._read(key, dict, default)

    def number(self, key: str, default: Any = _MISSING) -> Any:
        """Read a finite number, exactly as written."""
        value = self._read(key, Decimal, default)
        if isinstance(value, Decimal) and not value.is_finite():
            raise self.error(key, f"a finite number is needed, not {value}")
        return value

    def _read(self, key: str, kind: type, default: Any) -> Any:
        value = self.values.get(key, _MISSING)
        if value is _MISSING:
            if default is _MISSING:
                raise self.error(None, f"'{key}' is missing; it is {_KINDS[kind]}")
            return default
        # A TOML integer is a fine number; true is an int to Python, not to people.
        if kind is Decimal and type(value) is int:
            value = Decimal(value)
        if type(value) is not kind:
            written = _KINDS.get(type(value), "a date or time")
            raise self.error(key, f"{_KINDS[kind]} is needed, not {written}")
        return value


class TomlFile:
    """A TOML file and where its tables were written.

    Attributes:
        name: what the file is called in errors.
        directory: where relative paths in it start.
        data: everything in it; numbers with a point are `Decimal`.
    """

    def __init__(self, path: Path) -> None:
        """Read a file.

        Raises:
            ConfigurationError: it cannot be read, or is not TOML; the text names file and line.
        """
        self.name = str(path)
        self.directory = path.parent
        try:
            content = path.read_bytes()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigurationError(f"{path}: cannot be read: {reason}") from None
        text = toml_text(content, source=self.name)
        self.data = parse_toml(text, source=self.name, parse_float=Decimal)
        self._tables = table_lines(text)

    def top(self) -> Table:
        """The keys before any header, and the names of the tables."""
        lines = top_lines(self._tables)
        return Table(self.data, file_name=self.name, name="", line=None, key_lines=lines)

    def section(self, name: str) -> Table | None:
        """The table `[name]`, or None where there is none."""
        if name not in self.data:
            return None
        values = self.top().table(name)
        return self._table(values, name=name, title=f"[{name}]", index=0)

    def sections(self, name: str) -> tuple[Table, ...]:
        """The tables `[[name]]` in their order; none is an empty tuple."""
        values = self.data.get(name, [])
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            raise self.top().error(name, f"each one is written under its own [[{name}]]")
        return tuple(
            self._table(value, name=name, title=f"[[{name}]] {index + 1}", index=index)
            for index, value in enumerate(values)
        )

    def _table(self, values: dict[str, Any], *, name: str, title: str, index: int) -> Table:
        written = self._tables.get(name, [])
        line, keys = written[index] if index < len(written) else TableLines(None, {})
        return Table(values, file_name=self.name, name=title, line=line, key_lines=keys)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
