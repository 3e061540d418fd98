"""Draw shapes with matplotlib, the only place that knows it, and hand them out as a `Picture`.

One unit of a plan is one pixel. Every artist has an id made from what it shows, so what comes later
(hover titles, clicks, motion) finds it in the SVG and draws nothing twice. The same snapshot gives
the same bytes.
"""

from __future__ import annotations

import io
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Protocol

from matplotlib import font_manager, rcParams
from matplotlib.figure import Figure
from matplotlib.ft2font import LoadFlags
from matplotlib.transforms import Affine2D

from netviz.errors import NetvizError
from netviz.graphs import graph
from netviz.model import Snapshot
from netviz.net.discovery import snapshot as read
from netviz.picture import words
from netviz.picture.artists import FAMILIES, artists
from netviz.picture.layout import layout
from netviz.picture.page import marked
from netviz.picture.shapes import FACES
from netviz.picture.svg import boxed, parts, whole
from netviz.picture.themes import THEMES, ghostly
from netviz.records import write

if TYPE_CHECKING:
    from netviz.picture.shapes import Plan, Point, Shape
    from netviz.picture.themes import Theme

FORMATS = ("svg", "png", "pdf")
_DOTS_PER_INCH = 72  # One unit is one pixel.
_SHARPER = 2  # A PNG has twice as many, for screens that show them.
_WIDE = 1.25  # Of a Chinese sign or an emoji, whatever font has it.
_SETTINGS: Any = {
    "svg.hashsalt": "netviz",
    "svg.fonttype": "none",  # Text stays text.
    "pdf.fonttype": 42,
    "text.hinting": "none",  # Else a PNG's letters are wider than was measured.
}
_DRAWING = RLock()
# What a font lacks, the browser finds in another; in a PNG it is an empty box. It is passed over
# for good: to put the filters back would undo what another thread has made of them meanwhile.
_MISSING = "Glyph .* missing"
_UNDATED = {"svg": "Date", "pdf": "CreationDate", "png": "Software"}


class Declared(Protocol):
    """A network that is declared, and need not be there yet: a topology."""

    def planned(self) -> Snapshot:
        """Return what a snapshot will show once the network is up."""


def draw(
    network: Snapshot | Declared | None = None, *, title: str | None = None, theme: str = "light"
) -> Picture:
    """Return a picture of a network: the live one, a snapshot's, or a plan's as a ghost.

    A notebook shows it as SVG. A ghost has everything where it will be once it is built. A host is
    a frame around others: a namespace that has a bridge and a network of its own, or over whose
    card others travel, or whose loopback's alias says so: ``ip link set dev lo alias host``.

    Equivalent to: a whiteboard, and the answers of ``ip -all netns exec ip -d address``.

    Raises ``NetvizError`` for a theme that is neither ``light`` nor ``dark``.
    """
    if theme not in THEMES:
        raise NetvizError(f"there is no theme '{theme}'", remedy=f"choose of: {', '.join(THEMES)}")
    seen = read() if network is None else network
    if isinstance(seen, Snapshot):
        plan = layout(graph(seen), text_width, title=title)
        return Picture(plan, THEMES[theme], words.alternative(seen))
    real = draw(seen.planned(), title=title, theme=theme)
    return Picture(marked(real.plan, text_width), ghostly(real.theme), words.PLANNED + real.alt)


