"""A service of your own: prints how loud the customer is, second by second."""

import asyncio
import os

from openaudiohook import (
    AudioFrame,
    Capabilities,
    Channel,
    Consumer,
    Service,
    channel_bytes,
    load_config,
    per_session,
)
from openaudiohook.audio.level import measure_ulaw


class Loudness(Consumer):
    name = "loudness"
    capabilities = Capabilities(channels=(Channel.EXTERNAL,))

    def audio(self, frame: AudioFrame) -> None:
        ahead = -frame.position % 8000
        if ahead < frame.samples:  # a second begins within this frame
            level = measure_ulaw(channel_bytes(frame, Channel.EXTERNAL))
            print(f"{(frame.position + ahead) // 8000:4} s {level.rms_dbfs:6.1f} dBFS", flush=True)


async def main() -> None:
    config = load_config(environment=os.environ)  # OPENAUDIOHOOK_API_KEY, _CLIENT_SECRET, ...
    loudness = per_session(lambda options: Loudness())({})
    async with Service(config, consumers=[loudness]) as service:
        print("listening on", service.uri, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
