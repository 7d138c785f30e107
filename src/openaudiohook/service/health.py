"""How the service is: ok, degraded, or draining.

`GET /health/check` answers 200 while sessions are served, however well, and 503 only while
draining: a load balancer that took a degraded service out would lose the calls it still serves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec

__all__ = ["HEALTH_PATH", "Health"]

HEALTH_PATH = "/health/check"


class Health:
    """What is wrong now, by consumer, and whether the service is draining.

    Args:
        on_change: called when something is wrong that was not, or the other way round.

    Attributes:
        is_draining: set once, on the way out.
        elsewhere: consumers in trouble in other processes of the same service.
    """

    def __init__(self, on_change: Callable[[], None] | None = None) -> None:
        self.is_draining = False
        self.elsewhere: Collection[str] = ()
        self._on_change = on_change
        # By consumer, then by what the trouble belongs to: a session, or "" for the whole of it.
        self._troubles: dict[str, dict[str, str]] = {}

    @property
    def status(self) -> str:
        """`ok`, `degraded` or `draining`."""
        if self.is_draining:
            return "draining"
        return "degraded" if self._troubles or self.elsewhere else "ok"

    def degraded(self, consumer: str, scope: str, reason: str) -> bool:
        """Note trouble; True if it is this consumer's first."""
        is_first = consumer not in self._troubles
        self._troubles.setdefault(consumer, {})[scope] = reason
        self._changed()
        return is_first

    def healthy(self, consumer: str, scope: str) -> bool:
        """Take trouble back; True if it was this consumer's last."""
        troubles = self._troubles.get(consumer, {})
        if troubles.pop(scope, None) is None:
            return False
        if not troubles:
            del self._troubles[consumer]
        self._changed()
        return not troubles

    def reasons(self) -> dict[str, list[str]]:
        """Return what is wrong here: for each consumer in trouble, the reasons it told."""
        return {
            consumer: sorted(set(troubles.values()))
            for consumer, troubles in sorted(self._troubles.items())
        }

    def troubles(self, consumer: str) -> int:
        """How many sessions, or the whole of it, a consumer is in trouble with."""
        return len(self._troubles.get(consumer, {}))

    def answer(self, *, sessions: int, with_reasons: bool = False) -> tuple[int, bytes]:
        """Return the HTTP status and the JSON body of `/health/check`.

        Args:
            sessions: how many are open.
            with_reasons: tell reasons, too; for the operator's own listener. The public one
                names the consumers only.
        """
        degraded: object = sorted({*self._troubles, *self.elsewhere})
        if with_reasons:
            degraded = self.reasons()
        body = {"status": self.status, "sessions": sessions, "degraded": degraded}
        return (503 if self.is_draining else 200), msgspec.json.encode(body)

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change()
