"""What became of every sample of a call on one endpoint."""

from __future__ import annotations

from dataclasses import dataclass

from openaudiohook.fanout.pauses import PauseInterval, Span, length, subtract
from openaudiohook.protocol.types import PauseCause

__all__ = ["Account", "settle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account of one endpoint, in samples of call time; 0 is the first monitored sample.

    Once the call and the endpoint are at their ends, and whatever happened to either,
    `sent + discarded + paused_union + lost == length`.

    Attributes:
        length: how long the call is.
        sent: audio that was handed to the connection.
        discarded: audio that was left out while the session lived: what fell out of the history,
            `discardTo`, throttling, gaps of the call, and everything where no media was selected.
        lost: audio of the call from before the session began or after it ended that never left.
        paused_union: samples in any pause, each counted once.
        paused_secure: samples in secure pause; the same on every endpoint of a call.
        paused_client: samples in client pause; the same on every endpoint of a call.
        paused_server: samples in a pause that this endpoint asked for.
        intervals: every pause with its cause and requester, in order; they may overlap.
        opened_at: the sample that was live when `opened` arrived; None where it never did.
        ended_at: the position of `close`, or of the loss; None while it lives or never opened.
        sent_sha256: SHA-256 of the audio bytes that were sent, in hexadecimal.
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
    sent_sha256: str


def settle(
    *,
    call_length: int,
    intervals: list[PauseInterval],
    skipped: list[Span],
    end: int | None,
    sent: int,
    sent_sha256: str,
    opened_at: int | None,
) -> Account:
    """Make the account of one endpoint.

    The call's own pauses count as paused whatever the endpoint did meanwhile: they are the
    call's, not the connection's.

    Args:
        call_length: the length of the call so far.
        intervals: the pauses of the call and of the endpoint.
        skipped: the spans that were left out while the session lived.
        end: where the endpoint's part of the call ends; None while it lives.
        sent: how many samples were sent.
        sent_sha256: the hash of what was sent.
        opened_at: the sample that was live when `opened` arrived.
    """
    spans: dict[PauseCause, list[Span]] = {cause: [] for cause in PauseCause}
    for interval in intervals:
        spans[interval.cause].append((interval.start, interval.end))
    paused = [span for found in spans.values() for span in found]
    rest = [] if end is None else [(end, call_length)]
    return Account(
        length=call_length,
        sent=sent,
        discarded=length(subtract(skipped, paused)),
        lost=length(subtract(rest, paused)),
        paused_union=length(paused),
        paused_secure=length(spans[PauseCause.SECURE]),
        paused_client=length(spans[PauseCause.CLIENT]),
        paused_server=length(spans[PauseCause.SERVER]),
        intervals=tuple(intervals),
        opened_at=opened_at,
        ended_at=None if opened_at is None else end,
        sent_sha256=sent_sha256,
    )
