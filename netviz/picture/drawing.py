"""Draw shapes with matplotlib, the only place that knows it, and hand them out as a `Picture`.

One unit of a plan is one pixel. Every artist has an id made from what it shows, so what comes later
(hover titles, clicks, motion) finds it in the SVG and draws nothing twice. The same snapshot gives
the same bytes.
"""

from __future__ import annotations

import io
import unicodedata
import warnings
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path as File
from typing import TYPE_CHECKING, Any

from matplotlib import font_manager, rc_context
from matplotlib.figure import Figure
from matplotlib.ft2font import LoadFlags
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path
from matplotlib.text import Text

from netviz.errors import NetvizError
from netviz.graphs import graph
from netviz.net.discovery import snapshot as read
from netviz.picture import words
from netviz.picture.layout import layout
from netviz.picture.shapes import FACES, Box, Cable, Label, Plan, Port
from netviz.picture.svg import annotated
from netviz.picture.themes import THEMES, Theme

if TYPE_CHECKING:
    from matplotlib.artist import Artist

    from netviz.model import Snapshot

FORMATS = ("svg", "png", "pdf")
_DOTS_PER_INCH = 72  # One unit is one pixel.
_SHARPER = 2  # A PNG has twice as many, for screens that show them.
_FAMILIES = {False: "DejaVu Sans", True: "DejaVu Sans Mono"}
_WIDE = 1.25  # Of a Chinese sign or an emoji, whatever font has it.
_ROUND = {"frame": 16, "host": 14}
_DASHES = {"down": (0, (4, 2.6)), "lower": (0, (1, 2.2)), "tunnel": (0, (1.8, 0.8))}
_SETTINGS: Any = {
    "svg.hashsalt": "netviz",
    "svg.fonttype": "none",  # Text stays text.
    "pdf.fonttype": 42,
    "text.hinting": "none",  # Else a PNG's letters are wider than was measured.
}
_UNDATED = {"svg": "Date", "pdf": "CreationDate", "png": "Software"}


def draw(
    snapshot: Snapshot | None = None, *, title: str | None = None, theme: str = "light"
) -> Picture:
    """Return a picture of a network: the live one, or a snapshot's. A notebook shows it as SVG.

    Equivalent to: a whiteboard, and the answers of ``ip -all netns exec ip -d address``.

    Raises ``NetvizError`` for a theme that is neither ``light`` nor ``dark``.
    """
    if theme not in THEMES:
        raise NetvizError(f"there is no theme '{theme}'", remedy=f"choose of: {', '.join(THEMES)}")
    seen = read() if snapshot is None else snapshot
    plan = layout(graph(seen), text_width, title=title)
    return Picture(plan, THEMES[theme], words.alternative(seen))


class Picture:
    """A drawn network. ``plan`` says what is where, ``alt`` says it in words."""

    def __init__(self, plan: Plan, theme: Theme, alt: str) -> None:
        self.plan = plan
        self.theme = theme
        self.alt = alt

    def figure(self) -> Figure:
        """Return the picture as a matplotlib figure, one unit of its axes a pixel."""
        plan = self.plan
        size = (plan.width / _DOTS_PER_INCH, plan.height / _DOTS_PER_INCH)
        figure = Figure(figsize=size, dpi=_DOTS_PER_INCH, facecolor=self.theme.page)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, plan.width)
        axes.set_ylim(plan.height, 0)
        for artist in artists(plan, self.theme):
            axes.add_artist(artist)
            artist.set_clip_on(False)  # All lies within the page.
        return figure

    def render(self, fmt: str = "svg") -> bytes:
        """Return the picture as a file's bytes: ``svg``, ``png`` or ``pdf``.

        Raises ``NetvizError`` for any other format.
        """
        if fmt not in FORMATS:
            known = ", ".join(FORMATS)
            raise NetvizError(f"cannot draw the format '{fmt}'", remedy=f"choose of: {known}")
        file = io.BytesIO()
        with rc_context(_SETTINGS), warnings.catch_warnings():
            # What a font lacks, the browser finds in another; in a PNG it is an empty box.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            self.figure().savefig(
                file,
                format=fmt,
                dpi=_DOTS_PER_INCH * (_SHARPER if fmt == "png" else 1),
                metadata={_UNDATED[fmt]: None},
            )
        return annotated(file.getvalue(), self.plan, self.alt) if fmt == "svg" else file.getvalue()

    def save(self, file: str | File) -> None:
        """Write the picture to a file, in the format that its name ends with.

        Raises ``NetvizError`` for any other ending, and where the file cannot be written.
        """
        path = File(file)
        drawn = self.render(path.suffix.lstrip(".").lower())
        try:
            path.write_bytes(drawn)
        except OSError as error:
            why = f"cannot write the picture to '{path}': {error.strerror}"
            raise NetvizError(why, remedy="choose a folder that exists and is yours") from error

    @cached_property
    def svg(self) -> str:
        """The picture as SVG text."""
        return self.render("svg").decode()

    def __repr__(self) -> str:
        """Return the picture in words."""
        return self.alt

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        # Inside a page an SVG has its hover titles; as an image of its own it can be saved.
        page = f'<div style="overflow-x: auto">{self.svg}</div>'
        return {"text/html": page, "image/svg+xml": self.svg, "text/plain": self.alt}


