"""What each shape is drawn with: matplotlib's artists, in the colours of a theme."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from matplotlib.patches import Circle, FancyBboxPatch, PathPatch
from matplotlib.path import Path
from matplotlib.text import Text

from netviz.picture.shapes import FACES, Box, Cable, Curve, Disc, Label, Port

if TYPE_CHECKING:
    from matplotlib.artist import Artist

    from netviz.picture.shapes import Extent, Measure, Shape
    from netviz.picture.themes import Theme

FAMILIES = {False: "DejaVu Sans", True: "DejaVu Sans Mono"}
_ROUND = {"frame": 16, "host": 14}
_DASHES = {"down": (0, (4, 2.6)), "lower": (0, (1, 2.2)), "tunnel": (0, (1.8, 0.8))}


def artists(shape: Shape, theme: Theme, measure: Measure) -> Iterator[Artist]:
    """Yield what a shape is drawn with, in pixels; what comes later lies over what came before."""
    if isinstance(shape, Box):
        yield from _box(shape, theme)
    elif isinstance(shape, Cable):
        yield from _cable(shape, theme, measure)
    elif isinstance(shape, Port):
        yield from _port(shape, theme)
    elif isinstance(shape, Curve):
        yield from _curve(shape, theme)
    elif isinstance(shape, Disc):
        yield from _disc(shape, theme)
    else:
        # These stand on the page, or in a box, all other words on the frame.
        is_bare = shape.style in ("title", "warning")
        yield _text(shape, theme, None if is_bare else theme.boxes["frame"][0])


def _box(box: Box, theme: Theme) -> Iterator[Artist]:
    left, top, right, bottom = box.extent
    colours, width = theme.boxes[box.kind], theme.pen * (1.5 if box.kind in _ROUND else 1.8)
    look: Any = {"linewidth": width, "linestyle": _dashes(theme.edge, width)}
    if box.kind == "folded":
        for by in (8, 4):
            yield _rounded((left + by, top - by, right + by, bottom - by), 12, colours, **look)
    yield _rounded(box.extent, _ROUND.get(box.kind, 12), colours, gid=box.gid, **look)
    for label in box.labels:
        yield _text(label, theme)


def _rounded(
    extent: Extent, radius: float, colours: tuple[str, str], *, linewidth: float = 1.8, **more: Any
) -> FancyBboxPatch:
    """Return a rectangle with round corners; ``colours`` are those of its inside and its edge."""
    left, top, right, bottom = extent
    style, (fill, edge) = f"round,pad=0,rounding_size={radius}", colours
    look = {"facecolor": fill, "edgecolor": edge, "linewidth": linewidth, **more}
    return FancyBboxPatch((left, top), right - left, bottom - top, style, **look)


def _port(port: Port, theme: Theme) -> Iterator[Artist]:
    colours = {"up": theme.up, "warning": theme.warning, "planned": theme.muted}
    colour, solid = colours.get(port.state, theme.down), port.state in ("up", "planned")
    line, width = "-" if solid else (0, (2.6, 1.8)), 1.1 if port.small else 1.6
    look: Any = {"gid": port.gid, "linewidth": width * theme.pen, "linestyle": line}
    # The mark of a plan is no interface: its colours are the other way round.
    fill, ink = (colour, theme.page) if port.state == "planned" else (theme.tag, colour)
    yield _rounded(port.extent, 5, (fill, colour), **look)
    label = Label(port.x, port.y + 4.2, port.text, "small" if port.small else "tag")
    yield _text(label, theme, colour=ink)


def _cable(cable: Cable, theme: Theme, measure: Measure) -> Iterator[Artist]:
    colour = {"tunnel": theme.tunnel, "lower": theme.muted}.get(cable.kind, theme.up)
    colour = theme.down if cable.state == "down" else colour
    plain = cable.kind != "lower" and cable.state != "down"
    path, tunnel = Path(cable.points), cable.kind == "tunnel"
    width = 5.4 + 1.6 * theme.pen if tunnel else 2.2 * theme.pen
    line = _dashes(theme.line, width) if plain else _DASHES.get(cable.kind, _DASHES["down"])
    look: Any = {"gid": cable.gid, "linewidth": width, "linestyle": line}
    look |= {"capstyle": "butt", "joinstyle": "round"}
    yield PathPatch(path, fill=False, edgecolor=colour, **look)
    if tunnel:
        yield PathPatch(path, fill=False, edgecolor=theme.page, linewidth=3.6)
    for label in cable.labels:
        if label.style == "tunnel":
            left, top, right, bottom = label.extent(measure)
            plate = (left - 12, top - 7, right + 12, bottom + 7)
            yield _rounded(plate, 6, (theme.page, colour), linewidth=1.8 * theme.pen)
        yield _text(label, theme, theme.boxes["frame"][0] if label.style == "state" else None)


def _curve(curve: Curve, theme: Theme) -> Iterator[Artist]:
    colours = {"copy": theme.copy, "lost": theme.warning}
    line = (0, (2.6, 1.7)) if curve.kind == "copy" else "-"
    look: Any = {"edgecolor": colours.get(curve.kind, theme.path), "gid": curve.gid}
    look |= {"linewidth": 2.0 if curve.kind == "copy" else 3.4}
    look |= {"capstyle": "round", "joinstyle": "round"}
    for strokes, style in ((curve.strokes, line), (curve.head, "-")):
        for stroke in strokes:
            yield PathPatch(Path(stroke), fill=False, linestyle=style, **look)


def _disc(disc: Disc, theme: Theme) -> Iterator[Artist]:
    colour = theme.copy if disc.state == "copy" else theme.path
    fill, ink = (colour, theme.page) if disc.state == "path" else (theme.page, colour)
    look: Any = {"gid": disc.gid, "linewidth": 1.6}
    if disc.state == "inferred":
        look["linestyle"] = (0, (2.2, 1.4))
    if disc.state == "packet":
        fill, look["linewidth"] = theme.boxes["bridge"][0], 2.6
    if disc.wide == disc.high:
        yield Circle((disc.x, disc.y), disc.high / 2, facecolor=fill, edgecolor=colour, **look)
    else:
        yield _rounded(disc.extent, disc.high / 2, (fill, colour), **look)
    if disc.text:
        label = Label(disc.x, disc.y + 0.36 * FACES["number"].size, disc.text, "number")
        yield _text(label, theme, colour=ink)


def _dashes(lengths: tuple[float, ...], width: float) -> Any:
    """Return the style of a line; matplotlib takes the lengths in shares of its width."""
    return (0, tuple(length / width for length in lengths)) if lengths else "-"


def _text(
    label: Label, theme: Theme, behind: str | None = None, *, colour: str | None = None
) -> Text:
    face = FACES[label.style]
    muted = label.style in ("note", "small", "state") or label.state == "down"
    colours = {"warning": theme.warning, "tunnel": theme.tunnel}
    look: Any = {
        "color": colour or (theme.muted if muted else colours.get(label.style, theme.text)),
        "weight": "bold" if face.bold else "normal",
        "style": "italic" if face.italic else "normal",
        "ha": "center" if label.anchor == "middle" else "left",
        "bbox": {"facecolor": behind, "edgecolor": "none", "pad": 1.0} if behind else None,
    }
    family, size = FAMILIES[face.mono], face.size
    return Text(label.x, label.y, label.text, family=family, size=size, parse_math=False, **look)
