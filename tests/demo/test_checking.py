"""The checking consumer: counts, hashes, dates and places every sample it is given."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.demo.conftest import STEREO, frame, stereo

from openaudiohook.demo.checking import INTEGRATION, Checker, LatencyHistogram, Receipt
from openaudiohook.host.consumer import DisconnectReason, Entity, Participant, SessionInfo

pytestmark = pytest.mark.unit


class Silent:
    """A reply nobody listens to."""

    position = 500

    def entities(self, entities: Sequence[Entity]) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def disconnect(
        self, reason: DisconnectReason = DisconnectReason.COMPLETED, info: str | None = None
    ) -> None: ...
    def degraded(self, reason: str) -> None: ...
    def healthy(self) -> None: ...


def session(name: str | None, *, start: int = 0) -> SessionInfo:
    return SessionInfo(
        session_id="7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9a11",
        conversation_id="c0ffee00-1111-4222-8333-444455556666",
        organization_id="5b2f6c0e-8f5d-4a1b-b7a4-2d9c64f3a001",
        participant=Participant(
            id="1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b", ani="", ani_name="", dnis=""
        ),
        media=STEREO,
        custom_config=None if name is None else {INTEGRATION: name},
        start=start,
    )


async def opened(receipts: dict[str, Receipt], name: str | None = "a", start: int = 0) -> Checker:
    # A frame is complete a millisecond for each of its samples after zero; now is 1 s.
    checker = Checker(
        receipts=receipts,
        completed_ns=lambda position: position * 1_000_000 if position < 900 else None,
        now_ns=lambda: 1_000_000_000,
    )
    await checker.open(session(name, start=start), Silent())
    return checker


@pytest.mark.anyio
async def test_frames_are_counted_hashed_dated_and_placed() -> None:
    receipts = {"a": Receipt()}
    checker = await opened(receipts)
    checker.audio(frame(0, stereo(100)))
    checker.audio(frame(100, stereo(200)))
    found = receipts["a"]
    assert (found.samples, found.received, found.is_consecutive) == (300, [(0, 300)], True)
    assert found.sha256 == hashlib.sha256(stereo(100) + stereo(200)).hexdigest()
    assert found.latency.count == 2
    assert found.latency.quantile(0.5) == pytest.approx(700, rel=0.02)
    assert found.latency.quantile(1) == pytest.approx(900, rel=0.02)
    assert found.session_id == "7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9a11"


@pytest.mark.anyio
async def test_a_frame_nobody_remembers_the_completion_of_has_no_latency() -> None:
    receipts = {"a": Receipt()}
    checker = await opened(receipts)
    checker.audio(frame(0, stereo(900)))
    assert receipts["a"].latency.count == 0
    assert receipts["a"].samples == 900


@pytest.mark.anyio
async def test_gaps_and_pauses_are_kept_apart_from_audio() -> None:
    receipts = {"a": Receipt()}
    checker = await opened(receipts)
    checker.audio(frame(0, stereo(100)))
    checker.discarded(100, 50)
    checker.audio(frame(150, stereo(100)))
    checker.paused(250)
    checker.paused(250)
    checker.resumed(250, 150)
    checker.audio(frame(400, stereo(100)))
    await checker.close("end")
    found = receipts["a"]
    assert found.received == [(0, 100), (150, 250), (400, 500)]
    assert (found.discarded, found.paused) == ([(100, 150)], [(250, 400)])
    assert (found.is_consecutive, found.reason) == (True, "end")


@pytest.mark.anyio
async def test_a_pause_that_holds_to_the_end_reaches_up_to_it() -> None:
    receipts = {"a": Receipt()}
    checker = await opened(receipts)
    checker.audio(frame(0, stereo(100)))
    checker.paused(100)
    await checker.close("end")
    assert receipts["a"].paused == [(100, 500)]


@pytest.mark.parametrize("position", [99, 101])
@pytest.mark.anyio
async def test_audio_that_does_not_follow_on_is_noticed(position: int) -> None:
    receipts = {"a": Receipt()}
    checker = await opened(receipts)
    checker.audio(frame(0, stereo(100)))
    checker.audio(frame(position, stereo(100)))
    assert not receipts["a"].is_consecutive


@pytest.mark.parametrize("name", ["stranger", None])
@pytest.mark.anyio
async def test_a_session_that_is_not_ours_is_left_alone(name: str | None) -> None:
    receipts = {"a": Receipt()}
    checker = await opened(receipts, name)
    checker.audio(frame(0, stereo(100)))
    assert receipts["a"].samples == 0


@given(st.lists(st.floats(0.02, 100_000), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_exact_to_two_percent(latencies: list[float], share: float) -> None:
    histogram = LatencyHistogram()
    for latency in latencies:
        histogram.add(latency)
    rank = max(1, -int(-share * len(latencies) // 1))
    exact = sorted(latencies)[rank - 1]
    assert histogram.quantile(share) == pytest.approx(exact, rel=0.02)


def test_latencies_beyond_the_scale_count_at_its_ends() -> None:
    histogram = LatencyHistogram()
    for latency in (-5.0, 0.0, 1e9):
        histogram.add(latency)
    assert histogram.count == 3
    low, high = histogram.quantile(0.01), histogram.quantile(1)
    assert low is not None
    assert low < 0.02
    assert high is not None
    assert high > 900_000


def test_without_a_latency_there_is_no_quantile() -> None:
    assert LatencyHistogram().quantile(0.5) is None
