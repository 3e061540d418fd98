"""Tell what somebody has configured from what the kernel has made of it by itself.

Whoever rebuilds a network does not type the route that comes with an address, the address that
comes with a card, or what a bridge has learned: they come again, by themselves. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv6Address

from netviz.graphs import MIRRORED
from netviz.model import (
    Address,
    FdbEntry,
    Interface,
    Key,
    Namespace,
    Qdisc,
    Route,
    Snapshot,
)
from netviz.net.parameters import settable

SIMPLE = {"veth", "dummy", "ifb", "tun", "tap", "nlmon", "loopback"}
FALLBACK = {
    *("tunl0", "gre0", "gretap0", "erspan0", "sit0", "ip_vti0"),
    *("ip6tnl0", "ip6gre0", "ip6_vti0"),
}
"""The devices that some kernels put into every namespace, one a kind of tunnel."""
_RANDOM_HANDLE = 0x8000
_QDISCS = {"tbf", "netem", "ingress"}


def lasting(snapshot: Snapshot, *, exact: bool) -> Snapshot:
    """Return a snapshot with only what somebody configured.

    If not ``exact``, the addresses of cards are left out too, as the kernel draws them by lot; but
    for those that a neighbour or a forwarding entry names.
    """
    riders = {(link.lower.key, link.mac) for _, link in snapshot if link.lower}
    spaces = [_of(namespace, riders) for namespace in snapshot.namespaces]
    if not exact:
        named = {each.mac for space in spaces for each in space.neighbours}
        named |= {each.mac for space in spaces for each in space.fdb}
        spaces = [
            replace(space, interfaces=tuple(_without_mac(each, named) for each in space.interfaces))
            for space in spaces
        ]
    return Snapshot(tuple(spaces))


def unsaid(snapshot: Snapshot) -> Iterator[str]:
    """Yield in words what is there and that no step can make."""
    for space, link in snapshot:
        where = f"{space.name}:{link.name}"
        if link.kind == "device":
            yield f"{where} is hardware, or made by hand: it has to be there"
        elif link.kind not in SIMPLE and not settable(link.kind):
            yield f"{where} is a {link.kind}, whose parameters are not known"
    for space in snapshot.namespaces:
        for qdisc in space.qdiscs:
            if qdisc.kind not in _QDISCS or ":" in qdisc.parent:
                yield f"{space.name}:{qdisc.dev} has a {qdisc.kind}, whose options are not known"


def _of(space: Namespace, riders: set[tuple[Key, str | None]]) -> Namespace:
    links = {link.name: link for link in space.interfaces}
    macs = {
        link.name: {mac for key, mac in riders if key == (space.id, link.index)}
        for link in space.interfaces
    }
    return replace(
        space,
        interfaces=tuple(
            replace(link, addresses=tuple(at for at in link.addresses if not _came(at, link)))
            for link in space.interfaces
            if link.name not in FALLBACK or link.up or link.addresses
        ),
        routes=tuple(route for route in space.routes if not _kept_by_kernel(route)),
        neighbours=tuple(it for it in space.neighbours if "PERMANENT" in it.state),
        fdb=tuple(it for it in space.fdb if not _own(it, links, macs.get(it.dev, set()))),
        qdiscs=tuple(
            _numbered(it) for it in space.qdiscs if it.kind in _QDISCS and ":" not in it.parent
        ),
    )


def _without_mac(link: Interface, named: set[str | None]) -> Interface:
    return link if link.mac in named or link.kind in MIRRORED else replace(link, mac=None)


def _came(address: Address, link: Interface) -> bool:
    """Tell whether an address came by itself: with the loopback, the card, or a router's word."""
    if (address.protocol or "").startswith("kernel") or "dynamic" in address.flags:
        return True
    if link.kind == "loopback" and str(address) in ("127.0.0.1/8", "::1/128"):
        return True
    return address.family == "inet6" and address.local == _link_local(link.mac)


def _link_local(mac: str | None) -> str | None:
    """Return the address that the kernel makes of a card's, in RFC 4291's way."""
    if not mac or mac.count(":") != 5:
        return None
    data = bytes.fromhex(mac.replace(":", ""))
    low = bytes([data[0] ^ 2]) + data[1:3] + b"\xff\xfe" + data[3:]
    return str(IPv6Address(b"\xfe\x80" + bytes(6) + low))


def _kept_by_kernel(route: Route) -> bool:
    return route.protocol in ("kernel", "ra", "redirect")


def _own(entry: FdbEntry, links: dict[str, Interface], above: set[str | None]) -> bool:
    """Tell whether an entry was learned, or is there because an interface is."""
    if entry.state not in ("permanent", "static"):
        return True
    if entry.dst:
        device = links.get(entry.dev)
        remotes = {device.parameters.get(name) for name in ("remote", "group")} if device else set()
        return entry.mac == "00:00:00:00:00:00" and entry.dst in remotes
    to_many = int(entry.mac[:2], 16) & 1 and "self" in entry.flags
    holders = (links.get(entry.dev), links.get(entry.master or ""))
    return bool(to_many) or entry.mac in {*above, *(each.mac for each in holders if each)}


def _numbered(qdisc: Qdisc) -> Qdisc:
    """Leave out a number that the kernel chose."""
    number = int(qdisc.handle.rstrip(":") or "0", 16)
    return replace(qdisc, handle="") if number >= _RANDOM_HANDLE else qdisc
