"""Packets on their way: marks that move along the cables of a page, or numbers that stand there."""

from __future__ import annotations

import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from conftest import browsing

import netviz
from netviz.lab.attaching import listener
from netviz.picture.live import Live
from netviz.picture.watching import Page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Visit
    from playwright.sync_api import Locator

pytestmark = [pytest.mark.browser, pytest.mark.long]

# Where each mark begins and ends, and when, is kept as it comes.
NOTING = """
window.marks = [];
const animate = Element.prototype.animate;
Element.prototype.animate = function (steps, times) {
  if (this.classList.contains("nv-packet")) {
    const at = (step) => step.transform.match(/-?[\\d.]+/g).map(Number);
    const [from, to] = [steps[0], steps.at(-1)].map(at);
    window.marks.push({ colour: this.getAttribute("fill"), from, to, delay: times.delay });
  }
  return animate.call(this, steps, times);
};
"""
ICMP, ARP = "#56b4e9", "#e69f00"


@pytest.fixture
def followed() -> Iterator[Page]:
    """Serve the page of three namespaces on a bridge, with the packets that pass."""
    netviz.bridge(3).up()
    live = Live()
    live.traffic.switch(True)
    with Page(live, listener()) as page:
        threading.Thread(target=page.serve_forever, daemon=True).start()
        yield page
        page.shutdown()
    live.stop()


@pytest.fixture
def visit(followed: Page) -> Iterator[Visit]:
    with browsing() as visit:
        visit.page.add_init_script(NOTING)
        visit.page.goto(followed.url)
        visit.page.locator(".nv svg text", has_text="net3").wait_for()
        yield visit
        assert (visit.errors, visit.said) == ([], [])


def ping(*more: str) -> None:
    command = ["ip", "netns", "exec", "net1", "ping", *(more or ("-c1",)), "10.1.1.3"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def middle(visit: Visit, tag: str) -> tuple[float, float]:
    """Return where in the picture a tag is."""
    script = "(it) => [it.getBBox()].flatMap((b) => [b.x + b.width / 2, b.y + b.height / 2])"
    x, y = part(visit, tag).evaluate(script)
    return x, y


def part(visit: Visit, tag: str) -> Locator:
    return visit.page.locator(f'.nv svg > [id^="if-"][aria-label^="{tag} "]')


def passed(visit: Visit, colour: str, begin: str, end: str) -> list[float]:
    """Return when marks of a colour set out from one tag to another."""

    def near(at: list[float], tag: tuple[float, float]) -> bool:
        return abs(at[0] - tag[0]) + abs(at[1] - tag[1]) < 30

    one, other = middle(visit, begin), middle(visit, end)
    return [
        mark["delay"]
        for mark in visit.page.evaluate("window.marks")
        if mark["colour"] == colour and near(mark["from"], one) and near(mark["to"], other)
    ]


def test_ping_goes_there_and_back_along_its_cables(visit: Visit) -> None:
    ping()
    key = visit.page.locator(".nv-traffic-key", has_text="ICMP")
    key.wait_for()
    visit.page.wait_for_timeout(1500)
    visit.shoot("packets")
    ways = [
        ("net1:veth0", "root:br1-veth0"),
        ("root:br1-veth1", "net2:veth1"),
        ("net2:veth1", "root:br1-veth1"),
        ("root:br1-veth0", "net1:veth0"),
    ]
    times = [passed(visit, ICMP, *way) for way in ways]
    assert [len(each) for each in times] == [1, 1, 1, 1]
    assert times == sorted(times)
    assert "ARP/ND" in key.inner_text()
    assert len(passed(visit, ARP, "root:br1-veth2", "net3:veth2")) == 1  # To all the bridge asks.
    assert passed(visit, ICMP, "root:br1-veth2", "net3:veth2") == []
    visit.page.locator(".nv-packet").first.wait_for(state="detached")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_of_a_flood_few_are_shown_and_a_number_says_the_rest(theme: str, visit: Visit) -> None:
    visit.page.emulate_media(color_scheme=theme)
    visit.page.reload()
    visit.page.locator(".nv-dark" if theme == "dark" else ".nv:not(.nv-dark)").wait_for()
    ping("-qfc", "20000")
    visit.page.locator(".nv-number", has_text="ICMP").first.wait_for()
    assert 0 < visit.page.locator(".nv-packet").count() <= 60
    visit.shoot(f"flood-{theme}")
    for mark in (".nv-packet", ".nv-number"):
        visit.page.locator(mark).first.wait_for(state="detached")


def test_who_wants_no_motion_is_told_by_numbers(visit: Visit) -> None:
    from playwright.sync_api import expect

    visit.page.emulate_media(reduced_motion="reduce")
    number = visit.page.locator(".nv-number", has_text="3 ICMP")

    def counted() -> bool:
        ping("-c3", "-i0.01")
        with suppress(AssertionError):
            expect(number).to_have_count(4, timeout=3000)
            return True
        return False

    # They are counted each half second: three may fall into two of these.
    assert any(counted() for _ in range(8))
    assert visit.page.locator(".nv-packet").count() == 0
    assert visit.page.evaluate("document.getAnimations().length") == 0
    visit.shoot("packets-calm")


def test_what_is_on_its_way_is_in_nobodys_way_and_in_no_file(visit: Visit) -> None:
    ping("-qfc", "5000")
    visit.page.locator(".nv-packet").first.wait_for(state="attached")
    part(visit, "net1:veth0").click(force=True)
    visit.page.get_by_role("region", name="net1:veth0").wait_for()
    visit.page.get_by_role("button", name="Zoom in").click()
    assert visit.page.locator(".nv-packet").count()
    with visit.page.expect_download() as loaded:
        visit.page.get_by_role("button", name="Save as SVG").click()
    saved = loaded.value.path().read_text()
    assert "net1" in saved
    assert "nv-over" not in saved
    assert ICMP not in saved


def test_key_is_gone_when_packets_are_no_longer_shown(visit: Visit, followed: Page) -> None:
    ping()
    key = visit.page.locator(".nv-traffic-key")
    key.wait_for()
    followed.live.traffic.switch(False)
    key.wait_for(state="hidden")
    assert visit.page.locator(".nv-over > *").count() == 0
