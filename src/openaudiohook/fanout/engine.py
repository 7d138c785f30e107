"""One call and its endpoints: a timeline that is written once, and a cursor for each endpoint.

Everything here is driven by `tick(now_ns)`. Endpoints share the timeline and nothing else: what
one of them does cannot be seen by the others.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Final, NamedTuple

from openaudiohook.exceptions import ConfigurationError, LocalProtocolError
from openaudiohook.fanout.convoy import Convoy
from openaudiohook.fanout.cursor import Cursor, CursorState
from openaudiohook.fanout.outlet import Outlet
from openaudiohook.fanout.pauses import Pauses, Reason
from openaudiohook.fanout.ring import Discarded, Paused, Resumed, Ring, Updated
from openaudiohook.protocol.client import ClientSession
from openaudiohook.protocol.events import SessionOpened
from openaudiohook.protocol.media import SAMPLE_RATE
from openaudiohook.protocol.types import PauseCause

__all__ = [
    "MAX_FRAME_SAMPLES",
    "MAX_HOLD_BACK_SAMPLES",
    "Cursor",
    "CursorState",
    "Cut",
    "Fanout",
    "Outlet",
]

MAX_FRAME_SAMPLES: Final = 32_000
"""A stereo frame of more would not fit a message (protocol section 2.4)."""

MAX_HOLD_BACK_SAMPLES: Final = 3 * SAMPLE_RATE
"""Whoever listens live can be kept waiting so long, and no longer."""

# How far one endpoint may get ahead in one tick of 10 ms: fifty times as fast as speech.
_BURST_SAMPLES: Final = 4_000
_REMEMBERED_WRITES: Final = 4_096
# A ping that is due so soon goes with a frame: the reader is awake then, and a socket's memory at
# hand. Done at its own time it costs twice as much.
_PING_EARLY_NS: Final = 100_000_000


class Cut(NamedTuple):
    """Where a pause cut the stream, and what had left by then.

    Attributes:
        position: the first sample that leaves no more, on any endpoint.
        began: the sample that was live when the pause began; audio between the two was withdrawn
            from all who had not been sent it yet.
        gone: for each endpoint, in the order of `Fanout.endpoints`, how many samples at or after
            the cut had been handed to its connection already.
    """

    position: int
    began: int
    gone: tuple[int, ...]


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
        hold_back_samples: how long audio waits before it is live for endpoints, in call time, so
            that a cut can take back that much.
        keeps_evidence: count the hash of what each endpoint is sent, and remember when audio was
            complete, for whoever compares both ends.
        on_wake: told when the next tick must not be left out, though no frame is complete.

    Attributes:
        ring: the audio and the history.
        edge: the position up to which endpoints are sent audio: what is live for them.
        pauses: the call's own pauses, which hold for every endpoint.
        is_paused: one of them holds, a secure or a client pause.
        is_finished: the call was hung up; its length is final.
        is_restless: there is something to do at the next tick, though no frame is complete.
        frame_start: where the frame begins that was completed last; -1 where it is not whole.
    """

    __slots__ = (
        "_convoy",
        "_cursors",
        "_cuts",
        "_due",
        "_on_wake",
        "_ping_at_ns",
        "_written",
        "burst_samples",
        "catch_up_samples",
        "edge",
        "frame_samples",
        "frame_start",
        "hold_back_samples",
        "is_finished",
        "is_paused",
        "is_restless",
        "keeps_evidence",
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
        hold_back_samples: int = 0,
        keeps_evidence: bool = True,
        on_wake: Callable[[], None] = lambda: None,
    ) -> None:
        if not 1 <= frame_samples <= MAX_FRAME_SAMPLES:
            raise ConfigurationError(
                f"a frame has 1 to {MAX_FRAME_SAMPLES} samples, not {frame_samples}"
            )
        if speed <= 0:
            raise ConfigurationError(f"the speed of a call is above 0, not {speed}")
        if not 0 <= throttle_out_samples < throttle_in_samples:
            raise ConfigurationError("throttling ends at a smaller backlog than it begins at")
        if not 0 <= hold_back_samples <= MAX_HOLD_BACK_SAMPLES:
            raise ConfigurationError(
                f"0 to {MAX_HOLD_BACK_SAMPLES} samples can be held back, not {hold_back_samples}"
            )
        self.frame_samples = frame_samples
        self.hold_back_samples = hold_back_samples
        self.keeps_evidence = keeps_evidence
        self.edge = 0
        self.phase_samples = phase_samples % frame_samples
        self.catch_up_samples = catch_up_samples
        self.throttle_in_samples = int(throttle_in_samples * speed)
        self.throttle_out_samples = int(throttle_out_samples * speed)
        self.burst_samples = max(frame_samples, int(_BURST_SAMPLES * speed))
        # An endpoint that is about to be throttled must still find its audio.
        needed = catch_up_samples + self.throttle_in_samples + 2 * frame_samples
        needed += hold_back_samples
        self.ring = Ring(max(ring_samples, needed))
        self.pauses = Pauses()
        self.is_paused = False
        self.is_finished = False
        self._cursors: tuple[Cursor, ...] = ()
        self._convoy: Convoy | None = None
        self._cuts: dict[Reason, int] = {}
        self._written: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED_WRITES)
        self._on_wake = on_wake
        self._due = 0
        self._ping_at_ns = 0  # when to look after pings next
        self.frame_start = -1
        self.is_restless = False

    @property
    def head(self) -> int:
        """How much monitored call time has passed, in samples."""
        return self.ring.head

    @property
    def history_start(self) -> int:
        """Where the history starts that a new session is offered: at most 20 s before the edge."""
        return max(0, self.edge - self.catch_up_samples, self.ring.tail)

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
        ring = self.ring
        if self.is_paused:
            raise LocalProtocolError("the call is paused: its audio must not be stored")
        if self.is_finished:
            self._check_running()
        ring.write(stereo)
        edge = ring.head
        if self.hold_back_samples:
            edge = max(self.edge, edge - self.hold_back_samples)
        self.edge = edge
        if self.keeps_evidence:
            self._written.append((edge, now_ns))

    def skip(self, samples: int) -> None:
        """Let call time pass without audio: the pause's time, or else a gap of the source.

        A gap is announced to every endpoint as discarded.
        """
        self._check_running()
        start = self.ring.head
        self.ring.skip(samples)
        self.edge = max(self.edge, self.ring.head - self.hold_back_samples)
        if samples and not self.is_paused:
            self.ring.records.append(Discarded(start, self.ring.head))
            self.wake()

    def hold_back(self, samples: int) -> None:
        """Hold audio back for so long from now on, where that is longer than it was.

        What is live already stays so, and nothing more gets live until it has waited as long.
        """
        self.hold_back_samples = max(self.hold_back_samples, min(samples, MAX_HOLD_BACK_SAMPLES))

    def begin_pause(
        self, cause: PauseCause, requester: str, *, effective_at: int | None = None
    ) -> Cut:
        """Pause every endpoint, cut at one and the same sample; return where.

        What was written before the cut is still delivered. What was written at or after it and
        was not sent yet is withdrawn: it is erased, and announced as discarded. From now on
        nothing is written.

        Idempotent for each cause and requester: of a pause that holds already the original cut is
        returned, and nothing changes unless an earlier one is asked for now.

        Args:
            cause: `SECURE` or `CLIENT`.
            requester: who asks; only the same one can end it.
            effective_at: the cut. A sample that is yet to come means the next one, for a start is
                neither refused nor put off; one before the call means all of it. Where it is
                None, a secure pause takes back all that is held back, and a client pause nothing.

        Raises:
            LocalProtocolError: servers pause their own session, not the call.
        """
        if cause is PauseCause.SERVER:
            raise LocalProtocolError("a server pause belongs to one session, not to the call")
        head, held = self.ring.head, self._cuts.get((cause, requester))
        if effective_at is not None:
            cut = max(0, min(effective_at, head))
        elif held is not None:
            cut = held
        else:
            cut = head if cause is PauseCause.CLIENT else max(0, head - self.hold_back_samples)
        # First nothing more gets in; then what is in is taken back.
        if not self.is_paused:
            self.ring.records.append(Paused(head))
        self.is_paused = True
        began = self.pauses.begin(cause, requester, at=head)
        self.wake()
        if held is None or cut < held:
            self._cuts[cause, requester] = cut
            self._withdraw(cut)
        else:
            cut = held
        return Cut(cut, began, tuple(cursor.sent_since(cut) for cursor in self._cursors))

    def end_pause(self, cause: PauseCause, requester: str) -> int:
        """End that pause and no other; return the sample at which it ended.

        The stream goes on when the last one has ended. Idempotent.
        """
        head = self.ring.head
        self._cuts.pop((cause, requester), None)
        has_ended = self.pauses.end(cause, requester, at=head)
        self.is_paused = self.pauses.is_paused
        if has_ended and not self.is_paused:
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

    def replace(
        self,
        cursor: Cursor,
        session: ClientSession,
        outlet: Outlet,
        opened: SessionOpened,
        now_ns: int,
        *,
        language: str | None = None,
    ) -> Cursor:
        """Open a cursor for a session that goes on with an endpoint's stream, and return it.

        It stands in the other one's place from now on, which is sent nothing more. The arguments
        are those of `Cursor.open`.

        Raises:
            MediaError: the ring cannot deliver the selected media; nothing has changed.
        """
        follower = Cursor(self, earlier=cursor)
        follower.open(session, outlet, opened, now_ns, language=language)
        self._cursors = tuple(follower if one is cursor else one for one in self._cursors)
        return follower

    def tick(self, now_ns: int) -> None:
        """Send every endpoint what is due.

        Who runs many calls writes the audio of all of them first, and ticks them then: sending
        at a stretch is cheaper, for the readers of one machine need not be woken for each frame.
        """
        edge = self.edge
        if edge < self._due and not self.is_restless:
            return
        convoy, cursors = self._convoy, self._cursors
        if self.is_restless:
            self.is_restless, convoy = False, None
            self._ping_at_ns = now_ns
        complete = edge - (edge - self.phase_samples) % self.frame_samples
        self._due = complete + self.frame_samples
        if self.hold_back_samples:
            self._look_ahead(now_ns)
        start = complete - self.frame_samples
        if convoy is not None and convoy.send(self.ring, start, self.frame_samples, edge, now_ns):
            cursors = convoy.others
        else:
            convoy = None
        self.frame_start = -1 if self.is_finished else start
        for cursor in cursors:
            if cursor.advance(now_ns):
                self.is_restless = True
        if now_ns >= self._ping_at_ns:
            self._ping_early(now_ns)
        if convoy is None:  # formed while something is due, it would only be given up again
            self._convoy = (
                None if self.is_restless else Convoy.form(self._cursors, complete, now_ns)
            )

    def wake(self) -> None:
        """See to it that the next tick looks at every endpoint."""
        self.is_restless = True
        self._on_wake()

    def finish(self, now_ns: int) -> None:
        """Hang up: what waits is delivered in order, then each session is closed.

        Ticks go on until the endpoints have ended. One that opens only now gets its history.
        """
        if not self.is_finished:
            self.is_finished = True
            for cursor in self._cursors:
                cursor.let_go(self.ring.head - self.edge)
            self.edge = self.ring.head
        self.wake()
        self.tick(now_ns)

    def completed_ns(self, position: int) -> int | None:
        """Return when the audio before `position` was complete, if and while that is remembered.

        Audio that is held back is complete when it becomes live for endpoints.
        """
        at = bisect_left(self._written, position, key=lambda written: written[0])
        return self._written[at][1] if at < len(self._written) else None

    def _withdraw(self, cut: int) -> None:
        inserted = self.ring.withdraw(cut)
        for cursor in self._cursors:
            cursor.renumber(inserted)

    def _ping_early(self, now_ns: int) -> None:
        before_ns = now_ns + _PING_EARLY_NS
        due_ns = [cursor.ping_early(now_ns, before_ns=before_ns) for cursor in self._cursors]
        first_ns = min((at_ns for at_ns in due_ns if at_ns is not None), default=now_ns)
        self._ping_at_ns = first_ns - _PING_EARLY_NS

    def _look_ahead(self, now_ns: int) -> None:
        # Time passes in a pause, too; and what happened there waits for the edge as audio does.
        if self.keeps_evidence and not (self._written and self._written[-1][0] == self.edge):
            self._written.append((self.edge, now_ns))
        for record in reversed(self.ring.records):
            if record.position <= self.edge:
                break
            self._due = min(self._due, record.position)

    def _check_running(self) -> None:
        if self.is_finished:
            raise LocalProtocolError("the call was hung up: its time has ended")
