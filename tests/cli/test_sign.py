"""`openaudiohook sign`: what it prints pipes into `sign --explain`, which tells what is wrong."""

from __future__ import annotations

import base64
import hmac
import time
import uuid

import pytest
from click.testing import CliRunner, Result
from tests.support.signed import (
    API_KEY,
    COMPONENTS,
    CREATED,
    HEADERS,
    HOST,
    NONCE,
    SECRET_TEXT,
    TARGET,
)
from tests.support.signed import SECRET as SECRET_OCTETS

from openaudiohook.auth import Credentials, InMemoryKeys, SignedRequest, verify
from openaudiohook.cli.sign import sign

pytestmark = pytest.mark.unit

URI = f"wss://{HOST}{TARGET}"
KEY = ("--api-key", API_KEY)
SECRET = ("--client-secret", SECRET_TEXT)
VECTOR = (
    *("--uri", URI, *KEY, *SECRET),
    *("--organization-id", HEADERS[1][1]),
    *("--session-id", HEADERS[2][1]),
    *("--correlation-id", HEADERS[3][1]),
    *("--nonce", NONCE, "--created", str(CREATED)),
)


def run(*arguments: str, stdin: str | None = None, **environment: str) -> Result:
    return CliRunner().invoke(sign, arguments, input=stdin, env=environment, prog_name="sign")


