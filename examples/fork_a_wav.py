"""Be the platform: stream a WAV file to a service, and say what became of every sample.

python examples/fork_a_wav.py call.wav ws://127.0.0.1:3000/api/v1/audiohook/ws
"""

import asyncio
import os
import sys
from pathlib import Path

from openaudiohook.auth import decode_secret
from openaudiohook.fanout.endpoint import EndpointConfig
from openaudiohook.monitor import Monitor, single_play
from openaudiohook.monitor.sources.wav import WavFile


async def main(wav: str, uri: str) -> None:
    endpoint = EndpointConfig(
        name="recorder",
        uri=uri,
        api_key=os.environ["OPENAUDIOHOOK_API_KEY"],
        client_secret=decode_secret(os.environ["OPENAUDIOHOOK_CLIENT_SECRET"]),
    )
    report = await Monitor().run(single_play(WavFile(path=Path(wav))), [endpoint])
    for one in report.endpoints:
        account = one.account
        print(f"{one.name}: {one.state}, {account.sent} of {account.length} samples sent")
        print(f"charged: {report.chargeable_samples(one) / 8000:.3f} s")
    if not report.is_good:
        sys.exit(f"failed: {report.endpoints[0].error}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
