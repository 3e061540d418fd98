"""Lesson 10's tunnels with one thing wrong: what is explained is what is so, and is mended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from net.oracle import sh
from net.rebuilding import chosen, look, rebuilt

import netviz as nv
from netviz.packets.explainer import explain
from netviz.teach.echoes import answered
from netviz.teach.faults import faults
from netviz.teach.places import Lab

if TYPE_CHECKING:
    from collections.abc import Callable

    from netviz.journeys import Followed, Journey

pytestmark = pytest.mark.own_kernel

TO = "10.10.200.10"
LESSON = Path(__file__).parents[2] / "scripts/networks/notebooks/10-ipip.sh"
POD, FAR_POD = "node1-pod1", "10.244.2.2"
TUNL0 = """for n in 1 2; do
    ip -n node$n route flush protocol boot
    ip -n node$n link add tunl0 type ipip
    ip -n node$n link set tunl0 up; ip -n node$n address add 10.244.$n.0/32 dev tunl0
    ip -n node$n route add 10.244.$((3 - n)).0/24 via 192.168.1.$((3 - n)) dev tunl0 onlink
done
"""
# What is wrong, what is said of it, and each command that mends a part of it.
WRONG = {
    "wrong remote": (
        "ip -n net1 link set tun1 type ipip remote 10.10.20.3",
        "nobody on v2_r answers for 10.10.20.3: nobody here has it",
        ["ip -n net1 link set dev tun1 type ipip remote 10.10.20.2"],
    ),
    "wrong remote of the other end": (
        "ip -n net2 link set tun2 type ipip remote 10.10.10.3",
        "net2 has no ipip device that belongs to net1:tun1",
        ["ip -n net2 link set dev tun2 type ipip remote 10.10.10.2"],
    ),
    "one end missing": (
        "ip -n net2 link delete tun2; ip -n net2 link add tunl0 type ipip",
        "net2 has no ipip device that belongs to net1:tun1",
        [
            "ip -n net2 link add tun1 type ipip local 10.10.20.2 remote 10.10.10.2"
            " && ip -n net2 link set dev tun1 up",
            "ip -n net2 address add 10.10.200.10 peer 10.10.100.10 dev tun1",
        ],
    ),
    "one end down, and a device for all there": (
        "ip -n net2 link set tun2 down; ip -n net2 link add tunl0 type ipip",
        "net2:tun2 is down",
        ["ip -n net2 link set dev tun2 up"],
    ),
    "no route below": (
        "ip -n net1 route delete 10.10.20.0/24",
        "net1 has no way to 10.10.20.2: no route",
        ["ip -n net1 route add 10.10.20.0/24 via 10.10.10.1"],
    ),
    "no route back below": (
        "ip -n net2 route delete 10.10.10.0/24",
        "back: net2 has no way to 10.10.10.2: no route",
        ["ip -n net2 route add 10.10.10.0/24 via 10.10.20.1"],
    ),
    "refused on the way": (
        "ip route add blackhole 10.10.20.2",
        "root has no way to 10.10.20.2: blackhole",
        ["ip route delete blackhole 10.10.20.2"],
    ),
}
OF_NODES = {
    "wrapped for nobody": (
        "ip -n node1 route replace 10.244.2.0/24 via 192.168.1.7 dev tunl0 onlink",
        "nobody on eth0 answers for 192.168.1.7: nobody here has it",
    ),
    "other end down": ("ip -n node2 link set tunl0 down", "node2:tunl0 is down"),
    "no route": ("ip -n node1 route delete 10.244.2.0/24", "node1 has no way to 10.244.2.2"),
    "no way back": (
        "ip -n node2 route delete 10.244.1.0/24",
        "back: node2 has no way to 10.244.1.2",
    ),
}


def lesson() -> None:
    sh(LESSON.read_text())


def nodes() -> None:
    nv.nodes(2, 1).up()
    sh(TUNL0)


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_a_tunnel_is_explained_and_mended(wrong: str) -> None:
    lesson()
    fault, text, mends = WRONG[wrong]
    sh(fault)
    told = explain("net1", TO)
    assert (told.certain, answered([("net1", TO)], 0.2)) == (True, ())
    assert text in told.broken.text
    for mend in mends:
        assert told.mend == mend
        sh(mend)
        told = explain("net1", TO)
    assert (told.works, told.certain) == (True, True)
    # Of an error that it has heard, a tunnel still tells whoever sends next.
    assert answered([("net1", TO)], 2.0)


@pytest.mark.parametrize("wrong", OF_NODES)
def test_what_is_wrong_with_a_tunnel_for_all_is_explained(wrong: str) -> None:
    nodes()
    assert (it := explain(POD, FAR_POD, verify=True)).works == it.verified == it.certain
    fault, text = OF_NODES[wrong]
    sh(fault)
    told = explain(POD, FAR_POD)
    assert (told.certain, answered([(POD, FAR_POD)], 0.2)) == (True, ())
    assert text in told.broken.text


def test_packet_in_a_tunnel_for_all_is_wrapped_for_whom_its_route_names() -> None:
    nodes()
    request = titled(nv.trace(POD, f"ping -c 1 {FAR_POD}"), "ICMP echo request")
    seen = [str(hop.where) for hop in request.hops]
    wrapped = seen.index("node1:tunl0"), seen.index("node2:tunl0")
    assert [seen[wrapped[0] + 1], seen[wrapped[1] - 1]] == ["node1:eth0", "node2:eth0"]
    outer = next(it for it in request.hops[wrapped[0] + 1].headers if it.name == "IPv4")
    assert [outer.get(it) for it in ("source", "destination")] == ["192.168.1.1", "192.168.1.2"]


@pytest.mark.parametrize("made", [lesson, nodes])
def test_tunnels_are_built_again_by_their_script(made: Callable[[], None]) -> None:
    made()
    seen = look()
    assert chosen(seen.diff(rebuilt(seen, exact=True))) == []


def test_device_that_is_there_already_is_not_made_again() -> None:
    nodes()
    lines = nv.script(look()).splitlines()
    (line,) = (it for it in lines if it.startswith("ip -n node1 link show dev tunl0"))
    assert line.endswith(" || ip -n node1 link add tunl0 type ipip")
    sh(line)
    with pytest.raises(AssertionError, match="File exists"):
        sh(line.partition("|| ")[2])


def test_network_with_a_tunnel_for_all_is_gone_back_to() -> None:
    nodes()
    nv.checkpoint("nodes")
    nv.reset()
    nv.restore("nodes")
    assert explain(POD, FAR_POD, verify=True).verified


def test_wrong_remote_is_put_in_found_and_taken_back() -> None:
    lesson()
    fault = next(it for it in faults() if it.name == "tunnel to a wrong remote")
    places = [*fault.places(Lab(look(), ()))]
    assert [it.cause for it in places] == [
        "net1:tun1 has the remote 10.10.20.3 instead of 10.10.20.2",
        "net2:tun2 has the remote 10.10.10.3 instead of 10.10.10.2",
    ]
    for place in places:
        for steps, works in ((place.breaks, 0), (place.mends, 1)):
            sh(steps[0].command())
            assert len(answered([("net1", TO)], 1.0 if works else 0.3)) == works
    assert place.look.command() == "ip -n net2 -d link"


def test_router_tells_the_end_of_a_tunnel_that_its_packet_was_too_large() -> None:
    lesson()
    sh("ip link set v2_r mtu 1400; ip -n net2 link set v2 mtu 1400")
    traced = nv.trace("net1", f"ping -c 2 -i 0.2 -W 0.2 -M do -s 1452 {TO}")
    lost, told = titled(traced, "ICMP echo request"), titled(traced, "ICMP fragmentation needed")
    assert str(lost.end.end).startswith("1500 bytes are more than v2_r's MTU of 1400")
    assert told.title.startswith("ICMP fragmentation needed: 10.10.10.1 → 10.10.10.2")
    assert told.fate == "delivered"
    assert "mtu 1380" in sh(f"ip -n net1 route get {TO}")


def titled(traced: Followed, title: str) -> Journey:
    return next(it for it in traced.journeys if it.title.startswith(title))
