"""Both ends of a session in one process: a real client, a real server, a link, a clock.

Nothing waits and no socket is opened: `run` moves the clock, delivers what is due and fires
the sessions' deadlines in the order of time. The link can delay, hold back and cut; it never
reorders, because a WebSocket does not.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from openaudiohook.protocol import CloseConnection, SendBinary, SendText
from openaudiohook.protocol.client import ClientSession, ClientTimers
from openaudiohook.protocol.duration import NS_PER_S
from openaudiohook.protocol.events import CloseRequested, SessionEvent
from openaudiohook.protocol.media import MediaParameter, offer_for
from openaudiohook.protocol.messages import OpenParameters, Participant
from openaudiohook.protocol.server import ServerSession, ServerTimers
from openaudiohook.protocol.types import Role
from openaudiohook.testing.clock import ManualClock

__all__ = ["SessionPair", "WireItem", "sample_open"]

SESSION_ID = "7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9a11"
ORGANIZATION_ID = "5b2f6c0e-8f5d-4a1b-b7a4-2d9c64f3a001"
CONVERSATION_ID = "c0ffee00-1111-4222-8333-444455556666"
PARTICIPANT_ID = "1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b"

_MOST_STEPS_AT_ONE_INSTANT = 10_000


def sample_open(
    *,
    media: Sequence[MediaParameter] | None = None,
    language: str | None = "en-US",
    supported_languages: bool = False,
    custom_config: dict[str, Any] | None = None,
) -> OpenParameters:
    """Make the parameters of an ordinary `open`: a made-up caller, a stereo offer."""
    return OpenParameters(
        organization_id=ORGANIZATION_ID,
        conversation_id=CONVERSATION_ID,
        participant=Participant(
            id=PARTICIPANT_ID, ani="tel:+15550100", ani_name="", dnis="tel:+18005550123"
        ),
        media=tuple(offer_for("both") if media is None else media),
        language=language,
        supported_languages=supported_languages,
        custom_config=custom_config,
    )


class WireItem(NamedTuple):
    """One WebSocket message as it was handed to the link, or a close."""

    time_ns: int
    sender: Role
    item: SendText | SendBinary | CloseConnection

    @property
    def kind(self) -> str:
        """The message's type; `audio` for a binary message, `CLOSE` for the closing handshake."""
        if isinstance(self.item, SendBinary):
            return "audio"
        return str(self.message["type"]) if isinstance(self.item, SendText) else "CLOSE"

    @property
    def message(self) -> dict[str, Any]:
        """The text message as JSON; empty for audio and for a close."""
        if not isinstance(self.item, SendText):
            return {}
        message: dict[str, Any] = json.loads(self.item.data)
        return message


class _Arrival(NamedTuple):
    due_ns: int
    item: SendText | SendBinary | CloseConnection
    is_echo: bool = False


class _End:
    """One session, what is on its way to it, and what it reported."""

    __slots__ = ("events", "inbound", "is_gone", "is_held", "on_event", "session")

    def __init__(self, session: ClientSession | ServerSession) -> None:
        self.session = session
        self.inbound: deque[_Arrival] = deque()
        self.events: list[SessionEvent] = []
        self.on_event: Callable[[SessionEvent], None] | None = None
        self.is_held = False
        self.is_gone = False


