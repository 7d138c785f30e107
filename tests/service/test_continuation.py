"""Streams that go on in a new session: what is here already is not asked for again."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.service.conftest import Listeners
from tests.support.platform import CONVERSATION_ID, ORGANIZATION_ID, Platform, until

from openaudiohook.protocol import OpenParameters, Participant, ServerSession, offer_for
from openaudiohook.protocol.messages import ContinuedSession
from openaudiohook.service.continuation import KEEP_NS, MAX_ENDED, Continuations
from openaudiohook.service.service import Service

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

Serve = Callable[..., AbstractAsyncContextManager[Service]]

FIRST = "7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9a11"
STEREO = offer_for("both")[0]
NOW = 1_000_000_000


def continuing(*ids: str, **changes: Any) -> OpenParameters:
    parameters = OpenParameters(
        organization_id=ORGANIZATION_ID,
        conversation_id=CONVERSATION_ID,
        participant=Participant(id=FIRST, ani="", ani_name="", dnis=""),
        media=(STEREO,),
        continued_sessions=tuple(
            ContinuedSession(id=each, serverseq=1, clientseq=1) for each in ids
        ),
    )
    return msgspec.structs.replace(parameters, **changes)


def session(position: int, *, session_id: str = FIRST) -> ServerSession:
    made = ServerSession(session_id=session_id, organization_id=ORGANIZATION_ID, now_ns=NOW)
    made.position, made.media = position, STEREO
    return made


def discard_to(
    continuations: Continuations,
    parameters: OpenParameters,
    *,
    position: int = 0,
    now_ns: int = NOW,
    media: Any = STEREO,
) -> int | None:
    return continuations.discard_to(parameters, media=media, position=position, now_ns=now_ns)


@pytest.mark.parametrize("is_over", [False, True])
def test_a_stream_goes_on_where_its_earlier_session_stands(is_over: bool) -> None:
    continuations, earlier = Continuations(), session(8_000)
    continuations.begin(earlier, continuing())
    if is_over:
        continuations.end(earlier, NOW)
    assert discard_to(continuations, continuing(FIRST.upper())) == 8_000
    assert discard_to(continuations, continuing(FIRST), position=7_999) == 8_000
    # The offer starts beyond: there is nothing to leave out.
    assert discard_to(continuations, continuing(FIRST), position=8_000) is None
    assert discard_to(continuations, continuing(FIRST), position=9_000) is None


def test_the_furthest_of_several_earlier_sessions_counts() -> None:
    continuations = Continuations()
    ids = [f"7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9a{number:02}" for number in range(3)]
    for number, each in enumerate(ids):
        continuations.begin(session(1_000 + number, session_id=each), continuing())
    assert discard_to(continuations, continuing(*ids)) == 1_002


@pytest.mark.parametrize(
    "parameters",
    [
        continuing(),
        continuing("7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9aff"),
        continuing(FIRST, conversation_id=FIRST),
        continuing(FIRST, organization_id=FIRST),
        continuing(
            FIRST, participant=Participant(id=CONVERSATION_ID, ani="", ani_name="", dnis="")
        ),
    ],
)
def test_a_stream_that_is_not_the_same_is_told_nothing(parameters: OpenParameters) -> None:
    continuations = Continuations()
    continuations.begin(session(8_000), continuing())
    assert discard_to(continuations, parameters) is None


def test_other_media_are_wanted_in_full() -> None:
    continuations = Continuations()
    continuations.begin(session(8_000), continuing())
    assert discard_to(continuations, continuing(FIRST), media=offer_for("external")[0]) is None


def test_positions_are_forgotten_after_their_time() -> None:
    continuations, earlier = Continuations(), session(8_000)
    continuations.begin(earlier, continuing())
    continuations.end(earlier, NOW)
    assert discard_to(continuations, continuing(FIRST), now_ns=NOW + KEEP_NS - 1) == 8_000
    assert discard_to(continuations, continuing(FIRST), now_ns=NOW + KEEP_NS) is None


def test_only_so_many_ended_sessions_are_remembered() -> None:
    continuations = Continuations()
    ids = [f"7c1d3f7e-4f0b-4c55-9a38-{number:012}" for number in range(MAX_ENDED + 1)]
    for each in ids:
        ended = session(8_000, session_id=each)
        continuations.begin(ended, continuing())
        continuations.end(ended, NOW)
    assert discard_to(continuations, continuing(ids[-1])) == 8_000
    assert len(continuations._ended) <= MAX_ENDED


def test_a_session_that_was_never_accepted_is_not_remembered() -> None:
    continuations = Continuations()
    continuations.end(session(8_000), NOW)
    assert discard_to(continuations, continuing(FIRST)) is None


async def test_a_lost_call_goes_on_in_a_new_session_and_nothing_is_delivered_twice(
    serve: Serve, tmp_path: Path
) -> None:
    listeners = Listeners()
    async with serve(consumers=[listeners]) as service:
        first = await Platform.to(service.uri)
        first.send(b"\x01" * 16_000)
        await until(lambda: len(listeners.made[0].received) == 16_000)
        await first.drop()
        await until(lambda: service.sessions == 0)
        earlier = ContinuedSession(id=first.session_id, serverseq=1, clientseq=1)
        second = await Platform.to(
            service.uri, waits=False, position=2_000, continued_sessions=(earlier,)
        )
        await until(lambda: second.opened is not None)
        assert second.opened is not None
        assert second.opened.discard_to == 8_000
        second.do("begin", discard=6_000)
        second.send(b"\x02" * 1_600)
        await second.close()
        listener = listeners.made[1]
        assert listener.session is not None
        assert listener.session.start == 2_000
        assert listener.session.continued_sessions == (earlier,)
        assert ("discarded", 2_000, 6_000) in listener.calls
        assert bytes(listener.received) == b"\x02" * 1_600


async def test_the_recording_tells_what_it_continues_and_what_was_left_out(
    serve: Serve, tmp_path: Path
) -> None:
    async with serve() as service:
        first = await Platform.to(service.uri)
        first.send(b"\x01" * 1_600)
        # The old session is still there, as it is when the service asked for the move.
        await until(lambda: next(iter(service._context.sessions)).session.position == 800)
        earlier = ContinuedSession(id=first.session_id, serverseq=1, clientseq=1)
        second = await Platform.to(service.uri, waits=False, continued_sessions=(earlier,))
        await until(lambda: second.opened is not None)
        second.do("begin", discard=800)
        second.send(b"\x02" * 1_600)
        await second.close()
        await first.close()
    path = tmp_path / "recordings" / CONVERSATION_ID / f"{second.session_id}.json"
    sidecar = json.loads(path.read_bytes())
    assert sidecar["continued_sessions"] == [first.session_id]
    assert [(gap["cause"], gap["duration_samples"]) for gap in sidecar["gaps"]] == [
        ("discarded", 800)
    ]
    assert sidecar["samples"] == 1_600


async def test_history_of_a_session_we_do_not_know_is_taken_in_full(serve: Serve) -> None:
    async with serve(consumers=[]) as service:
        earlier = ContinuedSession(id=FIRST, serverseq=1, clientseq=1)
        platform = await Platform.to(service.uri, position=2_000, continued_sessions=(earlier,))
        assert platform.opened is not None
        assert platform.opened.discard_to is None
        await platform.close()
