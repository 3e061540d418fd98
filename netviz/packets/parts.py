"""What a packet is made of, from the outermost header to the innermost: read by dpkt. Pure.

Whatever bytes come, something is told: what cannot be read is data. A tunnel's headers are followed
inwards: VXLAN, IP in IP, GRE, and an IP packet or a frame that a program has put into a datagram.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, NamedTuple

import dpkt
from dpkt import arp, ethernet, gre, icmp, icmp6, ip, ip6, llc, stp, tcp, udp

if TYPE_CHECKING:
    from netviz.journeys import Packet

VXLAN_PORTS = frozenset((4789, 8472))
_ETHERTYPES = (b"\x08\x00", b"\x86\xdd")
_ARP = bytes.fromhex("0806 0001 0800 06 04 00")  # An ARP header begins so, behind two addresses.
_NEXT = (0, 6, 17, 44, 58)  # What follows an IPv6 header, as a rule.
_MOST = 12  # Headers of one packet; who wraps more often means harm.


class Vxlan(dpkt.Packet):  # type: ignore[misc]  # dpkt tells no types.
    """The eight bytes between an outer UDP header and the frame inside."""

    __hdr__ = (("flags", "B", 8), ("rest", "3s", b""), ("network", "I", 0))

    @property
    def vni(self) -> int:
        """Return the number of the overlay."""
        return int(self.network >> 8)


class Part(NamedTuple):
    """One header as dpkt has read it, from byte ``start`` to before byte ``end`` of a packet."""

    name: str
    told: Any
    start: int
    end: int


def parts(packet: Packet, ports: Collection[int] = VXLAN_PORTS) -> list[Part]:
    """Return what a packet is made of, the outermost first; the last may be ``Data``.

    ``ports`` are the UDP ports that mean VXLAN.
    """
    data, found = packet.data, list[Part]()
    step: _Step | None = (_frame if packet.link == "ether" else _network, 0)
    while step and len(found) < _MOST:
        read, start = step
        try:
            part, step = read(data, start, ports)
        except Exception:  # Of dpkt, for bytes that somebody made up, it may be any.
            break
        found.append(part)
    end = found[-1].end if found else 0
    if end < len(data):
        found.append(Part("Data", data[end:], end, len(data)))
    return found


_Step = tuple[Callable[[bytes, int, Collection[int]], "tuple[Part, _Step | None]"], int]
_Read = tuple[Part, _Step | None]


def _frame(data: bytes, start: int, _: Collection[int]) -> _Read:
    told = ethernet.Ethernet(data[start:])
    end = start + 14 + 4 * len(getattr(told, "vlan_tags", ()))
    inner = told.data
    if isinstance(inner, ip.IP | ip6.IP6):
        return Part("Ethernet", told, start, end), (_network, end)
    if isinstance(inner, arp.ARP):
        return Part("Ethernet", told, start, end), (_resolution, end)
    following = (_control, end) if isinstance(inner, llc.LLC) else None
    return Part("Ethernet", told, start, end), following


def _resolution(data: bytes, start: int, _: Collection[int]) -> _Read:
    return Part("ARP", arp.ARP(data[start:]), start, start + 28), None


def _control(data: bytes, start: int, _: Collection[int]) -> _Read:
    told = llc.LLC(data[start:])
    return Part("STP" if isinstance(told.data, stp.STP) else "LLC", told, start, len(data)), None


def _network(data: bytes, start: int, _: Collection[int]) -> _Read:
    if data[start] >> 4 == 6:
        told: Any = ip6.IP6(data[start:])
        end = start + 40 + sum(each.length for each in told.all_extension_headers)
        fragment = told.extension_hdrs.get(44)
        whole = not fragment or not fragment.frag_off
        return Part("IPv6", told, start, end), _after(told.p, end) if whole else None
    told = ip.IP(data[start:])
    if told.v != 4:
        raise dpkt.UnpackError("no version of IP")
    end = start + 4 * told.hl
    return Part("IPv4", told, start, end), _after(told.p, end) if not told.offset else None


def _after(protocol: int, end: int) -> _Step | None:
    following = {1: _control_message, 58: _control_message6, 6: _stream, 17: _datagram}
    following |= {4: _network, 41: _network, 47: _generic}
    return (following[protocol], end) if protocol in following else None


def _control_message(data: bytes, start: int, _: Collection[int]) -> _Read:
    return Part("ICMP", icmp.ICMP(data[start:]), start, start + 8), None


def _control_message6(data: bytes, start: int, _: Collection[int]) -> _Read:
    told = icmp6.ICMP6(data[start:])
    end = start + (24 if told.type in (135, 136) else 8)
    return Part("ICMPv6", told, start, end), None


def _stream(data: bytes, start: int, _: Collection[int]) -> _Read:
    told = tcp.TCP(data[start:])
    return Part("TCP", told, start, start + 4 * told.off), None


def _datagram(data: bytes, start: int, ports: Collection[int]) -> _Read:
    told = udp.UDP(data[start : start + 8])
    end = start + 8
    if told.dport in ports and len(data) >= end + 22 and data[end] & 0x08:
        return Part("UDP", told, start, end), (_overlay, end)
    head, length = data[end : end + 34], told.ulen - 8
    if _is_packet(head, length):
        return Part("UDP", told, start, end), (_network, end)
    question = head[12:21] == _ARP and length == 42
    framed = head[12:14] in _ETHERTYPES and _is_packet(head[14:], length - 14)
    return Part("UDP", told, start, end), (_frame, end) if question or framed else None


def _is_packet(head: bytes, length: int) -> bool:
    """Tell whether what a datagram holds is an IP packet: as long as it; of IPv4, its checksum."""
    if len(head) < 20:
        return False
    if head[0] >> 4 == 6:
        return head[6] in _NEXT and int.from_bytes(head[4:6], "big") + 40 == length
    whole = head[0] == 0x45 and int.from_bytes(head[2:4], "big") == length
    return whole and bool(dpkt.in_cksum(head[:20]) == 0)


def _overlay(data: bytes, start: int, _: Collection[int]) -> _Read:
    return Part("VXLAN", Vxlan(data[start : start + 8]), start, start + 8), (_frame, start + 8)


def _generic(data: bytes, start: int, _: Collection[int]) -> _Read:
    told = gre.GRE(data[start:])
    flags = told.flags
    end = start + 4 + 4 * sum(bool(flags & bit) for bit in (0x8000, 0x2000, 0x1000))
    inner = {0x0800: _network, 0x86DD: _network, 0x6558: _frame}.get(told.p)
    return Part("GRE", told, start, end), (inner, end) if inner else None
