"""What a server has to say and may not say yet: its pacing (protocol section 13.1)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec

from openaudiohook.exceptions import LocalProtocolError
from openaudiohook.protocol.entities import Entity
from openaudiohook.protocol.messages import EmptyParameters, EventParameters, Parameters
from openaudiohook.protocol.pacing import (
    CONTROL_RESERVE,
    PAUSE_BURST,
    PAUSE_PER_S,
    TEXT_BURST,
    TEXT_PER_S,
    TokenBucket,
)
from openaudiohook.protocol.types import MAX_SENT_BYTES

__all__ = ["Outbox", "Waiting"]

# Control messages that may wait; only a client that floods us gets this far.
_MAX_CONTROL: Final = 64

# What an `event` needs besides its entities: envelope, ids and the largest counters.
_EVENT_BYTES: Final = 256

Waiting = tuple[str, Parameters, int]
"""A message to be sent: its type, its parameters, and its `clientseq`."""


class Outbox:
    """Three queues by rank: answers and control, one pause request, entities.

    Control goes first and may use the whole bucket; entities leave it a reserve, so that a
    `pong` never waits behind them. Of pause requests only the latest wish is kept.
    """

    __slots__ = ("_closed", "_control", "_entities", "_pause", "_pause_buckets", "_text_bucket")

    def __init__(self, *, now_ns: int) -> None:
        self._control: deque[Waiting] = deque()
        self._entities: deque[tuple[Entity, int]] = deque()
        self._pause: Literal["pause", "resume"] | None = None
        self._closed = False
        self._text_bucket = TokenBucket(per_s=TEXT_PER_S, burst=TEXT_BURST, now_ns=now_ns)
        self._pause_buckets = {
            wish: TokenBucket(per_s=PAUSE_PER_S, burst=PAUSE_BURST, now_ns=now_ns)
            for wish in ("pause", "resume")
        }

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not (self._control or self._entities or self._pause or self._closed)

    @property
    def has_room(self) -> bool:
        """Whether another answer may be queued."""
        return len(self._control) < _MAX_CONTROL

    def control(self, message_type: str, parameters: Parameters, clientseq: int) -> None:
        """Queue a control message; `clientseq` is what the client is told we have seen."""
        self._control.append((message_type, parameters, clientseq))

    def pause(self, wish: Literal["pause", "resume"] | None) -> None:
        """Ask for a pause or its end, in place of an earlier wish that still waits."""
        self._pause = wish

    def entities(self, entities: Iterable[Entity]) -> None:
        """Queue entities.

        Raises:
            LocalProtocolError: one is too large for a message, or cannot be JSON; none is queued.
        """
        self._entities.extend([(entity, _size(entity)) for entity in entities])

    def closed(self) -> None:
        """Let `closed` be the last message, after all that waits."""
        self._closed = True

    def silence(self) -> None:
        """Drop all that waits but the message queued last: the `disconnect` of an error.

        Answers that wait for pacing would hold it back, and nobody needs them any more.
        """
        while len(self._control) > 1:
            self._control.popleft()
        self._entities.clear()
        self._pause = None

    def ready(self, now_ns: int, received: int) -> Iterator[Waiting]:
        """Give what may be sent now, in order; `received` is the `clientseq` of the rest."""
        text = self._text_bucket
        while self._control:
            if not text.take(now_ns):
                return
            yield self._control.popleft()
        if self._pause is not None and self._pause_ready_ns() <= now_ns:
            text.take(now_ns)
            self._pause_buckets[self._pause].take(now_ns)
            yield self._pause, EmptyParameters(), received
            self._pause = None
        while self._entities and text.take(now_ns, leaving=CONTROL_RESERVE):
            yield "event", self._merged(), received
        if self._closed and not self._entities and text.take(now_ns):
            self._closed = False
            yield "closed", EmptyParameters(), received

    def ready_at_ns(self) -> int | None:
        """Tell when pacing allows more, if anything waits."""
        if self._control:
            return self._text_bucket.ready_at_ns()
        waits = []
        if self._pause is not None:
            waits.append(self._pause_ready_ns())
        if self._entities:
            waits.append(self._text_bucket.ready_at_ns(leaving=CONTROL_RESERVE))
        elif self._closed:
            waits.append(self._text_bucket.ready_at_ns())
        return min(waits, default=None)

    def _pause_ready_ns(self) -> int:
        assert self._pause is not None
        return max(self._pause_buckets[self._pause].ready_at_ns(), self._text_bucket.ready_at_ns())

    def _merged(self) -> EventParameters:
        """Take as many entities as fit into one message."""
        entity, size = self._entities.popleft()
        taken = [entity]
        room = MAX_SENT_BYTES - _EVENT_BYTES - size
        while self._entities and self._entities[0][1] + 1 <= room:
            entity, size = self._entities.popleft()
            room -= size + 1
            taken.append(entity)
        return EventParameters(entities=tuple(taken))


def _size(entity: Entity) -> int:
    try:
        size = len(msgspec.json.encode(entity))
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise LocalProtocolError(
            f"an entity of type {entity.type} holds what JSON cannot: {type(error).__name__}"
        ) from None
    if size > MAX_SENT_BYTES - _EVENT_BYTES:
        raise LocalProtocolError(
            f"an entity of type {entity.type} takes {size} bytes; "
            f"at most {MAX_SENT_BYTES - _EVENT_BYTES} fit into a message"
        )
    return size
