"""Give each box its size, and its tags their places along its edges. Pure numbers."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from netviz.picture.rows import AFTER, BEFORE, BETWEEN_TAGS, LEFT, RIGHT

if TYPE_CHECKING:
    from netviz.picture.rows import Arrangement, Station

LANE = 12.0
CORNER = 14.0
_LOOP = 12.0
_PLATE = 26.0
_NEARLY = 0.6


def measure(made: Arrangement) -> None:
    """Give every box its size, and every tag its edge and its place there."""
    for link in made.links:
        wide = 0.0 if link.strong else min(link.label[0], _PLATE)
        made.spans.update(dict.fromkeys(made.lanes[link.id], wide))
    _choose_edges(made)
    ties = Counter(name for link in made.links for name in {*made.joined(link)})
    # What hangs on a hub first: a hub is as long as what hangs on it.
    for name in sorted(made.nodes, key=lambda each: (made.nodes[each].hub, ties[each] > 1)):
        _measure(made, name)
    # What is nearly as deep as the deepest of its row becomes as deep as that.
    for row in made.rows:
        boxes = [name for name in row if name in made.nodes]
        deepest = max((made.depths[name] for name in boxes), default=0.0)
        for name in boxes:
            if made.depths[name] > _NEARLY * deepest:
                made.depths[name] = deepest


def _choose_edges(made: Arrangement) -> None:
    """Decide on which edge each plug sits: where its first link leads; without one, after."""
    for node in made.nodes.values():
        made.edges |= {plug: edge for plug, (edge, _) in node.pinned.items()}
    loops = [link for link in made.links if len({*made.joined(link)}) == 1]
    for link in sorted(made.links, key=lambda each: (each in loops, not each.strong)):
        (a, b), (here, there), step = link.ends, made.joined(link), made.step(link)
        if step:
            edges = (AFTER, BEFORE) if step > 0 else (BEFORE, AFTER)
        elif abs(made.at[here] - made.at[there]) == 1:
            edges = (RIGHT, LEFT) if made.at[here] < made.at[there] else (LEFT, RIGHT)
        elif link in loops:
            edges = (made.edges.get(b, AFTER), made.edges.get(a, AFTER))
        else:
            edges = (AFTER, AFTER)
        made.edges = {a: edges[0], b: edges[1]} | made.edges
    made.edges = dict.fromkeys(made.owner, AFTER) | made.edges


def _measure(made: Arrangement, name: str) -> None:
    """Give a box its size, and its plugs their places along the edges."""
    node = made.nodes[name]
    if node.rim:
        made.spans[name], made.depths[name] = node.size
        return
    inset = made.insets(name)
    pitches = {edge: _pitches(made, name, edge) for edge in (LEFT, RIGHT)}
    longest = max(sum(each.values()) for each in pitches.values())
    deep = node.size[1] + inset[BEFORE] + inset[AFTER]
    made.depths[name] = max(deep, longest + 2 * CORNER, node.least[1])
    for sizes in pitches.values():
        _line_up(made, sizes, 0.0)
    middle = (inset[LEFT] - inset[RIGHT] - node.size[0]) / 2
    made.offsets.update({plug: at + middle for plug, (_, at) in node.pinned.items()})
    slots = {edge: _slots(made, name, edge) for edge in (BEFORE, AFTER)}
    starts = {edge: _start(made, name, edge) for edge in slots}
    span = max(node.size[0] + inset[LEFT] + inset[RIGHT], node.least[0])
    for edge, sizes in slots.items():
        start, taken = abs(starts[edge]), sum(sizes.values())
        # The first and the last tag stay off the round corners.
        slack = [(size - made.tags[plug][0]) / 2 for plug, size in sizes.items()] or [CORNER]
        corners = 2 * max(0.0, CORNER - min(slack[0], slack[-1]))
        span = max(span, (2 * (start + taken) if start else taken) + corners)
    made.spans[name] = span
    for edge, sizes in slots.items():
        start = starts[edge]
        room = math.copysign(span / 2 - CORNER, start)
        _line_up(made, sizes, (start + room) / 2 if start else 0.0)


def _start(made: Arrangement, name: str, edge: str) -> float:
    """Return beyond which offset free tags may sit beside pinned ones; 0 where there are none.

    It is negative where there is more room on the left.
    """
    pinned = [made.offsets[p] for p, (there, _) in made.nodes[name].pinned.items() if there == edge]
    if not pinned:
        return 0.0
    right, left = max(pinned), min(pinned)
    if right + left <= 0:
        return max(right + BETWEEN_TAGS, 1.0)
    return min(left - BETWEEN_TAGS, -1.0)


def _pitches(made: Arrangement, name: str, edge: str) -> dict[str, float]:
    """Return how much of a side each plug needs, in the order of the links.

    The same holds for the side that it faces, so that wires between the two are straight.
    """
    found: dict[str, float] = {}
    ends = [(ends, link) for link in made.links for ends in (link.ends, link.ends[::-1])]
    for (here, far), link in ends:
        if made.owner[here] == name and made.edges[here] == edge and made.facing(link):
            need = max(made.tags[here][1], made.tags[far][1], link.label[1]) + BETWEEN_TAGS
            found[here] = max(need, found.get(here, 0.0))
    for plug in made.on(name, edge):
        found.setdefault(plug, made.tags[plug][1] + BETWEEN_TAGS)
    return found


def _line_up(made: Arrangement, sizes: dict[str, float], middle: float) -> None:
    at = middle - sum(sizes.values()) / 2
    for plug, size in sizes.items():
        made.offsets[plug] = at + size / 2
        at += size


def _slots(made: Arrangement, name: str, edge: str) -> dict[str, float]:
    """Return how much of an edge each plug needs, in order.

    That is at least its tag; and as much as what hangs on it, so that its wire can be straight.
    """
    plugs = [plug for plug in made.on(name, edge) if plug not in made.nodes[name].pinned]
    far = made.neighbours(name)
    need: dict[str, float] = {}
    shared = Counter(near for plug in plugs for near, _ in far[plug])
    for plug in plugs:
        hanging = sum(
            (made.spans[near] + made.way.box) / shared[near]
            for near, _ in far[plug]
            if near in made.depths and not made.nodes[near].hub and _only(made, near, name)
        )
        words = max((link.label[0] for link in made.links if plug in link.ends), default=0.0)
        lane = 2 * LANE if any(near not in made.nodes for near, _ in far[plug]) else 0.0
        need[plug] = max(max(made.tags[plug][0], words) + BETWEEN_TAGS, hanging, lane)
    for link in (each for each in made.links if len({*made.joined(each)}) == 1):
        for plug in need.keys() & set(link.ends):
            need[plug] += _LOOP
    return {plug: need[plug] for plug in sorted(need, key=lambda each: _order(made, far[each]))}


def _order(made: Arrangement, far: list[Station]) -> tuple[float, float]:
    """Return what a plug is sorted by: where the far boxes stand, and where in them the plugs."""
    if not far:
        return 0.0, 0.0
    at = sum(made.at[near] for near, _ in far) / len(far)
    return at, sum(made.offsets[plug] for _, plug in far) / len(far)


def _only(made: Arrangement, name: str, hub: str) -> bool:
    """Tell whether all of a box's links lead to one other box."""
    ends = {
        made.owner[far]
        for link in made.links
        for here, far in (link.ends, link.ends[::-1])
        if made.owner[here] == name and link.strong
    }
    return ends <= {hub, name}
