"""`/api/v2/integrations`: integrations, their configuration, credentials and types."""

from __future__ import annotations

import secrets
from typing import Annotated, Final

import msgspec
from litestar import Router, delete, get, patch, post, put
from litestar.params import JSONBody, QueryParameter
from msgspec.structs import replace

from openaudiohook.exceptions import ConfigurationError, NotFound
from openaudiohook.monitor.api.access import Asker, Desk, Id, scoped
from openaudiohook.monitor.api.body import Json
from openaudiohook.monitor.api.errors import problems
from openaudiohook.monitor.api.paging import DEFAULT_PAGE_SIZE, PageNumber, PageSize, page_of
from openaudiohook.monitor.api.shapes import (
    AUDIOHOOK,
    CREDENTIAL_TYPE,
    AudioHookProperties,
    CreateIntegration,
    Credential,
    CredentialInfo,
    CredentialInfoListing,
    CredentialReference,
    CredentialType,
    Integration,
    IntegrationConfiguration,
    IntegrationConfigurationInfo,
    IntegrationEntityListing,
    IntegrationPatch,
    IntegrationStatusInfo,
    IntegrationType,
    IntegrationTypeEntityListing,
    MessageInfo,
    PutConfiguration,
)
from openaudiohook.monitor.integrations import MAX_INTEGRATIONS
from openaudiohook.monitor.platform import Platform
from openaudiohook.store import records

__all__ = ["ROUTER"]

PATH: Final = "/api/v2/integrations"

_TYPE: Final = IntegrationType(
    id=AUDIOHOOK,
    name="AudioHook Monitor",
    description="Streams the audio of monitored calls to a service.",
    provider="openaudiohook",
    category="Telephony",
    max_instances=MAX_INTEGRATIONS,
    self_uri=f"{PATH}/types/{AUDIOHOOK}",
)
_CREDENTIAL_TYPE: Final = CredentialType(
    id=CREDENTIAL_TYPE,
    name=CREDENTIAL_TYPE,
    properties={
        "apiKey": {"type": "string", "title": "API Key"},
        "clientSecret": {"type": "string", "title": "Client Secret"},
    },
    display_order=("apiKey", "clientSecret"),
    required=("apiKey",),
)
_LONG: Final = 4_096
_NS_PER_MS: Final = 10**6
_STATES: Final = {
    "INACTIVE": ("INACTIVE", "inactive"),
    "PROBING": ("ACTIVATING", "being probed"),
    "ACTIVE": ("ACTIVE", "active"),
    "ERROR": ("ERROR", "inactive: the connection probe failed"),
}


# Integrations ---------------------------------------------------------------------------------


@post("/", status_code=200, dto=Json[CreateIntegration], responses=problems(409))
async def create_integration(
    data: JSONBody[CreateIntegration], platform: Desk, caller: Asker
) -> Integration:
    """Create an integration of type `audiohook`; an organization has at most five."""
    if data.integration_type.id != AUDIOHOOK:
        raise ConfigurationError(
            f"integrationType.id: there is no such type here; the one there is is '{AUDIOHOOK}'"
        )
    name = data.name or f"{_TYPE.name} {secrets.token_hex(4)}"
    created = await platform.create_integration(
        caller.organization_id, name=name, requester=caller.requester
    )
    return _shape(platform, created)


@get("/", responses=problems())
async def list_integrations(
    platform: Desk,
    caller: Asker,
    page_size: PageSize = DEFAULT_PAGE_SIZE,
    page_number: PageNumber = 1,
    ids: Annotated[str | None, QueryParameter(name="ids", max_length=_LONG)] = None,
    integration_type: Annotated[
        str | None, QueryParameter(name="integrationType", max_length=4_096)
    ] = None,
    reported_state: Annotated[
        str | None, QueryParameter(name="reportedState", max_length=4_096)
    ] = None,
    credential_id: Annotated[
        str | None, QueryParameter(name="credentialId", max_length=4_096)
    ] = None,
) -> IntegrationEntityListing:
    """List the organization's integrations; the filters narrow it down."""
    wanted = None if ids is None else set(ids.split(","))
    kept = [
        each
        for each in await platform.integrations(caller.organization_id)
        if (wanted is None or each.id in wanted)
        and integration_type in (None, AUDIOHOOK)
        and (reported_state is None or reported_state.upper() == _STATES[each.status][0])
        and (credential_id is None or credential_id == each.credential_id)
    ]
    return page_of(
        IntegrationEntityListing,
        kept,
        lambda each: _shape(platform, each),
        path=PATH,
        size=page_size,
        number=page_number,
    )


