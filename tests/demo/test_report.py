"""The demo's claims: each fails when it is not so, and says of whom and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.demo.conftest import LENGTH, SECURE, MakeOutcome, WriteWav, recorded, stereo

from openaudiohook.demo.report import (
    Claim,
    DemoReport,
    Outcome,
    Role,
    check,
    recording_fault,
    secure_fault,
)
from openaudiohook.fanout.endpoint import EndpointState
from openaudiohook.monitor.report import CallReport

pytestmark = pytest.mark.unit

MakeCall = Callable[[list[Outcome]], CallReport]


def leaking() -> bytes:
    audio = bytearray(recorded())
    audio[2 * SECURE[0] + 1] = 0x55
    return bytes(audio)


def test_every_claim_holds_when_all_is_well(outcomes: list[Outcome], call_report: MakeCall) -> None:
    claims = check(call_report(outcomes), outcomes)
    assert [claim for claim in claims if not (claim.holds and claim.is_shown)] == []
    assert len(claims) == 8


@pytest.mark.parametrize(
    ("role", "change", "claim", "why"),
    [
        (
            Role.PLAIN,
            {"state": EndpointState.FAILED, "error": "it went away"},
            "served to the end",
            "plain: it went away",
        ),
        (Role.PLAIN, {"received": stereo(10)}, "exactly what was sent", "samples were sent and 10"),
        (
            Role.PLAIN,
            {"received": b"\x00" * len(stereo(LENGTH - 2000))},
            "exactly what was sent",
            "hashes of sent and received audio differ",
        ),
        (Role.PLAIN, {"is_consecutive": False}, "exactly what was sent", "does not follow on"),
        (Role.PLAIN, {"secure": 1999}, "sent + discarded", "7999 samples are accounted for"),
        (Role.PLAIN, {"audio": stereo(LENGTH)}, "no recording holds", "3000 bytes of a secure"),
        (Role.PLAIN, {"audio": leaking()}, "no recording holds", "1 bytes of a secure"),
        (Role.PLAIN, {"audio": stereo(10)}, "each was recorded", "has 10 samples"),
        (Role.PLAIN, {"audio": b"\xff" * 2 * LENGTH}, "each was recorded", "silent throughout"),
        (Role.PLAIN, {"secure": 0}, "were paused", "it was not paused"),
        (Role.SLOW, {"discarded": 0}, "slow one", "it kept up"),
        (Role.SLOW, {"discarded": 500, "told": 499}, "slow one", "not told"),
        (Role.REFUSES_TWICE, {"attempts": 2}, "late one", "dialled 2 times"),
        (Role.REFUSES_TWICE, {"discarded": 1}, "late one", "1 samples never arrived"),
        (Role.REFUSES_TWICE, {"lost": 2}, "late one", "2 samples never arrived"),
        (Role.REFUSES_TWICE, {"opened_at": 0}, "late one", "from the start"),
    ],
)
def test_a_claim_fails_when_it_is_not_so(
    outcomes: list[Outcome],
    call_report: MakeCall,
    make_outcome: MakeOutcome,
    role: Role,
    change: dict[str, object],
    claim: str,
    why: str,
) -> None:
    changed = [one if one.role is not role else make_outcome(role, **change) for one in outcomes]
    claims = {one.text: one for one in check(call_report(changed), changed)}
    failed = next(one for text, one in claims.items() if claim in text)
    assert not failed.holds
    assert len(failed.failures) == 1
    assert why in failed.failures[0]


def test_what_a_short_call_cannot_show_is_neither_held_nor_failed(
    outcomes: list[Outcome], call_report: MakeCall, make_outcome: MakeOutcome
) -> None:
    outcomes[1] = make_outcome(Role.SLOW, discarded=0, secure=0)
    claims = check(call_report(outcomes), outcomes, is_slow_shown=False, is_secure_shown=False)
    unshown = [claim for claim in claims if not claim.is_shown]
    assert len(unshown) == 3
    assert all(claim.failures == () for claim in unshown)


def test_a_slow_one_that_fell_behind_in_a_short_call_is_checked_all_the_same(
    outcomes: list[Outcome], call_report: MakeCall, make_outcome: MakeOutcome
) -> None:
    outcomes[1] = make_outcome(Role.SLOW, discarded=500, told=1)
    claims = check(call_report(outcomes), outcomes, is_slow_shown=False)
    assert any("not told" in failure for claim in claims for failure in claim.failures)


def test_a_secure_flow_that_never_paused_the_call_fails_the_claims(
    outcomes: list[Outcome], call_report: MakeCall
) -> None:
    assert secure_fault(outcomes[0].recording, ()) == "the call had no secure span"


@pytest.mark.parametrize("content", [None, b"RIFF"])
def test_a_recording_that_cannot_be_read_is_a_fault(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "recording.wav"
    if content is not None:
        path.write_bytes(content)
    assert "cannot be read" in (recording_fault(path, length=LENGTH) or "")
    assert "cannot be read" in (secure_fault(path, [SECURE]) or "")


def test_sound_on_one_channel_only_is_sound(tmp_path: Path, write_wav: WriteWav) -> None:
    audio = bytes(byte for one in stereo(100)[::2] for byte in (0xFF, one))
    path = write_wav(tmp_path / "one-sided.wav", audio, 2)
    assert recording_fault(path, length=100) is None


def test_the_json_has_what_call_says_and_what_was_received(
    outcomes: list[Outcome], call_report: MakeCall, tmp_path: Path
) -> None:
    call = call_report(outcomes)
    report = DemoReport(
        call=call,
        outcomes=tuple(outcomes),
        claims=check(call, outcomes),
        recordings=tmp_path,
        picture=tmp_path / "timeline.svg",
    )
    written = json.loads(json.dumps(report.as_json()))
    assert (written["call_s"], written["monitored_from_s"]) == (1.0, 0.1)
    assert written["secure_spans"][0]["start_s"] == 0.375
    assert written["secure_spans"][0]["end_s"] == 0.625
    assert written["recordings_dir"] == str(tmp_path)
    assert written["timeline_file"] == str(tmp_path / "timeline.svg")
    assert [one["role"] for one in written["integrations"]] == ["plain", "slow", "refuses-twice"]
    for one in written["integrations"]:
        assert one["received_sha256"] == one["sent_sha256"]
        assert one["received_samples"] == one["sent_samples"]
        assert one["received_s"] == one["sent_s"]
        assert one["latency_ms"]["p50"] == pytest.approx(1.5, rel=0.02)
        assert one["paused_s"]["secure"] == 0.25
        total = one["sent_samples"] + one["discarded_samples"] + one["lost_samples"]
        assert total + one["paused_samples"]["union"] == one["call_samples"]
    assert written["integrations"][1]["gaps"] == [
        {"start_s": 0.0, "duration_s": 0.0625, "cause": "discarded"}
    ]
    assert report.is_good
    assert "endpoints" not in written


def test_a_report_is_good_only_if_every_claim_held(
    outcomes: list[Outcome], call_report: MakeCall, tmp_path: Path
) -> None:
    claims = (Claim("one", ()), Claim("two", ("plain: no",)), Claim("three", (), is_shown=False))
    report = DemoReport(call_report(outcomes), tuple(outcomes), claims, tmp_path, None)
    assert not report.is_good
    assert [one["holds"] for one in report.as_json()["claims"]] == [True, False, None]
    assert report.as_json()["timeline_file"] is None
