"""Runs every measurement, prints each against its budget, and fails when one is missed.

A figure is the median of an odd number of runs; where the runs differ by more than a fifth, the
machine is too busy to say, and the budget is neither met nor missed.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from openaudiohook.auth import (
    Credentials,
    InMemoryKeys,
    ReplayCache,
    SignedRequest,
    encode_nonce,
    upgrade_headers,
    verify,
)
from openaudiohook.protocol import SendBinary, SendText
from openaudiohook.testing.session_pair import SessionPair

RUNS = 5
SPREAD = 0.20
FRAME_MS, FRAME_NS, FRAME_SAMPLES = 100, 100_000_000, 800


class Measurement(NamedTuple):
    """One figure, its unit, and what it is held to."""

    name: str
    run: Callable[[], float]
    unit: str
    budget: float
    higher_is_better: bool


def core_speed() -> float:
    """How many times faster than real time both roles take a call of ten minutes, without I/O."""
    pair = SessionPair()
    pair.open()
    client, server, now_ns = pair.client, pair.server, pair.now_ns
    payload, frames = b"\xff" * FRAME_SAMPLES * 2, 6_000
    started = time.process_time()
    for _ in range(frames):
        now_ns += FRAME_NS
        client.send_audio(payload, now_ns)
        deliver(client, server, now_ns)
        server.events()
        deliver(server, client, now_ns)
        client.events()
        deadline = client.next_deadline_ns()
        if deadline is not None and deadline <= now_ns:  # a ping each five seconds
            client.handle_deadline(now_ns)
    took = time.process_time() - started
    if server.position != frames * FRAME_SAMPLES:
        raise SystemExit(f"the server has {server.position} samples: the measurement is wrong")
    return frames * FRAME_MS / 1000 / took


def deliver(sender: object, receiver: object, now_ns: int) -> None:
    """Hand over what one session wants written."""
    for item in sender.data_to_send(now_ns):  # type: ignore[attr-defined]
        if type(item) is SendBinary:
            receiver.receive_binary(item.data, now_ns)  # type: ignore[attr-defined]
        elif type(item) is SendText:
            receiver.receive_text(item.data, now_ns)  # type: ignore[attr-defined]


def verification_us() -> float:
    """Microseconds to verify one signed upgrade request, replay check included."""
    created, count = 1_700_000_000, 2_000
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


MEASUREMENTS = (
    Measurement("session core, both roles, 100 ms frames", core_speed, "x real time", 5_000, True),
    Measurement("verify one signature", verification_us, "µs", 150, False),
)


def main() -> int:
    """Measure, print, judge."""
    missed = 0
    for measurement in MEASUREMENTS:
        figures = sorted(measurement.run() for _ in range(RUNS))
        median = statistics.median(figures)
        spread = (figures[-1] - figures[0]) / median
        met = (
            median >= measurement.budget
            if measurement.higher_is_better
            else (median <= measurement.budget)
        )
        verdict = "ok" if met else "inconclusive" if spread > SPREAD else "MISSED"
        missed += verdict == "MISSED"
        bound = ">=" if measurement.higher_is_better else "<="
        print(
            f"{measurement.name:42} {median:10,.1f} {measurement.unit:12}"
            f" budget {bound} {measurement.budget:,.0f}  spread {spread:4.0%}  {verdict}"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
