"""What is tried again before `opened`, and what is not: against servers that misbehave.

The table is that of protocol section 14.1. Each row runs over real sockets; only what no machine
can be made to do at will, name servers and routes, is injected at the system's call.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from ssl import SSLContext
from typing import Any

import pytest
import trustme
from tests.support.misbehaving import (
    Misbehaving,
    Script,
    Talk,
    bare,
    behave,
    misbehaving,
    refuse,
    reset,
)
from tests.support.wire import media

from fanout.services import QUICK, SESSION, Streaming, until
from fanout.world import noise
from openaudiohook.fanout.endpoint import EndpointReport, EndpointState
from openaudiohook.fanout.failures import FailureKind
from openaudiohook.fanout.notices import Notice
from openaudiohook.protocol.client import ClientTimers
from openaudiohook.transport.tls import client_tls, server_tls

pytestmark = [pytest.mark.integration, pytest.mark.timeout(30)]

S = 8_000
MS = 1_000_000
SOURCE = noise(4 * S)
RETRY = replace(QUICK, retries=2, connect_s=0.3)
TIMERS = ClientTimers(open_ns=100 * MS, close_ns=100 * MS)
Kind = FailureKind


async def outcome(uri: str, **options: Any) -> tuple[EndpointReport, list[Notice]]:
    """Stream a second of a call to a server, and tell how it went."""
    notices: list[Notice] = []
    settings = {"retry": RETRY, "timers": TIMERS, **options}
    async with Streaming(SOURCE) as streaming:
        streaming.play(S)
        endpoint = streaming.stream_to(
            uri, on_notice=lambda endpoint, notice: notices.append(notice), **settings
        )
        await until(lambda: endpoint.state is EndpointState.STREAMING or streaming.tasks[0].done())
        await streaming.hang_up()
        return endpoint.report(), notices


async def fails(uri: str, kind: FailureKind, *, is_retried: bool, **options: Any) -> EndpointReport:
    """Check that a server is given up for a reason: after three attempts, or after one."""
    report, notices = await outcome(uri, **options)
    assert report.state is EndpointState.FAILED
    assert report.failure is not None
    assert (report.failure.kind, report.failure.may_pass) == (kind, is_retried)
    assert report.attempts == (3 if is_retried else 1)
    assert [notice.kind for notice in notices] == [kind] * report.attempts
    assert all(("trying again" in notice.text) for notice in notices[:-1])
    assert "trying again" not in notices[-1].text
    assert report.account.sent == 0
    return report


# What is retried -------------------------------------------------------------------------


def check_attempts(server: Misbehaving, count: int) -> None:
    """An attempt is another signature for the same session."""
    assert server.attempts == [str(number) for number in range(count)]
    assert {headers["Audiohook-Session-Id"] for headers in server.requests} == {SESSION}
    assert len({headers["Signature-Input"] for headers in server.requests}) == count


async def silence(talk: Talk) -> None:
    await talk.hear("close")
    await talk.say("closed")


async def hang_up(talk: Talk) -> None:
    await talk.hear("open")
    await talk.connection.close()


async def drop(talk: Talk) -> None:
    await talk.hear("open")
    talk.connection.transport.abort()


def name_of(value: object) -> str | None:
    return getattr(value, "__name__", None)


RETRIED: list[tuple[Script, FailureKind]] = [
    (silence, Kind.OPEN_TIMEOUT),
    (refuse("error"), Kind.DISCONNECTED),
    (hang_up, Kind.CLOSED_EARLY),
    (drop, Kind.CLOSED_EARLY),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("script", "kind"), RETRIED, ids=name_of)
async def test_what_may_pass_is_tried_again_and_given_up_in_the_end(
    script: Script, kind: FailureKind
) -> None:
    async with misbehaving(script) as server:
        await fails(server.uri, kind, is_retried=True)
        check_attempts(server, 3)
        for talk in server.talks:
            assert talk.heard[0]["position"] == "PT0S"
            assert "continuedSessions" not in talk.heard[0]["parameters"]
    if kind is Kind.OPEN_TIMEOUT:
        assert server.talks[0].errors() == [(408, "no opened in time")]


@pytest.mark.anyio
@pytest.mark.parametrize(("script", "kind"), RETRIED, ids=name_of)
async def test_an_attempt_that_succeeds_gets_everything(script: Script, kind: FailureKind) -> None:
    async with misbehaving(script, script, behave) as server:
        report, notices = await outcome(server.uri)
        check_attempts(server, 3)
    assert (report.state, report.failure) == (EndpointState.COMPLETED, None)
    assert [notice.kind for notice in notices] == [kind, kind]
    assert b"".join(server.talks[-1].audio) == SOURCE[: 2 * S]
    assert report.account.sent == report.account.length == S


@pytest.mark.anyio
async def test_a_refused_connection_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    report = await fails(f"ws://127.0.0.1:{port}/", Kind.NO_CONNECTION, is_retried=True)
    assert report.error == "no connection: connection refused"


@pytest.mark.anyio
async def test_a_connection_that_is_reset_is_tried_again() -> None:
    async with bare(reset) as server:
        await fails(server.uri, Kind.CLOSED_EARLY, is_retried=True)
        assert server.calls == 3


async def read_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(4_096):
        pass


async def read_a_little(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


@pytest.mark.anyio
@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_a_server_that_does_not_answer_in_time_is_tried_again(scheme: str) -> None:
    async with bare(read_on, scheme=scheme) as server:
        report = await fails(server.uri, Kind.CONNECT_TIMEOUT, is_retried=True)
        assert server.calls == 3
    assert report.error == "no connection within 0.3 s"


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose queue of connections is full: more are not answered at all."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        while True:
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.2)
            try:
                waiting.connect(listening.getsockname())
            except TimeoutError:
                break
        yield listening.getsockname()[1]


@pytest.mark.anyio
async def test_a_connection_that_is_not_answered_is_tried_again() -> None:
    with full_backlog() as port:
        await fails(f"ws://127.0.0.1:{port}/", Kind.CONNECT_TIMEOUT, is_retried=True)


class Certificates:
    """Two authorities, of which one is trusted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trusted, self.other = trustme.CA(), trustme.CA()
        self.trusted.cert_pem.write_to_path(str(folder / "ca.pem"))
        self.client = client_tls(folder / "ca.pem")

    def server(self, authority: trustme.CA, name: str) -> SSLContext:
        issued = authority.issue_cert(name)
        chain, key = self.folder / "chain.pem", self.folder / "key.pem"
        chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return server_tls(chain, key)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("authority", "name"), [("other", "127.0.0.1"), ("trusted", "elsewhere.example")]
)
async def test_a_certificate_that_is_not_accepted_is_tried_again(
    certificates: Certificates, authority: str, name: str
) -> None:
    ssl = certificates.server(getattr(certificates, authority), name)
    async with misbehaving(ssl=ssl) as server:
        report = await fails(server.uri, Kind.TLS, is_retried=True, ssl=certificates.client)
        assert server.requests == []
    assert report.error is not None
    assert "certificate is not accepted" in report.error


