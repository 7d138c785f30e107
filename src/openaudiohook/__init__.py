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
    from openaudiohook.exceptions import (
        AudioHookError,
        AuthError,
        ConfigurationError,
        ConsumerError,
        EndpointError,
        ExpiredSignature,
        HandshakeError,
        LocalProtocolError,
        MalformedSignature,
        MediaError,
        MissingSignature,
        ProtocolError,
        RemoteProtocolError,
        ReplayedRequest,
        SessionClosed,
        SignatureMismatch,
        UnknownKey,
    )

_HOMES: Final = {
    "openaudiohook.exceptions": (
        "AudioHookError",
        "AuthError",
        "ConfigurationError",
        "ConsumerError",
        "EndpointError",
        "ExpiredSignature",
        "HandshakeError",
        "LocalProtocolError",
        "MalformedSignature",
        "MediaError",
        "MissingSignature",
        "ProtocolError",
        "RemoteProtocolError",
        "ReplayedRequest",
        "SessionClosed",
        "SignatureMismatch",
        "UnknownKey",
    ),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AudioHookError",
    "AuthError",
    "ConfigurationError",
    "ConsumerError",
    "EndpointError",
    "ExpiredSignature",
    "HandshakeError",
    "LocalProtocolError",
    "MalformedSignature",
    "MediaError",
    "MissingSignature",
    "ProtocolError",
    "RemoteProtocolError",
    "ReplayedRequest",
    "SessionClosed",
    "SignatureMismatch",
    "UnknownKey",
    "__version__",
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
