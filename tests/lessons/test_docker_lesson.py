"""The lesson about Docker, from top to bottom: by hand, then by the engine, then compared."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from kernels import all_end, processes_of
from lessons import lesson
from running import assert_solved, run, say, titles

from netviz import Recording
from netviz.lab.resources import notebooks

if TYPE_CHECKING:
    from kernels import Notebook
    from running import Said

LOST = "100% packet loss"


@pytest.mark.long
def test_05_docker(own_lab: Notebook) -> None:
    said = run(own_lab, "05")
    assert said.happened == ["no", "the outside, 203.0.113.2", "that of c1"]
    assert_built_by_hand(said)
    assert_built_by_docker(said)
    assert_compared(said)
    assert_published(said)
    assert_other_networks(said)
    assert "1 received" in said.by("net.up()\n!")
    # The wrong answer that the lesson itself names is told from others.
    say(own_lab, "nv.reset()\nnet.up()")
    wrong = lesson("05").solution.replace("--dport 8080", "--dport 80")
    say(own_lab, f"%%bash\n{wrong}busybox httpd -p 8080")
    check = next(source for source, _ in said if 'task="exercise"' in source)
    claim = "outside reaches web at port 8080 of the machine"
    assert f"✗ {claim}: the machine has a server of its own there" in say(own_lab, check)


def assert_built_by_hand(said: Said) -> None:
    assert_solved(said.by("installed("))
    assert said.by("nv.needs(").count("✓") == 2
    assert "172.17.0.1/16" in said.by("ip link add docker0")
    assert "2 received" in said.by("02:42:ac:11:00:0")
    assert "1 received" in said.by("ip netns add outside")
    assert said.by("route add default").startswith("default via 172.17.0.1 dev eth0")
    assert LOST in said.by("!ip netns exec c1 ping -c 1 -W 1", turn=1)
    explained = said.by("nv.explain(")
    assert explained.endswith("mend it: sysctl -w net.ipv4.ip_forward=1")
    assert LOST in said.by("!sysctl -w")
    unanswered = said.by('ping -c 1 -W 1 203.0.113.2")')
    assert "LOST: outside has no way to 172.17.0.2" in unanswered
    assert "2 received" in said.by("!iptables -t nat -A")
    tracked = r"src=172.17.0.2 dst=203.0.113.2 .* src=203.0.113.2 dst=203.0.113.1 "
    assert re.search(tracked, said.by("!conntrack"))
    assert re.search(r"172.17.0.2 →\s+203.0.113.1", said.by('ping -c 1 203.0.113.2")'))


def assert_built_by_docker(said: Said) -> None:
    assert said.by("nv.service(").startswith("docker: running")
    assert re.fullmatch(r"\s*[0-9a-f]{64}\s+[0-9a-f]{64}\s*", said.by("!docker run --name c1"))
    shown = said.by("!brctl show")
    mac = re.search(r"ether (\S+)", shown)[1]
    assert f"docker0\t\t8000.{mac.replace(':', '')}\tno" in shown
    assert len(re.findall(r"\bveth[0-9a-f]{7}$", shown, re.MULTILINE)) == 2
    assert "inet 172.17.0.1  netmask 255.255.0.0  broadcast 172.17.255.255" in shown
    networks = json.loads(said.by("!docker inspect c1"))[0]["NetworkSettings"]["Networks"]
    assert networks["bridge"]["MacAddress"] == "02:42:ac:11:00:02"
    assert networks["bridge"]["Gateway"] == "172.17.0.1"
    other = said.by("docker inspect c2")
    assert networks["bridge"]["NetworkID"] in other.replace("\n", "")
    assert "c1 172.17.0.2/16" in other
    assert "^@" not in said.by("docker exec -ti")
    assert "2 packets received" in said.by("docker exec -ti")
    traced = said.by('ping -c 1 172.17.0.3")')
    assert {"ICMP echo request 1", "ICMP echo reply 1"} <= {*titles(traced)}
    assert re.search(r" 3 +root:docker0 +through", traced)
    assert re.search(r" 5 +c2:eth0 +in", traced)


def assert_compared(said: Said) -> None:
    assert len(said.by("engine = ").splitlines()) > 15
    told = [line[:1] + line[1:].partition(":")[2] for line in said.by("made_up=").splitlines()]
    different = [re.sub(r" \S+ → \S+", "", line) for line in told]
    of_each = ["- address lo ::1/128", "- address eth0 fe80::/64"]
    assert sorted(different) == sorted(
        [
            *("~ interface docker0 mac:", "~ nft ruleset", "+ network bridge"),
            *(*of_each, "+ container c1"),
            *(*of_each, "+ container c2"),
        ]
    )
    rules = said.by("!iptables -S").splitlines()
    typed = "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"
    assert typed in rules
    assert "-P FORWARD DROP" in rules
    assert "-A DOCKER-USER -j RETURN" in rules
    assert not [rule for rule in rules if rule.startswith("-A DOCKER ")]


def assert_published(said: Said) -> None:
    published = said.by("--publish")
    assert "0.0.0.0:8080->80/tcp" in published
    assert "! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-dest" in published
    assert "Welcome to nginx!" in said.by("%%netns outside")
    assert "[::ffff:203.0.113.2]" in said.by("!docker logs web")
    traced = said.by("nv.Flow(")
    assert traced.startswith("TCP SYN: 203.0.113.2:")
    assert re.search(r"IPv4 destination 203.0.113.1 →\s+172.17.0.4", traced)
    assert re.search(r"IPv4 source 172.17.0.4 →\s+203.0.113.1", traced)
    assert "docker-proxy" in said.by("!ss")


def assert_other_networks(said: Said) -> None:
    alone, host = said.by("--network none").split("docker0:")
    assert re.findall(r"^\d+: (\S+):", alone, re.MULTILINE) == ["lo"]
    assert "172.17.0.1/16" in host
    assert "172.17.0.2/16" in said.by("!docker run --rm --network container:c1")
    assert "bad address 'c2'" in said.by("!docker exec c1 ping -c 1 c2")
    named = said.by("docker network create")
    assert "PING c4 (172.18.0.3)" in named
    assert "nameserver 127.0.0.11" in named
    assert "172.18.0.1/16" in said.by("docker network ls")
    assert "172.18.0.2" in said.by("docker network ls")
    apart, joined = said.by("network connect").split("PING c3")
    assert LOST in apart
    assert "1 packets received" in joined
    assert "eth1" in joined


def test_where_docker_is_lacking_the_second_half_is_a_recording(lab: Notebook) -> None:
    sources = lesson("05").sources
    needs, plays = (next(it for it in sources if part in it) for part in ("nv.needs(", "nv.Recor"))
    lost = 'nv.needs = lambda *_: (_ for _ in ()).throw(nv.ComponentError("there is no docker"))'
    told = say(lab, f"import os, netviz as nv; os.chdir({str(notebooks())!r}); {lost}\n{needs}")
    assert "there is no docker" in told
    shown = say(lab, plays)
    assert "bridge docker0 with 172.17.0.1/16" in shown
    assert "published: 0.0.0.0:8080→80/tcp" in shown


def test_recording_tells_what_the_lesson_types() -> None:
    recording = Recording.load(notebooks() / "recordings/05-docker.json")
    typed = [moment.command.text for moment in recording.moments if moment.command]
    sources = "\n".join(lesson("05").sources)
    assert 'nv.service("docker")' in typed
    assert [text for text in typed if text.partition("\n")[0] not in sources] == []
    assert [n.name for n in recording.moments[-1].network.namespaces if n.containers] == [
        *("c1", "c2", "c3", "c4", "web")
    ]


def test_killed_kernel_leaves_no_engine(own_lab: Notebook) -> None:
    say(own_lab, 'import netviz as nv\nnv.service("docker")\n!docker run --name c1 -td nginx')
    with all_end(processes_of(own_lab.pid)):
        own_lab.manager.provisioner.process.kill()
