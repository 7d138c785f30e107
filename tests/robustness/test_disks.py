"""Disks that are full, slow or gone, and clocks that jump: calls go on, and nothing is hidden.

About 20 s together.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.robustness.world import STEREO, Call, Calls, audio_in, serving, wav_of
from tests.support.platform import Platform

from openaudiohook.exceptions import HandshakeError

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(120)]

CALLS = 20
SMALL_DISK = "4m"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, soon full."""
    directory = tmp_path / "recordings"
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(directory)],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


def gaps_of(recordings: Path, call: Call) -> list[tuple[str, int, int]]:
    sidecar = json.loads(wav_of(recordings, call).with_suffix(".json").read_bytes())
    return [
        (gap["cause"], gap["start_samples"], gap["duration_samples"]) for gap in sidecar["gaps"]
    ]


def is_true_to(call: Call, audio: bytes, gaps: list[tuple[str, int, int]]) -> bool:
    """Whether a recording has every byte at its place, but for the gaps it tells of."""
    sent = bytearray(call.audio(call.samples))
    for _, start, length in gaps:
        sent[start * STEREO : (start + length) * STEREO] = b"\xff" * (length * STEREO)
    return audio == bytes(sent)


async def test_a_full_disk_costs_recordings_and_no_call(tmp_path: Path, small_disk: Path) -> None:
    async with serving(tmp_path) as service, Calls() as calls:
        filler = small_disk / "filler"
        await calls.open(service.uri, CALLS)
        await calls.talk(1.0)
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        async with asyncio.timeout(20):
            while (await service.health())["status"] != "degraded":
                await asyncio.sleep(0.1)
        (reason,) = (await service.health())["degraded"]["recorder"]
        assert reason.endswith("recordings cannot be written: No space left on device")
        await calls.talk(1.0)
        assert [call.complaints() for call in calls.all if call.complaints()] == []
        filler.unlink()
        async with asyncio.timeout(20):
            while (await service.health())["status"] != "ok":
                await asyncio.sleep(0.1)
        await calls.talk(1.0)
        ended = list(calls.all)
        await calls.close(ended)
        for call in ended:
            gaps = gaps_of(service.recordings, call)
            assert {cause for cause, _, _ in gaps} == {"not-written"}
            assert is_true_to(call, audio_in(wav_of(service.recordings, call)), gaps)
        service.send(signal.SIGINT)
        assert await service.ended() == 0


async def test_a_disk_that_stalls_for_seconds_costs_nothing(tmp_path: Path) -> None:
    """All recordings have one writing thread; here a file does not open for four seconds."""
    conversation_id, session_id = str(uuid.uuid4()), str(uuid.uuid4())
    async with serving(tmp_path) as service, Calls() as calls:
        # Opening a named pipe to write waits for a reader, as a disk makes one wait.
        pipe = service.recordings / conversation_id / f"{session_id}.json.tmp"
        pipe.parent.mkdir(parents=True)
        os.mkfifo(pipe)
        recorded = await calls.open(service.uri, CALLS)
        await calls.talk(1.0)
        stalling = await Platform.to(
            service.uri, session_id=session_id, conversation_id=conversation_id
        )
        await calls.talk(0.5)
        before = [wav_of(service.recordings, call).stat().st_size for call in recorded]
        await calls.talk(4.0)
        after = [wav_of(service.recordings, call).stat().st_size for call in recorded]
        trips = [call.round_trips_ms()[-1] for call in recorded]
        await asyncio.to_thread(pipe.read_bytes)
        assert before == after  # nothing was written for four seconds
        assert max(trips) < 100
        assert (await stalling.close()).is_clean
        await calls.close(list(recorded))
        for call in recorded:
            assert gaps_of(service.recordings, call) == []
            assert audio_in(wav_of(service.recordings, call)) == call.audio(call.samples)


async def test_a_clock_that_jumps_costs_no_call_and_refuses_signatures_while_it_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions live by the monotonic clock; signatures are judged by the wall clock."""
    libraries = list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not libraries:
        pytest.skip("libfaketime is not installed")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    environment = {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "OPENAUDIOHOOK_API_KEY": "key",
        "OPENAUDIOHOOK_CLIENT_SECRET": "c2VjcmV0",
    }
    with monkeypatch.context() as surroundings:
        for name, value in environment.items():
            surroundings.setenv(name, value)
        starting = serving(tmp_path, auth=True)
        service = await starting.__aenter__()
    try:
        async with Calls() as calls:
            await calls.open(service.uri, CALLS, secret=b"secret")
            for jump in ("+3600", "-3600", "+0"):
                clock.write_text(jump)
                await calls.talk(2.0)
                if jump == "+0":
                    await calls.open(service.uri, 1, secret=b"secret")
                else:
                    with pytest.raises(HandshakeError) as caught:
                        await Platform.to(service.uri, secret=b"secret")
                    assert caught.value.status == 401
                assert [call.complaints() for call in calls.all if call.complaints()] == []
                assert all(call.platform.is_open for call in calls.all)
            ended = list(calls.all)
            await calls.close(ended)
            for call in ended:
                assert gaps_of(service.recordings, call) == []
                assert audio_in(wav_of(service.recordings, call)) == call.audio(call.samples)
    finally:
        await starting.__aexit__(None, None, None)
