"""Why a call was not streamed, or late, or in part; what it cost, and where every sample is.

From the journal alone, which is the truth: it needs no database, no Monitor that runs, and no
endpoint. Every finding names a cause, and where there is something to be done, what.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from openaudiohook.audio import RATE
from openaudiohook.exceptions import ControlError, NotFound
from openaudiohook.fanout.pauses import Span
from openaudiohook.monitor.chronicle import Chronicle, Part, chronicle_of, sent_in_trace
from openaudiohook.monitor.events import CATALOGUE, EventId
from openaudiohook.monitor.lanes import Lane, end_of, lane_of, spans_of
from openaudiohook.monitor.metering import FREE_PAUSES
from openaudiohook.protocol.types import PauseCause
from openaudiohook.store.entries import Entry, EventRaised

__all__ = ["Explanation", "Finding", "PartExplained", "explain"]

_PROMPT: Final = RATE // 2
"""Who opens within half a second is not late."""

_WHEN: Final = re.compile(r"; trying again in [0-9.]+ s$")

_FATES: Final = ("sent", "discarded", "paused", "lost", "unknown")

_SLOW: Final = frozenset(
    {
        EventId.THROTTLING_BEGAN,
        EventId.CONGESTED,
        EventId.SAMPLES_LOST,
        EventId.ENDPOINT_FAR,
        EventId.ENDPOINT_SLOW,
    }
)
"""The events of an endpoint that takes what it is sent too slowly."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One answer.

    Attributes:
        kind: `good`, `not-monitored`, `not-connected`, `late`, `discarded`, `lost`, `paused`,
            `moved`, `open`, `unknown`, `cut-off`, `closing` or `event`.
        text: what happened, and why.
        remedy: what helps; None where nothing is wrong.
        integration_id: of which integration; None where it is about the call.
        part: which part of the conversation.
    """

    kind: str
    text: str
    remedy: str | None = None
    integration_id: str | None = None
    part: int = 0

    @property
    def is_trouble(self) -> bool:
        """Whether something was not as it should be."""
        return self.kind not in ("good", "moved", "open", "paused", "event")


class PartExplained(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a conversation; `phases` are the first sample and the name of each."""

    number: int
    began_ns: int
    length: int
    is_over: bool
    edge: str
    monitored_from: int | None
    phases: tuple[tuple[int, str], ...]
    secure: tuple[Span, ...]
    lanes: tuple[Lane, ...]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything there is to say about a conversation."""

    organization_id: str
    conversation_id: str
    parts: tuple[PartExplained, ...]
    findings: tuple[Finding, ...]
    events: tuple[EventRaised, ...]

    def as_json(self) -> dict[str, Any]:
        """The object that `openaudiohook explain --json` prints: seconds beside samples."""
        return {
            "conversation_id": self.conversation_id,
            "organization_id": self.organization_id,
            "findings": [msgspec.to_builtins(finding) for finding in self.findings],
            "parts": [_part_as_json(part) for part in self.parts],
            "events": [msgspec.to_builtins(event) for event in self.events],
        }

    @classmethod
    def from_json(cls, told: Any) -> Explanation:
        """Read what `as_json` made.

        Raises:
            ControlError: it is something else.
        """
        try:
            return msgspec.convert(told, cls)
        except msgspec.ValidationError:
            raise ControlError("what came is no explanation of a conversation") from None


def explain(
    entries: Iterable[Entry],
    *,
    organization_id: str,
    conversation_id: str,
    names: Mapping[str, str] | None = None,
    active: Collection[str] | None = None,
    free_pauses: Collection[PauseCause] = FREE_PAUSES,
    trace: Iterable[bytes] = (),
) -> Explanation:
    """Explain one conversation.

    Args:
        entries: of the journal, in its order: all of them, or those of the conversation.
        organization_id: whose conversation it is.
        conversation_id: which one.
        names: of integrations by id; those that events name need none.
        active: ids of the integrations that are active now, where that is known.
        free_pauses: the causes whose time is not charged.
        trace: lines of a trace file, to place what was left out to the sample.

    Raises:
        NotFound: the journal says nothing of that conversation.
        ConfigurationError: the trace is none.
    """
    chronicle = chronicle_of(
        entries, organization_id=organization_id, conversation_id=conversation_id
    )
    if chronicle is None:
        raise NotFound(
            f"the journal knows no conversation {conversation_id} of this organization",
            entity_type="conversation",
        )
    called = {
        event.entity_id: event.entity_name
        for event in chronicle.events
        if event.entity_type == "integration"
    } | dict(names or {})
    sent = sent_in_trace(trace, chronicle)
    parts = tuple(_part(chronicle, part, called, free_pauses, sent) for part in chronicle.parts)
    findings: list[Finding] = []
    for part, told in zip(chronicle.parts, parts, strict=True):
        findings += _about_call(chronicle, part, active)
        for lane in told.lanes:
            findings += _about_lane(chronicle, part, lane)
    findings += _other_events(chronicle)
    return Explanation(
        organization_id=organization_id,
        conversation_id=conversation_id,
        parts=parts,
        findings=tuple(findings),
        events=tuple(chronicle.events),
    )


# What became of the samples --------------------------------------------------------------


def _part(
    chronicle: Chronicle,
    part: Part,
    names: Mapping[str, str],
    free: Collection[PauseCause],
    sent: Mapping[str, Sequence[Span]],
) -> PartExplained:
    pauses = part.pauses
    ids = dict.fromkeys(session.integration_id for session in part.sessions)
    if part.monitored_from is not None:  # who never opened a session is in the events only
        ids |= dict.fromkeys(chronicle.integration_ids())
    return PartExplained(
        number=part.number,
        began_ns=part.began_ns,
        length=part.last,
        is_over=part.ended is not None,
        edge=part.edge,
        monitored_from=part.monitored_from,
        phases=tuple((one.at, one.phase) for one in part.phases),
        secure=tuple(spans_of(pauses, PauseCause.SECURE)),
        lanes=tuple(lane_of(part, id_, names.get(id_, id_), pauses, free, sent) for id_ in ids),
    )


# What is to be said about it --------------------------------------------------------------


def _about_call(
    chronicle: Chronicle, part: Part, active: Collection[str] | None
) -> Iterable[Finding]:
    number = part.number
    if part.refused is not None:
        yield Finding(
            kind="not-monitored",
            text=f"not streamed: {part.refused}",
            remedy=CATALOGUE[EventId.EDGE_REFUSED].remedy,
            part=number,
        )
    elif part.monitored_from is None:
        yield Finding(
            kind="not-monitored",
            text=f"not streamed: {_never_switched_on(part)}, so nobody was connected",
            remedy="switch enableAudioMonitoring (or enableTranscription) on for its queue, or let "
            "its flow use the Audio Monitoring action",
            part=number,
        )
    elif not any(session.integration_id for session in part.sessions) and not any(
        event.entity_type == "integration" for event in chronicle.events
    ):
        now = "" if active is None else f" ({len(active)} are active now)"
        yield Finding(
            kind="not-connected",
            text=f"not streamed: monitoring began at {_at(part.monitored_from)}, and no "
            f"integration was active then{now}",
            remedy="activate one, and look at its status: `openaudiohook integrations`; which "
            "ones a call has is settled when its monitoring begins",
            part=number,
        )
    if part.ended is None:
        yield Finding(
            kind="cut-off",
            text=f"the call runs still, or its Monitor was stopped at {_at(part.last)} or after; "
            "what follows holds up to there",
            part=number,
        )
    elif part.ended.reason in ("lost", "error"):
        yield Finding(
            kind="cut-off",
            text=f"the source of the call was lost at {_at(part.ended.at)}"
            + (": it failed" if part.ended.reason == "error" else ""),
            part=number,
        )
    for held in part.held:
        if part.ended is None and held.cause == "secure":
            yield Finding(
                kind="paused",
                text=f"a secure pause holds since {_at(held.at)}: {held.reason}, {held.requester}",
                remedy="nothing is streamed before whoever began it ends it",
                part=number,
            )


def _never_switched_on(part: Part) -> str:
    """Say which decisions were made, and that none of them was on."""
    if not part.switches:
        queue = "its queue has no switch set" if part.queue_id else "it entered no queue"
        return f"monitoring was never switched on: {queue}, and no flow used the action"
    told = ", ".join(
        f"the {one.by}'s {one.action or 'setting'} was off at {_at(one.at)}"
        for one in part.switches
    )
    return f"monitoring was never switched on: {told}"


def _about_lane(chronicle: Chronicle, part: Part, lane: Lane) -> Iterable[Finding]:
    events = _events_of(chronicle, lane.integration_id)
    slow = [event for event in events if event.event_id in _SLOW]
    failures = [event for event in events if event.event_id not in _SLOW]
    causes, remedy = _aggregated(failures), _remedy(failures)
    sessions = [one for one in part.sessions if one.integration_id == lane.integration_id]
    name = lane.name

    def found(kind: str, text: str, remedy: str | None = None) -> Finding:
        return Finding(
            kind=kind,
            text=f"{name}: {text}",
            remedy=remedy,
            integration_id=lane.integration_id,
            part=part.number,
        )

    if lane.opened_at is None:
        why = causes or "no session opened before the call ended, and nothing was said of why"
        yield found("not-connected", f"not streamed: {why}", remedy)
        return
    if not any(session.has_media for session in sessions):
        yield found(
            "not-connected",
            "connected, and no audio was streamed: the endpoint selected none of the media offered",
            "have it select one of the offered formats when it answers `opened`; it is free so far",
        )
        return
    entry = part.monitored_from or 0
    is_whole = True
    if part.ended is None and any(session.ended is None for session in sessions):
        is_whole = False
        yield found(
            "open",
            f"it opened at {_at(lane.opened_at)}, and nothing is known of an end: what it was sent "
            "and missed is known once it has ended",
        )
    elif any(session.was_cut_off for session in sessions):
        is_whole = False
        yield found(
            "unknown",
            f"its Monitor was killed: of {_s(lane.unknown)} s nobody knows how much was sent, left "
            f"out or lost; it was connected up to {_at(lane.ended_at or 0)}, at least",
            "what arrived is in the recording of the service, if it made one; it is charged up to "
            "there",
        )
    elif any(session.ended is None for session in sessions):
        is_whole = False
        yield found(
            "closing",
            "its session is not closed yet: what it sent and missed is known once it is; ask again",
        )
    if lane.opened_at - entry > _PROMPT:
        is_whole = False
        why = f": {causes}" if causes else ""
        yield found(
            "late",
            f"late by {_s(lane.opened_at - entry)} s: monitoring began at {_at(entry)}, and it "
            f"opened at {_at(lane.opened_at)}{why}; what was kept of the time between, at most the "
            "last 20 s, was sent faster than real time",
            remedy,
        )
    if lane.sessions > 1:
        yield found("moved", f"streamed in {lane.sessions} sessions, one after the other")
    if lane.discarded:
        is_whole = False
        why = _aggregated(slow or failures) or "it opened too late, or asked to skip ahead"
        yield found(
            "discarded",
            f"in part: {_s(lane.discarded)} s were left out, and the endpoint was told where "
            f"(`discarded`): {why}",
            _remedy(slow or failures),
        )
    if lane.lost:
        is_whole = False
        why = causes or "its connection was lost, and with it what had not been delivered"
        yield found("lost", f"in part: {_s(lane.lost)} s were lost: {why}", remedy)
    last = max(sessions, key=lambda session: end_of(session, part))
    last_end = end_of(last, part)
    if part.ended is None and all(session.is_accounted for session in sessions):
        is_whole = False
        told = f"its session ended at {_at(last_end)}, and nothing is known of the call's end"
        if causes:
            yield found("lost", f"{told}: {causes}", remedy)
        else:
            yield found("open", told)
    if part.last - last_end > _PROMPT and not last.was_cut_off:
        is_whole = False
        why = causes or "the endpoint or the integration ended it"
        yield found(
            "lost",
            f"in part: it ended at {_at(last_end)}, before the call did at {_at(part.last)}: {why}",
            remedy,
        )
    for cause, samples in (("secure", lane.secure), ("client", lane.client)):
        if samples:
            yield found("paused", f"{_s(samples)} s of {cause} pause: nothing was streamed, free")
    if lane.server:
        yield found("paused", f"{_s(lane.server)} s of pause that the endpoint had asked for")
    if is_whole:
        yield found("good", "streamed from the first monitored sample to the last")


def _other_events(chronicle: Chronicle) -> Iterable[Finding]:
    """Tell what was raised about the call itself."""
    for event in chronicle.events:
        # Why an edge is refused is told of the call already.
        if event.entity_type != "integration" and event.event_id != EventId.EDGE_REFUSED:
            kind = CATALOGUE.get(event.event_id)
            yield Finding(
                kind="event",
                text=f"{event.event_id}: {event.text}",
                remedy=None if kind is None else kind.remedy,
            )


def _events_of(chronicle: Chronicle, integration_id: str) -> list[EventRaised]:
    """The events about one integration that tell of something wrong."""
    return [
        event
        for event in chronicle.events
        if event.entity_type == "integration"
        and event.entity_id == integration_id
        and not ((kind := CATALOGUE.get(event.event_id)) and kind.level == "info")
    ]


def _aggregated(events: Iterable[EventRaised]) -> str:
    """Join the distinct texts, each with how often it was said; when is of no matter here."""
    counted = Counter(
        f"{event.event_id}: {_WHEN.sub('', event.text).rstrip('.')}" for event in events
    )
    return " (AND) ".join(
        text if count == 1 else f"{count}x {text}" for text, count in counted.items()
    )


def _remedy(events: Iterable[EventRaised]) -> str | None:
    """What the catalogue says helps against the first of the events."""
    kinds = (CATALOGUE.get(event.event_id) for event in events)
    return next((kind.remedy for kind in kinds if kind is not None and kind.remedy), None)


def _part_as_json(part: PartExplained) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(part)
    told["length_s"] = part.length / RATE
    for lane, as_json in zip(part.lanes, told["lanes"], strict=True):
        for key in (*_FATES, "secure", "client", "server"):
            as_json[f"{key}_s"] = getattr(lane, key) / RATE
        as_json["chargeable_s"] = lane.chargeable / RATE
    return told


def _s(samples: int) -> str:
    return f"{samples / RATE:.3f}"


def _at(samples: int) -> str:
    return f"{_s(samples)} s"
