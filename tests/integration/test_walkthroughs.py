"""The pages that begin with nothing and end with something: followed to the letter."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from tests.support.terminal import Terminal, blocks_of, expected_in, with_free_ports

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = (
    "README.md",
    "docs/index.md",
    "docs/intro/first-service.md",
    "docs/intro/first-call.md",
    "docs/howto/administer-the-monitor.md",
    "docs/howto/check-a-signature.md",
    "docs/howto/several-workers.md",
    "docs/topics/authentication.md",
)
# Commands for a checkout, which .ci/run runs itself.
OF_A_CHECKOUT = ("$ make ", "$ python3 -m venv ")


def commands_of(environment: dict[str, str]) -> str:
    """PATH with this interpreter's programs first, as in an activated environment."""
    return os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])


@pytest.mark.parametrize("page", PAGES)
def test_a_reader_who_types_what_the_page_says_sees_what_it_shows(
    page: str, tmp_path: Path
) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("OPENAUDIOHOOK_")
    }
    environment["PATH"] = commands_of(environment)
    text = with_free_ports((ROOT / page).read_text(encoding="utf-8") + "\n<!-- 3000 3080 -->\n")
    service, monitor = text.rstrip().rpartition("<!-- ")[2].split()[:2]
    environment["OPENAUDIOHOOK_PORT"] = service
    environment["OPENAUDIOHOOK_MONITOR_PORT"] = monitor
    terminals: dict[str, Terminal] = {}
    typed = 0
    try:
        for block in blocks_of(text):
            if block.language == "console" and not block.text.startswith(OF_A_CHECKOUT):
                if block.title not in terminals:
                    terminals[block.title] = Terminal(tmp_path, environment)
                terminals[block.title].type_block(block.text)
                typed += 1
            elif block.title.startswith("examples/"):
                shutil.copy(ROOT / block.title, tmp_path)
            elif block.title:
                (tmp_path / block.title).write_text(block.text, encoding="utf-8")
    finally:
        for terminal in reversed(terminals.values()):
            terminal.close()
    assert typed


def test_every_page_with_commands_is_followed() -> None:
    with_commands = {
        str(page.relative_to(ROOT))
        for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
        for block in blocks_of(page.read_text(encoding="utf-8"))
        if block.language == "console" and not block.text.startswith(OF_A_CHECKOUT)
    }
    assert with_commands == set(PAGES)


def test_output_that_differs_is_noticed(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, dict(os.environ))
    try:
        terminal.type_block("$ echo one two\none ...\n$ false\n$ echo $?\n1\n")
        with pytest.raises(AssertionError, match="one two"):
            terminal.type_block("$ echo one two\none three\n")
        with pytest.raises(AssertionError, match="false: 1"):
            terminal.type_block("$ false\n")
    finally:
        terminal.close()
    assert not expected_in(("b", "a"), ["a", "b"])
