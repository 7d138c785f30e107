"""Text to message and back (protocol sections 2.4, 4.1, 4.3 and 4.4)."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

import pytest
from tests.support.wire import (
    EXTERNAL,
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

from openaudiohook.exceptions import LocalProtocolError, RemoteProtocolError
from openaudiohook.protocol.codec import (
    decode_client_message,
    decode_server_message,
    encode_message,
    encode_ping,
)
from openaudiohook.protocol.duration import Duration
from openaudiohook.protocol.entities import Entity
from openaudiohook.protocol.media import MediaParameter
from openaudiohook.protocol.messages import (
    ClientMessage,
    CloseParameters,
    ContinuedSession,
    EmptyParameters,
    ErrorParameters,
    EventParameters,
    OpenParameters,
    PingParameters,
    ServerMessage,
    UnknownParameters,
    UpdateParameters,
)
from openaudiohook.protocol.types import Channel

pytestmark = pytest.mark.unit

SPAN = {"start": "PT40S", "discarded": "PT12.6S"}

FROM_CLIENT = {
    "open": open_parameters(
        supportedLanguages=True,
        customConfig={"tenant": "blue", "depth": {"list": [1, 2.5, None]}},
        inputVariables={"entryPoint": "billing"},
        continuedSessions=[{"id": OTHER_ID, "serverseq": 31, "clientseq": 40}],
    ),
    "ping": {"rtt": "PT0.043S"},
    "update": {"language": "fr-CA"},
    "paused": {},
    "resumed": SPAN,
    "discarded": SPAN,
    "close": {"reason": "end"},
    "error": {"code": 429, "message": "slower", "retryAfter": "PT3S"},
    "dtmf": {"digit": "#"},
    "playback_started": {},
    "playback_completed": {},
}

FROM_SERVER = {
    "opened": {
        "media": [STEREO],
        "startPaused": True,
        "discardTo": "PT2.4S",
        "supportedLanguages": ["en-US", "es-419"],
    },
    "pong": {},
    "updated": {},
    "closed": {},
    "pause": {},
    "resume": {},
    "disconnect": {"reason": "completed", "info": "done", "outputVariables": {"intent": "x"}},
    "reconnect": {"info": "instance draining"},
    "event": {"entities": [{"type": "com.example.x", "data": {"n": [1, None, 2.5]}}]},
}


def refused(text: Any, *, server: bool = False) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        (decode_server_message if server else decode_client_message)(text)
    return caught.value


@pytest.mark.parametrize("kind", FROM_CLIENT)
def test_each_client_message_survives_reading_and_writing(kind: str) -> None:
    wire = client_message(kind, FROM_CLIENT[kind], seq=7, serverseq=3, position="PT31.4S")
    message = decode_client_message(as_text(wire))
    assert isinstance(message, ClientMessage)
    assert (message.id, message.type, message.seq, message.serverseq, message.position) == (
        SESSION_ID,
        kind,
        7,
        3,
        31_400_000_000,
    )
    assert json.loads(encode_message(message)) == wire


@pytest.mark.parametrize("kind", FROM_SERVER)
def test_each_server_message_survives_reading_and_writing(kind: str) -> None:
    wire = server_message(kind, FROM_SERVER[kind], seq=4, clientseq=9)
    message = decode_server_message(as_text(wire))
    assert isinstance(message, ServerMessage)
    assert (message.id, message.type, message.seq, message.clientseq) == (SESSION_ID, kind, 4, 9)
    assert json.loads(encode_message(message)) == wire


def test_the_envelope_is_written_in_the_order_of_the_protocol_without_blanks() -> None:
    ping = ClientMessage(
        id=SESSION_ID,
        type="ping",
        seq=3,
        serverseq=2,
        position=Duration(1_200_000_000),
        parameters=PingParameters(rtt=Duration(43_000_000)),
    )
    assert encode_message(ping) == (
        b'{"version":"2","id":"7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9a11","type":"ping","seq":3,'
        b'"serverseq":2,"position":"PT1.2S","parameters":{"rtt":"PT0.043S"}}'
    )


def test_text_is_read_in_every_form_of_bytes_and_as_str() -> None:
    text = as_text(client_message("ping"))
    for form in (text, bytearray(text), memoryview(text), text.decode()):
        assert decode_client_message(form).type == "ping"


def test_open_is_typed() -> None:
    message = decode_client_message(as_text(client_message("open", FROM_CLIENT["open"])))
    parameters = message.parameters
    assert isinstance(parameters, OpenParameters)
    assert parameters.media[0] == MediaParameter(channels=(Channel.EXTERNAL, Channel.INTERNAL))
    assert parameters.supported_languages is True
    assert parameters.continued_sessions == (
        ContinuedSession(id=OTHER_ID, serverseq=31, clientseq=40),
    )


def test_offers_of_a_kind_not_known_are_left_out_of_open() -> None:
    offers = [
        media("external", media_format="OPUS"),
        {**STEREO, "rate": 16000},
        STEREO,
        media("external", "internal", "supervisor"),
    ]
    message = decode_client_message(as_text(client_message("open", open_parameters(media=offers))))
    assert isinstance(message.parameters, OpenParameters)
    assert message.parameters.media == (MediaParameter(),)


@pytest.mark.parametrize(
    "offer",
    [
        7,
        None,
        {},
        {**STEREO, "rate": "8000"},
        {**STEREO, "channels": "external"},
        without(STEREO, "format"),
        {**STEREO, "type": None},
    ],
)
def test_a_malformed_offer_is_bad_even_beside_an_unknown_one(offer: Any) -> None:
    offers = [media("external", media_format="OPUS"), offer]
    text = as_text(client_message("open", open_parameters(media=offers)))
    assert refused(text).message_type == "open"


@pytest.mark.parametrize("parameters", [[], "x", {**open_parameters(), "media": "PCMU"}])
def test_open_that_is_wrong_elsewhere_is_bad(parameters: Any) -> None:
    assert refused(as_text(client_message("open", parameters))).seq == 1


def test_unknown_fields_are_ignored_everywhere() -> None:
    wire = client_message("update", {"language": "es-419", "later": {"a": [1]}}, future=True)
    assert decode_client_message(as_text(wire)).parameters == UpdateParameters(language="es-419")
    wire = server_message("pong", {"note": 1}, position="PT1S", serverseq=4)
    assert decode_server_message(as_text(wire)).parameters == EmptyParameters()


@pytest.mark.parametrize("parameters", [{}, {"anything": [1, {"deep": None}]}])
def test_an_unknown_type_keeps_its_envelope(parameters: dict[str, Any]) -> None:
    message = decode_client_message(as_text(client_message("metrics", parameters, seq=5)))
    assert (message.type, message.seq) == ("metrics", 5)
    assert message.parameters == UnknownParameters()
    answer = decode_server_message(as_text(server_message("hint", parameters, seq=2)))
    assert (answer.type, answer.seq, answer.parameters) == ("hint", 2, UnknownParameters())


def test_a_message_of_the_other_direction_is_an_unknown_type() -> None:
    assert decode_client_message(as_text(client_message("pause"))).parameters == UnknownParameters()
    assert decode_server_message(as_text(server_message("ping"))).parameters == UnknownParameters()


def test_update_without_language_is_tolerated() -> None:
    update = decode_client_message(as_text(client_message("update")))
    assert update.parameters == UpdateParameters(language=None)


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [({}, None), ({"reason": None}, None), ({"reason": "bored"}, None), ({"reason": "end"}, "end")],
)
def test_close_without_a_known_reason_is_tolerated(
    parameters: dict[str, Any], reason: str | None
) -> None:
    close = decode_client_message(as_text(client_message("close", parameters)))
    assert isinstance(close.parameters, CloseParameters)
    assert close.parameters.known_reason == reason


@pytest.mark.parametrize("code", [400, 599, 9999])
def test_any_error_code_from_400_on_is_accepted(code: int) -> None:
    message = decode_client_message(as_text(client_message("error", {"code": code, "message": ""})))
    assert message.parameters == ErrorParameters(code=code, message="")


CLIENT_ENVELOPE = ["version", "id", "type", "seq", "serverseq", "position", "parameters"]
SERVER_ENVELOPE = ["version", "id", "type", "seq", "clientseq", "parameters"]


@pytest.mark.parametrize("field", CLIENT_ENVELOPE)
def test_a_client_message_needs_its_whole_envelope(field: str) -> None:
    error = refused(as_text(without(client_message("ping"), field)))
    assert error.code == 400
    assert field in str(error)
    assert refused(as_text({**client_message("ping"), field: None})).code == 400


@pytest.mark.parametrize("field", SERVER_ENVELOPE)
def test_a_server_message_needs_its_whole_envelope(field: str) -> None:
    error = refused(as_text(without(server_message("pong"), field)), server=True)
    assert error.code == 400
    assert field in str(error)
    assert refused(as_text({**server_message("pong"), field: None}), server=True).code == 400


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", "1"),
        ("version", 2),
        ("version", "2.0"),
        ("id", "session"),
        ("id", SESSION_ID + "\n"),
        ("id", 7),
        ("type", 7),
        ("seq", -1),
        ("seq", 1.5),
        ("seq", "1"),
        ("seq", True),
        ("seq", 10**30),
        ("seq", 2**64),
        ("serverseq", -1),
        ("serverseq", "0"),
        ("position", 0),
        ("position", "0"),
        ("position", "PT-1S"),
        ("position", "PT1H"),
        ("parameters", []),
        ("parameters", "{}"),
        ("parameters", 0),
    ],
)
def test_a_wrong_envelope_is_a_bad_message(field: str, value: Any) -> None:
    for kind in ("ping", "metrics"):  # of known and unknown types alike
        error = refused(as_text(client_message(kind, **{field: value})))
        assert error.code == 400


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("open", {}),
        ("open", without(open_parameters(), "organizationId")),
        ("open", without(open_parameters(), "media")),
        ("open", open_parameters(conversationId="call-1")),
        ("open", open_parameters(participant={"id": SESSION_ID, "ani": "", "dnis": ""})),
        ("open", open_parameters(media=[{**STEREO, "channels": ["external", "external"]}, 1])),
        ("open", open_parameters(language="english, please")),
        ("open", open_parameters(supportedLanguages=["en-US"])),
        ("open", open_parameters(customConfig="text")),
        ("open", open_parameters(inputVariables={"n": 1})),
        ("open", open_parameters(continuedSessions=[{"id": OTHER_ID}])),
        ("ping", {"rtt": 0.043}),
        ("ping", {"rtt": "43 ms"}),
        ("update", {"language": 7}),
        ("resumed", {"start": "PT1S"}),
        ("resumed", {}),
        ("discarded", {"start": "PT1S", "discarded": None}),
        ("close", {"reason": 7}),
        ("error", {"code": 399, "message": ""}),
        ("error", {"code": 10_000, "message": ""}),
        ("error", {"code": 400}),
        ("dtmf", {}),
    ],
)
def test_bad_parameters_name_the_type_and_the_seq(kind: str, parameters: Any) -> None:
    error = refused(as_text(client_message(kind, parameters, seq=9)))
    assert (error.code, error.message_type, error.seq) == (400, kind, 9)
    assert str(error).startswith("parameters: ")


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("opened", {}),
        ("opened", {"media": [media("external", media_format="OPUS")]}),
        ("opened", {"media": [STEREO], "startPaused": "yes"}),
        ("opened", {"media": [EXTERNAL], "discardTo": 4}),
        ("opened", {"media": [EXTERNAL], "supportedLanguages": True}),
        ("disconnect", {}),
        ("disconnect", {"reason": "later"}),
        ("disconnect", {"reason": "completed", "outputVariables": {"n": 1}}),
        ("event", {}),
        ("event", {"entities": [{"data": {}}]}),
        ("event", {"entities": [{"type": "transcript"}]}),
        ("event", {"entities": {}}),
    ],
)
def test_bad_parameters_of_a_server_name_the_type_and_the_seq(kind: str, parameters: Any) -> None:
    error = refused(as_text(server_message(kind, parameters, seq=2)), server=True)
    assert (error.code, error.message_type, error.seq) == (400, kind, 2)


DEEP = 10_000


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"   ",
        b"null",
        b"[]",
        b"7",
        b'"open"',
        b"{",
        b"{}",
        b'{"version": "2"',
        b'{"version": "2",}',
        b"\xff\xfe",
        b'{"version": "2", "type": "\xc3\x28"}',
        b'{"version": "2", "type": "\xed\xa0\x80"}',
        b"\xef\xbb\xbf{}",
        b"hello\x00",
        b"NaN",
        "\ud800",
        b"[" * DEEP,
        b"[" * DEEP + b"]" * DEEP,
        b'{"a":' * DEEP + b"{}" + b"}" * DEEP,
        as_text(client_message("ping"))[:-1],
        as_text(client_message("ping")) + b"}",
    ],
)
@pytest.mark.parametrize("server", [False, True])
def test_what_is_no_message_is_a_bad_message(text: Any, server: bool) -> None:
    error = refused(text, server=server)
    assert (error.code, error.seq) == (400, None)


@pytest.mark.parametrize("kind", ["open", "ping", "metrics"])
def test_deep_nesting_is_a_bad_message_wherever_it_is(kind: str) -> None:
    deep = b"[" * DEEP + b"]" * DEEP
    text = as_text(client_message(kind, {"customConfig": "DEEP"})).replace(b'"DEEP"', deep)
    assert refused(text).code == 400
    text = as_text(client_message(kind, future="DEEP")).replace(b'"DEEP"', deep)
    assert refused(text).code == 400


def test_bad_utf8_in_parameters_is_a_bad_message() -> None:
    text = as_text(client_message("update", {"language": "en-US"})).replace(b"en-US", b"en\xff")
    assert refused(text).code == 400


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 400, "1e999", str(2**64), "9" * 5000])
def test_numbers_beyond_any_machine_are_read_or_refused(number: str) -> None:
    offers = [media("external", media_format="OPUS")]
    for parameters in (
        open_parameters(customConfig={"n": "HUGE"}),
        open_parameters(customConfig={"n": "HUGE"}, media=offers),
    ):
        text = as_text(client_message("open", parameters)).replace(b'"HUGE"', number.encode())
        with contextlib.suppress(RemoteProtocolError):
            assert decode_client_message(text).type == "open"


def test_of_a_field_given_twice_the_last_one_counts() -> None:
    text = as_text(client_message("ping")).replace(b'"seq": 1', b'"seq": 1, "seq": 2')
    assert decode_client_message(text).seq == 2


def test_65536_bytes_are_read_and_one_more_is_not() -> None:
    wire = client_message("update", {"language": "en-US", "pad": ""})
    room = 65_536 - len(as_text(wire))
    text = as_text(client_message("update", {"language": "en-US", "pad": "x" * room}))
    assert len(text) == 65_536
    assert decode_client_message(text).type == "update"
    error = refused(text + b" ")
    assert (error.code, error.message_type) == (413, None)
    assert "65536" in str(error)


def test_size_is_counted_in_bytes_of_utf8() -> None:
    text = json.dumps(client_message("metrics", {"pad": "é" * 33_000}), ensure_ascii=False)
    assert len(text) < 65_536
    assert refused(text).code == 413


def event(data: Any) -> ServerMessage:
    return ServerMessage(
        id=SESSION_ID,
        type="event",
        seq=2,
        clientseq=1,
        parameters=EventParameters(entities=(Entity(type="x", data=data),)),
    )


def test_64000_bytes_are_written_and_one_more_is_not() -> None:
    room = 64_000 - len(encode_message(event("")))
    assert len(encode_message(event("x" * room))) == 64_000
    with pytest.raises(LocalProtocolError, match="event would be 64001 bytes"):
        encode_message(event("x" * (room + 1)))


@pytest.mark.parametrize("data", [object(), {1: 2, "k": {1, object()}}, [object]])
def test_what_json_cannot_hold_is_not_written(data: Any) -> None:
    with pytest.raises(LocalProtocolError, match="event holds what JSON cannot"):
        encode_message(event(data))


def test_data_that_nests_without_end_is_not_written() -> None:
    data: list[Any] = []
    for _ in range(100_000):
        data = [data]
    with pytest.raises(LocalProtocolError, match="event"):
        encode_message(event(data))


@pytest.mark.parametrize(
    "secret", ["4111111111111111", "it's '4111111111111111' here", 'a " 4111111111111111 "']
)
def test_errors_never_quote_what_was_sent(secret: str) -> None:
    texts = [
        as_text(client_message("error", {"code": secret, "message": ""})),
        as_text(client_message("update", {"language": secret})),
        as_text(client_message("open", open_parameters(conversationId=secret))),
        as_text(client_message("ping", {"rtt": secret})),
        as_text(client_message("ping", position=secret)),
        as_text(client_message("ping", version=secret)),
        as_text(client_message("ping", **{secret: 1, "seq": secret})),
        as_text(client_message("open", open_parameters(inputVariables={secret: 1}))),
        secret.encode(),
    ]
    for text in texts:
        error = refused(text)
        assert "4111" not in str(error)
        assert error.__cause__ is None
        assert error.__suppress_context__


def test_errors_name_the_field() -> None:
    error = refused(as_text(client_message("error", {"code": "400", "message": ""})))
    assert re.search(r"\$\.code", str(error))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("version", "3", 'Invalid enum value - at `$.version`; "2" is needed'),
        ("version", 2, 'Expected `str`, got `int` - at `$.version`; "2" is needed'),
        ("id", "a secret", "Expected `str` of another form - at `$.id`; a UUID is needed"),
        ("seq", -1, "Expected `int` >= 0 - at `$.seq`"),
    ],
)
def test_a_refusal_says_what_would_be_right_and_not_what_was_written(
    field: str, value: object, said: str
) -> None:
    message = {
        "version": "2", "id": "7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9a11", "type": "ping",
        "seq": 1, "serverseq": 0, "position": "PT0S", "parameters": {},
    }  # fmt: skip
    with pytest.raises(RemoteProtocolError) as caught:
        decode_client_message(json.dumps(message | {field: value}))
    assert str(caught.value) == said


@pytest.mark.parametrize("rtt_ns", [None, 0, 1_234_567, 2_000_000_000])
@pytest.mark.parametrize("session_id", ["7c1d3f7e-4f0b-4c55-9a38-000000000001", 'no "UUID" ü'])
def test_the_short_way_to_a_ping_writes_the_same_bytes(session_id: str, rtt_ns: int | None) -> None:
    parameters = PingParameters(rtt=None if rtt_ns is None else Duration(rtt_ns))
    message = ClientMessage(
        id=session_id, type="ping", seq=12, serverseq=7, position=Duration(1_250_000_000),
        parameters=parameters,
    )  # fmt: skip
    assert encode_ping(
        session_id, seq=12, serverseq=7, position_ns=1_250_000_000, rtt_ns=rtt_ns
    ) == encode_message(message)