@dataclass(eq=False)
class Picture:
    """A drawn network. ``plan`` says what is where, ``alt`` says it in words."""

    plan: Plan
    theme: Theme
    alt: str

    def figure(self) -> Figure:
        """Return the picture as a matplotlib figure: 72 pixels an inch."""
        figure, _ = _figure(self.plan.shapes, self.theme, (self.plan.width, self.plan.height))
        return figure

    def render(self, fmt: str = "svg") -> bytes:
        """Return the picture as a file's bytes: ``svg``, ``png`` or ``pdf``.

        Raises ``NetvizError`` for any other format.
        """
        if fmt not in FORMATS:
            known = ", ".join(FORMATS)
            raise NetvizError(f"cannot draw the format '{fmt}'", remedy=f"choose of: {known}")
        return self.svg.encode() if fmt == "svg" else _printed(self.figure(), fmt)

    def save(self, file: str | Path) -> None:
        """Write the picture to a file, in the format that its name ends with.

        Raises ``NetvizError`` for any other ending, and where the file cannot be written.
        """
        write(file, "the picture", self.render(Path(file).suffix.lstrip(".").lower()))

    @cached_property
    def svg(self) -> str:
        """The picture as SVG text."""
        drawn = pieces(self.plan, self.theme, self.plan.shapes)
        return whole(self.plan, drawn, self.theme.page, self.alt)

    def __repr__(self) -> str:
        """Return the picture in words."""
        return self.alt

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        # Inside a page an SVG has its hover titles; as an image of its own it can be saved.
        return {"text/html": boxed(self.svg), "image/svg+xml": self.svg, "text/plain": self.alt}


def text_width(text: str, style: str) -> float:
    """Return the width of a text in pixels, as matplotlib's own fonts set it."""
    face = FACES[style]
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    narrow = "".join(char for char in text if unicodedata.east_asian_width(char) not in "WF")
    return (_narrow_width(narrow, face.bold, face.mono) + _WIDE * wide) * face.size


@lru_cache(4096)
def _narrow_width(text: str, bold: bool, mono: bool) -> float:
    scale, weight = 100, "bold" if bold else "normal"
    properties = font_manager.FontProperties(family=FAMILIES[mono], weight=weight)
    font = font_manager.get_font(font_manager.findfont(properties))
    font.set_size(scale, _DOTS_PER_INCH)
    warnings.filterwarnings("ignore", _MISSING)
    font.set_text(text, 0.0, flags=LoadFlags.NO_HINTING)
    return float(font.get_width_height()[0] / 64 / scale)


def pieces(plan: Plan, theme: Theme, shapes: Sequence[Shape]) -> list[str]:
    """Return some shapes of a plan, each as SVG text that says itself where it lies."""
    figure, counts = _figure(shapes, theme, (plan.width, plan.height))
    return parts(_printed(figure, "svg"), shapes, counts, ghost=plan.ghost)


def _figure(shapes: Sequence[Shape], theme: Theme, size: Point) -> tuple[Figure, list[int]]:
    """Return shapes as a figure, what comes later over what came before; and artists a shape."""
    inches = (size[0] / _DOTS_PER_INCH, size[1] / _DOTS_PER_INCH)
    figure = Figure(figsize=inches, dpi=_DOTS_PER_INCH, facecolor=theme.page)
    # Without axes, which take longer to make than all that is drawn.
    pixels = Affine2D().scale(1, -1).translate(0, size[1]).scale(1 / _DOTS_PER_INCH)
    counts = []
    for place, shape in enumerate(shapes):
        drawn = [*artists(shape, theme, text_width)]
        counts.append(len(drawn))
        for layer, artist in enumerate(drawn):
            artist.set_zorder(1 + place + layer / 100)
            artist.set_transform(pixels + figure.dpi_scale_trans)
            figure.add_artist(artist)
    return figure, counts


def _printed(figure: Figure, fmt: str) -> bytes:
    """Return a figure as a file's bytes."""
    file = io.BytesIO()
    dots = _DOTS_PER_INCH * (_SHARPER if fmt == "png" else 1)
    warnings.filterwarnings("ignore", _MISSING)
    with _settings():
        figure.savefig(file, format=fmt, dpi=dots, metadata={_UNDATED[fmt]: None})
    return file.getvalue()


@contextmanager
def _settings() -> Iterator[None]:
    """Set what we need of matplotlib's settings, which are the whole process's, and no other.

    A live picture is drawn in a thread of its own, while a cell perhaps changes some for itself.
    """
    with _DRAWING:
        before = {name: rcParams[name] for name in _SETTINGS}
        rcParams.update(_SETTINGS)
        try:
            yield
        finally:
            rcParams.update(before)
