"""The lesson about macvlan and ipvlan from top to bottom, and what its text says of the outputs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from lessons import lesson
from running import assert_solved, hops, run, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from kernels import Notebook

TO_GW = [
    *("pod1:eth0 out", "node1:eth0 out", "root:to-node1 in", "root:switch0 through"),
    *("root:to-gw out", "gw:eth0 in"),
]
APART = "between these two no frame goes"
OWN = (
    "ip -n node1 link add link eth0 name host0 type macvlan mode bridge && "
    "ip -n node1 link set dev host0 up && ip -n node1 route add 192.168.1.11 dev host0"
)
REQUEST = "ICMP echo request 1"
TABLE = [
    "hairpin off, bridge: yes yes no",
    "hairpin off, private: yes no no",
    "hairpin off, vepa: yes no no",
    "hairpin on, bridge: yes yes yes",
    "hairpin on, private: yes no no",
    "hairpin on, vepa: yes yes yes",
]


@pytest.mark.long
def test_12_macvlan(lesson_lab: Callable[[str], Notebook]) -> None:
    lab = lesson_lab("12")
    said = run(lab, "12")
    assert said.happened == ["3", "no", "no", "node1 alone", "yes", "l3", "yes", "no", "no"]
    assert_solved(said.by("installed("))
    assert "dnsmasq" in said.by("nv.needs(")
    card = said.by("!ip -n pod1 -d link show eth0")
    assert re.search(r"eth0@if2: .*link-netns node1.*macvlan mode bridge", card, re.DOTALL)
    assert "02:00:00:00:00:11 master switch0" in said.by("for name in node1 pod1 pod2")
    to_gw = said.by('nv.trace("pod1", "ping -c 1 192.168.1.1")', turn=1)
    assert hops(to_gw, REQUEST) == TO_GW

    inside = said.by('nv.trace("pod1", "ping -c 1 192.168.1.12")', turn=1)
    assert hops(inside, REQUEST) == ["pod1:eth0 out", "node1:eth0 in", "pod2:eth0 in"]
    assert {"gw:eth0 in", "pod2:eth0 in"} < {*hops(inside, "ARP: who has 192.168.1.12")}
    alone = said.by("mode private\nnv.trace")
    assert hops(alone, REQUEST) == TO_GW[:3]
    assert "02:00:00:00:00:12 is where the" in alone
    back = said.by('nv.trace("pod1", "ping -c 1 192.168.1.12")', turn=2)
    assert hops(back, REQUEST) == [
        *TO_GW[:4],
        *("root:to-node1 out", "node1:eth0 in", "pod2:eth0 in"),
    ]
    assert "Invalid argument" in said.by("mode passthru")

    parent = said.by('ping -c 1 -W 1 192.168.1.10")')
    heard = {*hops(parent, "ARP: who has 192.168.1.10")}
    assert {"pod2:eth0 in", "root:switch0 in", "gw:eth0 in"} < heard
    assert "LOST: nobody on eth0 answers for 192.168.1.10" in parent
    told = said.by('nv.explain("node1", "192.168.1.11")')
    assert f"pod1:eth0 is a macvlan on node1:eth0: {APART}" in told
    assert f"mend it: {OWN}" in told
    assert any(source.startswith("%%bash\n" + OWN.replace(" && ", "\n")) for source, _ in said)
    beside = said.by('nv.trace("node1", "ping -c 1 192.168.1.11")')
    assert hops(beside, REQUEST) == ["node1:host0 out", "node1:eth0 in", "pod1:eth0 in"]
    assert said.by("for hairpin in off on").splitlines() == TABLE

    locked = said.by("!sh /run/lock.sh\nnv.explain")
    assert "to-node1 is locked: it takes no frame from 02:00:00:00:00:11" in locked
    assert "mend it: bridge fdb add 02:00:00:00:00:11 dev to-node1 master static" in locked

    assert said.by("-brief link show eth0").count("02:00:00:00:00:10") == 2
    known = said.by("!ip -n gw neighbour show")
    assert len(re.findall(r"192\.168\.1\.1[12] .* 02:00:00:00:00:10", known)) == 2
    near = said.by('nv.trace("pod1", "ping -c 1 192.168.1.12")', turn=3)
    assert hops(near, REQUEST) == ["pod1:eth0 out", "pod2:eth0 in"]
    assert f"an ipvlan on node1:eth0: {APART}" in said.by('nv.explain("pod1", "192.168.1.10")')
    locals_ = re.findall("fe80::[^/]*", said.by("-6 -brief address"))
    assert locals_ == ["fe80::ff:fe00:10", "fe80::200:0:100:10", "fe80::200:0:200:10"]

    away = said.by('nv.explain("pod1", "192.168.1.1")', turn=2)
    assert "node1 routes what it sends, out of eth0" in away
    assert "back: gw has no way to 10.244.1.11" in away
    assert "mend it: ip -n gw route add 10.244.1.11 via 192.168.1.10" in away
    routed = said.by("sysctl net.ipv4.ip_forward")
    assert "net.ipv4.ip_forward = 0" in routed
    assert hops(routed, REQUEST) == TO_GW
    assert "ttl 64 → 63" not in routed

    leases = said.by("!cat /run/leases", turn=1).splitlines()[-2:]
    assert [line.split()[1][-2:] for line in leases] == ["12", "11"]
    assert all(line.endswith("01:" + line.split()[1]) for line in leases)
    offer = said.by('nv.trace("pod1", ask)')
    assert hops(offer, "UDP: 192.168.1.1:67")[-1] == "node1:eth0 in"
    assert "is not node1's own" in offer
    twice = said.by("{ask} -B\n!grep")
    assert "Address already assigned to an ipvlan device" in twice
    given = re.findall(r"DHCPACK\(eth0\) (\S+) 02:00:00:00:00:10", twice)
    assert len(given) == 2
    assert len({*given}) == 1
    named = re.findall("02:00:00:00:00:10 (.*) \\* (.*)", said.by("-x 0x3d:0001"))
    assert [ident for _, ident in named] == ["00:02", "00:01", "01:02:00:00:00:00:10"]
    assert len({address for address, _ in named}) == 3

    assert "no longer reaches 192.168.1.1" in said.by("nv.break_something(")
    # The host's address on both of its cards is told from other wrong answers.
    wrong = re.sub(".*route add .*\n", "", lesson("12").solution)
    wrong += "ip -n node1 address add 192.168.1.10/24 dev host0"
    say(lab, f"%%bash\nsh /run/lan.sh\n{wrong}")
    check = next(source for source, _ in said if 'task="exercise"' in source)
    assert "✗ node1 reaches 192.168.1.21: node1 has its address twice" in say(lab, check)
