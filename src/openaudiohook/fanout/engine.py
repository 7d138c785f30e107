"""One call and its endpoints: a timeline that is written once, and a cursor for each endpoint.

Everything here is driven by `tick(now_ns)`. Endpoints share the timeline and nothing else: what
one of them does cannot be seen by the others.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from fractions import Fraction
from typing import Final

from openaudiohook.exceptions import ConfigurationError, LocalProtocolError
from openaudiohook.fanout.cursor import Cursor, CursorState, Outlet
from openaudiohook.fanout.pauses import Pauses
from openaudiohook.fanout.ring import Discarded, Paused, Resumed, Ring, Updated
from openaudiohook.protocol.media import SAMPLE_RATE
from openaudiohook.protocol.types import PauseCause

__all__ = ["MAX_FRAME_SAMPLES", "Cursor", "CursorState", "Fanout", "Outlet"]

MAX_FRAME_SAMPLES: Final = 32_000
"""A stereo frame of more would not fit a message (protocol section 2.4)."""

# How far one endpoint may get ahead in one tick of 10 ms: fifty times as fast as speech.
_BURST_SAMPLES: Final = 4_000
_REMEMBERED_WRITES: Final = 4_096


class Fanout:
    """One call's timeline in samples, from its first monitored sample on, and its endpoints.

    Args:
        frame_samples: how much audio goes in one message when live.
        speed: how many times faster than real time the call runs; thresholds are wall time, so
            they are as many times more audio.
        ring_samples: how much audio is kept; more where the thresholds need it.
        catch_up_samples: how much history a session gets at most when it opens.
        throttle_in_samples: the backlog at which an endpoint is throttled.
        throttle_out_samples: the backlog at which it is live again.
        phase_samples: where in the call frames begin; calls that differ in it do not all send
            at one moment.

    Attributes:
        ring: the audio and the history.
        pauses: the call's own pauses, which hold for every endpoint.
        is_finished: the call was hung up; its length is final.
    """

    __slots__ = (
        "_cursors",
        "_due",
        "_is_restless",
        "_is_unflushed",
        "_written",
        "burst_samples",
        "catch_up_samples",
        "frame_samples",
        "is_finished",
        "pauses",
        "phase_samples",
        "ring",
        "throttle_in_samples",
        "throttle_out_samples",
    )

    def __init__(
        self,
        *,
        frame_samples: int = 800,
        speed: int | Fraction = 1,
        ring_samples: int = 30 * SAMPLE_RATE,
        catch_up_samples: int = 20 * SAMPLE_RATE,
        throttle_in_samples: int = 2 * SAMPLE_RATE,
        throttle_out_samples: int = SAMPLE_RATE // 2,
        phase_samples: int = 0,
    ) -> None:
        if not 1 <= frame_samples <= MAX_FRAME_SAMPLES:
            raise ConfigurationError(
                f"a frame has 1 to {MAX_FRAME_SAMPLES} samples, not {frame_samples}"
            )
        if speed <= 0:
            raise ConfigurationError(f"the speed of a call is above 0, not {speed}")
        if not 0 <= throttle_out_samples < throttle_in_samples:
            raise ConfigurationError("throttling ends at a smaller backlog than it begins at")
        self.frame_samples = frame_samples
        self.phase_samples = phase_samples % frame_samples
        self.catch_up_samples = catch_up_samples
        self.throttle_in_samples = int(throttle_in_samples * speed)
        self.throttle_out_samples = int(throttle_out_samples * speed)
        self.burst_samples = max(frame_samples, int(_BURST_SAMPLES * speed))
        # An endpoint that is about to be throttled must still find its audio.
        needed = catch_up_samples + self.throttle_in_samples + 2 * frame_samples
        self.ring = Ring(max(ring_samples, needed))
        self.pauses = Pauses()
        self.is_finished = False
        self._cursors: tuple[Cursor, ...] = ()
        self._written: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED_WRITES)
        self._due = 0
        self._is_restless = False
        self._is_unflushed = False

    @property
    def head(self) -> int:
        """How much monitored call time has passed, in samples."""
        return self.ring.head

    @property
    def is_paused(self) -> bool:
        """Whether a secure or client pause holds."""
        return self.pauses.is_paused

    @property
    def endpoints(self) -> tuple[Cursor, ...]:
        """The cursors, in the order in which they were attached."""
        return self._cursors

    def write(self, stereo: bytes | bytearray | memoryview, now_ns: int) -> None:
        """Append audio: mu-law, external and internal sample by turns, complete at `now_ns`.

        Raises:
            LocalProtocolError: the call is paused or over; nothing was stored.
            MediaError: the audio ends within a sample.
        """
        if self.pauses.is_paused:
            raise LocalProtocolError("the call is paused: its audio must not be stored")
        self._check_running()
        self.ring.write(stereo)
        self._written.append((self.ring.head, now_ns))

    def skip(self, samples: int) -> None:
        """Let call time pass without audio: the pause's time, or else a gap of the source.

        A gap is announced to every endpoint as discarded.
        """
        self._check_running()
        start = self.ring.head
        self.ring.skip(samples)
        if samples and not self.pauses.is_paused:
            self.ring.records.append(Discarded(start, self.ring.head))
            self.wake()

    def begin_pause(self, cause: PauseCause, requester: str) -> int:
        """Pause every endpoint at one and the same sample; return it: the cut.

        The cut is the first sample that is not written yet. What was written before it is still
        delivered. Idempotent for each cause and requester: of a pause that holds already the
        original cut is returned.

        Raises:
            LocalProtocolError: servers pause their own session, not the call.
        """
        if cause is PauseCause.SERVER:
            raise LocalProtocolError("a server pause belongs to one session, not to the call")
        head = self.ring.head
        if not self.pauses.is_paused:
            self.ring.records.append(Paused(head))
            self.wake()
        return self.pauses.begin(cause, requester, at=head)

    def end_pause(self, cause: PauseCause, requester: str) -> int:
        """End that pause and no other; return the sample at which it ended.

        The stream goes on when the last one has ended. Idempotent.
        """
        head = self.ring.head
        if self.pauses.end(cause, requester, at=head) and not self.pauses.is_paused:
            started = next(r for r in reversed(self.ring.records) if isinstance(r, Paused))
            self.ring.records.append(Resumed(head, started.position))
            self.wake()
        return head

    def update_language(self, language: str) -> None:
        """Announce the media language from here on."""
        self.ring.records.append(Updated(self.ring.head, language))
        self.wake()

    def attach(self) -> Cursor:
        """Add an endpoint; it streams from the time on at which its cursor is opened."""
        cursor = Cursor(self)
        self._cursors += (cursor,)
        return cursor

    def tick(self, now_ns: int) -> None:
        """Send every endpoint what is due."""
        self.advance(now_ns)
        self.flush(now_ns)

    def advance(self, now_ns: int) -> None:
        """Hand every endpoint what is due, and write nothing yet.

        Who runs many calls advances them all and flushes them then: writing at a stretch is
        cheaper, for the readers of one machine need not be woken for each frame.
        """
        if self.ring.head < self._due and not self._is_restless:
            return
        self._is_restless = False
        self._is_unflushed = True
        self._due = self.ring.head + self.frame_samples
        self._due -= (self.ring.head - self.phase_samples) % self.frame_samples
        for cursor in self._cursors:
            if cursor.advance(now_ns):
                self._is_restless = True

    def flush(self, now_ns: int) -> None:
        """Write what endpoints were handed."""
        if self._is_unflushed:
            self._is_unflushed = False
            for cursor in self._cursors:
                if cursor.is_unflushed:
                    cursor.flush(now_ns)

    def wake(self) -> None:
        """See to it that the next tick looks at every endpoint."""
        self._is_restless = True

    def finish(self, now_ns: int) -> None:
        """Hang up: what waits is delivered in order, then each session is closed.

        Ticks go on until the endpoints have ended. One that opens only now gets its history.
        """
        self.is_finished = True
        self.wake()
        self.tick(now_ns)

    def completed_ns(self, position: int) -> int | None:
        """Return when the audio before `position` was complete, while that is remembered."""
        at = bisect_left(self._written, position, key=lambda written: written[0])
        return self._written[at][1] if at < len(self._written) else None

    def _check_running(self) -> None:
        if self.is_finished:
            raise LocalProtocolError("the call was hung up: its time has ended")
