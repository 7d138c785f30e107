"""`openaudiohook init`: a new integration, from nothing to the first ten seconds of audio."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click
from rich.console import Console

from openaudiohook.cli import EXIT_FAILED, EXIT_OK
from openaudiohook.exceptions import ConfigurationError, ControlError

if TYPE_CHECKING:
    from openaudiohook.monitor.control_client import ControlClient
    from openaudiohook.monitor.explain import Finding
    from openaudiohook.monitor.provision import Plan
    from openaudiohook.monitor.trial import Trial

__all__ = ["init"]

_URI: Final = "ws://127.0.0.1:3000/api/v1/audiohook/ws"
_WIDTH: Final = 100
_TONE_S: Final = 10
_CLOSE_S: Final = 20.0


@click.command()
@click.option(
    "--uri",
    metavar="URI",
    help=f"Where the service listens, wss://...  [default: {_URI}, which is on this machine]",
)
@click.option("--name", metavar="NAME", help="Of the integration.  [default: openaudiohook]")
@click.option(
    "--channel", type=click.Choice(["both", "external", "internal"]), help="[default: both]"
)
@click.option("--reconnections", is_flag=True, help="Continue sessions that are lost.")
@click.option("--advanced", metavar="JSON|@FILE", help="What the service is passed on each call.")
@click.option(
    "--api-key", metavar="KEY", help="The key a service has issued already. Default: a new one."
)
@click.option(
    "--client-secret",
    envvar="OPENAUDIOHOOK_CLIENT_SECRET",
    metavar="BASE64",
    help="The secret that belongs to --api-key; or OPENAUDIOHOOK_CLIENT_SECRET.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    metavar="DIR",
    help="Where service.toml and monitor.toml are written.  [default: .]",
)
@click.option("--force", is_flag=True, help="Replace those files where they are there.")
@click.option(
    "--check", "only_check", is_flag=True, help="Write nothing: try what monitor.toml says."
)
@click.option(
    "--no-check", "without_check", is_flag=True, help="Write and print only: try nothing."
)
@click.option(
    "--wait",
    type=click.IntRange(0, 3600),
    default=0,
    metavar="SECONDS",
    help="How long to wait for a service that does not listen yet.  [default: 0]",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="PEM with authorities to trust besides the public ones.",
)
@click.option("--api", metavar="URL", help="Provision it there, through the control interface.")
@click.option(
    "--client",
    envvar="OPENAUDIOHOOK_CLIENT",
    metavar="ID:SECRET",
    help="Who provisions; or OPENAUDIOHOOK_CLIENT.",
)
@click.option("--login", metavar="URL", help="Where --api's tokens are issued, if elsewhere.")
@click.option("--allow-http", is_flag=True, help="Let http:// leave this machine: unencrypted!")
@click.pass_context
def init(
    ctx: click.Context,
    /,
    *,
    directory: Path,
    force: bool,
    only_check: bool,
    without_check: bool,
    wait: int,
    ca_file: Path | None,
    api: str | None,
    client: str | None,
    login: str | None,
    allow_http: bool,
    **wanted: Any,
) -> None:
    """Make a new integration: both sides' configuration, what to type, and a first trial.

    Makes an API key and a client secret, writes service.toml (for `serve`) and monitor.toml (for
    `monitor`), for you alone to read, and prints what goes into which field of the platform's form.
    With --api it is provisioned through the control interface instead of monitor.toml. Then it is
    probed and streamed ten seconds of tone; the first thing that goes wrong is explained.

    Exit status: 0 all well; 1 the trial failed, and it says why; 2 wrong usage.
    """
    if only_check and (without_check or api is not None or _is_any_given(ctx, wanted)):
        raise click.UsageError("--check tries what monitor.toml says, and takes no other wishes")
    control = None
    if api is not None:
        control = _control(api, client, login=login, allow_http=allow_http)
    console = Console(width=_WIDTH, highlight=False, markup=False, soft_wrap=True)
    if only_check:
        plan = _written(directory)
    else:
        plan = _plan(**wanted)
        _write(console, plan, directory, force=force, is_ours=wanted["api_key"] is None, api=api)
        _print_fields(console, plan)
    if without_check:
        return
    if control is None:
        is_good = _try_here(console, plan, directory, wait_s=wait, ca_file=ca_file)
    else:
        is_good = _try_there(console, control, plan)
    ctx.exit(EXIT_OK if is_good else EXIT_FAILED)


def _control(api: str, client: str | None, *, login: str | None, allow_http: bool) -> ControlClient:
    from openaudiohook.monitor.control_client import ControlClient

    id_, colon, secret = (client or "").partition(":")
    if not (colon and id_ and secret):
        raise click.UsageError("--api needs --client ID:SECRET: who provisions?")
    return ControlClient(api, client_id=id_, secret=secret, login=login, allow_http=allow_http)


def _is_any_given(ctx: click.Context, names: dict[str, Any]) -> bool:
    given = click.core.ParameterSource.COMMANDLINE
    return any(ctx.get_parameter_source(name) is given for name in names)


# What is wanted, and written --------------------------------------------------------------


def _plan(
    *,
    uri: str | None,
    name: str | None,
    channel: Literal["both", "external", "internal"] | None,
    reconnections: bool,
    advanced: str | None,
    api_key: str | None,
    client_secret: str | None,
) -> Plan:
    from openaudiohook.monitor.provision import Plan, new_credentials

    if api_key is None:
        api_key, client_secret = new_credentials()
    text = "{}" if advanced is None else advanced
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise ConfigurationError(f"--advanced {advanced}: cannot be read: {reason}") from None
    return Plan(
        name=name or "openaudiohook",
        uri=uri or _URI,
        api_key=api_key,
        client_secret=client_secret or "",
        channel=channel or "both",
        reconnections=reconnections,
        advanced=text,
    ).checked()


def _written(directory: Path) -> Plan:
    """Read the plan back from what was written."""
    from openaudiohook.monitor.config import load_monitor_config
    from openaudiohook.monitor.provision import MONITOR_FILE, Plan

    path = directory / MONITOR_FILE
    found = load_monitor_config(path).integrations
    if not found:
        raise ConfigurationError(f"{path}: no [[integrations]] is in it: there is nothing to try")
    one = found[0]
    return Plan(
        name=one.name,
        uri=one.uri,
        api_key=one.api_key,
        client_secret=one.client_secret,
        channel=one.channel,
        reconnections=one.reconnections,
        advanced=one.advanced,
    )


def _write(
    console: Console, plan: Plan, directory: Path, *, force: bool, is_ours: bool, api: str | None
) -> None:
    """Write what the two sides need: the service's where its key is new, the Monitor's here."""
    import secrets

    from openaudiohook.monitor.provision import (
        MONITOR_FILE,
        SERVICE_FILE,
        monitor_toml,
        service_toml,
        write_private,
    )

    service, monitor = directory / SERVICE_FILE, directory / MONITOR_FILE
    files = {}
    if is_ours:
        files[service] = service_toml(plan), f"openaudiohook serve --config {service}"
    if api is None:
        text = monitor_toml(plan, client_id="admin", client_secret=secrets.token_urlsafe(24))
        files[monitor] = text, f"openaudiohook monitor --config {monitor}"
    if not force:
        for path in files:
            if path.exists():
                raise ConfigurationError(
                    f"{path} is there already: --check tries what it says, --force replaces it"
                )
    directory.mkdir(parents=True, exist_ok=True)
    for path, (text, command) in files.items():
        write_private(path, text, replace=force)
        console.print(f"wrote {path}, for you alone to read; it is for\n    {command}")


def _print_fields(console: Console, plan: Plan) -> None:
    from openaudiohook.monitor.provision import platform_fields

    console.print("\nIn Genesys Cloud: Admin, Integrations, AudioHook Monitor, and there type\n")
    fields = platform_fields(plan)
    for field in fields:
        console.print(f"    {field.tab:<12} {field.label:<15} {field.value}")
    if plan.uri.startswith("ws://"):
        console.print(
            "\nThat URI is good on this machine only. The platform needs wss:// on port 443, with "
            "a\ncertificate of a public authority: `openaudiohook init --uri wss://...`"
        )
    console.print()


# The trial, from here ----------------------------------------------------------------------


def _try_here(
    console: Console, plan: Plan, directory: Path, *, wait_s: int, ca_file: Path | None
) -> bool:
    """Probe and play from this machine; print what came of it."""
    from openaudiohook.cli.explain import print_explanation
    from openaudiohook.monitor.trial import try_integration
    from openaudiohook.transport.tls import client_tls

    ssl = None if ca_file is None else client_tls(ca_file)
    console.print(f"probing {plan.uri} ...")
    give_up_at = time.monotonic() + wait_s
    trial: Trial = asyncio.run(try_integration(plan.endpoint(), ssl=ssl))
    while not trial.probe.ok and _is_not_there(trial) and time.monotonic() < give_up_at:
        time.sleep(1)
        trial = asyncio.run(try_integration(plan.endpoint(), ssl=ssl))
    if not trial.probe.ok:
        _print_probe_failure(console, trial, plan, directory)
        return False
    console.print("  + the probe went well\n")
    assert trial.explanation is not None
    print_explanation(console, trial.explanation)
    return _concluded(console, list(trial.explanation.findings))


def _is_not_there(trial: Trial) -> bool:
    from openaudiohook.fanout.failures import FailureKind

    return trial.probe.failures[0].kind is FailureKind.NO_CONNECTION


def _print_probe_failure(console: Console, trial: Trial, plan: Plan, directory: Path) -> None:
    """Say what the platform would say, what it means, and what helps here."""
    from openaudiohook.fanout.failures import FailureKind
    from openaudiohook.monitor.events import CATALOGUE, event_for

    first = trial.probe.failures[0]
    kind = CATALOGUE[event_for(first.kind)]
    console.print(f"  ! the probe failed: {trial.probe.text}")
    console.print(f"      {kind.id} {kind.name}. {kind.remedy}")
    if first.kind is FailureKind.NO_CONNECTION and plan.uri.startswith("ws://"):
        console.print(
            "      Nothing listens there yet? In another terminal: openaudiohook serve --config "
            f"{directory / 'service.toml'}\n      and then here: openaudiohook init --check"
        )
    if first.kind is FailureKind.UNAUTHORIZED:
        console.print(f"      {_compared(plan, directory)}")


def _compared(plan: Plan, directory: Path) -> str:
    """Compare the key and the secret with those of service.toml; neither is shown."""
    from openaudiohook.service.config import load_config

    path = directory / "service.toml"
    try:
        service = load_config(path)
    except ConfigurationError:
        return "The service's own key and secret are not known here: ask whoever runs it for both."
    if service.api_key != plan.api_key:
        return f"The API key is another one than in {path}."
    if service.client_secret != plan.client_secret:
        return f"The API key is that of {path}, and the client secret is another one."
    return f"Key and secret are those of {path}: the service that answers was started with others."


# The trial, through the interface ----------------------------------------------------------


def _try_there(console: Console, control: ControlClient, plan: Plan) -> bool:
    """Provision on a platform that runs, and have it play; print what came of it."""
    from openaudiohook.monitor.provision import provision

    console.print(f"provisioning on {control.base} ...")
    done = provision(control, plan)
    if not done.is_active:
        console.print(f"  ! the platform's probe failed, and it stays inactive: {done.text}")
        console.print(
            "      Once that is put right: openaudiohook integrations --api "
            f"{control.base} --enable {shlex.quote(plan.name)}",
            soft_wrap=True,
        )
        return False
    console.print(f"  + active: the platform's probe went well (integration {done.id})\n")
    try:
        conversation_id = _play_there(control)
    except ControlError as error:
        if error.status not in (404, 405):
            raise
        console.print("That platform plays no tones: place a call of your own to hear it.")
        return True
    return _explain_there(console, control, conversation_id, done.id)


def _play_there(control: ControlClient) -> str:
    """Place a call of ten seconds of tone, switch it on, and wait until it is over."""
    calls = "/api/v2/audiohook/calls"
    placed = control.post(calls, {"source": {"tone": _TONE_S}})
    conversation_id: str = placed["conversationId"]
    control.post(
        f"{calls}/{conversation_id}/flowactions", {"action": "audioMonitoring", "enable": True}
    )
    give_up_at = time.monotonic() + 3 * _TONE_S
    with contextlib.suppress(ControlError):  # once it is over it is not there any more
        while time.monotonic() < give_up_at:
            control.get(f"{calls}/{conversation_id}")
            time.sleep(0.5)
    return conversation_id


def _explain_there(
    console: Console, control: ControlClient, conversation_id: str, integration_id: str
) -> bool:
    from openaudiohook.cli.explain import print_explanation
    from openaudiohook.monitor.explain import Explanation

    path = f"/api/v2/audiohook/calls/{conversation_id}/explanation"
    explanation = Explanation.from_json(control.get(path))
    give_up_at = time.monotonic() + _CLOSE_S
    while any(one.kind == "closing" for one in explanation.findings):
        if time.monotonic() > give_up_at:
            break
        time.sleep(0.5)
        explanation = Explanation.from_json(control.get(path))
    print_explanation(console, explanation)
    ours = [one for one in explanation.findings if one.integration_id in (integration_id, None)]
    return _concluded(console, ours)


def _concluded(console: Console, findings: list[Finding]) -> bool:
    """Say how it went: the first thing that was not as it should be, or that all was well."""
    trouble = next((one for one in findings if one.is_trouble), None)
    if trouble is not None:
        console.print(f"\nThe first thing that went wrong: {trouble.text}")
        return False
    console.print("\nAll well: the tone was streamed, to the last sample.")
    return True
