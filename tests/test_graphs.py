"""A snapshot becomes a graph: every rule, without a kernel."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import pytest

from netviz.graphs import graph
from netviz.model import Address, Caution, Endpoint, FdbEntry, Interface, Namespace, Snapshot

ROOT, NET1, NET2 = 1, 2, 3
VXLAN = {"id": 42, "port": 4789}


def interface(index: int, kind: str = "veth", *addresses: str, **more: object) -> Interface:
    own = tuple(Address("inet", address, 24) for address in addresses)
    return Interface(index, f"dev{index}", kind, None, 1500, addresses=own, **more)


def at(namespace: int, index: int) -> Endpoint:
    return Endpoint(namespace, index, f"ns{namespace}", f"dev{index}")


def network(**interfaces: list[Interface]) -> Snapshot:
    """Return a snapshot of up to three namespaces: ``network(root=[…], net1=[…])``."""
    ids = {"root": ROOT, "net1": NET1, "net2": NET2}
    return Snapshot(tuple(Namespace(ids[n], n, interfaces=tuple(i)) for n, i in interfaces.items()))


def edges(seen: Snapshot) -> set[tuple]:
    return {(*sorted((a, b)), kind) for a, b, kind in graph(seen).edges(data="kind")}


def warnings(seen: Snapshot) -> list[str]:
    return [str(warning) for warning in graph(seen).graph["warnings"]]


def bridged() -> Snapshot:
    """Two namespaces, each plugged into a bridge of the root."""
    ports = [
        interface(2, peer=at(NET1, 1), master=at(ROOT, 9)),
        interface(3, peer=at(NET2, 1), master=at(ROOT, 9)),
    ]
    ends = [[interface(1, peer=at(ROOT, index))] for index in (2, 3)]
    return network(root=[*ports, interface(9, "bridge")], net1=ends[0], net2=ends[1])


def tunnelled(kind: str, one: dict, other: dict, **more: object) -> Snapshot:
    """Two namespaces with an address each, and a tunnel device each."""
    return network(
        net1=[interface(1, "device", "10.0.0.1"), interface(2, kind, parameters=one, **more)],
        net2=[interface(1, "device", "10.0.0.2"), interface(2, kind, parameters=other, **more)],
    )


def test_nodes_are_interfaces_known_by_namespace_and_index() -> None:
    seen = bridged()
    g = graph(seen)
    assert set(g) == {(ROOT, 2), (ROOT, 3), (ROOT, 9), (NET1, 1), (NET2, 1)}
    assert g.nodes[NET1, 1]["interface"] is seen.namespaces[1].interfaces[0]
    assert g.nodes[NET1, 1]["namespace"] is seen.namespaces[1]


def test_cable_is_one_edge_though_both_ends_tell_of_it() -> None:
    seen = network(net1=[interface(1, peer=at(NET2, 1))], net2=[interface(1, peer=at(NET1, 1))])
    assert list(graph(seen).edges(data="kind")) == [((NET1, 1), (NET2, 1), "veth")]


def test_shortest_path_is_the_way_of_a_frame() -> None:
    path = nx.shortest_path(graph(bridged()), (NET1, 1), (NET2, 1))
    assert path == [(NET1, 1), (ROOT, 2), (ROOT, 9), (ROOT, 3), (NET2, 1)]


def test_port_of_a_bridge_that_is_also_a_cable_has_both_edges() -> None:
    assert ((ROOT, 2), (ROOT, 9), "port") in edges(bridged())
    assert ((ROOT, 2), (NET1, 1), "veth") in edges(bridged())


@pytest.mark.parametrize("kind", ["macvlan", "ipvlan", "vlan"])
def test_device_on_another_hangs_below_it(kind: str) -> None:
    seen = network(root=[interface(1)], net1=[interface(2, kind, lower=at(ROOT, 1))])
    assert edges(seen) == {((ROOT, 1), (NET1, 2), "lower")}


@pytest.mark.parametrize("kind", ["ipip", "gre", "sit"])
def test_mirrored_tunnels_meet(kind: str) -> None:
    there = {"local": "10.0.0.1", "remote": "10.0.0.2"}
    back = {"local": "10.0.0.2", "remote": "10.0.0.1"}
    assert ((NET1, 2), (NET2, 2), "tunnel") in edges(tunnelled(kind, there, back))


def test_tunnel_that_only_one_end_aims_at_is_none() -> None:
    there = {"local": "10.0.0.1", "remote": "10.0.0.2"}
    elsewhere = {"local": "10.0.0.2", "remote": "10.0.0.9"}
    assert not [e for e in edges(tunnelled("ipip", there, elsewhere)) if e[2] == "tunnel"]


def test_vxlans_meet_by_remote_by_group_and_by_forwarding_entry() -> None:
    meeting = ((NET1, 2), (NET2, 2), "tunnel")
    assert meeting in edges(tunnelled("vxlan", VXLAN | {"remote": "10.0.0.2"}, VXLAN))
    group = VXLAN | {"group": "239.1.1.1"}
    assert meeting in edges(tunnelled("vxlan", group, group))
    learned = tunnelled("vxlan", VXLAN, VXLAN)
    one, other = learned.namespaces
    entry = FdbEntry("00:00:00:00:00:00", "dev2", dst="10.0.0.2")
    assert meeting in edges(Snapshot((replace(one, fdb=(entry,)), other)))


@pytest.mark.parametrize("other", [{"id": 43}, {"port": 8472}])
def test_vxlans_of_another_number_or_port_do_not_meet(other: dict) -> None:
    seen = tunnelled("vxlan", VXLAN | {"remote": "10.0.0.2"}, VXLAN | other)
    assert not [edge for edge in edges(seen) if edge[2] == "tunnel"]


def test_tunnel_travels_over_the_device_with_its_local_address() -> None:
    seen = tunnelled("vxlan", VXLAN | {"local": "10.0.0.1"}, VXLAN | {"local": "10.0.0.2"})
    assert ((NET1, 1), (NET1, 2), "lower") in edges(seen)


def test_far_end_out_of_the_picture_warns() -> None:
    seen = tunnelled("vxlan", VXLAN | {"remote": "192.0.2.1"}, VXLAN)
    assert warnings(seen) == ["net1:dev2: its far end 192.0.2.1 is not in this picture"]


@pytest.mark.parametrize(
    ("what", "word"), [("peer", "peer"), ("master", "master"), ("lower", "lower device")]
)
def test_vanished_end_warns_and_does_not_raise(what: str, word: str) -> None:
    kind = "veth" if what == "peer" else "macvlan"
    seen = network(root=[interface(1, kind, **{what: at(NET2, 5)})])
    assert not edges(seen)
    assert warnings(seen) == [f"root:dev1: its {word} ns3:dev5 is gone"]


def test_cable_without_a_known_end_warns_once() -> None:
    (namespace,) = network(root=[interface(1)]).namespaces
    told = Caution("its peer is gone", Endpoint(ROOT, 1, "root", "dev1"))
    assert warnings(Snapshot((namespace,))) == ["root:dev1: its peer is out of sight"]
    assert warnings(Snapshot((namespace,), (told,))) == ["root:dev1: its peer is gone"]


def test_empty_namespace_and_cautions_are_kept() -> None:
    seen = Snapshot((Namespace(ROOT, "root"),), (Caution("run it with sudo"),))
    assert graph(seen).graph["namespaces"] == seen.namespaces
    assert warnings(seen) == ["run it with sudo"]


def test_same_names_everywhere_are_different_nodes() -> None:
    ends = {
        n: [replace(interface(1, peer=at(far, 1)), name="<b>")]
        for n, far in (("net1", NET2), ("net2", NET1))
    }
    assert len(graph(network(**ends))) == 2
