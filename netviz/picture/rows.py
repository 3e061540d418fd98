"""Set boxes that are joined by wires in rows, with channels between the rows.

Boxes come dealt out to rows, in order. Here each gets its size, from what is written in it and from
the tags on its edges. A wire that has to pass a row has a lane of its own there, so none ever
crosses a box.

Pure numbers. A place is ``(u, v)``: u runs along a row, v from row to row; whoever calls decides
whether rows lie or stand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from netviz.picture.layers import AFTER, BEFORE, Edge, Graph, Rows, deal
from netviz.picture.measures import LEFT, RIGHT, measure

Pair = tuple[float, float]
_SPARE = 12.0
_PLATE = 26.0
_NEARLY = 0.6


@dataclass(slots=True)
class Node:
    """A box that wants a place: its ``size`` inside, and the size of each tag on its edge.

    ``pinned`` are tags whose edge and place along it are given, counted from the left. ``hub``:
    others gather around it. ``even``: what is in it stays in the middle, whatever its sides carry.
    ``rim``: it has no size and stands before or after all rows.
    """

    id: str
    size: Pair
    plugs: dict[str, Pair] = field(default_factory=dict)
    pinned: dict[str, tuple[str, float]] = field(default_factory=dict)
    hub: bool = False
    even: bool = False
    rim: str | None = None


@dataclass(slots=True)
class Link:
    """A wire that wants a way between two plugs; ``label`` is the room that its words need.

    Only ``strong`` links decide what stands next to what.
    """

    id: str
    ends: tuple[str, str]
    label: Pair = (0.0, 0.0)
    strong: bool = True


@dataclass(frozen=True, slots=True)
class Spacing:
    """Distances between boxes, rows and tags; and how what hangs on one hub is dealt out."""

    box: float = 34.0
    channel: float = 88.0
    tag: float = 8.0
    sides: int = 1
    depth: int = 1


@dataclass(slots=True)
class Arrangement:
    """Boxes in rows, each with its size, the place of its middle, and of its plugs along an edge.

    ``edges`` tells on which of its box's four edges a plug sits; ``offsets`` how far it is from
    the middle of that edge. ``us`` are the middles of boxes and lanes.
    """

    nodes: dict[str, Node]
    links: Sequence[Link]
    spacing: Spacing
    dealt: Rows
    owner: dict[str, str]
    edges: dict[str, str] = field(default_factory=dict)
    offsets: dict[str, float] = field(default_factory=dict)
    spans: dict[str, float] = field(default_factory=dict)
    depths: dict[str, float] = field(default_factory=dict)
    us: dict[str, float] = field(default_factory=dict)
    lanes: dict[str, float] = field(default_factory=dict)

    def span(self, name: str) -> float:
        """Return how long a box is along its row, or how wide a lane."""
        if name in self.nodes:
            return self.spans[name]
        return self.lanes.get(name, 0.0)

    def on(self, name: str, edge: str) -> list[str]:
        """Return the plugs on one edge of a box."""
        return [plug for plug in self.nodes[name].plugs if self.edges[plug] == edge]

    def outward(self, name: str, edge: str) -> float:
        """Return how far the tags on an edge stand out of it, and as far reach in."""
        axis = 0 if edge in (LEFT, RIGHT) else 1
        sizes = self.nodes[name].plugs
        return max((sizes[plug][axis] / 2 for plug in self.on(name, edge)), default=0.0)

    def insets(self, name: str) -> dict[str, float]:
        """Return how far from each edge of a box begins what is free of tags."""
        found = {edge: self.outward(name, edge) for edge in (BEFORE, AFTER, LEFT, RIGHT)}
        if self.nodes[name].even:
            widest = max(found[LEFT], found[RIGHT])
            found |= dict.fromkeys((LEFT, RIGHT), max(0.0, widest - _SPARE))
        return found

    def ways(self) -> Iterator[tuple[Link, list[tuple[str, str | None]]]]:
        """Yield each link that joins two rows with its stations: (box or lane, plug there)."""
        for link in self.links:
            a, b = link.ends
            here, there = self.owner[a], self.owner[b]
            if self.dealt.row_of[here] != self.dealt.row_of[there]:
                lanes = [(lane, None) for lane in self.dealt.chains[link.id]]
                yield link, [(here, a), *lanes, (there, b)]

    def neighbours(self, name: str) -> dict[str, list[tuple[str, str | None]]]:
        """Return for each plug of a box what its links lead to: (box or lane, plug there)."""
        found: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
        for link, stations in self.ways():
            if self.facing(link):
                for (here, plug), there in (stations[:2], stations[:-3:-1]):
                    if here == name and plug:
                        found[plug].append(there)
        return found

    def loops(self, link: Link) -> bool:
        """Tell whether a link joins two plugs of one box."""
        return self.owner[link.ends[0]] == self.owner[link.ends[1]]

    def facing(self, link: Link) -> bool:
        """Tell whether a link's plugs sit on the edges that look at each other."""
        a, b = link.ends
        rows = [self.dealt.row_of[self.owner[end]] for end in (a, b)]
        edges = (self.edges[a], self.edges[b])
        if rows[0] == rows[1]:
            return set(edges) == {LEFT, RIGHT}
        return edges == ((AFTER, BEFORE) if rows[0] < rows[1] else (BEFORE, AFTER))


