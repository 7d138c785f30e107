"""The Monitor against real services on loopback; calls run many times faster than real time."""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from tests.monitor.services import Session, close, polite, serving, until

from openaudiohook.audio import ulaw
from openaudiohook.exceptions import ConfigurationError
from openaudiohook.fanout.clock import TICK_NS
from openaudiohook.fanout.endpoint import EndpointConfig, RetryPolicy
from openaudiohook.monitor import CallReport, Monitor, Scenario, single_play
from openaudiohook.monitor.policy import SwitchedBy
from openaudiohook.monitor.scenario import (
    Hangup,
    LanguageChange,
    Monitoring,
    Play,
    SecureFlow,
    Step,
)
from openaudiohook.monitor.secure_pause import SecureSpan
from openaudiohook.monitor.sources.tone import Tone
from openaudiohook.protocol.events import (
    AudioDiscarded,
    AudioFrame,
    AudioPaused,
    AudioResumed,
    CloseRequested,
    LanguageUpdated,
    OpenRequested,
    PingReceived,
    SessionEvent,
)
from openaudiohook.protocol.media import NS_PER_SAMPLE
from openaudiohook.protocol.trace import TraceRecord
from openaudiohook.protocol.types import NIL_UUID, CloseReason, DisconnectReason, PauseCause

pytestmark = pytest.mark.integration

ON = Monitoring(at=0, on=True, by=SwitchedBy.FLOW)
QUICK = RetryPolicy(base_s=0.01, cap_s=0.05)


class Bytes:
    """A mono source of given bytes."""

    channels = 1

    def __init__(self, audio: bytes, *, error: type[Exception] | None = None) -> None:
        self.samples = len(audio)
        self._audio = audio
        self._error = error
        self._position = 0

    def open(self) -> Bytes:
        return Bytes(self._audio, error=self._error)

    def read(self, samples: int) -> tuple[bytes]:
        if self._error is not None and self._position:
            raise self._error("a mistake")
        start = self._position
        self._position += samples
        return (self._audio[start : start + samples],)

    def close(self) -> None:
        pass


def tone_bytes(samples: int) -> bytes:
    external, internal = Tone(samples=samples).open().read(samples)
    stereo = bytearray(2 * samples)
    stereo[::2], stereo[1::2] = external, internal
    return bytes(stereo)


def script(audio: bytes, *steps: Step) -> Scenario:
    play = Play(at=0, source=Bytes(audio), channel="external")
    return Scenario(steps=(play, *steps), ani="tel:+15550100", dnis="tel:+18005550123")


def exact(report: CallReport) -> bool:
    """Whether every endpoint's account adds up, in the report's own figures."""
    for endpoint in report.as_json()["endpoints"]:
        parts = ("sent_samples", "discarded_samples", "lost_samples")
        total = sum(endpoint[part] for part in parts) + endpoint["paused_samples"]["union"]
        if not total == endpoint["call_samples"] == report.call_samples:
            return False
    return True


@pytest.mark.anyio
async def test_a_call_arrives_as_it_was_played_and_is_accounted_for() -> None:
    async with serving() as service:
        monitor = Monitor()
        report = await monitor.run(
            single_play(Tone(samples=24_400), language="en-US"), [service.config()], speed=20
        )
    (session,) = service.sessions
    assert bytes(session.audio) == tone_bytes(24_400)
    (opened,) = session.seen(OpenRequested)
    assert isinstance(opened, OpenRequested)
    assert opened.parameters.conversation_id == report.conversation_id
    assert opened.parameters.organization_id == monitor.organization_id
    assert opened.parameters.language == "en-US"
    (closed,) = session.seen(CloseRequested)
    assert closed == CloseRequested(CloseReason.END, 24_400)
    assert report.is_good
    assert exact(report)
    (endpoint,) = report.endpoints
    assert (endpoint.account.sent, endpoint.account.lost) == (24_400, 0)
    opened_at = endpoint.account.opened_at
    assert opened_at is not None
    assert report.chargeable_samples(endpoint) == 24_400 - opened_at
    assert report.secure_spans == ()


