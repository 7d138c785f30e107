"""An endpoint of several sessions in simulated time: real sessions on links that can be cut."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fanout import world
from fanout.world import PARAMETERS, World
from openaudiohook.fanout.account import Account
from openaudiohook.fanout.engine import Fanout
from openaudiohook.fanout.failures import Failure, FailureKind
from openaudiohook.fanout.pauses import Span, length, union
from openaudiohook.fanout.succession import Leg, RetryPolicy, Succession
from openaudiohook.protocol.events import CloseRequested, SessionEvent
from openaudiohook.protocol.media import offer_for
from openaudiohook.protocol.messages import OpenParameters
from openaudiohook.protocol.types import Channel, DisconnectReason

S = 8_000


class Link(world.Endpoint):
    """One attempt: its two sessions, and the connection between them."""

    def __init__(self, leg: Leg, moving: Moving, *, now_ns: int, **behaviour: Any) -> None:
        self.refusal: DisconnectReason | None = behaviour.pop("refusal", None)
        self.is_unreachable = behaviour.pop("is_unreachable", False)
        super().__init__(Fanout(), name=leg.session_id, now_ns=now_ns, **behaviour)
        self.leg = leg
        self.moving = moving
        self.session_id = leg.session_id
        self.opened_with: OpenParameters | None = None
        self.close_reason: str | None = None

    def dial(self, now_ns: int) -> None:
        succession = self.moving.succession
        self.connect(now_ns)
        if self.is_unreachable:
            self.is_cut = True
            succession.failed(
                self.leg, Failure("no connection", FailureKind.NO_CONNECTION, may_pass=True), now_ns
            )
            return
        self.is_connected = True
        continued = succession.offer(self.leg, self.session, self)
        self.opened_with = OpenParameters(
            media=offer_for(self.channel),
            language=self.leg.language,
            continued_sessions=continued,
            **PARAMETERS,
        )
        self.session.open(self.opened_with, now_ns, position=self.leg.start)
        self.flush()

    def run(self, now_ns: int, *, elapsed_ns: int) -> None:
        super().run(now_ns, elapsed_ns=elapsed_ns)
        if self.is_dead and self.session.state == "closed":
            self.cut(now_ns)  # as the driver does, if a little later

    def listen(self, now_ns: int) -> None:
        for event in self.session.events():
            self.client_events.append(event)
            self.moving.succession.hear(self.leg, event, now_ns)

    def answer(self, now_ns: int) -> None:
        if self.refusal is not None and self.server.state == "opening":
            self.server.events()
            self.server.refuse(now_ns, reason=self.refusal)
            self.refusal = None
        server_events = self.server.events()
        for event in server_events:
            if isinstance(event, CloseRequested):
                self.close_reason = event.reason
        self.server._events = [*server_events, *self.server._events]  # for the world to answer
        super().answer(now_ns)

    @property
    def spans(self) -> list[Span]:
        """What it was sent, in samples."""
        media = self.session.media
        return [
            (position, position + len(payload) // media.frame_bytes)
            for position, payload in self.received.frames
            if media is not None
        ]


class Moving:
    """An endpoint whose sessions may follow one another. It stands in a `World` as others do.

    Args:
        behaviours: of the attempts, one after the other; then good ones.
    """

    def __init__(
        self,
        world: World,
        *behaviours: dict[str, Any],
        reconnections: bool = True,
        language: str | None = "en-US",
        **retry: Any,
    ) -> None:
        self.world = world
        self.ids = iter(range(10_000))
        self.succession = Succession(
            world.call,
            session_id=self.new_id(),
            new_id=self.new_id,
            retry=RetryPolicy(**retry),
            jitter=lambda: 0.5,
            now_ns=world.now_ns,
            reconnections=reconnections,
            language=language,
        )
        self.behaviours = list(behaviours)
        self.links: list[Link] = []
        world.endpoints.append(self)  # type: ignore[arg-type]
        world.settle()

    def new_id(self) -> str:
        return f"7c1d3f7e-4f0b-4c55-9a38-{next(self.ids):012d}"

    @property
    def link(self) -> Link:
        """The one that streams, or did so last."""
        return next(one for one in reversed(self.links) if one.leg.is_open)

    @property
    def is_cut(self) -> bool:
        return self.succession.is_over and all(link.is_cut for link in self.links)

    @property
    def account(self) -> Account:
        return self.succession.account

    @property
    def error(self) -> str | None:
        failure = self.succession.failure
        return None if failure is None else failure.error

    @property
    def received(self) -> list[Span]:
        """What came to any session, each sample once."""
        return union(span for link in self.links for span in link.spans)

    def run(self, now_ns: int, *, elapsed_ns: int) -> None:
        at_ns = self.succession.dial_at_ns
        if at_ns is not None and at_ns <= now_ns:
            behaviour = self.behaviours.pop(0) if self.behaviours else {}
            leg = self.succession.dial()
            self.links.append(Link(leg, self, now_ns=now_ns, **behaviour))
            self.links[-1].dial(now_ns)
        for link in self.links:
            if not link.is_cut:
                link.run(now_ns, elapsed_ns=elapsed_ns)

    def finish(self) -> None:
        """Hang up, and run until this endpoint is at its end."""
        self.world.call.finish(self.world.now_ns)
        for _ in range(20_000):
            if self.is_cut:
                return
            self.world.tick()
        raise AssertionError("it did not come to its end")


def check(moving: Moving, *, is_lossless: bool = True) -> None:
    """What holds whatever happened: every sample counts once, and what came is what was said.

    Args:
        moving: after the end of the call.
        is_lossless: no connection was cut, so all that was sent has come.
    """
    world, account = moving.world, moving.account
    parts = (account.sent, account.discarded, account.lost, account.paused_union)
    assert min(parts) >= 0
    assert sum(parts) == account.length == world.call.head
    for link in moving.links:
        # Who is cut off hears nothing more in time; nothing else may be wrong with what we say.
        assert [one for one in link.received.violations if "in time" not in one] == []
        line = [(start, start + samples) for _, start, samples in link.received.gaps]
        for (start, end), (_, payload) in zip(link.spans, link.received.frames, strict=True):
            media = link.session.media
            assert media is not None
            stereo = world.source[2 * start : 2 * end]
            step = 3 - len(media.channels)
            assert payload == stereo[media.channels[0] is Channel.INTERNAL :: step]
            line.append((start, end))
        at = link.leg.start
        for start, end in sorted(line):
            assert start == at
            at = end
    sent = sum(length(link.spans) for link in moving.links)
    if is_lossless:
        assert account.sent == length(moving.received)
        assert account.resent == sent - account.sent
    else:
        assert account.sent >= length(moving.received)
    secure = _spans(world.call.pauses.intervals(until=world.call.head))
    assert length([*moving.received, *secure]) == length(moving.received) + length(secure)
    for report in moving.succession.reports():
        one = report.account
        assert one.lost == 0
        assert one.sent + one.discarded + one.paused_union == one.length
        assert one.length == report.end - report.start


def _spans(intervals: Iterable[Any]) -> list[Span]:
    return [(interval.start, interval.end) for interval in intervals]


__all__ = ["Link", "Moving", "S", "SessionEvent", "check"]
