"""One call to five services at once, with a secure span in it that none of them gets.

    python examples/five_endpoints.py ws://127.0.0.1:3000/api/v1/audiohook/ws

The same address five times is five sessions; give up to five addresses to have five services.
"""

import asyncio
import os
import sys
from itertools import cycle, islice

from openaudiohook.auth import decode_secret
from openaudiohook.fanout.endpoint import Endpoint, EndpointConfig
from openaudiohook.monitor import Monitor, Scenario
from openaudiohook.monitor.policy import SwitchedBy
from openaudiohook.monitor.scenario import Monitoring, Play, SecureFlow
from openaudiohook.monitor.sources.tone import Tone
from openaudiohook.protocol.events import PongReceived, SessionEvent

SECOND = 8000  # samples

CALL = Scenario(
    steps=(
        Play(at=0, source=Tone(samples=4 * SECOND), channel="both"),
        Monitoring(at=1 * SECOND, on=True, by=SwitchedBy.QUEUE),
        SecureFlow(at=2 * SECOND, is_start=True),
        SecureFlow(at=3 * SECOND, is_start=False),
    )
)


def heard(endpoint: Endpoint, event: SessionEvent) -> None:
    if isinstance(event, PongReceived):
        print(f"{endpoint.config.name}: round trip {event.rtt_ns / 1e6:.1f} ms")


async def main(uris: list[str]) -> None:
    endpoints = [
        EndpointConfig(
            name=f"integration {number}",
            uri=uri,
            api_key=os.environ["OPENAUDIOHOOK_API_KEY"],
            client_secret=decode_secret(os.environ["OPENAUDIOHOOK_CLIENT_SECRET"]),
        )
        for number, uri in enumerate(islice(cycle(uris), 5), 1)
    ]
    report = await Monitor().start(CALL, endpoints, on_event=heard).finished()
    for one in report.endpoints:
        account = one.account
        print(
            f"{one.name}: {one.state}, sent {account.sent}, paused {account.paused_union}, "
            f"charged {report.chargeable_samples(one)} of {account.length} samples, "
            f"SHA-256 {account.sent_sha256[:8]}"
        )
    sys.exit(0 if report.is_good else 1)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