@pytest.mark.anyio
async def test_frames_have_the_asked_length() -> None:
    async with serving() as service:
        report = await Monitor().run(
            single_play(Tone(samples=8000)), [service.config()], speed=2, frame_samples=160
        )
    (session,) = service.sessions
    assert sum(samples for _, samples in session.frames) == 8000
    # What was history when the session opened may come in one piece.
    opened_at = report.endpoints[0].account.opened_at
    assert opened_at is not None
    live = [samples for at, samples in session.frames if at >= opened_at]
    assert max(live) == 160
    assert set(live[1:-1]) == {160}


@pytest.mark.anyio
@pytest.mark.parametrize("speed", [1, 4])
async def test_frames_are_complete_right_before_a_tick_and_calls_take_turns(speed: int) -> None:
    times = iter(range(123_456_789, 10**12, 7_654_321))
    monitor = Monitor(now_ns=lambda: next(times))
    sample_ns = NS_PER_SAMPLE // speed
    endpoint = EndpointConfig(name="nobody", uri="ws://127.0.0.1:1/", api_key="a key")
    slots = []
    for _ in range(10):
        running = monitor.start(
            single_play(Tone(samples=8000)), [endpoint], speed=speed, frame_samples=800 * speed
        )
        assert running.call.fanout is not None
        complete_ns = running._began_ns + running.call.fanout.phase_samples * sample_ns
        slot, early_ns = divmod(-complete_ns, TICK_NS)
        assert early_ns < sample_ns
        slots.append(slot % 10)
        running._fail(RuntimeError("enough"))
        with pytest.raises(RuntimeError, match="enough"):
            await running.finished()
    assert set(slots) == {0, 2, 4, 6, 8}  # every other tick wakes nobody


@pytest.mark.anyio
@pytest.mark.parametrize("speed", [Fraction(1), Fraction(7, 3)])
async def test_a_call_is_visited_when_a_frame_is_complete(speed: Fraction) -> None:
    now_ns = 123_456_789
    monitor = Monitor(now_ns=lambda: now_ns)
    endpoint = EndpointConfig(name="nobody", uri="ws://127.0.0.1:1/", api_key="a key")
    running = monitor.start(single_play(Tone(samples=80_000)), [endpoint], speed=speed)
    call, fanout = running.call, running.call.fanout
    assert fanout is not None
    for _ in range(80):
        fanout.is_restless = False
        next_ns = running._tick(now_ns)
        assert next_ns is not None
        # Right then a frame is complete, and not a nanosecond before.
        for now_ns in (next_ns - 1, next_ns):
            before = call.position
            running._tick(now_ns)
        assert call.position > before
        assert (call.position - fanout.phase_samples) % 800 == 0
    running._fail(RuntimeError("enough"))
    with pytest.raises(RuntimeError, match="enough"):
        await running.finished()


