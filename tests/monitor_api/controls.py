"""A Monitor with its control interface, as a client in the same process sees it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.monitor.platforms import ORG, OTHER, platform_in
from tests.monitor.services import KEY, SECRET, until

from openaudiohook.monitor.api.server import ControlServer
from openaudiohook.monitor.declared import ApiClient
from openaudiohook.monitor.platform import Platform

ADMIN = ApiClient(id="admin", secret="the secret of the admin", organization_id=ORG)
STRANGER = ApiClient(id="stranger", secret="the secret of a stranger", organization_id=OTHER)
READER = ApiClient(
    id="reader",
    secret="the secret of a reader",
    organization_id=ORG,
    scopes=frozenset({"integrations:readonly", "conversations:readonly"}),
)
CLIENTS = (ADMIN, STRANGER, READER)
CREDENTIAL_FIELDS = {"apiKey": KEY, "clientSecret": base64.b64encode(SECRET).decode()}


class Control:
    """A running control interface; `client` asks as the admin unless told otherwise."""

    def __init__(
        self, platform: Platform, server: ControlServer, client: httpx.AsyncClient
    ) -> None:
        self.platform = platform
        self.server = server
        self.client = client

    async def login(self, who: ApiClient, **form: str) -> dict[str, str]:
        """Log in; return the headers of whoever did."""
        answer = await self.client.post(
            "/oauth/token",
            data={"grant_type": "client_credentials", **form},
            auth=(who.id, who.secret),
        )
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Ask as the admin; return what was answered, which has to be a yes."""
        answer = await self.client.request(method, path, json=body, **more)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def integrate(self, uri: str, *, name: str = "one", **properties: Any) -> str:
        """Create an integration for a service, and have it active; return its id."""
        created = await self.ask(
            "POST", "/api/v2/integrations", {"name": name, "integrationType": {"id": "audiohook"}}
        )
        credential = await self.ask(
            "POST",
            "/api/v2/integrations/credentials",
            {"name": name, "type": {"id": "audioHook"}, "credentialFields": CREDENTIAL_FIELDS},
        )
        path = f"/api/v2/integrations/{created['id']}"
        await self.ask(
            "PUT",
            f"{path}/config/current",
            {
                "version": 1,
                "properties": {"connectionUri": uri, **properties},
                "credentials": {"audioHook": {"id": credential["id"]}},
            },
        )
        await self.ask("PATCH", path, {"intendedState": "ENABLED"})
        await self.settled(created["id"])
        return str(created["id"])

    async def settled(self, integration_id: str) -> dict[str, Any]:
        """Wait for an integration's probe."""
        directory = self.platform._directory
        await until(lambda: directory.integration(ORG, integration_id).status != "PROBING")
        state = await self.ask("GET", f"/api/v2/integrations/{integration_id}")
        return dict(state["reportedState"])

    async def place(self, **wanted: Any) -> str:
        """Place a call of a tone; return its conversation's id."""
        body = {"source": {"tone": 600}, "edgeType": "cloud", **wanted}
        placed = await self.ask("POST", "/api/v2/audiohook/calls", body)
        return str(placed["conversationId"])


@asynccontextmanager
async def controlled(directory: Path, **settings: Any) -> AsyncIterator[Control]:
    """Run a Monitor with two organizations, and log the first one's admin in."""
    limits = {"requests_per_minute": settings.pop("requests_per_minute", 100_000)}
    limits |= {"token_seconds": settings.pop("token_seconds", 3600)}
    async with (
        platform_in(directory, **settings) as platform,
        ControlServer(platform, CLIENTS, port=0, **limits) as server,
        httpx.AsyncClient(base_url=server.uri, timeout=30) as client,
    ):
        control = Control(platform, server, client)
        client.headers.update(await control.login(ADMIN))
        yield control
