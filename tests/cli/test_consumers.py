"""`consumers`: what is installed."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from openaudiohook.cli import main

pytestmark = pytest.mark.unit


def test_the_recorder_is_listed_with_its_package() -> None:
    result = CliRunner().invoke(main, ["consumers"])
    assert result.exit_code == 0
    lines = [line.split() for line in result.output.splitlines()]
    assert lines[0] == ["NAME", "PACKAGE", "TARGET"]
    found = {line[0]: line[1:] for line in lines[1:]}
    assert found["recorder"][0] == "openaudiohook"
    assert found["recorder"][-1] == "openaudiohook.consumers.recorder:Recorder"
