"""A packet's journey on a page: it is stepped hop by hop, and its headers are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import add_cell, browsing, run_cell, violations

import netviz

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Visit
    from playwright.sync_api import Locator

pytestmark = [pytest.mark.browser, pytest.mark.long]

HOSTILE = "<b>veth0"
RULES = """table ip nat {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    oifname "v2_r" masquerade
  }
}"""


@pytest.fixture
def traced(tmp_path: Path) -> Path:
    """Return a page with the journeys of a ping through a router, which masquerades."""
    net = netviz.router()
    net.nft("root", RULES)
    net.up()
    netviz.trace("net1", "ping -c1 -W1 10.1.2.2").save(tmp_path / "ping.html")
    return tmp_path / "ping.html"


@pytest.fixture
def visit(traced: Path) -> Iterator[Visit]:
    """Show it; nothing may go wrong, and nothing is asked for."""
    with browsing() as visit:
        visit.page.goto(traced.as_uri())
        visit.page.locator(".nv svg #hop-now").wait_for()
        yield visit
        assert visit.asked == [traced.as_uri()]
        assert (visit.errors, visit.said) == ([], [])


def moment(visit: Visit) -> str:
    return visit.page.locator(".nv-moment").inner_text()


def layers(visit: Visit) -> Locator:
    return visit.page.locator(".nv-layers table")


def journeys(visit: Visit) -> Locator:
    return visit.page.get_by_role("combobox", name="Journey")


def to(visit: Visit, text: str) -> None:
    """Step from the first journey's first hop on until something is told."""
    journeys(visit).select_option(index=0)
    visit.page.locator("body").click(position={"x": 5, "y": 5})
    for _ in range(60):
        if text in moment(visit):
            return
        visit.page.keyboard.press("ArrowRight")
    raise AssertionError(f"it never tells {text!r}")


def test_journey_begins_with_its_first_hop_and_is_stepped_by_keys_and_buttons(visit: Visit) -> None:
    assert re.match(r"packet 3 of \d · hop 1 of 4 · net1:v1 · out · [\d.]+ (µs|ms)", moment(visit))
    assert visit.page.locator('.nv svg [id^="hop-"]').count() == 2  # Its number, and the ring.
    visit.page.keyboard.press("ArrowRight")
    assert visit.page.locator(".nv svg #hop-2").is_visible()
    visit.page.get_by_role("button", name="Step forward").click()
    visit.page.get_by_role("button", name="Step back").click()
    visit.page.get_by_role("button", name="Step back").click()
    assert visit.page.locator(".nv svg #hop-2").count() == 0


def test_packet_moves_to_the_hop_that_is_told_of(visit: Visit) -> None:
    def middle(name: str) -> tuple[int, int]:
        box = visit.page.locator(f".nv svg #{name}").bounding_box()
        return round(box["x"] + box["width"] / 2), round(box["y"] + box["height"] / 2)

    before = middle("hop-now")
    visit.page.keyboard.press("ArrowRight")
    visit.page.wait_for_timeout(600)
    assert before != middle("hop-now")
    ring, number = middle("hop-now"), middle("hop-2")
    assert max(abs(ring[0] - number[0]), abs(ring[1] - number[1])) <= 1


def test_journeys_are_listed_by_their_fate_and_chosen_by_keys(visit: Visit) -> None:
    told = journeys(visit).locator("option").all_inner_texts()
    assert re.match("1 · prelude: ARP: .* · delivered", told[0])
    assert re.match("3 · ICMP echo request.* · delivered", told[2])
    assert journeys(visit).input_value() == "2"
    journeys(visit).focus()
    visit.page.keyboard.press("ArrowDown")
    assert moment(visit).startswith("packet 4 of")
    visit.page.keyboard.press("Home")
    assert "packet 1 of" in moment(visit)
    assert "0.0 µs" in moment(visit)
    visit.page.get_by_role("button", name="Step back").focus()
    visit.page.get_by_role("slider").press("End")
    assert journeys(visit).input_value() == str(len(told) - 1)


def test_click_on_a_number_goes_to_its_hop(visit: Visit) -> None:
    for _ in range(3):
        visit.page.keyboard.press("ArrowRight")
    assert "hop 4 of 4" in moment(visit)
    visit.page.locator(".nv svg #hop-2").click()
    assert re.match("packet 3 of . · hop 2 of 4", moment(visit))
    assert visit.page.locator(".nv svg #hop-3").count() == 0


def test_reason_is_told_once_with_a_command_to_copy(visit: Visit) -> None:
    to(visit, "root:v2_r")
    reasons = visit.page.locator(".nv-headers li", has_text="masquerade")
    assert reasons.count() == 1
    assert "masquerade" not in moment(visit)
    assert reasons.get_by_role("button", name=re.compile("^Copy: ")).is_visible()


def test_what_the_command_printed_is_unfolded(visit: Visit) -> None:
    printed = visit.page.get_by_text("1 packets transmitted")
    assert not printed.is_visible()
    visit.page.get_by_text("What the command printed").focus()
    visit.page.keyboard.press("Enter")
    assert printed.is_visible()


