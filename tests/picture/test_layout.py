"""Whatever the network, nothing in its picture lies where it must not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from extents import faults, of_box, of_port, within
from generated import PIECES, networks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import DOWN, NAMES, NO_CARRIER, ROOT, UP, Net, tunnels

from netviz.graphs import graph
from netviz.model import HOST
from netviz.picture.drawing import text_width
from netviz.picture.layout import layout

if TYPE_CHECKING:
    from netviz.model import Snapshot
    from netviz.picture.shapes import Plan

pytestmark = pytest.mark.long

SLOW = settings(
    deadline=None, max_examples=100, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


def plan_of(net: Net | Snapshot, title: str | None = None) -> Plan:
    snapshot = net.snapshot() if isinstance(net, Net) else net
    return layout(graph(snapshot), text_width, title=title)


def star(count: int, home: int = ROOT) -> Net:
    net = Net()
    bridge = net.bridge(home)
    for number in range(1, count + 1):
        net.cable(home, net.space(), port=bridge, at=[f"10.0.0.{number}/16"])
    return net


@SLOW
@given(networks())
def test_nothing_overlaps_collides_or_is_cut(snapshot: Snapshot) -> None:
    assert faults(plan_of(snapshot)) == []


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.__name__)
def test_nothing_overlaps_in_networks_of_one_kind(piece: object) -> None:
    @settings(SLOW, max_examples=20)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        net = Net()
        piece(data.draw, net)  # type: ignore[operator]
        assert faults(plan_of(net)) == []

    check()


@pytest.mark.parametrize("count", range(1, 61, 7))
def test_stars_of_every_size_are_drawn_without_a_fault(count: int) -> None:
    plan = plan_of(star(count))
    assert faults(plan) == []
    assert sum(box.kind == "namespace" for box in plan.boxes) == count


@pytest.mark.parametrize("count", [0, 1, 9, 60])
def test_namespaces_without_a_cable_stand_side_by_side(count: int) -> None:
    net = Net()
    for _ in range(count):
        net.space()
    assert faults(plan_of(net)) == []


def test_three_hosts_with_a_full_mesh_of_tunnels_have_their_containers_inside() -> None:
    plan = plan_of(mesh_of_hosts(3))
    assert faults(plan) == []
    assert [len(inside) for inside in by_host(plan).values()] == [2, 2, 2]
    assert sum(cable.kind == "tunnel" for cable in plan.cables if cable.owners) == 3


def by_host(plan: Plan) -> dict[str, list[str]]:
    """Return the names of the namespaces that stand in each host."""
    spaces = [box for box in plan.boxes if box.kind == "namespace"]
    return {
        host.labels[0].text: [
            box.labels[0].text for box in spaces if within(of_box(box), of_box(host))
        ]
        for host in plan.boxes
        if host.kind == "host"
    }


def test_hosts_are_whose_card_others_share_and_who_say_so_but_no_mere_routers() -> None:
    net = Net()
    switch = net.bridge(ROOT, "switch")
    for name in ("router", "declared", "shared"):
        space = net.space(name)
        card = net.cable(ROOT, space, port=switch, at=["10.0.0.1/24"])[1]
        net.cable(space, net.space(f"behind {name}"))
        net.links[space, 1]["alias"] = HOST if name == "declared" else None
    for name in ("pod1", "pod2"):
        net.device(net.space(name), "eth0", "macvlan", lower=card)
    plan = plan_of(net)
    assert faults(plan) == []
    inside = {"declared": ["behind declared"], "shared": ["behind shared", "pod1", "pod2"]}
    assert {host: sorted(those) for host, those in by_host(plan).items()} == inside


def mesh_of_hosts(count: int) -> Net:
    net = Net()
    switch, hosts, under = net.bridge(ROOT, "switch"), [], {}
    for number in range(count):
        host = net.space(f"node{number}")
        bridge = net.bridge(host, "cni0", at=[f"10.244.{number}.1/24"])
        for _ in range(2):
            net.cable(host, net.space(), port=bridge, at=["10.244.0.9/24"])
        _, under[host] = net.cable(ROOT, host, port=switch, at=[f"172.16.0.{number}/24"])
        hosts.append(host)
    tunnels(net, hosts, under)
    return net


def test_what_stands_in_a_host_stands_in_its_middle() -> None:
    plan = plan_of(mesh_of_hosts(2))
    for host in (box for box in plan.boxes if box.kind == "host"):
        inner = [box for box in plan.boxes if box is not host and within(of_box(box), of_box(host))]
        left = min(box.x for box in inner) - host.x
        right = host.x + host.w - max(box.x + box.w for box in inner)
        assert left == pytest.approx(right)


def test_cables_between_boxes_side_by_side_are_straight_however_many() -> None:
    net = Net()
    a, b = net.space("a"), net.space("b")
    for number in range(5):
        net.cable(a, b, f"e{9 - number}", f"f{number}", state=DOWN if number % 2 else UP)
    assert [len(cable.points) for cable in plan_of(net).cables if cable.owners] == [2] * 5


@pytest.mark.parametrize("count", [3, 12, 30, 59])
def test_what_hangs_on_a_bridge_alone_hangs_straight(count: int) -> None:
    for cable in (each for each in plan_of(star(count)).cables if each.owners):
        (x1, y1), *_, (x2, y2) = cable.points
        assert min(abs(x1 - x2), abs(y1 - y2)) <= 1


def test_many_devices_that_lead_nowhere_sit_on_the_edge_of_the_root() -> None:
    net = star(3)
    for number in range(12):
        net.device(ROOT, f"enp{number}s0", state=DOWN if number % 2 else UP)
    plan = plan_of(net)
    frame = plan.boxes[0]
    tags = [port for port in plan.ports if port.owner == frame.gid and not port.small]
    assert faults(plan) == []
    assert [port.y for port in tags] == [frame.y + frame.h] * 12


@pytest.mark.parametrize("count", [20, 40, 90])
def test_more_devices_than_the_lower_edge_holds_sit_at_the_sides(count: int) -> None:
    net = star(3)
    for number in range(count):
        net.device(ROOT, f"cali{number:011}")
    plan = plan_of(net)
    assert faults(plan) == []
    assert plan.width <= 1400


def test_a_loopback_lies_within_its_box() -> None:
    plan = plan_of(star(4))
    boxes = {box.gid: box for box in plan.boxes}
    small = [port for port in plan.ports if port.small]
    assert len(small) == 5
    assert all(within(of_port(port), of_box(boxes[port.owner])) for port in small)


@pytest.mark.parametrize("state", [DOWN, NO_CARRIER])
def test_a_cable_that_is_down_says_so_beside_it(state: str) -> None:
    net = Net()
    net.cable(net.space(), net.space(), state=state)
    (cable,) = (cable for cable in plan_of(net).cables if cable.owners)
    assert cable.state == "down"
    assert [label.text for label in cable.labels] == ["down"]


def test_a_tunnel_that_is_down_says_so_on_it() -> None:
    net = Net()
    a, b = net.space(), net.space()
    tunnels(net, [a, b], {})
    for key in [(a, 2), (b, 2)]:
        net.links[key]["flags"] = ()
    (tunnel,) = (cable for cable in plan_of(net).cables if cable.owners)
    assert tunnel.labels[0].text == "VXLAN VNI 101 · UDP 4789 · down"


def test_a_bond_in_a_bridge_leads_from_its_box_to_its_tag() -> None:
    net = Net()
    bridge = net.bridge(ROOT)
    bond = net.device(ROOT, "bond0", "bond", master=bridge)
    net.cable(ROOT, net.space(), port=bond)
    plan = plan_of(net)
    tag = next(port for port in plan.ports if port.text == "bond0")
    wire = next(cable for cable in plan.cables if cable.kind == "port")
    assert wire.points[-1] == pytest.approx((tag.x, tag.y)) or wire.points[0] == pytest.approx(
        (tag.x, tag.y)
    )
    assert {box.gid for box in plan.boxes} >= {f"if-{ROOT}-{bond[1]}", tag.owner}


def test_a_long_title_is_not_cut() -> None:
    plan = plan_of(Net(), title="A title that is much longer than the picture that it stands over")
    assert faults(plan) == []


def test_long_names_are_shortened_in_their_middle() -> None:
    net = Net()
    net.space("customer-edge-router-of-the-northern-region")
    box = next(box for box in plan_of(net).boxes if box.kind == "namespace")
    assert box.labels[0].text == "customer-edg…rthern-region"


@pytest.mark.parametrize("name", NAMES)
def test_every_name_fits_into_its_box(name: str) -> None:
    net = Net()
    net.cable(net.space(name), net.space(name), name[:15], name[-15:])
    assert faults(plan_of(net)) == []


def test_warnings_stand_at_the_foot_and_mark_the_interface() -> None:
    net = star(2)
    net.warn(net.device(ROOT, "torn", "veth", state=DOWN), "its peer is gone")
    plan = plan_of(net)
    assert "⚠ root:torn: its peer is gone" in [label.text for label in plan.labels]
    assert next(port for port in plan.ports if port.text == "torn").state == "warning"


@pytest.mark.parametrize(("count", "width", "height"), [(3, 700, 500), (12, 1260, 700)])
def test_a_picture_fits_a_page(count: int, width: int, height: int) -> None:
    plan = plan_of(star(count))
    assert plan.width <= width
    assert plan.height <= height


@pytest.mark.parametrize("ports", [(True, False), (False, True), (False, False), (True, True)])
def test_a_cable_within_a_host_leads_to_its_own_stack(ports: tuple[bool, bool]) -> None:
    net = Net()
    host = net.space("host")
    bridge = net.bridge(host)
    ends = net.cable(host, host, port=bridge if ports[0] else None)
    net.links[ends[1]]["master"] = bridge if ports[1] else None
    net.cable(host, net.space("inside"), port=bridge)
    assert faults(plan_of(net)) == []
