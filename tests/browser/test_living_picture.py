"""The living picture and recordings in a real JupyterLab: seen, touched, typed at."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from conftest import add_cell, run_cell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Visit
    from playwright.sync_api import Locator

pytestmark = [pytest.mark.browser, pytest.mark.long]

PAIR = """%%bash
ip netns add net1
ip netns add net2
ip link add veth0 netns net1 type veth peer name veth1 netns net2
ip -n net1 address add 10.0.0.1/24 dev veth0
ip -n net1 link set veth0 up"""


@pytest.fixture
def picture(lesson: Visit) -> Iterator[Locator]:
    """Show the living picture of a lab with two namespaces and a cable, of which one end is up."""
    run_cell(add_cell(lesson.page, PAIR))
    cell = add_cell(lesson.page, "import netviz as nv\nnv.live()")
    run_cell(cell)
    picture = cell.locator(".nv")
    picture.locator("svg text", has_text="net2").wait_for()
    yield picture
    web = [url for url in lesson.asked if not url.startswith(("data:", "blob:"))]
    assert {urlsplit(url).hostname for url in web} == {"127.0.0.1"}
    assert lesson.errors == []
    assert [said for said in lesson.said if "error" in said] == []


def part(picture: Locator, title: str) -> Locator:
    """Return what a picture shows under a title that begins so."""
    return picture.locator(f'svg [aria-label^="{title} "]')


def is_down(picture: Locator, title: str) -> bool:
    return "stroke-dasharray" in part(picture, title).locator("path").first.get_attribute("style")


def test_what_is_typed_in_a_cell_appears_and_glows(lesson: Visit, picture: Locator) -> None:
    assert is_down(picture, "net2:veth1")
    run_cell(add_cell(lesson.page, "!ip -n net2 link set veth1 up"))
    picture.locator('.nv-new[aria-label^="net2:veth1 "]').wait_for()
    assert not is_down(picture, "net2:veth1")
    assert "net2: interface veth1 up: off → on" in picture.locator(".nv-said").inner_text()
    lesson.shoot("living-picture")


def test_click_opens_a_card_whose_commands_tell_the_same(lesson: Visit, picture: Locator) -> None:
    part(picture, "net1").locator("text").first.click()
    card = picture.get_by_role("region", name="net1")
    assert "10.0.0.1/24" in card.inner_text()
    command = card.locator("code", has_text="-brief address").inner_text()
    told = run_cell(add_cell(lesson.page, f"!{command}"))
    assert set(told.split()) <= set(card.inner_text().split())
    card.get_by_role("button", name="Close").click()
    assert card.is_hidden()


def test_card_follows_while_it_is_open(lesson: Visit, picture: Locator) -> None:
    part(picture, "net1").locator("text").first.click()
    run_cell(add_cell(lesson.page, "!ip -n net1 address add 10.9.9.9/24 dev veth0"))
    picture.locator(".nv-card pre", has_text="10.9.9.9/24").first.wait_for()
    lesson.shoot("card")


def test_keyboard_goes_from_thing_to_thing(lesson: Visit, picture: Locator) -> None:
    keyboard = lesson.page.keyboard
    picture.get_by_role("button", name="Save as PNG").focus()
    keyboard.press("Tab")
    heard = [focused(lesson)]
    for _ in range(6):
        keyboard.press("ArrowRight")
        heard.append(focused(lesson))
    assert [told.split(" ")[0] for told in heard] == [
        *("root", "root:lo", "net1", "net1:lo", "net1:veth0", "net2", "net2:lo"),
    ]
    assert picture.locator(".nv-card h3").inner_text() == "net2:lo"
    keyboard.press("Enter")
    assert lesson.page.evaluate("document.activeElement.className") == "nv-card"
    keyboard.press("Escape")
    assert picture.locator(".nv-card").is_hidden()
    assert focused(lesson).startswith("net2:lo")


def focused(lesson: Visit) -> str:
    return str(lesson.page.evaluate("document.activeElement.getAttribute('aria-label')"))


def test_hover_dims_all_but_a_cable_and_its_two_ends(lesson: Visit, picture: Locator) -> None:
    run_cell(add_cell(lesson.page, "!ip netns add other"))
    part(picture, "other").wait_for()
    part(picture, "net1:veth0 ↔").locator(".nv-reach").hover(force=True)
    lit = picture.locator("svg.nv-dim > .nv-lit").evaluate_all(
        "all => all.map((each) => each.getAttribute('aria-label').split(' ')[0])"
    )
    assert sorted(set(lit)) == ["net1", "net1:veth0", "net2", "net2:veth1", "root"]
    assert "net1:veth0 ↔ net2:veth1" in picture.locator(".nv-said").inner_text()


def test_rest_is_dimmed_no_longer_than_something_is_pointed_at_or_told_of(
    lesson: Visit, picture: Locator
) -> None:
    dimmed = picture.locator("svg.nv-dim")
    part(picture, "net1").locator("text").first.click()
    run_cell(add_cell(lesson.page, "!ip netns add other"))
    part(picture, "other").wait_for()
    assert part(picture, "net1").get_attribute("class") == "nv-lit"  # Its card is open.
    part(picture, "net1").locator("text").first.click()
    lesson.page.keyboard.press("Escape")
    add_cell(lesson.page, "").locator(".cm-content").click()
    dimmed.wait_for(state="detached")
    part(picture, "net1").hover(force=True)
    dimmed.wait_for()
    run_cell(add_cell(lesson.page, "!ip netns add another"))
    part(picture, "another").wait_for()
    assert dimmed.count() == 0


def test_keys_that_run_a_cell_do_so_and_leave_the_pin(lesson: Visit, picture: Locator) -> None:
    add_cell(lesson.page, "!ip netns add typed")
    picture.get_by_role("button", name="Keep it in view").click()
    pinned = lesson.page.locator(".nv-pinned")
    for _ in range(2):  # The picture's own cell, and the one below.
        lesson.page.keyboard.press("Shift+Enter")
    part(pinned, "typed").wait_for()
    pinned.get_by_role("button", name="Keep it in view").click()


def test_zoom_pan_and_fit(lesson: Visit, picture: Locator) -> None:
    def box() -> list[float]:
        return [float(each) for each in picture.locator("svg").get_attribute("viewBox").split()]

    whole = box()
    picture.get_by_role("button", name="Zoom in").click()
    near = box()
    assert near[2] < whole[2]
    edge = picture.locator("svg").bounding_box()
    mouse = lesson.page.mouse
    mouse.move(edge["x"] + 100, edge["y"] + 40)
    mouse.down()
    mouse.move(edge["x"] + 60, edge["y"] + 40)
    mouse.up()
    assert box()[0] > near[0]
    picture.get_by_role("button", name="Fit the whole picture").click()
    assert box() == whole


def test_picture_that_is_pinned_stays_in_view_and_moves(lesson: Visit, picture: Locator) -> None:
    picture.get_by_role("button", name="Keep it in view").click()
    pinned = lesson.page.locator(".nv-pinned")
    lesson.page.locator(".jp-Cell").first.scroll_into_view_if_needed()
    cell = lesson.page.locator(".jp-CodeCell").first
    cell.locator(".cm-content").click()
    lesson.page.keyboard.press("Control+A")
    lesson.page.keyboard.insert_text("!ip netns add third")
    run_cell(cell)
    part(pinned, "third").wait_for()
    assert pinned.is_visible()
    pinned.get_by_role("button", name="Keep it in view").click()
    assert lesson.page.locator(".nv").count() == 1


@pytest.mark.parametrize("kind", ["SVG", "PNG"])
def test_picture_is_saved(kind: str, lesson: Visit, picture: Locator, tmp_path: Path) -> None:
    with lesson.page.expect_download() as loaded:
        picture.get_by_role("button", name=f"Save as {kind}").click()
    loaded.value.save_as(tmp_path / "saved")
    saved = (tmp_path / "saved").read_bytes()
    if kind == "SVG":
        assert saved.startswith(b"<svg ")
        assert b"10.0.0.1/24" in saved
        assert b"tabindex" not in saved
    else:
        assert saved.startswith(b"\x89PNG")


def test_packets_move_along_their_cable(lesson: Visit, picture: Locator) -> None:
    up = "!ip -n net2 link set veth1 up; ip -n net2 address add 10.0.0.2/24 dev veth1"
    run_cell(add_cell(lesson.page, up))
    run_cell(add_cell(lesson.page, "nv.live(packets=True);"))
    run_cell(add_cell(lesson.page, "!ip netns exec net1 ping -c3 10.0.0.2"))
    key = picture.locator(".nv-traffic-key", has_text="ICMP")
    key.wait_for()
    run_cell(add_cell(lesson.page, "!ip netns exec net1 ping -c3 10.0.0.2"))
    picture.locator(".nv-packet").first.wait_for(state="attached")
    picture.scroll_into_view_if_needed()
    lesson.shoot("packets-in-a-notebook")
    run_cell(add_cell(lesson.page, "nv.live(packets=False);"))
    key.wait_for(state="hidden")


def test_theme_follows_jupyterlab(lesson: Visit, picture: Locator) -> None:
    page = part(picture, "root").locator("path").first
    light = page.get_attribute("style")
    menu = lesson.page.locator(".lm-Menu-item")
    lesson.page.locator(".lm-MenuBar-item", has_text="Settings").click()
    menu.filter(has_text="Theme").first.click()
    menu.filter(has_text=re.compile("^JupyterLab Dark$")).click()
    lesson.page.locator(".nv.nv-dark").wait_for()
    assert page.get_attribute("style") != light
    lesson.page.locator("#jupyterlab-splash").wait_for(state="detached")
    picture.scroll_into_view_if_needed()
    lesson.shoot("dark")


def test_saved_notebook_shows_the_last_picture_with_and_without_widgets(
    lesson: Visit, picture: Locator, tmp_path: Path
) -> None:
    run_cell(add_cell(lesson.page, "!ip netns add latest"))
    part(picture, "latest").wait_for()
    saved = next(tmp_path.rglob("00-start-here.ipynb"))
    lesson.page.keyboard.press("Control+s")
    lesson.page.wait_for_function("!document.querySelector('.jp-mod-dirty')")
    notebook = json.loads(saved.read_text())
    (shown,) = (
        output["data"]
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
        if "application/vnd.jupyter.widget-view+json" in output.get("data", {})
    )
    page = "".join(shown["text/html"])
    assert ">latest</text>" in page
    assert len(json.dumps(notebook["metadata"]["widgets"])) + len(page) < 30_000
    lesson.page.reload()
    lesson.page.locator(".nv svg text", has_text="latest").wait_for()


def test_recording_goes_back_and_forth(lesson: Visit) -> None:
    run_cell(add_cell(lesson.page, "import netviz as nv\nrecording = nv.record()"))
    for name in ("one", "two", "three"):
        run_cell(add_cell(lesson.page, f"!ip netns add {name}"))
    cell = add_cell(lesson.page, "recording")
    run_cell(cell)
    picture = cell.locator(".nv")
    picture.locator("svg text", has_text="three").wait_for()
    slider = picture.get_by_role("slider")
    slider.focus()
    for _ in range(2):
        lesson.page.keyboard.press("ArrowLeft")
    picture.locator(".nv-command", has_text="!ip netns add").wait_for()
    names = [name for name in ("one", "two", "three") if part(picture, name).count()]
    told = picture.locator(".nv-command").inner_text()
    assert told == f"!ip netns add {names[-1]}"
    assert "three" not in names
    lesson.page.keyboard.press("End")
    part(picture, "three").wait_for()
    lesson.shoot("recording")
    assert lesson.errors == []


def test_what_is_typed_in_a_terminal_appears_and_is_recorded(
    lesson: Visit, picture: Locator
) -> None:
    run_cell(add_cell(lesson.page, "recording = nv.record()"))
    for menu, item in ((".lm-MenuBar-item", "File"), (".lm-Menu-item", "New")):
        lesson.page.locator(menu, has_text=re.compile(f"^{item}$")).click()
    lesson.page.locator(".lm-Menu-item", has_text=re.compile("^Terminal$")).click()
    lesson.page.locator(".jp-Terminal").click()
    lesson.page.keyboard.type("ip netns add fromhere\n")
    part(picture, "fromhere").wait_for(state="attached")
    lesson.shoot("terminal")
    lesson.page.locator(".lm-TabBar-tab", has_text="00-start-here.ipynb").first.click()
    part(picture, "fromhere").wait_for()
    assert "$ ip netns add fromhere" in told_by(lesson)


def told_by(lesson: Visit) -> str:
    """Return what a recording tells of its commands."""
    return run_cell(add_cell(lesson.page, "from netviz.picture.replay import frames\n"
                             "[it.command for it in frames(recording.moments)]"))  # fmt: skip