def text_width(text: str, size: float, bold: bool, mono: bool) -> float:
    """Return the width of a text in pixels, as matplotlib's own fonts set it."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    narrow = "".join(char for char in text if unicodedata.east_asian_width(char) not in "WF")
    return (_narrow_width(narrow, bold, mono) + _WIDE * wide) * size


@lru_cache(4096)
def _narrow_width(text: str, bold: bool, mono: bool) -> float:
    scale = 100
    properties = font_manager.FontProperties(
        family=_FAMILIES[mono], weight="bold" if bold else "normal"
    )
    font = font_manager.get_font(font_manager.findfont(properties))
    font.set_size(scale, _DOTS_PER_INCH)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        font.set_text(text, 0.0, flags=LoadFlags.NO_HINTING)
    return float(font.get_width_height()[0] / 64 / scale)


def artists(plan: Plan, theme: Theme) -> Iterator[Artist]:
    """Yield an artist for each shape of a plan, what lies below first."""
    for place, shape in enumerate(plan.shapes):
        drawn: Iterator[Artist]
        if isinstance(shape, Box):
            drawn = _box(shape, theme)
        elif isinstance(shape, Cable):
            drawn = _cable(shape, theme)
        elif isinstance(shape, Port):
            drawn = _port(shape, theme)
        else:
            drawn = iter([_text(shape, theme, theme.boxes["frame"][0])])
        for layer, artist in enumerate(drawn):
            artist.set_zorder(1 + place + layer / 100)
            yield artist


def _box(box: Box, theme: Theme) -> Iterator[Artist]:
    fill, edge = theme.boxes[box.kind]
    if box.kind == "folded":
        for shift in (8, 4):
            yield _rounded(box.x + shift, box.y - shift, box.w, box.h, 12, fill, edge)
    outline = _rounded(box.x, box.y, box.w, box.h, _ROUND.get(box.kind, 12), fill, edge)
    outline.set_gid(box.gid)
    outline.set_linewidth(1.5 if box.kind in _ROUND else 1.8)
    yield outline
    for label in box.labels:
        yield _text(label, theme)


def _rounded(
    x: float, y: float, w: float, h: float, radius: float, fill: str, edge: str
) -> FancyBboxPatch:
    style = f"round,pad=0,rounding_size={radius}"
    return FancyBboxPatch((x, y), w, h, style, facecolor=fill, edgecolor=edge, linewidth=1.8)


def _port(port: Port, theme: Theme) -> Iterator[Artist]:
    colour = {"up": theme.up, "warning": theme.warning}.get(port.state, theme.down)
    left, top = port.x - port.w / 2, port.y - port.h / 2
    outline = _rounded(left, top, port.w, port.h, 5, theme.tag, colour)
    outline.set_gid(port.gid)
    outline.set_linewidth(1.1 if port.small else 1.6)
    if port.state != "up":
        outline.set_linestyle((0, (2.6, 1.8)))
    yield outline
    label = Label(port.x, port.y + 4.2, port.text, "small" if port.small else "tag")
    yield _text(label, theme, colour=colour)


def _cable(cable: Cable, theme: Theme) -> Iterator[Artist]:
    colour = {"tunnel": theme.tunnel, "lower": theme.muted}.get(cable.kind, theme.up)
    colour = theme.down if cable.state == "down" else colour
    path = Path(cable.points)
    line = PathPatch(path, fill=False, edgecolor=colour, linewidth=2.2, capstyle="butt")
    line.set_joinstyle("round")
    line.set_gid(cable.gid)
    if cable.kind == "tunnel":
        line.set_linewidth(7)
    if cable.kind == "lower" or cable.state == "down":
        line.set_linestyle(_DASHES.get(cable.kind, _DASHES["down"]))
    yield line
    if cable.kind == "tunnel":
        yield PathPatch(path, fill=False, edgecolor=theme.page, linewidth=3.6)
    for label in cable.labels:
        if label.style == "tunnel":
            yield from _plate(label, theme, colour)
        yield _text(label, theme, theme.boxes["frame"][0] if label.style == "state" else None)


def _plate(label: Label, theme: Theme, colour: str) -> Iterator[Artist]:
    left, top, right, bottom = label.extent(text_width)
    yield _rounded(left - 12, top - 7, right - left + 24, bottom - top + 14, 6, theme.page, colour)


def _text(
    label: Label, theme: Theme, behind: str | None = None, *, colour: str | None = None
) -> Text:
    face = FACES[label.style]
    muted = label.style in ("note", "small", "state", "legend") or label.state == "down"
    colours = {"warning": theme.warning, "tunnel": theme.tunnel}
    return Text(
        label.x,
        label.y,
        label.text,
        color=colour or (theme.muted if muted else colours.get(label.style, theme.text)),
        family=_FAMILIES[face.mono],
        size=face.size,
        weight="bold" if face.bold else "normal",
        style="italic" if face.italic else "normal",
        ha={"start": "left", "middle": "center", "end": "right"}[label.anchor],
        va="baseline",
        parse_math=False,
        bbox={"facecolor": behind, "edgecolor": "none", "pad": 1.0} if behind else None,
    )
