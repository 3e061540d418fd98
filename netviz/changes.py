"""What is different between two snapshots: what came, what went, and what changed.

Namespaces are the same where they have the same name, interfaces where they have the same name in
the same namespace, and entries of tables where they say the same. What moves by itself is left out:
counters, indexes, and what a bridge works out for its spanning tree. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from netviz.model import JSON, BridgeVlan, FdbEntry, Interface, Namespace, Qdisc, Route, Rule
from netviz.text import printable

if TYPE_CHECKING:
    from netviz.model import Snapshot

Row = tuple[str, str]
"""The kind of a thing, and what it is called: ``("address", "veth0 10.1.1.2/24")``."""

BEGINNING_RULES = tuple(
    Rule(priority, family, table=table)
    for family, tables in (("inet", (255, 254, 253)), ("inet6", (255, 254)))
    for priority, table in zip((0, 32766, 32767), tables, strict=False)
)
"""The rules of every new namespace."""
CHOSEN_FLAGS = ("nodad", "home", "mngtmpaddr", "noprefixroute", "autojoin")
"""The flags of an address that somebody sets: the others the kernel does."""
LOOPBACK = Interface(1, "lo", "loopback", "00:00:00:00:00:00", 65536, ("LOOPBACK",))
"""The one interface of every new namespace."""

_LOCAL = 255
_DRAWN = 0x8000
_MOVING = {
    *("root_id", "bridge_id", "root_port", "root_path_cost", "topology_change"),
    *("topology_change_detected", "designated_port", "designated_cost", "link"),
    "active_slave",
}
_MOVING_PORT = {*_MOVING, "id", "no"}
_SWITCHES = ("PROMISC", "ALLMULTI", "NOARP", "MULTICAST")
_COUNTED = ("handle", "packets", "bytes", "expires")
FORWARDING = {"inet": "net.ipv4.ip_forward", "inet6": "net.ipv6.conf.all.forwarding"}
"""The switch by which a namespace is a router."""
_SHORT = {"net.ipv4.conf.all.forwarding": FORWARDING["inet"]}
_PROXY = {"ipv4": "proxy_arp", "ipv6": "proxy_ndp"}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: of a ``kind`` of thing, in a ``namespace``, called ``name``.

    ``before`` is None where it came, ``after`` where it went. Where an interface is another than
    before, ``field`` says in what: ``mtu``.
    """

    kind: str
    namespace: str
    name: str
    before: object
    after: object
    field: str = ""

    def __str__(self) -> str:
        """Return one line: ``+ net1: address veth0 10.1.1.2/24``."""
        sign = "+" if self.before is None else "-" if self.after is None else "~"
        sign = "~" if self.field else sign
        where = "" if self.kind == "namespace" else f"{self.namespace}: "
        line = f"{sign} {where}{self.kind} {_short(self.after or self.before) or self.name}"
        if sign == "~" and (self.field or self.kind == "sysctl"):
            line += f" {self.field}".rstrip() + f": {_said(self.before)} → {_said(self.after)}"
        return printable(line)

    def to_dict(self) -> JSON:
        """Return every field; what came or went as its own dictionary."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            name: value.to_dict() if hasattr(value, "to_dict") else value
            for name, value in values.items()
        }


class Changes(tuple[Change, ...]):
    """What is different between two snapshots; shown one line a change."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return one line a change."""
        return "\n".join(map(str, self)) or "nothing is different"


def changes(before: Snapshot, after: Snapshot) -> Changes:
    """Return what is different, namespace by namespace.

    Equivalent to: ``diff`` of what ``ip`` and ``bridge`` said at two times. What comes and goes
    with something else that is told is left out: all that a namespace held that went, and the
    routes and forwarding entries that the kernel keeps for an address or a port.
    """
    old = {namespace.name: namespace for namespace in before.namespaces}
    new = {namespace.name: namespace for namespace in after.namespaces}
    found: list[Change] = []
    for name in dict.fromkeys((*old, *new)):
        one, other = old.get(name), new.get(name)
        if one is None or other is None:
            found.append(Change("namespace", name, name, one, other))
        if other and one != other:  # Most often nothing is, and that is found out fast.
            found += _worth_telling([*between(one or _blank(name), other)], new=one is None)
    return Changes(found)


