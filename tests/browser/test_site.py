"""The published lessons, each page in a real browser, from a folder: nobody serves them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import browsing, violations

from netviz.cli import main as program
from netviz.lab.filesystem import ROOT
from netviz.lab.lessons import published
from netviz.lab.resources import notebooks

if TYPE_CHECKING:
    from conftest import Visit
    from playwright.sync_api import Page

# On the machine itself: the lessons run in labs of their own, and the pages ask for nothing.
pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.outside(only=True)]

CHECKOUT = notebooks().parent
RUNS = CHECKOUT / "docs/_build/executed"
WIDTHS = {"phone": 360, "tablet": 820, "desktop": 1440}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the pages, made as ``make html`` makes them."""
    build = tmp_path_factory.mktemp("site")
    # What `make html` ran of the very same lessons is not run again; the gallery always is.
    with suppress(FileNotFoundError):
        shutil.copytree(RUNS, build / "executed", ignore=shutil.ignore_patterns("gallery-*", ".*"))
    environment = os.environ | {"NETVIZ_REPOSITORY": "someone/netviz"}
    command = [sys.executable, CHECKOUT / "docs/publish.py", build]
    made = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-4000:]
    return build / "html"


@pytest.fixture(scope="session")
def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


@pytest.fixture(scope="module")
def visit() -> Iterator[Visit]:
    with browsing() as visit:
        yield visit


@pytest.fixture
def page(visit: Visit) -> Page:
    """Return a page as wide as a desktop's, by day; what was asked and said before is forgotten."""
    for heard in (visit.asked, visit.errors, visit.said):
        heard.clear()
    visit.page.emulate_media(color_scheme="light", reduced_motion="no-preference", media="screen")
    visit.page.set_viewport_size({"width": WIDTHS["desktop"], "height": 900})
    return visit.page


def lesson(site: Path, number: str) -> str:
    return next((site / "lessons").glob(f"{number}*.html")).as_uri()


