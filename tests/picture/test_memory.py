"""A live picture is calm: what is there stays where it is, and what is new comes after it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from extents import faults
from generated import networks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import DOWN, NO_CARRIER, ROOT, UP, Net, address

from netviz.graphs import graph
from netviz.picture.drawing import text_width
from netviz.picture.layout import layout
from netviz.picture.memory import Memory

if TYPE_CHECKING:
    from netviz.model import Key, Snapshot
    from netviz.picture.shapes import Box, Plan

pytestmark = pytest.mark.long

FLAGS = {UP: ("UP", "LOWER_UP"), NO_CARRIER: ("UP",), DOWN: ()}
SLOW = settings(
    deadline=None, max_examples=60, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


class Living(Net):
    """A network from which things vanish too; it lists namespaces by name, as discovery does."""

    def __init__(self) -> None:
        super().__init__()
        self.gone: set[Key | int] = set()

    def delete(self, space: int) -> None:
        """Delete a namespace, with its devices and the other ends of its cables."""
        self.gone.add(space)
        for key in [key for key in self.links if key[0] == space]:
            self.cut(key)

    def cut(self, key: Key) -> None:
        """Delete an interface, with its peer and what it carries; its ports lose their master."""
        self.gone |= {key, self.links[key].get("peer") or key}
        for other, link in self.links.items():
            if link.get("lower") in self.gone and other not in self.gone:
                self.cut(other)
            if link.get("master") in self.gone:
                link["master"] = None

    def snapshot(self) -> Snapshot:
        found = super().snapshot()
        kept = [
            replace(
                space,
                interfaces=tuple(
                    link for link in space.interfaces if (space.id, link.index) not in self.gone
                ),
            )
            for space in found.namespaces
            if space.id not in self.gone
        ]
        return replace(found, namespaces=(kept[0], *sorted(kept[1:], key=lambda space: space.name)))

    def address(self, key: Key, *typed: str) -> None:
        self.links[key]["addresses"] = tuple(address(each) for each in typed)

    def state(self, key: Key, state: str) -> None:
        self.links[key]["flags"] = FLAGS[state]


class Screen:
    """What a learner sees: each drawing is judged by itself, and beside the one before."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.plans: list[Plan] = []

    def show(self, net: Net) -> dict[str, tuple[float, float]]:
        """Draw, and return how far each box that was there before moved: right and down."""
        plan = layout(graph(net.snapshot()), text_width, memory=self.memory)
        assert faults(plan) == []
        before = boxes(self.plans[-1]) if self.plans else {}
        self.plans.append(plan)
        return {
            name: (round(box.x - before[name].x, 2), round(box.y - before[name].y, 2))
            for name, box in boxes(plan).items()
            if name in before
        }

    @property
    def boxes(self) -> dict[str, Box]:
        return boxes(self.plans[-1])


def boxes(plan: Plan) -> dict[str, Box]:
    """Return the boxes by the names that are written in them."""
    return {box.labels[0].text: box for box in plan.boxes}


def bridged(count: int, screen: Screen | None = None) -> tuple[Living, Key, list[int]]:
    """Return so many namespaces on a bridge, and show each as it comes."""
    net = Living()
    bridge = net.bridge(ROOT, "br1", at=["10.1.1.254/24"])
    spaces = []
    for number in range(count):
        spaces.append(net.space(f"net{count - number}"))
        net.cable(ROOT, spaces[-1], port=bridge)
        if screen:
            screen.show(net)
    return net, bridge, spaces


def far(moved: dict[str, tuple[float, float]], *names: str) -> float:
    """Return how far the farthest moved, of these boxes or of all."""
    return max((max(map(abs, moved[name])) for name in names or moved), default=0.0)


