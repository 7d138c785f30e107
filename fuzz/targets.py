"""What is fuzzed, and what must hold whatever comes in: accepted, or a documented error.

A session target reads a script, one step a line, so that seeds can be read and written:

    T <text>      a text message arrives
    B <hex>       a binary message arrives
    O             a message over the limit was skipped
    W <ms>        time passes
    I <intent>    our application does something
    X             the connection is lost

Any other line is a text message too: a mutated script is still a script.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Final

from openaudiohook.exceptions import AudioHookError, RemoteProtocolError
from openaudiohook.protocol import CloseConnection, SendText
from openaudiohook.protocol.client import ClientSession
from openaudiohook.protocol.codec import (
    decode_client_message,
    decode_server_message,
    encode_message,
)
from openaudiohook.protocol.entities import Entity
from openaudiohook.protocol.events import SessionEnded
from openaudiohook.protocol.media import MediaParameter
from openaudiohook.protocol.server import ServerSession
from openaudiohook.protocol.types import MAX_SENT_BYTES, DisconnectReason, ErrorCode
from openaudiohook.testing.session_pair import ORGANIZATION_ID, SESSION_ID, sample_open

__all__ = [
    "CLIENT_INTENTS",
    "SERVER_INTENTS",
    "TARGETS",
    "Watched",
    "run_client",
    "run_decode",
    "run_server",
    "watched_client",
    "watched_server",
]

_MS: Final = 1_000_000
_MOST_WAKES: Final = 10_000


class Watched:
    """A session, and the promises it must keep at every step.

    Attributes:
        session: the session.
        now_ns: the time.
        output: all it sent, as (time, bytes or close code).
        events: all it reported.
    """

    def __init__(
        self,
        session: ClientSession | ServerSession,
        intents: dict[str, Callable[[Watched], None]],
    ) -> None:
        self.session = session
        self.intents = intents
        self.now_ns = 0
        self.output: list[tuple[int, bytes | int]] = []
        self.events: list[object] = []
        self._seq = 0
        self._position = 0

    def text(self, data: bytes | str) -> None:
        """A text message arrives."""
        self.session.receive_text(data, self.now_ns)
        self.check()

    def binary(self, data: bytes) -> None:
        """A binary message arrives."""
        self.session.receive_binary(data, self.now_ns)
        self.check()

    def oversize(self, *, is_text: bool = True) -> None:
        """A message over the limit was skipped."""
        self.session.receive_oversize(self.now_ns, is_text=is_text)
        self.check()

    def lost(self) -> None:
        """The connection is lost."""
        self.session.receive_closed(1006, self.now_ns)
        self.check()

    def wait(self, ms: int) -> None:
        """Time passes; the session is woken at its deadlines."""
        end_ns = self.now_ns + ms * _MS
        wakes = 0
        while (due := self.session.next_deadline_ns()) is not None and due <= end_ns:
            wakes += 1
            assert wakes < _MOST_WAKES, "deadlines without end"
            self.now_ns = max(self.now_ns, due)
            self.session.handle_deadline(self.now_ns)
            self.check()
        self.now_ns = end_ns

    def intend(self, name: str) -> None:
        """Our application does something; what is not allowed raises and changes nothing."""
        intent = self.intents.get(name)
        if intent is None:
            return
        before = (self.session.state, self.session.position, self.session.next_deadline_ns())
        try:
            intent(self)
        except AudioHookError:
            after = (self.session.state, self.session.position, self.session.next_deadline_ns())
            assert after == before, f"{name} failed and changed something"
        self.check()

    def check(self) -> None:
        """Take what came out, and check what must always hold."""
        self.events += self.session.events()
        for item in self.session.data_to_send(self.now_ns):
            assert not self.output or not isinstance(self.output[-1][1], int), "sent after close"
            if isinstance(item, CloseConnection):
                self.output.append((self.now_ns, item.code))
                continue
            self.output.append((self.now_ns, item.data))
            assert 0 < len(item.data) <= MAX_SENT_BYTES
            if isinstance(item, SendText):
                message = json.loads(item.data)
                self._seq += 1
                assert message["seq"] == self._seq
                assert message["id"] == SESSION_ID
        self.events += self.session.events()
        assert self.session.position >= self._position, "the position went back"
        self._position = self.session.position
        ends = [number for number, one in enumerate(self.events) if isinstance(one, SessionEnded)]
        assert ends in ([], [len(self.events) - 1]), "the end is not the end"
        if ends:
            assert self.session.next_deadline_ns() is None


def _entities(watched: Watched) -> None:
    watched.session.send_entities([Entity(type="x", data={})], watched.now_ns)  # type: ignore[union-attr]


def _server(act: Callable[[ServerSession, int], None]) -> Callable[[Watched], None]:
    return lambda watched: act(watched.session, watched.now_ns)  # type: ignore[arg-type]


def _client(act: Callable[[ClientSession, int], None]) -> Callable[[Watched], None]:
    return lambda watched: act(watched.session, watched.now_ns)  # type: ignore[arg-type]


SERVER_INTENTS: Final[dict[str, Callable[[Watched], None]]] = {
    "accept": _server(lambda s, ns: s.accept(ns, media=MediaParameter())),
    "accept paused": _server(lambda s, ns: s.accept(ns, media=None, start_paused=True)),
    "refuse": _server(lambda s, ns: s.refuse(ns, reason=DisconnectReason.UNAUTHORIZED)),
    "send_entities": _entities,
    "pause": _server(lambda s, ns: s.pause(ns)),
    "resume": _server(lambda s, ns: s.resume(ns)),
    "disconnect": _server(lambda s, ns: s.disconnect(ns)),
    "disconnect error": _server(lambda s, ns: s.disconnect(ns, reason=DisconnectReason.ERROR)),
    "reconnect": _server(lambda s, ns: s.reconnect(ns)),
    "finish": _server(lambda s, ns: s.finish(ns)),
}

CLIENT_INTENTS: Final[dict[str, Callable[[Watched], None]]] = {
    "open": _client(lambda c, ns: c.open(sample_open(), ns)),
    "begin": _client(lambda c, ns: c.begin(ns)),
    "begin behind": _client(lambda c, ns: c.begin(ns, discard=800)),
    "send_audio": _client(lambda c, ns: c.send_audio(b"\xff" * 320, ns)),
    "drop_audio": _client(lambda c, ns: c.drop_audio(160, ns)),
    "discard": _client(lambda c, ns: c.discard(160, ns)),
    "pause": _client(lambda c, ns: c.pause(ns)),
    "resume": _client(lambda c, ns: c.resume(ns)),
    "update": _client(lambda c, ns: c.update("fr-CA", ns)),
    "close": _client(lambda c, ns: c.close(ns)),
    "fail": _client(lambda c, ns: c.fail(ErrorCode.INTERNAL, "broken", ns)),
}


def watched_server() -> Watched:
    """A server session under watch."""
    session = ServerSession(session_id=SESSION_ID, organization_id=ORGANIZATION_ID, now_ns=0)
    return Watched(session, SERVER_INTENTS)


def watched_client() -> Watched:
    """A client session under watch."""
    return Watched(ClientSession(session_id=SESSION_ID, now_ns=0), CLIENT_INTENTS)


def run_decode(data: bytes) -> None:
    """Read arbitrary bytes as a message of either side; what is read must be writable again."""
    for decode in (decode_client_message, decode_server_message):
        with contextlib.suppress(RemoteProtocolError):
            message = decode(data)
            if len(data) <= MAX_SENT_BYTES // 8:  # an escape may take six times its letter
                assert decode(encode_message(message)) == message  # type: ignore[arg-type]


def run_server(data: bytes) -> None:
    """Run a script against a server session."""
    _run(watched_server(), data)


def run_client(data: bytes) -> None:
    """Run a script against a client session."""
    _run(watched_client(), data)


def _run(watched: Watched, script: bytes) -> None:
    for line in script.split(b"\n"):
        step, _, rest = line.partition(b" ")
        if step == b"B":
            watched.binary(_unhex(rest))
        elif step == b"O":
            watched.oversize(is_text=not rest)
        elif step == b"W":
            watched.wait(int(rest) % 100_000 if rest.isdigit() and len(rest) < 9 else 0)
        elif step == b"I":
            watched.intend(rest.decode("ascii", "replace"))
        elif step == b"X":
            watched.lost()
        else:
            watched.text(rest if step == b"T" else line)
    watched.wait(60_000)
    watched.lost()


def _unhex(text: bytes) -> bytes:
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        return text


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "decode": run_decode,
    "server": run_server,
    "client": run_client,
}
