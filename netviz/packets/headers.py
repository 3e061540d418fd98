"""A packet's headers in words, and what is otherwise in them at the next hop. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from netviz.journeys import Header, Rewrite

if TYPE_CHECKING:
    from netviz.packets.parts import Part

_ICMP = {
    0: "echo reply",
    3: "destination unreachable",
    5: "redirect",
    8: "echo request",
    11: "time exceeded",
}
_UNREACHABLE = {
    0: "network unreachable",
    1: "host unreachable",
    2: "protocol unreachable",
    3: "port unreachable",
    4: "fragmentation needed",
    9: "network prohibited",
    10: "host prohibited",
    13: "administratively prohibited",
}
_ICMP6 = {
    1: "destination unreachable",
    2: "packet too big",
    3: "time exceeded",
    128: "echo request",
    129: "echo reply",
    130: "multicast listener query",
    131: "multicast listener report",
    132: "multicast listener done",
    133: "router solicitation",
    134: "router advertisement",
    135: "neighbour solicitation",
    136: "neighbour advertisement",
    143: "multicast listener report",
}
_ETHERTYPES = {0x0800: "IPv4", 0x0806: "ARP", 0x86DD: "IPv6", 0x8100: "VLAN"}
_PROTOCOLS = {1: "ICMP", 2: "IGMP", 4: "IPv4", 6: "TCP", 17: "UDP", 41: "IPv6", 47: "GRE"}
_FLAGS = ((2, "SYN"), (16, "ACK"), (1, "FIN"), (4, "RST"), (8, "PSH"), (32, "URG"))


def rewrites(before: tuple[Header, ...], after: tuple[Header, ...]) -> tuple[Rewrite, ...]:
    """Return what is otherwise in a packet's headers at the next hop.

    Headers are compared from the innermost outwards: what was wrapped is still the same packet. A
    checksum that a virtual cable leaves unfinished is no change.
    """
    inner = _same(before[::-1], after[::-1])
    outer = _same(before[: len(before) - inner], after[: len(after) - inner])
    gone, come = before[outer : len(before) - inner], after[outer : len(after) - inner]
    found = [Rewrite(each.name, "", _summary(each), "") for each in gone if each.name != "Data"]
    found += [Rewrite(each.name, "", "", _summary(each)) for each in come if each.name != "Data"]
    kept = zip(
        before[:outer] + before[len(before) - inner :],
        after[:outer] + after[len(after) - inner :],
        strict=True,
    )
    for old, new in kept:
        found += [
            Rewrite(new.name, name, was, now)
            for (name, was), (_, now) in zip(old.fields, new.fields, strict=False)
            if was != now and (name != "checksum" or new.name == "IPv4")
        ]
    return tuple(found)


def _same(one: tuple[Header, ...], other: tuple[Header, ...]) -> int:
    """Return how many headers have the same names, from the first on."""
    pairs = zip(one, other, strict=False)
    return next(
        (n for n, (a, b) in enumerate(pairs) if a.name != b.name), min(len(one), len(other))
    )


def mac(raw: bytes) -> str:
    """Return a hardware address as one reads it."""
    return raw.hex(":")


@lru_cache(4096)
def address(raw: bytes) -> str:
    """Return an IP address as one reads it."""
    return str(ip_address(raw)) if len(raw) in (4, 16) else raw.hex()


_Field = tuple[str, int, int, Callable[[Any], str]]
_ENDS: tuple[_Field, ...] = (
    ("source port", 0, 2, lambda it: str(it.sport)),
    ("destination port", 2, 4, lambda it: str(it.dport)),
)
_FIELDS: dict[str, tuple[_Field, ...]] = {
    "Ethernet": (
        ("destination", 0, 6, lambda it: mac(it.dst)),
        ("source", 6, 12, lambda it: mac(it.src)),
        ("type", 12, 14, lambda it: _named(f"0x{it.type:04x}", _ETHERTYPES.get(it.type))),
        ("VLAN", 14, 16, lambda it: ", ".join(str(t.id) for t in getattr(it, "vlan_tags", ()))),
    ),
    "ARP": (
        ("operation", 6, 8, lambda it: {1: "who has", 2: "is at"}.get(it.op, str(it.op))),
        ("sender's MAC", 8, 14, lambda it: mac(it.sha)),
        ("sender", 14, 18, lambda it: address(it.spa)),
        ("target's MAC", 18, 24, lambda it: mac(it.tha)),
        ("target", 24, 28, lambda it: address(it.tpa)),
    ),
    "IPv4": (
        ("length", 2, 4, lambda it: str(it.len)),
        ("id", 4, 6, lambda it: str(it.id)),
        ("fragment", 6, 8, lambda it: _fragment(it)),
        ("ttl", 8, 9, lambda it: str(it.ttl)),
        ("protocol", 9, 10, lambda it: _named(str(it.p), _PROTOCOLS.get(it.p))),
        ("checksum", 10, 12, lambda it: f"0x{it.sum:04x}"),
        ("source", 12, 16, lambda it: address(it.src)),
        ("destination", 16, 20, lambda it: address(it.dst)),
    ),
    "IPv6": (
        ("length", 4, 6, lambda it: str(it.plen)),
        ("hop limit", 7, 8, lambda it: str(it.hlim)),
        ("source", 8, 24, lambda it: address(it.src)),
        ("destination", 24, 40, lambda it: address(it.dst)),
    ),
    "ICMP": (
        ("type", 0, 2, lambda it: message(it)),
        ("checksum", 2, 4, lambda it: f"0x{it.sum:04x}"),
        ("id", 4, 6, lambda it: str(getattr(it.data, "id", ""))),
        ("sequence", 6, 8, lambda it: str(getattr(it.data, "seq", ""))),
    ),
    "ICMPv6": (
        ("type", 0, 2, lambda it: message6(it)),
        ("checksum", 2, 4, lambda it: f"0x{it.sum:04x}"),
        ("id", 4, 6, lambda it: str(getattr(it.data, "id", ""))),
        ("sequence", 6, 8, lambda it: str(getattr(it.data, "seq", ""))),
        ("target", 8, 24, lambda it: address(target(it)) if target(it) else ""),
    ),
    "UDP": (
        *_ENDS,
        ("length", 4, 6, lambda it: str(it.ulen)),
        ("checksum", 6, 8, lambda it: f"0x{it.sum:04x}"),
    ),
    "TCP": (
        *_ENDS,
        ("sequence", 4, 8, lambda it: str(it.seq)),
        ("acknowledgement", 8, 12, lambda it: str(it.ack)),
        ("flags", 13, 14, lambda it: flags(it.flags)),
        ("window", 14, 16, lambda it: str(it.win)),
        ("checksum", 16, 18, lambda it: f"0x{it.sum:04x}"),
    ),
    "VXLAN": (("vni", 4, 7, lambda it: str(it.vni)),),
    "GRE": (("protocol", 2, 4, lambda it: f"0x{it.p:04x}"),),
}


def header(part: Part) -> Header:
    """Return a header in words; a field that cannot be told is left out."""
    if part.name == "Data":
        size = part.end - part.start
        return Header("Data", (("length", str(size)),), part.start, part.end, ((0, 0),))
    told, spans = [], []
    for name, start, end, say in _FIELDS.get(part.name, ()):
        said = say(part.told)
        if said:
            told.append((name, said))
            spans.append((part.start + start, part.start + end))
    return Header(part.name, tuple(told), part.start, part.end, tuple(spans))


def _summary(header: Header) -> str:
    """Return the few words by which one knows a header that was put around a packet."""
    wanted = ("vni", "source", "destination", "source port", "destination port")
    return (
        " ".join(f"{name} {value}" for name, value in header.fields if name in wanted) or "header"
    )


def _named(number: str, name: str | None) -> str:
    return f"{number} ({name})" if name else number


def message(told: Any) -> str:
    """Return what an ICMP message says: ``echo request``, ``time exceeded``."""
    if told.type == 3:
        return _UNREACHABLE.get(told.code, f"unreachable, code {told.code}")
    return _ICMP.get(told.type, f"type {told.type}")


def message6(told: Any) -> str:
    """Return what an ICMPv6 message says."""
    return _ICMP6.get(told.type, f"type {told.type}")


def target(told: Any) -> bytes:
    """Return the address that a neighbour message of IPv6 asks or answers for, if it is one."""
    raw = bytes(told.data) if told.type in (135, 136) else b""
    return raw[4:20]


def flags(bits: int) -> str:
    """Return TCP's flags: ``SYN ACK``."""
    return " ".join(name for bit, name in _FLAGS if bits & bit) or "none"


def _fragment(told: Any) -> str:
    """Return what is told of fragments: ``DF``; ``1480 +`` begins there and has more after it."""
    if told.df:
        return "DF: may not be cut"
    return f"{told.offset * 8}{' +' if told.mf else ''}" if told.mf or told.offset else "none"
