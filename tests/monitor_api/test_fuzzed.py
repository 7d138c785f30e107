"""Whatever is made up from the document is answered as the document says, and never with 5xx."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from pathlib import Path

import pytest
from tests.monitor_api.controls import Control, controlled

pytest.importorskip("schemathesis")
pytestmark = pytest.mark.peer

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance"
)
EXAMPLES = 8


async def hang_up_again_and_again(control: Control) -> None:
    """End what is placed: made-up calls last a day and run a thousand times too fast."""
    while True:
        for call in tuple(control.platform._running.values()):
            call.hang_up()
        await asyncio.sleep(0.05)


@pytest.mark.anyio
async def test_nothing_that_can_be_made_up_from_the_document_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with controlled(tmp_path, requests_per_minute=1_000_000) as control:
        hanging_up = asyncio.create_task(hang_up_again_and_again(control))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run"),
            f"{control.server.uri}/schema/openapi.json",
            *("--header", f"Authorization: {control.client.headers['Authorization']}"),
            *("--checks", CHECKS, "--max-examples", str(EXAMPLES)),
            *("--continue-on-failure", "--no-color", "--seed", "1"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await process.communicate()
        finally:
            hanging_up.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await hanging_up
        told = said.decode()
        assert process.returncode == 0, told[-6_000:]
        assert "test cases" in told.lower()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
