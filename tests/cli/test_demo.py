"""`openaudiohook demo`: its exit status, what it writes, and what it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from openaudiohook.cli import main

pytestmark = pytest.mark.slow

PROGRAM = (sys.executable, "-m", "openaudiohook", "demo")


def test_a_demo_that_shows_what_it_claims_exits_with_0(tmp_path: Path) -> None:
    written, directory = tmp_path / "result.json", tmp_path / "r"
    run = subprocess.run(
        [*PROGRAM, "--seconds", "10", "--json", written, "--recordings", directory],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    result = json.loads(written.read_text(encoding="utf-8"))
    assert (result["call_s"], result["monitored_from_s"]) == (1.0, 9.0)
    assert [one["role"] for one in result["integrations"]] == [
        "plain", "plain", "plain", "slow", "refuses-twice",
    ]  # fmt: skip
    for one in result["integrations"]:
        assert one["received_sha256"] == one["sent_sha256"]
        assert Path(one["recording"]).is_file()
        assert Path(one["recording"]).is_relative_to(result["recordings_dir"])
    assert result["integrations"][-1]["attempts"] == 3
    assert Path(result["timeline_file"]).is_file()
    assert "0:09.0  queue" in run.stdout
    assert f"{directory}/" in run.stdout
    assert "\x1b" not in run.stdout


def test_a_claim_that_fails_exits_with_1_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = subprocess.run(
        [*PROGRAM, "--seconds", "9.5", "--recordings", tmp_path / "file" / "r"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert "NO  each was recorded" in run.stdout
    assert "plain-1: its recording cannot be read" in run.stdout
    assert "ok  each received exactly what was sent to it" in run.stdout
    assert "Traceback" not in run.stdout + run.stderr
    assert "consumer=recorder" in run.stderr
    assert f"{tmp_path / 'file' / 'r'}: recordings cannot be written" in run.stderr


def test_ctrl_c_ends_it_at_once_and_says_where_the_recordings_are(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*PROGRAM, "--recordings", tmp_path / "r"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        assert "ivr" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        complaint = process.stderr.read()
    assert f"Interrupted. What was recorded so far is in {tmp_path / 'r'}" in complaint
    assert "Traceback" not in complaint


@pytest.mark.parametrize("seconds", ["0", "-1", "x", "5", "nan"])
def test_a_length_that_shows_nothing_is_wrong_usage(seconds: str) -> None:
    result = CliRunner().invoke(main, ["demo", f"--seconds={seconds}"])
    assert result.exit_code == 2
    assert "--seconds" in result.stderr


def test_a_result_that_cannot_be_written_is_found_before_the_call(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["demo", "--json", str(tmp_path / "no" / "result.json")])
    assert result.exit_code == 2
    assert "cannot be written: No such file or directory" in result.stderr
