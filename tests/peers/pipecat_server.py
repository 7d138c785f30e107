"""An AudioHook endpoint made of pipecat's Genesys serializer on a bare WebSocket server.

Runs in an environment of its own (`make peers`), knows nothing of this project, and serves
one connection. Prints its port, then what it has received as one JSON object: the audio as
it came off the WebSocket, and the audio as the serializer understood it, encoded again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from types import SimpleNamespace

from loguru import logger
from pipecat.audio.resamplers.soxr_stream_resampler import SOXRStreamAudioResampler
from pipecat.audio.utils import pcm_to_ulaw
from pipecat.frames.frames import InputAudioRawFrame, OutputTransportMessageUrgentFrame
from pipecat.serializers.genesys import GenesysAudioHookSerializer
from websockets.asyncio.server import ServerConnection, serve

RATE = 8000


class Endpoint:
    def __init__(self) -> None:
        self.wire = hashlib.sha256()
        self.wire_bytes = 0
        self.understood = hashlib.sha256()
        self.understood_bytes = 0
        self.messages: list[str] = []
        self.is_over = asyncio.Event()

    async def __call__(self, connection: ServerConnection) -> None:
        serializer = GenesysAudioHookSerializer(
            params=GenesysAudioHookSerializer.InputParams(sample_rate=RATE)
        )
        await serializer.setup(SimpleNamespace(audio_in_sample_rate=RATE))
        resampler = SOXRStreamAudioResampler()
        async for data in connection:
            if isinstance(data, bytes):
                self.wire.update(data)
                self.wire_bytes += len(data)
            frame = await serializer.deserialize(data)
            if isinstance(frame, OutputTransportMessageUrgentFrame):
                self.messages.append(frame.message["type"])
                await connection.send(await serializer.serialize(frame))
            elif isinstance(frame, InputAudioRawFrame):
                audio = await pcm_to_ulaw(frame.audio, RATE, RATE, resampler)
                self.understood.update(audio)
                self.understood_bytes += len(audio)
        self.is_over.set()


async def main() -> None:
    logger.remove()
    endpoint = Endpoint()
    async with serve(endpoint, "127.0.0.1", 0, ping_interval=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await endpoint.is_over.wait()
    json.dump(
        {
            "messages": endpoint.messages,
            "wire_bytes": endpoint.wire_bytes,
            "wire_sha256": endpoint.wire.hexdigest(),
            "understood_bytes": endpoint.understood_bytes,
            "understood_sha256": endpoint.understood.hexdigest(),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    asyncio.run(main())
