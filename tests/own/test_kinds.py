"""What is told, joined, built again and declared of kinds that not every kernel has."""

from __future__ import annotations

import subprocess

import pytest
from net.oracle import can, sh
from net.rebuilding import chosen, look, rebuilt, steps
from own.networks import BOND, BRIDGED, CHILDREN, HOSTS, NETWORKS, TUNNELS, VLAN, VRF, WIREGUARD

import netviz
from netviz.errors import NetvizError
from netviz.model import BridgeVlan, Interface, Snapshot
from netviz.net.scripts import script
from netviz.net.topology import Topology

pytestmark = pytest.mark.own_kernel

ENDS = {"local": "10.0.0.1", "remote": "10.0.0.2"}
SIX = {"local": "fd00::1", "remote": "fd00::2"}
# Where it lies, its kind, what is told of it, the device below, the master.
TOLD = {
    "ipip": ("net1:tun1", "ipip", ENDS, None, None),
    "gre": ("net1:tun1", "gre", ENDS | {"ikey": "0.0.0.7", "okey": "0.0.0.7"}, None, None),
    "gretap": ("net1:tun1", "gretap", ENDS, None, None),
    "sit": ("net1:tun1", "sit", ENDS, None, None),
    "ip6tnl": ("net1:tun1", "ip6tnl", SIX | {"proto": "any"}, None, None),
    "ip6gre": ("net1:tun1", "ip6gre", SIX, None, None),
    "vlan": ("net1:eth0.5", "vlan", {"id": 5, "protocol": "802.1Q"}, "net1:eth0", None),
    "VLAN-aware bridge": ("root:br0", "bridge", {"vlan_filtering": 1}, None, None),
    "bond": ("net1:eth1", "veth", {}, None, "net1:bond0"),
    "vrf": ("root:red", "vrf", {"table": 10}, None, None),
    "dummy": ("net2:dum0", "dummy", {}, None, None),
    "ipvlan l2": ("net2:c0", "ipvlan", {"mode": "l2"}, "root:eth0", None),
    "ipvlan l3": ("net2:c0", "ipvlan", {"mode": "l3"}, "root:eth0", None),
    "ipvlan l3s": ("net2:c0", "ipvlan", {"mode": "l3s"}, "root:eth0", None),
    "macvlan private": ("net2:c0", "macvlan", {"mode": "private"}, "root:eth0", None),
}
OF_TUNNEL = (
    ("net1:eth0", "net2:eth0", "veth"),
    ("net1:eth0", "net1:tun1", "lower"),
    ("net2:eth0", "net2:tun1", "lower"),
    ("net1:tun1", "net2:tun1", "tunnel"),
)
EDGES = {
    **dict.fromkeys(TUNNELS, OF_TUNNEL),
    "vlan": {
        ("net1:eth0", "net2:eth0", "veth"),
        ("net1:eth0", "net1:eth0.5", "lower"),
        ("net2:eth0", "net2:eth0.5", "lower"),
    },
    "ipvlan l3": {
        ("far:eth0", "root:eth0", "veth"),
        ("net2:c0", "root:eth0", "lower"),
        ("net3:c0", "root:eth0", "lower"),
    },
    "vrf": {
        *((f"root:{vrf}-{n}", f"{vrf}{n}:eth0") for vrf in ("red", "blue") for n in (1, 2)),
        *((f"root:{vrf}", f"root:{vrf}-{n}", "port") for vrf in ("red", "blue") for n in (1, 2)),
    },
}
FLAGGED = "ip link add c0 link eth0 type ipvlan mode l2 "
ODD = {
    "bonds with options": """ip link add b0 type bond mode 802.3ad lacp_rate fast miimon 50
        ip link add b1 type bond mode balance-xor miimon 50 updelay 100 downdelay 50
        ip link set b1 type bond xmit_hash_policy layer3+4 min_links 2""",
    "an ipvlan that is private": HOSTS + "ip -n net1 link add c0 link eth0 type ipvlan private",
    "an ipvlan in vepa": HOSTS + "ip -n net1 link add c0 link eth0 type ipvlan mode l2 vepa",
    "netem": HOSTS + "tc -n net1 qdisc add dev eth0 root netem delay 100ms 10ms loss 20%",
    "entries of a VLAN": BRIDGED
    + """bridge fdb add 02:00:00:00:00:09 dev p1 master static vlan 10
        bridge fdb add 02:00:00:00:00:0a dev p4 master static""",
    "no VLAN of its own": BRIDGED + "ip link set br0 type bridge vlan_default_pvid 0",
    "VLANs in a row": BRIDGED + "bridge vlan add dev p4 vid 100-110",
    "a name that is taken below": """ip link add eth0 type veth peer name far; ip netns add a
        ip link set eth0 up; ip link add x link eth0 netns a type macvlan
        ip -n a link set x name eth0""",
}


