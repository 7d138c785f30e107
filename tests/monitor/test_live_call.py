"""A call that is steered from outside: real services, or no service and a clock that is told."""

from __future__ import annotations

import asyncio
import random
import time
from fractions import Fraction
from typing import Any

import pytest
from tests.monitor.observing import Notes, wire
from tests.monitor.services import Service, Session, polite, serving, until

from openaudiohook.exceptions import LocalProtocolError
from openaudiohook.fanout.endpoint import EndpointConfig, RetryPolicy
from openaudiohook.monitor import Monitor
from openaudiohook.monitor.language import LanguageStage
from openaudiohook.monitor.live_call import LiveCall
from openaudiohook.monitor.observer import CallObserver
from openaudiohook.monitor.scenario import Play, Scenario, Step, single_play
from openaudiohook.monitor.secure_pause import SecureKind, SecureReason
from openaudiohook.monitor.sources.tone import Tone
from openaudiohook.monitor.steps import (
    Conference,
    Consult,
    Hangup,
    Hold,
    LanguageChange,
    SecureFlow,
    Transfer,
)
from openaudiohook.protocol import SessionEvent
from openaudiohook.protocol.events import (
    AudioFrame,
    AudioPaused,
    CloseRequested,
    LanguageUpdated,
    OpenRequested,
)
from openaudiohook.protocol.media import MediaParameter
from openaudiohook.protocol.types import CloseReason, DisconnectReason
from openaudiohook.store.records import Queue

pytestmark = pytest.mark.integration

ORGANIZATION = "5b2f6c0e-8f5d-4a1b-b7a4-2d9c64f3a001"
AGENT = (SecureKind.AGENT, "agent:anna")
API = (SecureKind.API, "client:payments")
NS = 125_000
SILENCE = 0xFF
LONG = 60 * 8000


def queue(**settings: Any) -> Queue:
    return Queue(id="sales", organization_id=ORGANIZATION, name="Sales", **settings)


ON = queue(enable_audio_monitoring=True)


def plain(samples: int = LONG, *steps: Step, **settings: Any) -> Scenario:
    play = Play(at=0, source=Tone(samples=samples), channel="both")
    return Scenario(steps=(play, *steps), **settings)


def place(
    monitor: Monitor,
    scenario: Scenario | None = None,
    *,
    services: tuple[Service, ...] = (),
    notes: CallObserver | None = None,
    **settings: Any,
) -> LiveCall:
    configs = [one.config(str(n), integration_id=str(n)) for n, one in enumerate(services)]
    return LiveCall(
        monitor,
        plain() if scenario is None else scenario,
        organization_id=ORGANIZATION,
        conversation_id=monitor.new_id(),
        integrations=settings.pop("integrations", lambda: configs),
        observer=notes or Notes(),
        **settings,
    )


def heard(live: LiveCall) -> bytes:
    """What is in the ring of the customer's side."""
    fanout = live.running.call.fanout
    assert fanout is not None
    return fanout.ring.read(0, fanout.head, fanout.ring.layout_for(MediaParameter()))[::2]


def said(samples: int) -> bytes:
    return Tone(samples=samples).open().read(samples)[0]


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_007

    def __call__(self) -> int:
        return self.now_ns

    def to(self, live: LiveCall, sample: Fraction | int) -> None:
        """Go to a sample of a call that began at the start, and let the Monitor play."""
        self.now_ns = 1_000_000_007 + int(sample * NS)
        live.running._tick(self.now_ns)


