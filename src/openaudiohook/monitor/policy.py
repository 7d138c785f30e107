"""Which calls may be monitored, and whether one is monitored now.

Two switches decide: the queue's, and the flow's action (Audio Monitoring or Transcription, which
act alike). The last one applied wins; a flow without the action keeps what the queue said. Once a
call was monitored its sessions live as long as the call: switched off, they are paused. A call
that is never switched on is never connected.
"""

from __future__ import annotations

import enum
from typing import Final

from openaudiohook.exceptions import ConfigurationError

__all__ = ["ELIGIBLE_EDGES", "MonitoringSwitch", "SwitchedBy", "require_eligible"]

ELIGIBLE_EDGES: Final = ("cloud", "byoc-cloud")
"""Where a call's media may be handled for the call to be monitored."""

_REFUSED_EDGES: Final = {
    "byoc-premises": "BYOC Premises keeps the media on the customer's own Edge",
    "ldm": "local deployment keeps the media on a premises-based Edge",
}


class SwitchedBy(enum.StrEnum):
    """Who can switch monitoring on and off."""

    FLOW = "flow"
    QUEUE = "queue"


def require_eligible(edge: str) -> None:
    """Return for an edge whose calls may be monitored.

    The terms concern the platform's media edge, not where a session border controller stands.

    Raises:
        ConfigurationError: monitoring is not available there; the text names the edge and why.
    """
    if edge in ELIGIBLE_EDGES:
        return
    reason = _REFUSED_EDGES.get(edge, "no edge of that name is known")
    raise ConfigurationError(
        f"calls on edge '{edge}' cannot be monitored: {reason}; "
        f"monitoring is available on {' and '.join(repr(name) for name in ELIGIBLE_EDGES)}"
    )


class MonitoringSwitch:
    """Whether one call is monitored: the last writer wins.

    Attributes:
        is_on: whether it is monitored now.
        was_on: whether it ever was, so that its endpoints are connected.
        decided_by: who said so last, or None while nobody has.
    """

    __slots__ = ("_queue_setting", "decided_by", "is_on", "was_on")

    def __init__(self) -> None:
        self.is_on = False
        self.was_on = False
        self.decided_by: SwitchedBy | None = None
        self._queue_setting: bool | None = None

    def apply(self, on: bool, *, by: SwitchedBy) -> None:
        """Take a queue's setting, or the outcome of a flow's action (which is off if not set)."""
        if by is SwitchedBy.QUEUE:
            self._queue_setting = on
        self.is_on = on
        self.was_on = self.was_on or on
        self.decided_by = by

    def enter_queue(self) -> None:
        """Take note that the call came (back) to its queue: the queue's setting is applied last.

        Where no queue ever had a setting nothing changes.
        """
        if self._queue_setting is not None:
            self.apply(self._queue_setting, by=SwitchedBy.QUEUE)
