"""Streams that go on in a new session: how much of the offered history is here already.

A client that reconnects offers up to 20 s of audio again (protocol section 14.2). Where the
earlier session was this process's, its position is known, and `discardTo` saves its consumers'
successors from hearing anything twice. Where it was not (another worker, another machine, a
restart), the whole offer is taken: twice is better than never.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from openaudiohook.protocol import MediaParameter, OpenParameters, ServerSession

__all__ = ["KEEP_NS", "MAX_ENDED", "Continuations"]

KEEP_NS: Final = 2 * 60 * 1_000_000_000
"""How long an ended session's position is known: longer than a client keeps history and tries."""

MAX_ENDED: Final = 10_000
"""Ended sessions whose position is known; the oldest are forgotten first."""


class _Earlier(msgspec.Struct, frozen=True):
    """Where an ended session's stream stood. `whose` must be the same to go on from there."""

    whose: bytes
    media: MediaParameter | None
    position: int
    forget_at_ns: int


class Continuations:
    """The positions of sessions, running and lately ended."""

    def __init__(self) -> None:
        self._running: dict[bytes, tuple[bytes, ServerSession]] = {}
        self._ended: dict[bytes, _Earlier] = {}

    def begin(self, session: ServerSession, parameters: OpenParameters) -> None:
        """Note a session that was accepted."""
        self._running[_key(session.session_id)] = (_whose(parameters), session)

    def end(self, session: ServerSession, now_ns: int) -> None:
        """Note that a session is over, and where its stream stood."""
        key = _key(session.session_id)
        whose, running = self._running.get(key, (b"", None))
        if running is not session:
            return  # never accepted, or its id came again meanwhile
        del self._running[key]
        self._forget(now_ns)
        self._ended.pop(key, None)
        self._ended[key] = _Earlier(whose, session.media, session.position, now_ns + KEEP_NS)

    def discard_to(
        self,
        parameters: OpenParameters,
        *,
        media: MediaParameter | None,
        position: int,
        now_ns: int,
    ) -> int | None:
        """Return the position up to which an earlier session has the audio, or None.

        Args:
            parameters: of the new session's `open`. Conversation and participant must be those of
                the earlier session: knowing an id is not enough to learn a position.
            media: selected for the new session; the earlier one must have had the same.
            position: where the offered history starts.
            now_ns: the time.
        """
        self._forget(now_ns)
        whose = _whose(parameters)
        positions = [position]
        for earlier in parameters.continued_sessions:
            key = _key(earlier.id)
            if (running := self._running.get(key)) is not None:
                stood = (running[0], running[1].media, running[1].position)
            elif (ended := self._ended.get(key)) is not None:
                stood = (ended.whose, ended.media, ended.position)
            else:
                continue
            if stood[:2] == (whose, media):
                positions.append(stood[2])
        furthest = max(positions)
        return furthest if furthest > position else None

    def _forget(self, now_ns: int) -> None:
        """Drop what is too old or too much; entries lie in the order of their ends."""
        ended = self._ended
        while ended:
            oldest = next(iter(ended))
            if len(ended) < MAX_ENDED and ended[oldest].forget_at_ns > now_ns:
                return
            del ended[oldest]


def _key(session_id: str) -> bytes:
    """A session id in the least room: thousands are kept."""
    return bytes.fromhex(session_id.replace("-", ""))


def _whose(parameters: OpenParameters) -> bytes:
    ids = (parameters.organization_id, parameters.conversation_id, parameters.participant.id)
    return hashlib.blake2b("".join(ids).lower().encode(), digest_size=16).digest()
