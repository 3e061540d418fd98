"""Turn a namespace's routes and routing rules into nouns, and these into messages and words.

Numbers and names are those of linux/rtnetlink.h and linux/fib_rules.h; words are those of
``ip -j``, tables are numbers as with ``-N``. Messages know interfaces by index: ``names`` is the
namespace's index → name.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from netviz.model import Route, Rule
from netviz.net.addresses import FAMILIES, FAMILY_NUMBERS, SCOPE_NUMBERS, SCOPES
from netviz.net.links import Indexes, Names, name_of, text, words
from netviz.net.messages import Attributes, attribute, attributes, numbered
from netviz.net.netlink import RTM_GETROUTE, RTM_GETRULE, Socket
from netviz.net.parameters import ip_address, ip_bytes

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
_FRA_OIFNAME, _FRA_SUPPRESS, _FRA_FWMASK = 17, 14, 16
_WHOLE_MARK = _NOT_SUPPRESSED = 0xFFFFFFFF
_RULE_INVERTED = 0x2
_RULE_ACTIONS = numbered("1 lookup 2 goto 3 nop 6 blackhole 7 unreachable 8 prohibit")

_route_header = struct.Struct("8BI")
_nexthop_header = struct.Struct("HBBi")
_unsigned = struct.Struct("I").unpack
_signed = struct.Struct("i").unpack
_packed = struct.Struct("I").pack
_route_flags = words(_ROUTE_FLAGS)
_ONLINK = 0x4
_LOCAL, _MAIN = 255, 254
_TYPE_NUMBERS = {name: number for number, name in _ROUTE_TYPES.items()}
_PROTOCOL_NUMBERS = {name: number for number, name in _PROTOCOLS.items()}
_ACTION_NUMBERS = {name: number for number, name in _RULE_ACTIONS.items()}


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
        fwmark=_number(told, _FRA_FWMARK, 0),
        table=table or None,
        action=_RULE_ACTIONS.get(action) or str(action),
        inverted=bool(flags & _RULE_INVERTED),
        fwmask=_number(told, _FRA_FWMASK, _WHOLE_MARK),
        suppress_prefixlength=_number(told, _FRA_SUPPRESS, _NOT_SUPPRESSED),
    )


def packed_route(route: Route, indexes: Indexes) -> bytes:
    """Return a request's body for a route. Equivalent to: ``ip route add`` or ``delete``.

    Raises ``KeyError`` for an interface that is not there, ``OSError`` for an address that is none.
    """
    address, length = _parts(route.to, route.family, "default")
    flags = sum(bit for bit, name in _ROUTE_FLAGS.items() if name in route.flags) & _ONLINK
    data = attribute(_RTA_DST, address) if length else b""
    data += attribute(_RTA_OIF, _packed(indexes[route.dev])) if route.dev else b""
    data += _packed_gateway(route.via, route.family) if route.via else b""
    data += attribute(_RTA_PRIORITY, _packed(route.metric)) if route.metric is not None else b""
    data += attribute(_RTA_PREFSRC, ip_bytes(route.prefsrc)) if route.prefsrc else b""
    data += attribute(_RTA_TABLE, _packed(route.table)) if route.table > 255 else b""
    hops = b"".join(_packed_hop(hop, route.family, indexes) for hop in route.nexthops)
    data += attribute(_RTA_MULTIPATH, hops) if hops else b""
    numbers = (
        route.table if route.table < 256 else 0,
        int(_PROTOCOL_NUMBERS.get(route.protocol, route.protocol)),
        int(SCOPE_NUMBERS.get(route.scope, route.scope)),
        _TYPE_NUMBERS[route.type],
    )
    return _route_header.pack(FAMILY_NUMBERS[route.family], length, 0, 0, *numbers, flags) + data


def route_words(route: Route) -> list[str]:
    """Return what one types after ``ip route add`` or ``delete``."""
    said = [route.type] if route.type != "unicast" else []
    said += [route.to]
    said += _via(route.via, route.family)
    said += ["dev", route.dev] if route.dev else []
    said += ["table", str(route.table)] if route.table != _implied_table(route) else []
    said += ["metric", str(route.metric)] if route.metric is not None else []
    said += ["proto", route.protocol] if route.protocol != "boot" else []
    said += ["scope", route.scope] if route.scope != implied_scope(route) else []
    said += ["src", route.prefsrc] if route.prefsrc else []
    said += ["onlink"] if "onlink" in route.flags else []
    for hop in route.nexthops:
        said += ["nexthop", *_via(hop.get("gateway"), route.family), "dev", str(hop["dev"])]
        said += ["weight", str(hop["weight"])] if hop["weight"] != 1 else []
        said += ["onlink"] if _is_onlink(hop) else []
    return said


def implied_scope(route: Route) -> str:
    """Return the scope that ``ip`` gives a route about which one says nothing."""
    if route.family == "inet6":
        return "global"
    if route.type in ("local", "nat"):
        return "host"
    direct = route.type == "unicast" and not route.via and not route.nexthops
    return "link" if direct or route.type in ("broadcast", "multicast", "anycast") else "global"


def packed_rule(rule: Rule) -> bytes:
    """Return a request's body for a rule. Equivalent to: ``ip rule add`` or ``delete``."""
    source, source_length = _parts(rule.source, rule.family, "all")
    to, to_length = _parts(rule.to, rule.family, "all")
    data = attribute(_FRA_PRIORITY, _packed(rule.priority))
    data += attribute(_FRA_SRC, source) if source_length else b""
    data += attribute(_FRA_DST, to) if to_length else b""
    for number, name in ((_FRA_IIFNAME, rule.iif), (_FRA_OIFNAME, rule.oif)):
        data += attribute(number, os.fsencode(name) + b"\0") if name else b""
    for number, value in (
        (_FRA_FWMARK, rule.fwmark),
        (_FRA_FWMASK, rule.fwmask),
        (_FRA_SUPPRESS, rule.suppress_prefixlength),
        (_FRA_TABLE, rule.table or (_MAIN if rule.action == "lookup" else None)),
    ):
        data += attribute(number, _packed(value)) if value is not None else b""
    lengths = (FAMILY_NUMBERS[rule.family], to_length, source_length, 0)
    action, flags = _ACTION_NUMBERS[rule.action], _RULE_INVERTED if rule.inverted else 0
    return _route_header.pack(*lengths, 0, 0, 0, action, flags) + data


