"""`audit`: what it lists, what `verify` finds, and how it ends."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from openaudiohook.cli import main
from openaudiohook.store.entries import Acted, PauseBegan, PhaseBegan
from openaudiohook.store.journal import Head, Journal
from openaudiohook.store.keys import KEY_VARIABLE, audit_key, load_master_key

pytestmark = pytest.mark.unit

ORGANIZATIONS = ("11111111-2222-4333-8444-555555555550", "11111111-2222-4333-8444-555555555551")
OTHER_KEY = base64.b64encode(bytes(32)).decode()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A Monitor's state directory, with five entries in its journal."""
    state = tmp_path / "state"
    key = audit_key(load_master_key(tmp_path / "state.key", create=True))
    journal = Journal.open(state / "journal", key=key)
    for number, requester in enumerate(["client:crm", "configuration", "client:\x1b[31mred"]):
        journal.append(
            Acted(
                organization_id=ORGANIZATIONS[number % 2], utc_ns=number, requester=requester,
                action="queue.changed", entity_type="queue", entity_id=f"q{number}",
                detail={"name": "[bold]Sales", "version": 2},
            )
        )  # fmt: skip
    journal.append(
        PhaseBegan(
            organization_id=ORGANIZATIONS[0], utc_ns=3, conversation_id="c", at=0, phase="ivr"
        )
    )
    journal.append(
        PauseBegan(
            organization_id=ORGANIZATIONS[0], utc_ns=4, conversation_id="c", at=800, cause="secure",
            reason="api", requester="client:crm", gone={"i": 80},
        )
    )  # fmt: skip
    journal.close()
    return state


@pytest.fixture
def segment(state: Path) -> Path:
    return next((state / "journal").glob("journal-*.jsonl"))


@pytest.fixture
def head(segment: Path) -> Head:
    last = json.loads(segment.read_bytes().splitlines()[-1])
    return Head(last["number"], last["mac"])


def audit(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["audit", *map(str, arguments)])


def rows(*arguments: object) -> list[int]:
    result = audit("--format", "json", *arguments)
    assert result.exit_code == 0, result.output
    return [json.loads(line)["number"] for line in result.stdout.splitlines()]


# -- listing --------------------------------------------------------------------------------


def test_everything_somebody_answers_for_is_listed_in_order(state: Path) -> None:
    result = audit("--state", state)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["NUMBER", "TIME", "REQUESTER", "ACTION", "ENTITY", "DETAIL"]
    assert lines[1].split() == [
        "1", "1970-01-01T00:00:00.000Z", "client:crm", "queue.changed", "queue", "q0",
        "name=[bold]Sales", "version=2",
    ]  # fmt: skip
    assert lines[4].split(maxsplit=6) == [
        "5", "1970-01-01T00:00:00.000Z", "client:crm", "pause.began", "call", "c",
        'at=800 cause=secure reason=api gone={"i": 80}',
    ]  # fmt: skip
    assert len(lines) == 5


def test_no_name_steers_the_terminal(state: Path) -> None:
    assert "\x1b" not in audit("--state", state).stdout


def test_rows_can_be_chosen(state: Path) -> None:
    assert rows("--state", state) == [1, 2, 3, 5]
    assert rows("--state", state, "--requester", "client:crm") == [1, 5]
    assert rows("--state", state, "--organization", ORGANIZATIONS[1]) == [2]
    assert rows("--state", state, "--entity", "c") == [5]
    assert rows("--state", state, "--last", 2) == [3, 5]


def test_a_row_in_json_has_everything(state: Path) -> None:
    result = audit("--state", state, "--format", "json", "--last", 1)
    assert json.loads(result.stdout) == {
        "number": 5,
        "timestamp": "1970-01-01T00:00:00.000Z",
        "organizationId": ORGANIZATIONS[0],
        "requester": "client:crm",
        "action": "pause.began",
        "entityType": "call",
        "entityId": "c",
        "detail": {"at": 800, "cause": "secure", "reason": "api", "gone": {"i": 80}},
    }


def test_listing_and_verifying_disturb_no_monitor(state: Path) -> None:
    key = audit_key(load_master_key(state.with_name("state.key")))
    journal = Journal.open(state / "journal", key=key)
    assert rows("--state", state) == [1, 2, 3, 5]
    assert audit("verify", "--state", state).exit_code == 0
    assert journal.append(
        PhaseBegan(
            organization_id=ORGANIZATIONS[0], utc_ns=5, conversation_id="c", at=0, phase="ivr"
        )
    )
    journal.close()


def test_a_gap_is_told_when_listing_too(state: Path, segment: Path) -> None:
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines[:2] + lines[3:]))
    result = audit("--state", state, "--format", "json")
    assert result.exit_code == 1
    assert [json.loads(line)["number"] for line in result.stdout.splitlines()] == [1, 2]
    assert result.stderr == (
        "Error: entry 3 of the journal is not in its place: `openaudiohook audit verify` "
        "tells more\n"
    )


# -- verifying ------------------------------------------------------------------------------


