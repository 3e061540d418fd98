"""``script`` says how to build any network again, and ``restore`` leads from any to any other."""

from __future__ import annotations

import fcntl
import random
import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from handmade import ALL, KINDS, OWN, UP, topologies
from hypothesis import HealthCheck, given, settings
from oracle import sh
from rebuilding import by_itself, chosen, look, rebuilt, steps
from test_discovery import NETWORKS, RARE, process
from test_reset import possible

import netviz
from netviz.model import Snapshot
from netviz.net import namespaces
from netviz.net.discovery import snapshot
from netviz.net.history import restore
from netviz.net.scripts import script
from netviz.net.steps import AddVeth, DeleteLink
from netviz.net.topology import Topology
from tests.sandboxed import fresh_network

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.long

READY = {
    "two hosts": netviz.two_hosts,
    "bridge": netviz.bridge,
    "large bridge": lambda: netviz.bridge(60),
    "Docker": lambda: netviz.docker(3),
    "router": netviz.router,
    "cluster": lambda: netviz.nodes(3, 2),
}
SOME = random.Random(7).sample([*NETWORKS.values(), *OWN.values()], 24)
UNBUILT = {
    "rule": ("ip rule add iif lo goto 32767", "root has a rule that goes on to another"),
    "iptables rule": (
        "iptables -t nat -A POSTROUTING -j MASQUERADE",
        "root has packet filters of which only iptables-save tells all",
    ),
    "address that expires": (
        UP + "ip address add 10.2.0.1/24 dev one valid_lft 1000 preferred_lft 500",
        "root:one has 10.2.0.1/24, which expires",
    ),
    "namespace": ("ip netns add root", "/run/netns/root:lo lies in a namespace that has no name"),
    "queue": (UP + "tc qdisc add dev one root pfifo limit 9", "root:one has a pfifo, whose"),
}


@pytest.mark.parametrize("name", ALL)
def test_script_builds_again_what(name: str) -> None:
    if name in KINDS and not possible(KINDS[name]):
        pytest.skip(f"this kernel, or this user, cannot make a {name.partition(',')[0]}")
    sh(ALL[name])
    seen = look()
    again = rebuilt(seen, exact=True)
    # The card of an ifb cannot be chosen; what expires is told, and not built.
    expires = ["- root: address two fd01::1/64"] * ("valid_lft" in ALL[name])
    assert chosen(seen.diff(again), *["mac"] * ("ifb" in ALL[name])) == expires
    assert steps(again, seen) == steps(seen, seen) == ()


def test_route_that_somebody_took_from_an_address_does_not_come_again() -> None:
    sh(
        UP
        + """ip route delete 10.0.0.0/24 dev one; ip address add fd00::1/64 dev one nodad
        ip -6 route delete fd00::/64 dev one; ip route add 10.0.0.0/24 dev one metric 99"""
    )
    seen = look()
    again = rebuilt(seen, exact=True)
    assert steps(again, seen) == ()
    assert [it.kind for it in seen.diff(again) if not by_itself(it)] == ["address"] * 2
    assert not {"10.0.0.0/24", "fd00::/64"} & {
        it.to for it in again.namespaces[0].routes if it.protocol == "kernel"
    }


@pytest.mark.parametrize("make", READY.values(), ids=READY)
def test_up_and_script_are_one(make: Callable[[], Topology]) -> None:
    net = make().up()
    assert chosen(look().diff(rebuilt(net)), "mac") == []
    assert chosen(look().diff(rebuilt(look())), "mac") == []


@settings(deadline=None, max_examples=20, derandomize=True, suppress_health_check=list(HealthCheck))
@given(topologies())
def test_any_declared_network_is_built_alike_by_up_by_script_and_again(net: Topology) -> None:
    with fresh_network():
        net.up()
        seen = look()
    assert chosen(seen.diff(rebuilt(net)), "mac") == []
    assert chosen(seen.diff(rebuilt(seen, exact=True))) == []


@pytest.mark.parametrize(("one", "other"), [*zip(SOME[::2], SOME[1::2], strict=True)])
def test_restore_leads_from_any_network_to_any_other(one: str, other: str) -> None:
    with fresh_network():
        sh(other)
        wanted = look()
    sh(one)
    restore(wanted)
    assert steps(look(), wanted) == ()
    assert chosen(wanted.diff(look())) == []


