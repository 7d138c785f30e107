"""The chain that makes a journal tell of changes: pure, over lines of bytes.

A line is `{"number":N,"mac":"<64 hex digits>","entry":{...}}` and nothing else, and

    mac of N = HMAC-SHA256(key, mac of N-1 || N as 8 octets, big-endian || the entry's octets)

with 32 zero octets before the first entry (HMAC: RFC 2104). Whoever lacks the key can therefore
neither change, insert, remove nor reorder entries unseen. He can cut off the tail, since what is
left is a shorter journal: that is found against a head that was exported before.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple, Self, TypeAlias

import msgspec

from openaudiohook.exceptions import ConfigurationError, JournalError
from openaudiohook.store.entries import Entry

__all__ = [
    "START",
    "Finding",
    "Head",
    "Kind",
    "Row",
    "Verification",
    "decode",
    "encode",
    "link",
    "parse_row",
    "verify",
]

_LINE: Final = re.compile(
    rb'\{"number":([1-9][0-9]{0,18}),"mac":"([0-9a-f]{64})","entry":(\{.*\})\}\n'
)
_HEAD: Final = re.compile(r"(0|[1-9][0-9]{0,18}):([0-9a-f]{64})", re.ASCII)

Kind: TypeAlias = Literal["changed", "removed", "moved", "cut", "replaced"]
"""What was done to entries; `Finding` says what each means."""

_decoder: Final = msgspec.json.Decoder(Entry)


class Head(NamedTuple):
    """The end of a journal: whoever knows it can tell later that nothing up to it was changed.

    Attributes:
        number: of the last entry; 0 where there is none.
        mac: of that entry, in hexadecimal digits.
    """

    number: int
    mac: str

    def __str__(self) -> str:
        return f"{self.number}:{self.mac}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a head as it was exported, `number:mac`.

        Raises:
            ConfigurationError: it is not one.
        """
        match = _HEAD.fullmatch(text.strip())
        head = None if match is None else cls(int(match[1]), match[2])
        if head is None or (head.number == 0 and head != START):
            raise ConfigurationError(
                "a head is the number of an entry, a colon and 64 hexadecimal digits in lower "
                "case, as the event that exported it shows"
            )
        return head


START: Final = Head(0, "0" * 64)
"""The head of an empty journal."""


class Row(NamedTuple):
    """One line of a journal, taken apart: its number, its mac, and its entry's octets."""

    number: int
    mac: str
    content: bytes


class Finding(NamedTuple):
    """What was done to the entries from `first` to `last`.

    `changed` entries, or their lines, are not as they were written. `removed` ones are missing
    from the middle, and `cut` ones from the end. `moved` ones stand where they do not belong, or
    stand there again. A `replaced` one fits the key and is not the one whose head was exported.
    """

    kind: Kind
    first: int
    last: int


class Verification(NamedTuple):
    """What became of a journal.

    Attributes:
        head: its end as it was found.
        rows: how many lines were looked at.
        fitting: how many of them fit the key; none of many means that the key is another one.
        findings: what was done to it, in order of discovery; nothing where it is intact.
        torn: how many octets of an unfinished last line there are, as a crash leaves one.
    """

    head: Head
    rows: int
    fitting: int
    findings: tuple[Finding, ...]
    torn: int = 0

    @property
    def is_intact(self) -> bool:
        """Whether every entry is as it was written, and none is missing."""
        return not self.findings


def encode(entry: Entry) -> bytes:
    """Return the octets of an entry that its mac is over.

    Raises:
        JournalError: it holds what JSON cannot say.
    """
    try:
        return msgspec.json.encode(entry)
    except (TypeError, ValueError, OverflowError):
        kind = type(entry).__name__
        raise JournalError(f"an entry of type {kind} holds a value that JSON cannot say") from None


def decode(row: Row) -> Entry:
    """Return the entry of a row.

    Raises:
        JournalError: it is none that this version knows.
    """
    try:
        entry: Entry = _decoder.decode(row.content)
    except msgspec.DecodeError:  # its text would quote the entry
        raise JournalError(
            f"entry {row.number} of the journal is none that this version can read: it was "
            "changed, or written by a later version"
        ) from None
    return entry


