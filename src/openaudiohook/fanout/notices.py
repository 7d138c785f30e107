"""What an operator should know of an endpoint while it goes on: told as it happens."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from openaudiohook.fanout.failures import FailureKind

__all__ = ["Notice", "NoticeKind"]


class NoticeKind(enum.StrEnum):
    """What is worth a word beside the failures; never renamed."""

    RECONNECTED = "reconnected"
    RATE_WARNING = "rate-warning"
    THROTTLED = "throttled"
    CAUGHT_UP = "caught-up"
    SAMPLES_LOST = "samples-lost"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that happened to an endpoint on a call.

    Attributes:
        kind: what, for programs: an attempt or a session that failed, or something else.
        text: what, in words; nothing personal, and no secret.
        session_id: the session that it is about; None where it is about none.
    """

    kind: FailureKind | NoticeKind
    text: str
    session_id: str | None = None
