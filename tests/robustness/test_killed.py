"""A service that is killed while it records leaves recordings that can be read.

Ten rounds of 50 calls, about 60 s together.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from tests.robustness.world import SAMPLE_RATE, STEREO, Call, Calls, audio_in, serving, wav_of

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(300)]

ROUNDS = 10
CALLS = 50
TALK_S = 2.5
MOST_LOST_SAMPLES = 1 * SAMPLE_RATE


def lost_samples(recordings: Path, call: Call, delivered: int) -> int:
    """Check that a recording is readable and true; return how much of the delivered it lacks."""
    path = wav_of(recordings, call)
    audio = audio_in(path)
    samples = len(audio) // STEREO
    assert soundfile.info(path).frames == samples
    assert audio == call.audio(samples)
    return delivered - samples


async def test_every_recording_of_a_killed_service_is_readable_and_lacks_a_second_at_most(
    tmp_path: Path,
) -> None:
    worst = 0
    for number in range(ROUNDS):
        directory = tmp_path / str(number)
        directory.mkdir()
        async with serving(directory) as service, Calls() as calls:
            await calls.open(service.uri, CALLS)
            # Another moment of the writer's turn in each round.
            await calls.talk(TALK_S + number * 0.04)
            service.process.kill()
            delivered = {call.session_id: call.delivered_samples() for call in calls.all}
            await service.ended()
        assert len(delivered) == CALLS
        assert min(delivered.values()) > SAMPLE_RATE
        for call in calls.all:
            lost = lost_samples(service.recordings, call, delivered[call.session_id])
            worst = max(worst, lost)
        recovering = await asyncio.to_thread(recover, service.recordings)
        assert recovering.returncode == 0, recovering.stderr
        for call in calls.all:
            lost = lost_samples(service.recordings, call, delivered[call.session_id])
            worst = max(worst, lost)
            sidecar = json.loads(wav_of(service.recordings, call).with_suffix(".json").read_bytes())
            assert sidecar["state"] == "recovered"
    print(f"at most {worst / SAMPLE_RATE:.3f} s of what was delivered is lost")
    assert worst <= MOST_LOST_SAMPLES


def recover(recordings: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "openaudiohook", "recover", str(recordings)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
