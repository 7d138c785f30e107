"""What is configured, changed by whoever may: organizations, integrations, credentials, queues.

Every change is checked, kept in the database, followed by the directory that calls look into, and
written into the audit with who made it; in that order. So what is refused has changed nothing, and
what a caller was told of is durable.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from openaudiohook.auth import decode_secret, validate_api_key
from openaudiohook.exceptions import ConfigurationError, JournalError
from openaudiohook.fanout.engine import MAX_HOLD_BACK_SAMPLES
from openaudiohook.monitor.activation import EDITED, Activation, require_complete
from openaudiohook.monitor.directory import Directory
from openaudiohook.monitor.integrations import parse_custom_config, require_uri
from openaudiohook.monitor.record import Record
from openaudiohook.monitor.regions import Distance, RoundTrip, RoundTrips
from openaudiohook.protocol.media import SAMPLE_RATE
from openaudiohook.protocol.messages import LanguageCode
from openaudiohook.store.credentials import Credentials
from openaudiohook.store.entries import Acted
from openaudiohook.store.integrations import Integrations
from openaudiohook.store.organizations import Organizations
from openaudiohook.store.queues import Queues
from openaudiohook.store.records import Credential, Integration, Organization, Queue

__all__ = ["LONGEST_NAME", "LONGEST_NOTES", "Administration"]

LONGEST_NAME: Final = 128
LONGEST_NOTES: Final = 4_000
_FRAME_MS: Final = range(20, 201)

_CONFIGURED: Final = (
    "name", "channel", "connection_uri", "reconnections", "retry_upgrade_5xx", "region",
    "frame_ms", "advanced", "notes", "credential_id",
)  # fmt: skip
_TELLING_NOBODY: Final = {"name", "notes"}  # what no service gets to see


class Administration:
    """The part of a platform that configures it; `Platform` makes and starts it.

    Every method raises `NotFound` for what is not there or belongs to another organization,
    `StoreUnavailable` where the database is away, in which case nothing has changed, and
    `JournalError` where a change was made that is not in the audit yet.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        organizations: Organizations,
        integrations: Integrations,
        credentials: Credentials,
        queues: Queues,
        activation: Activation,
        record: Record,
        on_switched_off: Callable[[Integration], None],
        new_id: Callable[[], str],
        utc_ns: Callable[[], int],
        allow_ws: bool,
        round_trips: RoundTrips,
    ) -> None:
        self._directory = directory
        self._organizations = organizations
        self._integrations = integrations
        self._credentials = credentials
        self._queues = queues
        self._activation = activation
        self._record = record
        self._on_switched_off = on_switched_off
        self._new_id = new_id
        self._utc_ns = utc_ns
        self._allow_ws = allow_ws
        self._round_trips = round_trips

    async def load(self) -> None:
        """Read everything, and see to it that what is to be active is.

        An integration that was active is so at once. One whose probe was cut short, or that was
        edited since it was activated, is probed: what it streamed with is not known any more.
        """
        for organization in await self._organizations.all():
            self._directory.fill(
                organization,
                integrations=await self._integrations.all(organization.id),
                credentials=await self._credentials.all(organization.id),
                queues=await self._queues.all(organization.id),
            )
            for integration in self._directory.integrations(organization.id):
                if integration.status == "PROBING" or integration.status_text == EDITED:
                    probing = replace(integration, status="PROBING", status_text="")
                    self._directory.keep_integration(probing)
                    self._activation.begin(probing)
                elif integration.status == "ACTIVE":
                    config = await self._activation.config(integration)
                    self._directory.activate(organization.id, integration.id, config)

    # Organizations ----------------------------------------------------------------------

    def organizations(self) -> list[Organization]:
        """Return every organization."""
        return self._directory.organizations

    async def put_organization(self, organization: Organization, *, requester: str) -> Organization:
        """Create an organization, or change its name; nothing happens where it is as it should be.

        Raises:
            ConfigurationError: its name is empty or too long.
        """
        _require_name(organization.name)
        if organization not in self._directory.organizations:
            await self._organizations.put(organization)
            self._directory.keep_organization(organization)
            await self._acted(organization.id, requester, "organization.put", organization.id)
        return organization

    # Integrations -----------------------------------------------------------------------

    async def integrations(self, organization_id: str) -> list[Integration]:
        """Return an organization's integrations; a far or slow one says so in `status_text`."""
        return [self._shown(one) for one in self._directory.integrations(organization_id)]

    async def integration(self, organization_id: str, integration_id: str) -> Integration:
        """Return an integration; a far or slow one says so in `status_text`."""
        return self._shown(self._directory.integration(organization_id, integration_id))

    def round_trip(self, organization_id: str, integration_id: str) -> RoundTrip | None:
        """Return what is known of the round trips to an integration's service."""
        self._directory.integration(organization_id, integration_id)
        return self._round_trips.latest(integration_id)

    async def create_integration(
        self, organization_id: str, *, name: str, requester: str
    ) -> Integration:
        """Create an integration, inactive and without configuration.

        Raises:
            TooManyIntegrations: the organization has five.
            ConfigurationError: the name is empty, too long, or in use.
        """
        _require_name(name)
        async with self._directory.changing(organization_id):
            created = await self._integrations.create(organization_id, id=self._new_id(), name=name)
            self._directory.keep_integration(created)
        await self._acted(organization_id, requester, "integration.created", created.id)
        return created

    async def put_configuration(
        self, organization_id: str, integration: Integration, *, seen_version: int, requester: str
    ) -> Integration:
        """Replace an integration's configuration, and return it with its new version.

        Its state stays as it is. An active one streams with the configuration it was activated
        with, and its `status_text` says so, until it is switched off and on again.

        Args:
            organization_id: whose it is.
            integration: what it is to be; its id says which one.
            seen_version: the version that whoever makes the change has seen.
            requester: who that is.

        Raises:
            VersionConflict: somebody else has changed it since.
            ConfigurationError: a value cannot be used; the text says which, and what would be.
        """
        self._require_usable(integration)
        async with self._directory.changing(organization_id):
            before = self._directory.integration(organization_id, integration.id)
            put = await self._integrations.put(
                organization_id, integration, seen_version=seen_version
            )
            changed = [name for name in _CONFIGURED if getattr(before, name) != getattr(put, name)]
            if put.status == "ACTIVE" and set(changed) - _TELLING_NOBODY:
                put = await self._integrations.set_state(
                    organization_id, put.id, status="ACTIVE", status_text=EDITED
                )
            self._directory.keep_integration(put)
        await self._acted(
            organization_id,
            requester,
            "integration.configured",
            put.id,
            version=put.version,
            changed=", ".join(changed),
        )
        return put

    async def set_intended_state(
        self,
        organization_id: str,
        integration_id: str,
        state: Literal["ENABLED", "DISABLED"],
        *,
        requester: str,
    ) -> Integration:
        """Switch an integration on or off; this answers at once.

        Switched on, it is `PROBING` until the probe is over, and then `ACTIVE` or `ERROR`. To
        switch one on that is on changes nothing, unless it was edited or its probe had failed:
        then it is probed again. Switched off, its live sessions are closed with `end`.

        Raises:
            ConfigurationError: it has no URI or no credential yet.
        """
        is_on = state == "ENABLED"
        async with self._directory.changing(organization_id):
            integration = self._directory.integration(organization_id, integration_id)
            if is_on:
                require_complete(integration)
            if _is_so(integration, is_on=is_on):
                return integration
            self._activation.cancel(organization_id, integration_id)
            switched = await self._integrations.set_state(
                organization_id,
                integration_id,
                intended_state=state,
                status="PROBING" if is_on else "INACTIVE",
                status_text="",
            )
            self._directory.keep_integration(switched)
            if is_on:
                self._round_trips.forget(integration_id)
                self._activation.begin(switched)
            else:
                self._directory.deactivate(organization_id, integration_id)
                self._on_switched_off(switched)
        action = "integration.enabled" if is_on else "integration.disabled"
        await self._acted(organization_id, requester, action, integration_id)
        return switched

    async def delete_integration(
        self, organization_id: str, integration_id: str, *, requester: str
    ) -> None:
        """Delete an integration; it is switched off first."""
        integration = self._directory.integration(organization_id, integration_id)
        if integration.intended_state == "ENABLED":
            await self.set_intended_state(
                organization_id, integration_id, "DISABLED", requester=requester
            )
        async with self._directory.changing(organization_id):
            await self._integrations.delete(organization_id, integration_id)
            self._directory.drop_integration(organization_id, integration_id)
        self._round_trips.forget(integration_id)
        await self._acted(organization_id, requester, "integration.deleted", integration_id)

    # Credentials ------------------------------------------------------------------------

    async def credentials(self, organization_id: str) -> list[Credential]:
        """Return an organization's credentials, without what they are."""
        return self._directory.credentials(organization_id)

    async def credential(self, organization_id: str, credential_id: str) -> Credential:
        """Return a credential, without what it is."""
        return self._directory.credential(organization_id, credential_id)

    async def is_credential(
        self, organization_id: str, credential_id: str, *, api_key: str, client_secret: str
    ) -> bool:
        """Whether a credential is that key with that secret."""
        kept = await self._credentials.reveal(organization_id, credential_id)
        return all(
            hmac.compare_digest(one.encode(), other.encode())
            for one, other in zip(kept, (api_key, client_secret), strict=True)
        )

    async def create_credential(
        self, organization_id: str, *, name: str, api_key: str, client_secret: str, requester: str
    ) -> Credential:
        """Keep an API key and a client secret, sealed; nobody is ever shown them again.

        Raises:
            ConfigurationError: the name, the key or the secret is not what one looks like.
        """
        _require_name(name)
        validate_api_key(api_key)
        decode_secret(client_secret)
        async with self._directory.changing(organization_id):
            created = await self._credentials.create(
                organization_id,
                id=self._new_id(),
                name=name,
                api_key=api_key,
                client_secret=client_secret,
            )
            self._directory.keep_credential(created)
        await self._acted(organization_id, requester, "credential.created", created.id)
        return created

    async def delete_credential(
        self, organization_id: str, credential_id: str, *, requester: str
    ) -> None:
        """Delete a credential.

        Raises:
            ConfigurationError: an integration uses it.
        """
        async with self._directory.changing(organization_id):
            await self._credentials.delete(organization_id, credential_id)
            self._directory.drop_credential(organization_id, credential_id)
        await self._acted(organization_id, requester, "credential.deleted", credential_id)

    # Queues -----------------------------------------------------------------------------

    async def queues(self, organization_id: str) -> list[Queue]:
        """Return an organization's queues."""
        return self._directory.queues(organization_id)

    async def queue(self, organization_id: str, queue_id: str) -> Queue:
        """Return a queue."""
        return self._directory.queue(organization_id, queue_id)

    async def create_queue(self, organization_id: str, queue: Queue, *, requester: str) -> Queue:
        """Create a queue as it is given; its id, where that is empty, and its version are ours.

        Raises:
            ConfigurationError: a value cannot be used, or the name is in use.
        """
        _require_queue(queue)
        queue = replace(
            queue, id=queue.id or self._new_id(), organization_id=organization_id, version=1
        )
        async with self._directory.changing(organization_id):
            created = await self._queues.create(organization_id, queue)
            self._directory.keep_queue(created)
        await self._acted(organization_id, requester, "queue.created", created.id)
        return created

    async def put_queue(
        self, organization_id: str, queue: Queue, *, seen_version: int, requester: str
    ) -> Queue:
        """Replace a queue's settings; calls that are in it already keep those they came in with.

        Raises:
            VersionConflict: somebody else has changed it since.
            ConfigurationError: a value cannot be used, or the name is in use.
        """
        _require_queue(queue)
        async with self._directory.changing(organization_id):
            put = await self._queues.put(organization_id, queue, seen_version=seen_version)
            self._directory.keep_queue(put)
        await self._acted(
            organization_id,
            requester,
            "queue.changed",
            put.id,
            version=put.version,
            enable_audio_monitoring=put.enable_audio_monitoring,
            enable_transcription=put.enable_transcription,
        )
        return put

    async def delete_queue(self, organization_id: str, queue_id: str, *, requester: str) -> None:
        """Delete a queue; calls that are in it go on."""
        async with self._directory.changing(organization_id):
            await self._queues.delete(organization_id, queue_id)
            self._directory.drop_queue(organization_id, queue_id)
        await self._acted(organization_id, requester, "queue.deleted", queue_id)

    # ------------------------------------------------------------------------------------

    def _shown(self, integration: Integration) -> Integration:
        trip = self._round_trips.latest(integration.id)
        if integration.status != "ACTIVE" or trip is None or trip.distance is Distance.NEAR:
            return integration
        text = f"{integration.status_text}; {trip.text}".removeprefix("; ")
        return replace(integration, status_text=text)

    def _require_usable(self, integration: Integration) -> None:
        _require_name(integration.name)
        require_uri(integration.connection_uri, allow_ws=self._allow_ws)
        parse_custom_config(integration.advanced)
        if integration.frame_ms not in _FRAME_MS:
            raise ConfigurationError(
                f"a frame lasts {_FRAME_MS[0]} to {_FRAME_MS[-1]} ms, not {integration.frame_ms}"
            )
        if len(integration.notes) > LONGEST_NOTES:
            raise ConfigurationError(f"notes have at most {LONGEST_NOTES} characters")
        if len(integration.region) > LONGEST_NAME:
            raise ConfigurationError(f"a region has at most {LONGEST_NAME} characters")

    async def _acted(
        self,
        organization_id: str,
        requester: str,
        action: str,
        entity_id: str,
        **detail: str | int | bool | None,
    ) -> None:
        entry = Acted(
            organization_id=organization_id,
            utc_ns=self._utc_ns(),
            requester=requester,
            action=action,
            entity_type=action.partition(".")[0],
            entity_id=entity_id,
            detail=detail,
        )
        self._record.note(entry)
        try:
            await self._record.sync()
        except JournalError as error:
            raise JournalError(
                f"the change was made, and is not in the audit yet: {error}"
            ) from None


def _is_so(integration: Integration, *, is_on: bool) -> bool:
    """Whether an integration is switched as it is to be, with nothing left to be found out."""
    if not is_on:
        return integration.intended_state == "DISABLED"
    is_as_activated = integration.status == "ACTIVE" and integration.status_text != EDITED
    return integration.status == "PROBING" or is_as_activated


def _require_name(name: str) -> None:
    if not name.strip() or len(name) > LONGEST_NAME:
        raise ConfigurationError(f"a name has 1 to {LONGEST_NAME} characters, not all blank")


def _require_queue(queue: Queue) -> None:
    _require_name(queue.name)
    most = MAX_HOLD_BACK_SAMPLES * 1_000 // SAMPLE_RATE
    if not 0 <= queue.hold_back_ms <= most:
        raise ConfigurationError(f"audio is held back 0 to {most} ms, not {queue.hold_back_ms}")
    if queue.language is not None:
        try:
            msgspec.convert(queue.language, LanguageCode)
        except msgspec.ValidationError:
            raise ConfigurationError("a language is a BCP 47 tag, for example 'en-US'") from None
