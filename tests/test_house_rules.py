"""Rules that hold for every file of the repository."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
THIS = Path(__file__).resolve()
FOLDERS = ("src", "tests", "docs", "tools", "bench", "examples", "experiments", "fuzz", ".ci")
TEXT = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".json", ".jsonl", ".sh", ".css", ".cfg"}

VAGUE = {"utils", "util", "helpers", "helper", "misc", "common", "manager", "managers", "base"}
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|NotImplementedError)\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|Users|work)/[\w.]+")
INDEX_HOST = re.compile(r"--(?:extra-)?index-url|--find-links|pypi\.org|pythonhosted|/simple/")
VENDOR = re.compile(r"\bGenesys\b(?!AudioHook)")
DISCLAIMER = re.compile(
    r"Independent, not\s+affiliated\s+with\s+or\s+endorsed\s+by\s+Genesys", re.IGNORECASE
)


def text_files() -> Iterator[Path]:
    """Every text file that is or could be committed; what .gitignore names is left out."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.splitlines()]
    else:  # an unpacked archive
        paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
        paths += [path for path in ROOT.iterdir() if path.is_file()]
    for path in sorted(paths):
        if path.is_file() and (path.suffix in TEXT or path.name in ("Makefile", "run")):
            yield path


def lines_matching(pattern: re.Pattern[str], *, under: Path = ROOT) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in text_files()
        if path != THIS  # it holds what it forbids
        and path.is_relative_to(under)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]


def test_there_are_files_to_look_at() -> None:
    assert ROOT / "Makefile" in set(text_files())
    assert ROOT / "src" / "openaudiohook" / "__init__.py" in set(text_files())


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = [
        path
        for path in SOURCE.rglob("*")
        if path.stem.strip("_").lower() in VAGUE and "__pycache__" not in path.parts
    ]
    assert vague == []


def test_nothing_is_left_unfinished() -> None:
    assert lines_matching(UNFINISHED) == []


def test_no_file_knows_a_machine_it_was_written_on() -> None:
    assert lines_matching(MACHINE_PATH) == []


def test_no_file_names_a_package_index() -> None:
    assert lines_matching(INDEX_HOST) == []


def test_constraints_are_names_and_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9.-]+==[\w.]+", line)] == []


@pytest.mark.parametrize(
    "path",
    [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_page_that_names_the_vendor_says_we_are_independent(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not VENDOR.search(text) or DISCLAIMER.search(text)


def test_no_pragma_hides_code_from_coverage_without_a_reason() -> None:
    pragma = re.compile(r"#\s*pragma: no (?:cover|branch)\s*$")
    assert lines_matching(pragma, under=SOURCE) == []


def test_no_test_sleeps() -> None:
    """Tests move a clock or wait for a condition with a bound; see CONTRIBUTING.md."""
    sleeping = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        if "pytest.mark.slow" in source:
            continue
        sleeping += [
            f"{path.relative_to(ROOT)}:{node.lineno}"
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("time.sleep", "asyncio.sleep", "anyio.sleep")
            and not (isinstance(node.args[0], ast.Constant) and node.args[0].value <= 0.05)
        ]
    assert sleeping == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (UNFINISHED, "# TODO: later"),
        (MACHINE_PATH, "open('/home/somebody/x')"),
        (INDEX_HOST, "pip install --index-url x"),
        (VENDOR, "works with Genesys Cloud"),
        (DISCLAIMER, "Independent, not affiliated with or endorsed by Genesys."),
    ],
)
def test_the_patterns_find_what_they_are_for(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)
