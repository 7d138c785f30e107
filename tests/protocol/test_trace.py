"""Session traces: who sent what and when, and never what was said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.by_hand import STEREO_MEDIA
from tests.support.wire import (
    ORGANIZATION_ID,
    SESSION_ID,
    STEREO,
    as_text,
    client_message,
    open_parameters,
    server_message,
)

from openaudiohook.protocol.client import ClientSession
from openaudiohook.protocol.entities import Entity
from openaudiohook.protocol.server import ServerSession
from openaudiohook.protocol.trace import Trace, TraceRecord, trace_header, trace_line
from openaudiohook.protocol.types import Role
from openaudiohook.testing.session_pair import sample_open

pytestmark = pytest.mark.unit

SECRET = "4111111111111111"


def lines(trace: Trace) -> list[dict[str, Any]]:
    return [json.loads(trace_line(record)) for record in trace.drain()]


def traced_server(*, payload: bool = False) -> tuple[ServerSession, Trace]:
    trace = Trace(session_id=SESSION_ID, payload=payload)
    session = ServerSession(
        session_id=SESSION_ID, organization_id=ORGANIZATION_ID, now_ns=0, trace=trace
    )
    return session, trace


def play(session: ServerSession) -> None:
    opening = client_message("open", open_parameters(customConfig={"card": SECRET}))
    session.receive_text(as_text(opening), 10)
    session.accept(20, media=STEREO_MEDIA)
    session.data_to_send(20)
    session.receive_binary(b"\x41" * 1600, 30)
    session.receive_text(as_text(client_message("ping", seq=2, serverseq=1)), 40)
    session.send_entities([Entity(type="note", data=SECRET)], 50)
    session.data_to_send(50)


def test_a_server_trace_tells_types_numbers_places_and_lengths() -> None:
    session, trace = traced_server()
    play(session)
    base = {"session": SESSION_ID}
    client, server = base | {"sender": "client"}, base | {"sender": "server"}
    assert lines(trace) == [
        client | {"t_ns": 10, "type": "open", "seq": 1, "ack": 0, "position": "PT0S"},
        server | {"t_ns": 20, "type": "opened", "seq": 1, "ack": 1},
        client | {"t_ns": 30, "type": "audio", "position": "PT0S", "samples": 800},
        client | {"t_ns": 40, "type": "ping", "seq": 2, "ack": 1, "position": "PT0S"},
        server | {"t_ns": 50, "type": "pong", "seq": 2, "ack": 2},
        server | {"t_ns": 50, "type": "event", "seq": 3, "ack": 2},
    ]
    assert lines(trace) == []


def test_payload_is_in_a_trace_only_when_asked_for_and_audio_never() -> None:
    session, trace = traced_server()
    play(session)
    text = json.dumps(lines(trace))
    assert SECRET not in text
    assert "Erika" not in text
    session, trace = traced_server(payload=True)
    play(session)
    records = lines(trace)
    assert records[0]["parameters"]["customConfig"] == {"card": SECRET}
    assert records[5]["parameters"]["entities"] == [{"type": "note", "data": SECRET}]
    assert "AAAA" not in json.dumps(records)


def test_durations_in_payload_are_in_wire_form() -> None:
    session, trace = traced_server(payload=True)
    play(session)
    ping = client_message("ping", {"rtt": "PT0.043S"}, seq=3, serverseq=3)
    session.receive_text(as_text(ping), 60)
    assert lines(trace)[-1]["parameters"] == {"rtt": "PT0.043S"}


def test_what_could_not_be_read_is_noted_without_its_text() -> None:
    session, trace = traced_server(payload=True)
    play(session)
    trace.drain()
    session.receive_oversize(60, is_text=True)
    session.receive_closed(1006, 70)
    assert lines(trace) == [
        {"t_ns": 60, "session": SESSION_ID, "sender": "client", "type": "oversize"},
        {
            "t_ns": 70,
            "session": SESSION_ID,
            "sender": "client",
            "type": "connection_closed",
            "code": 1006,
        },
    ]
    session, trace = traced_server()
    session.receive_text(SECRET, 5)
    session.data_to_send(6)
    assert [record["type"] for record in lines(trace)] == ["unreadable", "disconnect"]
    session, trace = traced_server()
    session.receive_binary(b"\xff", 5)
    assert [record["type"] for record in lines(trace)] == ["audio"]


@pytest.mark.parametrize("is_passed", [False, True])
def test_a_client_trace_tells_its_own_audio_by_place_and_length(is_passed: bool) -> None:
    trace = Trace(session_id=SESSION_ID)
    session = ClientSession(session_id=SESSION_ID, now_ns=0, trace=trace)
    session.open(sample_open(), 1, position=80)
    opened = server_message("opened", {"media": [STEREO]}, clientseq=1)
    session.receive_text(as_text(opened), 2)
    session.begin(3)
    if is_passed:
        session.data_to_send(3)
        assert session.pass_audio(160, 4)
    else:
        session.send_audio(b"\xff" * 160, 4)
    session.receive_binary(b"\xff", 5)
    assert [
        (record["t_ns"], record["sender"], record["type"], record.get("position"))
        for record in lines(trace)
    ] == [
        (1, "client", "open", "PT0.01S"),
        (2, "server", "opened", None),
        (4, "client", "audio", "PT0.01S"),
        (5, "server", "audio", None),
        (5, "client", "error", "PT0.02S"),
        (5, "client", "close", "PT0.02S"),
    ]


@pytest.mark.parametrize("payload", [False, True])
def test_the_first_line_says_whether_there_is_payload(payload: bool) -> None:
    assert json.loads(trace_header(payload=payload)) == {
        "trace": "openaudiohook",
        "version": 1,
        "payload": payload,
    }


def test_what_is_no_json_in_a_payload_is_written_as_text() -> None:
    record = TraceRecord(
        t_ns=1, session=SESSION_ID, sender=Role.SERVER, type="event", parameters={"x": 2 + 1j}
    )
    assert json.loads(trace_line(record))["parameters"] == {"x": "(2+1j)"}
