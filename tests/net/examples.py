"""A network, and examples of every step that can be taken in it, for all that a step can say."""

from __future__ import annotations

from dataclasses import fields, replace

from netviz.model import Address, FdbEntry, Neighbour, Qdisc, Route, Rule
from netviz.net.entries import (
    AddAddress,
    AddEntry,
    DeleteAddress,
    DeleteEntry,
    SetFilters,
    SetSysctl,
)
from netviz.net.routes import implied_scope
from netviz.net.settings import SetLink, SetParameters
from netviz.net.steps import AddLink, AddNamespace, AddTap, AddVeth, DeleteLink, DeleteNamespace

MAC, FLOOD = "02:00:00:00:00:77", "00:00:00:00:00:00"
PLACE = """echo 1 > /proc/sys/net/ipv6/conf/default/addr_gen_mode; ip -batch - <<END
link add one address 02:00:00:00:00:01 type veth peer name two address 02:00:00:00:00:02
link add br1 address 02:00:00:00:00:03 type bridge
link add port address 02:00:00:00:00:04 type veth peer name far address 02:00:00:00:00:05
link add vx address 02:00:00:00:00:06 type vxlan id 1 dstport 4789
link add vx6 address 02:00:00:00:00:07 type vxlan id 1 dstport 4788 remote fd00::2
netns add net1
netns add net2
link add in address 02:00:00:00:00:08 netns net1 type veth peer name side netns net1
link set port master br1 up
link set far up
link set two up
link set one up
link set br1 up
link set vx up
link set vx6 up
address add 10.0.0.1/24 dev one
address add fd00::1/64 dev one nodad
address add 10.7.0.1/24 dev two
address add 10.8.0.1/24 dev br1
END
bridge vlan add dev port vid 5 2>/dev/null || true
until ip link show br1 | grep -q LOWER_UP; do sleep 0.01; done"""


def link(kind: str, lower: str | None = None, at: str = "new1", **parameters: object) -> AddLink:
    origin = "root" if at != "new1" and not lower else None
    return AddLink(at, kind, parameters, lower, origin)


def route(to: str, dev: str | None = None, via: str | None = None, **fields: object) -> Route:
    hops = tuple({"weight": 1, **hop} for hop in fields.pop("nexthops", ()))
    six = ":" in to or (":" in (via or "") and "." not in to)
    found = Route(to, "inet6" if six else "inet", dev, via, nexthops=hops, **fields)
    return found if "scope" in fields else replace(found, scope=implied_scope(found))


def address(text: str, **fields: object) -> Address:
    local, _, length = text.partition("/")
    return Address("inet6" if ":" in local else "inet", local, int(length), **fields)


def neighbour(to: str, mac: str | None, *state: str, flags: tuple[str, ...] = ()) -> Neighbour:
    return Neighbour(to, "one", "inet6" if ":" in to else "inet", mac, state, flags)


