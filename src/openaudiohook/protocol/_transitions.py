"""The state machines of both roles, as tables.

Rules of this file: everything that can change a state is in these tables, and the
drawings of the docs are made from them.

* `*_RECEIVED[state][what]` is the state after a legal received message; `"audio"` stands
  for a binary message. A missing cell is the peer's violation...
* ...unless it stands in `*_IGNORED[state]`: then it is counted and has no effect.
  Unknown message types are ignored in every state.
* `*_INTENTS[intent]` are the states in which we may do a thing. A missing state is ours.
* `*_AFTER[act]` is the state after our own act, or after our answer to a violation.

Protocol sections 7, 10.2, 10.4 and 10.5.
"""

from __future__ import annotations

from typing import Final

from openaudiohook.protocol.messages import CLIENT_PARAMETERS, SERVER_PARAMETERS
from openaudiohook.protocol.types import ClientState, ServerState

__all__ = [
    "AUDIO",
    "CLIENT_AFTER",
    "CLIENT_IGNORED",
    "CLIENT_INTENTS",
    "CLIENT_NOT_FATAL",
    "CLIENT_RECEIVED",
    "CLIENT_TIMEOUTS",
    "SERVER_AFTER",
    "SERVER_IGNORED",
    "SERVER_INTENTS",
    "SERVER_RECEIVED",
    "SERVER_TIMEOUTS",
]

AUDIO: Final = "audio"

_C = ClientState
_S = ServerState
_FROM_CLIENT: Final = frozenset({*CLIENT_PARAMETERS, AUDIO})
_FROM_SERVER: Final = frozenset({*SERVER_PARAMETERS, AUDIO})

# The third-party side --------------------------------------------------------------------

_STREAMING: Final = {
    "ping": None,
    "update": None,
    "discarded": None,
    "error": None,
    "dtmf": None,
    "playback_started": None,
    "playback_completed": None,
    "paused": _S.PAUSED,
    "resumed": _S.ACTIVE,
    "close": _S.CLOSING,
}


def _streaming(state: ServerState) -> dict[str, ServerState]:
    return {what: after or state for what, after in _STREAMING.items()}


SERVER_RECEIVED: Final[dict[ServerState, dict[str, ServerState]]] = {
    _S.PREPARING: {"open": _S.OPENING, "close": _S.CLOSING},
    _S.OPENING: {"close": _S.CLOSING, "error": _S.OPENING},
    _S.ACTIVE: _streaming(_S.ACTIVE) | {AUDIO: _S.ACTIVE},
    _S.PAUSED: _streaming(_S.PAUSED),
    _S.SIGNALED_ERROR: {"close": _S.CLOSING},
    _S.UNAUTHORIZED: {"close": _S.CLOSING},
    _S.CLOSING: {},
    _S.CLOSED: {},
    _S.DISCONNECTED: {},
}

SERVER_IGNORED: Final[dict[ServerState, frozenset[str]]] = {
    _S.PREPARING: frozenset({"error"}),
    _S.OPENING: frozenset({"open"}),
    _S.ACTIVE: frozenset({"open"}),
    _S.PAUSED: frozenset({"open"}),
    _S.SIGNALED_ERROR: _FROM_CLIENT - {"close"},
    _S.UNAUTHORIZED: _FROM_CLIENT - {"close"},
    _S.CLOSING: _FROM_CLIENT,
    _S.CLOSED: _FROM_CLIENT,
    _S.DISCONNECTED: _FROM_CLIENT,
}

_BEFORE_CLOSE: Final = frozenset({_S.PREPARING, _S.OPENING, _S.ACTIVE, _S.PAUSED})

SERVER_INTENTS: Final[dict[str, frozenset[ServerState]]] = {
    "accept": frozenset({_S.OPENING}),
    "refuse": frozenset({_S.PREPARING, _S.OPENING}),
    "disconnect": _BEFORE_CLOSE,
    "send_entities": frozenset({_S.ACTIVE, _S.PAUSED, _S.CLOSING}),
    # Before `opened`, these two only settle its `startPaused`.
    "pause": _BEFORE_CLOSE,
    "resume": _BEFORE_CLOSE,
    "reconnect": frozenset({_S.ACTIVE, _S.PAUSED}),
    "finish": frozenset({_S.CLOSING}),
}

