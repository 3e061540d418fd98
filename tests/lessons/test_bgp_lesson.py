"""The lesson about routes across hosts: two Docker engines, then three nodes that speak BGP."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from lessons import lesson
from running import assert_solved, hops, run, say, titles

from netviz.lab.resources import notebooks

if TYPE_CHECKING:
    from kernels import Notebook
    from running import Said

REQUEST, REPLY = "ICMP echo request 1", "ICMP echo reply 1"
SWITCHED = ["root:port1 in", "root:switch0 through", "root:port2 out", "host2:eth0 in"]
TO_HOST2 = ["c1:eth0 out", "host1:veth in", "host1:docker0 through", "host1:docker0 in"]
TO_HOST2 += ["host1:eth0 out", *SWITCHED]
TO_HOST1 = [
    *("c2:eth0 out", "host2:veth in", "host2:br- through", "host2:br- in", "host2:eth0 out"),
    *("root:port2 in", "root:switch0 through", "root:port1 out", "host1:eth0 in"),
]
INTO_C1, INTO_C2 = (
    [f"host{n}:{bridge} out", f"host{n}:veth out", f"c{n}:eth0 in"]
    for n, bridge in ((1, "docker0"), (2, "br-"))
)
DROPPED = "dropped by a packet filter: table ip filter, chain FORWARD: policy drop"
# A script builds what nft can say: not iptables' own matches and targets. Nor is in a snapshot that
# Docker switches IPv6 off in a container, where lo has no ::1 therefore.
NOT_BUILT = r"^~ (host[12]|c2): nft ruleset$|^\+ c[12]: address lo ::1/128$"


def of_docker(told: str, title: str) -> list[str]:
    """Return the hops of a journey, without what was drawn at random in the engines' names."""
    return [re.sub(r"(:veth|:br-)\w+", r"\1", hop) for hop in hops(told, title)]


@pytest.mark.long
def test_09_bgp(own_lab: Notebook) -> None:
    said = run(own_lab, "09", other=NOT_BUILT)
    assert said.happened == ["no", "host1, 172.12.1.10", "no"]
    assert_solved(said.by("installed("))
    assert said.by("nv.needs(", turn=1).count("✓") == 2
    assert_two_hosts(said)
    assert_who_calls(said)
    assert_mesh(said)
    assert_changes(said)
    # A route that is typed does not count.
    typed = "".join(f"ip -n node4 route add 10.244.{n}.0/24 via 192.168.1.{n}\n" for n in (1, 2, 3))
    say(own_lab, "nv.reset()\nnv.nodes(4, 1).up()\n!ip -n node4 route flush proto boot")
    say(own_lab, f"%%bash\n{typed}")
    check = next(source for source, _ in said if 'task="exercise"' in source)
    told = say(own_lab, check)
    assert told.count("the route there is of protocol boot") == 6


def assert_two_hosts(said: Said) -> None:
    assert "1 received" in said.by("ip link add switch0")
    assert len(re.findall(r"[0-9a-f]{64}", said.by("docker run --name c1"))) == 3
    drawn = said.by("nv.draw()", turn=1)
    for each in ("bridge docker0 with 172.17.0.1/16", "bridge docker0 with 172.20.0.1/16"):
        assert each in drawn
    assert re.search(r"Namespace host2 .* bridge br-[0-9a-f]{12} with 172\.18\.0\.1/16", drawn)
    assert "Namespace c2 (Docker container · nginx) has eth0 with 172.18.0.2/16" in drawn
    assert "172.18.0.0/16 via 172.12.1.11 dev eth0" in said.by("!ip -n host1 route add")
    lost = said.by('nv.trace("c1", "ping -c 1 -W 1', turn=1)
    assert of_docker(lost, REQUEST) == TO_HOST2
    assert "LOST: dropped by a packet" in lost
    explained = said.by('nv.explain("c1", "172.18.0.2")', turn=1)
    assert f"✗ host2: {DROPPED}" in explained
    assert "mend it: ip netns exec host2 nft chain ip filter FORWARD" in explained
    forward = said.by("iptables -S FORWARD").splitlines()
    assert forward[:2] == ["-P FORWARD DROP", "-A FORWARD -j DOCKER-USER"]
    assert ": works\n" in said.by("-I DOCKER-USER -i eth0 -d 172.18.0.0/16")


def assert_who_calls(said: Said) -> None:
    called = said.by("docker exec c1 wget", turn=1)
    assert "Welcome to nginx!" in called
    assert re.findall(r"\[::ffff:(.*?)\]:\d+: url", called) == ["172.12.1.10"]
    masked = said.by('nv.trace("c1", "ping -c 1 172')
    assert of_docker(masked, REQUEST) == [*TO_HOST2, *INTO_C2]
    assert of_docker(masked, REPLY) == [*TO_HOST1, *INTO_C1]
    assert re.search(r"IPv4 source 172\.17\.0\.2 →\s+172\.12\.1\.10", masked)
    tracked = r"src=172.17.0.2 dst=172.18.0.2 type=8 .* src=172.18.0.2 dst=172.12.1.10 type=0"
    assert re.search(tracked, said.by("conntrack -L"))
    unanswered = said.by('nv.trace("c1", "ping -c 1 -W 1', turn=2)
    assert of_docker(unanswered, REQUEST) == [*TO_HOST2, *INTO_C2]
    assert of_docker(unanswered, REPLY) == TO_HOST1[:4]
    assert "LOST: host2 has no way to" in unanswered
    back = said.by('nv.explain("c1", "172.18.0.2")', turn=-1)
    assert back.endswith("mend it: ip -n host2 route add 172.17.0.0/16 via 172.12.1.10")
    called = said.by("docker exec c1 wget", turn=-1)
    assert re.findall(r"\[::ffff:(.*?)\]:\d+: url", called) == ["172.12.1.10", "172.17.0.2"]
    assert f"✗ host1: {DROPPED}" in said.by('nv.explain("c2"')
    mirrored = said.by('nv.trace("c2"')
    assert of_docker(mirrored, REQUEST) == [*TO_HOST1, *INTO_C1]
    assert len(TO_HOST1 + INTO_C1) == 12
    assert of_docker(mirrored, REPLY) == [*TO_HOST2, *INTO_C2]
    assert "IPv4 source" not in mirrored
    assert "IPv4 destination" not in mirrored


