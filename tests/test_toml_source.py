"""What is wrong in a TOML file is named with its line."""

from __future__ import annotations

from decimal import Decimal

import pytest

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.toml_source import TableLines, parse_toml, table_lines, toml_text, top_lines

pytestmark = pytest.mark.unit

TEXT = '''
name = "x"
"quoted" = 1
note = """
name = 2
"""
dotted.key = 3
[table]  # a remark
key = 1
[[ row ]]
a = 1
[[row]]
a = 2
[table.inner]
key = 2
'''


def test_tables_and_keys_are_found_where_they_are_written() -> None:
    assert table_lines(TEXT) == {
        "": [TableLines(None, {"name": 2, "quoted": 3, "note": 4, "dotted": 7})],
        "table": [TableLines(8, {"key": 9})],
        "row": [TableLines(10, {"a": 11}), TableLines(12, {"a": 13})],
        "table.inner": [TableLines(14, {"key": 15})],
    }


def test_a_key_that_was_not_found_has_the_line_of_its_table() -> None:
    lines = TableLines(8, {"key": 9})
    assert [lines.line_of(key) for key in ("key", "other")] == [9, 8]
    assert TableLines(None, {}).line_of("key") is None


def test_names_at_the_top_have_the_line_they_are_first_written_in() -> None:
    assert top_lines(table_lines(TEXT)) == {
        "name": 2, "quoted": 3, "note": 4, "dotted": 7, "table": 8, "row": 10,
    }  # fmt: skip
    assert top_lines(table_lines("[a.b]\n")) == {"a": 1}


def test_numbers_are_made_as_asked() -> None:
    text = toml_text(b"a = 0.1", source="x.toml")
    assert parse_toml(text, source="x.toml") == {"a": 0.1}
    assert parse_toml(text, source="x.toml", parse_float=Decimal) == {"a": Decimal("0.1")}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a = 1\nb =\n", r"^x\.toml: not valid TOML: .*line 2"),
        (b"a = " + b"[" * 5000, r"^x\.toml: not valid TOML: nested too deeply$"),
        (b"a = '\xff'", r"^x\.toml: byte 5 is not UTF-8; a TOML file is UTF-8 text$"),
    ],
)
def test_what_is_no_toml_is_refused_with_its_place(content: bytes, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        parse_toml(toml_text(content, source="x.toml"), source="x.toml")
