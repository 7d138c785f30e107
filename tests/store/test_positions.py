"""Position checkpoints: the latest of each live session, in a file that stays small."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.exceptions import JournalError
from openaudiohook.store.positions import Position, Positions

pytestmark = [pytest.mark.unit, pytest.mark.anyio]


def at(sample: int, conversation: str = "c") -> Position:
    return Position("o", conversation, 0, "i", sample)


def reread(directory: Path) -> dict[str, Position]:
    positions = Positions.open(directory)
    try:
        return positions.read()
    finally:
        positions.close()


def test_the_latest_of_each_session_is_read_after_a_restart(tmp_path: Path) -> None:
    positions = Positions.open(tmp_path / "state")
    assert positions.read() == {}
    positions.note({"a": at(800), "b": at(800)})
    positions.note({"a": at(8800)})
    positions.note({})
    # No close: the process was killed.
    assert reread(tmp_path / "state") == positions.read() == {"a": at(8800), "b": at(800)}
    positions.close()


def test_a_forgotten_session_stays_forgotten(tmp_path: Path) -> None:
    positions = Positions.open(tmp_path)
    positions.note({"a": at(1), "b": at(2)})
    positions.forget("a")
    positions.forget("never seen")
    assert reread(tmp_path) == positions.read() == {"b": at(2)}
    positions.close()


def test_plain_tuples_will_do(tmp_path: Path) -> None:
    positions = Positions.open(tmp_path)
    positions.note({"a": ("o", "c", 2, "i", 5)})
    assert reread(tmp_path)["a"] == Position("o", "c", part=2, integration_id="i", at=5)
    positions.close()


def test_the_file_stays_small_for_ever(tmp_path: Path) -> None:
    positions = Positions.open(tmp_path, file_bytes=2_000)
    sizes = set()
    for second in range(500):
        positions.note({f"s{n}": at(8000 * second) for n in range(10)})
        sizes.add((tmp_path / "positions.jsonl").stat().st_size)
    assert max(sizes) < 4_000
    assert len(sizes) > 2
    assert reread(tmp_path) == {f"s{n}": at(8000 * 499) for n in range(10)}
    positions.close()


def test_many_sessions_are_not_written_anew_each_time(tmp_path: Path) -> None:
    positions = Positions.open(tmp_path, file_bytes=100)
    path = tmp_path / "positions.jsonl"
    inodes = []
    for second in range(40):
        positions.note({f"s{n}": at(second) for n in range(10)})
        inodes.append(path.stat().st_ino)
    changes = sum(a != b for a, b in itertools.pairwise(inodes))
    assert 10 < changes < 30
    positions.close()


def test_a_torn_last_line_is_passed_over(tmp_path: Path) -> None:
    positions = Positions.open(tmp_path)
    positions.note({"a": at(1)})
    positions.close()
    path = tmp_path / "positions.jsonl"
    with path.open("ab") as file:
        file.write(b'{"note":{"a":["o","c",0,"i",')
    positions = Positions.open(tmp_path)
    positions.note({"b": at(2)})
    positions.close()
    assert reread(tmp_path) == {"a": at(1), "b": at(2)}


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "positions.jsonl").write_bytes(b'{"note":7}\n')
    with pytest.raises(JournalError, match=r"positions.jsonl was changed: set it aside"):
        Positions.open(tmp_path)


def test_a_place_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="cannot be opened: "):
        Positions.open(tmp_path / "file" / "state")


async def test_syncing_waits_for_the_disk(tmp_path: Path) -> None:
    positions = Positions.open(tmp_path)
    positions.note({"a": at(1)})
    await positions.sync()
    (tmp_path / "positions.jsonl").unlink()
    with pytest.raises(JournalError, match="cannot be put on disk: No such file"):
        await positions.sync()
    positions.close()


def test_where_it_cannot_be_written_anew_nothing_is_lost(tmp_path: Path) -> None:
    positions = Positions.open(tmp_path, file_bytes=10)
    positions.note({"a": at(1)})
    (tmp_path / "positions.new").mkdir()
    with pytest.raises(JournalError, match="the positions cannot be written: Is a directory"):
        positions.note({"a": at(2)})
    with pytest.raises(JournalError):
        positions.forget("a")
    assert reread(tmp_path) == positions.read() == {"a": at(1)}
    (tmp_path / "positions.new").rmdir()
    (tmp_path / "positions.jsonl").rename(tmp_path / "elsewhere")
    (tmp_path / "positions.jsonl").mkdir()
    with pytest.raises(JournalError, match="the positions cannot be written: Is a directory"):
        positions.note({"a": at(2)})
    (tmp_path / "positions.jsonl").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "positions.jsonl")
    positions.note({"a": at(3)})
    assert reread(tmp_path) == {"a": at(3)}
    positions.close()


SESSIONS = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("note"), st.dictionaries(SESSIONS, st.integers(0, 2**62))),
        st.tuples(st.just("forget"), SESSIONS),
        st.tuples(st.just("restart"), st.none()),
    ),
    max_size=40,
)


@given(STEPS)
def test_any_history_leaves_the_latest(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, object]]
) -> None:
    directory = tmp_path_factory.mktemp("positions")
    expected: dict[str, Position] = {}
    positions = Positions.open(directory, file_bytes=200)
    for step, value in steps:
        if isinstance(value, dict):
            noted = {session: at(sample) for session, sample in value.items()}
            positions.note(noted)
            expected |= noted
        elif step == "forget":
            positions.forget(str(value))
            expected.pop(str(value), None)
        else:
            positions.close()
            positions = Positions.open(directory, file_bytes=200)
        assert positions.read() == expected
    positions.close()
