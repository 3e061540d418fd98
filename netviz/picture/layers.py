"""Deal boxes out to rows, and put each row in order: the first two steps of Sugiyama's method.

Hubs (bridges, routers) make the spine, a row each as far as they are joined in a line; what hangs
on one hub alone gathers in the rows next to it. Pure, and always the same for the same input.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

BEFORE, AFTER = "before", "after"
_SWEEPS = 6
_LONGEST_CHAIN = 4


@dataclass(slots=True)
class Edge:
    """A wire between two nodes: ``plugs`` are its ends there, ``strong`` if it is a cable."""

    id: str
    nodes: tuple[str, str]
    plugs: tuple[str, str]
    strong: bool = True


@dataclass(slots=True)
class Graph:
    """What is to be dealt out, in its natural order; ``rims`` stand before or after all rows."""

    nodes: Sequence[str]
    edges: Sequence[Edge]
    hubs: set[str] = field(default_factory=set)
    rims: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Rows:
    """Nodes in rows. ``chains`` are the lanes that a wire needs in the rows that it passes."""

    rows: list[list[str]]
    chains: dict[str, list[str]]
    row_of: dict[str, int] = field(default_factory=dict)
    at: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.index()

    def index(self) -> None:
        """Note where each node is, after the rows have changed."""
        for number, row in enumerate(self.rows):
            self.row_of.update(dict.fromkeys(row, number))
            self.at.update({name: place for place, name in enumerate(row)})

    def share(self, name: str) -> float:
        """Return where in its row a node lies, from 0 to 1."""
        return (self.at[name] + 0.5) / len(self.rows[self.row_of[name]])


def deal(graph: Graph, sides: int = 1, depth: int = 1) -> Rows:
    """Return the nodes in ordered rows.

    What hangs on the only hub stands on one of its ``sides`` or on both, ``depth`` rows deep.
    """
    dealing = _Dealing(graph, sides, depth)
    row_of = dealing.rows()
    first = min(row_of.values())
    rows: list[list[str]] = [[] for _ in range(max(row_of.values()) - first + 1)]
    natural = {name: place for place, name in enumerate(dealing.chain or graph.nodes)}
    chains: dict[str, list[str]] = {}
    for edge in graph.edges:
        a, b = edge.nodes
        low, high = sorted((row_of[a], row_of[b]))
        lanes = [f"lane-{edge.id}-{row}" for row in range(low + 1, high)]
        for lane, row in zip(lanes, range(low + 1, high), strict=True):
            row_of[lane] = row
            natural[lane] = max(natural[a], natural[b])
        chains[edge.id] = lanes if row_of[a] < row_of[b] else lanes[::-1]
    for name in sorted(row_of, key=lambda each: natural[each]):
        rows[row_of[name] - first].append(name)
    dealt = Rows(rows, chains)
    _untangle(graph, dealt)
    return dealt


class _Dealing:
    """One graph being dealt out."""

    def __init__(self, graph: Graph, sides: int, depth: int) -> None:
        self.graph = graph
        self.sides = sides
        self.depth = depth
        self.dealt = [name for name in graph.nodes if name not in graph.rims]
        self.near: dict[str, list[str]] = {name: [] for name in graph.nodes}
        self.plug: dict[str, str] = {}
        for strong in (True, False):
            known = self._pieces() if not strong else {}
            for edge in graph.edges:
                a, b = edge.nodes
                rim = {a, b} & graph.rims.keys()
                if edge.strong != strong or a == b or rim or (known and known[a] == known[b]):
                    continue
                for here, there, plug in ((a, b, edge.plugs[1]), (b, a, edge.plugs[0])):
                    if there not in self.near[here]:
                        self.near[here].append(there)
                    self.plug[here] = plug
        self.chain = self._chain()

    def _pieces(self) -> dict[str, int]:
        """Return which piece each node belongs to, as far as cables alone join them."""
        piece: dict[str, int] = {}
        for number, name in enumerate(self.graph.nodes):
            if name not in piece:
                piece.update(dict.fromkeys(_distances(name, self.near), number))
        return piece

    def rows(self) -> dict[str, int]:
        hubs = [n for n in self.dealt if n in self.graph.hubs or len(self.near[n]) > 1]
        if self.chain or not hubs:
            row_of = dict.fromkeys(self.dealt, 0)
        else:
            spine = {hub: [n for n in self.near[hub] if n in hubs] for hub in hubs}
            ends = {end := _farthest(hubs[0], spine), _farthest(end, spine)}
            row_of = _distances(min(ends, key=hubs.index), spine)
            last = max(row_of.values())
            for hub in hubs:
                self._hang(hub, row_of, last)
        lowest, highest = min(row_of.values()), max(row_of.values())
        for rim, side in self.graph.rims.items():
            row_of[rim] = lowest - 1 if side == BEFORE else highest + 1
        return row_of

    def _chain(self) -> list[str]:
        """Return the nodes from end to end if they are a short chain, best shown side by side."""
        ends = [name for name in self.dealt if len(self.near[name]) == 1]
        branched = any(len(self.near[name]) > 2 for name in self.dealt)
        odd = self.graph.hubs or self.graph.rims or branched or len(ends) != 2
        return [] if odd or len(self.dealt) > _LONGEST_CHAIN else [*_distances(ends[0], self.near)]

    def _hang(self, hub: str, row_of: dict[str, int], last: int) -> None:
        """Give a row to what hangs on a hub alone; what shares a plug stays together."""
        groups: dict[str, list[str]] = defaultdict(list)
        for name in self.dealt:
            if self.near[name] == [hub] and name not in row_of:
                groups[self.plug[name]].append(name)
        before = self._sides_before(row_of[hub], last, len(groups))
        for place, group in enumerate(groups.values()):
            side = -1 if place < before else 1
            for name in group:
                row_of[name] = row_of[hub] + side * (1 + (place % self.depth if last == 0 else 0))

    def _sides_before(self, row: int, last: int, count: int) -> int:
        """Return how many of a hub's groups stand before it; the others stand after it."""
        if last == 0:
            return count if self.sides == 1 else (count + 1) // 2
        if row == last:
            return 0
        return count