@pytest.mark.anyio
async def test_a_server_without_tls_is_tried_again(certificates: Certificates) -> None:
    async with misbehaving() as server:
        uri = server.uri.replace("ws://", "wss://")
        report, _ = await outcome(uri, ssl=certificates.client)
    assert report.attempts == 3
    assert report.failure is not None
    # Whether it answers nonsense or hangs up first is the other library's affair.
    assert report.failure.kind in (Kind.TLS, Kind.NO_CONNECTION, Kind.CLOSED_EARLY)


@pytest.mark.anyio
async def test_a_server_that_hangs_up_in_the_tls_handshake_is_tried_again(
    certificates: Certificates,
) -> None:
    async with bare(read_a_little, scheme="wss") as server:
        report, _ = await outcome(server.uri, ssl=certificates.client)
        assert server.calls == report.attempts == 3


@pytest.mark.anyio
async def test_a_session_over_tls_opens_where_the_certificate_is_good(
    certificates: Certificates,
) -> None:
    ssl = certificates.server(certificates.trusted, "127.0.0.1")
    async with misbehaving(ssl=ssl) as server:
        report, _ = await outcome(server.uri, ssl=certificates.client)
    assert (report.state, report.account.sent) == (EndpointState.COMPLETED, S)


# What is not -----------------------------------------------------------------------------


