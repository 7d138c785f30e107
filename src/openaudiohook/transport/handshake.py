"""The HTTP heads of an upgrade, read strictly and answered briefly.

Both ends read the other's head here and hand the library a plain one of our own making.
The library's reader would put its complaints, and with them what the peer sent, into the
answer, and it does not know `Connection: keep-alive, Upgrade`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from openaudiohook.exceptions import ConfigurationError, HandshakeError

__all__ = [
    "MAX_HEAD_BYTES",
    "HttpReply",
    "RefusedHead",
    "RequestHead",
    "check_headers",
    "plain_request",
    "plain_response",
    "read_request",
    "read_response",
    "reply_bytes",
    "websocket_key",
]

MAX_HEAD_BYTES: Final = 16 * 1024
MAX_HEADERS: Final = 100

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_REQUEST_LINE: Final = re.compile(r"([A-Z]+) (/[\x21-\x7e]*|\*) HTTP/1\.([01])")
_STATUS_LINE: Final = re.compile(r"HTTP/1\.[01] ([1-5][0-9]{2})(?: .*)?")

Headers = tuple[tuple[str, str], ...]


class RefusedHead(Exception):
    """A request head that is answered with `status` and nothing else."""

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status = status


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A short answer to a plain GET.

    Attributes:
        status: the HTTP status.
        body: sent as it is.
        content_type: what the body is; left out where there is none.
        headers: more header fields.
    """

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request as far as an upgrade needs it.

    Attributes:
        target: path and query exactly as in the request line.
        headers: `(name, value)` pairs in the order received.
        is_http_1_1: whether the request may be upgraded at all.
    """

    target: str
    headers: Headers = field(repr=False)
    is_http_1_1: bool = True

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def wants_upgrade(self) -> bool:
        """Whether the request asks for any other protocol than HTTP."""
        return bool(_values(self.headers, "upgrade"))


def read_request(head: bytes) -> RequestHead:
    """Read a request head, with or without the blank line at its end.

    Raises:
        RefusedHead: it is not a GET without a body in well-formed HTTP/1.
    """
    first, headers = _read(head)
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise RefusedHead(400, "the request line is malformed")
    method, target, minor = match.groups()
    if method != "GET":
        raise RefusedHead(405, "the method is not GET")
    lengths = _values(headers, "content-length")
    if _values(headers, "transfer-encoding") or lengths not in ([], ["0"]):
        raise RefusedHead(400, "the request has a body")
    return RequestHead(target, headers, minor == "1")


def websocket_key(request: RequestHead) -> str:
    """Return the `Sec-WebSocket-Key` of a valid upgrade request (RFC 6455 section 4.2.1).

    Raises:
        RefusedHead: 426 for another WebSocket version, 400 for all else.
    """
    if not request.is_http_1_1 or "websocket" not in _tokens(request.headers, "upgrade"):
        raise RefusedHead(400, "not a WebSocket upgrade")
    if "upgrade" not in _tokens(request.headers, "connection"):
        raise RefusedHead(400, "the Connection header does not name Upgrade")
    if _values(request.headers, "sec-websocket-version") != ["13"]:
        raise RefusedHead(426, "the WebSocket version is not 13")
    keys = _values(request.headers, "sec-websocket-key")
    try:
        (key,) = keys
        is_valid = len(base64.b64decode(key, validate=True)) == 16
    except (ValueError, binascii.Error):
        is_valid = False
    if not is_valid:
        raise RefusedHead(400, "Sec-WebSocket-Key is missing or malformed")
    return keys[0]


def plain_request(key: str) -> bytes:
    """Return the upgrade request the library is shown in place of the real one."""
    return (
        "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode("ascii")


def read_response(head: bytes, *, key: str) -> str:
    """Return `Sec-WebSocket-Accept` of a valid answer to an upgrade.

    Raises:
        HandshakeError: the upgrade was refused (with its status), or the answer is not one
            that RFC 6455 allows to a request without extensions and subprotocols.
    """
    try:
        first, headers = _read(head)
    except RefusedHead as error:
        raise HandshakeError(f"the answer to the upgrade is no HTTP: {error}") from None
    match = _STATUS_LINE.fullmatch(first)
    if match is None:
        raise HandshakeError("the answer to the upgrade is no HTTP: its status line is malformed")
    status = int(match[1])
    if status != 101:
        raise HandshakeError(_refusal_text(status), status=status)
    if "websocket" not in _tokens(headers, "upgrade"):
        raise HandshakeError("the server answered 101 without Upgrade: websocket")
    if "upgrade" not in _tokens(headers, "connection"):
        raise HandshakeError("the server answered 101 without Connection: Upgrade")
    for name in ("sec-websocket-extensions", "sec-websocket-protocol"):
        if _values(headers, name):
            raise HandshakeError(f"the server chose a {name} that was not offered")
    accept = base64.b64encode(
        hashlib.sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()
    ).decode("ascii")
    if _values(headers, "sec-websocket-accept") != [accept]:
        raise HandshakeError("the server's Sec-WebSocket-Accept does not fit the request")
    return accept


def plain_response(accept: str) -> bytes:
    """Return the answer the library is shown in place of the real one."""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode("ascii")


def reply_bytes(reply: HttpReply) -> bytes:
    """Return an answer that ends the connection."""
    lines = [f"HTTP/1.1 {reply.status} {_phrase(reply.status)}"]
    if reply.body:
        lines.append(f"Content-Type: {reply.content_type}")
    lines += [f"{name}: {value}" for name, value in reply.headers]
    lines += [f"Content-Length: {len(reply.body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + reply.body


def check_headers(headers: Headers) -> Headers:
    """Return header fields that are safe to send.

    Raises:
        ConfigurationError: a name or a value would break the request apart.
    """
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise ConfigurationError(f"{name!r} is not the name of a header")
        if not _VALUE.fullmatch(value):
            raise ConfigurationError(f"the value of the header {name} holds control characters")
    return headers


def _read(head: bytes) -> tuple[str, Headers]:
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    if len(lines) > MAX_HEADERS:
        raise RefusedHead(431, f"more than {MAX_HEADERS} header lines")
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        value = value.strip(" \t")
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise RefusedHead(400, "a header line is malformed")
        headers.append((name, value))
    return first, tuple(headers)


def _values(headers: Headers, name: str) -> list[str]:
    return [value for key, value in headers if key.lower() == name]


def _tokens(headers: Headers, name: str) -> set[str]:
    return {token.strip().lower() for value in _values(headers, name) for token in value.split(",")}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _refusal_text(status: int) -> str:
    text = f"the server refused the upgrade with {status} {_phrase(status)}"
    if 300 <= status < 400:
        return f"{text}; redirects are not followed, so configure the final URI"
    return text
