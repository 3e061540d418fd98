"""Link each term of the glossary where a page first uses it, with what it means as a tooltip.

The notebooks say nothing of it: in JupyterLab a term is plain text. The tooltip is an attribute,
which the style sheet shows, so it needs no script and is in no search result.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx import addnodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

GLOSSARY = "glossary"
_OTHERWISE = (
    nodes.reference, nodes.literal, nodes.title, nodes.raw, nodes.literal_block, addnodes.desc,
    nodes.field_list, nodes.strong,
)  # fmt: skip
_EVERYDAY = frozenset({"flow", "frame", "learning", "link", "port", "socket", "switch"})
"""Everyday words as well: they are linked only where the text introduces them, in italics."""
_CHINESE = re.compile(r"\s*\([^()]*[\u4e00-\u9fff][^()]*\)\s*$")


def setup(app: Sphinx) -> dict[str, bool]:
    """Add this to a build."""
    app.connect("doctree-resolved", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def link(app: Sphinx, document: nodes.document, name: str) -> None:
    """Link the terms of a lesson."""
    if name == GLOSSARY:
        _say_what_is_chinese(document)
    if not name.startswith("lessons/"):
        return
    entries = {term: entry for entry in _entries(app) for term in entry.terms}
    # What is longer comes first: a network namespace is no network.
    ways = sorted(entries, key=len, reverse=True)
    pattern = re.compile("|".join(rf"\b({_either_case(term)})(?:s|es)?\b" for term in ways))
    home = app.builder.get_relative_uri(name, GLOSSARY)
    left = set(entries.values())
    for text in [*_prose(document)]:
        made, end = [], 0
        for found in pattern.finditer(text.astext()):
            term = ways[found.lastindex - 1]
            introduced = isinstance(text.parent, nodes.emphasis)
            if (entry := entries[term]) in left and (introduced or term not in _EVERYDAY):
                left.remove(entry)
                made += [nodes.Text(text.astext()[end : found.start()]), entry.link(home, found[0])]
                end = found.end()
        if made:
            text.parent.replace(text, [*made, nodes.Text(text.astext()[end:])])


def _either_case(term: str) -> str:
    """Return a pattern for a term: a sentence may begin with it, but a Service is no service."""
    first, rest = term[0], re.escape(term[1:])
    return f"[{first}{first.upper()}]{rest}" if term == term.casefold() else re.escape(term)


@dataclass(frozen=True)
class Entry:
    """An entry of the glossary: its terms, its anchor, what it means."""

    terms: tuple[str, ...]
    anchor: str
    meaning: str

    def link(self, home: str, word: str) -> nodes.raw:
        """Return a word that leads to it."""
        where, tip = escape(f"{home}#{self.anchor}"), escape(self.meaning)
        text = f'<a class="nv-term" href="{where}" data-tip="{tip}">{escape(word)}</a>'
        return nodes.raw("", text, format="html")


def _entries(app: Sphinx) -> Iterator[Entry]:
    for item in app.env.get_doctree(GLOSSARY).findall(nodes.definition_list_item):
        terms = [child for child in item.children if isinstance(child, nodes.term)]
        told = " ".join(item.children[-1].astext().split())
        names = tuple(term.astext() for term in terms)
        yield Entry(names, terms[0]["ids"][0], _CHINESE.sub("", told))


def _say_what_is_chinese(document: nodes.document) -> None:
    """Mark the Chinese names, for whoever hears the page, and for the choice of fonts."""
    for text in [*document.findall(nodes.Text)]:
        if found := _CHINESE.search(text.astext()):
            chinese = nodes.raw(
                "", f' <span lang="zh-Hans">{found[0].strip()}</span>', format="html"
            )
            text.parent.replace(text, [nodes.Text(text.astext()[: found.start()]), chinese])


def _prose(document: nodes.document) -> Iterator[nodes.Text]:
    """Yield what is read as it stands: neither code nor titles, nor what is folded away."""
    folded = False
    for node in document.findall():
        if isinstance(node, nodes.raw):
            folded = "<details" in node.astext() or (folded and "</details" not in node.astext())
        elif isinstance(node, nodes.Text) and not folded and _is_prose(node):
            yield node


def _is_prose(text: nodes.Text) -> bool:
    above = [text.parent]
    while above[-1] is not None:
        above.append(above[-1].parent)
    otherwise = any(isinstance(each, _OTHERWISE) for each in above)
    return not otherwise and any(isinstance(each, nodes.paragraph) for each in above)
