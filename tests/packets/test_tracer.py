"""A command is run and followed: its journeys, what decided each hop, and what goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from net.oracle import sh
from roads import BRIDGE, NAT, ROUTER, VXLAN

from netviz import bridge, snapshot
from netviz.errors import TraceError
from netviz.packets.selection import Command
from netviz.packets.tracer import Flow, follow

if TYPE_CHECKING:
    from netviz.journeys import Followed, Hop, Journey

PING = "ping -c1 -W1 10.1.1.2"


def way(journey: Journey) -> list[str]:
    return [f"{hop.where} {hop.direction}" for hop in journey]


def titled(seen: Followed, title: str) -> list[Journey]:
    return [journey for journey in seen.journeys if journey.title.startswith(title)]


def why(hop: Hop) -> str:
    return "; ".join(map(str, hop.reasons))


def test_ping_over_a_bridge_and_what_came_before_it() -> None:
    sh(BRIDGE)
    seen = follow("net1", PING)
    assert [each.title.partition(":")[0] for each in seen.journeys] == [
        "ARP",
        "ARP",
        "ICMP echo request 1",
        "ICMP echo reply 1",
    ]
    assert [each.prelude for each in seen.journeys] == [True, True, False, False]
    assert all(each.fate == "delivered" for each in seen.journeys)
    asked, answered, request, reply = seen.journeys
    assert sorted(way(asked)) == sorted(
        [
            *("net1:veth0 out", "root:port1 in", "root:br0 through", "root:br0 in"),
            *("root:port2 out", "root:port3 out", "net2:veth0 in", "net3:veth0 in"),
        ]
    )
    fates = {str(hop.where): hop.fate for hop in asked if hop.fate}
    assert fates == {"root:br0": "discarded", "net3:veth0": "discarded", "net2:veth0": "delivered"}
    assert "is the broadcast address: br0 sends it to every other port" in why(asked.hops[2])
    assert "is behind port1" in why(answered.hops[2])
    assert way(request) == [
        *("net1:veth0 out", "root:port1 in", "root:br0 through", "root:port2 out"),
        "net2:veth0 in",
    ]
    assert "route 10.1.1.0/24 dev veth0, table main; neighbour 10.1.1.2 is" in why(request.hops[0])
    assert way(reply)[::-1] == [
        *("net1:veth0 in", "root:port1 out", "root:br0 through", "root:port2 in"),
        "net2:veth0 out",
    ]
    assert [hop.number for hop in request] == [1, 2, 3, 4, 5]
    assert [hop.after for hop in request] == [(), (1,), (2,), (3,), (4,)]
    assert "1 received" in seen.output
    assert (seen.status, seen.drops, seen.command) == (0, 0, PING)


def test_bridge_that_sends_by_itself_asks_its_fdb_too() -> None:
    sh(f"{BRIDGE}\nip address add 10.1.1.254/24 dev br0\nping -c1 -W1 10.1.1.2")
    mac = sh("ip netns exec net2 cat /sys/class/net/veth0/address").strip()
    (request,) = titled(follow("root", PING), "ICMP echo request")
    assert way(request) == ["root:br0 out", "root:port2 out", "net2:veth0 in"]
    assert why(request.hops[1]) == f"br0's FDB: {mac} is behind port2"


def test_frame_to_an_unknown_address_is_flooded_and_the_next_is_not() -> None:
    sh(BRIDGE)
    mac = sh("ip netns exec net2 cat /sys/class/net/veth0/address")
    sh(f"ip -n net1 neighbour replace 10.1.1.2 dev veth0 lladdr {mac}")
    sh("ip link set br0 type bridge ageing_time 100")
    sh("while bridge fdb show br br0 | grep -v permanent; do sleep 0.1; done")
    first, second = (titled(follow("net1", PING), "ICMP echo request")[0] for _ in range(2))
    assert f"flooded to every other port: {mac.strip()} is not in br0's FDB" in why(first.hops[2])
    assert {str(hop.where): hop.fate for hop in first if hop.fate} == {
        "net2:veth0": "delivered",
        "net3:veth0": "discarded",
    }
    assert f"br0's FDB: {mac.strip()} is behind port2" in why(second.hops[2])


def test_translated_addresses_are_told_with_their_rules_and_turned_back() -> None:
    sh(NAT)
    seen = follow("net1", "ping -c2 -i 0.1 10.1.1.1")
    (request, *_), (reply, *_) = titled(seen, "ICMP echo request"), titled(seen, "ICMP echo reply")
    changed = {f"{it.header} {it.field}": (it.before, it.after) for it in request.hops[2].changes}
    assert changed["IPv4 ttl"] == ("64", "63")
    assert changed["IPv4 source"] == ("10.1.1.2", "10.1.2.1")
    assert changed["IPv4 destination"] == ("10.1.1.1", "10.1.2.2")
    told = why(request.hops[2])
    assert "route 10.1.2.0/24 dev eth2, table main" in told
    assert "NAT rule of table ip nat, chain pre: ip daddr 10.1.1.1 dnat to 10.1.2.2" in told
    assert 'chain post: oifname "eth2" masquerade' in told
    assert "conntrack: it answers 10.1.1.2 → 10.1.1.1: turned back" in why(reply.hops[2])
    assert str(reply.end.where) == "net1:veth0"


def test_overlay_wraps_and_unwraps() -> None:
    sh(VXLAN)
    seen = follow("pod1", "ping -c1 10.7.0.2")
    (request,) = titled(seen, "ICMP echo request")
    roles = {str(hop.where): hop for hop in request}
    wrapped, unwrapped = roles["node1:eth0"], roles["node2:vx0"]
    assert wrapped.role == "wrapped by vx0"
    assert "is behind 192.168.7.2; route 192.168.7.0/24 dev eth0" in why(wrapped)
    assert [it.header for it in wrapped.changes] == ["Ethernet", "IPv4", "UDP", "VXLAN"]
    assert unwrapped.role == "unwrapped by vx0"
    assert why(unwrapped) == "VNI 42 belongs to vx0"
    assert len(request.hops) == 13


def test_fragments_are_followed_where_they_are_cut_and_cut_again() -> None:
    small = "ip -n router link set eth2 mtu 1000; ip -n net2 link set veth0 mtu 1000"
    sh(ROUTER + small)
    seen = follow("net1", "ping -c1 -M dont -s 2000 10.1.2.2")
    first, second = (journey for journey in seen.journeys if "10.1.1.2 → 10.1.2.2" in journey.title)
    assert way(first).count("router:eth2 out") == way(first).count("net2:veth0 in") == 2
    assert [hop.after for hop in first if str(hop.where) == "router:eth2"] == [(2,), (2,)]
    assert second.title.startswith("IPv4 fragment from byte 1480")
    assert way(second).count("router:eth2 out") == 1
    assert {journey.fate for journey in (first, second)} == {"delivered"}


_VPN = """
import select, socket, sys
outer, device, here, there = sys.argv[1:]
if outer == "udp":
    wire, header = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0
