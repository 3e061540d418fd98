"""Packets through kinds that not every kernel has: what is foretold, what comes, and why."""

from __future__ import annotations

import pytest
from net.oracle import can, sh
from own.networks import BOND, BRIDGED, CHILDREN, DUMMY, HOSTS, NETWORKS, VLAN, WIREGUARD

from netviz.journeys import LOST
from netviz.packets.explainer import explain
from netviz.packets.tracer import follow

pytestmark = pytest.mark.own_kernel

IN_TUNNEL = "net1:tun1 out, net1:eth0 out, net2:eth0 in, net2:tun1 in"
OVER_CABLE = "net1:eth0 out, root:p1 in, root:br0 through, root:p2 out, net2:eth0 in"
NOT_THERE = "nobody on c0 answers for 10.0.0.1"
# From where, to where, what breaks or nothing, and the way of the request if one is sent.
WAYS = {
    **{
        kind: [("net1", "10.9.0.2", "", IN_TUNNEL)]
        for kind in ("ipip", "gre", "gretap", "ip6tnl", "ip6gre")
    },
    "sit": [("net1", "fd09::2", "", IN_TUNNEL)],
    "vlan": [
        ("net1", "10.5.0.2", "", "net1:eth0.5 out, net1:eth0 out, net2:eth0 in, net2:eth0.5 in")
    ],
    "VLAN-aware bridge": [
        ("net1", "10.1.0.2", "", OVER_CABLE),
        ("net1", "10.1.0.3", "p3 is not in VLAN 10", ""),
        (
            *("net1", "10.1.0.4", ""),
            OVER_CABLE.replace("p2", "p4").replace("net2:eth0", "net4:eth0") + ", net4:eth0.10 in",
        ),
        (
            "net1",
            "10.1.0.254",
            "",
            "net1:eth0 out, root:p1 in, root:br0 through, root:br0 in, root:br0.10 in",
        ),
    ],
    "bond": [
        (
            *("net1", "10.0.0.2", ""),
            "net1:bond0 out, net1:eth1 out, root:p1 in, root:br0 through, root:p3 out, "
            "net2:eth0 in",
        )
    ],
    "vrf": [
        ("red1", "10.0.2.2", "", "red1:eth0 out, root:red-1 in, root:red-2 out, red2:eth0 in"),
        ("blue1", "10.0.2.2", "", "blue1:eth0 out, root:blue-1 in, root:blue-2 out, blue2:eth0 in"),
        ("red1", "10.0.1.1", "", "red1:eth0 out, root:red-1 in"),
    ],
    "dummy": [("net1", "10.8.0.2", "", "net1:eth0 out, net2:eth0 in")],
    "ipvlan l2": [
        ("net2", "10.0.0.3", "", "net2:c0 out, net3:c0 in"),
        ("net2", "10.0.0.9", "", "net2:c0 out, root:eth0 out, far:eth0 in"),
        ("net2", "10.0.0.1", f"{NOT_THERE}: net2:c0 is an ipvlan on eth0: between", ""),
        ("far", "10.0.0.2", "", "far:eth0 out, root:eth0 in, net2:c0 in"),
    ],
    **{
        f"ipvlan {mode}": [
            ("net2", "10.0.0.3", "", "net2:c0 out, net3:c0 in"),
            (
                *("net2", "10.0.0.9", "answers for 10.0.0.2: net2:c0 does not speak ARP"),
                "net2:c0 out, root:eth0 out, far:eth0 in",
            ),
            (
                *("net2", "10.0.0.1", "nobody on eth0 answers for 10.0.0.2: net2:c0 is an ipvlan"),
                "net2:c0 out, root:lo out, root:lo in",
            ),
        ]
        for mode in ("l3", "l3s")
    },
    "macvlan bridge": [
        ("net2", "10.0.0.3", "", "net2:c0 out, root:eth0 in, net3:c0 in"),
        ("net2", "10.0.0.1", f"{NOT_THERE}: net2:c0 is a macvlan on eth0: between", ""),
    ],
    "macvlan private": [("net2", "10.0.0.3", "net2:c0 is a macvlan in mode private", "")],
}


def ping(to: str) -> str:
    return f"ping {'-6' if ':' in to else '-4'} -c1 -W1 {to}"


@pytest.mark.parametrize("name", WAYS)
def test_what_is_foretold_comes_and_is_followed(name: str) -> None:
    sh(NETWORKS[name])
    for here, to, breaks, way in WAYS[name]:
        told = explain(here, to, verify=True)
        assert told.certain, told
        assert (told.works, told.verified) == (not breaks, not breaks), told
        assert breaks in (told.broken.text if told.broken else ""), told
        seen = follow(here, ping(to))
        requests = [it for it in seen.journeys if "echo request" in it.title and "answer" not in
                    it.title]  # fmt: skip
        ways = [", ".join(f"{hop.where} {hop.direction}" for hop in it) for it in requests]
        assert ways == [way] * bool(way), seen.journeys
        assert (seen.status == 0) == (not breaks)