def failing(error: Exception) -> Callable[..., Any]:
    async def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("number", "is_retried", "kind"),
    [
        (errno.EHOSTUNREACH, False, Kind.HOST_UNAVAILABLE),
        (errno.ENETUNREACH, False, Kind.HOST_UNAVAILABLE),
        (errno.ECONNREFUSED, True, Kind.NO_CONNECTION),
        (errno.ECONNRESET, True, Kind.NO_CONNECTION),
        (errno.ENETDOWN, True, Kind.NO_CONNECTION),
        (errno.EADDRNOTAVAIL, True, Kind.NO_CONNECTION),
        (errno.ETIMEDOUT, True, Kind.CONNECT_TIMEOUT),
    ],
    ids=lambda value: errno.errorcode.get(value, "") if type(value) is int else None,
)
async def test_of_what_tcp_says_only_an_unavailable_host_is_final(
    number: int, is_retried: bool, kind: FailureKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "sock_connect", failing(OSError(number, "because")), raising=False)
    await fails("wss://192.0.2.1/", kind, is_retried=is_retried)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("number", "is_retried", "kind"),
    [
        (socket.EAI_NONAME, False, Kind.HOST_UNAVAILABLE),
        (socket.EAI_NODATA, False, Kind.HOST_UNAVAILABLE),
        (socket.EAI_AGAIN, True, Kind.NAME_SERVER),
        (socket.EAI_FAIL, True, Kind.NAME_SERVER),
    ],
)
async def test_a_name_that_is_not_found_is_final_and_a_name_server_that_fails_is_not(
    number: int, is_retried: bool, kind: FailureKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, error = asyncio.get_running_loop(), socket.gaierror(number, "because")
    monkeypatch.setattr(loop, "getaddrinfo", failing(error), raising=False)
    await fails("wss://nowhere.example/", kind, is_retried=is_retried)


@pytest.mark.anyio
async def test_a_name_that_cannot_be_one_is_final() -> None:
    await fails(f"wss://{'a' * 64}.example/", Kind.HOST_UNAVAILABLE, is_retried=False)


@pytest.mark.anyio
@pytest.mark.parametrize("status", [200, 301, 400, 403, 404, 409, 429, 500, 502, 503])
async def test_a_refused_upgrade_is_final_whatever_its_status(status: int) -> None:
    async with misbehaving(status, behave) as server:
        report = await fails(server.uri, Kind.UPGRADE_REFUSED, is_retried=False)
        assert report.http_status == status
        assert server.attempts == ["0"]


@pytest.mark.anyio
async def test_a_failed_authentication_is_final_at_the_upgrade() -> None:
    async with misbehaving(401, behave) as server:
        for is_switched_on in (False, True):
            await fails(
                server.uri,
                Kind.UNAUTHORIZED,
                is_retried=False,
                retry_upgrade_5xx=is_switched_on,
            )
            server.requests.clear()


@pytest.mark.anyio
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_5xx_status_is_retried_where_that_is_switched_on(status: int) -> None:
    async with misbehaving(status, status, behave) as server:
        report, notices = await outcome(server.uri, retry_upgrade_5xx=True)
        check_attempts(server, 3)
    assert (report.state, report.account.sent) == (EndpointState.COMPLETED, S)
    assert [notice.kind for notice in notices] == [Kind.UPGRADE_REFUSED] * 2


@pytest.mark.anyio
@pytest.mark.parametrize("status", [301, 404, 429])
async def test_no_other_status_is_retried_even_then(status: int) -> None:
    async with misbehaving(status, behave) as server:
        options = {"retry_upgrade_5xx": True}
        await fails(server.uri, Kind.UPGRADE_REFUSED, is_retried=False, **options)


@pytest.mark.anyio
async def test_a_server_of_another_kind_is_final() -> None:
    async def mail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        await reader.read()

    async with bare(mail) as server:
        await fails(server.uri, Kind.UPGRADE_MALFORMED, is_retried=False)


async def malformed(talk: Talk) -> None:
    await talk.hear("open")
    await talk.send('{"version": "2", "type": "opened"}')
    await talk.obey()


async def misnumbered(talk: Talk) -> None:
    await talk.hear("open")
    await talk.say("opened", {"media": []}, seq=7)
    await talk.obey()


async def another_format(talk: Talk) -> None:
    await talk.open(media("external", "internal", media_format="L16"))
    await talk.obey()


async def two_formats(talk: Talk) -> None:
    offer = (await talk.hear("open"))["parameters"]["media"]
    await talk.say("opened", {"media": offer[:2]})
    await talk.obey()


async def too_early(talk: Talk) -> None:
    await talk.hear("open")
    await talk.say("pause")
    await talk.obey()


async def too_large(talk: Talk) -> None:
    await talk.hear("open")
    await talk.send("x" * 65_537)
    await talk.obey()


async def audio(talk: Talk) -> None:
    await talk.hear("open")
    await talk.send(b"\xff" * 160)
    await talk.obey()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "kind", "code"),
    [
        (refuse("unauthorized"), Kind.UNAUTHORIZED, None),
        (refuse("rejected"), Kind.DECLINED, None),
        (refuse("completed"), Kind.DECLINED, None),
        (malformed, Kind.MALFORMED, 400),
        (misnumbered, Kind.SEQUENCE, 400),
        (another_format, Kind.MEDIA, 400),
        (two_formats, Kind.MEDIA, 400),
        (too_early, Kind.CONFLICT, 409),
        (too_large, Kind.TOO_LARGE, 413),
        (audio, Kind.UNEXPECTED_AUDIO, 415),
    ],
    ids=name_of,
)
async def test_what_will_not_pass_is_final(
    script: Script, kind: FailureKind, code: int | None
) -> None:
    async with misbehaving(script, behave) as server:
        await fails(server.uri, kind, is_retried=False)
        assert server.attempts == ["0"]
        await until(server.talks[0].gone.is_set)
    assert [error[0] for error in server.talks[0].errors()] == ([] if code is None else [code])
    assert server.talks[0].types()[-1] == "close"


