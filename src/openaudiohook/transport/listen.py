"""The third-party side's socket: listens, admits, upgrades, and starts a driver for each."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ssl import SSLContext
from typing import Any, Final

import aiofastnet

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.protocol import ServerSession, ServerTimers, SessionEvent
from openaudiohook.protocol.events import CloseRequested, OpenRequested
from openaudiohook.transport.accept import Gate, listening_sockets
from openaudiohook.transport.admission import Admission, Admitted, Refusal
from openaudiohook.transport.driver import CLOSE_TIMEOUT_S, Driver, EventHandler
from openaudiohook.transport.handshake import (
    HttpReply,
    RefusedHead,
    RequestHead,
    plain_request,
    read_request,
    reply_bytes,
    websocket_key,
)
from openaudiohook.transport.wire import Wire

__all__ = ["ConnectionLimits", "Listener", "listen"]

_log = logging.getLogger(__name__)

# One TLS record and its frame; the defaults would hold half a megabyte for each connection.
_TLS_BUFFER_BYTES: Final = 17 * 1024

_TRY_AGAIN_LATER: Final = 1013

_EXPLAINING_HEADERS: Final = {
    405: (("Allow", "GET"),),
    426: (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")),
}

OnSession = Callable[[Admitted, Driver], EventHandler]
OnGet = Callable[[str], HttpReply | None]
OnRefused = Callable[[Refusal], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What the listener bounds before it knows who calls.

    Attributes:
        max_connections: connections at once; None takes 90 % of the descriptors this
            process may open (RLIMIT_NOFILE).
        max_handshakes: connections at once that have not upgraded yet.
        max_per_address: connections of one address, None for any number; those over it
            are closed with 1013. Leave it off where a proxy stands in front.
        handshake_timeout_s: for TLS, and again for the request.
        close_timeout_s: for the closing handshake.
    """

    max_connections: int | None = None
    max_handshakes: int = 1024
    max_per_address: int | None = None
    handshake_timeout_s: float = 5.0
    close_timeout_s: float = CLOSE_TIMEOUT_S

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigurationError(f"connection limits: {name} must be above 0, not {value}")


