"""Connections that the kernel tracks, held against what ``conntrack -L`` says of them."""

from __future__ import annotations

import re
import subprocess
import sys
from errno import EINVAL, EPERM
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from oracle import sh

from netviz.net import conntrack, namespaces
from netviz.net.conntrack import Connection, Tuple, connection, connections
from netviz.net.messages import attribute
from netviz.net.netlink import Socket
from netviz.net.worker import aside

pytestmark = pytest.mark.long

ROUTER = """
ip netns add net1; ip netns add router; ip netns add net2
ip -n net1 link add eth0 type veth peer name eth1 netns router
ip -n net2 link add eth0 type veth peer name eth2 netns router
ip -n net1 address add 10.1.1.1/24 dev eth0; ip -n router address add 10.1.1.254/24 dev eth1
ip -n net2 address add 10.1.2.1/24 dev eth0; ip -n router address add 10.1.2.254/24 dev eth2
ip -n net1 address add fd01::1/64 dev eth0 nodad; ip -n net2 address add fd02::1/64 dev eth0 nodad
ip -n router address add fd01::fe/64 dev eth1 nodad
ip -n router address add fd02::fe/64 dev eth2 nodad
for n in net1 net2; do ip -n $n link set eth0 up; ip -n $n link set lo up; done
ip -n router link set eth1 up; ip -n router link set eth2 up
ip netns exec router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip -n net1 route add default via 10.1.1.254; ip -n net1 route add default via fd01::fe
ip -n net2 route add 10.1.1.0/24 via 10.1.2.254; ip -n net2 route add default via fd02::fe
"""
FILTERS = """
table inet nat {
    chain pre { type nat hook prerouting priority -100;
        ip daddr 10.9.9.9 tcp dport 80 dnat ip to 10.1.2.1:8080
    }
    chain post { type nat hook postrouting priority 100
        ip daddr 10.1.2.1 oifname eth2 masquerade
    }
}
table inet f {
    chain pre { type filter hook prerouting priority -300; udp dport 77 ct zone set 5; }
    chain f { type filter hook forward priority 0; udp dport 9 ct mark set 7; }
}
"""


def inside(name: str) -> tuple[Connection, ...]:
    def read() -> tuple[Connection, ...]:
        next(each for each in namespaces.find()[0] if each.name == name).enter()
        return connections()

    return aside(read)


def judged(name: str) -> list[str]:
    """Return the lines of ``conntrack -L``, without what it counts: timeouts and users."""
    lines = []
    for family in ("ipv4", "ipv6"):
        told = sh(f"ip netns exec {name} conntrack -L -f {family} 2> /dev/null")
        for line in told.splitlines():
            words = re.sub(r" use=\d+|\[ASSURED\] |secctx=\S+ ?", "", line).split()
            if words[2].isdecimal():
                del words[2]  # The timeout, which a connection without end has not.
            lines.append((" ".join(words), "[ASSURED]" in line))
    return sorted(lines)


def said(found: tuple[Connection, ...]) -> list[str]:
    return sorted((re.sub(r"\[ASSURED\] ", "", str(it)), "ASSURED" in it.flags) for it in found)


