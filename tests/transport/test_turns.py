"""A connection is read in turns and at a bounded pace; what it sent arrives whole, in order."""

from __future__ import annotations

import asyncio
import random
import ssl
from pathlib import Path

import pytest
import trustme
from tests.transport.raw import Raw, frame
from tests.transport.world import OPEN, opened, serving, until

from openaudiohook.transport import client_tls

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

TINY_FRAMES = 1_000


def tiny(seed: int) -> tuple[bytes, bytes]:
    """Audio, and the tiny frames of uneven size that carry it."""
    chance = random.Random(seed)
    parts = [chance.randbytes(2 * chance.randint(1, 40)) for _ in range(TINY_FRAMES)]
    return b"".join(parts), b"".join(frame(2, part) for part in parts)


async def test_tiny_frames_arrive_whole_and_in_order() -> None:
    audio, frames = tiny(1)
    async with serving() as service, await Raw.upgraded(service.port, after=frame(1, OPEN)) as raw:
        await raw.frame()
        raw.send(frames)
        heard = await service.one()
        await until(lambda: len(heard.audio) == len(audio))
        assert bytes(heard.audio) == audio


async def test_frames_that_come_alone_arrive_whole_whatever_their_length() -> None:
    # Twice: once read from an empty buffer, once from one that grew.
    sizes = [2, 124, 126, 128, 254, 256, 1600, 65_278, 65_534, 65_536] * 2
    sent = bytearray()
    async with serving() as service, await Raw.upgraded(service.port, after=frame(1, OPEN)) as raw:
        await raw.frame()
        heard = await service.one()
        for number, size in enumerate(sizes):
            audio = random.Random(number).randbytes(size)
            sent += audio
            raw.send(frame(2, audio))
            await until(lambda: len(heard.audio) == len(sent))  # noqa: B023 - awaited right here
        assert bytes(heard.audio) == sent


async def test_a_frame_that_comes_in_two_reads_is_not_taken_for_two() -> None:
    audio = random.Random(4).randbytes(1600)
    whole = frame(2, audio)
    async with serving() as service, await Raw.upgraded(service.port, after=frame(1, OPEN)) as raw:
        await raw.frame()
        heard = await service.one()
        # The second part begins as if it were a whole frame itself.
        looks_whole = frame(2, bytes(200))
        for part in (1, 3, 7, 9, len(whole) - len(looks_whole)):
            data = whole[: len(whole) - len(looks_whole)] + looks_whole
            raw.send(data[:part])
            await until(lambda: raw.writer.transport.get_write_buffer_size() == 0)
            before = len(heard.audio)
            raw.send(data[part:])
            await until(lambda: len(heard.audio) > before)  # noqa: B023 - awaited right here
            assert len(heard.audio) == before + len(audio)


async def test_tiny_frames_beside_large_and_oversize_ones_arrive_in_order() -> None:
    audio, frames = tiny(2)
    large = bytes(60_000)
    async with serving() as service, await Raw.upgraded(service.port, after=frame(1, OPEN)) as raw:
        await raw.frame()
        raw.send(frames, frame(2, large), frames)
        heard = await service.one()
        await until(lambda: len(heard.audio) == 2 * len(audio) + len(large))
        assert bytes(heard.audio) == audio + large + audio
        # An oversize message in between ends the session, and is not read as anything else.
        raw.send(frames, frame(2, bytes(100_000)), frames)
        assert b"disconnect" in (await raw.frame())[1]


async def test_tiny_frames_come_through_tls_whole(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = server_context(authority)
    audio = random.Random(3).randbytes(2 * TINY_FRAMES)
    async with serving(ssl=context) as service:
        driver, heard = await opened(service.uri, ssl=client_tls(tmp_path / "ca.pem"))
        for at in range(0, len(audio), 2):
            driver.session.send_audio(audio[at : at + 2], 0)  # type: ignore[union-attr]
        driver.flush()  # thousands of frames in one record
        served = await service.one()
        await until(lambda: len(served.audio) == len(audio))
        assert bytes(served.audio) == audio
        driver.abort()
        await driver.ended
        assert heard.ended


def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_a_flood_of_tiny_frames_lets_others_have_their_turn() -> None:
    _, frames = tiny(4)
    async with serving() as service, await Raw.upgraded(service.port, after=frame(1, OPEN)) as raw:
        await raw.frame()
        flooded = await service.one()
        raw.send(frames)
        size = len(flooded.audio)
        turns: list[int] = []
        while len(flooded.audio) < 30_000:
            if len(flooded.audio) != size:
                turns.append(len(flooded.audio) - size)
                size = len(flooded.audio)
            await asyncio.sleep(0)
        assert max(turns) <= 32 * 80  # the frames of one turn at their largest


async def test_a_connection_that_goes_while_it_waits_for_its_turn_ends_its_session() -> None:
    _, frames = tiny(5)
    async with serving() as service:
        async with await Raw.upgraded(service.port, after=frame(1, OPEN)) as raw:
            await raw.frame()
            heard = await service.one()
            raw.send(frames)
            await until(lambda: len(heard.audio) > 10_000)
        await until(lambda: heard.driver is not None and heard.driver.ended.done())
        assert service.listener.connections == 0


async def test_a_second_of_audio_is_not_read_faster_than_the_bound() -> None:
    """What is too much at once waits in the kernel, and comes a moment later."""
    loop = asyncio.get_running_loop()
    payload = frame(2, bytes(1_600)) * 600  # a minute of stereo, about 1 MB
    async with serving() as service, await Raw.upgraded(service.port, after=frame(1, OPEN)) as raw:
        await raw.frame()
        heard = await service.one()
        began = loop.time()
        raw.send(payload)
        await until(lambda: len(heard.audio) == 600 * 1_600)
        assert loop.time() - began > 0.5
