"""`/api/v2/audiohook/calls`: calls are placed, steered by a flow, looked at, and hung up.

The platform has no such routes: there, calls come from telephones.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from decimal import Decimal
from typing import Any, Final

import msgspec
from litestar import Response, Router, get, post
from litestar.params import JSONBody

from openaudiohook.exceptions import ConfigurationError, NotFound
from openaudiohook.monitor.api.access import Asker, Desk, Id, scoped
from openaudiohook.monitor.api.body import Json
from openaudiohook.monitor.api.errors import problems
from openaudiohook.monitor.api.own_shapes import CallStateListing, Placed
from openaudiohook.monitor.api.shapes import PauseAnswer
from openaudiohook.monitor.media import SourceRequest
from openaudiohook.monitor.orders import FlowAction, PlaceCall

__all__ = ["ROUTER"]

PATH: Final = "/api/v2/audiohook/calls"

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MOST_DIGITS: Final = 12


@post("/", dto=Json[PlaceCall], responses=problems())
async def place_call(data: JSONBody[PlaceCall], platform: Desk, caller: Asker) -> Response[Placed]:
    """Begin a call: it plays a file or a scenario of the media directory, or a tone.

    In a queue that is switched on it is monitored at once. On an edge whose calls may not be
    monitored it goes on all the same, unmonitored, and an event says why.
    """
    _require_plain("speed", data.speed)
    _require_plain("source.tone", data.source.tone)
    if data.conversation_id is not None and not _UUID.fullmatch(data.conversation_id):
        raise ConfigurationError("conversationId: a UUID is needed, in the form 8-4-4-4-12")
    call = await platform.place_call(caller.organization_id, data, requester=caller.requester)
    return Response(
        Placed(conversation_id=call.conversation_id),
        status_code=201,
        headers={"Location": f"{PATH}/{call.conversation_id}"},
    )


@get("/", responses=problems())
async def list_states(platform: Desk, caller: Asker) -> CallStateListing:
    """Return how every conversation stands that has not ended."""
    states = []
    for conversation_id in platform.conversations(caller.organization_id):
        with contextlib.suppress(NotFound):  # it ended meanwhile
            states.append(platform.call_state(caller.organization_id, conversation_id))
        await asyncio.sleep(0)  # calls run in this loop, and their audio does not wait for us
    return CallStateListing(entities=tuple(states), total=len(states))


@get("/{conversation_id:str}", responses=problems(404))
async def get_state(conversation_id: Id, platform: Desk, caller: Asker) -> dict[str, Any]:
    """Return how a conversation stands, and each of its sessions."""
    return platform.call_state(caller.organization_id, conversation_id)


@get("/{conversation_id:str}/explanation", responses=problems(404))
async def get_explanation(conversation_id: Id, platform: Desk, caller: Asker) -> dict[str, Any]:
    """Return why a call was not, late or partly streamed, what it cost, and where it all is."""
    explanation = await platform.explain(caller.organization_id, conversation_id)
    return explanation.as_json()


@post(
    "/{conversation_id:str}/flowactions",
    status_code=200,
    dto=Json[FlowAction],
    responses=problems(404, 409),
)
async def act(
    conversation_id: Id, data: JSONBody[FlowAction], platform: Desk, caller: Asker
) -> dict[str, Any]:
    """Have a flow act on the call; return how the conversation stands then.

    `audioMonitoring` and `transcription` switch monitoring with `enable`; `secureFlow` begins a
    secure pause with `enable: true` and ends it with `false`, and the answer has its position under
    `audiohook`; `setLanguage` sets `language`.
    """
    answer = await platform.flow_action(
        caller.organization_id, conversation_id, data, requester=caller.requester
    )
    state = platform.call_state(caller.organization_id, conversation_id)
    if answer is not None:
        held = [one["reason"] for one in state["pauses"] if one["cause"] == "secure"]
        told = PauseAnswer(
            part=answer.part,
            position=answer.position,
            gone=getattr(answer, "gone", {}),
            held_by=tuple(held),
        )
        state["audiohook"] = msgspec.to_builtins(told)
    return state


@post("/{conversation_id:str}/hangup", status_code=204, responses=problems(404))
async def hang_up(conversation_id: Id, platform: Desk, caller: Asker) -> None:
    """End the call: what was said is delivered, and every session is closed with `end`."""
    await platform.hang_up(caller.organization_id, conversation_id, requester=caller.requester)


@post(
    "/{conversation_id:str}/source",
    status_code=200,
    dto=Json[SourceRequest],
    responses=problems(404),
)
async def attach_source(
    conversation_id: Id, data: JSONBody[SourceRequest], platform: Desk, caller: Asker
) -> dict[str, Any]:
    """Give the conversation another source, in place of the one it has or has lost.

    It begins a new part, under every reason for a pause that was not taken back.
    """
    _require_plain("tone", data.tone)
    await platform.attach_source(
        caller.organization_id, conversation_id, data, requester=caller.requester
    )
    return platform.call_state(caller.organization_id, conversation_id)


def _require_plain(name: str, value: Decimal | None) -> None:
    """Refuse what is no number, and numbers of so many digits that to reckon takes for ever."""
    if value is None:
        return
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -_MOST_DIGITS or value.adjusted() > _MOST_DIGITS:
        raise ConfigurationError(
            f"{name}: a number of at most {_MOST_DIGITS} digits on each side of the point is needed"
        )


ROUTER: Final = Router(
    PATH,
    route_handlers=[
        place_call,
        list_states,
        get_state,
        get_explanation,
        act,
        hang_up,
        attach_source,
    ],
    tags=["Calls"],
    **scoped("conversations"),
)
