"""Turn a namespace's routes and routing rules into nouns.

Numbers and names are those of linux/rtnetlink.h and linux/fib_rules.h; words are those of
``ip -j``, tables are numbers as with ``-N``. Messages know interfaces by index: ``names`` is the
namespace's index → name.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from netviz.model import Route, Rule
from netviz.net.links import FAMILIES, SCOPES, Names, name_of, text, words
from netviz.net.netlink import RTM_GETROUTE, RTM_GETRULE, Attributes, Socket, attributes, numbered
from netviz.net.parameters import ip_address

_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_MULTIPATH = 1, 4, 5, 6, 7, 9
_RTA_TABLE, _RTA_VIA = 15, 18

_CLONED = 0x200
_ROUTE_TYPES = numbered(
    "1 unicast 2 local 3 broadcast 4 anycast 5 multicast 6 blackhole 7 unreachable 8 prohibit "
    "9 throw 10 nat 11 xresolve"
)
_PROTOCOLS = numbered(
    "0 unspec 1 redirect 2 kernel 3 boot 4 static 8 gated 9 ra 10 mrt 11 zebra 12 bird "
    "13 dnrouted 14 xorp 15 ntk 16 dhcp 18 keepalived 42 babel 99 openr 186 bgp 187 isis "
    "188 ospf 189 rip 192 eigrp"
)
_ROUTE_FLAGS = numbered(
    "0x1 dead 0x4 onlink 0x2 pervasive 0x8 offload 0x40 trap 0x100 notify 0x10 linkdown "
    "0x20 unresolved 0x4000 rt_offload 0x8000 rt_trap"
)

_FRA_DST, _FRA_SRC, _FRA_IIFNAME, _FRA_PRIORITY, _FRA_FWMARK, _FRA_TABLE = 1, 2, 3, 6, 10, 15
_FRA_OIFNAME = 17
_RULE_INVERTED = 0x2
_RULE_ACTIONS = numbered("1 lookup 2 goto 3 nop 6 blackhole 7 unreachable 8 prohibit")

_route_header = struct.Struct("8BI")
_nexthop_header = struct.Struct("HBBi")
_unsigned = struct.Struct("I").unpack
_signed = struct.Struct("i").unpack
_route_flags = words(_ROUTE_FLAGS)


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


def _prefix(address: bytes | None, length: int, everything: str) -> str:
    if address is None:
        return f"0/{length}" if length else everything
    whole = length == 8 * len(address)
    return ip_address(address) if whole else f"{ip_address(address)}/{length}"


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
