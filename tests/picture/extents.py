"""What is wrong with a plan: everything that lies where it must not, one line each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise

from netviz.picture.drawing import text_width
from netviz.picture.shapes import Box, Cable, Label, Plan, Point, Port

Extent = tuple[float, float, float, float]
"""left, top, right, bottom"""
_HAIR = 0.5


def faults(plan: Plan) -> list[str]:
    """Return what is wrong with a plan; nothing, if it is a good one."""
    return [
        *_boxes(plan), *_ports(plan), *_labels(plan), *_cables(plan), *_words(plan), *_page(plan),
    ]  # fmt: skip


def of_box(box: Box) -> Extent:
    return box.x, box.y, box.x + box.w, box.y + box.h


def of_port(port: Port) -> Extent:
    return port.x - port.w / 2, port.y - port.h / 2, port.x + port.w / 2, port.y + port.h / 2


def of_label(label: Label) -> Extent:
    return label.extent(text_width)


def meet(a: Extent, b: Extent) -> bool:
    """Tell whether two extents overlap by more than a hair."""
    return min(a[2], b[2]) - max(a[0], b[0]) > _HAIR and min(a[3], b[3]) - max(a[1], b[1]) > _HAIR


def within(a: Extent, b: Extent) -> bool:
    """Tell whether ``a`` lies in ``b``."""
    return (
        a[0] > b[0] - _HAIR and a[1] > b[1] - _HAIR and a[2] < b[2] + _HAIR and a[3] < b[3] + _HAIR
    )


def crosses(path: tuple[Point, ...], area: Extent) -> bool:
    """Tell whether a path runs through an area, and not only along its edge."""
    return any(_cuts(a, b, area) for a, b in pairwise(path))


def _cuts(a: Point, b: Point, area: Extent) -> bool:
    """Tell whether a stretch meets an area: Liang and Barsky's clipping."""
    left, top, right, bottom = (area[0] + 1, area[1] + 1, area[2] - 1, area[3] - 1)
    first, last = 0.0, 1.0
    for start, end, low, high in ((a[0], b[0], left, right), (a[1], b[1], top, bottom)):
        step = end - start
        if abs(step) < 1e-9:
            if not low < start < high:
                return False
            continue
        one, other = sorted(((low - start) / step, (high - start) / step))
        first, last = max(first, one), min(last, other)
    return first < last


def _holds(box: Box) -> bool:
    return box.kind in ("frame", "host")


def _boxes(plan: Plan) -> Iterator[str]:
    for a, b in combinations(plan.boxes, 2):
        small, large = sorted((of_box(a), of_box(b)), key=lambda e: (e[2] - e[0]) * (e[3] - e[1]))
        outer = a if of_box(a) == large else b
        if meet(small, large) and not (_holds(outer) and within(small, large)):
            yield f"box on box: {a.gid} and {b.gid}"


def _inside_of(box: Box, plan: Plan) -> set[str]:
    """Return a box and all in which it stands."""
    return {b.gid for b in plan.boxes if b is box or (_holds(b) and within(of_box(box), of_box(b)))}


def _ports(plan: Plan) -> Iterator[str]:
    boxes = {box.gid: box for box in plan.boxes}
    for a, b in combinations(plan.ports, 2):
        if meet(of_port(a), of_port(b)):
            yield f"tag on tag: {a.gid} and {b.gid}"
    for port in plan.ports:
        owner = boxes[port.owner]
        left, top, right, bottom = of_port(port)
        x1, y1, x2, y2 = of_box(owner)
        along_u = (
            min(abs(port.y - y1), abs(port.y - y2)) < _HAIR and left >= x1 + 9 and right <= x2 - 9
        )
        along_v = (
            min(abs(port.x - x1), abs(port.x - x2)) < _HAIR and top >= y1 + 9 and bottom <= y2 - 9
        )
        if port.small and not within(of_port(port), of_box(owner)):
            yield f"loopback out of its box: {port.gid}"
        if not port.small and not along_u and not along_v:
            yield f"tag off its edge: {port.gid}"
        above = _inside_of(owner, plan)
        for box in plan.boxes:
            foreign = box.gid not in above and meet(of_port(port), of_box(box))
            leaves = box.gid in above - {owner.gid} and not within(of_port(port), of_box(box))
            if foreign or leaves:
                yield f"tag {port.gid} over the box {box.gid}"


