"""Who holds a session paused, and what is said when that changes (protocol section 11)."""

from __future__ import annotations

from typing import Final, Literal

__all__ = ["ARBITRATION", "Answer", "PauseArbiter", "Trigger"]

Trigger = Literal["pause", "resume", "client pause", "client resume"]
Answer = Literal["paused", "resumed"]

# (client paused, server paused, trigger) -> (client paused, server paused, answer).
# `pause` and `resume` are the server's. A missing cell is a pause the client begins or
# ends twice.
ARBITRATION: Final[dict[tuple[bool, bool, Trigger], tuple[bool, bool, Answer | None]]] = {
    (False, False, "pause"): (False, True, "paused"),
    (False, True, "pause"): (False, True, "paused"),
    (True, False, "pause"): (True, True, "paused"),
    (True, True, "pause"): (True, True, "paused"),
    (False, False, "resume"): (False, False, "resumed"),
    (False, True, "resume"): (False, False, "resumed"),
    (True, False, "resume"): (True, False, "paused"),
    (True, True, "resume"): (True, False, "paused"),
    (False, False, "client pause"): (True, False, "paused"),
    (False, True, "client pause"): (True, True, "paused"),
    (True, False, "client resume"): (False, False, "resumed"),
    (True, True, "client resume"): (False, True, None),
}


class PauseArbiter:
    """The two pause flags of a client session and where the silence began.

    Attributes:
        by_client: the client holds the stream paused.
        by_server: the server does.
        since: the position of the first `paused` that still holds, in samples.
    """

    __slots__ = ("by_client", "by_server", "since")

    def __init__(self) -> None:
        self.by_client = False
        self.by_server = False
        self.since: int | None = None

    def allows(self, trigger: Trigger) -> bool:
        """Tell whether the table has a cell for it now."""
        return (self.by_client, self.by_server, trigger) in ARBITRATION

    def apply(self, trigger: Trigger) -> Answer | None:
        """Change the flags, and tell what to answer."""
        self.by_client, self.by_server, answer = ARBITRATION[
            self.by_client, self.by_server, trigger
        ]
        return answer

    @property
    def holds(self) -> bool:
        """Whether audio must not flow."""
        return self.by_client or self.by_server
