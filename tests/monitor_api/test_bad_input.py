"""What cannot be done is refused in the platform's error body, and changes nothing."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.monitor.services import KEY, until
from tests.monitor_api.controls import ADMIN, CREDENTIAL_FIELDS, READER, Control, controlled

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.monitor.api.server import ControlServer

pytestmark = pytest.mark.integration

INTEGRATIONS = "/api/v2/integrations"
CALLS = "/api/v2/audiohook/calls"
CONVERSATIONS = "/api/v2/conversations/calls"
TYPE = {"id": "audiohook"}
SECRET_WORDS = ("Traceback", 'File "', "openaudiohook/", KEY, CREDENTIAL_FIELDS["clientSecret"])


def problem(answer: httpx.Response, status: int, code: str | None = None) -> str:
    """Check that it is the platform's error body; return its message."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    body = answer.json()
    assert {"message", "code", "status", "contextId", "details", "errors"} <= set(body)
    assert body["status"] == status
    assert code is None or body["code"] == code
    assert answer.headers["ININ-Correlation-Id"] == body["contextId"]
    assert str(uuid.UUID(body["contextId"])) == body["contextId"]
    assert not any(word in answer.text for word in SECRET_WORDS)
    return str(body["message"])


async def an_integration(control: Control, name: str = "one") -> str:
    body = {"name": name, "integrationType": TYPE}
    return str((await control.ask("POST", INTEGRATIONS, body))["id"])


@pytest.mark.anyio
async def test_of_twenty_integrations_created_at_once_exactly_five_are(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control:
        answers = await asyncio.gather(
            *(
                control.client.post(
                    INTEGRATIONS, json={"name": f"number {number}", "integrationType": TYPE}
                )
                for number in range(20)
            )
        )
        refused = [answer for answer in answers if not answer.is_success]
        assert len(refused) == 15
        assert {problem(one, 409, "too.many.integrations") for one in refused}
        assert (await control.ask("GET", INTEGRATIONS))["total"] == 5


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"integrationType": {"id": "webhook"}}, "audiohook"),
        ({"integrationType": {"id": "AUDIOHOOK"}}, "audiohook"),
        ({"integrationType": {}}, "integrationType"),
        ({"name": "x"}, "integrationType"),
        ({"integrationType": TYPE, "name": 3}, "name"),
        ({"integrationType": TYPE, "name": " "}, "name"),
        ({"integrationType": TYPE, "name": "x" * 129}, "name"),
        ({"integrationType": TYPE, "name": "a\x1b[31mb"}, "printable"),
        ({"integrationType": TYPE, "name": "a\x00b"}, "printable"),
        ([], "object"),
    ],
)
@pytest.mark.anyio
async def test_an_integration_of_no_type_or_name_is_refused(
    tmp_path: Path, body: Any, said: str
) -> None:
    async with controlled(tmp_path) as control:
        assert said in problem(await control.client.post(INTEGRATIONS, json=body), 400)
        assert (await control.ask("GET", INTEGRATIONS))["total"] == 0


def config(**properties: Any) -> dict[str, Any]:
    return {"version": 1, "properties": {"connectionUri": "wss://example.com/", **properties}}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (config(connectionUri="http://example.com/"), "wss://"),
        (config(connectionUri="ws://example.com/"), "wss://"),
        (config(connectionUri="example.com"), "wss://"),
        (config(connectionUri=""), "wss://"),
        (config(channel="left"), "properties.channel"),
        (config(frameMs=19), "20 to 200"),
        (config(frameMs=20.5), "properties.frameMs"),
        (config(reconnections="true"), "properties.reconnections"),
        (config(reconnection=True), "reconnection"),
        ({**config(), "advanced": []}, "object"),
        ({**config(), "advanced": "text"}, "object"),
        ({**config(), "advanced": {"x": "y" * 60_000}}, "60000"),
        ({**config(), "credentials": {"basicAuth": {"id": "x"}}}, "audioHook"),
        ({**config(), "version": "1"}, "version"),
        ({"properties": {}}, "version"),
    ],
)
@pytest.mark.anyio
async def test_a_configuration_that_cannot_be_used_is_refused(
    tmp_path: Path, body: dict[str, Any], said: str
) -> None:
    async with controlled(tmp_path) as control:
        path = f"{INTEGRATIONS}/{await an_integration(control)}/config/current"
        before = await control.ask("GET", path)
        answer = await control.client.put(path, json=body)
        assert said in problem(answer, 400, "bad.request")
        assert await control.ask("GET", path) == before


