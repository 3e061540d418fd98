"""Find the words of a cable a place: beside it or on it, where nothing else stands. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, pairwise

from netviz.picture.shapes import Box, Cable, Extent, Label, Measure, Point, Port, Shape

_ALONG = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.1, 0.9, 0.05, 0.95)
_BORDER = 3.0
_LINE = 3.0
_PLATE = (14.0, 7.0)
_NARROW = (2.0, 0.0)
_NEAR = 0.01

Stretch = tuple[Point, Point]


def labelled(
    wires: list[Cable], words: dict[str, Point], shapes: list[Shape], measure: Measure
) -> list[Cable]:
    """Return cables with their words; ``words`` is where those of a tunnel should be."""
    taken = _Taken(wires, shapes, measure)
    labels: dict[str, tuple[Label, ...]] = {}
    # What a tunnel says has its room kept for it; a small word finds one.
    for wire in sorted(wires, key=lambda each: not each.text):
        if wire.text:
            label = Label(*words[wire.gid], wire.text, "tunnel", state=wire.state)
            labels[wire.gid] = (taken.upon(wire.gid, label),)
        elif wire.state == "down":
            labels[wire.gid] = (taken.beside(wire.gid, Label(0, 0, "down", "state", state="down")),)
    return [replace(wire, labels=labels.get(wire.gid, ())) for wire in wires]


def joined(pieces: list[list[Point]]) -> tuple[Point, ...]:
    """Return pieces of a path as one, without the points that two of them have in common."""
    path = [*chain.from_iterable(pieces)]
    return (path[0], *(b for a, b in pairwise(path) if _length(a, b) > _NEAR))


class _Taken:
    """Where something is drawn already: ``areas``, and the stretches of cables by their id."""

    def __init__(self, wires: list[Cable], shapes: list[Shape], measure: Measure) -> None:
        self.measure = measure
        self.areas = [area for shape in shapes for area in self._areas(shape)]
        self.lines = {wire.gid: [*pairwise(wire.points)] for wire in wires}

    def _areas(self, shape: Shape) -> Iterator[Extent]:
        """Yield what a shape takes up: of a frame, only its border and its own words."""
        if isinstance(shape, Label):
            yield shape.extent(self.measure)
        elif isinstance(shape, Box) and shape.kind in ("frame", "host"):
            left, top, right, bottom = shape.extent
            for x in (left, right):
                yield x - _BORDER, top, x + _BORDER, bottom
            for y in (top, bottom):
                yield left, y - _BORDER, right, y + _BORDER
            yield from (label.extent(self.measure) for label in shape.labels)
        elif isinstance(shape, Box | Port):
            yield shape.extent

    def beside(self, cable: str, label: Label) -> Label:
        """Return a word of a cable beside it; where it is too narrow for that, on it."""
        stretches = self._stretches(cable)
        for found in _besides(stretches, label, self.measure):
            if not self._odd(found.extent(self.measure)):
                return self._take(found)
        return self._on(cable, label, [], _NARROW)

    def upon(self, cable: str, label: Label) -> Label:
        """Return a word of a cable on it, as near to where it is as may be, with its plate."""
        return self._on(cable, label, [(label.x, label.y)], _PLATE)

    def _stretches(self, cable: str) -> list[Stretch]:
        return sorted(self.lines[cable], key=lambda it: -_length(*it))

    def _on(self, cable: str, label: Label, places: list[Point], pad: Point) -> Label:
        places += [_at(*line, share) for line in self._stretches(cable) for share in _ALONG]
        found = [replace(label, x=x, y=y + 4.5) for x, y in places]
        odd = [self._odd(_padded(each.extent(self.measure), pad), cable) for each in found]
        return self._take(found[odd.index(min(odd))], pad)

    def _take(self, label: Label, pad: Point = (0.0, 0.0)) -> Label:
        self.areas.append(_padded(label.extent(self.measure), pad))
        return label

    def _odd(self, extent: Extent, own: str | None = None) -> int:
        """Return how much is in the way: a line less than anything else."""
        around = _padded(extent, (_LINE, _LINE))
        lines = (line for cable, some in self.lines.items() if cable != own for line in some)
        areas = sum(_meet(extent, area) for area in self.areas)
        return 10 * areas + sum(_cuts(a, b, around) for a, b in lines)


def _besides(stretches: list[Stretch], label: Label, measure: Measure) -> Iterator[Label]:
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
            yield from (replace(label, x=x, y=y) for x, y in places)


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
