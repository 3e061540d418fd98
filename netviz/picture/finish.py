"""Finish a drawing: the outermost frame, the cables with their words, the lines below. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from netviz.picture.boxes import FRAME, Writer
from netviz.picture.labels import Taken
from netviz.picture.shapes import Box, Cable, Label, Measure, Plan, Point, Port, Shape, moved

if TYPE_CHECKING:
    from netviz.picture.blocks import Scene
    from netviz.picture.rows import Pair

_MARGIN = 16.0
_TITLE = 40.0
_LINE = 19.0
_BETWEEN_TAGS = 10.0
_LEAST = 220.0
_LONGEST_EDGE = 1160.0
_PITCH = 30.0
_SAMPLE = 38.0
_LEGEND = {
    "up": ("veth", "up"),
    "down": ("veth", "down"),
    "travels over": ("lower", "up"),
    "tunnel": ("tunnel", "up"),
}
"""What a line means, and the kind and state of the line that shows it."""


@dataclass(slots=True)
class Inside:
    """What stands in a frame, from 0, 0 on: ``exits`` are where wires leave, by edge and u."""

    size: Pair = (0.0, 0.0)
    shapes: list[Shape] = field(default_factory=list)
    paths: dict[str, list[Point]] = field(default_factory=dict)
    words: dict[str, Point] = field(default_factory=dict)
    exits: dict[str, tuple[str, float]] = field(default_factory=dict)

    def add(self, other: Inside, x: float, y: float) -> None:
        """Take in what was laid out elsewhere."""
        self.shapes += moved(other.shapes, x, y)
        self.paths |= {k: [(a + x, b + y) for a, b in p] for k, p in other.paths.items()}
        self.words |= {k: (a + x, b + y) for k, (a, b) in other.words.items()}


def finish(
    scene: Scene, inside: Inside, pieces: dict[str, list[str]], writer: Writer, title: str | None
) -> Plan:
    """Return the whole drawing, given what stands in its outermost frame."""
    frame, header, foot = scene.frame, writer.header(scene.frame), _Foot(scene, writer)
    rim = _Rim(scene, writer, inside.size[0])
    heading = writer.width(title, "title") if title else 0.0
    within = max(inside.size[0] + 2 * rim.out, rim.length, foot.width + 2 * rim.out) + 2 * FRAME
    width = max(_LEAST, header[0], heading + 8, within)
    height = max(inside.size[1], rim.height) + header[1] + FRAME + foot.height + 3 * rim.below
    left, top = _MARGIN + rim.out, _MARGIN + (_TITLE if title else 0.0)
    outer = (left, top, width, height)
    whole = Inside()
    # A picture smaller than its header stands in the middle.
    whole.add(inside, left + (width - inside.size[0]) / 2, top + header[1])
    shapes: list[Shape] = [writer.frame(frame, outer, outer[:2]), *writer.loopback(frame, outer)]
    shapes += [*whole.shapes, *rim.ports(outer, top + header[1])]
    foot_at = (left + FRAME + rim.out, top + height - foot.height - 10 - 2 * rim.below)
    shapes += foot.shapes(*foot_at)
    if title:
        shapes.append(Label(left + 4, top - 16, title, "title", "start"))
    shapes += _cables(scene, whole, pieces, shapes, writer.measure)
    page = (width + 2 * left, top + height + _MARGIN + rim.below)
    return Plan(*page, tuple(_in_order(shapes)))


class _Rim:
    """The tags on the outermost frame: on its lower edge and, where that is too short, the sides.

    ``out`` and ``below`` are how far they stand out at the sides, and below.
    """

    def __init__(self, scene: Scene, writer: Writer, least: float) -> None:
        self.writer = writer
        self.frame = scene.frame.gid
        plugs = scene.frame.plugs
        ends = [*accumulate(writer.tag(plug)[0] + _BETWEEN_TAGS for plug in plugs)]
        count = bisect_right(ends, max(_LONGEST_EDGE, least))
        self.lower, self.beside = plugs[:count], plugs[count:]
        self.length = ends[count - 1] if count else 0.0
        self.out = max((writer.tag(plug)[0] / 2 for plug in self.beside), default=0.0)
        self.below = writer.tag(plugs[0])[1] / 2 if plugs else 0.0
        self.height = (len(self.beside) + 1) // 2 * _PITCH

    def ports(self, outer: tuple[float, float, float, float], top: float) -> Iterator[Port]:
        """Yield them along the edges of a frame; those at the sides from ``top`` on."""
        left, _, width, _ = outer
        at, bottom = left + (width - self.length) / 2, outer[1] + outer[3]
        for plug in self.lower:
            wide = self.writer.tag(plug)[0] + _BETWEEN_TAGS
            yield self.writer.port(plug, (at + wide / 2, bottom), self.frame)
            at += wide
        for number, plug in enumerate(self.beside):
            x, y = left + width * (number % 2), top + (number // 2 + 0.5) * _PITCH
            yield self.writer.port(plug, (x, y), self.frame)


class _Foot:
    """The lines at the foot of a picture: what its lines mean, and what is odd."""

    def __init__(self, scene: Scene, writer: Writer) -> None:
        self.warnings = scene.warnings
        shown = _shown(scene)
        self.keys = [
            (word, kind, state, _SAMPLE + 8 + writer.width(word, "note") + 24)
            for word, (kind, state) in _LEGEND.items()
            if word in shown
        ]
        wide = [writer.width(warning, "warning") for warning in self.warnings]
        self.width = max([sum(key[-1] for key in self.keys), *wide])
        self.height = _LINE * (bool(self.keys) + len(self.warnings))

    def shapes(self, x: float, y: float) -> Iterator[Shape]:
        """Yield them from a place on."""
        at = x
        y += _LINE
        for word, kind, state, width in self.keys:
            label = Label(at + _SAMPLE + 8, y, word, "note", "start")
            line = ((at, y - 4), (at + _SAMPLE, y - 4))
            yield Cable(f"key-{word.replace(' ', '-')}", kind, line, (label,), state=state)
            at += width
        for number, warning in enumerate(self.warnings, bool(self.keys)):
            yield Label(x, y + number * _LINE, warning, "warning", "start")


def _shown(scene: Scene) -> set[str]:
    """Return the words that the legend has to explain."""
    kinds = {wire.kind for wire in scene.wires}
    shown = {word for word, (kind, _) in _LEGEND.items() if kind in kinds - {"veth"}}
    states = {wire.state for wire in scene.wires}
    states |= {plug.state for block in scene.frame.all() for plug in block.tags()}
    if "down" in states:
        shown |= {"up", "down"}
    return shown


def _in_order(shapes: list[Shape]) -> list[Shape]:
    """Put boxes first, then cables, then the tags and words that lie on them."""
    ranks = {Box: 0, Cable: 1, Port: 2, Label: 3}
    return sorted(shapes, key=lambda shape: ranks[type(shape)])


def _cables(
    scene: Scene,
    whole: Inside,
    pieces: dict[str, list[str]],
    shapes: list[Shape],
    measure: Measure,
) -> Iterator[Cable]:
    taken = Taken(measure)
    taken.shapes(shapes)
    paths = {
        wire.gid: _joined([whole.paths[piece] for piece in pieces[wire.gid]])
        for wire in scene.wires
    }
    for name, path in paths.items():
        taken.path(name, path)
    # What a tunnel says has its room kept for it; a small word finds one.
    words: dict[str, tuple[Label, ...]] = {}
    for wire in sorted(scene.wires, key=lambda each: not each.label):
        label = Label(
            0, 0, wire.label or "down", "tunnel" if wire.label else "state", state=wire.state
        )
        if wire.label:
            words[wire.gid] = (taken.upon(wire.gid, label, whole.words[wire.gid]),)
        elif wire.state == "down":
            words[wire.gid] = (taken.beside(wire.gid, label),)
    for wire in scene.wires:
        points, labels = tuple(paths[wire.gid]), words.get(wire.gid, ())
        yield Cable(wire.gid, wire.kind, points, labels, wire.title, wire.state, wire.ends)


def _joined(pieces: list[list[Point]]) -> list[Point]:
    points: list[Point] = []
    for piece in pieces:
        points += [point for point in piece if point not in points[-1:]]
    return points