def between(before: Namespace, after: Namespace) -> Iterator[Change]:
    """Yield what is different in one namespace."""
    old, new = dict(rows(before)), dict(rows(after))
    for row in dict.fromkeys((*old, *new)):
        one, other = old.get(row), new.get(row)
        if isinstance(one, Interface) and isinstance(other, Interface):
            yield from _of_interface(after.name, one, other)
        elif one != other:
            yield Change(row[0], after.name, row[1], one, other)


def _blank(name: str) -> Namespace:
    return Namespace(0, name, interfaces=(LOOPBACK,), rules=BEGINNING_RULES)


def _worth_telling(found: list[Change], *, new: bool) -> Iterator[Change]:
    """Yield the changes that do not come with another one."""
    moved = {it.name.split(" ")[0] for it in found if it.kind in ("interface", "address")}
    for change in found:
        noun = change.after or change.before
        if isinstance(noun, Route) and noun.protocol == "kernel":
            told = noun.table != _LOCAL and noun.dev not in moved
        elif isinstance(noun, BridgeVlan):  # With the port there comes the usual one.
            told = noun.dev not in moved or (noun.vlan, noun.pvid, noun.untagged) != (1, True, True)
        elif isinstance(noun, FdbEntry):
            told = bool(noun.dst) or not (noun.state == "permanent" or noun.dev in moved)
        elif change.kind == "sysctl":
            told = None not in (change.before, change.after)
        elif new and change.name.split(" ")[0] == "lo":
            told = False
        else:
            told = change.field != "carrier" or not any(
                it.field == "up" and it.name == change.name for it in found
            )
        if told:
            yield change


def rows(namespace: Namespace) -> Iterator[tuple[Row, object]]:
    """Yield each thing in a namespace by what makes it that thing."""
    for interface in namespace.interfaces:
        yield ("interface", interface.name), interface
        for address in interface.addresses:
            flags = tuple(flag for flag in address.flags if flag in CHOSEN_FLAGS)
            kept = replace(address, flags=flags, protocol=None)
            # One address may lead to several far ends.
            told = f"{address.local} peer {address.peer}/{address.prefixlen}"
            yield ("address", f"{interface.name} {told if address.peer else address}"), kept
    for route in namespace.routes:
        hops = tuple(dict(hop) | {"flags": _onlink(hop.get("flags"))} for hop in route.nexthops)
        lasting = replace(route, flags=tuple(_onlink(route.flags)), nexthops=hops)
        yield ("route", _told(lasting)), lasting
    for rule in namespace.rules:
        yield ("rule", _told(rule)), rule
    for neighbour in namespace.neighbours:
        yield ("neighbour", f"{neighbour.dev} {neighbour.to}"), neighbour
    for vlan in namespace.vlans:
        yield ("vlan", f"{vlan.dev} {vlan.vlan}"), vlan
    for entry in namespace.fdb:
        yield ("fdb", _told(entry)), entry
    for qdisc in namespace.qdiscs:
        yield ("qdisc", f"{qdisc.dev} {qdisc.parent}"), undrawn(qdisc)
    for flow in namespace.flows:
        yield ("flow", f"{flow.bridge} {flow}"), flow
    for container in namespace.containers:
        yield ("container", container.name), replace(container, id="", pid=0)
    for network in namespace.networks:
        yield ("network", network.name), network
    for name, value in switches(namespace):
        yield ("sysctl", name), value
    if namespace.nft:
        yield ("nft", "ruleset"), tuple(json.dumps(_unnumbered(it)) for it in namespace.nft)


def undrawn(qdisc: Qdisc) -> Qdisc:
    """Return a queue without its number, if that is one that the kernel drew."""
    number = int(qdisc.handle.rstrip(":") or "0", 16)
    return replace(qdisc, handle="") if number >= _DRAWN else qdisc


