"""A browser for the tests, which speaks to the test's own loopback and to nobody else."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers import served

from netviz.lab.resources import notebooks

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

AXE = notebooks().parent / "docs/node_modules/axe-core/axe.min.js"
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# What a browser of its own accord asks the network for is turned off.
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Visit:
    """A page, the addresses it asked for, what went wrong on it, and what its console says."""

    page: Page
    asked: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def shoot(self, name: str, *, whole: bool = False, moves: bool = True) -> None:
        """Keep a screenshot, to be looked at, where ``NETVIZ_SHOTS`` names a folder for them."""
        if folder := os.environ.get("NETVIZ_SHOTS"):
            file = Path(folder) / f"{name}.png"
            file.unlink(missing_ok=True)  # It may be that of another user.
            if moves:
                self.page.wait_for_timeout(500)  # What comes has come.
            self.page.screenshot(path=file, full_page=whole)


@contextmanager
def browsing() -> Iterator[Visit]:
    """Open a page in a new browser, and listen to what it does."""
    # Here, because the tests of this folder are also collected where they are left out.
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("this machine has no chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(OPTIONS))
        visit = Visit(browser.new_page(viewport={"width": 1280, "height": 860}))
        visit.page.on("request", lambda request: visit.asked.append(request.url))
        visit.page.on("console", lambda told: visit.said.append(f"{told.type}: {told.text}"))
        visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
        yield visit
        browser.close()


def violations(page: Page) -> list[dict]:
    """Return the rules of accessibility that a page breaks, with the places.

    All that axe has to tell, of what is as it should be too, takes longer to come than to find.
    """
    page.evaluate(AXE.read_text())
    find = "(levels) => axe.run({ runOnly: levels }).then((told) => told.violations)"
    return page.evaluate(find, LEVELS)


def run_cell(cell: Locator) -> str:
    """Run a cell as a learner does, and return what it shows when it has ended."""
    cell.locator(".cm-content").click()
    cell.page.keyboard.press("Control+Enter")
    cell.locator(".jp-InputPrompt", has_text=re.compile("[0-9]")).wait_for()
    return cell.locator(".jp-OutputArea").inner_text()


def add_cell(page: Page, code: str) -> Locator:
    """Return a new cell at the end of the notebook, with code in it."""
    empty = page.locator(".cm-content", has_text=re.compile("^$"))
    fresh = page.locator(".jp-CodeCell.jp-mod-active", has=empty)
    # The notebook may move under a click, and far cells are not in the page.
    while not fresh.count():
        page.locator(".jp-Notebook-footer").click()
        page.wait_for_timeout(300)
    name = uuid.uuid4().hex
    fresh.evaluate("(cell, name) => (cell.dataset.added = name)", name)
    cell = page.locator(f'[data-added="{name}"]')
    cell.locator(".cm-content").click()
    page.keyboard.insert_text(code)
    return cell


@pytest.fixture
def lesson(tmp_path: Path) -> Iterator[Visit]:
    """Open the first lesson in JupyterLab, as ``netviz lab`` does, and wait for its kernel."""
    with served(home=tmp_path) as server, browsing() as visit:
        visit.page.goto(server.url)
        visit.page.get_by_role("button", name="netviz lab | Idle").wait_for()
        yield visit
