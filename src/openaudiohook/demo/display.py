"""The demo while it runs: a live table on a terminal, plain lines anywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from openaudiohook.audio import RATE
from openaudiohook.demo.story import Caption, Chapter

__all__ = ["Display", "LineDisplay", "LiveDisplay", "Row", "Snapshot", "displaying"]

_STYLES: Final = {
    "live": "green",
    "catching up": "bright_blue",
    "throttled": "yellow",
    "dialing": "cyan",
    "retrying": "cyan",
    "paused": "red",
    "completed": "bold green",
    "failed": "bold red",
}
_CLOSING: Final = "closing"
_REFRESHES_PER_S: Final = 8


class Row(NamedTuple):
    """One integration now; samples count from the first monitored one.

    Attributes:
        name: the integration.
        role: what it is there to show.
        state: dialing, retrying, live, throttled, paused (and why), ...
        position: how far its stream has come.
        sent: how much audio was sent.
        discarded: how much was left out.
        latency_ms: the median so far; None before the first frame.
    """

    name: str
    role: str
    state: str
    position: int = 0
    sent: int = 0
    discarded: int = 0
    latency_ms: float | None = None


class Snapshot(NamedTuple):
    """The call now; samples count from call entry.

    Attributes:
        position: how far the call has come.
        length: how long it will be, where the scenario says.
        chapter: what happens.
        caption: what is said.
        rows: the integrations.
    """

    position: int
    length: int | None
    chapter: Chapter
    caption: Caption | None
    rows: tuple[Row, ...]


class Display(Protocol):
    """Something that shows how the demo goes."""

    def show(self, snapshot: Snapshot) -> None:
        """Show the call as it is now."""


class LineDisplay:
    """Prints a line whenever something changes: for logs, pipes and screen readers."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._chapter: Chapter | None = None
        self._states: dict[str, str] = {}

    def show(self, snapshot: Snapshot) -> None:
        """Print what is new."""
        if snapshot.chapter != self._chapter:
            self._chapter = snapshot.chapter
            self._print(snapshot.position, _title(snapshot.chapter))
        for row in snapshot.rows:
            if row.state == _CLOSING:  # the end follows
                continue
            if row.state != self._states.get(row.name, row.state):
                self._print(snapshot.position, f"  {row.name}: {row.state}")
            self._states[row.name] = row.state

    def _print(self, position: int, text: str) -> None:
        self._console.print(f"{_clock(position)}  {text}", markup=False, highlight=False)


class LiveDisplay:
    """One screen that is redrawn."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, snapshot: Snapshot) -> None:
        """Redraw."""
        self._live.update(render(snapshot))


@contextmanager
def displaying(console: Console) -> Iterator[Display]:
    """Choose the display that fits the console, and clean up after it."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield LineDisplay(console)
        return
    with Live(console=console, refresh_per_second=_REFRESHES_PER_S, transient=True) as live:
        yield LiveDisplay(live)


def render(snapshot: Snapshot) -> Group:
    """Draw one screen."""
    return Group(_call(snapshot), Text(), _integrations(snapshot.rows))


def _call(snapshot: Snapshot) -> Group:
    chapter, caption = snapshot.chapter, snapshot.caption
    length = snapshot.length or snapshot.position
    clock = Table.grid(padding=(0, 1))
    clock.add_row(
        Text(_clock(snapshot.position), style="bold"),
        ProgressBar(total=max(1, length), completed=snapshot.position, width=40),
        Text(_clock(length), style="dim"),
    )
    style = "bold red" if chapter.name == "secure flow" else "bold"
    title = Text(chapter.name, style=style).append(f"  {chapter.remark}", style="not bold")
    said = Text("", style="italic", no_wrap=True, overflow="ellipsis")
    if caption is not None:
        said.append(f"{caption.speaker}: {caption.text}")
    return Group(Text("One call, streamed to five integrations at once"), clock, title, said)


def _integrations(rows: tuple[Row, ...]) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False)
    table.add_column("integration", no_wrap=True)
    table.add_column("state", min_width=18, no_wrap=True)
    for name in ("position", "sent", "discarded", "latency"):
        table.add_column(name, justify="right", min_width=9, no_wrap=True)
    for row in rows:
        state = row.state
        style = next((s for word, s in _STYLES.items() if state.startswith(word)), "dim")
        latency = "" if row.latency_ms is None else f"{row.latency_ms:.1f} ms"
        table.add_row(
            Text(row.name, style="bold"),
            Text(state, style=style),
            f"{row.position / RATE:.1f} s",
            f"{row.sent / RATE:.1f} s",
            Text(f"{row.discarded / RATE:.1f} s", style="yellow") if row.discarded else "",
            latency,
        )
    return table


def _title(chapter: Chapter) -> str:
    return f"{chapter.name}: {chapter.remark}" if chapter.remark else chapter.name


def _clock(samples: int) -> str:
    minutes, seconds = divmod(samples // (RATE // 10), 600)
    return f"{minutes}:{seconds // 10:02}.{seconds % 10}"
