"""How much a server may say, as the client counts it (protocol section 13.1)."""

from __future__ import annotations

from typing import Final

from openaudiohook.protocol.pacing import (
    PAUSE_BURST,
    PAUSE_PER_S,
    TEXT_BURST,
    TEXT_PER_S,
    TokenBucket,
)

__all__ = ["MessageLimits"]

# How often a server may break the limits before it is cut off without a word.
_ABUSE_PER_S: Final = 1
_ABUSE_BURST: Final = 25


class MessageLimits:
    """One bucket for all messages, one more for each kind of pause request."""

    __slots__ = ("_abuse", "_kinds", "_text")

    def __init__(self, *, now_ns: int) -> None:
        self._text = TokenBucket(per_s=TEXT_PER_S, burst=TEXT_BURST, now_ns=now_ns)
        self._kinds = {
            kind: TokenBucket(per_s=PAUSE_PER_S, burst=PAUSE_BURST, now_ns=now_ns)
            for kind in ("pause", "resume")
        }
        self._abuse = TokenBucket(per_s=_ABUSE_PER_S, burst=_ABUSE_BURST, now_ns=now_ns)

    def count(self, message_type: str, now_ns: int) -> int | None:
        """Count a message; tell the nanoseconds to wait where it is one too many."""
        over = [] if self._text.take(now_ns) else [self._text]
        kind = self._kinds.get(message_type)
        if kind is not None and not kind.take(now_ns):
            over.append(kind)
        return max(bucket.ready_at_ns() for bucket in over) - now_ns if over else None

    def is_abuse(self, now_ns: int) -> bool:
        """Count a breach; tell whether there were too many of them."""
        return not self._abuse.take(now_ns)
