"""What can happen to a call: one type for each kind of step of a scenario."""

from __future__ import annotations

from typing import Literal

import msgspec

from openaudiohook.monitor.language import LanguageStage
from openaudiohook.monitor.policy import Action, SwitchedBy
from openaudiohook.monitor.sources import SourceSpec
from openaudiohook.store.records import Queue

__all__ = [
    "ClientPause",
    "Conference",
    "Consult",
    "EnterQueue",
    "FlowAction",
    "Hangup",
    "Hold",
    "LanguageChange",
    "Monitoring",
    "Play",
    "Played",
    "SecureFlow",
    "Step",
    "Transfer",
]

Played = Literal["external", "internal", "both", "consulted"]
"""What a source plays on: what the customer says, hears, both; or a second agent's voice."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happens to a call before its sample `at`, counted from call entry."""

    at: int


class Play(Step, frozen=True, kw_only=True):
    """A source starts on a channel, and replaces what played there.

    On `both` a stereo source plays its channels, external first, and a mono one plays on external
    with silence on the other side. What plays on `consulted` is heard in a conference only.
    """

    source: SourceSpec
    channel: Played


class Monitoring(Step, frozen=True, kw_only=True):
    """Monitoring is switched, by the flow's action or by the queue's setting."""

    on: bool
    by: SwitchedBy


class FlowAction(Step, frozen=True, kw_only=True):
    """A flow's action of that name switches monitoring.

    Attributes:
        enable: what its expression gives; None is NOT_SET, which switches off.
    """

    action: Action
    enable: bool | None


class EnterQueue(Step, frozen=True, kw_only=True):
    """The call comes to a queue, whose switches, language and hold-back apply."""

    queue: Queue


class SecureFlow(Step, frozen=True, kw_only=True):
    """A secure flow begins or ends.

    Attributes:
        effective_at: the sample of call time from which on it is to have held, for one that is
            told late; None where it is told in time.
    """

    is_start: bool
    effective_at: int | None = None


class ClientPause(Step, frozen=True, kw_only=True):
    """The platform pauses the stream for reasons of its own, or no longer does."""

    is_start: bool


class LanguageChange(Step, frozen=True, kw_only=True):
    """The call's media language from here on, as that stage says."""

    language: str
    stage: LanguageStage = LanguageStage.CALL


class Hold(Step, frozen=True, kw_only=True):
    """The agent puts the customer on hold, or takes the call back. Hold is not a pause.

    Attributes:
        music: what the customer hears meanwhile, over and over; silence where it is None.
    """

    is_start: bool
    music: SourceSpec | None


class Consult(Step, frozen=True, kw_only=True):
    """The agent talks to a second agent in private; the customer is on hold meanwhile.

    Attributes:
        music: what the customer hears, over and over; silence where it is None.
    """

    is_start: bool
    music: SourceSpec | None


class Conference(Step, frozen=True, kw_only=True):
    """The second agent joins, and the customer hears both; or leaves again."""

    is_start: bool


class Transfer(Step, frozen=True, kw_only=True):
    """The call moves on; its sessions continue. A queue applies its monitoring setting again.

    Attributes:
        languages: what an IVR flow supports, its own first; empty where that does not matter.
    """

    to: Literal["queue", "agent", "ivr"]
    languages: tuple[str, ...] = ()


class Hangup(Step, frozen=True, kw_only=True):
    """The call ends."""
