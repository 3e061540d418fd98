"""How large a block is, and where in it everything is written. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from netviz.picture.shapes import Box, Label, Measure, Port, Rectangle

if TYPE_CHECKING:
    from netviz.picture.blocks import Block
    from netviz.picture.rows import Pair
    from netviz.picture.shapes import Cable

FRAME = 22.0
HEADER = 30.0
_TAG_HEIGHT = 22.0
_LEAST = 140.0
_PAD = 12.0
_LINES = {"name": 22.0, "frame": 24.0, "address": 18.0, "small": 17.0, "note": 17.0}
_LOOPBACK = (28.0, 16.0)
_PLACE = (10.0, 10.0)
_DESCENT = 5.0
_ASIDE = 18.0


@dataclass(frozen=True, slots=True)
class Writer:
    """Knows how wide texts are, and so how large boxes must be."""

    measure: Measure

    def tag(self, plug: Port) -> Pair:
        """Return the size of an interface's tag; of a mere place, what keeps it apart."""
        return (self.measure(plug.text, "tag") + 18, _TAG_HEIGHT) if plug.text else _PLACE

    def words_of(self, wire: Cable) -> Pair:
        """Return the room that the words of a wire need: a plate on it, or one word beside it."""
        if wire.text:
            return self.measure(wire.text, "tunnel") + 28, 26.0
        return (self.measure("down", "state") + 12, 16.0) if wire.state == "down" else (0.0, 0.0)

    def words(self, block: Block) -> Pair:
        """Return the room that a block's name and lines need."""
        name = self.measure(block.name, "name") + (2 * (_LOOPBACK[0] + 8) if block.loopback else 0)
        width = max([name, *(self.measure(text, style) for text, style in block.lines)])
        height = _LINES["name"] + sum(_LINES[style] for _, style in block.lines)
        return max(_LEAST, width + 2 * _PAD), height + _PAD

    def header(self, block: Block) -> Pair:
        """Return the room that the name and lines of a frame need, at its top."""
        width = self.measure(block.name, "frame") + self.measure(block.note, "note") + 12
        width = max([width + _LOOPBACK[0] + 8, *(self.measure(*line) for line in block.lines)])
        height = HEADER + sum(_LINES[style] for _, style in block.lines)
        return width + 2 * _PAD + _ASIDE, height + _PAD

    def box(self, block: Block, outer: Rectangle, inner: Rectangle) -> Box:
        """Return a block's box with its words in the middle of what its tags leave free."""
        left, top, width, height = inner
        _, needed = self.words(block)
        y = top + (height - needed + _PAD) / 2
        labels = []
        for text, style in ((block.name, "name"), *block.lines):
            y += _LINES[style]
            labels.append(Label(left + width / 2, y - _DESCENT, text, style))
        return Box(block.gid, block.kind, *outer, tuple(labels), block.title)

    def port(self, plug: Port, at: Pair, owner: str) -> Port:
        """Return an interface's tag at its place."""
        w, h = self.tag(plug)
        return replace(plug, owner=owner, x=at[0], y=at[1], w=w, h=h)

    def frame(self, block: Block, outer: Rectangle, at: Pair) -> Box:
        """Return a frame's box with its words, the first of them ``at`` their left top."""
        left, top = at[0] + _PAD + 6, at[1] + HEADER - 4
        labels = [Label(left, top, block.name, "frame", "start")]
        if block.note:
            after = left + self.measure(block.name, "frame") + 8
            labels.append(Label(after, top, block.note, "note", "start"))
        for text, style in block.lines:
            top += _LINES[style]
            labels.append(Label(left, top, text, style, "start"))
        return Box(block.gid, block.kind, *outer, tuple(labels), block.title)

    def loopback(
        self, block: Block, inner: Rectangle, beside: Iterable[Port] = ()
    ) -> Iterator[Port]:
        """Yield the small tag of a loopback, at the top right, left of tags ``beside`` it."""
        if not block.loopback:
            return
        left, top, width, _ = inner
        x, y = left + width - _LOOPBACK[0] / 2 - 8, top + _LOOPBACK[1] / 2 + 7
        for port in sorted(beside, key=lambda each: -each.x):
            apart = (port.w + _LOOPBACK[0]) / 2 + 6
            if abs(port.y - y) < (port.h + _LOOPBACK[1]) / 2 + 4 and abs(port.x - x) < apart:
                x = port.x - apart
        w, h = _LOOPBACK
        yield replace(block.loopback, owner=block.gid, x=x, y=y, w=w, h=h, small=True)
