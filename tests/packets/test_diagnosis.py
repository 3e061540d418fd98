"""What is foretold from a snapshot is what the kernel does, and what is proposed mends it."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest
from net.oracle import can, sh
from roads import BRIDGE, NAT, ROADS, ROUTER, VXLAN
from test_faults import FAULTS, filtered

import netviz
from netviz.errors import TraceError
from netviz.net.discovery import snapshot
from netviz.packets.diagnosis import diagnose
from netviz.packets.explainer import explain
from netviz.records import snapshot_of

if TYPE_CHECKING:
    from netviz.explanations import Explanation

pytestmark = pytest.mark.long

NETNS = "ip netns exec"
# Nothing in the network says who should have these addresses, or how one gets there.
NOWHERE = ("the router has no route", "a route that refuses", "nobody has")
# What is not about the packet that explain would send.
OTHERS = ("too large", "time to live", "reverse path", "listens", "two have")


class Case(NamedTuple):
    """What is wrong in a network, who asks for which address, the cause and the mend as told."""

    network: str
    wrong: str
    ends: tuple[str, str]
    cause: str
    mend: str | None


NEAR, FAR = ("net1", "10.1.1.2"), ("net1", "10.1.2.2")
SIX = """
for n in 1 2; do
    ip netns add net$n
    ip netns exec net$n sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
done
ip link add veth0 netns net1 type veth peer veth0 netns net2
for n in 1 2; do
    ip -n net$n address add fd00::$n/64 dev veth0 nodad
    ip -n net$n link set veth0 up
done
for n in $(seq 100); do
    ip -n net1 -6 route show table local | grep -q fe80 &&
        ip -n net2 -6 route show table local | grep -q fe80 && break
    sleep 0.05
done
"""
MACVLAN = """
ip link add wire type veth peer far
ip link set wire up
ip link set far up
for n in 1 2; do
    ip netns add net$n
    ip link add link wire name eth0 netns net$n type macvlan mode bridge
    ip -n net$n address add 10.1.1.$n/24 dev eth0
    ip -n net$n link set eth0 up
