"""Endpoints of one call that are at one place: they are sent each frame together.

Nearly always every endpoint of a call waits for nothing but the frame that gets complete next.
What is the same for all of them is then done once, their position kept once, and what is left for
each is to write. Nobody is asked each time whether that is still so: an endpoint with which
anything else happens says so at once. Then the convoy is given up, and each is looked at by itself.

That is what a frame costs, and so it is written for the memory it touches: a call is visited ten
times a second, and nothing of it is in the processor's cache by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from openaudiohook.fanout.outlet import Outlet, Stream, Writer
from openaudiohook.fanout.ring import Layout, Ring
from openaudiohook.protocol.client import ClientSession, Place

if TYPE_CHECKING:
    from hashlib import _Hash as HASH

    from openaudiohook.fanout.cursor import Cursor

__all__ = ["Convoy", "Lane"]

_BINARY: Final = 2  # RFC 6455 section 5.2


class Lane(NamedTuple):
    """One endpoint that waits for nothing but the next frame.

    Attributes:
        cursor: the endpoint's place.
        session: its session.
        outlet: the session's connection.
        layout: what it is sent of the audio.
    """

    cursor: Cursor
    session: ClientSession
    outlet: Outlet
    layout: Layout


class Convoy:
    """Endpoints that wait for the same frame in one layout. See `form`.

    Attributes:
        others: the call's other endpoints.
        place: where all of them stand.
        until: the edge at which `keeps_up` is to be asked before more is sent.
        is_intact: nothing but this convoy's frames happened to its endpoints.
    """

    __slots__ = (
        "_digests",
        "_lanes",
        "_layout",
        "_streams",
        "_writers",
        "is_intact",
        "others",
        "place",
        "until",
    )

    def __init__(self, lanes: Sequence[Lane], at: int, *, others: Sequence[Cursor]) -> None:
        self.is_intact = True
        self.others = tuple(others)
        self.place = Place(at)
        self._lanes = tuple(lanes)
        self._layout = lanes[0].layout
        self.until = min(lane.cursor.check_at for lane in lanes)
        passages = [lane.outlet.passage(self.break_up) for lane in lanes]
        self._streams: tuple[Stream, ...] = tuple(stream for stream, _ in passages)
        self._writers: tuple[Writer, ...] = tuple(writer for _, writer in passages)
        digests: list[HASH] = []
        shared: HASH | None = None  # all of those were sent the same: it is counted once
        for lane in lanes:
            lane.session.move_with(self.place)
            cursor = lane.cursor
            if cursor.digest is None:
                continue
            if cursor.is_whole and shared is not None:
                cursor.digest = shared
                continue
            if cursor.is_whole:
                shared = cursor.digest = cursor.digest.copy()
            digests.append(cursor.digest)
        self._digests = tuple(digests)

    @classmethod
    def form(cls, cursors: Sequence[Cursor], at: int, now_ns: int) -> Convoy | None:
        """Form one of those that wait for the frame that begins at `at`; None if none does."""
        lanes = [lane for cursor in cursors if (lane := cursor.lane(at, now_ns)) is not None]
        if not lanes:
            return None
        lanes = [lane for lane in lanes if lane.layout is lanes[0].layout]
        members = {id(lane.cursor) for lane in lanes}
        return cls(lanes, at, others=[cursor for cursor in cursors if id(cursor) not in members])

    def break_up(self) -> None:
        """Send nothing more together: something else happened to one of them."""
        self.is_intact = False

    def keeps_up(self) -> bool:
        """Find out whether what is sent arrives; False where a member may have to be throttled."""
        if not all(lane.cursor.keeps_up() for lane in self._lanes):
            return False
        self.until = min(lane.cursor.check_at for lane in self._lanes)
        return True

    def send(self, ring: Ring, start: int, samples: int, edge: int, now_ns: int) -> bool:
        """Send the frame that begins at `start` to each member.

        Returns:
            False, with nothing done, where one of them is elsewhere, or has something else to do.
        """
        if not self.is_intact or self.place.position != start:
            return False
        try:
            if edge >= self.until and not self.keeps_up():
                return False
            for stream in self._streams:
                if stream.is_closing():
                    return False
            payload = ring.read(start, samples, self._layout)
        except Exception:
            return False  # whose mistake it is turns out when each is looked at by itself
        self.place.position = start + samples
        writers: Sequence[Writer] = self._writers
        for digest in self._digests:
            try:
                digest.update(payload)
            except Exception as error:
                writers = self._fail_those_of(digest, error, now_ns)
        for writer in writers:
            try:
                writer.send(_BINARY, payload)
            except Exception as error:
                self._lanes[self._writers.index(writer)].cursor.fail(error, now_ns)
        return True

    def _fail_those_of(self, digest: HASH, error: Exception, now_ns: int) -> list[Writer]:
        """End those whose hash it is, and return how to write to the others."""
        for lane in self._lanes:
            if lane.cursor.digest is digest:
                lane.cursor.fail(error, now_ns)
        members = zip(self._lanes, self._writers, strict=True)
        return [writer for lane, writer in members if lane.cursor.fault is None]