class SessionPair:
    """A client session and a server session, joined.

    Use the sessions' own intents on `client` and `server`, passing `now_ns`; then `run`.

    Attributes:
        client: the platform side.
        server: the third-party side.
        clock: the time of both.
        delay_s: how long a message takes in either direction; may be changed at any time.
        wire: everything handed to the link so far, in order.
        finishes: whether the server answers `close` by itself, as an application would that
            has nothing left to say.
    """

    def __init__(
        self,
        *,
        delay_s: float = 0.0,
        clock: ManualClock | None = None,
        session_id: str = SESSION_ID,
        organization_id: str = ORGANIZATION_ID,
        client_timers: ClientTimers | None = None,
        server_timers: ServerTimers | None = None,
        finishes: bool = True,
    ) -> None:
        self.clock = clock or ManualClock()
        self.delay_s = delay_s
        self.finishes = finishes
        self.wire: list[WireItem] = []
        self.client = ClientSession(
            session_id=session_id, now_ns=self.now_ns, timers=client_timers or ClientTimers()
        )
        self.server = ServerSession(
            session_id=session_id,
            organization_id=organization_id,
            now_ns=self.now_ns,
            timers=server_timers or ServerTimers(),
        )
        self._ends = {Role.CLIENT: _End(self.client), Role.SERVER: _End(self.server)}

    @property
    def now_ns(self) -> int:
        """The present, in nanoseconds."""
        return self.clock.now_ns

    @property
    def client_events(self) -> list[SessionEvent]:
        """All that the client session reported so far."""
        return self._ends[Role.CLIENT].events

    @property
    def server_events(self) -> list[SessionEvent]:
        """All that the server session reported so far."""
        return self._ends[Role.SERVER].events

    def sent_by(self, role: Role | str) -> list[WireItem]:
        """What one side has handed to the link so far, in order."""
        return [item for item in self.wire if item.sender == role]

    def kinds_sent_by(self, role: Role | str) -> list[str]:
        """The types of what one side has sent, audio left out."""
        return [item.kind for item in self.sent_by(role) if item.kind != "audio"]

    def on_client_event(self, handler: Callable[[SessionEvent], None]) -> None:
        """Call `handler` with each event of the client session, as it happens."""
        self._ends[Role.CLIENT].on_event = handler

    def on_server_event(self, handler: Callable[[SessionEvent], None]) -> None:
        """Call `handler` with each event of the server session, as it happens."""
        self._ends[Role.SERVER].on_event = handler

    def open(
        self,
        parameters: OpenParameters | None = None,
        *,
        media: MediaParameter | str | None = "first",
        start_paused: bool = False,
        discard_to: int | None = None,
        position: int = 0,
        discard: int = 0,
    ) -> None:
        """Bring the session to where audio flows: open, accept, begin.

        Args:
            parameters: what the client offers; `sample_open()` by default.
            media: what the server selects: the first offer by default, None for no audio.
            start_paused: the server begins with its own pause.
            discard_to: the server wants audio only from here on, in samples.
            position: where the offered stream starts, in samples.
            discard: how much of it the client skips, in samples.
        """
        parameters = parameters or sample_open()
        self.client.open(parameters, self.now_ns, position=position)
        self.run(self.delay_s)
        selected = parameters.media[0] if isinstance(media, str) else media
        self.server.accept(
            self.now_ns, media=selected, start_paused=start_paused, discard_to=discard_to
        )
        self.run(self.delay_s)
        self.client.begin(self.now_ns, discard=discard)
        self.run(self.delay_s)

    def run(self, seconds: float = 0) -> None:
        """Let time pass: deliver what is due and fire deadlines, in the order of time.

        Raises:
            AssertionError: the sessions keep each other busy without time passing.
        """
        end_ns = self.now_ns + round(seconds * NS_PER_S)
        steps = 0
        while True:
            for role in self._ends:
                self._flush(role)
            due_ns = self._next_ns()
            if due_ns is None or due_ns > end_ns:
                break
            steps = steps + 1 if due_ns <= self.now_ns else 0
            if steps > _MOST_STEPS_AT_ONE_INSTANT:
                raise AssertionError(f"no end of things to do at {self.now_ns} ns")
            self.clock.advance_to(max(due_ns, self.now_ns))
            for role in self._ends:
                self._step(role)
        self.clock.advance_to(end_ns)

    def hold(self, role: Role | str) -> None:
        """Let nothing arrive at one side until `release`: a stalled reader or a slow network."""
        self._ends[Role(role)].is_held = True

    def release(self, role: Role | str) -> None:
        """Let what was held back arrive, in order."""
        self._ends[Role(role)].is_held = False
        self.run()

    def cut(self, code: int | None = None) -> None:
        """Lose the connection: what is on its way is lost, and both sides notice now."""
        for role, end in self._ends.items():
            end.inbound.clear()
            self._gone(role, code)
        self.run()

    def _flush(self, role: Role) -> None:
        end = self._ends[role]
        self._report(role)
        for item in end.session.data_to_send(self.now_ns):
            if not end.is_gone:
                self.wire.append(WireItem(self.now_ns, role, item))
                self._carry(_other(role), item)

    def _carry(self, receiver: Role, item: SendText | SendBinary | CloseConnection) -> None:
        self._ends[receiver].inbound.append(self._arrival(receiver, item, is_echo=False))

    def _arrival(
        self, receiver: Role, item: SendText | SendBinary | CloseConnection, *, is_echo: bool
    ) -> _Arrival:
        due_ns = self.now_ns + round(self.delay_s * NS_PER_S)
        inbound = self._ends[receiver].inbound
        if inbound:  # a shorter delay does not overtake
            due_ns = max(due_ns, inbound[-1].due_ns)
        return _Arrival(due_ns, item, is_echo)

    def _next_ns(self) -> int | None:
        times = []
        for end in self._ends.values():
            if end.inbound and not end.is_held:
                times.append(end.inbound[0].due_ns)
            deadline_ns = end.session.next_deadline_ns()
            if deadline_ns is not None:
                times.append(deadline_ns)
        return min(times, default=None)

    def _step(self, role: Role) -> None:
        end = self._ends[role]
        while end.inbound and not end.is_held and end.inbound[0].due_ns <= self.now_ns:
            self._deliver(role, end.inbound.popleft())
        deadline_ns = end.session.next_deadline_ns()
        if deadline_ns is not None and deadline_ns <= self.now_ns:
            end.session.handle_deadline(self.now_ns)
        self._flush(role)

    def _deliver(self, role: Role, arrival: _Arrival) -> None:
        end, item = self._ends[role], arrival.item
        if end.is_gone:
            return
        if isinstance(item, SendText):
            end.session.receive_text(item.data, self.now_ns)
        elif isinstance(item, SendBinary):
            end.session.receive_binary(item.data, self.now_ns)
        else:
            self._gone(role, item.code)
            if not arrival.is_echo:  # the WebSocket answers a close by itself
                other = _other(role)
                self._ends[other].inbound.append(self._arrival(other, item, is_echo=True))
        self._flush(role)

    def _gone(self, role: Role, code: int | None) -> None:
        end = self._ends[role]
        if not end.is_gone:
            end.is_gone = True
            end.session.receive_closed(code, self.now_ns)
            self._report(role)

    def _report(self, role: Role) -> None:
        end = self._ends[role]
        for event in end.session.events():
            end.events.append(event)
            if end.on_event is not None:
                end.on_event(event)
            if isinstance(event, CloseRequested) and self.finishes:
                self.server.finish(self.now_ns)


def _other(role: Role) -> Role:
    return Role.SERVER if role is Role.CLIENT else Role.CLIENT
