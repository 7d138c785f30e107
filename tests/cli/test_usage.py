"""`usage`: the same numbers for people and for programs, and what is wrong in one line."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from openaudiohook.cli import main
from openaudiohook.store.database import Database
from openaudiohook.store.entries import (
    CallBegan,
    CallEnded,
    PauseBegan,
    PauseEnded,
    PhaseBegan,
    ServerPaused,
    SessionEnded,
    SessionOpened,
)
from openaudiohook.store.integrations import Integrations
from openaudiohook.store.organizations import Organizations
from openaudiohook.store.projection import project
from openaudiohook.store.records import Organization

pytestmark = pytest.mark.integration

MINUTE = 480_000
AUGUST_NS = 1_785_542_400 * 10**9


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with one call of ten minutes, of which four are heard by an agent."""
    path = tmp_path_factory.mktemp("usage") / "store.db"
    call = {"organization_id": "o", "conversation_id": "c", "utc_ns": AUGUST_NS}
    session = {"integration_id": "i", "session_id": "s"}
    flow = {"cause": "secure", "reason": "flow", "requester": "flow:card"}
    told = [
        CallBegan(**call, edge="cloud"),
        PhaseBegan(**call, at=0, phase="ivr"),
        SessionOpened(**call, **session, at=MINUTE // 2, start=0),
        PhaseBegan(**call, at=2 * MINUTE, phase="queue"),
        PhaseBegan(**call, at=4 * MINUTE, phase="agent"),
        PauseBegan(**call, **flow, at=5 * MINUTE),
        PauseEnded(**call, **flow, at=6 * MINUTE),
        ServerPaused(**call, **session, at=7 * MINUTE, end=8 * MINUTE),
        PhaseBegan(**call, at=8 * MINUTE, phase="hold"),
        SessionEnded(**call, **session, at=10 * MINUTE),
        CallEnded(**call, at=10 * MINUTE),
    ]

    async def fill() -> None:
        database = await Database.open(f"sqlite:///{path}")
        for name in ("o", "p"):
            await Organizations(database).put(Organization(id=name, name=name.upper()))
        await Integrations(database).create("o", id="i", name="Recorder")
        async with database.writing() as connection:
            await project(connection, list(enumerate(told, 1)))
        await database.close()

    asyncio.run(fill())
    return path


def usage(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["usage", *arguments])


def test_people_see_minutes_and_the_rounding(store: Path) -> None:
    result = usage("--store", f"sqlite:///{store}")
    assert result.exit_code == 0, result.output
    assert "O, 2026-08: minutes" in result.output
    rows = {
        cells[1]: cells[2:]
        for line in result.output.splitlines()
        if len(cells := [cell.strip() for cell in line.strip("│").split("│")]) == 7
    }
    assert rows == {
        "ivr": ["1.500", "0.000", "0.000", "0.000", "1.500"],
        "queue": ["2.000", "0.000", "0.000", "0.000", "2.000"],
        "agent": ["4.000", "1.000", "0.000", "1.000", "3.000"],
        "hold": ["2.000", "0.000", "0.000", "0.000", "2.000"],
        "all": ["9.500", "1.000", "0.000", "1.000", "8.500"],
    }
    assert (
        "Recorder: 9 min charged, 8.500 rounded once (+0.500); 5.500 of it paid though nobody "
        "spoke (ivr, queue, hold); 1 call" in result.output
    )
    assert "free pauses: client, secure" in result.output


def test_programs_get_nanoseconds(store: Path) -> None:
    url = f"sqlite:///{store}"
    whole = json.loads(usage("--store", url, "--format", "json").stdout)
    (used,) = whole["organizations"][0]["integrations"]
    assert whole["organizations"][1] == {"id": "p", "name": "P", "integrations": []}
    minute = 60 * 10**9
    assert used["chargeableNs"] == 8.5 * minute
    assert used["nobodySpokeNs"] == 5.5 * minute
    assert (used["minutes"], used["roundingNs"]) == (9, 0.5 * minute)
    rows = list(csv.DictReader(io.StringIO(usage("--store", url, "--format", "csv").stdout)))
    assert [row["phase"] for row in rows] == ["ivr", "queue", "agent", "hold", "all"]
    for row in rows:
        expected = used if row["phase"] == "all" else used["phases"][row["phase"]]
        found = {name: int(value) for name, value in row.items() if value.isdigit()}
        assert found.items() <= expected.items()
        assert (row["month"], row["integration"]) == ("2026-08", "Recorder")


def test_the_configuration_names_the_store_and_the_tariff(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "monitor.toml"
    free = '["secure", "client", "server"]'
    file.write_text(f'[monitor]\nstore = "sqlite:///{store}"\nfree_pauses = {free}\n')
    result = usage("--config", str(file))
    assert result.exit_code == 0, result.output
    assert "8 min charged, 7.500 rounded once" in result.output
    assert "free pauses: client, secure, server" in result.output


def test_a_month_and_an_organization_can_be_chosen(store: Path) -> None:
    url = f"sqlite:///{store}"
    assert "8.500" in usage("--store", url, "--month", "2026-08", "--organization", "O").output
    for chosen in (["--month", "2026-07"], ["--organization", "p"]):
        result = usage("--store", url, *chosen)
        assert (result.exit_code, "8.500" in result.output) == (0, False)
        assert "nothing is charged" in result.output


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        ([], 2, "give --config or --store"),
        (["--store", "sqlite:////nowhere/s.db"], 1, "No such file or directory: check the path"),
        (["--store", "mysql://u:hunter2@h/d"], 2, "the store cannot be 'mysql'"),
        (["--store", "STORE", "--month", "2026-13"], 2, "'2026-13' is no month"),
        (["--store", "STORE", "--organization", "q"], 2, "'q' is no organization"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    store: Path, arguments: list[str], status: int, complaint: str
) -> None:
    result = usage(*(each.replace("STORE", f"sqlite:///{store}") for each in arguments))
    assert result.exit_code == status
    assert complaint in result.stderr
    assert "hunter2" not in result.output
    assert "Traceback" not in result.output
