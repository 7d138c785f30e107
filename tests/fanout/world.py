"""A call and its endpoints in simulated time: real sessions of both roles, and a link that can
be slow, silent or cut. A link never reorders.
"""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from openaudiohook.fanout.engine import Fanout
from openaudiohook.protocol import CloseConnection, SendBinary, SendText
from openaudiohook.protocol.client import ClientSession
from openaudiohook.protocol.events import (
    AudioDiscarded,
    AudioFrame,
    AudioPaused,
    AudioResumed,
    CloseRequested,
    LanguageUpdated,
    OpenRequested,
    PeerViolated,
    SessionEnded,
    SessionEvent,
    SessionOpened,
)
from openaudiohook.protocol.media import MediaParameter, offer_for
from openaudiohook.protocol.messages import OpenParameters, Participant
from openaudiohook.protocol.server import ServerSession
from openaudiohook.protocol.types import Channel

MS = 1_000_000
TICK_NS = 10 * MS
TICK_SAMPLES = 80
KERNEL_BYTES = 16_384
ORGANIZATION = "5b2f6c0e-8f5d-4a1b-b7a4-2d9c64f3a001"
PARAMETERS = {
    "organization_id": ORGANIZATION,
    "conversation_id": "c0ffee00-1111-4222-8333-444455556666",
    "participant": Participant(
        id="1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b", ani="", ani_name="", dnis=""
    ),
}


def noise(samples: int, *, seed: int = 7) -> bytes:
    """Stereo audio no two stretches of which are alike, and without silence."""
    return random.Random(seed).randbytes(2 * samples).replace(b"\xff", b"\x00")


@dataclass
class Received:
    """What an endpoint heard, as (position, payload), and what it was told."""

    frames: list[tuple[int, bytes]] = field(default_factory=list)
    gaps: list[tuple[str, int, int]] = field(default_factory=list)  # cause, start, samples
    paused_at: list[int] = field(default_factory=list)
    resumed: list[tuple[int, int]] = field(default_factory=list)
    languages: list[tuple[str | None, int]] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    closed_at: int | None = None
    times: list[tuple[int, int]] = field(default_factory=list)  # when, which position
    octets: list[bytes] = field(default_factory=list)  # everything that came over the wire

    @property
    def audio(self) -> bytes:
        return b"".join(payload for _, payload in self.frames)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.audio).hexdigest()