@pytest.mark.parametrize(
    "change",
    ["netns net1", "name three", "netns net1 name three", "netns net2 address 02:00:00:00:00:05"],
)
def test_link_that_was_moved_comes_back_as_the_same(change: str) -> None:
    sh("ip netns add net1; ip netns add net2;" + UP + "ip route add default via 10.0.0.2")
    before = look()
    sh(f"ip link set one down; ip link set one {change}")
    if "address" not in change:
        assert not [it for it in steps(look(), before) if isinstance(it, AddVeth | DeleteLink)]
    restore(before)
    assert chosen(before.diff(look())) == []
    assert [link.index for _, link in look()] == [link.index for _, link in before]


def test_namespace_of_a_process_becomes_one_with_a_name() -> None:
    script = "ip link set lo up; ip link add br0 type bridge; echo; exec sleep 60"
    with process("unshare", "-n", "sh", "-c", script):
        seen = look()
    again = rebuilt(seen, exact=True)
    assert [it.held_by for it in seen.namespaces] == ["root", "process"]
    assert again.namespaces[1].names == (seen.namespaces[1].name,)
    assert chosen(seen.diff(again)) == []


@pytest.mark.parametrize("kind", UNBUILT)
def test_what_no_command_can_build_is_told_and_the_rest_is_built(kind: str) -> None:
    how, told = UNBUILT[kind]
    if not possible(how):
        pytest.skip(f"this kernel, or this user, cannot make a {kind}")
    sh(how)
    seen = look()
    assert f"\n# Not built: {told}" in script(seen)
    made = [link.name for _, link in rebuilt(seen)]
    assert made == [link.name for space, link in seen if "/" not in space.name]


def test_tap_that_a_program_holds_open_is_told() -> None:
    if not possible(RARE["tap"]):
        pytest.skip("this kernel, or this user, cannot make a tap")
    with Path("/dev/net/tun").open("rb") as held:
        fcntl.ioctl(held, 0x400454CA, struct.pack("16sH22x", b"tap0", 0x1002))
        seen = look()
    assert "# Not built: root:tap0 is there while a program has it open.\n" in script(seen)
    assert [link.name for _, link in rebuilt(seen)] == ["lo"]


def test_cable_that_leads_out_of_sight_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    sh("ip netns add a; ip link add one type veth peer name two netns a; ip link set one up")
    found, cautions = namespaces.find()
    with monkeypatch.context() as blind:
        blind.setattr(namespaces, "find", lambda: (found[:1], cautions))
        seen = snapshot()
    assert "# Not built: root:one leads out of sight.\n" in script(seen)
    assert [link.name for _, link in rebuilt(seen)] == ["lo"]


def test_hardware_is_told_and_left_out_with_all_that_stands_on_it() -> None:
    sh(
        UP
        + """ip link add m1 link one type macvlan; tc qdisc add dev one ingress
        ip route add default via 10.0.0.2; ip link set one address 02:00:00:00:00:01
        ip neighbour add 10.0.0.2 lladdr 02:00:00:00:00:02 dev one
        ip route add 10.1.0.0/16 nexthop dev one nexthop dev two; ip link add br0 type bridge
        ip link set two master br0; echo 2 > /proc/sys/net/ipv4/conf/one/rp_filter"""
    )
    root = look().namespaces[0]
    hard = {"one": {"kind": "device", "peer": None}, "two": {"peer": None}}
    links = tuple(replace(it, **hard.get(it.name, {})) for it in root.interfaces)
    seen = Snapshot((replace(root, interfaces=links),))
    told = [line for line in script(seen).split("\n") if re.search(r"\b(one|two|m1)\b", line)]
    assert [line.split(" ")[:4] for line in told] == [
        ["#", "Not", "built:", f"root:{name}"] for name in ("two", "one", "m1")
    ]
    assert [link.name for _, link in rebuilt(seen)] == ["lo", "br0"]


def test_card_that_is_named_elsewhere_is_kept_though_others_are_drawn_by_lot() -> None:
    net = Topology()
    net.namespace("net1")
    net.veth("net1:eth0", "one", ip="10.0.0.2/24", mac="02:00:00:00:00:01", peer_ip="10.0.0.1/24")
    net.neighbour("one", "10.0.0.2", "02:00:00:00:00:01")
    said = script(net.up() and look())
    assert said.count("address 02:00:00:00:00:01") == said.count(" address 02") == 1