def found(seen: Snapshot, at: str) -> Interface:
    return next(link for space, link in seen if f"{space.name}:{link.name}" == at)


def test_addresses_and_routes_of_a_vrf_stand_in_its_table() -> None:
    sh(VRF)
    seen = look()
    own = [it for it in seen.namespaces[0].routes if (it.table, it.family) == (20, "inet")]
    assert {(route.dev, route.to) for route in own if route.type == "unicast"} == {
        ("blue-1", "10.0.1.0/24"),
        ("blue-2", "10.0.2.0/24"),
    }


@pytest.mark.parametrize("name", TOLD)
def test_snapshot_tells_what_it_is(name: str) -> None:
    sh(NETWORKS[name])
    at, kind, parameters, lower, master = TOLD[name]
    seen = look()
    link = found(seen, at)
    ends = [str(end) if end else None for end in (link.lower, link.master)]
    assert (link.kind, *ends) == (kind, lower, master)
    assert parameters.items() <= link.parameters.items()
    assert not seen.warnings


@pytest.mark.parametrize("name", EDGES)
def test_graph_joins_what_belongs_together(name: str) -> None:
    sh(NETWORKS[name])
    g = netviz.graph(look())
    called = {k: f"{it['namespace'].name}:{it['interface'].name}" for k, it in g.nodes.items()}
    joined = {(*sorted((called[a], called[b])), kind) for a, b, kind in g.edges(keys=True)}
    wanted = {(*sorted(edge[:2]), *(edge[2:] or ("veth",))) for edge in EDGES[name]}
    assert joined == wanted
    assert not g.graph["warnings"]


@pytest.mark.parametrize("name", {**NETWORKS, **ODD})
def test_script_builds_it_again(name: str) -> None:
    how = {**NETWORKS, **ODD}[name]
    sh(how)
    seen = look()
    again = rebuilt(seen, exact=True)
    assert chosen(seen.diff(again), "active_slave") == []
    assert steps(again, seen) == steps(seen, seen) == ()


def test_what_steps_build_is_what_the_script_builds() -> None:
    net = Topology()
    net.namespace("net1", "net2")
    net.veth("net1:eth0", "net2:eth0", ip="10.0.0.1/24", peer_ip="10.0.0.2/24")
    net.ipip("net1:tun1", local="10.0.0.1", remote="10.0.0.2", ip="10.9.0.1/24")
    net.gre("net2:tun2", local="10.0.0.2", remote="10.0.0.1", ikey="0.0.0.7", okey="0.0.0.7")
    net.vlan("net1:eth0.5", dev="net1:eth0", id=5, ip="10.5.0.1/24")
    net.dummy("net2:dum0", ip="10.8.0.2/24")
    net.bond("net2:bond0", mode="active-backup", miimon=100)
    net.veth("net2:a", "p1", one_master="bond0", master="br0")
    net.bridge("br0", vlan_filtering=1, vlan_default_pvid=0)
    net.bridge_vlan("p1", 10, pvid=True, untagged=True)
    net.bridge_vlan("br0", 10)
    net.vlan("br0.10", dev="br0", id=10)
    net.veth("eth0", "far", ip="10.1.0.1/24")
    net.ipvlan("net2:eth9", dev="eth0", mode="l3", ip="10.1.0.2/24")
    net.link("vrf1", "vrf", table=10)
    net.qdisc("net1:eth0", "netem", delay=0.1, loss=0.2)
    net.up()
    seen = look()
    assert chosen(seen.diff(rebuilt(net)), "mac", "active_slave") == []
    assert {*seen.namespaces[0].vlans} == {
        BridgeVlan("br0", 10, "br0"),
        BridgeVlan("p1", 10, "br0", pvid=True, untagged=True),
    }
    net.down()
    assert [link.name for _, link in look()] == ["lo"]


