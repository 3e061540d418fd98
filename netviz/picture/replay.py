"""A recording as something to look at: in a notebook, and as a page that needs nothing else.

Nothing is drawn while it is recorded; the pictures are drawn when somebody wants to see them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from netviz.picture.film import Camera, Frame
from netviz.picture.pages import player

if TYPE_CHECKING:
    from netviz.picture.recorder import Moment


def frames(moments: Iterable[Moment]) -> list[Frame]:
    """Return a picture of each moment, each box as near as may be to where it was before."""
    camera = Camera()
    taken = ((it, camera.take(it.network, it.changes)) for it in moments)
    return [replace(frame, at=moment.at, command=_typed(moment)) for moment, frame in taken]


def page(moments: Iterable[Moment], title: str) -> str:
    """Return a page that replays some moments: one HTML file, whole."""
    return player(frames(moments), title)


def show(moments: Iterable[Moment]) -> None:
    """Show some moments in a notebook, with a slider."""
    from netviz.picture.widgets import Shown

    Shown(frames(moments)).display()


def _typed(moment: Moment) -> str | None:
    """Return a command as it was typed: a line of a cell's has its exclamation mark."""
    if moment.command is None:
        return None
    mark = {"!": "!", "terminal": "$ "}.get(moment.command.kind, "")
    return mark + moment.command.text
