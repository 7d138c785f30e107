"""What each step of a scenario does to a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openaudiohook.monitor.secure_pause import SecureKind, SecureReason
from openaudiohook.monitor.steps import (
    ClientPause,
    Conference,
    Consult,
    EnterQueue,
    FlowAction,
    Hangup,
    Hold,
    LanguageChange,
    Monitoring,
    Play,
    SecureFlow,
    Step,
    Transfer,
)

if TYPE_CHECKING:
    from openaudiohook.monitor.call import Call

__all__ = ["REQUESTER", "perform"]

REQUESTER: Final = "scenario"
"""Whose the pauses of a scenario are."""


def perform(call: Call, step: Step, now_ns: int) -> None:
    """Let a step happen to a call, at the sample at which the call is."""
    match step:
        case Play(source=source, channel=channel):
            call.play(source, channel)
        case Monitoring(on=on, by=by):
            call.switch_monitoring(on, by=by)
        case FlowAction(action=action, enable=enable):
            call.act(action, enable)
        case EnterQueue(queue=queue):
            call.enter_queue(queue)
        case SecureFlow(is_start=True, effective_at=effective_at):
            call.begin_secure_pause(SecureKind.FLOW, REQUESTER, effective_at=effective_at)
        case SecureFlow():
            if SecureReason(SecureKind.FLOW, REQUESTER) in call.held_since:  # else it was ended
                call.end_secure_pause(SecureKind.FLOW, REQUESTER)
        case ClientPause(is_start=True):
            call.begin_client_pause(REQUESTER, reason="flow")
        case ClientPause():
            call.end_client_pause(REQUESTER, reason="flow")
        case LanguageChange(language=language, stage=stage):
            call.set_language(language, stage)
        case Hold(is_start=True, music=music):
            call.hold(music)
        case Consult(is_start=True, music=music):
            call.hold(music, is_consult=True)
        case Hold() | Consult():
            call.take_back()
        case Conference(is_start=is_start):
            call.confer(is_start=is_start)
        case Transfer(to="queue"):
            call.return_to_queue()
        case Transfer(to="agent"):
            call.answer()
        case Transfer(languages=languages):
            call.enter_flow(languages)
        case Hangup():
            call.hang_up(now_ns)
