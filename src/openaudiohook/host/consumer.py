"""The contract between a service and what uses the audio of its sessions.

A **consumer** lives for one session: it is opened, fed in stream order, and closed. A
**consumer factory** lives as long as the service and makes one consumer for each session.
Everything a consumer needs is exported from this module; a consumer imports nothing else of the
service. Positions are samples at 8 kHz from the start of the call's monitored audio.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from openaudiohook.protocol.duration import Duration
from openaudiohook.protocol.entities import (
    AgentAssist,
    Alternative,
    ArticleSuggestion,
    AssistUtterance,
    Entity,
    FaqSuggestion,
    Interpretation,
    Token,
    Transcript,
    TypedEntity,
)
from openaudiohook.protocol.events import AudioFrame
from openaudiohook.protocol.media import (
    NS_PER_SAMPLE,
    SAMPLE_RATE,
    MediaParameter,
    ns_to_samples,
    samples_to_ns,
)
from openaudiohook.protocol.messages import ContinuedSession, Participant
from openaudiohook.protocol.types import Channel, CloseReason, DisconnectReason, MediaFormat

__all__ = [
    "NS_PER_SAMPLE",
    "SAMPLE_RATE",
    "AgentAssist",
    "Alternative",
    "ArticleSuggestion",
    "AssistUtterance",
    "AudioFrame",
    "Capabilities",
    "Channel",
    "CloseReason",
    "Consumer",
    "ConsumerFactory",
    "ContinuedSession",
    "DisconnectReason",
    "Duration",
    "Entity",
    "FaqSuggestion",
    "Interpretation",
    "MediaFormat",
    "MediaParameter",
    "Participant",
    "PerSession",
    "Reply",
    "SessionInfo",
    "Status",
    "Token",
    "Transcript",
    "TypedEntity",
    "channel_bytes",
    "ns_to_samples",
    "per_session",
    "samples_to_ns",
]


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a session when it opens.

    Attributes:
        session_id: the session's UUID; a retried connection may come with the same one again.
        conversation_id: the platform's UUID of the whole interaction.
        organization_id: the platform's organization.
        correlation_id: joins our logs with the platform's; None where the client sent none.
        participant: whose audio this is. Its texts are personal data and kept out of `repr`.
        media: the selected format and channel order, or None where no audio will come.
        language: the media language, where the client named one.
        custom_config: the free JSON of the integration's configuration.
        start: position of the first sample; not 0 where a stream continues an earlier session.
        opened_utc_ns: the wall clock when `open` arrived.
        continued_sessions: earlier sessions of the same stream.
    """

    session_id: str
    conversation_id: str
    organization_id: str
    participant: Participant
    media: MediaParameter | None
    correlation_id: str | None = None
    language: str | None = None
    custom_config: dict[str, Any] | None = None
    start: int = 0
    opened_utc_ns: int = 0
    continued_sessions: tuple[ContinuedSession, ...] = ()

    def __repr__(self) -> str:
        return f"SessionInfo(session_id={self.session_id!r})"


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a consumer can use, and how it wants to run.

    Attributes:
        placement: `inline`: called on the event loop, within a time budget.
        languages: the languages it understands, told to a platform that asks; empty where
            language does not matter to it.
        formats: the audio formats it can use.
        channels: the channels it cannot do without; empty where any will do.
    """

    placement: Literal["inline"] = "inline"
    languages: tuple[str, ...] = ()
    formats: tuple[MediaFormat, ...] = (MediaFormat.PCMU,)
    channels: tuple[Channel, ...] = ()

    def can_use(self, media: MediaParameter) -> bool:
        """Say whether audio of these parameters is of use."""
        return media.format in self.formats and set(self.channels) <= set(media.channels)


class Status(Protocol):
    """Where trouble is told, for the operator: health, metrics and the log.

    Reasons are short, fixed texts without personal data: they are logged as they are.
    """

    def degraded(self, reason: str) -> None:
        """Tell that work goes on, but not as it should. May be repeated."""

    def healthy(self) -> None:
        """Take back what `degraded` told. May be repeated."""


class Reply(Status, Protocol):
    """How a consumer talks back within its session.

    Call it on the event loop; from a thread, by `loop.call_soon_threadsafe(reply.pause)`. What
    the session can no longer send, because it is ending, is counted and dropped, so that a late
    result never is an error.
    """

    @property
    def position(self) -> int:
        """How far the stream has come, in samples; within `close`, where it ended."""

    def entities(self, entities: Sequence[Entity]) -> None:
        """Send results as an `event`; paced and merged under the platform's limits."""

    def pause(self) -> None:
        """Ask for a pause; it lasts until every consumer that asked has resumed."""

    def resume(self) -> None:
        """Take back this consumer's own `pause`."""

    def disconnect(
        self, reason: DisconnectReason = DisconnectReason.COMPLETED, info: str | None = None
    ) -> None:
        """Ask the platform to end the session, for every consumer of it."""


