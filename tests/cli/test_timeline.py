"""A conversation drawn in the terminal."""

from __future__ import annotations

import pytest

from openaudiohook.cli._timeline import draw
from openaudiohook.monitor.explain import PartExplained
from openaudiohook.monitor.lanes import Lane, Stretch

pytestmark = pytest.mark.unit

S = 8000


def lane(name: str, *stretches: Stretch) -> Lane:
    return Lane(
        integration_id=name, name=name, sessions=1, opened_at=0, ended_at=0, sent=0, discarded=0,
        paused=0, lost=0, unknown=0, secure=0, client=0, server=0, chargeable=0,
        stretches=stretches,
    )  # fmt: skip


def drawn(*lanes: Lane, seconds: int = 10, width: int = 60) -> list[str]:
    part = PartExplained(
        number=0, began_ns=0, length=seconds * S, is_over=True, edge="cloud", monitored_from=0,
        phases=((0, "queue"), (5 * S, "agent")), secure=(), lanes=lanes,
    )  # fmt: skip
    return draw(part, width=width).plain.splitlines()


def test_lanes_lie_below_what_happened_and_a_legend_says_what_is_drawn() -> None:
    ruler, phases, one, legend = drawn(
        lane(
            "one",
            Stretch(0, 40, "before opened"),  # too little to be seen
            Stretch(40, 5 * S, "streamed"),
            Stretch(5 * S, 8 * S, "secure"),
            Stretch(8 * S, 10 * S, "not connected"),
        )
    )
    assert ruler.split()[:3] == ["0", "s", "2"]
    assert phases.startswith("call  |queue|monitored")
    assert phases.index("|agent") == 6 + 27
    assert one == "one   " + "█" * 27 + "░" * 16 + "x" * 11
    assert legend == "██ streamed live   ░░ secure pause   xx not connected"


def test_a_call_shorter_than_the_drawing_is_wide_has_no_holes() -> None:
    part = PartExplained(
        number=0, began_ns=0, length=14, is_over=False, edge="cloud", monitored_from=0, phases=(),
        secure=(), lanes=(lane("one", Stretch(0, 14, "streamed")),),
    )  # fmt: skip
    assert draw(part, width=60).plain.splitlines()[2] == "one   " + "█" * 54


def test_nothing_is_wider_than_it_may_be() -> None:
    every = ["streamed", "before opened", "discarded", "secure", "client", "server"]
    stretches = [Stretch(n * S, (n + 1) * S, fate) for n, fate in enumerate(every)]  # type: ignore[arg-type]
    for width in (60, 80, 120):
        lines = drawn(lane("an integration", *stretches), lane("b", *stretches), width=width)
        assert max(map(len, lines)) <= width
        assert len(lines) >= 5


def test_a_part_without_lanes_has_no_legend() -> None:
    assert len(drawn()) == 2
