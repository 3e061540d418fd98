"""Each lesson from top to bottom on a kernel of its own, and what its text says of the outputs.

One test a lesson.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from lessons import lesson
from running import assert_solved, echo_request, packets, run, say, titles

if TYPE_CHECKING:
    from kernels import Notebook


def test_00_start_here(own_lab: Notebook) -> None:
    said = run(own_lab, "00")
    assert said.happened == ["one", "net1 only"]
    assert "programs" in said.by("doctor")
    assert said.by("!hostname").split()[:3] == ["root", "lab", "lo"]
    assert len(said.by("!hostname").splitlines()) == 3
    assert "Read-only file system" in said.by("touch")
    assert said.by("nv.live()").startswith("The root namespace root has only a loopback.")
    # The living picture may have numbered one by now: "net1 (id: 1)".
    assert re.findall("^net.", said.by("netns list"), re.MULTILINE) == ["net2", "net1"]
    assert any("eth0 (down), joined with net2:eth0" in told for told in own_lab.redrawn)
    assert any("eth0 with 10.0.0.1/24, joined with" in told for told in own_lab.redrawn)
    assert "eth0 with 10.0.0.1/24, joined with net2:eth0" in said.by("nv.draw()", turn=1)
    assert "3 packets transmitted, 3 received" in said.by("ping -c 3")
    assert "Network is unreachable" in said.by("ping -c 3")


@pytest.mark.long
def test_01_namespaces(own_lab: Notebook) -> None:
    said = run(own_lab, "01")
    assert said.happened == ["lab", "twice"]
    assert_solved(said.by("installed("))
    kinds = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts", "pid_for_children")
    assert all(f"{kind} -> " in said.by("ls -l /proc") for kind in kinds)
    assert len(set(said.by("$PPID").split())) == 1
    assert len(said.by("$PPID").split()) == 3
    assert said.by("hostname inside").split() == ["inside", "lab"]
    queues = said.by("ipcmk").split("----\n")[-2:]
    assert [len(re.findall("0x", each)) for each in queues] == [1, 0]
    assert re.search(r"process 1\nNSpid:\s\d+\s1\n", said.by("NSpid"))
    assert len(said.by("ps -ef").splitlines()) == 2
    assert "note" in said.by("/run/desk")
    assert said.by("/run/desk").endswith("total 0\n")
    assert said.by("id -un").split()[0] == "root"
    assert "you must be root" in said.by("id -un")
    assert said.by("id -un").split()[-3:] == ["lab", "root", "mine"]
    assert "state DOWN" in said.by("unshare --net ip address")
    assert "LISTEN" not in said.by("unshare --net ip address")
    assert len(set(said.by("uname -r").split())) == 1
    assert "sleep 600" in said.by("sleep 600")
    number = said.by("ls -i").split()[0]
    assert said.by("ls -i").split() == [number, "net1", f"net:[{number}]"]
    assert said.by("nsenter --target").split()[:2] == ["lo", "DOWN"]
    assert "Namespace net1" in said.by("nv.draw()", turn=1)
    assert "Namespace sleep-" in said.by("nv.draw()", turn=1)
    assert "Address already in use" in said.by("except OSError")
    assert "0.0.0.0:8000" in said.by("%%netns net1")


@pytest.mark.long
def test_02_veth(own_lab: Notebook) -> None:
    said = run(own_lab, "02")
    assert said.happened == ["lowerlayerdown", "two", "through the loopback", "no veth1 at all"]
    assert_solved(said.by("installed("))
    assert re.search(r"\d+: p1@p2: ", said.by("!ip link add p1"))
    assert "p1@if" in said.by("!ip  netns exec net1 ip a")
    peer = re.search(r"peer_ifindex: (\d+)", said.by("ethtool -S p1"))[1]
    assert f"\n{peer}: p2@if" in said.by("ethtool -S p1")
    assert "link-netns net1" in said.by("ethtool -S p1")
    assert "p2" not in said.by("ip netns delete net1")
    assert "UP" not in re.sub("BROADCAST", "", said.by("!ip netns exec net1 ifconfig"))
    one_end_up = said.by("!ip netns exec net1 ip link show veth0")
    assert "NO-CARRIER" in one_end_up
    assert "LOWERLAYERDOWN" in one_end_up
    assert "100% packet loss" in one_end_up
    explained = said.by("nv.explain(", turn=1)
    assert explained.count("✗") == 1
    assert explained.endswith("mend it: ip -n net2 link set dev veth1 up")
    assert said.by("set veth1 up").count("UP,BROADCAST,RUNNING") == 2
    assert "10.1.1.0/24 dev veth0" in said.by("!ip netns exec net1 ip route")
    assert "3 received" in said.by("!ip netns exec net1 ip route")
    learned = said.by("!ip netns exec net1 ip neighbour")
    assert re.search(r"lladdr (\S+)", learned)[1] in learned.splitlines()[-1]
    traced, echo = said.by("neighbour flush"), ["ICMP echo request 1", "ICMP echo reply 1"]
    assert titles(traced)[:4] == ["ARP", "ARP", *echo]
    assert re.search(r" 1 +net1:veth0 +out +route 10.1.1.0/24 dev veth0", traced)
    assert "neighbour 10.1.1.2 is" in traced
    assert {*echo} <= {*titles(said.by("again = "))}
    assert "ARP: who has 10.1.1.2? asks" not in said.by("again = ")
    assert "fe80::" in said.by("ff02::1")
    assert "2 received" in said.by("ff02::1")
    assert "veth3@if" in said.by("veth3")
    solo = said.by("!ip -n solo route get")
    assert "local 10.9.9.2 dev lo" in solo
    assert packets(solo, "TX") < 20
    assert said.by("link delete veth0").split()[0] == "lo"
    assert len(said.by("link delete veth0").splitlines()) == 1
    assert "Planned, not built yet: " in said.by("nv.draw(net)")
    typed = "ip -n net1 link add veth0 type veth peer name veth1 netns net2"
    assert typed in said.by("nv.script(net)")
    assert "+ namespace net2\n" in said.by("nv.checkpoint")
    assert "Planned" not in said.by("nv.draw()", turn=3)
    assert "veth1 with 10.1.1.2/24, joined with net1:veth0" in said.by("nv.draw()", turn=3)


@pytest.mark.long
def test_04_bridge(own_lab: Notebook) -> None:
    said = run(own_lab, "04")
    assert said.happened == ["yes", "no", "thousands, or more", "all but one"]
    assert_solved(said.by("installed("))
    assert said.by("master br1\nip link set br1-veth0 up").count("master br1") == 2
    assert said.by("ip add a 10.1.1.2/24").count("state forwarding") == 2
    assert "3 received" in said.by("!ip -brief address show br1")
    assert said.by("10.1.1.5/24 dev eth0").count("1 received") == 2
    learned = re.findall(r"(\S+) dev (p\d)", said.by("-brief link show eth0; done"))
    assert sorted(port for _, port in learned) == ["p1", "p2", "p3"]
    assert all(said.by("-brief link show eth0; done").count(mac) == 2 for mac, _ in learned)
    assert said.by("tcpdump -lnqe").count("ICMP echo request") == 1
    assert said.by("tcpdump -lnqe").count("ICMP echo reply") == 0
    request = echo_request(said.by("nv.trace", turn=1))
    assert re.search(r"3 +root:br0 +through +work(?:.*\n)+? +flooded to every other", request)
    assert re.search(r"net3:eth0 +in +discarded", request)
    assert re.search(r"net2:eth0 +in +delivered", request)
    request = echo_request(said.by("nv.trace", turn=2))
    assert re.search(r"3 +root:br0 +through +work(?:.*\n)+? +br0's FDB: \S+ is behind p2", request)
    assert re.search(r"5 +net2:eth0 +in +delivered", request)
    assert "net3" not in request
    assert "ageing_time 30000" in said.by("grep -o")
    assert "stale" in said.by("bridge monitor")
    assert "0 received" in said.by("!ip address add 10.1.1.1/24 dev p1")
    assert re.search("INCOMPLETE|FAILED", said.by("!ip address add 10.1.1.1/24 dev p1"))
    assert "p1 is a port of br0, which takes what comes in" in said.by("nv.explain(", turn=1)
    assert "2 received" in said.by("ip address add 10.1.1.1/24 dev br0")
    assert said.by("ff02::1").count("bytes from fe80::") >= 3
    assert packets(said.by("loop0 type"), "RX") > 1000
    assert said.by("stp_state").count("state listening") == 2
    assert said.by("until bridge").count("state blocking") >= 1
    assert "2 received" in said.by("until bridge")
    assert "Planned, not built yet: " in said.by("nv.draw(net)")
    assert said.by("nv.script(net)").count(" type veth peer name ") == 3
    assert "2 faults: line 1: " in said.by("net.veth(")
    assert "there is no such bridge; line 1: '10.1.1.9/33' is no address" in said.by("net.veth(")
    assert "1 received" in said.by("nv.bridge(3).up()\n!")
    assert "Planned" not in said.by("nv.bridge(3).up()\n!")
    # The wrong answer that the lesson itself shows is told from others.
    moved = "ip address delete 10.1.1.1/24 dev br0\nip address add 10.1.1.1/24 dev p1"
    say(own_lab, f"%%bash\n{lesson('04').solution}{moved}")
    check = next(source for source, _ in said if 'task="exercise"' in source)
    assert "✗ br0 has 10.1.1.1/24: p1 has it, whose own stack is deaf" in say(own_lab, check)