else:
    wire, header = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IPIP), 20
wire.bind((here, 5555))
inner = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
inner.bind((device, 0x0800))
print("ready", flush=True)
while True:
    ready, _, _ = select.select([inner, wire], [], [])
    if wire in ready:
        data = wire.recv(2000)[header:]
        frame = bytes.fromhex("02000000000" + here[-1]) + bytes(6) + b"\\x08\\0"
        inner.send(frame + data)
    if inner in ready:
        data, origin = inner.recvfrom(2000)
        if origin[2] != socket.PACKET_OUTGOING:
            wire.sendto(data[14:], (there, 5555))
"""


@contextmanager
def vpn(program: str, *words: str, hosts: Iterable[int] = (1, 2)) -> Iterator[None]:
    """Run a program in net1 and net2, or in one of them, which knows both addresses."""
    running = []
    try:
        for here in hosts:
            ends = f"10.1.1.{here}", f"10.1.1.{3 - here}"
            command = ["ip", "netns", "exec", f"net{here}", sys.executable, "-c", program]
            child = subprocess.Popen([*command, *words, *ends], stdout=-1, text=True)
            running.append(child)
            assert child.stdout
            assert child.stdout.readline() == "ready\n"
        yield
    finally:
        for child in running:
            child.kill()
            child.communicate()


@pytest.mark.parametrize("outer", ["udp", "ipip"])
def test_vpn_over_a_cable_where_there_is_no_tun(outer: str) -> None:
    cables = """
    for n in 1 2; do
        ip -n net$n link add vpn0 address 02:00:00:00:00:0$n type veth peer name vpn1
        ip -n net$n link set vpn0 arp off up
        ip -n net$n link set vpn1 up
        ip -n net$n address add 10.8.0.$n/24 dev vpn0
    done
    """
    sh(BRIDGE + cables)
    with vpn(_VPN, outer, "vpn1"):
        seen = follow("net1", "ping -c1 -W2 10.8.0.2")
    (request,) = titled(seen, "ICMP echo request")
    assert way(request) == [
        *("net1:vpn0 out", "net1:vpn1 in", "net1:veth0 out", "root:port1 in", "root:br0 through"),
        *("root:port2 out", "net2:veth0 in", "net2:vpn1 out", "net2:vpn0 in"),
    ]
    names = " ".join(header.name for header in request.hops[2].headers)
    assert names == f"Ethernet IPv4 {'UDP ' if outer == 'udp' else ''}IPv4 ICMP Data"
    assert request.fate == "delivered"


def test_neighbours_of_ipv6_are_a_prelude_too() -> None:
    sh(BRIDGE)
    for number in (1, 2):
        sh(f"ip -n net{number} address add fd00::{number}/64 dev veth0 nodad")
    seen = follow("net1", "ping -c1 -W2 fd00::2")
    (request,) = titled(seen, "ICMPv6 echo request")
    assert request.fate == "delivered"
    assert "route fd00::/64 dev veth0, table main; neighbour fd00::2 is" in why(request.hops[0])
    asked = titled(seen, "ICMPv6 neighbour solicitation fd00::2")
    assert asked
    assert asked[0].prelude
    assert str(asked[0].end.end) == "net2 is asked: fd00::2 is its own"


def test_packets_to_oneself_never_leave() -> None:
    sh(BRIDGE + "ip -n net1 link set lo up")
    seen = follow("net1", "ping -c1 127.0.0.1")
    (request,) = titled(seen, "ICMP echo request")
    assert way(request) == ["net1:lo out", "net1:lo in"]
    assert request.fate == "delivered"


def test_macvlans_of_one_card_reach_each_other_below_it() -> None:
    sh("""
    ip link add card type veth peer far
    ip link set card up
    ip link set far up
    for n in 1 2; do
        ip netns add net$n
        ip link add link card name mac0 netns net$n type macvlan mode bridge
        ip -n net$n address add 10.4.0.$n/24 dev mac0
        ip -n net$n link set mac0 up
    done
    """)
    seen = follow("net1", "ping -c1 -W2 10.4.0.2")
    (request,) = titled(seen, "ICMP echo request")
    assert way(request) == ["net1:mac0 out", "root:card in", "net2:mac0 in"]
    assert request.fate == "delivered"
    assert "twice" not in str(request.end.end)


def test_packet_that_goes_in_circles_is_followed_until_its_time_is_up() -> None:
    sh(
        ROUTER
        + """
    ip netns add other
    ip link add loop0 netns router type veth peer loop0 netns other
    for n in router other; do ip -n $n link set loop0 up; done
    ip -n router address add 10.2.0.1/24 dev loop0
    ip -n other address add 10.2.0.2/24 dev loop0
    ip -n router route add default via 10.2.0.2
    ip -n other route add default via 10.2.0.1
    ip netns exec other sysctl -qw net.ipv4.ip_forward=1
    """
    )
    seen = follow("net1", "ping -c1 -W1 -t8 10.9.9.9")
    (request,) = titled(seen, "ICMP echo request")
    there = ["router:loop0 out", "other:loop0 in"]
    back = ["other:loop0 out", "router:loop0 in"]
    assert way(request) == ["net1:veth0 out", "router:eth1 in", *3 * (there + back), *there]
    assert [hop.after for hop in request] == [(), *((n,) for n in range(1, 16))]
    assert "its time to live is used up" in str(request.end.end)
    (refusal,) = titled(seen, "ICMP time exceeded")
    assert str(refusal.end.where) == "net1:veth0"


def test_redirect_is_told_and_what_it_has_changed() -> None:
    sh(BRIDGE + "ip netns exec net2 sysctl -qw net.ipv4.ip_forward=1")
    sh("ip -n net1 route add 10.9.9.9 via 10.1.1.2; ip -n net2 route add 10.9.9.9 via 10.1.1.3")
    sh("ip -n net3 address add 10.9.9.9/32 dev veth0")
    first, second = (follow("net1", "ping -c2 -i 0.2 10.9.9.9") for _ in range(2))
    assert titled(first, "ICMP redirect")[0].end.fate == "delivered"
    assert titled(second, "ICMP redirect") == []
    redirected, changed = (titled(it, "ICMP echo request")[0] for it in (first, second))
    assert [str(hop.where) for hop in redirected if "net2" in str(hop.where)] == ["net2:veth0"] * 2
    assert [str(hop.where) for hop in changed if "net2" in str(hop.where)] == []
    assert "card is that of 10.1.1.3: a redirect has told of a shorter way" in why(changed.hops[0])
    assert "redirect" not in why(redirected.hops[0])


def test_packets_of_others_are_not_told() -> None:
    sh(BRIDGE)
    others = ["ip", "netns", "exec", "net3", "ping", "-i", "0.05", "10.1.1.2"]
    with subprocess.Popen(others, stdout=subprocess.DEVNULL) as other:
        try:
            seen = follow("net1", "ping -c3 -i 0.2 10.1.1.2")
        finally:
            other.terminate()
    pings = [journey for journey in seen.journeys if journey.protocol == "icmp"]
    assert len(pings) == 6
    assert not any("10.1.1.3" in journey.title for journey in pings)


@pytest.mark.parametrize(("flow", "protocol"), [("icmp", "icmp"), ("udp", "udp"), ("tcp", "tcp")])
def test_flow_is_sent_without_a_command(flow: str, protocol: str) -> None:
    sh(BRIDGE)
    seen = follow("net1", Flow("10.1.1.2", flow, None if flow == "icmp" else 80))
    assert protocol in {journey.protocol for journey in seen.journeys}


def test_at_most_so_many_packets_are_told() -> None:
    sh(BRIDGE)
    seen = follow("net1", "ping -c20 -i 0.01 10.1.1.2", count=10)
    assert len(seen.journeys) == 10
    assert len(seen.packets) > 160


def test_command_that_does_not_end_is_ended() -> None:
    sh(BRIDGE)
    began = time.monotonic()
    seen = follow("net1", "ping -i 0.2 10.1.1.2", timeout=1)
    assert time.monotonic() - began < 6
    assert "packets transmitted" in seen.output, "as with Ctrl-C, it has the last word"
    deaf = "trap '' INT; sleep 60 & sleep 60"
    began = time.monotonic()
    assert follow("net1", deaf, timeout=0.5).status == -9
    assert time.monotonic() - began < 6


def test_interrupt_ends_the_command_and_what_was_seen_is_told() -> None:
    sh(BRIDGE)
    script = (
        "import netviz, os, signal, threading\n"
        "from netviz.packets.tracer import follow\n"
        "threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "seen = follow('net1', 'ping -i 0.2 10.1.1.2; sleep 77')\n"
        "print(len(seen.journeys) > 4, 'packets transmitted' in seen.output)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True True\n"
    assert "sleep 77" not in sh("ps -e -o args")


def test_what_a_command_prints_is_heard_while_it_runs() -> None:
    sh(BRIDGE)
    pieces: list[tuple[float, str]] = []
    began = time.monotonic()
    seen = follow(
        "net1",
        "echo one; sleep 1; printf 'tw\\303'; sleep 0.3; printf '\\266\\377\n'",
        heard=lambda piece: pieces.append((time.monotonic() - began, piece)),
    )
    assert "".join(piece for _, piece in pieces) == seen.output == "one\ntw\u00f6\ufffd\n"
    assert pieces[-1][0] - pieces[0][0] > 1


def test_what_a_command_leaves_behind_is_not_waited_for() -> None:
    sh(BRIDGE)
    began = time.monotonic()
    seen = follow("net1", "setsid sleep 33 & echo $!")
    assert time.monotonic() - began < 10
    os.kill(int(seen.output), signal.SIGKILL)


def test_equal_packets_to_two_hosts_are_not_mixed_up() -> None:
    sh(BRIDGE)
    for number in (1, 2, 3):
        sh(f"ip -n net{number} address add fd00::{number}/64 dev veth0 nodad")
    both = "ping -c3 -i 0.1 -s0 -W1 fd00::2 & ping -c3 -i 0.1 -s0 -W1 fd00::3; wait"
    seen = follow("net1", both)
    pings = [it for it in seen.journeys if it.protocol == "icmp"]
    assert len(pings) == 12
    assert all(it.fate == "delivered" and len(it.hops) == 5 for it in pings)
    assert not [hop for it in pings for hop in it if "NAT" in why(hop)]


@pytest.mark.long
def test_network_of_many_namespaces_is_traced_in_seconds() -> None:
    bridge(100).up()
    began = time.monotonic()
    (request,) = titled(follow("net1", "ping -c1 -W2 10.1.1.3"), "ICMP echo request")
    assert time.monotonic() - began < 30, "it takes three; one tap a device would take a minute"
    assert request.fate == "delivered"


def test_last_words_are_heard_while_other_threads_work() -> None:
    script = """
