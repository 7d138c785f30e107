"""Draws the state diagrams of both roles from the tables that the sessions run on.

Where a box stands is decided here; which boxes and arrows there are comes from
`openaudiohook.protocol._transitions`, so a drawing cannot say what the code does not do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import NamedTuple
from xml.sax.saxutils import escape

from openaudiohook.protocol import _transitions as tables
from openaudiohook.protocol.messages import CLIENT_PARAMETERS, SERVER_PARAMETERS

__all__ = ["DIAGRAMS", "client_diagram", "edges", "server_diagram"]

BOX_WIDTH, BOX_HEIGHT, MARGIN, LINE_HEIGHT = 140, 46, 34, 18


class Edge(NamedTuple):
    """One arrow: from a state or a group of states to a state, and what causes it."""

    source: str
    target: str
    causes: tuple[str, ...]


class Role(NamedTuple):
    """What the tables say about one role."""

    title: str
    received: Mapping[str, Mapping[str, str]]
    ignored: Mapping[str, Set[str]]
    intents: Mapping[str, Set[str]]
    after: Mapping[str, str]
    timeouts: Mapping[str, Mapping[str, str]]
    messages: frozenset[str]
    places: Mapping[str, tuple[int, int]]
    groups: Mapping[str, tuple[str, ...]]
    bends: Mapping[tuple[str, str], int]  # aside, for pairs that would lie on each other
    levels: Mapping[tuple[str, str], int]  # the height at which an arrow leaves its group


SERVER = Role(
    title="Server session (the third-party service)",
    received=tables.SERVER_RECEIVED,
    ignored=tables.SERVER_IGNORED,
    intents=tables.SERVER_INTENTS,
    after=tables.SERVER_AFTER,
    timeouts=tables.SERVER_TIMEOUTS,
    messages=frozenset({*CLIENT_PARAMETERS, tables.AUDIO}),
    places={
        "preparing": (70, 100), "opening": (70, 240), "active": (70, 390), "paused": (70, 540),
        "signaled_error": (470, 120), "unauthorized": (470, 270), "closing": (720, 400),
        "closed": (1010, 490), "disconnected": (1010, 605),
    },
    groups={
        "until the end": (
            "preparing", "opening", "active", "paused", "signaled_error", "unauthorized", "closing",
        ),
        "until close": ("preparing", "opening", "active", "paused"),
        "streaming": ("active", "paused"),
        "asked to end": ("signaled_error", "unauthorized"),
    },
    bends={("active", "paused"): 34, ("paused", "active"): 34},
    levels={
        ("until close", "signaled_error"): 200, ("until close", "closing"): 410,
        ("until close", "closed"): 500, ("streaming", "closed"): 580,
        ("asked to end", "closed"): 150, ("asked to end", "closing"): 310,
        ("until the end", "disconnected"): 628,
    },
)  # fmt: skip
CLIENT = Role(
    title="Client session (the platform)",
    received=tables.CLIENT_RECEIVED,
    ignored=tables.CLIENT_IGNORED,
    intents=tables.CLIENT_INTENTS,
    after=tables.CLIENT_AFTER,
    timeouts=tables.CLIENT_TIMEOUTS,
    messages=frozenset({*SERVER_PARAMETERS, tables.AUDIO}),
    places={
        "preparing": (70, 100), "opening": (70, 240), "open": (70, 380),
        "closing_error": (440, 190), "closing": (440, 380),
        "closed": (790, 270), "disconnected": (790, 450),
    },
    groups={
        "until the end": ("preparing", "opening", "open", "closing_error", "closing"),
        "until closing": ("preparing", "opening", "open"),
    },
    bends={},
    levels={
        ("until closing", "closing_error"): 140, ("until closing", "closing"): 402,
        ("until the end", "disconnected"): 473,
    },
)  # fmt: skip


def changes(role: Role) -> Iterator[tuple[str, str, str]]:
    """Every change of state the tables allow: from, to, cause."""
    ends = {str(role.after["connection lost"]), "closed"}
    for state, cells in role.received.items():
        for message, after in cells.items():
            yield str(state), str(after), f"< {message}"
        # Where we may still answer, a malformed message is a violation whatever its type.
        answering = state in role.intents.get("fail", role.intents.get("disconnect", ()))
        if answering or role.messages - set(cells) - role.ignored[state]:
            yield str(state), str(role.after["violation"]), "violation"
    for act, after in role.after.items():
        for state in role.intents.get(act.partition(" ")[0], ()):
            yield str(state), str(after), f"> {act}"
    for timer, cells in role.timeouts.items():
        for state, after in cells.items():
            yield str(state), str(after), f"no {timer} in time"
    for state in role.received:
        if str(state) not in ends:
            yield str(state), str(role.after["connection lost"]), "connection lost"


def edges(role: Role) -> list[Edge]:
    """The arrows to draw: what all states of a group do alike is one arrow from the group."""
    sources: dict[tuple[str, str], set[str]] = defaultdict(set)
    for before, after, cause in changes(role):
        if before != after:
            sources[after, cause].add(before)
    causes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (after, cause), states in sources.items():
        left = set(states)
        for group, members in role.groups.items():
            if left.issuperset(members) and after not in members:
                causes[group, after].append(cause)
                left -= set(members)
        for state in left:
            causes[state, after].append(cause)
    return [Edge(*pair, tuple(sorted(found))) for pair, found in sorted(causes.items())]


class Box(NamedTuple):
    """A rectangle with a name."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        """The middle."""
        return self.x + self.width / 2, self.y + self.height / 2

    def border(self, towards: tuple[float, float]) -> tuple[float, float]:
        """Where a line from the middle to a point leaves the rectangle."""
        (cx, cy), (tx, ty) = self.centre, towards
        dx, dy = tx - cx, ty - cy
        scale = min(
            self.width / 2 / abs(dx) if dx else float("inf"),
            self.height / 2 / abs(dy) if dy else float("inf"),
        )
        return cx + dx * scale, cy + dy * scale


def surrounding(boxes: Iterable[Box], padding: float) -> Box:
    """The rectangle around some others, with room for a title."""
    boxes = list(boxes)
    left, top = min(b.x for b in boxes) - padding, min(b.y for b in boxes) - padding - 14
    right = max(b.x + b.width for b in boxes) + padding
    bottom = max(b.y + b.height for b in boxes) + padding
    return Box(left, top, right - left, bottom - top)


def draw(role: Role) -> str:
    """The diagram of one role as a stand-alone SVG document."""
    boxes = {state: Box(x, y, BOX_WIDTH, BOX_HEIGHT) for state, (x, y) in role.places.items()}
    missing = {str(state) for state in role.received} - set(boxes)
    if missing:
        raise SystemExit(f"no place on the drawing for {', '.join(sorted(missing))}")
    shapes, labels = [], []
    for depth, (group, members) in enumerate(role.groups.items()):
        padding = 16 + 8 * max(0, 2 - depth)
        box = boxes[group] = surrounding((boxes[state] for state in members), padding)
        shapes.append(
            f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" '
            f'height="{box.height:.0f}" rx="10" class="group"/>'
            f'<text x="{box.x + box.width - 10:.0f}" y="{box.y + 18:.0f}" class="title">'
            f"{group}</text>"
        )
    for edge in edges(role):
        line, (x, y) = arrow(boxes[edge.source], boxes[edge.target], role, edge)
        shapes.append(line)
        labels.append(label(edge.causes, x, y))
    for state in role.places:
        box = boxes[state]
        cx, cy = box.centre
        shapes.append(
            f'<g><rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" '
            f'rx="6" class="state"/>'
            f'<text x="{cx}" y="{cy + 5}" class="name">{state.replace("_", " ")}</text>'
            "</g>"
        )
    width = max(box.x + box.width for box in boxes.values()) + MARGIN
    height = max(box.y + box.height for box in boxes.values()) + MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'role="img" aria-label="{role.title}: states and what changes them">\n'
        "<style>text{font:14px sans-serif;fill:#222}.heading{font-size:18px;font-weight:bold}"
        ".name{font-size:16px;font-weight:bold;text-anchor:middle}.title{font-style:italic;"
        "text-anchor:end;fill:#666}.state{fill:#eef3fb;stroke:#34548a;stroke-width:1.5}.group{fill:none;"
        "stroke:#999;stroke-dasharray:5 4}.arrow{fill:none;stroke:#34548a;stroke-width:1.3;"
        "marker-end:url(#tip)}.cause{text-anchor:middle;paint-order:stroke;stroke:#fff;"
        "stroke-width:6px;stroke-linejoin:round}</style>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="#34548a"/></marker></defs>\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n'
        f'<text x="{MARGIN}" y="28" class="heading">{role.title}</text>\n'
        + "\n".join(shapes + labels)
        + "\n</svg>\n"
    )


def arrow(source: Box, target: Box, role: Role, edge: Edge) -> tuple[str, tuple[float, float]]:
    """One arrow, and where its text belongs."""
    bend = role.bends.get((edge.source, edge.target), 0)
    if edge.source in role.groups:  # from its right side, at the target's height if it can
        level = role.levels.get((edge.source, edge.target), target.centre[1])
        sx, sy = source.x + source.width, min(max(level, source.y), source.y + source.height)
        tx, ty = target.border((sx, sy))
    else:
        (sx, sy), (tx, ty) = source.border(target.centre), target.border(source.centre)
    length = max(((tx - sx) ** 2 + (ty - sy) ** 2) ** 0.5, 1)
    nx, ny = -(ty - sy) / length * bend, (tx - sx) / length * bend
    sx, sy, tx, ty = sx + nx, sy + ny, tx + nx, ty + ny
    # Arrows that meet at one box have their texts nearer to where they come from.
    along = 0.42
    path = f'<path d="M{sx:.1f} {sy:.1f}L{tx:.1f} {ty:.1f}" class="arrow"/>'
    return path, (sx + (tx - sx) * along, sy + (ty - sy) * along)


def label(causes: tuple[str, ...], x: float, y: float) -> str:
    """The causes of an arrow, one under the other around its middle."""
    top = y - (len(causes) - 1) * LINE_HEIGHT / 2 + 4
    return "".join(
        f'<text x="{x:.1f}" y="{top + row * LINE_HEIGHT:.1f}" class="cause">{escape(cause)}</text>'
        for row, cause in enumerate(causes)
    )


def server_diagram() -> str:
    """The third-party side."""
    return draw(SERVER)


def client_diagram() -> str:
    """The platform side."""
    return draw(CLIENT)


DIAGRAMS = {"server-session.svg": server_diagram, "client-session.svg": client_diagram}
"""File name to the function that draws it."""
