"""A network is declared, judged as a whole, and brought up as a whole."""

from __future__ import annotations

import inspect
import subprocess
from typing import TYPE_CHECKING

import pytest
from oracle import sh

import netviz
from netviz.errors import KernelError, NetvizError, TopologyError
from netviz.net.discovery import snapshot
from netviz.net.history import FOLDER
from netviz.net.topology import Topology

if TYPE_CHECKING:
    from collections.abc import Callable

    from netviz.model import Snapshot

NETWORKS = {
    "two hosts": (netviz.two_hosts, "net1", "10.1.1.2"),
    "bridge": (netviz.bridge, "net1", "10.1.1.3"),
    "large bridge": (lambda: netviz.bridge(300), "net1", "10.1.2.40"),
    "Docker": (lambda: netviz.docker(3), "c1", "172.17.0.4"),
    "router": (netviz.router, "net1", "10.1.2.2"),
    "cluster": (lambda: netviz.nodes(3, 2), "node1-pod1", "10.244.3.3"),
}


@pytest.mark.parametrize(
    "make", [netviz.two_hosts, netviz.bridge, netviz.docker, netviz.router, netviz.nodes]
)
def test_ready_made_network_is_short_enough_to_be_read(make: Callable[..., Topology]) -> None:
    assert len(inspect.getsource(make).splitlines()) <= 15


def seen() -> Snapshot:
    return snapshot()


@pytest.mark.parametrize(("make", "where", "to"), NETWORKS.values(), ids=NETWORKS)
def test_ready_made_network_carries_packets(
    make: Callable[[], Topology], where: str, to: str
) -> None:
    make().up()
    sh(f"ip netns exec '{where}' ping -c 3 -W 2 {to}")


@pytest.mark.parametrize("make", [each[0] for each in NETWORKS.values()], ids=NETWORKS)
def test_down_leaves_nothing(make: Callable[[], Topology]) -> None:
    before = seen()
    with make():
        assert len(seen().namespaces) > 1
    assert not before.diff(seen())


def test_down_of_what_is_gone_already_is_no_fault() -> None:
    net = netviz.docker(2).up()
    sh("ip netns delete c1; ip link delete docker0; sysctl -qw net.ipv4.ip_forward=0")
    net.down()
    net.down()
    assert [link.name for _, link in seen()] == ["lo"]


def test_down_takes_the_cables_of_a_namespace_that_a_process_keeps() -> None:
    net = netviz.bridge(2).up()
    with subprocess.Popen(["ip", "netns", "exec", "net1", "sleep", "60"]) as sleeper:
        net.down()
        assert [link.name for space, link in seen() if space.name == "root"] == ["lo"]
        sleeper.kill()


def test_down_leaves_what_others_made() -> None:
    sh("ip netns add mine; ip link add my0 type bridge; sysctl -qw net.ipv4.ip_forward=1")
    before = seen()
    with netviz.docker(2):
        pass
    assert not before.diff(seen())


def test_network_can_stand_on_what_is_there_already() -> None:
    sh("ip netns add old; ip link add br0 type bridge; ip link set br0 up")
    net = Topology()
    net.veth("old:eth0", "port1", master="br0", ip="10.0.0.2/24")
    net.address("br0", "10.0.0.1/24")
    net.route("old", "default", via="10.0.0.1")
    before = seen()
    with net:
        sh("ping -c 1 -W 1 10.0.0.2")
    # Without a port a bridge has no card to be called after.
    assert {change.field for change in before.diff(seen())} <= {"mac", "carrier"}


