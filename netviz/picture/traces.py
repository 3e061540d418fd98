"""A command that was followed, as something to look at: tables, pictures, a player, files."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, overload
from xml.etree import ElementTree

from rich.console import Console, Group
from rich.text import Text

from netviz.errors import NetvizError
from netviz.graphs import graph
from netviz.journeys import LOST, Followed, Journey
from netviz.picture import hops, words
from netviz.picture.corners import Corners
from netviz.picture.curve import Way, laid
from netviz.picture.drawing import FORMATS, Picture, pieces, text_width
from netviz.picture.film import Camera, Frame
from netviz.picture.layout import layout
from netviz.picture.pages import player
from netviz.picture.svg import boxed
from netviz.picture.themes import THEMES
from netviz.records import write
from netviz.text import printable

if TYPE_CHECKING:
    from netviz.model import JSON
    from netviz.packets.tracer import Flow
    from netviz.picture.lines import Line
    from netviz.picture.shapes import Shape

WRITTEN = ("html", "json", "pcapng", *FORMATS)
"""The formats of a trace."""
_WIDTH = 100
_MOST_SHOWN = 60
_MOST_PRINTED = 20_000
"""Letters of a command's output, that a page has of it."""
_PRINTED = "What the command printed"
_SPEED = 150.0
"""Pixels a second, of the dot that moves along a curve."""
_CALM = "@media (prefers-reduced-motion: reduce) { .nv-dot { display: none; } }"


def trace(
    where: str,
    command: str | Sequence[str] | Flow,
    *,
    count: int = 100,
    timeout: float = 30.0,
    heard: Callable[[str], object] = lambda piece: None,
) -> Trace:
    """Return what became of the packets that a command sends from a namespace, hop by hop.

    The command is a line for the shell, or a ``Flow``: one packet without a program. The first
    ``count`` packets are told of. After ``timeout`` seconds, or by an interrupt, the command is
    ended, and what was seen is told. ``heard`` is called with what it prints, while it runs.

    Equivalent to: ``tcpdump`` on every interface at once, and putting it all together by hand.

    Raises ``TraceError`` where there is no such namespace or program, or the kernel refuses.
    """
    from netviz.packets.tracer import follow

    return Trace(follow(where, command, count=count, timeout=timeout, heard=heard))


