"""The same packet, seen at many places: by what it is recognised. Pure.

On its way a packet gets other addresses, ports and time to live; it is wrapped and unwrapped, cut
into fragments or segments and joined again. What stays is within: of an echo its sequence and what
it carries, of a stream the numbers of its bytes, and of most packets the id in the IP header. So
each sighting has a ``key``, the same wherever the packet is seen, and the range of bytes that is
there: all of it, or a part.
"""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from netviz.packets.parts import VXLAN_PORTS, Part, parts

if TYPE_CHECKING:
    from netviz.journeys import Packet

Key = tuple[object, ...]
_NETWORKS = ("IPv4", "IPv6", "ARP", "STP", "LLC")
_ECHOES, _ECHOES6 = (0, 8), (128, 129)
_CARRIED = 16  # Bytes that are hashed: a ping's time of sending is among them.
_MARK = 6
_WORD = 1 << 32


class Segment(NamedTuple):
    """What a TCP header says; ``length`` is that of its data, ``options`` stand for its options."""

    sequence: int
    acknowledgement: int
    flags: int
    length: int
    options: int


@dataclass(slots=True)
class Sighting:
    """A packet at a tap. It is the bytes from ``start`` to before ``end`` of what ``key`` names.

    ``depth`` counts the tunnels that it is in; ``ends`` are the innermost source and destination.
    ``ident`` is the innermost IP header's, by which fragments know each other; ``part`` tells that
    it is one that does not begin with its protocol's header. ``mark`` is how that header begins,
    with ports or an id, which stay the same where nothing is translated.
    """

    packet: Packet
    key: Key
    start: int
    end: int
    depth: int
    ends: tuple[bytes, bytes]
    ident: int = 0
    part: bool = False
    mark: bytes = b""

    @property
    def stream(self) -> bool:
        """Tell whether it carries bytes of a TCP stream, which may be cut and joined."""
        return self.key[0] == "stream"

    @property
    def segment(self) -> Segment | None:
        """Return what a TCP segment without data says, None for all other packets."""
        told = self.key[2] if self.key[0] == "segment" else None
        return told if isinstance(told, Segment) else None


def sightings(packets: Iterable[Packet], ports: Collection[int] = VXLAN_PORTS) -> list[Sighting]:
    """Return what each packet is recognised by; ``ports`` are the UDP ports that mean VXLAN."""
    found = [_sighting(packet, parts(packet, ports)) for packet in packets]
    _join_streams([each for each in found if each.key[0] == "tcp"])
    _join_fragments(found)
    return found


def _sighting(packet: Packet, made: list[Part]) -> Sighting:
    names = [part.name for part in made]
    last = max((n for n, name in enumerate(names) if name in _NETWORKS), default=-1)
    frames = names.count("Ethernet") - (packet.link == "ether")
    depth = max(sum(name in _NETWORKS for name in names) - 1, frames, 0)
    if last < 0 or names[last] not in ("IPv4", "IPv6"):
        return _of_link(packet, made, last, depth)
    told, inner = made[last].told, made[last + 1] if last + 1 < len(made) else None
    if names[last] == "IPv4":
        size, offset, ident = told.len - 4 * told.hl, told.offset * 8, told.id
        protocol, part = told.p, bool(told.offset)
    else:
        fragment = told.extension_hdrs.get(44)
        ahead = sum(each.length for each in told.all_extension_headers)
        size, offset = told.plen - ahead, fragment.frag_off * 8 if fragment else 0
        ident, protocol, part = (fragment.id if fragment else 0), told.p, bool(offset)
    if size <= 0:  # Of a segment that no header can tell the length of.
        size = max(packet.length - made[last].end, 0)
    ends = (bytes(told.src), bytes(told.dst))
    carried = packet.data[inner.end if inner and inner.name != "Data" else made[last].end :]
    if part:
        key: Key = ("fragment", protocol)
    elif inner and inner.name == "TCP":
        return _of_stream(packet, inner, size, depth, ends, ident)
    else:
        number = ident if names[last] == "IPv4" else 0
        key = _key(protocol, number, inner, hash(carried[:_CARRIED]))
    mark = packet.data[inner.start : inner.start + _MARK] if inner and not part else b""
    return Sighting(packet, key, offset, offset + size, depth, ends, ident, part, mark)


