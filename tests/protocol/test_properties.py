"""What holds for every input: protocol and codec under hypothesis."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fuzz.targets import (
    CLIENT_INTENTS,
    SERVER_INTENTS,
    Watched,
    watched_client,
    watched_server,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.by_hand import client_in, server_in
from tests.support.wire import (
    NIL,
    SESSION_ID,
    STEREO,
    as_text,
    client_message,
    open_parameters,
    seconds,
    server_message,
)

from openaudiohook.exceptions import RemoteProtocolError
from openaudiohook.protocol.codec import (
    decode_client_message,
    decode_server_message,
    encode_message,
)
from openaudiohook.protocol.duration import Duration
from openaudiohook.protocol.entities import Entity
from openaudiohook.protocol.events import AudioFrame, PeerViolated, SessionEvent
from openaudiohook.protocol.media import MediaParameter, ns_to_samples, samples_to_ns
from openaudiohook.protocol.messages import (
    ClientMessage,
    CloseParameters,
    ContinuedSession,
    DiscardedParameters,
    DisconnectParameters,
    EmptyParameters,
    ErrorParameters,
    EventParameters,
    OpenedParameters,
    OpenParameters,
    Participant,
    PingParameters,
    ReconnectParameters,
    ServerMessage,
    UpdateParameters,
)
from openaudiohook.protocol.types import (
    Channel,
    ClientState,
    DisconnectReason,
    MediaFormat,
    ServerState,
)
from openaudiohook.testing.assertions import assert_tiles, audio_of, events_of
from openaudiohook.testing.session_pair import SessionPair

pytestmark = pytest.mark.unit

# decode(encode(m)) is m ----------------------------------------------------------------------

UUIDS = st.uuids().map(str)
COUNTS = st.integers(min_value=0, max_value=2**53)
DURATIONS = st.integers(min_value=0, max_value=10**18).map(Duration)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
LANGUAGES = st.sampled_from(["en-US", "es-419", "cmn-Hans-CN", "de"])
MEDIA = st.builds(
    MediaParameter,
    format=st.sampled_from(MediaFormat),
    channels=st.permutations(list(Channel)).flatmap(
        lambda both: st.sampled_from([tuple(both), (both[0],)])
    ),
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)
STRINGS = st.dictionaries(TEXTS, TEXTS, max_size=3)
OPEN = st.builds(
    OpenParameters,
    organization_id=UUIDS,
    conversation_id=UUIDS,
    participant=st.builds(Participant, id=UUIDS, ani=TEXTS, ani_name=TEXTS, dnis=TEXTS),
    media=st.lists(MEDIA, max_size=4).map(tuple),
    language=st.none() | LANGUAGES,
    supported_languages=st.booleans(),
    custom_config=st.none() | st.dictionaries(TEXTS, JSON, max_size=4),
    input_variables=st.none() | STRINGS,
    continued_sessions=st.lists(
        st.builds(ContinuedSession, id=UUIDS, serverseq=COUNTS, clientseq=COUNTS), max_size=2
    ).map(tuple),
)
SPAN = st.builds(DiscardedParameters, start=DURATIONS, discarded=DURATIONS)
EMPTY = st.just(EmptyParameters())
FROM_CLIENT: dict[str, st.SearchStrategy[Any]] = {
    "open": OPEN,
    "ping": st.builds(PingParameters, rtt=st.none() | DURATIONS),
    "update": st.builds(UpdateParameters, language=st.none() | LANGUAGES),
    "paused": EMPTY,
    "resumed": SPAN,
    "discarded": SPAN,
    "close": st.builds(CloseParameters, reason=st.none() | TEXTS),
    "error": st.builds(
        ErrorParameters,
        code=st.integers(400, 9999),
        message=TEXTS,
        retry_after=st.none() | DURATIONS,
    ),
    "playback_started": EMPTY,
}
ENTITIES = st.lists(st.builds(Entity, type=TEXTS, data=JSON), max_size=4).map(tuple)
FROM_SERVER: dict[str, st.SearchStrategy[Any]] = {
    "opened": st.builds(
        OpenedParameters,
        media=st.lists(MEDIA, max_size=2).map(tuple),
        start_paused=st.booleans(),
        discard_to=st.none() | DURATIONS,
        supported_languages=st.none() | st.lists(LANGUAGES, max_size=3).map(tuple),
    ),
    "pong": EMPTY,
    "disconnect": st.builds(
        DisconnectParameters,
        reason=st.sampled_from(DisconnectReason),
        info=st.none() | TEXTS,
        output_variables=st.none() | STRINGS,
    ),
    "reconnect": st.builds(ReconnectParameters, info=st.none() | TEXTS),
    "event": st.builds(EventParameters, entities=ENTITIES),
}


def messages(kind: type, table: dict[str, Any], **fields: Any) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(kind, id=UUIDS, type=st.just(name), seq=COUNTS, parameters=body, **fields)
        for name, body in table.items()
    )


@given(messages(ClientMessage, FROM_CLIENT, serverseq=COUNTS, position=DURATIONS))
def test_a_client_message_survives_the_wire(message: ClientMessage) -> None:
    assert decode_client_message(encode_message(message)) == message


@given(messages(ServerMessage, FROM_SERVER, clientseq=COUNTS))
def test_a_server_message_survives_the_wire(message: ServerMessage) -> None:
    assert decode_server_message(encode_message(message)) == message


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_any_text_is_a_message_or_the_peer_s_error(text: bytes | str) -> None:
    for decode in (decode_client_message, decode_server_message):
        with pytest.raises(RemoteProtocolError):
            decode(text)


# Nothing a peer sends raises, in any state ---------------------------------------------------

FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "version": st.sampled_from(["2", "2", "2", "1", 2]),
        "id": st.sampled_from([SESSION_ID, SESSION_ID, NIL, "x"]),
        "seq": st.integers(-1, 6) | JSON,
        "serverseq": st.integers(0, 4),
        "clientseq": st.integers(0, 4),
        "position": st.sampled_from(["PT0S", "PT1S", "PT99999S", "x"]),
        "parameters": JSON,
    },
)
CLIENT_BODIES: dict[str, list[Any]] = {
    "open": [open_parameters(), open_parameters(media=[]), {}],
    "ping": [{}, {"rtt": "PT1S"}],
    "update": [{"language": "fr-CA"}, {}],
    "paused": [{}],
    "resumed": [{"start": "PT0S", "discarded": "PT1S"}, {"start": "PT9S", "discarded": "PT9S"}],
    "discarded": [{"start": "PT0S", "discarded": "PT0.5S"}, {}],
    "close": [{"reason": "end"}, {}],
    "error": [{"code": 408, "message": "x"}],
    "dtmf": [{"digit": "1"}],
    "metrics": [{}],
}
SERVER_BODIES: dict[str, list[Any]] = {
    "opened": [{"media": [STEREO]}, {"media": [], "startPaused": True}, {"media": [STEREO] * 2}],
    "pong": [{}],
    "updated": [{}],
    "closed": [{}],
    "pause": [{}],
    "resume": [{}],
    "disconnect": [{"reason": "completed"}, {"reason": "error"}],
    "reconnect": [{}],
    "event": [{"entities": [{"type": "x", "data": 1}]}],
    "hint": [{}],
}

Step = tuple[str, Any]


# How a script begins, so that most of them get past the opening transaction.
SERVER_STARTS: list[list[Step]] = [
    [],
    [("say", ("open", open_parameters()))],
    *2 * [[("say", ("open", open_parameters())), ("intend", "accept")]],
    [("say", ("open", open_parameters())), ("intend", "accept"), ("say", ("paused", {}))],
]
CLIENT_STARTS: list[list[Step]] = [
    [],
    [("intend", "open")],
    *3 * [[("intend", "open"), ("say", ("opened", {"media": [STEREO]})), ("intend", "begin")]],
]


def scripts(
    starts: list[list[Step]], bodies: dict[str, list[Any]], intents: Any
) -> st.SearchStrategy[list[Step]]:
    ending = ("open", "opened", "close", "closed", "disconnect", "error", "dtmf")
    said = st.sampled_from([(kind, body) for kind, all_ in bodies.items() for body in all_])
    mild = st.sampled_from([(kind, all_[0]) for kind, all_ in bodies.items() if kind not in ending])
    values: dict[str, st.SearchStrategy[Any]] = {
        "say": mild,
        "say anything": said,
        "intend": st.sampled_from(sorted(intents)),
        "wait": st.sampled_from([0, 100, 1_000, 5_000]),
        "wait long": st.just(16_000),
        "binary": st.sampled_from([b"", b"\xff", b"\xff" * 320]),
        "distort": st.tuples(said, FIELDS),
        "text": st.binary(max_size=40),
        "oversize": st.booleans(),
        "lost": st.none(),
    }
    # Most steps keep a session alive; any may end it.
    often = ["say"] * 12 + ["intend"] * 10 + ["wait"] * 5
    step = st.sampled_from(often + list(values)).flatmap(
        lambda what: st.tuples(st.just(what.split()[0]), values[what])
    )
    return st.tuples(st.sampled_from(starts), st.lists(step, max_size=25)).map(
        lambda both: both[0] + both[1]
    )


def perform(watched: Watched, script: list[Step], build: Callable[..., dict[str, Any]]) -> None:
    """Play a script; `say` numbers its messages as it should, `distort` changes fields."""
    seq = 0
    for what, value in script:
        if what in ("say", "distort"):
            (kind, body), changes = value if what == "distort" else (value, {})
            seq += 1
            own = sum(isinstance(item, bytes) and item[:1] == b"{" for _, item in watched.output)
            ack = {"serverseq": own} if build is client_message else {"clientseq": own}
            watched.text(as_text(build(kind, body, seq=seq, **ack) | changes))
        elif what == "wait":
            watched.wait(value)
        elif what == "binary":
            watched.binary(value)
        elif what == "text":
            watched.text(value)
        elif what == "oversize":
            watched.oversize(is_text=value)
        elif what == "intend":
            watched.intend(value)
        else:
            watched.lost()
    watched.wait(120_000)
    watched.lost()


@settings(max_examples=400)
@given(scripts(SERVER_STARTS, CLIENT_BODIES, SERVER_INTENTS))
def test_nothing_breaks_a_server_session(script: list[Step]) -> None:
    first, second = watched_server(), watched_server()
    perform(first, script, client_message)
    perform(second, script, client_message)
    assert first.output == second.output
    assert first.events == second.events
    disconnects = [
        item
        for _, item in first.output
        if isinstance(item, bytes) and json.loads(item)["type"] == "disconnect"
    ]
    assert len(disconnects) <= 1
    events: list[SessionEvent] = first.events  # type: ignore[assignment]
    assert len([one for one in events_of(events, PeerViolated) if one.is_fatal]) <= 1
    assert_tiles(events)


@settings(max_examples=400)
@given(scripts(CLIENT_STARTS, SERVER_BODIES, CLIENT_INTENTS))
def test_nothing_breaks_a_client_session(script: list[Step]) -> None:
    first, second = watched_client(), watched_client()
    perform(first, script, server_message)
    perform(second, script, server_message)
    assert first.output == second.output
    assert first.events == second.events
    closes = [
        number
        for number, (_, item) in enumerate(first.output)
        if isinstance(item, bytes) and item[:1] == b"{" and json.loads(item)["type"] == "close"
    ]
    assert len(closes) <= 1
    if closes:  # no audio after close
        assert all(
            isinstance(item, int) or item[:1] == b"{" for _, item in first.output[closes[0] :]
        )


@given(
    st.binary(max_size=200) | st.text(max_size=100),
    st.sampled_from(list(ServerState)),
    st.sampled_from(list(ClientState)),
)
def test_arbitrary_text_and_binary_raise_in_no_state(
    data: bytes | str, server_state: ServerState, client_state: ClientState
) -> None:
    for hand in (server_in(server_state), client_in(client_state)):
        hand.session.receive_text(data, 0)
        hand.session.receive_binary(data.encode() if isinstance(data, str) else data, 0)
        hand.session.receive_oversize(0, is_text=True)
        hand.session.data_to_send(0)
        hand.session.events()


# The time line -------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["send", "drop", "discard", "pause", "resume", "ask", "lift"]),
            st.integers(1, 4_000),
        ),
        max_size=40,
    ),
    st.sampled_from([0.0, 0.02, 0.4]),
)
def test_what_the_server_hears_tiles_the_time_line_of_the_client(
    script: list[tuple[str, int]], delay_s: float
) -> None:
    pair = SessionPair(delay_s=delay_s)
    pair.open()
    client, sent, last_heard = pair.client, bytearray(), 0
    for what, samples in script:
        if what in ("send", "drop") or (what == "discard" and not client.is_flowing):
            if client.is_flowing:
                payload = bytes([samples % 251]) * (2 * samples)
                client.send_audio(payload, pair.now_ns)
                sent += payload
            else:
                client.drop_audio(samples, pair.now_ns)
        elif what == "discard":
            client.discard(samples, pair.now_ns)
        elif what == "pause" and not client.is_client_paused:
            client.pause(pair.now_ns)
        elif what == "resume" and client.is_client_paused:
            client.resume(pair.now_ns)
        elif what == "ask":
            pair.server.pause(pair.now_ns)
        elif what == "lift":
            pair.server.resume(pair.now_ns)
        pair.run(0.3)
        assert pair.server.position >= last_heard
        last_heard = pair.server.position
    end = client.position
    client.close(pair.now_ns)
    pair.run(4 * delay_s + 1)
    assert audio_of(pair.server_events) == bytes(sent)
    assert pair.server.position == end
    assert assert_tiles(pair.server_events) <= end
    assert events_of(pair.server_events, PeerViolated) == []
    assert events_of(pair.client_events, PeerViolated) == []


def test_positions_are_exact_over_more_than_a_day_of_samples() -> None:
    server = client_in(ClientState.OPEN)
    client = server_in(ServerState.ACTIVE)
    payload = b"\xff" * (2 * 31_999)  # an odd size, so that no second ends with a frame
    frames = 25 * 3600 * 8000 // 31_999 + 1
    for _ in range(frames):
        server.session.send_audio(payload, 0)
        client.session.receive_binary(payload, 0)
        if len(client.session.events()) != 1:
            raise AssertionError("one frame, one event")
        server.session.data_to_send(0)
    samples = frames * 31_999
    assert samples > 24 * 3600 * 8000
    assert server.session.position == client.session.position == samples
    server.session.update("fr-CA", 0)
    (update,) = server.read()
    assert update["position"] == seconds(samples)
    client.audio(1)
    (frame,) = events_of(client.new_events(), AudioFrame)
    assert frame.position == samples


@given(st.integers(0, 10**15))
def test_samples_survive_the_wire(samples: int) -> None:
    assert ns_to_samples(samples_to_ns(samples)) == samples