@pytest.mark.anyio
async def test_credentials_that_are_not_there_cannot_be_used(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control:
        path = f"{INTEGRATIONS}/{await an_integration(control)}/config/current"
        body = {**config(), "credentials": {"audioHook": {"id": str(uuid.uuid4())}}}
        problem(await control.client.put(path, json=body), 404, "not.found")


@pytest.mark.anyio
async def test_a_stale_version_is_a_conflict(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control:
        path = f"{INTEGRATIONS}/{await an_integration(control)}/config/current"
        assert (await control.ask("PUT", path, config()))["version"] == 2
        problem(await control.client.put(path, json=config()), 409, "version.conflict")
        queue = await control.ask("POST", "/api/v2/routing/queues", {"name": "q"})
        path = f"/api/v2/routing/queues/{queue['id']}"
        for version in (0, 2):
            answer = await control.client.put(path, json={"name": "p", "version": version})
            problem(answer, 409, "version.conflict")
        assert (await control.ask("PUT", path, {"name": "p", "version": 1}))["version"] == 2


@pytest.mark.parametrize(
    "body",
    [
        {"type": "basicAuth", "credentialFields": CREDENTIAL_FIELDS},
        {"type": {"id": "basicAuth"}, "credentialFields": CREDENTIAL_FIELDS},
        {"credentialFields": CREDENTIAL_FIELDS},
        {"type": "audioHook", "credentialFields": {"clientSecret": "QUJD"}},
        {"type": "audioHook", "credentialFields": {"apiKey": "a key"}},
        {"type": "audioHook", "credentialFields": {"apiKey": ""}},
        {"type": "audioHook", "credentialFields": {"apiKey": KEY, "clientSecret": "not base64!"}},
        {"type": "audioHook", "credentialFields": {"apiKey": KEY, "secret": "QUJD"}},
        {"type": "audioHook", "credentialFields": {"apiKey": KEY, "clientSecret": None}},
    ],
)
@pytest.mark.anyio
async def test_credentials_that_are_none_are_refused_without_repeating_them(
    tmp_path: Path, body: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with controlled(tmp_path) as control:
        answer = await control.client.post(f"{INTEGRATIONS}/credentials", json=body)
        problem(answer, 400)
        for word in ("a key", "not base64!", "QUJD"):
            assert word not in answer.text
            assert word not in caplog.text
        assert (await control.ask("GET", f"{INTEGRATIONS}/credentials"))["total"] == 0


@pytest.mark.anyio
async def test_credentials_are_never_shown_again(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control:
        body = {"name": "x", "type": "audioHook", "credentialFields": CREDENTIAL_FIELDS}
        path = f"{INTEGRATIONS}/credentials"
        created = await control.client.post(path, json=body)
        for answer in (
            created,
            await control.client.get(path),
            await control.client.get(f"{path}/{created.json()['id']}"),
        ):
            assert answer.is_success
            assert "credentialFields" not in answer.text
            assert not any(secret in answer.text for secret in CREDENTIAL_FIELDS.values())


@pytest.mark.parametrize("state", ["DELETED", "enabled", "", None, 1])
@pytest.mark.anyio
async def test_an_integration_is_switched_on_or_off_and_nothing_else(
    tmp_path: Path, state: Any
) -> None:
    async with controlled(tmp_path) as control:
        path = f"{INTEGRATIONS}/{await an_integration(control)}"
        problem(await control.client.patch(path, json={"intendedState": state}), 400)
        assert (await control.ask("GET", path))["intendedState"] == "DISABLED"


@pytest.mark.anyio
async def test_an_integration_without_configuration_cannot_be_switched_on(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control:
        path = f"{INTEGRATIONS}/{await an_integration(control)}"
        answer = await control.client.patch(path, json={"intendedState": "ENABLED"})
        assert "connection URI" in problem(answer, 400)


@pytest.mark.anyio
async def test_activation_of_a_dead_endpoint_answers_at_once_and_fails_then(
    tmp_path: Path, free_port: int
) -> None:
    async with controlled(tmp_path) as control:
        id_ = await control.integrate(f"ws://127.0.0.1:{free_port}/")
        state = (await control.ask("GET", f"{INTEGRATIONS}/{id_}"))["reportedState"]
        assert state["code"] == "ERROR"
        assert "connection failed" in state["detail"]["message"]
        listed = await control.ask("GET", f"{INTEGRATIONS}?reportedState=ERROR")
        assert [each["id"] for each in listed["entities"]] == [id_]
        events = await control.ask("GET", f"/api/v2/audiohook/events?entityId={id_}")
        assert [each["eventEntity"]["id"] for each in events["entities"]] == ["AUDIOHOOK-0140"]


@pytest.fixture
def free_port(unused_tcp_port: int) -> int:
    return unused_tcp_port


@pytest.fixture
def unused_tcp_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.anyio
async def test_a_pause_of_an_unknown_or_ended_conversation_is_not_found(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control:
        ended = await control.place()
        await control.ask("POST", f"{CALLS}/{ended}/hangup")
        for conversation_id in (ended, str(uuid.uuid4()), "none", "%00"):
            path = f"/api/v2/conversations/calls/{conversation_id}"
            for state in ("PAUSED", "ACTIVE"):
                body = {"recordingState": state}
                problem(await control.client.patch(path, json=body), 404, "not.found")
                answer = await control.client.put(f"{path}/recordingstate", json=body)
                problem(answer, 404, "not.found")
            answer = await control.client.post(f"{CALLS}/{conversation_id}/hangup")
            problem(answer, 404, "not.found")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"recordingState": "STOPPED"},
        {"recordingState": "paused"},
        {"recordingState": "PAUSED", "securePause": "yes"},
        {"recordingState": "PAUSED", "effectiveAt": -1},
        {"recordingState": "PAUSED", "effectiveAt": 0.5},
        {"recordingState": "PAUSED", "securePause": False, "effectiveAt": 0},
        {"state": "connected"},
        {"state": "disconnected", "recordingState": "PAUSED"},
    ],
)
@pytest.mark.anyio
async def test_a_pause_that_is_none_is_refused_and_changes_nothing(
    tmp_path: Path, body: dict[str, Any]
) -> None:
    async with controlled(tmp_path) as control:
        conversation_id = await control.place()
        path = f"/api/v2/conversations/calls/{conversation_id}"
        problem(await control.client.patch(path, json=body), 400)
        assert (await control.ask("GET", path))["recordingState"] == "none"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "source"),
        ({"source": {}}, "'file', 'tone' and 'scenario'"),
        ({"source": {"tone": 1, "file": "a.wav"}}, "file"),
        ({"source": {"tone": 0}}, "tone"),
        ({"source": {"tone": 0.00001}}, "samples"),
        ({"source": {"tone": "1e999999999"}}, "tone"),
        ({"source": {"tone": "NaN"}}, "tone"),
        ({"source": {"file": "../secret.wav"}}, "media directory"),
        ({"source": {"file": "/etc/passwd"}}, "media directory"),
        ({"source": {"file": "missing.wav"}}, "media directory"),
        ({"source": {"file": "\x00"}}, "media directory"),
        ({"source": {"file": "link.wav"}}, "media directory"),
        ({"source": {"scenario": "../call.toml"}}, "media directory"),
        ({"source": {"scenario": "no.toml"}}, "media directory"),
        ({"source": {"url": "http://example.com/"}}, "url"),
        ({"source": {"tone": 1}, "queueId": "none"}, "queue"),
        ({"source": {"tone": 1}, "speed": 0}, "speed"),
        ({"source": {"tone": 1}, "speed": "Infinity"}, "speed"),
        ({"source": {"tone": 1}, "speed": "1e-999999999"}, "speed"),
        ({"source": {"tone": 1}, "speed": 1001}, "speed"),
        ({"source": {"tone": 1}, "edge": "cloud"}, "edge"),
        ({"source": {"tone": 1}, "conversationId": "x"}, "conversation"),
    ],
)
@pytest.mark.anyio
async def test_a_call_that_cannot_be_placed_is_refused(
    tmp_path: Path, body: dict[str, Any], said: str
) -> None:
    media = tmp_path / "media"
    media.mkdir()
    (tmp_path / "secret.wav").write_bytes(b"RIFF")
    (tmp_path / "call.toml").write_text("[call]\n")
    (media / "link.wav").symlink_to(tmp_path / "secret.wav")
    async with controlled(tmp_path, media_dir=media) as control:
        answer = await control.client.post(CALLS, json=body)
        message = problem(answer, 400)
        assert said in message
        assert str(tmp_path) not in message
        assert (await control.ask("GET", CALLS))["total"] == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"action": "record"}, 400),
        ({"action": "secureFlow"}, 400),
        ({"action": "setLanguage"}, 400),
        ({"action": "setLanguage", "language": "not a tag"}, 400),
        ({"action": "audioMonitoring", "enable": "true"}, 400),
        ({"action": "secureFlow", "enable": True, "why": "x"}, 400),
        ({"action": "secureFlow", "enable": True, "effectiveAt": "now"}, 400),
    ],
)
@pytest.mark.anyio
async def test_a_flow_action_that_is_none_is_refused(
    tmp_path: Path, body: dict[str, Any], status: int
) -> None:
    async with controlled(tmp_path) as control:
        path = f"{CALLS}/{await control.place()}/flowactions"
        problem(await control.client.post(path, json=body), status)


