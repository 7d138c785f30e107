"""What the demo found: the claims it checks, and the JSON that `--json` writes."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from openaudiohook.audio import RATE
from openaudiohook.audio.wav_reader import WavReader
from openaudiohook.demo.checking import Receipt, Span
from openaudiohook.exceptions import MediaError
from openaudiohook.fanout.endpoint import EndpointReport, EndpointState
from openaudiohook.monitor.report import CallReport

__all__ = [
    "Claim",
    "DemoReport",
    "Outcome",
    "Role",
    "UsageLine",
    "check",
    "recording_fault",
    "secure_fault",
]

_SILENCE: Final = 0xFF


class Role(enum.StrEnum):
    """What an integration is in the demo for."""

    PLAIN = "plain"
    SLOW = "slow"
    REFUSES_TWICE = "refuses-twice"


class Outcome(NamedTuple):
    """How it went with one integration, as each side saw it.

    Attributes:
        role: what it is there to show.
        endpoint: the Monitor's account.
        receipt: what arrived, as a consumer counted it.
        recording: where the recorder wrote it.
    """

    role: Role
    endpoint: EndpointReport
    receipt: Receipt
    recording: Path

    @property
    def name(self) -> str:
        """The integration's name."""
        return self.endpoint.name

    @property
    def is_exact(self) -> bool:
        """Whether exactly what was sent was received."""
        account, receipt = self.endpoint.account, self.receipt
        return (account.sent, account.sent_sha256) == (receipt.samples, receipt.sha256)


class Claim(NamedTuple):
    """Something the demo says about itself, and whether it was so.

    Attributes:
        text: the claim.
        failures: where it did not hold, in words; none where it did.
        is_shown: False where the call was too short to show it.
    """

    text: str
    failures: tuple[str, ...]
    is_shown: bool = True

    @property
    def holds(self) -> bool:
        """Whether it was not refuted."""
        return not self.failures


class UsageLine(NamedTuple):
    """One integration's usage, in samples.

    Attributes:
        mute: what of `charged` was charged while nobody spoke to the customer.
    """

    name: str
    open: int
    secure: int
    client: int
    server: int
    charged: int
    mute: int


