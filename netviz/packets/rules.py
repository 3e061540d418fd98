"""What a rule of nftables asks of a packet, and how it reads, from what ``nft -j`` tells. Pure.

An answer is ``True``, ``False``, or ``None`` where it cannot be known: what is asked is not
understood, or no snapshot has it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from operator import and_, ge, gt, le, lt, or_, xor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netviz.packets.deals import Deals
    from netviz.packets.lookup import Stack

_Told = Mapping[str, Any]
Place = tuple[str, str, str]
"""A family, a table, and what has a name in it: a chain, a set, a map."""
ABSENT = object()
"""The value of what a packet does not have, as ICMP has no port: no question about it is true."""
_NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "ipv6-icmp": 58, "icmpv6": 58}
_COMPARES = {"<": lt, ">": gt, "<=": le, ">=": ge}
_JOINS = {"&": and_, "|": or_, "^": xor}
_SAID = {
    "payload": "{protocol} {field}",
    "ct": "ct {key}",
    "fib": "fib {flags} {result}",
    "prefix": "{addr}/{len}",
    "numgen": "numgen {mode} mod {mod}",
    "map": "{key} map {data}",
    "vmap": "{key} vmap {data}",
    "mangle": "{key} set {value}",
    "jump": "jump {target}",
    "goto": "goto {target}",
    "limit": "limit rate {rate}/{per}",
    "xt": 'xt {type} "{name}"',
}
"""How ``nft list`` writes what ``nft -j`` gives as an object."""
_PLAIN = ("iif", "oif", "iifname", "oifname")


@dataclass(frozen=True, slots=True)
class Flowing:
    """A packet as packet filters see it.

    ``family`` is ``inet`` or ``inet6``; ``protocol`` is ``icmp``, ``icmpv6``, ``tcp``, ``udp`` or
    ``arp``; ``kind`` is ``request`` or ``reply`` of a ping and of ARP, ``solicit`` or ``advert`` of
    ND. ``state`` is conntrack's: ``established`` is what answers; ND is ``untracked``. ``status``
    is what NAT has done: ``snat``, ``dnat``. With a ``size`` in bytes it must not be cut.
    """

    family: str
    source: str
    to: str
    protocol: str
    sport: int | None = None
    dport: int | None = None
    iif: str | None = None
    oif: str | None = None
    state: str = "new"
    kind: str = "request"
    mark: int = 0
    status: frozenset[str] = frozenset()
    size: int = 0


class Matcher:
    """What a namespace's rules see in a packet, by its sets and maps; ``deals`` has the turns."""

    def __init__(self, sets: Mapping[Place, Any], stack: Stack, deals: Deals) -> None:
        self._sets, self._stack, self._deals = sets, stack, deals

    def holds(self, told: _Told, packet: Flowing, place: Place) -> bool | None:
        """Tell whether a packet matches: ``tcp dport 80``, ``ip saddr != 10.0.0.0/8``."""
        found = self.value(told.get("left"), packet, place)
        operator, right = told.get("op"), told.get("right")
        if found is ABSENT or found is None:
            return False if found is ABSENT else None
        if operator in _COMPARES:
            limit = _comparable(right)
            if isinstance(found, int) and isinstance(limit, int):
                return bool(_COMPARES[operator](found, limit))
            return None
        if operator in ("in", "!") and isinstance(found, frozenset):
            hit: bool | None = bool(found & _flags(right))
        else:
            hit = self._has(right, found, place)
        return hit if operator in ("==", "in") or hit is None else not hit

    def asked(
        self, known: tuple[str, object], said: str, packet: Flowing, place: Place
    ) -> bool | None:
        """Tell whether a match of iptables' own holds; ``known`` is its option, and what it asks.

        ``said`` is how ``iptables-save`` writes it: ``--ctstate RELATED,ESTABLISHED``.
        """
        option, left = known
        way, _, values = said.lower().rpartition(f"{option} ")
        some = values.split(",")
        if way not in ("", "! ") or " " in values or not values or {"snat", "dnat"} & {*some}:
            return None
        operator = "!=" if way else "=="
        return self.holds({"left": left, "op": operator, "right": {"set": some}}, packet, place)

    def value(self, told: object, packet: Flowing, place: Place) -> object:
        """Return what an expression gives; `ABSENT` where the packet has no such field."""
        match told:
            case str() | int():
                return told
            case {"payload": {"protocol": str(protocol), "field": str(field)}}:
                return _field(protocol, field, packet)
            case {"meta": {"key": str(key)}}:
                return _about(key, packet)
            case {"ct": {"key": "state"}}:
                return frozenset([packet.state])
            case {"ct": {"key": "status"}}:
                return packet.status if packet.state == "new" else None
            case {"ct": {"key": "direction"}}:
                return "original" if packet.state == "new" else "reply"
            case {"fib": {"result": "type", "flags": ["daddr"]}}:
                return self._type(packet.to)
            case {"concat": [*parts]}:
                values = tuple(self.value(part, packet, place) for part in parts)
                return ABSENT if ABSENT in values else values
            case {"map": {"key": key, "data": data}}:
                return self.entry(data, self.dealt(key, packet, place), place)
            case dict() if len(told) == 1 and (operator := next(iter(told))) in _JOINS:
                first, second = told[operator]
                return _joined(operator, self.value(first, packet, place), second)
        return None

    def dealt(self, key: object, packet: Flowing, place: Place) -> object:
        """Return what a map is asked for: by a rule that deals out, whose turn it is."""
        match key:
            case {"numgen": {"mod": int(mod), "offset": int(offset)}} if mod > 0:
                return self._deals.turn(key, mod) + offset
        return self.value(key, packet, place)

    def entry(self, data: object, found: object, place: Place) -> object:
        """Return what a map has for a value, `ABSENT` where it has nothing."""
        some = (
            data.get("set") if isinstance(data, dict) else self._sets.get((*place[:2], str(data)))
        )
        if found is ABSENT or some is None:
            return found if found is ABSENT else None
        hits = [(self._has(key, found, place), then) for key, then in some]
        if known := [then for hit, then in hits if hit]:
            return known[0]
        return None if None in [hit for hit, _ in hits] else ABSENT

    def _has(self, right: object, found: object, place: Place) -> bool | None:
        """Tell whether a value is the one, or among those, at the right of a question."""
        if found is None:
            return None
        match right:
            case {"set": [*some]}:
                return _any(self._has(each, found, place) for each in some)
            case str() if right.startswith("@"):
                known = self._sets.get((*place[:2], right))
                return None if known is None else self._has({"set": known}, found, place)
            case {"elem": {"val": each}}:
                return self._has(each, found, place)
            case {"concat": [*parts]} if isinstance(found, tuple):
                pairs = zip(parts, found, strict=True)
                answers = [self._has(part, each, place) for part, each in pairs]
                return False if False in answers else None if None in answers else True
            case {"prefix": {"addr": str(first), "len": int(length)}}:
                known = _comparable(found)
                odd = isinstance(known, (int, str, tuple, frozenset))
                return None if odd else known in ip_network(f"{first}/{length}", strict=False)
            case {"range": [first, last]}:
                low, it, high = (_comparable(each) for each in (first, found, last))
                return bool(low <= it <= high) if type(low) is type(it) is type(high) else None
            case str() | int() | list() if isinstance(found, frozenset):
                return found == _flags(right)
            case str() if "\\" not in right and right.endswith("*"):
                return str(found).startswith(right[:-1])
            case str() | int():
                return bool(_comparable(right) == _comparable(found))
        return None

    def _type(self, address: str) -> str | None:
        if self._stack.local(address):
            return "local"
        many = self._stack.broadcast(address)
        return None if many or self._stack.route(address).refusal else "unicast"