class Consumer(Protocol):
    """What uses the audio of one session.

    A class with these methods is one; subclassing this class supplies the methods that do
    nothing. `audio`, `paused`, `resumed`, `discarded` and `updated` come in stream order, on the
    event loop, and must return soon. Whatever a method raises ends this consumer's part in the
    session (`close("failed")`) and nothing else.

    Attributes:
        name: the name it goes by in logs and metrics.
        capabilities: what it can use.
    """

    name: str
    capabilities: Capabilities

    async def open(self, session: SessionInfo, reply: Reply) -> None:
        """Get ready. Until this returns, at most 10 s of audio are kept; then comes `discarded`."""
        return

    def audio(self, frame: AudioFrame) -> None:
        """Take a frame. It is shared by all consumers and may be kept."""
        return

    def paused(self, position: int) -> None:
        """No audio from `position` until `resumed`. May repeat."""
        return

    def resumed(self, start: int, discarded: int) -> None:
        """Audio goes on; `discarded` samples from `start` on were never sent, maybe none."""
        return

    def discarded(self, start: int, discarded: int) -> None:
        """A gap that is no pause: `discarded` samples from `start` on will not come."""
        return

    def updated(self, language: str | None, position: int) -> None:
        """The media language from `position` on; None where the client named none."""
        return

    async def close(self, reason: str) -> None:
        """Finish; the last chance to reply, bounded by the close budget.

        Called once if `open` returned, and not at all if it did not.

        Args:
            reason: `end`, `disconnect`, `error` or `reconnect` as the client's `close` said;
                `lost` where the connection ended without one; `shutdown` where the service had
                to; `over-budget` or `failed` where only this consumer's part is over.
        """
        return


class ConsumerFactory(Protocol):
    """One for each consumer a service runs; it makes a consumer for each session.

    Attributes:
        name: the name it is switched on by.
        capabilities: what its consumers can use.
    """

    name: str
    capabilities: Capabilities

    async def start(self, status: Status) -> None:
        """Get ready for sessions, once, before the first. Trouble goes to `status`."""

    def create(self) -> Consumer:
        """Make the consumer of one session. It is opened next, or not at all."""

    async def stop(self) -> None:
        """Release what `start` took, once, after the last session was closed."""


class PerSession:
    """A factory without anything to share: it calls `make` for each session."""

    def __init__(
        self, make: Callable[[], Consumer], *, name: str, capabilities: Capabilities
    ) -> None:
        self.name = name
        self.capabilities = capabilities
        self._make = make

    async def start(self, status: Status) -> None:
        """Nothing is needed."""

    def create(self) -> Consumer:
        """Make the consumer of one session."""
        return self._make()

    async def stop(self) -> None:
        """Nothing was taken."""


def per_session(
    make: Callable[[Mapping[str, Any]], Consumer],
) -> Callable[[Mapping[str, Any]], ConsumerFactory]:
    """Turn a consumer class into what an entry point names.

    Args:
        make: the class, or a function; it is called with the options of the configuration, once
            to learn the consumer's name and capabilities and once for each session.
    """

    def factory(options: Mapping[str, Any]) -> ConsumerFactory:
        sample = make(options)
        return PerSession(lambda: make(options), name=sample.name, capabilities=sample.capabilities)

    return factory


def channel_bytes(frame: AudioFrame, channel: Channel) -> bytes:
    """Return one channel of a frame, as mu-law bytes or little-endian L16.

    The frame's own order of channels is respected; a mono frame is returned as it is, nothing
    copied.

    Raises:
        ValueError: the session's media does not have that channel.
    """
    names = frame.media.channels
    if channel not in names:
        raise ValueError(f"the session carries {' and '.join(names)}, not {channel}")
    if len(names) == 1:
        return frame.payload
    index = names.index(channel)
    if frame.media.format is MediaFormat.PCMU:
        return frame.payload[index::2]
    samples = memoryview(frame.payload).cast("H")
    return samples[index::2].tobytes()
