"""Fail when a test was skipped that the list of allowed skips does not name, or when none ran.

Usage: check_skips.py JUNIT_XML ALLOWED_SKIPS (pytest's `junit_family` must be `xunit1`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

__all__ = ["main"]


class Outcome(NamedTuple):
    """One test: its id as pytest writes it, and why it was skipped, if it was."""

    test: str
    skipped: str | None


def outcomes(junit: Path) -> Iterator[Outcome]:
    """Read every test of a report, modules that were skipped as a whole included."""
    for case in ElementTree.parse(junit).iter("testcase"):
        name = case.get("name", "")
        file, classname = case.get("file"), case.get("classname", "")
        module = file.removesuffix(".py").replace("/", ".") if file else classname
        if name == module:  # a module that was skipped as a whole
            name = ""
        inner = classname.removeprefix(module).removeprefix(".").replace(".", "::")
        test = "::".join(part for part in (file or classname, inner, name) if part)
        skipped = case.find("skipped")
        yield Outcome(test, None if skipped is None else skipped.text or skipped.get("message"))


def allowed_skips(lines: Iterable[str]) -> list[str]:
    """Read the globs of the list; each must give its reason."""
    globs = []
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        glob, separator, reason = line.partition(" # ")
        if not separator or not reason.strip():
            raise SystemExit(f"allowed-skips: no reason beside {line.strip()!r}")
        globs.append(glob.strip())
    return globs


def main(junit: Path, allowed: Path) -> int:
    """Print what was skipped without leave; 0 where nothing was and tests ran."""
    globs = allowed_skips(allowed.read_text(encoding="utf-8").splitlines())
    tests = list(outcomes(junit))
    skipped = [test for test in tests if test.skipped is not None]
    if len(skipped) == len(tests):
        print("no test ran")
        return 1
    refused = [
        test
        for test in skipped
        # Brackets of parametrized ids are text here, not a set of characters.
        if not any(fnmatchcase(test.test, glob.replace("[", "[[]")) for glob in globs)
    ]
    for test in refused:
        print(f"skipped without leave: {test.test}: {test.skipped}")
    print(f"skips: {len(skipped)} of {len(tests)} tests, {len(refused)} of them not allowed")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
