"""Predictions in a real JupyterLab: chosen by hand, closed when revealed, and kept as progress."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import add_cell, run_cell

if TYPE_CHECKING:
    from conftest import Visit
    from playwright.sync_api import Locator

pytestmark = [pytest.mark.browser, pytest.mark.long]

ASK = """import netviz as nv
guess = nv.predict("What says `hostname`, <b>here</b>?", ["inside", "lab", "<i>"], "hostname")"""


def ask(lesson: Visit) -> Locator:
    """Ask below the lesson, and return the question."""
    cell = add_cell(lesson.page, ASK)
    run_cell(cell)
    question = cell.get_by_role("group", name="Predict")
    question.wait_for()
    return question


def marks(question: Locator) -> list[str]:
    return question.locator("label b").all_inner_texts()


def saved(lesson: Visit, folder: Path) -> str:
    """Save the notebook, and return what stands beside the widgets of its outputs."""
    lesson.page.keyboard.press("Control+s")
    lesson.page.wait_for_function("!document.querySelector('.jp-mod-dirty')")
    notebook = json.loads(next(folder.rglob("00-start-here.ipynb")).read_text())
    outputs = (output for cell in notebook["cells"] for output in cell.get("outputs", ()))
    return "".join("".join(it.get("data", {}).get("text/html", "")) for it in outputs)


def test_choice_is_open_until_it_is_revealed_and_is_kept(lesson: Visit, tmp_path: Path) -> None:
    question = ask(lesson)
    assert "What says hostname, <b>here</b>?" in question.inner_text()
    status = question.get_by_role("status")
    assert status.inner_text() == "Choose one before you go on."
    question.get_by_label("lab").click()
    lesson.page.keyboard.press("ArrowUp")
    assert question.get_by_role("radio", checked=True).get_attribute("value") == "0"
    assert "You may change it" in status.inner_text()
    lesson.shoot("predict-open")
    told = run_cell(add_cell(lesson.page, "guess.reveal(why='It has a name of its own.')"))
    assert "✗ Not so: you predicted “inside”." in told
    assert "What happened: lab" in told
    assert marks(question) == ["✗ your prediction", "← what happened", ""]
    assert status.inner_text() == "✗ Not so: you predicted “inside”."
    assert question.get_by_role("radio", disabled=True).count() == 3
    lesson.shoot("predict-revealed")
    kept = json.loads(next(tmp_path.rglob("progress.json")).read_text())
    (task,) = kept["lessons"]["00-start-here"]["prediction"].values()
    assert task == {"attempts": 1, "right": 0, "solved": None}

    second = ask(lesson)  # Nobody chooses, as in a run of all cells.
    run_cell(add_cell(lesson.page, "guess.reveal()\nnv.progress()"))
    assert second.get_by_role("status").inner_text() == "You made no prediction."
    assert marks(question) == ["✗ your prediction", "← what happened", ""]
    html = saved(lesson, tmp_path)
    assert "<p>What says <code>hostname</code>, &lt;b&gt;here&lt;/b&gt;?</p>" in html
    assert html.count("<li>lab <strong>← what happened</strong></li>") == 2
    lesson.page.get_by_text("Settings", exact=True).click()
    lesson.page.get_by_text("Theme", exact=True).hover()
    lesson.page.get_by_text("JupyterLab Dark", exact=True).click()
    lesson.page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    second.scroll_into_view_if_needed()
    lesson.shoot("predict-dark")
    assert lesson.errors == []
