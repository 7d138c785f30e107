"""`recover`: a line per file, exit codes, and nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from openaudiohook.audio.wav_writer import header
from openaudiohook.cli import main

pytestmark = pytest.mark.unit

SESSION = "7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9a11"


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A recording whose writer was killed, without a sidecar."""
    path = tmp_path / "c0ffee00-1111-4222-8333-444455556666" / f"{SESSION}.wav"
    path.parent.mkdir()
    path.write_bytes(header(2, None) + b"\x01\x02" * 12_000)
    return path


def test_each_file_gets_a_line_and_a_second_run_finds_nothing_to_do(
    left: Path, tmp_path: Path
) -> None:
    first = CliRunner().invoke(main, ["recover", str(tmp_path)])
    assert first.exit_code == 0
    assert first.output == f"recovered: {left} (1.500 s, sidecar rebuilt, sizes settled)\n"
    second = CliRunner().invoke(main, ["recover", str(tmp_path)])
    assert second.output == f"complete: {left} (1.500 s)\n"


def test_a_file_that_cannot_be_repaired_is_exit_1_and_the_rest_is_repaired(
    left: Path, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign.wav"
    foreign.write_bytes(b"RIFF" + bytes(100))
    result = CliRunner().invoke(main, ["recover", str(tmp_path)])
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[0].startswith("recovered: ")
    assert lines[1] == f"failed: {foreign} (not the header of a recording made by this program)"


def test_an_empty_file_is_a_line_without_a_length(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    result = CliRunner().invoke(main, ["recover", str(tmp_path)])
    assert (result.exit_code, result.output) == (0, f"empty: {tmp_path / 'a.wav'}\n")


def test_an_empty_directory_is_all_well(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["recover", str(tmp_path)])
    assert (result.exit_code, result.output) == (0, "")


def test_a_directory_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["recover", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert "none: No such file or directory" in result.output
