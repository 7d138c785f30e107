"""What is configured, as it is stored: organizations, integrations, credentials and queues."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = ["Channel", "Credential", "Integration", "Organization", "Queue", "Status"]

Channel = Literal["both", "external", "internal"]
Status = Literal["INACTIVE", "PROBING", "ACTIVE", "ERROR"]


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    """One customer of the platform; everything else belongs to one."""

    id: str
    name: str


class Integration(msgspec.Struct, frozen=True, kw_only=True):
    """A service that monitored calls are streamed to.

    Attributes:
        id: a UUID.
        organization_id: whose it is; an organization has at most five.
        name: what people call it, unique in the organization.
        version: of the configuration; whoever changes it names the one he has seen.
        channel: which channels are offered.
        connection_uri: where it listens; empty before it is configured.
        reconnections: whether a lost session may be followed by another one.
        retry_upgrade_5xx: whether an upgrade refused with a 5xx status is tried again. Ours: the
            platform never does.
        region: where it says it runs; empty where nobody said.
        frame_ms: how much audio goes in one message, 20 to 200.
        advanced: passed on as `customConfig`, unaltered: the JSON text as it was given.
        notes: for people.
        credential_id: the API key and the secret, by reference.
        intended_state: what is wanted.
        status: what is: `ERROR` where the probe failed, and then `status_text` says why.
    """

    id: str
    organization_id: str
    name: str
    version: int = 1
    channel: Channel = "both"
    connection_uri: str = ""
    reconnections: bool = False
    retry_upgrade_5xx: bool = False
    region: str = ""
    frame_ms: int = 100
    advanced: str = "{}"
    notes: str = ""
    credential_id: str | None = None
    intended_state: Literal["ENABLED", "DISABLED"] = "DISABLED"
    status: Status = "INACTIVE"
    status_text: str = ""

    @property
    def properties(self) -> dict[str, Any]:
        """The properties as the platform's interface spells them, ours added."""
        return {
            "channel": self.channel,
            "connectionUri": self.connection_uri,
            "reconnections": self.reconnections,
            "retryUpgrade5xx": self.retry_upgrade_5xx,
            "region": self.region,
            "frameMs": self.frame_ms,
        }


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """That there is an API key and a client secret; what they are is sealed elsewhere."""

    id: str
    organization_id: str
    name: str


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue and its two switches.

    Attributes:
        language: the media language it defines; None where it defines none.
        hold_back_ms: how long audio waits before it leaves, 0 to 3,000.
    """

    id: str
    organization_id: str
    name: str
    version: int = 1
    enable_audio_monitoring: bool = False
    enable_transcription: bool = False
    language: str | None = None
    hold_back_ms: int = 0
