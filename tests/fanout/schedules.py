"""Random schedules of secure pause, in simulated time, with every byte that leaves looked at.

What may not leave is known beforehand: a schedule is planned first, and what is captured at or
after a cut that somebody will ask for, however late, is marked in the audio itself. Everything
else is ASCII, so one look at a payload tells whether anything of it is marked.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
from tests.fanout.world import PARAMETERS, Endpoint, Received, World

from openaudiohook.exceptions import LocalProtocolError
from openaudiohook.fanout.account import Account, settle
from openaudiohook.fanout.engine import Cut, Fanout
from openaudiohook.fanout.pauses import Span, length, subtract, union
from openaudiohook.fanout.ring import SILENCE
from openaudiohook.protocol import CloseConnection, SendBinary
from openaudiohook.protocol.codec import decode_client_message
from openaudiohook.protocol.events import SessionEnded, SessionOpened
from openaudiohook.protocol.media import ns_to_samples, offer_for
from openaudiohook.protocol.messages import DiscardedParameters, OpenParameters
from openaudiohook.protocol.types import Channel, PauseCause, ServerState

ENDPOINTS = 5
SECURE, CLIENT = PauseCause.SECURE, PauseCause.CLIENT
SHAPE = {
    "frame_samples": 16,
    "ring_samples": 600,
    "catch_up_samples": 300,
    "throttle_in_samples": 240,
    "throttle_out_samples": 30,
}
FOREVER = 1 << 40
_POOL = random.Random(11).randbytes(1 << 16)
_PUBLIC = _POOL.translate(bytes(code & 0x7F for code in range(256)))
_SECRET = _POOL.translate(bytes(min(code | 0x80, 0xFE) for code in range(256)))
_LIVING = (ServerState.ACTIVE, ServerState.PAUSED)


def is_marked(octets: bytes) -> bool:
    """Whether anything in there is marked; silence, which is what is erased, is not."""
    return not octets.isascii() and not octets.replace(b"\xff", b"").isascii()


class Begin(NamedTuple):
    """Somebody asks for a pause; what is to be cut off began `delay` samples before."""

    cause: PauseCause
    requester: str
    delay: int
    names_it: bool  # the request says when it began


class End(NamedTuple):
    cause: PauseCause
    requester: str


class Play(NamedTuple):
    """Call time passes, in ticks of so many samples; or all of it in one."""

    samples: int
    step: int


class Gap(NamedTuple):
    samples: int


class Language(NamedTuple):
    tag: str


class Do(NamedTuple):
    """Something happens to one endpoint."""

    index: int
    what: str
    rate: int | None = None


Step = Begin | End | Play | Gap | Language | Do


@dataclass
class Plan:
    """A schedule, and the audio for it.

    Attributes:
        exposed: for each request that is told late: from which sample on it was to hold, and the
            number of the step at which it is told.
    """

    hold_back: int
    phase: int
    steps: list[Step]
    late: Begin | None
    source: bytes
    exposed: list[tuple[int, int]]


DEEDS = ("pause", "resume", "pause", "resume", "rate", "rate", "die", "cut", "disconnect",
         "refuse", "dial", "dial", "reconnect", "reconnect")  # fmt: skip


def plan(seed: int, *, steps: int = 18, deeds: Sequence[str] = DEEDS, scale: int = 1) -> Plan:
    """Make the schedule of a seed; everything in it takes `scale` times as long."""
    pick = random.Random(seed)
    hold_back = pick.choice((0, 0, pick.randint(1, 80)))
    script: list[Step] = [Play(pick.randint(1, 150), pick.randint(5, 24))]
    for _ in range(steps):
        match pick.randrange(14):
            case 0 | 1 | 2 | 3 | 4:
                script.append(Play(pick.randint(1, 120), pick.randint(5, 24)))
            case 5:
                script.append(Play(pick.randint(1, 160), 1_000))
            case 6 | 7:
                script.append(_begin(pick, SECURE, hold_back))
            case 8:
                script.append(Begin(CLIENT, pick.choice("ab"), 0, False))
            case 9:
                script.append(End(SECURE, pick.choice("ab")))
            case 10:
                script.append(End(pick.choice((SECURE, CLIENT)), pick.choice("ab")))
            case 11:
                script.append(
                    pick.choice((Gap(pick.randint(1, 30)), Language(pick.choice(("fr-CA", "de")))))
                )
            case _:
                rate = pick.choice((None, None, pick.randint(1_000, 20_000)))
                script.append(Do(pick.randrange(ENDPOINTS), pick.choice(deeds), rate))
    late = _begin(pick, SECURE, hold_back) if pick.random() < 0.15 else None
    script = [_stretched(step, scale) for step in script]
    late = late and late._replace(delay=scale * late.delay)
    return composed(scale * hold_back, pick.randrange(16), script, late)


def _stretched(step: Step, scale: int) -> Step:
    match step:
        case Play(samples=samples, step=each):
            return Play(scale * samples, scale * each)
        case Gap(samples=samples):
            return Gap(scale * samples)
        case Begin(delay=delay):
            return step._replace(delay=scale * delay)
    return step


def _begin(pick: random.Random, cause: PauseCause, hold_back: int) -> Begin:
    names_it = pick.random() < 0.6
    most = 100 if names_it else hold_back
    delay = pick.choice((0, -20 if names_it else 0, pick.randint(0, most), pick.randint(0, most)))
    return Begin(cause, pick.choice("ab"), delay, names_it)


def composed(hold_back: int, phase: int, script: list[Step], late: Begin | None) -> Plan:
    """Compose the audio: what somebody will want cut off is marked."""
    head, held, marked = 0, set[tuple[PauseCause, str]](), list[Span]()
    exposed: list[tuple[int, int]] = []
    for number, step in enumerate([*script, *([late] if late else [])]):
        match step:
            case Play(samples=samples) | Gap(samples=samples):
                if held:
                    marked.append((head, head + samples))
                head += samples
            case Begin(cause=cause, requester=requester, delay=delay):
                if (cause, requester) not in held or step.names_it:
                    marked.append((max(0, head - delay), head))
                    exposed.append((max(0, head - delay), number))
                held.add((cause, requester))
            case End(cause=cause, requester=requester):
                held.discard((cause, requester))
    source = bytearray(_PUBLIC[: 2 * head])
    for start, end in union(marked):
        source[2 * start : 2 * end] = _SECRET[2 * start : 2 * end]
    return Plan(hold_back, phase, script, late, bytes(source), exposed)


@dataclass
class Leaving:
    """What left on one endpoint's connections: spans of call time, and what may not."""

    source: bytes
    closed: list[list[int]]
    spans: list[Span] = field(default_factory=list)
    is_exposed: bool = False
    has_exposed: bool = False
    at: int = 0

    def audio(self, payload: bytes, channels: tuple[Channel, ...]) -> None:
        samples = len(payload) // len(channels)
        start, end = self.at, self.at + samples
        stereo = self.source[2 * start : 2 * end]
        step = 3 - len(channels)
        assert payload == stereo[channels[0] is Channel.INTERNAL :: step]
        if not payload.isascii():
            assert self.is_exposed
            self.has_exposed = True
        for cut, until in self.closed:
            assert end <= cut or start >= until
        self.spans.append((start, end))
        self.at = end

    def text(self, data: bytes) -> None:
        if b'"discarded"' in data:  # as the message or as what it tells
            told = decode_client_message(data).parameters
            assert isinstance(told, DiscardedParameters)
            self.at = ns_to_samples(told.start) + ns_to_samples(told.discarded)


