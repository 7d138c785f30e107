"""Each role played by hand against the session under test, and sessions in every state.

A hand knows the envelope rules of protocol section 4 and nothing else: it sends whatever a
test tells it to, numbered as it should be unless told otherwise.
"""

from __future__ import annotations

import json
from typing import Any

from tests.support.wire import (
    ORGANIZATION_ID,
    SESSION_ID,
    STEREO,
    as_text,
    client_message,
    open_parameters,
    seconds,
    server_message,
)

from openaudiohook.protocol import CloseConnection, SendBinary, SendText
from openaudiohook.protocol.client import ClientSession, ClientTimers
from openaudiohook.protocol.duration import NS_PER_S
from openaudiohook.protocol.events import SessionEvent
from openaudiohook.protocol.media import MediaParameter
from openaudiohook.protocol.server import ServerSession, ServerTimers
from openaudiohook.protocol.types import (
    Channel,
    ClientState,
    CloseReason,
    DisconnectReason,
    ErrorCode,
    MediaFormat,
    ServerState,
)
from openaudiohook.testing.session_pair import sample_open

__all__ = [
    "EXTERNAL_MEDIA",
    "INTERNAL_MEDIA",
    "L16_MEDIA",
    "MS",
    "SECOND",
    "STEREO_MEDIA",
    "ByHand",
    "HandClient",
    "HandServer",
    "Item",
    "client_in",
    "kinds",
    "server_in",
]

Json = dict[str, Any]
Item = Json | bytes | CloseConnection

SECOND = NS_PER_S
MS = NS_PER_S // 1000

STEREO_MEDIA = MediaParameter()
EXTERNAL_MEDIA = MediaParameter(channels=(Channel.EXTERNAL,))
INTERNAL_MEDIA = MediaParameter(channels=(Channel.INTERNAL,))
L16_MEDIA = MediaParameter(format=MediaFormat.L16)


def kinds(items: list[Item]) -> list[str]:
    """Name items: the type of a message, `audio`, or `CLOSE`."""
    return [
        item["type"] if isinstance(item, dict) else "audio" if isinstance(item, bytes) else "CLOSE"
        for item in items
    ]


class ByHand:
    """The far end of the session under test.

    Attributes:
        session: the session under test.
        now_ns: the time, given to every call.
        seq: our latest number.
        seen: the session's latest number that we have read.
        heard: all items the session has sent.
        events: all events the session has reported.
    """

    session: ClientSession | ServerSession

    def __init__(self, session: ClientSession | ServerSession, now_ns: int = 0) -> None:
        self.session = session
        self.now_ns = now_ns
        self.seq = 0
        self.seen = 0
        self.heard: list[Item] = []
        self.events: list[SessionEvent] = []

    def read(self) -> list[Item]:
        """Take what the session hands over now, and check its envelopes."""
        self.events += self.session.events()
        items: list[Item] = []
        for outgoing in self.session.data_to_send(self.now_ns):
            if isinstance(outgoing, SendText):
                message = json.loads(outgoing.data)
                self.check(message)
                items.append(message)
            elif isinstance(outgoing, SendBinary):
                items.append(outgoing.data)
            else:
                items.append(outgoing)
        self.events += self.session.events()
        self.heard += items
        return items

    def check(self, message: Json) -> None:
        """Check the rules of sections 4.1 and 4.2 on what the session sent."""
        acknowledged = self.acknowledgement
        assert list(message)[:4] == ["version", "id", "type", "seq"]
        assert message["version"] == "2"
        assert message["id"] == SESSION_ID
        assert message["seq"] == self.seen + 1
        assert 0 <= message[acknowledged] <= self.seq
        before = [item[acknowledged] for item in self.heard if isinstance(item, dict)]
        assert message[acknowledged] >= max(before, default=0)
        assert isinstance(message["parameters"], dict)
        self.seen = message["seq"]

    acknowledgement = ""

    def text(self, text: bytes | str) -> list[Item]:
        """Send any text, and read the answer."""
        self.session.receive_text(text, self.now_ns)
        return self.read()

    def binary(self, data: bytes) -> list[Item]:
        """Send any bytes, and read the answer."""
        self.session.receive_binary(data, self.now_ns)
        return self.read()

    def wait(self, ns: int) -> list[Item]:
        """Let time pass, waking the session at each of its deadlines on the way."""
        end_ns = self.now_ns + ns
        items = self.read()
        while (due := self.session.next_deadline_ns()) is not None and due <= end_ns:
            self.now_ns = max(self.now_ns, due)
            self.session.handle_deadline(self.now_ns)
            items += self.read()
        self.now_ns = end_ns
        return items

    def gone(self, code: int | None = None) -> list[Item]:
        """Lose the connection."""
        self.session.receive_closed(code, self.now_ns)
        return self.read()

    def unread_events(self) -> list[SessionEvent]:
        """Look at the events since the last `new_events`, and leave them there."""
        self.events += self.session.events()
        return list(self.events)

    def new_events(self) -> list[SessionEvent]:
        """Take the events since the last call."""
        self.events += self.session.events()
        events, self.events = self.events, []
        return events


