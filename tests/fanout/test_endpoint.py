"""The life of an endpoint, over real sockets, against services on another WebSocket library."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import replace

import pytest

from fanout.services import (
    KEY,
    ORGANIZATION,
    QUICK,
    SECRET,
    SESSION,
    Service,
    Streaming,
    running,
    until,
)
from fanout.world import noise
from openaudiohook.auth import Credentials, InMemoryKeys, ReplayCache, SignedRequest, verify
from openaudiohook.fanout.account import Account
from openaudiohook.fanout.endpoint import (
    Endpoint,
    EndpointConfig,
    EndpointReport,
    EndpointState,
    RetryPolicy,
)
from openaudiohook.protocol import Entity
from openaudiohook.protocol.client import ClientTimers
from openaudiohook.protocol.events import EntitiesReceived, SessionEvent
from openaudiohook.protocol.types import DisconnectReason, PauseCause

pytestmark = pytest.mark.integration

S = 8_000
MS = 1_000_000
SOURCE = noise(40 * S)
FAILED, COMPLETED = EndpointState.FAILED, EndpointState.COMPLETED


def assert_exact(account: Account) -> None:
    parts = (account.sent, account.discarded, account.lost, account.paused_union)
    assert min(parts) >= 0
    assert sum(parts) == account.length


async def report_of(service: Service, **options: object) -> EndpointReport:
    """Stream a second to a service, as far as it comes, and hang up."""
    async with running(service), Streaming(SOURCE) as streaming:
        streaming.play(S)
        endpoint = streaming.stream_to(service, **options)
        await until(
            lambda: len(service.frames) >= 1 or streaming.tasks[0].done() or service.selects_nothing
        )
        await streaming.hang_up()
        report = endpoint.report()
        assert_exact(report.account)
        for text in (repr(report), repr(endpoint.config)):
            assert "secret that must" not in text
        return report


# Streams ---------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_call_is_streamed_from_open_to_closed() -> None:
    service, states = Service(), []
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = streaming.stream_to(
            service,
            custom_config={"tenant": "blue"},
            asks_languages=True,
            on_state=lambda endpoint, state: states.append(state),
        )
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        for _ in range(20):
            streaming.play(800)
        await until(lambda: len(service.frames) == 20)
        await streaming.hang_up()
        report = endpoint.report()
    assert service.audio == SOURCE[: 2 * 16_000]
    assert (report.state, report.error, report.attempts) == (COMPLETED, None, 1)
    assert report.account.sent == report.account.length == 16_000
    assert report.account.sent_sha256 == service.sha256
    assert report.open_ns is not None
    assert 0 < report.open_ns < 5_000 * MS
    assert report.media == service.opens[0].media[0]
    assert states == [
        EndpointState.CONNECTING, EndpointState.OPENING, EndpointState.STREAMING,
        EndpointState.COMPLETED,
    ]  # fmt: skip
    (opened,) = service.opens
    assert opened.organization_id == ORGANIZATION
    assert opened.language == "en-US"
    assert opened.custom_config == {"tenant": "blue"}
    assert opened.supported_languages
    assert service.problems == []


@pytest.mark.anyio
async def test_the_request_is_signed_and_carries_the_ids() -> None:
    service = Service()
    await report_of(service)
    (headers,) = service.requests
    assert headers["Audiohook-Session-Id"] == SESSION
    assert headers["Audiohook-Retry-Attempt"] == "0"
    request = SignedRequest(
        method="GET",
        target="/api/v1/audiohook/ws",
        headers=tuple(headers.raw_items()),
    )
    authenticated = verify(
        request,
        keys=InMemoryKeys([Credentials(KEY, SECRET)], decoy=bytes(32)),
        utc_ns=time.time_ns(),
        replay=ReplayCache(),
    )
    assert authenticated.api_key == KEY
    assert authenticated.is_signed


@pytest.mark.anyio
async def test_without_a_secret_nothing_is_signed() -> None:
    service = Service()
    report = await report_of(service, client_secret=b"")
    assert report.state is COMPLETED
    assert "Signature" not in service.requests[0]


@pytest.mark.anyio
async def test_a_service_that_wants_no_audio_keeps_its_session() -> None:
    service = Service(selects_nothing=True)
    report = await report_of(service)
    assert report.state is COMPLETED
    assert (report.account.sent, report.account.discarded) == (0, S)
    assert report.media is None


@pytest.mark.anyio
async def test_results_and_round_trips_are_told() -> None:
    service, events = Service(), []

    def on_event(endpoint: Endpoint, event: SessionEvent) -> None:
        events.append(event)

    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = streaming.stream_to(
            service, on_event=on_event, timers=ClientTimers(first_ping_ns=10 * MS)
        )
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        await service.send_entities(Entity(type="vendor-thing", data={"a": 1}))
        await until(lambda: any(isinstance(event, EntitiesReceived) for event in events))
        await until(lambda: endpoint.report().rtt_ns)
        await streaming.hang_up()
    assert endpoint.report().state is COMPLETED


@pytest.mark.anyio
async def test_pauses_of_both_sides_over_a_real_connection() -> None:
    service = Service()
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = streaming.stream_to(service)
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        streaming.play(S)
        await until(lambda: len(service.frames) == 10)
        await service.pause()
        await until(lambda: service.paused_at == [S])
        streaming.play(S)
        streaming.call.begin_pause(PauseCause.SECURE, "flow")
        await until(lambda: service.paused_at == [S, S])
        streaming.play(S)
        await until(lambda: endpoint.cursor.position == 3 * S)
        await service.resume()
        await until(lambda: len(service.paused_at) == 3)
        streaming.call.end_pause(PauseCause.SECURE, "flow")
        streaming.play(S)
        await streaming.hang_up()
        account = endpoint.report().account
    assert service.gaps == [("resumed", S, 2 * S)]
    assert service.audio == SOURCE[: 2 * S] + SOURCE[6 * S : 8 * S]
    assert (account.paused_server, account.paused_secure, account.paused_union) == (
        2 * S, S, 2 * S,
    )  # fmt: skip
    assert_exact(account)


@pytest.mark.anyio
async def test_a_service_that_reads_slowly_loses_audio_and_is_told_exactly_what() -> None:
    service = Service()
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = streaming.stream_to(service)
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        service.reads.clear()
        for _ in range(30):
            streaming.play(S)
            await asyncio.sleep(0.02)
        await until(lambda: endpoint.cursor.state == "throttled")
        service.reads.set()
        await until(lambda: endpoint.cursor.state == "live")
        streaming.play(S)
        await streaming.hang_up()
        report = endpoint.report()
    assert report.state is COMPLETED
    assert {cause for cause, _, _ in service.gaps} == {"discarded"}
    assert report.account.discarded == sum(length for _, _, length in service.gaps) > 10 * S
    assert report.account.sent_sha256 == service.sha256
    assert_exact(report.account)


# Refusals --------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "check the API key and the client secret"),
        (404, "check the path"),
        (302, "redirects are not followed"),
        (503, "overloaded or shutting down"),
        (418, "is an AudioHook service listening"),
    ],
)
async def test_a_refused_upgrade_is_final(status: int, advice: str) -> None:
    service = Service(status=status)
    report = await report_of(service)
    assert (report.state, report.http_status, report.attempts) == (FAILED, status, 1)
    assert report.error is not None
    assert advice in report.error
    assert f"HTTP {status}" in report.error
    assert report.account.lost == S
    assert report.open_ns is None


@pytest.mark.anyio
async def test_an_endpoint_that_refuses_twice_gets_everything_the_third_time() -> None:
    service, states = Service(refusals=2), []
    report = await report_of(service, on_state=lambda endpoint, state: states.append(state))
    assert (report.state, report.error, report.attempts) == (COMPLETED, None, 3)
    assert service.audio == SOURCE[: 2 * S]
    assert [request["Audiohook-Retry-Attempt"] for request in service.requests] == ["0", "1", "2"]
    assert {request["Audiohook-Session-Id"] for request in service.requests} == {SESSION}
    assert len({request["Signature-Input"] for request in service.requests}) == 3
    assert states.count(EndpointState.RETRYING) == 2


@pytest.mark.anyio
async def test_refusals_are_retried_five_times_and_no_more() -> None:
    service = Service(refusals=9)
    report = await report_of(service)
    assert (report.state, report.attempts) == (FAILED, 6)
    assert report.error is not None
    assert "refused the session with `disconnect` error" in report.error
    assert report.account.lost == S


@pytest.mark.anyio
@pytest.mark.parametrize("speaks_first", [True, False])
@pytest.mark.parametrize("reason", ["unauthorized", "rejected", "completed"])
async def test_other_refusals_are_final(speaks_first: bool, reason: str) -> None:
    service = Service(refusals=1, refusal=DisconnectReason(reason), speaks_first=speaks_first)
    report = await report_of(service)
    assert (report.state, report.attempts) == (FAILED, 1)
    assert report.error is not None
    assert f"refused the session with `disconnect` {reason}" in report.error


@pytest.mark.anyio
async def test_nobody_listening_is_retried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with Streaming(SOURCE) as streaming:
        streaming.play(S)
        endpoint = streaming.stream_to(f"ws://127.0.0.1:{port}/")
        async with asyncio.timeout(10):
            await asyncio.gather(*streaming.tasks)
        report = endpoint.report()
    assert (report.state, report.attempts) == (FAILED, 6)
    assert report.error is not None
    assert "no connection" in report.error
    assert report.http_status is None


@pytest.mark.anyio
async def test_silence_on_open_is_retried() -> None:
    service = Service(is_mute=True)
    timers = ClientTimers(open_ns=30 * MS, close_ns=30 * MS)
    report = await report_of(service, timers=timers, retry=replace(QUICK, retries=1))
    assert (report.state, report.attempts) == (FAILED, 2)
    assert report.error == "the endpoint was silent (408): no opened in time"


@pytest.mark.anyio
async def test_a_connection_that_is_lost_before_opened_is_retried() -> None:
    service = Service()

    def drop(data: bytes) -> bytes:
        service.drop()
        return data

    service.edit = drop
    report = await report_of(service, retry=replace(QUICK, retries=2))
    assert (report.state, report.attempts) == (FAILED, 3)
    assert report.error == "the connection was lost before `opened`"


@pytest.mark.anyio
async def test_media_that_was_not_offered_is_final() -> None:
    service = Service(edit=lambda data: data.replace(b'"PCMU"', b'"L16"'))
    report = await report_of(service)
    assert (report.state, report.attempts) == (FAILED, 1)
    assert report.error == (
        "the endpoint broke the protocol (400): opened selects media that was not offered"
    )


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"custom_config": {"too": "x" * 60_000}}, "at most 60000 are allowed"),
        ({"api_key": "two\r\nlines: x"}, "cannot sign"),
    ],
)
async def test_what_cannot_be_sent_is_final(options: dict[str, object], text: str) -> None:
    report = await report_of(Service(), **options)
    assert (report.state, report.attempts) == (FAILED, 1)
    assert report.error is not None
    assert text in report.error


@pytest.mark.anyio
@pytest.mark.parametrize(
    "uri",
    ["http://127.0.0.1/", "nonsense", "ws://192.0.2.1/clear-text", f"wss://{'a' * 64}.invalid/"],
)
async def test_a_uri_that_cannot_be_used_is_final(uri: str) -> None:
    async with Streaming(SOURCE) as streaming:
        endpoint = streaming.stream_to(uri)
        async with asyncio.timeout(10):
            await asyncio.gather(*streaming.tasks)
    report = endpoint.report()
    assert (report.state, report.attempts) == (FAILED, 1)
    assert report.error


# Failures after `opened` -----------------------------------------------------------------


@pytest.mark.anyio
async def test_after_opened_the_loss_of_the_connection_is_final() -> None:
    service = Service()
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = streaming.stream_to(service)
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        streaming.play(S)
        await until(lambda: len(service.frames) == 10)
        service.drop()
        await until(lambda: streaming.tasks[0].done())
        streaming.play(S)
        streaming.call.begin_pause(PauseCause.CLIENT, "switch")
        streaming.play(S)
        streaming.call.finish(time.monotonic_ns())
        report = endpoint.report()
    assert (report.state, report.attempts) == (FAILED, 1)
    assert report.error is not None
    assert "the connection was lost" in report.error
    account = report.account
    assert (account.sent, account.lost, account.paused_client) == (S, S, S)
    assert_exact(account)


@pytest.mark.anyio
async def test_a_service_that_lies_about_its_numbers_fails() -> None:
    service = Service()
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = streaming.stream_to(service, timers=ClientTimers(first_ping_ns=20 * MS))
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        service.edit = lambda data: data.replace(b'"seq":', b'"seq":9', 1)
        await until(lambda: streaming.tasks[0].done())
        report = endpoint.report()
    assert report.state is FAILED
    assert report.error is not None
    assert "broke the protocol (400)" in report.error


@pytest.mark.anyio
async def test_a_service_that_has_enough_completes_and_the_rest_is_lost() -> None:
    service = Service()
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = streaming.stream_to(service)
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        streaming.play(S)
        await until(lambda: len(service.frames) == 10)
        await service.disconnect(DisconnectReason.COMPLETED)
        await until(lambda: streaming.tasks[0].done())
        streaming.play(S)
        streaming.call.finish(time.monotonic_ns())
        report = endpoint.report()
    assert (report.state, report.error) == (COMPLETED, None)
    assert (report.account.sent, report.account.lost) == (S, S)


@pytest.mark.anyio
async def test_a_service_that_ends_with_an_error_fails() -> None:
    service = Service()
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = streaming.stream_to(service)
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        await service.disconnect(DisconnectReason.ERROR)
        await until(lambda: streaming.tasks[0].done())
        report = endpoint.report()
    assert (report.state, report.attempts) == (FAILED, 1)
    assert report.error is not None
    assert "ended the session with `disconnect` error" in report.error


@pytest.mark.anyio
async def test_a_service_that_does_not_answer_close_fails_after_all_was_sent() -> None:
    service = Service(is_mute_at_close=True)
    report = await report_of(service, timers=ClientTimers(close_ns=50 * MS))
    assert report.state is FAILED
    assert report.error == "the endpoint was silent (408): no closed in time"
    assert report.account.sent == S
    assert service.audio == SOURCE[: 2 * S]


@pytest.mark.anyio
async def test_a_fault_of_ours_is_told_by_its_type() -> None:
    service = Service()
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = streaming.stream_to(service)
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        endpoint.cursor.layout = None
        streaming.play(S)
        await until(lambda: streaming.tasks[0].done())
        report = endpoint.report()
    assert report.state is FAILED
    assert report.error == "internal error (AssertionError); the session was ended"


@pytest.mark.anyio
async def test_a_listener_that_raises_ends_only_its_session() -> None:
    service = Service()

    def on_event(endpoint: Endpoint, event: SessionEvent) -> None:
        raise RuntimeError("what nobody should read")

    report = await report_of(service, on_event=on_event)
    assert report.state is FAILED
    assert report.error == "internal error; the session was ended"


# Stopping --------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_stopping_ends_the_wait_for_a_retry() -> None:
    service = Service(refusals=9)
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = streaming.stream_to(service, retry=RetryPolicy(base_s=60, cap_s=60))
        await until(lambda: endpoint.state is EndpointState.RETRYING)
        endpoint.stop()
        await until(lambda: streaming.tasks[0].done())
    report = endpoint.report()
    assert (report.state, report.attempts) == (FAILED, 1)


@pytest.mark.anyio
async def test_stopping_ends_an_endpoint_that_has_not_opened() -> None:
    service = Service(is_mute=True)
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = streaming.stream_to(service)
        await until(lambda: service.opens)
        endpoint.stop()
        await until(lambda: streaming.tasks[0].done())
    report = endpoint.report()
    assert (report.state, report.attempts) == (FAILED, 1)
    assert report.error == "the call was over before the endpoint had opened"


@pytest.mark.anyio
async def test_stopping_while_it_dials_opens_nothing() -> None:
    service = Service(holds_upgrades=True)
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = streaming.stream_to(service)
        await until(lambda: service.requests)
        endpoint.stop()
        service.admits.set()
        await until(lambda: streaming.tasks[0].done())
    assert endpoint.report().error == "the call was over before the endpoint had opened"
    assert service.opens == []


@pytest.mark.anyio
async def test_stopping_leaves_a_stream_alone() -> None:
    service = Service()
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = streaming.stream_to(service)
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        endpoint.stop()
        streaming.play(S)
        await streaming.hang_up()
    assert endpoint.report().state is COMPLETED
    assert service.audio == SOURCE[: 2 * S]


@pytest.mark.anyio
async def test_cancelling_drops_the_connection() -> None:
    service = Service()
    async with running(service), Streaming(SOURCE) as streaming:
        endpoint = streaming.stream_to(service)
        await until(lambda: endpoint.state is EndpointState.STREAMING)
        (task,) = streaming.tasks
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert service.connection is not None
        await until(lambda: service.connection and service.connection.close_code is not None)


# Values ----------------------------------------------------------------------------------


def test_pauses_between_attempts_double_up_to_the_cap() -> None:
    retry = RetryPolicy()
    assert [retry.delay_s(number, 0.5) for number in range(6)] == [0.5, 1, 2, 4, 8, 8]
    assert retry.delay_s(0, 0.0) == pytest.approx(0.4)
    assert retry.delay_s(0, 1.0) == pytest.approx(0.6)
    assert retry.delay_s(4, 1.0) == 8


def test_no_text_shows_the_secret() -> None:
    config = EndpointConfig(name="a", uri="wss://example.org/", api_key=KEY, client_secret=SECRET)
    assert "secret" not in repr(config).replace("client_secret", "")
    assert KEY not in repr(config)
