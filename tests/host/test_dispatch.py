"""One session, many consumers: order, isolation, budgets, shedding."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from openaudiohook.host.consumer import (
    AudioFrame,
    Capabilities,
    Consumer,
    DisconnectReason,
    Entity,
    MediaParameter,
    Participant,
    Reply,
    SessionInfo,
)
from openaudiohook.host.dispatch import Budgets, SessionDispatch

pytestmark = [pytest.mark.unit, pytest.mark.anyio]

MEDIA = MediaParameter()
INFO = SessionInfo(
    session_id="7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9a11",
    conversation_id="c0ffee00-1111-4222-8333-444455556666",
    organization_id="5b2f6c0e-8f5d-4a1b-b7a4-2d9c64f3a001",
    participant=Participant(id="p", ani="", ani_name="", dnis=""),
    media=MEDIA,
)
SECOND = 8000


class Session:
    """Stands for the connection and the operator: notes what consumers cause."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.told: list[Any] = []

    def send_entities(self, entities: Sequence[Entity]) -> None:
        self.asked.append([entity.type for entity in entities])

    def pause(self) -> None:
        self.asked.append("pause")

    def resume(self) -> None:
        self.asked.append("resume")

    def disconnect(self, reason: DisconnectReason, info: str | None) -> None:
        self.asked.append(("disconnect", reason.value, info))

    def consumer_detached(self, consumer: str, cause: str, error: str | None) -> None:
        self.told.append((consumer, cause, error))

    def consumer_shed(self, consumer: str, samples: int) -> None:
        self.told.append((consumer, "shed", samples))

    def consumer_degraded(self, consumer: str, session_id: str, reason: str) -> None:
        self.told.append((consumer, "degraded", reason))

    def consumer_healthy(self, consumer: str, session_id: str) -> None:
        self.told.append((consumer, "healthy"))


class Listener(Consumer):
    """Notes all it is told."""

    capabilities = Capabilities()

    def __init__(self, name: str = "listener", *, gate: asyncio.Event | None = None) -> None:
        self.name = name
        self.calls: list[Any] = []
        self.gate = gate
        self.reply: Reply | None = None
        self.closed = asyncio.Event()

    async def open(self, session: SessionInfo, reply: Reply) -> None:
        self.reply = reply
        if self.gate is not None:
            await self.gate.wait()
        self.calls.append("open")

    def audio(self, frame: AudioFrame) -> None:
        self.calls.append((frame.position, frame.samples))

    def paused(self, position: int) -> None:
        self.calls.append(("paused", position))

    def resumed(self, start: int, discarded: int) -> None:
        self.calls.append(("resumed", start, discarded))

    def discarded(self, start: int, discarded: int) -> None:
        self.calls.append(("discarded", start, discarded))

    def updated(self, language: str | None, position: int) -> None:
        self.calls.append(("updated", language, position))

    async def close(self, reason: str) -> None:
        assert self.reply is not None
        self.calls.append(("close", reason, self.reply.position))
        self.closed.set()


class Failing(Listener):
    """Raises in the method it is told to."""

    def __init__(self, where: str, name: str = "failing") -> None:
        super().__init__(name)
        self.where = where

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name in ("audio", "paused", "updated") and name == super().__getattribute__("where"):
            return self._raise
        return value

    def _raise(self, *args: Any) -> None:
        raise RuntimeError("the caller's card is 4111")

    async def open(self, session: SessionInfo, reply: Reply) -> None:
        await super().open(session, reply)
        if self.where == "open":
            self._raise()

    async def close(self, reason: str) -> None:
        await super().close(reason)
        if self.where == "close":
            self._raise()


def frame(position: int, samples: int = 800) -> AudioFrame:
    return AudioFrame(bytes(samples * 2), position, samples, MEDIA)


async def opened(
    *consumers: Consumer,
    session: Session,
    budgets: Budgets | None = None,
    clock: Callable[[], int] = lambda: 0,
) -> SessionDispatch:
    dispatch = SessionDispatch(
        INFO, control=session, observer=session, budgets=budgets, clock=clock
    )
    dispatch.open(consumers)
    await until_opened(*consumers)
    return dispatch


async def until_opened(*consumers: Consumer) -> None:
    """Let every consumer that is free to open do so."""
    async with asyncio.timeout(5):
        while any(
            isinstance(c, Listener)
            and (c.gate is None or c.gate.is_set())
            and "open" not in c.calls
            for c in consumers
        ):
            await asyncio.sleep(0)


async def test_everything_arrives_in_stream_order_at_every_consumer() -> None:
    session, one, two = Session(), Listener("one"), Listener("two")
    dispatch = await opened(one, two, session=session)
    dispatch.audio(frame(0))
    dispatch.paused(800)
    dispatch.resumed(800, 400)
    dispatch.updated("fr-CA", 1200)
    dispatch.audio(frame(1200))
    dispatch.discarded(2000, 100)
    await dispatch.close("end", 2100)
    expected = [
        "open", (0, 800), ("paused", 800), ("resumed", 800, 400), ("updated", "fr-CA", 1200),
        (1200, 800), ("discarded", 2000, 100), ("close", "end", 2100),
    ]  # fmt: skip
    assert one.calls == expected
    assert two.calls == expected
    assert session.told == []


async def test_the_frame_is_shared_not_copied() -> None:
    kept = []
    session, one, two = Session(), Listener("one"), Listener("two")
    one.audio = two.audio = kept.append  # type: ignore[method-assign]
    dispatch = await opened(one, two, session=session)
    given = frame(0)
    dispatch.audio(given)
    await dispatch.close("end", 800)
    assert kept[0] is given
    assert kept[1] is given


@pytest.mark.parametrize("where", ["audio", "paused", "updated"])
async def test_a_consumer_that_raises_is_out_and_its_neighbour_is_not(where: str) -> None:
    session, bad, good = Session(), Failing(where), Listener("good")
    dispatch = await opened(bad, good, session=session)
    for position in (0, 800):
        dispatch.audio(frame(position))
        dispatch.paused(position + 800)
        dispatch.updated("en-US", position + 800)
    await dispatch.close("end", 1600)
    assert session.told == [("failing", "failed", "RuntimeError")]
    assert ("close", "failed", 1600) in bad.calls or ("close", "failed", 800) in bad.calls
    assert [call for call in good.calls if isinstance(call[0], int)] == [(0, 800), (800, 800)]
    assert good.calls[-1] == ("close", "end", 1600)


async def test_a_consumer_that_fails_to_open_is_never_closed() -> None:
    session, bad, good = Session(), Failing("open"), Listener("good")
    dispatch = await opened(bad, good, session=session)
    dispatch.audio(frame(0))
    await dispatch.close("end", 800)
    assert session.told == [("failing", "failed", "RuntimeError")]
    assert bad.calls == ["open"]
    assert good.calls == ["open", (0, 800), ("close", "end", 800)]


async def test_a_consumer_that_fails_to_close_is_told_once() -> None:
    session, bad = Session(), Failing("close")
    dispatch = await opened(bad, session=session)
    await dispatch.close("end", 0)
    assert session.told == [("failing", "failed", "RuntimeError")]


async def test_a_consumer_without_the_methods_takes_no_part() -> None:
    class Partial:
        name = "partial"
        capabilities = Capabilities()

        def audio(self, frame: AudioFrame) -> None: ...

    session, good = Session(), Listener("good")
    dispatch = await opened(Partial(), good, session=session)  # type: ignore[arg-type]
    assert dispatch.consumers == ("good",)
    await dispatch.close("end", 0)
    assert session.told == [("partial", "failed", "AttributeError")]


async def test_audio_during_a_slow_open_is_kept_and_delivered_in_order() -> None:
    session, gate = Session(), asyncio.Event()
    slow = Listener("slow", gate=gate)
    dispatch = await opened(slow, session=session)
    dispatch.audio(frame(0))
    dispatch.paused(800)
    dispatch.resumed(800, 800)
    dispatch.audio(frame(1600))
    gate.set()
    await until_opened(slow)
    dispatch.audio(frame(2400))
    await dispatch.close("end", 3200)
    assert slow.calls == [
        "open", (0, 800), ("paused", 800), ("resumed", 800, 800), (1600, 800), (2400, 800),
        ("close", "end", 3200),
    ]  # fmt: skip
    assert session.told == []


