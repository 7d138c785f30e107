"""`openaudiohook sign`: print a signed request, or say why one does not verify."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
import uuid
from itertools import zip_longest
from typing import NamedTuple

import click
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from openaudiohook.exceptions import AudioHookError

__all__ = ["sign"]

_NONCE_OCTETS = 18
_WIDTH = 80
_MAX_WIDTH = 140
_INDENT = "    "
_MARGIN = len(_INDENT) + len("signer  ")
_CONTEXT = 24


@click.command(epilog="Independent, not affiliated with or endorsed by Genesys.")
@click.option("--uri", required=True, help="URI as configured at the platform, wss://...")
@click.option(
    "--api-key", envvar="OPENAUDIOHOOK_API_KEY", metavar="KEY", help="API key, to sign with."
)
@click.option(
    "--client-secret",
    envvar="OPENAUDIOHOOK_CLIENT_SECRET",
    metavar="BASE64",
    required=True,
    help="Client secret, in base64.",
)
@click.option("--organization-id", type=click.UUID, help="Default: a random one.")
@click.option("--session-id", type=click.UUID, help="Default: a random one.")
@click.option("--correlation-id", type=click.UUID, help="Default: a random one.")
@click.option("--nonce", help="Default: 18 random octets in base64.")
@click.option("--created", type=click.IntRange(min=0), metavar="UNIX", help="Default: now.")
@click.option(
    "--expires", type=click.IntRange(min=0), metavar="UNIX", help="Default: 30 s after --created."
)
@click.option(
    "--explain",
    "is_explaining",
    is_flag=True,
    help="Read a request's lines on standard input and say whether its signature is good.",
)
@click.option(
    "--now",
    type=click.IntRange(min=0),
    metavar="UNIX",
    help="With --explain: when the request arrived. Default: now.",
)
def sign(
    uri: str,
    api_key: str | None,
    client_secret: str,
    organization_id: uuid.UUID | None,
    session_id: uuid.UUID | None,
    correlation_id: uuid.UUID | None,
    nonce: str | None,
    created: int | None,
    expires: int | None,
    is_explaining: bool,
    now: int | None,
) -> None:
    """Sign an upgrade request, or explain why a signature does not verify.

    Prints the request's headers, one `Name: value` a line. With --explain it reads such
    lines, puts the signature base computed here beside the signer's, names the first line
    in which they differ, and says what to do.

    Key and secret are also read from OPENAUDIOHOOK_API_KEY and OPENAUDIOHOOK_CLIENT_SECRET.

    Exit status: 0 signed, or the signature is good; 1 it is not; 2 wrong usage.
    """
    given = {
        "--organization-id": organization_id,
        "--session-id": session_id,
        "--correlation-id": correlation_id,
        "--nonce": nonce,
        "--created": created,
        "--expires": expires,
    }
    if not re.match("wss?://", uri, re.IGNORECASE):
        raise click.UsageError("--uri: not a usable URI: it must begin with wss:// (or ws://)")
    try:
        if is_explaining:
            _refuse([name for name, value in given.items() if value is not None], "to sign")
            _explain(uri, client_secret, time.time_ns() if now is None else now * 10**9)
        else:
            _refuse(["--now"] if now is not None else [], "with --explain")
            _sign(
                uri,
                api_key,
                client_secret,
                ids=[str(i or uuid.uuid4()) for i in (organization_id, session_id, correlation_id)],
                nonce=nonce,
                created=int(time.time()) if created is None else created,
                expires=expires,
            )
    except AudioHookError as error:
        raise click.UsageError(str(error)) from None


def _refuse(options: list[str], purpose: str) -> None:
    if options:
        raise click.UsageError(f"{options[0]} is only used {purpose}")


def _sign(
    uri: str,
    api_key: str | None,
    client_secret: str,
    *,
    ids: list[str],
    nonce: str | None,
    created: int,
    expires: int | None,
) -> None:
    from openaudiohook.auth import Credentials, encode_nonce, upgrade_headers

    if not api_key:
        raise click.UsageError("give --api-key, or set OPENAUDIOHOOK_API_KEY")
    if not client_secret:
        raise click.UsageError("the client secret is empty: requests are not signed then")
    if expires is not None and expires < created:
        raise click.UsageError(
            f"--expires {expires} is before --created {created}: no service would ever accept that"
        )
    credentials = Credentials.from_text(api_key, client_secret)
    organization_id, session_id, correlation_id = ids
    headers = upgrade_headers(
        uri,
        api_key=credentials.api_key,
        secret=credentials.secret,
        organization_id=organization_id,
        session_id=session_id,
        correlation_id=correlation_id,
        nonce=encode_nonce(os.urandom(_NONCE_OCTETS)) if nonce is None else nonce,
        created=created,
        expires=expires,
    )
    for name, value in headers:
        click.echo(f"{name}: {value}")


def _explain(uri: str, client_secret: str, utc_ns: int) -> None:
    from openaudiohook.auth import explain_signature, read_request_lines

    lines = read_request_lines(sys.stdin.buffer.read().decode("utf-8", "replace"))
    explanation = explain_signature(lines, uri=uri, client_secret=client_secret, utc_ns=utc_ns)
    if explanation.is_valid:
        click.echo("valid: the signature fits the request and is in time")
        return
    width = _WIDTH
    if sys.stdout.isatty():
        width = min(shutil.get_terminal_size((_WIDTH, 24)).columns, _MAX_WIDTH)
    console = Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)
    first, *others = explanation.findings
    console.print(f"not valid: {first.summary}", style="bold")
    if explanation.expected:
        bases = _Bases(
            explanation.expected,
            explanation.signed,
            explanation.expected_key,
            explanation.signed_key,
            explanation.first_difference,
        )
        console.print()
        console.print(_side_by_side(bases))
        console.print()
        for line in _difference(bases, width):
            console.print(line, soft_wrap=True)
        console.print()
    console.print(f"What to do: {first.remedy}")
    for finding in others:
        console.print()
        console.print(f"Also: {finding.summary}")
        console.print(f"{_INDENT}{finding.remedy}")
    click.get_current_context().exit(1)


class _Bases(NamedTuple):
    """Two signature bases, ours and the signer's, which may be unknown."""

    here: tuple[str, ...]
    signer: tuple[str, ...] | None
    key_here: str
    key_signer: str
    first_difference: int | None


