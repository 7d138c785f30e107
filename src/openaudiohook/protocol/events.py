"""What a session reports upward: the first page to read of this package.

Sessions queue these; `events()` drains them in order. Audio is an event too, so that its
order relative to pauses and gaps is never lost. Positions are in samples at 8 kHz unless
a name ends in `_ns`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from openaudiohook.protocol.entities import Entity
from openaudiohook.protocol.media import MediaParameter
from openaudiohook.protocol.messages import OpenParameters
from openaudiohook.protocol.types import CloseReason, DisconnectReason

__all__ = [
    "AudioDiscarded",
    "AudioFrame",
    "AudioPaused",
    "AudioResumed",
    "CloseRequested",
    "DisconnectRequested",
    "EntitiesReceived",
    "ErrorReported",
    "LanguageUpdated",
    "MessageIgnored",
    "OpenRequested",
    "PauseRequested",
    "PeerViolated",
    "PingReceived",
    "PongReceived",
    "ReconnectRequested",
    "ResumeRequested",
    "SessionEnded",
    "SessionEvent",
    "SessionOpened",
    "UpdateConfirmed",
]


class SessionEvent(msgspec.Struct, frozen=True, gc=False):
    """Base of everything a session reports."""


# Received by the server ----------------------------------------------------------------


class AudioFrame(SessionEvent, frozen=True, gc=False):
    """The audio of one binary message, shared by all who use it.

    Attributes:
        payload: the bytes as received, interleaved in the order of `media.channels`.
        position: stream position of the first sample.
        samples: time steps in the frame (bytes / `media.frame_bytes`).
        media: the selected media.
    """

    payload: bytes
    position: int
    samples: int
    media: MediaParameter

    def __repr__(self) -> str:
        return f"AudioFrame(position={self.position}, samples={self.samples})"


class OpenRequested(SessionEvent, frozen=True):
    """`open` arrived and is well formed: answer with `accept()` or `refuse()`.

    Attributes:
        parameters: what the client offers and tells.
        position: where the offered stream starts (0, or the start of the offered history).
        is_probe: a connection probe: use no resources, keep no records (section 15).
    """

    parameters: OpenParameters
    position: int
    is_probe: bool


class AudioPaused(SessionEvent, frozen=True):
    """`paused`: no audio from `position` until `AudioResumed`. May repeat."""

    position: int


class AudioResumed(SessionEvent, frozen=True):
    """`resumed`: `discarded` samples from `start` on were not sent; may be zero."""

    start: int
    discarded: int


class AudioDiscarded(SessionEvent, frozen=True):
    """`discarded`: a gap not caused by a pause."""

    start: int
    discarded: int


class LanguageUpdated(SessionEvent, frozen=True):
    """`update`: the media language from `position` on; None where the client named none."""

    language: str | None
    position: int


class PingReceived(SessionEvent, frozen=True):
    """`ping`; the `pong` is already on its way. A good moment for a checkpoint."""

    rtt_ns: int | None
    position: int


class ErrorReported(SessionEvent, frozen=True):
    """`error`: what the client noticed. Its text is for logs and kept out of `repr`."""

    code: int
    message: str
    retry_after_ns: int | None

    def __repr__(self) -> str:
        return f"ErrorReported(code={self.code})"


class CloseRequested(SessionEvent, frozen=True):
    """`close` arrived: send last entities, then call `finish()`."""

    reason: CloseReason | None
    position: int


# Received by the client ----------------------------------------------------------------


class SessionOpened(SessionEvent, frozen=True):
    """A valid `opened`: call `begin()` once, then send audio.

    Attributes:
        media: the selected offer, or None where the server wants no audio.
        start_paused: the session begins in a server pause.
        discard_to: the server wants audio only from this position on, in samples.
        supported_languages: the server's languages, where they were asked for.
    """

    media: MediaParameter | None
    start_paused: bool
    discard_to: int | None
    supported_languages: tuple[str, ...] | None


class PongReceived(SessionEvent, frozen=True):
    """The answer to our ping."""

    rtt_ns: int


class PauseRequested(SessionEvent, frozen=True):
    """`pause`; `paused` is already on its way."""


class ResumeRequested(SessionEvent, frozen=True):
    """`resume`; its answer is already on its way. `flowing`: audio may be sent again."""

    flowing: bool


class UpdateConfirmed(SessionEvent, frozen=True):
    """`updated`."""


class EntitiesReceived(SessionEvent, frozen=True):
    """`event` with its entities."""

    entities: tuple[Entity, ...]


class DisconnectRequested(SessionEvent, frozen=True):
    """`disconnect`; `close` is already on its way, unless the stream is being handed over."""

    reason: DisconnectReason
    info: str | None


class ReconnectRequested(SessionEvent, frozen=True):
    """`reconnect`: the server asks to move the stream to a new session."""

    info: str | None


# Both ----------------------------------------------------------------------------------


class MessageIgnored(SessionEvent, frozen=True):
    """A message without effect here: an unknown type, or one the state ignores."""

    message_type: str
    seq: int


class PeerViolated(SessionEvent, frozen=True):
    """The peer broke the protocol; the answer of section 4.4 is already on its way.

    Attributes:
        code: the `error` code that describes it (section 12).
        problem: what was wrong, without payload.
        message_type: the offending message's type, where one was read; "binary" for audio.
        seq: its `seq`, where one was read.
        is_fatal: the session is ending because of it.
        subject: what of a well-formed message is wrong: `sequence`, its numbers, or `media`, a
            selection that was not offered; None for all else.
    """

    code: int
    problem: str
    message_type: str | None
    seq: int | None
    is_fatal: bool
    subject: Literal["sequence", "media"] | None = None


class SessionEnded(SessionEvent, frozen=True):
    """The session is over; exactly one, and last.

    Attributes:
        reason: the `close` reason, where a close transaction was begun.
        is_clean: `closed` was exchanged.
        position: the last known stream position.
        timed_out: which wait expired, where one did: open, pong, close, ping, linger.
    """

    reason: CloseReason | None
    is_clean: bool
    position: int
    timed_out: str | None = None
