"""Make of what matplotlib drew an SVG for everyone, and one whose parts can be told apart.

Each shape is one group: it has the shape's id, a hover title, and ``data-ends``, the ids of what it
is plugged into. Matplotlib gives neither those nor a description or a size in pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from netviz.picture.shapes import Cable, Label, Port
from netviz.picture.words import PLANNED

if TYPE_CHECKING:
    from netviz.picture.shapes import Plan, Shape

_SVG = "http://www.w3.org/2000/svg"
_FONT = re.compile("font-family: ('[^']*')")
_MADE_UP = re.compile(r" · (id|index) \d+$")  # In a plan: the kernel has not given it yet.
_LEVEL = "rotate(-0 "
_KIN = {
    "'DejaVu Sans'": "Verdana, sans-serif",
    "'DejaVu Sans Mono'": "Menlo, Consolas, monospace",
}
"""Families as wide as those that were measured, for machines that lack them."""


def parts(
    drawn: bytes, shapes: Sequence[Shape], counts: Sequence[int], *, ghost: bool = False
) -> list[str]:
    """Return each shape as SVG text of its own, out of matplotlib's drawing of them all.

    ``counts`` are the numbers of its artists. The parser writes all text anew, so a name can be
    nothing but text.
    """
    root = ElementTree.fromstring(drawn)
    _, *artists = root.iterfind(f"{{{_SVG}}}g/{{{_SVG}}}g")  # The page, then what is on it.
    rest, found = iter(artists), []
    for shape, count in zip(shapes, counts, strict=True):
        group = _group(shape, ghost=ghost)
        for artist in islice(rest, count):
            group.extend(_tidy(each) for each in artist.iter() if _name(each) != "g")
        found.append(ElementTree.tostring(group, encoding="unicode"))
    return found


def whole(plan: Plan, drawn: Sequence[str], background: str, alt: str) -> str:
    """Return a picture, made of its parts."""
    width, height = f"{plan.width:g}", f"{plan.height:g}"
    told = {"xmlns": _SVG, "width": width, "height": height, "viewBox": f"0 0 {width} {height}"}
    told |= {"style": "stroke-linejoin: round; stroke-linecap: butt", "role": "img"}
    told |= {"aria-label": alt} | ({"data-netviz": "plan"} if plan.ghost else {})
    root = ElementTree.Element("svg", told)
    _titled(root, alt)
    path = f"M 0 0 H {width} V {height} H 0 z"
    ElementTree.SubElement(root, "path", {"d": path, "style": f"fill: {background}"})
    head = ElementTree.tostring(root, encoding="unicode").removesuffix("</svg>")
    return "\n".join((head, *drawn, "</svg>\n"))


def boxed(svg: str) -> str:
    """Return a picture as HTML for a notebook: one that is too wide is scrolled by itself."""
    return f'<div style="overflow-x: auto">{svg}</div>'


def _group(shape: Shape, *, ghost: bool) -> ElementTree.Element:
    """Return the empty group of a shape."""
    if isinstance(shape, Label):
        return ElementTree.Element("g")
    group = ElementTree.Element("g", {"id": shape.gid})
    if ends := [*_ends(shape)]:
        group.set("data-ends", " ".join(ends))
    if shape.title:
        _titled(group, PLANNED + _MADE_UP.sub("", shape.title) if ghost else shape.title)
    return group


def _ends(shape: Shape) -> Iterator[str]:
    if isinstance(shape, Cable):
        yield from shape.owners
    elif isinstance(shape, Port) and shape.owner:
        yield shape.owner


def _tidy(element: ElementTree.Element) -> ElementTree.Element:
    """Return one of matplotlib's elements in fewer words, and with fonts for every machine."""
    told = element.attrib
    if "d" in told:
        told["d"] = " ".join(told["d"].split())
    if told.get("transform", "").startswith(_LEVEL):
        del told["transform"]
    if _name(element) == "text":
        told["style"] = _FONT.sub(_with_kin, told.get("style", ""))
    tidy = ElementTree.Element(_name(element), told)
    tidy.text = element.text
    return tidy


def _name(element: ElementTree.Element) -> str:
    return element.tag.removeprefix(f"{{{_SVG}}}")


def _with_kin(family: re.Match[str]) -> str:
    return f"font-family: {family[1]}, {_KIN[family[1]]}"


def _titled(element: ElementTree.Element, text: str) -> None:
    ElementTree.SubElement(element, "title").text = text