class Watched(Endpoint):
    """An endpoint, all of whose bytes are looked at where they leave."""

    def __init__(self, call: Fanout, *, leaving: Leaving, **options: object) -> None:
        self.leaving = leaving
        self.has_opened = self.has_been_slow = self.is_told_off = False
        self.is_disturbed = False  # what happens to it happens to it alone
        self.legs: list[Received] = []
        super().__init__(call, **options)  # type: ignore[arg-type]
        self.cursors = [self.cursor]

    # Everything is small here but the messages, which so must not count.

    @property
    def is_writable(self) -> bool:
        return self.unsent_bytes() <= 160

    def unsent_bytes(self) -> int:
        return sum(len(data) for kind, data in self.queue if kind is SendBinary)

    def flush(self) -> None:
        for item in self.session.data_to_send(0):
            data = b"" if isinstance(item, CloseConnection) else item.data
            if isinstance(item, SendBinary):
                assert self.session.media is not None
                self.leaving.audio(data, self.session.media.channels)
            elif data:
                self.leaving.text(data)
            self.queue.append((type(item), data))
            self.queued_bytes += len(data)
        self.happened()

    def write(self, payload: bytes) -> None:
        super().write(payload)
        assert self.session.media is not None
        self.leaving.audio(payload, self.session.media.channels)

    def listen(self, now_ns: int) -> None:
        for event in self.session.events():
            if isinstance(event, SessionOpened):
                if self.has_opened:
                    self.cursor = self.cursor._call.replace(
                        self.cursor, self.session, self, event, now_ns
                    )
                    self.cursors.append(self.cursor)
                else:
                    self.cursor.open(self.session, self, event, now_ns)
                self.has_opened = True
            elif isinstance(event, SessionEnded) and self.cursor._session is self.session:
                self.cursor.end()

    def reconnect(self, now_ns: int) -> None:
        """Lose the connection, and go on in a new session."""
        self.cut(now_ns)
        self.legs.append(self.received)
        self.received = Received()
        self.is_cut = self.is_dead = False
        self.refuses = self.is_told_off = False
        self.session_id = f"{self.session_id[:-2]}{len(self.legs):02d}"
        self.connect(now_ns)
        self.is_connected = True
        position = self.cursor._call.history_start if self.has_opened else 0
        parameters = OpenParameters(media=offer_for(self.channel), **PARAMETERS)  # type: ignore[arg-type]
        self.session.open(parameters, now_ns, position=position)
        self.leaving.at = position
        self.flush()


