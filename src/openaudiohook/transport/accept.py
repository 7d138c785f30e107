"""Listening sockets that bound what strangers can hold, before anything is read from them."""

from __future__ import annotations

import errno
import os
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, TypeVar

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.transport.sockets import bound_receiving

__all__ = ["Gate", "listening_sockets", "reserved_sockets"]

_Socket = TypeVar("_Socket", bound=socket.socket)

_BACKLOG: Final = 1024

# Connections turned away in a row before the loop goes on with other work.
_AT_ONCE: Final = 64

_REMEDIES: Final = {
    errno.EADDRINUSE: "another program has it: stop that one, or choose another port",
    errno.EACCES: "it is reserved for the system: choose a port above 1023",
    errno.EADDRNOTAVAIL: "the address is not one of this machine's: use 127.0.0.1 or 0.0.0.0",
}

_NO_SUCH_FAMILY: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


class Gate:
    """Counts accepted sockets, all and by address, and turns away those over the bounds.

    Attributes:
        max_sockets: sockets open at once, those that have not upgraded yet included.
        max_waiting: sockets at once that have not upgraded.
        max_per_address: sockets of one address; None means no limit. Up to twice as many
            are accepted, for those over it are told so after the upgrade.
        open: sockets accepted and not closed.
        upgraded: how many of those have upgraded; the listener counts them.
        turned_away: sockets closed at once since the start.
    """

    __slots__ = (
        "_by_address",
        "_spare",
        "max_per_address",
        "max_sockets",
        "max_waiting",
        "open",
        "turned_away",
        "upgraded",
    )

    def __init__(self, *, max_sockets: int, max_waiting: int, max_per_address: int | None) -> None:
        self.max_sockets = max_sockets
        self.max_waiting = max_waiting
        self.max_per_address = max_per_address
        self.open = 0
        self.upgraded = 0
        self.turned_away = 0
        self._by_address: Counter[str] = Counter()
        # Given up for a moment when descriptors run out, to be able to turn somebody away.
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Give the spare descriptor back."""
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1

    def is_over(self, address: str) -> bool:
        """Say whether an address has more sockets open than it may."""
        return self.max_per_address is not None and self._by_address[address] > self.max_per_address

    def accept(self, listening: socket.socket) -> tuple[socket.socket, Any]:
        """Accept one connection that is within the bounds.

        Raises:
            BlockingIOError: nobody waits any more, or enough were turned away for now.
        """
        for _ in range(_AT_ONCE):
            try:
                accepted, address = socket.socket.accept(listening)
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE):
                    raise
                self._shed(listening)
                continue
            host = address[0]
            if (
                self.open >= self.max_sockets
                or self.open - self.upgraded >= self.max_waiting
                or (
                    self.max_per_address is not None
                    and self._by_address[host] >= 2 * self.max_per_address
                )
            ):
                self.turned_away += 1
                accepted.close()
                continue
            self.open += 1
            self._by_address[host] += 1
            return _Accepted(accepted, self, host), address
        raise BlockingIOError  # others on this loop have a turn now

    def closed(self, host: str) -> None:
        """Count a socket out."""
        self.open -= 1
        self._by_address[host] -= 1
        if not self._by_address[host]:
            del self._by_address[host]

    def _shed(self, listening: socket.socket) -> None:
        """Out of descriptors: close whoever waits, instead of being called for him forever."""
        self.close()
        try:
            accepted, _ = socket.socket.accept(listening)
            self.turned_away += 1
            accepted.close()
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # somebody else took the descriptor: try again when called again
            raise BlockingIOError from None


class _Accepted(socket.socket):
    """A socket that is counted until it is closed."""

    __slots__ = ("_gate", "_host")

    def __init__(self, accepted: socket.socket, gate: Gate, host: str) -> None:
        self._gate: Gate | None = gate
        self._host = host
        super().__init__(accepted.family, accepted.type, accepted.proto, accepted.detach())

    def close(self) -> None:
        """Close, and count out."""
        gate, self._gate = self._gate, None
        super().close()
        if gate is not None:
            gate.closed(self._host)


class _Listening(socket.socket):
    """A listening socket that accepts through a gate."""

    __slots__ = ("gate",)

    def __init__(self, family: int, gate: Gate) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self.gate = gate

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept as the gate allows."""
        return self.gate.accept(self)


def listening_sockets(
    host: str, port: int, gate: Gate, *, reuse_port: bool = False
) -> list[socket.socket]:
    """Return one listening socket for each address of `host`, all on one port.

    Args:
        host: a name or an address of this machine; "" for all of them.
        port: 0 takes a free one.
        gate: what accepts.
        reuse_port: share the port with other processes of this user that say so, too; the
            system spreads the connections.

    Raises:
        ConfigurationError: the address or the port cannot be used; the text says why.
    """

    def listening(family: int, address: tuple[Any, ...]) -> socket.socket:
        made = _bound(_Listening(family, gate), address, reuse_port=reuse_port)
        try:
            made.listen(_BACKLOG)
        except OSError:
            made.close()
            raise
        return made

    return _for_each_address(host, port, listening)


def reserved_sockets(host: str, port: int) -> list[socket.socket]:
    """Return bound sockets that do not listen: they keep a port for processes that share it.

    Args:
        host: a name or an address of this machine; "" for all of them.
        port: 0 takes a free one.

    Raises:
        ConfigurationError: the address or the port cannot be used; the text says why.
    """
    gate = Gate(max_sockets=1, max_waiting=1, max_per_address=None)
    try:
        # Alone first: a port that others share, too, would be had without an error.
        tried = listening_sockets(host, port, gate)
    finally:
        gate.close()
    port = tried[0].getsockname()[1]
    for sock in tried:
        sock.close()

    def reserved(family: int, address: tuple[Any, ...]) -> socket.socket:
        made = socket.socket(family, socket.SOCK_STREAM)
        return _bound(made, address, reuse_port=True)

    return _for_each_address(host, port, reserved)


def _for_each_address(
    host: str, port: int, make: Callable[[int, tuple[Any, ...]], socket.socket]
) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError):  # a label that is empty or too long is the latter
        raise ConfigurationError(
            f"cannot listen on {host!r}: no such host; use an address of this machine"
        ) from None
    sockets: list[socket.socket] = []
    refused: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            sockets.append(make(family, (address[0], port, *address[2:])))
        except OSError as error:
            refused = error
            if error.errno in _NO_SUCH_FAMILY:
                continue  # a machine without IPv6, say
            break
        else:
            port = sockets[0].getsockname()[1]
    if sockets and (refused is None or refused.errno in _NO_SUCH_FAMILY):
        return sockets
    for opened in sockets:
        opened.close()
    number = (refused and refused.errno) or 0
    remedy = _REMEDIES.get(number, os.strerror(number))
    raise ConfigurationError(f"cannot listen on {host} port {port}: {remedy}")


def _bound(sock: _Socket, address: tuple[Any, ...], *, reuse_port: bool) -> _Socket:
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound_receiving(sock)
        sock.setblocking(False)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock
