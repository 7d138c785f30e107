"""The connection probe, against servers that misbehave."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from tests.support.misbehaving import Script, Talk, bare, misbehaving, refuse
from tests.support.wire import NIL, ORGANIZATION_ID, media

from openaudiohook.fanout.endpoint import EndpointConfig
from openaudiohook.fanout.failures import FailureKind
from openaudiohook.monitor.events import CATALOGUE, event_for
from openaudiohook.monitor.probe import _HEADLINES, ProbeResult, probe
from openaudiohook.protocol.client import ClientTimers

pytestmark = [pytest.mark.integration, pytest.mark.timeout(30)]

MS = 1_000_000
TIMERS = ClientTimers(open_ns=100 * MS, close_ns=100 * MS, first_ping_ns=0, ping_ns=10 * MS)
Kind = FailureKind


async def asked(uri: str, *, timers: ClientTimers = TIMERS, **options: Any) -> ProbeResult:
    config: dict[str, Any] = {
        "name": "one",
        "uri": uri,
        "api_key": "SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh",
        "client_secret": b"nobody reads this",
        **options,
    }
    return await probe(EndpointConfig(**config), ORGANIZATION_ID, timers=timers, connect_s=0.5)


@pytest.mark.anyio
@pytest.mark.parametrize("selected", ["first", None])
async def test_a_service_that_answers_would_do_whether_it_selects_media_or_not(
    selected: str | None,
) -> None:
    async def answers(talk: Talk) -> None:
        await talk.open(selected)
        await asyncio.sleep(0.05)  # several pings would be due
        await talk.obey()

    async with misbehaving(answers) as server:
        result = await asked(server.uri)
    assert (result.ok, result.text, result.errors) == (True, "", {})
    assert result.rtt_ns is not None
    assert 0 < result.rtt_ns < 1_000_000_000
    assert (result.media is None) == (selected is None)
    (talk,) = server.talks
    assert talk.types() == ["open", "close"]  # no pings
    assert talk.audio == []
    assert talk.heard[1]["parameters"] == {"reason": "end"}


@pytest.mark.anyio
@pytest.mark.parametrize("channel", ["both", "external", "internal"])
async def test_it_is_nobodys_call_with_the_normal_offer_and_signature(channel: str) -> None:
    async with misbehaving() as server:
        result = await asked(server.uri, channel=channel, custom_config={"some": ["thing"]})
    assert result.ok
    opening = server.talks[0].heard[0]
    parameters = opening["parameters"]
    assert parameters["conversationId"] == NIL
    assert parameters["participant"] == {"id": NIL, "ani": "", "aniName": "", "dnis": ""}
    assert parameters["organizationId"] == ORGANIZATION_ID
    assert parameters["customConfig"] == {"some": ["thing"]}
    offers = [media("external", "internal"), media("external"), media("internal")]
    wanted = {"both": offers, "external": [offers[1]], "internal": [offers[2]]}
    assert parameters["media"] == wanted[channel]
    headers = server.requests[0]
    assert headers["Audiohook-Session-Id"] == opening["id"]
    assert headers["Audiohook-Retry-Attempt"] == "0"
    assert headers["Signature"].startswith("sig1=:")
    assert 'alg="hmac-sha256"' in headers["Signature-Input"]


@pytest.mark.anyio
async def test_what_a_service_lists_is_kept() -> None:
    async def lists(talk: Talk) -> None:
        await talk.open(supportedLanguages=["en-US", "de-DE"])
        await talk.obey()

    async with misbehaving(lists) as server:
        result = await asked(server.uri, asks_languages=True)
    assert server.talks[0].heard[0]["parameters"]["supportedLanguages"] is True
    assert result.supported_languages == ("en-US", "de-DE")


# What goes wrong -------------------------------------------------------------------------


async def mute(talk: Talk) -> None:
    await talk.hear("close")
    await talk.say("closed")


async def never_closed(talk: Talk) -> None:
    await talk.open()
    await talk.listen()


async def malformed(talk: Talk) -> None:
    await talk.hear("open")
    await talk.send("{")
    await talk.obey()


async def unknown_id(talk: Talk) -> None:
    await talk.hear("open")
    await talk.say("opened", {"media": []}, id=NIL)
    talk.seq = 0  # it does not count
    await talk.obey()


async def misnumbered(talk: Talk) -> None:
    await talk.open()
    await talk.hear("close")
    await talk.say("closed", seq=7)
    await talk.listen()


async def another_format(talk: Talk) -> None:
    await talk.open(media("external", "internal", media_format="L16"))
    await talk.obey()


async def too_early(talk: Talk) -> None:
    await talk.hear("open")
    await talk.say("resume")
    await talk.obey()


async def too_large(talk: Talk) -> None:
    await talk.hear("open")
    await talk.send("x" * 65_537)
    await talk.obey()


async def audio(talk: Talk) -> None:
    await talk.hear("open")
    await talk.send(b"\xff" * 160)
    await talk.obey()


async def hang_up_at_once(talk: Talk) -> None:
    await talk.hear("open")
    await talk.connection.close()


async def hang_up_after(talk: Talk) -> None:
    await talk.open()
    await talk.hear("close")
    await talk.connection.close()


FAILING: list[tuple[Script | int, FailureKind, str]] = [
    (401, Kind.UNAUTHORIZED, "Authentication failed: 127.0.0.1 refused the connection with "),
    (404, Kind.UPGRADE_REFUSED, "WebSocket connection failed: 127.0.0.1 refused the connection "),
    (503, Kind.UPGRADE_REFUSED, "WebSocket connection failed: 127.0.0.1 refused the connection "),
    (refuse("unauthorized"), Kind.UNAUTHORIZED, "Authentication failed: the endpoint refused the "),
    (refuse("error"), Kind.DISCONNECTED, "Session was refused: the endpoint refused the session "),
    (refuse("rejected"), Kind.DECLINED, "Session was refused: the endpoint refused the session "),
    (mute, Kind.OPEN_TIMEOUT, "Open transaction timed out."),
    (never_closed, Kind.CLOSE_TIMEOUT, "Close transaction timed out."),
    (malformed, Kind.MALFORMED, "Received a malformed server message: "),
    (unknown_id, Kind.MALFORMED, "Received a malformed server message: "),
    (misnumbered, Kind.SEQUENCE, "Received a server message with an invalid sequence number: "),
    (another_format, Kind.MEDIA, "Received a selection of media that were not offered: "),
    (too_early, Kind.CONFLICT, "Received an unexpected server message: "),
    (too_large, Kind.TOO_LARGE, "Received a server message that is too large: "),
    (audio, Kind.UNEXPECTED_AUDIO, "Received an unexpected binary message: "),
    (hang_up_at_once, Kind.CLOSED_EARLY, "WebSocket connection was lost: "),
    (hang_up_after, Kind.CONNECTION_LOST, "WebSocket connection was lost: "),
]
NOT_TOLD = {
    Kind.UNAUTHORIZED, Kind.UPGRADE_REFUSED, Kind.DISCONNECTED, Kind.DECLINED, Kind.CLOSED_EARLY,
    Kind.CONNECTION_LOST,
}  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "kind", "text"), FAILING, ids=lambda value: getattr(value, "__name__", None)
)
async def test_every_failure_has_a_text_an_event_and_is_told_to_the_server(
    script: Script | int, kind: FailureKind, text: str
) -> None:
    async with misbehaving(script) as server:
        result = await asked(server.uri)
        if server.talks:
            async with asyncio.timeout(5):
                await server.talks[0].gone.wait()
    assert not result.ok
    (failure,) = result.failures
    assert (failure.kind, failure.count) == (kind, 1)
    assert result.text == failure.text
    assert result.text.startswith(text)
    assert result.text.endswith(".")
    assert event_for(kind) in CATALOGUE
    if kind in NOT_TOLD:
        return
    (error,) = server.talks[0].errors()
    assert error[1].startswith("Connection probe error: ")


@pytest.mark.anyio
async def test_whoever_is_not_there_is_said_to_be_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = await asked(f"ws://127.0.0.1:{port}/")
    assert result.text == "WebSocket connection failed: no connection: connection refused."
    assert result.rtt_ns is None
    result = await asked(f"wss://{'a' * 64}.example/")
    assert result.text == "WebSocket connection failed: there is no such host."


@pytest.mark.anyio
async def test_a_server_that_answers_nothing_is_given_up() -> None:
    async def read_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4_096):
            pass

    async with bare(read_on) as server:
        result = await asked(server.uri)
    assert result.text == "WebSocket connection failed: no connection within 0.5 s."


@pytest.mark.anyio
@pytest.mark.parametrize(
    "options",
    [
        {"uri": "ws://192.0.2.1/"},
        {"uri": "nonsense"},
        {"api_key": "two\r\nlines: x"},
        {"custom_config": {"too": "x" * 60_000}},
    ],
)
async def test_a_configuration_that_cannot_be_used_is_a_failure_too(
    options: dict[str, Any],
) -> None:
    async with misbehaving() as server:
        result = await asked(**{"uri": server.uri, **options})
    (failure,) = result.failures
    assert failure.kind is Kind.CONFIGURATION
    assert failure.text.startswith("WebSocket connection failed: ")


@pytest.mark.anyio
async def test_failures_are_counted_and_joined() -> None:
    async def everything(talk: Talk) -> None:
        await talk.hear("open")
        for _ in range(1_399):
            await talk.send("{")
        await talk.send(b"\xff")
        await talk.listen()

    async with misbehaving(everything) as server:
        result = await asked(server.uri, timers=ClientTimers(close_ns=2_000 * MS))
    assert [(each.kind, each.count) for each in result.failures] == [
        (Kind.MALFORMED, 1_399),
        (Kind.CLOSE_TIMEOUT, 1),
    ]
    first, second = result.text.split(" (AND) ")
    assert first.startswith("1399x Received a malformed server message: ")
    assert second == "Close transaction timed out."
    assert list(result.errors.values()) == [1_399, 1]


@pytest.mark.anyio
async def test_a_server_that_speaks_first_is_heard() -> None:
    async def refuses_first(talk: Talk) -> None:
        await talk.say("disconnect", {"reason": "unauthorized"})
        await talk.obey()

    async with misbehaving(refuses_first) as server:
        result = await asked(server.uri)
    assert [each.kind for each in result.failures] == [Kind.UNAUTHORIZED]


@pytest.mark.anyio
async def test_giving_up_leaves_nothing_behind() -> None:
    async def waits(talk: Talk) -> None:
        await talk.listen()

    async with misbehaving(waits) as server:
        config = EndpointConfig(name="one", uri=server.uri, api_key="key")
        task = asyncio.create_task(probe(config, ORGANIZATION_ID))
        async with asyncio.timeout(5):
            while not (server.talks and server.talks[0].heard):
                await asyncio.sleep(0.002)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_whatever_can_fail_has_a_headline() -> None:
    not_of_a_probe = {
        Kind.BARRED, Kind.PONG_TIMEOUT, Kind.CONGESTED, Kind.INTERNAL, Kind.CALL_OVER,
    }  # fmt: skip
    assert set(_HEADLINES) == set(FailureKind) - not_of_a_probe


@pytest.mark.anyio
async def test_no_text_holds_what_is_secret() -> None:
    async with misbehaving(401) as server:
        result = await asked(server.uri)
    assert "nobody reads this" not in repr(result)
    assert "SGVsbG8s" not in repr(result)