def link(key: bytes, head: Head, content: bytes) -> tuple[Head, bytes]:
    """Chain an entry's octets to a journal that ends in `head`: its new head, and the line."""
    number = head.number + 1
    mac = _mac(key, head.mac, number, content)
    return Head(number, mac), b'{"number":%d,"mac":"%s","entry":%s}\n' % (
        number,
        mac.encode(),
        content,
    )


def parse_row(line: bytes) -> Row | None:
    """Take a line apart; None where it is not one that `link` could have made."""
    match = _LINE.fullmatch(line)
    return None if match is None else Row(int(match[1]), match[2].decode(), match[3])


def _mac(key: bytes, previous: str, number: int, content: bytes) -> str:
    message = bytes.fromhex(previous) + number.to_bytes(8, "big") + content
    return hmac.digest(key, message, "sha256").hex()


def verify(
    lines: Iterable[bytes],
    *,
    key: bytes,
    after: Head | None = START,
    heads: Sequence[Head] = (),
) -> Verification:
    """Check a journal's lines; the whole costs one HMAC for each.

    Args:
        lines: each with its line feed; what has none at the very end is a torn line.
        key: the audit key.
        after: the head that the first line must follow; None takes the first line's word for it.
        heads: what was exported: the journal must contain each.
    """
    checker = _Checker(key, after, heads)
    torn = b""
    for line in lines:
        if torn:  # it was not the last line after all
            checker.check(torn)
        torn = b"" if line.endswith(b"\n") else line
        if not torn:
            checker.check(line)
    return checker.conclude(torn=len(torn))


class _Checker:
    """One pass over the lines of a journal."""

    def __init__(self, key: bytes, after: Head | None, heads: Sequence[Head]) -> None:
        self._key = key
        self._exported: dict[int, set[str]] = {}
        for head in heads:
            self._exported.setdefault(head.number, set()).add(head.mac)
        self._findings: list[Finding] = []
        self._rows = self._fitting = 0
        self._head = after or START
        self._number = self._head.number  # the place that was reached
        self._is_first = after is None  # then the first line says where we are
        # What the next entry's mac may be chained to. After a changed entry these are two: the
        # mac that is there, and the one that should be. Where it is empty nobody can tell.
        self._links = set() if after is None else {after.mac}

    def check(self, line: bytes) -> None:
        """Judge the next line."""
        self._rows += 1
        row = parse_row(line)
        if row is None:  # it stands for the entry whose place it has
            self._reach(self._number + 1, set())
            self._find("changed", self._number)
            return
        number = row.number if self._is_first else self._number + 1
        macs = {_mac(self._key, mac, number, row.content) for mac in self._links}
        if row.mac in macs:
            self._fitting += 1
        elif row.number < number:
            self._find("moved", row.number)
            return
        elif row.number > number:
            self._find("removed", row.number - 1, first=number)
            number, macs = row.number, set()
        self._reach(number, {row.mac, *macs} if len(macs) == 1 else {row.mac})
        if row.number != number or (macs and row.mac not in macs):
            self._find("changed", number)
        elif self._exported.get(number, {row.mac}) != {row.mac}:
            self._find("replaced", number)
        self._head = Head(number, row.mac)

    def conclude(self, *, torn: int) -> Verification:
        """Judge the end, and the whole."""
        last = max(self._exported, default=0)
        if last > self._number:
            self._find("cut", last, first=self._number + 1)
        # What is missing at its place and turned up at another was moved, not removed.
        moved = {finding.first for finding in self._findings if finding.kind == "moved"}
        findings = tuple(
            finding
            for finding in self._findings
            if finding.kind != "removed"
            or finding.last - finding.first >= len(moved)
            or not moved.issuperset(range(finding.first, finding.last + 1))
        )
        return Verification(self._head, self._rows, self._fitting, findings, torn)

    def _reach(self, number: int, links: set[str]) -> None:
        self._number, self._links, self._is_first = number, links, False

    def _find(self, kind: Kind, last: int, *, first: int | None = None) -> None:
        """Note what was done, as one with what was found just before where they adjoin."""
        first = last if first is None else first
        if kind == "changed" and self._findings and self._findings[-1][::2] == (kind, first - 1):
            first = self._findings.pop().first
        self._findings.append(Finding(kind, first, last))
