"""`/api/v2/conversations`: what runs, and its pauses."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from litestar import Response, Router, get, patch, put
from litestar.params import JSONBody, QueryParameter

from openaudiohook.exceptions import ConfigurationError, NotFound
from openaudiohook.monitor.api.access import Asker, Desk, Id, scoped
from openaudiohook.monitor.api.body import Json
from openaudiohook.monitor.api.errors import problems
from openaudiohook.monitor.api.paging import page_of
from openaudiohook.monitor.api.shapes import (
    CallConversation,
    CallConversationEntityListing,
    CallParticipant,
    CallRecordingState,
    Conversation,
    ConversationEntityListing,
    ConversationPatch,
    Participant,
    ParticipantCall,
    PauseAnswer,
    RecordingState,
    SetRecordingState,
)
from openaudiohook.monitor.api.tokens import Caller
from openaudiohook.monitor.live_call import LiveCall
from openaudiohook.monitor.platform import Platform
from openaudiohook.monitor.secure_pause import SecureKind

__all__ = ["ROUTER"]

PATH: Final = "/api/v2/conversations"
POSITION_HEADER: Final = "Audiohook-Position"

_SMALL: Final[dict[RecordingState, CallRecordingState]] = {
    "ACTIVE": "active",
    "PAUSED": "paused",
    "NONE": "none",
}
_MOST: Final = 10_000  # the platform lists what is active on one page


@get("/", responses=problems())
async def list_conversations(
    platform: Desk,
    caller: Asker,
    communication_type: Annotated[str | None, QueryParameter(name="communicationType")] = None,
) -> ConversationEntityListing:
    """List the organization's active conversations; all of them are calls."""
    is_asked_for = communication_type is None or communication_type.lower() == "call"
    calls = _active(platform, caller) if is_asked_for else []
    return page_of(ConversationEntityListing, calls, _conversation, path=PATH, size=_MOST)


@get("/calls", responses=problems())
async def list_calls(platform: Desk, caller: Asker) -> CallConversationEntityListing:
    """List the organization's active calls."""
    return page_of(
        CallConversationEntityListing,
        _active(platform, caller),
        _call,
        path=f"{PATH}/calls",
        size=_MOST,
    )


@get("/{conversation_id:str}", responses=problems(404))
async def get_conversation(conversation_id: Id, platform: Desk, caller: Asker) -> Conversation:
    """Return a conversation, and whether it is paused."""
    return _conversation(platform.call(caller.organization_id, conversation_id))


@get("/calls/{conversation_id:str}", responses=problems(404))
async def get_call(conversation_id: Id, platform: Desk, caller: Asker) -> CallConversation:
    """Return a call, and whether it is paused."""
    return _call(platform.call(caller.organization_id, conversation_id))


@patch("/calls/{conversation_id:str}", dto=Json[ConversationPatch], responses=problems(404, 409))
async def patch_call(
    conversation_id: Id, data: JSONBody[ConversationPatch], platform: Desk, caller: Asker
) -> Conversation:
    """Pause a call, end one's own pauses, or hang up.

    `recordingState: PAUSED` begins a secure pause, unless `securePause` is `false`. From the answer
    on nothing leaves that was captured at or after its `audiohook.position`.
    """
    if data.state is not None:
        if data.recording_state is not None:
            raise ConfigurationError("'state' and 'recordingState' are two requests")
        ended = _conversation(platform.call(caller.organization_id, conversation_id))
        await platform.hang_up(caller.organization_id, conversation_id, requester=caller.requester)
        return msgspec.structs.replace(ended, state="disconnected")
    if data.recording_state is None:
        raise ConfigurationError("recordingState: 'PAUSED' or 'ACTIVE' is needed")
    answer = await _set_state(
        platform,
        caller,
        conversation_id,
        data.recording_state,
        is_secure=data.secure_pause is not False,
        effective_at=data.effective_at,
    )
    try:
        shown = _conversation(platform.call(caller.organization_id, conversation_id))
    except NotFound:  # its source was lost; what is asked holds for the one that comes back
        shown = _detached(conversation_id, answer)
    return msgspec.structs.replace(shown, audiohook=answer)


