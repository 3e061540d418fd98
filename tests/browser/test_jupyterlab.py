"""The first lesson in a real browser: what a learner sees and does."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from conftest import add_cell, run_cell

if TYPE_CHECKING:
    from conftest import Visit

pytestmark = pytest.mark.browser


def test_lesson_is_open_beside_the_list_of_lessons(lesson: Visit) -> None:
    title = lesson.page.get_by_role("heading", name="What is this lab, and is it safe?")
    title.wait_for()
    names = lesson.page.locator(".jp-DirListing-itemText").all_inner_texts()
    assert [name for name in names if name.endswith(".ipynb")][:2] == [
        "00-start-here.ipynb",
        "01-namespaces.ipynb",
    ]
    assert lesson.page.locator(".jp-Toolbar-kernelName").inner_text() == "netviz lab"


def test_nothing_pops_up_and_nothing_fails(lesson: Visit) -> None:
    lesson.page.wait_for_load_state("networkidle")
    assert lesson.page.locator(".jp-Dialog, .Toastify__toast").all_inner_texts() == []
    assert lesson.errors == []


def test_page_asks_nobody_but_its_own_server(lesson: Visit) -> None:
    lesson.page.wait_for_load_state("networkidle")
    web = [urlsplit(url) for url in lesson.asked if not url.startswith(("data:", "blob:"))]
    assert {place.hostname for place in web} == {"127.0.0.1"}


def test_cell_of_the_lesson_shows_the_lab(lesson: Visit) -> None:
    shown = run_cell(lesson.page.locator(".jp-CodeCell", has_text="!hostname").first)
    assert [line.split()[0] for line in shown.splitlines()] == ["root", "lab", "lo"]


def test_learner_s_own_cells_build_a_namespace(lesson: Visit) -> None:
    shown = ""
    for code in ("!ip netns add net1", "!ip netns list"):
        shown = run_cell(add_cell(lesson.page, code))
    assert shown == "net1\n"


def test_term_of_a_lesson_opens_the_glossary_at_its_entry(lesson: Visit) -> None:
    lesson.page.get_by_role("link", name="root namespace").click()
    entry = lesson.page.locator(".jp-MarkdownViewer h2", has_text="root namespace")
    entry.wait_for()
    inside = "(it) => { const { top } = it.getBoundingClientRect(); return 0 < top && top < 500; }"
    lesson.page.wait_for_function(f"(it) => ({inside})(it)", arg=entry.element_handle())
    lesson.shoot("glossary-in-jupyterlab")
