"""The frozen nouns of a drawing: boxes, ports, cables and labels with coordinates.

One unit is one pixel of the SVG, y grows downwards, and a label's ``y`` is its baseline. A `Plan`
is all that `netviz.picture.drawing` needs; nothing in it knows a colour, only what a thing is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

Point = tuple[float, float]
Measure = Callable[[str, float, bool, bool], float]
"""``measure(text, size, bold, mono)`` returns the width of a text."""


@dataclass(frozen=True, slots=True)
class Face:
    """How a style of label is set: its size, weight, family and slant."""

    size: float
    bold: bool = False
    mono: bool = False
    italic: bool = False


FACES = {
    "title": Face(19, bold=True),
    "frame": Face(15, bold=True),
    "name": Face(16, bold=True),
    "note": Face(12),
    "address": Face(13, mono=True),
    "small": Face(11, mono=True),
    "tag": Face(12, mono=True),
    "state": Face(12, italic=True),
    "tunnel": Face(12),
    "warning": Face(12, bold=True),
}


@dataclass(frozen=True, slots=True)
class Label:
    """One line of text; ``y`` is its baseline."""

    x: float
    y: float
    text: str
    style: str
    anchor: str = "middle"
    state: str = "up"

    def moved(self, dx: float, dy: float) -> Label:
        """Return the same label elsewhere."""
        return replace(self, x=self.x + dx, y=self.y + dy)

    def extent(self, measure: Measure) -> tuple[float, float, float, float]:
        """Return left, top, right, bottom."""
        face = FACES[self.style]
        width = measure(self.text, face.size, face.bold, face.mono)
        left = self.x - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return left, self.y - 0.78 * face.size, left + width, self.y + 0.24 * face.size


@dataclass(frozen=True, slots=True)
class Box:
    """A namespace, a bridge, a frame: a rounded rectangle and the lines written in it."""

    gid: str
    kind: str
    x: float
    y: float
    w: float
    h: float
    labels: tuple[Label, ...] = ()
    title: str = ""
    state: str = "up"

    def moved(self, dx: float, dy: float) -> Box:
        """Return the same box elsewhere, with its labels."""
        labels = tuple(label.moved(dx, dy) for label in self.labels)
        return replace(self, x=self.x + dx, y=self.y + dy, labels=labels)


@dataclass(frozen=True, slots=True)
class Port:
    """An interface: a tag, centred on ``x, y``, on the edge of the box that it belongs to.

    A ``small`` one is a loopback, which leads nowhere.
    """

    gid: str
    x: float
    y: float
    w: float
    h: float
    text: str
    owner: str
    title: str = ""
    state: str = "up"
    small: bool = False

    def moved(self, dx: float, dy: float) -> Port:
        """Return the same port elsewhere."""
        return replace(self, x=self.x + dx, y=self.y + dy)


@dataclass(frozen=True, slots=True)
class Cable:
    """A line between two ports; ``labels`` stand beside it or, on a tunnel, on it."""

    gid: str
    kind: str
    points: tuple[Point, ...]
    labels: tuple[Label, ...] = ()
    title: str = ""
    state: str = "up"
    owners: tuple[str, ...] = ()

    def moved(self, dx: float, dy: float) -> Cable:
        """Return the same cable elsewhere, with its labels."""
        points = tuple((x + dx, y + dy) for x, y in self.points)
        labels = tuple(label.moved(dx, dy) for label in self.labels)
        return replace(self, points=points, labels=labels)


Shape = Box | Port | Cable | Label


def moved(shapes: Iterable[Shape], dx: float, dy: float) -> list[Shape]:
    """Return the shapes elsewhere."""
    return [shape.moved(dx, dy) for shape in shapes]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole drawing, boxes first: what comes later is drawn over what came before."""

    width: float
    height: float
    shapes: tuple[Shape, ...]

    @property
    def boxes(self) -> list[Box]:
        """Return the boxes, outer ones first."""
        return [shape for shape in self.shapes if isinstance(shape, Box)]

    @property
    def ports(self) -> list[Port]:
        """Return the ports."""
        return [shape for shape in self.shapes if isinstance(shape, Port)]

    @property
    def cables(self) -> list[Cable]:
        """Return the cables."""
        return [shape for shape in self.shapes if isinstance(shape, Cable)]

    @property
    def labels(self) -> Iterator[Label]:
        """Yield every line of text but those of the ports."""
        for shape in self.shapes:
            if isinstance(shape, Label):
                yield shape
            elif not isinstance(shape, Port):
                yield from shape.labels
