"""The examples run, as their readers will run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
LEVEL = re.compile(r" +([0-9]+) s +(-[0-9.]+) dBFS\n")
CREDENTIALS = {
    "OPENAUDIOHOOK_API_KEY": "test-key",
    "OPENAUDIOHOOK_CLIENT_SECRET": "c2VjcmV0LW9mLWEtdGVzdA==",
}


def test_loudness_prints_a_level_for_each_second_of_a_call() -> None:
    environment = {**os.environ, **CREDENTIALS, "OPENAUDIOHOOK_PORT": "0"}
    with subprocess.Popen(
        [sys.executable, EXAMPLES / "loudness.py"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as service:
        try:
            assert service.stdout is not None
            ready = service.stdout.readline()
            uri = ready.removeprefix("listening on ").strip()
            assert uri.startswith("ws://127.0.0.1:"), ready
            subprocess.run(
                [sys.executable, "-m", "openaudiohook", "call", "--uri", uri, "--tone", "3",
                 "--speed", "10"],
                env=environment, capture_output=True, check=True, timeout=60,
            )  # fmt: skip
            levels = (LEVEL.fullmatch(line) for line in service.stdout)
            printed = list(islice((level for level in levels if level), 3))
        finally:
            service.terminate()
    assert [int(level[1]) for level in printed] == [0, 1, 2]
    assert all(-40 < float(level[2]) < 0 for level in printed)