class Endpoint:
    """One endpoint: a cursor, a client session, a link, a server session with a behaviour.

    Args:
        rate: bytes a second that the link carries to the server; None has no limit.
        accept: how the server answers `open`.
        is_direct: whether frames may be sent past the session's queue.
    """

    def __init__(
        self,
        call: Fanout,
        *,
        name: str,
        now_ns: int,
        channel: str = "both",
        rate: int | None = None,
        select: Callable[[tuple[MediaParameter, ...]], MediaParameter | None] = lambda o: o[0],
        start_paused: bool = False,
        discard_to: int | None = None,
        is_direct: bool = True,
    ) -> None:
        self.session_id = f"7c1d3f7e-4f0b-4c55-9a38-{len(call.endpoints):012d}"
        self.name = name
        self.cursor = call.attach()
        self.connect(now_ns)
        self.channel = channel
        self.rate = rate
        self.allowance = 0.0
        self.is_cut = False
        self.is_dead = False  # never answers, never reads
        self.lies_about_seq = False
        self.refuses = False
        self.select = select
        self.start_paused = start_paused
        self.discard_to = discard_to
        self.queue: deque[tuple[type, bytes]] = deque()
        self.queued_bytes = 0
        self.received = Received()
        self.client_events: list[SessionEvent] = []
        self.unsent_calls = 0
        self.is_direct = is_direct
        self.on_shut: Callable[[], None] | None = None
        self.direct_frames = 0  # those that took the short way

    # Outlet

    @property
    def is_writable(self) -> bool:
        return self.queued_bytes <= KERNEL_BYTES

    def unsent_bytes(self) -> int:
        self.unsent_calls += 1
        return self.queued_bytes

    def flush(self) -> None:
        for item in self.session.data_to_send(0):
            data = b"" if isinstance(item, CloseConnection) else item.data
            self.queue.append((type(item), data))
            self.queued_bytes += len(data)
        self.happened()

    def send_audio(self, payload: bytes, now_ns: int) -> bool:
        if not self.clear(len(payload)):
            return False
        assert self.session.pass_audio(len(payload), now_ns)
        self.write(payload)
        return True

    def clear(self, size_bytes: int) -> bool:
        return self.is_direct and self.is_writable and self.session.passes_audio(size_bytes)

    def passage(self, on_shut: Callable[[], None]) -> tuple[Endpoint, Endpoint]:
        self.on_shut = on_shut
        return self, self

    def is_closing(self) -> bool:
        return self.is_cut

    def send(self, kind: int, payload: bytes) -> None:
        assert kind == 2
        self.write(payload)

    def happened(self) -> None:
        """Say at once where nothing may be written past us any more."""
        is_fit = self.is_writable and self.session.is_flowing and not self.is_cut
        if self.on_shut is not None and not is_fit:
            self.on_shut()
            self.on_shut = None

    def write(self, payload: bytes) -> None:
        """Take a frame the short way."""
        self.direct_frames += 1
        self.queue.append((SendBinary, payload))
        self.queued_bytes += len(payload)
        self.happened()

    # The world's part

    def connect(self, now_ns: int) -> None:
        self.session = ClientSession(session_id=self.session_id, now_ns=now_ns)
        self.server = ServerSession(
            session_id=self.session_id, organization_id=ORGANIZATION, now_ns=now_ns
        )
        self.is_connected = False

    def dial(self, now_ns: int) -> None:
        self.connect(now_ns)
        self.is_connected = True
        self.session.open(OpenParameters(media=offer_for(self.channel), **PARAMETERS), now_ns)
        self.flush()

    def run(self, now_ns: int, *, elapsed_ns: int) -> None:
        if not self.is_connected:
            return
        if self.rate is not None:
            self.allowance = min(
                self.allowance + self.rate * elapsed_ns / 1e9, max(self.rate * 0.1, 2000)
            )
        self.carry(now_ns)
        for session in (self.session, self.server):
            deadline = session.next_deadline_ns()
            if deadline is not None and deadline <= now_ns:
                session.handle_deadline(now_ns)
        self.flush()
        self.listen(now_ns)
        self.answer(now_ns)

    def carry(self, now_ns: int) -> None:
        while self.queue and not self.is_dead:
            kind, data = self.queue[0]
            if self.rate is not None:
                if self.allowance <= 0:
                    return
                self.allowance -= len(data)
            self.queue.popleft()
            self.queued_bytes -= len(data)
            if kind is CloseConnection:
                self.cut(now_ns)
                return
            self.received.octets.append(data)
            if kind is SendText:
                self.server.receive_text(data, now_ns)
            else:
                self.server.receive_binary(data, now_ns)
            self.answer(now_ns)

    def cut(self, now_ns: int) -> None:
        self.is_cut = True
        self.queue.clear()
        self.queued_bytes = 0
        self.happened()
        self.session.receive_closed(None, now_ns)
        self.server.receive_closed(None, now_ns)
        self.listen(now_ns)
        self.answer(now_ns)

    def listen(self, now_ns: int) -> None:
        """What the client session says goes to the cursor, as an endpoint does it."""
        for event in self.session.events():
            self.client_events.append(event)
            if isinstance(event, SessionOpened):
                self.cursor.open(self.session, self, event, now_ns)
            elif isinstance(event, SessionEnded):
                self.cursor.end()

    def answer(self, now_ns: int) -> None:
        received = self.received
        for event in self.server.events():
            received.order.append(type(event).__name__)
            match event:
                case OpenRequested() if self.refuses:
                    self.server.refuse(now_ns)
                case OpenRequested(parameters=parameters):
                    self.server.accept(
                        now_ns,
                        media=self.select(parameters.media),
                        start_paused=self.start_paused,
                        discard_to=self.discard_to,
                    )
                case AudioFrame():
                    received.frames.append((event.position, event.payload))
                    received.times.append((now_ns, event.position))
                case AudioPaused():
                    received.paused_at.append(event.position)
                case AudioResumed():
                    received.resumed.append((event.start, event.discarded))
                    received.gaps.append(("resumed", event.start, event.discarded))
                case AudioDiscarded():
                    received.gaps.append(("discarded", event.start, event.discarded))
                case LanguageUpdated():
                    received.languages.append((event.language, event.position))
                case PeerViolated():
                    received.violations.append(event.problem)
                case CloseRequested():
                    received.closed_at = event.position
                    self.server.finish(now_ns)
        if self.is_dead or self.is_cut:
            return
        for item in self.server.data_to_send(now_ns):
            if isinstance(item, SendText):
                data = item.data
                if self.lies_about_seq:
                    data = data.replace(b'"seq":', b'"seq":9', 1)
                self.session.receive_text(data, now_ns)
                self.listen(now_ns)
        self.flush()