# Which wait may expire in which state, and the state after it.
SERVER_TIMEOUTS: Final[dict[str, dict[ServerState, ServerState]]] = {
    "open": {_S.PREPARING: _S.SIGNALED_ERROR},
    "ping": {_S.ACTIVE: _S.CLOSED, _S.PAUSED: _S.CLOSED},
    "close": dict.fromkeys((*_BEFORE_CLOSE, _S.SIGNALED_ERROR, _S.UNAUTHORIZED), _S.CLOSED),
    "linger": {_S.CLOSED: _S.CLOSED},
}

# The platform side -----------------------------------------------------------------------

CLIENT_RECEIVED: Final[dict[ClientState, dict[str, ClientState]]] = {
    _C.PREPARING: {"disconnect": _C.CLOSING, "event": _C.PREPARING},
    _C.OPENING: {"opened": _C.OPEN, "disconnect": _C.CLOSING, "event": _C.OPENING},
    _C.OPEN: {
        "pong": _C.OPEN,
        "pause": _C.OPEN,
        "resume": _C.OPEN,
        "event": _C.OPEN,
        "updated": _C.OPEN,
        "reconnect": _C.OPEN,
        "disconnect": _C.CLOSING,
    },
    _C.CLOSING: {"event": _C.CLOSING, "closed": _C.CLOSED},
    _C.CLOSING_ERROR: {"event": _C.CLOSING_ERROR, "closed": _C.CLOSED},
    _C.CLOSED: {},
    _C.DISCONNECTED: {},
}

CLIENT_IGNORED: Final[dict[ClientState, frozenset[str]]] = {
    _C.PREPARING: frozenset({"updated", "reconnect"}),
    _C.OPENING: frozenset({"updated", "reconnect"}),
    _C.OPEN: frozenset(),
    _C.CLOSING: frozenset({"pong", "pause", "resume", "disconnect", "updated", "reconnect"}),
    _C.CLOSING_ERROR: _FROM_SERVER - {"event", "closed"},
    _C.CLOSED: _FROM_SERVER,
    _C.DISCONNECTED: _FROM_SERVER,
}

# A conflict that is answered with `error` 409 and nothing more.
CLIENT_NOT_FATAL: Final = frozenset({"pong"})

_BEFORE_CLOSING: Final = frozenset({_C.PREPARING, _C.OPENING, _C.OPEN})

CLIENT_INTENTS: Final[dict[str, frozenset[ClientState]]] = {
    "open": frozenset({_C.PREPARING}),
    "begin": frozenset({_C.OPEN}),
    "send_audio": frozenset({_C.OPEN}),
    "drop_audio": frozenset({_C.OPEN}),
    "discard": frozenset({_C.OPEN}),
    "update": frozenset({_C.OPEN}),
    # Before `opened`, these two only settle whether the stream begins paused.
    "pause": _BEFORE_CLOSING,
    "resume": _BEFORE_CLOSING,
    "close": _BEFORE_CLOSING,
    "fail": _BEFORE_CLOSING,
}

CLIENT_TIMEOUTS: Final[dict[str, dict[ClientState, ClientState]]] = {
    "open": {_C.OPENING: _C.CLOSING_ERROR},
    "pong": {_C.OPEN: _C.CLOSING_ERROR},
    "close": {_C.CLOSING: _C.CLOSED, _C.CLOSING_ERROR: _C.CLOSED},
}

# What our own acts and our answers to violations lead to -----------------------------------

SERVER_AFTER: Final[dict[str, ServerState]] = {
    "accept": _S.ACTIVE,
    "disconnect error": _S.SIGNALED_ERROR,
    "disconnect rejected": _S.SIGNALED_ERROR,
    "disconnect unauthorized": _S.UNAUTHORIZED,
    "violation": _S.SIGNALED_ERROR,
    "finish": _S.CLOSED,
    "connection lost": _S.DISCONNECTED,
}

CLIENT_AFTER: Final[dict[str, ClientState]] = {
    "open": _C.OPENING,
    "close": _C.CLOSING,
    "fail": _C.CLOSING_ERROR,
    "violation": _C.CLOSING_ERROR,
    "connection lost": _C.DISCONNECTED,
}
