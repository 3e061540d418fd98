"""Packets in packets that a program makes: who wraps them, and what no table tells of it."""

from __future__ import annotations

import fcntl
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from net.oracle import sh
from roads import BRIDGE
from test_tracer import titled, vpn, way, why

from netviz import bridge
from netviz.net.discovery import snapshot
from netviz.packets.diagnosis import diagnose
from netviz.packets.tracer import follow

pytestmark = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK),
    reason="this kernel, or this user, cannot make a tun",
)
TUN, TAP = 0x1001, 0x1002
VPN = """
import fcntl, os, select, socket, struct, sys
mode, here, there = int(sys.argv[1]), sys.argv[2], sys.argv[3]
end = open("/dev/net/tun", "r+b", buffering=0)
fcntl.ioctl(end, 0x400454CA, struct.pack("16sH22x", b"dev0", mode))
os.system(f"ip address add 10.8.0.{here[-1]}/24 dev dev0; ip link set dev0 up")
os.system(f"ip address add fd08::{here[-1]}/64 dev dev0 nodad")
wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
wire.bind((here, 5555))
print("ready", flush=True)
while True:
    for each in select.select([end, wire], [], [])[0]:
        if each is end:
            wire.sendto(end.read(2048), (there, 5555))
        else:
            end.write(wire.recv(2048))
"""
NAMED = r"python\S*, pid \d+"


@pytest.mark.parametrize(("mode", "to"), [(TUN, "10.8.0.2"), (TUN, "fd08::2"), (TAP, "fd08::2")])
def test_what_is_carried_is_told_as_one_way_and_who_wraps_it(mode: int, to: str) -> None:
    sh(BRIDGE)
    with vpn(VPN, str(mode)):
        seen = follow("net1", f"ping -c1 -W2 {to}")
    (request,) = titled(seen, f"ICMP{'v6' * (':' in to)} echo request")
    assert way(request) == [
        *("net1:dev0 out", "net1:veth0 out", "root:port1 in", "root:br0 through"),
        *("root:port2 out", "net2:veth0 in", "net2:dev0 in"),
    ]
    assert re.fullmatch(f"wrapped by {NAMED}", request.hops[1].role)
    assert re.fullmatch(f"unwrapped by {NAMED}", request.hops[-1].role)
    inner = ["Ethernet"] * (mode == TAP) + (["IPv6", "ICMPv6"] if ":" in to else ["IPv4", "ICMP"])
    names = [header.name for header in request.hops[1].headers]
    assert names == ["Ethernet", "IPv4", "UDP", *inner, "Data"]
    assert request.fate == "delivered"


def test_question_that_goes_through_a_vpn_of_frames_is_followed_too() -> None:
    sh(BRIDGE)
    with vpn(VPN, str(TAP)):
        seen = follow("net1", "ping -c1 -W2 10.8.0.2")
    (asked,) = titled(seen, "ARP: who has 10.8.0.2?")
    assert way(asked)[0] == "net1:dev0 out"
    assert way(asked)[-1] == "net2:dev0 in"
    assert asked.fate == "delivered"


def test_datagram_that_nobody_unwraps_ends_where_it_ends() -> None:
    sh(BRIDGE)
    with vpn(VPN, str(TUN), hosts=[1]):
        seen = follow("net1", "ping -c1 -W0.2 10.8.0.2")
    (request,) = titled(seen, "ICMP echo request")
    assert way(request)[-1] == "net2:veth0 in"
    assert "nobody listens on the port" in str(request.end.end)


@contextmanager
def held(name: str, mode: int) -> Iterator[None]:
    """Hold a device in this process, and never read from it."""
    end = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(end, 0x400454CA, struct.pack("16sH22x", name.encode(), mode))
    yield
    os.close(end)


@pytest.mark.parametrize("mode", [TUN, TAP])
def test_packet_that_a_program_gets_and_keeps_is_delivered_and_no_answer_is_missed(
    mode: int,
) -> None:
    with held("dev0", mode):
        sh("ip address add 10.3.0.1/24 dev dev0; ip link set dev0 up")
        if mode == TAP:
            sh("ip neighbour add 10.3.0.2 lladdr 02:00:00:00:00:09 dev dev0")
        seen = follow("root", "ping -c1 -W0.2 10.3.0.2")
    (request,) = seen.journeys
    assert request.fate == "delivered"
    assert re.fullmatch(f"handed to {NAMED}, dev0's other end", str(request.end.end))


def test_what_a_program_does_stands_in_no_table() -> None:
    sh(BRIDGE)
    with vpn(VPN, str(TUN)):
        told = diagnose(snapshot(), "net1", "10.8.0.2")
    assert told.works
    assert not told.certain
    assert re.match(f"{NAMED} reads what net1:dev0 sends", str(told.doubt))


@pytest.mark.parametrize("mode", ["tun", "tap"])
def test_device_that_no_program_has_open_carries_nothing(mode: str) -> None:
    sh(f"ip tuntap add dev0 mode {mode}; ip link set dev0 up; ip address add 10.3.0.1/24 dev dev0")
    if mode == "tun":
        told = diagnose(snapshot(), "root", "10.3.0.2")
        assert not told.works
        assert "no program has dev0 open" in str(told)
    (missed,) = (it for it in follow("root", "ping -c1 -W0.2 10.3.0.2").journeys if not it.prelude)
    assert missed.fate == "lost"
    assert "dev0 carries nothing: no program has it open" in str(missed.end.end)


def test_bridge_to_a_machine_made_by_a_program_is_followed_into_it() -> None:
    bridge(1).up()
    with held("tap0", TAP):
        sh("ip link set tap0 master br1 up")
        sh("bridge fdb add 02:00:00:00:00:09 dev tap0 master static")
        sh("ip -n net1 neighbour add 10.1.1.9 lladdr 02:00:00:00:00:09 dev veth0")
        seen = follow("net1", "ping -c1 -W0.2 10.1.1.9")
    (request,) = titled(seen, "ICMP echo request")
    assert way(request)[-2:] == ["root:br1 through", "root:tap0 out"]
    assert "is behind tap0" in why(request.hops[2])
    assert re.match(f"handed to {NAMED}", str(request.end.end))
    assert titled(seen, "the answer") == []
