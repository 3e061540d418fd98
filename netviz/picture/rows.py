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

Pair = tuple[float, float]
LEFT, RIGHT = "left", "right"
LANE = 12.0
_LOOP = 12.0


@dataclass(slots=True)
class Node:
    """A box that wants a place: its ``size`` inside, and the size of each tag on its edge.

    ``pinned`` are tags whose edge and place along it are given, counted from the left. ``hub``:
    others gather around it. ``rim``: it has no size and stands before or after all rows.
    """

    id: str
    size: Pair
    plugs: dict[str, Pair] = field(default_factory=dict)
    pinned: dict[str, tuple[str, float]] = field(default_factory=dict)
    hub: bool = False
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
    the middle of that edge. ``us`` and ``vs`` are the middles of boxes and lanes.
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

    def on(self, name: str, edge: str) -> list[str]:
        """Return the plugs on one edge of a box."""
        return [plug for plug in self.nodes[name].plugs if self.edges[plug] == edge]

    def outward(self, name: str, edge: str) -> float:
        """Return how far the tags on an edge stand out of it, and as far reach in."""
        axis = 0 if edge in (LEFT, RIGHT) else 1
        sizes = self.nodes[name].plugs
        return max((sizes[plug][axis] / 2 for plug in self.on(name, edge)), default=0.0)

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
    _choose_edges(made)
    ties: dict[str, int] = defaultdict(int)
    for edge in edges:
        for name in set(edge.nodes):
            ties[name] += 1
    # What hangs on a hub first: a hub is as long as what hangs on it.
    for name in sorted(made.nodes, key=lambda each: (made.nodes[each].hub, ties[each] > 1)):
        _measure(made, name)
    return made


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


def _measure(made: Arrangement, name: str) -> None:
    """Give a box its size, and its plugs their places along the edges."""
    node = made.nodes[name]
    u, v = node.size
    if node.rim:
        made.spans[name], made.depths[name] = u, v
        made.offsets.update(dict.fromkeys(node.plugs, 0.0))
        return
    reach = {edge: made.outward(name, edge) for edge in (BEFORE, AFTER, LEFT, RIGHT)}
    span = u + reach[LEFT] + reach[RIGHT]
    depth = v + reach[BEFORE] + reach[AFTER]
    slots = {edge: _slots(made, name, edge) for edge in (BEFORE, AFTER)}
    taken = {edge: sum(slots[edge].values()) for edge in slots}
    pinned = {plug: at for plug, (_, at) in node.pinned.items()}
    reserved = max(pinned.values(), default=0.0) + made.spacing.tag + reach[LEFT]
    for edge in (BEFORE, AFTER):
        fixed = any(made.edges[plug] == edge for plug in pinned)
        span = max(span, taken[edge] + (reserved if fixed else 0.0))
    pitches = {
        edge: {plug: node.plugs[plug][1] + made.spacing.tag for plug in made.on(name, edge)}
        for edge in (LEFT, RIGHT)
    }
    depth = max(depth, *(sum(each.values()) + made.spacing.tag for each in pitches.values()))
    made.spans[name], made.depths[name] = span, depth
    for edge, sizes in slots.items():
        fixed = any(made.edges[plug] == edge for plug in pinned)
        _line_up(made, sizes, (reserved - taken[edge]) / 2 if fixed else 0.0)
    for sizes in pitches.values():
        _line_up(made, sizes, 0.0)
    for plug, at in pinned.items():
        made.offsets[plug] = at + reach[LEFT] - span / 2


def _line_up(made: Arrangement, sizes: dict[str, float], middle: float) -> None:
    at = middle - sum(sizes.values()) / 2
    for plug, size in sizes.items():
        made.offsets[plug] = at + size / 2
        at += size


def _slots(made: Arrangement, name: str, edge: str) -> dict[str, float]:
    """Return how much of an edge each plug needs, in order.

    That is at least its tag; and as much as what hangs on it, so that its wire can be straight.
    """
    node = made.nodes[name]
    plugs = [plug for plug in made.on(name, edge) if plug not in node.pinned]
    far = made.neighbours(name)
    need: dict[str, float] = {}
    for plug in plugs:
        hanging = sum(
            made.spans[near] + made.spacing.box
            for near, _ in far[plug]
            if near in made.spans and not made.nodes[near].hub and _only(made, near, name)
        )
        lane = 2 * LANE if any(near not in made.nodes for near, _ in far[plug]) else 0.0
        need[plug] = max(node.plugs[plug][0] + made.spacing.tag, hanging, lane)
    for link in filter(made.loops, made.links):
        for plug in need.keys() & set(link.ends):
            need[plug] += _LOOP
    at = made.dealt.at
    order = {
        plug: sum(at[near] for near, _ in far[plug]) / len(far[plug]) if far[plug] else 0.0
        for plug in need
    }
    return {plug: need[plug] for plug in sorted(need, key=order.__getitem__)}


def _only(made: Arrangement, name: str, hub: str) -> bool:
    """Tell whether all of a box's links lead to one other box."""
    ends = {
        made.owner[far]
        for link in made.links
        for here, far in (link.ends, link.ends[::-1])
        if made.owner[here] == name and link.strong
    }
    return ends <= {hub, name}
