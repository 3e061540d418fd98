"""A few packets of each cable: which, in which order, how many, and of a flood only a share."""

from __future__ import annotations

import socket
import subprocess
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as some

import netviz
from netviz.journeys import Packet
from netviz.model import Endpoint
from netviz.packets.rings import Interfaces, Ring
from netviz.packets.sampling import SNAP, Sampling, Sight, program, protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 20
HERE = Endpoint(1, 2, "net1", "eth0")
MACS = bytes.fromhex("020000000002020000000001")
IPV4 = bytes.fromhex("4500001c000000004000000000000000") + bytes(4)
OVERLAY = """
ip netns add net1; ip netns add net2
ip link add eth0 netns net1 type veth peer name eth0 netns net2
for n in 1 2; do
    ip -n net$n address add 192.168.0.$n/24 dev eth0; ip -n net$n link set eth0 up
    ip -n net$n link add vxlan0 type vxlan id 7 dstport 4789 \
        local 192.168.0.$n remote 192.168.0.$((3 - n))
    ip -n net$n address add 10.0.0.$n/24 dev vxlan0; ip -n net$n link set vxlan0 up
done"""
ABOVE = """
ip netns add net1; ip link add below type veth peer name beyond; ip link set beyond up
ip link add above link below type macvlan mode bridge
ip link add twin link below type macvlan mode bridge
ip link set above netns net1
ip -n net1 address add 10.0.0.1/24 dev above; ip address add 10.0.0.2/24 dev twin
ip link set below up; ip link set twin up; ip -n net1 link set above up"""


def sh(script: str) -> None:
    subprocess.run(["bash", "-ec", script], check=True, stdout=subprocess.DEVNULL)


def ping(*more: str, to: str = "10.1.1.3") -> None:
    sh(f"ip netns exec net1 ping {' '.join(more or ['-c1'])} {to}")


def until(true: object) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


class Seen(list[Sight]):
    """All sights, and each interface's name."""

    def of(self, protocol: str) -> list[str]:
        """Return who has sent packets of a protocol, by time; with `` in`` where they came to."""
        names = {(s.id, i.index): f"{s.name}:{i.name}" for s, i in netviz.snapshot()}
        ends = {"out": "", "in": " in"}
        return [names[it.where] + ends[it.direction] for it in self if it.protocol == protocol]


@contextmanager
def watching() -> Iterator[Seen]:
    """Lend the sights as they come."""
    seen, failed = Seen(), []
    with Sampling(seen.extend, failed.append):
        yield seen
    assert failed == []


def test_ping_is_seen_in_the_order_of_its_way() -> None:
    netviz.bridge(3).up()
    with watching() as seen:
        for _ in range(5):
            ping()
            until(lambda: seen.of("ICMP")[3:])
            ways = ["net1:veth0", "root:br1-veth1", "net2:veth1", "root:br1-veth0"]
            assert seen.of("ICMP") == ways
            assert {it.number for it in seen} == {1}
            seen.clear()


def test_question_to_all_is_seen_on_each_cable() -> None:
    netviz.bridge(3).up()
    with watching() as seen:
        ping()
        until(lambda: seen.of("ICMP")[3:])
        assert sorted(seen.of("ARP")) == [
            *("net1:veth0", "net2:veth1"),
            *("root:br1-veth0", "root:br1-veth1", "root:br1-veth2"),
        ]


@pytest.mark.long
def test_what_the_kernel_says_of_its_own_accord_is_left_out() -> None:
    with watching() as seen:
        netviz.bridge(2).up()
        sh("ip link set br1 type bridge stp_state 1; ip -n net1 link set veth0 down")
        sh("ip -n net1 link set veth0 up")
        time.sleep(3)
        assert [it for it in seen if it.protocol != "ARP"] == []


def test_cable_that_comes_later_is_watched_too() -> None:
    with watching() as seen:
        netviz.bridge(2).up()
        until(lambda: (ping(), seen.of("ICMP"))[1])


def test_overlay_shows_what_is_in_it_and_the_cable_a_tunnel() -> None:
    sh(OVERLAY)
    with watching() as seen:
        ping(to="10.0.0.2")
        until(lambda: seen.of("ICMP")[1:])
        assert seen.of("ICMP") == ["net1:vxlan0", "net2:vxlan0"]
        assert set(seen.of("tunnel")) == {"net1:eth0", "net2:eth0"}


def test_macvlan_has_both_ways() -> None:
    sh(ABOVE)
    with watching() as seen:
        ping(to="10.0.0.2")
        until(lambda: len(seen.of("ICMP")) == 4)
        assert sorted(seen.of("ICMP")) == [
            *("net1:above", "net1:above in", "root:twin", "root:twin in"),
        ]