# In time ----------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("hold_back_ms", [0, 100])
@pytest.mark.parametrize("asked_at", [Fraction(4_817), Fraction(9_999, 2), Fraction(5_600)])
async def test_a_secure_pause_ends_at_the_sample_that_is_live_and_not_before(
    asked_at: Fraction, hold_back_ms: int
) -> None:
    clock, notes = Clock(), Notes()
    live = place(
        Monitor(now_ns=clock),
        notes=notes,
        queue=queue(enable_audio_monitoring=True, hold_back_ms=hold_back_ms),
    )
    clock.to(live, 2_450)
    cut = live.begin_secure_pause(*AGENT)
    # The first sample that was not written yet: the last whole frame lies before it, and what
    # is held back is taken back.
    assert cut.began <= 2_450 < cut.began + 800
    assert cut.position == cut.began - 8 * hold_back_ms
    assert cut.gone == ()
    clock.to(live, asked_at)
    ended = live.end_secure_pause(*AGENT)
    assert ended == int(asked_at) == live.position
    clock.to(live, 7_200)
    ring = heard(live)
    assert ring[: cut.position] == said(cut.position)
    assert set(ring[cut.position : ended]) == {SILENCE}
    assert ring[ended:] == said(len(ring))[ended:] != b""
    told = [one for one in notes.told if one.what in ("paused", "resumed")]
    before = cut.position if hold_back_ms else None
    assert [(one.at, *one.more) for one in told] == [
        (cut.began, "secure", "agent", "agent:anna", before, {}),
        (ended, "secure", "agent", "agent:anna"),
    ]
    live.drop()


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(12))
async def test_nothing_that_passes_while_anybody_holds_the_pause_is_ever_kept(seed: int) -> None:
    chance, clock = random.Random(seed), Clock()
    live = place(Monitor(now_ns=clock), queue=ON)
    owners = [AGENT, API, (SecureKind.FLOW, "flow:pay"), (SecureKind.SBC, "sbc:one")]
    held: set[tuple[SecureKind, str]] = set()
    secret: list[tuple[int, int]] = []
    at = since = 0
    for _ in range(60):
        at += chance.choice((1, 37, 799, 800, 1_603, 4_001))
        if chance.random() < 0.5:
            clock.to(live, at)  # else the Monitor has not played that far when it is asked
        clock.now_ns = 1_000_000_007 + at * NS
        owner = chance.choice(owners)
        if owner in held:
            held.remove(owner)
            assert live.end_secure_pause(*owner) == at
            if not held:
                secret.append((since, at))
        else:
            since = since if held else at
            held.add(owner)
            assert live.begin_secure_pause(*owner).position <= at
    clock.to(live, at + 800)
    secret += [(since, at + 800)] if held else []
    ring, whole = heard(live), said(at + 800)
    for start, end in secret:
        assert set(ring[start:end]) <= {SILENCE}
    # What was cut beyond that lies right before it: the frame that had not been written yet.
    spoken = [n for n in range(len(ring)) if not any(a <= n < b for a, b in secret)]
    cut = [n for n in spoken if ring[n] != whole[n]]
    assert all(any(0 < a - n <= 800 + 4_001 for a, _ in secret) for n in cut)
    live.drop()


@pytest.mark.anyio
async def test_what_is_asked_takes_effect_at_the_live_sample() -> None:
    clock, notes = Clock(), Notes()
    live = place(Monitor(now_ns=clock), notes=notes)
    for at, ask in (
        (1_003, lambda: live.flow_action("transcription", True)),
        (2_217, lambda: live.flow_action("audioMonitoring", None)),
        (3_333, lambda: live.enter_queue(ON)),
        (4_441, lambda: live.begin_client_pause("client:x")),
        (5_559, lambda: live.end_client_pause("client:x")),
        (6_661, lambda: live.set_language("de-DE")),
        (7_777, lambda: live.answer()),
    ):
        clock.now_ns = 1_000_000_007 + at * NS
        ask()
    clock.now_ns += 1_112 * NS
    live.hang_up()
    live.hang_up()
    told = [(one.what, one.at) for one in notes.told]
    assert told == [
        *(("phase", 0), ("switched", 1_003), ("began", 1_003)),
        *(("switched", 2_217), ("paused", 2_217)),
        *(("phase", 3_333), ("switched", 3_333), ("resumed", 3_333)),
        *(("paused", 4_441), ("resumed", 5_559)),
        *(("language", 6_661), ("phase", 7_777), ("ended", 8_889)),
    ]
    assert notes.told[-1].more == ("hangup",)
    assert heard(live) == (
        said(2_217)[1_003:]
        + bytes([SILENCE]) * (3_333 - 2_217)
        + said(4_441)[3_333:]
        + bytes([SILENCE]) * (5_559 - 4_441)
        + said(8_889)[5_559:]
    )
    # A call that is over takes no more; what was held stays as it is.
    count = len(notes.told)
    live.flow_action("transcription", False)
    live.enter_queue(ON)
    live.enter_flow(["fr"])
    live.answer()
    assert not live.set_language("fr")
    assert live.begin_client_pause("x") == live.end_client_pause("x") == 8_889
    assert len(notes.told) == count
    report = await live.finished()
    assert (report.call_samples, report.monitored_from) == (8_889 - 1_003, 1_003)
    assert live.is_done