def test_a_new_memory_changes_nothing_but_what_was_centred() -> None:
    plan = layout(graph(bridged(3)[0].snapshot()), text_width)
    kept = layout(graph(bridged(3)[0].snapshot()), text_width, memory=Memory())
    assert (kept.width, kept.height) == (plan.width, plan.height)
    assert {box.gid for box in kept.boxes} == {box.gid for box in plan.boxes}


@SLOW
@given(networks())
def test_what_is_drawn_without_memory_is_the_same_before_and_after(snapshot: Snapshot) -> None:
    wires, memory = graph(snapshot), Memory()
    plan = layout(wires, text_width)
    layout(wires, text_width, memory=memory)
    assert layout(wires, text_width) == plan


@SLOW
@given(networks())
def test_the_same_network_is_drawn_the_same_again_and_again(snapshot: Snapshot) -> None:
    wires, memory = graph(snapshot), Memory()
    first, second, third = (layout(wires, text_width, memory=memory) for _ in range(3))
    assert first == second == third
    assert faults(first) == [] or faults(layout(wires, text_width)) != []


@pytest.mark.parametrize("names", [["zeta", "alpha", "mid", "beta"], ["net10", "net9", "net1"]])
def test_namespaces_come_after_those_that_are_there_whatever_their_names(names: list[str]) -> None:
    net, screen = Living(), Screen()
    for name in names:
        net.space(name)
        assert far(screen.show(net)) == 0
    lefts = [screen.boxes[name].x for name in names]
    assert lefts == sorted(lefts)


def test_a_new_line_of_namespaces_moves_nothing() -> None:
    net, screen = Living(), Screen()
    for number in range(14):
        net.space(f"net{99 - number}")
        assert far(screen.show(net)) == 0
    assert len({box.y for box in screen.plans[-1].boxes[1:]}) == 3


def test_ports_that_come_one_by_one_move_no_leaf_and_keep_their_order() -> None:
    screen = Screen()
    net, bridge, _ = bridged(1, screen)
    for number in range(2, 8):
        net.cable(ROOT, net.space(f"a{9 - number}"), port=bridge)
        assert far(screen.show(net)) == 0
        order = [
            sorted((port.x, port.gid) for port in plan.ports if port.owner == f"if-{ROOT}-2")
            for plan in screen.plans[-2:]
        ]
        assert [gid for _, gid in order[1]][:-1] == [gid for _, gid in order[0]]
        assert [x for x, _ in order[1]][:-1] == pytest.approx([x for x, _ in order[0]])


def test_every_wire_of_a_bridge_that_grew_is_straight() -> None:
    screen = Screen()
    net, bridge, spaces = bridged(5, screen)
    net.delete(spaces[1])
    screen.show(net)
    net.cable(ROOT, net.space("a"), port=bridge)
    assert far(screen.show(net)) == 0
    for cable in (each for each in screen.plans[-1].cables if each.owners):
        assert cable.points[0][0] == pytest.approx(cable.points[-1][0], abs=1)


def test_an_address_that_goes_and_comes_back_moves_nothing() -> None:
    net, _, spaces = bridged(4)
    screen, key = Screen(), (spaces[1], 2)
    net.address(key, "10.1.1.1/24", "2001:db8:1234:5678:9abc:def0:1234:5678/128")
    screen.show(net)
    for typed in ([], ["10.1.1.1/24"], ["10.1.1.1/24", "2001:db8:1234:5678:9abc::1/128"]):
        net.address(key, *typed)
        assert far(screen.show(net)) == 0
        assert screen.plans[-1].width == screen.plans[0].width
        assert screen.plans[-1].height == screen.plans[0].height


def test_an_address_moves_only_what_is_on_its_right_or_below() -> None:
    screen = Screen()
    net, _, spaces = bridged(4, screen)
    net.address((spaces[1], 2), "2001:db8:1234:5678:9abc:def0:1234:5678/128")
    moved = screen.show(net)
    assert far(moved, "net4", "net3", "root namespace") == 0
    assert moved["net2"] == moved["net1"]
    assert moved["net1"][0] > 100
    assert moved["br1"] == (0, 18)


