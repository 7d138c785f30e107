"""What needs no socket: the session core, and the verification of a signature."""

from __future__ import annotations

import time

from bench.figures import LEAST_RUNS, Figure
from bench.settings import Settings
from openaudiohook.auth import (
    Credentials,
    InMemoryKeys,
    ReplayCache,
    SignedRequest,
    encode_nonce,
    upgrade_headers,
    verify,
)
from openaudiohook.protocol import ClientSession, SendBinary, SendText, ServerSession
from openaudiohook.testing.session_pair import SessionPair

__all__ = ["measure_core", "measure_signature"]

FRAME_MS, FRAME_NS, FRAME_SAMPLES = 100, 100_000_000, 800


def measure_core(settings: Settings) -> list[Figure]:
    """Take a call of ten minutes through both roles."""
    del settings
    core_speed()  # the first one warms up
    return [
        Figure(
            name="core",
            title="Session core without I/O, both roles, 100 ms frames",
            unit="x real time",
            bound=5_000,
            at_least=True,
            ours=[core_speed() for _ in range(LEAST_RUNS)],
        )
    ]


def measure_signature(settings: Settings) -> list[Figure]:
    """Verify signed upgrade requests, each with a nonce of its own."""
    del settings
    verification_us()
    return [
        Figure(
            name="signature",
            title="Verification of one signature, replay check included",
            unit="µs",
            bound=150,
            ours=[verification_us() for _ in range(LEAST_RUNS)],
        )
    ]


def core_speed(frames: int = 6_000) -> float:
    """Return how many times faster than real time both roles take a call, without I/O."""
    pair = SessionPair()
    pair.open()
    client, server, now_ns = pair.client, pair.server, pair.now_ns
    payload = b"\xff" * FRAME_SAMPLES * 2
    started = time.process_time()
    for _ in range(frames):
        now_ns += FRAME_NS
        client.send_audio(payload, now_ns)
        _deliver(client, server, now_ns)
        server.events()
        _deliver(server, client, now_ns)
        client.events()
        deadline = client.next_deadline_ns()
        if deadline is not None and deadline <= now_ns:  # a ping each five seconds
            client.handle_deadline(now_ns)
    took = time.process_time() - started
    if server.position != frames * FRAME_SAMPLES:
        raise SystemExit(f"the server has {server.position} samples: the measurement is wrong")
    return frames * FRAME_MS / 1000 / took


def _deliver(
    sender: ClientSession | ServerSession, receiver: ClientSession | ServerSession, now_ns: int
) -> None:
    """Hand over what one session wants written."""
    for item in sender.data_to_send(now_ns):
        if type(item) is SendBinary:
            receiver.receive_binary(item.data, now_ns)
        elif type(item) is SendText:
            receiver.receive_text(item.data, now_ns)


def verification_us(count: int = 2_000) -> float:
    """Return the microseconds it takes to verify one signed upgrade request."""
    created = 1_700_000_000
    secret, ids = bytes(range(32)), "00000000-0000-4000-8000-000000000001"
    requests = [
        SignedRequest(
            "/api/v1/audiohook/ws",
            tuple(
                upgrade_headers(
                    "wss://audiohook.example.com/api/v1/audiohook/ws",
                    api_key="bench",
                    secret=secret,
                    organization_id=ids,
                    session_id=ids,
                    correlation_id=ids,
                    nonce=encode_nonce(number.to_bytes(18, "big")),
                    created=created,
                )
            ),
        )
        for number in range(count)
    ]
    keys = InMemoryKeys([Credentials("bench", secret)], decoy=bytes(32))
    replay = ReplayCache()
    started = time.process_time()
    for request in requests:
        verify(request, keys=keys, utc_ns=created * 1_000_000_000, replay=replay)
    return (time.process_time() - started) / count * 1_000_000