def switches(namespace: Namespace) -> Iterator[tuple[str, object]]:
    """Yield the names and values of the switches: ``net.ipv4.conf.all.forwarding``."""
    for version, scopes in namespace.sysctls.items():
        if isinstance(scopes, Mapping):
            for scope, values in scopes.items():
                for name, value in values.items():
                    known = _PROXY[version] if name == "proxy_neigh" else name
                    # A name with dots in it would read as several.
                    parts = ("net", version, "conf", scope, known)
                    path = ("/" if "." in scope else ".").join(parts)
                    yield _SHORT.get(path, path), value
        elif version.startswith("bridge-"):
            yield f"net.bridge.{version}", scopes


def essence(interface: Interface) -> dict[str, object]:
    """Return what an interface is, by field, without what moves by itself."""
    ends = {name: getattr(interface, name) for name in ("master", "peer", "lower")}
    return {
        "kind": interface.kind,
        "mac": interface.mac,
        "mtu": interface.mtu,
        "up": interface.up,
        "carrier": interface.running,
        **{name: name in interface.flags for name in _SWITCHES},
        **{name: str(end) if end else None for name, end in ends.items()},
        "alias": interface.alias,
        **{k: v for k, v in interface.parameters.items() if k not in _MOVING},
        **{f"port {k}": v for k, v in interface.port.items() if k not in _MOVING_PORT},
    }


def _of_interface(where: str, before: Interface, after: Interface) -> Iterator[Change]:
    old, new = essence(before), essence(after)
    if not (before.port and after.port):  # Plugged in or unplugged: the master tells it.
        old, new = ({k: v for k, v in it.items() if k[:5] != "port "} for it in (old, new))
    for field in dict.fromkeys((*old, *new)):
        if old.get(field) != new.get(field):
            told = (old.get(field), new.get(field))
            yield Change("interface", where, after.name, *told, field)


def _onlink(flags: Any) -> list[str]:
    """Return what somebody chose of a route's flags; whether it is dead the kernel finds out."""
    return [flag for flag in flags or () if flag == "onlink"]


def _unnumbered(told: object) -> object:
    """Return a packet filter without what the kernel numbers and counts."""
    if isinstance(told, Mapping):
        return {k: _unnumbered(v) for k, v in told.items() if k not in _COUNTED}
    return [_unnumbered(each) for each in told] if isinstance(told, list | tuple) else told


def _told(noun: object) -> str:
    """Return what an entry says, without what it does not: ``10.0.0.0/8 via 10.1.1.1``."""
    fields = {name: getattr(noun, name) for name in getattr(noun, "__dataclass_fields__", ())}
    usual = {"family", "scope", "protocol", "action", "inverted"}
    named = [
        f"{k} {_said(v)}" for k, v in fields.items() if k not in usual and v not in (None, (), "")
    ]
    return " ".join([*named, *(f"{k} {fields[k]}" for k in sorted(usual & fields.keys()))])


def _short(noun: object) -> str:
    """Return an entry as ``ip`` and ``bridge`` print it, without what goes without saying."""
    usual: dict[str, object]
    words: tuple[str, ...]
    if isinstance(noun, Route):
        usual = {"type": "unicast", "table": 254, "protocol": "boot"}
        words = ("via", "dev", "table", "metric", "protocol")
        first = [noun.type] if noun.type != "unicast" else []
        first.append(noun.to)
    elif isinstance(noun, FdbEntry):
        usual, words, first = {}, ("dev", "dst", "vni", "vlan", "master", "state"), [noun.mac]
    elif isinstance(noun, Rule):
        usual = {"to": "all", "inverted": False}
        words, first = ("to", "iif", "oif", "fwmark", "table", "priority"), [f"from {noun.source}"]
    else:
        return ""
    told = ((name, getattr(noun, name)) for name in words)
    said = [f"{name} {it}" for name, it in told if it not in (None, "") and usual.get(name) != it]
    hops = [
        f"nexthop via {hop.get('gateway')} dev {hop['dev']} weight {hop.get('weight', 1)}"
        for hop in getattr(noun, "nexthops", ())
    ]
    return " ".join([*first, *said, *hops])


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None else str(value)
