"""A worker that is killed under load costs its own calls, and is back within a second.

50 paced calls, four kills; about 15 s.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
from tests.robustness.world import (
    SAMPLE_RATE,
    STEREO,
    Calls,
    audio_in,
    percentile,
    serving,
    settled,
    wav_of,
)

from openaudiohook.consumers.recording_recovery import recover

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(120)]

CALLS = 50
KILLS = 4
BACK_WITHIN_S = 1.0


def seconds_of(line: str) -> float:
    """When a line was logged, within its hour."""
    clock = line.partition("T")[2].partition("Z")[0].split(":")
    return int(clock[1]) * 60 + float(clock[2])


async def test_a_worker_killed_under_load_costs_its_own_calls_only(tmp_path: Path) -> None:
    async with serving(tmp_path, "--workers", "2") as service, Calls() as calls:
        kept_ms: list[float] = []
        for number in range(KILLS):
            await calls.open(service.uri, CALLS - len(calls.all))
            await calls.talk(1.5)
            victim = service.workers()[number % 2]
            its_connections = sum(
                each.status == psutil.CONN_ESTABLISHED for each in victim.net_connections("tcp")
            )
            assert 0 < its_connections < CALLS
            os.kill(victim.pid, signal.SIGKILL)
            delivered = {call.session_id: call.delivered_samples() for call in calls.all}
            ready = 2 + number + 1
            await settled(
                lambda ready=ready: sum("worker ready" in line for line in service.lines) == ready
            )
            await settled(lambda n=its_connections: sum(call.is_over for call in calls.all) == n)
            lost = [call for call in calls.all if call.is_over]
            calls.all[:] = [call for call in calls.all if not call.is_over]
            await calls.talk(0.5)
            assert [call.complaints() for call in calls.all if call.complaints()] == []
            assert all(call.platform.is_open for call in calls.all)
            kept_ms += [ms for call in calls.all for ms in call.round_trips_ms()]
            outcomes = {outcome.path.stem: outcome for outcome in recover(service.recordings)}
            for call in lost:
                audio = audio_in(wav_of(service.recordings, call))
                samples = len(audio) // STEREO
                assert outcomes[call.session_id].samples == samples
                assert audio == call.audio(samples)
                assert delivered[call.session_id] - samples <= SAMPLE_RATE
        died = [seconds_of(line) for line in service.lines if "worker died" in line]
        back = [seconds_of(line) for line in service.lines if "worker ready" in line][2:]
        gone_s = [(after - before) % 3600 for before, after in zip(died, back, strict=True)]
        ended = list(calls.all)
        await calls.close(ended)
        for call in ended:
            assert audio_in(wav_of(service.recordings, call)) == call.audio(call.samples)
    print(
        f"back after {', '.join(f'{each:.2f}' for each in gone_s)} s; round trips of the calls "
        f"that stayed: p99 {percentile(kept_ms, 0.99):.1f} ms"
    )
    assert max(gone_s) <= BACK_WITHIN_S
