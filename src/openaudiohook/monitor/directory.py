"""What is configured, in memory: calls go on with it while the database is away.

Everything is read once, when the Monitor starts, and follows every change made through it. What an
integration streams with is kept apart from how it is configured: an edit is in force only after
the integration was switched off and on again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TypeVar

from openaudiohook.exceptions import NotFound
from openaudiohook.fanout.endpoint import EndpointConfig
from openaudiohook.store.records import Credential, Integration, Organization, Queue

__all__ = ["Directory"]

Kept = TypeVar("Kept", Credential, Integration, Queue)


class Directory:
    """Organizations, and by organization its integrations, credentials and queues."""

    def __init__(self) -> None:
        self._organizations: dict[str, Organization] = {}
        self._integrations: dict[str, dict[str, Integration]] = {}
        self._credentials: dict[str, dict[str, Credential]] = {}
        self._queues: dict[str, dict[str, Queue]] = {}
        self._active: dict[str, dict[str, EndpointConfig]] = {}
        self._changing: dict[str, asyncio.Lock] = {}

    # Organizations ----------------------------------------------------------------------

    @property
    def organizations(self) -> list[Organization]:
        """Every organization."""
        return list(self._organizations.values())

    def keep_organization(self, organization: Organization) -> None:
        """Take an organization, a new one or a changed one."""
        self._organizations[organization.id] = organization
        self._integrations.setdefault(organization.id, {})
        self._credentials.setdefault(organization.id, {})
        self._queues.setdefault(organization.id, {})
        self._active.setdefault(organization.id, {})

    def organization(self, organization_id: str) -> Organization:
        """Return an organization.

        Raises:
            NotFound: there is none of that id.
        """
        found = self._organizations.get(organization_id)
        if found is None:
            raise NotFound("no organization of that id is here", entity_type="organization")
        return found

    def changing(self, organization_id: str) -> asyncio.Lock:
        """Return what whoever changes something of an organization holds meanwhile.

        Raises:
            NotFound: there is no such organization.
        """
        self.organization(organization_id)
        return self._changing.setdefault(organization_id, asyncio.Lock())

    # Integrations -----------------------------------------------------------------------

    def integrations(self, organization_id: str) -> list[Integration]:
        """Return an organization's integrations, by name."""
        self.organization(organization_id)
        return sorted(self._integrations[organization_id].values(), key=_name)

    def integration(self, organization_id: str, integration_id: str) -> Integration:
        """Return an integration.

        Raises:
            NotFound: the organization has none of that id.
        """
        return _one(self._integrations, organization_id, integration_id, "integration")

    def keep_integration(self, integration: Integration) -> None:
        """Take an integration, a new one or a changed one."""
        self._integrations[integration.organization_id][integration.id] = integration

    def drop_integration(self, organization_id: str, integration_id: str) -> None:
        """Let an integration go."""
        self._integrations[organization_id].pop(integration_id, None)
        self.deactivate(organization_id, integration_id)

    def activate(self, organization_id: str, integration_id: str, config: EndpointConfig) -> None:
        """Have calls that are monitored from now on streamed to an integration."""
        self._active[organization_id][integration_id] = config

    def deactivate(self, organization_id: str, integration_id: str) -> None:
        """Stream no further call to an integration."""
        self._active[organization_id].pop(integration_id, None)

    def active(self, organization_id: str) -> list[EndpointConfig]:
        """Return what an organization's calls are streamed to, in the order of `integrations`."""
        active = self._active.get(organization_id, {})
        named = self.integrations(organization_id)
        return [active[one.id] for one in named if one.id in active]

    def is_active(self, organization_id: str, integration_id: str) -> bool:
        """Whether calls are streamed to an integration."""
        return integration_id in self._active.get(organization_id, {})

    # Credentials ------------------------------------------------------------------------

    def credentials(self, organization_id: str) -> list[Credential]:
        """Return an organization's credentials, by name; not what they are."""
        self.organization(organization_id)
        return sorted(self._credentials[organization_id].values(), key=_name)

    def credential(self, organization_id: str, credential_id: str) -> Credential:
        """Return a credential, without what it is.

        Raises:
            NotFound: the organization has none of that id.
        """
        return _one(self._credentials, organization_id, credential_id, "credential")

    def keep_credential(self, credential: Credential) -> None:
        """Take a new credential."""
        self._credentials[credential.organization_id][credential.id] = credential

    def drop_credential(self, organization_id: str, credential_id: str) -> None:
        """Let a credential go."""
        self._credentials[organization_id].pop(credential_id, None)

    # Queues -----------------------------------------------------------------------------

    def queues(self, organization_id: str) -> list[Queue]:
        """Return an organization's queues, by name."""
        self.organization(organization_id)
        return sorted(self._queues[organization_id].values(), key=_name)

    def queue(self, organization_id: str, queue_id: str) -> Queue:
        """Return a queue.

        Raises:
            NotFound: the organization has none of that id.
        """
        return _one(self._queues, organization_id, queue_id, "queue")

    def keep_queue(self, queue: Queue) -> None:
        """Take a queue, a new one or a changed one."""
        self._queues[queue.organization_id][queue.id] = queue

    def drop_queue(self, organization_id: str, queue_id: str) -> None:
        """Let a queue go."""
        self._queues[organization_id].pop(queue_id, None)

    # Everything -------------------------------------------------------------------------

    def fill(
        self,
        organization: Organization,
        *,
        integrations: Iterable[Integration],
        credentials: Iterable[Credential],
        queues: Iterable[Queue],
    ) -> None:
        """Take an organization with all it has."""
        self.keep_organization(organization)
        for integration in integrations:
            self.keep_integration(integration)
        for credential in credentials:
            self.keep_credential(credential)
        for queue in queues:
            self.keep_queue(queue)


def _name(record: Credential | Integration | Queue) -> tuple[str, str]:
    return record.name, record.id


def _one(
    kept: Mapping[str, Mapping[str, Kept]], organization_id: str, key: str, entity_type: str
) -> Kept:
    found = kept.get(organization_id, {}).get(key)
    if found is None:
        raise NotFound(f"no {entity_type} of that id is here", entity_type=entity_type)
    return found