def _side_by_side(bases: _Bases) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", width=4)
    table.add_column("signature base here", ratio=1, overflow="fold")
    rule = Rule(characters="-", style="")
    if bases.signer is None:
        table.add_row("", rule)
        for number, line in enumerate(bases.here, start=1):
            table.add_row(str(number), Text(line))
        return table
    table.add_column("signature base of the signer", ratio=1, overflow="fold")
    table.add_row("", rule, rule)
    pairs = zip_longest(bases.here, bases.signer, fillvalue="(no such line)")
    rows = [(str(number), *pair) for number, pair in enumerate(pairs, start=1)]
    rows.append(("key", bases.key_here, bases.key_signer))
    for name, here, signer in rows:
        mark, style = ("", "") if here == signer else ("*", "bold yellow")
        table.add_row(name + mark, Text(here, style), Text(signer, style))
    return table


def _difference(bases: _Bases, width: int) -> list[str]:
    """Name the first line that differs, and show where the two part."""
    number = bases.first_difference
    if bases.signer is None:
        number = next(n for n, line in enumerate(bases.here, start=1) if line.startswith('"@'))
        line = bases.here[number - 1]
        return [
            f"First line that may differ: {number}, {line.partition(':')[0]}",
            f"{_INDENT}here    {_excerpt(line, 0, width - _MARGIN)}",
            f"{_INDENT}signer  cannot be seen from here; or the client secret is another",
        ]
    if number is not None:
        here, signer = _line(bases.here, number), _line(bases.signer, number)
        parting = next(i for i, (a, b) in enumerate(zip_longest(here, signer)) if a != b)
        return [
            f"First differing line: {number}, {(here or signer).partition(':')[0]}",
            f"{_INDENT}here    {_excerpt(here, parting - _CONTEXT, width - _MARGIN)}",
            f"{_INDENT}signer  {_excerpt(signer, parting - _CONTEXT, width - _MARGIN)}",
        ]
    if bases.key_here != bases.key_signer:
        return [
            "First differing line: key, the HMAC key; the two bases are the same.",
            f"{_INDENT}here    {bases.key_here}",
            f"{_INDENT}signer  {bases.key_signer}",
        ]
    return [
        f'No line differs; what is wrong stands in line {len(bases.here)}, "@signature-params".'
    ]


def _line(lines: tuple[str, ...], number: int) -> str:
    return lines[number - 1] if number <= len(lines) else ""


def _excerpt(line: str, start: int, room: int) -> str:
    if not line:
        return "(an empty line, or none)"
    if len(line) <= room:
        return line
    cut = line if start <= 0 else "..." + line[start:]
    return cut if len(cut) <= room else cut[: room - 3] + "..."
