"""What the tests of the consumers share: a session, its frames, a disk that fills up."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Iterator

import pytest

from openaudiohook.host.consumer import (
    AudioFrame,
    Channel,
    MediaParameter,
    Participant,
    SessionInfo,
)

SESSION_ID = "7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9a11"
CONVERSATION_ID = "c0ffee00-1111-4222-8333-444455556666"
STEREO = MediaParameter()


@pytest.fixture
def make_session() -> Callable[..., SessionInfo]:
    def make(
        *, media: MediaParameter | None = STEREO, start: int = 0, **changes: str
    ) -> SessionInfo:
        fields = {
            "session_id": SESSION_ID,
            "conversation_id": CONVERSATION_ID,
            "organization_id": "5b2f6c0e-8f5d-4a1b-b7a4-2d9c64f3a001",
            "correlation_id": "e160e428-53e2-487c-977d-96989bf5c99d",
            "language": "en-US",
        }
        return SessionInfo(
            **(fields | changes),
            participant=Participant(
                id="1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b",
                ani="tel:+15550100",
                ani_name="Erika Example",
                dnis="tel:+18005550123",
            ),
            media=media,
            start=start,
            opened_utc_ns=1_700_000_000_123_456_789,
        )

    return make


@pytest.fixture
def make_frame() -> Callable[..., AudioFrame]:
    def make(
        position: int,
        samples: int = 800,
        *,
        fill: int = 1,
        media: MediaParameter = STEREO,
    ) -> AudioFrame:
        """A frame whose external samples are `fill` and whose internal ones are `fill + 1`."""
        values = [fill + (channel is Channel.INTERNAL) for channel in media.channels]
        return AudioFrame(bytes(values) * samples, position, samples, media)

    return make


@pytest.fixture
def disk_full() -> Callable[[int], contextlib.AbstractContextManager[None]]:
    @contextlib.contextmanager
    def limited(size_bytes: int) -> Iterator[None]:
        """The kernel refuses to let any file of this process grow beyond a size."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited
