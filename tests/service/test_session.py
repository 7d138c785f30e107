"""Whole sessions against a running service: the real transport, the real client session."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from tests.service.conftest import Listener, Listeners
from tests.support.platform import CONVERSATION_ID, Platform, until

from openaudiohook.audio.wav_writer import DATA_OFFSET
from openaudiohook.consumers.recorder import Recorder
from openaudiohook.host.consumer import (
    AudioFrame,
    Capabilities,
    Channel,
    DisconnectReason,
    Entity,
    Reply,
    SessionInfo,
)
from openaudiohook.protocol import ClientTimers, ErrorCode, MediaFormat, MediaParameter, offer_for
from openaudiohook.protocol.events import (
    DisconnectRequested,
    EntitiesReceived,
    PauseRequested,
    PongReceived,
    ResumeRequested,
)
from openaudiohook.service.service import Service

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

Serve = Callable[..., AbstractAsyncContextManager[Service]]

BOTH = (Channel.EXTERNAL, Channel.INTERNAL)
NIL = "00000000-0000-0000-0000-000000000000"


def metric(service: Service, name: str, **labels: str) -> float:
    value = service.metrics.registry.get_sample_value(f"openaudiohook_service_{name}", labels)
    return value or 0.0


def recording(directory: Path, session_id: str) -> tuple[bytes, dict[str, Any]]:
    path = directory / CONVERSATION_ID / f"{session_id}.wav"
    return path.read_bytes()[DATA_OFFSET:], json.loads(path.with_suffix(".json").read_bytes())


async def test_the_audio_bytes_recorded_are_those_sent(serve: Serve, tmp_path: Path) -> None:
    async with serve() as service:
        platform = await Platform.to(service.uri, language="en-US")
        platform.send(os.urandom(40_000))
        ended = await platform.close()
        audio, sidecar = recording(tmp_path / "recordings", platform.session_id)
    assert ended.is_clean
    assert audio == bytes(platform.sent)
    assert sidecar["sha256"] == hashlib.sha256(platform.sent).hexdigest()
    assert sidecar["samples"] == 20_000
    assert sidecar["state"] == "complete"
    assert sidecar["gaps"] == []


async def test_pauses_and_gaps_of_both_sides_are_silence_in_their_place(
    serve: Serve, tmp_path: Path
) -> None:
    listeners = Listeners()
    recorder = Recorder({"directory": str(tmp_path)})
    async with serve(consumers=[recorder, listeners]) as service:
        platform = await Platform.to(service.uri)
        platform.send(b"\x01\x02" * 800)
        platform.do("pause")
        platform.do("drop_audio", 400)
        platform.do("resume")
        platform.send(b"\x03\x04" * 800)
        platform.do("discard", 200)
        platform.do("update", "fr-CA")
        listener = listeners.made[0]
        await until(lambda: len(listener.calls) == 5)
        assert listener.reply is not None
        listener.reply.pause()
        await until(lambda: platform.session.is_server_paused)
        platform.do("drop_audio", 100)
        listener.reply.resume()
        await until(lambda: not platform.session.is_server_paused)
        platform.send(b"\x05\x06" * 80)
        await platform.close()
        audio, sidecar = recording(tmp_path, platform.session_id)
    silence = b"\xff\xff"
    assert audio == (
        b"\x01\x02" * 800 + silence * 400 + b"\x03\x04" * 800 + silence * 300 + b"\x05\x06" * 80
    )
    gaps = [(g["cause"], g["start_samples"], g["duration_samples"]) for g in sidecar["gaps"]]
    assert gaps == [("paused", 800, 400), ("discarded", 2000, 200), ("paused", 2200, 100)]
    assert listener.calls == [
        "open", ("paused", 800), ("resumed", 800, 400), ("discarded", 2000, 200),
        ("updated", "fr-CA", 2200), ("paused", 2200), ("resumed", 2200, 100),
        ("close", "end", 2380),
    ]  # fmt: skip
    assert [type(event) for event in platform.events if type(event) is not PongReceived].count(
        PauseRequested
    ) == 1
    assert platform.of(ResumeRequested)


async def test_consumers_learn_what_open_said(serve: Serve) -> None:
    listeners = Listeners()
    async with serve(consumers=[listeners]) as service:
        platform = await Platform.to(
            service.uri, language="de-DE", custom_config={"tenant": "blue"}, position=16_000
        )
        await until(lambda: listeners.made[0].session)
        info = listeners.made[0].session
        assert info is not None
        assert info.session_id == platform.session_id
        assert info.conversation_id == CONVERSATION_ID
        assert info.participant.ani == "tel:+15550100"
        assert (info.language, info.custom_config) == ("de-DE", {"tenant": "blue"})
        assert (info.start, info.media) == (16_000, MediaParameter())
        assert info.opened_utc_ns > 0
        await platform.close()


async def test_opened_is_answered_before_a_consumer_is_ready_and_nothing_is_missed(
    serve: Serve,
) -> None:
    gate = asyncio.Event()

    class Slow(Listener):
        async def open(self, session: SessionInfo, reply: Reply) -> None:
            await gate.wait()
            await super().open(session, reply)

    listeners = Listeners(Slow)
    async with serve(consumers=[listeners]) as service:
        platform = await Platform.to(service.uri)
        payload = os.urandom(16_000)
        platform.send(payload)
        platform.do("discard", 100)
        await until(lambda: service.sessions == 1)
        assert listeners.made[0].received == b""
        gate.set()
        await until(lambda: bytes(listeners.made[0].received) == payload)
        await platform.close()
        assert listeners.made[0].calls[-1] == ("close", "end", 8100)


class Raising(Listener):
    def audio(self, frame: AudioFrame) -> None:
        raise ValueError("what the caller said")


class Endless(Listener):
    async def open(self, session: SessionInfo, reply: Reply) -> None:
        await asyncio.Event().wait()


class Greedy(Listener):
    def audio(self, frame: AudioFrame) -> None:
        end = asyncio.get_running_loop().time() + 0.02
        while asyncio.get_running_loop().time() < end:
            pass


@pytest.mark.parametrize(
    ("make", "cause"), [(Raising, "failed"), (Endless, "over-budget"), (Greedy, "over-budget")]
)
async def test_a_bad_consumer_leaves_recorder_and_socket_untouched(
    serve: Serve, tmp_path: Path, make: Callable[[], Listener], cause: str
) -> None:
    bad = Listeners(make, name="bad")
    recorder = Recorder({"directory": str(tmp_path)})
    async with serve(consumers=[bad, recorder], inline_burst_ms=10, close_budget_s=0.3) as service:
        platform = await Platform.to(service.uri)
        platform.send(os.urandom(32_000))
        ended = await platform.close()
        audio, _ = recording(tmp_path, platform.session_id)
        detached = metric(service, "consumers_detached_total", consumer="listener", cause=cause)
    assert ended.is_clean
    assert audio == bytes(platform.sent)
    assert detached == 1


async def test_a_consumer_that_raises_is_out_of_that_session_only(serve: Serve) -> None:
    made: list[Listener] = []

    def alternate() -> Listener:
        made.append(Raising() if not made else Listener())
        return made[-1]

    async with serve(consumers=[Listeners(alternate)]) as service:
        first, second = await Platform.to(service.uri), await Platform.to(service.uri)
        for platform in (first, second):
            platform.send(b"\x01" * 1600)
        await first.close()
        await second.close()
        assert made[0].calls[-1][:2] == ("close", "failed")
        assert bytes(made[1].received) == b"\x01" * 1600
        assert made[1].calls[-1] == ("close", "end", 800)


async def test_results_arrive_and_the_last_ones_before_closed(serve: Serve) -> None:
    class Talking(Listener):
        async def close(self, reason: str) -> None:
            await super().close(reason)
            assert self.reply is not None
            self.reply.entities([Entity(type="last", data={"words": 3})])

    listeners = Listeners(Talking)
    async with serve(consumers=[listeners]) as service:
        platform = await Platform.to(service.uri)
        await until(lambda: listeners.made[0].reply)
        assert listeners.made[0].reply is not None
        listeners.made[0].reply.entities([Entity(type="first", data={})])
        await until(lambda: platform.of(EntitiesReceived))
        await platform.close()
        types = [e.type for event in platform.of(EntitiesReceived) for e in event.entities]
        assert types == ["first", "last"]


async def test_a_consumer_can_end_the_session_and_asking_twice_is_once(serve: Serve) -> None:
    listeners = Listeners()
    async with serve(consumers=[listeners]) as service:
        platform = await Platform.to(service.uri)
        await until(lambda: listeners.made[0].reply)
        reply = listeners.made[0].reply
        assert reply is not None
        reply.disconnect(info="verified")
        reply.disconnect(DisconnectReason.ERROR)
        ended = await platform.ended()
        asked = platform.of(DisconnectRequested)
        assert [(event.reason, event.info) for event in asked] == [("completed", "verified")]
        assert ended.is_clean
        await until(lambda: service.sessions == 0)
        assert listeners.made[0].calls[-1] == ("close", "disconnect", 0)


async def test_a_lost_connection_closes_consumers_once_where_the_stream_was(serve: Serve) -> None:
    listeners = Listeners()
    async with serve(consumers=[listeners]) as service:
        platform = await Platform.to(service.uri)
        platform.send(b"\x01" * 1600)
        await until(lambda: len(listeners.made[0].received) == 1600)
        await platform.drop()
        await until(lambda: service.sessions == 0)
        assert listeners.made[0].calls == ["open", ("close", "lost", 800)]
        assert metric(service, "sessions_ended_total", reason="lost") == 1


async def test_a_connection_lost_while_consumers_close_is_no_second_close(serve: Serve) -> None:
    closing, gate = asyncio.Event(), asyncio.Event()

    class Slow(Listener):
        async def close(self, reason: str) -> None:
            closing.set()
            await gate.wait()
            await super().close(reason)

    listeners = Listeners(Slow)
    async with serve(consumers=[listeners]) as service:
        platform = await Platform.to(service.uri)
        platform.do("close")
        await closing.wait()
        await platform.drop()
        assert service.sessions == 1
        gate.set()
        await until(lambda: service.sessions == 0)
        assert listeners.made[0].calls == ["open", ("close", "end", 0)]


@pytest.mark.parametrize(
    ("probe_media", "expected"), [("select", MediaParameter()), ("empty", None)]
)
async def test_a_probe_is_answered_and_reaches_nobody(
    serve: Serve, tmp_path: Path, probe_media: str, expected: MediaParameter | None
) -> None:
    listeners = Listeners(capabilities=Capabilities(languages=("en-US", "de-DE")))
    recorder = Recorder({"directory": str(tmp_path / "recordings")})
    async with serve(consumers=[listeners, recorder], probe_media=probe_media) as service:
        platform = await Platform.to(
            service.uri, conversation_id=NIL, participant_id=NIL, supported_languages=True
        )
        assert platform.opened is not None
        assert platform.opened.media == expected
        assert platform.opened.supported_languages == ("de-DE", "en-US")
        assert (await platform.close()).is_clean
        assert metric(service, "probes_total") == 1
    assert listeners.made == []
    assert list((tmp_path / "recordings").iterdir()) == []


async def test_languages_are_told_only_where_asked(serve: Serve) -> None:
    async with serve(consumers=[], languages=("fr-CA",)) as service:
        asking = await Platform.to(service.uri, supported_languages=True)
        silent = await Platform.to(service.uri)
        assert asking.opened is not None
        assert silent.opened is not None
        assert asking.opened.supported_languages == ("fr-CA",)
        assert silent.opened.supported_languages is None
        await asking.close()
        await silent.close()


@pytest.mark.parametrize(
    ("wanted", "offered", "expected"),
    [
        ([Capabilities()], offer_for("both"), MediaParameter()),
        ([], offer_for("external"), MediaParameter(channels=BOTH[:1])),
        (
            [Capabilities(channels=BOTH[1:])],
            offer_for("both")[1:],
            MediaParameter(channels=BOTH[1:]),
        ),
        (
            [Capabilities(), Capabilities(channels=BOTH)],
            offer_for("external"),
            MediaParameter(channels=BOTH[:1]),
        ),
    ],
)
async def test_the_first_offer_of_use_is_taken(
    serve: Serve,
    wanted: list[Capabilities],
    offered: tuple[MediaParameter, ...],
    expected: MediaParameter,
) -> None:
    factories = [Listeners(capabilities=each) for each in wanted]
    async with serve(consumers=factories) as service:
        platform = await Platform.to(service.uri, media=offered)
        assert platform.opened is not None
        assert platform.opened.media == expected
        await platform.close()
        for factory in factories:
            assert bool(factory.made) is factory.capabilities.can_use(expected)


async def test_no_media_of_use_is_a_disconnect_with_error(serve: Serve) -> None:
    l16 = MediaParameter(format=MediaFormat.L16)
    async with serve() as service:
        platform = await Platform.to(service.uri, media=[l16], waits=False)
        await platform.ended()
        assert [event.reason for event in platform.of(DisconnectRequested)] == ["error"]
        assert metric(service, "sessions_refused_total", cause="media") == 1
        await until(lambda: service.sessions == 0)


async def test_an_offer_of_nothing_is_a_session_without_audio_or_recording(
    serve: Serve, tmp_path: Path
) -> None:
    async with serve() as service:
        platform = await Platform.to(service.uri, media=[])
        assert platform.opened is not None
        assert platform.opened.media is None
        platform.do("drop_audio", 8000)
        platform.do("pause")
        assert (await platform.close()).is_clean
    assert list((tmp_path / "recordings").iterdir()) == []


async def test_another_organization_than_the_header_says_is_unauthorized(serve: Serve) -> None:
    listeners = Listeners()
    async with serve(consumers=[listeners]) as service:
        platform = await Platform.to(
            service.uri, organization_id="d7934305-0972-4844-938e-9060eef73d05", waits=False
        )
        await platform.ended()
        assert [event.reason for event in platform.of(DisconnectRequested)] == ["unauthorized"]
        assert listeners.made == []
        assert metric(service, "violations_total", code="400") == 1


async def test_too_many_sessions_are_sent_away_to_come_again(serve: Serve) -> None:
    async with serve(consumers=[], max_sessions=1) as service:
        first = await Platform.to(service.uri)
        second = await Platform.to(service.uri, waits=False)
        await second.ended()
        assert [event.reason for event in second.of(DisconnectRequested)] == ["error"]
        assert metric(service, "sessions_refused_total", cause="overload") == 1
        assert first.is_open
        await first.close()


async def test_errors_the_client_tells_are_counted_by_known_code(serve: Serve) -> None:
    async with serve(consumers=[]) as service:
        for code in (ErrorCode.INTERNAL, 4711):
            platform = await Platform.to(service.uri)
            platform.do("fail", code, "the caller's name")
            await platform.ended()
        assert metric(service, "errors_reported_total", code="500") == 1
        assert metric(service, "errors_reported_total", code="other") == 1


async def test_a_late_pause_is_dropped_and_counted(serve: Serve) -> None:
    class Late(Listener):
        async def close(self, reason: str) -> None:
            assert self.reply is not None
            self.reply.pause()
            self.reply.disconnect()
            await super().close(reason)

    async with serve(consumers=[Listeners(Late)]) as service:
        platform = await Platform.to(service.uri)
        assert (await platform.close()).is_clean
        assert metric(service, "replies_dropped_total", kind="pause") == 1
        assert metric(service, "replies_dropped_total", kind="disconnect") == 1


async def test_a_repeated_session_id_is_a_new_recording(serve: Serve, tmp_path: Path) -> None:
    async with serve() as service:
        session_id = None
        for fill in (b"\x01", b"\x02"):
            platform = await Platform.to(service.uri, session_id=session_id)
            session_id = platform.session_id
            platform.send(fill * 1600)
            await platform.close()
    folder = tmp_path / "recordings" / CONVERSATION_ID
    assert sorted(path.name for path in folder.glob("*.wav")) == [
        f"{session_id}.2.wav",
        f"{session_id}.wav",
    ]


async def test_a_recordings_directory_that_cannot_be_used_does_not_stop_calls(
    serve: Serve, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    async with serve(recordings=str(blocked)) as service:
        await until(lambda: service.health.status == "degraded")
        platform = await Platform.to(service.uri)
        platform.send(b"\x01" * 1600)
        assert (await platform.close()).is_clean
        status, body = service.health.answer(sessions=0, with_reasons=True)
        assert status == 200
        assert json.loads(body)["degraded"] == {
            "recorder": [f"{blocked}: recordings cannot be written: Not a directory"]
        }
        assert metric(service, "consumers_degraded", consumer="recorder") == 1
        blocked.unlink()
        await until(lambda: service.health.status == "ok")


async def test_stream_time_is_counted(serve: Serve) -> None:
    async with serve(consumers=[]) as service:
        platform = await Platform.to(service.uri)
        platform.send(bytes(16_000))
        await platform.close()
        await until(lambda: service.sessions == 0)
        assert metric(service, "stream_seconds_total") == 1.0
        assert metric(service, "open_seconds_count") == 1


async def test_pings_are_answered_measured_and_bring_the_account_up_to_date(serve: Serve) -> None:
    timers = ClientTimers(first_ping_ns=1_000_000, ping_ns=20_000_000)
    async with serve(consumers=[]) as service:
        platform = await Platform.to(service.uri, timers=timers)
        platform.send(bytes(16_000))
        await until(lambda: metric(service, "stream_seconds_total") == 1.0)
        await until(lambda: metric(service, "round_trip_seconds_count") >= 2)
        assert platform.is_open
        await platform.close()


async def test_a_probe_that_behaves_like_a_call_still_reaches_nobody(serve: Serve) -> None:
    async with serve(consumers=[]) as service:
        platform = await Platform.to(service.uri, conversation_id=NIL, participant_id=NIL)
        # A probe sends neither audio nor pauses; one that does is a session without consumers.
        platform.send(b"\x01" * 1600)
        platform.do("pause")
        platform.do("resume")
        platform.do("discard", 100)
        platform.do("update", "fr-CA")
        assert (await platform.close()).is_clean
        assert metric(service, "violations_total", code="400") == 0
