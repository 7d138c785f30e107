"""CI's own checks, shown to refuse what they are for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parent.parent
CHECK = ROOT / ".ci" / "check_skips.py"
TESTS = """
import pytest

@pytest.mark.parametrize("word", ["one", "two"])
def test_skipped(word):
    pytest.skip("no peer")

class TestGroup:
    def test_inside(self):
        pytest.skip("no group")

def test_that_runs():
    pass
"""


GONE = "import pytest\npytest.skip('not here', allow_module_level=True)"


def check(folder: Path, allowed: str, **modules: str) -> tuple[int, str]:
    """Run pytest on some modules, and the check on its report."""
    inner = folder / "inner"
    inner.mkdir()
    for name, source in (modules or {"test_it": TESTS}).items():
        (inner / f"{name}.py").write_text(source)
    (folder / "allowed").write_text(allowed)
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={folder}",
         "-o", "junit_family=xunit1", "--junitxml=junit.xml", "inner"],
        cwd=folder, capture_output=True, check=False,
    )  # fmt: skip
    run = subprocess.run(
        [sys.executable, CHECK, folder / "junit.xml", folder / "allowed"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return run.returncode, run.stdout + run.stderr


def test_a_skip_nobody_allowed_is_refused_by_name(tmp_path: Path) -> None:
    code, printed = check(tmp_path, "inner/test_it.py::TestGroup::* # they need a group\n")
    assert code == 1
    assert "skipped without leave: inner/test_it.py::test_skipped[one]: " in printed
    assert "no peer" in printed
    assert "TestGroup" not in printed


def test_allowed_skips_pass(tmp_path: Path) -> None:
    allowed = (
        "# a comment\n\n"
        "inner/test_it.py::test_skipped[one] # the first\n"
        "inner/test_it.py::test_skipped[[]two] # never matches: brackets are text\n"
        "inner/test_it.py::test_skipped[tw?] # the second\n"
        "inner/test_it.py::TestGroup::test_inside # a group\n"
    )
    assert check(tmp_path, allowed) == (0, "skips: 3 of 4 tests, 0 of them not allowed\n")


def test_an_allowed_skip_needs_a_reason(tmp_path: Path) -> None:
    code, printed = check(tmp_path, "inner/*\n")
    assert code == 1
    assert "no reason beside 'inner/*'" in printed


def test_a_run_in_which_everything_was_skipped_is_refused(tmp_path: Path) -> None:
    assert check(tmp_path, "* # whatever\n", test_gone=GONE) == (1, "no test ran\n")


def test_a_module_skipped_as_a_whole_is_seen(tmp_path: Path) -> None:
    code, printed = check(tmp_path, "", test_gone=GONE, test_there="def test_x(): pass")
    assert code == 1
    assert "skipped without leave: inner/test_gone.py: " in printed
    assert "not here" in printed


def test_the_list_of_packages_holds_names_only() -> None:
    lines = (ROOT / ".ci" / "packages").read_text(encoding="utf-8").splitlines()
    names = [line.partition("#")[0].strip() for line in lines]
    assert {"python3-venv", "make", "git"} <= set(names)
    assert all(name.replace("-", "").isalnum() for name in names if name)


def test_the_list_of_allowed_skips_gives_its_reasons() -> None:
    for line in (ROOT / ".ci" / "allowed-skips").read_text(encoding="utf-8").splitlines():
        assert not line or line.startswith("#") or " # " in line, line
