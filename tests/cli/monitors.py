"""`openaudiohook monitor` and `serve` in processes of their own, as their users run them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from openaudiohook.monitor.control_client import ControlClient

CLIENT = "tester:the-secret-of-the-tester"

_LISTENING = re.compile(r"listening on (\S+)\n")


class Running(NamedTuple):
    """A program that listens."""

    process: subprocess.Popen[str]
    uri: str

    def stopped(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Tell it to stop; return its exit status and what it wrote to stderr."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors

    def control(self) -> ControlClient:
        """A client of it, where it is a Monitor that was given `CLIENT`."""
        id_, _, secret = CLIENT.partition(":")
        return ControlClient(self.uri, client_id=id_, secret=secret)


@contextmanager
def running(*arguments: str, directory: Path, **environment: str) -> Iterator[Running]:
    """Run a command until it says where it listens; what is left of it is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "openaudiohook", *arguments],
        cwd=directory,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = _LISTENING.fullmatch(line)
        assert match is not None, (line, process.communicate(timeout=60))
        yield Running(process, match[1])
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=60)


def run(*arguments: str, directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "openaudiohook", *arguments],
        cwd=directory,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
