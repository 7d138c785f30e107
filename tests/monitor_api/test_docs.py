"""The page about the control interface: its commands run, and it names every route."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest
from tests.monitor.services import KEY, serving
from tests.monitor_api.controls import ADMIN, CREDENTIAL_FIELDS, controlled

from openaudiohook.monitor.api.app import document
from openaudiohook.monitor.api.errors import _CODES

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parent.parent.parent / "docs/reference/control-api.md"
METHODS = ("get", "post", "put", "patch", "delete")


def rows() -> list[str]:
    """What the page says of each route, from the document."""
    lines = ["| | route | scope | what it does |", "| --- | --- | --- | --- |"]
    for path, item in document()["paths"].items():
        for method in METHODS:
            if method in item:
                operation = item[method]
                needed = [
                    scope for each in operation.get("security", ()) for scope in each["oauth"]
                ]
                scope = f"`{needed[0]}`" if needed else "none"
                does = operation["description"].partition("\n")[0]
                lines.append(f"| {method.upper()} | `{path}` | {scope} | {does} |")
    return lines


def test_every_route_is_on_the_page() -> None:
    found = re.search(r"<!-- routes: begin.*?-->\n(.*?)\n?<!-- routes: end -->", text(), re.S)
    assert found is not None
    assert found[1].strip().splitlines() == rows()


def test_every_error_is_on_the_page() -> None:
    for status, code in _CODES.items():
        assert re.search(rf"^\| {status} \| .*`{re.escape(code)}`", text(), re.M), status


@pytest.mark.skipif(shutil.which("curl") is None, reason="the commands of the page use curl")
@pytest.mark.anyio
async def test_the_commands_of_the_page_run(tmp_path: Path) -> None:
    script = "\n".join(["set -eu", *re.findall(r"^```sh\n(.*?)^```$", text(), re.M | re.S)])
    async with serving() as service, controlled(tmp_path) as control:
        process = await asyncio.create_subprocess_exec(
            *("bash", "-o", "pipefail", "-c", script),
            env={
                "PATH": os.environ["PATH"],
                "MONITOR": control.server.uri,
                "CLIENT": f"{ADMIN.id}:{ADMIN.secret}",
                "SERVICE": service.uri,
                "API_KEY": KEY,
                "CLIENT_SECRET": CREDENTIAL_FIELDS["clientSecret"],
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        told = said.decode()
        assert process.returncode == 0, told
        assert '"code":"ACTIVATING"' in told
        assert '"chargeableSeconds"' in told
        assert told.count('"heldBy":["api"]') == 1
        assert len(service.sessions) == 2, "the probe and the call"


def text() -> str:
    return PAGE.read_text(encoding="utf-8")
