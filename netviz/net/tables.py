"""Turn a namespace's routes, rules, neighbours and forwarding entries into nouns.

Numbers and names are those of linux/rtnetlink.h, linux/fib_rules.h and linux/neighbour.h; words
are those of ``ip -j`` and ``bridge -j``, tables are numbers as with ``-N``. Messages
know interfaces by index: each function takes ``names``, the namespace's index → name.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter

from netviz.model import FdbEntry, Neighbour, Route, Rule
from netviz.net.links import FAMILIES, SCOPES, text
from netviz.net.netlink import (
    AF_BRIDGE,
    RTM_GETNEIGH,
    RTM_GETROUTE,
    RTM_GETRULE,
    Attributes,
    Socket,
    attributes,
)
from netviz.net.parameters import ip_address, mac_address

Names = Mapping[int, str]

_RTA_DST = 1
_RTA_OIF = 4
_RTA_GATEWAY = 5
_RTA_PRIORITY = 6
_RTA_PREFSRC = 7
_RTA_MULTIPATH = 9
_RTA_TABLE = 15
_RTA_VIA = 18

_CLONED = 0x200
_ROUTE_TYPES = {
    1: "unicast",
    2: "local",
    3: "broadcast",
    4: "anycast",
    5: "multicast",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
    9: "throw",
    10: "nat",
    11: "xresolve",
}
_PROTOCOLS = {
    0: "unspec",
    1: "redirect",
    2: "kernel",
    3: "boot",
    4: "static",
    8: "gated",
    9: "ra",
    10: "mrt",
    11: "zebra",
    12: "bird",
    13: "dnrouted",
    14: "xorp",
    15: "ntk",
    16: "dhcp",
    18: "keepalived",
    42: "babel",
    99: "openr",
    186: "bgp",
    187: "isis",
    188: "ospf",
    189: "rip",
    192: "eigrp",
}
_ROUTE_FLAGS = {
    0x1: "dead",
    0x4: "onlink",
    0x2: "pervasive",
    0x8: "offload",
    0x40: "trap",
    0x100: "notify",
    0x10: "linkdown",
    0x20: "unresolved",
    0x4000: "rt_offload",
    0x8000: "rt_trap",
}

_FRA_DST = 1
_FRA_SRC = 2
_FRA_IIFNAME = 3
_FRA_PRIORITY = 6
_FRA_FWMARK = 10
_FRA_TABLE = 15
_FRA_OIFNAME = 17
_RULE_INVERTED = 0x2
_RULE_ACTIONS = {
    1: "lookup",
    2: "goto",
    3: "nop",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
}

_NDA_DST = 1
_NDA_LLADDR = 2
_NDA_VLAN = 5
_NDA_PORT = 6
_NDA_VNI = 7
_NDA_MASTER = 9
_NUD_NOARP = 0x40
_NUD_PERMANENT = 0x80
_NEIGHBOUR_STATES = {
    0x1: "INCOMPLETE",
    0x2: "REACHABLE",
    0x4: "STALE",
    0x8: "DELAY",
    0x10: "PROBE",
    0x20: "FAILED",
    _NUD_NOARP: "NOARP",
    _NUD_PERMANENT: "PERMANENT",
}
_NTF_LEARNED_ELSEWHERE = 0x10
_NEIGHBOUR_FLAGS = {
    0x80: "router",
    0x8: "proxy",
    _NTF_LEARNED_ELSEWHERE: "extern_learn",
    0x20: "offload",
}
_FDB_STATES = {_NUD_PERMANENT: "permanent", _NUD_NOARP: "static", 0x4: "stale"}
_FDB_FLAGS = {
    0x2: "self",
    0x80: "router",
    _NTF_LEARNED_ELSEWHERE: "extern_learn",
    0x20: "offload",
    0x4: "master",
    0x40: "sticky",
}

_route_header = struct.Struct("8BI")
_nexthop_header = struct.Struct("HBBi")
_neighbour_header = struct.Struct("BxxxiHBB")
_unsigned = struct.Struct("I").unpack
_signed = struct.Struct("i").unpack


def routes(socket: Socket, names: Names) -> tuple[Route, ...]:
    """Return the routes of all tables. Equivalent to: ``ip -j route show table all``."""
    found = []
    for message in socket.dump(RTM_GETROUTE, bytes(_route_header.size)):
        header = _route_header.unpack_from(message)
        family, length, _, _, table, protocol, scope, kind, flags = header
        if family not in FAMILIES or flags & _CLONED:
            continue
        told = attributes(message, _route_header.size)
        source, table_number = told.get(_RTA_PREFSRC), told.get(_RTA_TABLE)
        multipath, out = told.get(_RTA_MULTIPATH), told.get(_RTA_OIF)
        found.append(
            Route(
                _prefix(told.get(_RTA_DST), length, "default"),
                FAMILIES[family],
                name_of(names, _signed(out)[0]) if out else None,
                _gateway(told),
                _unsigned(table_number)[0] if table_number else table,
                _unsigned(told[_RTA_PRIORITY])[0] if _RTA_PRIORITY in told else None,
                SCOPES.get(scope) or str(scope),
                _ROUTE_TYPES.get(kind) or str(kind),
                _PROTOCOLS.get(protocol) or str(protocol),
                ip_address(source) if source else None,
                tuple(_nexthops(multipath, names)) if multipath else (),
                _route_flags(flags),
            )
        )
    return tuple(found)


def rules(socket: Socket) -> tuple[Rule, ...]:
    """Return the policy-routing rules. Equivalent to: ``ip -N -j rule`` and ``ip -6 …``."""
    messages = socket.dump(RTM_GETRULE, bytes(_route_header.size))
    return tuple(_rule(message) for message in messages if message[0] in FAMILIES)


@lru_cache  # Every namespace has the same ones, to begin with.
def _rule(message: bytes) -> Rule:
    header = _route_header.unpack_from(message)
    family, to_length, from_length, _, table, _, _, action, flags = header
    told = attributes(message, _route_header.size)
    table = _unsigned(told[_FRA_TABLE])[0] if _FRA_TABLE in told else table
    return Rule(
        priority=_unsigned(told[_FRA_PRIORITY])[0] if _FRA_PRIORITY in told else 0,
        family=FAMILIES[family],
        source=_prefix(told.get(_FRA_SRC), from_length, "all"),
        to=_prefix(told.get(_FRA_DST), to_length, "all"),
        iif=text(told[_FRA_IIFNAME]) if _FRA_IIFNAME in told else None,
        oif=text(told[_FRA_OIFNAME]) if _FRA_OIFNAME in told else None,
        fwmark=_unsigned(told[_FRA_FWMARK])[0] if _FRA_FWMARK in told else None,
        table=table or None,
        action=_RULE_ACTIONS.get(action) or str(action),
        inverted=bool(flags & _RULE_INVERTED),
    )


def neighbours(socket: Socket, names: Names) -> tuple[Neighbour, ...]:
    """Return the ARP and ND tables. Equivalent to: ``ip -j neighbour``, both families.

    Like it, leaves out what needs no resolution (state NOARP): multicast and loopback.
    """
    found = []
    for message in socket.dump(RTM_GETNEIGH, bytes(_neighbour_header.size)):
        family, index, state, flags, _ = _neighbour_header.unpack_from(message)
        resolved = state & ~_NUD_NOARP or flags & _NTF_LEARNED_ELSEWHERE
        if family not in FAMILIES or not resolved:
            continue
        told = attributes(message, _neighbour_header.size)
        found.append(
            Neighbour(
                ip_address(told[_NDA_DST]),
                name_of(names, index),
                FAMILIES[family],
                mac_address(told[_NDA_LLADDR]) if _NDA_LLADDR in told else None,
                _neighbour_states(state),
                _neighbour_flags(flags),
            )
        )
    # The kernel's order is that of a hash table.
    return tuple(sorted(found, key=attrgetter("dev", "family", "to")))


def forwarding(socket: Socket, names: Names) -> tuple[FdbEntry, ...]:
    """Return the forwarding databases. Equivalent to: ``bridge -d -j fdb``."""
    found = []
    request = _neighbour_header.pack(AF_BRIDGE, 0, 0, 0, 0)
    for message in socket.dump(RTM_GETNEIGH, request):
        family, index, state, flags, _ = _neighbour_header.unpack_from(message)
        told = attributes(message, _neighbour_header.size)
        if family != AF_BRIDGE or _NDA_LLADDR not in told:
            continue
        far, port = told.get(_NDA_DST), told.get(_NDA_PORT)
        master = told.get(_NDA_MASTER)
        found.append(
            FdbEntry(
                mac_address(told[_NDA_LLADDR]),
                name_of(names, index),
                name_of(names, _signed(master)[0]) if master else None,
                int.from_bytes(told[_NDA_VLAN], "little") if _NDA_VLAN in told else None,
                ip_address(far) if far else None,
                int.from_bytes(port, "big") if port else None,
                _unsigned(told[_NDA_VNI])[0] if _NDA_VNI in told else None,
                (*_fdb_states(state), "")[0],
                _fdb_flags(flags),
            )
        )
    return tuple(sorted(found, key=lambda e: (e.dev, e.mac, e.vlan or 0, e.dst or "")))


def _prefix(address: bytes | None, length: int, everything: str) -> str:
    if address is None:
        return f"0/{length}" if length else everything
    whole = length == 8 * len(address)
    return ip_address(address) if whole else f"{ip_address(address)}/{length}"


def name_of(names: Names, index: int) -> str:
    """Return an interface's name; of one that came after the list was read, what `ip` writes."""
    return names.get(index) or f"if{index}"