@pytest.mark.long
def test_taps_rest_in_a_flood_which_is_counted_all_the_same() -> None:
    netviz.bridge(2).up()
    seen, resting = Seen(), []

    def hear(some: list[Sight]) -> None:
        seen.extend(some)
        resting.append(sum(it.rests for it in watch._taps.values()))

    with Sampling(hear, print) as watch:
        ping("-qfc", "200000")
        until(lambda: resting[-1] == 0)
        seen_of_all = Counter({it.where: 0 for it in seen})
        for each in seen:
            seen_of_all[each.where] += each.number
        seen.clear()
        ping()
        until(lambda: seen.of("ICMP")[3:])
        assert {it.number for it in seen} == {1}
    assert max(resting) == 4
    assert len(seen_of_all) == 4
    assert all(100_000 < each < 400_000 for each in seen_of_all.values())


@pytest.mark.parametrize(("both", "ways"), [(False, {"out"}), (True, {"out", "in"})])
def test_kernel_lets_in_what_is_sent_or_both_ways(both: bool, ways: set[str]) -> None:
    ring = Ring(Interfaces(1, "root"), 1, 64, program(both=both))
    for _ in range(500):
        send()
    found = heard(ring)
    assert Counter(it.direction for it in found) == dict.fromkeys(ways, 500)
    assert {len(it.data) for it in found} == {SNAP}
    ring.close()


def test_tap_that_rests_hears_nothing_and_then_again() -> None:
    ring = Ring(Interfaces(1, "root"), 1, 16, program())
    for on, number in ((True, 1), (False, 0), (True, 1), (False, 0), (False, 0)):
        ring.listen(on)
        send()
        assert len(heard(ring)) == number
    ring.close()


def send() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(bytes(300), ("127.0.0.1", 9999))


def heard(ring: Ring) -> list[Packet]:
    """Return the datagrams that a tap has heard of."""
    time.sleep(0.05)
    found = [it for block in ring.read() for it in block.packets()]
    return [it for it in found if protocol(it) == "UDP"]


def ether(kind: int, rest: bytes) -> Packet:
    data = MACS + kind.to_bytes(2) + rest
    return Packet(0, HERE, "out", data[:SNAP], len(data))


def ipv4(number: int, rest: bytes = b"") -> Packet:
    return ether(0x0800, IPV4[:9] + bytes([number]) + IPV4[10:] + rest.ljust(16, b"\0"))


def ipv6(number: int, rest: bytes, source: bytes = b"\xfe\x80".ljust(16, b"\1")) -> Packet:
    rest = rest.ljust(32, b"\0")
    head = bytes.fromhex("60000000") + len(rest).to_bytes(2) + bytes([number, 255])
    return ether(0x86DD, head + source + bytes(16) + rest)


def datagram(port: int) -> bytes:
    return bytes.fromhex("1388") + port.to_bytes(2) + (16).to_bytes(2) + bytes(2)


PACKETS = {
    "ARP": [ether(0x0806, bytes.fromhex("0001080006040001") + bytes(20)), ipv6(58, b"\x87")],
    "ICMP": [ipv4(1, b"\x08"), ipv6(58, b"\x80")],
    "TCP": [ipv4(6, bytes(12) + b"\x50\x02" + bytes(6)), ipv6(6, bytes(12) + b"\x50\x02")],
    "UDP": [ipv4(17, datagram(53)), ipv6(17, datagram(53))],
    "tunnel": [
        ipv4(17, datagram(4789) + b"\x08" + bytes(7) + MACS + b"\x08\x00" + IPV4),
        ipv4(4, IPV4),
        ipv4(47, bytes.fromhex("00000800") + IPV4),
    ],
    "other": [ipv4(132), ether(0x88B5, bytes(40))],
    None: [
        ipv6(58, b"\x8f"),  # Who listens to a group.
        ipv6(58, b"\x85"),  # Where is a router?
        ipv6(58, b"\x87", source=bytes(16)),  # Has somebody my address?
        ipv4(2),
        ipv4(17, datagram(5353)),
    ],
}


@pytest.mark.parametrize("kind", PACKETS)
def test_packet_is_what_one_sees_from_outside(kind: str | None) -> None:
    assert [protocol(each) for each in PACKETS[kind]] == [kind] * len(PACKETS[kind])


@given(some.binary(max_size=SNAP), some.sampled_from(["ether", "ip"]))
def test_whatever_bytes_come_something_is_told(data: bytes, link: str) -> None:
    assert protocol(Packet(0, HERE, "out", data, len(data), link)) in PACKETS


@given(some.sampled_from([it for its in PACKETS.values() for it in its]), some.data())
def test_mutated_packet_is_something(packet: Packet, drawn: some.DataObject) -> None:
    data = bytearray(packet.data)
    for _ in range(3):
        data[drawn.draw(some.integers(0, len(data) - 1))] = drawn.draw(some.integers(0, 255))
    assert protocol(Packet(0, HERE, "out", bytes(data), len(data))) in PACKETS
