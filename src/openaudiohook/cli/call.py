"""`openaudiohook call`: be the platform for one call."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import uuid
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click
from rich.console import Console
from rich.table import Table

from openaudiohook.cli import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK
from openaudiohook.cli._call_run import Job, run
from openaudiohook.exceptions import ConfigurationError, MediaError

if TYPE_CHECKING:
    from openaudiohook.fanout.endpoint import EndpointConfig
    from openaudiohook.monitor.report import CallReport
    from openaudiohook.monitor.scenario import Scenario

__all__ = ["call"]

_RATE: Final = 8000
_NO_KEY: Final = "anonymous"
_WIDTH: Final = 120


def _number(ctx: click.Context, param: click.Parameter, text: str | None) -> Decimal | None:
    """Read a decimal number above zero, exactly as written."""
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}", text):
        raise click.BadParameter(f"'{text}' is not a number like 60 or 1.5")
    number = Decimal(text)
    if not number:
        raise click.BadParameter("0 is too little")
    return number


@click.command(epilog="Independent, not affiliated with or endorsed by Genesys.")
@click.option(
    "--uri",
    "uris",
    multiple=True,
    metavar="URI",
    help="A service to stream to, wss://... (ws:// on this machine). Up to five times.",
)
@click.option(
    "--endpoints",
    "endpoints_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML with [[endpoint]] tables instead of --uri: uri, api_key, client_secret of each.",
)
@click.option(
    "--api-key",
    envvar="OPENAUDIOHOOK_API_KEY",
    metavar="KEY",
    help=f"API key for every --uri. Default: '{_NO_KEY}', for services that check none.",
)
@click.option(
    "--client-secret",
    envvar="OPENAUDIOHOOK_CLIENT_SECRET",
    metavar="BASE64",
    help="Client secret that belongs to the key, in base64. Without it requests go unsigned.",
)
@click.option("--wav", type=click.Path(path_type=Path), metavar="FILE", help="Play this file.")
@click.option("--tone", callback=_number, metavar="SECONDS", help="Play a tone that long.")
@click.option(
    "--scenario",
    "scenario_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Play a call's script (TOML).",
)
@click.option(
    "--channel",
    type=click.Choice(["both", "external", "internal"]),
    default="both",
    show_default=True,
    help="What --uri endpoints are offered: what the customer says, hears, or both.",
)
@click.option("--language", metavar="TAG", help="Media language, for example en-US.")
@click.option(
    "--custom-config", metavar="JSON|@FILE", help="JSON object that --uri endpoints are passed."
)
@click.option(
    "--reconnect",
    is_flag=True,
    help="Follow a --uri endpoint that asks to be moved or is lost into another session.",
)
@click.option("--organization-id", type=click.UUID, help="Default: a random one.")
@click.option("--conversation-id", type=click.UUID, help="Default: a random one.")
@click.option(
    "--speed",
    callback=_number,
    default="1",
    metavar="X",
    help="Run the call X times faster than real time; protocol timers do not change.",
)
@click.option(
    "--frame-ms",
    type=click.IntRange(20, 200),
    default=100,
    show_default=True,
    help="Audio in one message.",
)
@click.option(
    "--hold-back-ms",
    type=click.IntRange(0, 3000),
    help="Let audio wait so long before it leaves, so that a secure pause can take it back. "
    "Default: the scenario's, or 0.",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="PEM with authorities to trust besides the public ones.",
)
@click.option("--allow-ws", is_flag=True, help="Accept ws:// beyond this machine: unencrypted!")
@click.option(
    "--trace",
    "trace_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write every message's type, number and position as JSON lines; no content.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.pass_context
def call(
    ctx: click.Context,
    *,
    uris: tuple[str, ...],
    endpoints_file: Path | None,
    api_key: str | None,
    client_secret: str | None,
    wav: Path | None,
    tone: Decimal | None,
    scenario_file: Path | None,
    channel: Literal["both", "external", "internal"],
    language: str | None,
    custom_config: str | None,
    reconnect: bool,
    organization_id: uuid.UUID | None,
    conversation_id: uuid.UUID | None,
    speed: Decimal,
    frame_ms: int,
    hold_back_ms: int | None,
    ca_file: Path | None,
    allow_ws: bool,
    trace_file: Path | None,
    as_json: bool,
) -> None:
    """Be the platform for one call and stream it to up to five services at once.

    The call is a WAV file (8 kHz mu-law or 16-bit PCM; stereo has the customer left), a tone, or a
    scenario. Key and secret are also read from OPENAUDIOHOOK_API_KEY and
    OPENAUDIOHOOK_CLIENT_SECRET. Ctrl-C hangs up and closes every session.

    Exit status: 0 all well; 1 an endpoint failed for good, and the others were played to the end;
    2 wrong usage; 130 Ctrl-C.
    """
    if [wav, tone, scenario_file].count(None) != 2:
        raise click.UsageError("give exactly one of --wav, --tone and --scenario")
    if endpoints_file is None:
        endpoints = _endpoints(
            uris,
            api_key=api_key,
            client_secret=client_secret,
            channel=channel,
            custom_config=custom_config,
            reconnections=reconnect,
            allow_ws=allow_ws,
        )
    else:
        _refuse_beside_file(ctx)
        from openaudiohook.monitor.integrations import load_integrations

        endpoints = load_integrations(endpoints_file, allow_ws=allow_ws)
    import msgspec

    hears_only = {endpoint.channel for endpoint in endpoints} == {"internal"}
    scenario = _scenario(wav, tone, scenario_file, language=language, hears_only=hears_only)
    if hold_back_ms is not None:
        held_back = hold_back_ms * _RATE // 1000
        scenario = msgspec.structs.replace(scenario, hold_back_samples=held_back)
    job = Job(
        scenario=scenario,
        endpoints=endpoints,
        organization_id=None if organization_id is None else str(organization_id),
        conversation_id=None if conversation_id is None else str(conversation_id),
        speed=Fraction(speed),
        frame_samples=frame_ms * _RATE // 1000,
        ca_file=ca_file,
        trace_file=trace_file,
    )
    _log_to_stderr()
    report = asyncio.run(run(job))
    if report is None:
        ctx.exit(EXIT_INTERRUPTED)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        _print_table(report)
    _print_failures(report)
    if report.was_interrupted:
        ctx.exit(EXIT_INTERRUPTED)
    ctx.exit(EXIT_OK if report.is_good else EXIT_FAILED)


# What was asked for ---------------------------------------------------------------------


def _endpoints(
    uris: Sequence[str],
    *,
    api_key: str | None,
    client_secret: str | None,
    channel: Literal["both", "external", "internal"],
    custom_config: str | None,
    reconnections: bool,
    allow_ws: bool,
) -> tuple[EndpointConfig, ...]:
    from openaudiohook.auth import decode_secret, validate_api_key
    from openaudiohook.fanout.endpoint import EndpointConfig
    from openaudiohook.monitor.integrations import parse_custom_config, require_count, require_uri

    if not uris:
        raise click.UsageError("give --uri, or a file with --endpoints")
    require_count(len(uris))
    for uri in uris:
        try:
            require_uri(uri, allow_ws=allow_ws)
        except ConfigurationError as error:
            raise ConfigurationError(f"--uri {_shown(uri)}: {error}") from None
    if client_secret and not api_key:
        raise click.UsageError("--client-secret belongs to a key: give --api-key, too")
    custom = None
    if custom_config is not None:
        custom = parse_custom_config(_text_or_file(custom_config))
    return tuple(
        EndpointConfig(
            name=f"endpoint-{number}",
            uri=uri,
            api_key=validate_api_key(api_key or _NO_KEY),
            client_secret=decode_secret(client_secret or ""),
            channel=channel,
            custom_config=custom,
            reconnections=reconnections,
            allow_clear_text=allow_ws,
        )
        for number, uri in enumerate(uris, 1)
    )


def _refuse_beside_file(ctx: click.Context) -> None:
    """With a file of endpoints, what would be theirs cannot be given beside it."""
    for name in ("uris", "api_key", "client_secret", "channel", "custom_config", "reconnect"):
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = "--uri" if name == "uris" else f"--{name.replace('_', '-')}"
            raise click.UsageError(f"with --endpoints, {option} is written in the file")


def _scenario(
    wav: Path | None,
    tone: Decimal | None,
    scenario_file: Path | None,
    *,
    language: str | None,
    hears_only: bool,
) -> Scenario:
    import msgspec

    from openaudiohook.monitor.policy import require_eligible
    from openaudiohook.monitor.scenario import load_scenario, single_play
    from openaudiohook.monitor.sources.tone import Tone
    from openaudiohook.monitor.sources.wav import WavFile
    from openaudiohook.protocol.messages import LanguageCode

    if language is not None:
        try:
            msgspec.convert(language, LanguageCode)
        except msgspec.ValidationError:
            raise click.UsageError(f"--language {language}: a BCP 47 tag like en-US") from None
    if scenario_file is not None:
        scenario = load_scenario(scenario_file)
        try:
            require_eligible(scenario.edge)
        except ConfigurationError as error:
            raise ConfigurationError(f"{scenario_file}: [call]: edge: {error}") from None
        return msgspec.structs.replace(scenario, language=language or scenario.language)
    if tone is not None:
        samples = tone * _RATE
        if samples != samples.to_integral_value():
            raise click.UsageError("--tone is a whole number of samples of 0.000125 s")
        return single_play(Tone(samples=int(samples)), language=language)
    assert wav is not None
    file = WavFile(path=wav)
    try:
        source = file.open()
    except MediaError as error:
        raise ConfigurationError(str(error)) from None
    except OSError as error:
        raise ConfigurationError(f"--wav {wav}: cannot be read: {error.strerror}") from None
    source.close()
    is_heard = source.channels == 1 and hears_only
    return single_play(file, channel="internal" if is_heard else "both", language=language)


def _text_or_file(value: str) -> str:
    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"--custom-config {value}: cannot be read: {error.strerror}"
        ) from None
    except ValueError:
        raise ConfigurationError(f"--custom-config {value}: not UTF-8 text") from None


def _shown(uri: str) -> str:
    """An address as it may be shown: what stands before an @ could be a password."""
    return re.sub(r"//[^/]*@", "//...@", uri)


def _log_to_stderr() -> None:
    import structlog

    # Whatever stderr is when something is logged, and never stdout, which is structlog's default.
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


# Telling about it -----------------------------------------------------------------------


def _print_table(report: CallReport) -> None:
    from openaudiohook.audio import RATE

    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    start = report.monitored_from
    if start is None:
        console.print("monitoring was never switched on: nobody was connected")
        return
    if all(endpoint.account.opened_at is None for endpoint in report.endpoints):
        conversation = report.conversation_id
        console.print(f"no endpoint opened, so nothing was sent, conversation {conversation}")
        return
    console.print(
        f"call of {report.call_samples / RATE:.3f} s, monitored from {start / RATE:.3f} s, "
        f"conversation {report.conversation_id}"
    )
    table = Table()
    table.add_column("endpoint")
    table.add_column("state")
    for name in ("sent", "discarded", "lost", "secure", "client", "server", "charged"):
        table.add_column(f"{name} s", justify="right")
    for endpoint in report.endpoints:
        account = endpoint.account
        durations = (
            account.sent,
            account.discarded,
            account.lost,
            account.paused_secure,
            account.paused_client,
            account.paused_server,
            report.chargeable_samples(endpoint),
        )
        figures = [f"{samples / RATE:.3f}" for samples in durations]
        table.add_row(endpoint.name, str(endpoint.state), *figures)
    console.print(table)
    for endpoint in report.endpoints:
        if len(endpoint.sessions) > 1:
            resent = endpoint.account.resent / RATE
            console.print(
                f"{endpoint.name}: {len(endpoint.sessions)} sessions, {resent:.3f} s sent again"
            )


def _print_failures(report: CallReport) -> None:
    for problem in report.problems:
        click.echo(f"the call: {problem}", err=True)
    for endpoint in report.endpoints:
        if endpoint.error is not None:
            click.echo(f"{endpoint.name} ({endpoint.uri}): {endpoint.error}", err=True)