IP4, IP6 = {"local": "10.0.0.1", "remote": "10.0.0.2"}, {"local": "fd00::1", "remote": "fd00::2"}
BONDS = "balance-rr active-backup balance-xor broadcast 802.3ad balance-tlb balance-alb"
LINKS = [
    AddVeth("a1", "b1"),
    AddVeth("a1", "net1:b1"),
    AddVeth("net1:a1", "b1"),
    AddVeth("net1:a1", "net2:b1"),
    AddVeth("net1:a1", "net1:b1"),
    *(link(kind, at=at) for kind in ("dummy", "ifb", "bridge") for at in ("new1", "net1:new1")),
    link("bridge", forward_delay=400, hello_time=200, max_age=1000, ageing_time=5000, stp_state=1),
    link("bridge", priority=4096, mcast_router=2, mcast_snooping=0, mcast_querier=1),
    link("bridge", group_fwd_mask="fff8", group_addr="01:80:c2:00:00:0f"),
    link("bridge", vlan_filtering=1, vlan_protocol="802.1ad", vlan_default_pvid=5),
    link("bridge", nf_call_iptables=1, nf_call_ip6tables=1, nf_call_arptables=1),
    link("vxlan", id=42, port=4790),
    link("vxlan", "one", id=42, port=4790, **IP4),
    link("vxlan", "one", id=42, port=8472, group="239.1.1.1", ttl=3, tos="0x10", ageing=60),
    link("vxlan", id=42, port=4790, **IP6),
    link("vxlan", id=42, port=4790, local6="fd00::1", remote6="fd00::2", learning=False),
    link("vxlan", "one", id=42, port=4790, group6="ff05::1", proxy=True, rsc=True),
    link("vxlan", id=42, port=4790, l2miss=True, l3miss=True),
    link("vxlan", port=4790, external=True),
    link("vxlan", port=4790, learning=True, external=True),
    link("vxlan", "one", at="net1:new1", id=42, port=4790),
    link("vxlan", at="net1:new1", id=42, port=4790),
    link("geneve", id=4, remote="10.0.0.4", port=6081, ttl=7),
    link("geneve", id=4, remote="fd00::4"),
    link("geneve", id=4, remote6="fd00::4"),
    link("vlan", "one", id=5),
    link("vlan", "one", id=5, protocol="802.1ad", flags=["GVRP", "LOOSE_BINDING", "MVRP"]),
    link("vlan", "one", id=5, flags=["REORDER_HDR", "BRIDGE_BINDING"]),
    *(
        link("macvlan", "one", mode=it)
        for it in ["private", "vepa", "bridge", "passthru", "source"]
    ),
    link("macvtap", "one", mode="bridge"),
    link("macvlan", "one", at="net1:new1", mode="bridge"),
    AddLink("new1", "macvlan", {"mode": "bridge"}, "net1:in"),
    *(link("ipvlan", "one", mode=mode) for mode in ("l2", "l3", "l3s")),
    *(link("ipvlan", "one", mode="l2", flag=flag) for flag in ("private", "vepa")),
    *(link(it) for it in ["ipip", "sit", "gre", "gretap", "ip6tnl", "ip6gre", "ip6gretap"]),
    *(link(it, "one", ttl=9, tos="0x10", **IP4) for it in ["ipip", "sit", "gre", "gretap"]),
    *(link(it, pmtudisc=False, **IP4) for it in ["ipip", "sit", "gre", "gretap"]),
    *(link("ipip", proto=it) for it in ["any", "ipip", "mplsip"]),
    *(link("sit", proto=it) for it in ["any", "ipip", "ip6ip", "mplsip"]),
    *(link("ip6tnl", "one", ttl=9, proto=it, **IP6) for it in ["any", "ipip6", "ip6ip6"]),
    *(link(it, "one", encap_limit=2, **IP6) for it in ["ip6tnl", "ip6gre", "ip6gretap"]),
    *(link(it, local="any", remote="fd00::2") for it in ["ip6tnl", "ip6gre", "ip6gretap"]),
    *(link(it, local="any", remote="10.0.0.2") for it in ["ipip", "sit", "gre", "gretap"]),
    *(link(it, ikey="0.0.0.7", okey="0.0.0.8") for it in ["gre", "gretap", "ip6gre", "ip6gretap"]),
    *(link(it, ttl=9) for it in ("ip6gre", "ip6gretap")),
    *(link("bond", mode=mode, miimon=100) for mode in BONDS.split()),
    link("bond", mode="802.3ad", miimon=50, lacp_rate="fast", min_links=2),
    link("bond", mode="balance-xor", miimon=50, updelay=100, downdelay=50),
    link("bond", mode="balance-xor", xmit_hash_policy="layer3+4"),
    link("vrf", table=10),
]
SWITCHED = "promisc", "arp", "multicast", "allmulticast"
ALL = {"mac": MAC, "mtu": 1400, "alias": "it", "promisc": True, "arp": False, "master": "br1"}
SETTINGS = [
    *(SetLink("one", {name: on}) for name in ("up", *SWITCHED) for on in (True, False)),
    *(SetLink("one", {name: value}) for name, value in ALL.items()),
    *(
        SetLink("one", {name: it})
        for name, it in (("name", "new"), ("netns", "net1"), ("group", 5))
    ),
    *(SetLink("one", {"alias": alias}) for alias in ("the far end", "", "a" * 255)),
    SetLink("port", {"master": ""}),
    SetLink("one", ALL | {"up": True}),
    SetLink("one", {"up": False, "name": "new", "netns": "net1"}),
    SetLink("net1:in", {"up": True}),
    SetLink("net1:in", {"netns": "root"}),
    SetLink("net1:in", {"name": "new", "netns": "net2"}),
]
SWITCHES = (
    "hairpin guard root_block fastleave learning flood proxy_arp mcast_flood vlan_tunnel "
    "bcast_flood neigh_suppress isolated locked"
)
PORT = {"priority": 3, "cost": 7, "multicast_router": 2, "group_fwd_mask": "8"}
PARAMETERS = [
    *(SetParameters("port", "port", {name: value}) for name, value in PORT.items()),
    *(SetParameters("port", "port", {it: on}) for it in SWITCHES.split() for on in (True, False)),
    SetParameters("br1", "bridge", {"stp_state": 1, "ageing_time": 3000}),
    SetParameters("vx", "vxlan", {"learning": False}),
]
ADDRESSES = [
    address("10.1.1.2/24"),
    address("10.1.1.2/24", broadcast="10.1.1.255", label="one:1"),
    address("10.1.1.2/32", label="one"),
    address("10.1.1.2/32", peer="10.1.1.3"),
    *(address("10.1.1.2/16", scope=scope) for scope in ("link", "host", "77")),
    *(address("127.0.0.9/8", scope=scope) for scope in ("host", "global")),
    *(address("10.1.1.2/24", flags=flags) for flags in (("noprefixroute",), ("secondary",))),
    address("224.0.0.9/32", flags=("autojoin",)),
    address("fd01::1/64", flags=("nodad", "home", "mngtmpaddr", "noprefixroute")),
    *(address("fd01::1/64", flags=flags) for flags in (("nodad",), ("nodad", "tentative"))),
    address("fd01::1/128", peer="fd01::2", flags=("nodad",)),
    address("fe80::9/64", scope="link", flags=("nodad",)),
]
WAYS = {"gateway": "10.0.0.2", "dev": "one", "weight": 3}, {"gateway": "10.7.0.3", "dev": "two"}
ROUTES = [
    route("default", via="10.0.0.2"),
    route("default", "one", "10.0.0.2", metric=50, protocol="static"),
    *(route("10.9.0.0/16", type=it) for it in ["blackhole", "unreachable", "prohibit", "throw"]),
    route("10.9.0.0/16", type="throw", table=100),
    *(route("10.9.0.1", "one", type="local", table=table) for table in (254, 255)),
    *(route("10.9.0.1", "one", type=it, table=255) for it in ("broadcast", "anycast")),
    route("239.0.0.0/8", "one", type="multicast"),
    route("10.5.0.0/24", "two", prefsrc="10.0.0.1"),
    route("10.4.0.0/24", "two", "192.168.1.1", flags=("onlink",), protocol="bird"),
    *(route("10.4.0.0/24", "two", protocol=it) for it in ("kernel", "200")),
    *(route("10.4.0.0/24", "two", scope=it) for it in ("global", "host", "77")),
    route("10.4.0.0/24", "two", table=1000),
    *(route(it, "two") for it in ("0.0.0.0/0", "0.0.0.0/8", "0/8", "::/0", "fd07::1")),
    route("10.3.0.0/24", "two", "fe80::1"),
    route("10.1.0.0/16", nexthops=WAYS),
    route("10.1.0.0/16", nexthops=[each | {"flags": ["onlink"]} for each in WAYS]),
    route("10.1.0.0/16", nexthops=[{"dev": "one"}, {"dev": "two", "weight": 2}]),
    route("10.1.0.0/16", nexthops=[WAYS[0], {"gateway": "fe80::1", "dev": "two"}]),
    route("default", via="fd00::2"),
    *(route("fd09::/64", type=it) for it in ("blackhole", "unreachable", "prohibit")),
    route("fd08::1", "two", metric=7, table=1000),
    route("fd08::1", "one", type="local", table=255),
    route("fd08::/64", "two", "fe80::1", flags=("onlink",), prefsrc="fd00::1"),
    route(
        "fd01::/64", nexthops=[{"gateway": f"fd00::{n}", "dev": "one", "weight": n} for n in (2, 3)]
    ),
]
RULES = [
    Rule(5, "inet", "10.0.0.0/24", table=100),
    Rule(5, "inet", "10.0.0.0/24"),
    Rule(5, "inet", to="10.1.1.1", table=1000),
    Rule(5, "inet", iif="lo", fwmark=16, table=7),
    *(Rule(5, "inet", oif="one", fwmark=it, fwmask=255, table=7) for it in (16, 0, None)),
    Rule(5, "inet", inverted=True, oif="lo", action="blackhole"),
    *(Rule(5, "inet", action=action) for action in ("unreachable", "prohibit", "nop")),
    *(Rule(5, "inet", table=254, suppress_prefixlength=length) for length in (0, 8)),
    Rule(5, "inet6", "fd00::/64", "fd01::/64", table=100),
    Rule(5, "inet6", table=254, suppress_prefixlength=1),
]
NEIGHBOURS = [
    neighbour("10.0.0.2", MAC),
    *(neighbour("10.0.0.2", MAC, state) for state in ("PERMANENT", "NOARP", "STALE")),
    *(neighbour("fd00::2", MAC, "PERMANENT", flags=it) for it in ((), ("router", "extern_learn"))),
    *(neighbour(to, None, flags=("proxy",)) for to in ("10.0.0.9", "fd00::9")),
]
FDB = [
    *(FdbEntry(MAC, "port", "br1", state=state) for state in ("static", "permanent", "")),
    *(
        FdbEntry(MAC, "port", "br1", state="static", flags=(it,))
        for it in ("sticky", "extern_learn")
    ),
    FdbEntry(MAC, "port", "br1", vlan=5, state="static"),
    FdbEntry(MAC, "br1", "br1", state="permanent"),
    *(FdbEntry(MAC, "vx", dst="10.0.0.3", state=it, flags=("self",)) for it in ("permanent", "")),
    FdbEntry(MAC, "vx", None, None, "10.0.0.3", 4790, 7, "permanent", ("self",)),
    FdbEntry(MAC, "vx6", dst="fd00::3", vni=7, state="static", flags=("self",)),
    FdbEntry(FLOOD, "vx", dst="10.0.0.3", state="permanent", flags=("self",)),
    FdbEntry(FLOOD, "vx6", None, None, "fd00::3", 4790, 7, "permanent", ("self",)),
]
NETEM = {"limit": 2000, "delay": 0.1}, {"jitter": 0.01, "loss": 0.05, "delay": 0.1}, {"jitter": 0.1}
QDISCS = [
    Qdisc("one", "tbf", "", options={"rate": 10**6, "burst": 10240, "limit": 16490}),
    Qdisc("one", "tbf", "1:", options={"rate": 1234567, "burst": 1600, "limit": 3000}),
    *(Qdisc("one", "netem", "1:", options=it) for it in (*NETEM, {"loss": 0.333}, {})),
    *(Qdisc("one", "ingress", handle, "ingress") for handle in ("", "ffff:")),
]
ENTRIES = [
    *(AddAddress("one", each) for each in ADDRESSES),
    *(AddEntry("root", each) for each in (*ROUTES, *RULES, *NEIGHBOURS, *FDB, *QDISCS)),
    AddAddress("net1:in", address("10.1.1.2/24")),
    AddEntry("net1", Rule(5, "inet", "10.0.0.0/24", table=100)),
    AddEntry("net1", Qdisc("in", "ingress", "", "ingress")),
    AddEntry("net1", FdbEntry(MAC, "in", state="permanent", flags=("self",))),
]
RULESET = "table ip t {\n chain c { type filter hook input priority 0; }\n}"
LISTED = ({"table": {"family": "ip", "name": "t", "handle": 7}},)
ACTS = [
    AddNamespace("new1"),
    DeleteNamespace("net1"),
    *(AddTap(at, mode) for at in ("new1", "net1:new1") for mode in ("tun", "tap")),
    *(DeleteLink(at) for at in ("one", "br1", "net1:side")),
    *(SetSysctl(at, "net.ipv4.ip_forward", 1) for at in ("root", "net1")),
    SetSysctl("root", "net/ipv4/conf/one/rp_filter", 2),
    *(SetFilters(at, it) for at in ("root", "net1") for it in (RULESET, LISTED)),
    SetFilters("root", "add table ip \\\nEND_OF_RULES\n"),
]


def undone(step: AddAddress | AddEntry) -> DeleteAddress | DeleteEntry:
    """Return what takes away again what a step adds to a table."""
    values = (getattr(step, each.name) for each in fields(step))
    return (DeleteAddress if isinstance(step, AddAddress) else DeleteEntry)(*values)


ALONE = [*LINKS, *SETTINGS, *PARAMETERS, *ACTS]