def _distances(start: str, near: dict[str, list[str]]) -> dict[str, int]:
    """Return how many steps it is from one node to each that can be reached, nearest first."""
    found = {start: 0}
    waiting = deque([start])
    while waiting:
        here = waiting.popleft()
        for there in near[here]:
            if there not in found:
                found[there] = found[here] + 1
                waiting.append(there)
    return found


def _farthest(start: str, near: dict[str, list[str]]) -> str:
    return max(_distances(start, near).items(), key=lambda found: found[1])[0]


def _untangle(graph: Graph, dealt: Rows) -> None:
    """Order the rows so that few wires cross: by the mean place of the neighbours, to and fro."""
    near: dict[str, list[str]] = defaultdict(list)
    for edge in graph.edges:
        for a, b in pairwise([edge.nodes[0], *dealt.chains[edge.id], edge.nodes[1]]):
            near[a].append(b)
            near[b].append(a)
    for sweep in range(_SWEEPS):
        step = -1 if sweep % 2 == 0 else 1
        for row in dealt.rows[::-step]:
            places = {name: _mean_place(name, near[name], dealt, step) for name in row}
            row.sort(key=places.__getitem__)
            dealt.index()


def _mean_place(name: str, near: Iterable[str], dealt: Rows, step: int) -> float:
    """Return where a node's neighbours in the next row lie, from 0 to 1; without any, the node."""
    there = dealt.row_of[name] + step
    places = [dealt.share(each) for each in near if dealt.row_of[each] == there]
    return sum(places) / len(places) if places else dealt.share(name)