@pytest.mark.parametrize("home", ["root", "bridge"])
def test_addresses_of_the_machine_itself_move_what_is_below_them_once(home: str) -> None:
    net, bridge, _ = bridged(2)
    key = net.device(ROOT, "eth0") if home == "root" else bridge
    screen = Screen()
    net.address(key)
    screen.show(net)
    net.address(key, "10.9.9.9/24")
    moved = screen.show(net)
    assert far(moved) == (18 if home == "root" else 0)
    for typed in ([], ["10.7.7.7/24"]):
        net.address(key, *typed)
        assert far(screen.show(net)) == 0


def test_links_that_go_down_and_up_move_nothing() -> None:
    screen = Screen()
    net, _, spaces = bridged(5, screen)
    for state in (DOWN, UP, NO_CARRIER, UP):
        for key in ((spaces[2], 2), net.links[spaces[2], 2]["peer"]):
            net.state(key, state)
            assert far(screen.show(net)) == 0


def test_what_is_left_of_or_right_of_a_deleted_namespace_stays() -> None:
    net, screen = Living(), Screen()
    spaces = [net.space(name) for name in ("d", "c", "b", "a")]
    screen.show(net)
    net.delete(spaces[1])
    assert far(screen.show(net)) == 0
    net.space("Z")
    assert far(screen.show(net)) == 0
    assert screen.boxes["Z"].x > screen.boxes["a"].x


def test_a_leaf_deleted_in_the_middle_moves_nothing() -> None:
    screen = Screen()
    net, _, spaces = bridged(5, screen)
    net.delete(spaces[2])
    assert far(screen.show(net)) == 0


def test_a_page_that_is_much_too_large_shrinks_and_nothing_goes_right() -> None:
    screen = Screen()
    net, _, spaces = bridged(6, screen)
    for space in spaces[1:4]:
        net.delete(space)
        moved = screen.show(net)
        assert all(x <= 0.01 for x, _ in moved.values())
        assert far(moved, "net6", "br1") < 0.01
    assert screen.plans[-1].width < 0.7 * screen.plans[5].width
    assert screen.boxes["net2"].x < screen.boxes["net1"].x


def test_when_all_is_gone_all_is_forgotten() -> None:
    screen = Screen()
    screen.show(bridged(9)[0])
    screen.show(Living())
    assert screen.plans[-1].width == layout(graph(Living().snapshot()), text_width).width
    assert screen.memory.places == {}
    assert screen.memory.order.keys() == {f"ns-{ROOT}-0"}


def test_the_way_does_not_flip_back_and_forth() -> None:
    screen = Screen()
    net, bridge, spaces = bridged(7, screen)
    ways = []
    for _ in range(4):
        spaces.append(net.space(f"more{len(net.spaces)}"))
        net.cable(ROOT, spaces[-1], port=bridge)
        screen.show(net)
        ways.append(screen.memory.way)
        net.delete(spaces.pop())
        assert far(screen.show(net)) == 0
        ways.append(screen.memory.way)
    assert len({*ways}) == 1


def test_a_bridge_that_comes_last_goes_below_what_was_first() -> None:
    net, screen = Living(), Screen()
    names, spaces = ("net3", "net1", "net2"), []
    for name in names:
        spaces.append(net.space(name))
        screen.show(net)
    bridge = net.bridge(ROOT, "br1")
    screen.show(net)
    for space in spaces:
        net.cable(ROOT, space, port=bridge)
        moved = screen.show(net)
        assert moved["net3"] == (0, 0)
        lefts = [screen.boxes[name].x for name in names]
        assert lefts == sorted(lefts)
    assert screen.boxes["br1"].y > screen.boxes["net2"].y


