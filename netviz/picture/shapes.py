"""The frozen nouns of a drawing: boxes, ports, cables and labels with coordinates.

One unit is one pixel of the SVG, y grows downwards, and a label's ``y`` is its baseline. A `Plan`
is all that `netviz.picture.drawing` needs; nothing in it knows a colour, only what a thing is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

Point = tuple[float, float]
Extent = tuple[float, float, float, float]
"""left, top, right, bottom"""
Rectangle = tuple[float, float, float, float]
"""left, top, width, height"""
Measure = Callable[[str, str], float]
"""``measure(text, style)`` returns the width of a text in a style of `FACES`."""


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
    "number": Face(11, bold=True),
}


@dataclass(frozen=True, slots=True)
class Label:
    """One line of text; ``y`` is its baseline, ``x`` its middle or, anchored there, its start."""

    x: float
    y: float
    text: str
    style: str
    anchor: str = "middle"
    state: str = "up"

    def extent(self, measure: Measure) -> Extent:
        """Return left, top, right, bottom."""
        size, width = FACES[self.style].size, measure(self.text, self.style)
        left = self.x - (width / 2 if self.anchor == "middle" else 0.0)
        return left, self.y - 0.78 * size, left + width, self.y + 0.24 * size


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

    @property
    def extent(self) -> Extent:
        """Return left, top, right, bottom."""
        return self.x, self.y, self.x + self.w, self.y + self.h


@dataclass(frozen=True, slots=True)
class Port:
    """An interface: a tag, centred on ``x, y``, on the edge of the box that it belongs to.

    A ``small`` one is a loopback, which leads nowhere; one without text is only a place where a
    cable ends. It is made without coordinates, and gets them once its box has its place.
    """

    gid: str
    text: str = ""
    title: str = ""
    state: str = "up"
    owner: str = ""
    x: float = 0.0
    y: float = 0.0
    w: float = 0.0
    h: float = 0.0
    small: bool = False

    @property
    def extent(self) -> Extent:
        """Return left, top, right, bottom."""
        w, h = self.w / 2, self.h / 2
        return self.x - w, self.y - h, self.x + w, self.y + h


@dataclass(frozen=True, slots=True)
class Cable:
    """A line between two ports, its ``owners``: ``veth``, ``lower``, ``tunnel`` or ``port``.

    ``text`` is what a tunnel says of itself. Its points, and the labels that stand beside it or,
    on a tunnel, on it, come when its ports have their places.
    """

    gid: str
    kind: str
    owners: tuple[str, ...] = ()
    text: str = ""
    title: str = ""
    state: str = "up"
    points: tuple[Point, ...] = ()
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class Curve:
    """The way of a packet, in strokes, and its ``head``: an arrow, a bar or a cross at its end.

    ``kind`` is ``path``, ``copy`` or, where the packet is lost, ``lost``.
    """

    gid: str
    kind: str
    strokes: tuple[tuple[Point, ...], ...]
    head: tuple[tuple[Point, ...], ...] = ()
    title: str = ""


@dataclass(frozen=True, slots=True)
class Disc:
    """The number of a hop on its curve; around the one of now lies the ``packet``, as a ring.

    The number of a ``copy`` and one that is only ``inferred`` are not filled.
    """

    gid: str
    x: float
    y: float
    text: str = ""
    title: str = ""
    state: str = "path"
    wide: float = 20.0
    high: float = 20.0

    @property
    def extent(self) -> Extent:
        """Return left, top, right, bottom."""
        w, h = self.wide / 2, self.high / 2
        return self.x - w, self.y - h, self.x + w, self.y + h


Shape = Box | Port | Cable | Label | Curve | Disc


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole drawing, boxes first: what comes later is drawn over what came before.

    A ``ghost`` is one of a network that is not there yet.
    """

    width: float
    height: float
    shapes: tuple[Shape, ...]
    ghost: bool = False

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
            elif isinstance(shape, Box | Cable):
                yield from shape.labels
