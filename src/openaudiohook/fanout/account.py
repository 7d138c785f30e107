"""What became of every sample of a call on one endpoint, in one session or in several."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from openaudiohook.fanout.pauses import PauseInterval, Span, length, subtract
from openaudiohook.protocol.types import PauseCause

__all__ = ["Account", "Part", "settle"]

_NOTHING: Final = hashlib.sha256(b"", usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account of an endpoint or of one of its sessions, in samples of call time.

    Sample 0 is the first monitored one. Once the call and the endpoint are at their ends, and
    whatever happened to either, `sent + discarded + paused_union + lost == length`. A sample
    counts once: as sent where any session sent it, else as paused, else as discarded.

    Attributes:
        length: how long the call is; of a session's account, how much of the call it covers.
        sent: audio that was handed to a connection.
        discarded: audio that was left out while a session lived: what fell out of the history,
            `discardTo`, throttling, gaps of the call, and everything where no media was selected.
        lost: audio of the call from before, after and between sessions that never left.
        paused_union: samples in any pause, each counted once.
        paused_secure: samples in secure pause; the same on every endpoint of a call.
        paused_client: samples in client pause; the same on every endpoint of a call.
        paused_server: samples in a pause that this endpoint asked for, and that no other session
            of it sent.
        intervals: every pause with its cause and requester, in order; they may overlap.
        opened_at: the sample that was live when `opened` arrived, first; None where it never did.
        ended_at: the position of `close`, or of the loss; None while it lives or never opened.
        sent_sha256: SHA-256 of the audio bytes that were sent, in hexadecimal; None where several
            sessions sent some each, or where nobody counts it.
        resent: samples that were handed over again, in the history of a later session.
    """

    length: int
    sent: int
    discarded: int
    lost: int
    paused_union: int
    paused_secure: int
    paused_client: int
    paused_server: int
    intervals: tuple[PauseInterval, ...]
    opened_at: int | None
    ended_at: int | None
    sent_sha256: str | None
    resent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one session did of the call.

    Attributes:
        start: the position of its `open`.
        end: how far it came.
        skipped: the spans that it left out, pauses aside.
        pauses: those that the endpoint asked for.
        opened_at: the sample that was live when `opened` arrived.
        sent_sha256: the hash of what it sent, where it was counted.
    """

    start: int
    end: int
    skipped: Sequence[Span]
    pauses: Sequence[PauseInterval]
    opened_at: int
    sent_sha256: str | None

    def sent(self, pauses: Iterable[PauseInterval]) -> list[Span]:
        """Return the spans that it sent: all that was neither paused nor left out.

        Args:
            pauses: the call's own.
        """
        silent = [(pause.start, pause.end) for pause in (*pauses, *self.pauses)]
        return subtract([(self.start, self.end)], [*silent, *self.skipped])


def settle(
    parts: Sequence[Part],
    *,
    pauses: Sequence[PauseInterval],
    span: Span,
    is_over: bool,
) -> Account:
    """Make an account from what sessions did.

    The call's own pauses count as paused whatever the sessions did meanwhile: they are the
    call's, not a connection's.

    Args:
        parts: what each session did, in the order in which they opened.
        pauses: the call's own pauses.
        span: what is to be accounted for: the call so far, or one session's part of it.
        is_over: no session follows; what is left of the span is lost.
    """
    called: dict[PauseCause, list[Span]] = {cause: [] for cause in PauseCause}
    for pause in pauses:
        called[pause.cause] += _within([(pause.start, pause.end)], span)
    asked: list[Span] = []
    skipped: list[Span] = []
    sent: list[Span] = []
    for part in parts:
        stretch = part.start, part.end
        asked += _within(((pause.start, pause.end) for pause in part.pauses), stretch)
        skipped += _within(part.skipped, stretch)
        sent += part.sent(pauses)
    handed_over = sum(end - start for start, end in sent)
    asked = subtract(asked, sent)
    paused = [*(one for found in called.values() for one in found), *asked]
    skipped = subtract(skipped, [*sent, *paused])
    until = span[1] if is_over else max((part.end for part in parts), default=span[0])
    intervals = sorted(
        [*pauses, *(pause for part in parts for pause in part.pauses)],
        key=lambda pause: (pause.start, pause.end),
    )
    hashes = [part.sent_sha256 for part in parts] or [_NOTHING]
    return Account(
        length=span[1] - span[0],
        sent=length(sent),
        discarded=length(skipped),
        lost=length(subtract([(span[0], until)], [*sent, *paused, *skipped])),
        paused_union=length(paused),
        paused_secure=length(called[PauseCause.SECURE]),
        paused_client=length(called[PauseCause.CLIENT]),
        paused_server=length(asked),
        intervals=tuple(intervals),
        opened_at=parts[0].opened_at if parts else None,
        ended_at=max(part.end for part in parts) if parts and is_over else None,
        sent_sha256=hashes[0] if len(hashes) == 1 else None,
        resent=handed_over - length(sent),
    )


def _within(spans: Iterable[Span], window: Span) -> list[Span]:
    clipped = ((max(start, window[0]), min(end, window[1])) for start, end in spans)
    return [(start, end) for start, end in clipped if start < end]
