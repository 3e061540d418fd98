"""Deal boxes out to rows, and put each row in order: the first two steps of Sugiyama's method.

Hubs (bridges, routers) make the spine, a row each as far as they are joined in a line; what hangs
on one hub alone gathers in the rows next to it. A wire that has to pass a row gets a lane of its
own there, so none ever crosses a box. Pure, and always the same for the same input.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Mapping
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

from netviz.picture.rows import BEFORE

if TYPE_CHECKING:
    from netviz.picture.rows import Arrangement

_SWEEPS = 6
_LONGEST_CHAIN = 4


def deal(made: Arrangement) -> None:
    """Give the boxes of an arrangement their rows, and an order in each."""
    dealing = _Dealing(made)
    row_of = dealing.rows()
    first = min(row_of.values())
    natural = {name: place for place, name in enumerate(dealing.chain or made.nodes)}
    for link in made.links:
        a, b = made.joined(link)
        low, high = sorted((row_of[a], row_of[b]))
        lanes = {f"lane-{link.id}-{row}": row for row in range(low + 1, high)}
        row_of |= lanes
        natural |= dict.fromkeys(lanes, max(natural[a], natural[b]))
        made.lanes[link.id] = [*lanes] if row_of[a] < row_of[b] else [*lanes][::-1]
    made.rows = [[] for _ in range(max(row_of.values()) - first + 1)]
    for name in sorted(row_of, key=lambda each: natural[each]):
        made.rows[row_of[name] - first].append(name)
    made.index()
    # A chain has an order of its own; else what was there before keeps its order.
    _untangle(made, {} if dealing.chain else {name: pin.u for name, pin in made.pins.items()})


class _Dealing:
    """One arrangement being dealt out: ``near`` are each box's neighbours, by the plug there."""

    def __init__(self, made: Arrangement) -> None:
        self.made = made
        self.boxes = [node.id for node in made.nodes.values() if not node.rim]
        self.near: dict[str, dict[str, str]] = {name: {} for name in made.nodes}
        self._join(strong=True)
        self._join(strong=False)
        self.chain = self._chain()

    def _join(self, *, strong: bool) -> None:
        """Note whom each link joins; those that are not strong, only if cables do not yet."""
        pieces = {} if strong else {name: min(_distances(name, self.near)) for name in self.near}
        for link in self.made.links:
            a, b = self.made.joined(link)
            rim = self.made.nodes[a].rim or self.made.nodes[b].rim
            if link.strong == strong and not rim and pieces.get(a, a) != pieces.get(b, b):
                self.near[a][b] = link.ends[1]
                self.near[b][a] = link.ends[0]

    def rows(self) -> dict[str, int]:
        nodes = self.made.nodes
        hubs = [n for n in self.boxes if nodes[n].hub or len(self.near[n]) > 1]
        if self.chain or not hubs:
            row_of = dict.fromkeys(self.boxes, 0)
        else:
            spine = {hub: [n for n in self.near[hub] if n in hubs] for hub in hubs}
            ends = {end := _farthest(hubs[0], spine), _farthest(end, spine)}
            first, *others = sorted(ends, key=hubs.index)
            row_of = _distances(first, spine)
            if others and self._upside_down(row_of):
                row_of = _distances(others[0], spine)
            last = max(row_of.values())
            for hub in hubs:
                self._hang(hub, row_of, last)
        lowest, highest = min(row_of.values()), max(row_of.values())
        rims = [node for node in nodes.values() if node.rim]
        return row_of | {n.id: lowest - 1 if n.rim == BEFORE else highest + 1 for n in rims}

    def _upside_down(self, row_of: dict[str, int]) -> bool:
        """Tell whether rows are mostly in the opposite order of the drawing before."""
        both = [(row, self.made.pins[n].row) for n, row in row_of.items() if n in self.made.pins]
        return sum((a - b) * (was - had) for (a, was), (b, had) in combinations(both, 2)) < 0

    def _chain(self) -> list[str]:
        """Return the nodes from end to end if they are a short chain, best shown side by side."""
        ends = [name for name in self.boxes if len(self.near[name]) == 1]
        branched = any(len(self.near[name]) > 2 for name in self.boxes)
        odd = branched or any(node.hub or node.rim for node in self.made.nodes.values())
        if odd or len(ends) != 2 or len(self.boxes) > _LONGEST_CHAIN:
            return []
        found = [*_distances(ends[0], self.near)]
        before = [self.made.pins[name].u for name in found if name in self.made.pins]
        return found if before[:1] <= before[-1:] else found[::-1]

    def _hang(self, hub: str, row_of: dict[str, int], last: int) -> None:
        """Give a row to what hangs on a hub alone; what shares a plug stays together."""
        groups: dict[str, list[str]] = defaultdict(list)
        for name in self.boxes:
            if [*self.near[name]] == [hub] and name not in row_of:
                groups[self.near[name][hub]].append(name)
        row, way = row_of[hub], self.made.way
        if last:
            before, depth = 0 if row == last else len(groups), 1
        else:
            before, depth = -(-len(groups) // way.sides), way.depth
        steps = [1 + place % depth for place in range(len(groups))]
        steps = [-far if place < before else far for place, far in enumerate(steps)]
        if hub in self.made.pins:
            steps = self._as_before(hub, [*groups.values()], steps)
        for group, step in zip(groups.values(), steps, strict=True):
            row_of |= dict.fromkeys(group, row + step)

    def _as_before(self, hub: str, groups: list[list[str]], steps: list[int]) -> list[int]:
        """Return how many rows from its hub each group stood; of a new one, where there is room."""
        pins, way, crowd = self.made.pins, self.made.way, Counter[int]()
        several = [*range(-1, -way.depth - 1, -1), *range(1, way.depth + 1)]
        open_to = several[: way.depth * way.sides] if len({*steps}) > 1 else steps[:1]
        found = []
        for group in groups:
            before = [pins[name].row - pins[hub].row for name in group if name in pins]
            stays = before and before[0] in several
            step = before[0] if stays else min(open_to, key=crowd.__getitem__)
            crowd[step] += 1
            found.append(step)
        return found


def _distances(start: str, near: Mapping[str, Collection[str]]) -> dict[str, int]:
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


def _farthest(start: str, near: Mapping[str, Collection[str]]) -> str:
    return max(_distances(start, near).items(), key=lambda found: found[1])[0]


def _untangle(made: Arrangement, kept: dict[str, float]) -> None:
    """Order the rows so that few wires cross: by the mean place of the neighbours, to and fro.

    What is ``kept`` changes its place in a row with nothing else that is.
    """
    near: dict[str, list[str]] = defaultdict(list)
    for link in made.links:
        here, there = made.joined(link)
        for a, b in pairwise([here, *made.lanes[link.id], there]):
            near[a].append(b)
            near[b].append(a)
    for sweep in range(_SWEEPS):
        step = -1 if sweep % 2 == 0 else 1
        for row in made.rows[::-step]:
            places = {name: _mean_place(name, near[name], made, step) for name in row}
            row.sort(key=places.__getitem__)
            stay = iter(sorted((name for name in row if name in kept), key=kept.__getitem__))
            row[:] = [next(stay) if name in kept else name for name in row]
            made.index()


def _mean_place(name: str, near: list[str], made: Arrangement, step: int) -> float:
    """Return where a node's neighbours in the next row lie, from 0 to 1; without any, the node."""
    there = made.row_of[name] + step
    beside = [each for each in near if made.row_of[each] == there] or [name]
    row = made.rows[made.row_of[beside[0]]]
    return sum((made.at[each] + 0.5) / len(row) for each in beside) / len(beside)
