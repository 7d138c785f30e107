"""A platform, five services, and one conversation at a time that all kinds of things happen to.

What a call plays is known byte by byte: every part of a conversation has its own audio, so that a
byte that arrives tells of which part and which sample it is. What may not arrive is noted as the
platform answers.
"""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

from tests.fanout.services import KEY, QUICK, SECRET, Service, Successive, running, until
from tests.monitor.platforms import ADMIN, MASTER, ORG, integrate

from openaudiohook.exceptions import JournalError, LocalProtocolError
from openaudiohook.fanout.endpoint import EndpointState
from openaudiohook.fanout.pauses import Span, length, subtract
from openaudiohook.monitor.live_call import LiveCall
from openaudiohook.monitor.media import SourceRequest
from openaudiohook.monitor.monitor import Monitor
from openaudiohook.monitor.orders import PlaceCall
from openaudiohook.monitor.platform import Platform
from openaudiohook.monitor.secure_pause import SecureKind
from openaudiohook.protocol.types import Channel, ServerState
from openaudiohook.store.database import Database
from openaudiohook.store.entries import Entry, SessionEnded, SessionOpened
from openaudiohook.store.journal import Journal
from openaudiohook.store.keys import audit_key
from openaudiohook.store.positions import Positions
from openaudiohook.store.records import Organization, Queue
from openaudiohook.store.sealing import Sealer

ENDPOINTS = 5
CHANNELS = ("both", "internal", "both", "external", "both")
RECONNECTING = (1, 2, 3)
PARTS = 6
SECONDS = 240
SPEED = 10
FOREVER = 1 << 40
LIVING = (ServerState.ACTIVE, ServerState.PAUSED)
AUDIO = [random.Random(part).randbytes(2 * 8000 * SECONDS) for part in range(PARTS)]


def write_audio(directory: Path) -> None:
    """Put what the parts play where the platform finds it."""
    directory.mkdir()
    for part, data in enumerate(AUDIO):
        form = struct.pack("<HHIIHH", 7, 2, 8000, 16000, 2, 8)
        body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
        body += b"data" + struct.pack("<I", len(data)) + data
        (directory / f"{part}.wav").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


class Gone:
    """The journal of a process that was killed."""

    def append(self, entry: Entry) -> int:
        raise JournalError("the process was killed")


class World:
    """A platform that may be killed or stopped and started again, and its services."""

    def __init__(self, directory: Path, services: list[Successive]) -> None:
        self.directory = directory
        self.services = services
        self.platform: Platform
        self.queues: list[Queue] = []
        self.names: list[str] = []  # the integrations' ids, in the order of the services

    async def start(self) -> None:
        self.database = await Database.open(f"sqlite:///{self.directory / 'monitor.sqlite'}")
        self.journal = Journal.open(self.directory / "journal", key=audit_key(MASTER))
        self.positions = Positions.open(self.directory / "journal")
        self.platform = Platform(
            database=self.database,
            journal=self.journal,
            positions=self.positions,
            sealer=Sealer(MASTER),
            monitor=Monitor(retry=QUICK),
            media_dir=self.directory / "media",
        )
        await self.platform.start()

    async def configure(self) -> None:
        await self.platform.put_organization(Organization(id=ORG, name="one"), requester=ADMIN)
        for index, service in enumerate(self.services):
            integration = await integrate(
                self.platform,
                service,
                name=f"{index}",
                key=KEY,
                secret=SECRET,
                channel=CHANNELS[index],
                reconnections=index in RECONNECTING,
            )
            assert integration.status == "ACTIVE", integration.status_text
            self.names.append(integration.id)
        for hold_back_ms in (0, 400):
            queue = Queue(
                id="",
                organization_id=ORG,
                name=f"held back {hold_back_ms} ms",
                enable_audio_monitoring=True,
                hold_back_ms=hold_back_ms,
            )
            self.queues.append(await self.platform.create_queue(ORG, queue, requester=ADMIN))

    async def stop(self) -> None:
        await self.platform.stop()
        await self._close()

    async def kill(self) -> None:
        """End it as a process that is killed ends: nothing is written, every connection is gone."""
        platform = self.platform
        await platform._projector.caught_up()  # the database's thread would outlive its task
        platform._record._journal = Gone()  # type: ignore[assignment]
        calls = list(platform._running.values())
        for task in (*platform._tasks, *platform._running):
            task.cancel()
        for call in calls:
            call.drop()
        await asyncio.gather(*platform._tasks, *platform._running, return_exceptions=True)
        await until(lambda: all(call.is_done for call in calls))
        await self._close()

    async def _close(self) -> None:
        self.positions.close()
        self.journal.close()
        await self.database.close()


