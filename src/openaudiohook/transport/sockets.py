"""What we ask of TCP: small buffers, so that back-pressure is seen and floods stay small.

The kernel would otherwise take minutes of audio for a peer that has stopped reading.
"""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import sys
import termios
from typing import Final

__all__ = [
    "NOTSENT_LOWAT_BYTES",
    "RECEIVE_BUFFER_BYTES",
    "SEND_BUFFER_BYTES",
    "bound_receiving",
    "bound_sending",
    "is_loopback",
    "kernel_unsent_bytes",
]

RECEIVE_BUFFER_BYTES: Final = 64 * 1024
SEND_BUFFER_BYTES: Final = 16 * 1024
NOTSENT_LOWAT_BYTES: Final = 4 * 1024

# <linux/tcp.h>; Python's socket module names it only where its own headers did.
_TCP_NOTSENT_LOWAT: Final = getattr(socket, "TCP_NOTSENT_LOWAT", 25)


def bound_receiving(sock: socket.socket, size_bytes: int = RECEIVE_BUFFER_BYTES) -> None:
    """Bound what the kernel keeps for us; set it on a listener, and what it accepts inherits."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size_bytes)


def bound_sending(
    sock: socket.socket,
    size_bytes: int = SEND_BUFFER_BYTES,
    notsent_lowat_bytes: int = NOTSENT_LOWAT_BYTES,
) -> None:
    """Bound what the kernel takes from us beyond what is on its way; before connecting."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size_bytes)
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, notsent_lowat_bytes)


def kernel_unsent_bytes(fileno: int) -> int:
    """Return what the kernel holds that the peer has not acknowledged; 0 where unknown."""
    try:
        return int.from_bytes(fcntl.ioctl(fileno, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:  # not every platform knows TIOCOUTQ on a socket
        return 0


def is_loopback(host: str) -> bool:
    """Say whether a host, as written in a URI, is this machine and cannot be another."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
