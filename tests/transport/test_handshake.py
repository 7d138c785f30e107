"""HTTP heads, read and written."""

from __future__ import annotations

import pytest

from openaudiohook.exceptions import ConfigurationError, HandshakeError
from openaudiohook.transport.handshake import (
    HttpReply,
    RefusedHead,
    check_headers,
    read_request,
    read_response,
    reply_bytes,
    websocket_key,
)

pytestmark = pytest.mark.unit

# The example of RFC 6455 section 1.3.
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def response(status: str = "101 Switching Protocols", **changes: str | None) -> bytes:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Accept": ACCEPT}
    lines = [
        f"{name.replace('_', '-')}: {value}"
        for name, value in {**headers, **changes}.items()
        if value is not None
    ]
    return ("\r\n".join([f"HTTP/1.1 {status}", *lines]) + "\r\n\r\n").encode()


@pytest.mark.parametrize(
    "changes",
    [{}, {"Connection": "keep-alive, Upgrade"}, {"Upgrade": "WebSocket"}, {"Server": "x"}],
)
def test_a_good_answer_is_accepted(changes: dict[str, str | None]) -> None:
    assert read_response(response(**changes), key=KEY) == ACCEPT


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        (response("401 Unauthorized"), 401, "401 Unauthorized"),
        (response("499 Strange"), 499, "499 Unknown"),
        (response("302 Found", Location="wss://evil.example"), 302, "redirects are not followed"),
        (response("500"), 500, "500 Internal"),
        (response("099 Low"), None, "status line"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", None, "status line"),
        (b"HTTP/1.1 101 x\r\nbroken\r\n\r\n", None, "malformed"),
        (response(Upgrade=None), None, "without Upgrade"),
        (response(Connection="close"), None, "without Connection"),
        (response(Sec_WebSocket_Accept="AAAA"), None, "does not fit"),
        (response(Sec_WebSocket_Accept=None), None, "does not fit"),
        (response(Sec_WebSocket_Extensions="permessage-deflate"), None, "not offered"),
        (response(Sec_WebSocket_Protocol="chat"), None, "not offered"),
    ],
)
def test_any_other_answer_is_a_handshake_error(
    answer: bytes, status: int | None, text: str
) -> None:
    with pytest.raises(HandshakeError, match=text) as caught:
        read_response(answer, key=KEY)
    assert caught.value.status == status
    assert "evil" not in str(caught.value)


def test_a_request_keeps_its_target_and_headers_as_they_came() -> None:
    request = read_request(b"GET /a?b=c%20d&b HTTP/1.1\r\nX-A:  1 \r\nx-a: \xe92\r\n\r\n")
    assert (request.target, request.path) == ("/a?b=c%20d&b", "/a")
    assert request.headers == (("X-A", "1"), ("x-a", "é2"))
    assert not request.wants_upgrade
    assert "X-A" not in repr(request)


def test_two_keys_are_malformed() -> None:
    request = read_request(
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\n" + f"Sec-WebSocket-Key: {KEY}\r\n".encode() * 2 + b"\r\n"
    )
    with pytest.raises(RefusedHead, match="Key"):
        websocket_key(request)


def test_an_answer_ends_the_connection_and_tells_its_length() -> None:
    assert reply_bytes(HttpReply(401)) == (
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )


@pytest.mark.parametrize(
    "header", [("X A", "1"), ("", "1"), ("X:", "1"), ("X", "1\r\nY: 2"), ("X", "\x00")]
)
def test_headers_that_would_break_the_request_apart_are_refused(header: tuple[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="header"):
        check_headers((header,))
