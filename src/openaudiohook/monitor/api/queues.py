"""`/api/v2/routing/queues`: queues and their two switches."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Final

from litestar import Router, delete, get, post, put
from litestar.params import JSONBody, QueryParameter

from openaudiohook.exceptions import VersionConflict
from openaudiohook.monitor.api.access import Asker, Desk, Id, scoped
from openaudiohook.monitor.api.body import Json
from openaudiohook.monitor.api.errors import problems
from openaudiohook.monitor.api.paging import DEFAULT_PAGE_SIZE, PageNumber, PageSize, page_of
from openaudiohook.monitor.api.shapes import CreateQueue, Queue, QueueEntityListing
from openaudiohook.store import records

__all__ = ["ROUTER"]

PATH: Final = "/api/v2/routing/queues"

_ATTEMPTS: Final = 5  # of a change that names no version, where others are faster


@post("/", status_code=200, dto=Json[CreateQueue], responses=problems())
async def create_queue(data: JSONBody[CreateQueue], platform: Desk, caller: Asker) -> Queue:
    """Create a queue."""
    new = records.Queue(id="", organization_id=caller.organization_id, name=data.name)
    created = await platform.create_queue(
        caller.organization_id, _as_wanted(new, data), requester=caller.requester
    )
    return _shape(created)


@get("/", responses=problems())
async def list_queues(
    platform: Desk,
    caller: Asker,
    page_size: PageSize = DEFAULT_PAGE_SIZE,
    page_number: PageNumber = 1,
    name: Annotated[str | None, QueryParameter(max_length=256)] = None,
) -> QueueEntityListing:
    """List the organization's queues; `name` narrows it down, with `*` for any text."""
    kept = await platform.queues(caller.organization_id)
    if name is not None:
        pattern = name.lower().replace("[", "[[]").replace("?", "[?]")
        kept = [each for each in kept if fnmatchcase(each.name.lower(), pattern)]
    return page_of(QueueEntityListing, kept, _shape, path=PATH, size=page_size, number=page_number)


@get("/{queue_id:str}", responses=problems(404))
async def get_queue(queue_id: Id, platform: Desk, caller: Asker) -> Queue:
    """Return a queue."""
    return _shape(await platform.queue(caller.organization_id, queue_id))


@put("/{queue_id:str}", dto=Json[CreateQueue], responses=problems(404, 409))
async def put_queue(
    queue_id: Id, data: JSONBody[CreateQueue], platform: Desk, caller: Asker
) -> Queue:
    """Replace a queue's settings: a switch that is left out is off."""
    attempts = 1 if data.version is not None else _ATTEMPTS
    while True:
        attempts -= 1
        before = await platform.queue(caller.organization_id, queue_id)
        try:
            changed = await platform.put_queue(
                caller.organization_id,
                _as_wanted(before, data),
                seen_version=before.version if data.version is None else data.version,
                requester=caller.requester,
            )
        except VersionConflict:
            if not attempts:
                raise
        else:
            return _shape(changed)


@delete("/{queue_id:str}", responses=problems(404))
async def delete_queue(queue_id: Id, platform: Desk, caller: Asker) -> None:
    """Delete a queue; calls that are in it go on."""
    await platform.delete_queue(caller.organization_id, queue_id, requester=caller.requester)


def _as_wanted(queue: records.Queue, data: CreateQueue) -> records.Queue:
    return records.Queue(
        id=queue.id,
        organization_id=queue.organization_id,
        version=queue.version,
        name=data.name,
        enable_audio_monitoring=bool(data.enable_audio_monitoring),
        enable_transcription=bool(data.enable_transcription),
        language=data.default_media_language,
        hold_back_ms=data.hold_back_ms or 0,
    )


def _shape(queue: records.Queue) -> Queue:
    return Queue(
        id=queue.id,
        name=queue.name,
        enable_audio_monitoring=queue.enable_audio_monitoring,
        enable_transcription=queue.enable_transcription,
        default_media_language=queue.language,
        hold_back_ms=queue.hold_back_ms,
        version=queue.version,
        self_uri=f"{PATH}/{queue.id}",
    )


ROUTER: Final = Router(
    PATH,
    route_handlers=[create_queue, list_queues, get_queue, put_queue, delete_queue],
    tags=["Queues"],
    **scoped("routing"),
)
