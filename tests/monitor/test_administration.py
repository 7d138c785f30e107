"""Integrations, credentials and queues: created, checked, probed, switched, edited and deleted."""

from __future__ import annotations

import asyncio
import base64
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.monitor.platforms import (
    ADMIN,
    ORG,
    OTHER,
    TONE,
    database_away,
    full_disk,
    integrate,
    platform_in,
    queue_on,
    settled,
)
from tests.monitor.services import KEY, SECRET, Session, polite, serving, until

from openaudiohook.exceptions import (
    ConfigurationError,
    JournalError,
    NotFound,
    StoreError,
    StoreUnavailable,
    TooManyIntegrations,
    VersionConflict,
)
from openaudiohook.monitor.activation import EDITED
from openaudiohook.monitor.events import EventId
from openaudiohook.monitor.orders import PlaceCall
from openaudiohook.monitor.platform import Platform
from openaudiohook.protocol import SessionEvent
from openaudiohook.protocol.events import CloseRequested, OpenRequested
from openaudiohook.protocol.types import NIL_UUID, CloseReason
from openaudiohook.store.entries import Acted
from openaudiohook.store.records import Integration, Queue

pytestmark = [pytest.mark.integration, pytest.mark.anyio]


async def events(platform: Platform) -> list[str]:
    return [event.event_id for _, event in await platform.events(ORG)]