@get("/{integration_id:str}", responses=problems(404))
async def get_integration(integration_id: Id, platform: Desk, caller: Asker) -> Integration:
    """Return an integration: what is wanted of it, and what is."""
    return _shape(platform, await platform.integration(caller.organization_id, integration_id))


@patch("/{integration_id:str}", dto=Json[IntegrationPatch], responses=problems(404, 409))
async def patch_integration(
    integration_id: Id, data: JSONBody[IntegrationPatch], platform: Desk, caller: Asker
) -> Integration:
    """Switch an integration on or off. The answer comes at once; the state follows the probe."""
    switched = await platform.set_intended_state(
        caller.organization_id, integration_id, data.intended_state, requester=caller.requester
    )
    return _shape(platform, switched)


@delete("/{integration_id:str}", status_code=200, responses=problems(404))
async def delete_integration(integration_id: Id, platform: Desk, caller: Asker) -> Integration:
    """Delete an integration, and return what it was."""
    gone = _shape(platform, await platform.integration(caller.organization_id, integration_id))
    await platform.delete_integration(
        caller.organization_id, integration_id, requester=caller.requester
    )
    return gone


# Configuration --------------------------------------------------------------------------------


@get("/{integration_id:str}/config/current", responses=problems(404))
async def get_configuration(
    integration_id: Id, platform: Desk, caller: Asker
) -> IntegrationConfiguration:
    """Return how an integration is configured."""
    return _configuration(await platform.integration(caller.organization_id, integration_id))


@put(
    "/{integration_id:str}/config/current",
    dto=Json[PutConfiguration],
    responses=problems(404, 409),
)
async def put_configuration(
    integration_id: Id, data: JSONBody[PutConfiguration], platform: Desk, caller: Asker
) -> IntegrationConfiguration:
    """Configure an integration; one that is active has to be switched off and on again."""
    organization_id = caller.organization_id
    changed = _changed(await platform.integration(organization_id, integration_id), data)
    if data.credentials is not None and changed.credential_id is not None:
        await platform.credential(organization_id, changed.credential_id)  # whether it is there
    put = await platform.put_configuration(
        organization_id, changed, seen_version=data.version, requester=caller.requester
    )
    return _configuration(put)


def _changed(integration: records.Integration, data: PutConfiguration) -> records.Integration:
    changes: dict[str, object] = {}
    if data.name is not None:
        changes["name"] = data.name
    if data.notes is not None:
        changes["notes"] = data.notes
    if bytes(data.advanced) not in (b"", b"null"):
        changes["advanced"] = bytes(data.advanced).decode()
    if data.properties is not None:
        changes |= msgspec.structs.asdict(data.properties)
    if data.credentials is not None:
        changes["credential_id"] = _credential_id(data.credentials)
    return replace(integration, **changes)


def _credential_id(credentials: dict[str, CredentialReference]) -> str | None:
    for name in credentials:
        if name != CREDENTIAL_TYPE:
            raise ConfigurationError(
                f"credentials: they stand under '{CREDENTIAL_TYPE}', and nothing else does"
            )
    return credentials[CREDENTIAL_TYPE].id if credentials else None


# Credentials ----------------------------------------------------------------------------------


@post("/credentials", status_code=200, dto=Json[Credential], responses=problems())
async def create_credential(
    data: JSONBody[Credential], platform: Desk, caller: Asker
) -> CredentialInfo:
    """Keep an API key and a client secret; nobody is shown them again."""
    named = data.type if isinstance(data.type, str) else data.type.id or data.type.name
    if named != CREDENTIAL_TYPE:
        raise ConfigurationError(
            f"type: there is no such type here; the one there is is '{CREDENTIAL_TYPE}'"
        )
    fields = dict(data.credential_fields)
    key, secret = fields.pop("apiKey", None), fields.pop("clientSecret", "")
    if key is None or fields:
        raise ConfigurationError(
            "credentialFields: 'apiKey' is needed, 'clientSecret' may be there, and nothing else"
        )
    created = await platform.create_credential(
        caller.organization_id,
        name=data.name or f"{CREDENTIAL_TYPE} {secrets.token_hex(4)}",
        api_key=key,
        client_secret=secret,
        requester=caller.requester,
    )
    return _credential(created)