class DemoReport(NamedTuple):
    """The end of a demo.

    Attributes:
        call: the Monitor's report.
        outcomes: one for each integration.
        claims: what was checked.
        recordings: the directory of recordings and sidecars.
        picture: the drawn timeline; None where it could not be written.
        usage: what the control interface reports that it cost.
    """

    call: CallReport
    outcomes: tuple[Outcome, ...]
    claims: tuple[Claim, ...]
    recordings: Path
    picture: Path | None
    usage: tuple[UsageLine, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether every claim held."""
        return all(claim.holds for claim in self.claims)

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` writes."""
        call = self.call.as_json()
        del call["endpoints"]
        return {
            **call,
            "recordings_dir": str(self.recordings),
            "timeline_file": None if self.picture is None else str(self.picture),
            "claims": [
                {
                    "claim": claim.text,
                    "holds": claim.holds if claim.is_shown else None,
                    "failures": list(claim.failures),
                }
                for claim in self.claims
            ],
            "integrations": [self._integration(outcome) for outcome in self.outcomes],
            "usage": [
                {"name": line.name}
                | {
                    f"{key}_s": samples / RATE
                    for key, samples in line._asdict().items()
                    if key != "name"
                }
                for line in self.usage
            ],
        }

    def _integration(self, outcome: Outcome) -> dict[str, Any]:
        receipt = outcome.receipt
        return {
            **self.call.endpoint_as_json(outcome.endpoint),
            "role": outcome.role.value,
            "received_s": receipt.samples / RATE,
            "received_samples": receipt.samples,
            "received_sha256": receipt.sha256,
            "latency_ms": {
                "p50": receipt.latency.quantile(0.5),
                "p99": receipt.latency.quantile(0.99),
            },
            "gaps": [
                {"start_s": start / RATE, "duration_s": (end - start) / RATE, "cause": "discarded"}
                for start, end in receipt.discarded
            ],
            "recording": str(outcome.recording),
        }


def check(
    call: CallReport,
    outcomes: Sequence[Outcome],
    *,
    is_slow_shown: bool = True,
    is_secure_shown: bool = True,
) -> tuple[Claim, ...]:
    """Check everything the demo claims.

    Args:
        call: the Monitor's report.
        outcomes: the integrations.
        is_slow_shown: whether the call is long enough for a slow integration to fall behind.
        is_secure_shown: whether the call is long enough to come to its secure flow.
    """

    def not_recorded(outcome: Outcome) -> str | None:
        return recording_fault(outcome.recording, length=call.call_samples)

    def not_silenced(outcome: Outcome) -> str | None:
        return secure_fault(outcome.recording, call.secure_spans)

    by_role = {role: [one for one in outcomes if one.role is role] for role in Role}
    slow, late = by_role[Role.SLOW], by_role[Role.REFUSES_TWICE]
    is_slow_shown |= any(one.endpoint.account.discarded for one in slow)
    return tuple(
        Claim(text, tuple(_failures(claimed, failure)) if is_shown else (), is_shown)
        for text, claimed, failure, is_shown in (
            (
                "every integration was served to the end of the call",
                outcomes,
                _not_completed,
                True,
            ),
            (
                "each received exactly what was sent to it: same samples, same SHA-256",
                outcomes,
                _not_exact,
                True,
            ),
            (
                "sent + discarded + paused + lost = call, to the sample, for each",
                outcomes,
                _not_accounted,
                True,
            ),
            (
                "each was recorded, in a file as long as the call",
                outcomes,
                not_recorded,
                True,
            ),
            (
                "the slow one had audio discarded, and was told exactly which",
                slow,
                _not_slow,
                is_slow_shown,
            ),
            (
                "the late one, refused twice, caught up from the start and misses nothing",
                late,
                _not_late,
                True,
            ),
            (
                "all were paused while the card number was read",
                outcomes,
                _not_paused,
                is_secure_shown,
            ),
            (
                "no recording holds a byte of that: 0xFF throughout",
                outcomes,
                not_silenced,
                is_secure_shown,
            ),
        )
    )


def recording_fault(recording: Path, *, length: int) -> str | None:
    """Read a recording and say what is wrong with it: it must be as long as the call, and sound."""
    try:
        with recording.open("rb") as file:
            reader = WavReader(file, name=recording.name)
            if reader.info.samples != length:
                return f"its recording has {reader.info.samples} samples, and the call {length}"
            blocks = reader.blocks(RATE)
            has_sound = any(_sounds(channel) for block in blocks for channel in block)
    except (MediaError, OSError) as error:
        return f"its recording cannot be read ({type(error).__name__})"
    return None if has_sound else "its recording is silent throughout"


def secure_fault(recording: Path, spans: Sequence[Span]) -> str | None:
    """Read the secure spans of a recording, and say if anything is in them but 0xFF."""
    if not spans:
        return "the call had no secure span"
    sounding = 0
    try:
        with recording.open("rb") as file:
            reader = WavReader(file, name=recording.name)
            for start, end in spans:
                reader.read(start - reader.position)
                for channel in reader.read(end - start):
                    sounding += len(channel) - channel.count(_SILENCE)
    except (MediaError, OSError) as error:
        return f"its recording cannot be read ({type(error).__name__})"
    return f"{sounding} bytes of a secure span are not 0xFF" if sounding else None


def _sounds(audio: bytes) -> bool:
    return audio.count(_SILENCE) < len(audio)


def _failures(
    outcomes: Sequence[Outcome], failure: Callable[[Outcome], str | None]
) -> Iterator[str]:
    for outcome in outcomes:
        problem = failure(outcome)
        if problem is not None:
            yield f"{outcome.name}: {problem}"


def _not_completed(outcome: Outcome) -> str | None:
    if outcome.endpoint.state is EndpointState.COMPLETED:
        return None
    return outcome.endpoint.error or f"it ended {outcome.endpoint.state}"


def _not_exact(outcome: Outcome) -> str | None:
    sent, received = outcome.endpoint.account.sent, outcome.receipt.samples
    if sent != received:
        return f"{sent} samples were sent and {received} received"
    if not sent:
        return "nothing was sent"
    if not outcome.receipt.is_consecutive:
        return "what was received does not follow on"
    return None if outcome.is_exact else "the hashes of sent and received audio differ"


def _not_accounted(outcome: Outcome) -> str | None:
    account = outcome.endpoint.account
    total = account.sent + account.discarded + account.paused_union + account.lost
    if total == account.length:
        return None
    return f"{total} samples are accounted for, and the call has {account.length}"


def _not_slow(outcome: Outcome) -> str | None:
    account = outcome.endpoint.account
    told = sum(end - start for start, end in outcome.receipt.discarded)
    if not account.discarded:
        return "it kept up, so nothing was shown"
    return None if told == account.discarded else "it was not told what was left out"


def _not_late(outcome: Outcome) -> str | None:
    account = outcome.endpoint.account
    if outcome.endpoint.attempts != 3:
        return f"it was dialled {outcome.endpoint.attempts} times, not 3"
    if account.discarded or account.lost:
        return f"{account.discarded + account.lost} samples never arrived"
    if not account.opened_at:
        return "it was there from the start, so nothing was shown"
    return None


def _not_paused(outcome: Outcome) -> str | None:
    return None if outcome.endpoint.account.paused_secure else "it was not paused"
