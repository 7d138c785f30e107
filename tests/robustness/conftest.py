"""These tests judge speed and memory: nothing here runs under the coverage tracer.

What they run is covered by the tests of each package.
"""

from __future__ import annotations

from collections.abc import Iterator

import coverage
import pytest


@pytest.fixture(autouse=True)
def untraced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the tracer out of this process and of those it starts."""
    # The name under which coverage.py hands its settings to subprocesses.
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    tracer = coverage.Coverage.current()
    if tracer is None:
        yield
        return
    tracer.stop()
    try:
        yield
    finally:
        tracer.start()
