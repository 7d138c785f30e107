"""Whole sessions between our two ends."""

from __future__ import annotations

import os
import time

import pytest
from tests.transport.world import client_of, opened, serving, until, within

pytestmark = pytest.mark.integration


@pytest.mark.anyio
async def test_a_session_is_opened_streamed_and_closed_in_order() -> None:
    async with serving() as service:
        driver, heard = await opened(service.uri)
        session = client_of(driver)
        sent = os.urandom(160_000)
        for at in range(0, len(sent), 1600):
            await until(lambda: driver.is_writable)
            session.send_audio(sent[at : at + 1600], time.monotonic_ns())
            driver.flush()
        session.close(time.monotonic_ns())
        driver.flush()
        ended = await within(driver.ended)
        server = await service.one()
        assert server.driver is not None
        await within(server.driver.ended)
        assert bytes(server.audio) == sent
        assert ended.is_clean
        assert server.ended.is_clean
        assert ended.position == server.ended.position == 80_000
        assert heard.ended is ended
