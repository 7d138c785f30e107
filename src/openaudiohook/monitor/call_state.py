"""How a conversation stands now, for whoever looks at it: a JSON object without personal data."""

from __future__ import annotations

from typing import Any

from openaudiohook.audio import RATE
from openaudiohook.fanout.endpoint import Endpoint
from openaudiohook.monitor.conversations import Known
from openaudiohook.monitor.live_call import LiveCall

__all__ = ["state_of", "state_of_detached"]


def state_of(call: LiveCall, known: Known) -> dict[str, Any]:
    """Describe a conversation that has a source."""
    return {
        **_common(known),
        "state": "connected",
        "phase": call.phase,
        "queueId": call.queue_id,
        "edgeType": call.edge,
        "language": call.language,
        "refused": call.refused,
        "monitored": call.is_monitored,
        **_seconds("position", call.position),
        "sessions": [_session(endpoint) for endpoint in call.running.endpoints],
    }


def state_of_detached(known: Known) -> dict[str, Any]:
    """Describe a conversation whose source was lost."""
    return {
        **_common(known),
        "state": "detached",
        "phase": known.phase,
        "queueId": known.queue_id,
        "edgeType": known.edge,
        "language": known.language,
        "refused": None,
        "monitored": bool(known.is_on),
        **_seconds("position", known.at),
        "sessions": [],
    }


def _common(known: Known) -> dict[str, Any]:
    return {
        "conversationId": known.conversation_id,
        "part": known.part,
        "securePaused": bool(known.secure),
        "pauses": [
            {"cause": one.cause, "reason": one.reason, "requester": one.requester}
            for one in known.held
        ],
    }


def _session(endpoint: Endpoint) -> dict[str, Any]:
    report = endpoint.report()
    account = report.account
    return {
        "integrationId": endpoint.config.integration_id,
        "name": report.name,
        "sessionId": report.session_id,
        "state": str(report.state),
        "error": report.error,
        "attempts": report.attempts,
        "sessions": len(report.sessions),
        "roundTripMs": None if report.rtt_ns is None else report.rtt_ns / 1_000_000,
        **_seconds("sent", account.sent),
        **_seconds("discarded", account.discarded),
        **_seconds("paused", account.paused_union),
        **_seconds("lost", account.lost),
    }


def _seconds(name: str, samples: int) -> dict[str, float | int]:
    return {f"{name}Seconds": samples / RATE, f"{name}Samples": samples}
