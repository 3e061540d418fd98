"""The nouns of a layout: boxes that are joined by wires, in rows with channels between them.

Pure numbers. A place is ``(u, v)``: u runs along a row, v from row to row; a `Way` decides whether
rows lie or stand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netviz.picture.blocks import Block
    from netviz.picture.routes import Routes

Pair = tuple[float, float]
Station = tuple[str, str]
"""A box and the plug there; of a lane, which has no plugs, its name twice."""
BEFORE, AFTER, LEFT, RIGHT = "before", "after", "left", "right"
BETWEEN_TAGS = 8.0
_SPARE = 12.0


@dataclass(frozen=True, slots=True)
class Way:
    """A way to lay out a picture: whether its rows stand, how far apart boxes and rows are.

    What hangs on the only hub stands on one of its ``sides`` or on both, ``depth`` rows deep.
    """

    standing: bool = False
    box: float = 34.0
    channel: float = 88.0
    sides: int = 1
    depth: int = 1

    def turned(self, pair: Pair) -> Pair:
        """Turn (x, y) into (u, v), or back."""
        return (pair[1], pair[0]) if self.standing else pair


@dataclass(frozen=True, slots=True)
class Place:
    """Where a box stood in the drawing before, and how large it was.

    ``u`` is its left end in its frame, ``v`` where its row began in its group, ``line`` where that
    began in the frame. ``lead`` is what its group had left of its first box. ``inner`` and
    ``outer`` are its sizes without and with its tags.
    """

    frame: str
    group: str
    kind: str
    row: int
    u: float
    v: float
    line: float
    lead: float
    inner: Pair
    outer: Pair


@dataclass(slots=True)
class Node:
    """A box that wants a place: its ``size`` inside, and the size of each tag on its edge.

    ``pinned`` are tags whose edge and place along it are given, counted from the left. ``hub``:
    others gather around it. ``even``: what is in it stays in the middle, whatever its sides carry.
    ``rim``: it stands before or after all rows, and has next to no size. ``least``: what it had
    in the drawing before.
    """

    id: str
    plugs: dict[str, Pair]
    size: Pair = (2.0, 0.0)
    pinned: dict[str, tuple[str, float]] = field(default_factory=dict)
    hub: bool = False
    even: bool = False
    rim: str | None = None
    least: Pair = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Link:
    """A wire that wants a way between two plugs; ``label`` is the room that its words need.

    Only ``strong`` links decide what stands next to what.
    """

    id: str
    ends: tuple[str, str]
    label: Pair = (0.0, 0.0)
    strong: bool = True


@dataclass(slots=True)
class Inside:
    """What stands in a frame: groups of connected boxes, and where along u wires leave it."""

    size: Pair = (0.0, 0.0)
    groups: list[Group] = field(default_factory=list)
    exits: dict[str, tuple[str, float]] = field(default_factory=dict)


@dataclass(slots=True)
class Group:
    """Connected boxes, each with what stands in it; they stand ``at`` (u, v) in their frame.

    ``was`` is where they stood in the drawing before.
    """

    children: list[tuple[Block, Inside]]
    routes: Routes
    exits: dict[str, tuple[str, float]]
    at: Pair = (0.0, 0.0)
    was: Pair | None = None


class Arrangement:
    """Connected boxes being set in rows: dealt out, measured and settled one after the other.

    ``tags`` are the sizes of plugs, ``lanes`` what a wire needs in the rows that it passes.
    ``edges`` tells on which of its box's four edges a plug sits; ``offsets`` how far it is from the
    middle of that edge. ``us`` are the middles of boxes and lanes. ``pins`` are the places of boxes
    that were here before, counted from where the whole was; what is ``steady`` will be such.
    """

    def __init__(self, nodes: list[Node], links: list[Link], way: Way) -> None:
        self.nodes = {node.id: node for node in nodes}
        self.links = links
        self.way = way
        self.owner = {plug: node.id for node in nodes for plug in node.plugs}
        self.tags = {plug: size for node in nodes for plug, size in node.plugs.items()}
        self.rows: list[list[str]] = []
        self.lanes: dict[str, list[str]] = {}
        self.row_of: dict[str, int] = {}
        self.at: dict[str, int] = {}
        self.edges: dict[str, str] = {}
        self.offsets: dict[str, float] = defaultdict(float)
        self.spans: dict[str, float] = {}
        self.depths: dict[str, float] = {}
        self.us: dict[str, float] = {}
        self.pins: dict[str, Place] = {}
        self.steady = False

    def index(self) -> None:
        """Note where each box and lane is, after the rows have changed."""
        for number, row in enumerate(self.rows):
            self.row_of.update(dict.fromkeys(row, number))
            self.at.update({name: place for place, name in enumerate(row)})

    def joined(self, link: Link) -> tuple[str, str]:
        """Return the boxes that a link joins."""
        return self.owner[link.ends[0]], self.owner[link.ends[1]]

    def step(self, link: Link) -> int:
        """Return how many rows a link leads down."""
        here, there = self.joined(link)
        return self.row_of[there] - self.row_of[here]

    def facing(self, link: Link) -> bool:
        """Tell whether a link's plugs sit on the edges that look at each other."""
        step, edges = self.step(link), tuple(self.edges[end] for end in link.ends)
        if step:
            return edges == ((AFTER, BEFORE) if step > 0 else (BEFORE, AFTER))
        return set(edges) == {LEFT, RIGHT}

    def on(self, name: str, edge: str) -> list[str]:
        """Return the plugs on one edge of a box."""
        return [plug for plug in self.nodes[name].plugs if self.edges[plug] == edge]

    def outward(self, name: str, edge: str) -> float:
        """Return how far the tags on an edge stand out of it, and as far reach in."""
        axis = 0 if edge in (LEFT, RIGHT) else 1
        return max((self.tags[plug][axis] / 2 for plug in self.on(name, edge)), default=0.0)

    def insets(self, name: str) -> dict[str, float]:
        """Return how far from each edge of a box begins what is free of tags."""
        found = {edge: self.outward(name, edge) for edge in (BEFORE, AFTER, LEFT, RIGHT)}
        if self.nodes[name].even:
            widest = max(found[LEFT], found[RIGHT])
            found |= dict.fromkeys((LEFT, RIGHT), max(0.0, widest - _SPARE))
        return found

    def ways(self, name: str = "") -> Iterator[tuple[Link, list[Station]]]:
        """Yield each link that joins two rows and whose plugs face each other; its stations.

        With a name, only those of that box.
        """
        for link in self.links:
            (a, b), (here, there) = link.ends, self.joined(link)
            if name in ("", here, there) and self.step(link) and self.facing(link):
                lanes = [(lane, lane) for lane in self.lanes[link.id]]
                yield link, [(here, a), *lanes, (there, b)]

    def neighbours(self, name: str) -> dict[str, list[Station]]:
        """Return for each plug of a box where its links lead."""
        found: dict[str, list[Station]] = defaultdict(list)
        for _, stations in self.ways(name):
            for (here, plug), there in (stations[:2], stations[:-3:-1]):
                if here == name:
                    found[plug].append(there)
        return found


def on_grid(place: float) -> float:
    """Return a place that is drawn the same again, however it was counted: on a fine grid."""
    return ceil(place * 1e6 - 1e-3) / 1e6