def test_script_reads_like_what_one_types() -> None:
    net = Topology()
    net.namespace("net1")
    net.bridge("br1", ip="10.1.1.1/24", stp_state=1)
    net.veth("net1:veth0", "br1-veth0", master="br1", ip="10.1.1.2/24", mtu=1400)
    net.route("net1", "default", via="10.1.1.1")
    net.sysctl("root", "net.ipv4.ip_forward", 1)
    assert netviz.script(net).split("\n")[2:-1] == [
        "ip netns add net1",
        "ip link add br1 type bridge stp_state 1",
        "ip link add br1-veth0 type veth peer name veth0 netns net1",
        "ip link set br1 up",
        "ip address add 10.1.1.1/24 dev br1",
        "ip link set br1-veth0 mtu 1400 master br1 up",
        "ip -n net1 link set lo up",
        "ip -n net1 link set veth0 mtu 1400 up",
        "ip -n net1 address add 10.1.1.2/24 dev veth0",
        "ip -n net1 route add default via 10.1.1.1",
        "sysctl -qw net.ipv4.ip_forward=1",
    ]


FAULTS = {
    "namespace 'net1' is declared twice": lambda net: net.namespace("net1"),
    "a namespace cannot be called 'a/b'": lambda net: net.namespace("a/b"),
    "a namespace cannot be called ''": lambda net: net.namespace(""),
    "namespace 'root' is there already": lambda net: net.namespace("root"),
    "there is no namespace 'net9'": lambda net: net.veth("net9:a0", "b0"),
    "it has 16 bytes, at most 15": lambda net: net.bridge("b" * 16),
    "it has 0 bytes, at most 15": lambda net: net.bridge("net1:"),
    "'a b' the kernel does not take": lambda net: net.bridge("a b"),
    "'br%d' the kernel does not take": lambda net: net.bridge("br%d"),
    "'all' the kernel does not take": lambda net: net.bridge("all"),
    "interface 'br1' is declared twice": lambda net: net.bridge("br1"),
    "interface 'net1:lo' is there already": lambda net: net.dummy("net1:lo"),
    "'10.1.1.300/24' is no address": lambda net: net.address("br1", "10.1.1.300/24"),
    "'10.1.1.2/33' is no address": lambda net: net.address("br1", "10.1.1.2/33"),
    "224.0.0.1/24 cannot be the address": lambda net: net.address("br1", "224.0.0.1/24"),
    "address 10.1.1.1/24 is declared twice": lambda net: net.address("br1", "10.1.1.1/24"),
    "there is no interface 'br9'": lambda net: net.address("br9", "10.1.1.1/24"),
    "there is no such bridge": lambda net: net.veth("net1:a0", "b0", master="br9"),
    "it is a veth": lambda net: net.veth("net1:a0", "b0", master="port1"),
    "it is in another namespace": lambda net: net.veth("a0", "net1:b0", master="root:br1"),
    "both are bridges": lambda net: net.bridge("br2", master="br1"),
    "'02:00' is no address of a card": lambda net: net.veth("net1:a0", "b0", mac="02:00"),
    "it means many": lambda net: net.veth("net1:a0", "b0", mac="01:00:00:00:00:01"),
    "the MTU of 'br2' cannot be 10": lambda net: net.bridge("br2", mtu=10),
    "there is no kind of link 'vxlam'": lambda net: net.link("vx0", "vxlam"),
    "a bridge has no parameter 'stp'": lambda net: net.bridge("br2", stp=1),
    "the stp_state of a bridge cannot be 'on'": lambda net: net.bridge("br2", stp_state="on"),
    "there is no interface 'eth9' for 'mv0'": lambda net: net.macvlan("mv0", dev="eth9"),
    "a VXLAN 5 on port 4789 in root is": lambda net: net.vxlan("vx2", id=5, port=4789),
    "'10.1.1.1/24' is no destination": lambda net: net.route("net1", "10.1.1.1/24"),
    "10.9.9.9 cannot be a gateway": lambda net: net.route("net1", "default", via="10.9.9.9"),
    "'no' is no address": lambda net: net.route("net1", "default", via="no"),
    "a route to 10.8.0.0/16 is declared": lambda net: net.route("root", "10.8.0.0/16", dev="br1"),
    "there is no interface 'eth7'": lambda net: net.route("net1", "10.0.0.0/8", dev="eth7"),
    "'kernel.panic' is no switch": lambda net: net.sysctl("root", "kernel.panic", 1),
    "a macvlan travels over another device": lambda net: net.macvlan("mv0"),
    "declare it with veth()": lambda net: net.link("v0", "veth"),
    "'tunl0' is a name that the kernel keeps": lambda net: net.bridge("tunl0"),
    "all that filters in 'root' is declared twice": lambda net: [
        net.nft("root", each) for each in ("table ip a { }", "table ip b { }")
    ],
    "a route cannot be so": lambda net: net.route("net1", "default", via="10.1.1.1", table="x"),
    "a route cannot have 'blakhole'": lambda net: net.route("net1", "1.0.0.0/8", type="blakhole"),
    "a rule cannot be so": lambda net: net.rule("root", "first"),
    "'None' is no address": lambda net: net.address("br1", None),
    "it cannot be understood": lambda net: net.bridge("br2", mtu="1500"),
    "'x' is no address": lambda net: net.neighbour("br1", "x", "02:00:00:00:00:01"),
}


