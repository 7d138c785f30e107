"""Each role alone against whole sessions written by hand from the protocol's examples.

`tests/data/transcripts` holds one session a file and one wire item a line: when (`t_ms`),
who (`dir`, C or S), and a text `message` or the number of audio `samples`. A file named
`*.server.jsonl` or `*.client.jsonl` holds what only that role of ours takes part in. In an
answer to a violation `info` and `message` are ours to word and left out of the files.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.by_hand import MS
from tests.support.wire import ORGANIZATION_ID, as_text, seconds

from openaudiohook.protocol import CloseConnection, SendText
from openaudiohook.protocol.client import ClientSession
from openaudiohook.protocol.codec import decode_client_message, decode_server_message
from openaudiohook.protocol.duration import parse_duration
from openaudiohook.protocol.entities import Entity
from openaudiohook.protocol.events import AudioFrame, OpenRequested, SessionEvent
from openaudiohook.protocol.messages import OpenedParameters, OpenParameters
from openaudiohook.protocol.server import ServerSession
from openaudiohook.protocol.types import (
    ClientState,
    CloseReason,
    DisconnectReason,
    ServerState,
)
from openaudiohook.testing.assertions import assert_ended_once, assert_tiles, events_of

pytestmark = pytest.mark.unit

FILES = sorted((Path(__file__).parent.parent / "data" / "transcripts").glob("*.jsonl"))
Json = dict[str, Any]


def transcripts(role: str) -> list[Any]:
    other = {"client": ".server", "server": ".client"}[role]
    return [pytest.param(path, id=path.stem) for path in FILES if path.suffixes[0] != other]


def lines_of(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Replay:
    """One session under test, its clock, and what it has sent that no line accounts for yet."""

    def __init__(self, session: ClientSession | ServerSession) -> None:
        self.session = session
        self.now_ns = 0
        self.sent: deque[tuple[int, bytes | Json | CloseConnection]] = deque()
        self.events: list[SessionEvent] = []

    def read(self) -> None:
        for item in self.session.data_to_send(self.now_ns):
            shown = item if isinstance(item, CloseConnection) else item.data
            self.sent.append(
                (self.now_ns, json.loads(shown) if isinstance(item, SendText) else shown)
            )
        self.events += self.session.events()

    def advance(self, t_ms: int) -> None:
        """Move to a line's time, waking the session at its deadlines before that."""
        self.wake(t_ms * MS - 1)
        self.now_ns = t_ms * MS

    def wake(self, until_ns: int) -> None:
        while (due := self.session.next_deadline_ns()) is not None and due <= until_ns:
            self.now_ns = max(due, self.now_ns)
            self.session.handle_deadline(self.now_ns)
            self.read()

    def expect(self, line: Json, act: Callable[[Json], None]) -> None:
        """Check that the session sent a line by itself, or does when told to."""
        if not self.sent and "message" in line:
            self.wake(self.now_ns)
        if not self.sent:
            act(line)
            self.read()
        at_ns, item = self.sent.popleft()
        if "samples" in line:
            assert isinstance(item, bytes)
            return
        assert isinstance(item, dict)
        for name in ("info", "message"):
            if name not in line["message"]["parameters"]:
                item["parameters"].pop(name, None)
        assert item == line["message"]
        # A server's answer takes its time to the client; a client's is noted where it is made.
        assert at_ns == self.now_ns or (line["dir"] == "S" and at_ns < self.now_ns)


# The server alone ----------------------------------------------------------------------------


def server_act(session: ServerSession, now_ns: int) -> Callable[[Json], None]:
    def act(line: Json) -> None:
        message = decode_server_message(as_text(line["message"]))
        parameters = line["message"]["parameters"]
        match message.type:
            case "opened":
                opened = message.parameters
                assert isinstance(opened, OpenedParameters)
                session.accept(
                    now_ns,
                    media=opened.media[0] if opened.media else None,
                    start_paused=opened.start_paused,
                    discard_to=(
                        None if opened.discard_to is None else opened.discard_to // 125_000
                    ),
                    supported_languages=opened.supported_languages,
                )
            case "event":
                session.send_entities([Entity(**one) for one in parameters["entities"]], now_ns)
            case "disconnect":
                reason = DisconnectReason(parameters["reason"])
                session.disconnect(now_ns, reason=reason, info=parameters.get("info"))
            case "reconnect":
                session.reconnect(now_ns, info=parameters["info"])
            case "closed":
                session.finish(now_ns)
            case "pause" | "resume":
                getattr(session, message.type)(now_ns)
            case other:
                pytest.fail(f"the server should have sent {other} by itself")

    return act