done
"""


def longer(where: str, address: str, length: int) -> str:
    add = f"ip -n {where} address add {address}/{length} dev veth0"
    return f"{add}; ip -n {where} address delete {address}/24 dev veth0"


CASES = {
    "unplugged": Case(
        *(BRIDGE, "ip link set port2 nomaster", NEAR, "port2 is not a port of the same bridge"),
        "ip link set dev port2 master br0",
    ),
    "in another bridge": Case(
        BRIDGE,
        "ip link add br1 type bridge; ip link set br1 up; ip link set port2 master br1",
        *(NEAR, "port2 is not a port of the same bridge", "ip link set dev port2 master br0"),
    ),
    "an address on a port": Case(
        BRIDGE,
        "ip address add 10.1.1.9/24 dev port1",
        *(("root", "10.1.1.2"), "port1 is a port of br0, which takes what comes in"),
        "ip address delete 10.1.1.9/24 dev port1 && ip address add 10.1.1.9/24 dev br0",
    ),
    "a port in a state by hand": Case(
        *(
            BRIDGE,
            "bridge link set dev port2 state 0",
            NEAR,
            "port2 is held: its state is disabled",
        ),
        "bridge link set dev port2 state 3",
    ),
    "an FDB entry that stays": Case(
        BRIDGE,
        f"bridge fdb replace $({NETNS} net2 cat /sys/class/net/veth0/address) "
        "dev port3 master static sticky",
        *(NEAR, "is behind port3", "bridge fdb delete"),
    ),
    "ARP is off": Case(
        *(BRIDGE, "ip -n net1 link set veth0 arp off", NEAR, "net1:veth0 does not speak ARP"),
        "ip -n net1 link set dev veth0 arp on",
    ),
    "ARP is filtered": Case(
        BRIDGE,
        f"{NETNS} net2 nft 'table arp t {{ chain c {{ type filter hook input priority 0; "
        "policy drop; }; }'",
        *(NEAR, "table arp t, chain c: policy drop", "nft chain arp t c"),
    ),
    "a mask that is too long, there": Case(
        BRIDGE,
        longer("net2", "10.1.1.2", 32),
        *(
            NEAR,
            "back: net2 has no way to 10.1.1.1",
            "ip -n net2 address add 10.1.1.2/24 dev veth0 &&",
        ),
    ),
    "a mask that is too short": Case(
        ROUTER,
        longer("net1", "10.1.1.2", 8),
        *(FAR, "the mask of veth0", "ip -n net1 address add 10.1.1.2/24 dev veth0 &&"),
    ),
    "a mask by which it is for many": Case(
        BRIDGE + "ip -n net3 address add 10.1.1.7/24 dev veth0\n",
        *(longer("net1", "10.1.1.1", 29), ("net1", "10.1.1.7"), "is a broadcast address"),
        "ip -n net1 address add 10.1.1.1/24 dev veth0 &&",
    ),
    "a wrong gateway": Case(
        *(ROUTER, "ip -n net1 route replace default via 10.1.1.77", FAR, "answers for 10.1.1.77"),
        "ip -n net1 route replace default via 10.1.1.1",
    ),
    "a rule that refuses": Case(
        ROUTER,
        "ip -n net1 rule add from 10.1.1.2 prohibit priority 7",
        *(FAR, "rule 7 of net1: from 10.1.1.2 prohibit", "ip -n net1 rule delete priority 7"),
    ),
    "a route that refuses, here": Case(
        BRIDGE,
        "ip -n net1 route add prohibit 10.1.1.2",
        *(NEAR, "prohibit 10.1.1.2, a route of net1", "ip -n net1 route delete prohibit 10.1.1.2"),
    ),
    "a circle": Case(
        ROUTER
        + "ip link add cable netns router type veth peer cable netns net2\n"
        + "ip -n router address add 10.9.0.1/24 dev cable\nip -n router link set cable up\n"
        + "ip -n net2 address add 10.9.0.2/24 dev cable\nip -n net2 link set cable up\n"
        + f"{NETNS} net2 sysctl -qw net.ipv4.ip_forward=1\n",
        "ip -n router route add 10.7.7.7 via 10.9.0.2; ip -n net2 route add 10.7.7.7 via 10.9.0.1",
        *(("net1", "10.7.7.7"), "a loop", "route delete 10.7.7.7"),
    ),
    "too short a life": Case(
        *(ROUTER, f"{NETNS} net1 sysctl -qw net.ipv4.ip_default_ttl=1", FAR),
        "used up when it comes to router: net.ipv4.ip_default_ttl of net1 is too small",
        f"{NETNS} net1 sysctl -w net.ipv4.ip_default_ttl=64",
    ),
    "an answer's life that is too short": Case(
        *(ROUTER, f"{NETNS} net2 sysctl -qw net.ipv4.ip_default_ttl=1", FAR),
        "back: its time to live is used up when it comes to router",
        f"{NETNS} net2 sysctl -w net.ipv4.ip_default_ttl=64",
    ),
    "the filter of the way back": Case(
        ROUTER,
        f"{NETNS} router sysctl -qw net.ipv4.conf.all.rp_filter=1; "
        "ip -n router route add 10.1.1.2 dev eth2",
        *(FAR, "rp_filter: the way back to 10.1.1.2 is not by eth1", "sysctl -w net.ipv4.conf.all"),
    ),
    "the answer is filtered": Case(
        ROUTER,
        filtered(f"{NETNS} router", "forward", "icmp type echo-reply drop"),
        *(FAR, "back: router: dropped by a packet filter", "nft delete rule ip guard forward"),
    ),
    "the answer is another's": Case(
        BRIDGE,
        f"{NETNS} net1 nft 'table ip n {{ chain c {{ type nat hook postrouting priority 100; "
        "ip daddr 10.1.1.2 snat to 10.1.1.3; }; }'",
        *(NEAR, "back: net3 has 10.1.1.3 as well, and gets the answer", None),
    ),
    "a source that nobody has": Case(
        BRIDGE,
        f"{NETNS} net1 nft 'table ip n {{ chain c {{ type nat hook postrouting priority 100; "
        "ip daddr 10.1.1.2 snat to 10.1.1.77; }; }'",
        *(NEAR, "back: nobody on veth0 answers for 10.1.1.77: nobody here has it"),
        f"{NETNS} net1 nft delete rule ip n c",
    ),
    "lo is down": Case(
        *(BRIDGE, "ip -n net1 link set lo down", ("net1", "10.1.1.1"), "net1:lo is down"),
        "ip -n net1 link set dev lo up",
    ),
    "pings are ignored": Case(
        *(BRIDGE, f"{NETNS} net2 sysctl -qw net.ipv4.icmp_echo_ignore_all=1", NEAR),
        *("net2 ignores pings", f"{NETNS} net2 sysctl -w net.ipv4.icmp_echo_ignore_all=0"),
    ),
    "pings of IPv6 are ignored": Case(
        *(SIX, f"{NETNS} net2 sysctl -qw net.ipv6.icmp.echo_ignore_all=1", ("net1", "fd00::2")),
        *("net2 ignores pings", f"{NETNS} net2 sysctl -w net.ipv6.icmp.echo_ignore_all=0"),
    ),
    "no address there of IPv6": Case(
        *(SIX, "ip -n net2 address delete fd00::2/64 dev veth0", ("net1", "fd00::2")),
        *("nobody on veth0 answers for fd00::2", "ip -n net2 address add fd00::2/64 dev veth0"),
    ),
    "an advert that goes astray": Case(
        SIX,
        "ip -n net2 neighbour add fd00::1 lladdr 02:00:00:00:00:99 dev veth0",
        *(("net1", "fd00::2"), "neighbour fd00::1 is 02:00:00:00:00:99, says net2's table"),
        "ip -n net2 neighbour delete fd00::1 dev veth0",
    ),
    "ND is filtered": Case(
        SIX,
        f"{NETNS} net2 nft 'table inet t {{ chain c {{ type filter hook input priority 0; "
        "meta l4proto icmpv6 drop; }; }'",
        *(("net1", "fd00::2"), "meta l4proto ipv6-icmp drop", "nft delete rule inet t c"),
    ),
    "a macvlan that is alone": Case(
        *(MACVLAN, "ip -n net2 link set eth0 type macvlan mode private", NEAR),
        *("net2:eth0 is a macvlan in mode private", "type macvlan mode bridge"),
    ),
    "a wrong remote": Case(
        VXLAN,
        "ip -n node1 link set vx0 type vxlan remote 192.168.7.9",
        *(("pod1", "10.7.0.2"), "answers for 192.168.7.9", "type vxlan remote 192.168.7.2"),
    ),
}


def told_of(where: str, to: str) -> Explanation:
    """Ask, when bridges use the ports that have just come up: the kernel tells them within 1 s."""
    for _ in range(30):
        told = explain(where, to)
        if "just come up" not in str(told):
            break
        time.sleep(0.1)
    return told


def answered(where: str, to: str, wait: float = 3) -> bool:
    """Ask until an answer comes: who was asked for in vain is not asked for again at once."""
    there = [] if where == "root" else [*NETNS.split(), where]
    ping = [*there, "ping", "-c1", f"-{'w' if wait >= 1 else 'W'}{wait}", to]
    return subprocess.run(ping, capture_output=True, check=False).returncode == 0


def mended(where: str, to: str) -> Explanation:
    """Type what is proposed until it works, or nothing new is proposed."""
    typed: list[str] = []
    for _ in range(5):
        told = told_of(where, to)
        if told.works or told.mend is None or told.mend in typed:
            break
        typed.append(told.mend)
        subprocess.run(["sh", "-ec", told.mend], check=True, capture_output=True)
    return told


def test_circle_is_gone_round_once_and_its_longest_route_is_to_go() -> None:
    case = CASES["a circle"]
    sh(case.network + "ip -n router route add 10.7.0.0/16 via 10.9.0.2")
    sh("ip -n net2 route replace default via 10.9.0.1")
    told = told_of(*case.ends)
    assert len([it for it in told.steps if it.text.startswith("router: route")]) == 2
    assert told.mend == "ip -n router route delete 10.7.0.0/16 dev cable"


@pytest.mark.parametrize("name", ROADS)
def test_road_is_foretold_there_and_back(name: str) -> None:
    network, where, to, _ = ROADS[name]
    sh(network)
    told = told_of(where, to)
    assert (told.works, told.certain) == (True, True), told
    assert told.steps[-1].text == f"the answer reaches {where}"
    assert answered(where, to)
    known = told_of(where, to)  # Now the tables are full.
    assert (known.works, known.certain) == (True, True), known


@pytest.mark.parametrize(
    ("network", "where", "to"),
    [
        (netviz.bridge(2), "net1", "10.1.1.3"),
        (netviz.docker(1), "c1", "172.17.0.1"),
        (netviz.router(), "net2", "10.1.1.2"),
        (netviz.nodes(2, 1), "node1-pod1", "10.244.2.2"),
    ],
)
def test_ready_made_network_works_both_ways(network: netviz.Topology, where: str, to: str) -> None:
    network.up()
    told = told_of(where, to)
    assert (told.works, told.certain) == (True, True), told


@pytest.mark.parametrize("name", [it for it in FAULTS if not any(word in it for word in OTHERS)])
def test_fault_is_named_as_a_journey_names_it_and_its_mend_mends_it(name: str) -> None:
    fault = FAULTS[name]
    sh(fault.network + fault.wrong)
    if "bridged" in name and not can("modprobe br_netfilter || ls /proc/sys/net/bridge"):
        pytest.skip("this kernel has no bridge-nf")
    to = next(word for word in str(fault.command).split() if word.startswith("10."))
    told = told_of(fault.sender, to)
    assert (told.works, told.certain) == (False, True), told
    words = {"port2 carries": "net2:veth0 is down", "it is for 02": "is 02:00", "STP": "STP: its"}
    cause = next((words[key] for key in words if fault.why.startswith(key)), fault.why)
    cause = cause.partition(": its question got lost")[0]
    assert told.broken, told
    assert cause in told.broken.text, told
    after = mended(fault.sender, to)
    assert after.works is not name.startswith(NOWHERE), after
    if after.works:
        assert answered(fault.sender, to), after


@pytest.mark.parametrize("name", CASES)
def test_cause_is_found_and_its_mend_makes_progress(name: str) -> None:
    case = CASES[name]
    if case.network == MACVLAN and not can(
        "ip link add v type veth peer name w; ip link add x link v type macvlan"
    ):
        pytest.skip("this kernel cannot make a macvlan")
    sh(case.network + case.wrong)
    told = told_of(*case.ends)
    assert (told.works, told.certain) == (False, True), told
    assert told.broken, told
    assert case.cause in told.broken.text, told
    assert not answered(*case.ends, 0.1), told
    if case.mend is None:
        return
    assert case.mend in str(told.mend), told
    after = mended(*case.ends)
    assert after.works or "10.7.7.7" in case.ends, after
    if after.works:
        assert answered(*case.ends), after


@pytest.mark.parametrize(
    ("wrong", "show"),
    [
        ("rule add not from 10.9.9.9 to 10.1.1.2 prohibit priority 7", "rule"),
        ("route add blackhole 10.1.1.2", "route show table 254 type blackhole"),
    ],
)
def test_what_refuses_is_seen_by_the_command_that_is_told(wrong: str, show: str) -> None:
    sh(f"{BRIDGE}ip -n net1 {wrong}")
    broken = told_of(*NEAR).broken
    assert broken.command == f"ip -n net1 {show}"
    assert "10.1.1.2" in sh(broken.command)


def test_file_of_a_snapshot_is_explained_as_the_snapshot_itself() -> None:
    sh(NAT)
    live = snapshot()
    kept = snapshot_of(json.loads(json.dumps(live.to_dict())))
    told = diagnose(kept, "net1", "10.1.1.1")
    assert told == diagnose(live, "net1", "10.1.1.1")
    assert "router: NAT rule of table ip nat, chain pre: ip daddr 10.1.1.1 dnat to 10.1.2.2" in [
        step.text for step in told.steps
    ]


@pytest.mark.parametrize(
    ("wrong", "doubt"),
    [
        ("ip -n net3 address add 10.1.1.2/24 dev veth0", "the address is there twice"),
        (
            "ip -n net1 link add ifb0 type ifb; ip -n net1 link set ifb0 up; "
            "ip -n net1 route add 10.1.1.2 dev ifb0",
            "leaves what a snapshot has (ifb)",
        ),
        ("ip -n net1 route replace 10.1.1.0/24 nexthop dev veth0 nexthop dev lo", "one of 2 ways"),
    ],
)
def test_what_a_snapshot_cannot_tell_is_open(wrong: str, doubt: str) -> None:
    sh(BRIDGE + "ip -n net1 link set lo up\n" + wrong)
    told = told_of(*NEAR)
    assert not told.certain
    assert told.works
    assert doubt in str(told.doubt)


def test_unicast_to_a_link_local_address_needs_its_device() -> None:
    sh(SIX)
    told = json.loads(sh("ip -n net2 -j -6 address show dev veth0 scope link"))
    near = next(each["local"] for each in told[0]["addr_info"] if "local" in each)
    assert told_of("net1", f"{near}%veth0").works
    assert not diagnose(snapshot(), "net1", near).certain


@pytest.mark.parametrize(
    ("question", "why"),
    [
        (("net9", "10.1.1.2"), "there is no namespace 'net9'"),
        (("root", "10.1.1"), "'10.1.1' is no address"),
        (("root", "10.1.1.2", "tcp"), "cannot send 'tcp' to port None"),
        (("root", "10.1.1.2", "sctp", 80), "cannot send 'sctp' to port 80"),
    ],
)
def test_question_that_cannot_be_asked_is_refused(question: tuple, why: str) -> None:
    with pytest.raises(TraceError, match=why):
        diagnose(snapshot(), *question)