class HandClient(ByHand):
    """The platform, by hand, against a `ServerSession`.

    Attributes:
        position: samples of stream time; `audio` moves it.
    """

    session: ServerSession
    acknowledgement = "clientseq"

    def __init__(
        self, *, session_id: str = SESSION_ID, timers: ServerTimers | None = None, now_ns: int = 0
    ) -> None:
        session = ServerSession(
            session_id=session_id,
            organization_id=ORGANIZATION_ID,
            now_ns=now_ns,
            timers=timers or ServerTimers(),
        )
        super().__init__(session, now_ns)
        self.position = 0

    def say(self, kind: str, parameters: Any = None, **envelope: Any) -> list[Item]:
        """Send a message, numbered and placed as it should be unless told otherwise."""
        self.put(kind, parameters, **envelope)
        return self.read()

    def put(self, kind: str, parameters: Any = None, **envelope: Any) -> None:
        """Send a message and leave what comes back unread."""
        self.seq += 1
        fields = {"seq": self.seq, "serverseq": self.seen, "position": seconds(self.position)}
        message = client_message(kind, parameters, **(fields | envelope))
        self.session.receive_text(as_text(message), self.now_ns)

    def audio(self, samples: int, *, frame_bytes: int = 2) -> list[Item]:
        """Send mu-law silence."""
        self.position += samples
        return self.binary(b"\xff" * (samples * frame_bytes))

    def span(self, kind: str, start: int, discarded: int) -> list[Item]:
        """Send `resumed` or `discarded`."""
        self.position = start + discarded
        return self.say(kind, {"start": seconds(start), "discarded": seconds(discarded)})

    def open(self, **changes: Any) -> list[Item]:
        """Send `open`; `changes` are wire names of its parameters."""
        return self.say("open", open_parameters(**changes))

    def accept(self, **options: Any) -> list[Item]:
        """Let the application accept, stereo unless told otherwise."""
        self.session.accept(self.now_ns, **({"media": STEREO_MEDIA} | options))
        return self.read()

    def finish(self) -> list[Item]:
        """Let the application finish."""
        self.session.finish(self.now_ns)
        return self.read()


class HandServer(ByHand):
    """The third party, by hand, against a `ClientSession`."""

    session: ClientSession
    acknowledgement = "serverseq"

    def __init__(self, *, timers: ClientTimers | None = None, now_ns: int = 0) -> None:
        session = ClientSession(
            session_id=SESSION_ID, now_ns=now_ns, timers=timers or ClientTimers()
        )
        super().__init__(session, now_ns)

    def say(self, kind: str, parameters: Any = None, **envelope: Any) -> list[Item]:
        """Send a message, numbered as it should be unless told otherwise."""
        self.seq += 1
        fields = {"seq": self.seq, "clientseq": self.seen}
        message = server_message(kind, parameters, **(fields | envelope))
        return self.text(as_text(message))

    def opened(self, media: Json | None = STEREO, **parameters: Any) -> list[Item]:
        """Answer `open`."""
        return self.say("opened", {"media": [] if media is None else [media], **parameters})

    def open(self, **options: Any) -> list[Item]:
        """Let the application open."""
        self.session.open(options.pop("parameters", sample_open()), self.now_ns, **options)
        return self.read()

    def begin(self, discard: int = 0) -> list[Item]:
        """Let the application begin."""
        self.session.begin(self.now_ns, discard=discard)
        return self.read()

    def audio(self, samples: int, *, frame_bytes: int = 2) -> list[Item]:
        """Let the application send mu-law silence."""
        self.session.send_audio(b"\xff" * (samples * frame_bytes), self.now_ns)
        return self.read()

    def drop(self, samples: int) -> list[Item]:
        """Let the application drop what a pause keeps back."""
        self.session.drop_audio(samples, self.now_ns)
        return self.read()


def server_in(state: ServerState) -> HandClient:
    """Lead a fresh server session to a state, with everything read and reported."""
    client = HandClient()
    if state is ServerState.PREPARING:
        return client
    client.open()
    if state is ServerState.UNAUTHORIZED:
        client.session.refuse(client.now_ns, reason=DisconnectReason.UNAUTHORIZED)
    elif state is not ServerState.OPENING:
        client.accept()
    if state is ServerState.PAUSED:
        client.say("paused")
    elif state is ServerState.SIGNALED_ERROR:
        client.session.disconnect(client.now_ns, reason=DisconnectReason.ERROR)
    elif state in (ServerState.CLOSING, ServerState.CLOSED):
        client.say("close", {"reason": "end"})
        if state is ServerState.CLOSED:
            client.finish()
    elif state is ServerState.DISCONNECTED:
        client.gone()
    client.read()
    assert client.session.state is state
    client.new_events()
    return client


def client_in(state: ClientState) -> HandServer:
    """Lead a fresh client session to a state, with everything read and reported."""
    server = HandServer()
    if state is not ClientState.PREPARING:
        server.open()
    if state not in (ClientState.PREPARING, ClientState.OPENING):
        server.opened()
        server.begin()
    if state is ClientState.CLOSING_ERROR:
        server.session.fail(ErrorCode.INTERNAL, "for the test", server.now_ns)
    elif state in (ClientState.CLOSING, ClientState.CLOSED):
        server.session.close(server.now_ns, reason=CloseReason.END)
        if state is ClientState.CLOSED:
            server.read()
            server.say("closed")
    elif state is ClientState.DISCONNECTED:
        server.gone()
    server.read()
    assert server.session.state is state
    server.new_events()
    return server
