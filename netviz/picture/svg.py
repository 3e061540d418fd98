"""Give a drawn SVG what matplotlib cannot: a description, hover titles, a size in pixels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from netviz.picture.shapes import Label
from netviz.picture.words import PLANNED

if TYPE_CHECKING:
    from netviz.picture.shapes import Plan

_SVG = "http://www.w3.org/2000/svg"
_FONT = re.compile("font-family: ('[^']*')")
_MADE_UP = re.compile(r" · (id|index) \d+$")  # In a plan: the kernel has not given it yet.
_KIN = {
    "'DejaVu Sans'": "Verdana, sans-serif",
    "'DejaVu Sans Mono'": "Menlo, Consolas, monospace",
}
"""Families as wide as those that were measured, for machines that lack them."""
_XLINK = "http://www.w3.org/1999/xlink"


def annotated(drawn: bytes, plan: Plan, alt: str) -> bytes:
    """Return a drawn plan as SVG for everyone: described as a whole, and titled part by part.

    The parser writes all text anew, so a name can be nothing but text.
    """
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(drawn)
    # Matplotlib's own description; and a style for all of the page that the picture may stand in.
    for name in ("metadata", "defs"):
        for element in root.findall(f"{{{_SVG}}}{name}"):
            root.remove(element)
    root.attrib |= {"style": "stroke-linejoin: round; stroke-linecap: butt", "role": "img"}
    root.attrib |= {"width": f"{plan.width:g}", "height": f"{plan.height:g}", "aria-label": alt}
    titles = {shape.gid: shape.title for shape in plan.shapes if not isinstance(shape, Label)}
    if plan.ghost:
        root.set("data-netviz", "plan")
        titles = {gid: PLANNED + _MADE_UP.sub("", title) for gid, title in titles.items() if title}
    for group in root.iter(f"{{{_SVG}}}g"):
        if title := titles.get(group.get("id", "")):
            _first(group, title)
    for element in root.iter(f"{{{_SVG}}}text"):
        element.set("style", _FONT.sub(_with_kin, element.get("style", "")))
    _first(root, alt)
    text: bytes = ElementTree.tostring(root, encoding="utf-8")
    return text + b"\n"


def _with_kin(family: re.Match[str]) -> str:
    return f"font-family: {family[1]}, {_KIN[family[1]]}"


def _first(element: ElementTree.Element, text: str) -> None:
    title = ElementTree.Element(f"{{{_SVG}}}title")
    title.text = text
    element.insert(0, title)