class _ServerWire(Wire):
    """A connection of a client, from its first byte on."""

    __slots__ = (
        "_admitted",
        "_handshake_timer",
        "_is_upgraded",
        "_listener",
        "_made",
        "_remote_address",
        "driver",
    )

    def __init__(self, listener: Listener) -> None:
        # Not a method of ours: the library keeps it, and we would keep ourselves alive.
        self._made: list[Driver] = []
        super().__init__(is_client=False, listener_factory=partial(_first, self._made))
        self._listener = listener
        self._handshake_timer: asyncio.TimerHandle | None = None
        self._remote_address = ""
        self._is_upgraded = False
        self._admitted: Admitted | None = None
        self.driver: Driver | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start waiting for the request, but not for long."""
        super().connection_made(transport)
        self._remote_address = str(transport.get_extra_info("peername", ("",))[0])
        self._handshake_timer = asyncio.get_running_loop().call_later(
            self._listener.limits.handshake_timeout_s, self.stream.abort
        )
        self._listener.wires.add(self)

    def lost(self) -> None:
        """Count the connection out."""
        self._listener.wires.discard(self)
        self._listener.gate.upgraded -= self._is_upgraded
        if self._handshake_timer is not None:
            self._handshake_timer.cancel()
        if self._admitted is not None:
            self._listener.admission.release(self._admitted)
        self.driver = None

    def head_too_large(self) -> None:
        """Refuse a request that has no end."""
        self._refuse(Refusal(431, "the request head exceeds 16 KiB", self._remote_address))

    def head_received(self, head: bytes) -> bytes | None:
        """Admit the request, answer it, or refuse it. Nothing here ever waits."""
        try:
            request = read_request(head)
            if request.path != self._listener.path:
                self._answer_get(request)
                return None
            key = websocket_key(request)
            outcome = self._listener.admission.check(
                request,
                remote_address=self._remote_address,
                is_secure=self._listener.ssl is not None,
                utc_ns=time.time_ns(),
                now_ns=time.monotonic_ns(),
            )
            if isinstance(outcome, Refusal):
                self._refuse(outcome)
                return None
            self._admitted = outcome
            self._begin_session(outcome)
        except RefusedHead as error:
            self._refuse(Refusal(error.status, str(error), self._remote_address))
        except Exception as error:
            _log.error("an upgrade request failed with %s", type(error).__name__)
            self.driver = None
            self._refuse(Refusal(500, type(error).__name__, self._remote_address))
        else:
            return plain_request(key)
        return None

    def upgraded(self) -> None:
        """Count as a session from now on, unless the address has too many."""
        if self._handshake_timer is not None:
            self._handshake_timer.cancel()
            self._handshake_timer = None
        gate = self._listener.gate
        gate.upgraded += 1
        self._is_upgraded = True
        if gate.is_over(self._remote_address) and self.driver is not None:
            self.driver.fail(_TRY_AGAIN_LATER, "too many connections of one address")

    def _begin_session(self, admitted: Admitted) -> None:
        listener = self._listener
        session = ServerSession(
            session_id=admitted.session_id,
            organization_id=admitted.organization_id,
            now_ns=time.monotonic_ns(),
            timers=listener.timers,
        )
        driver = Driver(session, close_timeout_s=listener.limits.close_timeout_s)
        if listener.is_full():
            driver.on_event = _refusing(driver)
        else:
            driver.on_event = listener.on_session(admitted, driver)
        self.driver = driver
        self._made.append(driver)

    def _answer_get(self, request: RequestHead) -> None:
        reply = None if request.wants_upgrade else self._listener.on_get(request.path)
        if reply is None:
            self._refuse(Refusal(404, "no such path", self._remote_address))
        else:
            self._reply(reply)

    def _refuse(self, refusal: Refusal) -> None:
        headers = list(_EXPLAINING_HEADERS.get(refusal.status, ()))
        if refusal.retry_after_s is not None:
            headers.append(("Retry-After", str(refusal.retry_after_s)))
        self._reply(HttpReply(refusal.status, headers=tuple(headers)))
        try:
            self._listener.on_refused(refusal)
        except Exception as error:
            _log.error("on_refused raised %s", type(error).__name__)

    def _reply(self, reply: HttpReply) -> None:
        """Answer and hang up: gently, for a reset could overtake the answer."""
        stream = self.stream
        stream.write(reply_bytes(reply))
        if stream.can_write_eof():
            stream.write_eof()  # and the time-out of the handshake still runs
        else:
            stream.close()


def _first(made: list[Driver], _request: object) -> Driver:
    return made[0]


def _refusing(driver: Driver) -> EventHandler:
    """Return a handler that refuses the session in a way the platform tries again."""
    session = driver.session
    assert isinstance(session, ServerSession)

    def on_event(event: SessionEvent) -> None:
        if isinstance(event, OpenRequested):
            session.refuse(time.monotonic_ns(), info="too many connections; try again later")
        elif isinstance(event, CloseRequested):
            session.finish(time.monotonic_ns())

    return on_event


class Listener:
    """An open listener; `listen` makes it.

    Attributes:
        host: where it listens, as given.
        port: the port, chosen by the system where 0 was given.
        path: the one path that upgrades.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        path: str,
        admission: Admission,
        on_session: OnSession,
        on_get: OnGet,
        on_refused: OnRefused,
        ssl: SSLContext | None,
        timers: ServerTimers | None,
        limits: ConnectionLimits,
        gate: Gate,
        max_connections: int,
    ) -> None:
        self.host = host
        self.port = port
        self.path = path
        self.admission = admission
        self.on_session = on_session
        self.on_get = on_get
        self.on_refused = on_refused
        self.limits = limits
        self.timers = timers
        self.ssl = ssl
        self.gate = gate
        self.max_connections = max_connections
        self._was_full = False
        self.wires: set[_ServerWire] = set()
        self._servers: list[asyncio.Server] = []

    @property
    def uri(self) -> str:
        """What a client dials to get here."""
        scheme = "ws" if self.ssl is None else "wss"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}{self.path}"

    @property
    def connections(self) -> int:
        """Sockets open now, those that have not upgraded yet included."""
        return self.gate.open

    @property
    def turned_away(self) -> int:
        """Connections that were closed unheard, because a limit was reached."""
        return self.gate.turned_away

    def is_full(self) -> bool:
        """Say whether there are more connections than there should be; log when that begins."""
        is_full = self.gate.open > self.max_connections
        if is_full and not self._was_full:
            _log.warning(
                "all of %d connections are open; sessions are refused with disconnect "
                "(raise the limit of open files, or spread the load)",
                self.max_connections,
            )
        self._was_full = is_full
        return is_full

    def stop_listening(self) -> None:
        """Give the port away; connections that are open stay so."""
        for server in self._servers:
            server.close()

    async def close(self) -> None:
        """Stop listening, drop what is still connected, and wait until it is gone.

        Sessions that are to end in order have to be ended before.
        """
        self.stop_listening()
        ended = [wire.driver.ended for wire in self.wires if wire.driver is not None]
        for wire in list(self.wires):
            wire.stream.abort()
        await asyncio.gather(*ended)
        for server in self._servers:
            await server.wait_closed()
        self.gate.close()

    async def start(self, sockets: list[socket.socket]) -> None:
        """Serve on bound sockets."""
        loop = asyncio.get_running_loop()
        of_tls: dict[str, Any] = {}
        if self.ssl is not None:
            of_tls = {
                "ssl": self.ssl,
                "ssl_handshake_timeout": self.limits.handshake_timeout_s,
                "ssl_shutdown_timeout": self.limits.close_timeout_s,
                "ssl_incoming_bio_size": _TLS_BUFFER_BYTES,
                "ssl_outgoing_bio_size": _TLS_BUFFER_BYTES,
            }
        for sock in sockets:
            server = await aiofastnet.create_server(
                loop, lambda: _ServerWire(self), sock=sock, backlog=1024, **of_tls
            )
            self._servers.append(server)