@pytest.mark.anyio
async def test_a_configuration_that_cannot_be_sent_is_final() -> None:
    async with misbehaving() as server:
        await fails(
            server.uri,
            Kind.CONFIGURATION,
            is_retried=False,
            custom_config={"too": "x" * 60_000},
        )


# How often, and when ---------------------------------------------------------------------


@pytest.mark.anyio
async def test_five_retries_follow_the_first_attempt_unless_told_otherwise() -> None:
    async with misbehaving(refuse("error")) as server:
        report, _ = await outcome(server.uri, retry=replace(QUICK, connect_s=5))
        check_attempts(server, 6)
    assert report.attempts == 6


@pytest.mark.anyio
async def test_a_fault_of_our_own_is_tried_again() -> None:
    faults = ["first"]

    def on_event(*_: object) -> None:
        if faults:
            faults.clear()
            raise RuntimeError("not told")

    async def provoke(talk: Talk) -> None:
        await talk.hear("open")
        await talk.say("updated")  # of no effect, and told
        await talk.obey()

    async with misbehaving(provoke, behave) as server:
        report, notices = await outcome(server.uri, on_event=on_event)
    assert (report.state, report.account.sent) == (EndpointState.COMPLETED, S)
    assert [notice.kind for notice in notices] == [Kind.INTERNAL]
    assert server.talks[0].errors() == [(500, "internal error")]


@pytest.mark.anyio
async def test_no_text_of_a_failure_holds_what_is_private() -> None:
    async with misbehaving(refuse("error")) as server:
        report, notices = await outcome(server.uri)
    texts = " ".join([report.error or "", *(notice.text for notice in notices)])
    assert "+1555" not in texts
    assert "secret" not in texts
