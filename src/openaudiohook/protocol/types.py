"""Enumerations and small value types of the protocol, spelt as on the wire."""

from __future__ import annotations

import enum
from typing import Final

__all__ = [
    "MAX_CUSTOM_CONFIG_BYTES",
    "MAX_RECEIVED_BYTES",
    "MAX_SENT_BYTES",
    "NIL_UUID",
    "VERSION",
    "Channel",
    "ClientState",
    "CloseReason",
    "DisconnectReason",
    "ErrorCode",
    "MediaFormat",
    "PauseCause",
    "Role",
    "ServerState",
]

VERSION: Final = "2"
NIL_UUID: Final = "00000000-0000-0000-0000-000000000000"

# Protocol section 2.4: senders keep to the documented limit, receivers are a little wider.
MAX_SENT_BYTES: Final = 64_000
MAX_RECEIVED_BYTES: Final = 65_536
MAX_CUSTOM_CONFIG_BYTES: Final = 60_000


class Role(enum.StrEnum):
    """The two ends of a session (protocol section 1)."""

    CLIENT = "client"
    SERVER = "server"


class ClientState(enum.StrEnum):
    """States of the platform side (protocol section 10.2), from the upgrade on."""

    PREPARING = "preparing"
    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    CLOSING_ERROR = "closing_error"
    CLOSED = "closed"
    DISCONNECTED = "disconnected"


class ServerState(enum.StrEnum):
    """States of the third-party side (protocol section 10.4), from the upgrade on."""

    PREPARING = "preparing"
    OPENING = "opening"
    ACTIVE = "active"
    PAUSED = "paused"
    SIGNALED_ERROR = "signaled_error"
    UNAUTHORIZED = "unauthorized"
    CLOSING = "closing"
    CLOSED = "closed"
    DISCONNECTED = "disconnected"


class Channel(enum.StrEnum):
    """What the participant says (external) and hears (internal)."""

    EXTERNAL = "external"
    INTERNAL = "internal"


class MediaFormat(enum.StrEnum):
    """Audio formats of protocol section 9.1."""

    PCMU = "PCMU"
    L16 = "L16"


class CloseReason(enum.StrEnum):
    """Why the client ends the session (protocol section 5.7)."""

    END = "end"
    DISCONNECT = "disconnect"
    ERROR = "error"
    RECONNECT = "reconnect"


class DisconnectReason(enum.StrEnum):
    """Why the server asks for the end (protocol section 6.3)."""

    COMPLETED = "completed"
    UNAUTHORIZED = "unauthorized"
    ERROR = "error"
    REJECTED = "rejected"


class ErrorCode(enum.IntEnum):
    """Codes of the client's `error` message (protocol section 12)."""

    BAD_MESSAGE = 400
    METHOD_NOT_ALLOWED = 405
    TIMEOUT = 408
    CONFLICT = 409
    TOO_LARGE = 413
    UNSUPPORTED_MEDIA = 415
    RATE_LIMITED = 429
    INTERNAL = 500
    UNAVAILABLE = 503


class PauseCause(enum.StrEnum):
    """Who holds the stream paused. The first two look the same on the wire."""

    SECURE = "secure"
    CLIENT = "client"
    SERVER = "server"