import sys, threading
from netviz.net.namespaces import find
from netviz.packets.running import run
sys.setswitchinterval(0.03)
root = find()[0][0]
def work():
    while True: sum(range(1000))
threading.Thread(target=work, daemon=True).start()
lines = [f"sleep 0.{50 + number:03}; echo end" for number in range(12)]
print([run(root, line, 9.0, lambda _: None).output for line in lines].count("end\\n"))
"""
    command = [sys.executable, "-c", script]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "12\n"


def test_network_is_the_same_afterwards() -> None:
    sh(NAT)
    before = snapshot()
    follow("net1", "ping -c1 10.1.1.1")
    changed = {change.kind for change in before.diff(snapshot())}
    assert changed <= {"address", "neighbour", "fdb", "route"}, "what a network does by itself"
    assert "netviz" not in sh("ip netns exec router nft list ruleset")


@pytest.mark.parametrize(
    ("where", "command", "message"),
    [
        ("net9", PING, "there is no namespace 'net9'.*the namespaces are: root, net1"),
        (
            "net1",
            ["no-such-program", "x"],
            "cannot run 'no-such-program x' in 'net1': No such file",
        ),
        ("net1", "  ", "there is no command to follow"),
        ("net1", Flow("nowhere"), "'nowhere' is no address"),
        ("net1", Flow("10.1.1.2", "tcp"), "cannot send 'tcp' to port None"),
        ("net1", Flow("10.1.1.2", "sctp", 9), "cannot send 'sctp'"),
        ("net1", Flow("10.1.1.2", "udp", 99999), "cannot send 'udp' to port 99999"),
        ("net1", "pingg -c1 10.1.1.2", "cannot run 'pingg -c1 10.1.1.2' in 'net1': not found"),
    ],
)
def test_what_cannot_be_followed_is_told(
    where: str, command: str | list[str] | Flow, message: str
) -> None:
    sh(BRIDGE)
    with pytest.raises(TraceError, match=message):
        follow(where, command)


@pytest.mark.parametrize(
    ("command", "address"),
    [
        ("ping -c1 10.1.1.3", ("10.1.1.3", None)),
        ("ping -I 10.5.5.5 10.1.1.3 -c 1", ("10.1.1.3", None)),
        ("curl -s http://10.1.1.3:8080/index.html", ("10.1.1.3", None)),
        ("curl 10.1.1.3:80/index.html", ("10.1.1.3", None)),
        ("curl 'http://[fd00::2]/'", ("fd00::2", None)),
        ("ssh root@10.1.1.3", ("10.1.1.3", None)),
        ("dig @10.1.1.3 example", ("10.1.1.3", None)),
        ("/usr/bin/ping fe80::1%eth0", ("fe80::1", "eth0")),
        ("nc 10.1.1.3 80", ("10.1.1.3", None)),
        ("ip route add default via 10.1.1.3", None),
        ("ping -c1 10.1.1.3 ; echo 10.9.9.9", None),
        ("echo it's", None),
    ],
)
def test_address_that_a_command_is_about(command: str, address: tuple[str, str | None]) -> None:
    assert Command(command).aim() == address
