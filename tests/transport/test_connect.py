"""Dialling: what fails, how it is told, and what is left behind."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from ssl import CERT_REQUIRED, SSLContext, TLSVersion
from typing import Any

import pytest
import trustme
from tests.support.signed import API_KEY, SECRET
from tests.support.wire import CONVERSATION_ID, ORGANIZATION_ID, SESSION_ID
from tests.transport.world import PATH, client_of, dial, opened, serving, until, within

from openaudiohook.auth import Credentials, InMemoryKeys, ReplayCache, encode_nonce, upgrade_headers
from openaudiohook.exceptions import ConfigurationError, EndpointError, HandshakeError
from openaudiohook.transport import Admission, client_tls, server_tls
from openaudiohook.transport.tls import default_client_tls

pytestmark = pytest.mark.integration


def raising(monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException) -> None:
    async def raise_it(*_: object, **__: object) -> Any:
        raise error

    monkeypatch.setattr(asyncio.get_running_loop(), name, raise_it, raising=False)


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[str]:
    """A server that answers any request with these bytes; None hangs up on the request."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            if answer is not None:
                writer.write(answer)
                await reader.read()
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.anyio
async def test_a_refused_connection_may_be_tried_again() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(EndpointError, match="refused") as caught:
            await dial(f"ws://127.0.0.1:{sock.getsockname()[1]}/")
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("number", "retryable"),
    [
        (errno.EHOSTUNREACH, False),
        (errno.ENETUNREACH, False),
        (errno.ECONNREFUSED, True),
        (errno.ECONNRESET, True),
        (errno.ETIMEDOUT, True),
    ],
)
@pytest.mark.anyio
async def test_what_tcp_says_decides_whether_to_try_again(
    number: int, retryable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(monkeypatch, "sock_connect", OSError(number, "because"))
    with pytest.raises(EndpointError) as caught:
        await dial("wss://192.0.2.1/")
    assert caught.value.retryable is retryable


@pytest.mark.parametrize(
    ("number", "retryable", "text"),
    [
        (socket.EAI_NONAME, False, "no such host"),
        (socket.EAI_AGAIN, True, "name server"),
    ],
)
@pytest.mark.anyio
async def test_a_host_that_is_not_found_is_not_tried_again(
    number: int, retryable: bool, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(monkeypatch, "getaddrinfo", socket.gaierror(number, "because"))
    with pytest.raises(EndpointError, match=text) as caught:
        await dial("wss://nowhere.example/")
    assert caught.value.retryable is retryable


@pytest.mark.anyio
async def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as service:
        loop = asyncio.get_running_loop()
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", service.port)),
        ]

        async def two(*_: object, **__: object) -> Any:
            return found

        monkeypatch.setattr(loop, "getaddrinfo", two, raising=False)
        driver, _ = await opened(f"ws://localhost:{service.port}{PATH}")
        driver.abort()
        await within(driver.ended)


@pytest.mark.anyio
async def test_of_several_failures_one_that_may_pass_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    errors = [OSError(errno.ENETUNREACH, "no IPv6"), OSError(errno.ECONNREFUSED, "refused")]

    async def two(*_: object, **__: object) -> Any:
        return [(socket.AF_INET, 1, 6, "", ("192.0.2.1", n)) for n in (1, 2)]

    async def fail(*_: object) -> None:
        raise errors.pop(0)

    monkeypatch.setattr(loop, "getaddrinfo", two, raising=False)
    monkeypatch.setattr(loop, "sock_connect", fail, raising=False)
    with pytest.raises(EndpointError, match="refused") as caught:
        await dial("wss://two.example/")
    assert caught.value.retryable


@pytest.mark.anyio
async def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    async with answering(b"") as uri:
        with pytest.raises(EndpointError, match=r"within 0\.05 s") as caught:
            await dial(uri, timeout_s=0.05)
    assert caught.value.retryable


@pytest.mark.anyio
async def test_a_server_that_hangs_up_may_be_tried_again() -> None:
    async with answering(None) as uri:
        with pytest.raises(EndpointError, match="before answering") as caught:
            await dial(uri)
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", 401),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\nsorry", 503),
        (b"HTTP/1.1 301 Moved\r\nLocation: ws://127.0.0.1:1/\r\n\r\n", 301),
        (b"SMTP ready\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 5_000, None),
    ],
)
@pytest.mark.anyio
async def test_a_refused_upgrade_tells_its_status(answer: bytes, status: int | None) -> None:
    async with answering(answer) as uri:
        with pytest.raises(HandshakeError) as caught:
            await dial(uri)
    assert caught.value.status == status


