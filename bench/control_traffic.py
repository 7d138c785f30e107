"""Who uses a Monitor's control interface: sets it up, places calls, and then asks all the time.

Usage: python -m bench.control_traffic MONITOR_URI CALLS QUIET_SECONDS SECONDS ENDPOINT_URI...
"""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from bench.control_monitor import CLIENT, SECRET
from bench.figures import quantile
from bench.window import say

__all__ = ["REQUESTS_PER_S", "WORKERS", "Client"]

WORKERS: Final = 4
REQUESTS_PER_S: Final = 100
_OPEN_S: Final = 60.0


class Client:
    """One client of the control interface, on one connection."""

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        self._connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
        self._connection.connect()
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        answer = self._ask(
            "POST",
            "/oauth/token",
            urlencode({"grant_type": "client_credentials"}),
            {
                "Authorization": f"Basic {basic}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        self._headers = {"Authorization": f"Bearer {answer['access_token']}"}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask, and return the answer, which has to be a yes."""
        return self._ask(method, path, None if body is None else json.dumps(body), self._headers)

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Any:
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 400:
            raise SystemExit(f"{method} {path}: {answer.status} {content.decode()}")
        return json.loads(content) if content else None


def set_up(client: Client, calls: int, endpoints: list[str]) -> list[str]:
    """Have integrations active, and calls stream to them; return the conversations."""
    for number, uri in enumerate(endpoints):
        integrate(client, f"endpoint {number}", uri)
    queue = client.ask(
        "POST", "/api/v2/routing/queues", {"name": "bench", "enableAudioMonitoring": True}
    )
    place = {"source": {"tone": 3600}, "queueId": queue["id"], "edgeType": "cloud"}
    ids = []
    for _ in range(calls):
        ids.append(client.ask("POST", "/api/v2/audiohook/calls", place)["conversationId"])
        time.sleep(0.02)
    give_up_at = time.monotonic() + _OPEN_S
    while time.monotonic() < give_up_at:
        states = client.ask("GET", "/api/v2/audiohook/calls")["entities"]
        sessions = [one["state"] for state in states for one in state["sessions"]]
        if len(sessions) == calls * len(endpoints) and set(sessions) == {"streaming"}:
            return ids
        time.sleep(0.05)
    raise SystemExit("the calls do not stream")


def integrate(client: Client, name: str, uri: str) -> None:
    """Create an integration, and have it active."""
    body = {"name": name, "integrationType": {"id": "audiohook"}}
    path = f"/api/v2/integrations/{client.ask('POST', '/api/v2/integrations', body)['id']}"
    fields = {"apiKey": "bench", "clientSecret": base64.b64encode(bytes(32)).decode()}
    credential = client.ask(
        "POST",
        "/api/v2/integrations/credentials",
        {"name": name, "type": "audioHook", "credentialFields": fields},
    )
    client.ask(
        "PUT",
        f"{path}/config/current",
        {
            "version": 1,
            "properties": {"connectionUri": uri},
            "credentials": {"audioHook": {"id": credential["id"]}},
        },
    )
    client.ask("PATCH", path, {"intendedState": "ENABLED"})
    give_up_at = time.monotonic() + _OPEN_S
    while (state := client.ask("GET", path)["reportedState"]["code"]) != "ACTIVE":
        if state == "ERROR" or time.monotonic() > give_up_at:
            raise SystemExit(f"{name} is {state}")
        time.sleep(0.05)


def requests(ids: list[str]) -> Iterator[tuple[str, str, Any]]:
    """What an operator's programs ask, again and again."""
    for number, id_ in enumerate(itertools.cycle(ids)):
        call = f"/api/v2/conversations/calls/{id_}"
        yield "GET", "/api/v2/integrations?pageSize=100", None
        yield "GET", f"/api/v2/audiohook/calls/{id_}", None
        yield "PATCH", call, {"recordingState": "PAUSED", "securePause": True}
        yield "GET", "/api/v2/routing/queues", None
        yield "GET", "/api/v2/audiohook/events?pageSize=50", None
        yield "PATCH", call, {"recordingState": "ACTIVE"}
        yield "GET", "/api/v2/conversations", None
        yield "GET", "/api/v2/audiohook/audit?pageSize=50", None
        yield "GET", call, None
        if number % 2:
            yield "GET", "/api/v2/audiohook/usage", None  # reckoned from all there is
        else:
            yield "GET", "/api/v2/audiohook/calls", None


def work(uri: str, ids: list[str], until_s: float, took: list[tuple[float, str]]) -> None:
    """Ask at an even pace until the time is over, and note how long each answer took."""
    client = Client(uri)
    due_s = time.monotonic()
    for method, path, body in requests(ids):
        if due_s >= until_s:
            return
        time.sleep(max(0.0, due_s - time.monotonic()))
        began_s = time.monotonic()
        client.ask(method, path, body)
        took.append((time.monotonic() - began_s, f"{method} {path.partition('?')[0]}"))
        due_s = max(due_s + WORKERS / REQUESTS_PER_S, time.monotonic())


def main(uri: str, calls: int, quiet_s: float, seconds: float, endpoints: list[str]) -> None:
    """Set up, wait, ask, and tell."""
    ids = set_up(Client(uri), calls, endpoints)
    say(event="streaming")
    time.sleep(quiet_s)
    took: list[tuple[float, str]] = []
    until_s = time.monotonic() + seconds
    workers = [
        threading.Thread(target=work, args=(uri, ids[number::WORKERS], until_s, took))
        for number in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    values = [value for value, _ in took]
    longest = max(took, default=(0.0, ""))
    say(
        event="answers",
        requests=len(took),
        seconds=seconds,
        answer_ms=[quantile(values, q) * 1e3 for q in (0.5, 0.99, 1.0)],
        longest=longest[1],
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), sys.argv[5:])
