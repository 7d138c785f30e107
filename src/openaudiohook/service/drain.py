"""The way out of service that loses no call.

A platform does not retry a refused upgrade, but it does retry a `disconnect` with reason `error`.
So when draining begins, health turns 503 at once, and new sessions are served as before until the
load balancer has noticed (the grace). Later ones are upgraded and sent away with `disconnect`.
Running sessions may then end in their own time, up to a limit.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from openaudiohook.protocol import DisconnectReason
from openaudiohook.service.health import Health
from openaudiohook.service.log import get_logger
from openaudiohook.service.session import SessionContext

__all__ = ["Drain"]

_log = get_logger(__name__)

# Sessions asked to move at once, and the time until the next: all at once would be a rush on
# whoever takes them.
_ASKED_AT_ONCE: Final = 20
_ASK_AGAIN_S: Final = 0.05


class Drain:
    """Where a service stands on its way out.

    Attributes:
        is_refusing: the grace is over; new sessions are sent away.
    """

    def __init__(self, context: SessionContext, health: Health) -> None:
        self.is_refusing = False
        self._context = context
        self._health = health

    async def drained(self, *, grace_s: float, timeout_s: float, reconnect: bool) -> None:
        """Wait until no session is left, or the limit is over.

        Args:
            grace_s: how long new sessions are still served.
            timeout_s: how long sessions may take after that; those left are then asked to end.
            reconnect: ask clients to move their sessions, once the grace is over.
        """
        context = self._context
        self._health.is_draining = True
        context.metrics.draining.set(1)
        _log.info("draining", sessions=len(context.sessions), grace_s=grace_s)
        await asyncio.sleep(grace_s)
        self.is_refusing = True
        if reconnect:
            await self._ask_to_move()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await context.emptied()
            return
        _log.warning("drain limit reached", sessions=len(context.sessions))
        for session in tuple(context.sessions):
            session.disconnect(DisconnectReason.ERROR, "service is shutting down")
        # The client answers with `close`, and the consumers get their budget.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(context.config.close_budget_s + 1):
                await context.emptied()

    async def _ask_to_move(self) -> None:
        """Ask each session; the protocol lets a client ignore it that cannot reconnect."""
        sessions = tuple(self._context.sessions)
        for start in range(0, len(sessions), _ASKED_AT_ONCE):
            if start:
                await asyncio.sleep(_ASK_AGAIN_S)
            for session in sessions[start : start + _ASKED_AT_ONCE]:
                session.ask_reconnect()
