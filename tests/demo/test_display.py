"""What is shown while the demo runs, on a terminal and in a log."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from openaudiohook.demo.display import LineDisplay, LiveDisplay, Row, Snapshot, displaying, render
from openaudiohook.demo.story import Caption, Chapter

pytestmark = pytest.mark.unit

QUEUE = Chapter(0, 8000, "queue", "the music is streamed")
CARD = Chapter(8000, None, "secure flow", "nothing leaves")


def snapshot(position: int, chapter: Chapter, *states: str, said: str | None = None) -> Snapshot:
    return Snapshot(
        position=position,
        length=800_000,
        chapter=chapter,
        caption=None if said is None else Caption(0, 1, "agent", said),
        rows=tuple(
            Row(f"plain-{number}", "plain", state, position, position, 8000 * number, 1.25)
            for number, state in enumerate(states)
        ),
    )


def test_a_log_gets_a_line_for_each_change_and_none_otherwise() -> None:
    out = io.StringIO()
    display = LineDisplay(Console(file=out, width=80))
    display.show(snapshot(0, QUEUE, "dialing", "dialing"))
    display.show(snapshot(800, QUEUE, "dialing", "live"))
    display.show(snapshot(1600, QUEUE, "dialing", "live"))
    display.show(snapshot(9600, CARD, "live", "closing"))
    display.show(snapshot(483_999, CARD, "live", "completed"))
    assert out.getvalue().splitlines() == [
        "0:00.0  queue: the music is streamed",
        "0:00.1    plain-1: live",
        "0:01.2  secure flow: nothing leaves",
        "0:01.2    plain-0: live",
        "1:00.4    plain-1: completed",
    ]


def test_a_screen_has_the_call_and_a_row_for_each_integration() -> None:
    console = Console(file=io.StringIO(), width=80, record=True)
    console.print(render(snapshot(16_000, CARD, "paused (secure)", "throttled", said="Hello.")))
    text = console.export_text()
    assert "0:02.0" in text
    assert "1:40.0" in text
    assert "secure flow  nothing leaves" in text
    assert "agent: Hello." in text
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    words = lines["plain-0"].split()
    assert words == ["plain-0", "paused", "(secure)", "2.0", "s", "2.0", "s", "1.2", "ms"]
    assert "1.0 s" in lines["plain-1"]
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def test_what_is_no_terminal_gets_lines() -> None:
    with displaying(Console(file=io.StringIO(), force_terminal=False)) as display:
        assert isinstance(display, LineDisplay)


def test_a_terminal_gets_a_screen_that_is_gone_at_the_end() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, _environ={"TERM": "xterm"})
    with displaying(console) as display:
        assert isinstance(display, LiveDisplay)
        display.show(snapshot(0, QUEUE, "live"))
    assert "\x1b[?25h" in out.getvalue()  # the cursor is shown again
    assert out.getvalue().endswith("\x1b[2K")


def test_a_call_of_unknown_length_is_shown() -> None:
    console = Console(file=io.StringIO(), width=80, record=True)
    console.print(render(snapshot(0, QUEUE)._replace(length=None)))
    assert "queue" in console.export_text()
