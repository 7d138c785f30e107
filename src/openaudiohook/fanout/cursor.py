"""One endpoint's place in a call: what it is sent next, when, and what is left out.

The place is the position of its session. It moves in one direction only, by what is sent, by
what is announced as left out, and by the time that passes in a pause.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from openaudiohook.exceptions import LocalProtocolError
from openaudiohook.fanout.account import Account, Part, settle
from openaudiohook.fanout.convoy import Lane
from openaudiohook.fanout.outlet import Outlet
from openaudiohook.fanout.pauses import Pauses, Span, length, subtract
from openaudiohook.fanout.ring import Discarded, Layout, Paused, Record, Resumed, Updated
from openaudiohook.protocol.client import ClientSession
from openaudiohook.protocol.events import SessionOpened
from openaudiohook.protocol.types import (
    MAX_SENT_BYTES,
    ClientState,
    CloseReason,
    ErrorCode,
    PauseCause,
)

if TYPE_CHECKING:
    from hashlib import _Hash as HASH

    from openaudiohook.fanout.engine import Fanout

__all__ = ["SERVER_REQUESTER", "Cursor", "CursorState"]

SERVER_REQUESTER: Final = "endpoint"
"""The requester of a pause that the endpoint itself asked for."""


class CursorState(enum.StrEnum):
    """Where an endpoint stands in the call."""

    WAITING = "waiting"
    CATCHING_UP = "catching-up"
    LIVE = "live"
    THROTTLED = "throttled"
    ENDED = "ended"


class Cursor:
    """One endpoint's reading place and its account: of one session.

    Made by `Fanout.attach()`, and for a session that replaces another one by `Fanout.replace()`.

    Attributes:
        digest: the hash of what it was sent; shared by all that were sent the same.
        is_whole: it was sent all audio there was.
        layout: what it is sent of the audio; None where it wants none.
        fault: the type of an error of our own that ended this endpoint's part in the call.
        on_throttled: told when audio begins to be left out because the endpoint is behind, and
            when that ends; with the position and the time.
        taken_ns: when the endpoint was last seen to take something while it was throttled.
    """

    __slots__ = (
        "_asked",
        "_call",
        "_checked",
        "_earlier",
        "_end",
        "_history",
        "_index",
        "_is_asked_off",
        "_is_called_off",
        "_is_smooth",
        "_is_throttled",
        "_is_unflushed",
        "_least_unsent",
        "_opened_at",
        "_outlet",
        "_pauses",
        "_sample_bytes",
        "_session",
        "_skipped",
        "_start",
        "digest",
        "fault",
        "is_whole",
        "layout",
        "on_throttled",
        "taken_ns",
    )

    def __init__(self, call: Fanout, *, earlier: Cursor | None = None) -> None:
        self.fault: str | None = None
        self.on_throttled: Callable[[bool, int, int], None] | None = None
        self.taken_ns: int | None = None
        self._least_unsent = 0  # while it is throttled
        self._is_unflushed = False
        self._is_smooth = False  # nothing but whole frames, each as it gets complete
        self._call = call
        self._outlet: Outlet | None = None
        self._session: ClientSession | None = None
        self.layout: Layout | None = None
        self._sample_bytes = 1
        self._index = 0  # the next record of the history
        self._history = 0  # how much of what waits is history; 0 once all of it was sent
        self._checked = 0  # backlog is at most `head - _checked`: no need to ask the kernel
        self._is_throttled = False
        self._pauses = Pauses()  # the endpoint's own
        self._skipped: list[Span] = []
        self._earlier = earlier
        self._start = 0
        self._asked: deque[Span] = deque()  # where earlier sessions were paused by the endpoint
        self._is_asked_off = False  # one of these holds here
        self._is_called_off = False  # a pause of the call does
        self.digest: HASH | None = None
        if call.keeps_evidence:
            self.digest = hashlib.sha256(usedforsecurity=False)
        self.is_whole = True
        self._opened_at: int | None = None
        self._end: int | None = None

    @property
    def position(self) -> int:
        """The position of the next sample for this endpoint."""
        return 0 if self._session is None else self._session.position

    @property
    def state(self) -> CursorState:
        """Where the endpoint stands."""
        if self._end is not None:
            return CursorState.ENDED
        if self._session is None:
            return CursorState.WAITING
        if self._is_throttled:
            return CursorState.THROTTLED
        return CursorState.CATCHING_UP if self._history else CursorState.LIVE

    @property
    def account(self) -> Account:
        """The account so far; exact once both the call and the endpoint are at their ends."""
        part, head = self.part, self._call.head
        return settle(
            [] if part is None else [part],
            pauses=self._call.pauses.intervals(until=head),
            span=(0, head),
            is_over=self._end is not None,
        )

    @property
    def part(self) -> Part | None:
        """What the session did of the call so far; None where it never opened."""
        if self._opened_at is None:
            return None
        end = self.position if self._end is None else self._end
        return Part(
            start=self._start,
            end=end,
            skipped=tuple(self._skipped),
            pauses=tuple(self._pauses.intervals(until=end)),
            opened_at=self._opened_at,
            sent_sha256=None if self.digest is None else self.digest.hexdigest(),
        )

    def _asked_pauses(self) -> list[Span]:
        """Return where the endpoint had its session paused; a pause that held still does."""
        edge, session = self._call.edge, self._session
        spans = [(pause.start, pause.end) for pause in self._pauses.intervals(until=edge)]
        if session is not None and session.is_server_paused and not self._pauses.is_paused:
            spans.append((session.position, edge))  # asked since the last tick
        return spans

    def open(
        self,
        session: ClientSession,
        outlet: Outlet,
        opened: SessionOpened,
        now_ns: int,
        *,
        language: str | None = None,
    ) -> None:
        """Begin to stream: the session, whose connection is the outlet, got its `opened`.

        The history goes first, at most the last 20 s of it; what is older, and what the server
        does not want, is announced as discarded. Where the call is paused at that place, the
        session starts paused. Where an earlier session of the endpoint was paused because it
        asked, the history is paused as well: what it did not want then it is not sent now.

        Args:
            session: its position is where the history that was offered starts.
            outlet: its connection.
            opened: what the server chose.
            now_ns: the time.
            language: the media language that `open` told.

        Raises:
            LocalProtocolError: the cursor was opened or ended before.
            MediaError: the ring cannot deliver the selected media.
        """
        if self._session is not None or self._end is not None:
            raise LocalProtocolError(f"a cursor opens once, and this one is {self.state}")
        call, ring = self._call, self._call.ring
        if opened.media is not None:
            self.layout = ring.layout_for(opened.media)
            self._sample_bytes = self.layout.sample_bytes
        self._outlet, self._session = outlet, session
        self._opened_at = edge = call.edge
        self._start = start = session.position
        if start:
            self._leave_whole()
        first = max(start, edge - call.catch_up_samples)
        first = max(first, min(opened.discard_to or 0, edge))
        latest = language
        for record in ring.records:
            if record.position > first:
                break
            match record:
                case Updated():
                    latest = record.language
                case Discarded():
                    first = max(first, record.end)
                case _:
                    self._is_called_off = isinstance(record, Paused)
            self._index += 1
        self._history = max(0, edge - first)
        self._checked = edge
        if self._earlier is not None:
            # Its own pauses hold those of the sessions before it.
            self._asked.extend(subtract(self._earlier._asked_pauses(), [(0, first)]))
            for from_, to in self._asked:
                self._pauses.begin(PauseCause.SERVER, SERVER_REQUESTER, at=from_)
                self._pauses.end(PauseCause.SERVER, SERVER_REQUESTER, at=to)
        self._replay_pauses(session, first, now_ns)
        session.begin(now_ns, discard=first - start)
        if first > start:
            self._skip(start, first)
        if latest is not None and latest != language:
            session.update(latest, now_ns)
        outlet.flush()
        call.wake()

    def sent_since(self, position: int) -> int:
        """Count the samples at or after `position` that left, in this session or before it."""
        held = self._call.pauses.intervals(until=self._call.head)
        sent: list[Span] = []
        cursor: Cursor | None = self
        while cursor is not None:
            if (part := cursor.part) is not None:
                sent += part.sent(held)
            cursor = cursor._earlier
        return length(subtract(sent, [(0, position)]))

    def renumber(self, inserted: list[int]) -> None:
        """Keep the place in the history, into which records were put before those numbers."""
        self._index += bisect_left(inserted, self._index)

    def let_go(self, samples: int) -> None:
        """Expect so much audio at once that was held back until now: it is no backlog."""
        self._history += samples

    def end(self) -> None:
        """Account for the end of the endpoint's part: its session is over, or never began."""
        if self._end is None:
            self._end = self.position
            self._own_digest()
            self._call.wake()

    @property
    def check_at(self) -> int:
        """The edge at which its backlog may be so large that it has to be looked at."""
        return self._checked + self._call.throttle_in_samples

    def keeps_up(self) -> bool:
        """Ask the kernel how much has not arrived; say whether that is no backlog.

        Good where no history is being sent, and nothing is left out between here and the edge.
        """
        session, outlet = self._session, self._outlet
        if session is None or outlet is None:
            return False
        self._checked = session.position - self._unsent(outlet)
        return self._call.edge < self.check_at

    def advance(self, now_ns: int) -> bool:
        """Send what is due; say whether more is waiting than could be sent now."""
        session, outlet = self._session, self._outlet
        if session is None or outlet is None or self._end is not None:
            return False
        try:
            if self._is_smooth and self._send_frame(session, outlet, now_ns):
                return False
            was_smooth = self._is_smooth
            is_restless = self._advance(session, outlet, now_ns)
            if self._is_unflushed:
                self._is_unflushed = False
                outlet.flush()
            # Who has caught up can ride with the others from the next tick on.
            return is_restless or (self._is_smooth and not was_smooth)
        except Exception as error:
            self.fail(error, now_ns)
            return False

    def ping_early(self, now_ns: int, *, before_ns: int) -> int | None:
        """Send its session's ping now if it is due before then; return when the next one is."""
        session, outlet = self._session, self._outlet
        if session is None or outlet is None or self._end is not None:
            return None
        try:
            pinged_at_ns = session.next_deadline_ns()
            due_ns = session.ping_early(now_ns, before_ns=before_ns)
            if due_ns != pinged_at_ns:
                outlet.flush()
            return due_ns
        except Exception as error:
            self.fail(error, now_ns)
            return None

    def lane(self, at: int, now_ns: int) -> Lane | None:
        """Return what it takes to send the frame that begins at `at`, if that is all that is due.

        None where it is elsewhere, or where something else is due or could be.
        """
        session, outlet, layout = self._session, self._outlet, self.layout
        if (
            session is None
            or outlet is None
            or layout is None
            or session.position != at
            or session.trace is not None
            or not self._is_smooth
            or self._index != len(self._call.ring.records)
            or self._end is not None
        ):
            return None
        try:
            if outlet.clear(layout.sample_bytes):
                return Lane(self, session, outlet, layout)
        except Exception as error:
            self.fail(error, now_ns)
        return None

    def _send_frame(self, session: ClientSession, outlet: Outlet, now_ns: int) -> bool:
        """Do what `_advance` would where nothing is due but the one frame just completed.

        That is so nearly always, and costs a fraction of it. False, and nothing done, where
        anything at all is different.
        """
        call = self._call
        ring, start, layout = call.ring, call.frame_start, self.layout
        end = start + call.frame_samples
        if session.position != start or layout is None or self._index != len(ring.records):
            return False
        if call.edge >= self.check_at and (self._backlog(outlet) >= call.throttle_in_samples):
            return False
        payload = ring.read(start, call.frame_samples, layout)
        if not outlet.send_audio(payload, now_ns):
            return False
        self._account(payload, layout, end)
        return True

    def fail(self, error: Exception, now_ns: int) -> None:
        """End the session for a mistake of our own; the other endpoints hear nothing of it."""
        session, outlet = self._session, self._outlet
        self.fault = type(error).__name__
        self._is_unflushed = False
        self.end()
        self._call.wake()
        if session is not None and outlet is not None:
            with contextlib.suppress(Exception):
                session.fail(ErrorCode.INTERNAL, "internal error", now_ns)
                outlet.flush()

    def _advance(self, session: ClientSession, outlet: Outlet, now_ns: int) -> bool:
        call = self._call
        ring, records = call.ring, call.ring.records
        budget = call.burst_samples
        is_restless = False
        while session.state is ClientState.OPEN:
            if session.is_server_paused is not self._pauses.is_paused:
                self._note_server_pause(session)
            position = session.position
            if self._history and call.edge - position < call.frame_samples:
                self._history = 0
                self._checked = position - call.throttle_in_samples  # ask before the next frame
            limit, is_final = call.edge, call.is_finished
            turn = self._replay_pauses(session, position, now_ns) if self._asked else None
            if self._index < len(records):
                at = records[self._index].position
                if at <= position:
                    self._apply(records[self._index], session, now_ns)
                    self._index += 1
                    self._is_unflushed = True
                    continue
                if at <= limit:
                    limit, is_final = at, True
            elif limit == position:
                if is_final:
                    session.close(now_ns, reason=CloseReason.END)
                    self._is_unflushed = True
                break
            if turn is not None and turn < limit:
                limit, is_final = turn, True
            # A frame goes when it is whole; before a cut, and at the end, as far as it got.
            due = limit
            if not is_final:
                due -= (limit - call.phase_samples) % call.frame_samples
                if due <= position:
                    break
            if not session.is_flowing:
                if session.media is None:
                    self._skip(position, due)
                elif not self._is_called_off:
                    self._leave_whole()
                session.drop_audio(due - position, now_ns)
                continue
            if self._is_throttled:
                if (unsent := self._unsent(outlet)) < self._least_unsent:
                    self._least_unsent, self.taken_ns = unsent, now_ns
                self._is_throttled = self._is_congested(outlet)
                if self._is_throttled and not is_final:
                    is_restless = True
                    break
                session.discard(due - position, now_ns)
                self._skip(position, due)
                self._is_unflushed = True
                if not self._is_throttled and self.on_throttled is not None:
                    self.on_throttled(False, due, now_ns)
                continue
            is_first = budget == call.burst_samples
            if self._is_unflushed and not is_first:
                self._is_unflushed = False
                outlet.flush()  # or else nobody knows whether another frame may follow
                continue
            if is_first and call.edge >= self.check_at:
                is_late = self._backlog(outlet) >= call.throttle_in_samples
                # What waits because we were held up goes at once. A pause is no backlog; a long
                # one can still push what waits out of the ring.
                if (is_late and self._is_congested(outlet)) or position < ring.tail:
                    self._is_throttled = True
                    self._least_unsent = self._unsent(outlet)
                    if self.on_throttled is not None:
                        self.on_throttled(True, position, now_ns)
                    continue
            if budget <= 0 or not outlet.is_writable:
                is_restless = True
                break
            offset = (position - call.phase_samples) % call.frame_samples
            end = min(due, position - offset + call.frame_samples)
            if self._history:
                if self._unsent(outlet) > call.throttle_out_samples:
                    is_restless = True
                    break
                end = min(due, max(end, position - offset + self._chunk_samples()))
            layout = self.layout
            assert layout is not None
            payload = ring.read(position, end - position, layout)
            session.send_audio(payload, now_ns)
            self._is_unflushed = True
            self._account(payload, layout, end)
            if end == due and not (is_final or self._history):
                break
            budget -= end - position
        if session.state is not ClientState.OPEN:
            self.end()
        self._is_smooth = not (
            is_restless
            or self._history
            or self._is_throttled
            or self._asked
            or self._pauses.is_paused
        )
        return is_restless

    def _account(self, payload: bytes, layout: Layout, end: int) -> None:
        """Count what was sent, up to `end`."""
        if self.digest is None:
            return
        if self.is_whole:
            self.digest = layout.digest(self.digest, payload, end)
        else:
            self.digest.update(payload)

    def _apply(self, record: Record, session: ClientSession, now_ns: int) -> None:
        match record:
            case Paused():
                self._is_called_off = True
                self._hold(session, now_ns)
            case Resumed():
                self._is_called_off = False
                self._hold(session, now_ns)
            case Updated(language=language):
                session.update(language, now_ns)
            case Discarded(end=end):
                start = session.position  # within the gap, where what it held was withdrawn later
                if start < end and session.is_flowing:
                    session.discard(end - start, now_ns)
                elif start < end:
                    session.drop_audio(end - start, now_ns)
                if start < end:
                    self._skip(start, end)

    def _replay_pauses(self, session: ClientSession, at: int, now_ns: int) -> int | None:
        """Begin or end there what paused an earlier session; return where that happens next."""
        while self._asked and self._asked[0][1] <= at:
            self._asked.popleft()
        start, end = self._asked[0] if self._asked else (None, None)
        self._is_asked_off = start is not None and start <= at
        self._hold(session, now_ns)
        return end if self._is_asked_off else start

    def _hold(self, session: ClientSession, now_ns: int) -> None:
        holds = self._is_called_off or self._is_asked_off
        if holds and not session.is_client_paused:
            session.pause(now_ns)
            self._is_unflushed = True
        elif session.is_client_paused and not holds:
            session.resume(now_ns)
            self._is_unflushed = True

    def _leave_whole(self) -> None:
        # From here on nobody else is sent the same audio.
        if self.is_whole:
            self.is_whole = False
            self._own_digest()

    def _own_digest(self) -> None:
        if self.digest is not None:
            self.digest = self.digest.copy()  # that of the others goes on

    def _skip(self, start: int, end: int) -> None:
        self._leave_whole()
        if self._skipped and self._skipped[-1][1] == start:
            start = self._skipped.pop()[0]
        self._skipped.append((start, end))

    def _note_server_pause(self, session: ClientSession) -> None:
        # The session answers `pause` and `resume` by itself, and it moves only here: where it
        # stands now is where it was answered.
        note = self._pauses.begin if session.is_server_paused else self._pauses.end
        note(PauseCause.SERVER, SERVER_REQUESTER, at=session.position)

    def _chunk_samples(self) -> int:
        """How much history one message holds: whole frames, and never a backlog by itself."""
        call = self._call
        most = min(call.throttle_out_samples, MAX_SENT_BYTES // self._sample_bytes)
        return most - most % call.frame_samples

    def _is_congested(self, outlet: Outlet) -> bool:
        return self._unsent(outlet) > self._call.throttle_out_samples or not outlet.is_writable

    def _unsent(self, outlet: Outlet) -> int:
        return outlet.unsent_bytes() // self._sample_bytes

    def _backlog(self, outlet: Outlet) -> int:
        session = self._session
        assert session is not None
        unsent = self._unsent(outlet)
        self._checked = session.position + self._history - unsent
        waiting = self._call.ring.audio_after(
            session.position,
            index=self._index,
            is_paused=self._is_called_off,
            until=self._call.edge,
        )
        # While history is being sent, what comes live meanwhile waits behind it: only a wait
        # that has grown since the session opened is backlog.
        return max(0, waiting - self._history) + unsent
