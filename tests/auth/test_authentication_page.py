"""The page on authentication is true: its programs run, its files load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from openaudiohook.auth import parse_credentials

pytestmark = pytest.mark.unit

PAGE = Path(__file__).resolve().parents[2] / "docs" / "topics" / "authentication.md"


def blocks(language: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("program", blocks("python"))
def test_the_programs_on_the_page_run(program: str) -> None:
    exec(compile(program, str(PAGE), "exec"), {"__name__": "page"})


def test_the_credentials_on_the_page_load() -> None:
    (text,) = blocks("toml")
    assert len(parse_credentials(text, source="page")) == 2


def test_there_is_something_to_check() -> None:
    assert len(blocks("python")) == 3
