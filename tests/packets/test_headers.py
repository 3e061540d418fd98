"""Headers in words; and bytes that somebody made up, which are data and nothing worse."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import dpkt
import pytest

from netviz.journeys import Packet, Rewrite
from netviz.model import Endpoint, Interface, Namespace, Snapshot
from netviz.packets.facts import Facts
from netviz.packets.headers import header, rewrites
from netviz.packets.parts import Vxlan, parts
from netviz.packets.relations import Relations
from netviz.packets.telling import journey
from netviz.packets.tracing import tracks

if TYPE_CHECKING:
    from netviz.journeys import Header

HERE = Endpoint(1, 2, "net1", "veth0")
_ONE, _TWO = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
_MUTATIONS = 10_000


def packet(data: bytes, link: str = "ether") -> Packet:
    return Packet(0, HERE, "in", bytes(data), len(data), link)


def headers(seen: Packet) -> tuple[Header, ...]:
    return tuple(map(header, parts(seen)))


def echo(ttl: int = 64, source: str = "10.1.1.1", sequence: int = 7) -> dpkt.ip.IP:
    inner = dpkt.icmp.ICMP(type=8, data=dpkt.icmp.ICMP.Echo(id=3, seq=sequence, data=b"x" * 56))
    ends = {"src": bytes(map(int, source.split("."))), "dst": bytes([10, 1, 1, 2])}
    made = dpkt.ip.IP(p=1, ttl=ttl, id=77, data=inner, **ends)
    made.len = len(made)
    return made


def frame(inner: object, kind: int = 0x0800) -> bytes:
    return _TWO + _ONE + kind.to_bytes(2, "big") + bytes(inner)  # type: ignore[call-overload]


def datagram(data: bytes, port: int) -> dpkt.ip.IP:
    inner = dpkt.udp.UDP(sport=5000, dport=port, data=data)
    inner.ulen = len(inner)
    made = dpkt.ip.IP(p=17, src=bytes([192, 168, 7, 1]), dst=bytes([192, 168, 7, 2]), data=inner)
    made.len = len(made)
    return made


def overlay(inner: bytes, vni: int = 42) -> bytes:
    return frame(datagram(bytes(Vxlan(network=vni << 8)) + inner, 4789))


STREAM = dpkt.tcp.TCP(sport=40000, dport=80, seq=1, ack=2, flags=2, off=5)
V6 = dpkt.ip6.IP6(src=bytes(15) + b"\x01", dst=bytes(15) + b"\x02", nxt=58, plen=8, hlim=64)
SAMPLES = {
    "Ethernet IPv4 ICMP Data": frame(echo()),
    "Ethernet ARP": frame(dpkt.arp.ARP(op=1, sha=_ONE, spa=b"\n\1\1\1", tpa=b"\n\1\1\2"), 0x0806),
    "Ethernet IPv4 UDP VXLAN Ethernet IPv4 ICMP Data": overlay(frame(echo())),
    "Ethernet IPv4 IPv4 ICMP Data": frame(
        dpkt.ip.IP(p=4, src=b"\n\2\2\1", dst=b"\n\2\2\2", len=104, data=bytes(echo()))
    ),
    "Ethernet IPv4 UDP IPv4 ICMP Data": frame(datagram(bytes(echo()), 5555)),
    "Ethernet IPv4 UDP Ethernet IPv4 ICMP Data": frame(datagram(frame(echo()), 5555)),
    "Ethernet IPv4 UDP IPv6 ICMPv6": frame(
        datagram(bytes(V6)[:40] + b"\x80\0\0\0\0\x03\0\x07", 5555)
    ),
    "Ethernet IPv4 UDP Ethernet ARP": frame(
        datagram(frame(dpkt.arp.ARP(op=1, sha=_ONE, spa=b"\n\1\1\1", tpa=b"\n\1\1\2"), 0x0806), 5)
    ),
    "Ethernet IPv4 UDP Data": frame(datagram(bytes(V6)[:40] + bytes(9), 5555)),  # It is too long.
    "Ethernet IPv4 TCP": frame(dpkt.ip.IP(p=6, len=40, data=STREAM)),
    "Ethernet IPv6 ICMPv6": frame(bytes(V6)[:40] + b"\x80\0\0\0\0\x03\0\x07", 0x86DD),
    "Ethernet Data": frame(bytes(46), 0x88B5),
}


def value(told: tuple[Header, ...], name: str, field: str) -> str:
    return next(header.get(field) for header in told[::-1] if header.name == name)


@pytest.mark.parametrize("names", SAMPLES)
def test_headers_are_found_inwards_and_cover_the_packet(names: str) -> None:
    told = headers(packet(SAMPLES[names]))
    assert " ".join(it.name for it in told) == names
    assert [it.start for it in told] == [0, *(it.end for it in told[:-1])]
    for each in told:
        assert len(each.fields) == len(each.spans)
        inside = [each.start <= start <= end <= each.end for start, end in each.spans]
        assert all(inside) or each.name == "Data"


def test_fields_are_told_in_words() -> None:
    told = headers(packet(SAMPLES["Ethernet IPv4 UDP VXLAN Ethernet IPv4 ICMP Data"]))
    assert value(told, "ICMP", "type") == "echo request"
    assert value(told, "VXLAN", "vni") == "42"
    assert value(told, "IPv4", "source") == "10.1.1.1"
    assert value(told, "Ethernet", "source") == "02:00:00:00:00:01"


def test_what_a_router_changes_is_told() -> None:
    before, after = headers(packet(frame(echo(64)))), headers(packet(frame(echo(63, "10.9.9.9"))))
    assert [str(each) for each in rewrites(before, after) if each.field != "checksum"] == [
        "IPv4 ttl 64 → 63",
        "IPv4 source 10.1.1.1 → 10.9.9.9",
    ]


def test_what_a_tunnel_puts_around_is_told_as_whole_headers() -> None:
    before, after = headers(packet(frame(echo()))), headers(packet(overlay(frame(echo()))))
    told = rewrites(before, after)
    assert [each.header for each in told] == ["Ethernet", "IPv4", "UDP", "VXLAN"]
    assert str(told[3]) == "+ VXLAN vni 42"
    assert [each.header for each in rewrites(after, before) if not each.after] == [
        each.header for each in told
    ]
    assert rewrites(before, before) == ()
    assert str(Rewrite("VXLAN", "", "vni 42", "")) == "- VXLAN vni 42"


@pytest.mark.parametrize("names", SAMPLES)
def test_mutated_packets_are_told_somehow(names: str) -> None:
    chance = random.Random(names)
    made = []
    for _ in range(_MUTATIONS // len(SAMPLES)):
        data = bytearray(SAMPLES[names])
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        cut = chance.choice([len(data), chance.randrange(len(data) + 1)])
        link = chance.choice(["ether", "ether", "ip"])
        made.append(packet(data[:cut], link))
    for each in made:
        assert all(part.start < part.end for part in parts(each))
        assert headers(each) is not None
    link = Interface(2, "veth0", "veth", "02:00:00:00:00:02", 1500, ("UP", "LOWER_UP"))
    relations = Relations(Snapshot((Namespace(1, "net1", interfaces=(link,)),)))
    found = tracks(made, relations)
    assert sum(len(track.sightings) for track in found) >= len(made)
    facts = Facts(relations, relations.spaces.values(), found)
    assert all(journey(track, facts).title for track in found)