async def test_an_integration_is_probed_and_then_active(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        async with platform.subscribe(ORG) as news:
            integration = await integrate(platform, service)
            assert (integration.intended_state, integration.status) == ("ENABLED", "ACTIVE")
            assert integration.status_text == ""
            assert (await anext(news)).event_id == EventId.ACTIVATED
        (probe,) = service.sessions
        (opened,) = probe.seen(OpenRequested)
        assert isinstance(opened, OpenRequested)
        assert opened.parameters.conversation_id == NIL_UUID
        assert await events(platform) == [EventId.ACTIVATED]


async def test_switching_on_answers_before_the_probe_is_over(tmp_path: Path) -> None:
    async with serving(lambda session, event: None) as service, platform_in(tmp_path) as platform:
        credential = await platform.create_credential(
            ORG, name="one", api_key=KEY, client_secret="", requester=ADMIN
        )
        created = await platform.create_integration(ORG, name="one", requester=ADMIN)
        wanted = replace(created, connection_uri=service.uri, credential_id=credential.id)
        await platform.put_configuration(ORG, wanted, seen_version=1, requester=ADMIN)
        switched = await platform.set_intended_state(ORG, created.id, "ENABLED", requester=ADMIN)
        assert switched.status == "PROBING"
        again = await platform.set_intended_state(ORG, created.id, "ENABLED", requester=ADMIN)
        assert again.status == "PROBING"
        off = await platform.set_intended_state(ORG, created.id, "DISABLED", requester=ADMIN)
        assert (off.status, off.intended_state) == ("INACTIVE", "DISABLED")


async def test_a_failed_probe_leaves_it_inactive_and_says_all_that_went_wrong(
    tmp_path: Path,
) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        integration = await integrate(platform, service, secret=b"another secret")
        assert integration.status == "ERROR"
        assert "Authentication failed" in integration.status_text
        assert await events(platform) == [EventId.ACTIVATION_FAILED]
        queue = await queue_on(platform)
        place = PlaceCall(source=TONE, queue_id=queue.id)
        call = await platform.place_call(ORG, place, requester=ADMIN)
        assert call.running.endpoints == ()

        right = await platform.create_credential(
            ORG,
            name="right",
            api_key=KEY,
            client_secret=base64.b64encode(SECRET).decode(),
            requester=ADMIN,
        )
        await platform.put_configuration(
            ORG,
            replace(integration, credential_id=right.id),
            seen_version=integration.version,
            requester=ADMIN,
        )
        await platform.set_intended_state(ORG, integration.id, "ENABLED", requester=ADMIN)
        assert (await settled(platform, integration.id)).status == "ACTIVE"


async def test_without_uri_or_credential_it_cannot_be_switched_on(tmp_path: Path) -> None:
    async with platform_in(tmp_path) as platform:
        created = await platform.create_integration(ORG, name="one", requester=ADMIN)
        with pytest.raises(ConfigurationError, match="no connection URI and no credential yet"):
            await platform.set_intended_state(ORG, created.id, "ENABLED", requester=ADMIN)


async def test_an_edit_is_in_force_once_it_was_switched_on_anew(tmp_path: Path) -> None:
    async with serving() as first, serving() as second, platform_in(tmp_path) as platform:
        integration = await integrate(platform, first)
        queue = await queue_on(platform)
        place = PlaceCall(source=TONE, queue_id=queue.id)
        edited = await platform.put_configuration(
            ORG,
            replace(integration, connection_uri=second.uri),
            seen_version=integration.version,
            requester=ADMIN,
        )
        assert (edited.version, edited.status, edited.status_text) == (3, "ACTIVE", EDITED)
        await platform.place_call(ORG, place, requester=ADMIN)
        await until(lambda: len(first.sessions) == 2)

        await platform.set_intended_state(ORG, edited.id, "DISABLED", requester=ADMIN)
        await platform.set_intended_state(ORG, edited.id, "ENABLED", requester=ADMIN)
        assert (await settled(platform, edited.id)).status_text == ""
        await platform.place_call(ORG, place, requester=ADMIN)
        await until(lambda: len(second.sessions) == 2)
        assert len(first.sessions) == 2


async def test_notes_and_name_are_changed_without_switching(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        integration = await integrate(platform, service)
        put = await platform.put_configuration(
            ORG,
            replace(integration, name="another", notes="for people"),
            seen_version=integration.version,
            requester=ADMIN,
        )
        assert (put.name, put.status, put.status_text) == ("another", "ACTIVE", "")


async def test_switching_off_closes_its_live_sessions_and_no_others(tmp_path: Path) -> None:
    async with serving() as first, serving() as second, platform_in(tmp_path) as platform:
        one = await integrate(platform, first, name="one")
        await integrate(platform, second, name="two")
        queue = await queue_on(platform)
        call = await platform.place_call(
            ORG, PlaceCall(source=TONE, queue_id=queue.id), requester=ADMIN
        )
        await until(lambda: len(first.sessions) == 2 and first.sessions[1].frames)
        await until(lambda: len(second.sessions) == 2 and second.sessions[1].frames)
        await platform.set_intended_state(ORG, one.id, "DISABLED", requester=ADMIN)
        await until(lambda: first.sessions[1].seen(CloseRequested))
        (closed,) = first.sessions[1].seen(CloseRequested)
        assert isinstance(closed, CloseRequested)
        assert closed.reason is CloseReason.END
        sent = len(second.sessions[1].audio)
        await until(lambda: len(second.sessions[1].audio) > sent)
        assert not second.sessions[1].seen(CloseRequested)
        assert not call.is_over


async def test_deleting_an_active_one_switches_it_off_first(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        integration = await integrate(platform, service)
        await platform.delete_integration(ORG, integration.id, requester=ADMIN)
        with pytest.raises(NotFound):
            await platform.integration(ORG, integration.id)
        assert await platform.integrations(ORG) == []
        acted = [entry for _, entry in await platform.audit(ORG) if isinstance(entry, Acted)]
        assert [entry.action for entry in acted if entry.entity_type == "integration"] == [
            "integration.created",
            "integration.configured",
            "integration.enabled",
            "integration.disabled",
            "integration.deleted",
        ]
        assert {entry.requester for entry in acted if entry.entity_type == "integration"} == {ADMIN}


async def test_of_twenty_who_create_at_once_five_do(tmp_path: Path) -> None:
    async with platform_in(tmp_path) as platform:
        outcomes = await asyncio.gather(
            *(
                platform.create_integration(ORG, name=f"{number}", requester=ADMIN)
                for number in range(20)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(outcome, Integration) for outcome in outcomes) == 5
        assert sum(isinstance(outcome, TooManyIntegrations) for outcome in outcomes) == 15
        await platform.create_integration(OTHER, name="0", requester=ADMIN)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"connection_uri": "http://example.com/"}, "http:// is no wss://"),
        ({"connection_uri": "ws://example.com/"}, "unencrypted"),
        ({"connection_uri": ""}, "the URI is empty"),
        ({"advanced": "[]"}, "is a JSON object"),
        ({"advanced": "{"}, "is not JSON"),
        ({"advanced": '{"a": "' + "a" * 60_000 + '"}'}, "at most 60000"),
        ({"frame_ms": 10}, "20 to 200 ms"),
        ({"name": " "}, "1 to 128 printable characters"),
        ({"notes": "a" * 4_001}, "at most 4000"),
        ({"region": "a" * 129}, "at most 128"),
        ({"credential_id": "nobody's"}, "there is no credential"),
    ],
)
async def test_what_cannot_be_used_is_refused_and_changes_nothing(
    change: dict[str, object], problem: str, tmp_path: Path
) -> None:
    async with platform_in(tmp_path) as platform:
        created = await platform.create_integration(ORG, name="one", requester=ADMIN)
        good = replace(created, connection_uri="wss://example.com/")
        with pytest.raises(ConfigurationError, match=problem):
            await platform.put_configuration(
                ORG, replace(good, **change), seen_version=1, requester=ADMIN
            )
        assert await platform.integration(ORG, created.id) == created