@asynccontextmanager
async def world_in(directory: Path) -> AsyncIterator[World]:
    write_audio(directory / "media")
    services = [Successive() for _ in range(ENDPOINTS)]
    async with running(*services):
        world = World(directory, services)
        await world.start()
        await world.configure()
        try:
            yield world
        finally:
            await world.stop()


class Cut:
    """What was answered to a secure pause."""

    def __init__(self, part: int, position: int, gone: dict[str, int]) -> None:
        self.part = part
        self.position = position
        self.gone = gone
        self.end = FOREVER


class Conversation:
    """One conversation, whatever happens to it and its services."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.pick = random.Random(seed)
        self.id = ""
        self.part = 0
        self.held: set[tuple[SecureKind, str]] = set()
        self.clients: set[str] = set()
        self.cuts: list[Cut] = []
        self.disturbed: set[tuple[int, int]] = set()  # service and part, where bytes may be lost
        self.dropped: list[Service] = []
        self.seen: dict[str, int] = {}
        self.before = [len(service.services) for service in world.services]

    @property
    def platform(self) -> Platform:
        return self.world.platform

    @property
    def call(self) -> LiveCall:
        return self.platform.call(ORG, self.id)

    def mine(self, index: int) -> list[Service]:
        """The sessions of this conversation that a service had."""
        return [
            one
            for one in self.world.services[index].services[self.before[index] :]
            if one.opens and one.opens[0].conversation_id == self.id
        ]

    async def run(self, steps: int = 14) -> None:
        queue = self.pick.choice(self.world.queues)
        if self.pick.random() < 0.2:
            self.world.services[self.pick.randrange(ENDPOINTS)].refusals = 1
        place = PlaceCall(source=self.source(), queue_id=queue.id, speed=Decimal(SPEED))
        call = await self.platform.place_call(ORG, place, requester=ADMIN)
        self.id = call.conversation_id
        await self.come_up()
        for _ in range(steps):
            what = self.pick.choice(DEEDS)
            if await getattr(self, what)():
                self.seen[what] = self.seen.get(what, 0) + 1
            await self.wait()
        await self.end_well()
        await self.check()

    def source(self) -> SourceRequest:
        return SourceRequest(file=f"{self.part}.wav")

    async def wait(self) -> None:
        await asyncio.sleep(self.pick.choice((0, 0.005, 0.02, 0.05)))

    async def come_up(self) -> None:
        """Let sessions open before anything else happens; or not, for that may happen too."""
        if self.pick.random() < 0.7:
            for service in self.world.services:
                service.reads.set()
            endpoints = self.call.running.endpoints
            await until(lambda: all(one.state in SETTLED for one in endpoints))

    # What can happen --------------------------------------------------------------------

    async def talk(self) -> bool:
        """Nothing happens for a while."""
        position = self.call.position + self.pick.randrange(4000)
        await until(lambda: self.call.position > position)
        return True

    async def begin(self) -> bool:
        kind = self.pick.choice((SecureKind.API, SecureKind.AGENT))
        requester = self.pick.choice(("client:a", "client:b"))
        effective_at = None
        if self.pick.random() < 0.6:
            effective_at = max(0, self.call.position - self.pick.randrange(6000))
        again = 1 + (self.pick.random() < 0.3)  # whoever got no answer asks again
        answers = await asyncio.gather(
            *(
                self.platform.begin_secure_pause(
                    ORG, self.id, kind=kind, requester=requester, effective_at=effective_at
                )
                for _ in range(again)
            )
        )
        self.held.add((kind, requester))
        for answer in answers:
            assert answer.part == self.part
            if effective_at is not None:
                assert answer.position <= max(effective_at, 0)
            self.cuts.append(Cut(answer.part, answer.position, answer.gone))
        return True

    async def end(self) -> bool:
        if not self.held:
            return False
        await self.end_one(*self.pick.choice(sorted(self.held)))
        return True

    async def end_one(self, kind: SecureKind, requester: str) -> None:
        answer = await self.platform.end_secure_pause(ORG, self.id, kind=kind, requester=requester)
        self.held.discard((kind, requester))
        assert len(answer.held_by) == len(self.held)
        if not self.held:
            for cut in self.cuts:
                if cut.part == self.part:
                    cut.end = min(cut.end, answer.position)

    async def steal(self) -> bool:
        """Somebody else tries to end it, and may not."""
        if not self.held:
            return False
        try:
            await self.platform.end_secure_pause(
                ORG, self.id, kind=SecureKind.API, requester="client:c"
            )
        except LocalProtocolError:
            return True
        raise AssertionError("somebody else's reason was ended")

    async def client(self) -> bool:
        requester = self.pick.choice(("client:a", "client:b"))
        if requester in self.clients:
            await self.platform.end_client_pause(ORG, self.id, requester=requester)
            self.clients.discard(requester)
        else:
            await self.platform.begin_client_pause(ORG, self.id, requester=requester)
            self.clients.add(requester)
        return True

    async def server(self) -> bool:
        index = self.pick.randrange(ENDPOINTS)
        if not self.is_streaming(index):
            return False
        service = self.mine(index)[-1]
        await (service.pause() if self.pick.random() < 0.5 else service.resume())
        return True

    async def stall(self) -> bool:
        reads = self.world.services[self.pick.randrange(ENDPOINTS)].reads
        reads.clear() if reads.is_set() else reads.set()
        return True

    async def lose(self) -> bool:
        index = self.pick.choice(RECONNECTING)
        if not self.is_streaming(index):
            return False
        self.disturbed.add((index, self.part))
        self.dropped.append(self.mine(index)[-1])
        self.dropped[-1].drop()
        return True

    async def move(self) -> bool:
        index = self.pick.choice(RECONNECTING)
        if not self.is_streaming(index):
            return False
        service = self.mine(index)[-1]
        assert service.session is not None
        service.session.reconnect(time.monotonic_ns())
        await service.say()
        return True

    async def attach(self) -> bool:
        """Another source in place of the one there is."""
        if self.part + 1 == PARTS:
            return False
        self._next_part()
        await self.platform.attach_source(ORG, self.id, self.source(), requester=ADMIN)
        await self.come_up()
        return True

    async def kill(self) -> bool:
        if self.part + 1 == PARTS:
            return False
        for index in range(ENDPOINTS):
            self.disturbed.add((index, self.part))
        await self.world.kill()
        await self._come_back()
        return True

    async def restart(self) -> bool:
        if self.part + 1 == PARTS:
            return False
        for service in self.world.services:
            service.reads.set()
        await self.world.stop()
        await self._come_back()
        return True

    async def _come_back(self) -> None:
        for service in self.world.services:
            service.reads.set()
        await self.world.start()
        if self.pick.random() < 0.5 and self.held:  # it can be ended though nobody is there
            await self.end_one(*self.pick.choice(sorted(self.held)))
        if self.pick.random() < 0.3:
            requester = self.pick.choice(("client:a", "client:b"))
            await self.platform.begin_secure_pause(
                ORG, self.id, kind=SecureKind.API, requester=requester
            )
            self.held.add((SecureKind.API, requester))
        self._next_part()
        await self.platform.attach_source(ORG, self.id, self.source(), requester=ADMIN)
        state = self.platform.call_state(ORG, self.id)
        assert state["securePaused"] is bool(self.held)
        await self.come_up()

    def _next_part(self) -> None:
        self.part += 1
        if self.held:
            self.cuts.append(Cut(self.part, 0, {}))

    def is_streaming(self, index: int) -> bool:
        name = self.world.names[index]
        states = {one.config.integration_id: one.state for one in self.call.running.endpoints}
        sessions = self.mine(index)
        is_there = sessions and not any(sessions[-1] is one for one in self.dropped)
        session = sessions[-1].session if is_there else None
        return (
            states.get(name) is EndpointState.STREAMING
            and session is not None
            and session.state in LIVING
        )

    # The end ----------------------------------------------------------------------------

    async def end_well(self) -> None:
        """Take every pause back, see that all who are there are streamed again, and hang up."""
        for service in self.world.services:
            service.reads.set()
        endpoints = self.call.running.endpoints
        await until(lambda: all(one.state in SETTLED for one in endpoints))
        for kind, requester in sorted(self.held):
            await self.end_one(kind, requester)
        for requester in self.clients:
            await self.platform.end_client_pause(ORG, self.id, requester=requester)
        for index in range(ENDPOINTS):
            if self.is_streaming(index):
                await self.mine(index)[-1].resume()
        position = self.call.position
        for index in range(ENDPOINTS):
            await until(lambda index=index: self.is_served(index, position))  # type: ignore[misc]
        call = self.call
        await self.platform.hang_up(ORG, self.id, requester=ADMIN)
        await until(lambda: call.is_done)

    def is_served(self, index: int, position: int) -> bool:
        if not self.is_streaming(index):
            return True
        frames = self.mine(index)[-1].frames
        return bool(frames) and frames[-1][0] > position

    async def check(self) -> None:
        await self.platform._projector.caught_up()
        record = await self.platform._ledger.conversation(ORG, self.id)
        entries = [entry for _, entry in record.entries]
        parts = {one.session_id: one.part for one in entries if isinstance(one, SessionOpened)}
        for index in range(ENDPOINTS):
            spans: dict[int, list[Span]] = {}
            for service in self.mine(index):
                assert service.problems == []
                if service.frames:
                    assert service.session is not None
                    part = parts[service.session.session_id]
                    spans.setdefault(part, []).extend(self.spans(index, service, part))
            for cut in self.cuts:
                arrived = subtract(spans.get(cut.part, []), [(0, cut.position), (cut.end, FOREVER)])
                gone = cut.gone.get(self.world.names[index], 0)
                assert length(arrived) <= gone, (index, cut.part, cut.position, arrived, gone)
                if (index, cut.part) not in self.disturbed:
                    assert length(arrived) == gone
        for entry in entries:
            if isinstance(entry, SessionEnded) and entry.event_id is None:
                opened = next(
                    one
                    for one in entries
                    if isinstance(one, SessionOpened) and one.session_id == entry.session_id
                )
                told = entry.sent + entry.discarded + entry.paused + entry.lost
                assert told == entry.at - opened.start

    def spans(self, index: int, service: Service, part: int) -> list[Span]:
        """What arrived, after a look at every byte of it."""
        channels = service.opens[0].media[0].channels
        step = 3 - len(channels)
        spans = []
        for position, payload in service.frames:
            end = position + len(payload) // len(channels)
            stereo = AUDIO[part][2 * position : 2 * end]
            assert payload == stereo[channels[0] is Channel.INTERNAL :: step]
            spans.append((position, end))
        return spans


SETTLED = (EndpointState.STREAMING, EndpointState.COMPLETED, EndpointState.FAILED)
DEEDS = (
    "talk", "talk", "begin", "begin", "begin", "end", "end", "end", "end", "steal", "client",
    "server", "server", "stall", "lose", "lose", "move", "move", "attach", "kill", "restart",
)  # fmt: skip