async def test_the_newest_ten_seconds_are_kept_and_the_rest_is_told_as_discarded() -> None:
    session, gate = Session(), asyncio.Event()
    slow = Listener("slow", gate=gate)
    dispatch = await opened(slow, session=session)
    for position in range(0, 3 * SECOND, 800):
        dispatch.audio(frame(position))
    dispatch.updated("fr-CA", 3 * SECOND)
    for position in range(3 * SECOND, 15 * SECOND, 800):
        dispatch.audio(frame(position))
    gate.set()
    await until_opened(slow)
    assert slow.calls[:4] == [
        "open",
        ("discarded", 0, 3 * SECOND),
        ("updated", "fr-CA", 3 * SECOND),
        ("discarded", 3 * SECOND, 2 * SECOND),
    ]
    audio = slow.calls[4:]
    assert audio[0] == (5 * SECOND, 800)
    assert sum(samples for _, samples in audio) == 10 * SECOND
    assert session.told == [("slow", "shed", 5 * SECOND)]
    await dispatch.close("end", 15 * SECOND)


async def test_tiny_frames_are_bounded_in_number_too() -> None:
    session, gate = Session(), asyncio.Event()
    slow = Listener("slow", gate=gate)
    dispatch = await opened(slow, session=session)
    for position in range(5000):
        dispatch.audio(frame(position, 1))
    gate.set()
    await until_opened(slow)
    assert slow.calls[1] == ("discarded", 0, 3000)
    assert len(slow.calls) == 2002
    await dispatch.close("end", 5000)


async def test_a_flood_of_messages_during_open_ends_that_consumers_part() -> None:
    session, gate = Session(), asyncio.Event()
    slow, good = Listener("slow", gate=gate), Listener("good")
    dispatch = await opened(slow, good, session=session)
    for position in range(5000):
        dispatch.paused(position)
    assert session.told == [("slow", "over-budget", None)]
    assert dispatch.consumers == ("good",)
    await dispatch.close("end", 5000)
    assert slow.calls == []


class Clock:
    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


class Slow(Listener):
    """Takes time for each frame."""

    def __init__(self, clock: Clock, cost_ns: int) -> None:
        super().__init__("slow")
        self.clock, self.cost_ns = clock, cost_ns

    def audio(self, frame: AudioFrame) -> None:
        super().audio(frame)
        self.clock.now_ns += self.cost_ns


@pytest.mark.parametrize(("cost_ms", "survives"), [(4, True), (60, False)])
async def test_the_time_budget_lets_bursts_pass_and_not_a_slow_consumer(
    cost_ms: int, survives: bool
) -> None:
    clock, session = Clock(), Session()
    slow, good = Slow(clock, cost_ms * 1_000_000), Listener("good")
    dispatch = await opened(slow, good, session=session, clock=clock)
    for position in range(0, 60 * SECOND, 800):
        clock.now_ns += 100_000_000
        dispatch.audio(frame(position))
    assert ("slow" in dispatch.consumers) is survives
    await dispatch.close("end", 60 * SECOND)
    told = [] if survives else [("slow", "over-budget", None)]
    assert session.told == told
    reason = "end" if survives else "over-budget"
    assert slow.calls[-1][:2] == ("close", reason)
    assert len(good.calls) == 602


async def test_one_call_over_the_whole_budget_is_enough() -> None:
    clock, session = Clock(), Session()
    slow = Slow(clock, 201_000_000)
    dispatch = await opened(slow, session=session, clock=clock)
    dispatch.audio(frame(0))
    await slow.closed.wait()
    assert session.told == [("slow", "over-budget", None)]
    await dispatch.close("end", 800)
    assert [call for call in slow.calls if call[0] == "close"] == [("close", "over-budget", 800)]


async def test_kept_audio_costs_the_budget_like_any_other() -> None:
    clock, session, gate = Clock(), Session(), asyncio.Event()
    slow = Slow(clock, 60_000_000)
    slow.gate = gate
    dispatch = await opened(slow, session=session, clock=clock)
    for position in range(0, SECOND, 800):
        dispatch.audio(frame(position))
    gate.set()
    await slow.closed.wait()
    assert len([call for call in slow.calls if isinstance(call[0], int)]) == 4
    await dispatch.close("end", SECOND)


async def test_close_waits_for_a_consumer_that_is_still_opening() -> None:
    session, gate = Session(), asyncio.Event()
    slow = Listener("slow", gate=gate)
    dispatch = await opened(slow, session=session)
    dispatch.audio(frame(0))
    closing = asyncio.create_task(dispatch.close("end", 800))
    await asyncio.sleep(0)
    assert slow.calls == []
    gate.set()
    await closing
    assert slow.calls == ["open", (0, 800), ("close", "end", 800)]


