"""pipecat's Genesys serializer as an outside endpoint, in its own environment and process."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import subprocess
import time
from pathlib import Path

import pytest
from tests.support.wire import SESSION_ID
from tests.transport.world import IDS, Heard, until, within

from openaudiohook.protocol import ClientSession, ClientTimers, offer_for
from openaudiohook.protocol.duration import NS_PER_S
from openaudiohook.protocol.events import (
    PeerViolated,
    PongReceived,
    SessionEnded,
    SessionEvent,
    SessionOpened,
)
from openaudiohook.testing.session_pair import sample_open
from openaudiohook.transport import connect

pytestmark = pytest.mark.peer

REPOSITORY = Path(__file__).parents[2]
PEER_PYTHON = REPOSITORY / ".peers" / "pipecat" / "bin" / "python"
START_S = 60.0  # importing pipecat takes seconds on a busy machine
SECONDS = 6
FRAMES = (160, 800, 1600)  # 20, 100 and 200 ms


def noise(length: int) -> bytes:
    """Every byte but 0x7F, the negative zero, which no decoder can give back."""
    return bytes(random.Random(7).choices([*range(0x7F), *range(0x80, 0x100)], k=length))


@pytest.mark.skipif(
    not PEER_PYTHON.exists(), reason="the pipecat peer is not installed: run `make peers`"
)
@pytest.mark.parametrize(("channels", "width"), [("external", 1), ("both", 2)])
@pytest.mark.anyio
async def test_pipecat_receives_every_byte_and_answers(channels: str, width: int) -> None:
    process = await asyncio.create_subprocess_exec(
        str(PEER_PYTHON),
        str(REPOSITORY / "tests" / "peers" / "pipecat_server.py"),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        port = int(await within(process.stdout.readline(), bound_s=START_S))
        heard = Heard()
        timers = ClientTimers(first_ping_ns=NS_PER_S // 20)
        session = ClientSession(session_id=SESSION_ID, now_ns=time.monotonic_ns(), timers=timers)
        driver = await connect(
            f"ws://127.0.0.1:{port}/", session=session, on_event=heard, headers=IDS
        )
        heard.driver = driver
        offer = offer_for("external" if channels == "external" else "both")
        session.open(sample_open(media=offer), time.monotonic_ns())
        driver.flush()
        await until(lambda: heard.has(SessionOpened))
        audio = noise(SECONDS * 8000 * width)
        at = 0
        while at < len(audio):
            for frame in FRAMES:
                await until(lambda: driver.is_writable)
                if part := audio[at : at + frame * width]:
                    session.send_audio(part, time.monotonic_ns())
                    driver.flush()
                at += frame * width
        await until(lambda: heard.has(PongReceived))
        session.close(time.monotonic_ns())
        driver.flush()
        ended = await within(driver.ended)
        report = json.loads(await within(process.stdout.read()))
        await within(process.wait())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert ended.is_clean
    kinds: list[type[SessionEvent]] = [PeerViolated, SessionEnded]
    assert [len(heard.of(kind)) for kind in kinds] == [0, 1]
    assert report["messages"][0] == "opened"
    assert report["messages"][-1] == "closed"
    assert "pong" in report["messages"]
    assert report["wire_bytes"] == len(audio)
    assert report["wire_sha256"] == hashlib.sha256(audio).hexdigest()
    # The serializer hands on the external channel of a stereo stream, the first of each pair.
    understood = audio[::width]
    assert report["understood_bytes"] == len(understood)
    assert report["understood_sha256"] == hashlib.sha256(understood).hexdigest()