class World:
    """The call, its source, its endpoints and the time."""

    def __init__(self, *, samples: int = 400_000, seed: int = 7, **options: object) -> None:
        self.call = Fanout(**options)  # type: ignore[arg-type]
        self.source = noise(samples, seed=seed)
        self.now_ns = 0
        self.endpoints: list[Endpoint] = []

    def endpoint(self, name: str, *, dial: bool = True, **options: object) -> Endpoint:
        endpoint = Endpoint(self.call, name=name, now_ns=self.now_ns, **options)  # type: ignore[arg-type]
        self.endpoints.append(endpoint)
        if dial:
            endpoint.dial(self.now_ns)
        return endpoint

    def settle(self) -> None:
        """Let what is on the links arrive; no time passes."""
        for endpoint in self.endpoints:
            endpoint.run(self.now_ns, elapsed_ns=0)

    def feed(self, samples: int) -> None:
        """Let call time pass: audio, or nothing where the call is paused."""
        head = self.call.head
        assert 2 * (head + samples) <= len(self.source)
        if self.call.is_paused:
            self.call.skip(samples)
        else:
            self.call.write(self.source[2 * head : 2 * (head + samples)], self.now_ns)

    def tick(self) -> None:
        self.now_ns += TICK_NS
        self.call.tick(self.now_ns)
        for endpoint in self.endpoints:
            if not endpoint.is_cut:
                endpoint.run(self.now_ns, elapsed_ns=TICK_NS)

    def play(self, samples: int) -> None:
        """Let that much of the call happen, in ticks."""
        while samples:
            step = min(samples, TICK_SAMPLES)
            self.feed(step)
            self.tick()
            samples -= step

    def play_until(self, is_so: Callable[[], bool], *, step: int = TICK_SAMPLES) -> None:
        """Let the call happen until something is so, at most twenty seconds."""
        for _ in range(2_000):
            if is_so():
                return
            self.feed(step)
            self.tick()
        raise AssertionError("it did not come to that")

    def hang_up(self) -> None:
        """End the call and run until every endpoint is at its end; a dead one takes its time."""
        self.call.finish(self.now_ns)
        for _ in range(4_000):
            if all(endpoint.is_cut for endpoint in self.endpoints):
                return
            self.tick()
        raise AssertionError("an endpoint did not come to its end")


def check(world: World, endpoint: Endpoint) -> None:
    """What holds for every endpoint of every call, whatever happened."""
    received, account = endpoint.received, endpoint.cursor.account
    assert endpoint.cursor.fault is None
    assert received.violations == []
    # The account is exact.
    parts = (account.sent, account.discarded, account.lost, account.paused_union)
    assert min(parts) >= 0
    assert sum(parts) == account.length == world.call.head
    # What was received is what was played, in its place, and gaps fill the rest of the line.
    media = endpoint.session.media
    line = [(start, length) for _, start, length in received.gaps]
    for position, payload in received.frames:
        assert media is not None
        samples = len(payload) // media.frame_bytes
        stereo = world.source[2 * position : 2 * (position + samples)]
        step = 3 - len(media.channels)
        assert payload == stereo[media.channels[0] is Channel.INTERNAL :: step]
        line.append((position, samples))
    at = 0
    for start, length in sorted(line):
        assert start == at
        at = start + length
    if received.closed_at is not None:
        assert account.ended_at == received.closed_at
        assert account.sent_sha256 == received.sha256
        session = endpoint.session
        is_paused = session.is_client_paused or session.is_server_paused
        # The span of a pause that lasts to the end, and of no media, is told by `close` alone.
        assert at == received.closed_at or is_paused or media is None


__all__ = ["MS", "PARAMETERS", "Endpoint", "World", "check", "noise"]
