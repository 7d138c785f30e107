"""What is done to a call that goes on: looked at, given to a queue, acted on by a flow, hung up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from openaudiohook.exceptions import ConfigurationError, LocalProtocolError, NotFound
from openaudiohook.monitor.call_state import state_of, state_of_detached
from openaudiohook.monitor.custody import Custody, LiveCalls
from openaudiohook.monitor.directory import Directory
from openaudiohook.monitor.language import LanguageStage
from openaudiohook.monitor.live_call import LiveCall
from openaudiohook.monitor.orders import FlowAction, SecureAnswer, SecureEnd
from openaudiohook.monitor.record import Record
from openaudiohook.monitor.secure_pause import SecureKind, SecureReason
from openaudiohook.protocol.messages import LanguageCode
from openaudiohook.store.entries import Acted, CallEnded

__all__ = ["Steering"]

# Whose flow says what the media language is; once somebody has answered it is the call's own.
_STAGES: Final = {"ivr": LanguageStage.FLOW, "queue": LanguageStage.IN_QUEUE_FLOW}


class Steering(Custody):
    """The part of a platform that steers its calls.

    Every method raises `NotFound` for what is not there or belongs to another organization.
    """

    def __init__(
        self,
        live_calls: LiveCalls,
        *,
        directory: Directory,
        record: Record,
        utc_ns: Callable[[], int],
    ) -> None:
        super().__init__(live_calls, record=record, utc_ns=utc_ns)
        self._directory = directory

    # Looking ----------------------------------------------------------------------------

    def calls(self, organization_id: str) -> list[LiveCall]:
        """Return an organization's calls that go on."""
        self._directory.organization(organization_id)
        calls = self._live_calls.values()
        return [one for one in calls if one.organization_id == organization_id and not one.is_over]

    def call(self, organization_id: str, conversation_id: str) -> LiveCall:
        """Return a call that goes on."""
        call = self._live(organization_id, conversation_id)
        if call is None:
            raise NotFound("no call of that conversation goes on", entity_type="conversation")
        return call

    def conversations(self, organization_id: str) -> list[str]:
        """Return the ids of all conversations that have not ended, with or without a source."""
        self._directory.organization(organization_id)
        return [one.conversation_id for one in self._record.conversations.all(organization_id)]

    def call_state(self, organization_id: str, conversation_id: str) -> dict[str, Any]:
        """Return how a conversation stands, its sessions included, as a JSON object."""
        known = self._known(organization_id, conversation_id)
        call = self._live(organization_id, conversation_id)
        return state_of_detached(known) if call is None else state_of(call, known)

    # Steering ---------------------------------------------------------------------------

    async def flow_action(
        self, organization_id: str, conversation_id: str, action: FlowAction, *, requester: str
    ) -> SecureAnswer | SecureEnd | None:
        """Have a flow act on a call; a secure flow is answered as a secure pause is.

        Raises:
            ConfigurationError: a value that the action needs is missing, or cannot be used.
            LocalProtocolError: the conversation has no source, or holds no such secure flow.
            JournalError: see `begin_secure_pause` and `end_secure_pause`.
        """
        if action.action == "secureFlow":
            answer = await self._secure_flow(organization_id, conversation_id, action)
            self._acted_on_call(organization_id, requester, "call.secureFlow", conversation_id)
            return answer
        self._known(organization_id, conversation_id)
        call = self._live(organization_id, conversation_id)
        if call is None:
            raise LocalProtocolError("the conversation has no source now; attach one first")
        if action.action == "setLanguage":
            stage = _STAGES.get(call.phase, LanguageStage.CALL)
            call.set_language(_language(action.language), stage)
        else:
            call.flow_action(action.action, action.enable)
        self._acted_on_call(organization_id, requester, f"call.{action.action}", conversation_id)
        return None

    async def enter_queue(
        self, organization_id: str, conversation_id: str, queue_id: str, *, requester: str
    ) -> None:
        """Have a call come to a queue: its switches, its language and its hold-back apply."""
        call = self.call(organization_id, conversation_id)
        call.enter_queue(self._directory.queue(organization_id, queue_id))
        self._acted_on_call(organization_id, requester, "call.queued", conversation_id)

    async def hang_up(self, organization_id: str, conversation_id: str, *, requester: str) -> None:
        """End a conversation: what was said is delivered, and every session is closed."""
        known = self._known(organization_id, conversation_id)
        call = self._live(organization_id, conversation_id)
        if call is not None:
            call.hang_up()
        else:
            ended = CallEnded(
                organization_id=organization_id,
                utc_ns=self._utc_ns(),
                conversation_id=conversation_id,
                part=known.part,
                at=known.at,
                reason="hangup",
            )
            self._record.note(ended)
        self._acted_on_call(organization_id, requester, "call.hungUp", conversation_id)

    async def _secure_flow(
        self, organization_id: str, conversation_id: str, action: FlowAction
    ) -> SecureAnswer | SecureEnd:
        if action.enable is None:
            raise ConfigurationError("secureFlow: 'enable' says whether it begins or ends")
        # A scenario's own secure flow goes by its bare name.
        held = self._held(organization_id, conversation_id)
        is_scenario = SecureReason(SecureKind.FLOW, action.flow) in held
        requester = action.flow if is_scenario else f"flow:{action.flow}"
        if action.enable:
            return await self.begin_secure_pause(
                organization_id,
                conversation_id,
                kind=SecureKind.FLOW,
                requester=requester,
                effective_at=action.effective_at,
            )
        return await self.end_secure_pause(
            organization_id, conversation_id, kind=SecureKind.FLOW, requester=requester
        )

    def _acted_on_call(
        self, organization_id: str, requester: str, action: str, conversation_id: str
    ) -> None:
        """Write who did it; a call waits for no disk."""
        self._record.note(
            Acted(
                organization_id=organization_id,
                utc_ns=self._utc_ns(),
                requester=requester,
                action=action,
                entity_type="call",
                entity_id=conversation_id,
            )
        )


def _language(language: str | None) -> str:
    try:
        return msgspec.convert(language, LanguageCode)
    except msgspec.ValidationError:
        raise ConfigurationError(
            "setLanguage: 'language' is a BCP 47 tag, for example 'en-US'"
        ) from None
