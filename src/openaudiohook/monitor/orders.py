"""What can be asked of a call from outside, and what the answer to a secure pause says."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from openaudiohook.monitor.media import SourceRequest

__all__ = ["FlowAction", "PlaceCall", "SecureAnswer", "SecureEnd"]


class PlaceCall(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """Begin a call.

    Attributes:
        source: what it plays.
        queue_id: the queue it is in from its entry on; None for none.
        edge_type: where its media is handled, as the source declares; None leaves that to the
            scenario, and else it is `cloud`.
        speed: how many times faster than real time it runs.
        conversation_id: a fresh UUID where it is None; that of a conversation whose source was
            lost attaches this one to it.
    """

    source: SourceRequest
    queue_id: str | None = None
    edge_type: str | None = None
    speed: Decimal = Decimal(1)
    conversation_id: str | None = None


class FlowAction(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """Something that a flow does with a call.

    Attributes:
        action: which action.
        enable: of `audioMonitoring` and `transcription`: on or off, and None, which is NOT_SET,
            is off. Of `secureFlow`: whether it begins or ends; it has to be said.
        language: of `setLanguage`: a BCP 47 tag.
        flow: the flow's name; a secure flow is ended under the name under which it began.
        effective_at: of `secureFlow`: the sample of call time at which it did begin, for one that
            is told late.
    """

    action: Literal["audioMonitoring", "transcription", "secureFlow", "setLanguage"]
    enable: bool | None = None
    language: str | None = None
    flow: Annotated[
        str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")
    ] = "flow"
    effective_at: int | None = None


class SecureAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What holds from the answer on: nothing captured at or after `position` leaves.

    Attributes:
        part: which of the conversation's timelines it is.
        position: the cut, in samples of call time.
        gone: by integration id, how many samples at or after the cut had left already.
    """

    part: int
    position: int
    gone: dict[str, int] = {}


class SecureEnd(msgspec.Struct, frozen=True, kw_only=True):
    """One's own reason has ended.

    Attributes:
        part: which of the conversation's timelines it is.
        position: the first sample after it, in samples of call time.
        held_by: the kinds of the reasons that still hold; audio flows where there are none.
    """

    part: int
    position: int
    held_by: tuple[str, ...] = ()