@pytest.fixture
def busy() -> None:
    """Let every kind of packet cross a router that translates."""
    sh(ROUTER)
    command = ["ip", "netns", "exec", "router", "nft", "-f", "-"]
    subprocess.run(command, input=FILTERS, text=True, check=True)
    code = "from socket import *; s = create_server(('10.1.2.1', 8080)); print(flush=True); "
    command = ["ip", "netns", "exec", "net2", sys.executable, "-c", f"{code}s.accept()[0].recv(1)"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert server.stdout
    server.stdout.readline()
    sh("ip netns exec net1 bash -c 'echo > /dev/tcp/10.9.9.9/80'")
    server.communicate()
    sh(
        "ip netns exec net1 bash -c 'echo > /dev/udp/10.1.2.1/9; echo > /dev/udp/10.1.2.1/77';"
        "ip netns exec net1 ping -c1 -W2 10.1.2.1; ip netns exec net1 ping -c1 -W5 fd02::1;"
        "ip netns exec net1 bash -c 'echo > /dev/udp/fd02::1/9; echo > /dev/tcp/fd02::1/81' || true"
    )


@pytest.mark.usefixtures("busy")
def test_every_connection_is_as_conntrack_says() -> None:
    for _ in range(20):  # Until nothing changed while both looked.
        before, found, after = judged("router"), inside("router"), judged("router")
        if before == after:
            break
    assert said(found) == before
    assert {(it.family, it.protocol) for it in found} >= {
        *[("ipv4", "tcp"), ("ipv4", "udp"), ("ipv4", "icmp")],
        *[("ipv6", "udp"), ("ipv6", "icmpv6")],
    }
    assert inside("net2") == inside("net1") == ()


@pytest.mark.usefixtures("busy")
def test_what_is_translated_is_told() -> None:
    found = inside("router")
    web = next(it for it in found if it.original.destination == "10.9.9.9")
    assert (web.number, web.protocol, web.translated) == (6, "tcp", True)
    assert web.original == Tuple("10.1.1.1", "10.9.9.9", web.original.sport, 80)
    assert web.reply == Tuple("10.1.2.1", "10.1.2.254", 8080, web.reply.dport)
    assert {"SRC_NAT", "DST_NAT", "SEEN_REPLY", "ASSURED"} <= {*web.flags}
    ping = next(it for it in found if it.protocol == "icmp")
    assert (ping.original.type, ping.original.code, ping.reply.type) == (8, 0, 0)
    assert ping.original.sport is None
    assert ping.translated
    assert "DST_NAT" not in ping.flags
    ping6 = next(it for it in found if it.protocol == "icmpv6" and it.original.type == 128)
    assert (ping6.reply.type, ping6.translated, ping6.family) == (129, False, "ipv6")
    marked = next(it for it in found if it.original.dport == 9 and it.family == "ipv4")
    assert (marked.mark, marked.zone) == (7, 0)
    assert " [UNREPLIED] " in str(marked)
    assert next(it for it in found if it.original.dport == 77).zone == 5
    assert web.to_dict()["original"]["dport"] == 80
    assert web.to_dict()["translated"] is True


def test_kernel_that_tracks_nothing_has_no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(errno: int) -> None:
        def dump(*_: object) -> list[bytes]:
            raise OSError(errno, "refused")

        monkeypatch.setattr(Socket, "dump", dump)

    assert connections() == ()
    refuses(EPERM)
    with pytest.raises(OSError, match="refused"):
        connections()
    refuses(EINVAL)
    assert connections() == ()
    refuses(EPERM)
    monkeypatch.setattr(conntrack, "_LOADED", Path("/nowhere"))
    assert connections() == ()


def message(number: int = 6) -> bytes:
    """Return a connection as the kernel would tell it."""
    ends = (attribute(1, bytes([10, 1, 1, 1])), attribute(2, bytes([10, 1, 1, 2])))
    ports = attribute(1, bytes([number])) + attribute(2, b"\1\0") + attribute(3, b"\0\x50")
    there = attribute(1, b"".join(ends)) + attribute(2, ports)
    rest = attribute(3, b"\0\0\0\x0e") + attribute(8, b"\0\0\0\7")
    rest += attribute(4, attribute(1, attribute(1, b"\3")))
    return b"\2\0\0\0" + attribute(1, there) + attribute(2, there) + rest


def test_message_made_by_hand() -> None:
    found = connection(message())
    assert found
    assert str(found) == (
        "tcp 6 ESTABLISHED src=10.1.1.1 dst=10.1.1.2 sport=256 dport=80 "
        "src=10.1.1.1 dst=10.1.1.2 sport=256 dport=80 [ASSURED] mark=7"
    )
    assert found.flags == ("SEEN_REPLY", "ASSURED", "CONFIRMED")
    unknown = connection(message(253))
    assert unknown
    assert str(unknown).startswith("unknown 253 ")


@given(some.lists(some.tuples(some.integers(0, 300), some.integers(0, 255)), max_size=8))
@settings(max_examples=1000)
def test_message_that_was_changed_is_read_or_passed_over(changes: list[tuple[int, int]]) -> None:
    data = bytearray(message())
    for place, value in changes:
        data[place % len(data)] = value
    for end in (len(data), *(place for place, _ in changes)):
        found = connection(bytes(data[:end]))
        if found:
            assert str(found)
            assert ip_address(found.original.source)
            assert found.to_dict()["number"] == found.number


@given(some.binary(max_size=400))
def test_any_bytes_are_passed_over(data: bytes) -> None:
    connection(data)
