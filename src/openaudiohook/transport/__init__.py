"""WebSockets for AudioHook sessions: listen, admit, connect, and one driver for both roles.

The only place that knows a WebSocket library.
"""

from __future__ import annotations

from openaudiohook.transport.admission import Admission, Admitted, KeyLimits, Refusal
from openaudiohook.transport.connect import connect
from openaudiohook.transport.driver import Driver, EventHandler
from openaudiohook.transport.handshake import HttpReply
from openaudiohook.transport.listen import ConnectionLimits, Listener, listen
from openaudiohook.transport.tls import client_tls, server_tls

__all__ = [
    "Admission",
    "Admitted",
    "ConnectionLimits",
    "Driver",
    "EventHandler",
    "HttpReply",
    "KeyLimits",
    "Listener",
    "Refusal",
    "client_tls",
    "connect",
    "listen",
    "server_tls",
]
