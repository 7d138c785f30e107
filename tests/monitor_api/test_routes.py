"""Every route there is: it needs a token with its scope, and shows nobody what is another's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.monitor_api.controls import CREDENTIAL_FIELDS, READER, STRANGER, Control, controlled

from openaudiohook.monitor.api.app import build_app, document
from openaudiohook.monitor.declared import SCOPES

pytestmark = pytest.mark.integration

OPEN = {"/oauth/token", "/health/check", "/schema/openapi.json"}
METHODS = ("get", "post", "put", "patch", "delete")
NOBODYS = "00000000-1111-4222-8333-444444444444"
BODIES: dict[str, Any] = {
    "CreateIntegration": {"integrationType": {"id": "audiohook"}, "name": "x"},
    "IntegrationPatch": {"intendedState": "DISABLED"},
    "PutConfiguration": {"version": 1, "properties": {"connectionUri": "wss://example.com/"}},
    "Credential": {"type": "audioHook", "credentialFields": CREDENTIAL_FIELDS},
    "CreateQueue": {"name": "x"},
    "ConversationPatch": {"recordingState": "PAUSED"},
    "SetRecordingState": {"recordingState": "PAUSED"},
    "PlaceCall": {"source": {"tone": 60}},
    "FlowAction": {"action": "audioMonitoring", "enable": True},
    "SourceRequest": {"tone": 60},
}
OPERATIONS = [
    (method, path)
    for path, item in sorted(document()["paths"].items())
    for method in METHODS
    if method in item and path not in OPEN
]
OF_ONE = [(method, path) for method, path in OPERATIONS if "{" in path and "type_id" not in path]


def body_of(method: str, path: str) -> Any:
    """A body that the route takes, where it takes one."""
    operation = document()["paths"][path][method]
    if "requestBody" not in operation:
        return None
    schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    return BODIES[schema.rpartition("/")[2]]


async def ids_of_the_admin(control: Control) -> dict[str, str]:
    """One of each kind of thing that belongs to the first organization."""
    integration = await control.ask("POST", "/api/v2/integrations", BODIES["CreateIntegration"])
    credential = await control.ask("POST", "/api/v2/integrations/credentials", BODIES["Credential"])
    queue = await control.ask("POST", "/api/v2/routing/queues", BODIES["CreateQueue"])
    return {
        "integration_id": integration["id"],
        "credential_id": credential["id"],
        "queue_id": queue["id"],
        "conversation_id": await control.place(),
        "type_id": "audiohook",
    }


def test_the_document_has_every_route_that_is_served() -> None:
    served = {
        (method.lower(), re.sub(r":str}", "}", route.path))
        for route in build_app(None, None).routes  # type: ignore[arg-type]
        for method in route.methods  # type: ignore[attr-defined]
        if method != "OPTIONS" and route.path not in OPEN
    }
    assert served == set(OPERATIONS)


def test_every_scope_that_is_needed_can_be_had() -> None:
    for method, path in OPERATIONS:
        ((scope,),) = (each["oauth"] for each in document()["paths"][path][method]["security"])
        assert scope in SCOPES or f"{scope}:readonly" in SCOPES


@pytest.mark.anyio
async def test_every_route_needs_a_token(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control:
        ids = await ids_of_the_admin(control)
        for method, path in OPERATIONS:
            for authorization in ("", "Bearer wrong", "Basic YWRtaW46eA=="):
                answer = await control.client.request(
                    method,
                    path.format_map(ids),
                    json=body_of(method, path),
                    headers={"Authorization": authorization},
                )
                assert answer.status_code == 401, f"{method} {path}: {answer.text}"
                assert answer.json()["status"] == 401
        for path in OPEN - {"/oauth/token"}:
            answer = await control.client.get(path, headers={"Authorization": ""})
            assert answer.status_code == 200


@pytest.mark.anyio
async def test_every_route_that_changes_something_needs_more_than_a_scope_to_read(
    tmp_path: Path,
) -> None:
    async with controlled(tmp_path) as control:
        ids = await ids_of_the_admin(control)
        reader = await control.login(READER)
        for method, path in OPERATIONS:
            answer = await control.client.request(
                method, path.format_map(ids), json=body_of(method, path), headers=reader
            )
            operation = document()["paths"][path][method]
            may = f"{operation['security'][0]['oauth'][0]}:readonly" in READER.scopes
            expected = 200 if method == "get" and may else 403
            assert answer.status_code == expected, f"{method} {path}: {answer.text}"


@pytest.mark.anyio
async def test_no_route_shows_or_touches_what_belongs_to_another_organization(
    tmp_path: Path,
) -> None:
    async with controlled(tmp_path) as control:
        ids = await ids_of_the_admin(control)
        before = await everything(control, ids)
        stranger = await control.login(STRANGER)
        for method, path in OF_ONE:
            told = []
            for known in (ids, dict.fromkeys(ids, NOBODYS)):
                answer = await control.client.request(
                    method, path.format_map(known), json=body_of(method, path), headers=stranger
                )
                assert answer.status_code == 404, f"{method} {path}: {answer.text}"
                told.append(re.sub(r"[0-9a-f-]{36}", "", answer.json()["message"]))
            assert told[0] == told[1], "what is another's and what is nobody's look the same"
        for method, path in OPERATIONS:
            if method == "get" and "{" not in path and "types" not in path:
                answer = await control.client.get(path, headers=stranger)
                entities = answer.json()["entities"]
                assert not any(id_ in answer.text for id_ in ids.values() if id_ != "audiohook")
                assert entities == [] or path.endswith("/audit"), path
        assert await everything(control, ids) == before


async def everything(control: Control, ids: dict[str, str]) -> list[Any]:
    """What the admin sees of its own."""
    state = await control.ask("GET", f"/api/v2/conversations/{ids['conversation_id']}")
    lists = [
        await control.ask("GET", path)
        for path in (
            "/api/v2/integrations",
            "/api/v2/integrations/credentials",
            "/api/v2/routing/queues",
        )
    ]
    return [state, *lists]


@pytest.mark.anyio
async def test_what_is_served_names_no_other_host(tmp_path: Path) -> None:
    async with controlled(tmp_path) as control:
        ids = await ids_of_the_admin(control)
        paths = [path.format_map(ids) for method, path in OPERATIONS if method == "get"]
        for path in [*paths, *OPEN - {"/oauth/token"}, "/schema", "/schema/swagger", "/"]:
            answer = await control.client.get(path)
            assert answer.headers["Content-Type"].startswith("application/json"), path
            hosts = set(re.findall(r"[a-z]+://([^/\"]+)", answer.text))
            assert hosts <= {"example.com"}, f"{path}: {hosts}"
