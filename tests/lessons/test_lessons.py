"""Each lesson from top to bottom on a kernel of its own, and what its text says of the outputs.

One test a lesson. A number below is that in a cell's id.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lessons import EXERCISE, lesson

if TYPE_CHECKING:
    from kernels import Notebook

Said = dict[int, str]


def run(lab: Notebook, number: str) -> Said:
    """Run a lesson, solve its exercise after its check, and return what each cell said.

    The check must fail before the solution, which stands in the lesson, and hold after it.
    """
    chosen = lesson(number)
    said: Said = {}
    open_exercise = False
    for cell in chosen.cells("code"):
        place = int(cell.id.rsplit("-", 1)[1])
        said[place] = say(lab, cell.source)
        if open_exercise:
            assert_unsolved(said[place])
            say(lab, f"%%bash\n{chosen.solution}")
            assert_solved(say(lab, cell.source))
        open_exercise = cell.source == EXERCISE
    assert "only a loopback" in said[place], "a lesson ends in an empty lab"
    return said


def say(lab: Notebook, source: str) -> str:
    done = lab.run(source)
    assert done.status == "ok", f"{source}\n{done.error}"
    return done.text + (done.value or "") + "".join(done.pictures)


def assert_unsolved(told: str) -> None:
    assert "✗" in told
    assert "✓" not in told


def assert_solved(told: str) -> None:
    assert "✓" in told
    assert "✗" not in told, told


def packets(told: str, way: str) -> int:
    """Return how many packets ``ip -statistics link`` tells of, ``RX`` or ``TX``."""
    return int(re.search(rf"{way}:.*\n\s*\d+\s+(\d+)", told)[1])


def titles(told: str) -> list[str]:
    """Return what the journeys of a trace were of, without addresses."""
    return [line.partition(":")[0] for line in told.splitlines() if " · delivered" in line]


def test_00_start_here(own_lab: Notebook) -> None:
    said = run(own_lab, "00")
    assert "programs" in said[2]
    assert said[5].split()[:3] == ["root", "lab", "lo"]
    assert len(said[5].splitlines()) == 3
    assert "Read-only file system" in said[8]
    assert said[11].startswith("The root namespace root has only a loopback.")
    assert said[13].split() == ["net2", "net1"]
    assert any("eth0 (down), joined with net2:eth0" in told for told in own_lab.redrawn)
    assert any("eth0 with 10.0.0.1/24, joined with" in told for told in own_lab.redrawn)
    assert "eth0 with 10.0.0.1/24, joined with net2:eth0" in said[17]
    assert "3 packets transmitted, 3 received" in said[19]
    assert "Network is unreachable" in said[19]


def test_01_namespaces(own_lab: Notebook) -> None:
    said = run(own_lab, "01")
    assert_solved(said[2])
    kinds = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts", "pid_for_children")
    assert all(f"{kind} -> " in said[4] for kind in kinds)
    assert len(set(said[7].split())) == 1
    assert len(said[7].split()) == 3
    assert said[12].split() == ["inside", "lab"]
    assert [len(re.findall("0x", queues)) for queues in said[15].split("----\n")[-2:]] == [1, 0]
    assert re.search(r"process 1\nNSpid:\s\d+\s1\n", said[17])
    assert len(said[19].splitlines()) == 2
    assert "note" in said[21]
    assert said[21].endswith("total 0\n")
    assert said[24].split()[0] == "root"
    assert "you must be root" in said[24]
    assert said[24].split()[-3:] == ["lab", "root", "mine"]
    assert "state DOWN" in said[27]
    assert "LISTEN" not in said[27]
    assert len(set(said[30].split())) == 1
    assert "sleep 600" in said[33]
    number, _, name = said[35].split()[:3]
    assert said[35].split() == [number, "net1", f"net:[{number}]"], name
    assert said[37].split()[:2] == ["lo", "DOWN"]
    assert "Namespace net1" in said[39]
    assert "Namespace sleep-" in said[39]
    assert "Address already in use" in said[43]
    assert "0.0.0.0:8000" in said[44]


def test_02_veth(own_lab: Notebook) -> None:
    said = run(own_lab, "02")
    assert_solved(said[2])
    assert re.search(r"\d+: p1@p2: ", said[4])
    assert "p1@if" in said[8]
    peer = re.search(r"peer_ifindex: (\d+)", said[11])[1]
    assert f"\n{peer}: p2@if" in said[11]
    assert "link-netns net1" in said[11]
    assert "p2" not in said[15]
    assert "UP" not in re.sub("BROADCAST", "", said[19])
    assert "LOWERLAYERDOWN" in said[21]
    assert "NO-CARRIER" in said[23]
    assert "100% packet loss" in said[23]
    assert said[25].count("UP,BROADCAST,RUNNING") == 2
    assert "10.1.1.0/24 dev veth0" in said[27]
    assert "3 received" in said[27]
    assert re.search(r"lladdr (\S+)", said[30])[1] in said[30].splitlines()[-1]
    assert titles(said[33])[:4] == ["ARP", "ARP", "ICMP echo request 1", "ICMP echo reply 1"]
    assert re.search(r" 1 +net1:veth0 +out +route 10.1.1.0/24 dev veth0", said[33])
    assert "neighbour 10.1.1.2 is" in said[33]
    assert {"ICMP echo request 1", "ICMP echo reply 1"} <= {*titles(said[36])}
    assert "ARP: who has 10.1.1.2? asks" not in said[36]
    assert "fe80::" in said[39]
    assert "2 received" in said[39]
    assert "veth3@if" in said[41]
    assert "local 10.9.9.2 dev lo" in said[44]
    assert packets(said[44], "TX") < 20
    assert said[47].split()[0] == "lo"
    assert len(said[47].splitlines()) == 1
    assert "Planned, not built yet: " in said[50]
    assert "ip -n net1 link add veth0 type veth peer name veth1 netns net2" in said[52]
    assert "+ namespace net2\n" in said[54]
    assert "Planned" not in said[55]
    assert "veth1 with 10.1.1.2/24, joined with net1:veth0" in said[55]


def test_04_bridge(own_lab: Notebook) -> None:
    said = run(own_lab, "04")
    assert_solved(said[2])
    assert said[8].count("master br1") == 2
    assert said[11].count("state forwarding") == 2
    assert "3 received" in said[13]
    assert said[20].count("1 received") == 2
    learned = re.findall(r"(\S+) dev (p\d)", said[23])
    assert sorted(port for _, port in learned) == ["p1", "p2", "p3"]
    assert all(said[23].count(mac) == 2 for mac, _ in learned)
    assert said[26].count("ICMP echo request") == 1
    assert said[26].count("ICMP echo reply") == 0
    request = said[29].split("ICMP echo request")[1].split("ICMP echo reply")[0]
    assert re.search(r"3 +root:br0 +through +work(?:.*\n)+? +flooded to every other", request)
    assert re.search(r"net3:eth0 +in +discarded", request)
    assert re.search(r"net2:eth0 +in +delivered", request)
    request = said[32].split("ICMP echo request")[1].split("ICMP echo reply")[0]
    assert re.search(r"3 +root:br0 +through +work(?:.*\n)+? +br0's FDB: \S+ is behind p2", request)
    assert re.search(r"5 +net2:eth0 +in +delivered", request)
    assert "net3" not in request
    assert "ageing_time 30000" in said[35]
    assert "stale" in said[37]
    assert "0 received" in said[41]
    assert re.search("INCOMPLETE|FAILED", said[41])
    assert "2 received" in said[44]
    assert said[48].count("bytes from fe80::") >= 3
    assert packets(said[51], "RX") > 1000
    assert said[54].count("state listening") == 2
    assert said[56].count("state blocking") >= 1
    assert "2 received" in said[56]
    assert "Planned, not built yet: " in said[61]
    assert said[62].count(" type veth peer name ") == 3
    assert "2 faults: line 1: " in said[64]
    assert "there is no such bridge; line 1: '10.1.1.9/33' is no address" in said[64]
    assert "1 received" in said[66]
    assert "Planned" not in said[66]