def arrange(nodes: Sequence[Node], links: Sequence[Link], spacing: Spacing) -> Arrangement:
    """Return some nodes that are all connected in rows, every box with its size and its tags."""
    owner = {plug: node.id for node in nodes for plug in node.plugs}
    edges = [
        Edge(link.id, (owner[link.ends[0]], owner[link.ends[1]]), link.ends, link.strong)
        for link in links
    ]
    graph = Graph(
        [node.id for node in nodes],
        edges,
        {node.id for node in nodes if node.hub},
        {node.id: node.rim for node in nodes if node.rim},
    )
    dealt = deal(graph, spacing.sides, spacing.depth)
    made = Arrangement({node.id: node for node in nodes}, links, spacing, dealt, owner)
    for link in links:
        made.lanes.update(
            dict.fromkeys(dealt.chains[link.id], 0.0 if link.strong else min(link.label[0], _PLATE))
        )
    _choose_edges(made)
    ties: dict[str, int] = defaultdict(int)
    for edge in edges:
        for name in set(edge.nodes):
            ties[name] += 1
    # What hangs on a hub first: a hub is as long as what hangs on it.
    for name in sorted(made.nodes, key=lambda each: (made.nodes[each].hub, ties[each] > 1)):
        measure(made, name)
    _level(made)
    return made


def _level(made: Arrangement) -> None:
    """Make what is nearly as deep as the deepest of its row as deep as that."""
    for row in made.dealt.rows:
        deepest = max((made.depths.get(name, 0.0) for name in row), default=0.0)
        for name in row:
            if name in made.nodes and made.depths[name] > _NEARLY * deepest:
                made.depths[name] = deepest


def _choose_edges(made: Arrangement) -> None:
    """Decide on which edge each plug sits: where its first link leads; without one, after."""
    dealt = made.dealt
    for node in made.nodes.values():
        made.edges.update({plug: edge for plug, (edge, _) in node.pinned.items()})
    loops = [link for link in made.links if made.loops(link)]
    for link in sorted(made.links, key=lambda each: (each in loops, not each.strong)):
        a, b = link.ends
        here, there = made.owner[a], made.owner[b]
        step = dealt.row_of[there] - dealt.row_of[here]
        if step:
            edges = (AFTER, BEFORE) if step > 0 else (BEFORE, AFTER)
        elif abs(dealt.at[here] - dealt.at[there]) == 1:
            edges = (RIGHT, LEFT) if dealt.at[here] < dealt.at[there] else (LEFT, RIGHT)
        elif link in loops:
            edges = (made.edges.get(b, AFTER), made.edges.get(a, AFTER))
        else:
            edges = (AFTER, AFTER)
        made.edges = {a: edges[0], b: edges[1]} | made.edges
    for plug in made.owner:
        made.edges.setdefault(plug, AFTER)
