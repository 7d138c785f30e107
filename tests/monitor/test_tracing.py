"""Traces that a Monitor writes, and what explaining makes of them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from tests.monitor.platforms import ADMIN, ORG, entries_of, integrate, platform_in, queue_on
from tests.monitor.services import serving

from openaudiohook.monitor.explain import explain
from openaudiohook.monitor.media import SourceRequest
from openaudiohook.monitor.orders import PlaceCall
from openaudiohook.monitor.tracing import TraceFiles, trace_file

pytestmark = [pytest.mark.integration, pytest.mark.anyio]


async def test_a_call_is_traced_without_content_and_its_trace_agrees_with_the_journal(
    tmp_path: Path,
) -> None:
    traces = TraceFiles(tmp_path / "traces")
    async with serving() as service, platform_in(tmp_path, traces=traces) as platform:
        await integrate(platform, service)
        queue = await queue_on(platform)
        source = SourceRequest(tone=Decimal(2))
        place = PlaceCall(source=source, queue_id=queue.id, speed=Decimal(4))
        call = await platform.place_call(ORG, place, requester=ADMIN)
        await call.finished()
        entries = await entries_of(platform, call.conversation_id)
    path = trace_file(tmp_path / "traces", call.conversation_id)
    content = path.read_bytes()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert b'"type":"open"' in content
    assert b'"type":"closed"' in content
    assert b"tel:" not in content
    explanation = explain(
        entries,
        organization_id=ORG,
        conversation_id=call.conversation_id,
        trace=content.splitlines(),
    )
    (lane,) = explanation.parts[0].lanes
    left_out = sum(one.end - one.start for one in lane.stretches if one.fate == "discarded")
    assert (left_out, lane.sent) == (lane.discarded, 16_000)


async def test_a_directory_that_cannot_be_written_traces_nothing_and_harms_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    traces = TraceFiles(tmp_path / "file" / "traces")
    async with serving() as service, platform_in(tmp_path, traces=traces) as platform:
        await integrate(platform, service)
        queue = await queue_on(platform)
        place = PlaceCall(
            source=SourceRequest(tone=Decimal(1)), queue_id=queue.id, speed=Decimal(4)
        )
        call = await platform.place_call(ORG, place, requester=ADMIN)
        report = await call.finished()
    assert report.is_good
    assert [one.message for one in caplog.records if "trace" in one.message] == [
        "a trace cannot be written: Not a directory"
    ]
