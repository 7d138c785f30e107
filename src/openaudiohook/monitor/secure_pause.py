"""Who holds one call in secure pause: a set of reasons, and the spans they cover. Fails closed.

Starting always works, and repeating it changes nothing. A reason is a kind and a requester; ending
one ends only that one, so the flow's reason ends with the flow whatever an agent does, and no
reason ends by itself: whoever wants to be reminded of one that was forgotten looks at
`held_since`. While any is left, the call is paused on every endpoint alike; what an endpoint asks
for has no say here.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from openaudiohook.exceptions import LocalProtocolError

__all__ = ["SecureKind", "SecurePause", "SecureReason", "SecureSpan"]


class SecureKind(enum.StrEnum):
    """What can put a call in secure pause."""

    FLOW = "flow"
    AGENT = "agent"
    API = "api"
    SBC = "sbc"


class SecureReason(NamedTuple):
    """Why a call is in secure pause: by what kind of request, and whose."""

    kind: SecureKind
    requester: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.requester}"


class SecureSpan(NamedTuple):
    """A stretch of the call in which nothing may leave: samples from `start` up to `end`."""

    start: int
    end: int


class SecurePause:
    """The secure pause of one call; positions are samples of call time."""

    __slots__ = ("_ended", "_held", "_position", "_since")

    def __init__(self) -> None:
        self._held: dict[SecureReason, int] = {}
        self._ended: list[SecureSpan] = []
        self._since = 0
        self._position = 0

    @property
    def is_held(self) -> bool:
        """Whether any reason holds."""
        return bool(self._held)

    @property
    def reasons(self) -> frozenset[SecureReason]:
        """Every reason that holds now."""
        return frozenset(self._held)

    @property
    def held_since(self) -> dict[SecureReason, int]:
        """The sample at which each reason that holds now began, the oldest first."""
        return dict(self._held)

    def begin(self, kind: SecureKind, requester: str, *, at: int) -> bool:
        """Add a reason from sample `at` on; say whether it is a new one."""
        reason = SecureReason(kind, requester)
        if reason in self._held:
            return False
        self._advance(at)
        if not self._held:
            adjoins = bool(self._ended) and self._ended[-1].end == at
            self._since = self._ended.pop().start if adjoins else at
        self._held[reason] = at
        return True

    def end(self, kind: SecureKind, requester: str, *, at: int) -> bool:
        """Take one's own reason back from sample `at` on; say whether it was the last one.

        Raises:
            LocalProtocolError: this requester holds no reason of this kind; nothing changed.
        """
        reason = SecureReason(kind, requester)
        if reason not in self._held:
            raise LocalProtocolError(f"no secure pause of kind {kind} is held by this requester")
        self._advance(at)
        del self._held[reason]
        if self._held:
            return False
        if at > self._since:
            self._ended.append(SecureSpan(self._since, at))
        return True

    def spans(self, *, until: int) -> tuple[SecureSpan, ...]:
        """Every stretch under secure pause so far, in order; one that is held ends at `until`."""
        held = (SecureSpan(self._since, until),) if self._held and until > self._since else ()
        return (*self._ended, *held)

    def _advance(self, at: int) -> None:
        """Call time never runs backwards: an end in the past would unsay what was promised."""
        if at < self._position:
            raise LocalProtocolError(
                f"call time is at sample {self._position}, and cannot go back to {at}"
            )
        self._position = at
