"""Programs under measurement: each on a CPU of its own, watched from outside."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple

__all__ = ["MEASURED_CPU", "OTHER_CPU", "Program", "Usage", "prepare_machine", "running"]

MEASURED_CPU: Final = 0
OTHER_CPU: Final = 1
ROOT: Final = Path(__file__).resolve().parent.parent

_STOP_S: Final = 60.0
_MOST_S: Final = 600.0


def prepare_machine() -> None:
    """Raise the limit of open files, for us and for what we start.

    Raises:
        SystemExit: there are not two CPUs to keep the measured and the measuring apart.
    """
    if not {MEASURED_CPU, OTHER_CPU} <= os.sched_getaffinity(0):
        raise SystemExit("the benchmarks need CPUs 0 and 1 for themselves")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Usage(NamedTuple):
    """What was used up to a moment.

    Attributes:
        at_s: the moment, on the monotonic clock.
        cpu_s: CPU time of the program.
        machine_s: CPU time of the whole machine.
        rss_bytes: memory the program has now.
    """

    at_s: float
    cpu_s: float
    machine_s: float
    rss_bytes: int


class Program:
    """A program that runs; `running` starts and stops it.

    Attributes:
        process: the process.
        stdout: its output, by lines.
        log: the file of its standard error.
    """

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        assert process.stdout is not None
        self.process = process
        self.stdout: IO[str] = process.stdout
        self.log = log

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def line(self) -> str:
        """Wait for the next line of output.

        Raises:
            SystemExit: there is none, because the program has ended.
        """
        line = self.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args!r} ended early:\n{self.tail()}")
        return line.strip()

    def tail(self) -> str:
        """Return the end of what it wrote to standard error."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def usage(self) -> Usage:
        """Return what it has used so far, all of its threads and processes included."""
        nanoseconds = rss = 0
        for pid in self._pids():
            with contextlib.suppress(OSError):  # it has just ended
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    nanoseconds += int((thread / "schedstat").read_text().split()[0])
                rss += _status(pid, "VmRSS")
        return Usage(time.monotonic(), nanoseconds / 1e9, _machine_s(), rss)

    def _pids(self) -> list[int]:
        """The program and every process that it started, and they."""
        pids = [self.pid]
        for pid in pids:
            with contextlib.suppress(OSError):
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    pids += map(int, (thread / "children").read_text().split())
        return pids

    def reset_peak(self) -> None:
        """Let `peak_bytes` count from now on."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak_bytes(self) -> int:
        """Return the most memory it had since the last reset."""
        return _status(self.pid, "VmHWM")


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0  # it has ended, and nobody has asked for its exit status yet


def _machine_s() -> float:
    """CPU time of all processes and the kernel, without idle time and what others stole."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split(None, 9)[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    cpu: int | Collection[int],
    environment: Mapping[str, str] | None = None,
) -> Iterator[Program]:
    """Run a command on some CPUs, in a directory that is removed with it; stop it at the end.

    Whatever happens it does not outlive its time, so nothing waits for it for ever.
    """
    cpus = {cpu} if isinstance(cpu, int) else cpu
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
        log = Path(directory) / "stderr"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [*command],
                cwd=directory,
                env={**os.environ, "PYTHONPATH": _search_path(), **(environment or {})},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                preexec_fn=lambda: os.sched_setaffinity(0, cpus),
            )
        limit = threading.Timer(_MOST_S, process.kill)
        limit.start()
        try:
            yield Program(process, log)
        finally:
            limit.cancel()
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_S)
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _search_path() -> str:
    """Where this package is, and whatever else is searched."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs one of our modules."""
    return [sys.executable, "-m", module, *arguments]
