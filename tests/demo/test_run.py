"""A short demo for real: a service, a Monitor, five integrations, seven seconds of call."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from tests.demo.conftest import WriteWav

from openaudiohook.audio import tone
from openaudiohook.audio.wav_reader import WavReader
from openaudiohook.consumers.recording_sidecar import read_sidecar, sidecar_path
from openaudiohook.demo.display import Snapshot
from openaudiohook.demo.report import Role
from openaudiohook.demo.run import CAST, Demo
from openaudiohook.demo.timeline import Fate
from openaudiohook.monitor.scenario import Scenario, load_scenario
from openaudiohook.protocol.types import Channel

pytestmark = pytest.mark.slow

SCENARIO = """
[[step]]
at = 0.0
play = "caller.wav"
channel = "external"
[[step]]
at = 0.0
play = "agent.wav"
channel = "internal"
[[step]]
at = 0.0
transfer = "ivr"
[[step]]
at = 0.3
transfer = "agent"
[[step]]
at = 0.3
monitoring = true
[[step]]
at = 5.5
secure = "start"
[[step]]
at = 6.2
secure = "end"
[[step]]
at = 7.0
hangup = true
"""


@pytest.fixture
def scenario(tmp_path: Path, write_wav: WriteWav) -> Scenario:
    write_wav(tmp_path / "caller.wav", tone.block(0, 60_000, hz=440), 1)
    write_wav(tmp_path / "agent.wav", tone.block(0, 60_000, hz=330), 1)
    (tmp_path / "call.toml").write_text(SCENARIO, encoding="utf-8")
    return load_scenario(tmp_path / "call.toml")


class Remembering:
    """A display that keeps what it was shown."""

    def __init__(self) -> None:
        self.states: dict[str, set[str]] = {name: set() for name in CAST}
        self.chapters: list[str] = []
        self.is_shown = asyncio.Event()

    def show(self, snapshot: Snapshot) -> None:
        if snapshot.chapter.name not in self.chapters:
            self.chapters.append(snapshot.chapter.name)
        for row in snapshot.rows:
            self.states[row.name].add(row.state)
        if all("live" in states for name, states in self.states.items() if name != "late"):
            self.is_shown.set()


@pytest.mark.anyio
async def test_the_demo_shows_what_it_claims(scenario: Scenario, tmp_path: Path) -> None:
    recordings = tmp_path / "recordings"
    display = Remembering()
    demo = Demo(
        scenario,
        call_file=tmp_path / "call.toml",
        recordings=recordings,
        slow_share=0.3,
        refuse_after_s=0.3,
    )
    report = await demo.run(display)

    assert [claim for claim in report.claims if not (claim.holds and claim.is_shown)] == []
    assert report.is_good
    assert [(one.name, one.role) for one in report.outcomes] == list(CAST.items())
    length = report.call.call_samples
    assert length == pytest.approx(6.7 * 8000, abs=800)

    plain = [one for one in report.outcomes if one.role is Role.PLAIN]
    (slow,) = (one for one in report.outcomes if one.role is Role.SLOW)
    (late,) = (one for one in report.outcomes if one.role is Role.REFUSES_TWICE)
    assert len({one.receipt.sha256 for one in (*plain, late)}) == 1
    assert slow.receipt.sha256 != late.receipt.sha256
    assert slow.endpoint.account.discarded > 0
    assert late.endpoint.attempts == 3
    for one in report.outcomes:
        audio = _recorded(one.recording)
        assert len(audio[0]) == length
        sidecar = read_sidecar(sidecar_path(one.recording))
        assert (sidecar.state, sidecar.samples) == ("complete", length)
        assert one.endpoint.account.paused_secure == pytest.approx(0.7 * 8000, abs=0)
    for start, end in report.call.secure_spans:
        assert {bytes(side[start:end]) for side in audio} == {b"\xff" * (end - start)}

    latency = plain[0].receipt.latency
    assert latency.count > 50
    assert 0 < (latency.quantile(0.5) or 0) < 1000

    lanes = {lane.name: lane for lane in demo.timeline.lanes}
    fates = {name: {one.fate for one in lane.stretches} for name, lane in lanes.items()}
    assert fates["plain-1"] == {Fate.LIVE, Fate.SECURE}
    assert Fate.DISCARDED in fates["slow"]
    assert fates["late"] == {Fate.CAUGHT_UP, Fate.LIVE, Fate.SECURE}
    assert report.picture == recordings / "timeline.svg"
    assert "url(#secure)" in ET.tostring(ET.parse(report.picture).getroot(), "unicode")

    assert display.chapters == ["ivr", "agent", "secure flow"]
    assert "paused (secure)" in display.states["plain-1"]
    assert any(state.startswith("retrying") for state in display.states["late"])


@pytest.mark.anyio
async def test_cancelling_the_demo_leaves_nothing_behind(
    scenario: Scenario, tmp_path: Path
) -> None:
    display = Remembering()
    running = asyncio.create_task(
        Demo(scenario, call_file=tmp_path / "call.toml", recordings=tmp_path / "r").run(display)
    )
    async with asyncio.timeout(20):
        await display.is_shown.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    # That no task and no socket is left is looked at after every test.
    recordings = list((tmp_path / "r").rglob("*.wav"))
    assert len(recordings) >= 4
    assert {read_sidecar(sidecar_path(path)).state for path in recordings} == {"complete"}


@pytest.mark.anyio
async def test_a_display_that_fails_ends_the_demo(scenario: Scenario, tmp_path: Path) -> None:
    class Broken:
        def show(self, snapshot: Snapshot) -> None:
            raise RuntimeError("no screen")

    with pytest.raises(ExceptionGroup) as caught:
        await Demo(scenario, call_file=tmp_path / "call.toml", recordings=tmp_path / "r").run(
            Broken()
        )
    assert caught.group_contains(RuntimeError, match="no screen")


def _recorded(path: Path) -> tuple[bytes, ...]:
    with path.open("rb") as file:
        reader = WavReader(file, name=path.name)
        assert reader.info.channels == len(Channel)
        return reader.read(reader.info.samples)