def test_a_chain_that_grows_at_its_end_moves_nothing_else() -> None:
    net, screen = Living(), Screen()
    row = [net.space("c")]
    for name in ("b", "a", "Z"):
        screen.show(net)
        row.append(net.space(name))
        net.cable(*row[-2:])
        assert far(screen.show(net)) == 0
    lefts = [screen.boxes[name].x for name in ("c", "b", "a", "Z")]
    assert lefts == sorted(lefts)


def test_containers_that_come_to_a_host_move_only_what_is_on_its_right() -> None:
    net, screen = Living(), Screen()
    hosts = [net.space(name) for name in ("node1", "node2")]
    for host in hosts:
        bridge = net.bridge(host, f"cni-{host}", at=["10.244.0.1/24"])
        for _ in range(2):
            net.cable(host, net.space(), port=bridge)
    screen.show(net)
    net.cable(hosts[0], net.space("A"), port=(hosts[0], 2))
    moved = screen.show(net)
    assert far(moved, "net3", "net4", "node1", f"cni-{hosts[0]}") == 0
    net.cable(hosts[1], net.space("B"), port=(hosts[1], 2))
    assert far(screen.show(net)) == 0


OPERATIONS = ("space", "space", "cable", "plug", "plug", "plug", "bridge", "delete", "cut",
              "address", "address", "state")  # fmt: skip
TYPED = ("10.1.1.1/24", "fd00::1/64", "2001:db8:1234:5678:9abc:def0:1234:5678/128")


def change(draw: st.DrawFn, net: Living) -> str:
    """Change one thing; return what."""
    choose = lambda some: draw(st.sampled_from(some))  # noqa: E731
    spaces = [space for space in net.spaces if space not in net.gone]
    keys = [key for key in net.links if key not in net.gone and net.links[key]["name"] != "lo"]
    bridges = [key for key in keys if net.links[key]["kind"] == "bridge"]
    operation = choose(OPERATIONS)
    if operation == "space":
        net.space(choose("zyxabc") + str(len(net.spaces)))
    elif operation == "bridge":
        net.bridge(ROOT, f"br{len(net.links)}")
    elif operation == "cable":
        net.cable(choose(spaces), choose(spaces))
    elif operation == "plug" and bridges:
        net.cable(ROOT, choose(spaces), port=choose(bridges))
    elif operation == "delete" and spaces[1:]:
        net.delete(choose(spaces[1:]))
    elif operation == "cut" and keys:
        net.cut(choose(keys))
    elif operation == "address" and keys:
        net.address(choose(keys), *draw(st.lists(st.sampled_from(TYPED), unique=True)))
    elif operation == "state" and keys:
        net.state(choose(keys), choose((UP, DOWN, NO_CARRIER)))
    return operation


@SLOW
@given(st.data())
def test_whatever_happens_nothing_overlaps_and_the_same_comes_of_it(data: st.DataObject) -> None:
    net, memory, twin = Living(), Memory(), Memory()
    for _ in range(data.draw(st.integers(1, 25))):
        change(data.draw, net)
        wires = graph(net.snapshot())
        plan = layout(wires, text_width, memory=memory)
        assert layout(wires, text_width, memory=twin) == plan
        assert faults(plan) == [] or faults(layout(wires, text_width)) != []


@SLOW
@given(st.data())
def test_what_has_nothing_to_do_with_a_new_namespace_never_moves(data: st.DataObject) -> None:
    net, screen = Living(), Screen()
    for _ in range(data.draw(st.integers(1, 15))):
        change(data.draw, net)
        layout(graph(net.snapshot()), text_width, memory=screen.memory)
    before, way = layout(graph(net.snapshot()), text_width, memory=screen.memory), screen.memory.way
    net.space("Alone")
    after = layout(graph(net.snapshot()), text_width, memory=screen.memory)
    places = {box.gid: box.extent[:2] for box in after.boxes}
    if screen.memory.way == way:
        for box in before.boxes:
            assert places[box.gid] == pytest.approx(box.extent[:2], abs=0.01)