def test_link_may_be_called_as_one_where_the_device_below_lies() -> None:
    net = Topology()
    net.namespace("net1")
    net.veth("eth0", "far")
    net.macvlan("net1:eth0", dev="eth0", mode="bridge")
    net.up()
    assert found(look(), "net1:eth0").kind == "macvlan"


def test_vlans_of_a_bridge_are_those_that_it_tells() -> None:
    sh(BRIDGED)
    said = sh("bridge vlan show")
    kept = {(it.dev, it.vlan, it.pvid, it.untagged) for it in look().namespaces[0].vlans}
    assert kept == {
        ("br0", 1, True, True),
        ("br0", 10, False, False),
        *((f"p{n}", 10, True, True) for n in (1, 2)),
        ("p3", 20, True, True),
        ("p4", 10, False, False),
    }, said


def test_change_of_a_vlan_is_one_line_and_can_be_taken_back() -> None:
    sh(BRIDGED)
    before = look()
    sh("bridge vlan add dev p3 vid 10 pvid untagged; bridge vlan del dev p4 vid 10")
    after = look()
    assert [(it.kind, it.name) for it in before.diff(after) if it.kind == "vlan"] == [
        ("vlan", "p3 20"),
        ("vlan", "p4 10"),
        ("vlan", "p3 10"),
    ]
    netviz.restore(before)
    assert steps(look(), before) == ()
    assert chosen(before.diff(look())) == []


def test_bond_tells_by_which_port_it_sends() -> None:
    sh(BOND)
    assert found(look(), "net1:bond0").parameters["active_slave"] == "eth1"
    sh("ip -n net1 link set bond0 type bond active_slave eth2")
    assert found(look(), "net1:bond0").parameters["active_slave"] == "eth2"


def test_what_a_netem_does_besides_is_named_and_not_built() -> None:
    sh(HOSTS + "tc -n net1 qdisc add dev eth0 root netem duplicate 5% reorder 25% delay 10ms")
    (queue,) = look().namespaces[1].qdiscs
    assert queue.options["untold"] == ["reorder", "duplicate"]
    assert "\n# Not built: net1:eth0 has a netem, whose options are not known" in script(look())


def test_keys_of_a_wireguard_are_no_parameters_and_it_is_not_built() -> None:
    if not can("ip link add w type wireguard"):
        pytest.skip("this kernel cannot make a wireguard")
    sh(WIREGUARD)
    seen = look()
    assert found(seen, "net1:wg0").kind == "wireguard"
    assert "# Not built: net1:wg0 is a wireguard, whose parameters are not known" in script(seen)
    again = [f"{space.name}:{link.name}" for space, link in rebuilt(seen)]
    assert "net1:eth0" in again
    assert "net1:wg0" not in again


def test_refusal_of_a_kind_names_the_command() -> None:
    sh(VLAN)
    net = Topology()
    net.vlan("root:v1", dev="eth0", id=5)
    with pytest.raises(NetvizError, match="eth0"):
        net.up()
    assert subprocess.run(["ip", "link", "show", "v1"], capture_output=True).returncode


def test_children_of_one_device_are_those_that_ip_tells() -> None:
    sh(CHILDREN["ipvlan l3"])
    above = [f"{space.name}:{it.name}" for space, it in look() if it.lower]
    assert above == ["net2:c0", "net3:c0"]