def assert_mesh(said: Said) -> None:
    assert "✓ bird" in said.by('nv.needs("bird")')
    assert "via" not in said.by("nv.nodes(3, 1).up()")
    assert said.by("cat /run/node1.conf").count("from mesh") == 2
    learned = said.by("bird -c /run/node$n.conf -s", turn=1)
    assert "10.244.2.0/24 via 192.168.1.2 dev eth0 proto bird" in learned
    assert "10.244.3.0/24 via 192.168.1.3 dev eth0 proto bird" in learned
    shown = said.by("show protocols\n!birdc")
    assert re.findall(r"^(node\d) .*Established", shown, re.MULTILINE) == ["node2", "node3"]
    assert re.search(r"10\.244\.2\.0/24 +unicast \[node2 .*\] \*", shown)
    traced = said.by('"ping -c 1 10.244.3.2"')
    there = ["node1-pod1:eth0 out", "node1:veth1 in", "node1:cni0 through", "node1:cni0 in"]
    there += ["node1:eth0 out", "root:port1 in", "root:switch0 through", "root:port3 out"]
    there += ["node3:eth0 in", "node3:cni0 out", "node3:veth1 out", "node3-pod1:eth0 in"]
    assert hops(traced, REQUEST) == there
    assert REPLY in titles(traced)
    words = said.by("'Message|my AS|Next Hop|10[.]244'")
    kinds = re.findall(r"(\w+) Message", words)
    assert kinds[:4] == ["Open", "Open", "Keepalive", "Keepalive"]
    assert {*kinds[4:]} >= {"Update"}
    assert "my AS 64512, Holdtime 3s, ID 192.168.1.2" in words
    assert re.search(r"Next Hop .*: 192\.168\.1\.2\n\s+10\.244\.2\.0/24", words)
    came = re.findall(r"([\d.]+) s  \+ (node\d): route 10\.244", said.by("def timeline"))
    assert sorted(where for _, where in came) == ["node1"] * 2 + ["node2"] * 2 + ["node3"] * 2


def assert_changes(said: Said) -> None:
    assert re.search(r"Withdrawn routes:\s+10\.244\.3\.0/24", said.by("disable direct1"))
    assert "node1 has no way to 10.244.3.2: no route" in said.by('nv.explain("node1-pod1"')
    assert "proto bird" in said.by("enable direct1")
    both = said.by("show route 10.96.0.10/32")
    assert re.search(r"10\.96\.0\.10/32 +unicast \[node2 .*\] \*", both)
    assert re.search(r"unicast \[node3 [^*]*\n", both)
    assert "10.96.0.10 via 192.168.1.2 " in both
    assert "10.96.0.10 via 192.168.1.2 " in said.by("!ip link set port2 down")
    silent = said.by("timeline()", turn=-1)
    table = re.findall(r"^(\S+) via (\S+) .*proto bird", silent, re.MULTILINE)
    assert table == [("10.96.0.10", "192.168.1.3"), ("10.244.3.0/24", "192.168.1.3")]
    told = r"([\d.]+) s  (. \w+: (?:interface port2|route 10\.96\.0\.10 via \S+))"
    at = {what: float(when) for when, what in re.findall(told, silent)}
    waited = at["+ node1: route 10.96.0.10 via 192.168.1.3"] - at["~ root: interface port2"]
    assert 1 < waited < 15
    assert "- node1: route 10.244.2.0/24 via 192.168.1.2" in silent
    assert "node3:eth0 in" in hops(said.by('"ping -c 1 10.96.0.10"'), REQUEST)
    assert "192.168.1.2" in said.by("!ip link set port2 up")


def test_where_docker_is_lacking_hands_build_what_the_lesson_needs(own_lab: Notebook) -> None:
    sources = lesson("09").sources
    first = sources.index(next(it for it in sources if "nv.needs(" in it))
    last = next(n for n, it in enumerate(sources) if "nv.reset()" in it)
    lost = 'nv.needs = lambda *_: (_ for _ in ()).throw(nv.ComponentError("there is no docker"))'
    say(own_lab, f"import os, netviz as nv; os.chdir({str(notebooks())!r}); {lost}")
    long = ("guess", 'nv.trace("c1"', "!ip netns exec host1 docker")
    told = [(it, say(own_lab, it)) for it in sources[first:last] if not it.startswith(long)]
    explained = [said for it, said in told if it.startswith("nv.explain(")]
    assert DROPPED in explained[0]
    assert "host2 has no way to 172.17.0.2" in explained[1]
    assert DROPPED in explained[2]
    assert "1 received" in say(own_lab, "!{in_c1} ping -c 1 -W 1 172.18.0.2")
    mirrored = next(said for it, said in told if 'nv.trace("c2"' in it)
    assert of_docker(mirrored, REQUEST) == [*TO_HOST1, *INTO_C1]
    assert "IPv4 source" not in mirrored
