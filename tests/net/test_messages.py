"""What a step asks of the kernel is what ``ip``, ``bridge`` and ``tc`` ask, caught by strace."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from functools import cache
from typing import TYPE_CHECKING
import json

import pytest
from oracle import sh

from netviz.model import Address, FdbEntry, Neighbour, Qdisc, Route, Rule
from netviz.net.entries import AddAddress, AddEntry, DeleteAddress, DeleteEntry
from netviz.net.netlink import attributes
from netviz.net.settings import SetLink, SetParameters
from netviz.net.steps import ROOT, AddLink, AddVeth

PLACE = """ip link add one type veth peer name two; ip link set one up; ip link set two up
ip link add br1 type bridge; ip link add vx type vxlan id 1 dstport 4789
ip link add port type veth peer name far; ip link set port master br1
ip netns add net1; ip netns add net2; ip -n net1 link add in type veth peer name side
ip address add 10.0.0.1/24 dev one; ip address add fd00::1/64 dev one nodad"""


class Place:
    """The site of a step, as far as its message needs to know it."""

    def __init__(self, namespace: str) -> None:
        there = ["-n", namespace] if namespace != ROOT else []
        told = subprocess.run(["ip", *there, "-j", "link"], capture_output=True, check=True).stdout
        self.indexes = {link["ifname"]: link["ifindex"] for link in json.loads(told)}

    def descriptor(self, namespace: str) -> int:
        return 7

    def number(self, namespace: str, device: str, *, chosen: bool = True) -> int:
        return 0


HEADERS = {16: 16, 20: 8, 21: 8, 24: 12, 25: 12, 28: 12, 29: 12, 32: 12, 33: 12, 36: 20, 37: 20}


def caught(command, kind):
    done = subprocess.run(
        [
            "strace",
            "-f",
            "-e",
            "trace=sendmsg",
            "-e",
            "signal=none",
            "-e",
            "write=all",
            "sh",
            "-c",
            command,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    found = []
    for part in done.stderr.split(" bytes in buffer 0\n")[1:]:
        dump = re.match(r"( \| [0-9a-f]{5}  .*\n)*", part).group()
        data = bytes.fromhex("".join(line[9:58] for line in dump.splitlines()))
        if struct.unpack_from("H", data, 4)[0] == kind:
            found.append(data[16:])
    assert len(found) == 1, (len(found), done.stderr[-2000:])
    return found[0]


def tree(body, size, path=(), kind=b""):
    told = {path: body[:size]} if size else {}
    found = attributes(body, size)
    for number, value in found.items():
        where = (*path, number)
        inner = nested(where, kind, found)
        told |= {where: value} if inner is None else tree(value, inner, where, kind or found.get(1))
    return told


def nested(where, kind, found):
    if kind == "link":
        return None


def leaves(kind, body):
    size = HEADERS[kind]
    told = {("header",): body[:size]}
    found = attributes(body, size)

    def walk(found, path):
        for number, value in found.items():
            where = (*path, number)
            if kind == 16 and where in ((18,), (18, 2), (18, 5)):
                sub = attributes(value)
                walk(sub, where)
            elif (
                kind == 16
                and where == (18, 2, 1)
                and attributes(attributes(body, size)[18])[1] == b"veth"
            ):
                told[*where, "header"] = value[:16]
                walk(attributes(value, 16), where)
            elif kind in (36, 37) and where == (2,):
                name = found[1].rstrip(b"\0")
                skip = 24 if name == b"netem" else 0
                if skip:
                    told[*where, "header"] = value[:skip]
                walk(attributes(value, skip), where)
            else:
                told[where] = value

    walk(found, ())
    return told


def differences(step):
    request = step.request(Place(step.namespace))
    kind = 16 if request.kind == 19 else request.kind
    ours = leaves(kind, request.body)
    theirs = leaves(kind, caught(step.command(), kind))
    return {
        k: (ours.get(k), theirs.get(k)) for k in {**ours, **theirs} if ours.get(k) != theirs.get(k)
    }


def link(kind, lower=None, at="new1", origin=None, **parameters):
    return AddLink(at, kind, parameters, lower, origin)


STEPS = [
    AddVeth("a1", "b1"),
    AddVeth("root:a1", "net1:b1"),
    AddVeth("net1:a1", "b1"),
    AddVeth("net1:a1", "net2:b1"),
    AddVeth("net1:a1", "net1:b1"),
    link("dummy"),
    link("ifb"),
    link("dummy", at="net1:new1"),
    link("bridge"),
    link("bridge", forward_delay=400, hello_time=100, max_age=1000, ageing_time=5000, stp_state=1),
    link("bridge", priority=4096, vlan_default_pvid=5, vlan_filtering=1, vlan_protocol="802.1ad"),
    link(
        "bridge",
        mcast_router=2,
        mcast_snooping=0,
        mcast_querier=1,
        group_fwd_mask="fff8",
        group_addr="01:80:c2:00:00:0f",
    ),
    link("bridge", nf_call_iptables=1, nf_call_ip6tables=1, nf_call_arptables=1),
    link("vxlan", id=42, port=4789),
    link("vxlan", "one", id=42, local="10.0.0.1", remote="10.0.0.2", port=4789),
    link(
        "vxlan",
        "one",
        id=42,
        group="239.1.1.1",
        port=8472,
        ttl=3,
        tos=16,
        learning=False,
        ageing=60,
    ),
    link("vxlan", id=44, local6="fd00::1", remote6="fd00::2", port=4789),
    link("vxlan", "one", id=44, group6="ff05::1", port=4789),
    link("vxlan", port=4789, external=True),
    link("vxlan", id=5, port=4789, proxy=True, rsc=True, l2miss=True, l3miss=True),
    link("vxlan", "one", at="net1:new1", id=42, port=4789),
    link("vxlan", at="net1:new1", origin="root", id=42, port=4789),
    link("geneve", id=4, remote="10.0.0.4", port=6081, ttl=7),
    link("geneve", id=4, remote6="fd00::4"),
    link("vlan", "one", id=5),
    link(
        "vlan",
        "one",
        id=5,
        protocol="802.1ad",
        flags=["GVRP", "LOOSE_BINDING", "MVRP", "BRIDGE_BINDING"],
    ),
    link("vlan", "one", id=5, flags=["REORDER_HDR", "GVRP"]),
    *(link("macvlan", "one", mode=m) for m in ("private", "vepa", "bridge", "passthru", "source")),
    link("macvtap", "one", mode="bridge"),
    link("macvlan", "one", at="net1:new1", mode="bridge"),
    *(link("ipvlan", "one", mode=m) for m in ("l2", "l3", "l3s")),
    *(link(k) for k in ("ipip", "sit", "gre", "gretap", "ip6tnl", "ip6gre", "ip6gretap")),
    *(
        link(k, "one", local="10.0.0.1", remote="10.0.0.2", ttl=9, tos=16)
        for k in ("ipip", "sit", "gre", "gretap")
    ),
    *(
        link(k, local="10.0.0.1", remote="10.0.0.2", pmtudisc=False)
        for k in ("ipip", "sit", "gre", "gretap")
    ),
    *(link("ipip", proto=p) for p in ("any", "ipip", "mplsip")),
    *(link("sit", proto=p) for p in ("any", "ipip", "ip6ip", "mplsip")),
    *(
        link("ip6tnl", "one", local="fd00::1", remote="fd00::2", ttl=9, proto=p)
        for p in ("any", "ipip6", "ip6ip6")
    ),
    *(link(k, "one", local="fd00::1", remote="fd00::2", ttl=9) for k in ("ip6gre", "ip6gretap")),
    *(link(k, ikey="0.0.0.7", okey="0.0.0.8") for k in ("gre", "gretap", "ip6gre", "ip6gretap")),
    *(
        link("bond", mode=m, miimon=100)
        for m in (
            "balance-rr",
            "active-backup",
            "balance-xor",
            "broadcast",
            "802.3ad",
            "balance-tlb",
            "balance-alb",
        )
    ),
    link("vrf", table=10),
]
PORT = dict(
    priority=3,
    cost=7,
    multicast_router=2,
    hairpin=True,
    guard=True,
    root_block=True,
    fastleave=True,
    learning=False,
    flood=False,
    proxy_arp=True,
    mcast_flood=False,
    vlan_tunnel=True,
    bcast_flood=False,
    neigh_suppress=True,
    isolated=True,
    locked=True,
    group_fwd_mask="8",
)
STEPS += [
    *(
        SetLink("one", s)
        for s in (
            {"up": True},
            {"up": False},
            {"master": "br1"},
            {"master": ""},
            {"mac": "02:00:00:00:00:09"},
            {"mtu": 1400},
            {"name": "neu"},
            {"netns": "net1"},
            {"alias": "the far end"},
            {"alias": ""},
            {"promisc": True},
            {"promisc": False},
            {"arp": True},
            {"arp": False},
            {"multicast": True},
            {"multicast": False},
            {"allmulticast": True},
            {"allmulticast": False},
            {"group": 5},
            {"up": False, "master": "", "name": "neu", "netns": "net1"},
            {
                "mac": "02:00:00:00:00:09",
                "mtu": 1400,
                "alias": "it",
                "promisc": True,
                "arp": False,
                "master": "br1",
                "up": True,
            },
        )
    ),
    SetLink("net1:in", {"up": True}),
    SetLink("net1:in", {"netns": "root"}),
    *(SetParameters("port", "port", {k: v}) for k, v in PORT.items()),
    *(SetParameters("port", "port", {k: not v}) for k, v in PORT.items() if isinstance(v, bool)),
    SetParameters("br1", "bridge", {"stp_state": 1, "ageing_time": 3000}),
    SetParameters("vx", "vxlan", {"learning": False}),
]


def addr(local, length, family="inet", **more):
    return Address(family, local, length, **more)


ADDRESSES = [
    addr("10.1.1.2", 24),
    addr("10.1.1.2", 24, broadcast="10.1.1.255", label="one:1"),
    addr("10.1.1.2", 32, peer="10.1.1.3"),
    addr("10.1.1.2", 32, label="one"),
    addr("10.1.1.2", 16, scope="link"),
    addr("127.0.0.9", 8, scope="host"),
    addr("10.1.1.2", 16, scope="host"),
    addr("10.1.1.2", 24, flags=("noprefixroute",)),
    addr("127.0.0.9", 8),
    addr("10.1.1.2", 24, flags=("autojoin",)),
    addr("10.1.1.2", 24, flags=("secondary",)),
    addr(
        "fd01::1", 64, "inet6", flags=("nodad", "home", "mngtmpaddr", "noprefixroute", "autojoin")
    ),
    addr("fd01::1", 64, "inet6", flags=("nodad",)),
    addr("fd01::1", 128, "inet6", peer="fd01::2"),
    addr("fe80::9", 64, "inet6", scope="link"),
    addr("fd01::1", 64, "inet6", flags=("tentative",)),
]
STEPS += [cls("one", a) for a in ADDRESSES for cls in (AddAddress, DeleteAddress)]


def r(to, family="inet", **kw):
    from netviz.net.routes import implied_scope
    from dataclasses import replace

    x = Route(to, family, **kw)
    return replace(x, scope=kw.get("scope") or implied_scope(x))


ROUTES = [
    r("default", via="10.0.0.2"),
    r("default", via="10.0.0.2", dev="one", metric=50),
    r("10.9.0.0/16", type="blackhole"),
    r("10.9.0.0/16", type="unreachable", metric=9),
    r("10.9.0.1", type="prohibit"),
    r("10.9.0.0/16", type="throw", table=100),
    r("10.9.0.1", type="local", dev="one", table=255),
    r("10.9.0.1", type="local", dev="one"),
    r("10.9.0.1", type="broadcast", dev="one", table=255),
    r("10.9.0.1", type="anycast", dev="one", table=255),
    r("239.0.0.0/8", type="multicast", dev="one"),
    r("10.5.0.0/24", dev="two", prefsrc="10.0.0.1"),
    r("10.4.0.0/24", via="192.168.1.1", dev="two", flags=("onlink",), protocol="bird"),
    r("10.4.0.0/24", dev="two", protocol="kernel"),
    r("10.4.0.0/24", dev="two", protocol="200"),
    r("10.4.0.0/24", dev="two", scope="global"),
    r("10.4.0.0/24", dev="two", scope="host"),
    r("10.4.0.0/24", dev="two", scope="77"),
    r("10.4.0.0/24", dev="two", table=1000),
    r("10.3.0.0/24", via="fe80::1", dev="two"),
    r("0.0.0.0/0", dev="two"),
    r("0.0.0.0/8", dev="two"),
    r("0/8", dev="two"),
    r(
        "10.1.0.0/16",
        nexthops=(
            {"gateway": "10.0.0.2", "dev": "one", "weight": 3},
            {"gateway": "10.0.0.3", "dev": "one", "weight": 1},
        ),
    ),
    r(
        "10.1.0.0/16",
        nexthops=(
            {"gateway": "10.0.0.2", "dev": "one", "weight": 1, "flags": ["onlink"]},
            {"gateway": "10.7.0.3", "dev": "two", "weight": 1, "flags": ["onlink"]},
        ),
    ),
    r("10.1.0.0/16", nexthops=({"dev": "one", "weight": 1}, {"dev": "two", "weight": 2})),
    r(
        "10.1.0.0/16",
        nexthops=(
            {"gateway": "fe80::1", "dev": "one", "weight": 3},
            {"gateway": "10.0.0.3", "dev": "one", "weight": 1},
        ),
    ),
    r(
        "10.1.0.0/16",
        nexthops=(
            {"gateway": "10.0.0.2", "dev": "one", "weight": 1, "flags": ["dead", "linkdown"]},
            {"gateway": "10.7.0.3", "dev": "two", "weight": 1, "flags": ["onlink"]},
        ),
    ),
    r("default", "inet6", via="fd00::2"),
    r("fd09::/64", "inet6", type="blackhole"),
    r("fd08::1", "inet6", dev="two", metric=7, table=1000),
    r("fd09::/64", "inet6", type="unreachable"),
    r("::/0", "inet6", dev="two"),
    r("0/8", "inet6", dev="two"),
    r("fd08::1", "inet6", dev="one", type="local", table=255),
    r("fd08::/64", "inet6", dev="two", via="fe80::1", flags=("onlink",), prefsrc="fd00::1"),
    r(
        "fd01::/64",
        "inet6",
        nexthops=(
            {"gateway": "fd00::2", "dev": "one", "weight": 1},
            {"gateway": "fd00::3", "dev": "one", "weight": 2},
        ),
    ),
]
RULES = [
    Rule(5, "inet", "10.0.0.0/24", table=100),
    Rule(6, "inet", to="10.1.1.1", table=1000),
    Rule(7, "inet", iif="lo", fwmark=16, table=7),
    Rule(7, "inet", oif="one", fwmark=16, fwmask=255, table=7),
    Rule(8, "inet", inverted=True, oif="lo", action="blackhole"),
    Rule(7, "inet", fwmark=0, fwmask=255, table=7),
    Rule(9, "inet", action="unreachable"),
    Rule(9, "inet", action="prohibit"),
    Rule(9, "inet", action="nop"),
    Rule(9, "inet", table=254, suppress_prefixlength=0),
    Rule(5, "inet6", "fd00::/64", table=100),
    Rule(5, "inet6", action="blackhole"),
    Rule(5, "inet6", table=254, suppress_prefixlength=1),
    Rule(0, "inet", table=100),
    Rule(5, "inet", "0/8", table=100),
]
NEIGHBOURS = [
    Neighbour("10.0.0.2", "one", "inet", "02:00:00:00:00:02", ("PERMANENT",)),
    Neighbour("10.0.0.3", "one", "inet", "02:00:00:00:00:03", ("NOARP",)),
    Neighbour("fd00::2", "one", "inet6", "02:00:00:00:00:02", ("PERMANENT",), ("router",)),
    Neighbour(
        "fd00::2", "one", "inet6", "02:00:00:00:00:02", ("PERMANENT",), ("router", "extern_learn")
    ),
    Neighbour("10.0.0.2", "one", "inet", "02:00:00:00:00:02", ("REACHABLE",)),
    Neighbour("10.0.0.2", "one", "inet", "02:00:00:00:00:02", ("STALE",)),
    Neighbour("10.0.0.2", "one", "inet", "02:00:00:00:00:02", ()),
    Neighbour("10.0.0.2", "one", "inet", None, (), ("proxy",)),
    Neighbour("fd00::9", "one", "inet6", None, (), ("proxy",)),
    Neighbour("fd00::9", "one", "inet6", None, (), ("proxy", "router")),
]
M = "02:00:00:00:00:07"
Z = "00:00:00:00:00:00"
FDB = [
    FdbEntry(M, "port", "br1", state="static"),
    FdbEntry(M, "port", "the bridge", state="static", vlan=5),
    FdbEntry(M, "port", "br1", state="permanent"),
    FdbEntry(M, "port", "br1", state=""),
    FdbEntry(M, "port", "br1", state="static", flags=("sticky",)),
    FdbEntry(M, "port", "br1", state="static", flags=("extern_learn",)),
    FdbEntry(M, "br1", "br1", state="permanent"),
    FdbEntry(M, "one", state="permanent", flags=("self",)),
    FdbEntry(M, "one", state="static", flags=("self",)),
    FdbEntry(M, "vx", dst="10.0.0.3", state="permanent", flags=("self",)),
    FdbEntry(M, "vx", dst="10.0.0.3", port=4790, vni=7, state="permanent", flags=("self",)),
    FdbEntry(M, "vx", dst="fd00::3", vni=0, state="static", flags=("self",)),
    FdbEntry(M, "vx", dst="10.0.0.3", state="", flags=("self",)),
    FdbEntry(Z, "vx", dst="10.0.0.3", state="permanent", flags=("self",)),
    FdbEntry(Z, "vx", dst="fd00::3", port=4790, vni=7, state="permanent", flags=("self",)),
]
QDISCS = [
    Qdisc("one", "tbf", "", options={"rate": 10**6, "burst": 10240, "limit": 16490}),
    Qdisc("one", "tbf", "8001:", options={"rate": 10**9, "burst": 100000, "limit": 1649000}),
    Qdisc("one", "tbf", "8001:", options={"rate": 10**11, "burst": 100000, "limit": 1649000}),
    Qdisc("one", "tbf", "8001:", options={"rate": 1234567, "burst": 1600, "limit": 3000}),
    Qdisc("one", "netem", "", options={"delay": 0.1}),
    Qdisc(
        "one", "netem", "1:", options={"delay": 0.1, "jitter": 0.01, "loss": 0.05, "limit": 2000}
    ),
    Qdisc("one", "netem", "1:", options={"loss": 0.333}),
    Qdisc("one", "netem", "", options={}),
    Qdisc("one", "netem", "1:", options={"limit": 2000, "loss": 0.333}),
    Qdisc("one", "netem", "1:", options={"limit": 2000, "delay": 0.0000015}),
    Qdisc("one", "ingress", "ffff:", "ingress"),
    Qdisc("one", "ingress", "", "ingress"),
]
for table in (ROUTES, RULES, NEIGHBOURS, FDB, QDISCS):
    STEPS += [cls("root", a) for a in table for cls in (AddEntry, DeleteEntry)]


@pytest.mark.parametrize("step", STEPS, ids=[s.command() for s in STEPS])
def test_x(step):
    sh(PLACE)
    found = differences(step)
    print(
        "@@",
        step.command(),
        {k: tuple(x.hex() if x is not None else None for x in v) for k, v in found.items()},
    )