async def listen(
    *,
    host: str,
    port: int,
    path: str,
    admission: Admission,
    on_session: OnSession,
    on_get: OnGet | None = None,
    on_refused: OnRefused | None = None,
    ssl: SSLContext | None = None,
    timers: ServerTimers | None = None,
    limits: ConnectionLimits | None = None,
    reuse_port: bool = False,
) -> Listener:
    """Listen for AudioHook clients.

    Args:
        host: address to listen on; "" for all of this machine.
        port: 0 takes a free one.
        path: the path that upgrades; every other is answered by `on_get`, or with 404.
        admission: judges upgrade requests.
        on_session: called for each admitted request, before the upgrade is answered, with
            the driver of its new session; returns what takes the session's events. What it
            raises refuses the request with 500.
        on_get: answers plain GETs by path; None for 404.
        on_refused: told of every refusal, with the cause that the peer is not told.
        ssl: see `server_tls`; None listens in clear text.
        timers: how long sessions wait.
        limits: what is bounded before a peer is known.
        reuse_port: share the port with other processes of this user (SO_REUSEPORT).

    Raises:
        ConfigurationError: the address or the port cannot be used.
    """
    if not path.startswith("/") or "?" in path:
        raise ConfigurationError(f"path {path!r}: begin with a slash, and leave out any query")
    limits = limits or ConnectionLimits()
    most = limits.max_connections or _most_connections()
    gate = Gate(
        # Those over the limit are accepted as long as that is possible, to be told so.
        max_sockets=most + max(most // 20, 1),
        max_waiting=limits.max_handshakes,
        max_per_address=limits.max_per_address,
    )
    try:
        sockets = listening_sockets(host, port, gate, reuse_port=reuse_port)
    except ConfigurationError:
        gate.close()
        raise
    listener = Listener(
        host=host or "0.0.0.0",  # noqa: S104 - asked for, and shown
        port=sockets[0].getsockname()[1],
        path=path,
        admission=admission,
        on_session=on_session,
        on_get=on_get or _no_reply,
        on_refused=on_refused or _ignore_refusal,
        ssl=ssl,
        timers=timers,
        limits=limits,
        gate=gate,
        max_connections=most,
    )
    await listener.start(sockets)
    return listener


def _no_reply(_path: str) -> HttpReply | None:
    return None


def _ignore_refusal(_refusal: Refusal) -> None:
    """Nobody wants to know."""


def _most_connections() -> int:
    """Return 90 % of the descriptors this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return 1_000_000
    return max(soft * 9 // 10, 1)
