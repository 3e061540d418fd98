"""The glossary, read from where the lessons have it, and shown in their pages.

A lesson links a term where it first uses it, as JupyterLab follows it: ``[veth
pair](glossary.md#veth-pair)``. In a page the link gets what the term means as a tooltip: an
attribute, which the style sheet shows, so it needs no script and is in no search result.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

_ENTRY = re.compile(
    r"^## (?P<term>.+)\n\n(?P<chinese>[^·\n]+)(?: · (?:also|here too:) \*(?P<others>[^·\n]+)\*)?"
    r" · (?P<lesson>[^·\n]+)\n\n(?P<meaning>(?:.+\n)+)",
    re.MULTILINE,
)
_LINK = re.compile(
    r"\[(?P<word>[^\]]+)\]\(glossary\.md#(?P<to>[\w-]+)\)"
    r'|<a href="glossary\.md#(?P<box_to>[\w-]+)">(?P<box_word>[^<]+)</a>'
)


@dataclass(frozen=True)
class Entry:
    """An entry: its term, other words for it, its Chinese name, what it means, where it is new."""

    term: str
    others: tuple[str, ...]
    chinese: str
    meaning: str
    lesson: str

    @property
    def anchor(self) -> str:
        """The name by which JupyterLab knows the term's heading."""
        return self.term.replace(" ", "-")


def entries(glossary: str) -> list[Entry]:
    """Return the entries of the glossary, in its order."""
    return [
        Entry(
            found["term"],
            tuple((found["others"] or "").replace("*", "").split(", ")) if found["others"] else (),
            found["chinese"],
            " ".join(found["meaning"].split()),
            found["lesson"],
        )
        for found in _ENTRY.finditer(glossary)
    ]


def linked(text: str, glossary: list[Entry], address: str) -> str:
    """Return a lesson's text in which its links to the glossary lead to the page at ``address``."""
    meanings = {entry.anchor: entry.meaning.replace("`", "") for entry in glossary}

    def link(found: re.Match[str]) -> str:
        to, word = found["to"] or found["box_to"], found["word"] or found["box_word"]
        where, tip = f"{address}#term-{to}", escape(meanings[to])
        return f'<a class="nv-term" href="{where}" data-tip="{tip}">{word}</a>'

    return _LINK.sub(link, text)


def page(glossary: str) -> str:
    """Return the glossary as Sphinx shall read it: the same text, its entries as definitions.

    The Chinese names are marked, for whoever hears the page, and for the choice of fonts.
    """
    head = glossary[: glossary.index("\n## ")]
    shown = [
        "\n".join((entry.term, *entry.others))
        + f'\n  {entry.meaning} <span lang="zh-Hans">({entry.chinese})</span>'
        + f" · {entry.lesson.replace('](', '](lessons/')}\n"
        for entry in entries(glossary)
    ]
    return "\n".join([head, "```{glossary}", ":sorted:", "", *shown, "```", ""])