@pytest.mark.anyio
async def test_five_endpoints_get_identical_audio_whatever_the_others_do() -> None:
    def lying(session: Session, event: SessionEvent) -> None:
        session.accept(event)
        if isinstance(event, AudioFrame) and event.position > 16_000:
            session.driver.abort()

    refusals = 0

    def refusing_twice(session: Session, event: SessionEvent) -> None:
        nonlocal refusals
        if isinstance(event, OpenRequested) and refusals < 2:
            refusals += 1
            session.session.refuse(time.monotonic_ns(), reason=DisconnectReason.ERROR)
            session.driver.flush()
        else:
            polite(session, event)

    async with serving() as good, serving(lying) as bad, serving(refusing_twice) as late:
        report = await Monitor(retry=QUICK).run(
            single_play(Tone(samples=160_000)),
            [
                good.config("a"),
                good.config("b", channel="internal"),
                bad.config("dies"),
                late.config("late"),
                good.config("stranger", client_secret=b"wrong"),
            ],
            speed=20,
        )
    stereo = tone_bytes(160_000)
    by_name = {endpoint.name: endpoint for endpoint in report.endpoints}
    audio = sorted(bytes(session.audio) for session in good.sessions)
    assert audio == sorted([stereo, stereo[1::2]])
    assert bytes(late.sessions[-1].audio) == stereo
    assert (by_name["late"].attempts, by_name["late"].state) == (3, "completed")
    assert by_name["a"].account.sent_sha256 == by_name["late"].account.sent_sha256
    assert by_name["dies"].state == "failed"
    dead = by_name["dies"]
    assert dead.account.lost > 0
    lost_at = dead.sessions[0].lost_at
    assert lost_at is not None
    assert dead.account.ended_at is not None
    assert dead.account.opened_at is not None
    assert dead.account.ended_at <= lost_at < 160_000
    assert report.chargeable_samples(dead) == lost_at - dead.account.opened_at
    assert (by_name["stranger"].state, by_name["stranger"].http_status) == ("failed", 401)
    assert "API key and the client secret" in (by_name["stranger"].error or "")
    assert by_name["stranger"].account.lost == 160_000
    assert not report.is_good
    assert exact(report)
    figures = {one["name"]: one for one in report.as_json()["endpoints"]}
    assert figures["stranger"]["chargeable_samples"] == 0
    assert figures["stranger"]["open_s"] is None
    assert 0 < figures["dies"]["chargeable_samples"] < figures["a"]["chargeable_samples"]


@pytest.mark.anyio
async def test_a_call_that_nobody_can_hear_any_more_is_hung_up() -> None:
    async with serving() as service:
        report = await Monitor().run(
            single_play(Tone(samples=8000 * 3600)), [service.config(client_secret=b"wrong")]
        )
    assert service.sessions == []
    assert report.endpoints[0].http_status == 401
    assert report.call_samples < 8000 * 60
    assert exact(report)


@pytest.mark.anyio
async def test_a_secure_span_leaves_no_socket_and_is_free() -> None:
    marker = b"\x2a" * 8000
    async with serving() as service:
        report = await Monitor().run(
            script(
                b"a" * 8000 + marker + b"b" * 8100,
                ON,
                SecureFlow(at=8000, is_start=True),
                SecureFlow(at=16_000, is_start=False),
            ),
            [service.config("stereo"), service.config("mono", channel="external")],
            speed=10,
        )
    for session in service.sessions:
        assert b"\x2a" not in session.audio
        width = 2 if session.admitted.session_id == report.endpoints[0].session_id else 1
        assert bytes(session.audio[::width]) == b"a" * 8000 + b"b" * 8100
        assert session.seen(AudioPaused) == [AudioPaused(8000)]
        assert session.seen(AudioResumed) == [AudioResumed(8000, 8000)]
    assert report.secure_spans == (SecureSpan(8000, 16_000),)
    assert exact(report)
    for endpoint in report.endpoints:
        assert endpoint.account.paused_secure == 8000
        assert endpoint.account.opened_at is not None
        charged = 24_100 - endpoint.account.opened_at - 8000
        assert report.chargeable_samples(endpoint) == charged
    spans = report.as_json()["secure_spans"]
    assert spans == [{"start_s": 1.0, "start_samples": 8000, "end_s": 2.0, "end_samples": 16_000}]


