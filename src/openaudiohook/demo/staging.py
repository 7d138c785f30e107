"""The Monitor of the demo: it runs here, and everything is asked of its control interface."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import shutil
import tomllib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

from openaudiohook.audio import RATE
from openaudiohook.demo.checking import INTEGRATION
from openaudiohook.demo.report import UsageLine
from openaudiohook.demo.usage import usage_lines
from openaudiohook.exceptions import ConfigurationError
from openaudiohook.monitor.assembly import assembled
from openaudiohook.monitor.config import MonitorConfig
from openaudiohook.monitor.control_client import ControlClient
from openaudiohook.monitor.declared import DEFAULT_ORGANIZATION, ApiClient
from openaudiohook.monitor.live_call import LiveCall
from openaudiohook.monitor.platform import Platform
from openaudiohook.monitor.provision import Plan, provision

__all__ = ["Stage", "open_stage", "plan", "stage_call"]

_CLIENT: Final = "demo"
_CALL: Final = "call.toml"


class Stage:
    """A Monitor that runs.

    Args:
        platform: to look at its calls; nothing is asked of it but that.
        control: what everything is asked through. It waits, and so it is used in threads.
    """

    def __init__(self, platform: Platform, control: ControlClient) -> None:
        self._platform = platform
        self._control = control

    async def configure(self, integrations: Mapping[str, Plan]) -> None:
        """Make the integrations one after the other, and have each of them probed.

        Raises:
            ConfigurationError: the probe of one failed.
        """
        for name, plan in integrations.items():
            done = await asyncio.to_thread(provision, self._control, plan)
            if not done.is_active:
                raise ConfigurationError(f"the integration {name} is not active: {done.text}")

    async def place(self) -> LiveCall:
        """Place the call that was staged."""
        body = {"source": {"scenario": _CALL}, "edgeType": "cloud"}
        placed = await asyncio.to_thread(self._control.post, "/api/v2/audiohook/calls", body)
        return self._platform.call(DEFAULT_ORGANIZATION.id, placed["conversationId"])

    async def usage(self, conversation_id: str) -> tuple[UsageLine, ...]:
        """Ask what a call cost."""
        told = await asyncio.to_thread(self._control.get, "/api/v2/audiohook/usage")
        rows = [row for row in told["entities"] if row["conversationId"] == conversation_id]
        return usage_lines(rows)


@contextlib.asynccontextmanager
async def open_stage(directory: Path) -> AsyncIterator[Stage]:
    """Run a Monitor whose state, key and media are in a directory of its own."""
    secret = secrets.token_urlsafe(24)
    client = ApiClient(id=_CLIENT, secret=secret, organization_id=DEFAULT_ORGANIZATION.id)
    config = MonitorConfig(
        port=0,
        state_dir=str(directory / "state"),
        media_dir=str(directory),
        clients=(client,),
        requests_per_minute=10_000,
    )
    # The checkers compare what was sent with what came.
    async with assembled(config, keeps_evidence=True) as running:
        control = ControlClient(running.server.uri, client_id=_CLIENT, secret=secret)
        yield Stage(running.platform, control)


def plan(name: str, *, uri: str, api_key: str, client_secret: str) -> Plan:
    """One integration of the demo; its `customConfig` tells the checker which one it is."""
    return Plan(
        name=name,
        uri=uri,
        api_key=api_key,
        client_secret=client_secret,
        advanced=json.dumps({INTEGRATION: name}),
    )


def stage_call(call_file: Path, directory: Path, *, until: int | None) -> None:
    """Put a call where the Monitor may take it from: what it plays, and its script.

    Args:
        call_file: the script; what it plays lies beside it.
        directory: the Monitor's media directory.
        until: the sample, from call entry, at which it is to be hung up; None for the script's end.
    """
    for path in call_file.parent.glob("*.wav"):
        shutil.copy(path, directory)
    if until is None:
        shutil.copy(call_file, directory / _CALL)
        return
    script = tomllib.loads(call_file.read_text(encoding="utf-8"))
    steps = [step for step in script["step"] if step["at"] * RATE < until]
    steps.append({"at": until / RATE, "hangup": True})
    lines = _table("[call]", script.get("call", {}))
    for step in steps:
        lines += _table("[[step]]", step)
    (directory / _CALL).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _table(header: str, values: Mapping[str, Any]) -> list[str]:
    """A TOML table of texts, numbers, and true or false, which are written as JSON has them."""
    return [header, *(f"{key} = {json.dumps(value)}" for key, value in values.items()), ""]
