"""The lesson about a whole cluster from top to bottom, and what its text says of the outputs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from lessons import lesson
from running import Said, assert_solved, hops, run, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from kernels import Notebook

SERVICE = 'nv.explain("web2", "10.96.0.10"'
OUT = ["client:eth0 out", "node1:veth in", "node1:cni0 through"]
ACROSS = {
    "bgp": [
        *("node1:cni0 in", "node1:eth0 out", "root:port1 in", "root:switch0 through"),
        *("root:port2 out", "node2:eth0 in", "node2:cni0 out", "node2:veth out"),
    ],
    "vxlan": [
        *("node1:cni0 in", "node1:flannel.1 out", "node1:eth0 out", "root:port1 in"),
        *("root:switch0 through", "root:port2 out", "node2:eth0 in", "node2:flannel.1 in"),
        *("node2:cni0 out", "node2:veth out"),
    ],
}
BACK = [
    *("node2:veth in", "node2:cni0 through", "node2:cni0 in", "node2:eth0 out", "root:port2 in"),
    *("root:switch0 through", "root:port1 out", "node1:eth0 in", "node1:cni0 out"),
    *("node1:veth out", "client:eth0 in"),
]
POD = {"10.244.1.3": "web1", "10.244.2.2": "web2", "10.244.2.3": "web3"}


def way(told: str, title: str) -> list[str]:
    """Return the hops of a journey; what a plugin calls its cables is different each time."""
    return [re.sub(r"veth[0-9a-f]{8}", "veth", hop) for hop in hops(told, title)]


def judge_the_way_between_nodes(said: Said, chosen: str) -> None:
    told = said.by('nv.trace("client", "ping -c 1 10.244.2.2")')
    assert way(told, "ICMP echo request 1") == [*OUT, *ACROSS[chosen], "web2:eth0 in"]
    assert "IPv4 ttl 63 → 62" in told
    assert ("+ VXLAN vni 1" in told) == (chosen == "vxlan")
    # A Service: whoever was drawn, there and back, each for its own reason.
    told = said.by('nv.trace("client", nv.Flow("10.96.0.10", "tcp", 80))')
    drawn = re.search(r"TCP SYN ACK: (\S+):80 ", told)[1]
    near = drawn == "10.244.1.3"
    there = [*OUT, *(["node1:veth out"] if near else ACROSS[chosen]), f"{POD[drawn]}:eth0 in"]
    assert way(told, "TCP SYN") == way(told, "TCP ACK") == there
    syn, answer = (
        " ".join(re.split(r"\n\S", told.split(f"{title}: ")[1], maxsplit=1)[0].split())
        for title in ("TCP SYN", "TCP SYN ACK")
    )
    assert "chain prerouting: " in syn
    assert "conntrack: it answers" in answer
    assert (
        near or chosen == "vxlan" or way(told, "TCP SYN ACK") == [f"{POD[drawn]}:eth0 out", *BACK]
    )
    told = said.by('nv.explain("client", "10.96.0.10"')
    assert "another time it is 10.244.2.2 or 10.244.2.3 instead, and that works as well" in told


@pytest.mark.long
def test_13_cluster_by_bgp(lesson_lab: Callable[[str], Notebook]) -> None:
    lab = lesson_lab("13")
    # Of what is lost here nothing comes late.
    say(lab, "from netviz.teach import breaking as it; it._SETTLES, it._PATIENCE = 1.0, 0.5")
    said = run(lab, "13")
    assert said.happened == ["web1 alone", "no", "no", "both", "four times"]
    assert_solved(said.by("installed("))
    assert_solved(said.by("nv.needs("))
    call = said.by("node2.calls[-1]")
    assert call.startswith("nsenter --net=/run/netns/node2 env CNI_COMMAND=ADD ")
    assert '"dataDir": "/run/cni/node2/ipam"' in call
    assert "From 10.244.1.1 icmp_seq=1 Destination Net Unreachable" in said.by("-W 1 10.244.2.2")
    assert "✗ node1 has no way to 10.244.2.2: no route" in said.by('nv.explain("client", "10.244.')
    assert said.by("until ip").count("proto bird") == 2
    judge_the_way_between_nodes(said, "bgp")
    called = said.by("%%netns client")
    assert "Destination Net Unreachable" in called
    dealt = {pod: int(count) for pod, count in re.findall(r"'(web\d)': (\d+)", called)}
    assert (sorted(dealt), sum(dealt.values())) == (["web1", "web2", "web3"], 30)
    off, own, works, past = (said.by(SERVICE, turn=turn) for turn in (1, 2, 3, 4))
    assert "sends nothing back to where it came from: hairpin is off" in off
    assert re.search(r"mend it: bridge -n node2 link set dev veth\w+ hairpin on", off)
    assert "✗ web2 has 10.244.2.2 as well, and takes nothing that it may have sent" in own
    assert ": works" in works
    assert "✗ back: 10.96.0.10 was asked, but the answer comes from 10.244.2.3" in past
    assert past.endswith("node2 sysctl -w net.bridge.bridge-nf-call-iptables=1")
    lost = said.by('nv.trace("web2"')
    assert way(lost, "TCP SYN") == ["web2:eth0 out", "node2:veth in"]
    assert "LOST: dropped by a packet filter: table ip" in lost
    assert "table ip policies, chain forward: ip daddr 10.244.2.4" in said.by('nv.explain("web1"')
    assert_solved(said.by('db = {"proto"'))
    named = said.by("getent hosts web\n")
    assert re.search(r"^10\.96\.0\.10 +web\.default\.svc\.cluster\.local", named)
    assert re.search(r"b'web[123]\\n'", named)
    assert said.by("grep -o -e").count("NXDOMAIN") == 3
    query = said.by('nv.trace("client", "ip netns')
    assert way(query, "UDP") == [*OUT, "node1:veth out", "dns:eth0 in"]
    assert query.count(" → 10.96.0.53:53 · delivered") == 1
    assert len({source for source, _ in said if "nv.break_something(" in source}) == 5
    assert_solved(said.by('task="cluster"'))


@pytest.mark.long
def test_13_cluster_by_vxlan(lesson_lab: Callable[[str], Notebook]) -> None:
    lab, said = lesson_lab("13"), Said()
    sources = lesson("13").sources
    last = next(at for at, it in enumerate(sources) if it.startswith('nv.explain("client", "10.96'))
    for source in sources[: last + 1]:
        if not source.startswith("guess"):
            chosen = source.replace('way = "bgp"', 'way = "vxlan"')
            said.append((source, say(lab, chosen)))
    assert said.by("until ip").count("dev flannel.1 onlink") == 2
    judge_the_way_between_nodes(said, "vxlan")
    say(lab, sources[-1])
