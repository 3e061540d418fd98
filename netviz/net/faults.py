"""Find what is wrong with a declared network, all of it, before anything is done. Pure.

What is told here the kernel would refuse, or it would not be what was meant; each fault names the
line where it was declared.
"""

from __future__ import annotations

import re
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, cast

from netviz.errors import NetvizError
from netviz.model import Address, FdbEntry, Interface, Neighbour, Route, Snapshot
from netviz.net import parameters
from netviz.net.entries import AddEntry, Noun, SetFilters, SetSysctl
from netviz.net.lasting import FALLBACK, OVER, SIMPLE
from netviz.net.steps import ROOT

if TYPE_CHECKING:
    from netviz.net.declared import Declared
    from netviz.net.steps import Site

_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
_MASTERS = {"bridge", "bond", "vrf", "team", "device"}
_LEAST_MTU, _MOST_MTU = 68, 65535


def faults(declared: Iterable[Declared], lab: Snapshot) -> Iterator[str]:
    """Yield each fault: ``line 3: there is no bridge 'br1'``; ``lab`` is what is there already."""
    everything = list(declared)
    known = _Known(everything, lab)
    for each in everything:
        try:
            found = [*known.place(each), *known.contents(each)]
        except (TypeError, ValueError, AttributeError) as error:
            found = [f"it cannot be understood: {error}"]
        for fault in found or _unwritable(each):
            yield f"{each.line}: {fault}"


class _Known:
    """What there is: declared, or in the lab already."""

    def __init__(self, declared: list[Declared], lab: Snapshot) -> None:
        self.live = {ROOT, *(space.name for space in lab.namespaces)}
        self.new = {each.namespace for each in declared if each.what is None}
        self.kinds = {f"{space.name}:{link.name}": link.kind for space, link in lab}
        self.taken = set(self.kinds)
        self.filtered = {space.name for space in lab.namespaces if space.nft}
        self.networks: dict[str, list[Any]] = defaultdict(list)
        self.said: set[object] = set()
        for space, link in lab:
            self.networks[space.name] += [_network(address) for address in link.addresses]
        for each in declared:
            if isinstance(each.what, Interface):
                self.kinds[each.at] = each.what.kind
            elif isinstance(each.what, Address):
                self.networks[each.namespace].append(_network(each.what))
            elif isinstance(each.what, Route) and not each.what.via:
                self.networks[each.namespace].append(_prefix(each.what.to))

    def place(self, each: Declared) -> Iterator[str]:
        """Yield what is wrong with where something is, and with what it is called."""
        name = each.namespace
        if each.what is None:
            if not name or "/" in name or "\0" in name or name in (".", ".."):
                yield f"a namespace cannot be called {name!r}: it is the name of a file"
            elif len(name.encode()) > 255:
                yield f"a namespace cannot be called {name!r}: at most 255 bytes"
            if name == ROOT or name in self.live:
                yield f"namespace {name!r} is there already"
            yield from self._once(("namespace", name), f"namespace {name!r}")
        elif name not in self.new and name not in self.live:
            yield f"there is no namespace {name!r}; declare it with namespace({name!r})"
        elif isinstance(each.what, Interface):
            yield from _name(each.device)
            if each.at in self.taken or each.device == "lo":
                yield f"interface {_short(each.at)!r} is there already"
            yield from self._once(("link", each.at), f"interface {_short(each.at)!r}")
        elif each.device and each.device != "lo" and each.at not in self.kinds:
            yield f"there is no interface {_short(each.at)!r}"

    def contents(self, each: Declared) -> Iterator[str]:
        """Yield what is wrong with a thing itself."""
        what = each.what
        if isinstance(what, str):
            yield f"{what!r} is no address; write it as 10.1.1.2/24"
        elif isinstance(what, Address):
            if ip_address(what.local).is_multicast or ip_address(what.local).is_unspecified:
                yield f"{what} cannot be the address of an interface"
            yield from self._once((each.at, what.local, what.prefixlen), f"address {what}")
        elif isinstance(what, Interface):
            yield from self._link(each, what)
        elif isinstance(what, Route):
            yield from self._route(each, what)
        elif isinstance(what, Neighbour | FdbEntry):
            yield from _card(what.mac)
            yield from _address(what.dst if isinstance(what, FdbEntry) else what.to)
        elif isinstance(what, SetFilters):
            yield from self._once((each.at, "nft"), f"all that filters in {each.namespace!r}")
            if each.namespace in self.filtered:
                yield f"{each.namespace!r} has packet filters already, and these would replace them"
        elif isinstance(what, SetSysctl) and not re.match(r"net[./]", what.name):
            yield f"{what.name!r} is no switch of a network: their names begin with net."

    def _link(self, each: Declared, link: Interface) -> Iterator[str]:
        if link.name in FALLBACK:
            yield f"{_short(each.at)!r} is a name that the kernel keeps for itself"
        if link.kind in OVER and not link.lower:
            yield f"a {link.kind} travels over another device: say which, with dev="
        if link.kind == "veth" and not link.peer:
            yield "a veth has two ends: declare it with veth()"
        if link.kind not in SIMPLE and not parameters.settable(link.kind):
            yield f"there is no kind of link {link.kind!r} that is known"
        else:
            yield from _refused(link)
        yield from _card(link.mac)
        if not _LEAST_MTU <= link.mtu <= _MOST_MTU:
            yield f"the MTU of {_short(each.at)!r} cannot be {link.mtu}"
        if link.master:
            master = str(link.master)
            for why in self._unplugged(each, link, master):
                yield f"{_short(each.at)!r} cannot be a port of {_short(master)!r}: {why}"
        if link.lower and str(link.lower) not in self.kinds:
            yield f"there is no interface {_short(str(link.lower))!r} for {_short(each.at)!r}"
        if link.kind == "vxlan":
            number = (each.namespace, "vni", link.parameters.get("id"), link.parameters.get("port"))
            yield from self._once(number, f"a VXLAN {number[2]} on port {number[3]} in {number[0]}")

    def _unplugged(self, each: Declared, link: Interface, master: str) -> Iterator[str]:
        """Yield why a link cannot be plugged in there."""
        found = self.kinds.get(master)
        if master.rpartition(":")[0] != each.namespace:
            yield "it is in another namespace"
        elif found not in _MASTERS:
            yield f"it is a {found}" if found else "there is no such bridge"
        elif link.kind == found == "bridge":
            yield "both are bridges"

    def _route(self, each: Declared, route: Route) -> Iterator[str]:
        if _prefix(route.to) is None:
            yield f"{route.to!r} is no destination; write it as 10.1.2.0/24, or default"
        for name in (route.dev, *(hop.get("dev") for hop in route.nexthops)):
            if name and name != "lo" and f"{each.namespace}:{name}" not in self.kinds:
                yield f"there is no interface {name!r} in {each.namespace!r}"
        onlink = "onlink" in route.flags
        for via in filter(None, (route.via, *(hop.get("gateway") for hop in route.nexthops))):
            wrong = list(_address(str(via)))
            yield from wrong
            if not wrong and not onlink and not self._reaches(each.namespace, str(via)):
                where = f"{each.namespace!r}: no address there reaches it"
                yield f"{via} cannot be a gateway in {where}"
        key = (each.namespace, "route", route.to, route.table, route.metric)
        yield from self._once(key, f"a route to {route.to}")

    def _reaches(self, namespace: str, via: str) -> bool:
        at = ip_address(via)
        near = (net for net in self.networks[namespace] if net and net.version == at.version)
        return at.is_link_local or any(at in net for net in near)

    def _once(self, key: object, what: str) -> Iterator[str]:
        if key in self.said:
            yield f"{what} is declared twice"
        self.said.add(key)