@pytest.mark.parametrize(
    ("name", "here", "to"),
    [
        ("VLAN-aware bridge", "net1", "10.1.0.3"),
        ("ipvlan l3", "net2", "10.0.0.9"),
        ("macvlan private", "net2", "10.0.0.3"),
    ],
)
def test_what_mends_it_mends_it(name: str, here: str, to: str) -> None:
    sh(NETWORKS[name])
    if name == "macvlan private":  # The other one as well.
        sh(explain(here, to).mend or "")
    sh(explain(here, to).mend or "")
    told = explain(here, to, verify=True)
    assert (told.works, told.certain, told.verified) == (True, True, True), told


def test_both_headers_of_an_ipip_tunnel_are_seen() -> None:
    sh(NETWORKS["ipip"])
    request = next(it for it in follow("net1", ping("10.9.0.2")).journeys if "request" in it.title)
    wrapped = request.hops[1]
    ends = [
        (it.get("source"), it.get("destination")) for it in wrapped.headers if it.name == "IPv4"
    ]
    assert ends == [("10.0.0.1", "10.0.0.2"), ("10.9.0.1", "10.9.0.2")]
    assert wrapped.role == "wrapped by tun1"


def test_tag_is_seen_where_it_is() -> None:
    sh(VLAN)
    request = next(it for it in follow("net1", ping("10.5.0.2")).journeys if "request" in it.title)
    assert [hop.headers[0].get("VLAN") for hop in request] == ["", "5", "5", ""]


@pytest.mark.parametrize(
    ("change", "breaks"),
    [
        ("bridge vlan del dev p1 vid 10", "p1 takes nothing without a tag: it has no PVID"),
        ("bridge vlan del dev p4 vid 10", "p4 is not in VLAN 10"),
        ("ip -n net4 link delete eth0.10; ip -n net4 address add 10.1.0.4/24 dev eth0",
         "net4:eth0 has no device for VLAN 10"),
    ],
)  # fmt: skip
def test_vlan_that_is_missing_is_what_breaks(change: str, breaks: str) -> None:
    sh(BRIDGED + change)
    told = explain("net1", "10.1.0.4", verify=True)
    assert told.broken, told
    assert breaks in told.broken.text
    assert (told.certain, told.verified) == (True, False)


@pytest.mark.parametrize(("where", "back"), [("net1", ""), ("net2", "back: ")])
def test_queue_that_loses_all_is_what_breaks(where: str, back: str) -> None:
    sh(HOSTS + "ping=$(ip netns exec net1 ping -c1 10.0.0.2)")
    sh(f"tc -n {where} qdisc add dev eth0 root netem loss 100%")
    told = explain("net1", "10.0.0.2", verify=True)
    assert told.broken, told
    assert told.broken.text == f"{back}{where}:eth0 loses all that it is to send: a netem"
    assert (told.verified, told.certain) == (False, True)
    lost = follow("net1", ping("10.0.0.2")).journeys[-1]
    assert str(lost.end.where) == f"{where}:eth0"
    assert str(lost.end.end) == "eth0 loses all that it is to send: a netem"
    sh(told.mend or "")
    assert explain("net1", "10.0.0.2", verify=True).verified


def test_queue_that_loses_some_leaves_it_open_and_one_that_only_waits_does_not() -> None:
    sh(HOSTS + "tc -n net1 qdisc add dev eth0 root netem loss 20%")
    told = explain("net1", "10.0.0.2")
    assert (told.works, told.certain) == (True, False)
    assert told.doubt == "net1:eth0 loses 20 % of what it is to send: a netem"
    sh("tc -n net1 qdisc change dev eth0 root netem delay 50ms loss 0%")
    told = explain("net1", "10.0.0.2", verify=True)
    assert (told.certain, told.verified) == (True, True), told


def test_dummy_throws_away_what_it_is_to_send() -> None:
    sh(DUMMY)
    told = explain("net2", "10.8.0.7", verify=True)
    assert (told.works, told.certain, told.verified) == (False, True, False)
    (way,) = follow("net2", ping("10.8.0.7")).journeys
    assert (way.fate, str(way.end.end)) == (
        LOST,
        "dum0 is a dummy: it throws away what it is to send",
    )


def test_bond_goes_on_by_its_other_port() -> None:
    sh(BOND + "ip link set p1 down; until ip -n net1 -d link show bond0 | grep -q 'slave eth2'; "
       "do sleep 0.05; done")  # fmt: skip
    told = explain("net1", "10.0.0.2", verify=True)
    assert (told.certain, told.verified) == (True, True), told
    request = next(it for it in follow("net1", ping("10.0.0.2")).journeys if "request" in it.title)
    assert "net1:eth2" in [str(hop.where) for hop in request]


def test_of_a_wireguard_nobody_foretells_more_than_where_it_leaves() -> None:
    if not can("ip link add w type wireguard"):
        pytest.skip("this kernel cannot make a wireguard")
    sh(WIREGUARD)
    told = explain("net1", "10.9.0.2")
    assert (told.works, told.certain) == (True, False)
    assert told.doubt == "what net1:wg0 sends leaves what a snapshot has (wireguard)"


def test_children_of_an_ipvlan_that_is_private_may_not_reach_one_another() -> None:
    sh(CHILDREN["ipvlan l2"].replace("mode l2", "mode l2 private"))
    told = explain("net2", "10.0.0.3", verify=True)
    assert not told.certain
    assert not told.verified
