"""Every state, every message, every intent, of both roles: expected outcomes from the text.

The tables below were written from protocol sections 7 (with its paragraph on cells not
named), 10.2, 10.4 and 10.5, and share nothing with the tables of the code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.by_hand import (
    STEREO_MEDIA,
    HandClient,
    HandServer,
    client_in,
    kinds,
    sample_open,
    server_in,
)
from tests.support.wire import STEREO, open_parameters

from openaudiohook.exceptions import LocalProtocolError, SessionClosed
from openaudiohook.protocol.entities import Entity
from openaudiohook.protocol.events import (
    AudioDiscarded,
    AudioFrame,
    AudioPaused,
    AudioResumed,
    CloseRequested,
    DisconnectRequested,
    EntitiesReceived,
    ErrorReported,
    LanguageUpdated,
    MessageIgnored,
    OpenRequested,
    PauseRequested,
    PeerViolated,
    PingReceived,
    ReconnectRequested,
    ResumeRequested,
    SessionOpened,
    UpdateConfirmed,
)
from openaudiohook.protocol.types import ClientState, DisconnectReason, ErrorCode, ServerState
from openaudiohook.testing.assertions import events_of

pytestmark = pytest.mark.unit

C, S = ClientState, ServerState

# What each message looks like when it is well formed -----------------------------------------

SPAN = {"start": "PT0S", "discarded": "PT0S"}

FROM_CLIENT: dict[str, Any] = {
    "open": open_parameters(),
    "ping": {},
    "update": {"language": "fr-CA"},
    "paused": {},
    "resumed": SPAN,
    "discarded": SPAN,
    "close": {"reason": "end"},
    "error": {"code": 400, "message": "events are refused"},
    "dtmf": {"digit": "1"},
    "playback_started": {},
    "playback_completed": {},
    "metrics": {"unknown": "type"},
    "audio": None,
}

FROM_SERVER: dict[str, Any] = {
    "opened": {"media": [STEREO]},
    "pong": {},
    "updated": {},
    "closed": {},
    "pause": {},
    "resume": {},
    "disconnect": {"reason": "completed"},
    "reconnect": {},
    "event": {"entities": [{"type": "com.example.x", "data": {}}]},
    "hint": {"unknown": "type"},
    "audio": None,
}

# The server, receiving -----------------------------------------------------------------------
#
# A cell is (state afterwards, what is sent, the event). IGNORE: counted, without effect.
# VIOLATION: exactly one `disconnect` reason `error`.

IGNORE: tuple[str, list[str], type | None] = ("same", [], MessageIgnored)
VIOLATION = (S.SIGNALED_ERROR, ["disconnect"], PeerViolated)

STREAMING = {
    "open": IGNORE,
    "ping": ("same", ["pong"], PingReceived),
    "update": ("same", ["updated"], LanguageUpdated),
    "paused": (S.PAUSED, [], AudioPaused),
    "resumed": (S.ACTIVE, [], AudioResumed),
    "discarded": ("same", [], AudioDiscarded),
    "close": (S.CLOSING, [], CloseRequested),
    "error": ("same", [], ErrorReported),
    "dtmf": IGNORE,
    "playback_started": IGNORE,
    "playback_completed": IGNORE,
    "metrics": IGNORE,
}

AT_SERVER: dict[ServerState, dict[str, tuple[Any, list[str], type | None]]] = {
    S.PREPARING: {
        **dict.fromkeys(FROM_CLIENT, VIOLATION),
        "open": (S.OPENING, [], OpenRequested),
        "close": (S.CLOSING, [], CloseRequested),
        "error": IGNORE,
        "metrics": IGNORE,
    },
    S.OPENING: {
        **dict.fromkeys(FROM_CLIENT, VIOLATION),
        "open": IGNORE,
        "close": (S.CLOSING, [], CloseRequested),
        "error": ("same", [], ErrorReported),
        "metrics": IGNORE,
    },
    S.ACTIVE: {**STREAMING, "audio": ("same", [], AudioFrame)},
    S.PAUSED: {**STREAMING, "audio": VIOLATION},
    S.SIGNALED_ERROR: {
        **dict.fromkeys(FROM_CLIENT, IGNORE),
        "close": (S.CLOSING, [], CloseRequested),
    },
    S.UNAUTHORIZED: {
        **dict.fromkeys(FROM_CLIENT, IGNORE),
        "close": (S.CLOSING, [], CloseRequested),
    },
    S.CLOSING: dict.fromkeys(FROM_CLIENT, IGNORE),
    S.CLOSED: dict.fromkeys(FROM_CLIENT, IGNORE),
    S.DISCONNECTED: dict.fromkeys(FROM_CLIENT, ("same", [], None)),
}


def names(events: list[Any]) -> list[str]:
    return [type(event).__name__ for event in events]


@pytest.mark.parametrize("what", FROM_CLIENT)
@pytest.mark.parametrize("state", list(S))
def test_the_server_treats_each_message_in_each_state_as_the_protocol_says(
    state: ServerState, what: str
) -> None:
    client = server_in(state)
    after, sent, event = AT_SERVER[state][what]
    answer = client.audio(160) if what == "audio" else client.say(what, FROM_CLIENT[what])
    assert kinds(answer) == sent
    assert client.session.state is (state if after == "same" else after)
    events = client.new_events()
    if what == "audio" and event is MessageIgnored:
        assert names(events) == []  # audio has no number to report
    else:
        assert names(events) == ([event.__name__] if event else [])
    if event is PeerViolated:
        assert answer[0]["parameters"]["reason"] == "error"
        assert events[0].is_fatal is True
        assert events[0].message_type == ("binary" if what == "audio" else what)


@pytest.mark.parametrize("what", [what for what in FROM_CLIENT if what != "audio"])
@pytest.mark.parametrize("state", [state for state in S if state is not S.DISCONNECTED])
def test_the_server_counts_each_message_in_each_state(state: ServerState, what: str) -> None:
    client = server_in(state)
    client.say(what, FROM_CLIENT[what])
    for event in events_of(client.new_events(), MessageIgnored):
        assert (event.message_type, event.seq) == (what, client.seq)
    if client.session.state not in (S.CLOSING, S.CLOSED):
        client.say("close", {"reason": "end"})
    if client.session.state is S.CLOSING:
        closed = client.finish()[-1]
        assert closed["type"] == "closed"
        assert closed["clientseq"] == client.seq


# The server, acting --------------------------------------------------------------------------


def entities() -> list[Entity]:
    return [Entity(type="com.example.x", data={})]


SERVER_INTENTS: dict[str, Callable[[HandClient], None]] = {
    "accept": lambda client: client.session.accept(client.now_ns, media=STEREO_MEDIA),
    "refuse": lambda client: client.session.refuse(client.now_ns),
    "refuse unauthorized": lambda client: client.session.refuse(
        client.now_ns, reason=DisconnectReason.UNAUTHORIZED
    ),
    "send_entities": lambda client: client.session.send_entities(entities(), client.now_ns),
    "pause": lambda client: client.session.pause(client.now_ns),
    "resume": lambda client: client.session.resume(client.now_ns),
    "disconnect completed": lambda client: client.session.disconnect(client.now_ns),
    "disconnect error": lambda client: client.session.disconnect(
        client.now_ns, reason=DisconnectReason.ERROR
    ),
    "disconnect rejected": lambda client: client.session.disconnect(
        client.now_ns, reason=DisconnectReason.REJECTED
    ),
    "disconnect unauthorized": lambda client: client.session.disconnect(
        client.now_ns, reason=DisconnectReason.UNAUTHORIZED
    ),
    "reconnect": lambda client: client.session.reconnect(client.now_ns),
    "finish": lambda client: client.session.finish(client.now_ns),
}

# A missing cell is illegal. `disconnect(completed)` leaves the state as it is; before
# `opened`, `pause` and `resume` only settle `startPaused`.
ENDING = {
    "disconnect completed": ("same", ["disconnect"]),
    "disconnect error": (S.SIGNALED_ERROR, ["disconnect"]),
    "disconnect rejected": (S.SIGNALED_ERROR, ["disconnect"]),
    "disconnect unauthorized": (S.UNAUTHORIZED, ["disconnect"]),
}
REFUSING = {
    "refuse": (S.SIGNALED_ERROR, ["disconnect"]),
    "refuse unauthorized": (S.UNAUTHORIZED, ["disconnect"]),
}
EARLY = {"pause": ("same", []), "resume": ("same", [])}
TALKING = {
    "send_entities": ("same", ["event"]),
    "pause": ("same", ["pause"]),
    "resume": ("same", ["resume"]),
    "reconnect": ("same", ["reconnect"]),
}

BY_SERVER: dict[ServerState, dict[str, tuple[Any, list[str]]]] = {
    S.PREPARING: {**ENDING, **REFUSING, **EARLY},
    S.OPENING: {**ENDING, **REFUSING, **EARLY, "accept": (S.ACTIVE, ["opened"])},
    S.ACTIVE: {**ENDING, **TALKING},
    S.PAUSED: {**ENDING, **TALKING},
    S.SIGNALED_ERROR: {},
    S.UNAUTHORIZED: {},
    S.CLOSING: {"send_entities": ("same", ["event"]), "finish": (S.CLOSED, ["closed"])},
    S.CLOSED: {},
    S.DISCONNECTED: {},
}


@pytest.mark.parametrize("intent", SERVER_INTENTS)
@pytest.mark.parametrize("state", list(S))
def test_the_server_does_in_each_state_what_the_protocol_lets_it(
    state: ServerState, intent: str
) -> None:
    client = server_in(state)
    cell = BY_SERVER[state].get(intent)
    if cell is None:
        deadline = client.session.next_deadline_ns()
        expected = SessionClosed if state is S.DISCONNECTED else LocalProtocolError
        with pytest.raises(expected):
            SERVER_INTENTS[intent](client)
        assert client.session.state is state
        assert client.read() == []
        assert client.session.next_deadline_ns() == deadline
    else:
        after, sent = cell
        SERVER_INTENTS[intent](client)
        assert kinds(client.read()) == sent
        assert client.session.state is (state if after == "same" else after)
    assert client.new_events() == []


# The client, receiving -----------------------------------------------------------------------
#
# A cell is (state afterwards, what is sent, the event). An int stands for an `error` of that
# code; FATAL: it is followed by `close` reason `error`. After `close` was sent, it is not sent
# again. ABSORB: no answer.


def fatal(code: int) -> tuple[Any, list[Any], type | None]:
    return (C.CLOSING_ERROR, [code, "close"], PeerViolated)


PASS: tuple[Any, list[Any], type | None] = ("same", [], EntitiesReceived)
LATE = {
    "event": PASS,
    "closed": (C.CLOSED, ["CLOSE"], None),
    "pong": IGNORE,
    "pause": IGNORE,
    "resume": IGNORE,
    "disconnect": IGNORE,
    "updated": IGNORE,
    "reconnect": IGNORE,
    "hint": IGNORE,
}
EARLY_AT_CLIENT = {
    "pong": ("same", [409], PeerViolated),
    "updated": IGNORE,
    "closed": fatal(409),
    "pause": fatal(409),
    "resume": fatal(409),
    "disconnect": (C.CLOSING, ["close"], DisconnectRequested),
    "reconnect": IGNORE,
    "event": PASS,
    "hint": IGNORE,
    "audio": fatal(415),
}

AT_CLIENT: dict[ClientState, dict[str, tuple[Any, list[Any], type | None]]] = {
    C.PREPARING: {**EARLY_AT_CLIENT, "opened": fatal(409)},
    C.OPENING: {**EARLY_AT_CLIENT, "opened": (C.OPEN, [], SessionOpened)},
    C.OPEN: {
        "opened": fatal(409),
        "closed": fatal(409),
        "pong": ("same", [409], PeerViolated),  # none is outstanding here
        "updated": ("same", [], UpdateConfirmed),
        "pause": ("same", ["paused"], PauseRequested),
        "resume": ("same", ["resumed"], ResumeRequested),
        "disconnect": (C.CLOSING, ["close"], DisconnectRequested),
        "reconnect": ("same", [], ReconnectRequested),
        "event": PASS,
        "hint": IGNORE,
        "audio": fatal(415),
    },
    C.CLOSING: {
        **LATE,
        "opened": (C.CLOSING_ERROR, [409], PeerViolated),
        "audio": (C.CLOSING_ERROR, [415], PeerViolated),
    },
    C.CLOSING_ERROR: {**LATE, "opened": IGNORE, "audio": IGNORE},
    C.CLOSED: dict.fromkeys(FROM_SERVER, ("same", [], None)),
    C.DISCONNECTED: dict.fromkeys(FROM_SERVER, ("same", [], None)),
}


@pytest.mark.parametrize("what", FROM_SERVER)
@pytest.mark.parametrize("state", list(C))
def test_the_client_treats_each_message_in_each_state_as_the_protocol_says(
    state: ClientState, what: str
) -> None:
    server = client_in(state)
    after, sent, event = AT_CLIENT[state][what]
    if what == "audio":
        answer = server.binary(b"\xff" * 160)
    else:
        answer = server.say(what, FROM_SERVER[what])
    shown = [
        item["parameters"]["code"] if kind == "error" else kind
        for item, kind in zip(answer, kinds(answer), strict=True)
    ]
    assert shown == sent
    assert server.session.state is (state if after == "same" else after)
    events = server.new_events()
    if what == "audio" and event is MessageIgnored:
        assert names(events) == []
    else:
        assert names(events) == ([event.__name__] if event else [])
    if event is PeerViolated:
        assert events[0].code == sent[0]
        assert events[0].is_fatal is (after != "same")
        assert events[0].message_type == ("binary" if what == "audio" else what)
    if "close" in sent:
        reason = "disconnect" if what == "disconnect" else "error"
        assert answer[-1]["parameters"] == {"reason": reason}


@pytest.mark.parametrize("what", [what for what in FROM_SERVER if what != "audio"])
@pytest.mark.parametrize("state", [C.PREPARING, C.OPENING, C.OPEN, C.CLOSING, C.CLOSING_ERROR])
def test_the_client_counts_each_message_in_each_state(state: ClientState, what: str) -> None:
    server = client_in(state)
    server.say(what, FROM_SERVER[what])
    if server.session.state in (C.PREPARING, C.OPENING, C.OPEN):
        server.session.close(server.now_ns)
        assert server.read()[-1]["serverseq"] == server.seq
    if server.session.state is not C.CLOSED:
        server.say("event", FROM_SERVER["event"])
        assert "EntitiesReceived" in names(server.new_events())


# The client, acting --------------------------------------------------------------------------

CLIENT_INTENTS: dict[str, Callable[[HandServer], None]] = {
    "open": lambda server: server.session.open(sample_open(), server.now_ns),
    "begin": lambda server: server.session.begin(server.now_ns),
    "send_audio": lambda server: server.session.send_audio(b"\xff" * 160, server.now_ns),
    "drop_audio": lambda server: server.session.drop_audio(80, server.now_ns),
    "discard": lambda server: server.session.discard(80, server.now_ns),
    "pause": lambda server: server.session.pause(server.now_ns),
    "resume": lambda server: server.session.resume(server.now_ns),
    "update": lambda server: server.session.update("fr-CA", server.now_ns),
    "close": lambda server: server.session.close(server.now_ns),
    "fail": lambda server: server.session.fail(ErrorCode.INTERNAL, "broken", server.now_ns),
}

ENDING_BY_CLIENT = {
    "close": (C.CLOSING, ["close"]),
    "fail": (C.CLOSING_ERROR, ["error", "close"]),
}

# A missing cell is illegal. OPEN here is begun and flowing; the paused forms are in
# test_pause_table. A client pause before `opened` only settles how the stream begins.
BY_CLIENT: dict[ClientState, dict[str, tuple[Any, list[str]]]] = {
    C.PREPARING: {**ENDING_BY_CLIENT, "pause": ("same", []), "open": (C.OPENING, ["open"])},
    C.OPENING: {**ENDING_BY_CLIENT, "pause": ("same", [])},
    C.OPEN: {
        **ENDING_BY_CLIENT,
        "send_audio": ("same", ["audio"]),
        "discard": ("same", ["discarded"]),
        "pause": ("same", ["paused"]),
        "update": ("same", ["update"]),
    },
    C.CLOSING: {},
    C.CLOSING_ERROR: {},
    C.CLOSED: {},
    C.DISCONNECTED: {},
}


@pytest.mark.parametrize("intent", CLIENT_INTENTS)
@pytest.mark.parametrize("state", list(C))
def test_the_client_does_in_each_state_what_the_protocol_lets_it(
    state: ClientState, intent: str
) -> None:
    server = client_in(state)
    position = server.session.position
    cell = BY_CLIENT[state].get(intent)
    if cell is None:
        deadline = server.session.next_deadline_ns()
        expected = SessionClosed if state in (C.CLOSED, C.DISCONNECTED) else LocalProtocolError
        with pytest.raises(expected):
            CLIENT_INTENTS[intent](server)
        assert server.session.state is state
        assert server.session.position == position
        assert server.read() == []
        assert server.session.next_deadline_ns() == deadline
    else:
        after, sent = cell
        CLIENT_INTENTS[intent](server)
        assert kinds(server.read()) == sent
        assert server.session.state is (state if after == "same" else after)
    assert server.new_events() == []


# The tables of this file are whole -----------------------------------------------------------


def test_each_table_has_every_cell() -> None:
    assert set(AT_SERVER) == set(BY_SERVER) == set(S)
    assert all(set(row) == set(FROM_CLIENT) for row in AT_SERVER.values())
    assert set(AT_CLIENT) == set(BY_CLIENT) == set(C)
    assert all(set(row) == set(FROM_SERVER) for row in AT_CLIENT.values())
