"""An SVG says what it shows to those who cannot see it, and no name in it is anything but text."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from generated import networks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import DEVICES, NAMES, ROOT, Net

from netviz.picture.drawing import draw
from netviz.picture.shapes import Cable
from netviz.picture.words import alternative, short
from netviz.text import printable

if TYPE_CHECKING:
    from netviz.model import Snapshot

pytestmark = pytest.mark.long

SVG = "{http://www.w3.org/2000/svg}"
ALLOWED = {f"{SVG}{tag}" for tag in ("svg", "g", "path", "text", "title", "use", "tspan")}
SLOW = settings(
    deadline=None, max_examples=25, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


def parsed(net: Net | Snapshot) -> ElementTree.Element:
    snapshot = net.snapshot() if isinstance(net, Net) else net
    return ElementTree.fromstring(draw(snapshot).render("svg"))


def texts(root: ElementTree.Element) -> list[str]:
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_is_text_and_nothing_else(name: str) -> None:
    net = Net()
    net.space(name)
    root = parsed(net)
    assert short(name) in texts(root)
    assert {element.tag for element in root.iter()} <= ALLOWED


@pytest.mark.parametrize("name", DEVICES)
def test_a_hostile_interface_is_text_and_nothing_else(name: str) -> None:
    net = Net()
    net.cable(ROOT, net.space(), name, "far", port=net.bridge(ROOT, name))
    root = parsed(net)
    assert texts(root).count(short(name, 15)) >= 1
    titles = "".join(title.text or "" for title in root.iter(f"{SVG}title"))
    assert printable(f"root:{name}") in titles


@SLOW
@given(st.text(min_size=1, max_size=20))
def test_any_text_whatever_is_drawn_as_its_printable_form(name: str) -> None:
    net = Net()
    net.space(name)
    root = parsed(net)
    assert short(name).strip() in [text.strip() for text in texts(root)]
    assert printable(name) in root.get("aria-label", "")


@SLOW
@given(networks())
def test_nothing_in_a_picture_can_act_or_load(snapshot: Snapshot) -> None:
    root = parsed(snapshot)
    for element in root.iter():
        assert element.tag in ALLOWED
        assert not any(name.startswith("on") or name.endswith("href") for name in element.attrib)
        assert "url(" not in element.get("style", "")


def test_the_picture_is_an_image_with_a_description() -> None:
    net = Net()
    net.cable(net.space("net1"), net.space("net2"), at=["10.0.0.1/24"])
    root = parsed(net)
    assert root.get("role") == "img"
    assert root.get("aria-label") == alternative(net.snapshot()) == root[0].text


def test_the_description_has_a_sentence_for_each_namespace() -> None:
    net = Net()
    net.cable(net.space("net1"), net.space("net2"), "a", "b", at=["10.0.0.1/24"])
    net.space("net3")
    assert alternative(net.snapshot()) == (
        "The root namespace root has only a loopback. "
        "Namespace net1 has a, joined with net2:b. "
        "Namespace net2 has b with 10.0.0.1/24, joined with net1:a. "
        "Namespace net3 has only a loopback."
    )


@SLOW
@given(networks())
def test_every_thing_has_a_hover_title(snapshot: Snapshot) -> None:
    root = parsed(snapshot)
    parts = {g.get("id"): g for g in root.iter(f"{SVG}g")}
    for namespace, interface in snapshot:
        title = parts[f"if-{namespace.id}-{interface.index}"].find(f"{SVG}title")
        assert title is not None
        assert printable(f"{namespace.name}:{interface.name}") in str(title.text)


def test_each_shape_is_drawn_where_the_plan_says() -> None:
    net = Net()
    net.cable(net.space("net1"), net.space("net2"), at=["10.0.0.1/24"])
    plan = draw(net.snapshot()).plan
    parts = {g.get("id"): g for g in parsed(net).iter(f"{SVG}g")}
    for shape in (*plan.boxes, *plan.ports, *plan.cables):
        numbers = [
            float(each) for each in parts[shape.gid].find(f"{SVG}path").get("d").split()[1:3]
        ]
        x, y = shape.points[0] if isinstance(shape, Cable) else (shape.extent[0], shape.extent[1])
        assert numbers == pytest.approx([x, y], abs=20), shape
    ends = {gid: part.get("data-ends", "").split() for gid, part in parts.items()}
    assert all(ends[cable.gid] == [*cable.owners] for cable in plan.cables)
    assert all(ends[port.gid] == [port.owner] for port in plan.ports)


def test_ids_are_unique() -> None:
    net = Net()
    bridge = net.bridge(ROOT)
    for _ in range(5):
        net.cable(ROOT, net.space(), port=bridge)
    names = [element.get("id") for element in parsed(net).iter() if element.get("id")]
    assert len(names) == len(set(names))


def test_the_size_is_in_pixels_and_fonts_have_kin() -> None:
    net = Net()
    net.space("net1")
    picture = draw(net.snapshot())
    root = ElementTree.fromstring(picture.svg)
    assert float(root.get("width", "0")) == pytest.approx(picture.plan.width, abs=0.01)
    styles = [text.get("style", "") for text in root.iter(f"{SVG}text")]
    assert all(style.split("font-family")[1].count(",") >= 2 for style in styles)


def test_no_style_of_a_picture_reaches_the_page_around_it() -> None:
    assert not list(parsed(Net()).iter(f"{SVG}style"))