class Simulation:
    """One schedule as it happens: a call, its endpoints, and what left."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.step = 0
        self.closed: list[list[int]] = []  # where nothing may leave any more
        self.gaps: list[Span] = []
        self.began: list[int] = []
        self.languages: list[str] = []
        self.world = World(
            samples=0, hold_back_samples=plan.hold_back, phase_samples=plan.phase, **SHAPE
        )
        self.world.source = plan.source
        self.call = self.world.call
        self.endpoints: list[Watched] = []
        for index in range(ENDPOINTS):
            endpoint = Watched(
                self.call,
                leaving=Leaving(plan.source, self.closed),
                name=f"{index}",
                now_ns=0,
                channel=("both", "internal", "both", "external", "both")[index],
            )
            self.endpoints.append(endpoint)
            self.world.endpoints.append(endpoint)
            if index < ENDPOINTS - 1:  # the last one comes late, if at all
                endpoint.dial(0)
        self.world.settle()

    def run(self) -> None:
        for step in self.plan.steps:
            match step:
                case Play():
                    self._play(step)
                case Begin():
                    self._begin(step)
                case End(cause=cause, requester=requester):
                    self.call.end_pause(cause, requester)
                    self._resumed()
                case Gap(samples=samples):
                    head = self.call.head
                    self.call.skip(samples)
                    if not self.call.is_paused:
                        self.gaps.append((head, head + samples))
                case Language(tag=tag):
                    self.languages.append(tag)
                    self.call.update_language(tag)
                case Do():
                    self._do(self.endpoints[step.index], step)
            self.world.settle()
            self.step += 1
        self._hang_up()
        self._check()

    def _play(self, play: Play) -> None:
        left = play.samples
        while left:
            samples = min(left, play.step)
            self._expose(self.call.head + samples)
            if self.call.is_paused:
                with pytest.raises(LocalProtocolError):
                    self.call.write(self._spoken(samples), self.world.now_ns)
            self.world.feed(samples)
            self.world.tick()
            left -= samples

    def _spoken(self, samples: int) -> bytes:
        head = self.call.head
        return self.plan.source[2 * head : 2 * (head + samples)]

    def _expose(self, head: int) -> None:
        """Somebody is late to say that what is captured now is to be cut off."""
        is_exposed = any(start < head and number > self.step for start, number in self.plan.exposed)
        for endpoint in self.endpoints:
            endpoint.leaving.is_exposed = is_exposed

    def _begin(self, begin: Begin) -> None:
        head = self.call.head
        effective_at = head - begin.delay if begin.names_it else None
        is_new = (begin.cause, begin.requester) not in self.call.pauses.reasons
        was_paused = self.call.is_paused
        cut = self.call.begin_pause(begin.cause, begin.requester, effective_at=effective_at)
        if is_new:
            taken_back = self.plan.hold_back if begin.cause is SECURE else 0
            asked = head - taken_back if effective_at is None else effective_at
            assert cut.position == max(0, min(asked, head))
            assert cut.began == head
        if not was_paused:
            self.began.append(head)
        self.closed.append([cut.position, FOREVER])
        self._expose(head)
        self._check_cut(cut)

    def _check_cut(self, cut: Cut) -> None:
        """What had left is told exactly, and nothing that may not leave is kept anywhere."""
        for endpoint, gone in zip(self.endpoints, cut.gone, strict=True):
            left = subtract(endpoint.leaving.spans, [(0, cut.position)])
            assert gone == length(left)
        is_in_time = cut.position >= self.call.head - self.plan.hold_back
        if is_in_time and not self.call.is_finished:
            assert not any(cut.gone)
        ring = self.call.ring
        if not self.endpoints[0].leaving.is_exposed:
            kept = [layout._payload for layout in ring._layouts.values()]
            assert not is_marked(bytes(ring._octets) + b"".join(kept))
        for at in range(max(cut.position, ring.tail), ring.head, 7):
            assert ring._octets[2 * (at % ring.capacity)] == SILENCE

    def _resumed(self) -> None:
        if not self.call.is_paused:
            for span in self.closed:
                span[1] = min(span[1], self.call.head)

    def _do(self, endpoint: Watched, do: Do) -> None:
        now_ns = self.world.now_ns
        if not endpoint.is_connected:
            if do.what in ("dial", "refuse"):
                endpoint.refuses = do.what == "refuse"
                endpoint.dial(now_ns)
            return
        endpoint.is_disturbed = True
        server = endpoint.server
        match do.what:
            case "reconnect":
                endpoint.reconnect(now_ns)
            case _ if endpoint.is_cut:
                pass
            case "rate":
                endpoint.rate = do.rate
                endpoint.has_been_slow = do.rate is not None
            case "die":
                endpoint.is_dead = True
            case "cut":
                endpoint.cut(now_ns)
            case "refuse":  # the next attempt is refused, and may be tried again
                endpoint.reconnect(now_ns)
                endpoint.refuses = True
            case "pause" if server.state in _LIVING:
                server.pause(now_ns)
            case "resume" if server.state in _LIVING:
                server.resume(now_ns)
            case "disconnect" if server.state in _LIVING and not endpoint.is_told_off:
                endpoint.is_told_off = True
                server.disconnect(now_ns)

    def _hang_up(self) -> None:
        late = self.plan.late
        if late is not None:  # the call is over, and not all of it has left
            self.call.finish(self.world.now_ns)
            self._begin(late)
        for endpoint in self.endpoints:
            endpoint.rate = None
            if not endpoint.is_connected:
                endpoint.is_cut = True
            elif endpoint.is_dead:
                endpoint.cut(self.world.now_ns)
        self.world.hang_up()
        for endpoint in self.endpoints:
            endpoint.cursor.end()

    def account(self, endpoint: Watched) -> Account:
        """What became of the call on one endpoint, in all its sessions."""
        parts = [cursor.part for cursor in endpoint.cursors if cursor.part is not None]
        head = self.call.head
        pauses = self.call.pauses.intervals(until=head)
        return settle(parts, pauses=pauses, span=(0, head), is_over=True)

    def _check(self) -> None:
        head = self.call.head
        cut_off = union((start, min(end, head)) for start, end in self.closed)
        told = set(self.began)
        for endpoint in self.endpoints:
            account, left = self.account(endpoint), union(endpoint.leaving.spans)
            assert endpoint.cursor.fault is None
            parts = (account.sent, account.discarded, account.lost, account.paused_union)
            assert min(parts) >= 0
            assert sum(parts) == account.length == head
            assert account.sent == length(left)
            for received in (*endpoint.legs, endpoint.received):
                assert received.violations == []
            if not endpoint.is_disturbed and endpoint is not self.endpoints[-1]:
                # It was sent all there is before each cut, and up to it, and all after the end.
                assert subtract([(0, head)], [*cut_off, *self.gaps, *left]) == []
                # Whoever was told all of a call that is over is told no more.
                assert told - {head} <= set(endpoint.received.paused_at) <= told
                assert [tag for tag, _ in endpoint.received.languages] == self.languages
                assert account.lost == 0
