"""How the service is: ok, degraded, or draining.

`GET /health/check` answers 200 while sessions are served, however well, and 503 only while
draining: a load balancer that took a degraded service out would lose the calls it still serves.
"""

from __future__ import annotations

import msgspec

__all__ = ["HEALTH_PATH", "Health"]

HEALTH_PATH = "/health/check"


class Health:
    """What is wrong now, by consumer, and whether the service is draining.

    Attributes:
        is_draining: set once, on the way out.
    """

    def __init__(self) -> None:
        self.is_draining = False
        # By consumer, then by what the trouble belongs to: a session, or "" for the whole of it.
        self._troubles: dict[str, dict[str, str]] = {}

    @property
    def status(self) -> str:
        """`ok`, `degraded` or `draining`."""
        if self.is_draining:
            return "draining"
        return "degraded" if self._troubles else "ok"

    def degraded(self, consumer: str, scope: str, reason: str) -> bool:
        """Note trouble; True if it is this consumer's first."""
        is_first = consumer not in self._troubles
        self._troubles.setdefault(consumer, {})[scope] = reason
        return is_first

    def healthy(self, consumer: str, scope: str) -> bool:
        """Take trouble back; True if it was this consumer's last."""
        troubles = self._troubles.get(consumer, {})
        if troubles.pop(scope, None) is None or troubles:
            return False
        del self._troubles[consumer]
        return True

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
        degraded: object = sorted(self._troubles)
        if with_reasons:
            degraded = {
                name: sorted(set(troubles.values()))
                for name, troubles in sorted(self._troubles.items())
            }
        body = {"status": self.status, "sessions": sessions, "degraded": degraded}
        return (503 if self.is_draining else 200), msgspec.json.encode(body)