class Trace(Followed, Sequence[Journey]):
    """The journeys of a command's packets, by time; printed, they are tables of their hops.

    It has all that a `Followed` has: ``journeys``, the ``network``, ``packets`` …
    """

    def __init__(self, seen: Followed) -> None:
        super().__init__(*(getattr(seen, field.name) for field in fields(seen)))

    def __len__(self) -> int:
        """Return the number of journeys."""
        return len(self.journeys)

    @overload
    def __getitem__(self, number: int) -> Journey: ...
    @overload
    def __getitem__(self, number: slice) -> tuple[Journey, ...]: ...
    def __getitem__(self, number: int | slice) -> Journey | tuple[Journey, ...]:
        """Return a journey by its number, from 0."""
        return self.journeys[number]

    def __repr__(self) -> str:
        """Return the tables."""
        return self.table()

    def __rich__(self) -> Group:
        """Return the tables for a terminal."""
        shown = [hops.table(journey) for journey in self]
        return Group(*shown, *(Text(line) for line in self._remarks()))

    def table(self, width: int = _WIDTH) -> str:
        """Return a table of hops for each journey, so many letters wide."""
        shown = io.StringIO()
        Console(file=shown, width=width, color_system=None).print(self)
        return "\n".join(line.rstrip() for line in shown.getvalue().splitlines())

    def draw(self, number: int | None = None, *, theme: str = "light") -> Picture:
        """Return the network with the way of a journey over it, its hops numbered.

        Without its ``number``, from 0, it is the first that is lost and not a prelude, else the
        first that is not a prelude. In the SVG a dot moves along the way, if the reader's system
        does not ask for less motion.

        Raises ``NetvizError`` for a journey or a theme that there is not.
        """
        if theme not in THEMES:
            known = ", ".join(THEMES)
            raise NetvizError(f"there is no theme '{theme}'", remedy=f"choose of: {known}")
        journey = self._chosen(number)
        heading = hops.title(journey, 48) if journey else None
        plan = layout(graph(self.network), text_width, title=heading)
        alt = words.alternative(self.network)
        if journey is None:
            return Picture(plan, THEMES[theme], alt)
        way, last = Way(Corners(plan, text_width), journey, hops.said), len(journey.hops)
        shapes = laid(plan, way.curves(last), way.numbers(last))
        drawn = replace(plan, shapes=shapes)
        return _Moving(drawn, THEMES[theme], f"{hops.told(journey)} {alt}", way.line)

    def frames(self) -> list[Frame]:
        """Return a picture of each hop, by time, and with it what the packet is there."""
        base = Camera().take(self.network)
        base = replace(base, trouble=" ".join(self._remarks()) or None)
        corners = Corners(base.plan, text_width)
        shot: list[tuple[int, int, tuple[Shape, ...]]] = []
        for number in self._shown():
            way = Way(corners, self[number], hops.said)
            for place, hop in enumerate(self[number]):
                now = hop.number
                over = [*way.packet(now), *way.numbers(now)]
                shot.append((number, place, laid(base.plan, way.curves(now), over)))
        shapes = dict.fromkeys(shape for *_, some in shot for shape in some)
        drawn = dict(zip(shapes, pieces(base.plan, THEMES["light"], [*shapes]), strict=True))
        frames = [self._frame(base, *each, tuple(drawn[it] for it in each[-1])) for each in shot]
        first, *rest = frames or [base]
        return [replace(first, printed=self._printed()), *rest]

    def _frame(
        self,
        base: Frame,
        number: int,
        place: int,
        shapes: tuple[Shape, ...],
        parts: tuple[str, ...],
    ) -> Frame:
        """Return the frame of one hop, with the seconds since the first packet was seen."""
        journey = self[number]
        hop, chosen = journey.hops[place], journey is self._chosen(None)
        which = f"packet {number + 1} of {len(self)} · hop {place + 1} of {len(journey.hops)}"
        return Frame(
            plan=replace(base.plan, shapes=shapes),
            parts=parts,
            cards=base.cards,
            alt=f"{hops.said(hop)}. {base.alt}",
            told=tuple(hops.changed(hop)),
            trouble=base.trouble,
            at=(hop.packet.at - self._start) / 1e9 if hop.packet else None,
            command=f"{which} · {hops.where(hop)} · {hop.direction}",
            hop=hops.headers(journey, hop) | {"journey": number, "chosen": chosen},
        )

    def to_dict(self) -> JSON:
        """Return the command with its output and status, the drops, and the journeys."""
        own = ("command", "output", "status", "drops")
        told: JSON = {name: getattr(self, name) for name in own}
        return told | {"journeys": [journey.to_dict() for journey in self]}

    def to_html(self, title: str | None = None) -> str:
        """Return it as one page that shows it hop by hop, whole.

        It needs no network, and where there is no JavaScript it shows the picture and the tables.
        """
        named = title or f"The journey of {printable(self.command) or 'packets'}"
        return player(self.frames(), named, self._still())

    def exported(self, fmt: str) -> str | bytes:
        """Return it as ``html``, as ``json``, its packets as ``pcapng``, for Wireshark, or drawn.

        Raises ``NetvizError`` for another format.
        """
        if fmt in FORMATS:
            return self.draw().render(fmt)
        if fmt == "pcapng":
            from netviz.packets.pcapng import written

            return written(self.packets)
        if fmt == "json":
            return json.dumps(self.to_dict(), indent=2) + "\n"
        if fmt == "html":
            return self.to_html()
        known = ", ".join(WRITTEN)
        raise NetvizError(f"cannot export a trace as {fmt!r}", remedy=f"the formats are: {known}")

    def save(self, file: str | Path) -> None:
        """Write it to a file: a page, its packets, JSON or a picture, by how the name ends.

        Raises ``NetvizError`` for any other ending, and where the file cannot be written.
        """
        write(file, "the trace", self.exported(Path(file).suffix.lstrip(".").lower()))

    def _chosen(self, number: int | None) -> Journey | None:
        if number is None:
            own = [journey for journey in self if not journey.prelude]
            lost = [journey for journey in own if journey.fate == LOST]
            return next(iter(lost or own or self), None)
        if not -len(self) <= number < len(self):
            count = f"it has {len(self)} journeys, counted from 0"
            raise NetvizError(f"there is no journey {number}", remedy=count)
        return self.journeys[number]

    @cached_property
    def _start(self) -> int:
        return min((hop.packet.at for each in self for hop in each if hop.packet), default=0)

    def _shown(self) -> list[int]:
        """Return the numbers of the journeys that a page has; the one to begin with is in it."""
        chosen = (n for n, each in enumerate(self) if each is self._chosen(None))
        return sorted({*chosen, *range(min(len(self), _MOST_SHOWN))})

    def _printed(self) -> str:
        """Return what the command printed, or the beginning of it."""
        text, rest = self.output[:_MOST_PRINTED].expandtabs(), len(self.output) - _MOST_PRINTED
        more = [f"… and {rest} more letters"] if rest > 0 else []
        return "\n".join([*map(printable, text.splitlines()), *more])

    def _remarks(self) -> Iterator[str]:
        if not self.journeys:
            yield "No packet was seen."
        if self.drops:
            yield f"{self.drops} packets were dropped by the kernel at the taps: not all is told."

    def _still(self) -> str:
        """Return the picture and the tables as HTML: what stands where nothing plays."""
        shown, remarks = self._shown(), [*self._remarks()]
        tables = "".join(hops.html(self[number]) for number in shown)
        if len(self) > len(shown):
            remarks.append(f"{len(self) - len(shown)} more journeys are not shown.")
        told = "".join(f"<p>{line}</p>\n" for line in remarks)
        if printed := escape(self._printed()):
            told += f"<details><summary>{_PRINTED}</summary><pre>{printed}</pre></details>\n"
        return f"{boxed(self.draw().svg)}\n{tables}{told}"

    def _ipython_display_(self) -> None:
        from netviz.picture.widgets import Shown

        Shown(self.frames(), html=self._still(), text=self.table()).display()


@dataclass(eq=False)
class _Moving(Picture):
    """A picture in whose SVG a dot moves along a line."""

    line: Line

    __repr__ = Picture.__repr__

    @cached_property
    def svg(self) -> str:
        """The picture as SVG text."""
        still = super().svg
        if not self.line.length:
            return still
        points = " L ".join(f"{x:.1f} {y:.1f}" for x, y in self.line.points)
        style = f"fill: {self.theme.page}; stroke: {self.theme.path}; stroke-width: 2.6"
        dot = ElementTree.Element("circle", {"class": "nv-dot", "r": "5.5", "style": style})
        seconds = max(2.5, self.line.length / _SPEED)
        told = {"dur": f"{seconds:.1f}s", "repeatCount": "indefinite", "path": f"M {points}"}
        ElementTree.SubElement(dot, "animateMotion", told)
        moving = ElementTree.tostring(dot, encoding="unicode")
        return still.replace("</svg>\n", f"<style>{_CALM}</style>\n{moving}\n</svg>\n")