@pytest.mark.anyio
async def test_a_secure_pause_always_begins_and_only_its_owner_ends_it() -> None:
    clock, notes = Clock(), Notes()
    live = place(Monitor(now_ns=clock), notes=notes)
    clock.to(live, 100)
    assert live.begin_secure_pause(*API) == (100, 100, ())  # nothing is monitored yet
    clock.to(live, 900)
    assert live.begin_secure_pause(*API) == (100, 100, ())
    live.flow_action("audioMonitoring", True)
    clock.to(live, 5_000)
    assert live.begin_secure_pause(*AGENT).position <= 5_000
    with pytest.raises(LocalProtocolError):
        live.end_secure_pause(SecureKind.AGENT, "agent:ben")
    assert live.end_secure_pause(*API) == 5_000
    clock.to(live, 6_000)
    assert list(live.held_since) == [SecureReason(*AGENT)]
    assert live.end_secure_pause(*AGENT) == 6_000
    clock.to(live, 9_000)
    began = notes.at("began")[0]
    assert began == 900
    ring = heard(live)
    assert set(ring[: 6_000 - began]) == {SILENCE}
    assert ring[6_000 - began :] == said(began + len(ring))[6_000:]
    assert len(notes.all("paused")) == len(notes.all("resumed")) == 2
    live.hang_up()
    assert live.begin_secure_pause(*API).began == 9_000  # even then
    live.drop()


@pytest.mark.anyio
async def test_an_earlier_cut_is_told_again() -> None:
    clock, notes = Clock(), Notes()
    live = place(
        Monitor(now_ns=clock),
        notes=notes,
        queue=queue(enable_audio_monitoring=True, hold_back_ms=500),
    )
    clock.to(live, 16_000)
    first = live.begin_secure_pause(*API, effective_at=14_000)
    assert first.position == 14_000
    assert live.begin_secure_pause(*API, effective_at=15_000).position == 14_000
    assert live.begin_secure_pause(*API, effective_at=13_000).position == 13_000
    assert [(one.at, one.more[3]) for one in notes.all("paused")] == [
        (first.began, 14_000),
        (first.began, 13_000),
    ]
    live.drop()


@pytest.mark.anyio
async def test_hold_back_grows_with_the_queue_and_what_was_live_stays_live() -> None:
    clock, notes = Clock(), Notes()
    live = place(Monitor(now_ns=clock), notes=notes, queue=ON)
    clock.to(live, 4_000)
    fanout = live.running.call.fanout
    assert fanout is not None
    live.enter_queue(queue(enable_audio_monitoring=True, hold_back_ms=200))
    edge = fanout.edge
    assert edge == fanout.head == 4_000
    for at, live_until in ((4_800, edge), (5_500, edge), (7_200, None)):
        clock.to(live, at)
        assert fanout.edge == (fanout.head - 1_600 if live_until is None else live_until)
    live.enter_queue(queue(enable_audio_monitoring=True, hold_back_ms=100))
    clock.to(live, 8_000)
    assert fanout.edge == fanout.head - 1_600
    cut = live.begin_secure_pause(*API)
    assert cut.position == cut.began - 1_600
    live.drop()


@pytest.mark.anyio
async def test_hold_back_does_not_shrink_in_a_queue_that_asks_for_less() -> None:
    clock = Clock()
    live = place(Monitor(now_ns=clock), plain(hold_back_samples=4_000), queue=queue())
    live.enter_queue(queue(enable_audio_monitoring=True, hold_back_ms=100))
    clock.to(live, 8_000)
    fanout = live.running.call.fanout
    assert fanout is not None
    assert fanout.edge == fanout.head - 4_000
    live.drop()


@pytest.mark.anyio
async def test_a_setting_that_a_queue_applies_again_is_told() -> None:
    clock, notes = Clock(), Notes()
    scenario = plain(LONG, Transfer(at=800, to="ivr"), Transfer(at=2_400, to="queue"))
    live = place(Monitor(now_ns=clock), scenario, notes=notes, queue=ON)
    clock.to(live, 1_600)
    live.flow_action("transcription", False)
    clock.to(live, 4_000)
    assert [(one.at, *one.more) for one in notes.all("switched")] == [
        (0, True, "queue", None),
        (1_600, False, "flow", "transcription"),
        (2_400, True, "queue", None),
    ]
    assert notes.pauses(until=4_000) == [(1_600, 2_400)]
    live.drop()


