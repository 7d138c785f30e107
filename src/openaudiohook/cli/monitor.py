"""`openaudiohook monitor`: run a Monitor until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import stat
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import structlog

from openaudiohook.exceptions import ConfigurationError

if TYPE_CHECKING:
    from openaudiohook.monitor.config import MonitorConfig
    from openaudiohook.monitor.platform import Platform

__all__ = ["monitor", "require_extras"]

_NEEDED: Final = ("litestar", "uvicorn", "sqlalchemy", "alembic", "aiosqlite", "cryptography")


def require_extras(*modules: str) -> None:
    """Return where the packages that a Monitor needs are installed.

    Raises:
        ConfigurationError: one is not; the text says how to install them.
    """
    missing = [name for name in modules or _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"{', '.join(missing)} missing: a Monitor needs more than the base; install "
            "openaudiohook[monitor]"
        )


@click.command()
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="TOML file."
)
@click.option(
    "--store",
    metavar="URL",
    help="Database, sqlite:///FILE or postgresql://...; one with a password is better in "
    "OPENAUDIOHOOK_MONITOR_STORE, where nobody sees it.  [default: SQLite in the state directory]",
)
@click.option("--host", help="Address of the control interface.  [default: 127.0.0.1]")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Its port; 0 takes a free one.  [default: 3080]"
)
@click.option(
    "--client",
    envvar="OPENAUDIOHOOK_CLIENT",
    metavar="ID:SECRET",
    help="One more client of the control interface, with every scope; or OPENAUDIOHOOK_CLIENT.",
)
def monitor(config_file: Path | None, client: str | None, **options: Any) -> None:
    """Run a Monitor: integrations, queues and calls, under a control interface.

    Applies the configuration file, as often as it is started; nothing that is not in it is
    touched. Prints one line when it is ready. SIGTERM and Ctrl-C end every call in good order, its
    sessions with `close`; a second signal stops at once. SIGHUP applies the file anew; what it says
    of [monitor] and [[clients]] takes a restart.

    Exit status: 0 stopped in good order; 1 it cannot start or go on: the database does not answer,
    another Monitor has the journal, the port is in use; 2 wrong usage; 130 stopped at once.
    """
    require_extras()
    from openaudiohook.monitor.config import load_monitor_config
    from openaudiohook.service.process import loop_factory, raise_descriptor_limit

    load = partial(load_monitor_config, config_file, options=options, client=client)
    config = load()
    _log_to_stderr()
    if not config.clients:
        click.echo(
            "nobody may use the control interface: declare [[clients]], or give --client ID:SECRET",
            err=True,
        )
    if config_file is not None and _is_open_to_others(config_file, config):
        click.echo(f"{config_file} holds secrets and others may read it: chmod 600", err=True)
    raise_descriptor_limit()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(config, load))


async def _serve(config: MonitorConfig, load: Callable[[], MonitorConfig]) -> None:
    """Serve until told to stop; `load` reads the configuration anew."""
    from openaudiohook.monitor.assembly import assembled
    from openaudiohook.service.process import settle_memory

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    is_done = asyncio.Event()
    is_told = False

    def stop() -> None:
        nonlocal is_told
        if is_told:
            task.cancel()
            return
        is_told = True
        is_done.set()
        click.echo("Ending every call; once more to drop the connections.", err=True)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        async with assembled(config) as running, contextlib.AsyncExitStack() as stack:
            settle_memory()
            for line in running.applied:
                click.echo(line, err=True)
            click.echo(f"listening on {running.server.uri}")
            sys.stdout.flush()
            is_stale = asyncio.Event()
            loop.add_signal_handler(signal.SIGHUP, is_stale.set)
            applying = asyncio.create_task(_apply_again(running.platform, is_stale, load))
            stack.push_async_callback(_cancelled, applying)
            running.platform.failed.add_done_callback(lambda _: is_done.set())
            await is_done.wait()
            if running.platform.failed.done():
                running.platform.failed.result()
    except asyncio.CancelledError:
        if is_told:
            raise KeyboardInterrupt from None
        raise
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with contextlib.suppress(ValueError):
                loop.remove_signal_handler(number)


async def _apply_again(
    platform: Platform, is_stale: asyncio.Event, load: Callable[[], MonitorConfig]
) -> None:
    """Apply the file whenever it is stale; where it cannot be used, everything stays."""
    from openaudiohook.exceptions import AudioHookError
    from openaudiohook.monitor.applying import apply

    while True:
        await is_stale.wait()
        is_stale.clear()
        try:
            done = await apply(platform, load())
        except AudioHookError as error:
            click.echo(f"the configuration was not applied: {error}", err=True)
        else:
            for line in done or ["nothing in the configuration differs"]:
                click.echo(line, err=True)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _is_open_to_others(path: Path, config: MonitorConfig) -> bool:
    has_secrets = bool(config.clients or config.integrations)
    return has_secrets and bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def _log_to_stderr() -> None:
    """Let what is wrong be heard on stderr; stdout has the one line that says where it listens."""
    import logging

    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(message)s"
    )
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
