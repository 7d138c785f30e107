"""Pauses through the platform: cut, written down, answered; and never forgotten."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.monitor.platforms import (
    ADMIN,
    ORG,
    OTHER,
    TONE,
    database_away,
    entries_of,
    full_disk,
    integrate,
    platform_in,
    queue_on,
)
from tests.monitor.services import Service, Session, serving, until

from openaudiohook.exceptions import JournalError, LocalProtocolError, NotFound
from openaudiohook.monitor.orders import FlowAction, PlaceCall
from openaudiohook.monitor.platform import Platform
from openaudiohook.monitor.secure_pause import SecureKind
from openaudiohook.protocol.events import AudioPaused
from openaudiohook.store.entries import Acted, Entry, PauseBegan, PauseEnded

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

API, AGENT = SecureKind.API, SecureKind.AGENT


class Streamed:
    """A platform with one integration and one call that is streamed to it."""

    def __init__(self, platform: Platform, service: Service, conversation: str) -> None:
        self.platform = platform
        self.service = service
        self.conversation = conversation

    @property
    def session(self) -> Session:
        return self.service.sessions[-1]

    async def begin(self, kind: SecureKind = API, requester: str = ADMIN, **more: int) -> int:
        answer = await self.platform.begin_secure_pause(
            ORG, self.conversation, kind=kind, requester=requester, **more
        )
        return answer.position

    async def end(self, kind: SecureKind = API, requester: str = ADMIN) -> tuple[str, ...]:
        answer = await self.platform.end_secure_pause(
            ORG, self.conversation, kind=kind, requester=requester
        )
        return answer.held_by

    @property
    def is_held(self) -> bool:
        return bool(self.platform.call_state(ORG, self.conversation)["securePaused"])

    async def entries(self) -> list[Entry]:
        return await entries_of(self.platform, self.conversation)

    async def pass_time(self, samples: int = 1600) -> None:
        call = self.platform.call(ORG, self.conversation)
        until_at = call.position + samples
        await until(lambda: call.position >= until_at)


@asynccontextmanager
async def streamed(directory: Path) -> AsyncIterator[Streamed]:
    async with serving() as service, platform_in(directory) as platform:
        await integrate(platform, service)
        queue = await queue_on(platform)
        place = PlaceCall(source=TONE, queue_id=queue.id)
        call = await platform.place_call(ORG, place, requester=ADMIN)
        one = Streamed(platform, service, call.conversation_id)
        await until(lambda: len(service.sessions) > 1 and one.session.frames)
        yield one


async def test_an_answer_means_that_nothing_after_it_leaves(tmp_path: Path) -> None:
    async with streamed(tmp_path) as one:
        position = await one.begin()
        await one.pass_time()
        assert one.session.frames[-1][0] + one.session.frames[-1][1] <= position
        assert len(one.session.audio) == 2 * position
        await until(lambda: one.session.seen(AudioPaused))
        await one.end()
        await until(lambda: one.session.frames[-1][0] > position)


async def test_a_start_is_on_disk_when_it_is_answered(tmp_path: Path) -> None:
    async with streamed(tmp_path) as one:
        position = await one.begin()
        durable = one.platform._journal._durable.head.number
        lines = [entry for _, entry in one.platform._journal.read(0, durable)]
        (began,) = (entry for entry in lines if isinstance(entry, PauseBegan))
        assert (began.at, began.requester, began.reason) == (position, ADMIN, "api")


async def test_to_repeat_a_start_changes_nothing(tmp_path: Path) -> None:
    async with streamed(tmp_path) as one:
        positions = {await one.begin(), *await asyncio.gather(one.begin(), one.begin())}
        await one.pass_time()
        positions.add(await one.begin())
        assert len(positions) == 1
        assert sum(isinstance(entry, PauseBegan) for entry in await one.entries()) == 1
        assert await one.end() == ()
        assert not one.is_held


async def test_each_reason_is_ended_by_whoever_began_it_and_by_nobody_else(tmp_path: Path) -> None:
    async with streamed(tmp_path) as one:
        await one.begin(API, "client:one")
        await one.begin(AGENT, "client:one")
        with pytest.raises(LocalProtocolError, match="held by others \\(agent, api\\)"):
            await one.end(API, "client:two")
        assert await one.end(API, "client:one") == ("agent",)
        assert one.is_held
        with pytest.raises(LocalProtocolError, match="held by others \\(agent\\)"):
            await one.end(API, "client:one")
        assert await one.end(AGENT, "client:one") == ()
        assert not one.is_held


async def test_to_end_what_nobody_holds_changes_nothing(tmp_path: Path) -> None:
    async with streamed(tmp_path) as one:
        assert await one.end() == ()
        assert not any(isinstance(entry, PauseEnded) for entry in await one.entries())


async def test_a_flows_reason_ends_with_the_flow_alone(tmp_path: Path) -> None:
    async with streamed(tmp_path) as one:

        async def flow(name: str, *, enable: bool) -> object:
            action = FlowAction(action="secureFlow", flow=name, enable=enable)
            return await one.platform.flow_action(ORG, one.conversation, action, requester=ADMIN)

        await flow("card", enable=True)
        with pytest.raises(LocalProtocolError, match="held by others \\(flow\\)"):
            await one.end()
        with pytest.raises(LocalProtocolError, match="held by others \\(flow\\)"):
            await flow("another", enable=False)
        await flow("card", enable=False)
        assert not one.is_held
        asked = [entry for entry in await one.entries() if isinstance(entry, Acted)]
        assert [each.requester for each in asked if each.action == "call.secureFlow"] == [ADMIN] * 2


async def test_nothing_is_streamed_before_its_end_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with streamed(tmp_path) as one:
        position = await one.begin()
        journal = one.platform._journal
        disk, put_on_disk = threading.Event(), journal._put_on_disk

        def slowly(until: object) -> object:
            assert disk.wait(20)
            return put_on_disk(until)  # type: ignore[arg-type]

        monkeypatch.setattr(journal, "_put_on_disk", slowly)
        ending = asyncio.create_task(one.end())
        await one.pass_time()
        assert len(one.session.audio) == 2 * position
        disk.set()
        assert await ending == ()
        await until(lambda: len(one.session.audio) > 2 * position)
        told = [entry for entry in await one.entries() if isinstance(entry, Acted | PauseEnded)]
        (said, ended) = told[-2:]
        assert isinstance(said, Acted)
        assert (said.action, said.requester) == ("securePause.end", ADMIN)
        assert isinstance(ended, PauseEnded)


async def test_it_begins_though_nothing_can_be_written_and_says_so(tmp_path: Path) -> None:
    async with streamed(tmp_path) as one:
        with full_disk():
            with pytest.raises(JournalError, match="is in force, and it is not recorded yet"):
                await one.begin()
            assert one.is_held
            sent = len(one.session.audio)
            await one.pass_time()
            assert len(one.session.audio) == sent
            with pytest.raises(JournalError, match="goes on, because its end cannot be recorded"):
                await one.end()
            assert one.is_held
        await one.platform._watch.tick()
        await one.begin()  # whoever got an error asks again, and is told that it is recorded
        (began,) = (entry for entry in await one.entries() if isinstance(entry, PauseBegan))
        assert began.at == sent // 2
        assert await one.end() == ()
        await until(lambda: len(one.session.audio) > sent)


async def test_calls_and_starting_go_on_while_the_database_is_away(tmp_path: Path) -> None:
    async with streamed(tmp_path) as one:
        async with database_away(tmp_path):
            sent = len(one.session.audio)
            await until(lambda: len(one.session.audio) > sent)
            position = await one.begin()
            await one.end()
            another = await one.platform.place_call(
                ORG,
                PlaceCall(source=TONE, queue_id=(await one.platform.queues(ORG))[0].id),
                requester=ADMIN,
            )
            await until(lambda: len(one.service.sessions) > 2)
            await one.platform.hang_up(ORG, another.conversation_id, requester=ADMIN)
        (began,) = (entry for entry in await one.entries() if isinstance(entry, PauseBegan))
        assert began.at == position


async def test_begun_anew_while_its_end_is_being_written_it_goes_on(tmp_path: Path) -> None:
    async with streamed(tmp_path) as one:
        await one.begin()
        ending = asyncio.create_task(one.end())
        await asyncio.sleep(0)  # it waits for the disk now
        await one.begin()
        with pytest.raises(LocalProtocolError, match="begun anew"):
            await ending
        assert one.is_held
        assert await one.end() == ()


async def test_an_earlier_cut_takes_back_more_and_is_answered(tmp_path: Path) -> None:
    async with streamed(tmp_path) as one:
        await one.pass_time()
        position = await one.begin()
        earlier = await one.begin(effective_at=position - 500)
        assert earlier == position - 500
        answer = await one.platform.begin_secure_pause(
            ORG, one.conversation, kind=API, requester=ADMIN
        )
        assert answer.gone == {(await one.platform.integrations(ORG))[0].id: 500}


@pytest.mark.parametrize("owner", [ORG, OTHER])
async def test_what_is_unknown_over_or_somebody_elses_is_not_found(
    owner: str, tmp_path: Path
) -> None:
    async with streamed(tmp_path) as one:
        platform, theirs = one.platform, one.conversation
        if owner == ORG:
            call = platform.call(ORG, theirs)
            await platform.hang_up(ORG, theirs, requester=ADMIN)
            await until(lambda: call.is_done and not platform.calls(ORG))
        action = FlowAction(action="secureFlow", enable=True)
        for conversation in (theirs, "0c0ffee0-1111-4222-8333-444455556666"):
            for act in (
                platform.begin_secure_pause(owner, conversation, kind=API, requester=ADMIN),
                platform.end_secure_pause(owner, conversation, kind=API, requester=ADMIN),
                platform.begin_client_pause(owner, conversation, requester=ADMIN),
                platform.end_client_pause(owner, conversation, requester=ADMIN),
                platform.flow_action(owner, conversation, action, requester=ADMIN),
                platform.hang_up(owner, conversation, requester=ADMIN),
                platform.attach_source(owner, conversation, TONE, requester=ADMIN),
            ):
                with pytest.raises(NotFound):
                    await act
            with pytest.raises(NotFound):
                platform.call_state(owner, conversation)
        if owner == OTHER:
            assert not one.is_held
            assert platform.calls(OTHER) == []


async def test_a_client_pause_is_another_thing(tmp_path: Path) -> None:
    async with streamed(tmp_path) as one:
        at = await one.platform.begin_client_pause(ORG, one.conversation, requester=ADMIN)
        assert not one.is_held
        await one.pass_time()
        assert len(one.session.audio) <= 2 * at
        await one.platform.end_client_pause(ORG, one.conversation, requester=ADMIN)
        await until(lambda: len(one.session.audio) > 2 * at)
        causes = [entry.cause for entry in await one.entries() if isinstance(entry, PauseBegan)]
        assert causes == ["client"]


async def test_stopped_and_started_again_a_conversation_is_held_as_it_was(tmp_path: Path) -> None:
    async with serving() as service:
        async with platform_in(tmp_path) as platform:
            await integrate(platform, service)
            queue = await queue_on(platform)
            place = PlaceCall(source=TONE, queue_id=queue.id)
            call = await platform.place_call(ORG, place, requester=ADMIN)
            conversation = call.conversation_id
            await until(lambda: len(service.sessions) > 1 and service.sessions[-1].frames)
            await platform.begin_secure_pause(ORG, conversation, kind=API, requester=ADMIN)
            await platform.begin_client_pause(ORG, conversation, requester="client:two")
        before = len(service.sessions)
        async with platform_in(tmp_path) as platform:
            assert platform.conversations(ORG) == [conversation]
            # Reasons come and go though there is no source.
            await platform.begin_secure_pause(ORG, conversation, kind=AGENT, requester=ADMIN)
            ended = await platform.end_secure_pause(ORG, conversation, kind=API, requester=ADMIN)
            assert ended.held_by == ("agent",)
            await platform.attach_source(ORG, conversation, TONE, requester=ADMIN)
            await until(lambda: len(service.sessions) > before)
            session = service.sessions[-1]
            await until(lambda: session.seen(AudioPaused))
            await platform.end_secure_pause(ORG, conversation, kind=AGENT, requester=ADMIN)
            call = platform.call(ORG, conversation)
            waited = call.position + 1600
            await until(lambda: call.position >= waited)
            assert session.frames == []
            at = await platform.end_client_pause(ORG, conversation, requester="client:two")
            await until(lambda: session.frames)
            assert session.frames[0][0] >= at