@pytest.mark.anyio
@pytest.mark.parametrize("effective_at", [None, 4000])
async def test_what_is_held_back_is_taken_back_and_the_report_says_what_had_gone(
    effective_at: int | None,
) -> None:
    spoken = script(
        b"a" * 4000 + b"\x2a" * 8000 + b"b" * 8000,
        ON,
        SecureFlow(at=8000, is_start=True, effective_at=effective_at),
        SecureFlow(at=12_000, is_start=False),
    )
    held_back = msgspec.structs.replace(spoken, hold_back_samples=4000)
    async with serving() as service:
        report = await Monitor().run(
            held_back, [service.config("a"), service.config("b")], speed=10
        )
    for session in service.sessions:
        assert bytes(session.audio[::2]) == b"a" * 4000 + b"b" * 8000
        assert session.seen(AudioPaused) == [AudioPaused(8000)]
    assert exact(report)
    assert report.as_json()["cuts"] == [
        {
            "kind": "flow",
            "requester": "scenario",
            "position_s": 0.5,
            "position_samples": 4000,
            "began_s": 1.0,
            "began_samples": 8000,
            "gone_samples": {"a": 0, "b": 0},
        }
    ]


@pytest.mark.anyio
async def test_a_session_that_opens_in_a_secure_span_starts_paused_whatever_the_server_asks() -> (
    None
):
    def eager(session: Session, event: SessionEvent) -> None:
        polite(session, event)
        if isinstance(event, AudioPaused) and len(session.seen(AudioPaused)) == 1:
            session.session.resume(time.monotonic_ns())
            session.driver.flush()

    async with serving(eager) as service:
        report = await Monitor().run(
            script(
                b"\x2a" * 24_000 + b"b" * 8000,
                SecureFlow(at=0, is_start=True),
                Monitoring(at=800, on=True, by=SwitchedBy.FLOW),
                SecureFlow(at=24_000, is_start=False),
            ),
            [service.config(channel="external")],
            speed=10,
        )
    (session,) = service.sessions
    assert bytes(session.audio) == b"b" * 8000
    paused = session.seen(AudioPaused)
    assert paused[0] == AudioPaused(0)
    assert len(paused) == 2  # the resume was answered with another `paused`
    assert report.monitored_from == 800
    assert report.secure_spans == (SecureSpan(0, 23_200),)
    assert report.as_json()["monitored_from_s"] == 0.1
    assert exact(report)


@pytest.mark.anyio
@pytest.mark.parametrize("free", [{PauseCause.SECURE}, {PauseCause.SERVER}])
async def test_a_server_pause_is_charged_as_the_tariff_says(free: set[PauseCause]) -> None:
    def resting(session: Session, event: SessionEvent) -> None:
        session.accept(event, start_paused=True)
        close(session, event)

    async with serving(resting) as service:
        report = await Monitor(free_pauses=free).run(
            single_play(Tone(samples=16_000)), [service.config()], speed=10
        )
    (endpoint,) = report.endpoints
    opened_at = endpoint.account.opened_at
    assert opened_at is not None
    assert service.sessions[0].audio == b""
    assert endpoint.account.paused_server == 16_000
    expected = 0 if PauseCause.SERVER in free else 16_000 - opened_at
    assert report.chargeable_samples(endpoint) == expected


@pytest.mark.anyio
async def test_a_language_change_reaches_the_service_at_its_sample() -> None:
    async with serving() as service:
        await Monitor().run(
            script(b"a" * 16_000, ON, LanguageChange(at=8100, language="fr-CA")),
            [service.config()],
            speed=10,
        )
    assert service.sessions[0].seen(LanguageUpdated) == [LanguageUpdated("fr-CA", 8100)]


@pytest.mark.anyio
async def test_what_is_never_monitored_is_never_connected() -> None:
    async with serving() as service:
        report = await Monitor().run(script(b"a" * 8000), [service.config()], speed=50)
    assert service.sessions == []
    assert report.monitored_from is None
    assert report.is_good
    assert exact(report)
    found = report.as_json()
    assert (found["call_samples"], found["monitored_from_s"]) == (0, None)
    (endpoint,) = found["endpoints"]
    assert (endpoint["state"], endpoint["attempts"], endpoint["sent_samples"]) == (
        "completed",
        0,
        0,
    )