def test_every_page_is_whole_at_every_width(visit: Visit, page: Page, pages: list[Path]) -> None:
    too_wide = []
    for file in pages:
        page.goto(file.as_uri())
        for name, width in WIDTHS.items():
            page.set_viewport_size({"width": width, "height": 900})
            if page.evaluate("document.documentElement.scrollWidth") > width:
                too_wide.append((file.name, name))
            visit.shoot(f"site-{file.parent.name}-{file.stem}-{name}", whole=True, moves=False)
    assert too_wide == []
    assert (visit.errors, visit.said) == ([], [])
    assert [url for url in visit.asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_served_pages_ask_nobody_else(visit: Visit, page: Page, site: Path) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        home = f"http://127.0.0.1:{server.server_port}/"
        for name in ("index.html", "lessons/00-start-here.html", "search.html?q=bridge"):
            page.goto(home + name)
            page.wait_for_load_state("networkidle")
        server.shutdown()
    assert [url for url in visit.asked if not url.startswith((home, "data:", "blob:"))] == []
    assert (visit.errors, visit.said) == ([], [])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_accessible(page: Page, pages: list[Path], theme: str) -> None:
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    found = []
    for file in pages:
        page.goto(file.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach((it) => (it.open = true))")
        for rule in violations(page):
            found += [(file.name, rule["id"], node["html"][:200]) for node in rule["nodes"]]
    assert found == []


def test_every_link_leads_somewhere(page: Page, pages: list[Path], site: Path) -> None:
    places: dict[Path, set[str]] = {}
    links = set()
    for file in pages:
        page.goto(file.as_uri())
        places[file] = set(
            page.evaluate("[...document.querySelectorAll('[id]')].map((it) => it.id)")
        )
        found = page.evaluate("[...document.links].map((it) => it.href)")
        links |= {(file.name, *href.partition("#")[::2]) for href in found}
    dead = []
    for where, address, anchor in links:
        target = Path(address.removeprefix("file://"))
        if address.startswith("file:") and not target.exists():
            dead.append((where, address))
        elif anchor and target in places and anchor not in places[target]:
            dead.append((where, address, anchor))
    assert dead == []
    outside = {address for _, address, _ in links if not address.startswith("file:")}
    binder = "https://mybinder.org/v2/gh/someone/netviz/HEAD?urlpath=lab/tree/"
    tried = {address.removeprefix(binder) for address in outside if address.startswith(binder)}
    assert len(tried) == len(published(notebooks())) + 1
    assert all((CHECKOUT / name).exists() for name in tried)
    theme = {"https://pradyunsg.me", "https://github.com/pradyunsg/furo"}
    assert outside - {binder + name for name in tried} <= theme


def test_no_page_shows_a_traceback_or_this_machine(site: Path, pages: list[Path]) -> None:
    places = (sys.prefix, str(CHECKOUT), str(site.parent), str(ROOT), str(Path.home()))
    private = [each for each in places if each != "/"]
    for file in [*pages, *site.rglob("*.js")]:
        text = file.read_text(encoding="utf-8")
        assert "Traceback (most recent call last)" not in text, file
        assert [each for each in private if each in text] == [], file


def test_there_is_a_page_for_each_lesson_command_and_picture(page: Page, site: Path) -> None:
    for path in published(notebooks()):
        assert (site / "lessons" / f"{path.stem}.html").exists()
        assert (site / "notebooks" / path.name).read_bytes() == path.read_bytes()
    page.goto((site / "index.html").as_uri())
    assert page.locator("ol.nv-map > li").count() == 14
    assert page.locator("ol.nv-map > li svg").count() == 14
    assert page.locator("ol.nv-map a").count() == len(published(notebooks()))
    assert {each.stem for each in (site / "cli").glob("*.html")} == {*program.commands, "index"}


@pytest.mark.parametrize("name", ["lessons/00*", "lessons/02*", "lessons/04*", "gallery"])
def test_player_steps_and_ends_at_the_right_picture(page: Page, site: Path, name: str) -> None:
    address = next(site.glob(f"{name}.html")).as_uri()
    still = re.findall(
        r'<div class="nv-screen"><svg[^>]* aria-label="([^"]*)"',
        Path(address.removeprefix("file://")).read_text(encoding="utf-8"),
    )
    page.goto(address)
    players = page.locator(".nv-player")
    assert players.count() == len(still) > 0
    for place, last in enumerate(still):
        player = players.nth(place)
        shown = player.locator("svg").first
        player.get_by_role("slider").focus()
        seen = [shown.get_attribute("aria-label")]
        for _ in range(int(player.get_by_role("slider").get_attribute("max"))):
            player.get_by_role("button", name="Step forward").click()
            seen.append(shown.get_attribute("aria-label"))
        if last.startswith("The journey of"):  # It stands there whole, and plays hop by hop.
            assert "delivered" in seen[-1]
            assert [each.partition(" · ")[0] for each in seen][:2] == ["1", "2"]
        else:
            assert seen[-1] == last
        assert len(set(seen)) > 1
        player.get_by_role("slider").press("Home")
        begins = shown.get_attribute("aria-label")
        assert begins.startswith("1 · ") if last.startswith("The journey of") else begins == seen[0]


def test_lesson_is_read_by_keyboard_alone(page: Page, site: Path) -> None:
    page.goto(lesson(site, "00"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").strip() == "Skip to content"
    page.keyboard.press("Enter")
    reached = set()
    shown = page.locator(".nv svg").first.get_attribute("aria-label")
    for _ in range(60):
        page.keyboard.press("Tab")
        it = page.evaluate("(({ tagName, type }) => type || tagName)(document.activeElement)")
        reached.add(it)
        if it == "SUMMARY":
            page.keyboard.press("Enter")
        if it == "range":
            page.keyboard.press("End")
    assert {"A", "SUMMARY", "range", "button", "g"} <= reached
    assert page.locator("details:not([open]):not([hidden])").count() == 0
    assert page.locator(".nv svg").first.get_attribute("aria-label") != shown


def test_pinned_player_keeps_pace_with_the_reader(page: Page, site: Path) -> None:
    page.goto(lesson(site, "00"))
    shown = page.locator(".nv svg").first
    page.get_by_role("button", name="Pin").click()
    assert "net1" not in shown.get_attribute("aria-label")
    cell = page.locator("div.cell_input", has_text="ip netns list")
    cell.evaluate("(it) => it.scrollIntoView()")
    page.locator(".nv svg", has_text="net2").wait_for()
    cell = page.locator("div.cell_input", has_text="ping -c 3")
    cell.evaluate("(it) => it.scrollIntoView()")
    page.locator('.nv svg[aria-label*="10.0.0.1/24"]').wait_for()
    page.evaluate("scrollTo(0, 0)")
    page.locator('.nv svg[aria-label="The root namespace root has only a loopback."]').wait_for()


def test_motion_is_reduced_for_who_asks_for_it(page: Page, site: Path) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.goto(lesson(site, "00"))
    page.get_by_role("button", name="Step forward").click()
    assert page.evaluate("document.getAnimations().length") == 0


def test_term_tells_what_it_means_and_is_dismissed(page: Page, site: Path) -> None:
    page.goto(lesson(site, "02"))
    term = page.locator("a.nv-term").first
    content = "(it) => getComputedStyle(it, '::after').content"
    drawn = "(it) => getComputedStyle(it, '::after').display"
    assert term.evaluate(content) == "none"
    term.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert json.loads(term.evaluate(content)) == term.get_attribute("data-tip")
    page.keyboard.press("Escape")
    assert term.evaluate(drawn) == "none"
    page.keyboard.press("Enter")
    page.wait_for_url("**/glossary.html#term-*")


def test_commands_are_copied_without_marks(page: Page, site: Path) -> None:
    page.goto(lesson(site, "00"))
    page.evaluate(
        "addEventListener('copy', () => (window.copied = document.activeElement.value), true)"
    )
    copied = []
    for line in ("ip netns list", "ip -n net1 address add"):
        cell = page.locator("div.cell_input", has_text=line)
        cell.hover()
        cell.locator("button.copybtn").click()
        copied += page.evaluate("window.copied").split("\n")
    assert copied[:2] == ["ip netns add net1", "ip netns add net2"]
    assert copied[4:6] == ["", "ip -n net1 address add 10.0.0.1/24 dev eth0"]


def test_search_finds_from_a_folder(page: Page, site: Path) -> None:
    page.goto((site / "search.html").as_uri() + "?q=spanning+tree")
    page.locator("#search-results li a", has_text="How does a bridge join many?").wait_for()


def test_without_javascript_all_is_there_but_playing(visit: Visit, site: Path) -> None:
    context = visit.page.context.browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(lesson(site, "00"))
    assert "10.0.0.2/24" in page.locator(".nv-screen > svg").get_attribute("aria-label")
    assert page.locator(".nv-screen > svg").is_visible()
    assert not page.get_by_text("keeps pace").is_visible()
    summary = page.get_by_text("A solution")
    summary.click()
    assert page.get_by_text("ip netns add mine").last.is_visible()
    context.close()


def test_paper_has_the_solutions_and_no_buttons(page: Page, site: Path, tmp_path: Path) -> None:
    page.goto(lesson(site, "00"))
    solution = page.get_by_text("ip netns add mine").last
    assert not solution.is_visible()
    page.emulate_media(media="print")
    assert solution.bounding_box()["height"] > 10
    assert not page.get_by_role("button", name="Play").is_visible()
    page.pdf(path=tmp_path / "lesson.pdf", format="A4")
    assert (tmp_path / "lesson.pdf").read_bytes().count(b"/Type /Page\n") > 3
