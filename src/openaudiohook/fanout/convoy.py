"""Endpoints of one call that are at one place: they are sent each frame together.

Nearly always every endpoint of a call waits for nothing but the frame that gets complete next.
What is the same for all of them is then done once, and what is left for each is to write. As soon
as anything else is due for one of them the convoy is given up, and each is looked at by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from openaudiohook.fanout.ring import Layout, Ring
from openaudiohook.protocol.client import ClientSession

if TYPE_CHECKING:
    from hashlib import _Hash as HASH

    from openaudiohook.fanout.cursor import Cursor, Outlet

__all__ = ["Convoy", "Lane"]


class Lane(NamedTuple):
    """One endpoint that waits for nothing but the next frame.

    Attributes:
        cursor: the endpoint's place.
        session: its session.
        outlet: the session's connection.
        layout: what it is sent of the audio.
        is_closing: says whether the connection is about to end; then nothing may be written.
        send: writes a frame.
    """

    cursor: Cursor
    session: ClientSession
    outlet: Outlet
    layout: Layout
    is_closing: Callable[[], bool]
    send: Callable[[bytes], object]


class Convoy:
    """Endpoints that wait for the same frame in one layout. See `form`.

    Attributes:
        others: the call's other endpoints.
        until: the edge at which `keeps_up` is to be asked before more is sent.
    """

    __slots__ = ("_lanes", "_layout", "others", "until")

    def __init__(self, lanes: Sequence[Lane], *, layout: Layout, others: Sequence[Cursor]) -> None:
        self._layout = layout
        self.others = tuple(others)
        self.until = min(lane.cursor.check_at for lane in lanes)
        shared: HASH | None = None
        rows: list[tuple[Lane, HASH | None]] = []
        for lane in lanes:
            cursor = lane.cursor
            if cursor.is_whole and shared is not None:
                cursor.digest = shared  # all of those were sent the same: one of them counts it
                rows.append((lane, None))
                continue
            if cursor.is_whole:
                shared = cursor.digest = cursor.digest.copy()
            rows.append((lane, cursor.digest))
        self._lanes = tuple(rows)

    @classmethod
    def form(cls, cursors: Sequence[Cursor], at: int, now_ns: int) -> Convoy | None:
        """Form one of those that wait for the frame that begins at `at`; None if none does."""
        lanes = [lane for cursor in cursors if (lane := cursor.lane(at, now_ns)) is not None]
        if not lanes:
            return None
        layout = lanes[0].layout
        lanes = [lane for lane in lanes if lane.layout is layout]
        members = {id(lane.cursor) for lane in lanes}
        others = [cursor for cursor in cursors if id(cursor) not in members]
        return cls(lanes, layout=layout, others=others)

    def keeps_up(self) -> bool:
        """Find out whether what is sent arrives; False where a member may have to be throttled."""
        if not all(lane.cursor.keeps_up() for lane, _ in self._lanes):
            return False
        self.until = min(lane.cursor.check_at for lane, _ in self._lanes)
        return True

    def send(self, ring: Ring, start: int, samples: int, edge: int, now_ns: int) -> bool:
        """Send the frame that begins at `start` to each member.

        Returns:
            False, with nothing done, where one of them is elsewhere, or has something else to do.
        """
        size_bytes = samples * self._layout.sample_bytes
        try:
            if edge >= self.until and not self.keeps_up():
                return False
            for (_, session, outlet, _, is_closing, _), _ in self._lanes:
                if (
                    session.position != start
                    or is_closing()
                    or not (outlet.is_clear or outlet.clear(size_bytes))
                ):
                    return False
            payload = ring.read(start, samples, self._layout)
        except Exception:
            return False  # whose mistake it is turns out when each is looked at by itself
        end = start + samples
        for (cursor, session, _, _, _, send), digest in self._lanes:
            session.position = end
            try:
                if digest is not None:
                    digest.update(payload)
                send(payload)
            except Exception as error:
                cursor.fail(error, now_ns)
        return True
