"""The fuzz targets on their seeds and on some mutations of each; see `fuzz/replay.py`."""

from __future__ import annotations

import random

import pytest
from fuzz.replay import main, mutated, replay, seeds
from fuzz.targets import TARGETS

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("target", TARGETS)
def test_every_seed_and_its_mutations_are_accepted_or_a_documented_error(target: str) -> None:
    assert replay(target, mutations=60) == 61 * len(seeds(target))


@pytest.mark.parametrize("target", TARGETS)
def test_there_are_seeds(target: str) -> None:
    assert len(seeds(target)) >= 8


def test_mutations_are_repeatable() -> None:
    first = [mutated(b"T {}\nO\n", random.Random(seed)) for seed in range(50)]
    again = [mutated(b"T {}\nO\n", random.Random(seed)) for seed in range(50)]
    assert first == again
    assert len(set(first)) > 40


def test_a_failure_names_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(data: bytes) -> None:
        raise KeyError(len(data))

    monkeypatch.setitem(TARGETS, "decode", fail)
    with pytest.raises(KeyError) as caught:
        replay("decode")
    assert "decode on input 1, from close.json" in caught.value.__notes__[0]


def test_the_command_replays_what_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    main(["server", "--mutations", "1"])
    assert capsys.readouterr().out == f"server: {2 * len(seeds('server'))} inputs\n"


@pytest.mark.parametrize("arguments", [["sip"], ["--atheris"], ["--atheris", "server", "client"]])
def test_the_command_refuses_what_it_does_not_know(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert "error" in capsys.readouterr().err