def rule_words(rule: Rule) -> list[str]:
    """Return what one types after ``ip rule add`` or ``delete``."""
    said = ["not"] if rule.inverted else []
    said += ["from", rule.source]
    said += ["to", rule.to] if rule.to != "all" else []
    said += ["iif", rule.iif] if rule.iif else []
    said += ["oif", rule.oif] if rule.oif else []
    mask = f"/{rule.fwmask:#x}" if rule.fwmask is not None else ""
    said += ["fwmark", f"{rule.fwmark or 0:#x}{mask}"] if mask or rule.fwmark is not None else []
    said += ["priority", str(rule.priority)]
    said += ["table", str(rule.table or _MAIN)] if rule.action == "lookup" else [rule.action]
    if rule.suppress_prefixlength is not None:
        said += ["suppress_prefixlength", str(rule.suppress_prefixlength)]
    return said


def _implied_table(route: Route) -> int:
    return _LOCAL if route.type in ("local", "broadcast", "nat", "anycast") else _MAIN


def _parts(prefix: str, family: str, everything: str) -> tuple[bytes, int]:
    if prefix == everything:
        return b"", 0
    address, _, length = prefix.partition("/")
    data = ip_bytes(address) if address != "0" else bytes(4 if family == "inet" else 16)
    return data, int(length) if length else 8 * len(data)


def _packed_gateway(gateway: str, family: str) -> bytes:
    data = ip_bytes(gateway)
    if (len(data) == 4) == (family == "inet"):
        return attribute(_RTA_GATEWAY, data)
    other = FAMILY_NUMBERS["inet6" if family == "inet" else "inet"]
    return attribute(_RTA_VIA, struct.pack("H", other) + data)


def _packed_hop(hop: Mapping[str, Any], family: str, indexes: Indexes) -> bytes:
    gateway = _packed_gateway(hop["gateway"], family) if hop.get("gateway") else b""
    flags = _ONLINK if _is_onlink(hop) else 0
    size = _nexthop_header.size + len(gateway)
    return _nexthop_header.pack(size, flags, hop["weight"] - 1, indexes[hop["dev"]]) + gateway


def _is_onlink(hop: Mapping[str, Any]) -> bool:
    return "onlink" in hop.get("flags", ())


def _via(gateway: object, family: str) -> list[str]:
    if not gateway:
        return []
    other = (":" in str(gateway)) != (family == "inet6")
    return ["via", *(["inet6" if family == "inet" else "inet"] if other else []), str(gateway)]


def _number(told: Attributes, number: int, nothing: int) -> int | None:
    value = _unsigned(told[number])[0] if number in told else nothing
    return value if value != nothing else None


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