@pytest.mark.anyio
async def test_hanging_up_closes_every_session_in_good_order() -> None:
    async with serving() as service:
        running = Monitor().start(single_play(Tone(samples=8000 * 600)), [service.config()])
        await until(lambda: service.sessions and len(service.sessions[0].audio) > 3000)
        running.hang_up()
        running.hang_up()
        report = await running.finished()
    assert report.was_interrupted
    assert report.endpoints[0].state == "completed"
    (session,) = service.sessions
    (closed,) = session.seen(CloseRequested)
    assert closed == CloseRequested(CloseReason.END, report.call_samples)
    assert bytes(session.audio) == tone_bytes(report.call_samples)
    assert exact(report)


@pytest.mark.anyio
async def test_hanging_up_does_not_wait_for_who_never_opens() -> None:
    async with serving(lambda session, event: None) as service:
        running = Monitor().start(single_play(Tone(samples=8000 * 600)), [service.config()])
        await until(lambda: service.sessions and service.sessions[0].seen(OpenRequested))
        running.hang_up()
        report = await running.finished()
    assert report.endpoints[0].state == "failed"
    assert exact(report)


def refusing(session: Session, event: SessionEvent) -> None:
    if isinstance(event, OpenRequested):
        session.session.disconnect(time.monotonic_ns(), reason=DisconnectReason.ERROR)
        session.driver.flush()
    close(session, event)


@pytest.mark.anyio
async def test_after_the_call_an_endpoint_is_tried_only_for_a_while() -> None:
    patient = RetryPolicy(base_s=3600, cap_s=3600)
    async with serving(refusing) as service:
        monitor = Monitor(retry=patient, late_s=0.1)
        report = await asyncio.wait_for(
            monitor.run(single_play(Tone(samples=800)), [service.config()]), 10
        )
    endpoint = report.endpoints[0]
    assert (endpoint.state, endpoint.attempts) == ("failed", 1)
    assert endpoint.error is not None
    assert "`disconnect` error" in endpoint.error
    assert exact(report)


@pytest.mark.anyio
async def test_a_stream_that_opened_late_is_not_cut_short() -> None:
    def second_time(session: Session, event: SessionEvent) -> None:
        (refusing if len(service.sessions) == 1 else polite)(session, event)

    async with serving(second_time) as service:
        late = RetryPolicy(base_s=0.5, cap_s=0.5)
        report = await Monitor(retry=late).run(single_play(Tone(samples=800)), [service.config()])
        assert service.sessions[-1].audio == tone_bytes(800)
    assert report.is_good
    assert exact(report)


@pytest.mark.anyio
async def test_cancelling_drops_the_connections_at_once() -> None:
    async with serving() as service:
        running = Monitor().start(single_play(Tone(samples=8000 * 600)), [service.config()])
        finished = asyncio.ensure_future(running.finished())
        await until(lambda: service.sessions and service.sessions[0].audio)
        finished.cancel()
        with pytest.raises(asyncio.CancelledError):
            await finished
        await until(lambda: service.sessions[0].driver.ended.done())
    assert service.sessions[0].seen(CloseRequested) == []


@pytest.mark.anyio
async def test_traces_tell_every_message_and_no_content() -> None:
    records: list[TraceRecord] = []
    async with serving() as service:
        running = Monitor().start(
            script(b"a" * 16_000, ON, LanguageChange(at=800, language="fr-CA")),
            [service.config("a"), service.config("b")],
            speed=10,
            on_trace=records.append,
        )
        report = await running.finished()
    for endpoint in report.endpoints:
        own = [record for record in records if record.session == endpoint.session_id]
        assert own[0].type == "open"
        types = [record.type for record in own]
        assert {"opened", "update", "audio", "close", "closed"} <= set(types)
        assert sum(record.samples or 0 for record in own) == 16_000
    assert all(record.parameters is None for record in records)


