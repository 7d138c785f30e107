"""The testing package itself: its clock, its questions, its pair, its pytest plugin."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from openaudiohook.protocol.events import (
    AudioDiscarded,
    AudioFrame,
    AudioPaused,
    AudioResumed,
    OpenRequested,
    PingReceived,
    SessionEnded,
    SessionEvent,
)
from openaudiohook.protocol.media import MediaParameter
from openaudiohook.testing import pytest_plugin
from openaudiohook.testing.assertions import (
    assert_ended_once,
    assert_tiles,
    audio_of,
    events_of,
    the_event,
)
from openaudiohook.testing.clock import ManualClock
from openaudiohook.testing.session_pair import SessionPair, sample_open

pytestmark = pytest.mark.unit
pytest_plugins = ["pytester"]

PING = PingReceived(rtt_ns=None, position=0)
ENDED = SessionEnded(reason=None, is_clean=False, position=0)


def frame(position: int, samples: int) -> AudioFrame:
    return AudioFrame(b"\xff" * samples, position, samples, MediaParameter())


def test_a_clock_moves_only_forward_and_only_when_told() -> None:
    clock = ManualClock(5)
    assert clock.advance(1.5) == clock.now_ns == 1_500_000_005
    assert clock.advance(ns=1) == 1_500_000_006
    assert repr(clock) == "ManualClock(1500000006)"
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="back"):
        clock.advance_to(0)
    assert clock.now_ns == 1_500_000_006


def test_events_are_picked_by_kind() -> None:
    events: list[SessionEvent] = [PING, frame(0, 2), ENDED, frame(2, 1)]
    assert events_of(events, AudioFrame) == [events[1], events[3]]
    assert the_event(events, PingReceived) is PING
    assert audio_of(events) == b"\xff" * 3


@pytest.mark.parametrize("events", [[], [PING], [ENDED, PING], [ENDED, ENDED]])
def test_an_end_that_is_missing_repeated_or_not_last_is_told(events: list[SessionEvent]) -> None:
    with pytest.raises(AssertionError):
        assert_ended_once(events)
    assert assert_ended_once([PING, ENDED]) is ENDED


def test_frames_and_gaps_that_join_tile() -> None:
    events = [
        OpenRequested(sample_open(), 80, is_probe=False),
        frame(80, 10),
        PING,
        AudioPaused(90),
        AudioPaused(90),
        AudioDiscarded(90, 5),
        AudioResumed(95, 5),
        frame(100, 1),
        AudioDiscarded(101, 0),
    ]
    assert assert_tiles(events) == 101
    assert assert_tiles([]) == 0
    assert assert_tiles([frame(7, 1)], start=7) == 8


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ([frame(0, 10), frame(11, 1)], "event 1: AudioFrame begins at sample 11"),
        ([frame(0, 10), frame(9, 1)], "begins at sample 9, the one before it ended at 10"),
        ([AudioDiscarded(5, 1)], "event 0: AudioDiscarded"),
        ([AudioPaused(0), frame(0, 1)], "event 1: audio at sample 0 in a pause"),
    ],
)
def test_holes_overlaps_and_audio_in_a_pause_are_told(
    events: list[SessionEvent], problem: str
) -> None:
    with pytest.raises(AssertionError, match=problem):
        assert_tiles(events)


def test_a_pair_opens_streams_and_keeps_what_went_over_the_wire() -> None:
    clock = ManualClock(1_000)
    pair = SessionPair(clock=clock, delay_s=0.25)
    seen: list[SessionEvent] = []
    pair.on_client_event(seen.append)
    pair.open(media=None)
    assert pair.now_ns == clock.now_ns == 750_001_000
    assert pair.kinds_sent_by("client") == ["open"]
    assert pair.kinds_sent_by("server") == ["opened"]
    assert pair.wire[1].time_ns - pair.wire[0].time_ns == 250_000_000
    assert pair.wire[1].message["parameters"] == {"media": []}
    assert seen == pair.client_events


def test_the_wire_shows_audio_and_close_as_what_they_are() -> None:
    pair = SessionPair()
    pair.open()
    pair.client.send_audio(b"\xff" * 2, pair.now_ns)
    pair.client.close(pair.now_ns)
    pair.run()
    assert [item.kind for item in pair.wire] == [
        "open",
        "opened",
        "audio",
        "close",
        "closed",
        "CLOSE",
    ]
    assert pair.wire[2].message == pair.wire[5].message == {}


def test_what_was_on_its_way_when_the_connection_was_cut_is_lost() -> None:
    pair = SessionPair(delay_s=0.2)
    pair.open()
    pair.client.send_audio(b"\xff" * 2, pair.now_ns)
    pair.run()
    pair.cut(1006)
    pair.run(1)
    assert audio_of(pair.server_events) == b""


def test_sessions_that_keep_each_other_busy_without_end_are_told() -> None:
    pair = SessionPair()

    def ask_again(_: SessionEvent) -> None:
        pair.client.discard(1, pair.now_ns)

    pair.open()
    pair.on_server_event(ask_again)
    pair.client.discard(1, pair.now_ns)
    with pytest.raises(AssertionError, match="no end of things to do"):
        pair.run(1)


def test_the_fixtures_reach_other_test_suites(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_a_consumer(audiohook_pair, audiohook_clock):
            audiohook_pair.open()
            audiohook_pair.client.send_audio(b"\\xff" * 1600, audiohook_clock.now_ns)
            audiohook_pair.run(1)
            assert audiohook_pair.server.position == 800
            assert audiohook_clock.now_ns == 1_000_000_000
        """
    )
    pytester.makeconftest(Path(pytest_plugin.__file__).read_text())
    # By the file, not the entry point, so that it holds before anything is installed.
    result = pytester.runpytest_subprocess("-p", "no:openaudiohook")
    result.assert_outcomes(passed=1)


def test_the_example_of_the_session_page_holds() -> None:
    page = Path(__file__).parent.parent.parent / "docs" / "topics" / "session-lifecycle.md"
    (block,) = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S)
    exec(compile(block, page.name, "exec"), {})
