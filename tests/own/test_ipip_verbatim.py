"""The tunnel of lesson 10, with the course's own commands and addresses: IP in IP."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from kernels import DEADLINE
from net.oracle import sh

import netviz as nv

if TYPE_CHECKING:
    from netviz.journeys import Hop

pytestmark = pytest.mark.own_kernel

HOSTS = """
sysctl -qw net.ipv4.ip_forward=1
for n in 1 2; do
    ip netns add v$n
    ip link add v$n netns v$n type veth peer name v${n}_r
    ip address add 10.10.${n}0.1/24 dev v${n}_r; ip link set v${n}_r up
    ip -n v$n address add 10.10.${n}0.2/24 dev v$n; ip -n v$n link set v$n up
    ip -n v$n route add default via 10.10.${n}0.1
    # The device that `ip tunnel` asks. On a server the module, once loaded, makes one by itself.
    ip -n v$n link show tunl0 2>/dev/null || ip -n v$n link add tunl0 type ipip
done
"""
ONE = """
ip tunnel add tun1 mode ipip remote 10.10.20.2 local 10.10.10.2
ip link set tun1 up
ip address add 10.10.100.10 peer 10.10.200.10 dev tun1
"""
TWO = """
ip tunnel add tun1 mode ipip remote 10.10.10.2 local 10.10.20.2
ip link set tun1 up
ip address add 10.10.200.10 peer 10.10.100.10 dev tun1
"""
PING = "ping -c 1 -W 5 10.10.200.10"


TELLER = ["tcpdump", "-c", "2", "-lnvi", "v1_r", "ip proto 4"]
TOLD = r"""proto IPIP \(4\), length 104\)
    10.10.10.2 > 10.10.20.2: IP \(.*, proto ICMP \(1\), length 84\)
    10.10.100.10 > 10.10.200.10: ICMP echo request"""


@pytest.fixture(autouse=True)
def _tunnel() -> None:
    sh(HOSTS)
    for namespace, script in (("v1", ONE), ("v2", TWO)):
        subprocess.run(["ip", "netns", "exec", namespace, "sh", "-ec", script], check=True)


def test_what_the_cables_carry_has_two_ip_headers_and_what_the_tunnel_carries_one() -> None:
    traced = nv.trace("v1", PING)
    request, reply = (each for each in traced.journeys if each.title.startswith("ICMP echo"))
    for journey, outer, inner in (
        (request, ("10.10.10.2", "10.10.20.2"), ("10.10.100.10", "10.10.200.10")),
        (reply, ("10.10.20.2", "10.10.10.2"), ("10.10.200.10", "10.10.100.10")),
    ):
        sent, *cables, received = journey.hops
        carried = [("1 (ICMP)", *inner)]
        assert ip_headers(sent) == ip_headers(received) == carried
        assert [ip_headers(each) for each in cables] == [[("4 (IPv4)", *outer), *carried]] * 4
        assert (str(sent.where)[2:], received.fate) == (":tun1", "delivered")


def ip_headers(hop: Hop) -> list[tuple[str, ...]]:
    found = [each for each in hop.headers if each.name == "IPv4"]
    return [tuple(map(each.get, ("protocol", "source", "destination"))) for each in found]


def test_tcpdump_tells_both_and_the_tunnel_leaves_room_for_the_outer_one() -> None:
    with subprocess.Popen(TELLER, stdout=-1, stderr=-1, text=True) as tcpdump:
        assert "listening" in tcpdump.stderr.readline()
        sh(f"ip netns exec v1 {PING}")
        assert re.search(TOLD, tcpdump.communicate(timeout=DEADLINE)[0])
    assert "mtu 1480" in sh("ip -n v1 link show tun1")
    assert "1 received" in sh(f"ip netns exec v1 {PING} -M do -s {1480 - 28}")
    refused = sh(f"ip netns exec v1 {PING} -M do -s {1481 - 28} 2>&1 || true")
    assert re.search("message too long, mtu[:=] ?1480", refused)
