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
        until: the edge at which somebody has to ask whether what is sent still arrives.
    """

    __slots__ = ("_digests", "_lanes", "_layout", "others", "until")

    def __init__(self, lanes: Sequence[Lane], *, layout: Layout, others: Sequence[Cursor]) -> None:
        self._lanes = tuple(lanes)
        self._layout = layout
        self.others = tuple(others)
        self.until = min(lane.cursor.check_at for lane in lanes)
        self._digests: list[HASH] = []
        whole = [lane.cursor for lane in lanes if lane.cursor.is_whole]
        if whole:  # all of them were sent the same: one hash is enough
            digest = whole[0].digest.copy()
            self._digests.append(digest)
            for cursor in whole:
                cursor.digest = digest
        self._digests += [lane.cursor.digest for lane in lanes if not lane.cursor.is_whole]

    @classmethod
    def form(cls, cursors: Sequence[Cursor], at: int) -> Convoy | None:
        """Form one of those that wait for the frame that begins at `at`; None if none does."""
        lanes = [lane for cursor in cursors if (lane := cursor.lane(at)) is not None]
        if not lanes:
            return None
        layout = lanes[0].layout
        lanes = [lane for lane in lanes if lane.layout is layout]
        members = {id(lane.cursor) for lane in lanes}
        others = [cursor for cursor in cursors if id(cursor) not in members]
        return cls(lanes, layout=layout, others=others)

    def send(self, ring: Ring, start: int, samples: int, now_ns: int) -> bool:
        """Send the frame that begins at `start` to each member.

        Returns:
            False, with nothing done, where one of them is at another place, or where anything but
            frames was read or written since.
        """
        for _, session, outlet, _, is_closing, _ in self._lanes:
            if not outlet.is_clear or session.position != start or is_closing():
                return False
        payload = ring.read(start, samples, self._layout)
        for digest in self._digests:
            digest.update(payload)
        end = start + samples
        for cursor, session, _, _, _, send in self._lanes:
            session.position = end
            try:
                send(payload)
            except Exception as error:
                cursor.fail(error, now_ns)
        return True
