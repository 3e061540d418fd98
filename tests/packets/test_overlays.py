"""flannel's three entries for each node: which one lacks or is wrong is told, and mended."""

from __future__ import annotations

import re
import subprocess

import pytest
from net.oracle import can, sh
from roads import FLANNEL, ROUTER

import netviz
from netviz.net.discovery import snapshot
from netviz.packets.explainer import explain

pytestmark = pytest.mark.long

ENDS = ("node1-pod1", "10.244.2.2")
VTEP = "02:00:00:00:00:02"
FDB = f"bridge -n node1 fdb replace {VTEP} dev flannel.1 dst 192.168.1.2"
NEIGHBOUR = f"neighbour replace 10.244.2.0 lladdr {VTEP} dev flannel.1 nud permanent"
# What is done, the cause as told, the mend; then the same at the other node, for the way back.
WRONG = {
    "no route": (
        "ip -n node1 route delete 10.244.2.0/24",
        *("node1 has no way to 10.244.2.2: no route", "via 10.244.2.0 dev flannel.1 onlink"),
    ),
    "no neighbour": (
        "ip -n node1 neighbour delete 10.244.2.0 dev flannel.1",
        *("no neighbour entry says whose card 10.244.2.0 is", NEIGHBOUR),
    ),
    "a wrong neighbour": (
        f"ip -n node1 {NEIGHBOUR}".replace(VTEP, "02:00:00:00:00:99"),
        *(f"says node1's table (PERMANENT), but {VTEP} has it", NEIGHBOUR),
    ),
    "no FDB entry": (
        f"bridge -n node1 fdb delete {VTEP} dev flannel.1",
        *(f"flannel.1 does not know behind which node {VTEP} is", FDB),
    ),
    "an FDB entry to nobody": (
        FDB.replace("192.168.1.2", "192.168.1.9"),
        *(f"FDB has {VTEP} behind 192.168.1.9, but it is behind 192.168.1.2", FDB),
    ),
    "an FDB entry to another node": (
        FDB.replace("192.168.1.2", "192.168.1.3"),
        *(f"FDB has {VTEP} behind 192.168.1.3, but it is behind 192.168.1.2", FDB),
    ),
    "a VTEP that is down": (
        "ip -n node2 link set flannel.1 down",
        *("node2:flannel.1 is down", "ip -n node2 link set dev flannel.1 up"),
    ),
}


def ping(*options: str, ends: tuple[str, str] = ENDS) -> bool:
    command = ["ip", "netns", "exec", ends[0], "ping", "-c1", "-W0.3", *options, ends[1]]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def cluster(nodes: int = 2) -> None:
    netviz.nodes(nodes, 1).up()
    sh(FLANNEL)
    assert ping()


@pytest.mark.parametrize("name", WRONG)
def test_entry_that_lacks_is_named_and_given(name: str) -> None:
    cluster(3)
    ways = [WRONG[name], tuple(map(mirrored, WRONG[name]))]
    for wrong, cause, mend in ways[:1] if "down" in name else ways:
        sh(wrong)
        assert not ping()
        told = explain(*ENDS)
        assert cause in told.broken.text
        assert mend in told.mend
        subprocess.run(["sh", "-ec", told.mend], check=True)
        if "down" not in name:  # Whoever was down has forgotten all else.
            assert explain(*ENDS).works
            assert ping()


def mirrored(text: str) -> str:
    """Return what is said of node1, as it is said of node2."""
    part = r"(node|10\.244\.|192\.168\.1\.|02:00:00:00:00:0)([12])"
    return re.sub(part, lambda it: f"{it[1]}{3 - int(it[2])}", text)


def test_vxlan_with_a_wrong_number_is_made_again_with_all_that_it_knew() -> None:
    cluster()
    before = snapshot()
    made = FLANNEL.replace("vxlan id 1", "vxlan id 2").replace("for n in 1 2", "for n in 2")
    sh("ip -n node2 link delete flannel.1" + made)
    assert not ping()
    told = explain(*ENDS)
    assert told.broken.text == "node2 has no VXLAN device with VNI 1"
    subprocess.run(["sh", "-ec", told.mend], check=True)
    assert ping()
    assert [it for it in before.diff(snapshot()) if "10.244.1.0" in str(it)] == []


def test_number_that_most_others_have_is_the_right_one() -> None:
    cluster(3)
    joins = FLANNEL.replace("for n in 1 2", "for n in 3").replace("far=$((3 - n))", "far=1")
    sh(joins.replace("vxlan id 1", "vxlan id 9"))
    sh("ip -n node1 route add 10.244.3.0/24 via 10.244.3.0 dev flannel.1 onlink")
    sh("ip -n node1 neighbour add 10.244.3.0 lladdr 02:00:00:00:00:03 dev flannel.1 nud permanent")
    sh("bridge -n node1 fdb add 02:00:00:00:00:03 dev flannel.1 dst 192.168.1.3")
    for ends in (("node1-pod1", "10.244.3.2"), ("node3-pod1", "10.244.1.2")):
        told = explain(*ends)
        assert told.broken.text.endswith(("with VNI 1", "with VNI 9"))
        assert told.mend.startswith("ip -n node3 link delete dev flannel.1 && ")
    subprocess.run(["sh", "-ec", told.mend], check=True)
    assert ping(ends=("node1-pod1", "10.244.3.2"))


