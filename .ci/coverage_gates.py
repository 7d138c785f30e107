"""Hold the bounds on coverage by branch; run after `make test COVERAGE=1`.

`protocol` and `auth` must be covered wholly by the tests of their own folder, in this process.
Every other package must be covered to 90 % by all tests, subprocesses and threads counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "coverage"
WHOLE = ("protocol", "auth")
BOUND = 90.0


def coverage(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run coverage.py with this interpreter, from the root, and keep what it prints."""
    return subprocess.run(
        [sys.executable, "-m", "coverage", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def covered_by_its_own_tests(package: str) -> bool:
    """Run the tests of one package alone and ask for all of it."""
    data = str(BUILD / package)
    run = coverage("run", "--data-file", data, "-m", "pytest", "-q", f"tests/{package}")
    if run.returncode != 0:
        print(run.stdout, run.stderr, sep="\n")
        return False
    coverage("combine", "--data-file", data)
    report = coverage(
        "report", "--data-file", data, "--include", f"*/openaudiohook/{package}/*",
        "--fail-under", "100",
    )  # fmt: skip
    good = report.returncode == 0
    print(f"coverage of {package:<12} by its own tests: {'100 %' if good else 'NOT 100 %'}")
    if not good:
        print(report.stdout, report.stderr, sep="\n")
    return good


def covered_by_all_tests() -> bool:
    """Combine what `make test COVERAGE=1` left, and judge package by package."""
    if not list(ROOT.glob(".coverage.*")) and not (ROOT / ".coverage").exists():
        print("no coverage data: run `make test COVERAGE=1` first")
        return False
    if list(ROOT.glob(".coverage.*")):
        combined = coverage("combine")
        if combined.returncode != 0:
            print(combined.stdout, combined.stderr, sep="\n")
            return False
    report = BUILD / "all.json"
    written = coverage("json", "-o", str(report))
    if written.returncode != 0:
        print(written.stdout, written.stderr, sep="\n")
        return False
    covered: dict[str, int] = defaultdict(int)
    total: dict[str, int] = defaultdict(int)
    for name, entry in json.loads(report.read_text(encoding="utf-8"))["files"].items():
        parts = Path(name).parts
        inside = parts[parts.index("openaudiohook") + 1 :]
        package = inside[0] if len(inside) > 1 else "(top level)"
        summary = entry["summary"]
        covered[package] += summary["covered_lines"] + summary["covered_branches"]
        total[package] += summary["num_statements"] + summary["num_branches"]
    good = True
    for package in sorted(total):
        percent = 100.0 * covered[package] / total[package] if total[package] else 100.0
        low = percent < BOUND
        good = good and not low
        print(f"coverage of {package:<12} by all tests: {percent:6.2f} %{'  TOO LOW' * low}")
    if not good:
        print(coverage("report").stdout)
    return good


def main() -> int:
    """Check every bound, report all that fail, not only the first."""
    BUILD.mkdir(parents=True, exist_ok=True)
    results = [covered_by_its_own_tests(package) for package in WHOLE]
    results.append(covered_by_all_tests())
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
