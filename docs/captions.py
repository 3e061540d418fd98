"""Say of which level the headings in the list of pages are: the theme does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_LAST = 900


def setup(app: Sphinx) -> dict[str, bool]:
    """Add this to a build."""
    app.connect("html-page-context", level, priority=_LAST)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def level(app: Sphinx, name: str, template: str, context: dict[str, str], *_: object) -> None:
    """Complete the headings that the theme has put above its lists."""
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace(
        'role="heading"', 'role="heading" aria-level="2"'
    )
