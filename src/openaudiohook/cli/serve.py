"""`openaudiohook serve`: run a service until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from openaudiohook.cli import EXIT_FAILED
from openaudiohook.exceptions import ConfigurationError
from openaudiohook.service.config import ServiceConfig, load_config
from openaudiohook.service.log import get_logger, log_to_stderr
from openaudiohook.service.process import loop_factory, raise_descriptor_limit, settle_memory
from openaudiohook.service.service import Service
from openaudiohook.service.supervisor import Supervisor

__all__ = ["serve"]

_log = get_logger(__name__)


@click.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.  [default: 3000]"
)
@click.option("--path", help="Path of the WebSocket.  [default: /api/v1/audiohook/ws]")
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    help="Processes that share the port and the load.  [default: 1]",
)
@click.option("--api-key", metavar="KEY", help="API key; or OPENAUDIOHOOK_API_KEY.")
@click.option(
    "--client-secret",
    metavar="BASE64",
    help="Its client secret; better in OPENAUDIOHOOK_CLIENT_SECRET, where nobody sees it.",
)
@click.option("--credentials", metavar="FILE", help="TOML file with [[credentials]] tables.")
@click.option("--no-auth", is_flag=True, default=None, help="Let every client in. Loopback only.")
@click.option(
    "--allow-remote-no-auth", is_flag=True, default=None, help="Let --no-auth go beyond loopback."
)
@click.option(
    "--consumer",
    "consumers",
    metavar="NAME",
    multiple=True,
    help="Consumer to run; may be repeated.  [default: recorder]",
)
@click.option("--recordings", metavar="DIR", help="Where recordings go.  [default: ./recordings]")
@click.option("--tls-cert", metavar="FILE", help="PEM certificate with its chain.")
@click.option("--tls-key", metavar="FILE", help="PEM private key of the certificate.")
@click.option(
    "--drain-reconnect",
    is_flag=True,
    default=None,
    help="On SIGTERM, ask clients to move their sessions elsewhere.",
)
@click.option("--admin", metavar="HOST:PORT", help="Listener for /metrics and /health/check.")
@click.option(
    "--config", "config_file", metavar="FILE", type=click.Path(path_type=Path), help="TOML file."
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Least severe log lines shown.  [default: info]",
)
@click.pass_context
def serve(ctx: click.Context, /, config_file: Path | None, **options: Any) -> None:
    """Run a service: accept AudioHook sessions and hand their audio to consumers.

    Prints one line when it is ready. SIGTERM and Ctrl-C drain: running calls are served to
    their end; a second signal stops at once. SIGHUP reloads certificate and credentials. With
    --workers all of that holds for all of them; a worker that dies is replaced.

    Exit status: 0 stopped, and no session was cut off; 1 it cannot listen, or sessions were cut
    off; 2 wrong usage.
    """
    options["consumers"] = options["consumers"] or None
    config = load_config(config_file, environment=os.environ, options=options)
    log_to_stderr(config.log_level)
    if config.no_auth:
        _log.warning("NO AUTHENTICATION: every client that reaches this address is let in")
    raise_descriptor_limit()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        dropped = runner.run(_serve(config))
    if dropped:
        ctx.exit(EXIT_FAILED)


async def _serve(config: ServiceConfig) -> int:
    """Serve until told to stop; return how many sessions were cut off."""
    service = Service(config) if config.workers == 1 else Supervisor(config)
    try:
        await service.start()
    except ConfigurationError as error:
        # Wrong usage was found before; what fails now is the machine's: a port in use.
        raise click.ClickException(str(error)) from None
    settle_memory()
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.put_nowait, number)
    loop.add_signal_handler(signal.SIGHUP, _reload, service)
    click.echo(f"listening on {service.uri}")
    sys.stdout.flush()
    try:
        first = await signals.get()
        # Nobody balances load towards a terminal: Ctrl-C needs no grace.
        grace_s = 0.0 if first is signal.SIGINT else None
        draining = asyncio.ensure_future(service.drained(grace_s=grace_s))
        second = asyncio.ensure_future(signals.get())
        await asyncio.wait({draining, second}, return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, second):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        return service.sessions
    finally:
        await service.stop()


def _reload(service: Service | Supervisor) -> None:
    try:
        service.reload()
    except ConfigurationError as error:
        _log.error("reload failed; everything stays as it was", problem=str(error))