@get("/credentials", responses=problems())
async def list_credentials(
    platform: Desk,
    caller: Asker,
    page_size: PageSize = DEFAULT_PAGE_SIZE,
    page_number: PageNumber = 1,
) -> CredentialInfoListing:
    """List the organization's credentials, without what they are."""
    return page_of(
        CredentialInfoListing,
        await platform.credentials(caller.organization_id),
        _credential,
        path=f"{PATH}/credentials",
        size=page_size,
        number=page_number,
    )


@get("/credentials/types")
async def list_credential_types() -> list[CredentialType]:
    """List the types of credentials: `audioHook`."""
    return [_CREDENTIAL_TYPE]


@get("/credentials/{credential_id:str}", responses=problems(404))
async def get_credential(credential_id: Id, platform: Desk, caller: Asker) -> CredentialInfo:
    """Return credentials, without what they are."""
    return _credential(await platform.credential(caller.organization_id, credential_id))


@delete("/credentials/{credential_id:str}", responses=problems(404))
async def delete_credential(credential_id: Id, platform: Desk, caller: Asker) -> None:
    """Delete credentials that no integration uses."""
    await platform.delete_credential(
        caller.organization_id, credential_id, requester=caller.requester
    )


# Types ----------------------------------------------------------------------------------------


@get("/types", responses=problems())
async def list_types(
    page_size: PageSize = DEFAULT_PAGE_SIZE, page_number: PageNumber = 1
) -> IntegrationTypeEntityListing:
    """List the types of integrations: `audiohook`."""
    return page_of(
        IntegrationTypeEntityListing,
        [_TYPE],
        lambda each: each,
        path=f"{PATH}/types",
        size=page_size,
        number=page_number,
    )


@get("/types/{type_id:str}", responses=problems(404))
async def get_type(type_id: Id) -> IntegrationType:
    """Return a type of integration."""
    if type_id != AUDIOHOOK:
        raise NotFound("no type of that id is here", entity_type="integration type")
    return _TYPE


# Shapes ---------------------------------------------------------------------------------------


def _shape(platform: Platform, integration: records.Integration) -> Integration:
    code, effective = _STATES[integration.status]
    text = integration.status_text
    trip = platform.round_trip(integration.organization_id, integration.id)
    return Integration(
        id=integration.id,
        name=integration.name,
        integration_type=_TYPE,
        notes=integration.notes,
        intended_state=integration.intended_state,
        config=IntegrationConfigurationInfo(current=_configuration(integration)),
        reported_state=IntegrationStatusInfo(
            code=code,  # type: ignore[arg-type]  # one of its literals
            effective=effective,
            detail=MessageInfo(message=text) if text else None,
        ),
        attributes={}
        if trip is None
        else {"roundTripMs": f"{trip.rtt_ns / _NS_PER_MS:.3f}", "distance": str(trip.distance)},
        self_uri=f"{PATH}/{integration.id}",
    )


def _configuration(integration: records.Integration) -> IntegrationConfiguration:
    reference = integration.credential_id
    return IntegrationConfiguration(
        id=integration.id,
        name=integration.name,
        version=integration.version,
        properties=AudioHookProperties(
            connection_uri=integration.connection_uri,
            channel=integration.channel,
            reconnections=integration.reconnections,
            retry_upgrade_5xx=integration.retry_upgrade_5xx,
            region=integration.region,
            frame_ms=integration.frame_ms,
        ),
        advanced=msgspec.Raw(integration.advanced.encode()),
        notes=integration.notes,
        credentials={}
        if reference is None
        else {
            CREDENTIAL_TYPE: CredentialReference(
                id=reference,
                type=CredentialType(id=CREDENTIAL_TYPE),
                self_uri=f"{PATH}/credentials/{reference}",
            )
        },
        self_uri=f"{PATH}/{integration.id}/config/current",
    )


def _credential(credential: records.Credential) -> CredentialInfo:
    return CredentialInfo(
        id=credential.id,
        name=credential.name,
        type=CredentialType(id=CREDENTIAL_TYPE, name=CREDENTIAL_TYPE),
        self_uri=f"{PATH}/credentials/{credential.id}",
    )


ROUTER: Final = Router(
    PATH,
    route_handlers=[
        create_integration,
        list_integrations,
        get_integration,
        patch_integration,
        delete_integration,
        get_configuration,
        put_configuration,
        create_credential,
        list_credentials,
        list_credential_types,
        get_credential,
        delete_credential,
        list_types,
        get_type,
    ],
    tags=["Integrations"],
    **scoped("integrations"),
)
