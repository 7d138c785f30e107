"""The pages about fan-out show code that runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

TOPICS = Path(__file__).resolve().parents[2] / "docs" / "topics"
PAGES = ("fan-out.md", "back-pressure.md", "pause-and-secure-pause.md")
BLOCKS = [
    pytest.param(code, id=f"{page}-{number}")
    for page in PAGES
    for number, code in enumerate(
        re.findall(r"^```python\n(.*?)^```$", (TOPICS / page).read_text("utf-8"), re.M | re.S)
    )
]


@pytest.mark.parametrize("code", BLOCKS)
def test_an_example_runs(code: str) -> None:
    exec(compile(code, "example", "exec"), {})


@pytest.mark.parametrize("page", PAGES)
def test_a_page_begins_with_its_answer(page: str) -> None:
    _, _, rest = (TOPICS / page).read_text("utf-8").partition("\n\n")
    assert rest.startswith("**")
