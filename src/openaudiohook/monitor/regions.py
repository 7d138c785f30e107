"""Whether a service is near enough: where it says it runs, and how long its answers take.

Round trips are measured by the pings of every session. The middle one of the latest few counts, so
that one late answer is no news, and what was called far or slow has to be clearly better before it
is called near again.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass
from statistics import median_low
from typing import Final

from openaudiohook.monitor.events import EventId

__all__ = ["Distance", "RoundTrip", "RoundTrips"]

_MS: Final = 1_000_000
_LEAST: Final = 3  # so many are measured before anything is said


class Distance(enum.StrEnum):
    """What the round trips to a service are like.

    Attributes:
        NEAR: short, or too few of them yet.
        FAR: long, and it runs in another region than the Monitor.
        SLOW: very long, though it runs in the same region, or nobody knows where.
    """

    NEAR = "near"
    FAR = "far"
    SLOW = "slow"


_EVENTS: Final = {
    Distance.NEAR: EventId.ENDPOINT_NEAR,
    Distance.FAR: EventId.ENDPOINT_FAR,
    Distance.SLOW: EventId.ENDPOINT_SLOW,
}


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """What is known of the round trips to a service.

    Attributes:
        rtt_ns: the middle one of the latest few.
        distance: what that is called.
        text: the same in words.
    """

    rtt_ns: int
    distance: Distance
    text: str

    @property
    def event_id(self) -> EventId:
        """The event that tells of a change to this."""
        return _EVENTS[self.distance]


class RoundTrips:
    """Keeps the latest round trips to each integration, and judges them. Time is not needed.

    Args:
        region: where the Monitor runs; empty where nobody said.
        far_ms: a service in another region is far from this round trip on.
        slow_ms: any other is slow from this one on.
        window: how many are kept; the middle one counts.
    """

    def __init__(
        self, *, region: str = "", far_ms: int = 100, slow_ms: int = 300, window: int = 9
    ) -> None:
        self.region = region
        self._limits = {Distance.FAR: far_ms * _MS, Distance.SLOW: slow_ms * _MS}
        self._window = window
        self._measured: dict[str, deque[int]] = {}
        self._judged: dict[str, RoundTrip] = {}

    def note(self, integration_id: str, rtt_ns: int, *, region: str = "") -> RoundTrip | None:
        """Keep a round trip; return what is to be told where the service is called otherwise now.

        Args:
            integration_id: to which service.
            rtt_ns: how long it took.
            region: where the service says it runs; empty where nobody said.
        """
        measured = self._measured.setdefault(integration_id, deque(maxlen=self._window))
        measured.append(rtt_ns)
        if len(measured) < _LEAST:
            return None
        middle_ns = median_low(measured)
        before = self._judged.get(integration_id)
        was = before.distance if before else Distance.NEAR
        now = self._judge(middle_ns, region=region, was=was)
        trip = RoundTrip(middle_ns, now, self._text(middle_ns, now, region=region))
        self._judged[integration_id] = trip
        return trip if now is not was else None

    def latest(self, integration_id: str) -> RoundTrip | None:
        """Return what is known of a service; None where too little was measured."""
        return self._judged.get(integration_id)

    def forget(self, integration_id: str) -> None:
        """Forget what was measured: the integration was deleted, or leads elsewhere now."""
        self._measured.pop(integration_id, None)
        self._judged.pop(integration_id, None)

    def _judge(self, rtt_ns: int, *, region: str, was: Distance) -> Distance:
        is_elsewhere = bool(region and self.region) and region != self.region
        may_be = Distance.FAR if is_elsewhere else Distance.SLOW
        limit_ns = self._limits[may_be]
        if was is may_be:
            limit_ns = limit_ns * 4 // 5
        return may_be if rtt_ns >= limit_ns else Distance.NEAR

    def _text(self, rtt_ns: int, distance: Distance, *, region: str) -> str:
        took = f"round trips take {rtt_ns // _MS} ms"
        if distance is Distance.FAR:
            return f"{took}: it runs in {region}, and the Monitor in {self.region}"
        return took
