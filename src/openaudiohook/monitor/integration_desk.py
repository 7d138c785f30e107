"""Integrations: created, configured, probed and switched by whoever may.

A change is checked, kept in the database, followed by the directory that calls look into, and
written into the audit with who made it. What an integration streams with changes only when it is
switched on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from msgspec.structs import replace

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.monitor.activation import EDITED, Activation, require_complete
from openaudiohook.monitor.administration import LONGEST_NAME, Administration, require_name
from openaudiohook.monitor.directory import Directory
from openaudiohook.monitor.integrations import parse_custom_config, require_uri
from openaudiohook.monitor.record import Record
from openaudiohook.monitor.regions import Distance, RoundTrip, RoundTrips
from openaudiohook.store.credentials import Credentials
from openaudiohook.store.integrations import Integrations
from openaudiohook.store.organizations import Organizations
from openaudiohook.store.queues import Queues
from openaudiohook.store.records import Integration

__all__ = ["LONGEST_NOTES", "IntegrationDesk"]

LONGEST_NOTES: Final = 4_000

_FRAME_MS: Final = range(20, 201)
_CONFIGURED: Final = (
    "name", "channel", "connection_uri", "reconnections", "retry_upgrade_5xx", "region",
    "frame_ms", "advanced", "notes", "credential_id",
)  # fmt: skip
_TELLING_NOBODY: Final = {"name", "notes"}  # what no service gets to see


class IntegrationDesk(Administration):
    """The part of a platform that configures it, integrations included.

    Its methods raise what those of `Administration` do.
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
        super().__init__(
            directory,
            organizations=organizations,
            credentials=credentials,
            queues=queues,
            record=record,
            new_id=new_id,
            utc_ns=utc_ns,
        )
        self._integrations = integrations
        self._activation = activation
        self._on_switched_off = on_switched_off
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
        require_name(name)
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
            is_edited = put.status == "ACTIVE" and bool(set(changed) - _TELLING_NOBODY)
            if is_edited:
                put = replace(put, status_text=EDITED)
            self._directory.keep_integration(put)  # it is stored, whatever comes now
            if is_edited:
                await self._integrations.set_state(
                    organization_id, put.id, status="ACTIVE", status_text=EDITED
                )
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
            switched = await self._integrations.set_state(
                organization_id,
                integration_id,
                intended_state=state,
                status="PROBING" if is_on else "INACTIVE",
                status_text="",
            )
            # Not before: where that could not be kept, the probe on its way is still wanted.
            self._activation.cancel(organization_id, integration_id)
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

    def _shown(self, integration: Integration) -> Integration:
        trip = self._round_trips.latest(integration.id)
        if integration.status != "ACTIVE" or trip is None or trip.distance is Distance.NEAR:
            return integration
        text = f"{integration.status_text}; {trip.text}".removeprefix("; ")
        return replace(integration, status_text=text)

    def _require_usable(self, integration: Integration) -> None:
        require_name(integration.name)
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


def _is_so(integration: Integration, *, is_on: bool) -> bool:
    """Whether an integration is switched as it is to be, with nothing left to be found out."""
    if not is_on:
        return integration.intended_state == "DISABLED"
    is_as_activated = integration.status == "ACTIVE" and integration.status_text != EDITED
    return integration.status == "PROBING" or is_as_activated
