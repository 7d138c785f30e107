"""The platform side's socket: dials an endpoint, upgrades, and drives a client session on it."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
from collections.abc import Callable, Sequence
from ssl import SSLCertVerificationError, SSLContext, SSLError
from typing import Any, Final
from urllib.parse import urlsplit

import aiofastnet

from openaudiohook._version import __version__
from openaudiohook.auth import request_for_uri
from openaudiohook.exceptions import ConfigurationError, EndpointError, HandshakeError
from openaudiohook.protocol import ClientSession
from openaudiohook.transport.driver import CLOSE_TIMEOUT_S, Driver, EventHandler
from openaudiohook.transport.handshake import check_headers, plain_response, read_response
from openaudiohook.transport.sockets import (
    NOTSENT_LOWAT_BYTES,
    SEND_BUFFER_BYTES,
    bound_sending,
    is_loopback,
)
from openaudiohook.transport.tls import default_client_tls
from openaudiohook.transport.wire import Wire

__all__ = ["CONNECT_TIMEOUT_S", "USER_AGENT", "connect"]

CONNECT_TIMEOUT_S: Final = 5.0
USER_AGENT: Final = f"openaudiohook/{__version__}"

_TLS_BUFFER_BYTES: Final = 17 * 1024

# Protocol section 14.1: the host is not there, and will not be in a second.
_UNAVAILABLE: Final = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH})
_NOT_FOUND: Final = frozenset(
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
)

_Address = tuple[int, tuple[Any, ...]]


class _ClientWire(Wire):
    """A connection to a server, from the request on."""

    __slots__ = ("open",)

    def __init__(
        self, driver: Driver, *, host: str, target: str, headers: tuple[tuple[str, str], ...]
    ) -> None:
        super().__init__(
            is_client=True,
            listener_factory=lambda _request, _response: driver,
            host=host,
            target=target,
            headers=headers,
        )
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def head_received(self, head: bytes) -> bytes | None:
        """Check the server's answer."""
        assert self.transport is not None
        try:
            accept = read_response(head, key=self.transport.request.headers["Sec-WebSocket-Key"])
        except HandshakeError as error:
            self._settle(error)
            return None
        return plain_response(accept)

    def head_too_large(self) -> None:
        """Give up on an answer that has no end."""
        self._settle(HandshakeError("the answer to the upgrade exceeds 16 KiB"))

    def upgraded(self) -> None:
        """Let `connect` return."""
        self._settle(None)

    def lost(self) -> None:
        """Let `connect` fail, if it has not returned yet."""
        self._settle(
            EndpointError(
                "the server closed the connection before answering",
                retryable=True,
                kind="closed-early",
            )
        )

    def _settle(self, error: Exception | None) -> None:
        if self.open.done():
            return
        if error is None:
            self.open.set_result(None)
        else:
            self.open.set_exception(error)


async def connect(
    uri: str,
    *,
    session: ClientSession,
    on_event: EventHandler,
    headers: Sequence[tuple[str, str]] = (),
    ssl: SSLContext | None = None,
    timeout_s: float = CONNECT_TIMEOUT_S,
    close_timeout_s: float = CLOSE_TIMEOUT_S,
    send_buffer_bytes: int = SEND_BUFFER_BYTES,
    notsent_lowat_bytes: int = NOTSENT_LOWAT_BYTES,
    allow_clear_text: bool = False,
    on_writable: Callable[[], None] | None = None,
) -> Driver:
    """Open a connection to a server and return the driver of `session` on it.

    Proxies are never used, whatever the environment says, and redirects never followed.

    Args:
        uri: `wss://...`; `ws://` to this machine only.
        session: not opened yet; open it, then `flush()` the driver.
        on_event: takes each session event.
        headers: the AudioHook headers and the signature; `User-Agent` replaces ours.
        ssl: see `client_tls`; None trusts the public authorities.
        timeout_s: for everything up to the end of the upgrade.
        close_timeout_s: for the closing handshake.
        send_buffer_bytes: what the kernel may hold (SO_SNDBUF).
        notsent_lowat_bytes: what of it may be unsent (TCP_NOTSENT_LOWAT).
        allow_clear_text: let `ws://` leave this machine, audio and all.
        on_writable: becomes the driver's.

    Raises:
        ConfigurationError: the URI or a header cannot be used.
        HandshakeError: the server refused the upgrade (`status`) or answered nonsense.
            Not to be tried again.
        EndpointError: no connection; `retryable` as protocol section 14.1 says, and `kind` is one
            of `host-unavailable`, `name-server`, `no-connection`, `connect-timeout`, `tls`, or
            `closed-early`.
    """
    request = request_for_uri(uri)
    parts = urlsplit(uri)
    host, is_secure = parts.hostname or "", parts.scheme == "wss"
    if parts.scheme not in ("ws", "wss"):
        raise ConfigurationError("not a usable URI: it must begin with wss:// (or ws://)")
    if not (is_secure or allow_clear_text or is_loopback(host)):
        raise ConfigurationError(
            f"{uri} would send the call in clear text over the network: use wss://"
        )
    context = (ssl or default_client_tls()) if is_secure else None
    driver = Driver(session, on_event, close_timeout_s=close_timeout_s)
    driver.on_writable = on_writable
    wire = _ClientWire(
        driver,
        host=request.authority or "",
        target=request.target,
        headers=_with_user_agent(check_headers(tuple(headers))),
    )
    sock: socket.socket | None = None
    try:
        async with asyncio.timeout(timeout_s):
            addresses = await _resolve(host, parts.port or (443 if is_secure else 80))
            sock = await _dial(
                addresses,
                timeout_s=timeout_s,
                prepare=lambda new: bound_sending(new, send_buffer_bytes, notsent_lowat_bytes),
            )
            await _upgrade(wire, sock, context, host)
    except BaseException as error:
        if sock is not None:
            _drop(wire, sock)
        if isinstance(error, OSError):  # time-outs and TLS failures are such, too
            raise _endpoint_error(error, timeout_s) from None
        raise
    return driver