def test_packet_too_large_for_the_tunnel_is_foretold() -> None:
    cluster()
    assert explain(*ENDS, size=1450, verify=True).verified
    told = explain(*ENDS, size=1451, verify=True)
    assert told.verified is False
    assert told.broken.text.endswith("more than node1:flannel.1's MTU of 1450")
    assert told.mend == "ip -n node1-pod1 link set dev eth0 mtu 1450"
    subprocess.run(["sh", "-ec", told.mend], check=True)
    own = explain(*ENDS, size=1451)
    assert own.broken.text.endswith("more than node1-pod1:eth0's MTU of 1450")
    assert own.mend is None


def test_frame_too_large_for_a_cable_on_its_way_is_lost_without_a_word() -> None:
    netviz.bridge(2).up()
    sh("ip link set br1-veth1 mtu 1400; ip -n net2 link set veth1 mtu 1400")
    ends = ("net1", "10.1.1.3")
    for size, arrives in ((1400, True), (1500, False)):
        told = explain(*ends, size=size, verify=True)
        assert (told.works, told.verified) == (arrives, arrives)
    assert told.broken.text.endswith("br1-veth1's MTU of 1400, and nobody tells the sender")
    subprocess.run(["sh", "-ec", f"{told.mend}; ip -n net2 link set veth1 mtu 1500"], check=True)
    assert explain(*ends, size=1500, verify=True).verified


def routed(tunnel: str) -> None:
    """Join two networks by a tunnel between their hosts, over a router."""
    sh(ROUTER)
    for n, far in ((1, 2), (2, 1)):
        ends = f"local 10.1.{n}.2 remote 10.1.{far}.2"
        sh(f"ip -n net{n} link add tun type {tunnel} {ends}; ip -n net{n} link set tun up")
        sh(f"ip -n net{n} address add 10.9.0.{n}/24 dev tun")


INNER = ("net1", "10.9.0.2")
SHORT = "net.ipv4.ip_default_ttl"
MADE_SHORT = (
    "ip -n net1 link delete tun; "
    "ip -n net1 link add tun type {} local 10.1.1.2 remote 10.1.2.2 ttl 1; "
    "ip -n net1 link set tun up; ip -n net1 address add 10.9.0.1/24 dev tun"
)


@pytest.mark.parametrize("tunnel", ["vxlan id 5 dstport 4789", "ipip"])
def test_what_a_tunnel_sends_has_a_time_to_live_as_well(tunnel: str) -> None:
    if not can(f"ip link add t0 type {tunnel} local 10.0.0.1 remote 10.0.0.2"):
        pytest.skip(f"this kernel cannot make a {tunnel.split()[0]}")
    routed(tunnel)
    assert ping(ends=INNER)
    own = f"ip netns exec net1 sysctl -qw {SHORT}=1", f"{SHORT} of net1"
    for wrong, why in (own, (MADE_SHORT.format(tunnel), "net1:tun's ttl of 1")):
        sh(wrong)
        told = explain(*INNER, verify=True)
        assert told.verified is False
        assert told.broken.text.endswith(f"when it comes to router: {why} is too small")
        subprocess.run(["sh", "-ec", told.mend], check=True)
        told = explain(*INNER, verify=True)
        assert (told.works, told.verified) == (True, True)


@pytest.mark.parametrize(("tunnel", "header"), [("ipip", 20), ("gre", 24)])
def test_what_a_tunnel_sends_is_larger_by_its_header_and_not_cut(tunnel: str, header: int) -> None:
    if not can(f"ip link add t0 type {tunnel} local 10.0.0.1 remote 10.0.0.2"):
        pytest.skip(f"this kernel cannot make a {tunnel}")
    routed(tunnel)
    sh("ip -n net1 link set tun mtu 1500; ip -n net2 link set tun mtu 1500")
    for size, fits in ((1500 - header, True), (1501 - header, False)):
        told = explain(*INNER, size=size, verify=True)
        assert (told.works, told.verified) == (fits, fits)
    assert (
        told.broken.text == "1501 bytes that must not be cut are more than net1:veth0's MTU of 1500"
    )


def test_neighbour_that_the_kernel_asked_for_meanwhile_is_restored() -> None:
    cluster()
    netviz.checkpoint("flannel")
    sh("ip -n node1 neighbour delete 10.244.2.0 dev flannel.1")
    assert not ping()  # The kernel has an entry of its own now, without a card.
    netviz.restore("flannel")
    assert ping()


def test_script_builds_it_again() -> None:
    cluster()
    told = netviz.script(snapshot())
    netviz.reset()
    sh(told)
    assert ping()
    assert explain(*ENDS).works
