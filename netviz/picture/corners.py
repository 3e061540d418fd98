"""Where the way of a packet turns: beside a cable, behind a tag, past what is written. Pure."""

from __future__ import annotations

from itertools import count, pairwise, product, takewhile
from typing import TYPE_CHECKING

from netviz.picture.lines import Line, holds, off, sideways
from netviz.picture.shapes import Box, Port

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netviz.picture.shapes import Extent, Measure, Plan, Point

Place = Box | Port
Spot = tuple[Place, tuple[float, float], bool]
"""A place, where in it a curve is, and whether the curve goes on inside of the place's box."""
_LANE = 12.0
"""How far beside a cable the curve runs."""
_DEEP = 5.5
"""How far behind a tag it turns, in a box."""
_RIM = 4.0
_INSET = 18.0
_EDGE = 6.0
_AROUND = range(-240, 241, 20)
_DEPTHS = (20, 24, 16, 28)
"""How far past its tag a way ends that ends in a box; the preferred one first."""
_HEAD = 8.0
_ALONG = (9.0, 7.0, 11.0)
"""How far behind its box's edge it ends where there is room only beside the tag."""


class Corners:
    """A plan in which curves look for their way; what one has found is known for the next."""

    def __init__(self, plan: Plan, measure: Measure) -> None:
        self.plan = plan
        self.measure = measure
        self.known: dict[tuple[Spot, Spot], list[Point]] = {}
        self.shapes = {s.gid: s for s in plan.shapes if isinstance(s, Place)}
        self.cables = {frozenset(cable.owners): cable.points for cable in plan.cables}
        self.words = [label.extent(measure) for label in plan.labels]
        self.boxes = {box.gid: box for box in plan.boxes if box.kind not in ("frame", "host")}

    def between(
        self, places: Sequence[Place], start: Point | None
    ) -> tuple[list[Point], list[Point]]:
        """Return the corners of a curve through some places, and where in each of them it is.

        It begins at a ``start``, if there is one, and else in the first place.
        """
        cables = [self._beside(a, b) for a, b in pairwise(places)]
        before, after = [[], *cables], [*cables, []]
        at = [_middle(place.extent) for place in places]
        for n, place in enumerate(places):
            if isinstance(place, Box) and len(places) > 1:
                at[n] = _nearest(place.extent, at[n - 1 if n else 1])
            elif beside := before[n][-1:] or after[n][:1]:
                at[n] = beside[0]
        at[0] = start or at[0]
        points = at[:1]
        for n, cable in enumerate(cables):
            # What comes in by a cable goes on inside.
            ends = (
                (places[n], points[-1], bool(before[n])),
                (places[n + 1], at[n + 1], bool(after[n + 1])),
            )
            if not cable and ends not in self.known:
                self.known[ends] = self._through(*ends)
            points += cable or self.known[ends]
            points.append(at[n + 1])
        return points, at

    def past(
        self, tag: Port, before: Point, at: Point, taken: Iterable[Extent]
    ) -> tuple[list[Point], Extent] | None:
        """Return how a way that comes to a tag goes on into its box, and the extent of its end.

        It is a stroke that meets nothing that is taken, if it can: straight on, or out of the tag
        sideways. None for a tag without a box.
        """
        x, y = self._turn(tag, (tag.x, tag.y), True, at)
        if (x, y) == (tag.x, tag.y):
            return None
        u, v = (x > tag.x) - (x < tag.x), (y > tag.y) - (y < tag.y)
        edge, half = abs(x - tag.x) + abs(y - tag.y) - _DEEP, (tag.h if u else tag.w) / 2

        def spot(aside: float, deep: float) -> Point:
            return tag.x + u * deep + abs(v) * aside, tag.y + v * deep + abs(u) * aside

        own = at[1] - tag.y if u else at[0] - tag.x
        lanes = [own, *range(int(_HEAD - half), int(half - _HEAD) + 1, 4)]
        lanes.sort(key=lambda it: abs(it - own))
        ways: list[tuple[list[Point], Extent]] = []
        for deep, lane in product(_DEPTHS, lanes):
            room = _spanned(spot(lane - _HEAD, edge), spot(lane + _HEAD, edge + deep))
            ways.append(([spot(lane, 0), spot(lane, edge + deep)], room))
        for high, deep, hand in product(_ALONG, _DEPTHS, (1, -1) if own > 0 else (-1, 1)):
            end = hand * (half + deep)
            room = _spanned(spot(hand * half, high - _HEAD + 1), spot(end, high + _HEAD - 1))
            ways.append(([spot(own, high), spot(end, high)], room))
        others = [*taken, off(_spanned(before, at), _RIM)]
        return next((it for it in ways if not any(meet(it[1], each) for each in others)), ways[0])

    def _beside(self, a: Place, b: Place) -> list[Point]:
        """Return the way along the cable between two tags, beside it; nothing if there is none."""
        points = self.cables.get(frozenset({a.gid, b.gid}), ())
        if len(points) < 2 or a.gid == b.gid:
            return []
        (x, y), ends = _middle(a.extent), (points[0], points[-1])
        far = [abs(u - x) + abs(v - y) for u, v in ends]
        # So little beside it that it still runs into the tags, and not past them.
        flat = abs(ends[0][1] - ends[1][1]) < abs(ends[0][0] - ends[1][0])
        sizes = [end.extent[2 + flat] - end.extent[0 + flat] for end in (a, b)]
        lane = min(_LANE, min(sizes) / 2 - _RIM)
        return sideways(points if far[0] <= far[1] else points[::-1], lane)

    def _through(self, a: Spot, b: Spot) -> list[Point]:
        """Return the corners between two places that no cable joins: past the words, if it can."""
        if a[0].gid == b[0].gid:
            return []
        first, last = self._turn(*a, b[1]), self._turn(*b, a[1])
        (x1, y1), (x2, y2) = first, last
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        tried = [[], [(x1, y2)], [(x2, y1)], [(x1, y), (x2, y)], [(x, y1), (x, y2)]]
        frames = (self.shapes[n].extent for n in self._owners(a[0], b[0]) if n in self.boxes)
        edges = [off(each, -_EDGE) for each in frames]
        for x in (*(x1 + by for by in _AROUND), *(x for it in edges for x in it[::2])):
            tried.append([(x, y1), (x, y2)])
        for y in (*(y1 + by for by in _AROUND), *(y for it in edges for y in it[1::2])):
            tried.append([(x1, y), (x2, y)])
        ways = ([first, *turns, last] for turns in tried)
        return min(ways, key=lambda way: self._cost([a[1], *way, b[1]], (a[0], b[0])))

    def _cost(self, way: list[Point], own: tuple[Place, Place]) -> float:
        """Return how much a way runs over that is not its own, and a little for its length."""
        line = Line(way)
        known = self._owners(*own)
        others = [s for s in self.shapes.values() if s.gid not in known]
        tags = [s.extent for s in others if isinstance(s, Port)]
        boxes = [s.extent for s in others if s.gid in self.boxes]
        steps = [line.point(at) for at in takewhile(lambda at: at < line.length, count(0.0, 6.0))]
        slanted = sum(min(abs(p[0] - q[0]), abs(p[1] - q[1])) > 2 for p, q in line.stretches())
        hits = 3 * (_over(steps, self.words) + _over(steps, tags)) + _over(steps, boxes)
        return hits + line.length / 100 + 2 * slanted

    def _owners(self, *places: Place) -> list[str]:
        """Return the ids of some places and of their boxes."""
        return [name for it in places for name in (it.gid, getattr(it, "owner", it.gid))]

    def _turn(self, place: Place, at: Point, inner: bool, toward: Point) -> Point:
        """Return where a curve turns behind a tag: inside, or on the side that a point is on."""
        box = self.shapes.get(place.owner) if isinstance(place, Port) else None
        if box is None or not isinstance(place, Port):
            return at
        left, top, right, bottom = box.extent
        gaps = {
            (0, 1): abs(place.y - top), (0, -1): abs(place.y - bottom),
            (1, 0): abs(place.x - left), (-1, 0): abs(place.x - right),
        }  # fmt: skip
        (u, v), gap = min(gaps.items(), key=lambda it: it[1])
        by = (place.h / 2 if v else place.w / 2) + _DEEP
        by = by if inner or gap > 2 or holds(off(box.extent, 1), toward) else -by
        return at[0] + u * by, at[1] + v * by


def meet(a: Extent, b: Extent) -> bool:
    """Tell whether two extents overlap."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _spanned(a: Point, b: Point) -> Extent:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])


def _middle(extent: Extent) -> Point:
    return (extent[0] + extent[2]) / 2, (extent[1] + extent[3]) / 2


def _nearest(extent: Extent, to: Point) -> Point:
    """Return the point of a box that is next to another one, a little off the box's edge."""
    left, top, right, bottom = off(extent, -_INSET)
    return min(max(to[0], left), right), min(max(to[1], top), bottom)


def _over(points: list[Point], extents: Iterable[Extent]) -> int:
    areas = [(a - 4.5, b - 1.5, c + 4.5, d + 1.5) for a, b, c, d in extents]
    return sum(holds(area, point) for point in points for area in areas)