def signed(*arguments: str) -> str:
    result = run(*VECTOR, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def explained(lines: str, *, uri: str = URI, now: int = CREATED) -> Result:
    return run("--explain", "--uri", uri, *SECRET, "--now", str(now), stdin=lines)


def refused(lines: str, *, uri: str = URI, now: int = CREATED) -> str:
    result = explained(lines, uri=uri, now=now)
    assert result.exit_code == 1
    assert max(map(len, result.stdout.splitlines())) <= 80
    return result.stdout


def test_the_official_vector_is_printed_as_lines() -> None:
    lines = signed("--expires", "3282026430").splitlines()
    assert lines[:5] == [f"{name}: {value}" for name, value in HEADERS]
    assert lines[5].startswith('Signature-Input: sig1=("@request-target" "@authority" ')
    assert lines[6:] == ["Signature: sig1=:NZBwyBHRRyRoeLqy1IzOa9VYBuI8TgMFt2GRDkDuJh4=:"]


def test_what_is_left_out_is_fresh_and_verifies() -> None:
    runs = [run("--uri", URI, *KEY, *SECRET).stdout for _ in range(2)]
    headers = [tuple(line.partition(": ")[::2] for line in each.splitlines()) for each in runs]
    assert not set(headers[0][1:4]) & set(headers[1][1:4])
    for _, value in headers[0][1:4]:
        assert uuid.UUID(value).version == 4
    keys = InMemoryKeys([Credentials.from_text(API_KEY, SECRET_TEXT)], decoy=bytes(32))
    for each in headers:
        request = SignedRequest(target=TARGET, headers=each)
        assert verify(request, keys=keys, utc_ns=time.time_ns(), replay=None).is_signed


def test_expires_is_thirty_seconds_after_created() -> None:
    assert signed().count(f";created={CREATED};expires={CREATED + 30}") == 1


def test_key_and_secret_come_from_the_environment() -> None:
    environment = {
        "OPENAUDIOHOOK_API_KEY": API_KEY,
        "OPENAUDIOHOOK_CLIENT_SECRET": SECRET_TEXT,
    }
    printed = run("--uri", URI, **environment)
    assert f"X-API-KEY: {API_KEY}\n" in printed.stdout
    result = run("--explain", "--uri", URI, stdin=printed.stdout, **environment)
    assert (result.exit_code, result.stdout.split(":")[0]) == (0, "valid")


def test_what_is_signed_is_explained_as_valid() -> None:
    printed = run("--uri", URI, *KEY, *SECRET).stdout
    result = run("--explain", "--uri", URI, *SECRET, stdin=printed)
    assert (result.exit_code, result.stdout) == (
        0,
        "valid: the signature fits the request and is in time\n",
    )


def test_both_bases_stand_side_by_side() -> None:
    shown = refused(signed().replace(f"Host: {HOST}", "Host: localhost:3000")).splitlines()
    (heading,) = (line for line in shown if "signature base here" in line)
    assert "signature base of the signer" in heading
    (row,) = (line for line in shown if line.startswith("2*"))
    assert row.split()[1:] == ['"@authority":', "localhost:3000", '"@authority":', HOST]
    numbers = [line.split()[0] for line in shown if line[:1].isdigit()]
    assert numbers == ["1", "2*", "3", "4", "5", "6", "7"]


def test_an_undecoded_secret_is_named() -> None:
    twice = "VFhsVGRYQmxjbE5sWTNKbGRFdGxlVlJsYkd4T2J5MHhJVEpBTXlNMEpEVT0="
    shown = refused(signed("--client-secret", twice))
    assert "without base64-decoding" in shown
    assert "First differing line: key, the HMAC key" in shown
    assert "here    32 octets, decoded" in shown
    assert "signer  44 octets, not decoded" in shown


@pytest.mark.parametrize("where", ["host line", "URI"])
def test_a_rewritten_host_is_named(where: str) -> None:
    if where == "URI":
        shown = refused(signed(), uri=f"ws://localhost:3000{TARGET}")
    else:
        shown = refused(signed().replace(f"Host: {HOST}", "Host: localhost:3000"))
    assert 'First differing line: 2, "@authority"' in shown
    assert 'here    "@authority": localhost:3000' in shown
    assert f'signer  "@authority": {HOST}' in shown
    assert "external authority" in shown


@pytest.mark.parametrize("path", ["/ws", "/api/v1/voicebiometrics/ws/", "/entirely/other"])
def test_a_changed_path_is_named(path: str) -> None:
    shown = refused(signed(), uri=f"wss://{HOST}{path}")
    assert 'First differing line: 1, "@request-target"' in shown
    assert f'here    "@request-target": {path}' in shown
    assert f'signer  "@request-target": {TARGET}' in shown


def test_a_path_that_cannot_be_guessed_is_named_as_what_may_differ() -> None:
    shown = refused(signed("--uri", f"wss://{HOST}/q7/unheard-of"))
    assert 'First line that may differ: 1, "@request-target"' in shown
    assert "no known cause" in shown
    assert "client secret" in shown


def test_swapped_ids_are_named() -> None:
    session, correlation = HEADERS[2][1], HEADERS[3][1]
    lines = signed().replace(session, "?").replace(correlation, session).replace("?", correlation)
    shown = refused(lines)
    assert 'First differing line: 4, "audiohook-session-id"' in shown
    assert f'here    "audiohook-session-id": {correlation}' in shown
    assert f'signer  "audiohook-session-id": {session}' in shown


def test_an_expired_request_is_named() -> None:
    shown = refused(signed(), now=CREATED + 100)
    assert shown.startswith('not valid: expired: "expires" is 70 s in the past')
    assert 'First differing line: 7, "@signature-params"' in shown
    assert f"created={CREATED + 100};expires={CREATED + 130}" in shown
    assert f";created={CREATED};expires={CREATED + 30}" in shown
    assert "--now" in shown


def test_further_findings_follow_the_first() -> None:
    lines = signed("--nonce", "short").replace(f"Host: {HOST}", "Host: localhost")
    shown = refused(lines, now=CREATED + 100)
    assert shown.count("\nAlso: ") == 2
    assert "it has 5" in shown


def test_a_fault_in_the_parameters_alone_is_named_with_its_line() -> None:
    shown = refused(signed("--nonce", "short"))
    assert 'No line differs; what is wrong stands in line 7, "@signature-params".' in shown


def test_a_long_value_is_shown_where_it_parts() -> None:
    here, theirs = f"/{'a' * 90}/x{'b' * 60}", f"/{'a' * 90}/y{'b' * 60}"
    shown = refused(signed("--uri", f"wss://{HOST}{theirs}"), uri=f"wss://{HOST}{here}")
    (mine,) = (line for line in shown.splitlines() if line.startswith("    here"))
    assert mine.startswith("    here    ...aaa")
    assert "/xbbb" in mine
    assert mine.endswith("b...")


def test_a_line_the_signer_left_out_is_named() -> None:
    values = [TARGET, HOST, *(value for _, value in HEADERS[1:])]
    base = "\n".join(f'"{name}": {value}' for name, value in zip(COMPONENTS, values, strict=True))
    mac = base64.b64encode(hmac.digest(SECRET_OCTETS, base.encode(), "sha256")).decode()
    *lines, _ = signed().splitlines()
    shown = refused("\n".join([*lines, f"Signature: sig1=:{mac}:"]))
    assert 'First differing line: 7, "@signature-params"' in shown
    assert "signer  (an empty line, or none)" in shown


def test_a_signature_of_the_wrong_length_is_named() -> None:
    shown = refused(signed().replace("Signature: sig1=:", "Signature: sig1=:AAAA"))
    assert "the signature has 35 octets" in shown


def test_lines_of_a_capture_are_taken_with_their_request_line() -> None:
    capture = f"GET /inside HTTP/1.1\r\n{signed()}".replace("\n", "\r\n")
    shown = refused(capture)
    assert 'here    "@request-target": /inside' in shown


def test_a_request_without_signature_is_explained() -> None:
    shown = refused("".join(f"{name}: {value}\n" for name, value in HEADERS))
    assert "not signed" in shown
    assert "signature base" not in shown


def test_no_output_shows_the_secret() -> None:
    for lines in (signed(), signed("--nonce", "short"), signed("--client-secret", "AAAA")):
        assert SECRET_TEXT not in explained(lines, now=CREATED + 100).output
        assert SECRET_TEXT not in lines


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--uri", "localhost", *KEY, *SECRET), "must begin with wss://"),
        (("--uri", f"https://{HOST}", *KEY, *SECRET), "must begin with wss://"),
        (("--uri", URI, *KEY, *SECRET, "--created", "9", "--expires", "8"), "is before --created"),
        (("--uri", URI, *KEY, *SECRET, "--expires", "8"), "--expires 8 is before --created"),
        (("--uri", URI, *SECRET), "give --api-key"),
        (("--uri", URI, *KEY), "--client-secret"),
        (("--uri", URI, *KEY, "--client-secret", "p@ss"), "not base64"),
        (("--uri", URI, *KEY, "--client-secret", ""), "requests are not signed then"),
        (("--uri", URI, "--api-key", "a b", *SECRET), "the API key may hold"),
        (("--uri", URI, *KEY, *SECRET, "--session-id", "x"), "not a valid UUID"),
        (("--uri", URI, *KEY, *SECRET, "--created", "-1"), "--created"),
        (("--uri", URI, *KEY, *SECRET, "--nonce", "ü"), "cannot sign"),
        (("--uri", URI, *KEY, *SECRET, "--now", "5"), "--now is only used with --explain"),
        (("--explain", *SECRET), "--uri"),
        (("--explain", "--uri", URI, *SECRET), "no header lines"),
        (("--explain", "--uri", "ftp://x", *SECRET), "must begin with wss://"),
        (("--explain", "--uri", f"http://{HOST}", *SECRET), "must begin with wss://"),
        (("--explain", "--uri", URI, "--client-secret", "%"), "not base64"),
        (("--explain", "--uri", URI, "--client-secret", ""), "empty"),
        (("--explain", "--uri", URI, *SECRET, "--nonce", "x"), "--nonce is only used to sign"),
    ],
)
def test_wrong_usage_is_told_with_status_two(arguments: tuple[str, ...], complaint: str) -> None:
    stdin = "" if complaint == "no header lines" else "Host: x\n"
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 2
    assert complaint in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_help_says_we_are_independent() -> None:
    assert "not affiliated with or endorsed by Genesys" in run("--help").stdout
