"""What was declared, and what it amounts to: a snapshot of what is not there yet. Pure."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_interface
from typing import Any

from netviz.changes import BEGINNING_RULES, LOOPBACK
from netviz.errors import TopologyError
from netviz.model import (
    Address,
    BridgeVlan,
    FdbEntry,
    Interface,
    Namespace,
    Neighbour,
    Qdisc,
    Route,
    Rule,
    Snapshot,
)
from netviz.net.entries import (
    AddAddress,
    AddEntry,
    DeleteAddress,
    DeleteEntry,
    Noun,
    SetFilters,
    SetSysctl,
)
from netviz.net.steps import DeleteLink, DeleteNamespace, Step
from netviz.net.vlans import joined

_UP = ("UP", "LOWER_UP")


@dataclass(frozen=True, slots=True)
class Alias:
    """A note to people at an interface. Equivalent to: ``ip link set DEVICE alias TEXT``."""

    text: str


@dataclass(frozen=True, slots=True)
class Declared:
    """One thing that was declared at a line of somebody's code.

    ``what`` is None for a namespace, a text for an address that is none.
    """

    line: str
    namespace: str
    device: str
    what: Interface | Address | Noun | Alias | SetSysctl | SetFilters | str | None

    @property
    def at(self) -> str:
        """Return where it is: ``net1:veth0``."""
        return f"{self.namespace}:{self.device}"


def line() -> str:
    """Return where in its caller's code the library was called: ``line 3``, ``net.py line 3``."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("netviz."):
        frame = frame.f_back
    name = frame.f_code.co_filename.rpartition("/")[2]
    cell = "ipykernel" in frame.f_code.co_filename or name.startswith("<")
    return f"line {frame.f_lineno}" if cell else f"{name} line {frame.f_lineno}"


def address(text: str) -> Address | None:
    """Return an address as one types it: ``10.1.1.2/24``, ``10.0.0.1 peer 10.0.0.2``; or None."""
    local, _, peer = text.partition(" peer ")
    try:
        told = ip_interface(peer or local)
        own = ip_interface(local)
    except ValueError:
        return None
    family = "inet" if own.version == 4 else "inet6"
    scope = "link" if own.version == 6 and own.is_link_local else "global"
    scope = "host" if own.is_loopback else scope
    far = str(told.ip) if peer else None
    return Address(family, str(own.ip), told.network.prefixlen, scope, far)


def fields_of(noun: type, fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields of a noun. Raises ``TopologyError`` for what is none."""
    names = noun.__dataclass_fields__  # type: ignore[attr-defined]
    for name in fields.keys() - names.keys():
        what = f"a {noun.__name__.lower()} has no field {name!r}"
        raise TopologyError(what, remedy=f"choose of: {', '.join(names)}")
    return fields


def planned(declared: Iterable[Declared], spaces: Iterable[str], new: Iterable[str]) -> Snapshot:
    """Return what some namespaces will have, as a snapshot would show it; numbers are made up.

    Those that are not ``new`` are there already.
    """
    grouped: dict[str, list[Declared]] = {name: [] for name in spaces}
    for each in declared:
        if each.namespace in grouped:
            grouped[each.namespace].append(each)
    numbers = {name: number for number, name in enumerate(grouped)}
    indexes: dict[str, int] = {}
    for own in grouped.values():
        links = dict.fromkeys(each.at for each in own if isinstance(each.what, Interface))
        indexes |= {at: index for index, at in enumerate(links, 2)}
    fresh = set(new)
    return Snapshot(
        tuple(
            _space(name, own, numbers, indexes, new=name in fresh) for name, own in grouped.items()
        )
    )


def apart(declared: Iterable[Declared]) -> Iterator[Step]:
    """Yield the steps for what no snapshot holds: switches, filters, and what others' links get."""
    everything = list(declared)
    own = {each.at for each in everything if isinstance(each.what, Interface)}
    for each in everything:
        if isinstance(each.what, SetSysctl | SetFilters):
            yield each.what
        elif each.at in own or each.device == "lo":
            continue
        elif isinstance(each.what, Address):
            yield AddAddress(each.at, each.what)
        elif isinstance(each.what, Neighbour | BridgeVlan | FdbEntry | Qdisc):
            yield AddEntry(each.namespace, each.what)


def removal(declared: Iterable[Declared]) -> Iterator[Step]:
    """Yield the steps that take away what was declared, as far as it is there."""
    everything = list(declared)
    new = [each.namespace for each in everything if each.what is None]
    gone = set(new)
    along = []
    for each in everything:
        if isinstance(each.what, Interface) and each.namespace not in gone:
            if each.what.peer and each.what.peer.namespace in gone:
                # It goes with the namespace of its far end; that is faster than to delete it.
                along.append(DeleteLink(each.at))
            else:
                yield DeleteLink(each.at)
    yield from (DeleteNamespace(name) for name in dict.fromkeys(new))
    yield from along
    for each in everything:
        if each.namespace in gone:
            continue
        if isinstance(each.what, Address):
            yield DeleteAddress(each.at, each.what)
        elif isinstance(each.what, Noun):
            yield DeleteEntry(each.namespace, each.what)


def _space(
    name: str,
    declared: list[Declared],
    numbers: dict[str, int],
    indexes: dict[str, int],
    *,
    new: bool,
) -> Namespace:
    tables: dict[type, list[Any]] = defaultdict(list)
    addresses: dict[str, list[Address]] = defaultdict(list)
    for each in declared:
        if isinstance(each.what, Address):
            addresses[each.device].append(each.what)
        else:
            tables[type(each.what)].append(each.what)
    links = [
        _numbered(replace(link, addresses=tuple(addresses[link.name])), name, numbers, indexes)
        for link in {each.name: each for each in tables[Interface]}.values()
    ]
    known = {link.name: link for link in links}
    alias = next((each.text for each in tables[Alias]), None)
    flags, own = ("LOOPBACK", *_UP), tuple(addresses["lo"])
    loopback = replace(LOOPBACK, flags=flags, addresses=own, alias=alias)
    switches = {it.name.removeprefix("net.ipv4."): it.value for it in tables[SetSysctl]}
    return Namespace(
        numbers[name],
        name,
        "name" if new else "root",
        (name,) if new else (),
        interfaces=(loopback, *links),
        routes=tuple(tables[Route]),
        rules=(*BEGINNING_RULES, *tables[Rule]),
        neighbours=tuple(it for it in tables[Neighbour] if it.dev in known),
        fdb=tuple(it for it in tables[FdbEntry] if it.dev in known),
        vlans=tuple(joined(known, tables[BridgeVlan])),
        qdiscs=tuple(it for it in tables[Qdisc] if it.dev in known),
        sysctls={k: v for k, v in switches.items() if k == "ip_forward"},
    )


def _numbered(
    link: Interface, name: str, numbers: dict[str, int], indexes: dict[str, int]
) -> Interface:
    """Return a link with the numbers that were made up for it and for what it leads to."""
    ends = {
        what: replace(end, id=numbers.get(end.namespace, -1), index=indexes.get(str(end), 0))
        for what in ("master", "peer", "lower")
        if (end := getattr(link, what))
    }
    return replace(link, index=indexes[f"{name}:{link.name}"], **ends)
