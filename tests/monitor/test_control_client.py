"""The client of the control interface, against answers that are as wrong as they can be."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest

from openaudiohook.exceptions import ConfigurationError, ControlError
from openaudiohook.monitor.control_client import ControlClient

pytestmark = pytest.mark.integration

Answer = tuple[int, dict[str, str], bytes]
Behaviour = Callable[[str, str, dict[str, str]], Answer]

SECRET = "the-secret"
TOKEN = json.dumps({"access_token": "a-token", "token_type": "bearer"}).encode()


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    return status, headers, b"" if body is None else json.dumps(body).encode()


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[tuple[ControlClient, list[str]]]:
    """Run an interface that logs everybody in and then behaves; yields what it was asked, too."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout: ClassVar[float] = 10

        def handle_one(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            asked.append(f"{self.command} {self.path}")
            if self.path == "/oauth/token":
                status, headers, body = 200, {}, TOKEN
            else:
                status, headers, body = behaviour(self.command, self.path, dict(self.headers))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            if "Content_Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one  # noqa: N815

        def log_message(self, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        base = f"http://127.0.0.1:{server.server_port}"
        yield ControlClient(base, client_id="ops", secret=SECRET, timeout_s=10), asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_it_logs_in_once_and_asks_with_the_token() -> None:
    def behaviour(method: str, path: str, headers: dict[str, str]) -> Answer:
        assert headers["Authorization"] == "Bearer a-token"
        return answer(204) if method == "DELETE" else answer(200, {"method": method})

    with serving(behaviour) as (client, asked):
        assert client.get("/x", a=1, b=None) == {"method": "GET"}
        assert client.post("/x", {}) == {"method": "POST"}
        assert client.put("/x", {}) == {"method": "PUT"}
        assert client.patch("/x", {}) == {"method": "PATCH"}
        client.delete("/x")
    assert asked == [
        "POST /oauth/token", "GET /x?a=1", "POST /x", "PUT /x", "PATCH /x", "DELETE /x",
    ]  # fmt: skip


def test_a_token_that_expired_is_replaced_once() -> None:
    refusals = iter([401, 200, 401, 401])

    def behaviour(method: str, path: str, headers: dict[str, str]) -> Answer:
        status = next(refusals)
        return answer(status, {"message": "expired", "code": "bad.credentials"})

    with serving(behaviour) as (client, asked):
        assert client.get("/x")["message"] == "expired"
        with pytest.raises(ControlError) as caught:
            client.get("/x")
    assert (caught.value.status, caught.value.code) == (401, "bad.credentials")
    assert asked.count("POST /oauth/token") == 3


def test_pages_are_followed_to_the_last_and_never_elsewhere() -> None:
    def behaviour(method: str, path: str, headers: dict[str, str]) -> Answer:
        if path == "/list?after=1":
            return answer(200, {"entities": [{"id": 2}]})
        following = "http://elsewhere.example/list?after=1"
        return answer(200, {"entities": [{"id": 1}], "nextUri": following})

    with serving(behaviour) as (client, asked):
        assert [one["id"] for one in client.all("/list")] == [1, 2]
    assert asked[-1] == "GET /list?after=1"


def test_server_sent_events_are_read_as_they_are() -> None:
    stream = b': still there\n\nevent: x\ndata: {"a":\ndata:  1}\n\ndata: {"b": 2}\n\n'

    def behaviour(method: str, path: str, headers: dict[str, str]) -> Answer:
        assert headers["Accept"] == "text/event-stream"
        return 200, {"Content_Type": "text/event-stream"}, stream

    with serving(behaviour) as (client, _):
        assert list(client.stream("/events")) == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        (answer(400, {"message": "name: in use", "code": "bad.request"}), "HTTP 400: name: in use"),
        (answer(500), "HTTP 500: Internal Server Error"),
        ((404, {}, b"<html>"), "HTTP 404: Not Found"),
        ((200, {}, b"<html>"), "no JSON"),
        (answer(302, None, Location="http://127.0.0.1:1/"), "HTTP 302"),
    ],
)
def test_what_is_no_good_answer_is_told(told: Answer, complaint: str) -> None:
    with (
        serving(lambda *_: told) as (client, _),
        pytest.raises(ControlError, match=complaint) as it,
    ):
        client.get("/x")
    assert SECRET not in str(it.value)
    assert "a-token" not in str(it.value)


def test_an_answer_that_breaks_off_is_told() -> None:
    torn = 200, {"Content_Length": "100"}, b'{"a":'
    with serving(lambda *_: torn) as (client, _), pytest.raises(ControlError, match="broke off"):
        client.get("/x")


def test_who_does_not_answer_is_told() -> None:
    with serving(lambda *_: answer(200, {})) as (client, _):
        pass
    with pytest.raises(ControlError, match="is the Monitor running"):
        client.get("/x")


@pytest.mark.parametrize(
    ("base", "complaint"),
    [
        ("monitor.example", "https://monitor.example.com"),
        ("ftp://monitor.example", "an address like"),
        ("https://", "an address like"),
        ("https://ops:secret@monitor.example", "no user or password"),
        ("http://monitor.example", "unencrypted"),
    ],
)
def test_an_address_that_is_none_is_refused(base: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        ControlClient(base, client_id="a", secret="b")


def test_http_may_leave_this_machine_where_that_is_asked_for() -> None:
    client = ControlClient("http://monitor.example/", client_id="a", secret=SECRET, allow_http=True)
    assert client.base == "http://monitor.example"
    assert SECRET not in repr(client)
