"""Which calls may be monitored, and whether one is monitored now.

Each step of a call may write: a queue that it enters writes what its two switches say, a flow's
action writes its outcome, whichever of the two names it has. The last one applied decides; a flow
without an action writes nothing. Once a call was monitored its sessions live as long as the call:
switched off, they are paused. A call that is never switched on is never connected.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, Literal

from openaudiohook.exceptions import ConfigurationError

__all__ = [
    "ACTIONS",
    "ELIGIBLE_EDGES",
    "Action",
    "Effect",
    "MonitoringSwitch",
    "SwitchedBy",
    "refusal",
    "require_eligible",
]

ELIGIBLE_EDGES: Final = ("cloud", "byoc-cloud")
"""Where a call's media may be handled for the call to be monitored."""

_REFUSED_EDGES: Final = {
    "byoc-premises": "BYOC Premises keeps the media on the customer's own Edge",
    "ldm": "local deployment keeps the media on a premises-based Edge",
}

Action = Literal["audioMonitoring", "transcription"]
"""The flow's actions that switch monitoring; they act alike."""

ACTIONS: Final[tuple[Action, ...]] = ("audioMonitoring", "transcription")
"""Every `Action`."""


class SwitchedBy(enum.StrEnum):
    """Who can switch monitoring on and off."""

    FLOW = "flow"
    QUEUE = "queue"


class Effect(enum.Enum):
    """What a write does to the sessions of the call."""

    NOTHING = "nothing"
    CONNECT = "connect"
    PAUSE = "pause"
    RESUME = "resume"


_QUEUE_WRITES: Final[Mapping[tuple[bool, bool], bool]] = {
    # (enableAudioMonitoring, enableTranscription): on
    (False, False): False,
    (False, True): True,
    (True, False): True,
    (True, True): True,
}

_ACTION_WRITES: Final[Mapping[bool | None, bool]] = {
    # Enable Monitoring, where None is NOT_SET: on
    True: True,
    False: False,
    None: False,
}

_EFFECTS: Final[Mapping[tuple[bool, bool, bool], Effect]] = {
    # (was it ever on, was it on until now, is it on now): what follows
    (False, False, False): Effect.NOTHING,
    (False, False, True): Effect.CONNECT,
    (True, False, False): Effect.NOTHING,
    (True, False, True): Effect.RESUME,
    (True, True, False): Effect.PAUSE,
    (True, True, True): Effect.NOTHING,
}


def refusal(edge: str) -> str | None:
    """Return why calls on that edge cannot be monitored; None where they can.

    The terms concern the platform's media edge, not where a session border controller stands. The
    text names the edge, the reason, and the line to configure where the media is elsewhere.
    """
    if edge in ELIGIBLE_EDGES:
        return None
    reason = _REFUSED_EDGES.get(edge, "no edge of that name is known")
    return (
        f"calls on edge '{edge}' cannot be monitored: {reason}; "
        f"monitoring is available on {' and '.join(repr(name) for name in ELIGIBLE_EDGES)}: "
        'take the call on a BYOC Cloud trunk, and declare edge = "byoc-cloud"'
    )


def require_eligible(edge: str) -> None:
    """Return for an edge whose calls may be monitored.

    Raises:
        ConfigurationError: monitoring is not available there; the text is that of `refusal`.
    """
    if (problem := refusal(edge)) is not None:
        raise ConfigurationError(problem)


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

    def apply(self, on: bool, *, by: SwitchedBy) -> Effect:
        """Take a queue's setting or the outcome of a flow's action; say what follows."""
        if by is SwitchedBy.QUEUE:
            self._queue_setting = on
        effect = _EFFECTS[self.was_on, self.is_on, on]
        self.is_on = on
        self.was_on = self.was_on or on
        self.decided_by = by
        return effect

    def act(self, enable: bool | None) -> Effect:
        """Take a flow's action, of either name; an expression that is `None` (NOT_SET) disables."""
        return self.apply(_ACTION_WRITES[enable], by=SwitchedBy.FLOW)

    def enter_queue(self, *, audio_monitoring: bool, transcription: bool) -> Effect:
        """The call came to a queue: its two switches are applied last; either one is enough."""
        return self.apply(_QUEUE_WRITES[audio_monitoring, transcription], by=SwitchedBy.QUEUE)

    def return_to_queue(self) -> Effect:
        """The call came back to its queue, whose setting is applied again.

        Where no queue ever had a setting nothing changes.
        """
        if self._queue_setting is None:
            return Effect.NOTHING
        return self.apply(self._queue_setting, by=SwitchedBy.QUEUE)
