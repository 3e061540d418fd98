"""The lesson about CNI from top to bottom, and what its text says of the outputs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from lessons import lesson
from running import assert_solved, echo_request, run, say

if TYPE_CHECKING:
    from kernels import Notebook


@pytest.mark.long
def test_06_cni(own_lab: Notebook) -> None:
    said = run(own_lab, "06")
    assert said.happened == ["10.244.0.2", "yes", "10.244.0.4", "ttl=63", "the same"]
    assert_solved(said.by("installed("))
    assert "cni" in said.by("nv.needs(")
    assert "host-local" in said.by("CNI_COMMAND=VERSION")
    assert '"supportedVersions"' in said.by("CNI_COMMAND=VERSION")
    answer = said.by("env CNI_COMMAND=ADD")
    assert re.findall('"name": "(cni0|veth|eth0)', answer) == ["cni0", "veth", "eth0"]
    assert '"sandbox": "/run/netns/pod1"' in answer
    assert '"interface": 2' in answer
    assert "ip_forward: 0 → 1" in said.by("before.diff")
    assert said.by("before.diff").count("forwarding: 0 → 1") == 2
    assert "+ pod1: route default via 10.244.0.1" in said.by("before.diff")
    rebuilt = said.by("print(nv.script")
    assert sum(line.startswith(("ip ", "sysctl ")) for line in rebuilt.splitlines()) == 10
    assert said.by("ls /run/cni/ipam/pods").split()[-2:] == ["pod1", "eth0"]
    assert "subprocess.run(" in said.by("getsource(call)")
    assert "address 10.244.0.3/24" in said.by('pods.add("pod2")')
    assert said.by("pods.calls[-1]").startswith("env CNI_COMMAND=ADD CNI_CONTAINERID=pod2 ")
    assert "through" in echo_request(said.by('ping -c 1 10.244.0.3")'))
    assert re.search(r"5 +pod2:eth0 +in +delivered", said.by('ping -c 1 10.244.0.3")'))
    assert "pod2 has eth0 with 10.244.0.3/24" in said.by("portMappings=[")
    syn = said.by("nv.trace(", turn=2).split("TCP SYN:")[1].split("TCP SYN ACK:")[0]
    assert "TCP destination port 8080 → 80" in syn
    assert "tcp dport 8080" in syn
    assert "client has no way to 10.244.0.3: no route" in said.by("iptables -t nat")
    assert "--to-destination 10.244.0.3:80" in said.by("iptables -t nat")
    assert "'hostPort': 8080" in said.by("net.calls[-2]")
    assert "'address': '10.244.0.3/24'" in said.by("net.calls[-2]")
    assert "code 999: Expected Route" in said.by("net.check(")
    assert "no IP addresses available in range set" in said.by('small.add("pod4")', turn=1)
    assert "address 10.9.9.2/30" in said.by('small.add("pod4")', turn=2)
    assert said.by("!ip route").count("scope host") == 2
    assert "IPv4 ttl 64 → 63" in said.by('ping -c 1 10.245.0.3")')
    assert "answered" in said.by("&& echo answered")
    assert "127.0.0.1:80" in said.by("&& echo answered")
    assert "10.244.0.2/24" in said.by("!kill")
    assert "Namespace sleep-" in said.by("nv.draw()", turn=3)
    # Who was plugged in first is told from other wrong answers.
    say(own_lab, "%%bash\n" + lesson("06").solution.replace("web db", "db web"))
    check = next(source for source, _ in said if 'task="exercise"' in source)
    assert "✗ web:eth0 has 10.22.0.2/24: db has it: it was plugged in before" in say(own_lab, check)