def _labels(plan: Plan) -> Iterator[str]:
    own = [(label, box) for box in plan.boxes for label in box.labels]
    loose = [(s, None) for s in plan.shapes if isinstance(s, Label)]
    loose += [(label, None) for cable in plan.cables for label in cable.labels]
    for (a, _), (b, _) in combinations([*own, *loose], 2):
        if meet(of_label(a), of_label(b)):
            yield f"word on word: {a.text!r} and {b.text!r}"
    for label, box in [*own, *loose]:
        extent = of_label(label)
        if box and not within(extent, of_box(box)):
            yield f"word cut: {label.text!r} in {box.gid}"
        for other in plan.boxes:
            if meet(extent, of_box(other)) and not within(extent, of_box(other)):
                yield f"word on the border of {other.gid}: {label.text!r}"
            elif meet(extent, of_box(other)) and not _holds(other) and other is not box:
                yield f"word on the box {other.gid}: {label.text!r}"
            inner = box and _holds(box) and other is not box and within(of_box(other), of_box(box))
            if inner and meet(extent, of_box(other)):
                yield f"word of {box.gid} on the box {other.gid}: {label.text!r}"
        for port in plan.ports:
            if meet(extent, of_port(port)):
                yield f"word on the tag {port.gid}: {label.text!r}"
    for port in plan.ports:
        x1, _, x2, _ = of_label(Label(port.x, port.y, port.text, "small" if port.small else "tag"))
        if x1 < port.x - port.w / 2 or x2 > port.x + port.w / 2:
            yield f"tag too small: {port.gid}"


def _cables(plan: Plan) -> Iterator[str]:
    ports = {port.gid: port for port in plan.ports}
    for cable in plan.cables:
        for box in plan.boxes:
            if not _holds(box) and crosses(cable.points, of_box(box)):
                yield f"cable {cable.gid} through the box {box.gid}"
        for port in plan.ports:
            if port.gid not in cable.owners and crosses(cable.points, of_port(port)):
                yield f"cable {cable.gid} through the tag {port.gid}"
        for end, point in zip(cable.owners, (cable.points[0], cable.points[-1]), strict=False):
            if end in ports and abs(ports[end].x - point[0]) + abs(ports[end].y - point[1]) > 1:
                yield f"cable {cable.gid} ends beside its tag {end}"
    for a, b in combinations(plan.cables, 2):
        if not set(a.owners) & set(b.owners) and _run_together(a, b):
            yield f"cable {a.gid} upon {b.gid}"


def _run_together(a: Cable, b: Cable) -> bool:
    """Tell whether two cables run one upon the other for a while."""
    for (p, q), (r, s) in ((x, y) for x in pairwise(a.points) for y in pairwise(b.points)):
        for axis, across in ((0, 1), (1, 0)):
            flat = max(abs(p[across] - q[across]), abs(r[across] - s[across])) < 1
            if flat and abs(p[across] - r[across]) < 4:
                low = max(min(p[axis], q[axis]), min(r[axis], s[axis]))
                if min(max(p[axis], q[axis]), max(r[axis], s[axis])) - low > 2:
                    return True
    return False


def _words(plan: Plan) -> Iterator[str]:
    """Yield words that a cable runs through; but a cable may run under its own."""
    for cable in plan.cables:
        for other in plan.cables:
            for label in other.labels if other is not cable else ():
                if crosses(cable.points, of_label(label)):
                    yield f"cable {cable.gid} through the word {label.text!r} of {other.gid}"
        for box in plan.boxes:
            for label in box.labels:
                if crosses(cable.points, of_label(label)):
                    yield f"cable {cable.gid} through the word {label.text!r} of {box.gid}"
        if cable.state == "down" and not any("down" in label.text for label in cable.labels):
            yield f"cable {cable.gid} is down and does not say it"


def _page(plan: Plan) -> Iterator[str]:
    page = (0.0, 0.0, plan.width, plan.height)
    for shape in plan.shapes:
        if isinstance(shape, Box):
            extents = [of_box(shape)]
        elif isinstance(shape, Port):
            extents = [of_port(shape)]
        elif isinstance(shape, Label):
            extents = [of_label(shape)]
        else:
            extents = [(x, y, x, y) for x, y in shape.points]
            extents += [of_label(label) for label in shape.labels]
        if not all(within(extent, page) for extent in extents):
            yield f"off the page: {shape}"