@pytest.mark.anyio
async def test_nobody_ends_a_secure_pause_that_others_hold(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control:
        conversation_id = await control.place()
        path = f"/api/v2/conversations/calls/{conversation_id}"
        flow = {"action": "secureFlow", "enable": True, "flow": "payment"}
        await control.ask("POST", f"{CALLS}/{conversation_id}/flowactions", flow)
        answer = await control.client.patch(path, json={"recordingState": "ACTIVE"})
        assert "flow" in problem(answer, 409, "conflict")
        assert (await control.ask("GET", path))["securePause"] is True


# Bodies, methods, paths -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b'{"name": "\xff"}', b"[" * 100_000, b"null", b"3", b'"\\ud800"'],
)
@pytest.mark.anyio
async def test_a_body_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    async with controlled(tmp_path) as control:
        for path in (INTEGRATIONS, CALLS, "/api/v2/routing/queues"):
            problem(await control.client.post(path, content=content), 400, "bad.request")


@pytest.mark.anyio
async def test_a_body_that_is_missing_is_named(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control:
        said = problem(await control.client.post(INTEGRATIONS), 400, "bad.request")
        assert said == "The body is missing: JSON is needed."


@pytest.mark.anyio
async def test_a_client_that_leaves_amid_its_request_is_no_mistake_of_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with controlled(tmp_path) as control:
        _, writer = await asyncio.open_connection("127.0.0.1", control.client.base_url.port)
        head = "POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"
        writer.write(head.encode())
        await writer.drain()
        await control.ask("GET", INTEGRATIONS)  # the request before it has come to its body
        writer.close()
        await writer.wait_closed()
    assert "500" not in caplog.text


@pytest.mark.anyio
async def test_a_body_that_is_too_long_is_refused(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control:
        body = {"name": "x" * 600_000, "integrationType": TYPE}
        problem(await control.client.post(INTEGRATIONS, json=body), 413)


@pytest.mark.anyio
async def test_other_methods_and_paths_are_told_so(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control:
        answer = await control.client.post(f"{INTEGRATIONS}/x")
        problem(answer, 405, "method.not.allowed")
        assert "GET" in answer.headers["Allow"]
        for path in ("/", "/api/v2", "/api/v2/users", "/schema", "/%ff", f"{INTEGRATIONS}/a/b"):
            problem(await control.client.get(path), 404, "not.found")


@pytest.mark.parametrize(
    "query",
    [
        "pageSize=0",
        "pageSize=501",
        "pageSize=x",
        "pageNumber=0",
        "pageNumber=99999999",
        "pageSize=",
    ],
)
@pytest.mark.anyio
async def test_a_page_that_there_cannot_be_is_refused(tmp_path: Path, query: str) -> None:
    async with controlled(tmp_path) as control:
        answer = await control.client.get(f"{INTEGRATIONS}?{query}")
        assert query.partition("=")[0] in problem(answer, 400)


@pytest.mark.parametrize("month", ["2026-13", "2026", "november", "2026-1", "0000-01", "9999-12"])
@pytest.mark.anyio
async def test_a_month_that_is_none_is_refused(tmp_path: Path, month: str) -> None:
    async with controlled(tmp_path) as control:
        answer = await control.client.get(f"/api/v2/audiohook/usage?month={month}")
        assert "month" in problem(answer, 400)


# Logging in -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "authorization", "status", "error"),
    [
        ({"grant_type": "password"}, (ADMIN.id, ADMIN.secret), 400, "unsupported_grant_type"),
        ({}, (ADMIN.id, ADMIN.secret), 400, "invalid_request"),
        ({"grant_type": "client_credentials"}, (ADMIN.id, "wrong"), 401, "invalid_client"),
        ({"grant_type": "client_credentials"}, ("nobody", "wrong"), 401, "invalid_client"),
        ({"grant_type": "client_credentials"}, None, 401, "invalid_client"),
        (
            {"grant_type": "client_credentials", "scope": "everything"},
            (ADMIN.id, ADMIN.secret),
            400,
            "invalid_scope",
        ),
        (
            {"grant_type": "client_credentials", "scope": "routing"},
            (READER.id, READER.secret),
            400,
            "invalid_scope",
        ),
    ],
)
@pytest.mark.anyio
async def test_a_login_that_fails_says_so_in_both_shapes(
    tmp_path: Path,
    form: dict[str, str],
    authorization: tuple[str, str] | None,
    status: int,
    error: str,
) -> None:
    async with controlled(tmp_path) as control, httpx.AsyncClient() as client:
        answer = await client.post(
            f"{control.server.uri}/oauth/token", data=form, auth=authorization
        )
        message = problem(answer, status)
        assert answer.json()["error"] == error
        assert answer.json()["error_description"] == message


@pytest.mark.parametrize("text", ["x", "Ym9i", "=====", "YWRtaW46", "/w=="])
@pytest.mark.anyio
async def test_an_authorization_that_is_no_basic_one_is_refused(tmp_path: Path, text: str) -> None:
    async with controlled(tmp_path) as control:
        answer = await control.client.post(
            "/oauth/token",
            data={"grant_type": "client_credentials"},
            headers={"Authorization": f"Basic {text}"},
        )
        problem(answer, 401 if text == "YWRtaW46" else 400)


@pytest.mark.anyio
async def test_credentials_of_a_form_are_as_good_as_those_of_a_header(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control, httpx.AsyncClient() as client:
        form = {
            "grant_type": "client_credentials",
            "client_id": READER.id,
            "client_secret": READER.secret,
        }
        answer = await client.post(f"{control.server.uri}/oauth/token", data=form)
        issued = answer.json()
        assert issued["token_type"] == "bearer"
        assert issued["expires_in"] == 3600
        assert set(issued["scope"].split()) == READER.scopes
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.anyio
async def test_more_requests_than_allowed_are_answered_429(tmp_path: Path) -> None:
    async with controlled(tmp_path, requests_per_minute=3) as control:
        for _ in range(3):
            await control.ask("GET", INTEGRATIONS)
        answer = await control.client.get(INTEGRATIONS)
        problem(answer, 429, "too.many.requests")
        assert 1 <= int(answer.headers["Retry-After"]) <= 20


# What is broken -------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_mistake_of_ours_is_500_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(f"something about {KEY}")

    async with controlled(tmp_path) as control:
        monkeypatch.setattr(control.platform, "calls", broken)
        answer = await control.client.get("/api/v2/conversations")
        problem(answer, 500, "internal.server.error")
        assert answer.json()["contextId"] in caplog.text
        assert "RuntimeError at broken" in caplog.text
        assert KEY not in caplog.text
        assert "Traceback" not in caplog.text


@pytest.mark.anyio
async def test_a_database_that_is_away_is_503_and_says_when_to_come_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with away(tmp_path) as control:
        answer = await control.client.post(
            INTEGRATIONS, json={"name": "x", "integrationType": TYPE}
        )
        message = problem(answer, 503, "service.unavailable")
        assert str(tmp_path) not in message
        assert int(answer.headers["Retry-After"]) > 0
        conversation_id = await control.place()
        path = f"/api/v2/conversations/calls/{conversation_id}"
        paused = await control.ask("PATCH", path, {"recordingState": "PAUSED"})
        assert paused["audiohook"]["heldBy"] == ["api"]
        assert "503" in caplog.text


@pytest.mark.anyio
async def test_a_journal_that_cannot_be_written_is_503_and_says_what_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with controlled(tmp_path) as control:
        first, second = await control.place(), await control.place()
        await control.ask(
            "PATCH", paused := f"{CONVERSATIONS}/{first}", {"recordingState": "PAUSED"}
        )
        with monkeypatch.context() as broken:
            broken.setattr("openaudiohook.store.line_file.os.pwrite", full)
            answer = await control.client.patch(
                f"{CONVERSATIONS}/{second}", json={"recordingState": "PAUSED"}
            )
            message = problem(answer, 503, "service.unavailable")
            assert "in force" in message
            assert "No space left" in message
            answer = await control.client.patch(paused, json={"recordingState": "ACTIVE"})
            assert "goes on" in problem(answer, 503, "service.unavailable")
        for conversation_id in (first, second):
            state = await control.ask("GET", f"{CONVERSATIONS}/{conversation_id}")
            assert state["securePause"] is True
        ended = await control.ask("PATCH", paused, {"recordingState": "ACTIVE"})
        assert ended["securePause"] is False


@pytest.mark.anyio
async def test_a_token_that_has_expired_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with controlled(tmp_path, token_seconds=60) as control:
        tokens = control.server._app.state.tokens
        now_ns = tokens._now_ns()
        monkeypatch.setattr(tokens, "_now_ns", lambda: now_ns + 60 * 10**9)
        answer = await control.client.get(INTEGRATIONS)
        assert "expired" in problem(answer, 401, "bad.credentials")
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


@asynccontextmanager
async def away(tmp_path: Path) -> AsyncIterator[Control]:
    """A Monitor whose database is locked by somebody else meanwhile."""
    import sqlite3

    async with controlled(tmp_path) as control:
        await until(lambda: not control.platform._projector.lag)
        other = sqlite3.connect(tmp_path / "monitor.sqlite", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        try:
            yield control
        finally:
            other.execute("ROLLBACK")
            other.close()


@pytest.mark.anyio
async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control:
        second = ControlServer(control.platform, [], port=control.server.port)
        with pytest.raises(ConfigurationError, match=re.escape(str(control.server.port))):
            await second.start()
        with pytest.raises(ConfigurationError, match=r"nowhere\.invalid"):
            await ControlServer(control.platform, [], host="nowhere.invalid").start()
