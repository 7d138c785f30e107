"""The chain: whatever is done to a journal without the key is found, and named."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.exceptions import ConfigurationError, JournalError
from openaudiohook.store.chain import (
    START,
    Finding,
    Head,
    Row,
    Verification,
    decode,
    encode,
    link,
    parse_row,
    verify,
)
from openaudiohook.store.entries import Acted, Entry, PauseBegan, SessionEnded

pytestmark = pytest.mark.unit

KEY = bytes(range(32))
OTHER_KEY = bytes(32)
ROWS = 9


def pause(at: int) -> Entry:
    return PauseBegan(
        organization_id="o", utc_ns=at, conversation_id="c", at=at,
        cause="secure", reason="api", requester="client:crm", gone={"i": 800},
    )  # fmt: skip


def chained(entries: list[Entry], key: bytes = KEY, after: Head = START) -> list[bytes]:
    lines, head = [], after
    for entry in entries:
        head, line = link(key, head, encode(entry))
        lines.append(line)
    return lines


def head_of(line: bytes) -> Head:
    row = parse_row(line)
    assert row is not None
    return Head(row.number, row.mac)


@pytest.fixture
def lines() -> list[bytes]:
    return chained([pause(at) for at in range(ROWS)])


def findings(lines: list[bytes], head: Head | None = None) -> list[Finding]:
    return list(verify(lines, key=KEY, heads=[] if head is None else [head]).findings)


# -- what is written ------------------------------------------------------------------------


def test_a_line_is_what_its_description_says() -> None:
    entry = pause(7)
    content = encode(entry)
    mac = hmac.new(KEY, bytes(32) + (1).to_bytes(8, "big") + content, hashlib.sha256).hexdigest()
    head, line = link(KEY, START, content)
    assert head == Head(1, mac)
    assert line == b'{"number":1,"mac":"%s","entry":%s}\n' % (mac.encode(), content)
    row = parse_row(line)
    assert row == Row(1, mac, content)
    assert decode(row) == entry


def test_an_intact_journal_is_found_intact(lines: list[bytes]) -> None:
    head = head_of(lines[-1])
    assert verify(lines, key=KEY, heads=[head]) == Verification(head, ROWS, ROWS, ())
    assert verify(lines, key=KEY).is_intact


def test_an_empty_journal_is_intact() -> None:
    assert verify([], key=KEY, heads=[START]) == Verification(START, 0, 0, ())


def test_an_earlier_head_is_still_contained(lines: list[bytes]) -> None:
    assert findings(lines, head_of(lines[3])) == []


def test_a_part_can_be_checked_from_a_known_head(lines: list[bytes]) -> None:
    assert verify(lines[4:], key=KEY, after=head_of(lines[3])).fitting == ROWS - 4
    assert not verify(lines[4:], key=KEY, after=head_of(lines[2])).is_intact


def test_a_part_can_be_checked_on_its_own_but_for_its_first_line(lines: list[bytes]) -> None:
    found = verify(lines[4:], key=KEY, after=None)
    assert (found.is_intact, found.fitting, found.head) == (True, ROWS - 5, head_of(lines[-1]))


def test_what_json_cannot_say_is_refused_without_showing_it() -> None:
    entry = Acted(
        organization_id="o", utc_ns=0, requester="client:\udc80secret", action="a",
        entity_type="queue", entity_id="q",
    )  # fmt: skip
    with pytest.raises(JournalError, match="an entry of type Acted holds a value") as raised:
        encode(entry)
    assert "secret" not in str(raised.value)


def test_an_entry_this_version_does_not_know_is_refused_by_number() -> None:
    with pytest.raises(JournalError, match="entry 4 of the journal is none"):
        decode(Row(4, START.mac, b'{"kind":"of.tomorrow","organization_id":"o","utc_ns":0}'))


# -- heads ----------------------------------------------------------------------------------


def test_a_head_is_read_as_it_was_exported(lines: list[bytes]) -> None:
    head = head_of(lines[2])
    assert Head.parse(f" {head}\n") == head
    assert Head.parse(str(START)) == START


@pytest.mark.parametrize(
    "text",
    ["", "7", "7:", f"7:{'0' * 63}", f"7:{'0' * 65}", f"7:{'A' * 64}", f"-1:{'0' * 64}",
     f"07:{'0' * 64}", f"٧:{'0' * 64}", f"0:{'a' * 64}", f"{10**19}:{'0' * 64}"],
)  # fmt: skip
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="a head is the number of an entry"):
        Head.parse(text)


# -- what is done to it ---------------------------------------------------------------------


def replaced(line: bytes, old: bytes, new: bytes) -> bytes:
    assert line.count(old) == 1
    return line.replace(old, new)


PLACES: dict[str, Callable[[bytes], bytes]] = {
    "a sample": lambda line: replaced(line, b'"at":4', b'"at":5'),
    "a time": lambda line: replaced(line, b'"utc_ns":4', b'"utc_ns":5'),
    "whose": lambda line: replaced(line, b'"organization_id":"o"', b'"organization_id":"p"'),
    "the requester": lambda line: replaced(line, b"client:crm", b"client:crn"),
    "the kind": lambda line: replaced(line, b"pause.began", b"pause.ended"),
    "what had left": lambda line: replaced(line, b'"i":800', b'"i":000'),
    "a space inside": lambda line: replaced(line, b'"at":4', b'"at": 4'),
    "a space outside": lambda line: replaced(line, b'"entry":', b'"entry": '),
    "the number": lambda line: replaced(line, b'"number":5', b'"number":7'),
    "the number, by a zero": lambda line: replaced(line, b'"number":5', b'"number":05'),
    "a name of ours": lambda line: replaced(line, b'"entry"', b'"Entry"'),
    "the first digit of the code": lambda line: line[:19] + bytes([line[19] ^ 1]) + line[20:],
    "the last digit of the code": lambda line: line[:82] + bytes([line[82] ^ 1]) + line[83:],
    "a digit's case": lambda line: line[:19] + line[19:83].upper() + line[83:],
    "the end of the line": lambda line: line[:-1] + b" \n",
    "everything": lambda _line: b"\n",
}


@pytest.mark.parametrize("place", PLACES)
def test_one_changed_place_is_found_and_only_its_entry_named(
    place: str, lines: list[bytes]
) -> None:
    lines[4] = PLACES[place](lines[4])
    head = head_of(lines[-1])
    assert findings(lines, head) == [Finding("changed", 5, 5)]


@pytest.mark.parametrize("index", [0, ROWS - 1])
def test_a_change_in_the_first_or_last_entry_is_found(index: int, lines: list[bytes]) -> None:
    lines[index] = replaced(lines[index], b"client:crm", b"client:crn")
    assert findings(lines) == [Finding("changed", index + 1, index + 1)]


def test_changes_side_by_side_are_one_finding(lines: list[bytes]) -> None:
    for index in (2, 3, 4, 7):
        lines[index] = replaced(lines[index], b"client:crm", b"client:crn")
    assert findings(lines) == [Finding("changed", 3, 5), Finding("changed", 8, 8)]


def test_an_entry_changed_together_with_its_code_is_found(lines: list[bytes]) -> None:
    lines[4] = chained([pause(99)], OTHER_KEY, head_of(lines[3]))[0]
    # What the next one was chained to is gone, so that it does not fit either.
    assert findings(lines) == [Finding("changed", 5, 6)]


def test_removed_rows_are_found(lines: list[bytes]) -> None:
    assert findings(lines[:3] + lines[6:]) == [Finding("removed", 4, 6)]
    assert findings(lines[2:]) == [Finding("removed", 1, 2)]


def test_two_removals_are_two_findings(lines: list[bytes]) -> None:
    del lines[6], lines[2]
    assert findings(lines) == [Finding("removed", 3, 3), Finding("removed", 7, 7)]


def test_a_removed_row_whose_followers_were_renumbered_is_found(lines: list[bytes]) -> None:
    rest = [parse_row(line) for line in lines[5:]]
    for index, row in enumerate(rest):
        assert row is not None
        lines[4 + index] = b'{"number":%d,"mac":"%s","entry":%s}\n' % (
            row.number - 1, row.mac.encode(), row.content,
        )  # fmt: skip
    del lines[-1]
    assert findings(lines) == [Finding("changed", 5, ROWS - 1)]


def test_swapped_rows_are_found(lines: list[bytes]) -> None:
    lines[3], lines[4] = lines[4], lines[3]
    assert findings(lines) == [Finding("moved", 4, 4)]


def test_rows_moved_far_are_found(lines: list[bytes]) -> None:
    lines[2], lines[6] = lines[6], lines[2]
    found = findings(lines)
    assert [finding.kind for finding in found] == ["moved"] * 4
    assert {finding.first for finding in found} == {3, 4, 5, 6}


def test_a_row_put_in_again_is_found(lines: list[bytes]) -> None:
    assert findings([*lines[:5], lines[2], *lines[5:]]) == [Finding("moved", 3, 3)]


def test_a_row_put_in_by_somebody_without_the_key_is_found(lines: list[bytes]) -> None:
    foreign = chained([pause(99)], OTHER_KEY, head_of(lines[3]))
    assert findings([*lines[:4], *foreign, *lines[4:]]) != []


def test_a_cut_tail_shows_against_an_exported_head_only(lines: list[bytes]) -> None:
    head = head_of(lines[-1])
    assert findings(lines[:6]) == []
    assert findings(lines[:6], head) == [Finding("cut", 7, ROWS)]
    assert findings([], head) == [Finding("cut", 1, ROWS)]


def test_a_tail_that_was_cut_and_grew_again_shows_against_the_head(lines: list[bytes]) -> None:
    head = head_of(lines[6])
    grown = lines[:4] + chained([pause(50 + at) for at in range(9)], after=head_of(lines[3]))
    assert findings(grown) == []
    assert findings(grown, head) == [Finding("replaced", 7, 7)]


def test_every_head_must_be_contained_also_two_of_one_number(lines: list[bytes]) -> None:
    head = head_of(lines[6])
    found = verify(lines, key=KEY, heads=[head, Head(7, "0" * 64)])
    assert found.findings == (Finding("replaced", 7, 7),)


def test_a_chain_made_anew_with_another_key_is_found(lines: list[bytes]) -> None:
    forged = chained([pause(at + 1) for at in range(ROWS)], OTHER_KEY)
    found = verify(forged, key=KEY)
    assert (found.rows, found.fitting) == (ROWS, 0)
    assert found.findings == (Finding("changed", 1, ROWS),)


def test_a_chain_made_anew_from_some_entry_on_is_found(lines: list[bytes]) -> None:
    forged = lines[:4] + chained([pause(0)] * 5, OTHER_KEY, head_of(lines[3]))
    assert findings(forged) == [Finding("changed", 5, ROWS)]


def test_an_unfinished_last_line_is_told_and_not_taken_for_a_change(lines: list[bytes]) -> None:
    found = verify([*lines[:-1], lines[-1][:40]], key=KEY)
    assert (found.is_intact, found.torn, found.head) == (True, 40, head_of(lines[-2]))


def test_an_unfinished_line_further_up_is_a_change(lines: list[bytes]) -> None:
    found = verify([*lines[:4], lines[4][:40], *lines[5:]], key=KEY)
    assert found.findings == (Finding("changed", 5, 5),)
    assert found.torn == 0


def test_a_truncated_journal_shows_against_the_head(lines: list[bytes]) -> None:
    found = verify([*lines[:-1], lines[-1][:-1]], key=KEY, heads=[head_of(lines[-1])])
    assert found.findings == (Finding("cut", ROWS, ROWS),)


def test_a_removed_end_and_a_removed_middle_are_both_told(lines: list[bytes]) -> None:
    found = findings(lines[:3] + lines[4:7], head_of(lines[-1]))
    assert found == [Finding("removed", 4, 4), Finding("cut", 8, 9)]


# -- whatever is done -----------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
COUNT = st.integers(0, 2**62)
ENTRIES = st.lists(
    st.one_of(
        st.builds(
            Acted, organization_id=TEXT, utc_ns=COUNT, requester=TEXT, action=TEXT,
            entity_type=TEXT, entity_id=TEXT, detail=st.dictionaries(TEXT, TEXT, max_size=3),
        ),
        st.builds(
            SessionEnded, organization_id=TEXT, utc_ns=COUNT, conversation_id=TEXT, at=COUNT,
            integration_id=TEXT, session_id=TEXT, sent=COUNT, event_id=st.none() | TEXT,
        ),
        st.builds(
            PauseBegan, organization_id=TEXT, utc_ns=COUNT, conversation_id=TEXT, at=COUNT,
            cause=st.sampled_from(["secure", "client"]), reason=TEXT, requester=TEXT,
            gone=st.dictionaries(TEXT, COUNT, max_size=3),
        ),
    ),
    min_size=2,
    max_size=12,
)  # fmt: skip


@given(ENTRIES)
def test_any_entries_come_back_as_they_were(entries: list[Entry]) -> None:
    lines = chained(entries)
    found = verify(lines, key=KEY, heads=[head_of(lines[-1])])
    assert (found.is_intact, found.fitting) == (True, len(entries))
    rows = [parse_row(line) for line in lines]
    assert [decode(row) for row in rows if row is not None] == entries


@given(ENTRIES, st.data())
def test_any_changed_byte_is_found(entries: list[Entry], data: st.DataObject) -> None:
    lines = chained(entries)
    head = head_of(lines[-1])
    journal = bytearray(b"".join(lines))
    place = data.draw(st.integers(0, len(journal) - 1))
    journal[place] ^= data.draw(st.integers(1, 255))
    assert findings(list(BytesIO(journal)), head) != []


@given(ENTRIES, st.data())
def test_any_other_order_or_choice_of_rows_is_found(
    entries: list[Entry], data: st.DataObject
) -> None:
    lines = chained(entries)
    picked = data.draw(
        st.lists(st.sampled_from(lines), max_size=14).filter(lambda some: some != lines)
    )
    assert findings(picked, head_of(lines[-1])) != []


@given(ENTRIES, st.data())
def test_any_cut_is_found_against_the_head(entries: list[Entry], data: st.DataObject) -> None:
    lines = chained(entries)
    journal = b"".join(lines)
    cut = journal[: data.draw(st.integers(0, len(journal) - 1))]
    found = findings(list(BytesIO(cut)), head_of(lines[-1]))
    whole = cut.count(b"\n")
    assert found == [Finding("cut", whole + 1, len(lines))]