def sound() -> Topology:
    net = Topology()
    net.namespace("net1")
    net.bridge("br1", ip="10.1.1.1/24")
    net.veth("net1:eth0", "port1", master="br1", ip="10.1.1.2/24")
    net.vxlan("vx1", id=5, port=4789)
    net.route("root", "10.8.0.0/16", dev="br1")
    return net


@pytest.mark.parametrize("words", FAULTS)
def test_fault_is_told_with_its_line_before_anything_is_done(words: str) -> None:
    net, before = sound(), seen()
    FAULTS[words](net)
    with pytest.raises(TopologyError) as refused:
        net.up()
    told = str(refused.value)
    assert all(part in told for part in words.split(" the kernel"))
    assert "test_topology.py line " in told
    assert not before.diff(seen())
    assert not [*FOLDER.glob("*")]


def test_filters_of_others_are_not_replaced() -> None:
    sh("nft add table ip mine")
    with pytest.raises(TopologyError, match="packet filters already"):
        netviz.docker(1).up()


def test_name_made_by_hand_beside_others_keeps_nothing_from_going() -> None:
    net = netviz.two_hosts().up()
    sh("ip netns add mine")
    net.down()
    sh("ip netns delete mine")
    with netviz.two_hosts():
        sh("ip netns delete net1")
    assert [space.name for space in seen().namespaces] == ["root"]


def test_many_faults_are_counted() -> None:
    net = Topology()
    net.namespace(*["net1"] * 301)
    with pytest.raises(TopologyError, match=r"has 300 faults: .*; and 288 more$"):
        net.steps()


def test_all_faults_are_told_at_once() -> None:
    net = Topology()
    net.veth("a:eth0", "b:eth0", ip="x")
    net.bridge("br1", ageing=3)
    with pytest.raises(TopologyError, match=r"5 faults: .*'a'.*'b'.*'x'.*ageing_time"):
        net.steps()


def test_sound_network_has_no_faults() -> None:
    with sound():
        pass


def test_what_only_the_kernel_knows_is_told_with_the_command() -> None:
    net = sound()
    net.sysctl("net1", "net.ipv4.no_such_switch", 1)
    with pytest.raises(KernelError) as refused:
        net.up()
    assert refused.value.command == "ip netns exec net1 sysctl -qw net.ipv4.no_such_switch=1"


def test_unknown_field_of_a_rule_is_refused_at_once() -> None:
    with pytest.raises(NetvizError, match=r"no field 'nonsense'; choose of: .*fwmark"):
        Topology().rule("root", 7, nonsense=1)


def test_planned_snapshot_is_what_comes() -> None:
    for make, *_ in NETWORKS.values():
        net = make()
        with net:
            live = seen()
        wanted = [(space.name, link.name, str(link.peer)) for space, link in net.planned()]
        assert wanted == [(space.name, link.name, str(link.peer)) for space, link in live]


def test_declared_host_is_one_by_its_loopbacks_alias() -> None:
    net = Topology()
    net.namespace("node1", host=True)
    net.namespace("net1")
    assert "ip -n node1 link set lo alias host up" in netviz.script(net)
    with net:
        assert "alias host" in sh("ip -n node1 link show lo")
        assert "alias" not in sh("ip -n net1 link show lo")