@pytest.mark.anyio
async def test_a_cancelled_dial_leaves_nothing_behind() -> None:
    asked = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        task = asyncio.create_task(dial(f"ws://127.0.0.1:{port}/"))
        await within(asked.wait())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.anyio
async def test_a_dial_cancelled_while_connecting_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = asyncio.Event()

    async def forever(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", forever, raising=False)
    task = asyncio.create_task(dial("wss://192.0.2.1/"))
    await within(begun.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("ws://service.example/ws", "clear text"),
        ("ws://10.0.0.1/ws", "clear text"),
        ("https://service.example/ws", "wss://"),
        ("service.example", "wss://"),
        ("wss://user:pw@service.example/", "user name"),
    ],
)
@pytest.mark.anyio
async def test_a_uri_that_cannot_be_used_is_refused_before_any_connection(
    uri: str, text: str
) -> None:
    with pytest.raises(ConfigurationError, match=text):
        await dial(uri)


@pytest.mark.anyio
async def test_clear_text_leaves_the_machine_only_when_asked_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raising(monkeypatch, "sock_connect", OSError(errno.ECONNREFUSED, "refused"))
    with pytest.raises(EndpointError):
        await dial("ws://192.0.2.1/ws", allow_clear_text=True)


@pytest.mark.anyio
async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTPS_PROXY", "all_proxy", "ws_proxy", "WSS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving() as service:
        driver, _ = await opened(service.uri)
        driver.abort()
        await within(driver.ended)


@pytest.mark.anyio
async def test_a_header_that_breaks_the_request_apart_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="X-A"):
        await dial("ws://127.0.0.1:9/", headers=[("X-A", "1\r\nX-B: 2")])


@pytest.mark.anyio
async def test_our_user_agent_can_be_replaced() -> None:
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for headers in ((), (("user-agent", "mine"), ("Host", "other.example"))):
            with pytest.raises(EndpointError):
                await dial(f"ws://127.0.0.1:{port}/", headers=headers)
    assert b"\r\nUser-Agent: openaudiohook/" in seen[0]
    assert b"\r\nuser-agent: mine\r\n" in seen[1]
    assert b"openaudiohook" not in seen[1]
    assert seen[1].lower().count(b"\r\nhost: ") == 1
    assert b"other.example" in seen[1]


@pytest.mark.anyio
async def test_a_signed_request_is_admitted_once_and_a_wrong_secret_never() -> None:
    keys = InMemoryKeys([Credentials(API_KEY, SECRET)], decoy=bytes(32))
    admission = Admission(keys, replay=ReplayCache())
    async with serving(admission=admission) as service:

        def headers(secret: bytes) -> list[tuple[str, str]]:
            return upgrade_headers(
                service.uri,
                api_key=API_KEY,
                secret=secret,
                organization_id=ORGANIZATION_ID,
                session_id=SESSION_ID,
                correlation_id=CONVERSATION_ID,
                nonce=encode_nonce(bytes(18)),
                created=int(time.time()),
            )

        good = headers(SECRET)
        driver, _ = await opened(service.uri, headers=good)
        heard = await service.one()
        assert heard.admitted is not None
        assert heard.admitted.api_key == API_KEY
        assert heard.admitted.remote_address == "127.0.0.1"
        for refused in (good, headers(b"wrong")):
            with pytest.raises(HandshakeError, match="401") as caught:
                await dial(service.uri, headers=refused)
            assert caught.value.status == 401
        assert [refusal.cause.split(":")[0] for refusal in service.refusals] == [
            "ReplayedRequest",
            "SignatureMismatch",
        ]
        driver.abort()
        await within(driver.ended)


# TLS