class _Anywhere:
    """A place where every interface is, to see whether a message can be written at all."""

    indexes: Mapping[str, int] = defaultdict(lambda: 1)


def _unwritable(each: Declared) -> Iterator[str]:
    """Yield why an entry of a table can be told to no kernel."""
    if not isinstance(each.what, Noun) or isinstance(each.what, Address):
        return
    kind = type(each.what).__name__.lower()
    try:
        AddEntry(each.namespace, each.what).request(cast("Site", _Anywhere()))
    except NetvizError as error:
        yield str(error)
    except KeyError as error:
        yield f"a {kind} cannot have {error}"
    except (TypeError, ValueError, OSError, AttributeError, struct.error) as error:
        yield f"a {kind} cannot be so: {error}"


def _name(device: str) -> Iterator[str]:
    size = len(device.encode("utf-8", "surrogateescape"))
    if not 1 <= size <= 15:
        yield f"an interface cannot be called {device!r}: it has {size} bytes, at most 15"
    if re.search(r"[\s/%\0]", device) or device in (".", "..", "all", "default"):
        yield f"an interface cannot be called {device!r}: the kernel does not take it"


def _refused(link: Interface) -> Iterator[str]:
    """Yield which of a link's parameters cannot be."""
    try:
        parameters.packed(link.kind, link.parameters)
    except NetvizError as error:
        yield str(error)


def _card(mac: str | None) -> Iterator[str]:
    if mac is not None and not _MAC.fullmatch(mac):
        yield f"{mac!r} is no address of a card; write it as 02:00:00:00:00:01"
    elif mac is not None and int(mac[:2], 16) & 1:
        yield f"{mac!r} cannot be the address of a card: it means many"


def _address(text: str | None) -> Iterator[str]:
    try:
        ip_address(text or "0.0.0.0")
    except ValueError:
        yield f"{text!r} is no address"


def _network(address: Address) -> Any:
    return _prefix(f"{address.peer or address.local}/{address.prefixlen}", strict=False)


def _prefix(text: str, *, strict: bool = True) -> Any:
    """Return a destination as a network, None where it is none."""
    try:
        return ip_network("0.0.0.0/0" if text == "default" else text, strict=strict)
    except ValueError:
        return None


def _short(endpoint: str) -> str:
    return endpoint.removeprefix(f"{ROOT}:")