@pytest.mark.anyio
async def test_the_shortest_frame_that_an_integration_wants_is_the_calls() -> None:
    clock = Clock()
    wants = [
        EndpointConfig(name=name, uri="ws://127.0.0.1:1/", api_key="a key", frame_ms=frame_ms)
        for name, frame_ms in (("one", 200), ("two", 40), ("three", None))
    ]
    live = place(Monitor(now_ns=clock), queue=ON, integrations=lambda: wants)
    fanout = live.running.call.fanout
    assert fanout is not None
    assert fanout.frame_samples == 320
    live.drop()
    with pytest.raises(asyncio.CancelledError):
        await live.finished()


@pytest.mark.anyio
async def test_a_secure_flow_of_the_script_that_was_ended_from_outside_ends_once() -> None:
    clock, notes = Clock(), Notes()
    script = (SecureFlow(at=800, is_start=True), SecureFlow(at=4_000, is_start=False))
    live = place(Monitor(now_ns=clock), plain(LONG, *script), notes=notes, queue=ON)
    clock.to(live, 1_600)
    assert live.end_secure_pause(SecureKind.FLOW, "scenario") == 1_600
    clock.to(live, 8_000)
    assert not live.is_over
    assert (notes.at("paused"), notes.at("resumed")) == ([800], [1_600])
    live.drop()


@pytest.mark.anyio
async def test_a_hold_is_a_client_pause_for_who_wants_it() -> None:
    clock, notes = Clock(), Notes()
    script = (
        Transfer(at=100, to="agent"),
        Hold(at=800, is_start=True, music=None),
        Hold(at=1_600, is_start=False, music=None),
        Hold(at=2_400, is_start=True, music=None),
        Transfer(at=3_200, to="queue"),
    )
    scenario = plain(LONG, *script, pauses_on_hold=True)
    live = place(Monitor(now_ns=clock), scenario, notes=notes, queue=ON)
    clock.to(live, 8_000)
    assert [(one.at, *one.more[:3]) for one in notes.all("paused")] == [
        (800, "client", "hold", "monitor"),
        (2_400, "client", "hold", "monitor"),
    ]
    assert notes.at("resumed") == [1_600, 3_200]
    live.drop()


@pytest.mark.anyio
async def test_a_pause_on_hold_is_over_when_another_source_says_so() -> None:
    clock, notes = Clock(), Notes()
    hold = Hold(at=800, is_start=True, music=None)
    live = place(Monitor(now_ns=clock), plain(LONG, hold, pauses_on_hold=True), queue=ON)
    clock.to(live, 1_600)
    assert live.held_client == (("hold", "monitor"),)
    clock.now_ns = 1_000_000_007
    after = live.attach(plain(LONG, Transfer(at=800, to="agent")), observer=notes)
    assert (after.phase, after.held_client) == ("hold", (("hold", "monitor"),))
    clock.to(after, 1_600)
    assert (after.phase, after.held_client) == ("agent", ())
    assert notes.pauses(until=1_600) == [(0, 800)]
    after.drop()


@pytest.mark.anyio
@pytest.mark.parametrize("phase", ["agent", "hold"])
async def test_the_language_of_the_answer_stands_when_another_source_is_attached(
    phase: str,
) -> None:
    clock = Clock()
    steps: list[Step] = [Transfer(at=100, to="agent")]
    if phase == "hold":
        steps.append(Hold(at=200, is_start=True, music=None))
    live = place(Monitor(now_ns=clock), plain(LONG, *steps, language="de-DE"), queue=ON)
    clock.to(live, 1_600)
    assert live.phase == phase
    clock.now_ns = 1_000_000_007
    late = LanguageChange(at=800, language="fr-CA", stage=LanguageStage.FLOW)
    after = live.attach(plain(LONG, late), observer=Notes())
    clock.to(after, 1_600)
    assert after.language == "de-DE"
    assert after.set_language("it-IT")  # of the call itself
    after.drop()


