"""`/api/v2/audiohook/usage`, `events` and `audit`: what it cost, what happened, who did what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, Router, get
from litestar.datastructures import State
from litestar.openapi import ResponseSpec
from litestar.params import QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage

from openaudiohook.monitor.api.access import Asker, Desk, scoped
from openaudiohook.monitor.api.errors import camel, problems
from openaudiohook.monitor.api.own_shapes import (
    AuditEntry,
    AuditEntryListing,
    EventEntity,
    OperationalEvent,
    OperationalEventListing,
    PausedSeconds,
    PhaseUsage,
    UsageEntry,
    UsageListing,
    utc,
)
from openaudiohook.monitor.api.tokens import Caller, Tokens
from openaudiohook.monitor.bulletins import Subscription
from openaudiohook.monitor.events import CATALOGUE, EventKind
from openaudiohook.monitor.platform import Platform
from openaudiohook.monitor.usage import Usage, UsageRow
from openaudiohook.store.entries import Acted, Entry, EventRaised

__all__ = ["KEEP_ALIVE_S", "ROUTERS"]

PATH: Final = "/api/v2/audiohook"
KEEP_ALIVE_S: Final = 15.0
"""How long a stream of events is silent at most: then a comment says that it is still there."""

_KINDS: Final[dict[str, EventKind]] = {str(id_): kind for id_, kind in CATALOGUE.items()}
_STREAM: Final = "text/event-stream"
_NS_PER_S: Final = 10**9
_AUDIT_ENVELOPE: Final = ("kind", "organization_id", "utc_ns", "conversation_id", "requester")

After = Annotated[
    int, QueryParameter(ge=0, le=1 << 62, description="Only what has a higher number than this.")
]
Size = Annotated[int, QueryParameter(name="pageSize", ge=1, le=500, description="At most.")]
Conversation = Annotated[str | None, QueryParameter(name="conversationId", max_length=128)]
Entity = Annotated[str | None, QueryParameter(name="entityId", max_length=128)]
Month = Annotated[str | None, QueryParameter(max_length=16, description="Such as `2026-11`.")]


# Usage ----------------------------------------------------------------------------------------


@get("/usage", responses=problems())
async def get_usage(platform: Desk, caller: Asker, month: Month = None) -> UsageListing:
    """Return how long each integration was connected for each conversation, and what is charged."""
    rows = await platform.usage(caller.organization_id, month)
    return UsageListing(entities=tuple(_usage(row) for row in rows), total=len(rows))


def _usage(row: UsageRow) -> UsageEntry:
    return UsageEntry(
        integration_id=row.integration_id,
        name=row.name,
        conversation_id=row.conversation_id,
        month=row.month,
        phases={name: PhaseUsage(**_seconds(usage)) for name, usage in row.phases.items()},
        **_seconds(row.total),
    )


def _seconds(usage: Usage) -> dict[str, Any]:
    """Return nanoseconds as seconds; a quotient that is rounded once is printed exactly."""
    return {
        "open_seconds": usage.open_ns / _NS_PER_S,
        "paused_seconds": PausedSeconds(
            **{cause: ns / _NS_PER_S for cause, ns in usage.paused_ns.items()}
        ),
        "chargeable_seconds": usage.chargeable_ns / _NS_PER_S,
    }


# Events ---------------------------------------------------------------------------------------


@get(
    "/events",
    responses={
        **problems(),
        200: ResponseSpec(
            OperationalEventListing,
            generate_examples=False,
            description="A page of events; or, where `Accept` asks for it, a stream of them.",
        ),
    },
)
async def get_events(
    request: Request[Caller, Any, Any],
    platform: Desk,
    caller: Asker,
    after: After = 0,
    page_size: Size = 100,
    conversation_id: Conversation = None,
    entity_id: Entity = None,
) -> Response[Any]:
    """Return operational events, the oldest first; `nextUri` leads on while there are more.

    With `Accept: text/event-stream` the answer never ends: it is every event of the organization
    from then on, as server-sent events whose data has the same shape.
    """
    if _STREAM in request.headers.get("Accept", ""):
        return ServerSentEvent(_stream(platform, request.app.state, caller))
    page = await platform.events(
        caller.organization_id,
        after=after,
        limit=page_size,
        conversation_id=conversation_id,
        entity_id=entity_id,
    )
    return Response(
        OperationalEventListing(
            entities=tuple(_event(event, number) for number, event in page),
            next_uri=_next(
                "events", page, page_size, conversationId=conversation_id, entityId=entity_id
            ),
        ),
        media_type="application/json",
    )


async def _stream(
    platform: Platform, state: State, caller: Caller
) -> AsyncIterator[ServerSentEventMessage]:
    """Yield events until the token expires, the server closes, or nobody listens any more."""
    tokens: Tokens = state.tokens
    subscriptions: set[Subscription] = state.subscriptions
    async with platform.subscribe(caller.organization_id) as subscription:
        subscriptions.add(subscription)
        try:
            yield ServerSentEventMessage(comment="listening", data=None)
            while tokens.is_good(caller):
                try:
                    async with asyncio.timeout(KEEP_ALIVE_S):
                        event = await anext(subscription)
                except TimeoutError:
                    yield ServerSentEventMessage(comment="still there", data=None)
                except StopAsyncIteration:
                    return
                else:
                    data = msgspec.json.encode(_event(event))
                    yield ServerSentEventMessage(data=data, event="operationalEvent")
        finally:
            subscriptions.discard(subscription)


def _event(event: EventRaised, number: int | None = None) -> OperationalEvent:
    kind = _KINDS.get(event.event_id)
    return OperationalEvent(
        number=number,
        event_entity=EventEntity(
            id=event.event_id,
            name="" if kind is None else kind.name,
            description="" if kind is None else kind.description,
        ),
        level=None if kind is None else kind.level,
        entity_type=event.entity_type,
        entity_id=event.entity_id,
        entity_name=event.entity_name,
        conversation_id=event.conversation_id,
        timestamp=utc(event.utc_ns),
        text=event.text or ("" if kind is None else kind.description),
    )


# Audit ----------------------------------------------------------------------------------------


@get("/audit", responses=problems())
async def get_audit(
    platform: Desk,
    caller: Asker,
    after: After = 0,
    page_size: Size = 100,
    requester: Annotated[str | None, QueryParameter(max_length=256)] = None,
    conversation_id: Conversation = None,
    entity_id: Entity = None,
) -> AuditEntryListing:
    """Return who did what, the oldest first; `nextUri` leads on while there is more."""
    page = await platform.audit(
        caller.organization_id,
        after=after,
        limit=page_size,
        requester=requester,
        conversation_id=conversation_id,
        entity_id=entity_id,
    )
    return AuditEntryListing(
        entities=tuple(_audit(number, entry) for number, entry in page),
        next_uri=_next(
            "audit",
            page,
            page_size,
            requester=requester,
            conversationId=conversation_id,
            entityId=entity_id,
        ),
    )


def _audit(number: int, entry: Entry) -> AuditEntry:
    """Return an entry of the journal; what no other kind has is its detail."""
    said: dict[str, Any] = msgspec.to_builtins(entry)
    kind, conversation_id = said["kind"], said.get("conversation_id")
    if isinstance(entry, Acted):
        action, detail = entry.action, dict(entry.detail)
        entity_type, entity_id = entry.entity_type, entry.entity_id
    else:
        action, entity_type, entity_id = kind, "call", str(conversation_id)
        detail = {camel(name): each for name, each in said.items() if name not in _AUDIT_ENVELOPE}
    return AuditEntry(
        number=number,
        timestamp=utc(entry.utc_ns),
        requester=said.get("requester"),
        action=action,
        entity_type=entity_type,
        entity_id=entity_id,
        conversation_id=conversation_id,
        detail=detail,
    )


def _next(what: str, page: list[tuple[int, Any]], size: int, **query: str | None) -> str | None:
    """Return where the next page is, if there may be one."""
    if len(page) < size:
        return None
    wanted = {name: value for name, value in query.items() if value is not None}
    return f"{PATH}/{what}?{urlencode({'after': page[-1][0], 'pageSize': size, **wanted})}"


ROUTERS: Final = (
    Router(
        PATH,
        route_handlers=[get_usage, get_events],
        tags=["Reports"],
        **scoped("audiohook"),
    ),
    Router(PATH, route_handlers=[get_audit], tags=["Reports"], **scoped("audits")),
)
