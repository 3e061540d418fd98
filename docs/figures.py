"""Pictures as parts of a page: in the page's own theme, and never twice the same id."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from netviz.picture import replay
from netviz.picture.film import film
from netviz.picture.pages import script
from netviz.picture.themes import night

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netviz.picture.recorder import Moment

_COLOUR = re.compile("#[0-9a-f]{6}")
_FOR_ONE_PAGE = re.compile(r' (?:id|data-ends|data-netviz)="[^"]*"')
_SIZE = re.compile(r' width="([\d.]+)" height="[\d.]+"')
_LEAST = 0.6
"""Of its size, a picture's words can still be read; where there is less room, it is scrolled."""
_LABEL = "A recording of a network as it changed"
_HINT = """
<figcaption class="nv-hint">A recording of what the commands below do. Step through it; or
<b>Pin</b> it and read on: it keeps pace with you.</figcaption>
"""


def palette() -> str:
    """Return a style sheet: each colour of a picture as a variable, by day and by night."""
    dark = "".join(f"{_variable(a)}:{b};" for a, b in night().items())
    return (
        f":root{{{''.join(f'{_variable(a)}:{a};' for a in night())}}}\n"
        f"@media screen{{body[data-theme=dark]{{{dark}}}\n"
        "@media (prefers-color-scheme: dark)"
        f"{{body:not([data-theme=light]){{{dark}}}}}}}\n"
    )


def inline(svg: str, *, silent: bool = False) -> str:
    """Return a picture's SVG for the inside of a page, with the page's colours.

    ``silent`` is one that only adorns what is said beside it.
    """
    svg = _FOR_ONE_PAGE.sub("", themed(svg))
    if silent:
        svg = re.sub(' role="img" aria-label="[^"]*"', ' aria-hidden="true"', svg, count=1)
        svg = re.sub("<title>[^<]*</title>", "", svg)
    width = float(_SIZE.search(svg)[1])
    room = f' style="width:{width:g}px;min-width:{min(width, _LEAST * width):.0f}px;'
    return svg.replace(' style="', room, 1) if not silent else _SIZE.sub("", svg, count=1)


def themed(svg: str) -> str:
    """Return SVG whose colours are those of the page around it."""
    known = night()
    return _COLOUR.sub(lambda it: f"var({_variable(it[0])})" if it[0] in known else it[0], svg)


def figure(svg: str) -> str:
    """Return a picture as a figure; one that is too wide is scrolled by itself."""
    return f'<figure class="nv-figure">{inline(svg)}</figure>'


def player(packed: str, still: str, first: int | None = None) -> str:
    """Return what replays a film: its last picture, and the film for the script below, in base64.

    ``first`` is the number of its first moment, where it is the one that the cells go on counting.
    """
    counted, hint = ("", "") if first is None else (f' data-first="{first}"', _HINT)
    return (
        f'<figure class="nv-player"{counted} aria-label="{_LABEL}">'
        f'<div class="nv-screen">{inline(still)}</div>'
        f'<script type="text/plain">{packed}</script>{hint}</figure>'
    )


def filmed(moments: Sequence[Moment], first: int) -> str:
    """Return a player of some moments; the first one has a number that the cells know."""
    frames = replay.frames(moments)
    return player(base64.b64encode(film(frames)).decode(), frames[-1].svg, first)


def view() -> str:
    """Return the script that shows films. It is no module: a page from a file may load none."""
    code = script().replace("export async function render", "async function render")
    return f"globalThis.netviz = (() => {{\n{code}\nreturn {{ render }};\n}})();\n"


def _variable(colour: str) -> str:
    return f"--nv-{colour[1:]}"
