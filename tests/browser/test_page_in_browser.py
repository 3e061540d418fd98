"""The pages: a recording that is replayed from a file, and the page that follows a network."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import browsing

import netviz
from netviz.lab.attaching import listener
from netviz.lab.filesystem import ROOT
from netviz.picture.live import Live
from netviz.picture.watching import Page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Visit
    from playwright.sync_api import Locator

pytestmark = [pytest.mark.browser, pytest.mark.long]

NAMES = ("one", "<script><b>--><!--", "three")
SERVING = """
from netviz.picture.live import Live
from netviz.lab.attaching import listener
from netviz.picture.watching import Page
page = Page(Live(), listener())
print(page.url, flush=True)
page.serve_forever()
"""


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Return a file that replays how three namespaces were made, one after the other."""
    with netviz.record() as recording:
        for name in NAMES:
            subprocess.run(["ip", "netns", "add", name], check=True)
            assert len(recording) > 1  # It looks now.
    recording.to_html(tmp_path / "recorded.html", title="Three <rooms>")
    return tmp_path / "recorded.html"


def names(visit: Visit) -> list[str]:
    """Return the namespaces that are shown, without the root."""
    return visit.page.locator('.nv svg [id^="ns-"]').evaluate_all(
        "all => all.slice(1).map((each) => each.querySelector('text').textContent)"
    )


def test_recording_is_stepped_by_keyboard_from_a_file(recorded: Path) -> None:
    with browsing() as visit:
        visit.page.goto(recorded.as_uri())
        visit.page.locator(".nv svg text", has_text="three").wait_for()
        seen = [names(visit)]
        for key in ("ArrowLeft", "ArrowLeft", "PageUp", "ArrowRight"):
            visit.page.keyboard.press(key)
            seen.append(names(visit))
        assert [len(each) for each in seen] == [3, 2, 1, 0, 1]
        assert visit.page.get_by_role("heading", name="Three <rooms>").is_visible()
        visit.page.get_by_role("slider").focus()
        visit.page.keyboard.press("End")
        assert len(names(visit)) == 3
        assert visit.asked == [recorded.as_uri()]
        assert (visit.errors, visit.said) == ([], [])
        visit.shoot("player")


def test_recording_plays_by_itself_and_stops_at_the_end(recorded: Path) -> None:
    with browsing() as visit:
        visit.page.goto(recorded.as_uri())
        visit.page.get_by_role("button", name="Play").click()
        visit.page.locator(".nv svg text", has_text="three").wait_for(state="detached")
        visit.page.locator(".nv svg text", has_text="three").wait_for()
        visit.page.get_by_role("button", name="Play").filter(has_text="Play").wait_for()


def test_recording_shows_its_last_picture_where_there_is_no_javascript(recorded: Path) -> None:
    with browsing() as visit:
        page = visit.page.context.browser.new_page(java_script_enabled=False)
        page.goto(recorded.as_uri())
        assert page.locator("svg text", has_text="three").is_visible()
        assert page.locator("b").count() == 0


@pytest.mark.parametrize("calm", ["reduce", "no-preference"])
def test_nothing_moves_for_who_wants_no_motion(calm: str, recorded: Path) -> None:
    with browsing() as visit:
        visit.page.emulate_media(reduced_motion=calm)
        visit.page.goto(recorded.as_uri())
        visit.page.locator(".nv svg text", has_text="three").wait_for()
        for key in ("ArrowLeft", "ArrowLeft", "ArrowRight"):
            visit.page.keyboard.press(key)
        moving = visit.page.evaluate("document.getAnimations().length")
        assert (moving == 0) == (calm == "reduce")
        assert visit.page.locator(".nv-new").count() == 1


@pytest.fixture
def followed() -> Iterator[Page]:
    """Serve the page of this lab's network."""
    live = Live()
    with Page(live, listener()) as page:
        threading.Thread(target=page.serve_forever, daemon=True).start()
        yield page
        page.shutdown()
    live.stop()