def _field(protocol: str, name: str, packet: Flowing) -> object:
    """Return what a header has; `ABSENT` where the packet has no such header."""
    ours = packet.protocol
    version = "arp" if ours == "arp" else "ip6" if packet.family == "inet6" else "ip"
    ends: dict[str, object] = {"saddr": packet.source, "daddr": packet.to}
    ports: dict[str, object] = {"sport": packet.sport, "dport": packet.dport}
    syn = frozenset(["syn"]) if packet.state == "new" else None
    arp = {"operation": packet.kind, "saddr ip": packet.source, "daddr ip": packet.to}
    sort = "nd-neighbor" if packet.kind in ("solicit", "advert") else "echo"
    echo: dict[str, object] = {"type": f"{sort}-{packet.kind}"}
    flags = {"flags": syn}
    fields: dict[str, dict[str, object]] = {"icmp": echo, "icmpv6": echo, "udp": ports}
    fields |= {"tcp": ports | flags, "arp": {**arp}}
    fields |= {"ip": ends | {"protocol": ours}, "ip6": ends | {"nexthdr": ours}}
    fields |= {"th": ports if ours in ("tcp", "udp") else {}, "ether": {"type": version}}
    if protocol in fields and protocol not in ("th", "ether", ours, version):
        return ABSENT
    return fields.get(protocol, {}).get(name)


