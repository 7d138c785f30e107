"""A consumer that checks what arrives: how much, which bytes, how late, and what was left out.

Written against the consumer contract alone, beside the recorder and without asking it.
"""

from __future__ import annotations

import hashlib
import math
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from openaudiohook.host.consumer import AudioFrame, Capabilities, Consumer, Reply, SessionInfo

__all__ = ["INTEGRATION", "Checker", "LatencyHistogram", "Receipt", "Span"]

INTEGRATION: Final = "integration"
"""The key of an integration's `customConfig` that names it."""

Span = tuple[int, int]
"""Samples from the first one up to the second."""

_LOWEST_MS: Final = 0.01
_BUCKETS_PER_DECADE: Final = 200  # 1.2 % wide
_DECADES: Final = 8  # up to 1,000 s


class LatencyHistogram:
    """Latencies in buckets that grow with them: exact to about one percent, whatever the count."""

    def __init__(self) -> None:
        self._counts = [0] * (_BUCKETS_PER_DECADE * _DECADES)
        self.count = 0

    def add(self, latency_ms: float) -> None:
        """Count one latency."""
        bucket = 0
        if latency_ms > _LOWEST_MS:
            bucket = int(math.log10(latency_ms / _LOWEST_MS) * _BUCKETS_PER_DECADE)
        self._counts[min(bucket, len(self._counts) - 1)] += 1
        self.count += 1

    def quantile(self, share: float) -> float | None:
        """Return the latency, in milliseconds, that this share of them does not exceed."""
        if not self.count:
            return None
        rank = max(1, math.ceil(share * self.count))
        bucket = bisect_left(list(accumulate(self._counts)), rank)
        return float(_LOWEST_MS * 10 ** ((bucket + 0.5) / _BUCKETS_PER_DECADE))


@dataclass(slots=True)
class Receipt:
    """What one integration received, in samples from the call's first monitored one.

    Attributes:
        session_id: the session it came in; the last one, where there were several.
        conversation_id: the conversation it belongs to.
        samples: how many samples of audio came.
        received: the stretches that came as audio.
        discarded: the stretches that were announced as left out.
        paused: the stretches in which the client paused.
        latency: from a frame's completion at the Monitor until it was here.
        reason: why the session was closed; None while it is open.
        is_consecutive: whether every sample was accounted for, in order and once.
    """

    session_id: str = ""
    conversation_id: str = ""
    samples: int = 0
    received: list[Span] = field(default_factory=list)
    discarded: list[Span] = field(default_factory=list)
    paused: list[Span] = field(default_factory=list)
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    reason: str | None = None
    is_consecutive: bool = True
    _hash: hashlib._Hash = field(default_factory=lambda: hashlib.sha256(usedforsecurity=False))

    @property
    def sha256(self) -> str:
        """The hash of the audio bytes, in the order in which they came."""
        return self._hash.hexdigest()

    def take(self, frame: AudioFrame) -> None:
        """Count a frame's audio."""
        self._hash.update(frame.payload)
        self.samples += frame.samples
        _extend(self.received, frame.position, frame.samples)


class Checker(Consumer):
    """The checking consumer of one session.

    Args:
        receipts: by integration, where to keep what was found; a name that is not in it is
            not one of ours and is left alone.
        completed_ns: tells when the audio before a position was complete at the Monitor, on the
            monotonic clock of this machine.
    """

    name = "checker"
    capabilities = Capabilities()

    def __init__(
        self,
        *,
        receipts: dict[str, Receipt],
        completed_ns: Callable[[int], int | None],
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._receipts = receipts
        self._completed_ns = completed_ns
        self._now_ns = now_ns
        self._receipt = Receipt()
        self._position = 0
        self._paused_at: int | None = None

    async def open(self, session: SessionInfo, reply: Reply) -> None:
        """Find the integration's receipt."""
        name = (session.custom_config or {}).get(INTEGRATION)
        self._receipt = self._receipts.get(str(name), self._receipt)
        self._receipt.session_id = session.session_id
        self._receipt.conversation_id = session.conversation_id
        self._position = session.start
        self._reply = reply

    def audio(self, frame: AudioFrame) -> None:
        """Count and hash a frame, and note how old it is."""
        now_ns = self._now_ns()
        self._receipt.take(frame)
        self._move(frame.position, frame.samples)
        completed_ns = self._completed_ns(frame.position + frame.samples)
        if completed_ns is not None:
            self._receipt.latency.add((now_ns - completed_ns) / 1e6)

    def paused(self, position: int) -> None:
        """Note where a pause begins."""
        if self._paused_at is None:
            self._paused_at = position

    def resumed(self, start: int, discarded: int) -> None:
        """Note what went by in the pause."""
        _extend(self._receipt.paused, start, discarded)
        self._paused_at = None
        self._move(start, discarded)

    def discarded(self, start: int, discarded: int) -> None:
        """Note what was left out."""
        _extend(self._receipt.discarded, start, discarded)
        self._move(start, discarded)

    async def close(self, reason: str) -> None:
        """Note the end; a pause that still holds reaches up to it."""
        if self._paused_at is not None:
            self.resumed(self._paused_at, self._reply.position - self._paused_at)
        self._receipt.reason = reason

    def _move(self, start: int, samples: int) -> None:
        if start != self._position:
            self._receipt.is_consecutive = False
        self._position = start + samples


def _extend(spans: list[Span], start: int, samples: int) -> None:
    """Append a stretch, joined to the last one where it goes on from there."""
    if samples <= 0:
        return
    end = start + samples
    if spans and spans[-1][1] == start:
        start = spans.pop()[0]
    spans.append((start, end))
