"""What is configured besides integrations: organizations, credentials and queues.

Every change is checked, kept in the database, followed by the directory that calls look into, and
written into the audit with who made it; in that order. So what is refused has changed nothing, and
what a caller was told of is durable.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec.structs import replace

from openaudiohook.auth import decode_secret, validate_api_key
from openaudiohook.exceptions import ConfigurationError, JournalError
from openaudiohook.fanout.engine import MAX_HOLD_BACK_SAMPLES
from openaudiohook.monitor.directory import Directory
from openaudiohook.monitor.record import Record
from openaudiohook.protocol.media import SAMPLE_RATE
from openaudiohook.protocol.messages import LanguageCode
from openaudiohook.store.credentials import Credentials
from openaudiohook.store.entries import Acted
from openaudiohook.store.organizations import Organizations
from openaudiohook.store.queues import Queues
from openaudiohook.store.records import Credential, Organization, Queue

__all__ = ["LONGEST_NAME", "Administration", "require_name"]

LONGEST_NAME: Final = 128


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
        credentials: Credentials,
        queues: Queues,
        record: Record,
        new_id: Callable[[], str],
        utc_ns: Callable[[], int],
    ) -> None:
        self._directory = directory
        self._organizations = organizations
        self._credentials = credentials
        self._queues = queues
        self._record = record
        self._new_id = new_id
        self._utc_ns = utc_ns

    # Organizations ----------------------------------------------------------------------

    def organizations(self) -> list[Organization]:
        """Return every organization."""
        return self._directory.organizations

    async def put_organization(self, organization: Organization, *, requester: str) -> Organization:
        """Create an organization, or change its name; nothing happens where it is as it should be.

        Raises:
            ConfigurationError: its name is empty or too long.
        """
        require_name(organization.name)
        if organization not in self._directory.organizations:
            await self._organizations.put(organization)
            self._directory.keep_organization(organization)
            await self._acted(organization.id, requester, "organization.put", organization.id)
        return organization

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
        require_name(name)
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


def require_name(name: str) -> None:
    """Return for a name that people could tell something by.

    Raises:
        ConfigurationError: it is empty or too long.
    """
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise ConfigurationError(
            f"a name has 1 to {LONGEST_NAME} printable characters, not all blank"
        )


def _require_queue(queue: Queue) -> None:
    require_name(queue.name)
    most = MAX_HOLD_BACK_SAMPLES * 1_000 // SAMPLE_RATE
    if not 0 <= queue.hold_back_ms <= most:
        raise ConfigurationError(f"audio is held back 0 to {most} ms, not {queue.hold_back_ms}")
    if queue.language is not None:
        try:
            msgspec.convert(queue.language, LanguageCode)
        except msgspec.ValidationError:
            raise ConfigurationError("a language is a BCP 47 tag, for example 'en-US'") from None