def test_page_follows_in_light_and_in_dark(followed: Page) -> None:
    with browsing() as visit:
        visit.page.goto(followed.url)
        visit.page.locator(".nv svg").wait_for()
        subprocess.run(["ip", "netns", "add", "fresh"], check=True)
        visit.page.locator(".nv-new", has_text="fresh").wait_for()
        visit.page.emulate_media(color_scheme="dark")
        visit.page.locator(".nv.nv-dark").wait_for()
        assert visit.page.locator(".nv-new", has_text="fresh").is_visible()
        visit.shoot("page-dark")
        places = {url.partition("?")[0] for url in visit.asked}
        assert places == {followed.url.partition("?")[0] + more for more in ("", "events")}
        assert (visit.errors, visit.said) == ([], [])


@pytest.fixture
def visit(followed: Page) -> Iterator[Visit]:
    """Show a lab with a cable that is down, and so a legend; nothing may go wrong."""
    sh("ip netns add net1; ip netns add net2; ip netns add far-to-the-right")
    sh("ip link add eth0 netns net1 type veth peer name eth0 netns net2")
    with browsing() as visit:
        visit.page.goto(followed.url)
        visit.page.locator(".nv svg text", has_text="down").first.wait_for()
        yield visit
        assert (visit.errors, visit.said) == ([], [])


def sh(script: str) -> None:
    subprocess.run(["bash", "-ec", script], check=True)


def thing(visit: Visit, title: str) -> Locator:
    return visit.page.locator(f'.nv svg [aria-label^="{title} "]')


def test_legend_is_no_thing_to_point_at(visit: Visit) -> None:
    visit.page.locator(".nv svg #key-up path").hover(force=True)
    assert visit.page.locator(".nv svg.nv-dim").count() == 0


def test_view_stays_within_a_picture_that_shrinks(visit: Visit) -> None:
    thing(visit, "far-to-the-right").focus()
    for _ in range(6):
        visit.page.keyboard.press("+")
    sh("ip netns del net1; ip netns del far-to-the-right; ip netns del net2")
    thing(visit, "net1").wait_for(state="detached")
    # At once: the three may go in several pictures.
    box, size = visit.page.locator(".nv svg").evaluate(
        "(it) => [it.getAttribute('viewBox').split(' '), it.style.aspectRatio.split('/')]"
    )
    left, top, wide, high = map(float, box)
    size = [float(each) for each in size]
    assert left + wide <= size[0] + 1
    assert top + high <= size[1] + 1


def test_focus_goes_on_from_what_is_gone(visit: Visit) -> None:
    thing(visit, "net2").focus()
    sh("ip netns del net2")
    thing(visit, "net2").wait_for(state="detached")
    assert visit.page.evaluate("document.activeElement.closest('.nv svg') !== null")


def test_space_opens_a_card_and_what_has_the_focus_comes_into_view(visit: Visit) -> None:
    page = visit.page
    thing(visit, "net1").focus()
    for _ in range(6):
        page.keyboard.press("+")
    page.keyboard.press("End")  # The cable, whose end is elsewhere.
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    edge, lo = page.locator(".nv svg").bounding_box(), thing(visit, "root:lo").bounding_box()
    assert edge["x"] <= lo["x"]
    assert lo["x"] + lo["width"] <= edge["x"] + edge["width"] + 1
    page.keyboard.press(" ")
    assert page.evaluate("document.activeElement.className") == "nv-card"


def test_trouble_is_said_and_stays_until_it_is_over(visit: Visit) -> None:
    trouble = visit.page.get_by_role("alert")
    sh(f"mount --bind /dev/null {ROOT}")
    try:
        trouble.filter(has_text="cannot follow the network").wait_for()
        thing(visit, "net1").hover()
        assert trouble.is_visible()
    finally:
        sh(f"umount {ROOT}")
    trouble.wait_for(state="hidden")


def test_page_says_when_nobody_draws_any_more() -> None:
    command = [sys.executable, "-c", SERVING]
    with browsing() as visit, subprocess.Popen(command, stdout=-1, text=True) as serving:
        visit.page.goto(serving.stdout.readline().strip())
        visit.page.locator(".nv svg").wait_for()
        assert visit.page.locator("#end").is_hidden()
        serving.kill()
        visit.page.locator("#end").wait_for()
