"""How a call stands when it is placed on a platform: whose it is, and what holds at its entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from openaudiohook.monitor.observer import CallObserver, Phase, Unobserved
from openaudiohook.monitor.secure_pause import SecureReason
from openaudiohook.store.records import Queue

__all__ = ["ClientReason", "Placement"]

ClientReason = tuple[str, str]
"""Why a call is in client pause: what kind of reason it is, and whose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Everything that a call on a platform begins with besides its script.

    Attributes:
        organization_id: whose call it is.
        participant_id: the followed customer; a fresh UUID where it is None.
        observer: told of everything.
        queue: the queue it is in from its entry on.
        queue_id: the queue that it entered last, in a part before this one.
        phase: what the customer goes through at entry; in a queue it is that.
        is_on: monitoring is on at entry, because it was when the part before this one ended.
        held_reasons: the reasons for a secure pause under which it begins.
        held_client: the same for a client pause.
    """

    organization_id: str
    participant_id: str | None = None
    observer: CallObserver = field(default_factory=Unobserved)
    queue: Queue | None = None
    queue_id: str | None = None
    phase: Phase = "ivr"
    is_on: bool = False
    held_reasons: Sequence[SecureReason] = ()
    held_client: Sequence[ClientReason] = ()
