"""Above sixty namespaces, equal leaves become one box with a count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from extents import faults
from networks import DOWN, ROOT, UP, Net

from netviz.graphs import graph
from netviz.picture.drawing import text_width
from netviz.picture.layout import layout

if TYPE_CHECKING:
    from netviz.picture.shapes import Plan

pytestmark = pytest.mark.long


def star(count: int) -> Net:
    net = Net()
    bridge = net.bridge(ROOT, at=["10.0.0.1/16"])
    for number in range(1, count + 1):
        net.cable(ROOT, net.space(), f"p{number}", "eth0", port=bridge, at=[f"10.0.1.{number}/16"])
    return net


def plan_of(net: Net) -> Plan:
    plan = layout(graph(net.snapshot()), text_width)
    assert faults(plan) == []
    return plan


def kinds(plan: Plan) -> list[str]:
    return [box.kind for box in plan.boxes]


def test_sixty_leaves_are_sixty_boxes() -> None:
    assert kinds(plan_of(star(60))).count("namespace") == 60


def test_sixty_one_equal_leaves_are_one_box_with_a_count() -> None:
    plan = plan_of(star(61))
    assert sorted(kinds(plan)) == ["bridge", "folded", "frame"]
    folded = next(box for box in plan.boxes if box.kind == "folded")
    assert [label.text for label in folded.labels] == [
        "net1 … net61", "61 equal namespaces", "10.0.1.1/16 … 10.0.1.61/16",
    ]  # fmt: skip
    assert {port.text for port in plan.ports} == {"lo", "61 of eth0", "61 ports"}


def test_a_thousand_leaves_are_one_box_too() -> None:
    net = Net()
    bridge = net.bridge(ROOT)
    for _ in range(1000):
        net.cable(ROOT, net.space(), "", "eth0", port=bridge)
    assert kinds(plan_of(net)).count("folded") == 1


@pytest.mark.parametrize("odd", ["cable down", "loopback up", "no address", "named otherwise"])
def test_a_leaf_that_differs_keeps_a_box_of_its_own(odd: str) -> None:
    net = star(70)
    leaf = next(space for space, fields in net.spaces.items() if fields["name"] == "net7")
    lo, end = net.links[leaf, 1], net.links[leaf, 2]
    if odd == "cable down":
        end["flags"] = ()
    elif odd == "loopback up":
        lo["flags"] = ("UP", "LOWER_UP")
    elif odd == "no address":
        end["addresses"] = ()
    else:
        end["name"] = "eth1"
    plan = plan_of(net)
    assert kinds(plan).count("namespace") == 1
    assert next(box for box in plan.boxes if box.kind == "namespace").labels[0].text == "net7"


def test_leaves_with_two_cables_are_not_folded() -> None:
    net = Net()
    bridges = [net.bridge(ROOT, "br1"), net.bridge(ROOT, "br2")]
    for _ in range(61):
        space = net.space()
        for bridge in bridges:
            net.cable(ROOT, space, port=bridge)
    assert kinds(layout(graph(net.snapshot()), text_width)).count("namespace") == 61


def test_leaves_of_two_bridges_are_two_boxes() -> None:
    net = star(40)
    other = net.bridge(ROOT, "br1")
    for number in range(40):
        state = UP if number % 2 else DOWN
        net.cable(ROOT, net.space(), "", "eth0", port=other, state=state)
    assert kinds(plan_of(net)).count("folded") == 3


def test_namespaces_without_a_cable_are_folded_as_well() -> None:
    net = Net()
    for _ in range(100):
        net.space()
    assert sorted(kinds(plan_of(net))) == ["folded", "frame"]


def test_leaves_whose_interfaces_differ_in_a_number_are_equal() -> None:
    net = Net()
    bridge = net.bridge(ROOT)
    for number in range(61):
        net.cable(ROOT, net.space(), f"port{number}", f"veth{number}", port=bridge)
    plan = layout(graph(net.snapshot()), text_width)
    assert kinds(plan).count("folded") == 1
    assert "veth0 … veth60" in [port.text for port in plan.ports]
