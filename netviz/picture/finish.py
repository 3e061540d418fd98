"""Finish a drawing: the outermost frame, the cables with their words, the lines below. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from netviz.picture.boxes import FRAME, Writer
from netviz.picture.shapes import Box, Cable, Label, Measure, Plan, Point, Port, Shape, moved

if TYPE_CHECKING:
    from netviz.picture.blocks import Scene
    from netviz.picture.rows import Pair

_MARGIN = 16.0
_TITLE = 40.0
_LINE = 19.0
_BETWEEN_TAGS = 10.0
_ALONG = (0.5, 0.35, 0.65, 0.2, 0.8)
_LEGEND = {
    "up": "━ up",
    "down": "╌ down",
    "lower": "┈ travels over",
    "tunnel": "═ tunnel",
}


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
    frame = scene.frame
    header, below = writer.header(frame), [*_notes(scene)]
    tags = [writer.tag(plug)[0] + _BETWEEN_TAGS for plug in frame.plugs]
    wide = [inside.size[0], sum(tags), *(writer.width(text, style) for text, style in below)]
    width = max(header[0], 220.0, max(wide) + 2 * FRAME)
    height = header[1] + inside.size[1] + FRAME + _LINE * len(below)
    height += writer.tag(frame.plugs[0])[1] if frame.plugs else 0.0
    left, top = _MARGIN, _MARGIN + (_TITLE if title else 0.0)
    outer = (left, top, width, height)
    whole = Inside()
    # A picture smaller than its header stands in the middle.
    whole.add(inside, left + (width - inside.size[0]) / 2, top + header[1])
    shapes: list[Shape] = [writer.frame(frame, outer, outer[:2]), *writer.loopback(frame, outer)]
    shapes += whole.shapes
    at = left + FRAME
    for plug, size in zip(frame.plugs, tags, strict=True):
        shapes.append(writer.port(plug, (at + size / 2, top + height), frame.gid))
        at += size
    for number, (text, style) in enumerate(reversed(below)):
        y = top + height - 14 - number * _LINE - (12 if frame.plugs else 0)
        shapes.append(Label(left + FRAME, y, text, style, "start"))
    if title:
        shapes.append(Label(left + 4, top - 16, title, "title", "start"))
    shapes += _cables(scene, whole, pieces, shapes, writer.measure)
    tag = _MARGIN if frame.plugs else 0.0
    return Plan(width + 2 * _MARGIN, top + height + _MARGIN + tag, tuple(_in_order(shapes)))


def _in_order(shapes: list[Shape]) -> list[Shape]:
    """Put boxes first, then cables, then the tags and words that lie on them."""
    ranks = {Box: 0, Cable: 1, Port: 2, Label: 3}
    return sorted(shapes, key=lambda shape: ranks[type(shape)])


def _notes(scene: Scene) -> Iterator[tuple[str, str]]:
    """Yield the lines at the foot of a picture: what its lines mean, and what is odd."""
    kinds = {wire.kind for wire in scene.wires} & {"lower", "tunnel"}
    if any(wire.state == "down" for wire in scene.wires):
        kinds |= {"up", "down"}
    if kinds:
        yield "    ".join(text for kind, text in _LEGEND.items() if kind in kinds), "note"
    for warning in scene.warnings:
        yield warning, "warning"


def _cables(
    scene: Scene,
    whole: Inside,
    pieces: dict[str, list[str]],
    shapes: list[Shape],
    measure: Measure,
) -> Iterator[Cable]:
    taken = [*_taken(shapes, measure)]
    for wire in scene.wires:
        points: list[Point] = []
        for piece in pieces[wire.gid]:
            points += [point for point in whole.paths[piece] if point not in points[-1:]]
        labels: list[Label] = []
        if wire.label:
            x, y = whole.words[wire.gid]
            labels.append(Label(x, y + 4.5, wire.label, "tunnel", state=wire.state))
        elif wire.state == "down" and wire.kind == "veth":
            labels += _beside(points, "down", taken, measure)
        taken += [label.extent(measure) for label in labels]
        yield Cable(
            wire.gid, wire.kind, tuple(points), tuple(labels), wire.title, wire.state, wire.ends
        )


def _taken(shapes: list[Shape], measure: Measure) -> Iterator[tuple[float, float, float, float]]:
    for shape in shapes:
        if isinstance(shape, Port):
            x, y, w, h = shape.x - shape.w / 2, shape.y - shape.h / 2, shape.w, shape.h
            yield x, y, x + w, y + h
        elif isinstance(shape, Label):
            yield shape.extent(measure)
        elif shape.kind in ("frame", "host"):
            yield from (label.extent(measure) for label in shape.labels)
        elif isinstance(shape, Box):
            yield shape.x, shape.y, shape.x + shape.w, shape.y + shape.h


def _beside(
    points: list[Point],
    text: str,
    taken: list[tuple[float, float, float, float]],
    measure: Measure,
) -> list[Label]:
    """Return a word beside the longest stretch of a cable, where nothing else stands."""
    (x1, y1), (x2, y2) = max(
        pairwise(points), key=lambda it: abs(it[0][0] - it[1][0]) + abs(it[0][1] - it[1][1])
    )
    flat = abs(y1 - y2) < abs(x1 - x2) / 4
    for share in _ALONG:
        x, y = x1 + (x2 - x1) * share, y1 + (y2 - y1) * share
        label = (
            Label(x, y - 6, text, "state") if flat else Label(x + 9, y + 4, text, "state", "start")
        )
        if not any(_meet(label.extent(measure), other) for other in taken):
            return [replace(label, state="down")]
    return []


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
