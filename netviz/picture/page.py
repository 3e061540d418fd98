"""What is around everything: the outermost frame with its tags, the lines at its foot. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from netviz.picture.boxes import FRAME, Writer
from netviz.picture.shapes import Cable, Label, Port, Shape

if TYPE_CHECKING:
    from netviz.picture.blocks import Scene
    from netviz.picture.rows import Pair
    from netviz.picture.shapes import Measure, Plan

Least = tuple[float, float, float, float, float]
"""What a page needs at least: beside and below the frame, for its words; the frame's size."""
_MARGIN = 16.0
_TITLE = 40.0
_LINE = 19.0
_BETWEEN_TAGS = 10.0
_LEAST = 220.0
_LONGEST_EDGE = 1160.0
_PITCH = 30.0
_SAMPLE = 38.0
NOTHING: Least = (0.0, 0.0, 0.0, 0.0, 0.0)
_LEGEND = {
    "up": ("veth", "up"),
    "down": ("veth", "down"),
    "travels over": ("lower", "up"),
    "tunnel": ("tunnel", "up"),
}
"""What a line means, and the kind and state of the line that shows it."""


class Page:
    """The outermost frame around what stands in it.

    Its tags are on its lower edge and, where that is too short, ``beside``: at its sides.
    ``below`` is how far they stand out of it there; ``inner`` is where what it holds begins. With a
    ``least``, which the page before needed, all is counted from the left, and nothing shrinks.
    """

    def __init__(
        self,
        scene: Scene,
        writer: Writer,
        size: Pair,
        title: str | None,
        least: Least | None = None,
    ) -> None:
        self.scene = scene
        self.writer = writer
        self.title = title
        plugs = scene.frame.plugs
        ends = [*accumulate(self._wide(plug) for plug in plugs)]
        count = bisect_right(ends, max(_LONGEST_EDGE, size[0]))
        self.lower, self.beside = plugs[:count], plugs[count:]
        self.edge = ends[count - 1] if count else 0.0
        self.kept = least is not None
        least_out, least_below, least_high, *least_size = least or NOTHING
        out = max([least_out, *(writer.tag(plug)[0] / 2 for plug in self.beside)])
        self.below = max(writer.tag(plugs[0])[1] / 2 if plugs else 0.0, least_below)
        self.keys = [word for word in _LEGEND if word in _shown(scene)]
        foot = [writer.measure(warning, "warning") for warning in scene.warnings]
        foot.append(sum(self._key(word) for word in self.keys))
        self.foot = _LINE * (bool(self.keys) + len(scene.warnings))
        header, high = writer.header(scene.frame)
        high = max(high, least_high)
        heading = writer.measure(title, "title") + 8 if title else 0.0
        within = max(size[0] + 2 * out, self.edge, max(foot) + 2 * out) + 2 * FRAME
        width = max(_LEAST, header, heading, within, least_size[0])
        height = max(size[1], (len(self.beside) + 1) // 2 * _PITCH)
        height += high + FRAME + self.foot + 3 * self.below
        height = max(height, least_size[1])
        left, top = _MARGIN + out, _MARGIN + (_TITLE if title else 0.0)
        self.outer = (left, top, width, height)
        # A picture smaller than its header stands in the middle, if it has not to stay in place.
        aside = FRAME + out if self.kept else (width - size[0]) / 2
        self.inner = (left + aside, top + high)
        self.foot_at = (left + FRAME + out, top + height - self.foot - 10 - 2 * self.below)
        self.size = (width + 2 * left, top + height + _MARGIN + self.below)
        self.least = (out, self.below, high, width, height)

    def frame(self) -> Iterator[Shape]:
        """Yield what is behind everything."""
        yield self.writer.frame(self.scene.frame, self.outer, self.outer[:2])
        yield from self.writer.loopback(self.scene.frame, self.outer)

    def rest(self) -> Iterator[Shape]:
        """Yield the frame's tags, what the picture's lines mean, what is odd, and the title."""
        yield from self._ports()
        x, y = self.foot_at
        at, y = x, y + _LINE
        for word in self.keys:
            label = Label(at + _SAMPLE + 8, y, word, "note", "start")
            line = ((at, y - 4), (at + _SAMPLE, y - 4))
            kind, state = _LEGEND[word]
            name = f"key-{word.replace(' ', '-')}"
            yield Cable(name, kind, state=state, points=line, labels=(label,))
            at += self._key(word)
        for number, warning in enumerate(self.scene.warnings, bool(self.keys)):
            yield Label(x, y + number * _LINE, warning, "warning", "start")
        if self.title:
            left, top, *_ = self.outer
            yield Label(left + 4, top - 16, self.title, "title", "start")

    def _ports(self) -> Iterator[Port]:
        left, top, width, height = self.outer
        frame, aside = self.scene.frame.gid, FRAME if self.kept else (width - self.edge) / 2
        at = left + aside
        for plug in self.lower:
            wide = self._wide(plug)
            yield self.writer.port(plug, (at + wide / 2, top + height), frame)
            at += wide
        for number, plug in enumerate(self.beside):
            x, y = left + width * (number % 2), self.inner[1] + (number // 2 + 0.5) * _PITCH
            yield self.writer.port(plug, (x, y), frame)

    def _wide(self, plug: Port) -> float:
        """Return how much of the lower edge a tag needs."""
        return self.writer.tag(plug)[0] + _BETWEEN_TAGS

    def _key(self, word: str) -> float:
        """Return how wide a line and the word that explains it are."""
        return _SAMPLE + 8 + self.writer.measure(word, "note") + 24


def marked(plan: Plan, measure: Measure) -> Plan:
    """Return the drawing as one of what is not there yet, with a mark on the frame's upper edge.

    It is left of a loopback, and nothing else makes room for it: all stands where it will stand.
    """
    _, top, right, _ = plan.boxes[0].extent
    width, title = measure("planned", "tag") + 18, "this is how it will be"
    at = (right - 50 - width / 2, top, width, 18)
    mark = Port("mark-planned", "planned", title, "planned", plan.boxes[0].gid, *at)
    return replace(plan, shapes=(*plan.shapes, mark), ghost=True)


def _shown(scene: Scene) -> set[str]:
    """Return the words that the legend has to explain."""
    kinds = {wire.kind for wire in scene.wires} - {"veth"}
    shown = {word for word, (kind, _) in _LEGEND.items() if kind in kinds}
    states = {wire.state for wire in scene.wires}
    states |= {plug.state for block in scene.frame.all() for plug in block.tags()}
    return shown | {"up", "down"} if "down" in states else shown