def _about(key: str, packet: Flowing) -> object:
    """Return what is known of a packet beside its headers."""
    v6, iif, oif = packet.family == "inet6", packet.iif or "", packet.oif or ""
    known = {"iif": iif, "iifname": iif, "oif": oif, "oifname": oif, "mark": packet.mark}
    known |= {"l4proto": packet.protocol, "nfproto": "ipv6" if v6 else "ipv4"}
    known["protocol"] = "arp" if packet.protocol == "arp" else "ip6" if v6 else "ip"
    return known.get(key)


def _joined(operator: str, first: object, second: object) -> object:
    if isinstance(first, int) and isinstance(second, int):
        return _JOINS[operator](first, second)
    if isinstance(first, frozenset) and operator == "&":
        return first & _flags(second)
    return ABSENT if first is ABSENT else None


def _flags(told: object) -> frozenset[str]:
    return frozenset(map(str, told if isinstance(told, list) else [told]))


def _any(answers: Iterable[bool | None]) -> bool | None:
    some = list(answers)
    return True if True in some else None if None in some else False


def _comparable(told: object) -> Any:
    """Return a value so that those that mean the same are equal: protocols as numbers."""
    if isinstance(told, str):
        if told in _NUMBERS:
            return _NUMBERS[told]
        try:
            return ip_address(told) if set(told) & {".", ":"} else told
        except ValueError:
            return told
    return told


def words(told: object) -> str:
    """Return a rule or a part of one as ``nft list`` writes it, more or less: ``ip daddr @web``."""
    match told:
        case {"expr": [*statements]}:
            return " ".join(map(words, statements))
        case {"match": {"left": left, "op": str(operator), "right": right}}:
            what, plain = words(left), isinstance(right, str)
            said = f'"{right}"' if plain and what in _PLAIN else words(right)
            quiet = operator == "in" or (operator == "==" and " & " not in what)
            return f"{what} {said}" if quiet else f"{what} {operator} {said}"
        case {"meta": {"key": key}}:
            return str(key) if key in _PLAIN else f"meta {key}"
        case {"set": [*some]}:
            return f"{{ {', '.join(map(words, some))} }}"
        case {"range": [first, last]}:
            return f"{first}-{last}"
        case {"concat": [*parts]}:
            return " . ".join(map(words, parts))
        case [first, then] if isinstance(first, int) or isinstance(then, dict):
            return f"{words(first)} : {words(then)}"
        case [*flags]:
            return ",".join(map(str, flags))
        case dict() if told:
            (kind, it), *_ = told.items()
            if kind in _JOINS:
                return f" {kind} ".join(map(words, it))
            fields = {key: words(each) for key, each in it.items()} if isinstance(it, dict) else {}
            if kind in _SAID:
                return _SAID[kind].format_map(defaultdict(str, fields))
            to = fields.get("addr", "") + (f":{fields['port']}" if "port" in fields else "")
            return f"{kind} to {to}" if to else kind
    return str(told)