def test_an_intact_journal_is_exit_0(state: Path, head: Head) -> None:
    result = audit("verify", "--state", state, "--head", head)
    assert (result.exit_code, result.stdout) == (0, f"intact: entries 1 to 5, head {head}\n")


def without(index: int) -> Callable[[bytes], bytes]:
    def remove(data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        return b"".join(lines[:index] + lines[index + 1 :])

    return remove


def swapped(data: bytes) -> bytes:
    first, second, *rest = data.splitlines(keepends=True)
    return b"".join([second, first, *rest])


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (lambda data: data.replace(b"q1", b"q9"), "entry 2 was changed"),
        (lambda data: data.replace(b'"number":4', b'"number":5'), "entry 4 was changed"),
        (without(2), "entry 3 was removed"),
        (without(4), "entry 5 was cut off the end"),
        (lambda data: data[:-10], "entry 5 was cut off the end"),
        (lambda data: data[: len(data) // 2], "were cut off the end"),
        (lambda _data: b"", "entries 1 to 5 were cut off the end"),
        (swapped, "entry 1 was moved, or put in again"),
    ],
    ids=["byte", "number", "removed", "tail", "truncated", "half", "everything", "swapped"],
)
def test_tampering_without_the_key_is_exit_1_and_named(
    tamper: Callable[[bytes], bytes], told: str, state: Path, segment: Path, head: Head
) -> None:
    (state / "journal" / "durable-head").unlink()  # whoever tampers would not leave it
    segment.write_bytes(tamper(segment.read_bytes()))
    result = audit("verify", "--state", state, "--head", head)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith("tampered with: ")
    assert lines[1].endswith(told)


def test_a_chain_made_anew_without_the_key_is_exit_1(
    state: Path, head: Head, tmp_path: Path
) -> None:
    forged = Journal.open(tmp_path / "forged" / "journal", key=b"x" * 32)
    key = audit_key(load_master_key(state.with_name("state.key")))
    original = Journal.open(state / "journal", key=key)
    for _, entry in original.read():
        forged.append(entry)
    forged.close()
    original.close()
    key_file = state.with_name("state.key")
    result = audit("verify", "--state", tmp_path / "forged", "--key-file", key_file, "--head", head)
    assert result.exit_code == 1
    assert "no entry fits the key" in result.stdout


def test_without_an_exported_head_its_absence_is_told(state: Path) -> None:
    result = audit("verify", "--state", state)
    assert result.exit_code == 0
    assert "no exported head was given" in result.stdout


def test_the_result_in_json(state: Path, segment: Path, head: Head) -> None:
    good = json.loads(audit("verify", "--state", state, "--format", "json").stdout)
    assert good == {
        "intact": True, "lines": 5, "fitting": 5, "head": str(head), "findings": [],
        "unfinishedOctets": 0,
    }  # fmt: skip
    segment.write_bytes(segment.read_bytes().replace(b"q1", b"q9"))
    result = audit("verify", "--state", state, "--format", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["findings"] == [{"kind": "changed", "first": 2, "last": 2}]


def test_the_key_comes_from_where_it_is_named(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file = state.with_name("state.key")
    text = key_file.read_text()
    moved = key_file.rename(tmp_path / "elsewhere.key")
    assert audit("verify", "--state", state).exit_code == 2
    assert audit("verify", "--state", state, "--key-file", moved).exit_code == 0
    monkeypatch.setenv(KEY_VARIABLE, text)
    assert audit("verify", "--state", state).exit_code == 0
    monkeypatch.setenv(KEY_VARIABLE, OTHER_KEY)
    assert audit("verify", "--state", state).exit_code == 1
    assert audit("verify", "--state", state, "--key-file", moved).exit_code == 0


# -- usage ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "give one of --state and --config"),
        (["--state", "a", "--config", "b"], "give one of --state and --config"),
        (["verify"], "give one of --state and --config"),
        (["--state", "a", "verify"], "options of verify come after its name"),
        (["--state", "none"], "there is no journal in none"),
        (["verify", "--state", "none"], "there is no journal in none"),
    ],
)
def test_wrong_usage_is_exit_2(arguments: list[str], told: str) -> None:
    result = audit(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr


def test_the_state_directory_may_be_this_one(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(state)
    assert audit("verify", "--state", ".").exit_code == 0


def test_a_head_that_is_none_is_exit_2(state: Path) -> None:
    result = audit("verify", "--state", state, "--head", "latest")
    assert result.exit_code == 2
    assert "a head is the number of an entry" in result.stderr


def test_a_configuration_file_names_journal_key_and_organizations(
    state: Path, tmp_path: Path
) -> None:
    config = tmp_path / "monitor.toml"
    config.write_text(
        f"""
        [monitor]
        state_dir = "state"
        [[organizations]]
        id = "{ORGANIZATIONS[1]}"
        name = "Acme"
        """
    )
    assert rows("--config", config) == [1, 2, 3, 5]
    assert audit("verify", "--config", config).exit_code == 0
    result = audit("--config", config, "--organization", "Acme", "--format", "json")
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["number"] for line in result.stdout.splitlines()] == [2]
