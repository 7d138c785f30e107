"""What became of every sample of a call, for each of its integrations."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from openaudiohook.fanout.pauses import PauseInterval, Span, length, subtract, union
from openaudiohook.monitor.chronicle import Part, Session
from openaudiohook.monitor.metering import chargeable_spans
from openaudiohook.protocol.types import PauseCause

__all__ = ["Fate", "Lane", "Stretch", "end_of", "lane_of", "spans_of"]

Fate = Literal[
    "streamed",
    "before opened",
    "discarded",
    "secure",
    "client",
    "server",
    "not known",
    "not connected",
    "not monitored",
]
"""What became of a stretch of a call for one integration."""


class Stretch(msgspec.Struct, frozen=True):
    """Samples from `start` up to `end`, and what became of them."""

    start: int
    end: int
    fate: Fate


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One integration's share of one part of a conversation, in samples of call time.

    `sent + discarded + paused + lost + unknown` is the length of its sessions, exactly. `unknown`
    is of those that have not ended, or whose Monitor was killed before it wrote their account.
    """

    integration_id: str
    name: str
    sessions: int
    opened_at: int | None
    ended_at: int | None
    sent: int
    discarded: int
    paused: int
    lost: int
    unknown: int
    secure: int
    client: int
    server: int
    chargeable: int
    stretches: tuple[Stretch, ...]


def lane_of(
    part: Part,
    integration_id: str,
    name: str,
    pauses: list[PauseInterval],
    free: Collection[PauseCause],
    sent: Mapping[str, Sequence[Span]],
) -> Lane:
    """Say what became of one part of a conversation for one integration.

    Args:
        part: the part.
        integration_id: which integration.
        name: what it is called.
        pauses: the part's secure and client pauses.
        free: the causes whose time is not charged.
        sent: by session id what went out, where a trace tells.
    """
    sessions = [one for one in part.sessions if one.integration_id == integration_id]
    ended = [one.ended for one in sessions if one.ended is not None]
    opened = [one.opened_at for one in sessions if one.opened_at is not None]
    connected = union(
        (one.opened_at, end_of(one, part)) for one in sessions if one.opened_at is not None
    )
    server = union(span for one in sessions for span in one.server_paused)
    charged: list[Span] = []
    for one in sessions:
        if one.has_media:
            charged += chargeable_spans(
                opened_at=one.opened_at,
                ended_at=end_of(one, part),
                pauses=[
                    *pauses,
                    *(PauseInterval(PauseCause.SERVER, "", *span) for span in one.server_paused),
                ],
                free_pauses=free,
            )
    return Lane(
        integration_id=integration_id,
        name=name,
        sessions=len(opened),
        opened_at=min(opened, default=None),
        ended_at=max((end_of(one, part) for one in sessions), default=None),
        sent=sum(one.sent for one in ended),
        discarded=sum(one.discarded for one in ended),
        paused=sum(one.paused for one in ended),
        lost=sum(one.lost for one in ended),
        unknown=sum(
            end_of(one, part) - one.start
            for one in sessions
            if one.opened_at is not None and one.has_media and not one.is_accounted
        ),
        secure=_within(connected, spans_of(pauses, PauseCause.SECURE)),
        client=_within(connected, spans_of(pauses, PauseCause.CLIENT)),
        server=_within(connected, server),
        chargeable=length(charged),
        stretches=tuple(_stretches(part, sessions, connected, pauses, server, sent)),
    )


def _stretches(
    part: Part,
    sessions: list[Session],
    connected: list[Span],
    pauses: list[PauseInterval],
    server: list[Span],
    sent: Mapping[str, Sequence[Span]],
) -> list[Stretch]:
    """Divide a part among the fates: each takes what the ones before it have left."""
    start = part.last if part.monitored_from is None else part.monitored_from
    first = min((one.start for one in sessions), default=part.last)
    opened = min((one.opened_at for one in sessions if one.opened_at is not None), default=first)
    secure, client = (spans_of(pauses, cause) for cause in (PauseCause.SECURE, PauseCause.CLIENT))
    claims: list[tuple[Fate, list[Span]]] = [
        ("not monitored", [(0, start)]),
        ("secure", secure),
        ("client", client),
        ("server", server),
        ("discarded", _left_out(part, sessions, sent)),
        ("before opened", [(first, opened)]),
        ("not known", _not_known(part, sessions, sent)),
        ("streamed", connected),
        ("not connected", [(start, part.last)]),
    ]
    left: list[Span] = [(0, part.last)]
    found: list[Stretch] = []
    for fate, spans in claims:
        rest = subtract(left, spans)
        found += [Stretch(*span, fate) for span in subtract(left, rest)]
        left = rest
    return sorted(found, key=lambda stretch: stretch.start)


def _left_out(
    part: Part, sessions: list[Session], sent: Mapping[str, Sequence[Span]]
) -> list[Span]:
    """What the sessions that were traced did not send; of the others nobody knows.

    The trace of a session without an account may lack its end.
    """
    traced = [one for one in sessions if one.is_accounted and one.session_id in sent]
    went = [span for one in traced for span in sent[one.session_id]]
    return subtract(((one.start, end_of(one, part)) for one in traced), went)


def _not_known(
    part: Part, sessions: list[Session], sent: Mapping[str, Sequence[Span]]
) -> list[Span]:
    """Where a session was open of which neither an account nor a trace tells what it sent."""
    opaque = [one for one in sessions if one.opened_at is not None and not one.is_accounted]
    return subtract(
        ((one.opened_at or 0, end_of(one, part)) for one in opaque),
        [span for one in opaque for span in sent.get(one.session_id, ())],
    )


def end_of(session: Session, part: Part) -> int:
    """Where a session ended; one that nobody saw end reaches as far as the part is known."""
    return part.last if session.ended is None else session.ended.at


def spans_of(pauses: Iterable[PauseInterval], cause: PauseCause) -> list[Span]:
    """Return the samples that some pause of that cause covers."""
    return union((pause.start, pause.end) for pause in pauses if pause.cause is cause)


def _within(spans: list[Span], others: list[Span]) -> int:
    return length(others) - length(subtract(others, spans))
