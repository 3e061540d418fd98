"""What a live picture keeps from drawing to drawing, so that what is there stays where it is.

What stood in a frame keeps its order, and what is new comes after it. A box keeps its place and at
least its size; it gives way only to what grows on its left or above it. What is gone is forgotten
with the next drawing, and so is each place when the picture is much larger than it must be. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from netviz.picture.page import NOTHING, Least
from netviz.picture.rows import Place, on_grid

if TYPE_CHECKING:
    from netviz.picture.blocks import Block, Scene
    from netviz.picture.routes import Routes
    from netviz.picture.rows import Pair, Way
    from netviz.picture.shapes import Plan

_TOO_LARGE = 1.6
_WORSE = 1.15
_ORDER = 1e-6  # So near that they must make room for each other, but each on its side.


@dataclass(slots=True)
class Memory:
    """Where everything stood in the last drawing of one network; a new one knows nothing.

    ``order`` is when a box, a plug or a wire was first seen. ``places`` are those of boxes, in the
    ``way`` that the picture was laid out, and ``page`` is the least that the page needs.
    """

    way: Way | None = None
    order: dict[str, int] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    page: Least = NOTHING

    def sort(self, scene: Scene) -> None:
        """Put boxes, plugs and wires in the order in which they were first seen."""
        blocks = [*scene.frame.all()]
        names = [block.gid for block in blocks]
        names += [plug.gid for block in blocks for plug in block.plugs]
        names += [wire.gid for wire in scene.wires]
        # Those that are gone are left out: a number that comes again is something new.
        known = sorted(self.order.keys() & {*names}, key=self.order.__getitem__)
        self.order = {name: number for number, name in enumerate(dict.fromkeys([*known, *names]))}
        for block in blocks:
            block.inside.sort(key=lambda each: self.order[each.gid])
            block.plugs.sort(key=lambda each: self.order[each.gid])
        scene.wires.sort(key=lambda each: self.order[each.gid])

    def place(self, block: Block) -> Place | None:
        """Return where a box stood, if it still is of the same kind."""
        place = self.places.get(block.gid)
        return place if place and place.kind == block.kind else None

    def anchors(self, frame: str, names: Iterable[str]) -> dict[str, Place]:
        """Return the places of those boxes of a group that were one before, and hold it in place.

        Where groups were joined, those are the boxes of the largest; the others come to them.
        """
        found = {name: self.places[name] for name in names if name in self.places}
        found = {name: place for name, place in found.items() if place.frame == frame}
        groups = Counter(place.group for place in found.values()).most_common(1)
        return {name: place for name, place in found.items() if place.group == groups[0][0]}

    def packed(self) -> Memory:
        """Return what of it helps to draw all closely: what begins each row stays, others follow.

        Sizes are forgotten, and groups come together at the left top.
        """
        starts: dict[tuple[str, int], float] = {}
        left: dict[str, float] = {}
        here = {name: place for name, place in self.places.items() if name in self.order}
        for place in sorted(here.values(), key=lambda each: each.u):
            starts.setdefault((place.group, place.row), place.u)
            left.setdefault(place.group, place.u)
        for name, place in here.items():
            start, none = starts[place.group, place.row], (0.0, 0.0)
            u = start - left[place.group] + (place.u - start) * _ORDER
            here[name] = replace(place, u=u, v=0.0, line=0.0, lead=0.0, inner=none, outer=none)
        return Memory(self.way, self.order, here)

    def keeps(self, kept: Plan, anew: Plan, excess: Pair) -> bool:
        """Tell whether a drawing from memory is good enough, beside one without.

        ``excess`` is by how much they are too large for a page: what fits is not above 1.
        """
        area, least = kept.width * kept.height, anew.width * anew.height
        return area <= _TOO_LARGE * least and excess[0] <= max(1.0, _WORSE * excess[1])


def within(anchors: dict[str, Place]) -> tuple[dict[str, Place], Pair | None]:
    """Return the places of a group's boxes, counted from the group's own, and that: (u, v)."""
    if not anchors:
        return {}, None
    left = min(place.u for place in anchors.values()) - next(iter(anchors.values())).lead
    pins = {name: replace(place, u=on_grid(place.u - left)) for name, place in anchors.items()}
    return pins, (left, next(iter(anchors.values())).line)


def stood(frame: str, children: list[Block], routes: Routes, at: Pair) -> dict[str, Place]:
    """Return the places of a group's boxes; the group stands ``at`` (u, v) in its frame."""
    made, found = routes.made, {}
    lead = min(made.us[each.gid] - made.spans[each.gid] / 2 for each in children)
    for child in children:
        name, row = child.gid, made.row_of[child.gid]
        outer = made.spans[name], made.depths[name]
        u = on_grid(at[0] + made.us[name] - outer[0] / 2)
        found[name] = Place(
            frame, children[0].gid, child.kind, row, u, round(routes.tops[row], 6),
            at[1], lead, made.nodes[name].size, outer,
        )  # fmt: skip
    return found