def test_narrow_screen_has_rows_of_eight_bytes(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 390, "height": 800})
    to(visit, "root:v2_r")
    rows = visit.page.locator(".nv-headers > div > pre").inner_text().splitlines()
    assert [row.split()[0] for row in rows[:3]] == ["0000", "0008", "0010"]
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    visit.shoot("trace-narrow", whole=True)


def test_headers_are_shown_by_layer_and_what_changed_is_marked(visit: Visit) -> None:
    to(visit, "packet 3 of")
    assert layers(visit).locator("caption").all_inner_texts()[:3] == ["Ethernet", "IPv4", "ICMP"]
    assert visit.page.locator(".nv-changed").count() == 0
    to(visit, "root:v2_r")
    rows = visit.page.locator(".nv-layers .nv-changed").all_inner_texts()
    told = [row.replace("\t", " ") for row in rows]
    assert "● ttl 64 → 63" in told
    assert "● source 10.1.1.2 → 10.1.2.1" in told
    first = visit.page.locator(".nv-changed th").first
    assert first.evaluate("(it) => getComputedStyle(it).fontWeight") == "700"
    assert first.get_attribute("scope") == "row"
    underlined = visit.page.locator(".nv-headers pre b").all_inner_texts()
    assert "3f" in underlined  # 63
    assert visit.page.get_by_role("region", name="The packet at this hop").is_visible()
    visit.shoot("trace", whole=True)
    visit.page.emulate_media(color_scheme="dark")
    visit.page.locator(".nv.nv-dark").wait_for()
    visit.shoot("trace-dark", whole=True)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_hop_is_accessible(visit: Visit, theme: str) -> None:
    visit.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    for text in ("packet 3 of", "root:v2_r"):
        to(visit, text)
        assert [rule["id"] for rule in violations(visit.page)] == []


def test_numbers_and_curve_are_no_things_to_point_at(visit: Visit) -> None:
    visit.page.locator(".nv svg #hop-1").hover(force=True)
    assert visit.page.locator(".nv svg.nv-dim").count() == 0
    assert visit.page.locator('.nv svg [id^="hop-"][tabindex]').count() == 0
    assert visit.page.locator('.nv svg [id^="if-"][tabindex]').count() > 0


def test_nothing_glides_and_no_dot_is_shown_for_who_wants_no_motion(traced: Path) -> None:
    with browsing() as visit:
        visit.page.emulate_media(reduced_motion="reduce")
        visit.page.goto(traced.as_uri())
        visit.page.locator(".nv svg #hop-now").wait_for()
        visit.page.keyboard.press("ArrowRight")
        assert visit.page.evaluate("document.getAnimations().length") == 0
        browser = visit.page.context.browser
        for motion, shown in (("reduce", False), ("no-preference", True)):
            still = browser.new_page(java_script_enabled=False, reduced_motion=motion)
            still.goto(traced.as_uri())
            assert still.locator(".nv-dot").is_visible() is shown
            tables = still.locator("main table")
            assert tables.count() >= 2
            assert "masquerade" in tables.filter(has_text="echo request").first.inner_text()


def test_hostile_names_are_text(tmp_path: Path) -> None:
    net = netviz.Topology()
    net.namespace("net1", "<i>net2")
    net.veth(f"net1:{HOSTILE}", "<i>net2:veth1", ip="10.0.0.1/24", peer_ip="10.0.0.2/24")
    net.up()
    netviz.trace("net1", "ping -c1 -W1 10.0.0.2").save(tmp_path / "hostile.html")
    with browsing() as visit:
        visit.page.goto((tmp_path / "hostile.html").as_uri())
        visit.page.locator(".nv svg #hop-now").wait_for()
        for _ in range(8):
            assert visit.page.locator("main :is(i, b:not(pre b))").count() == 0
            visit.page.keyboard.press("ArrowRight")
        assert HOSTILE in visit.page.locator("main").inner_text()
        assert (visit.errors, visit.said) == ([], [])


def test_nothing_seen_is_said_by_the_player(tmp_path: Path) -> None:
    netviz.bridge(2).up()
    netviz.trace("net1", "echo '<b>nothing'").save(tmp_path / "none.html")
    with browsing() as visit:
        visit.page.goto((tmp_path / "none.html").as_uri())
        visit.page.locator(".nv svg > g").first.wait_for()
        assert visit.page.get_by_role("alert").inner_text().endswith("No packet was seen.")
        visit.page.get_by_text("What the command printed").click()
        assert visit.page.get_by_text("<b>nothing", exact=True).is_visible()
        assert (visit.errors, visit.said) == ([], [])


def test_trace_plays_in_a_notebook(lesson: Visit) -> None:
    run_cell(add_cell(lesson.page, "import netviz as nv; nv.bridge(2).up()"))
    cell = add_cell(lesson.page, "nv.trace('net1', 'ping -c1 10.1.1.3')")
    run_cell(cell)
    cell.locator(".nv svg #hop-now").wait_for()
    cell.get_by_role("button", name="Step forward").click()
    assert cell.locator(".nv svg #hop-2").is_visible()
    assert cell.locator(".nv-layers table").count() >= 2
    cell.locator(".nv").scroll_into_view_if_needed()
    lesson.shoot("trace-lab")
    assert lesson.errors == []