def _of_link(packet: Packet, made: list[Part], last: int, depth: int) -> Sighting:
    """Return the sighting of what is no IP packet."""
    if last >= 0 and made[last].name == "ARP":
        told = made[last].told
        key: Key = ("arp", told.op, bytes(told.sha), bytes(told.spa), bytes(told.tpa))
        return Sighting(packet, key, 0, 28, depth, (bytes(told.spa), bytes(told.tpa)))
    frames = [part for part in made if part.name == "Ethernet"]
    body = packet.data[frames[-1].end if frames else 0 :]
    ends = (bytes(frames[-1].told.src), bytes(frames[-1].told.dst)) if frames else (b"", b"")
    kind = made[last].name.lower() if last >= 0 else "frame"
    return Sighting(packet, (kind, hash(body), ends), 0, len(body), depth, ends)


def _key(protocol: int, ident: int, inner: Part | None, carried: int) -> Key:
    told: Any = inner.told if inner else None
    if inner and inner.name == "ICMP":
        if told.type in _ECHOES:  # Its id may be translated, as a port is.
            return ("icmp", protocol, ident, told.type, getattr(told.data, "seq", 0), carried)
        return ("icmp", protocol, ident, told.type, told.code, carried)
    if inner and inner.name == "ICMPv6":
        if told.type in _ECHOES6:
            return ("icmp", protocol, ident, told.type, getattr(told.data, "seq", 0), carried)
        return ("icmp", protocol, ident, told.type, told.code, hash(bytes(told.data)))
    if inner and inner.name == "UDP":
        return ("udp", protocol, ident, told.ulen, carried)
    return ("ip", protocol, ident, carried)


def _of_stream(
    packet: Packet, inner: Part, size: int, depth: int, ends: tuple[bytes, bytes], ident: int
) -> Sighting:
    """Return the sighting of a TCP segment, of a stream that is not known yet."""
    told = inner.told
    length = max(size - (inner.end - inner.start), 0)
    stream = (*ends, told.sport, told.dport)
    exact = Segment(told.seq, told.ack, told.flags, length, hash(bytes(told.opts)))
    key = ("tcp", stream, exact)
    return Sighting(packet, key, told.seq, told.seq + length, depth, ends, ident)


def _join_streams(found: list[Sighting]) -> None:
    """Let the segments of one direction of a connection have one key, whatever its addresses are.

    Translated or not, some segments are seen whole at both sides: they tell that two pairs of
    addresses and ports mean the same stream.
    """
    parent: dict[object, object] = {}

    def top(stream: object) -> object:
        while parent.setdefault(stream, stream) != stream:
            stream = parent[stream]
        return stream

    known: dict[object, object] = {}
    for each in found:
        _, stream, exact = each.key
        parent[top(stream)] = top(known.setdefault(exact, stream))
    begins: dict[object, int] = {}
    for each in found:
        _, stream, exact = each.key
        name = top(stream)
        if each.start == each.end:
            each.key = ("segment", name, exact)
            each.start, each.end = 0, 1
            continue
        # Numbers begin anew after four billion bytes.
        first = begins.setdefault(name, each.start)
        start = (each.start - first + _WORD // 2) % _WORD - _WORD // 2
        each.key, each.start, each.end = ("stream", name), start, start + each.end - each.start


def _join_fragments(found: list[Sighting]) -> None:
    """Give each fragment the key of the packet that it is a part of: the nearest in time."""
    if not any(each.part for each in found):
        return
    wholes: dict[tuple[int, object], list[tuple[int, Key]]] = defaultdict(list)
    for each in found:
        if not each.part and each.key[0] in ("icmp", "udp", "ip"):
            wholes[each.ident, each.key[1]].append((each.packet.at, each.key))
    for known in wholes.values():
        known.sort(key=lambda pair: pair[0])
    for each in found:
        if each.part:
            near = wholes.get((each.ident, each.key[1]), [])
            place = bisect(near, each.packet.at, key=lambda pair: pair[0])
            around = near[max(place - 1, 0) : place + 1]
            each.key = min(
                around,
                key=lambda pair: abs(pair[0] - each.packet.at),
                default=(0, ("ip", each.key[1], each.ident, *each.ends)),
            )[1]
