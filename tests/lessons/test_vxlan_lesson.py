"""The lesson about VXLAN from top to bottom, and what its text says of the outputs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from running import assert_solved, hops, run

if TYPE_CHECKING:
    from kernels import Notebook
    from running import Said

# What Open vSwitch has made, no script of ip's builds: it says so, line by line.
OF_OVS = (
    r"^- node[12]: (interface|address|flow) (ovs-netdev|br-ex|br-int|vxlan0)\b"
    r"|^~ node[12]: interface (eth0|veth1) master: node[12]:br-(ex|int) → none$"
)

WAY = [
    *("node1-pod1:eth0 out", "node1:veth1 in", "node1:cni0 through", "node1:cni0 in"),
    *("node1:flannel.1 out", "node1:eth0 out", "root:port1 in", "root:switch0 through"),
    *("root:port2 out", "node2:eth0 in", "node2:flannel.1 in", "node2:cni0 out"),
    *("node2:veth1 out", "node2-pod1:eth0 in"),
]
LEARNED = [
    *("node1-pod1:eth0 out", "node1:veth1 in", "node1:cni0 through", "node1:vxlan7 out"),
    *("node1:eth0 out", "root:port1 in", "root:switch0 through", "root:port2 out"),
    *("node2:eth0 in", "node2:vxlan7 in", "node2:cni0 through", "node2:veth1 out"),
    "node2-pod1:eth0 in",
]


@pytest.mark.long
def test_11_vxlan(own_lab: Notebook) -> None:
    said = run(own_lab, "11", other=OF_OVS)
    assert said.happened == [
        *("Host Unreachable", "nothing at all", "148", "node1 complains", "behind 192.168.1.2")
    ]
    assert_solved(said.by("installed("))
    assert "iperf3" in said.by("nv.needs(")
    assert "From 10.244.1.1 icmp_seq=1 Destination Net Unreachable" in said.by("-c 1 192.168.1.2")
    assert "1 received" in said.by("-c 1 192.168.1.2")
    _three_entries(said)
    _on_the_wire(said)
    _learning(said)
    _three_answers(said.by("for name, (wire"))


def _three_entries(said: Said) -> None:
    made = said.by("ip -n node1 -d link show flannel.1")
    assert re.search("vxlan id 1 local 192.168.1.1 dev eth0 .*dstport 8472 nolearning", made)
    assert "mtu 1450" in made
    assert re.search("10.244.2.0 .*FAILED", said.by("-W 4 10.244.2.2", turn=1))
    lost = said.by("ping -c 1 -W 1 10.244.2.2")
    assert hops(lost, "ICMP echo request 1") == WAY[:5]
    assert "flannel.1 does not know" in lost
    told = said.by('nv.explain("node1-pod1", "10.244.2.2")')
    assert "✗ flannel.1 does not know behind which node 02:00:00:00:00:02 is" in told
    assert "bridge -n node1 fdb show dev flannel.1" in told
    assert "2 received" in said.by("-c 2 -i 0.3 10.244.2.2")
    assert "02:00:00:00:00:02 dst 192.168.1.2 self permanent" in said.by("-c 2 -i 0.3 10.244.2.2")


def _on_the_wire(said: Said) -> None:
    heard = said.by("tcpdump -lnne")
    assert re.search(r"length 148: 192.168.1.1.\d+ > 192.168.1.2.8472: (OTV|VXLAN)", heard)
    assert "instance 1" in heard or "vni 1" in heard
    assert "02:00:00:00:00:01 > 02:00:00:00:00:02" in heard
    assert "length 98: 10.244.1.2 > 10.244.2.2" in heard
    traced = said.by('nv.trace("node1-pod1", "ping -c 1 10.244.2.2")', turn=1)
    assert hops(traced, "ICMP echo request 1") == WAY
    for part in ("ttl 64 → 63", "+ VXLAN vni 1", "VNI 1 belongs to flannel.1", "ttl 63 → 62"):
        assert part in traced
    large = said.by("ping -c 1 -M do -s 1422")
    assert "1 received" in large
    assert "Frag needed and DF set (mtu = 1450)" in large
    assert "mtu 1450" in large.split("cache")[1]
    told = said.by("size=1500")
    assert "✗ 1500 bytes that must not be cut are more than node1:flannel.1's MTU of 1450" in told
    assert "mend it: ip -n node1-pod1 link set dev eth0 mtu 1450" in told
    assert "message too long" in said.by("eth0 mtu 1450; done")
    assert "mtu 1430" in said.by("link show try6")


def _learning(said: Said) -> None:
    begun = said.by("group 239.1.1.1")
    assert re.findall("(\\S+) dst (\\S+)", begun) == [("00:00:00:00:00:00", "239.1.1.1")]
    traced = said.by("ping -c 1 10.1.1.2", turn=1)
    assert "destination 239.1.1.1" in traced
    assert hops(traced, "ICMP echo request 1") == LEARNED
    assert "ttl" not in traced
    assert "02:00:00:00:01:02 master cni0" in said.by("guess.reveal()", turn=5)
    assert "02:00:00:00:01:02 dst 192.168.1.2 self" in said.by("guess.reveal()", turn=5)
    assert "1 received" in said.by("fd00::2")
    flooded = said.by("type vxlan remote 192.168.1.2")
    assert "1 received" in flooded
    assert re.findall("^00:00.* dst (\\S+)", flooded, re.MULTILINE) == ["192.168.1.2"]


def _three_answers(told: str) -> None:
    ways = re.findall(r"^(\w+) +(\d+) +(\d+) +(\d+) +(\d)  (.*?) *$", told, re.MULTILINE)
    plain = "Ethernet+IPv4+ICMP+Data"
    wrapped = f"Ethernet+IPv4+UDP+VXLAN+{plain}"
    assert [(name, size, hops, knows, what) for name, size, hops, _, knows, what in ways] == [
        ("routes", "98", "12", "1", plain),
        ("overlay", "148", "14", "3", wrapped),
        ("SDN", "148", "15", "2", wrapped),
    ]
    assert all(int(rate) > 0 for *_, rate, _, _ in ways)
    assert "10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink" in told
    assert re.search('ip,nw_dst=10.244.2.2 actions=output:"?vxlan0', told)
