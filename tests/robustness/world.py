"""Services in processes of their own, and calls streamed to them at their real pace."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from tests.support.platform import Platform, until

from openaudiohook.audio.wav_writer import DATA_OFFSET
from openaudiohook.protocol import ClientTimers
from openaudiohook.protocol.events import (
    DisconnectRequested,
    PeerViolated,
    PongReceived,
    SessionEnded,
)

SAMPLE_RATE = 8000
FRAME_SAMPLES = 800
STEREO = 2
TICK_S = 0.005
PATTERN_FRAMES = 7
PATH = "/api/v1/audiohook/ws"


class Serving:
    """A running `openaudiohook serve`.

    Attributes:
        uri: where it listens, as it printed it.
        recordings: its directory.
        log: the file its stderr goes to.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, uri: str, recordings: Path, log: Path
    ) -> None:
        self.process = process
        self.uri = uri
        self.recordings = recordings
        self.log = log

    @property
    def port(self) -> int:
        found = re.search(r":(\d+)/", self.uri)
        assert found is not None
        return int(found[1])

    @property
    def lines(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, *, within_s: float = 30) -> int:
        return await asyncio.wait_for(self.process.wait(), within_s)

    async def get(self, page: str) -> bytes:
        """The admin listener's answer; the body alone."""
        await until(lambda: any("admin listening" in line for line in self.lines))
        (port,) = (found[1] for line in self.lines if (found := re.search(r" port=(\d+)", line)))
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
        writer.write(f"GET {page} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return answer.partition(b"\r\n\r\n")[2]

    async def metrics(self) -> dict[str, float]:
        """Every sample of `/metrics` by its name and labels as written."""
        text = (await self.get("/metrics")).decode()
        samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name.removeprefix("openaudiohook_service_"): float(n) for name, _, n in samples}

    async def health(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(await self.get("/health/check"))
        return answer

    def workers(self) -> list[psutil.Process]:
        """The processes of its workers that serve: one more waits to replace them."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if child.net_connections("tcp")]


@asynccontextmanager
async def serving(directory: Path, *options: str, auth: bool = False) -> AsyncIterator[Serving]:
    """Run a service, once it says that it listens; whatever happens, it is gone afterwards.

    It says so in one line on stdout, and says nothing else there.
    """
    recordings = directory / "recordings"
    log = directory / f"{uuid.uuid4()}.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "openaudiohook", "serve", *(() if auth else ("--no-auth",)),
            "--admin", "127.0.0.1:0", "--port", "0", "--recordings", str(recordings), *options,
            stdout=asyncio.subprocess.PIPE, stderr=stderr,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        assert line.startswith("listening on "), log.read_text(encoding="utf-8")
        yield Serving(process, line.split()[-1], recordings, log)
    finally:
        if process.returncode is None:
            process.kill()
        rest = await process.stdout.read()
        await process.wait()
    assert rest == b""


class Call:
    """One call, paced by the clock; its audio is a pattern of its own, repeated."""

    def __init__(self, platform: Platform, seed: int, due_at: float) -> None:
        self.platform = platform
        self.due_at = due_at
        self.samples = 0
        self.pattern = random.Random(seed).randbytes(PATTERN_FRAMES * FRAME_SAMPLES * STEREO)
        self.frames = 0

    @property
    def session_id(self) -> str:
        return self.platform.session_id

    @property
    def is_over(self) -> bool:
        return bool(self.platform.of(SessionEnded))

    def send_due(self, now: float) -> None:
        """Send the frames that are due; a late call makes up for it."""
        while self.due_at <= now and self.platform.is_open:
            at = self.frames % PATTERN_FRAMES * FRAME_SAMPLES * STEREO
            self.platform.do("send_audio", self.pattern[at : at + FRAME_SAMPLES * STEREO])
            self.frames += 1
            self.samples += FRAME_SAMPLES
            self.due_at += FRAME_SAMPLES / SAMPLE_RATE

    def audio(self, samples: int) -> bytes:
        """The first samples of what it sends."""
        size = samples * STEREO
        return (self.pattern * (size // len(self.pattern) + 1))[:size]

    def delivered_samples(self) -> int:
        """How much the peer's kernel has for sure: what is not acknowledged is left out."""
        unsent = self.platform.driver.unsent_bytes()
        return max(0, self.samples - -(-unsent // STEREO))

    def round_trips_ms(self) -> list[float]:
        return [event.rtt_ns / 1e6 for event in self.platform.of(PongReceived)]

    def complaints(self) -> list[object]:
        return [*self.platform.of(PeerViolated), *self.platform.of(DisconnectRequested)]


class Calls:
    """Calls that go on by themselves. Use it as an async context manager."""

    def __init__(self) -> None:
        self.all: list[Call] = []
        self._made = 0
        self._pacing: asyncio.Task[None] | None = None
        self.worst_lateness_s = 0.0

    async def __aenter__(self) -> Calls:
        self._pacing = asyncio.create_task(self._pace())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._pacing is not None
        self._pacing.cancel()
        await asyncio.gather(self._pacing, return_exceptions=True)
        for call in self.all:
            if not call.platform.driver.ended.done():
                call.platform.driver.abort()
        await asyncio.gather(*(call.platform.driver.ended for call in self.all))

    async def open(self, uri: str, count: int, **more: Any) -> list[Call]:
        """Open calls, spread over a frame's time."""
        opened: list[Call] = []
        timers = ClientTimers(first_ping_ns=200_000_000, ping_ns=1_000_000_000)
        for _ in range(count):
            self._made += 1
            platform = await Platform.to(
                uri, timers=timers, conversation_id=str(uuid.uuid4()), **more
            )
            now = asyncio.get_running_loop().time()
            phase = self._made % 20 * TICK_S
            opened.append(Call(platform, self._made, now + phase))
        self.all += opened
        return opened

    async def close(self, calls: list[Call]) -> None:
        """Hang up, in order; every call must end cleanly."""
        endings = await asyncio.gather(*(call.platform.close() for call in calls))
        for call in calls:
            self.all.remove(call)
        assert all(ended.is_clean for ended in endings)

    async def talk(self, seconds: float) -> None:
        """Let the calls go on for a while."""
        loop = asyncio.get_running_loop()
        until_at = loop.time() + seconds
        await until(lambda: loop.time() >= until_at, within_s=seconds + 10)

    async def _pace(self) -> None:
        loop = asyncio.get_running_loop()
        due_at = loop.time()
        while True:
            now = loop.time()
            self.worst_lateness_s = max(self.worst_lateness_s, now - due_at)
            for call in self.all:
                call.send_due(now)
            due_at = max(due_at + TICK_S, now)
            await asyncio.sleep(max(0.0, due_at - loop.time()))


def wav_of(recordings: Path, call: Call) -> Path:
    """The recording of a call."""
    (path,) = recordings.rglob(f"{call.session_id}.wav")
    return path


def audio_in(path: Path) -> bytes:
    """The audio bytes of a recording, read by hand."""
    return path.read_bytes()[DATA_OFFSET:]


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def descriptors_of(process: psutil.Process) -> int:
    return len(os.listdir(f"/proc/{process.pid}/fd"))  # noqa: PTH208


async def settled(condition: Callable[[], Any], *, within_s: float = 20) -> None:
    """Wait until something is true, with a longer breath than `until`."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.05)
