"""A picture shows containers by name, what they publish, and the networks of their engines."""

from __future__ import annotations

from html import unescape

from networks import ROOT, Net

from netviz.model import Container, EngineNetwork, Snapshot
from netviz.picture import words
from netviz.picture.cards import Card, cards
from netviz.picture.drawing import draw

C1 = Container(
    "c1", "a1" * 32, "docker", "nginx", "", ("mynet",), ("0.0.0.0:8080→80/tcp", "[::]:8080→80/tcp")
)
C2 = Container("c2", "b2" * 32, "docker", "busybox")
NETWORK = EngineNetwork("mynet", "bridge", "br-1f2e", ("172.18.0.0/16",), "docker")


def seen(*containers: Container, name: str = "c1") -> Snapshot:
    net = Net()
    net.spaces[ROOT]["networks"] = (NETWORK,)
    space = net.space(name, held_by="process", pids=(9,), containers=containers)
    net.cable(ROOT, space, port=net.bridge(ROOT, "br-1f2e", at=["172.18.0.1/16"]))
    return net.snapshot()


def card(network: Snapshot, title: str) -> Card:
    return next(each for each in cards(network).values() if each.title == title)


def test_box_tells_the_container_and_what_it_publishes() -> None:
    svg = draw(seen(C1, C2)).svg
    for line in (
        "Docker container · nginx",
        "Docker container c2 · busybox",
        "published: 0.0.0.0:8080→80/tcp",
        "Docker network 'mynet' 172.18.0.0/16",
    ):
        assert line in unescape(svg)
    assert "[::]:8080" not in svg  # It is told once.
    assert "held by" not in svg


def test_hover_title_of_a_bridge_names_the_network() -> None:
    network = seen(C1)
    root = network.namespaces[0]
    bridge = next(link for link in root.interfaces if link.kind == "bridge")
    assert "Docker network 'mynet' 172.18.0.0/16" in words.hover(root, bridge)
    assert words.networked(network.namespaces[1], bridge) == []


def test_cards_tell_containers_and_networks_with_their_commands() -> None:
    network = seen(C1, C2)
    first = card(network, "c1").sections[0]
    assert (first.heading, first.command) == ("Containers, in short", "docker ps")
    assert first.lines[1] == f"c2 {'b2' * 6} image busybox"
    (told,) = [it for it in card(network, "root:br-1f2e").sections if "Network" in it.heading]
    assert told.command == "docker network inspect mynet"
    assert told.lines == ("name mynet", "driver bridge", "subnet 172.18.0.0/16")


def test_pod_says_that_it_is_one() -> None:
    some = [Container(each, each, "containerd", pod="web-0") for each in ("c1", "c2")]
    lines = words.contained(seen(*some, name="web-0").namespaces[1])
    assert lines == ["a pod of 2 containers", "containerd container c1", "containerd container c2"]


def test_who_cannot_see_hears_of_the_container() -> None:
    told = draw(seen(C1)).alt
    assert "Namespace c1 (Docker container · nginx, published: 0.0.0.0:8080→80/tcp) has" in told


def test_same_containers_give_the_same_bytes() -> None:
    assert draw(seen(C1, C2)).svg == draw(seen(C1, C2)).svg
