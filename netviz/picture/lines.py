"""Lines of points, as a curve is made of: how long, where on it, beside it, rounded. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby, pairwise
from math import dist, hypot
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netviz.picture.shapes import Extent, Point

_ROUND = 16.0
_PIECES = 8


class Line:
    """Points in a row; a place on it is told by how far along it is, in pixels."""

    def __init__(self, points: Iterable[Point]) -> None:
        found = [*points]
        self.points = tuple(p for n, p in enumerate(found) if not n or dist(p, found[n - 1]) > 0.01)
        steps = (dist(a, b) for a, b in pairwise(self.points))
        self.ends = [*accumulate(steps, initial=0.0)]
        self.length = self.ends[-1]

    def stretches(self) -> Iterator[tuple[Point, Point]]:
        """Yield each stretch between two points."""
        return pairwise(self.points)

    def point(self, at: float) -> Point:
        """Return the point at a place."""
        if len(self.points) < 2:
            return self.points[0]
        at = min(max(at, 0.0), self.length)
        n = max(bisect_left(self.ends, at), 1)
        (x1, y1), (x2, y2) = self.points[n - 1 : n + 1]
        share = (at - self.ends[n - 1]) / (self.ends[n] - self.ends[n - 1])
        return x1 + share * (x2 - x1), y1 + share * (y2 - y1)

    def cut(self, start: float, end: float) -> Line:
        """Return the part between two places."""
        inner = (p for p, at in zip(self.points, self.ends, strict=True) if start < at < end)
        return Line((self.point(start), *inner, self.point(end))) if self.points else self

    def without(self, extents: Iterable[Extent]) -> list[tuple[Point, ...]]:
        """Return the parts of it that lie in none of some extents."""
        hidden = [each for each in extents if any(_meets(each, *it) for it in self.stretches())]
        if not hidden:
            return [self.points]
        steps = [*map(float, range(int(self.length) + 1)), self.length]
        free = ((at, not any(holds(it, self.point(at)) for it in hidden)) for at in steps)
        runs = ([at for at, _ in run] for is_free, run in groupby(free, itemgetter(1)) if is_free)
        return [self.cut(run[0], run[-1]).points for run in runs if run[-1] > run[0]]

    def nearest(self, points: Sequence[Point]) -> list[float]:
        """Return for some points that it passes by, in order, where it is next to each."""
        found, low = [], 0.0
        for point in points:
            steps = [low + n for n in range(int(self.length - low) + 1)]
            reach = [min(120.0, dist(self.point(at), point)) for at in steps]
            best = min(range(len(steps)), key=lambda n: (round(reach[n]), n))
            low = steps[best]
            found.append(low)
        return found

    def leaves(self, extent: Extent) -> float:
        """Return the place near its end from which on it is within an extent."""
        at = self.length
        while at > 0 and holds(off(extent, 1.5), self.point(at)):
            at -= 1.0
        return max(at, 0.0)

    def heading(self) -> Point:
        """Return the direction in which it ends, one pixel long."""
        (x1, y1), (x2, y2) = self.point(self.length - 3), self.points[-1]
        far = hypot(x2 - x1, y2 - y1) or 1.0
        return (x2 - x1) / far, (y2 - y1) / far


def rounded(points: Sequence[Point]) -> Line:
    """Return a line with round corners."""
    line = Line(points)
    made = [*line.points[:1]]
    for a, b, c in zip(line.points, line.points[1:], line.points[2:], strict=False):
        first, second = (_toward(b, far, min(_ROUND, dist(b, far) / 2)) for far in (a, c))
        for n in range(_PIECES + 1):
            t = n / _PIECES
            weights = ((1 - t) ** 2, 2 * t * (1 - t), t * t)
            corner = [*zip(weights, (first, b, second), strict=True)]
            made.append((sum(w * p[0] for w, p in corner), sum(w * p[1] for w, p in corner)))
    return Line([*made, *line.points[-1:]])


def sideways(points: Sequence[Point], by: float) -> list[Point]:
    """Return a line that runs beside another one, so many pixels to the left."""
    line = Line(points)
    sides = []
    for (x1, y1), (x2, y2) in line.stretches():
        far = dist((x1, y1), (x2, y2))
        sides.append(((y2 - y1) / far, (x1 - x2) / far))
    moved = []
    for n, (x, y) in enumerate(line.points):
        (u1, v1), (u2, v2) = sides[max(n - 1, 0)], sides[min(n, len(sides) - 1)]
        scale = by / max(1 + u1 * u2 + v1 * v2, 0.5)
        moved.append((x + (u1 + u2) * scale, y + (v1 + v2) * scale))
    return moved


def off(extent: Extent, by: float) -> Extent:
    """Return an extent with so many pixels more on each side."""
    left, top, right, bottom = extent
    return left - by, top - by, right + by, bottom + by


def holds(extent: Extent, point: Point) -> bool:
    """Tell whether a point is within an extent."""
    left, top, right, bottom = extent
    return left <= point[0] <= right and top <= point[1] <= bottom


def _toward(here: Point, there: Point, by: float) -> Point:
    share = by / dist(here, there)
    return here[0] + share * (there[0] - here[0]), here[1] + share * (there[1] - here[1])


def _meets(extent: Extent, a: Point, b: Point) -> bool:
    """Tell whether a stretch may run through an extent."""
    return (
        min(a[0], b[0]) <= extent[2]
        and max(a[0], b[0]) >= extent[0]
        and min(a[1], b[1]) <= extent[3]
        and max(a[1], b[1]) >= extent[1]
    )
