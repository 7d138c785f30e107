"""What is known of conversations, folded from entries; kept, and found again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.monitor.conversations import SWITCH, Conversations
from openaudiohook.monitor.record import Record
from openaudiohook.monitor.recovery import close_left_open, load, snapshot, write
from openaudiohook.store.entries import (
    CallBegan,
    CallEnded,
    Entry,
    EventRaised,
    LanguageChanged,
    MonitoringSwitched,
    PauseBegan,
    PauseEnded,
    PhaseBegan,
    ServerPaused,
    SessionEnded,
    SessionOpened,
)
from openaudiohook.store.journal import Journal
from openaudiohook.store.positions import Position, Positions
from openaudiohook.store.sealing import Sealer

pytestmark = pytest.mark.unit

ORG, CALL = "one", "call"
SEALER = Sealer(bytes(32))


def told(kind: type, at: int = 0, *, part: int = 0, call: str = CALL, **more: Any) -> Any:
    return kind(
        organization_id=ORG, utc_ns=1_000 + at, conversation_id=call, part=part, at=at, **more
    )


def began(part: int = 0, call: str = CALL) -> CallBegan:
    entry: CallBegan = told(CallBegan, part=part, call=call, edge="cloud")
    return entry


def held(requester: str, at: int = 0, *, part: int = 0, **more: Any) -> PauseBegan:
    values = {"cause": "secure", "reason": "api", **more}
    entry: PauseBegan = told(PauseBegan, at, part=part, requester=requester, **values)
    return entry


def freed(requester: str, at: int = 0, *, part: int = 0, **more: Any) -> PauseEnded:
    values = {"cause": "secure", "reason": "api", **more}
    entry: PauseEnded = told(PauseEnded, at, part=part, requester=requester, **values)
    return entry


def opened(session: str, at: int = 0) -> SessionOpened:
    entry: SessionOpened = told(SessionOpened, at, integration_id="i", session_id=session, start=0)
    return entry


def closed(session: str, at: int = 0) -> SessionEnded:
    entry: SessionEnded = told(SessionEnded, at, integration_id="i", session_id=session)
    return entry


def after(*entries: Entry) -> Conversations:
    conversations = Conversations()
    for entry in entries:
        conversations.apply(entry)
    return conversations


def holders(conversations: Conversations) -> list[str]:
    known = conversations.get(ORG, CALL)
    assert known is not None
    return [one.requester for one in known.secure]


def test_reasons_are_held_until_each_was_taken_back() -> None:
    story: list[Entry] = [began(), held("a"), held("b", 5), held("a", 6), freed("a", 9)]
    assert holders(after(*story)) == ["b"]
    assert holders(after(*story, freed("b", 9))) == []


def test_they_outlast_a_source_that_is_lost() -> None:
    story: list[Entry] = [began(), held("a"), told(CallEnded, 10, reason="lost")]
    assert holders(after(*story)) == ["a"]
    assert holders(after(*story, began(1))) == ["a"]
    assert holders(after(*story, began(1), freed("a", part=1))) == []


@pytest.mark.parametrize("reason", ["end", "hangup"])
def test_a_conversation_that_ended_is_not_known(reason: str) -> None:
    conversations = after(began(), held("a"), told(CallEnded, 10, reason=reason), held("b"))
    assert conversations.get(ORG, CALL) is None
    assert len(conversations) == 0


def test_what_an_earlier_part_still_tells_changes_nothing() -> None:
    story = [began(), began(1), told(CallEnded, 10, reason="lost")]
    known = after(*story).get(ORG, CALL)
    assert known is not None
    assert known.is_attached
    assert known.part == 1


def test_it_is_known_how_a_call_stood() -> None:
    conversations = after(
        began(),
        told(PhaseBegan, 1, phase="queue", queue_id="support"),
        told(MonitoringSwitched, 2, on=True, by="queue"),
        told(LanguageChanged, 3, language="de-DE", stage="queue"),
        told(SessionOpened, 4, integration_id="i", session_id="s", start=2),
        told(SessionOpened, 5, integration_id="j", session_id="t", start=2),
        told(SessionEnded, 6, integration_id="i", session_id="s"),
        told(PhaseBegan, 7, phase="agent"),
        EventRaised(
            organization_id=ORG, utc_ns=1, event_id="x", entity_type="call", entity_id=CALL,
            entity_name="", text="", conversation_id=CALL,
        ),
    )  # fmt: skip
    known = conversations.get(ORG, CALL)
    assert known is not None
    assert (known.phase, known.queue_id, known.language) == ("agent", "support", "de-DE")
    assert (known.is_on, known.at) == (True, 7)
    assert [one.session_id for one in conversations.sessions()] == ["t"]


def test_a_switch_that_is_off_is_no_reason_for_the_next_part() -> None:
    off = held("queue", cause="client", reason=SWITCH)
    known = after(began(), off, held("a", cause="client"), began(1)).get(ORG, CALL)
    assert known is not None
    assert [one.requester for one in known.held] == ["a"]


def test_another_organizations_conversation_of_the_same_id_is_another_one() -> None:
    conversations = after(began())
    assert conversations.get("other", CALL) is None
    assert [one.organization_id for one in conversations.all()] == [ORG]
    assert conversations.all("other") == []


STORY = st.lists(
    st.one_of(
        st.builds(held, st.sampled_from("abc"), st.integers(0, 9)),
        st.builds(freed, st.sampled_from("abc"), st.integers(0, 9)),
        st.builds(began, st.integers(0, 2)),
        st.builds(opened, st.sampled_from("st"), st.integers(0, 9)),
        st.builds(closed, st.sampled_from("st"), st.integers(0, 9)),
        st.just(CallEnded(organization_id=ORG, utc_ns=1, conversation_id=CALL, at=5)),
    ),
    max_size=30,
)


@given(story=STORY, cut=st.integers(0, 30))
def test_kept_anywhere_it_comes_to_the_same(
    story: list[Entry], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("journal")
    journal = Journal.open(directory, key=bytes(32))
    try:
        before = Conversations()
        for entry in story[:cut]:
            journal.append(entry)
            before.apply(entry)
        write(snapshot(before, journal, sealer=SEALER), directory / "kept")
        for entry in story[cut:]:
            journal.append(entry)
        found, whole = Conversations(), Conversations()
        load(found, journal, directory / "kept", sealer=SEALER)
        load(whole, journal, directory / "missing", sealer=SEALER)
        assert found.all() == whole.all() == after(*story).all()
        assert found.sessions() == whole.sessions() == after(*story).sessions()
    finally:
        journal.close()


@pytest.mark.parametrize(
    "harm", ["changed", "another key", "cut", "another journal", "a longer journal"]
)
def test_a_copy_that_is_not_ours_costs_nothing_but_time(harm: str, tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal", key=bytes(32))
    other = Journal.open(tmp_path / "other", key=bytes(32))
    kept = tmp_path / "kept"
    try:
        story: list[Entry] = [began(), held("a")]
        for entry in story:
            journal.append(entry)
        # What was kept says that nobody holds it.
        write(snapshot(after(began()), journal, sealer=SEALER), kept)
        data = bytearray(kept.read_bytes())
        if harm == "changed":
            data[-1] ^= 1
        elif harm == "cut":
            del data[10:]
        elif harm == "another key":
            write(snapshot(after(began()), journal, sealer=Sealer(bytes(31) + b"\1")), kept)
            data = bytearray(kept.read_bytes())
        else:
            for _ in range(3 if harm == "a longer journal" else 1):
                other.append(began(call="another"))
            write(snapshot(after(began()), other, sealer=SEALER), kept)
            data = bytearray(kept.read_bytes())
        kept.write_bytes(data)
        conversations = Conversations()
        load(conversations, journal, kept, sealer=SEALER)
        assert holders(conversations) == ["a"]
        assert kept.exists() is (harm != "a longer journal")
    finally:
        journal.close()
        other.close()


def test_what_was_left_open_ends_at_its_last_checkpoint(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, key=bytes(32))
    positions = Positions.open(tmp_path)
    try:
        record = Record(journal, Conversations())
        for entry in (
            began(),
            told(SessionOpened, 800, integration_id="i", session_id="s", start=0),
            told(SessionOpened, 900, integration_id="j", session_id="t", start=0),
            held("a", 1_000),
        ):
            record.note(entry)
        positions.note({"s": (ORG, CALL, 0, "i", 8_000), "of another": (ORG, "x", 0, "i", 1)})
        (left,) = close_left_open(record, positions, utc_ns=5)
        assert left.conversation_id == CALL
        assert not left.is_attached
        assert positions.read() == {}
        ended = [entry for _, entry in journal.read() if isinstance(entry, SessionEnded)]
        assert [(one.session_id, one.at) for one in ended] == [("s", 8_000), ("t", 900)]
        (over,) = (entry for _, entry in journal.read() if isinstance(entry, CallEnded))
        assert (over.at, over.reason) == (8_000, "lost")
        assert close_left_open(record, positions, utc_ns=6) == []
    finally:
        positions.close()
        journal.close()


@pytest.mark.parametrize("reason", ["end", "hangup", "lost", "error"])
def test_a_session_whose_good_bye_was_cut_off_ends_with_its_call(
    reason: str, tmp_path: Path
) -> None:
    journal = Journal.open(tmp_path, key=bytes(32))
    positions = Positions.open(tmp_path)
    try:
        record = Record(journal, Conversations())
        for entry in (began(), opened("s", 800), told(CallEnded, 9_000, reason=reason), began(1)):
            record.note(entry)
        positions.note({"s": (ORG, CALL, 0, "i", 8_000)})
        close_left_open(record, positions, utc_ns=5)
        (over,) = (one for _, one in journal.read() if isinstance(one, SessionEnded))
        assert (over.session_id, over.part, over.at) == ("s", 0, 9_000)
        assert record.conversations.sessions() == []
    finally:
        positions.close()
        journal.close()


def test_what_an_endpoint_had_paused_is_told_though_nobody_knows_when_it_ended(
    tmp_path: Path,
) -> None:
    journal = Journal.open(tmp_path, key=bytes(32))
    positions = Positions.open(tmp_path)
    try:
        record = Record(journal, Conversations())
        for entry in (began(), opened("s", 800), opened("t", 800)):
            record.note(entry)
        positions.note({"s": Position(ORG, CALL, 0, "i", 8_000, ((900, 1_000), (4_000, 8_000)))})
        positions.close()
        positions = Positions.open(tmp_path)
        close_left_open(record, positions, utc_ns=5)
        told_of = [entry for _, entry in journal.read() if isinstance(entry, ServerPaused)]
        assert [(one.session_id, one.at, one.end) for one in told_of] == [
            ("s", 900, 1_000),
            ("s", 4_000, 8_000),
        ]
    finally:
        positions.close()
        journal.close()
