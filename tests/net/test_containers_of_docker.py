"""What is seen of a real Docker engine in a lab, as root and as an ordinary user.

One lab tells all, once for each user: a program inside starts an engine and looks on.
"""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING

import pytest
from labs import EACH_IN_ITS_RUN

if TYPE_CHECKING:
    from labs import Someone

pytestmark = [pytest.mark.outside(only=True), EACH_IN_ITS_RUN]

LOOK = """
import json, subprocess
import netviz
from netviz.lab.services import service

def sh(script):
    done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout

def names():
    return [space.name for space in netviz.snapshot().namespaces]

told = {}
service("docker")
live = netviz.live()
frames = told["frames"] = []
with live.listening(lambda _: frames.append([it.name for it in live.network.namespaces])):
    for line in ("run -p 8080:80 --name c1 -td nginx", "run --name c9 -td nginx", "rm -f c9"):
        sh(f"docker {line}")
        live.settle()
live.stop()

sh('''docker network create --subnet 172.28.0.0/16 mynet
docker run --name c2 --network mynet --publish 127.0.0.1:5353:53/udp -td nginx
docker run --name side --network container:c1 -td busybox
docker run --name lonely --network none -td nginx
docker run --name hosted --network host -td busybox''')
seen = netviz.snapshot()
told["seen"] = seen.to_dict()
told["alt"] = netviz.draw(seen).alt
told["same"] = netviz.draw(seen).svg == netviz.draw(netviz.snapshot()).svg
told["bridge"] = "br-" + sh("docker network inspect -f '{{.Id}}' mynet")[:12]
told["explain"] = str(netviz.explain("c1", "172.17.0.1"))
told["side"] = str(netviz.explain("side", "172.17.0.1"))
told["trace"] = str(netviz.trace("c1", "ping -c1 172.17.0.1"))
told["cli"] = sh("netviz draw --format json")
sh("docker rename c1 first")
told["renamed"] = names()

sh("ip netns add host1")
service("docker", "host1")
sh('''docker run --name c1 -td nginx; ip netns exec host1 docker run --name c1 -td nginx
ip netns exec host1 docker run --name inner --network host -td busybox''')
told["two"] = names()
told["host1"] = netviz.snapshot().namespaces[1].to_dict()
sh("mv /run/docker.sock /run/elsewhere")
told["silent"] = [space.to_dict() for space in netviz.snapshot().namespaces]
print(json.dumps(told))
"""
_KNOWN: dict[int | None, dict] = {}


@pytest.fixture
def told(someone: Someone) -> dict:
    """Return what was seen, in a lab of this user's."""
    if someone.uid not in _KNOWN:
        _KNOWN[someone.uid] = json.loads(someone.python(LOOK).splitlines()[-1])
    return _KNOWN[someone.uid]


def space(told: dict, name: str) -> dict:
    return next(each for each in told["seen"]["namespaces"] if each["name"] == name)


def test_each_container_is_a_namespace_of_its_name(told: dict) -> None:
    names = [each["name"] for each in told["seen"]["namespaces"]]
    assert names == ["root", "c1", "c2", "lonely"]
    assert told["seen"]["warnings"] == []


def test_container_tells_its_image_its_networks_and_what_it_publishes(told: dict) -> None:
    (second,) = space(told, "c2")["containers"]
    assert (second["name"], second["engine"], second["image"]) == ("c2", "docker", "nginx")
    assert second["networks"] == ["mynet"]
    assert second["ports"] == ["127.0.0.1:5353→53/udp"]
    assert second["pid"] in space(told, "c2")["pids"]
    assert "0.0.0.0:8080→80/tcp" in space(told, "c1")["containers"][0]["ports"]


def test_who_shares_a_network_is_listed_in_it(told: dict) -> None:
    assert [it["name"] for it in space(told, "c1")["containers"]] == ["c1", "side"]
    assert [it["name"] for it in space(told, "root")["containers"]] == ["hosted"]


def test_bridges_are_known_as_networks(told: dict) -> None:
    found = [(it["name"], it["device"], it["subnets"]) for it in space(told, "root")["networks"]]
    assert found == [
        ("bridge", "docker0", ["172.17.0.0/16"]),
        ("mynet", told["bridge"], ["172.28.0.0/16"]),
    ]


def test_picture_tells_it_and_is_the_same_again(told: dict) -> None:
    assert "Namespace c1 (Docker container · nginx, Docker container side · busybox" in told["alt"]
    assert "published: 0.0.0.0:8080→80/tcp" in told["alt"]
    assert told["same"]


def test_container_is_asked_for_by_its_name(told: dict) -> None:
    assert told["explain"].startswith("icmp from c1 to 172.17.0.1: works")
    assert told["side"].startswith("icmp from side to 172.17.0.1: works")
    assert "c1:eth0" in told["trace"]
    assert "root:docker0" in told["trace"]
    assert '"c1"' in told["cli"]


def test_live_picture_follows_containers_that_come_and_go(told: dict) -> None:
    # From the first moment each had its name.
    shown = [names for names, _ in groupby(told["frames"]) if names != ["root"]]
    assert shown == [["root", "c1"], ["root", "c1", "c9"], ["root", "c1"]]


def test_new_name_is_seen_at_once(told: dict) -> None:
    assert told["renamed"] == ["root", "c2", "first", "lonely"]


def test_two_engines_may_each_have_a_container_of_one_name(told: dict) -> None:
    assert told["two"] == ["root", "host1", "c1", "c2", "first", "host1/c1", "lonely"]
    assert [it["name"] for it in told["host1"]["containers"]] == ["inner"]
    assert [it["device"] for it in told["host1"]["networks"]] == ["docker0"]


def test_without_its_socket_a_container_is_called_by_its_id(told: dict) -> None:
    names = {each["name"] for each in told["silent"]}
    id = space(told, "lonely")["containers"][0]["id"]
    assert id[:12] in names
    assert "lonely" not in names
    assert "c1" in names  # The other engine still says so.
