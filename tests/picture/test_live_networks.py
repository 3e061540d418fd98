"""Pictures of networks that the kernel really has."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from extents import faults

from netviz.picture.drawing import draw

if TYPE_CHECKING:
    from netviz.picture.shapes import Box, Plan

BRIDGE = """
ip link add br1 type bridge; ip link set br1 up; ip address add 10.1.1.254/24 dev br1
for n in 1 2 3; do
    ip netns add net$n; ip link add br1-veth$n type veth peer name veth$n netns net$n
    ip link set br1-veth$n master br1 up; ip -n net$n address add 10.1.1.$n/24 dev veth$n
done
ip -n net1 link set veth1 up; ip -n net2 link set veth2 up"""
NETWORKS = {
    "nothing": "true",
    "veth in one namespace": "ip link add p1 type veth peer name p2",
    "veth across": "ip netns add net1; ip link add p1 type veth peer name p2 netns net1",
    "bridge": BRIDGE,
    "hosts": """
        ip link add sw type bridge; ip link set sw up
        for h in 1 2 3; do
            ip netns add node$h; ip -n node$h link add cni0 type bridge
            ip -n node$h address add 10.244.$h.1/24 dev cni0
            ip link add n$h type veth peer name eth0 netns node$h
            ip link set n$h master sw up; ip -n node$h link set eth0 up
            ip -n node$h address add 172.16.0.$h/24 dev eth0
            for c in 1 2; do
                ip netns add c$h$c
                ip -n node$h link add veth$c type veth peer name eth0 netns c$h$c
                ip -n node$h link set veth$c master cni0 up; ip -n c$h$c link set eth0 up
            done
            for far in 1 2 3; do [ $far = $h ] || ip -n node$h link add vx$far type vxlan \
                id $((h * far)) local 172.16.0.$h remote 172.16.0.$far dev eth0 dstport 4789
            done
        done""",
    "macvlan": """
        ip link add eth0 type veth peer name up0; ip link set eth0 up
        for n in 1 2 3; do
            ip netns add c$n; ip link add m$n link eth0 netns c$n type macvlan mode bridge
        done""",
    "hostile names": """
        ip netns add '<script>'; ip netns add "$(printf 'two\\nlines')"
        ip link add '<b>&$x$' type veth peer name '$(reboot)' netns '<script>'""",
}


def build(script: str) -> None:
    subprocess.run(["bash", "-ec", script], check=True)


def box(plan: Plan, name: str) -> Box:
    return next(b for b in plan.boxes if b.labels and b.labels[0].text == name)


@pytest.mark.parametrize("script", NETWORKS.values(), ids=NETWORKS)
def test_what_the_kernel_has_is_drawn_without_a_fault(script: str) -> None:
    build(script)
    assert faults(draw().plan) == []


def test_the_bridge_of_the_lesson_is_drawn_as_on_a_whiteboard() -> None:
    build(BRIDGE)
    plan = draw().plan
    bridge, leaves = box(plan, "br1"), [box(plan, f"net{n}") for n in (1, 2, 3)]
    assert [label.text for label in bridge.labels] == [
        "br1", "bridge · 10.1.1.254/24 · forwards by MAC",
    ]  # fmt: skip
    assert {leaf.y for leaf in leaves} == {leaves[0].y}
    assert all(leaf.y + leaf.h < bridge.y for leaf in leaves)
    ports = {port.text: port for port in plan.ports if not port.small}
    assert {name for name, port in ports.items() if port.owner == bridge.gid} == {
        "br1-veth1", "br1-veth2", "br1-veth3",
    }  # fmt: skip
    assert [ports[f"veth{n}"].state for n in (1, 2, 3)] == ["up", "up", "down"]


def test_the_live_picture_is_the_same_twice() -> None:
    build(BRIDGE)
    assert draw().plan == draw().plan


def test_the_words_name_every_namespace() -> None:
    build(BRIDGE)
    alt = draw().alt
    assert "Namespace net3 has veth3 with 10.1.1.3/24 (down), joined with root:br1-veth3." in alt


def test_port_that_does_not_forward_yet_is_told() -> None:
    script = """ip link add br1 type bridge stp_state 1; ip link set br1 up
    ip link add p1 type veth peer name q1; ip link set q1 up
    ip link set p1 master br1 up"""
    subprocess.run(["sh", "-ec", script], check=True)
    (bridge,) = (box for box in draw().plan.boxes if box.kind == "bridge")
    assert "p1 is listening" in [label.text for label in bridge.labels]
