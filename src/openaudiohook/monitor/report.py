"""What became of a call on every endpoint, and its JSON form.

Every duration is given twice: in seconds for people, and in samples, in which
sent + discarded + paused union + lost = call holds exactly. Nothing here holds a secret, an
address of a caller, or audio.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from openaudiohook.audio import RATE
from openaudiohook.fanout.account import Account
from openaudiohook.fanout.endpoint import EndpointReport, SessionReport
from openaudiohook.fanout.engine import Cut
from openaudiohook.fanout.pauses import length
from openaudiohook.monitor.metering import FREE_PAUSES, chargeable_spans
from openaudiohook.monitor.secure_pause import SecureReason, SecureSpan
from openaudiohook.protocol.types import PauseCause

__all__ = ["CallReport"]


class CallReport(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a call. Samples count from the first monitored one unless said otherwise.

    Attributes:
        conversation_id: the conversation's id, as every endpoint got it.
        call_samples: how long the monitored part was.
        monitored_from: the sample of call time, from call entry, at which it began; None where
            the call was never monitored, and so nobody was connected.
        secure_spans: where nothing could leave.
        cuts: what was cut off at the start of each secure pause, and how much of it had left.
        endpoints: one for each endpoint, in the order in which they were configured.
        free_pauses: the causes whose time is not charged.
        problems: what could not be played, in words.
        was_interrupted: the call was hung up from outside before its end.
    """

    conversation_id: str
    call_samples: int
    monitored_from: int | None
    secure_spans: tuple[SecureSpan, ...]
    endpoints: tuple[EndpointReport, ...]
    free_pauses: Collection[PauseCause] = FREE_PAUSES
    cuts: tuple[tuple[SecureReason, Cut], ...] = ()
    problems: tuple[str, ...] = ()
    was_interrupted: bool = False

    @property
    def is_good(self) -> bool:
        """Whether every endpoint was served to the end, and everything could be played."""
        return not self.problems and all(one.state == "completed" for one in self.endpoints)

    def chargeable_samples(self, endpoint: EndpointReport) -> int:
        """How much of the call is charged for one of its endpoints: each sample once."""
        spans = (
            span
            for session in endpoint.sessions
            for span in chargeable_spans(
                opened_at=session.account.opened_at,
                ended_at=session.end if session.lost_at is None else session.lost_at,
                pauses=session.account.intervals,
                free_pauses=self.free_pauses,
            )
        )
        return length(spans)

    def as_json(self) -> dict[str, Any]:
        """The object that `openaudiohook call --json` prints."""
        return {
            **_both("call", self.call_samples),
            "conversation_id": self.conversation_id,
            **_both("monitored_from", self.monitored_from),
            "secure_spans": [
                {**_both("start", span.start), **_both("end", span.end)}
                for span in self.secure_spans
            ],
            "cuts": [self._cut_as_json(reason, cut) for reason, cut in self.cuts],
            "endpoints": [self.endpoint_as_json(endpoint) for endpoint in self.endpoints],
            "problems": list(self.problems),
        }

    def _cut_as_json(self, reason: SecureReason, cut: Cut) -> dict[str, Any]:
        names = (endpoint.name for endpoint in self.endpoints)
        return {
            "kind": str(reason.kind),
            "requester": reason.requester,
            **_both("position", cut.position),
            **_both("began", cut.began),
            "gone_samples": dict(zip(names, cut.gone, strict=True)),
        }

    def endpoint_as_json(self, endpoint: EndpointReport) -> dict[str, Any]:
        """One endpoint's part of `as_json`."""
        account = endpoint.account
        return {
            "name": endpoint.name,
            "uri": endpoint.uri,
            "state": str(endpoint.state),
            "error": endpoint.error,
            "http_status": endpoint.http_status,
            "attempts": endpoint.attempts,
            **_both("open", account.opened_at),
            **_both("call", account.length),
            **_parts(account),
            **_both("lost", account.lost),
            **_both("resent", account.resent),
            **_both("chargeable", self.chargeable_samples(endpoint)),
            "sessions": [_session_as_json(session) for session in endpoint.sessions],
        }


def _session_as_json(session: SessionReport) -> dict[str, Any]:
    return {
        "session_id": session.session_id,
        "error": session.error,
        **_both("start", session.start),
        **_both("end", session.end),
        **_both("open", session.account.opened_at),
        **_parts(session.account),
    }


def _parts(account: Account) -> dict[str, Any]:
    paused = {
        "secure": account.paused_secure,
        "client": account.paused_client,
        "server": account.paused_server,
        "union": account.paused_union,
    }
    return {
        **_both("sent", account.sent),
        **_both("discarded", account.discarded),
        "paused_s": {cause: samples / RATE for cause, samples in paused.items()},
        "paused_samples": paused,
        "sent_sha256": account.sent_sha256,
    }


def _both(name: str, samples: int | None) -> dict[str, float | int | None]:
    """A duration or position in seconds and in samples; sample counts are exact as floats."""
    seconds = None if samples is None else samples / RATE
    return {f"{name}_s": seconds, f"{name}_samples": samples}