@pytest.mark.anyio
async def test_whoever_listens_hears_what_the_sessions_report() -> None:
    heard: list[str] = []
    async with serving() as service:
        running = Monitor().start(
            single_play(Tone(samples=8000)),
            [service.config()],
            speed=10,
            on_event=lambda endpoint, event: heard.append(type(event).__name__),
        )
        await running.finished()
    assert heard[0] == "SessionOpened"
    assert heard[-1] == "SessionEnded"


@pytest.mark.anyio
async def test_a_call_at_any_speed_is_as_long_as_it_is() -> None:
    async with serving() as service:
        started = time.monotonic()
        report = await Monitor().run(
            single_play(Tone(samples=12_345)), [service.config()], speed=Fraction(37, 2)
        )
        assert time.monotonic() - started < 10
    assert report.call_samples == 12_345
    assert service.sessions[0].seen(AudioDiscarded) == []
    assert service.sessions[0].seen(PingReceived) == []  # a ping is due after a real second


@pytest.mark.anyio
async def test_a_mistake_of_ours_is_raised_and_nothing_is_left_behind() -> None:
    broken = Play(at=0, source=Bytes(b"a" * 80_000, error=RuntimeError), channel="external")
    async with serving() as service:
        running = Monitor().start(Scenario(steps=(ON, broken)), [service.config()])
        with pytest.raises(RuntimeError, match="a mistake"):
            await running.finished()


@pytest.mark.anyio
async def test_a_mistake_on_one_endpoint_is_raised_when_the_others_are_served() -> None:
    class Mistaken(RetryPolicy):
        def delay_s(self, retry: int, jitter: float) -> float:
            raise RuntimeError("a mistake")

    def refusing(session: Session, event: SessionEvent) -> None:
        if isinstance(event, OpenRequested):
            session.session.refuse(time.monotonic_ns())
            session.driver.flush()
        close(session, event)

    async with serving() as good, serving(refusing) as bad:
        with pytest.raises(RuntimeError, match="a mistake"):
            await Monitor(retry=Mistaken()).run(
                single_play(Tone(samples=16_000)), [bad.config("bad"), good.config()], speed=10
            )
    assert bytes(good.sessions[0].audio) == tone_bytes(16_000)


@pytest.mark.anyio
async def test_what_cannot_be_done_is_refused_before_anything_begins() -> None:
    monitor = Monitor(new_id=lambda: "11111111-2222-4333-8444-555555555555")
    assert monitor.organization_id == "11111111-2222-4333-8444-555555555555"
    async with serving() as service:
        one = service.config()
        tone = single_play(Tone(samples=800))
        for endpoints, settings, said in (
            ([one] * 6, {}, "at most 5 integrations"),
            ([], {}, "no endpoint"),
            ([one], {"conversation_id": NIL_UUID}, "connection probe"),
            ([one], {"speed": 0}, "above 0 and at most 1000"),
            ([one], {"speed": 1001}, "above 0 and at most 1000"),
            ([one], {"frame_samples": 0}, "a frame has 1 to"),
        ):
            with pytest.raises(ConfigurationError, match=said):
                monitor.start(tone, endpoints, **settings)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="'ldm'"):
            monitor.start(Scenario(steps=(ON, Hangup(at=800)), edge="ldm"), [one])
    assert service.sessions == []
    assert not monitor.clock.is_running


@pytest.mark.anyio
async def test_what_could_not_be_played_is_told_and_the_call_is_not_good(tmp_path: Path) -> None:
    from openaudiohook.monitor.sources.wav import WavFile

    gone = Play(at=0, source=WavFile(path=tmp_path / "gone.wav"), channel="external")
    async with serving() as service:
        report = await Monitor().run(
            Scenario(steps=(ON, gone, Hangup(at=8000))),
            [service.config(channel="external")],
            speed=20,
        )
    assert bytes(service.sessions[0].audio) == ulaw.silence(8000)
    assert report.problems == ("an audio file could not be opened: No such file or directory",)
    assert report.endpoints[0].state == "completed"
    assert not report.is_good
