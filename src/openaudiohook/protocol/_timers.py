"""How long each role waits for the other (protocol section 10.3)."""

from __future__ import annotations

import msgspec

from openaudiohook.protocol.duration import NS_PER_S


class ClientTimers(msgspec.Struct, frozen=True, kw_only=True):
    """How long the client waits, in nanoseconds (protocol section 10.3).

    Attributes:
        open_ns: for `opened`.
        first_ping_ns: from `opened` to the first ping; the second follows its pong at once.
        ping_ns: from ping to ping; the previous one must have been answered by then.
        close_ns: for `closed`.
    """

    open_ns: int = 5 * NS_PER_S
    first_ping_ns: int = 1 * NS_PER_S
    ping_ns: int = 5 * NS_PER_S
    close_ns: int = 10 * NS_PER_S


class ServerTimers(msgspec.Struct, frozen=True, kw_only=True):
    """How long the server waits, in nanoseconds (protocol section 10.3).

    Attributes:
        open_ns: for `open` after the upgrade.
        ping_ns: for the next `ping` while the session is open.
        close_ns: for `close` after our `disconnect`.
        linger_ns: for the client to close the connection after our `closed`.
    """

    open_ns: int = 10 * NS_PER_S
    ping_ns: int = 15 * NS_PER_S
    close_ns: int = 10 * NS_PER_S
    linger_ns: int = 5 * NS_PER_S
