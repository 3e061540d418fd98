"""From a graph to boxes and lines with coordinates.

A frame is laid out from the inside: first what stands in its boxes, then the boxes in rows, one
group of connected boxes after the other. A wire that leads out of a host leaves through its edge.
The rows lie or, where they would be too long for a page, stand: a few ways are tried, and the first
that fits is taken.

Pure, and always the same for the same graph; how wide a text is comes in as a function.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netviz.picture.blocks import scene
from netviz.picture.boxes import Writer
from netviz.picture.folding import fold
from netviz.picture.frames import Frames, Way
from netviz.picture.rows import Spacing

if TYPE_CHECKING:
    import networkx as nx

    from netviz.picture.shapes import Measure, Plan

_WIDTH, _HEIGHT = 1360.0, 1700.0
_LYING = Spacing()
_STANDING = Spacing(box=24.0, channel=60.0)
_WAYS = (
    Way(standing=False, spacing=_LYING),
    Way(standing=False, spacing=replace(_LYING, sides=2)),
    Way(standing=True, spacing=replace(_STANDING, sides=2)),
    Way(standing=True, spacing=replace(_STANDING, sides=2, depth=2)),
)


def layout(graph: nx.MultiGraph, measure: Measure, *, title: str | None = None) -> Plan:
    """Return the picture of a graph that `netviz.graph` made, in shapes with coordinates.

    ``measure(text, size, bold, mono)`` is the width of a text in pixels.
    """
    found = fold(scene(graph))
    plans = []
    for way in _WAYS:
        plan = Frames(found, Writer(measure), way).plan(title)
        if plan.width <= _WIDTH and plan.height <= _HEIGHT:
            return plan
        plans.append(plan)
    return min(plans, key=lambda each: max(each.width / _WIDTH, each.height / _HEIGHT))
