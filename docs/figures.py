"""Pictures as parts of a page: in the page's own theme, and never twice the same id."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from assets import variable

from netviz.picture import replay
from netviz.picture.pages import encoded
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
_JOURNEY = "The journey of packets, hop by hop"
_HINT = """
<figcaption class="nv-hint">A recording of what the commands below do. Step through it; or
<b>Pin</b> it and read on: it keeps pace with you.</figcaption>
"""


def inline(svg: str, *, silent: bool = False) -> str:
    """Return a picture's SVG for the inside of a page, with the page's colours.

    ``silent`` is one that only adorns what is said beside it.
    """
    like = night()
    svg = _COLOUR.sub(lambda it: f"var({variable(it[0])})" if it[0] in like else it[0], svg)
    svg = _FOR_ONE_PAGE.sub("", svg)
    if silent:
        svg = re.sub(' role="img" aria-label="[^"]*"', ' aria-hidden="true"', svg, count=1)
        return _SIZE.sub("", re.sub("<title>[^<]*</title>", "", svg), count=1)
    width = float(_SIZE.search(svg)[1])
    room = f' style="width:{width:g}px;min-width:{_LEAST * width:.0f}px;'
    return svg.replace(' style="', room, 1)


def figure(svg: str) -> str:
    """Return a picture as a figure; one that is too wide is scrolled by itself."""
    return f'<figure class="nv-figure">{inline(svg)}</figure>'


def player(packed: str, still: str, first: int | None = None, told: str = "") -> str:
    """Return what replays a film: its last picture, and the film for the script below, in base64.

    ``first`` is the number of its first moment, where it is the one that the cells go on counting.
    A journey's has tables, ``told`` below the picture until it plays.
    """
    counted, hint = ("", "") if first is None else (f' data-first="{first}"', _HINT)
    label = _JOURNEY if told else _LABEL
    return (
        f'<figure class="nv-player"{counted} aria-label="{label}">'
        f'<div class="nv-screen">{inline(still)}{told}</div>'
        f'<script type="text/plain">{packed}</script>{hint}</figure>'
    )


def filmed(moments: Sequence[Moment], first: int) -> str:
    """Return a player of some moments; the first one has a number that the cells know."""
    frames = replay.frames(moments)
    return player(encoded(frames), frames[-1].svg, first)
