"""Configuration is kept, by organization, and changed only by those who saw what they change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from sqlalchemy import insert, select, text, update

from openaudiohook.exceptions import (
    ConfigurationError,
    NotFound,
    StoreError,
    TooManyIntegrations,
    VersionConflict,
)
from openaudiohook.store.credentials import Credentials
from openaudiohook.store.database import Database
from openaudiohook.store.events import Audit
from openaudiohook.store.integrations import Integrations
from openaudiohook.store.organizations import Organizations
from openaudiohook.store.queues import Queues
from openaudiohook.store.records import Credential, Integration, Organization, Queue
from openaudiohook.store.sealing import Sealer
from openaudiohook.store.tables import credentials, integrations

pytestmark = pytest.mark.integration

MASTER = bytes(range(32))


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = await Database.open(url)
    await Organizations(database).put(Organization(id="one", name="One"))
    await Organizations(database).put(Organization(id="two", name="Two"))
    yield database
    await database.close()


@pytest.mark.anyio
async def test_organizations_are_put_as_often_as_one_likes(database: Database) -> None:
    repository = Organizations(database)
    await repository.put(Organization(id="one", name="Renamed"))
    await repository.put(Organization(id="one", name="Renamed"))
    assert await repository.all() == [
        Organization(id="one", name="Renamed"),
        Organization(id="two", name="Two"),
    ]
    assert await repository.get("two") == Organization(id="two", name="Two")
    with pytest.raises(NotFound, match="no organization 'three'"):
        await repository.get("three")


@pytest.mark.anyio
async def test_an_integration_is_configured_and_keeps_its_state(database: Database) -> None:
    repository = Integrations(database)
    await Credentials(database, Sealer(MASTER)).create(
        "one", id="c", name="key", api_key="k", client_secret=""
    )
    created = await repository.create("one", id="i", name="Recorder")
    assert created == Integration(id="i", organization_id="one", name="Recorder")
    await repository.set_state("one", "i", intended_state="ENABLED", status="PROBING")
    wanted = Integration(
        id="i",
        organization_id="one",
        name="Transcriber",
        channel="external",
        connection_uri="wss://example.com/audiohook",
        reconnections=True,
        retry_upgrade_5xx=True,
        region="eu-central-1",
        frame_ms=200,
        advanced='{"b": 1,  "a": [2]}',
        notes="of the second floor",
        credential_id="c",
    )
    changed = await repository.put("one", wanted, seen_version=1)
    assert changed == msgspec.structs.replace(
        wanted, version=2, intended_state="ENABLED", status="PROBING"
    )
    assert await repository.get("one", "i") == changed
    failed = await repository.set_state("one", "i", status="ERROR", status_text="401")
    assert (failed.version, failed.status, failed.status_text) == (2, "ERROR", "401")
    assert failed.intended_state == "ENABLED"
    assert await repository.all("one") == [failed]


@pytest.mark.anyio
async def test_whoever_saw_an_older_version_changes_nothing(database: Database) -> None:
    repository = Integrations(database)
    integration = await repository.create("one", id="i", name="Recorder")

    async def change(notes: str) -> Integration:
        noted = msgspec.structs.replace(integration, notes=notes)
        return await repository.put("one", noted, seen_version=1)

    answers = await asyncio.gather(*(change(str(n)) for n in range(8)), return_exceptions=True)
    (winner,) = [answer for answer in answers if isinstance(answer, Integration)]
    conflicts = [answer for answer in answers if isinstance(answer, VersionConflict)]
    assert [conflict.current for conflict in conflicts] == [2] * 7
    assert await repository.get("one", "i") == winner
    await database.close()  # with the connections that were needed at once


@pytest.mark.anyio
async def test_of_twenty_integrations_made_at_once_five_are(database: Database) -> None:
    repository = Integrations(database)
    answers = await asyncio.gather(
        *(repository.create("one", id=str(n), name=f"Number {n}") for n in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, Integration) for answer in answers) == 5
    assert sum(isinstance(answer, TooManyIntegrations) for answer in answers) == 15
    made = await repository.all("one")
    assert len(made) == 5
    assert (await repository.create("two", id="0", name="Number 0")).organization_id == "two"
    await repository.delete("one", made[2].id)
    await repository.create("one", id="again", name="Again")
    async with database.reading() as connection:
        slots = await connection.scalars(
            select(integrations.c.slot).where(integrations.c.organization_id == "one")
        )
    assert sorted(slots) == [1, 2, 3, 4, 5]
    await database.close()  # with the connections that were needed at once


@pytest.mark.anyio
@pytest.mark.parametrize("slot", [0, 1, 6])
async def test_the_tables_themselves_hold_no_sixth_integration(
    database: Database, slot: int
) -> None:
    repository = Integrations(database)
    for number in range(5):
        await repository.create("one", id=str(number), name=str(number))
    async with database.reading() as connection:
        row = (await connection.execute(select(integrations))).mappings().first()
    assert row is not None
    with pytest.raises(ConfigurationError, match="slot"):
        async with database.writing() as connection:
            await connection.execute(
                insert(integrations).values(**dict(row) | {"id": "x", "name": "x", "slot": slot})
            )


@pytest.mark.anyio
async def test_a_name_is_one_integrations_alone(database: Database) -> None:
    repository = Integrations(database)
    first = await repository.create("one", id="1", name="First")
    second = await repository.create("one", id="2", name="Second")
    with pytest.raises(ConfigurationError, match="'First' is in use by integration '1'"):
        await repository.create("one", id="3", name="First")
    with pytest.raises(ConfigurationError, match="'First' is in use"):
        await repository.put("one", msgspec.structs.replace(second, name="First"), seen_version=1)
    await repository.put("one", first, seen_version=1)
    await repository.create("two", id="1", name="First")


@pytest.mark.anyio
async def test_the_name_of_an_integration_outlives_it(database: Database) -> None:
    repository = Integrations(database)
    made = await repository.create("one", id="1", name="First")
    await repository.put("one", msgspec.structs.replace(made, name="Renamed"), seen_version=1)
    await repository.delete("one", "1")
    assert await repository.all("one") == []
    assert await repository.names("one") == {"1": "Renamed"}
    assert await repository.names("two") == {}
    await repository.create("one", id="1", name="Back")
    assert await repository.names("one") == {"1": "Back"}


@pytest.mark.anyio
async def test_what_breaks_a_bound_is_refused_by_its_name(database: Database) -> None:
    repository = Integrations(database)
    made = await repository.create("one", id="1", name="First")
    with pytest.raises(ConfigurationError, match="ck_integrations_frame_ms"):
        await repository.put("one", msgspec.structs.replace(made, frame_ms=5), seen_version=1)
    assert await repository.get("one", "1") == made


@pytest.mark.anyio
async def test_a_value_that_fits_no_column_is_not_taken_for_a_database_that_is_away(
    database: Database,
) -> None:
    with pytest.raises(ConfigurationError, match="a number is too large"):
        await Audit(database).page("one", after=1 << 63)
    if database.address.path is None:  # SQLite keeps any text
        with pytest.raises(ConfigurationError, match="NUL"):
            await Integrations(database).create("one", id="1", name="a\0b")


@pytest.mark.anyio
async def test_credentials_are_written_and_only_revealed_to_sign(database: Database) -> None:
    repository = Credentials(database, Sealer(MASTER))
    given = {"api_key": "SGVsbG8", "client_secret": "VGhlU2VjcmV0"}
    created = await repository.create("one", id="c", name="Key", **given)
    assert created == Credential(id="c", organization_id="one", name="Key")
    assert await repository.get("one", "c") == created
    assert await repository.all("one") == [created]
    assert await repository.reveal("one", "c") == ("SGVsbG8", "VGhlU2VjcmV0")
    async with database.reading() as connection:
        (row,) = (await connection.execute(select(credentials))).all()
    assert b"SGVsbG8" not in row.sealed
    assert b"VGhlU2VjcmV0" not in row.sealed
    with pytest.raises(ConfigurationError):
        await repository.create("one", id="c", name="Other", **given)
    with pytest.raises(StoreError, match="the key it was stored with"):
        await Credentials(database, Sealer(bytes(32))).reveal("one", "c")


@pytest.mark.anyio
async def test_a_sealed_secret_opens_in_its_own_row_only(database: Database) -> None:
    repository = Credentials(database, Sealer(MASTER))
    for id_ in ("c", "d"):
        await repository.create("one", id=id_, name=id_, api_key=id_, client_secret="")
    async with database.writing() as connection:
        sealed = select(credentials.c.sealed).where(credentials.c.id == "c").scalar_subquery()
        await connection.execute(
            update(credentials).where(credentials.c.id == "d").values(sealed=sealed)
        )
    with pytest.raises(StoreError, match="does not open"):
        await repository.reveal("one", "d")


@pytest.mark.anyio
async def test_a_credential_in_use_stays(database: Database) -> None:
    repository, users = Credentials(database, Sealer(MASTER)), Integrations(database)
    await repository.create("one", id="c", name="Key", api_key="k", client_secret="")
    made = await users.create("one", id="i", name="Recorder")
    wanted = msgspec.structs.replace(made, credential_id="c")
    used = await users.put("one", wanted, seen_version=1)
    with pytest.raises(ConfigurationError, match="'c' is used by integration 'Recorder'"):
        await repository.delete("one", "c")
    await users.put("one", msgspec.structs.replace(used, credential_id=None), seen_version=2)
    await repository.delete("one", "c")
    assert await repository.all("one") == []
    with pytest.raises(ConfigurationError, match="no credential 'c'"):
        await users.put("one", wanted, seen_version=3)


@pytest.mark.anyio
async def test_queues_are_kept_with_their_switches(database: Database) -> None:
    repository = Queues(database)
    created = await repository.create("one", Queue(id="q", organization_id="?", name="Sales"))
    assert created == Queue(id="q", organization_id="one", name="Sales")
    wanted = msgspec.structs.replace(
        created, enable_audio_monitoring=True, language="de-DE", hold_back_ms=3000
    )
    changed = await repository.put("one", wanted, seen_version=1)
    assert changed == msgspec.structs.replace(wanted, version=2)
    assert await repository.get("one", "q") == changed
    assert await repository.all("one") == [changed]
    with pytest.raises(VersionConflict) as conflict:
        await repository.put("one", wanted, seen_version=1)
    assert conflict.value.current == 2
    with pytest.raises(ConfigurationError, match="'Sales' is in use by queue 'q'"):
        await repository.create("one", Queue(id="r", organization_id="one", name="Sales"))
    with pytest.raises(ConfigurationError, match="ck_queues_hold_back_ms"):
        await repository.put(
            "one", msgspec.structs.replace(changed, hold_back_ms=3001), seen_version=2
        )
    await repository.delete("one", "q")
    assert await repository.all("one") == []


@pytest.mark.anyio
async def test_what_another_organization_has_is_not_there(database: Database) -> None:
    vaults, users, queues = (
        Credentials(database, Sealer(MASTER)),
        Integrations(database),
        Queues(database),
    )
    await vaults.create("one", id="x", name="x", api_key="k", client_secret="s")
    made = await users.create("one", id="x", name="x")
    queue = await queues.create("one", Queue(id="x", organization_id="one", name="x"))
    assert (await vaults.all("two"), await users.all("two"), await queues.all("two")) == (
        [],
        [],
        [],
    )
    own = await users.create("two", id="own", name="own")
    for attempt in (
        lambda: vaults.get("two", "x"),
        lambda: vaults.reveal("two", "x"),
        lambda: vaults.delete("two", "x"),
        lambda: users.get("two", "x"),
        lambda: users.put("two", made, seen_version=1),
        lambda: users.set_state("two", "x", status="ACTIVE"),
        lambda: users.delete("two", "x"),
        lambda: queues.get("two", "x"),
        lambda: queues.put("two", queue, seen_version=1),
        lambda: queues.delete("two", "x"),
        lambda: users.create("three", id="y", name="y"),
        lambda: queues.create("three", queue),
        lambda: vaults.create("three", id="y", name="y", api_key="k", client_secret=""),
    ):
        with pytest.raises(NotFound):
            await attempt()
    with pytest.raises(ConfigurationError, match="no credential 'x'"):
        await users.put("two", msgspec.structs.replace(own, credential_id="x"), seen_version=1)
    assert await users.get("one", "x") == made
    assert await queues.get("one", "x") == queue
    assert await vaults.reveal("one", "x") == ("k", "s")


@pytest.mark.anyio
async def test_the_tables_themselves_hold_no_reference_across_organizations(
    database: Database,
) -> None:
    await Credentials(database, Sealer(MASTER)).create(
        "one", id="c", name="c", api_key="k", client_secret=""
    )
    await Integrations(database).create("two", id="i", name="i")
    with pytest.raises(ConfigurationError):
        async with database.writing() as connection:
            await connection.execute(text("UPDATE integrations SET credential_id = 'c'"))
