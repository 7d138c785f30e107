"""Explaining a conversation from its journal: each answer names the cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.exceptions import ConfigurationError, ControlError, NotFound
from openaudiohook.monitor.events import EventId
from openaudiohook.monitor.explain import Explanation, Finding, explain
from openaudiohook.monitor.lanes import Lane, Stretch
from openaudiohook.monitor.usage import usage_of_part
from openaudiohook.protocol.trace import TraceRecord, trace_header, trace_line
from openaudiohook.protocol.types import PauseCause, Role
from openaudiohook.store.entries import (
    CallBegan,
    CallEnded,
    Entry,
    EventRaised,
    MonitoringBegan,
    MonitoringSwitched,
    PauseBegan,
    PauseEnded,
    PhaseBegan,
    ServerPaused,
    SessionEnded,
    SessionOpened,
)
from openaudiohook.store.ledger import PartRecord, PauseRecord, SessionRecord

pytestmark = pytest.mark.unit

ORG, CALL, ONE = "org", "conversation", "integration-1"
S = 8000


def entry(kind: type[Any], at: int = 0, **more: Any) -> Any:
    return kind(organization_id=ORG, utc_ns=1, conversation_id=CALL, at=at, **more)


def event(event_id: EventId, text: str, *, entity: str = ONE, kind: str = "integration") -> Entry:
    return EventRaised(
        organization_id=ORG,
        utc_ns=1,
        event_id=event_id,
        entity_type=kind,
        entity_id=entity,
        entity_name="transcripts" if kind == "integration" else "",
        text=text,
        conversation_id=CALL,
    )


def opened(at: int = 0, *, start: int = 0, session: str = "s1", **more: Any) -> Entry:
    return entry(SessionOpened, at, integration_id=ONE, session_id=session, start=start, **more)


def ended(at: int, *, session: str = "s1", **more: Any) -> Entry:
    return entry(SessionEnded, at, integration_id=ONE, session_id=session, **more)


MONITORED: tuple[Entry, ...] = (
    entry(CallBegan, edge="cloud"),
    entry(MonitoringSwitched, on=True, by="queue"),
    entry(MonitoringBegan),
)
OVER = entry(CallEnded, 10 * S)


def explained(*entries: Entry, **more: Any) -> Explanation:
    return explain(entries, organization_id=ORG, conversation_id=CALL, **more)


def trouble(explanation: Explanation) -> Finding:
    found = [one for one in explanation.findings if one.is_trouble]
    assert len(found) == 1, explanation.findings
    return found[0]


def test_a_call_that_went_well_is_good() -> None:
    explanation = explained(*MONITORED, opened(100), ended(10 * S, sent=10 * S), OVER)
    assert [one.kind for one in explanation.findings] == ["good"]
    (part,) = explanation.parts
    (lane,) = part.lanes
    assert (lane.sent, lane.chargeable) == (10 * S, 10 * S - 100)
    assert lane.stretches == (
        Stretch(0, 100, "before opened"),
        Stretch(100, 10 * S, "streamed"),
    )


def test_a_call_never_switched_on_names_that_cause() -> None:
    found = trouble(explained(entry(CallBegan, edge="cloud"), OVER))
    assert found.kind == "not-monitored"
    assert "never switched on: it entered no queue, and no flow used the action" in found.text
    assert found.remedy is not None
    assert "enableAudioMonitoring" in found.remedy


def test_what_was_off_is_named_with_its_place() -> None:
    found = trouble(
        explained(
            entry(CallBegan, edge="cloud", queue_id="q"),
            entry(MonitoringSwitched, 2 * S, on=False, by="queue"),
            entry(MonitoringSwitched, 4 * S, on=False, by="flow", action="transcription"),
            OVER,
        )
    )
    assert "the queue's setting was off at 2.000 s" in found.text
    assert "the flow's transcription was off at 4.000 s" in found.text


def test_a_refused_edge_is_named() -> None:
    began = entry(CallBegan, edge="ldm", refused="calls on edge 'ldm' cannot be monitored")
    told = event(EventId.EDGE_REFUSED, "the same once more", entity=CALL, kind="call")
    explanation = explained(began, told, OVER)
    assert "'ldm'" in trouble(explanation).text
    assert len(explanation.findings) == 1


def test_no_active_integration_is_named() -> None:
    found = trouble(explained(*MONITORED, OVER, active=()))
    assert "no integration was active then (0 are active now)" in found.text


def test_who_never_opened_is_told_with_every_distinct_cause_and_the_remedy() -> None:
    refused = "no connection: connection refused"
    explanation = explained(
        *MONITORED,
        event(EventId.CONNECTION_FAILED, f"{refused}; trying again in 0.5 s"),
        event(EventId.CONNECTION_FAILED, f"{refused}; trying again in 1.1 s"),
        event(EventId.CALL_OVER, "the call was over before it opened"),
        OVER,
    )
    found = trouble(explanation)
    assert found.integration_id == ONE
    assert found.text == (
        "transcripts: not streamed: 2x AUDIOHOOK-0102: no connection: connection refused (AND) "
        "AUDIOHOOK-0119: the call was over before it opened"
    )
    assert found.remedy is not None
    assert "service runs" in found.remedy
    (lane,) = explanation.parts[0].lanes
    assert lane.stretches == (Stretch(0, 10 * S, "not connected"),)
    assert (lane.chargeable, lane.opened_at) == (0, None)


def test_who_opened_late_is_told_how_late_and_why() -> None:
    explanation = explained(
        *MONITORED,
        event(EventId.TIMED_OUT, "no connection within 5 s"),
        opened(3 * S),
        ended(10 * S, sent=10 * S),
        OVER,
    )
    found = trouble(explanation)
    assert (found.kind, "late by 3.000 s" in found.text) == ("late", True)
    assert "AUDIOHOOK-0002: no connection within 5 s" in found.text
    assert explanation.parts[0].lanes[0].chargeable == 7 * S


def test_what_a_throttled_one_missed_is_told_with_its_cause() -> None:
    found = trouble(
        explained(
            *MONITORED,
            opened(),
            event(EventId.THROTTLING_BEGAN, "2.0 s behind"),
            event(EventId.THROTTLING_ENDED, "1.5 s were left out"),
            ended(10 * S, sent=8 * S, discarded=2 * S),
            OVER,
        )
    )
    assert found.kind == "discarded"
    assert "2.000 s were left out" in found.text
    assert "AUDIOHOOK-0130: 2.0 s behind" in found.text
    assert "0131" not in found.text


def test_who_ended_early_is_told_where_and_why() -> None:
    found = trouble(
        explained(
            *MONITORED,
            opened(),
            event(EventId.CONNECTION_LOST, "the connection broke"),
            ended(4 * S, sent=4 * S, event_id=EventId.CONNECTION_LOST),
            OVER,
        )
    )
    assert found.kind == "lost"
    assert "it ended at 4.000 s" in found.text
    assert "the connection broke" in found.text


def test_media_that_was_not_selected_is_named_and_free() -> None:
    explanation = explained(
        *MONITORED, opened(has_media=False), ended(10 * S, discarded=10 * S), OVER
    )
    assert "selected none of the media" in trouble(explanation).text
    assert explanation.parts[0].lanes[0].chargeable == 0


def test_pauses_are_told_drawn_and_charged_as_they_are() -> None:
    secure = {"cause": "secure", "reason": "flow", "requester": "flow:pay"}
    explanation = explained(
        *MONITORED,
        opened(),
        entry(PauseBegan, 2 * S, **secure),
        entry(PauseEnded, 4 * S, **secure),
        entry(ServerPaused, 5 * S, integration_id=ONE, session_id="s1", end=6 * S),
        ended(10 * S, sent=7 * S, paused=3 * S),
        OVER,
    )
    assert [one.kind for one in explanation.findings] == ["paused", "paused", "good"]
    (lane,) = explanation.parts[0].lanes
    assert (lane.secure, lane.client, lane.server) == (2 * S, 0, S)
    assert lane.chargeable == 8 * S
    assert lane.stretches == (
        Stretch(0, 2 * S, "streamed"),
        Stretch(2 * S, 4 * S, "secure"),
        Stretch(4 * S, 5 * S, "streamed"),
        Stretch(5 * S, 6 * S, "server"),
        Stretch(6 * S, 10 * S, "streamed"),
    )
    paused = entry(ServerPaused, 5 * S, integration_id=ONE, session_id="s1", end=6 * S)
    entries = (*MONITORED, opened(), paused, ended(10 * S), OVER)
    cheaper = explained(*entries, free_pauses=frozenset(PauseCause))
    assert cheaper.parts[0].lanes[0].chargeable == 9 * S


def test_two_sessions_that_follow_each_other_are_charged_once() -> None:
    explanation = explained(
        *MONITORED,
        opened(),
        opened(5 * S, start=4 * S, session="s2"),
        ended(5 * S + 400, sent=5 * S),
        ended(10 * S, session="s2", sent=6 * S),
        OVER,
    )
    assert [one.kind for one in explanation.findings] == ["moved", "good"]
    assert explanation.parts[0].lanes[0].chargeable == 10 * S


def test_a_call_that_runs_still_is_said_to() -> None:
    explanation = explained(*MONITORED, opened(), entry(PhaseBegan, 6 * S, phase="agent"))
    assert "runs still" in trouble(explanation).text
    assert explanation.parts[0].phases == ((6 * S, "agent"),)


def accounts(lane: Lane) -> tuple[int, ...]:
    return lane.sent, lane.discarded, lane.paused, lane.lost, lane.unknown


def test_of_a_session_that_is_open_it_is_not_said_what_it_was_sent() -> None:
    explanation = explained(*MONITORED, opened(100), entry(PhaseBegan, 6 * S, phase="agent"))
    assert [one.kind for one in explanation.findings] == ["cut-off", "open"]
    (lane,) = explanation.parts[0].lanes
    assert accounts(lane) == (0, 0, 0, 0, 6 * S)
    assert [one.fate for one in lane.stretches] == ["before opened", "not known"]


def test_a_session_that_failed_while_the_call_goes_on_is_not_said_to_be_whole() -> None:
    begun = (*MONITORED, opened())
    failed = event(EventId.PONG_MISSING, "the endpoint was silent (408)")
    over = ended(3 * S, sent=3 * S, event_id=EventId.PONG_MISSING)
    found = explained(*begun, failed, over).findings[1]
    assert (found.kind, "408" in found.text, found.remedy is None) == ("lost", True, False)
    found = explained(*begun, ended(3 * S, sent=3 * S)).findings[1]
    assert (found.kind, "nothing is known of the call's end" in found.text) == ("open", True)


KILLED: tuple[Entry, ...] = (
    *MONITORED,
    opened(100),
    ended(4 * S, event_id=EventId.MONITOR_RESTARTED),
    entry(CallEnded, 5 * S, reason="lost"),
)


def test_of_a_session_whose_monitor_was_killed_nobody_knows_what_it_was_sent() -> None:
    explanation = explained(*KILLED)
    assert [one.kind for one in explanation.findings] == ["cut-off", "unknown"]
    text = explanation.findings[1].text
    assert "its Monitor was killed: of 4.000 s nobody knows how much was sent" in text
    assert "connected up to 4.000 s" in text
    (lane,) = explanation.parts[0].lanes
    assert accounts(lane) == (0, 0, 0, 0, 4 * S)
    assert lane.chargeable == 4 * S - 100
    assert [one.fate for one in lane.stretches] == ["before opened", "not known", "not connected"]
    assert explanation.as_json()["parts"][0]["lanes"][0]["unknown_s"] == 4.0


def test_what_a_session_before_a_killed_one_was_sent_is_known() -> None:
    explanation = explained(
        *MONITORED,
        opened(session="s0"),
        ended(S, session="s0", sent=S),
        opened(S, start=S),
        ended(4 * S, event_id=EventId.MONITOR_RESTARTED),
        entry(CallEnded, 4 * S, reason="lost"),
    )
    assert accounts(explanation.parts[0].lanes[0]) == (S, 0, 0, 0, 3 * S)


def test_a_trace_tells_what_a_killed_monitor_had_sent() -> None:
    explanation = explained(*KILLED, trace=trace_of((0, 2 * S)))
    assert explanation.parts[0].lanes[0].stretches == (
        Stretch(0, 100, "before opened"),
        Stretch(100, 2 * S, "streamed"),
        Stretch(2 * S, 4 * S, "not known"),
        Stretch(4 * S, 5 * S, "not connected"),
    )


def test_a_session_that_is_still_closing_is_said_to_be() -> None:
    found = trouble(explained(*MONITORED, opened(), OVER))
    assert (found.kind, "not closed yet" in found.text) == ("closing", True)


def test_a_secure_pause_that_holds_is_named_with_who_holds_it() -> None:
    held = entry(PauseBegan, S, cause="secure", reason="api", requester="client:ops")
    explanation = explained(*MONITORED, opened(), held)
    assert any("api, client:ops" in one.text for one in explanation.findings)


def test_a_part_that_follows_a_lost_source_is_told_on_its_own() -> None:
    explanation = explained(
        *MONITORED,
        opened(),
        ended(3 * S, sent=3 * S),
        entry(CallEnded, 3 * S, reason="lost"),
        entry(CallBegan, part=1, edge="cloud"),
        entry(MonitoringBegan, part=1),
        opened(part=1, session="s2"),
        entry(SessionEnded, 2 * S, part=1, integration_id=ONE, session_id="s2", sent=2 * S),
        entry(CallEnded, 2 * S, part=1),
    )
    assert [part.length for part in explanation.parts] == [3 * S, 2 * S]
    assert "the source of the call was lost at 3.000 s" in trouble(explanation).text


def trace_of(*audio: tuple[int, int]) -> list[bytes]:
    records = (
        TraceRecord(
            t_ns=0,
            session="s1",
            sender=Role.CLIENT,
            type="audio",
            position=f"PT{position / S:.6f}S",
            samples=samples,
        )
        for position, samples in audio
    )
    return [trace_header(), *(trace_line(record) for record in records)]


def test_a_trace_places_what_was_left_out_to_the_sample() -> None:
    explanation = explained(
        *MONITORED,
        opened(),
        ended(10 * S, sent=9 * S, discarded=S),
        OVER,
        trace=trace_of((0, 4 * S), (5 * S, 5 * S)),
    )
    (lane,) = explanation.parts[0].lanes
    assert Stretch(4 * S, 5 * S, "discarded") in lane.stretches


@pytest.mark.parametrize("line", [b"what", b'{"session": "s1", "type": "audio"}'])
def test_what_is_no_trace_is_refused(line: bytes) -> None:
    with pytest.raises(ConfigurationError, match="line 2 is no line of a trace"):
        explained(*MONITORED, opened(), OVER, trace=[trace_header(), line])


def test_another_conversation_or_organization_is_not_there() -> None:
    for organization, conversation in ((ORG, "other"), ("other", CALL)):
        with pytest.raises(NotFound):
            explain((*MONITORED, OVER), organization_id=organization, conversation_id=conversation)


def test_its_json_is_read_back_as_it_was() -> None:
    explanation = explained(
        *MONITORED, opened(), event(EventId.RECONNECTED, "x"), ended(10 * S, sent=10 * S), OVER
    )
    told = explanation.as_json()
    assert told["parts"][0]["lanes"][0]["sent_s"] == 10.0
    assert Explanation.from_json(told) == explanation
    with pytest.raises(ControlError):
        Explanation.from_json({"parts": 7})


def fates(stretches: Sequence[Stretch]) -> int:
    return sum(stretch.end - stretch.start for stretch in stretches)


def test_the_stretches_are_the_whole_part_each_sample_once() -> None:
    explanation = explained(
        entry(CallBegan, edge="cloud"),
        entry(MonitoringSwitched, 2 * S, on=True, by="flow", action="audioMonitoring"),
        entry(MonitoringBegan, 2 * S),
        opened(3 * S, start=2 * S),
        entry(PauseBegan, 5 * S, cause="client", reason="monitoring", requester="flow"),
        ended(8 * S, sent=3 * S, paused=3 * S),
        OVER,
    )
    (lane,) = explanation.parts[0].lanes
    assert fates(lane.stretches) == 10 * S
    assert [one.fate for one in lane.stretches] == [
        "not monitored", "before opened", "streamed", "client",
    ]  # fmt: skip


LENGTH = 40
SPANS = st.tuples(st.integers(0, LENGTH), st.integers(0, LENGTH)).map(sorted)


@given(
    sessions=st.lists(st.tuples(SPANS, st.booleans()), max_size=4),
    secure=st.lists(SPANS, max_size=3),
    client=st.lists(SPANS, max_size=3),
    server=st.lists(st.tuples(st.integers(0, 3), SPANS), max_size=3),
    free=st.sets(st.sampled_from(PauseCause)),
)
def test_what_it_says_a_call_cost_is_what_usage_says(
    sessions: Sequence[tuple[list[int], bool]],
    secure: Sequence[list[int]],
    client: Sequence[list[int]],
    server: Sequence[tuple[int, list[int]]],
    free: set[PauseCause],
) -> None:
    entries: list[Entry] = [*MONITORED, entry(CallEnded, LENGTH)]
    records, pauses = [], []
    for number, ((start, end), has_media) in enumerate(sessions):
        name = str(number)
        entries += [opened(start, session=name, has_media=has_media), ended(end, session=name)]
        records.append(
            SessionRecord(
                session_id=name, integration_id=ONE, start=start, opened_at=start, ended_at=end,
                opened_utc_ns=1, ended_utc_ns=1, has_media=has_media, event_id=None,
                sent=0, discarded=0, paused=0, lost=0,
            )
        )  # fmt: skip
    for cause, spans in (("secure", secure), ("client", client)):
        for number, (start, end) in enumerate(spans):
            reason: dict[str, Any] = {"cause": cause, "reason": "api", "requester": str(number)}
            entries += [entry(PauseBegan, start, **reason), entry(PauseEnded, end, **reason)]
            pauses.append(PauseRecord(session_id=None, start=start, end=end, **reason))
    for number, (start, end) in server:
        if number < len(sessions):
            name = str(number)
            entries.append(entry(ServerPaused, start, integration_id=ONE, session_id=name, end=end))
            pauses.append(
                PauseRecord(
                    cause="server", reason="", requester="", session_id=name, start=start, end=end
                )
            )
    part = PartRecord(
        conversation_id=CALL, part=0, began_utc_ns=1, edge="cloud", queue_id=None, refused=None,
        monitored_from=0, ended_at=LENGTH, ended_utc_ns=1, end_reason="end",
        phases=(), sessions=tuple(records), pauses=tuple(pauses),
    )  # fmt: skip
    usage = usage_of_part(part, free_pauses=free).get(ONE, {})
    charged = sum(each.chargeable_ns for each in usage.values())
    lanes = explained(*entries, free_pauses=free).parts[0].lanes
    assert sum(lane.chargeable for lane in lanes) * 125_000 == charged
    for lane in lanes:
        assert fates(lane.stretches) == LENGTH
