"""The AudioHook protocol in Python, both ends: stream live calls to services, and receive them.

Everything here is imported when it is first used, so that the protocol core can be had
without the parts that do input and output. Independent, not affiliated with or endorsed by
Genesys.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from openaudiohook._version import __version__

if TYPE_CHECKING:
    from openaudiohook.auth import (
        Authenticated,
        Credentials,
        InMemoryKeys,
        KeyStore,
        ReplayCache,
        SignedRequest,
        VerificationPolicy,
        explain_signature,
        sign,
        upgrade_headers,
        verify,
    )
    from openaudiohook.exceptions import (
        AudioHookError,
        AuthError,
        ConfigurationError,
        ConsumerError,
        ControlError,
        EndpointError,
        ExpiredSignature,
        HandshakeError,
        JournalError,
        LocalProtocolError,
        MalformedSignature,
        MediaError,
        MissingSignature,
        NotFound,
        ProtocolError,
        RemoteProtocolError,
        ReplayedRequest,
        SessionClosed,
        SignatureMismatch,
        StoreError,
        StoreUnavailable,
        TooManyIntegrations,
        UnknownKey,
        VersionConflict,
    )
    from openaudiohook.fanout.endpoint import (
        EndpointConfig,
        EndpointReport,
    )
    from openaudiohook.host.consumer import (
        Capabilities,
        Consumer,
        ConsumerFactory,
        Reply,
        SessionInfo,
        channel_bytes,
        per_session,
    )
    from openaudiohook.monitor import (
        CallReport,
        Monitor,
        Scenario,
        load_scenario,
    )
    from openaudiohook.protocol import (
        AudioFrame,
        Channel,
        ClientMessage,
        ClientSession,
        CloseConnection,
        CloseReason,
        DisconnectReason,
        Entity,
        ErrorCode,
        MediaFormat,
        MediaParameter,
        OpenParameters,
        Outgoing,
        Participant,
        PauseCause,
        Role,
        SendBinary,
        SendText,
        ServerMessage,
        ServerSession,
        SessionEvent,
    )
    from openaudiohook.service.config import (
        ServiceConfig,
        load_config,
    )
    from openaudiohook.service.service import (
        Service,
    )

_HOMES: Final = {
    "openaudiohook.auth": (
        "Authenticated",
        "Credentials",
        "InMemoryKeys",
        "KeyStore",
        "ReplayCache",
        "SignedRequest",
        "VerificationPolicy",
        "explain_signature",
        "sign",
        "upgrade_headers",
        "verify",
    ),
    "openaudiohook.exceptions": (
        "AudioHookError",
        "AuthError",
        "ConfigurationError",
        "ConsumerError",
        "ControlError",
        "EndpointError",
        "ExpiredSignature",
        "HandshakeError",
        "JournalError",
        "LocalProtocolError",
        "MalformedSignature",
        "MediaError",
        "MissingSignature",
        "NotFound",
        "ProtocolError",
        "RemoteProtocolError",
        "ReplayedRequest",
        "SessionClosed",
        "SignatureMismatch",
        "StoreError",
        "StoreUnavailable",
        "TooManyIntegrations",
        "UnknownKey",
        "VersionConflict",
    ),
    "openaudiohook.fanout.endpoint": (
        "EndpointConfig",
        "EndpointReport",
    ),
    "openaudiohook.host.consumer": (
        "Capabilities",
        "Consumer",
        "ConsumerFactory",
        "Reply",
        "SessionInfo",
        "channel_bytes",
        "per_session",
    ),
    "openaudiohook.monitor": (
        "CallReport",
        "Monitor",
        "Scenario",
        "load_scenario",
    ),
    "openaudiohook.protocol": (
        "AudioFrame",
        "Channel",
        "ClientMessage",
        "ClientSession",
        "CloseConnection",
        "CloseReason",
        "DisconnectReason",
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
        "SessionEvent",
    ),
    "openaudiohook.service.config": (
        "ServiceConfig",
        "load_config",
    ),
    "openaudiohook.service.service": ("Service",),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AudioFrame",
    "AudioHookError",
    "AuthError",
    "Authenticated",
    "CallReport",
    "Capabilities",
    "Channel",
    "ClientMessage",
    "ClientSession",
    "CloseConnection",
    "CloseReason",
    "ConfigurationError",
    "Consumer",
    "ConsumerError",
    "ConsumerFactory",
    "ControlError",
    "Credentials",
    "DisconnectReason",
    "EndpointConfig",
    "EndpointError",
    "EndpointReport",
    "Entity",
    "ErrorCode",
    "ExpiredSignature",
    "HandshakeError",
    "InMemoryKeys",
    "JournalError",
    "KeyStore",
    "LocalProtocolError",
    "MalformedSignature",
    "MediaError",
    "MediaFormat",
    "MediaParameter",
    "MissingSignature",
    "Monitor",
    "NotFound",
    "OpenParameters",
    "Outgoing",
    "Participant",
    "PauseCause",
    "ProtocolError",
    "RemoteProtocolError",
    "ReplayCache",
    "ReplayedRequest",
    "Reply",
    "Role",
    "Scenario",
    "SendBinary",
    "SendText",
    "ServerMessage",
    "ServerSession",
    "Service",
    "ServiceConfig",
    "SessionClosed",
    "SessionEvent",
    "SessionInfo",
    "SignatureMismatch",
    "SignedRequest",
    "StoreError",
    "StoreUnavailable",
    "TooManyIntegrations",
    "UnknownKey",
    "VerificationPolicy",
    "VersionConflict",
    "__version__",
    "channel_bytes",
    "explain_signature",
    "load_config",
    "load_scenario",
    "per_session",
    "sign",
    "upgrade_headers",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import a public name from the module it lives in, once."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
