"""What each role does about bad input: protocol section 4.4, and the numbers of 4.2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.by_hand import (
    EXTERNAL_MEDIA,
    L16_MEDIA,
    SECOND,
    HandClient,
    HandServer,
    Item,
    client_in,
    kinds,
    server_in,
)
from tests.support.wire import (
    EXTERNAL,
    INTERNAL,
    NIL,
    OTHER_ID,
    SESSION_ID,
    STEREO,
    as_text,
    client_message,
    media,
    open_parameters,
    server_message,
    without,
)

from openaudiohook.protocol.events import (
    CloseRequested,
    MessageIgnored,
    PeerViolated,
    SessionEnded,
)
from openaudiohook.protocol.types import ClientState, ServerState
from openaudiohook.testing.assertions import events_of, the_event

pytestmark = pytest.mark.unit

DEEP = b"[" * 10_000

# The server ----------------------------------------------------------------------------------


def wire(client: HandClient, kind: str = "ping", **changes: Any) -> bytes:
    """The next message, as it should be but for `changes`; a change to `...` leaves it out."""
    message = client_message(kind, seq=client.seq + 1, serverseq=client.seen) | changes
    return as_text(without(message, *(name for name in changes if changes[name] is ...)))


AT_SERVER: dict[str, Callable[[HandClient], list[Item]]] = {
    "text over 65,536 bytes": lambda c: c.text(wire(c, parameters={"pad": "x" * 65_536})),
    "binary over 65,536 bytes": lambda c: c.binary(b"\xff" * 65_538),
    "text skipped by the transport": lambda c: oversize(c, is_text=True),
    "binary skipped by the transport": lambda c: oversize(c, is_text=False),
    "not JSON": lambda c: c.text(b"hello"),
    "JSON cut off": lambda c: c.text(wire(c)[:-1]),
    "empty text": lambda c: c.text(b""),
    "bad UTF-8": lambda c: c.text(b'{"version": "\xff"}'),
    "nested too deeply": lambda c: c.text(DEEP),
    "JSON that is no object": lambda c: c.text(b"[1]"),
    "wrong version": lambda c: c.text(wire(c, version="1")),
    "version as a number": lambda c: c.text(wire(c, version=2)),
    "id missing": lambda c: c.text(wire(c, id=...)),
    "id not a UUID": lambda c: c.text(wire(c, id="first")),
    "type missing": lambda c: c.text(wire(c, type=...)),
    "seq missing": lambda c: c.text(wire(c, seq=...)),
    "seq as text": lambda c: c.text(wire(c, seq="3")),
    "seq negative": lambda c: c.text(wire(c, seq=-1)),
    "serverseq missing": lambda c: c.text(wire(c, serverseq=...)),
    "position missing": lambda c: c.text(wire(c, position=...)),
    "position as a number": lambda c: c.text(wire(c, position=1.5)),
    "parameters missing": lambda c: c.text(wire(c, parameters=...)),
    "parameters null": lambda c: c.text(wire(c, parameters=None)),
    "parameters a list": lambda c: c.text(wire(c, parameters=[])),
    "another session's id": lambda c: c.text(wire(c, id=OTHER_ID)),
    "known type, bad parameters": lambda c: c.text(wire(c, "error", parameters={"code": "400"})),
    "span without start": lambda c: c.text(wire(c, "discarded", parameters={"discarded": "PT0S"})),
    "span that leads back": lambda c: back(c),
    "span of more than a day": lambda c: c.span("discarded", 0, 25 * 3600 * 8000),
    "seq repeated": lambda c: c.text(wire(c, seq=c.seq)),
    "seq skipped": lambda c: c.text(wire(c, seq=c.seq + 2)),
    "seq zero": lambda c: c.text(wire(c, seq=0)),
    "serverseq too high": lambda c: c.text(wire(c, serverseq=c.seen + 1)),
    "serverseq back": lambda c: acknowledge_back(c),
    "stereo audio of odd length": lambda c: c.binary(b"\xff" * 321),
    "audio while paused": lambda c: paused_audio(c),
    "known message while not allowed": lambda c: c.say("paused") + c.audio(80),
}


def oversize(hand: HandClient | HandServer, *, is_text: bool) -> list[Item]:
    hand.session.receive_oversize(hand.now_ns, is_text=is_text, size_bytes=70_000)
    return hand.read()


def back(client: HandClient) -> list[Item]:
    client.audio(800)
    return client.say("discarded", {"start": "PT0S", "discarded": "PT0.05S"})


def acknowledge_back(client: HandClient) -> list[Item]:
    client.say("ping")
    client.say("ping")
    return client.text(wire(client, serverseq=1))


def paused_audio(client: HandClient) -> list[Item]:
    client.say("paused")
    return client.audio(80)


def silent_until_close(client: HandClient) -> None:
    """Check that only `close` finds an answer, and that the socket stays open for it."""
    seq = client.seq
    assert client.say("ping") == []
    assert client.say("update", {"language": "fr-CA"}) == []
    assert client.audio(80) == []
    assert client.binary(b"\xff") == []
    assert client.text(b"still not JSON") == []
    assert client.text(wire(client, seq=seq)) == []
    assert client.text(wire(client, id=OTHER_ID)) == []
    assert oversize(client, is_text=True) == []
    assert client.wait(9 * SECOND) == []
    assert client.say("close", {"reason": "disconnect"}) == []
    assert client.session.state is ServerState.CLOSING
    closed = client.finish()
    assert kinds(closed) == ["closed"]
    client.gone(1000)
    events = client.new_events()
    assert len(events_of(events, PeerViolated)) == 1
    assert len(events_of(events, CloseRequested)) == 1
    assert the_event(events, SessionEnded).is_clean


@pytest.mark.parametrize("situation", AT_SERVER)
def test_a_violation_is_one_disconnect_and_then_silence_until_close(situation: str) -> None:
    client = server_in(ServerState.ACTIVE)
    answer = [item for item in AT_SERVER[situation](client) if kinds([item]) != ["pong"]]
    assert kinds(answer) == ["disconnect"]
    assert answer[0]["parameters"]["reason"] == "error"
    assert client.session.state is ServerState.SIGNALED_ERROR
    silent_until_close(client)


@pytest.mark.parametrize(
    ("situation", "code"),
    [
        ("text over 65,536 bytes", 413),
        ("binary over 65,536 bytes", 413),
        ("text skipped by the transport", 413),
        ("binary skipped by the transport", 413),
        ("not JSON", 400),
        ("seq skipped", 400),
        ("stereo audio of odd length", 400),
        ("audio while paused", 409),
    ],
)
def test_the_server_reports_what_was_wrong(situation: str, code: int) -> None:
    client = server_in(ServerState.ACTIVE)
    AT_SERVER[situation](client)
    violation = the_event(client.unread_events(), PeerViolated)
    assert violation.code == code
    assert violation.is_fatal


@pytest.mark.parametrize("state", [ServerState.PREPARING, ServerState.OPENING, ServerState.PAUSED])
def test_bad_text_is_answered_alike_in_every_state(state: ServerState) -> None:
    client = server_in(state)
    assert kinds(client.text(b"{")) == ["disconnect"]
    silent_until_close(client)


@pytest.mark.parametrize("state", [ServerState.PREPARING, ServerState.OPENING])
def test_audio_before_opened_is_answered_with_disconnect(state: ServerState) -> None:
    client = server_in(state)
    assert kinds(client.audio(80)) == ["disconnect"]
    assert the_event(client.unread_events(), PeerViolated).code == 409
    silent_until_close(client)


def test_audio_where_none_was_selected_is_answered_with_disconnect() -> None:
    client = server_in(ServerState.OPENING)
    client.accept(media=None)
    assert kinds(client.audio(80)) == ["disconnect"]
    assert the_event(client.unread_events(), PeerViolated).code == 415
    silent_until_close(client)


@pytest.mark.parametrize(
    ("selected", "offer", "bad", "good"),
    [
        (EXTERNAL_MEDIA, EXTERNAL, None, 1),
        (L16_MEDIA, media("external", "internal", media_format="L16"), 6, 4),
    ],
)
def test_a_frame_is_whole_samples_of_every_channel(
    selected: Any, offer: Any, bad: int | None, good: int
) -> None:
    client = HandClient()
    client.open(media=[offer])
    client.accept(media=selected)
    assert client.binary(b"\x00" * good) == []
    if bad is not None:
        assert kinds(client.binary(b"\x00" * bad)) == ["disconnect"]


def test_an_empty_frame_is_no_samples_and_no_violation() -> None:
    client = server_in(ServerState.ACTIVE)
    assert client.binary(b"") == []
    assert client.session.state is ServerState.ACTIVE
    assert client.session.position == 0


def test_a_frame_of_65536_bytes_is_read() -> None:
    client = server_in(ServerState.ACTIVE)
    assert client.binary(b"\xff" * 65_536) == []
    assert client.session.position == 32_768


def test_another_organization_in_open_is_unauthorized() -> None:
    client = HandClient()
    answer = client.open(organizationId=OTHER_ID)
    assert kinds(answer) == ["disconnect"]
    assert answer[0]["parameters"]["reason"] == "unauthorized"
    assert client.session.state is ServerState.UNAUTHORIZED
    assert client.say("ping") == []
    client.say("close", {"reason": "disconnect"})
    assert kinds(client.finish()) == ["closed"]


def test_ids_are_compared_without_regard_to_case() -> None:
    client = HandClient()
    client.say("open", open_parameters(organizationId=open_parameters()["organizationId"].upper()))
    client.accept()
    assert kinds(client.say("ping", id=SESSION_ID.upper())) == ["pong"]


def test_a_violation_after_our_own_disconnect_is_not_answered() -> None:
    client = server_in(ServerState.ACTIVE)
    client.session.disconnect(client.now_ns)
    assert kinds(client.read()) == ["disconnect"]
    assert client.text(b"{") == []
    assert client.say("dtmf", {"digit": "1"}, serverseq=50) == []
    assert client.binary(b"\xff") == []
    client.say("close", {"reason": "disconnect"})
    assert client.session.state is ServerState.CLOSING
    assert kinds(client.finish()) == ["closed"]
    assert events_of(client.unread_events(), PeerViolated) == []


@pytest.mark.parametrize("kind", ["reconnecting", "probe", "metrics", "pause", "opened", ""])
def test_an_unknown_type_is_counted_and_nothing_more(kind: str) -> None:
    client = server_in(ServerState.ACTIVE)
    assert client.say(kind, {"x": 1}) == []
    assert client.new_events() == [MessageIgnored(kind, client.seq)]
    assert kinds(client.say("ping")) == ["pong"]


# The client ----------------------------------------------------------------------------------


def reply(server: HandServer, kind: str = "updated", **changes: Any) -> bytes:
    message = server_message(kind, seq=server.seq + 1, clientseq=server.seen) | changes
    return as_text(without(message, *(name for name in changes if changes[name] is ...)))


def clientseq_back(server: HandServer) -> list[Item]:
    server.session.update("fr-CA", server.now_ns)
    server.read()
    server.say("updated")
    return server.text(reply(server, clientseq=server.seen - 1))


AT_CLIENT: dict[str, tuple[int, Callable[[HandServer], list[Item]]]] = {
    "text over 65,536 bytes": (413, lambda s: s.text(reply(s, parameters={"p": "x" * 65_536}))),
    "text skipped by the transport": (413, lambda s: oversize(s, is_text=True)),
    "binary skipped by the transport": (413, lambda s: oversize(s, is_text=False)),
    "binary over 65,536 bytes": (413, lambda s: s.binary(bytes(65_537))),
    "binary of 65,536 bytes": (415, lambda s: s.binary(bytes(65_536))),
    "not JSON": (400, lambda s: s.text(b"hello")),
    "JSON cut off": (400, lambda s: s.text(reply(s)[:-1])),
    "bad UTF-8": (400, lambda s: s.text(b"\xff")),
    "nested too deeply": (400, lambda s: s.text(DEEP)),
    "wrong version": (400, lambda s: s.text(reply(s, version="3"))),
    "version as a number": (400, lambda s: s.text(reply(s, version=2))),
    "id missing": (400, lambda s: s.text(reply(s, id=...))),
    "id not a UUID": (400, lambda s: s.text(reply(s, id="first"))),
    "type missing": (400, lambda s: s.text(reply(s, type=...))),
    "seq missing": (400, lambda s: s.text(reply(s, seq=...))),
    "seq as text": (400, lambda s: s.text(reply(s, seq="3"))),
    "clientseq missing": (400, lambda s: s.text(reply(s, clientseq=...))),
    "parameters missing": (400, lambda s: s.text(reply(s, parameters=...))),
    "parameters null": (400, lambda s: s.text(reply(s, parameters=None))),
    "parameters a list": (400, lambda s: s.text(reply(s, parameters=[]))),
    "another session's id": (400, lambda s: s.text(reply(s, id=OTHER_ID))),
    "known type, bad parameters": (400, lambda s: s.text(reply(s, "disconnect"))),
    "seq repeated": (400, lambda s: s.text(reply(s, seq=s.seq))),
    "seq skipped": (400, lambda s: s.text(reply(s, seq=s.seq + 2))),
    "clientseq too high": (400, lambda s: s.text(reply(s, clientseq=s.seen + 1))),
    "clientseq back": (400, clientseq_back),
    "binary": (415, lambda s: s.binary(b"\xff" * 1600)),
    "empty binary": (415, lambda s: s.binary(b"")),
    "binary of odd length": (415, lambda s: s.binary(b"\xff" * 321)),  # as any: none is allowed
    "opened twice": (409, lambda s: s.opened()),
    "closed without close": (409, lambda s: s.say("closed")),
}


@pytest.mark.parametrize("situation", AT_CLIENT)
def test_a_violation_is_an_error_with_its_code_and_close(situation: str) -> None:
    server = client_in(ClientState.OPEN)
    code, violate = AT_CLIENT[situation]
    error, close = violate(server)
    assert (error["type"], error["parameters"]["code"]) == ("error", code)
    assert error["parameters"]["message"]
    assert "retryAfter" not in error["parameters"]
    assert (close["type"], close["parameters"]) == ("close", {"reason": "error"})
    assert server.session.state is ClientState.CLOSING_ERROR
    violation = the_event(server.unread_events(), PeerViolated)
    assert (violation.code, violation.is_fatal) == (code, True)


def test_after_a_fatal_error_further_ones_are_suppressed_until_closed() -> None:
    server = client_in(ClientState.OPEN)
    server.text(b"{")
    assert server.text(b"{") == []
    assert server.binary(b"\xff") == []
    assert oversize(server, is_text=False) == []
    assert server.text(reply(server, seq=77)) == []
    assert kinds(server.say("closed")) == ["CLOSE"]
    server.gone(1000)
    events = server.new_events()
    violations = [event.is_fatal for event in events_of(events, PeerViolated)]
    assert violations == [True, False, False, False]  # counted, and not answered
    assert the_event(events, SessionEnded).is_clean


def test_a_wrongly_numbered_closed_still_ends_the_session() -> None:
    server = client_in(ClientState.CLOSING)
    answer = server.text(reply(server, "closed", seq=40))
    assert kinds(answer) == ["error", "CLOSE"]
    assert answer[0]["parameters"]["code"] == 400
    assert server.session.state is ClientState.CLOSED


def test_a_wrongly_numbered_closed_nobody_waits_for_is_a_violation_like_others() -> None:
    server = client_in(ClientState.OPEN)
    assert kinds(server.text(reply(server, "closed", seq=40))) == ["error", "close"]
    assert server.session.state is ClientState.CLOSING_ERROR


@pytest.mark.parametrize("state", [ClientState.PREPARING, ClientState.OPENING])
def test_bad_text_before_opened_is_answered_alike(state: ClientState) -> None:
    server = client_in(state)
    answer = server.text(b"{")
    assert kinds(answer) == ["error", "close"]
    assert answer[0]["seq"] == (1 if state is ClientState.PREPARING else 2)


@pytest.mark.parametrize(
    "selected",
    [
        [STEREO, EXTERNAL],
        [media("internal", "external")],
        [media("external", "internal", media_format="L16")],
        [{**STEREO, "rate": 16000}],
        [{}],
    ],
)
def test_opened_selects_one_of_the_offers_unmodified_or_fails_with_400(selected: Any) -> None:
    server = client_in(ClientState.OPENING)
    error, close = server.say("opened", {"media": selected})
    assert error["parameters"]["code"] == 400
    assert close["parameters"]["reason"] == "error"
    assert server.session.media is None


@pytest.mark.parametrize("selected", [STEREO, EXTERNAL, INTERNAL])
def test_each_offer_may_be_selected(selected: Any) -> None:
    server = client_in(ClientState.OPENING)
    assert server.opened(selected) == []
    assert server.session.state is ClientState.OPEN


def test_a_pong_without_a_ping_is_a_conflict_and_the_session_goes_on() -> None:
    server = client_in(ClientState.OPEN)
    (error,) = server.say("pong")
    assert (error["type"], error["parameters"]["code"]) == ("error", 409)
    assert server.session.state is ClientState.OPEN
    violation = the_event(server.unread_events(), PeerViolated)
    assert (violation.code, violation.is_fatal) == (409, False)
    server.wait(SECOND)
    assert kinds(server.say("pong")) == ["ping"]


def test_a_pong_that_names_another_message_is_bad_and_the_session_goes_on() -> None:
    server = client_in(ClientState.OPEN)
    assert kinds(server.wait(SECOND)) == ["ping"]
    (error,) = server.say("pong", clientseq=1)
    assert (error["type"], error["parameters"]["code"]) == ("error", 400)
    assert server.session.state is ClientState.OPEN
    assert kinds(server.say("pong", clientseq=2)) == ["ping"]


@pytest.mark.parametrize("kind", ["reconnecting", "error", "ping", "metrics"])
def test_an_unknown_type_from_the_server_is_counted_and_nothing_more(kind: str) -> None:
    server = client_in(ClientState.OPEN)
    assert server.say(kind, {"x": 1}) == []
    assert server.new_events() == [MessageIgnored(kind, server.seq)]
    server.session.update("fr-CA", server.now_ns)
    assert server.read()[0]["serverseq"] == server.seq


def test_no_answer_repeats_what_the_peer_sent() -> None:
    secret = "4111111111111111"
    server = client_in(ClientState.OPEN)
    error, _ = server.say("disconnect", {"reason": f"' {secret} '"})
    assert secret not in str(error)
    assert secret not in str(server.new_events())
    client = server_in(ServerState.ACTIVE)
    (disconnect,) = client.text(wire(client, "ping", parameters={"rtt": f"' {secret} '"}))
    assert secret not in str(disconnect)
    assert secret not in str(client.new_events())


def test_nil_ids_are_ids() -> None:
    client = HandClient(session_id=NIL)
    message = client_message("open", open_parameters(), id=NIL)
    client.session.receive_text(as_text(message), 0)
    assert client.session.state is ServerState.OPENING