async def _resolve(host: str, port: int) -> list[_Address]:
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        family = socket.AF_INET if literal.version == 4 else socket.AF_INET6
        return [(family, (host, port))]
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a label that is empty or too long: no name can be like that
        raise _no_such_host() from None
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


async def _dial(
    addresses: list[_Address], *, timeout_s: float, prepare: Callable[[socket.socket], None]
) -> socket.socket:
    """Return a socket that is connected to the first address that answers."""
    loop = asyncio.get_running_loop()
    failures: list[OSError] = []
    for family, address in addresses:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            prepare(sock)
            async with asyncio.timeout(timeout_s / len(addresses)):
                await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failures.append(error)
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    # One address that may answer later is reason enough to try again.
    raise next((error for error in failures if error.errno not in _UNAVAILABLE), failures[0])


async def _upgrade(
    wire: _ClientWire, sock: socket.socket, context: SSLContext | None, host: str
) -> None:
    of_tls: dict[str, Any] = {}
    if context is not None:
        of_tls = {
            "ssl": context,
            "server_hostname": host,
            "ssl_incoming_bio_size": _TLS_BUFFER_BYTES,
            "ssl_outgoing_bio_size": _TLS_BUFFER_BYTES,
        }
    await aiofastnet.create_connection(
        asyncio.get_running_loop(), lambda: wire, sock=sock, **of_tls
    )
    await wire.open


def _drop(wire: _ClientWire, sock: socket.socket) -> None:
    if wire.transport is None:
        sock.close()
    else:
        wire.stream.abort()
    if wire.open.done() and not wire.open.cancelled():
        wire.open.exception()  # seen, so that nobody complains about it later
    else:
        wire.open.cancel()


def _endpoint_error(error: OSError, timeout_s: float) -> EndpointError:
    if isinstance(error, TimeoutError):
        text = f"no connection within {timeout_s:g} s"
        return EndpointError(text, retryable=True, kind="connect-timeout")
    if isinstance(error, socket.gaierror):
        if error.errno in _NOT_FOUND:
            return _no_such_host()
        text = "the name server does not answer"
        if error.errno != socket.EAI_AGAIN:
            text = "the name server does not answer as it should"
        return EndpointError(text, retryable=True, kind="name-server")
    if isinstance(error, SSLCertVerificationError):
        text = f"the server's certificate is not accepted: {error.verify_message}"
        return EndpointError(text, retryable=True, kind="tls")
    if isinstance(error, SSLError):
        text = f"TLS failed: {error.reason or 'no reason given'}"
        return EndpointError(text, retryable=True, kind="tls")
    reason = os.strerror(error.errno).lower() if error.errno else type(error).__name__
    is_away = error.errno in _UNAVAILABLE
    return EndpointError(
        f"no connection: {reason}",
        retryable=not is_away,
        kind="host-unavailable" if is_away else "no-connection",
    )


def _no_such_host() -> EndpointError:
    return EndpointError("there is no such host", retryable=False, kind="host-unavailable")


def _with_user_agent(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    if any(name.lower() == "user-agent" for name, _ in headers):
        return headers
    return (*headers, ("User-Agent", USER_AGENT))
