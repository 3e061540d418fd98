"""Give a box its size, and its tags their places along its edges. Pure numbers."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from netviz.picture.layers import AFTER, BEFORE

if TYPE_CHECKING:
    from netviz.picture.rows import Arrangement, Node

LEFT, RIGHT = "left", "right"
LANE = 12.0
CORNER = 14.0
_LOOP = 12.0


def measure(made: Arrangement, name: str) -> None:
    """Give a box its size, and its plugs their places along the edges."""
    node = made.nodes[name]
    if node.rim:
        made.spans[name], made.depths[name] = node.size
        made.offsets.update(dict.fromkeys(node.plugs, 0.0))
        return
    inset = made.insets(name)
    pitches = {edge: _pitches(made, name, edge) for edge in (LEFT, RIGHT)}
    longest = max(sum(each.values()) for each in pitches.values())
    made.depths[name] = max(node.size[1] + inset[BEFORE] + inset[AFTER], longest + 2 * CORNER)
    for sizes in pitches.values():
        _line_up(made, sizes, 0.0)
    middle = (inset[LEFT] - inset[RIGHT] - node.size[0]) / 2
    made.offsets.update({plug: at + middle for plug, (_, at) in node.pinned.items()})
    slots = {edge: _slots(made, name, edge) for edge in (BEFORE, AFTER)}
    starts = {edge: _start(made, name, edge) for edge in slots}
    span = node.size[0] + inset[LEFT] + inset[RIGHT]
    for edge, sizes in slots.items():
        start, taken = abs(starts[edge]), sum(sizes.values())
        corners = 2 * _corner(sizes, node)
        span = max(span, (2 * (start + taken) if start else taken) + corners)
    made.spans[name] = span
    for edge, sizes in slots.items():
        start = starts[edge]
        room = math.copysign(span / 2 - CORNER, start)
        _line_up(made, sizes, (start + room) / 2 if start else 0.0)


def _corner(sizes: dict[str, float], node: Node) -> float:
    """Return what the first and last tag of an edge still lack to stay off its round corners."""
    slack = [(size - node.plugs[plug][0]) / 2 for plug, size in sizes.items()]
    return max(0.0, CORNER - min(slack[0], slack[-1])) if slack else 0.0


def _start(made: Arrangement, name: str, edge: str) -> float:
    """Return beyond which offset free tags may sit beside pinned ones; 0 where there are none.

    It is negative where there is more room on the left.
    """
    pinned = [made.offsets[p] for p, (there, _) in made.nodes[name].pinned.items() if there == edge]
    if not pinned:
        return 0.0
    right, left = max(pinned), min(pinned)
    if right + left <= 0:
        return max(right + made.spacing.tag, 1.0)
    return min(left - made.spacing.tag, -1.0)


def _pitches(made: Arrangement, name: str, edge: str) -> dict[str, float]:
    """Return how much of a side each plug needs, in the order of the links.

    The same holds for the side that it faces, so that wires between the two are straight.
    """
    found: dict[str, float] = {}
    ends = [(ends, link) for link in made.links for ends in (link.ends, link.ends[::-1])]
    for (here, far), link in ends:
        if made.owner[here] == name and made.edges[here] == edge and made.facing(link):
            tags = [made.nodes[made.owner[plug]].plugs[plug][1] for plug in (here, far)]
            need = max(*tags, link.label[1]) + made.spacing.tag
            found[here] = max(need, found.get(here, 0.0))
    for plug in made.on(name, edge):
        found.setdefault(plug, made.nodes[name].plugs[plug][1] + made.spacing.tag)
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
    node = made.nodes[name]
    plugs = [plug for plug in made.on(name, edge) if plug not in node.pinned]
    far = made.neighbours(name)
    need: dict[str, float] = {}
    shared = Counter(near for plug in plugs for near, _ in far[plug])
    for plug in plugs:
        hanging = sum(
            (made.spans[near] + made.spacing.box) / shared[near]
            for near, _ in far[plug]
            if near in made.spans and not made.nodes[near].hub and _only(made, near, name)
        )
        words = max((link.label[0] for link in made.links if plug in link.ends), default=0.0)
        lane = 2 * LANE if any(near not in made.nodes for near, _ in far[plug]) else 0.0
        need[plug] = max(max(node.plugs[plug][0], words) + made.spacing.tag, hanging, lane)
    for link in filter(made.loops, made.links):
        for plug in need.keys() & set(link.ends):
            need[plug] += _LOOP
    order = {plug: _order(made, far[plug]) for plug in need}
    return {plug: need[plug] for plug in sorted(need, key=order.__getitem__)}


def _order(made: Arrangement, far: list[tuple[str, str | None]]) -> tuple[float, float]:
    """Return what a plug is sorted by: where the far boxes stand, and where in them the plugs."""
    if not far:
        return 0.0, 0.0
    at = sum(made.dealt.at[near] for near, _ in far) / len(far)
    return at, sum(made.offsets.get(plug or "", 0.0) for _, plug in far) / len(far)


def _only(made: Arrangement, name: str, hub: str) -> bool:
    """Tell whether all of a box's links lead to one other box."""
    ends = {
        made.owner[far]
        for link in made.links
        for here, far in (link.ends, link.ends[::-1])
        if made.owner[here] == name and link.strong
    }
    return ends <= {hub, name}
