"""``Snapshot.diff`` tells what came, what went and what changed: every rule, without a kernel."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from netviz.changes import BEGINNING_RULES, Change, Changes
from netviz.model import (
    Address,
    Endpoint,
    FdbEntry,
    Interface,
    Namespace,
    Neighbour,
    Qdisc,
    Route,
    Rule,
    Snapshot,
)

ONE = Address("inet", "10.0.0.1", 24)
LOCAL = Route("10.0.0.1", "inet", "veth0", table=255, type="local", protocol="kernel")
CONNECTED = Route("10.0.0.0/24", "inet", "veth0", scope="link", protocol="kernel")
DEFAULT = Route("default", "inet", "veth0", "10.0.0.9")
LEARNED = FdbEntry("02:00:00:00:00:01", "veth0", "br0")
HOPS = ({"gateway": "10.0.0.2", "dev": "veth0", "weight": 1, "flags": []},)


def veth(name: str = "veth0", *addresses: Address, up: bool = True, **more: object) -> Interface:
    flags = ("UP", "LOWER_UP") if up else ()
    return Interface(2, name, "veth", None, 1500, flags, addresses=addresses, **more)


def space(name: str = "net1", *links: Interface, **tables: object) -> Namespace:
    """Return a namespace with a loopback and the usual rules."""
    lo = Interface(1, "lo", "loopback", "00:00:00:00:00:00", 65536, ("LOOPBACK",))
    return Namespace(7, name, interfaces=(lo, *links), **{"rules": BEGINNING_RULES, **tables})


def net(*spaces: Namespace) -> Snapshot:
    return Snapshot(spaces)


def lines(before: Namespace, after: Namespace) -> list[str]:
    return [str(change) for change in net(before).diff(net(after))]


CAME = {
    "interface": (space(), space("net1", veth()), "net1: interface veth0"),
    "address": (
        space("net1", veth()),
        space("net1", veth("veth0", ONE)),
        "net1: address veth0 10.0.0.1/24",
    ),
    "far end": (
        space("net1", veth()),
        space("net1", veth("veth0", Address("inet", "10.0.0.1", 32, peer="10.0.0.2"))),
        "net1: address veth0 10.0.0.1 peer 10.0.0.2/32",
    ),
    "route": (space(), space(routes=(DEFAULT,)), "net1: route default via 10.0.0.9 dev veth0"),
    "route of another type": (
        space(),
        space(routes=(Route("10.9.0.0/16", "inet", type="blackhole", metric=5),)),
        "net1: route blackhole 10.9.0.0/16 metric 5",
    ),
    "route over several": (
        space(),
        space(routes=(Route("default", "inet", nexthops=HOPS),)),
        "net1: route default nexthop via 10.0.0.2 dev veth0 weight 1",
    ),
    "rule": (
        space(),
        space(rules=(*BEGINNING_RULES, Rule(5, "inet", "10.0.0.0/8", table=100))),
        "net1: rule from 10.0.0.0/8 table 100 priority 5",
    ),
    "neighbour": (
        space(),
        space(neighbours=(Neighbour("10.0.0.2", "veth0", "inet"),)),
        "net1: neighbour veth0 10.0.0.2",
    ),
    "forwarding entry": (
        space(),
        space(fdb=(replace(LEARNED, state="static"),)),
        "net1: fdb 02:00:00:00:00:01 dev veth0 master br0 state static",
    ),
    "queue": (space(), space(qdiscs=(Qdisc("veth0", "tbf", "1:"),)), "net1: qdisc veth0 root"),
    "packet filters": (
        space(),
        space(nft=({"table": {"family": "ip", "name": "t"}},)),
        "net1: nft ruleset",
    ),
}
CHANGED = {
    "switched on": (veth(up=False), veth(), ["up: off → on"]),
    "carrier": (veth(), replace(veth(), flags=("UP",)), ["carrier: on → off"]),
    "MTU": (veth(), replace(veth(), mtu=1400), ["mtu: 1500 → 1400"]),
    "card": (veth(), replace(veth(), mac="02::1"), ["mac: none → 02::1"]),
    "alias": (veth(alias="a\nb"), veth(), ["alias: a\\nb → none"]),
    "flag": (veth(), replace(veth(), flags=("UP", "LOWER_UP", "PROMISC")), ["PROMISC: off → on"]),
    "plugged in": (
        veth(),
        veth(master=Endpoint(7, 9, "net1", "br0"), port={"cost": 2}),
        ["master: none → net1:br0"],
    ),
    "port": (veth(port={"cost": 2}), veth(port={"cost": 9}), ["port cost: 2 → 9"]),
    "parameter": (veth(parameters={"id": 1}), veth(parameters={"id": 2}), ["id: 1 → 2"]),
}
SAME = {
    "index": (veth(), replace(veth(), index=9)),
    "counters": (veth(), veth(statistics={"rx": {"packets": 1}})),
    "state in words": (veth(), replace(veth(), state="UP")),
    "root of a spanning tree": (veth(), veth(parameters={"root_id": "8000.1", "root_port": 1})),
    "address being tried": (veth("veth0", replace(ONE, flags=("tentative",))), veth("veth0", ONE)),
}


@pytest.mark.parametrize(("before", "after", "line"), CAME.values(), ids=CAME)
def test_what_came_and_went_is_told_in_one_line(
    before: Namespace, after: Namespace, line: str
) -> None:
    assert lines(before, after) == [f"+ {line}"]
    assert lines(after, before) == [f"- {line}"]


@pytest.mark.parametrize(("before", "after", "told"), CHANGED.values(), ids=CHANGED)
def test_what_changed_in_an_interface_is_told_with_both_values(
    before: Interface, after: Interface, told: list[str]
) -> None:
    expected = [f"~ net1: interface veth0 {line}" for line in told]
    assert lines(space("net1", before), space("net1", after)) == expected


@pytest.mark.parametrize(("before", "after"), SAME.values(), ids=SAME)
def test_what_moves_by_itself_is_no_difference(before: Interface, after: Interface) -> None:
    assert not net(space("net1", before)).diff(net(space("net1", after)))


def test_nothing_is_different_from_itself() -> None:
    seen = net(space("root"), *(after for _, after, _ in CAME.values()))
    assert repr(seen.diff(seen)) == "nothing is different"


def test_difference_the_other_way_is_the_same_turned_round() -> None:
    for before, after, _ in CAME.values():
        there, back = (a.diff(b) for a, b in ((net(before), net(after)), (net(after), net(before))))
        turned = [replace(it, before=it.after, after=it.before) for it in there]
        assert turned == list(back)


def test_namespace_is_told_with_what_it_came_with_and_without_what_it_had() -> None:
    full = space("net1", veth("veth0", ONE), routes=(LOCAL, CONNECTED, DEFAULT))
    there, back = net().diff(net(full)), net(full).diff(net())
    assert [str(it) for it in there] == [
        "+ namespace net1",
        "+ net1: interface veth0",
        "+ net1: address veth0 10.0.0.1/24",
        "+ net1: route default via 10.0.0.9 dev veth0",
    ]
    assert [str(it) for it in back] == ["- namespace net1"]


def test_routes_of_the_kernel_are_told_only_where_nothing_else_tells() -> None:
    tables = {"routes": (LOCAL, CONNECTED)}
    own = "+ net1: route 10.0.0.0/24 dev veth0 protocol kernel"
    assert lines(space("net1", veth()), space("net1", veth(), **tables)) == [own]
    assert lines(space(), space("net1", veth(), **tables)) == ["+ net1: interface veth0"]
    with_address = space("net1", veth("veth0", ONE), **tables)
    assert lines(space("net1", veth()), with_address) == ["+ net1: address veth0 10.0.0.1/24"]


def test_dead_next_hop_is_the_same_next_hop() -> None:
    dead = ({**HOPS[0], "flags": ["dead", "linkdown"]},)
    one, other = (space(routes=(Route("default", "inet", nexthops=it),)) for it in (HOPS, dead))
    assert lines(one, other) == []


def test_filters_are_the_same_whatever_they_have_counted() -> None:
    def counted(packets: int) -> Namespace:
        said = [{"counter": {"packets": packets, "bytes": 60}}, {"drop": None}]
        return space(nft=({"rule": {"chain": "c", "handle": packets, "expr": said}},))

    assert lines(counted(0), counted(5)) == []


def test_learned_entry_is_told_and_one_of_the_ports_own_is_not() -> None:
    own = replace(LEARNED, state="permanent")
    assert lines(space(), space(fdb=(LEARNED,))) == [
        "+ net1: fdb 02:00:00:00:00:01 dev veth0 master br0"
    ]
    assert lines(space(), space(fdb=(own,))) == []


def test_switches_are_called_as_one_types_them() -> None:
    def switched(value: int) -> Namespace:
        scopes = {"all": {"forwarding": value}, "one.5": {"proxy_neigh": value}}
        return space(sysctls={"ip_forward": value, "ipv4": scopes, "bridge-nf-call-iptables": 1})

    assert lines(switched(0), switched(1)) == [
        "~ net1: sysctl net.ipv4.ip_forward: 0 → 1",
        "~ net1: sysctl net/ipv4/conf/one.5/proxy_arp: 0 → 1",
    ]


def test_order_is_that_of_the_namespaces_and_of_their_tables() -> None:
    before = net(space("root"), space("net1"), space("net2"))
    full = {"routes": (DEFAULT,), "qdiscs": (Qdisc("veth0", "tbf", "1:"),)}
    after = net(*(space(name, veth(), **full) for name in ("root", "net2", "net3")))
    told = [(it.namespace, it.kind) for it in before.diff(after)]
    each = ["interface", "route", "qdisc"]
    assert told == [
        *(("root", kind) for kind in each),
        ("net1", "namespace"),
        *(("net2", kind) for kind in each),
        *(("net3", kind) for kind in ("namespace", *each)),
    ]


def test_changes_are_shown_one_a_line_and_names_do_no_harm() -> None:
    seen = net().diff(net(space("a\nb"), space("\u202egpj")))
    assert isinstance(seen, Changes)
    assert repr(seen) == "+ namespace a\\nb\n+ namespace \\u202egpj"


def test_changes_are_json() -> None:
    full = net(*(after for _, after, _ in CAME.values()))
    told = [change.to_dict() for change in net().diff(full)]
    again = json.loads(json.dumps(told))
    assert again[0]["after"]["name"] == again[0]["name"] == "net1"
    assert again[0].keys() == set(Change.__dataclass_fields__)
