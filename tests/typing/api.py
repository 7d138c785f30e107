"""Code that must type-check as a user writes it; mypy reads it, nothing runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_type

import openaudiohook
from openaudiohook import (
    AudioFrame,
    AudioHookError,
    Capabilities,
    Channel,
    ClientSession,
    Consumer,
    ConsumerFactory,
    Entity,
    InMemoryKeys,
    KeyStore,
    MediaFormat,
    MediaParameter,
    OpenParameters,
    Outgoing,
    RemoteProtocolError,
    Reply,
    ServerSession,
    SessionEvent,
    SessionInfo,
    channel_bytes,
    per_session,
)


class Loudest:
    """A consumer by shape, without subclassing anything."""

    def __init__(self) -> None:
        self.name = "loudest"
        self.capabilities = Capabilities(channels=(Channel.EXTERNAL,))
        self._reply: Reply | None = None

    async def open(self, session: SessionInfo, reply: Reply) -> None:
        assert_type(session.media, MediaParameter | None)
        self._reply = reply

    def audio(self, frame: AudioFrame) -> None:
        assert_type(channel_bytes(frame, Channel.EXTERNAL), bytes)

    def paused(self, position: int) -> None: ...

    def resumed(self, start: int, discarded: int) -> None: ...

    def discarded(self, start: int, discarded: int) -> None: ...

    def updated(self, language: str | None, position: int) -> None: ...

    async def close(self, reason: str) -> None: ...


class Short(Consumer):
    """A consumer that inherits what it does not need."""

    name = "short"
    capabilities = Capabilities()

    def audio(self, frame: AudioFrame) -> None:
        assert_type(frame.payload, bytes)


consumers: Sequence[Consumer] = [Loudest(), Short()]
factory: ConsumerFactory = per_session(lambda options: Loudest())({})


def serve_one(now_ns: int, entities: Sequence[Entity]) -> None:
    session = ServerSession(session_id="s", organization_id="o", now_ns=now_ns)
    session.receive_text(b"{}", now_ns)
    for event in session.events():
        assert_type(event, SessionEvent)
    media = MediaParameter(format=MediaFormat.PCMU, channels=(Channel.EXTERNAL,), rate=8000)
    session.accept(now_ns, media=media)
    session.send_entities(entities, now_ns)
    assert_type(session.data_to_send(now_ns), list[Outgoing])
    assert_type(session.next_deadline_ns(), int | None)


def call_one(parameters: OpenParameters, now_ns: int) -> int:
    session = ClientSession(session_id="s", now_ns=now_ns)
    session.open(parameters, now_ns)
    session.begin(now_ns)
    session.send_audio(bytes(1600), now_ns)
    return session.position


def blame(error: AudioHookError) -> str:
    if isinstance(error, RemoteProtocolError):
        assert_type(error.code, int)
        return error.message_type or "unknown"
    return "us"


keys: KeyStore = InMemoryKeys([], decoy=bytes(32))
assert_type(openaudiohook.__version__, str)
