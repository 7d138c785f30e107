"""Running one call from the command line: signals, the trace file, and bars on a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from openaudiohook.exceptions import ConfigurationError

if TYPE_CHECKING:
    from openaudiohook.fanout.endpoint import EndpointConfig
    from openaudiohook.monitor.monitor import RunningCall, TraceListener
    from openaudiohook.monitor.report import CallReport
    from openaudiohook.monitor.scenario import Scenario
    from openaudiohook.protocol.trace import TraceRecord

__all__ = ["Job", "run", "show"]

_RATE: Final = 8000
_REFRESH_S: Final = 0.1


class Job(NamedTuple):
    """What is to be done, with everything checked that can be without a connection."""

    scenario: Scenario
    endpoints: Sequence[EndpointConfig]
    organization_id: str | None
    conversation_id: str | None
    speed: Fraction
    frame_samples: int
    ca_file: Path | None
    trace_file: Path | None


async def run(job: Job) -> CallReport | None:
    """Run the call; None where it was cut short, and there is nothing to report."""
    from openaudiohook.monitor.monitor import Monitor
    from openaudiohook.monitor.scenario import expected_samples
    from openaudiohook.transport.tls import client_tls

    monitor = Monitor(
        organization_id=job.organization_id,
        ssl=None if job.ca_file is None else client_tls(job.ca_file),
    )
    # One console for the bars and for what is said meanwhile, or one would overwrite the other.
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    with contextlib.ExitStack() as stack:
        on_trace = None
        if job.trace_file is not None:
            on_trace = stack.enter_context(_trace_to(job.trace_file, console))
        running = monitor.start(
            job.scenario,
            job.endpoints,
            conversation_id=job.conversation_id,
            speed=job.speed,
            frame_samples=job.frame_samples,
            on_trace=on_trace,
        )
        stack.enter_context(_hang_up_on_signal(running, console))
        progress = None
        if sys.stderr.isatty():
            length = expected_samples(job.scenario)
            progress = asyncio.create_task(show(running, length, console))
        try:
            return await running.finished()
        except asyncio.CancelledError:
            return None
        finally:
            if progress is not None:
                progress.cancel()
                await asyncio.wait([progress])


@contextlib.contextmanager
def _hang_up_on_signal(running: RunningCall, console: Console) -> Iterator[None]:
    """Ctrl-C (and SIGTERM) hangs up; a second one does not wait for anybody."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    signals = (signal.SIGINT, signal.SIGTERM)
    has_hung_up = False

    def interrupt() -> None:
        nonlocal has_hung_up
        if has_hung_up:
            task.cancel()
            return
        has_hung_up = True
        console.print("Hanging up; once more to drop the connections.")
        running.hang_up()

    for number in signals:
        loop.add_signal_handler(number, interrupt)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _trace_to(path: Path, console: Console) -> Iterator[TraceListener]:
    """Write a trace; a disk that is full ends the trace, not the call."""
    from openaudiohook.protocol.trace import trace_header, trace_line

    try:
        file = path.open("wb")
    except OSError as error:
        raise ConfigurationError(f"--trace {path}: cannot be written: {error.strerror}") from None
    is_writing = True

    def attempt(write: Callable[[], object]) -> None:
        nonlocal is_writing
        if not is_writing:
            return
        try:
            write()
        except OSError as error:
            is_writing = False
            console.print(f"--trace {path}: {error.strerror}; the trace ends here")

    def write(record: TraceRecord) -> None:
        attempt(lambda: file.write(trace_line(record) + b"\n"))

    attempt(lambda: file.write(trace_header() + b"\n"))
    try:
        yield write
    finally:
        attempt(file.flush)
        with contextlib.suppress(OSError):  # what could not be flushed was told
            file.close()


async def show(running: RunningCall, length: int, console: Console) -> None:
    """Draw a bar for each endpoint until cancelled."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[seconds]:6.1f} s"),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        bars: dict[str, Any] = {}
        while True:
            start = running.call.monitored_from or 0
            for endpoint in running.endpoints:
                name, position = endpoint.config.name, endpoint.cursor.position
                if name not in bars:
                    bars[name] = progress.add_task(name, seconds=0.0, state="")
                progress.update(
                    bars[name],
                    total=max(1, length - start),
                    completed=position,
                    seconds=position / _RATE,
                    state=str(endpoint.state),
                )
            await asyncio.sleep(_REFRESH_S)
