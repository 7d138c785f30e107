"""The AudioHook protocol, both roles, without input or output.

Start with `events` (what a session reports), then `server.ServerSession` and
`client.ClientSession`. Each takes text, binary and time, and gives events and what is to
be written; `transport` is one way to connect that to a network, and yours may be another.
"""

from openaudiohook.protocol._session import (
    CloseConnection,
    Outgoing,
    SendBinary,
    SendText,
    Session,
)
from openaudiohook.protocol.client import ClientSession, ClientTimers
from openaudiohook.protocol.duration import Duration, format_duration, parse_duration
from openaudiohook.protocol.entities import Entity
from openaudiohook.protocol.events import AudioFrame, SessionEvent
from openaudiohook.protocol.media import (
    MediaParameter,
    ns_to_samples,
    offer_for,
    samples_to_ns,
    select_media,
)
from openaudiohook.protocol.messages import (
    ClientMessage,
    OpenParameters,
    Participant,
    ServerMessage,
)
from openaudiohook.protocol.server import ServerSession, ServerTimers
from openaudiohook.protocol.trace import Trace, TraceRecord
from openaudiohook.protocol.types import (
    Channel,
    ClientState,
    CloseReason,
    DisconnectReason,
    ErrorCode,
    MediaFormat,
    PauseCause,
    Role,
    ServerState,
)

__all__ = [
    "AudioFrame",
    "Channel",
    "ClientMessage",
    "ClientSession",
    "ClientState",
    "ClientTimers",
    "CloseConnection",
    "CloseReason",
    "DisconnectReason",
    "Duration",
    "Entity",
    "ErrorCode",
    "MediaFormat",
    "MediaParameter",
    "OpenParameters",
    "Outgoing",
    "Participant",
    "PauseCause",
    "Role",
    "SendBinary",
    "SendText",
    "ServerMessage",
    "ServerSession",
    "ServerState",
    "ServerTimers",
    "Session",
    "SessionEvent",
    "Trace",
    "TraceRecord",
    "format_duration",
    "ns_to_samples",
    "offer_for",
    "parse_duration",
    "samples_to_ns",
    "select_media",
]
