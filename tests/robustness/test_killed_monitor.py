"""A Monitor that is killed in the middle of a secure flow, and what the next one makes of it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.monitor.platforms import ADMIN, MASTER, ORG, integrate, platform_in, queue_on
from tests.monitor.services import Service, serving, until

from openaudiohook.protocol.events import AudioPaused
from openaudiohook.store.entries import (
    CallBegan,
    CallEnded,
    PauseBegan,
    PauseEnded,
    SessionEnded,
    SessionOpened,
)
from openaudiohook.store.journal import Journal
from openaudiohook.store.keys import audit_key

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(120)]

ROOT = Path(__file__).resolve().parents[2]


class Killable:
    """A Monitor in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ask(self, *order: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        return json.loads(await asyncio.wait_for(self.process.stdout.readline(), 30))

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


@asynccontextmanager
async def monitor_in(directory: Path) -> AsyncIterator[Killable]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.robustness.a_monitor", str(directory),
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        assert line == b"ready\n"
        yield Killable(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.stdout.read()
        await process.wait()


async def configured(directory: Path, service: Service) -> str:
    """Configure a platform, and return the id of a queue that is switched on."""
    async with platform_in(directory) as platform:
        integration = await integrate(platform, service)
        assert integration.status == "ACTIVE"
        return (await queue_on(platform)).id


async def test_killed_in_a_secure_flow_it_streams_nothing_until_every_reason_has_ended(
    tmp_path: Path,
) -> None:
    async with serving() as service:
        queue = await configured(tmp_path, service)
        async with monitor_in(tmp_path) as monitor:
            conversation = await monitor.ask("place", queue)
            await until(lambda: len(service.sessions[-1].audio) > 20_000)
            await monitor.ask("secure", conversation, "card", True)
            await monitor.ask("secure", conversation, "card number", True)
            await until(lambda: service.sessions[-1].seen(AudioPaused))
            await monitor.kill()
        before = len(service.sessions)

        async with monitor_in(tmp_path) as monitor:
            state = await monitor.ask("state", conversation)
            assert state["state"] == "detached"
            assert state["securePaused"]
            assert {pause["requester"] for pause in state["pauses"]} == {
                "flow:card",
                "flow:card number",
            }
            assert await monitor.ask("attach", conversation) == 1
            await until(lambda: len(service.sessions) > before)
            session = service.sessions[-1]
            await until(lambda: session.seen(AudioPaused))
            state = await monitor.ask("state", conversation)
            assert state["state"] == "connected"
            assert await monitor.ask("secure", conversation, "other", False) == {
                "error": "LocalProtocolError"
            }
            await monitor.ask("secure", conversation, "card", False)
            state = await monitor.ask("state", conversation)
            first = state["positionSamples"]
            while (await monitor.ask("state", conversation))["positionSamples"] < first + 4000:
                await asyncio.sleep(0.05)
            assert session.frames == []
            position = await monitor.ask("secure", conversation, "card number", False)
            await until(lambda: session.frames)
            assert session.frames[0][0] >= position
            await monitor.kill()

    journal = Journal.open(tmp_path / "journal", key=audit_key(MASTER))
    try:
        assert journal.verify().is_intact
        entries = [entry for _, entry in journal.read(0, 10_000)]
    finally:
        journal.close()
    mine = [one for one in entries if getattr(one, "conversation_id", None) == conversation]
    assert [one.part for one in mine if isinstance(one, CallBegan)] == [0, 1]
    held = [(one.part, one.requester) for one in mine if isinstance(one, PauseBegan)]
    assert held == [(0, "flow:card"), (0, "flow:card number"),
                    (1, "flow:card"), (1, "flow:card number")]  # fmt: skip
    ended = [(one.part, one.requester) for one in mine if isinstance(one, PauseEnded)]
    assert ended == [(1, "flow:card"), (1, "flow:card number")]


async def test_what_was_streamed_before_it_was_killed_is_accounted_to_the_last_second(
    tmp_path: Path,
) -> None:
    async with serving() as service:
        queue = await configured(tmp_path, service)
        async with monitor_in(tmp_path) as monitor:
            conversation = await monitor.ask("place", queue)
            await until(lambda: len(service.sessions[-1].audio) > 2 * 20_000)
            await monitor.kill()
            arrived = len(service.sessions[-1].audio) // 2
        async with platform_in(tmp_path) as platform:
            (row,) = await platform.usage(ORG)
            await platform._projector.caught_up()
            record = await platform._ledger.conversation(ORG, conversation)
            entries = [entry for _, entry in record.entries]
            (opened,) = (one for one in entries if isinstance(one, SessionOpened))
            (ended,) = (one for one in entries if isinstance(one, SessionEnded))
            (over,) = (one for one in entries if isinstance(one, CallEnded))
            await platform.hang_up(ORG, conversation, requester=ADMIN)
    assert ended.session_id == opened.session_id
    assert over.reason == "lost"
    assert 0 <= arrived - (ended.at - opened.at) <= 8000 + 1600
    assert row.conversation_id == conversation
    assert row.chargeable_ns == (ended.at - opened.at) * 125_000