def _gateway(told: Attributes) -> str | None:
    if _RTA_GATEWAY in told:
        return ip_address(told[_RTA_GATEWAY])
    return ip_address(told[_RTA_VIA][2:]) if _RTA_VIA in told else None


def _nexthops(data: bytes, names: Names) -> list[dict[str, object]]:
    hops: list[dict[str, object]] = []
    while len(data) >= _nexthop_header.size:
        length, flags, weight, index = _nexthop_header.unpack_from(data)
        gateway = _gateway(attributes(data[:length], _nexthop_header.size))
        hop = {"gateway": gateway} if gateway else {}
        hops.append(
            {
                **hop,
                "dev": name_of(names, index),
                "weight": weight + 1,
                "flags": list(_route_flags(flags)),
            }
        )
        data = data[length + 3 & ~3 :]
    return hops


def _words(names: Mapping[int, str]) -> Callable[[int], tuple[str, ...]]:
    """Return what tells the bits of a number by name; few numbers come, and each often."""

    @lru_cache
    def words(number: int) -> tuple[str, ...]:
        return tuple(name for bit, name in names.items() if number & bit)

    return words


_route_flags = _words(_ROUTE_FLAGS)
_neighbour_states = _words(_NEIGHBOUR_STATES)
_neighbour_flags = _words(_NEIGHBOUR_FLAGS)
_fdb_states = _words(_FDB_STATES)
_fdb_flags = _words(_FDB_FLAGS)
