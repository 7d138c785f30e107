"""Which Monitor a command asks, and as whom: the options that such commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from openaudiohook.exceptions import ConfigurationError

if TYPE_CHECKING:
    from openaudiohook.monitor.control_client import ControlClient

__all__ = ["control_options", "controlled"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def control_options(command: _Command) -> _Command:
    """Give a command `--api`, `--client`, `--config`, `--organization` and `--allow-http`."""
    options = (
        click.option(
            "--api",
            envvar="OPENAUDIOHOOK_API",
            metavar="URL",
            help="Where the Monitor's control interface listens. Default: as --config says.",
        ),
        click.option(
            "--client",
            envvar="OPENAUDIOHOOK_CLIENT",
            metavar="ID:SECRET",
            help="Who asks; better in OPENAUDIOHOOK_CLIENT, where nobody sees it. Default: the "
            "first [[clients]] of --config.",
        ),
        click.option(
            "--config",
            "config_file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="The Monitor's configuration file: says where it listens, and who may ask.",
        ),
        click.option(
            "--organization", metavar="NAME", help="With --config: whose client is to ask."
        ),
        click.option(
            "--allow-http", is_flag=True, help="Let http:// leave this machine: unencrypted!"
        ),
    )
    return functools.reduce(lambda inner, option: option(inner), reversed(options), command)


def controlled(
    *,
    api: str | None,
    client: str | None,
    config_file: Path | None,
    organization: str | None,
    allow_http: bool,
) -> ControlClient:
    """Make the client that those options describe.

    Raises:
        ConfigurationError: they do not say which Monitor is meant, or who asks.
    """
    from openaudiohook.monitor.control_client import ControlClient

    if config_file is not None:
        found_api, found_client = _from_file(config_file, organization)
        api, client = api or found_api, client or found_client
    if api is None:
        raise click.UsageError("give --config, or --api and --client: which Monitor is asked?")
    id_, colon, secret = (client or "").partition(":")
    if not (colon and id_ and secret):
        raise click.UsageError("--client ID:SECRET says who asks; or OPENAUDIOHOOK_CLIENT")
    return ControlClient(api, client_id=id_, secret=secret, allow_http=allow_http)


def _from_file(path: Path, organization: str | None) -> tuple[str, str | None]:
    """Where the Monitor of a file listens, and the first client there is for it."""
    from openaudiohook.monitor.config import load_monitor_config

    config = load_monitor_config(path)
    if not config.port:
        raise ConfigurationError(f"{path}: port 0 takes any port; give --api with the one it took")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)  # noqa: S104
    host = f"[{host}]" if ":" in host else host
    whose = None if organization is None else config.organization(organization).id
    clients = [
        f"{one.id}:{one.secret}"
        for one in config.clients
        if whose is None or one.organization_id == whose
    ]
    return f"http://{host}:{config.port}", clients[0] if clients else None
