"""The command line: one group, and one module per command that is imported when it runs.

Every command ends with one of the exit statuses below; 130 stands for Ctrl-C, as in every shell.
"""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from typing import Any, Final, NamedTuple

import click

from openaudiohook._version import __version__
from openaudiohook.exceptions import AudioHookError, ConfigurationError

__all__ = ["COMMANDS", "EXIT_FAILED", "EXIT_INTERRUPTED", "EXIT_OK", "EXIT_USAGE", "main"]

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130

_TRACEBACK_VARIABLE = "OPENAUDIOHOOK_TRACEBACK"


class _Command(NamedTuple):
    """Where a command lives, and the line about it that `--help` shows without importing it."""

    target: str
    summary: str


COMMANDS: Final[dict[str, _Command]] = {
    "serve": _Command(
        "openaudiohook.cli.serve:serve",
        "Run a service: accept AudioHook sessions and hand their audio to consumers.",
    ),
    "call": _Command(
        "openaudiohook.cli.call:call",
        "Be the platform for one call and stream it to up to five services at once.",
    ),
    "monitor": _Command(
        "openaudiohook.cli.monitor:monitor",
        "Run a Monitor: integrations, queues and calls, under a control interface.",
    ),
    "init": _Command(
        "openaudiohook.cli.init:init",
        "Make a new integration: both sides' configuration, what to type, and a first trial.",
    ),
    "integrations": _Command(
        "openaudiohook.cli.integrations:integrations",
        "List a running Monitor's integrations, or switch one.",
    ),
    "events": _Command(
        "openaudiohook.cli.events:events",
        "Print a running Monitor's operational events, the oldest first.",
    ),
    "explain": _Command(
        "openaudiohook.cli.explain:explain",
        "Say why a call was not, late or partly streamed, and where every sample is.",
    ),
    "usage": _Command(
        "openaudiohook.cli.usage:usage",
        "Show minutes per integration and phase of the call, and what of them is charged.",
    ),
    "audit": _Command(
        "openaudiohook.cli.audit:audit",
        "Show who did what on a Monitor, and check that its journal was not tampered with.",
    ),
    "sign": _Command(
        "openaudiohook.cli.sign:sign",
        "Sign an upgrade request, or explain why a signature does not verify.",
    ),
    "recover": _Command(
        "openaudiohook.cli.recover:recover",
        "Repair the recordings under DIR that a crash left unfinished.",
    ),
    "consumers": _Command(
        "openaudiohook.cli.consumers:consumers",
        "List the consumers that are installed.",
    ),
    "demo": _Command(
        "openaudiohook.cli.demo:demo",
        "Stream the bundled call to five services at once and show what arrived.",
    ),
}
"""Every command by name, in the order `--help` lists them."""


class _LazyGroup(click.Group):
    """A group that imports a command's module only when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module_name, _, attribute = entry.target.partition(":")
        command: click.Command = getattr(import_module(module_name), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # a reader that went away shows here, not while Python exits
        except KeyboardInterrupt:
            ctx.exit(EXIT_INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            failure = _failure(error)
            if failure is None or os.environ.get(_TRACEBACK_VARIABLE):
                raise
            raise failure from None
        return result


class _WrongUsage(click.ClickException):
    """What the operator wrote cannot be used, found only after the options were parsed."""

    exit_code = EXIT_USAGE


def _failure(error: Exception) -> click.ClickException | None:
    """Turn what a command raised into the one line its user sees; None is left to click."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, click.ClickException):
        return error
    if isinstance(error, AudioHookError):
        text = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, ConfigurationError):
            return _WrongUsage(text)
    elif isinstance(error, OSError):
        if error.errno == errno.EPIPE:
            return None
        text = str(error.strerror or type(error).__name__)
        if error.filename is not None:
            text = f"{error.filename}: {text}"
    else:
        # The text of an exception nobody foresaw may hold what must not be shown.
        text = (
            f"unexpected {type(error).__name__}, which is a bug of openaudiohook; "
            f"{_TRACEBACK_VARIABLE}=1 shows the traceback to report"
        )
    return click.ClickException(text)


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 all well, 1 the job failed, 2 wrong usage.",
)
@click.version_option(__version__, prog_name="openaudiohook", message="%(prog)s %(version)s")
def main() -> None:
    """Stream live calls to services over the AudioHook protocol, and receive them.

    Independent, not affiliated with or endorsed by Genesys.
    """