class Certificates:
    """A throw-away authority and what it vouches for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(str(self.ca_file))

    def server(self, *names: str, authority: trustme.CA | None = None) -> SSLContext:
        issued = (authority or self.authority).issue_cert(*names)
        chain, key = self.folder / "chain.pem", self.folder / "key.pem"
        chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return server_tls(chain, key)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.mark.anyio
async def test_a_session_runs_over_tls(certificates: Certificates) -> None:
    async with serving(ssl=certificates.server("127.0.0.1", "localhost")) as service:
        assert service.uri.startswith("wss://127.0.0.1:")
        driver, heard = await opened(service.uri, ssl=client_tls(certificates.ca_file))
        session = client_of(driver)
        for _ in range(100):
            await until(lambda: driver.is_writable)
            session.send_audio(b"\x7f" * 1600, time.monotonic_ns())
            driver.flush()
        session.close(time.monotonic_ns())
        driver.flush()
        assert (await within(driver.ended)).is_clean
        server = await service.one()
        assert server.driver is not None
        await within(server.driver.ended)
        assert len(server.audio) == 160_000
        assert server.ended.is_clean
        assert heard.ended.is_clean


@pytest.mark.anyio
async def test_a_broken_frame_over_tls_is_told_before_the_connection_ends(
    certificates: Certificates,
) -> None:
    async with serving(ssl=certificates.server("127.0.0.1")) as service:
        driver, heard = await dial(service.uri, ssl=client_tls(certificates.ca_file))
        server = await service.one()
        assert server.driver is not None
        server.driver.fail(1002, "as a test")
        await within(driver.ended)
        await within(server.driver.ended)
        assert not heard.ended.is_clean


@pytest.mark.anyio
async def test_a_plain_get_is_answered_over_tls(certificates: Certificates) -> None:
    async with serving(ssl=certificates.server("127.0.0.1")) as service:
        with pytest.raises(HandshakeError) as caught:
            await dial(service.uri + "/other", ssl=client_tls(certificates.ca_file))
        assert caught.value.status == 404


@pytest.mark.anyio
async def test_a_certificate_for_another_host_is_refused(certificates: Certificates) -> None:
    async with serving(ssl=certificates.server("service.example")) as service:
        with pytest.raises(EndpointError, match="certificate is not accepted") as caught:
            await dial(service.uri, ssl=client_tls(certificates.ca_file))
        assert caught.value.retryable


@pytest.mark.anyio
async def test_an_unknown_authority_is_refused(certificates: Certificates) -> None:
    async with serving(ssl=certificates.server("127.0.0.1", authority=trustme.CA())) as service:
        for context in (None, client_tls(certificates.ca_file)):
            with pytest.raises(EndpointError, match="certificate is not accepted"):
                await dial(service.uri, ssl=context)


@pytest.mark.anyio
async def test_tls_to_a_server_without_it_may_be_tried_again() -> None:
    async with serving() as service:
        with pytest.raises(EndpointError) as caught:
            await dial(service.uri.replace("ws://", "wss://"))
        assert caught.value.retryable


@pytest.mark.anyio
async def test_a_server_silent_in_the_tls_handshake_is_given_up_in_time() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(EndpointError, match="no connection within") as caught:
            await dial(f"wss://127.0.0.1:{port}/", timeout_s=0.2)
        assert caught.value.retryable


def test_tls_settings_are_strict(certificates: Certificates) -> None:
    client, server = client_tls(certificates.ca_file), certificates.server("127.0.0.1")
    assert client.minimum_version is server.minimum_version is TLSVersion.TLSv1_2
    assert client.verify_mode is CERT_REQUIRED
    assert client.check_hostname
    assert default_client_tls() is default_client_tls()


def test_tls_files_that_cannot_be_used_are_named(certificates: Certificates) -> None:
    folder = certificates.folder
    certificates.server("127.0.0.1")
    broken = folder / "broken.pem"
    broken.write_text("no certificate")
    with pytest.raises(ConfigurationError, match=r"missing\.pem cannot be read"):
        server_tls(folder / "missing.pem", folder / "key.pem")
    with pytest.raises(ConfigurationError, match=r"broken\.pem .* cannot be used"):
        server_tls(broken, folder / "key.pem")
    with pytest.raises(ConfigurationError, match=r"broken\.pem holds no PEM certificate"):
        client_tls(broken)


def test_a_tls_key_with_a_pass_phrase_is_refused(certificates: Certificates) -> None:
    from cryptography.hazmat.primitives import serialization

    certificates.server("127.0.0.1")
    key = serialization.load_pem_private_key(
        (certificates.folder / "key.pem").read_bytes(), password=None
    )
    locked = certificates.folder / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ConfigurationError, match="pass phrase"):
        server_tls(certificates.folder / "chain.pem", locked)
