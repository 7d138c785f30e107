"""A short call, and reports of demos that never ran."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from openaudiohook.audio import tone
from openaudiohook.audio.wav_writer import WavWriter
from openaudiohook.demo.checking import Receipt
from openaudiohook.demo.report import Outcome, Role
from openaudiohook.fanout.account import Account
from openaudiohook.fanout.endpoint import EndpointReport, EndpointState, SessionReport
from openaudiohook.fanout.pauses import PauseInterval
from openaudiohook.host.consumer import AudioFrame, Channel, MediaFormat, MediaParameter
from openaudiohook.monitor.report import CallReport
from openaudiohook.monitor.secure_pause import SecureSpan
from openaudiohook.protocol.types import PauseCause

LENGTH = 8000
SECURE = (3000, 5000)
STEREO = MediaParameter(
    format=MediaFormat.PCMU, channels=(Channel.EXTERNAL, Channel.INTERNAL), rate=8000
)

WriteWav = Callable[[Path, bytes, int], Path]
MakeOutcome = Callable[..., Outcome]


@pytest.fixture
def write_wav() -> WriteWav:
    def write(path: Path, audio: bytes, channels: int) -> Path:
        with path.open("w+b", buffering=0) as file:
            writer = WavWriter(file, channels=channels)
            writer.append(audio)
            writer.settle()
        return path

    return write


def stereo(samples: int) -> bytes:
    one = tone.block(0, samples)
    return bytes(byte for byte in one for _ in range(2))


def recorded() -> bytes:
    """What a faultless recording of the call holds."""
    audio = bytearray(stereo(LENGTH))
    audio[2 * SECURE[0] : 2 * SECURE[1]] = b"\xff" * (2 * (SECURE[1] - SECURE[0]))
    return bytes(audio)


def frame(position: int, payload: bytes) -> AudioFrame:
    return AudioFrame(payload, position, len(payload) // 2, STEREO)


@pytest.fixture
def make_outcome(tmp_path: Path, write_wav: WriteWav) -> MakeOutcome:
    """Make the outcome of an integration that was served well, but for what a test changes."""

    def make(
        role: Role = Role.PLAIN,
        *,
        name: str = "",
        audio: bytes | None = None,
        discarded: int = 0,
        told: int | None = None,
        lost: int = 0,
        secure: int = SECURE[1] - SECURE[0],
        state: EndpointState = EndpointState.COMPLETED,
        error: str | None = None,
        attempts: int | None = None,
        opened_at: int | None = None,
        received: bytes | None = None,
        is_consecutive: bool = True,
    ) -> Outcome:
        is_late = role is Role.REFUSES_TWICE
        sent = stereo(LENGTH - discarded - lost - (SECURE[1] - SECURE[0]))
        path = write_wav(
            tmp_path / f"{name or role}.wav", recorded() if audio is None else audio, 2
        )
        receipt = Receipt(is_consecutive=is_consecutive)
        receipt.take(frame(0, sent if received is None else received))
        if discarded:
            receipt.discarded.append((0, discarded if told is None else told))
        receipt.latency.add(1.5)
        account = Account(
            length=LENGTH,
            sent=len(sent) // 2,
            discarded=discarded,
            lost=lost,
            paused_union=secure,
            paused_secure=secure,
            paused_client=0,
            paused_server=0,
            intervals=(PauseInterval(PauseCause.SECURE, "flow:x", *SECURE),),
            opened_at=(2000 if is_late else 0) if opened_at is None else opened_at,
            ended_at=LENGTH,
            sent_sha256=hashlib.sha256(sent).hexdigest(),
        )
        return Outcome(
            role=role,
            endpoint=EndpointReport(
                name=name or str(role),
                uri="ws://127.0.0.1:1/",
                session_id="7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9a11",
                state=state,
                error=error,
                http_status=None,
                attempts=(3 if is_late else 1) if attempts is None else attempts,
                open_ns=1,
                rtt_ns=1,
                media=STEREO,
                account=account,
                sessions=(
                    SessionReport(
                        session_id="7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9a11",
                        start=0,
                        end=LENGTH,
                        error=error,
                        lost_at=None,
                        account=account,
                    ),
                ),
            ),
            receipt=receipt,
            recording=path,
        )

    return make


@pytest.fixture
def outcomes(make_outcome: MakeOutcome) -> list[Outcome]:
    """A demo in which all is well."""
    return [
        make_outcome(Role.PLAIN),
        make_outcome(Role.SLOW, discarded=500),
        make_outcome(Role.REFUSES_TWICE),
    ]


@pytest.fixture
def call_report() -> Callable[[list[Outcome]], CallReport]:
    def report(outcomes: list[Outcome]) -> CallReport:
        return CallReport(
            conversation_id="c0ffee00-1111-4222-8333-444455556666",
            call_samples=LENGTH,
            monitored_from=800,
            secure_spans=(SecureSpan(*SECURE),),
            endpoints=tuple(outcome.endpoint for outcome in outcomes),
        )

    return report