async def test_close_is_bounded_for_what_never_opens() -> None:
    session = Session()
    never = Listener("never", gate=asyncio.Event())
    dispatch = await opened(never, session=session, budgets=Budgets(close_ns=10_000_000))
    await dispatch.close("end", 0)
    assert session.told == [("never", "over-budget", None)]
    assert never.calls == []


async def test_close_is_bounded_for_what_never_closes() -> None:
    class Endless(Listener):
        async def close(self, reason: str) -> None:
            await super().close(reason)
            await asyncio.Event().wait()

    session, endless, good = Session(), Endless("endless"), Listener("good")
    dispatch = await opened(endless, good, session=session, budgets=Budgets(close_ns=10_000_000))
    await dispatch.close("end", 0)
    assert session.told == [("endless", "close-timeout", None)]
    assert good.calls == ["open", ("close", "end", 0)]


async def test_close_is_bounded_even_for_what_refuses_to_be_cancelled() -> None:
    release = asyncio.Event()

    class Stubborn(Listener):
        async def close(self, reason: str) -> None:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

    session = Session()
    dispatch = await opened(
        Stubborn("stubborn"), session=session, budgets=Budgets(close_ns=1_000_000)
    )
    async with asyncio.timeout(5):
        await dispatch.close("end", 0)
    release.set()


async def test_a_consumer_that_cancels_its_own_open_is_not_closed() -> None:
    class Cancelling(Listener):
        async def open(self, session: SessionInfo, reply: Reply) -> None:
            self.calls.append("open")
            raise asyncio.CancelledError

    session, odd = Session(), Cancelling("odd")
    dispatch = await opened(odd, session=session)
    await dispatch.close("end", 0)
    assert odd.calls == ["open"]
    assert session.told == [("odd", "over-budget", None)]


async def test_replies_reach_the_session() -> None:
    session, one = Session(), Listener("one")
    dispatch = await opened(one, session=session)
    assert one.reply is not None
    one.reply.entities([Entity(type="a", data={}), Entity(type="b", data={})])
    one.reply.entities([])
    one.reply.disconnect(info="done")
    assert session.asked == [["a", "b"], ("disconnect", "completed", "done")]
    dispatch.audio(frame(0))
    assert one.reply.position == 800
    await dispatch.close("end", 900)
    one.reply.entities([Entity(type="late", data={})])
    one.reply.pause()
    one.reply.resume()
    one.reply.disconnect()
    one.reply.degraded("late")
    assert one.reply.position == 900
    assert len(session.asked) == 2
    assert session.told == []


async def test_a_pause_lasts_until_everyone_who_asked_has_resumed() -> None:
    session, one, two = Session(), Listener("one"), Listener("two")
    dispatch = await opened(one, two, session=session)
    assert one.reply is not None
    assert two.reply is not None
    one.reply.pause()
    two.reply.pause()
    one.reply.pause()
    one.reply.resume()
    one.reply.resume()
    assert session.asked == ["pause"]
    two.reply.resume()
    assert session.asked == ["pause", "resume"]
    await dispatch.close("end", 0)


async def test_a_consumer_that_goes_takes_its_pause_and_its_trouble_with_it() -> None:
    session, bad = Session(), Failing("audio")
    dispatch = await opened(bad, session=session)
    assert bad.reply is not None
    bad.reply.pause()
    bad.reply.degraded("slow model")
    dispatch.audio(frame(0))
    await bad.closed.wait()
    await dispatch.close("end", 800)
    assert session.asked == ["pause", "resume"]
    assert session.told == [
        ("failing", "degraded", "slow model"),
        ("failing", "failed", "RuntimeError"),
        ("failing", "healthy"),
    ]


async def test_healthy_is_told_only_after_degraded() -> None:
    session, one = Session(), Listener("one")
    dispatch = await opened(one, session=session)
    assert one.reply is not None
    one.reply.healthy()
    one.reply.degraded("slow model")
    one.reply.healthy()
    one.reply.healthy()
    assert session.told == [("one", "degraded", "slow model"), ("one", "healthy")]
    await dispatch.close("end", 0)


async def test_what_nobody_takes_part_in_is_closed_at_once() -> None:
    session = Session()
    dispatch = await opened(session=session)
    dispatch.audio(frame(0))
    await dispatch.close("end", 800)
    assert dispatch.position == 800
