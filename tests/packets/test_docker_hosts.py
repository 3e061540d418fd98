"""What keeps containers of two hosts apart: routes, Docker's filter, the way back."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest
from net.oracle import sh

from netviz import explain

NETWORK = Path(__file__).parents[2] / "scripts/networks/notebooks/09-bgp.sh"
DROPPED = "dropped by a packet filter: table ip filter, chain FORWARD: policy drop"


@pytest.fixture(autouse=True)
def hosts() -> None:
    """Build the two hosts of lesson 09, without their routes, with such rules as Docker's."""
    sh(f"bash -e {NETWORK}")
    answers = "-m conntrack --ctstate RELATED,ESTABLISHED"
    for n, bridge in ((1, "docker0"), (2, "br-5d1a0f2b9c3e")):
        world = f"-s 172.{16 + n}.0.0/16 ! -o {bridge}"
        sh(f"""ip -n host{n} route delete 172.{19 - n}.0.0/16
        ip netns exec host{n} sh -ec '
            sysctl -qw net.ipv4.ip_forward=1
            iptables-nft -P FORWARD DROP
            iptables-nft -A FORWARD -o {bridge} {answers} -j ACCEPT
            iptables-nft -A FORWARD -i {bridge} ! -o {bridge} -j ACCEPT
            iptables-nft -t nat -A POSTROUTING {world} -j MASQUERADE'""")


def mended(who: str, to: str) -> list[str]:
    """Return what was wrong, one after the other, until a ping is answered."""
    found = []
    while (said := explain(who, to)).broken:
        found.append(re.sub(": no route;.*", "", said.broken.text))
        sh(said.broken.mend)
        assert len(found) < 9
    assert said.certain
    sh(f"ip netns exec {who} ping -c 1 -W 2 {to}")
    return found


def test_who_is_masqueraded_needs_one_route_and_a_hole_in_the_filter() -> None:
    assert mended("c1", "172.18.0.2") == [
        "host1 has no way to 172.18.0.2",
        f"host2: {DROPPED}",
    ]


def test_who_is_not_masqueraded_needs_the_way_back_too() -> None:
    sh("ip netns exec host1 iptables-nft -t nat -I POSTROUTING -d 172.18.0.0/16 -j RETURN")
    assert mended("c1", "172.18.0.2") == [
        "host1 has no way to 172.18.0.2",
        f"host2: {DROPPED}",
        "back: host2 has no way to 172.17.0.2",
    ]


def test_the_other_direction_has_a_filter_of_its_own() -> None:
    mended("c1", "172.18.0.2")
    assert mended("c2", "172.17.0.2") == [
        "host2 has no way to 172.17.0.2",
        f"host1: {DROPPED}",
    ]


def test_published_port_leads_through_its_translation_and_the_filter() -> None:
    sh("""ip netns exec host2 sh -ec '
        iptables-nft -t nat -N DOCKER
        iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
        iptables-nft -t nat -A DOCKER ! -i br-5d1a0f2b9c3e -p tcp -m tcp --dport 8080 \
            -j DNAT --to-destination 172.18.0.2:80'""")
    asked = partial(explain, "c1", "172.12.1.11", proto="tcp", port=8080)
    broken = asked().broken
    assert broken
    assert broken.text == f"host2: {DROPPED}"
    sh(broken.mend)
    told = asked(verify=True)
    assert 'xt target "DNAT", here 172.18.0.2 port 80' in str(told)
    assert (told.works, told.verified, told.certain) == (False, False, True)
    assert told.broken
    assert told.broken.text == "no program listens at tcp port 80 of c2"
