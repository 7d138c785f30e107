"""Every row of the precedence table once more, on a platform: what its ledger says of each call."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from tests.monitor.observing import wire
from tests.monitor.platforms import ADMIN, ORG, integrate, platform_in
from tests.monitor.precedence import END, ROWS, TIMES, Flow, Row, expected, paused
from tests.monitor.services import Session, serving, until

from openaudiohook.monitor.media import SourceRequest
from openaudiohook.monitor.orders import PlaceCall
from openaudiohook.monitor.platform import Platform
from openaudiohook.protocol.events import OpenRequested
from openaudiohook.store.ledger import PartRecord

pytestmark = pytest.mark.integration

NS = 125_000
BATCHES = [range(start, start + 28) for start in range(0, len(ROWS), 28)]


def script(row: Row) -> str:
    """A scenario file of that row."""

    def action(at: int, flow: Flow | None) -> str:
        if flow is None:
            return ""
        enable = "" if flow.enable is None else f"enable = {str(flow.enable).lower()}\n"
        return f'[[step]]\nat = {seconds(at)}\naction = "{flow.action}"\n{enable}'

    return (
        '[[queue]]\nname = "sales"\n'
        f"enable_audio_monitoring = {str(row.monitoring).lower()}\n"
        f"enable_transcription = {str(row.transcription).lower()}\n"
        '[[step]]\nat = 0\nplay = "tone.wav"\n'
        + action(TIMES[0], row.first)
        + f'[[step]]\nat = {seconds(TIMES[1])}\nqueue = "sales"\n'
        + action(TIMES[2], row.last)
        + f"[[step]]\nat = {seconds(END)}\nhangup = true\n"
    )


def seconds(at: int) -> Decimal:
    return Decimal(at) / 8000


@pytest.mark.anyio
async def test_the_ledger_says_what_was_on_the_wire(
    tmp_path: Path, make_wav: Callable[..., Path]
) -> None:
    media = make_wav("media/tone.wav", bytes(2 * (END + 100)), channels=2).parent
    for number, row in enumerate(ROWS):
        (media / f"{number}.toml").write_text(script(row), encoding="utf-8")
    async with serving() as service, platform_in(tmp_path, media_dir=media) as platform:
        integration = await integrate(platform, service)
        ids = []
        for numbers in BATCHES:
            for number in numbers:
                place = PlaceCall(source=SourceRequest(scenario=f"{number}.toml"), speed=Decimal(2))
                call = await platform.place_call(ORG, place, requester=ADMIN)
                ids.append(call.conversation_id)
            await until(lambda: not platform._running)
        used = {row.conversation_id: row for row in await platform.usage(ORG)}
        sessions, total = by_conversation(service.sessions), 0
        for row, id_ in zip(ROWS, ids, strict=True):
            (part,) = await parts(platform, id_)
            chargeable = check(row, part, sessions.get(id_, []), integration.id)
            assert (used[id_].chargeable_ns if id_ in used else 0) == chargeable
            total += chargeable
        assert total > 0


async def parts(platform: Platform, conversation_id: str) -> tuple[PartRecord, ...]:
    return (await platform._ledger.conversation(ORG, conversation_id)).parts


def by_conversation(sessions: list[Session]) -> dict[str, list[Session]]:
    found: dict[str, list[Session]] = {}
    for session in sessions:
        (opened,) = session.seen(OpenRequested)
        assert isinstance(opened, OpenRequested)
        found.setdefault(opened.parameters.conversation_id, []).append(session)
    return found


def check(row: Row, part: PartRecord, sessions: list[Session], integration_id: str) -> int:
    """Compare the ledger with the table and the wire; return what is to be charged, in ns."""
    shown = expected(row)
    assert part.ended_at == END
    phases = [(one.phase, one.start, one.end) for one in part.phases]
    assert phases == [("ivr", 0, TIMES[1]), ("queue", TIMES[1], END)]
    if not shown:
        assert sessions == []
        assert part.monitored_from is None
        assert part.sessions == ()
        return 0
    began, held = shown[0][1], paused(shown)
    (session,), (record,) = sessions, part.sessions
    assert wire(session, began) == shown
    assert part.monitored_from == began
    spans = [(one.start, END if one.end is None else one.end) for one in part.pauses]
    assert spans == held
    assert {(one.cause, one.reason) for one in part.pauses} <= {("client", "monitoring")}
    assert (record.integration_id, record.start, record.ended_at) == (integration_id, began, END)
    assert record.sent == len(session.audio) // 2
    assert record.paused == sum(end - start for start, end in held)
    assert record.sent + record.paused == END - began
    assert (record.discarded, record.lost, record.event_id) == (0, 0, None)
    opened = record.opened_at
    assert opened is not None
    live = [at for at in range(opened, END) if not any(a <= at < b for a, b in held)]
    return len(live) * NS