@pytest.mark.parametrize("path", transcripts("server"))
def test_the_server_alone_says_what_the_transcript_says(path: Path) -> None:
    lines = lines_of(path)
    session = ServerSession(
        session_id=lines[0]["message"]["id"],
        organization_id=ORGANIZATION_ID,
        now_ns=lines[0]["t_ms"] * MS,
    )
    replay = Replay(session)
    for line in lines:
        replay.advance(line["t_ms"])
        if line["dir"] == "S":
            replay.expect(line, server_act(session, replay.now_ns))
        elif "samples" in line:
            unit = session.media.frame_bytes if session.media else 1
            session.receive_binary(b"\xff" * (line["samples"] * unit), replay.now_ns)
        else:
            session.receive_text(as_text(line["message"]), replay.now_ns)
        replay.read()
    session.receive_closed(1000, replay.now_ns)
    replay.read()
    assert not replay.sent
    assert session.state is ServerState.DISCONNECTED
    assert assert_ended_once(replay.events).is_clean
    last = [line["message"] for line in lines if line["dir"] == "C" and "message" in line][-1]
    start = events_of(replay.events, OpenRequested)[0].position
    assert assert_tiles(replay.events) >= start
    assert seconds(session.position) == last["position"]
    if ".server" not in path.name:
        heard = sum(event.samples for event in events_of(replay.events, AudioFrame))
        assert heard == sum(line.get("samples", 0) for line in lines)


# The client alone ----------------------------------------------------------------------------


def client_act(session: ClientSession, now_ns: int) -> Callable[[Json], None]:
    def act(line: Json) -> None:
        if "samples" in line:
            assert session.media is not None
            session.send_audio(b"\xff" * (line["samples"] * session.media.frame_bytes), now_ns)
            return
        message = decode_client_message(as_text(line["message"]))
        parameters = line["message"]["parameters"]
        match message.type:
            case "open":
                assert isinstance(message.parameters, OpenParameters)
                session.open(message.parameters, now_ns, position=message.position // 125_000)
            case "discarded":
                session.discard(parse_duration(parameters["discarded"]) // 125_000, now_ns)
            case "paused":
                session.pause(now_ns)
            case "resumed":
                session.resume(now_ns)
            case "update":
                session.update(parameters["language"], now_ns)
            case "close":
                session.close(now_ns, reason=CloseReason(parameters["reason"]))
            case other:
                pytest.fail(f"the client should have sent {other} by itself")

    return act


def next_position(lines: list[Json]) -> int | None:
    """The position the client tells next, in samples."""
    for line in lines:
        if line["dir"] == "C" and "message" in line:
            return parse_duration(line["message"]["position"]) // 125_000
    return None


def discarded_at_once(lines: list[Json]) -> int:
    """What of the history the client skips right after `opened`, in samples."""
    parameters = lines[0].get("message", {})
    if parameters.get("type") != "discarded":
        return 0
    return parse_duration(parameters["parameters"]["discarded"]) // 125_000


@pytest.mark.parametrize("path", transcripts("client"))
def test_the_client_alone_says_what_the_transcript_says(path: Path) -> None:
    lines = lines_of(path)
    session = ClientSession(session_id=lines[0]["message"]["id"], now_ns=lines[0]["t_ms"] * MS)
    replay = Replay(session)
    for number, line in enumerate(lines):
        is_paused = session.is_client_paused or session.is_server_paused
        if is_paused and session.state is ClientState.OPEN:
            target = next_position(lines[number:])
            if target is not None and target > session.position:
                session.drop_audio(target - session.position, replay.now_ns)
        replay.advance(line["t_ms"])
        if line["dir"] == "C":
            replay.expect(line, client_act(session, replay.now_ns))
            continue
        is_opening = session.state is ClientState.OPENING
        session.receive_text(as_text(line["message"]), replay.now_ns)
        if is_opening and session.state is ClientState.OPEN:
            session.begin(replay.now_ns, discard=discarded_at_once(lines[number + 1 :]))
        replay.read()
    (_, gone) = replay.sent.popleft()
    assert gone == CloseConnection(1000)
    assert not replay.sent
    session.receive_closed(1000, replay.now_ns)
    replay.read()
    assert assert_ended_once(replay.events).is_clean


# The transcripts themselves ------------------------------------------------------------------


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in FILES])
def test_a_transcript_keeps_order_and_ends_with_closed(path: Path) -> None:
    lines = lines_of(path)
    times = [line["t_ms"] for line in lines]
    assert times == sorted(times)
    assert lines[0]["message"]["type"] == "open"
    assert lines[-1]["message"]["type"] == "closed"
    for line in lines:
        assert set(line) - {"t_ms", "dir"} in ({"message"}, {"samples"})