# On the wire ------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_call_in_a_queue_that_is_on_is_monitored_from_its_first_sample() -> None:
    notes = Notes()
    async with serving() as service:
        live = place(
            Monitor(),
            plain(8_000),
            services=(service,),
            notes=notes,
            queue=queue(enable_transcription=True, language="es-US"),
            speed=20,
        )
        assert (live.phase, live.queue_id, live.language) == ("queue", "sales", "es-US")
        assert live.is_monitored
        report = await live.finished()
    (session,) = service.sessions
    (opened,) = session.seen(OpenRequested)
    assert isinstance(opened, OpenRequested)
    assert opened.parameters.organization_id == ORGANIZATION
    assert opened.parameters.participant.id == live.participant_id
    assert opened.parameters.language == "es-US"
    assert wire(session, 0) == [("open", 0), ("close", 8_000)]
    assert report.monitored_from == 0
    assert [one.what for one in notes.told] == [
        *("phase", "language", "switched", "began", "opened", "ended", "closed"),
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("is_on", [True, False])
async def test_a_call_in_a_queue_that_is_off_is_connected_when_it_is_switched_on(
    is_on: bool,
) -> None:
    notes = Notes()
    async with serving() as service:
        live = place(Monitor(), services=(service,), notes=notes, queue=queue(), speed=5)
        await until(lambda: live.position > 2_000)
        if is_on:
            live.flow_action("audioMonitoring", True)
            await until(lambda: notes.at("opened"))
        live.hang_up()
        await live.finished()
    if not is_on:
        assert service.sessions == []
        assert notes.at("began") == []
        return
    (session,) = service.sessions
    (began,), (ended,) = notes.at("began"), notes.at("ended")
    assert began > 2_000
    assert wire(session, began) == [("open", began), ("close", ended)]
    assert len(session.audio) == 2 * (ended - began)


@pytest.mark.anyio
@pytest.mark.parametrize("edge", ["byoc-premises", "ldm", "moon"])
async def test_a_call_on_a_refused_edge_goes_on_untouched(edge: str) -> None:
    steps = (Transfer(at=500, to="agent"), Hangup(at=4_000))
    told: dict[str, list[tuple[str, int]]] = {}
    async with serving() as service:
        for each in (edge, "byoc-cloud"):
            notes, count = Notes(), len(service.sessions)
            live = place(
                Monitor(),
                plain(LONG, *steps, edge=each),
                services=(service,),
                notes=notes,
                queue=ON,
                speed=10,
            )
            live.begin_client_pause("client:x")
            live.end_client_pause("client:x")
            live.flow_action("transcription", True)
            report = await live.finished()
            told[each] = [(one.what, one.at) for one in notes.told if one.what != "switched"]
            assert len(service.sessions) - count == (each == "byoc-cloud")
            assert live.edge == each
            if each == edge:
                assert live.refused is not None
                assert f"'{edge}'" in live.refused
                assert 'edge = "byoc-cloud"' in live.refused
                assert notes.all("refused") == [("refused", 0, (live.refused,))]
                assert not live.is_monitored
                assert report.monitored_from is None
                assert report.endpoints == ()
    assert ("began", 0) in told["byoc-cloud"]
    assert "began" not in dict(told[edge])
    for each in told.values():
        assert [one for one in each if one[0] in ("phase", "ended")] == [
            *(("phase", 0), ("phase", 500), ("ended", 4_000)),
        ]
    (session,) = service.sessions
    assert len(session.audio) == 2 * 4_000 - 2 * sum(
        end - start for start, end in _spans(told["byoc-cloud"])
    )


def _spans(told: list[tuple[str, int]]) -> list[tuple[int, int]]:
    starts = [at for what, at in told if what == "paused"]
    return list(zip(starts, [at for what, at in told if what == "resumed"], strict=True))


@pytest.mark.anyio
async def test_integrations_are_those_of_the_moment_monitoring_begins() -> None:
    asked = 0

    async with serving() as one, serving() as two:
        active: list[EndpointConfig] = []

        def integrations() -> list[EndpointConfig]:
            nonlocal asked
            asked += 1
            return list(active)

        live = place(Monitor(), integrations=integrations, queue=queue(), speed=5)
        assert asked == 0
        active.append(one.config("one", integration_id="one"))
        live.flow_action("audioMonitoring", True)
        active.append(two.config("two", integration_id="two"))
        live.flow_action("audioMonitoring", False)
        live.flow_action("audioMonitoring", True)
        await until(lambda: one.sessions and one.sessions[0].audio)
        live.hang_up()
        await live.finished()
        assert asked == 1
        assert two.sessions == []
        nobody = place(Monitor(), plain(8_000), integrations=list, queue=ON, speed=10)
        report = await nobody.finished()
        assert (report.monitored_from, report.call_samples, report.endpoints) == (0, 8_000, ())


@pytest.mark.anyio
async def test_closing_one_integration_leaves_the_others_alone() -> None:
    notes = Notes()
    async with serving() as one, serving() as two:
        live = place(Monitor(), services=(one, two), notes=notes, queue=ON, speed=5)
        await until(lambda: all(each.sessions and each.sessions[0].audio for each in (one, two)))
        live.close_integration("0")
        live.close_integration("0")
        live.close_integration("nobody")
        await until(lambda: notes.outcomes)
        assert not live.is_over
        after = live.position
        await until(lambda: live.position > after + 4_000)
        live.hang_up()
        await live.finished()
    (closed,), (stayed,) = one.sessions, two.sessions
    (ended,) = notes.at("ended")
    (reason,) = closed.seen(CloseRequested)
    assert isinstance(reason, CloseRequested)
    assert reason.reason is CloseReason.END
    assert reason.position < ended
    assert len(closed.audio) == 2 * reason.position
    assert wire(stayed, 0) == [("open", 0), ("close", ended)]
    assert len(stayed.audio) == 2 * ended
    assert [(one.end, one.sent, one.lost) for one in notes.outcomes] == [
        (reason.position, reason.position, 0),
        (ended, ended, 0),
    ]
    assert notes.failures == [None, None]
    assert notes.all("event") == []


@pytest.mark.anyio
async def test_a_call_goes_on_when_nobody_listens_any_more() -> None:
    def hostile(session: Session, event: SessionEvent) -> None:
        session.accept(event)
        if isinstance(event, AudioFrame) and event.position > 4_000:
            session.driver.abort()

    notes = Notes()
    async with serving(hostile) as service:
        live = place(Monitor(), plain(24_000), services=(service,), notes=notes, queue=ON, speed=4)
        await live.finished()
    assert notes.at("ended") == [24_000]
    (outcome,), (failure,) = notes.outcomes, notes.failures
    assert failure is not None
    assert outcome.end < 24_000
    assert (
        outcome.sent + outcome.discarded + outcome.paused + outcome.lost
        == outcome.end - outcome.start
    )
    assert notes.all("event")[0].more[0] == failure.kind


@pytest.mark.anyio
async def test_closing_an_integration_that_has_not_opened_yet_is_no_news() -> None:
    def silent(session: Session, event: SessionEvent) -> None:
        pass

    notes = Notes()
    async with serving(silent) as one, serving() as two:
        live = place(Monitor(), services=(one, two), notes=notes, queue=ON, speed=5)
        await until(lambda: one.sessions and one.sessions[0].seen(OpenRequested))
        live.close_integration("0")
        await until(lambda: live.running.endpoints[0].state == "failed")
        assert live.running.endpoints[0].attempts == 1
        live.hang_up()
        await live.finished()
    assert notes.all("event") == []
    assert len(notes.outcomes) == 1


@pytest.mark.anyio
async def test_who_never_opens_is_an_event_and_no_session() -> None:
    def refusing(session: Session, event: SessionEvent) -> None:
        if isinstance(event, OpenRequested):
            session.session.refuse(time.monotonic_ns(), reason=DisconnectReason.UNAUTHORIZED)
            session.driver.flush()

    notes = Notes()
    async with serving(refusing) as service:
        live = place(Monitor(), plain(8_000), services=(service,), notes=notes, queue=ON, speed=4)
        await live.finished()
    assert notes.at("opened") == notes.at("closed") == []
    assert [one.more[0] for one in notes.all("event")] == ["unauthorized"]
    assert notes.at("ended") == [8_000]


@pytest.mark.anyio
async def test_a_pause_that_the_endpoint_asked_for_is_told_when_it_is_over() -> None:
    asked = False

    def pausing(session: Session, event: SessionEvent) -> None:
        nonlocal asked
        polite(session, event)
        if isinstance(event, AudioFrame) and not asked and event.position > 2_000:
            asked = True
            session.session.pause(time.monotonic_ns())
            session.driver.flush()

    notes = Notes()
    async with serving(pausing) as service:
        live = place(Monitor(), services=(service,), notes=notes, queue=ON, speed=4)
        await until(lambda: asked)
        session = service.sessions[0]
        await until(lambda: session.seen(AudioPaused))
        since, before = live.position, len(session.audio)
        await until(lambda: live.position > since + 4_000)
        session.session.resume(time.monotonic_ns())
        session.driver.flush()
        await until(lambda: len(session.audio) > before)
        live.hang_up()
        await live.finished()
    (told,) = notes.all("server")
    (outcome,) = notes.outcomes
    assert told.more[0] == outcome.session_id
    assert outcome.paused == told.more[1] - told.at > 0
    assert outcome.sent == len(session.audio) // 2 == outcome.end - outcome.paused


@pytest.mark.anyio
async def test_a_source_that_comes_back_starts_paused_and_streams_when_every_reason_is_over() -> (
    None
):
    first, second = Notes(), Notes()
    async with serving() as service:
        live = place(Monitor(), services=(service,), notes=first, queue=ON, speed=5)
        await until(lambda: service.sessions and service.sessions[0].audio)
        live.begin_secure_pause(*AGENT)
        live.begin_secure_pause(*API)
        live.begin_client_pause("client:x")
        live.set_language("de-DE")
        again = live.attach(plain(), observer=second)
        assert live.is_over
        assert (again.part, again.conversation_id) == (1, live.conversation_id)
        assert again.participant_id == live.participant_id
        assert (again.phase, again.language) == ("queue", "de-DE")
        assert set(again.held_since) == {SecureReason(*AGENT), SecureReason(*API)}
        assert set(again.held_since.values()) == {0}
        assert again.held_client == (("api", "client:x"),)
        await until(lambda: second.at("opened"))
        await until(lambda: again.position > 8_000)
        again.end_client_pause("client:x")
        again.end_secure_pause(*API)
        at = again.position
        await until(lambda: again.position > at + 4_000)
        session = service.sessions[1]
        assert session.audio == b""
        ended = again.end_secure_pause(*AGENT)
        await until(lambda: session.audio)
        again.hang_up()
        await again.finished()
        await live.finished()
    assert first.all("ended")[0].more == ("lost",)
    assert [one.at for one in second.all("paused")] == [0, 0, 0]
    (over,) = second.at("ended")
    assert wire(session, 0) == [("open", 0), ("paused", 0), ("resumed", ended), ("close", over)]
    external, internal = Tone(samples=over).open().read(over)
    stereo = bytearray(2 * over)
    stereo[::2], stereo[1::2] = external, internal
    assert bytes(session.audio) == bytes(stereo[2 * ended :])


@pytest.mark.anyio
async def test_a_part_that_follows_one_that_was_off_is_not_connected() -> None:
    async with serving() as service:
        live = place(Monitor(), services=(service,), queue=queue(), speed=5)
        again = live.attach(plain(2_000), observer=Notes())
        await again.finished()
        await live.finished()
        assert service.sessions == []


@pytest.mark.anyio
async def test_the_language_of_the_answer_stands_and_a_change_of_the_call_is_told() -> None:
    notes = Notes()
    async with serving() as service:
        live = place(
            Monitor(),
            plain(
                LONG,
                Transfer(at=0, to="ivr", languages=("fr-CA", "en-US")),
                LanguageChange(at=100, language="fr-FR", stage=LanguageStage.FLOW),
                Transfer(at=4_000, to="agent"),
                language="en-us",
            ),
            services=(service,),
            notes=notes,
            speed=5,
        )
        live.flow_action("transcription", True)
        await until(lambda: live.position > 4_800)
        assert not live.set_language("es-US", LanguageStage.FLOW)
        assert not live.set_language("es-US", LanguageStage.IN_QUEUE_FLOW)
        live.enter_queue(queue(enable_audio_monitoring=True, language="it-IT"))
        assert live.set_language("pt-BR", LanguageStage.IN_QUEUE_FLOW)
        assert not live.set_language("es-US", LanguageStage.FLOW)
        live.answer()
        assert live.set_language("de-DE")
        await until(
            lambda: service.sessions and len(service.sessions[0].seen(LanguageUpdated)) == 4
        )
        live.hang_up()
        await live.finished()
    (session,) = service.sessions
    (opened,) = session.seen(OpenRequested)
    assert isinstance(opened, OpenRequested)
    assert opened.parameters.language == "en-us"
    updates = session.seen(LanguageUpdated)
    assert [one.language for one in updates] == ["fr-FR", "it-IT", "pt-BR", "de-DE"]  # type: ignore[attr-defined]
    told = notes.all("language")
    assert [one.more for one in told] == [
        *(("en-us", "trunk"), ("fr-FR", "flow"), ("it-IT", "queue")),
        *(("pt-BR", "in-queue-flow"), ("de-DE", "call")),
    ]
    (began,) = notes.at("began")
    assert [one.at - began for one in told[1:]] == [one.position for one in updates]  # type: ignore[attr-defined]


# Through everything -----------------------------------------------------------------------


class Voice:
    """One byte, over and over."""

    channels = 1

    def __init__(self, octet: int, samples: int = LONG) -> None:
        self.octet, self.samples, self._position = octet, samples, 0

    def open(self) -> Voice:
        return Voice(self.octet, self.samples)

    def read(self, samples: int) -> tuple[bytes]:
        samples = min(samples, self.samples - self._position)
        self._position += samples
        return (bytes([self.octet]) * samples,)

    def read_stereo(self, samples: int) -> bytes | None:
        return None

    def close(self) -> None:
        pass


CUSTOMER, PROMPT, TUNE, ANNA, BEN, MUSIC = 0x11, 0x22, 0x33, 0x44, 0x55, 0x66


@pytest.mark.anyio
async def test_one_session_follows_the_customer_through_everything() -> None:
    def play(at: int, octet: int, channel: str) -> Play:
        return Play(at=at, source=Voice(octet), channel=channel)  # type: ignore[arg-type]

    scenario = Scenario(
        steps=(
            play(0, CUSTOMER, "external"),
            play(0, PROMPT, "internal"),
            Transfer(at=1_000, to="queue"),
            play(1_000, TUNE, "internal"),
            Transfer(at=2_000, to="agent"),
            play(2_000, ANNA, "internal"),
            Hold(at=3_000, is_start=True, music=Voice(MUSIC, 77)),
            Hold(at=4_000, is_start=False, music=None),
            Consult(at=5_000, is_start=True, music=Voice(MUSIC, 77)),
            play(5_000, BEN, "consulted"),
            Consult(at=6_000, is_start=False, music=None),
            Conference(at=7_000, is_start=True),
            Conference(at=8_000, is_start=False),
            Consult(at=9_000, is_start=True, music=None),
            Transfer(at=10_000, to="agent"),
            play(10_000, BEN, "internal"),
            Consult(at=10_500, is_start=False, music=None),
            Transfer(at=11_000, to="ivr"),
            play(11_000, PROMPT, "internal"),
            Hangup(at=12_000),
        )
    )
    notes = Notes()
    async with serving() as service:
        live = place(Monitor(), scenario, services=(service,), notes=notes, is_on=True, speed=20)
        await live.finished()
    (session,) = service.sessions
    assert wire(session, 0) == [("open", 0), ("close", 12_000)]  # and no pause
    external, internal = bytes(session.audio[::2]), bytes(session.audio[1::2])
    assert external == bytes([CUSTOMER]) * 12_000
    spans = [internal[at : at + 1_000] for at in range(0, 12_000, 1_000)]
    both = spans.pop(7)
    assert spans == [
        bytes([octet]) * 1_000
        for octet in (
            *(PROMPT, TUNE, ANNA, MUSIC, ANNA, MUSIC, ANNA, ANNA),
            *(SILENCE, BEN, PROMPT),
        )
    ]
    assert len(set(both)) == 1
    assert both[0] not in (ANNA, BEN, SILENCE)
    assert [(one.at, one.more[0]) for one in notes.all("phase")] == [
        *((0, "ivr"), (1_000, "queue"), (2_000, "agent"), (3_000, "hold"), (4_000, "agent")),
        *((5_000, "consult"), (6_000, "agent"), (7_000, "conference"), (8_000, "agent")),
        *((9_000, "consult"), (10_000, "agent"), (11_000, "ivr")),
    ]
    assert notes.outcomes[0].sent == 12_000


@pytest.mark.anyio
async def test_a_mistake_of_ours_ends_the_call_as_one() -> None:
    class Broken(Voice):
        def open(self) -> Broken:
            return Broken(self.octet, self.samples)

        def read(self, samples: int) -> tuple[bytes]:
            if self._position:
                raise RuntimeError("a mistake")
            return super().read(samples)

    notes = Notes()
    async with serving() as service:
        scenario = single_play(Broken(ANNA), is_monitored=False)
        live = place(Monitor(), scenario, services=(service,), notes=notes, queue=ON)
        with pytest.raises(RuntimeError, match="a mistake"):
            await live.finished()
    assert [one.more for one in notes.all("ended")] == [("error",)]
    assert live.is_over
    assert live.is_done


@pytest.mark.anyio
async def test_a_call_that_is_dropped_sends_no_more() -> None:
    notes, monitor = Notes(), Monitor(retry=RetryPolicy(base_s=0.01))
    async with serving() as service:
        live = place(monitor, services=(service,), notes=notes, queue=ON)
        live.drop()
        assert not monitor.clock.is_running
        await until(lambda: live.is_done)
        assert service.sessions == []
        live = place(monitor, services=(service,), notes=notes, queue=ON, speed=5)
        await until(lambda: service.sessions and service.sessions[0].audio)
        live.drop()
        await until(lambda: notes.outcomes)
    assert [one.more for one in notes.all("ended")] == [("lost",), ("lost",)]
    (outcome,) = notes.outcomes
    assert (
        outcome.sent + outcome.discarded + outcome.paused + outcome.lost
        == outcome.end - outcome.start
    )
