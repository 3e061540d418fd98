"""Find the words of a cable a place: beside it or on it, where nothing else stands. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from netviz.picture.shapes import Box, Label, Measure, Point, Port, Shape

Extent = tuple[float, float, float, float]
"""left, top, right, bottom"""
_ALONG = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.1, 0.9, 0.05, 0.95)
_BORDER = 3.0
_LINE = 3.0
_PLATE = (14.0, 7.0)


@dataclass(slots=True)
class Taken:
    """Where something is drawn already: ``areas``, and the stretches of cables by their id."""

    measure: Measure
    areas: list[Extent] = field(default_factory=list)
    lines: dict[str, list[tuple[Point, Point]]] = field(default_factory=dict)

    def shapes(self, shapes: Iterable[Shape]) -> None:
        """Take in boxes, tags and words; of a frame, its border and its own words."""
        for shape in shapes:
            if isinstance(shape, Port):
                x, y, w, h = shape.x - shape.w / 2, shape.y - shape.h / 2, shape.w, shape.h
                self.areas.append((x, y, x + w, y + h))
            elif isinstance(shape, Label):
                self.areas.append(shape.extent(self.measure))
            elif isinstance(shape, Box):
                self.areas += self._box(shape)

    def _box(self, box: Box) -> Iterator[Extent]:
        left, top, right, bottom = box.x, box.y, box.x + box.w, box.y + box.h
        if box.kind not in ("frame", "host"):
            yield left, top, right, bottom
            return
        for x in (left, right):
            yield x - _BORDER, top, x + _BORDER, bottom
        for y in (top, bottom):
            yield left, y - _BORDER, right, y + _BORDER
        yield from (label.extent(self.measure) for label in box.labels)

    def path(self, cable: str, points: list[Point]) -> None:
        """Take in a cable."""
        self.lines[cable] = list(pairwise(points))

    def beside(self, cable: str, label: Label) -> Label:
        """Return a word of a cable beside it; where it is too narrow for that, on it."""
        stretches = self._stretches(cable)
        for found in _besides(stretches, label, self.measure):
            if not self._odd(found.extent(self.measure)):
                return self._take(found)
        return self._on(cable, label, stretches, (2.0, 0.0), None)

    def upon(self, cable: str, label: Label, first: Point) -> Label:
        """Return a word of a cable on it, as near to ``first`` as may be, with its plate."""
        return self._on(cable, label, self._stretches(cable), _PLATE, first)

    def _stretches(self, cable: str) -> list[tuple[Point, Point]]:
        return sorted(self.lines[cable], key=lambda it: -_length(*it))

    def _on(
        self,
        cable: str,
        label: Label,
        stretches: list[tuple[Point, Point]],
        pad: Point,
        first: Point | None,
    ) -> Label:
        places = [first] if first else []
        places += [_at(*stretch, share) for stretch in stretches for share in _ALONG]
        found = [label.moved(x - label.x, y + 4.5 - label.y) for x, y in places]
        odd = [self._odd(_padded(each.extent(self.measure), pad), cable) for each in found]
        return self._take(found[odd.index(min(odd))], pad)

    def _take(self, label: Label, pad: Point = (0.0, 0.0)) -> Label:
        self.areas.append(_padded(label.extent(self.measure), pad))
        return label

    def _odd(self, extent: Extent, own: str | None = None) -> int:
        """Return how much is in the way: a line less than anything else."""
        areas = sum(_meet(extent, area) for area in self.areas)
        around = _padded(extent, (_LINE, _LINE))
        return 10 * areas + sum(
            _cuts(a, b, around)
            for cable, stretches in self.lines.items()
            if cable != own
            for a, b in stretches
        )


def _besides(
    stretches: list[tuple[Point, Point]], label: Label, measure: Measure
) -> Iterator[Label]:
    """Yield a word's places beside each stretch, off its line by as much as that leans."""
    left, _, right, _ = label.extent(measure)
    half = (right - left) / 2
    for a, b in stretches:
        dx, dy = abs(a[0] - b[0]), abs(a[1] - b[1])
        for share in _ALONG:
            x, y = _at(a, b, share)
            if dy < dx / 2:
                lean = half * dy / dx
                places = [(x, y - 6 - lean), (x, y + 15 + lean)]
            else:
                lean = half + 9 + 8 * dx / max(dy, 1.0)
                places = [(x + lean, y + 4), (x - lean, y + 4)]
            for place in places:
                yield label.moved(place[0] - label.x, place[1] - label.y)


def _length(a: Point, b: Point) -> float:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def _at(a: Point, b: Point, share: float) -> Point:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def _padded(extent: Extent, pad: Point) -> Extent:
    left, top, right, bottom = extent
    return left - pad[0], top - pad[1], right + pad[0], bottom + pad[1]


def _meet(a: Extent, b: Extent) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _cuts(a: Point, b: Point, area: Extent) -> bool:
    """Tell whether a stretch runs through an area: Liang and Barsky's clipping."""
    left, top, right, bottom = area
    first, last = 0.0, 1.0
    for start, end, low, high in ((a[0], b[0], left, right), (a[1], b[1], top, bottom)):
        step = end - start
        if abs(step) < 1e-9:
            if not low < start < high:
                return False
            continue
        one, other = (low - start) / step, (high - start) / step
        first, last = max(first, min(one, other)), min(last, max(one, other))
    return first < last
