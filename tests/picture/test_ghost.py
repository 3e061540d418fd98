"""A network that is declared, but not there yet, is drawn as a ghost of what it will be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from extents import faults, of_box, of_port
from generated import networks
from hypothesis import HealthCheck, given, settings
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from networks import DOWN, ROOT, UP, Net, tunnels
from test_live_networks import BRIDGE, build

from netviz.errors import NetvizError
from netviz.model import Snapshot
from netviz.net.discovery import snapshot
from netviz.picture.drawing import FORMATS, Picture, draw
from netviz.picture.themes import THEMES, ghostly

if TYPE_CHECKING:
    from netviz.model import Endpoint, Interface
    from netviz.picture.shapes import Plan

pytestmark = pytest.mark.long

SVG = "{http://www.w3.org/2000/svg}"
SAYS = "Planned, not built yet: "
SLOW = settings(
    deadline=None, max_examples=40, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@dataclass
class Declared:
    """A stand-in for a topology: it will look like a snapshot, but has other numbers, no MACs."""

    built: Snapshot

    def planned(self) -> Snapshot:
        spaces = (
            replace(space, id=_other(space.id), interfaces=tuple(map(_bare, space.interfaces)))
            for space in self.built.namespaces
        )
        return replace(self.built, namespaces=tuple(spaces), warnings=())


def _other(number: int) -> int:
    return number - ROOT + 1 if number >= ROOT else number


def _bare(link: Interface) -> Interface:
    def end(far: Endpoint | None) -> Endpoint | None:
        return far and replace(far, id=_other(far.id))

    # Hardware is there already, or not at all: nobody declares it.
    mac = link.mac if link.kind == "device" else None
    ends = {name: end(getattr(link, name)) for name in ("master", "peer", "lower")}
    return replace(link, mac=mac, **ends)


def network() -> Net:
    """Give what is up and what is down: a bridge, hosts, a tunnel."""
    net = Net()
    bridge = net.bridge(ROOT, at=["10.0.0.1/24"])
    hosts = [net.space("node1"), net.space("node2")]
    for host in hosts:
        own = net.bridge(host, "cni0", at=["10.244.1.1/24"])
        net.cable(host, net.space(), port=own, at=["10.244.1.2/24"])
        net.cable(ROOT, host, port=bridge, at=["10.0.0.2/24"])
    tunnels(net, hosts, {})
    net.cable(ROOT, net.space("off"), port=bridge, state=DOWN)
    return net


def ghost(net: Net | Snapshot, **options: str | None) -> Picture:
    return draw(Declared(net.snapshot() if isinstance(net, Net) else net), **options)


def places(plan: Plan) -> list[object]:
    """Return where everything is, whatever it is called."""
    spots = [(of_box(box), [(x.x, x.y) for x in box.labels]) for box in plan.boxes]
    tags = [of_port(port) for port in plan.ports if port.gid != "mark-planned"]
    return [plan.width, plan.height, spots, tags, [cable.points for cable in plan.cables]]


@SLOW
@given(networks())
def test_a_plan_is_laid_out_as_what_is_built_of_it(seen: Snapshot) -> None:
    built = replace(seen, warnings=())
    assert places(ghost(built).plan) == places(draw(built).plan)


def test_a_plan_is_laid_out_as_what_the_kernel_makes_of_it() -> None:
    build(BRIDGE)
    assert places(ghost(snapshot()).plan) == places(draw().plan)


@SLOW
@given(networks())
def test_the_mark_of_a_plan_lies_on_nothing(seen: Snapshot) -> None:
    for title in (None, "A title that is longer than most pictures are wide: " + 60 * "g"):
        plan = ghost(seen, title=title).plan
        assert faults(plan) == []
        assert [port.text for port in plan.ports].count("planned") >= 1


@pytest.mark.parametrize("theme", THEMES)
@rc_context({"text.hinting": "none"})
def test_no_word_of_a_plan_meets_the_mark_as_drawn(theme: str) -> None:
    figure = ghost(network(), title=40 * "gjpqy ", theme=theme).figure()
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    (mark,) = (a for a in figure.findobj() if a.get_gid() == "mark-planned")
    words = [text for text in figure.findobj(Text) if text.get_text()]
    within = [
        w.get_text() for w in words if w.get_window_extent().overlaps(mark.get_window_extent())
    ]
    assert within == ["planned"]


def test_a_plan_says_that_it_is_one() -> None:
    picture = ghost(network())
    real = draw(network().snapshot())
    assert picture.alt == SAYS + real.alt
    root = ElementTree.fromstring(picture.svg)
    assert root.get("aria-label") == picture.alt == root[0].text
    assert root.get("data-netviz") == "plan"
    assert ElementTree.fromstring(real.svg).get("data-netviz") is None


def test_every_hover_title_of_a_plan_says_so_and_tells_no_number_that_is_made_up() -> None:
    root = ElementTree.fromstring(ghost(network()).svg)
    titles = [
        str(title.text) for group in root.iter(f"{SVG}g") for title in group.findall(f"{SVG}title")
    ]
    assert len(titles) > 20
    assert all(title.startswith(SAYS[:-2]) for title in titles)
    assert not [title for title in titles if " · id " in title or " · index " in title]
    assert f"{SAYS}off:eth2 · veth · down · MTU 1500" in titles


def test_a_name_that_looks_like_a_number_is_left_in_the_hover_title() -> None:
    net = Net()
    net.space("a · id 7")
    assert f">{SAYS}a · id 7 · namespace · 0 processes</title>" in ghost(net).svg


def test_a_card_that_is_planned_has_the_room_for_its_mac() -> None:
    net = Net()
    net.cable(net.space("net1"), net.space("net2"))
    words = [label.text for label in ghost(net).plan.labels]
    assert words.count("··:⋯:··:··:··") == 2


@pytest.mark.parametrize("theme", THEMES)
def test_nothing_of_a_plan_is_drawn_through_but_its_tags(theme: str) -> None:
    picture = ghost(network(), theme=theme)
    artists = {a.get_gid(): a for a in picture.figure().findobj() if a.get_gid()}
    for shape in (*picture.plan.boxes, *picture.plan.cables):
        assert artists[shape.gid].get_linestyle() not in ("-", "solid"), shape
    for port in picture.plan.ports:
        solid = artists[port.gid].get_linestyle() in ("-", "solid")
        assert solid == (port.state in ("up", "planned"))


def test_a_planned_cable_differs_from_one_that_is_down_by_more_than_its_colour() -> None:
    net = Net()
    bridge = net.bridge(ROOT)
    for state in (UP, DOWN):
        net.cable(ROOT, net.space(), port=bridge, state=state)
    picture = ghost(net)
    artists = {a.get_gid(): a for a in picture.figure().findobj() if a.get_gid()}
    up, down = (cable for cable in picture.plan.cables if cable.gid.startswith("wire-"))
    assert artists[up.gid].get_linestyle() != artists[down.gid].get_linestyle()
    assert artists[up.gid].get_edgecolor() != artists[down.gid].get_edgecolor()
    assert [[label.text for label in cable.labels] for cable in (up, down)] == [[], ["down"]]


@pytest.mark.parametrize("theme", THEMES)
def test_a_ghost_is_paler_and_thinner_than_what_is_there(theme: str) -> None:
    real, look = THEMES[theme], ghostly(THEMES[theme])
    assert look.page == real.page
    assert look.pen < real.pen
    assert all(look.boxes[kind] != real.boxes[kind] for kind in real.boxes)


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_same_plan_gives_the_same_bytes(fmt: str) -> None:
    assert ghost(network()).render(fmt) == ghost(network()).render(fmt)


def test_a_plan_of_nothing_is_drawn() -> None:
    picture = ghost(Snapshot())
    assert picture.alt.startswith(SAYS)
    assert faults(picture.plan) == []


def test_a_plan_is_refused_an_unknown_theme() -> None:
    with pytest.raises(NetvizError, match="'pink'; choose of: light, dark"):
        ghost(Snapshot(), theme="pink")