@put(
    "/calls/{conversation_id:str}/recordingstate",
    dto=Json[SetRecordingState],
    responses=problems(404, 409),
)
async def put_recording_state(
    conversation_id: Id, data: JSONBody[SetRecordingState], platform: Desk, caller: Asker
) -> Response[bytes]:
    """Begin or end one's own secure pause of a call; a header of the answer tells the position."""
    answer = await _set_state(platform, caller, conversation_id, data.recording_state)
    return Response(
        msgspec.json.encode(data.recording_state),  # text would go out as it is, without quotes
        media_type="application/json",
        headers={POSITION_HEADER: str(answer.position)},
    )


async def _set_state(
    platform: Platform,
    caller: Caller,
    conversation_id: str,
    state: Literal["PAUSED", "ACTIVE"],
    *,
    is_secure: bool = True,
    effective_at: int | None = None,
) -> PauseAnswer:
    """Begin a pause, or end all that this client holds."""
    organization_id, requester = caller.organization_id, caller.requester
    if state == "ACTIVE":
        await platform.end_client_pause(organization_id, conversation_id, requester=requester)
        end = await platform.end_secure_pause(
            organization_id, conversation_id, kind=SecureKind.API, requester=requester
        )
        return PauseAnswer(part=end.part, position=end.position, held_by=end.held_by)
    if not is_secure:
        if effective_at is not None:
            raise ConfigurationError("effectiveAt: only a secure pause can be told late")
        position = await platform.begin_client_pause(
            organization_id, conversation_id, requester=requester
        )
        return PauseAnswer(position=position)
    begun = await platform.begin_secure_pause(
        organization_id,
        conversation_id,
        kind=SecureKind.API,
        requester=requester,
        effective_at=effective_at,
    )
    return PauseAnswer(
        part=begun.part, position=begun.position, gone=begun.gone, held_by=(SecureKind.API,)
    )


# Shapes ---------------------------------------------------------------------------------------


def _active(platform: Platform, caller: Caller) -> list[LiveCall]:
    return [call for call in platform.calls(caller.organization_id) if not call.is_over]


def _state(call: LiveCall) -> tuple[RecordingState, bool]:
    """Whether anything of it leaves, and whether a secure pause is why it does not."""
    is_secure = bool(call.held_since)
    if is_secure or call.held_client:
        return "PAUSED", is_secure
    return ("ACTIVE" if call.is_monitored and not call.is_over else "NONE"), False


def _customer(call: LiveCall) -> ParticipantCall:
    state, is_secure = _state(call)
    return ParticipantCall(
        id=call.conversation_id,
        state="disconnected" if call.is_over else "connected",
        direction="inbound",
        held=call.phase in ("hold", "consult"),
        recording=state == "ACTIVE",
        recording_state=_SMALL[state],
        secure_pause=is_secure,
    )


def _conversation(call: LiveCall) -> Conversation:
    customer = _customer(call)
    return Conversation(
        id=call.conversation_id,
        state=customer.state,
        recording_state=_state(call)[0],
        secure_pause=customer.secure_pause,
        participants=(Participant(id=customer.id, purpose="customer", calls=(customer,)),),
        self_uri=f"{PATH}/{call.conversation_id}",
    )


def _call(call: LiveCall) -> CallConversation:
    customer = _customer(call)
    return CallConversation(
        id=call.conversation_id,
        recording_state=customer.recording_state,
        secure_pause=customer.secure_pause,
        participants=(CallParticipant(purpose="customer", **msgspec.structs.asdict(customer)),),
        self_uri=f"{PATH}/calls/{call.conversation_id}",
    )


def _detached(conversation_id: str, answer: PauseAnswer) -> Conversation:
    return Conversation(
        id=conversation_id,
        state="disconnected",
        recording_state="PAUSED" if answer.held_by else "NONE",
        secure_pause=bool(answer.held_by),
        participants=(),
        self_uri=f"{PATH}/{conversation_id}",
    )


ROUTER: Final = Router(
    PATH,
    route_handlers=[
        list_conversations,
        list_calls,
        get_conversation,
        get_call,
        patch_call,
        put_recording_state,
    ],
    tags=["Conversations"],
    **scoped("conversations"),
)
