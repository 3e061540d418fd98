"""Give a drawn SVG what matplotlib cannot: a description, hover titles, a size in pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

from netviz.picture.shapes import Label

if TYPE_CHECKING:
    from netviz.picture.shapes import Plan

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"


def annotated(drawn: bytes, plan: Plan, alt: str) -> bytes:
    """Return a drawn plan as SVG for everyone: described as a whole, and titled part by part.

    The parser writes all text anew, so a name can be nothing but text.
    """
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(drawn)
    metadata = root.find(f"{{{_SVG}}}metadata")
    if metadata is not None:
        root.remove(metadata)
    root.set("width", f"{plan.width:g}")
    root.set("height", f"{plan.height:g}")
    root.set("role", "img")
    root.set("aria-label", alt)
    titles = {shape.gid: shape.title for shape in plan.shapes if not isinstance(shape, Label)}
    for group in root.iter(f"{{{_SVG}}}g"):
        title = titles.get(group.get("id", ""))
        if title:
            _first(group, title)
    _first(root, alt)
    text: bytes = ElementTree.tostring(root, encoding="utf-8")
    return text + b"\n"


def _first(element: ElementTree.Element, text: str) -> None:
    title = ElementTree.Element(f"{{{_SVG}}}title")
    title.text = text
    element.insert(0, title)
