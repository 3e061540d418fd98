"""The glossary: each term once, in both languages, and linked where a lesson first uses it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from runpy import run_path
from types import SimpleNamespace

import pytest
from lessons import LESSONS, Lesson, each_lesson

from netviz.lab.resources import notebooks

EVERYDAY = frozenset({"flow", "frame", "learning", "link", "port", "socket", "switch"})
"""Everyday words as well: they are terms only where the text introduces them, in italics."""
LINK = re.compile(r"glossary\.md#([^)\"]+)")
# What is shown otherwise than as a sentence: folds, boxes, code, titles, pictures, links, tables.
OTHERWISE = re.compile(
    r"<details>.*?</details>|<div.*?</div>|```.*?```|`[^`]*`|^#.*?$|\*\*.*?\*\*|!?\[[^]]*\]\(.*?\)",
    re.DOTALL | re.MULTILINE,
)
SENTENCE_ENDS = re.compile(r"[.!?](?=\s)")


GLOSSARY = (notebooks() / "glossary.md").read_text(encoding="utf-8")
TERMS = SimpleNamespace(**run_path(str(notebooks().parent / "docs/terms.py"), run_name="terms"))
ENTRIES = TERMS.entries(GLOSSARY)
NAMES = {name: entry.anchor for entry in ENTRIES for name in (entry.term, *entry.others)}


def either_case(term: str) -> str:
    """Return a pattern for a term: a sentence may begin with it, but a Service is no service."""
    first, rest = term[0], re.escape(term[1:])
    return f"[{first}{first.upper()}]{rest}" if term == term.casefold() else re.escape(term)


# What is longer comes first: a network namespace is no namespace.
WAYS = sorted(NAMES, key=len, reverse=True)
USED = re.compile("|".join(rf"\b({either_case(term)})(?:s|es)?\b" for term in WAYS))


def used(source: str) -> Iterator[tuple[int, int, str]]:
    """Yield each term that the sentences of a cell use: where, up to where, and its anchor."""
    prose = OTHERWISE.sub(lambda it: " " * len(it[0]), source)
    for found in USED.finditer(prose):
        term = WAYS[found.lastindex - 1]
        introduced = prose[found.start() - 1] == prose[found.end()] == "*"
        if introduced or term not in EVERYDAY:
            yield found.start(), found.end(), NAMES[term]


def linked(lesson: Lesson) -> list[str]:
    """Return the anchors that a lesson links, in its order."""
    return LINK.findall(lesson.prose)


@each_lesson
def test_term_is_linked_where_a_lesson_first_uses_it(lesson: Lesson) -> None:
    # What it says before its first cell, its title and what one can afterwards, is no use yet.
    known, unlinked = set(), []
    for cell in lesson.cells("markdown")[1:]:
        links = [(found.start(), found.end(), found[1]) for found in LINK.finditer(cell.source)]
        for start, _, anchor in sorted([*links, *used(cell.source)]):
            if anchor not in known and (start, anchor) not in {(at, to) for at, _, to in links}:
                unlinked.append((cell.id, anchor))
            known.add(anchor)
    assert unlinked == []


@each_lesson
def test_term_is_linked_once_and_neither_in_titles_nor_in_folds(lesson: Lesson) -> None:
    assert [anchor for anchor, times in Counter(linked(lesson)).items() if times > 1] == []
    for part in re.findall(r"^#[^\n]*$|<details>.*?</details>", lesson.prose, re.M | re.S):
        assert not LINK.search(part)


@each_lesson
def test_link_leads_to_an_entry(lesson: Lesson) -> None:
    assert {*linked(lesson)} <= {*NAMES.values()}


def test_entry_names_the_lesson_that_introduces_it() -> None:
    first: dict[str, str] = {}
    for path in LESSONS:
        for anchor in linked(Lesson(path)):
            first.setdefault(anchor, f"[lesson {path.name[:2]}]({path.name})")
    for entry in ENTRIES:
        assert entry.lesson == first.get(entry.anchor), f"{entry.term}: no lesson uses it so"


def test_each_term_is_there_once_and_in_order() -> None:
    headings = re.findall("^## (.*)$", GLOSSARY, re.MULTILINE)
    assert [entry.term for entry in ENTRIES] == headings
    assert headings == sorted(headings, key=str.casefold)
    names = Counter(n.casefold() for each in ENTRIES for n in (each.term, *each.others))
    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.anchor)
def test_entry_is_one_sentence_and_has_its_chinese_name(entry: object) -> None:
    assert entry.meaning.endswith(".")
    assert not SENTENCE_ENDS.search(entry.meaning)
    assert len(entry.meaning.split()) <= 45
    assert re.search("[\u4e00-\u9fff]", entry.chinese)
    # JupyterLab makes the anchor of the title as it stands: it must need no escapes in a link.
    assert re.fullmatch(r"[\w -]+", entry.term)


def test_page_keeps_every_word_of_a_lesson_and_tells_what_terms_mean() -> None:
    text = 'A [bridge](glossary.md#bridge), <a href="glossary.md#ARP">ARP</a>, [other](x.md#y).'
    shown = TERMS.linked(text, ENTRIES, "../glossary.html")
    assert re.sub("<[^>]*>", "", shown) == "A bridge, ARP, [other](x.md#y)."
    assert shown.count('class="nv-term" href="../glossary.html#term-') == 2
    assert 'data-tip="A switch made by the kernel' in shown