async def test_whoever_has_not_seen_the_latest_version_is_refused(tmp_path: Path) -> None:
    async with platform_in(tmp_path) as platform:
        created = await platform.create_integration(ORG, name="one", requester=ADMIN)
        wanted = replace(created, connection_uri="wss://example.com/")
        await platform.put_configuration(ORG, wanted, seen_version=1, requester=ADMIN)
        with pytest.raises(VersionConflict) as caught:
            await platform.put_configuration(ORG, wanted, seen_version=1, requester=ADMIN)
        assert caught.value.current == 2


@pytest.mark.parametrize(
    ("key", "secret"), [("", ""), ("a key", ""), (KEY, "no base64!"), (KEY, "a")]
)
async def test_a_credential_that_is_none_is_refused(key: str, secret: str, tmp_path: Path) -> None:
    async with platform_in(tmp_path) as platform:
        with pytest.raises(ConfigurationError):
            await platform.create_credential(
                ORG, name="one", api_key=key, client_secret=secret, requester=ADMIN
            )


async def test_a_credential_that_is_used_stays(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        integration = await integrate(platform, service)
        (credential,) = await platform.credentials(ORG)
        secret = base64.b64encode(SECRET).decode()
        with pytest.raises(ConfigurationError, match="is used by"):
            await platform.delete_credential(ORG, credential.id, requester=ADMIN)
        assert await platform.is_credential(ORG, credential.id, api_key=KEY, client_secret=secret)
        assert not await platform.is_credential(ORG, credential.id, api_key=KEY, client_secret="")
        await platform.delete_integration(ORG, integration.id, requester=ADMIN)
        await platform.delete_credential(ORG, credential.id, requester=ADMIN)
        assert await platform.credentials(ORG) == []


async def test_a_queue_is_created_changed_and_deleted(tmp_path: Path) -> None:
    async with platform_in(tmp_path) as platform:
        queue = await queue_on(platform)
        put = await platform.put_queue(
            ORG, replace(queue, language="de-DE"), seen_version=1, requester=ADMIN
        )
        assert (put.version, put.language) == (2, "de-DE")
        with pytest.raises(VersionConflict):
            await platform.put_queue(ORG, queue, seen_version=1, requester=ADMIN)
        assert await platform.queues(ORG) == [put]
        await platform.delete_queue(ORG, queue.id, requester=ADMIN)
        with pytest.raises(NotFound):
            await platform.queue(ORG, queue.id)


@pytest.mark.parametrize(
    "change", [{"name": ""}, {"hold_back_ms": 3_001}, {"hold_back_ms": -1}, {"language": "?"}]
)
async def test_a_queue_that_cannot_be_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    async with platform_in(tmp_path) as platform:
        queue = replace(Queue(id="", organization_id=ORG, name="one"), **change)
        with pytest.raises(ConfigurationError):
            await platform.create_queue(ORG, queue, requester=ADMIN)


async def test_another_organizations_things_are_not_there(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        integration = await integrate(platform, service)
        queue = await queue_on(platform)
        (credential,) = await platform.credentials(ORG)
        for act in (
            platform.integration(OTHER, integration.id),
            platform.put_configuration(OTHER, integration, seen_version=2, requester=ADMIN),
            platform.set_intended_state(OTHER, integration.id, "DISABLED", requester=ADMIN),
            platform.delete_integration(OTHER, integration.id, requester=ADMIN),
            platform.credential(OTHER, credential.id),
            platform.is_credential(OTHER, credential.id, api_key=KEY, client_secret=""),
            platform.delete_credential(OTHER, credential.id, requester=ADMIN),
            platform.queue(OTHER, queue.id),
            platform.put_queue(OTHER, queue, seen_version=1, requester=ADMIN),
            platform.delete_queue(OTHER, queue.id, requester=ADMIN),
            platform.integrations("no organization"),
            platform.usage("no organization"),
        ):
            with pytest.raises(NotFound):
                await act
        assert await platform.integrations(OTHER) == []
        assert await platform.credentials(OTHER) == []
        assert await platform.queues(OTHER) == []
        assert await platform.events(OTHER) == []
        assert [one.status for one in await platform.integrations(ORG)] == ["ACTIVE"]


async def test_while_the_database_is_away_nothing_is_changed(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        integration = await integrate(platform, service)
        async with database_away(tmp_path):
            with pytest.raises(StoreUnavailable):
                await platform.set_intended_state(ORG, integration.id, "DISABLED", requester=ADMIN)
            with pytest.raises(StoreUnavailable):
                await platform.create_queue(
                    ORG, Queue(id="", organization_id=ORG, name="one"), requester=ADMIN
                )
            assert await platform.integration(ORG, integration.id) == integration
        assert await platform.queues(ORG) == []


async def test_a_switch_that_could_not_be_kept_leaves_the_probe_on_its_way(tmp_path: Path) -> None:
    async with serving(lambda session, event: None) as service, platform_in(tmp_path) as platform:
        credential = await platform.create_credential(
            ORG, name="one", api_key=KEY, client_secret="", requester=ADMIN
        )
        created = await platform.create_integration(ORG, name="one", requester=ADMIN)
        wanted = replace(created, connection_uri=service.uri, credential_id=credential.id)
        await platform.put_configuration(ORG, wanted, seen_version=1, requester=ADMIN)
        await platform.set_intended_state(ORG, created.id, "ENABLED", requester=ADMIN)
        async with database_away(tmp_path):
            with pytest.raises(StoreUnavailable):
                await platform.set_intended_state(ORG, created.id, "DISABLED", requester=ADMIN)
        assert (await settled(platform, created.id)).status == "ERROR"


async def test_an_edit_shows_although_the_database_went_away_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> Integration:
        raise StoreUnavailable("it is away")

    async with serving() as service, platform_in(tmp_path) as platform:
        before = await integrate(platform, service)
        wanted = replace(before, channel="external")
        with monkeypatch.context() as patched:
            patched.setattr(platform._integrations, "set_state", away)
            with pytest.raises(StoreUnavailable):
                await platform.put_configuration(
                    ORG, wanted, seen_version=before.version, requester=ADMIN
                )
        shown = await platform.integration(ORG, before.id)
        assert (shown.version, shown.channel) == (before.version + 1, "external")
        assert shown.status_text == EDITED


async def test_a_change_that_is_not_in_the_audit_yet_is_said_to_be_so(tmp_path: Path) -> None:
    async with platform_in(tmp_path) as platform:
        journal = platform._journal
        before = journal.head.number
        with full_disk(), pytest.raises((JournalError, StoreUnavailable)):
            await queue_on(platform)
        await platform._watch.tick()
        made = len(await platform.queues(ORG))
        assert journal.head.number >= before + made


async def test_a_restart_finds_what_is_active_and_probes_what_was_edited(tmp_path: Path) -> None:
    seen: list[Session] = []

    def note(session: Session, event: SessionEvent) -> None:
        if isinstance(event, OpenRequested):
            seen.append(session)
        polite(session, event)

    async with serving(note) as service:
        async with platform_in(tmp_path) as platform:
            await integrate(platform, service, name="kept")
            edited = await integrate(platform, service, name="edited")
            await platform.put_configuration(
                ORG,
                replace(edited, channel="external"),
                seen_version=edited.version,
                requester=ADMIN,
            )
        assert len(seen) == 2
        async with platform_in(tmp_path) as platform:
            one = await settled(platform, edited.id)
            assert (one.status, one.status_text) == ("ACTIVE", "")
            assert len(seen) == 3
            active = [config.name for config in platform._directory.active(ORG)]
            assert active == ["edited", "kept"]


async def test_a_database_that_is_away_at_the_start_is_refused(tmp_path: Path) -> None:
    async with platform_in(tmp_path):
        pass
    async with database_away(tmp_path):
        with pytest.raises(StoreUnavailable):
            async with platform_in(tmp_path):
                raise AssertionError("it started")


async def test_another_journals_database_is_refused_at_the_start(tmp_path: Path) -> None:
    async with platform_in(tmp_path) as platform:
        await queue_on(platform)
    shutil.rmtree(tmp_path / "journal")
    with pytest.raises(JournalError, match="another"):
        async with platform_in(tmp_path):
            raise AssertionError("it started")


async def test_another_key_is_refused_at_the_start(tmp_path: Path) -> None:
    async with serving() as service:
        async with platform_in(tmp_path) as platform:
            await integrate(platform, service)
        with pytest.raises(StoreError):
            async with platform_in(tmp_path, master=bytes(32)):
                raise AssertionError("it started")


async def test_switching_off_raises_its_event(tmp_path: Path) -> None:
    async with serving() as service, platform_in(tmp_path) as platform:
        integration = await integrate(platform, service)
        await platform.set_intended_state(ORG, integration.id, "DISABLED", requester=ADMIN)
        assert await events(platform) == [EventId.ACTIVATED, EventId.DEACTIVATED]
