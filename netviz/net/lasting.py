"""Tell what somebody has configured from what the kernel has made of it by itself.

Whoever rebuilds a network does not type the route that comes with an address, the address that
comes with a card, or what a bridge has learned: they come again, by themselves. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_interface
from typing import Any

from netviz.changes import undrawn
from netviz.graphs import MIRRORED, behind
from netviz.model import (
    Address,
    FdbEntry,
    Interface,
    Key,
    Namespace,
    Qdisc,
    Route,
    Rule,
    Snapshot,
)
from netviz.net.parameters import settable

SIMPLE = {"veth", "dummy", "ifb", "tun", "tap", "nlmon", "loopback"}
FALLBACK = {
    *("tunl0", "gre0", "gretap0", "erspan0", "sit0", "ip_vti0"),
    *("ip6tnl0", "ip6gre0", "ip6_vti0"),
}
"""The devices that some kernels put into every namespace, one a kind of tunnel."""
LOCALHOST = "127.0.0.1/8"
_SWITCHED = ("openvswitch", "internal")
_QDISCS = {"tbf", "netem", "ingress"}
OVER = {"macvlan", "macvtap", "ipvlan", "ipvtap", "vlan", "macsec"}
_NO_CARD = "00:00:00:00:00:00"
_NOTHING = Snapshot()
_Connected = AbstractSet[tuple[str | None, str]]


def lasting(snapshot: Snapshot, *, exact: bool) -> Snapshot:
    """Return a snapshot with only what somebody configured.

    What Open vSwitch made is its daemons' business, and left out: its bridges, ports, flows. So is
    what an engine runs: of a container its network stays.
    If not ``exact``, the addresses of cards are left out too, as the kernel draws them by lot; but
    for those that a neighbour or a forwarding entry names.
    """
    riders = {(link.lower.key, link.mac) for _, link in snapshot if link.lower}
    spaces = [_of(unswitched(namespace), riders) for namespace in snapshot.namespaces]
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
    missing = lacking(snapshot)
    for space, link in snapshot:
        if (space.id, link.index) in missing:
            yield f"{space.name}:{link.name} {missing[space.id, link.index]}"
        for address in link.addresses:
            if "dynamic" in address.flags and not (address.protocol or "").startswith("kernel"):
                yield f"{space.name}:{link.name} has {address}, which expires"
    for space in snapshot.namespaces:
        for it in space.containers:
            yield f"{space.name} is the network of the container {it.name}, which is not started"
        for qdisc in space.qdiscs:
            if not _plain(qdisc):
                yield f"{space.name}:{qdisc.dev} has a {qdisc.kind}, whose options are not known"
        if any(rule.action == "goto" for rule in space.rules):
            yield f"{space.name} has a rule that goes on to another, and to which is not known"
        if any(map(_foreign, space.nft)):
            yield f"{space.name} has packet filters of which only iptables-save tells all"


def sayable(snapshot: Snapshot) -> Snapshot:
    """Return a network without the rules and filters of which the kernel does not tell all."""
    spaces = []
    for space in snapshot.namespaces:
        rules = tuple(it for it in space.rules if it.action != "goto")
        nft = tuple(it for it in space.nft if not _foreign(it))
        spaces.append(replace(space, rules=rules, nft=nft))
    return Snapshot(tuple(spaces))


def _foreign(item: Mapping[str, Any]) -> bool:
    """Tell whether a filter is of iptables' own kind: of that ``nft`` tells no more than a name."""
    return any("xt" in said for said in item.get("rule", {}).get("expr", ()))


def lacking(wanted: Snapshot, there: Snapshot = _NOTHING) -> dict[Key, str]:
    """Return which links no step can make, and why not; but for those that are there already."""
    known = {(space.name, link.name, link.kind) for space, link in there}
    missing: dict[Key, str] = {}
    before = -1
    while before != len(missing):
        before = len(missing)
        for space, link in wanted:
            ends = {end.key for end in (link.lower, link.peer) if end}
            why = _unmade(space, link) or ("stands on that" if ends & missing.keys() else "")
            if why and (space.name, link.name, link.kind) not in known:
                missing[space.id, link.index] = why
    return missing


def possible(wanted: Snapshot, there: Snapshot) -> Snapshot:
    """Return what of a network steps can make, or is there; what stands on the rest goes along."""
    missing = lacking(wanted, there)
    spaces = []
    for space in wanted.namespaces if missing else ():
        gone = {link.name for link in space.interfaces if (space.id, link.index) in missing}
        stay = tuple(
            replace(it, master=None, port={}) if it.master and it.master.key in missing else it
            for it in space.interfaces
            if it.name not in gone
        )
        if stay:  # Each namespace that can be made has its loopback.
            spaces.append(replace(without(space, gone), interfaces=stay))
    return Snapshot(tuple(spaces)) if missing else wanted


def without(
    space: Namespace, gone: AbstractSet[str], down: AbstractSet[str] = frozenset()
) -> Namespace:
    """Return a namespace whose tables have lost what was on links that are gone, or down."""
    lost = gone | down
    if not lost:
        return space
    return replace(
        space,
        routes=tuple(it for it in space.routes if not lost & _devices(it)),
        neighbours=tuple(it for it in space.neighbours if it.dev not in lost),
        fdb=tuple(it for it in space.fdb if it.dev not in gone),
        vlans=tuple(it for it in space.vlans if not gone & {it.dev, it.master}),
        qdiscs=tuple(it for it in space.qdiscs if it.dev not in gone),
        sysctls={k: _kept(v, gone) for k, v in space.sysctls.items()},
    )


def _devices(route: Route) -> set[object]:
    return {route.dev, *(hop["dev"] for hop in route.nexthops)}


def _kept(told: object, gone: AbstractSet[str]) -> object:
    return {k: v for k, v in told.items() if k not in gone} if isinstance(told, dict) else told


def _unmade(space: Namespace, link: Interface) -> str:
    """Return why no step can make a link."""
    unseen = not link.lower and (link.kind in OVER or link.parameters.get("link"))
    unknown = link.kind not in SIMPLE and not settable(link.kind)
    reasons = (
        ("/" in space.name, f"lies in a namespace that has no name but {space.name}"),
        (link.unreal or link.kind in _SWITCHED, "is of Open vSwitch: ovs-vsctl makes it"),
        (link.kind == "device", "is hardware, or made by hand: it has to be there"),
        (unknown, f"is a {link.kind}, whose parameters are not known"),
        (unseen or (link.kind == "veth" and not link.peer), "leads out of sight"),
        (link.parameters.get("persist") is False, "is there while a program has it open"),
    )
    return next((why for so, why in reasons if so), "")


def unswitched(space: Namespace) -> Namespace:
    """Return a namespace without what Open vSwitch made in it, and with its ports unplugged."""
    own = {it.name for it in space.interfaces if it.unreal or it.kind in _SWITCHED} | behind(space)
    if not own:
        return space
    kept = (link for link in space.interfaces if link.name not in own)
    links = (
        replace(link, master=None, port={}) if link.master and link.master.name in own else link
        for link in kept
    )
    fdb = tuple(entry for entry in space.fdb if entry.master not in own)
    return replace(without(space, own), interfaces=tuple(links), fdb=fdb, flows=())


def _of(space: Namespace, riders: set[tuple[Key, str | None]]) -> Namespace:
    links = {link.name: link for link in space.interfaces}
    macs = {
        link.name: {mac for key, mac in riders if key == (space.id, link.index)}
        for link in space.interfaces
    }
    made = [it for it in space.routes if it.protocol == "kernel"]
    everywhere = {it for it in space.fdb if not it.vlan}
    connected = {(it.dev, to) for it in made for to in (it.to, "")}
    return replace(
        space,
        interfaces=tuple(
            _chosen(link, connected)
            for link in space.interfaces
            if link.name not in FALLBACK or link.up or link.addresses
        ),
        routes=tuple(route for route in space.routes if not _kept_by_kernel(route)),
        rules=tuple(it for it in space.rules if not _of_vrf(it)),
        neighbours=tuple(it for it in space.neighbours if "PERMANENT" in it.state),
        fdb=tuple(
            it
            for it in space.fdb
            # Said of no VLAN, an entry is made for each that the port is in as well.
            if not (it.vlan and replace(it, vlan=None) in everywhere)
            and not _own(it, links, macs.get(it.dev, set()))
        ),
        containers=(),
        networks=(),
        qdiscs=tuple(undrawn(it) for it in space.qdiscs if _plain(it)),
    )


def _chosen(link: Interface, connected: _Connected) -> Interface:
    """Return a link with the addresses that somebody gave it, and a card as one can give it."""
    # Nobody can choose that of an ifb, and a bridge without ports may have none.
    cardless = link.kind == "ifb" or (link.kind == "bridge" and link.mac == _NO_CARD)
    own = {
        k: v for k, v in link.parameters.items() if k != "id" or "external" not in link.parameters
    }
    chosen = (_unrouted(it, link, connected) for it in link.addresses if not _came(it, link))
    mac = None if cardless else link.mac
    return replace(link, mac=mac, addresses=tuple(chosen), parameters=own)


def _unrouted(at: Address, link: Interface, connected: _Connected) -> Address:
    """Return an address, told to come without a route where somebody has deleted the kernel's."""
    told = ip_interface(f"{at.peer or at.local}/{at.prefixlen}")
    to = str(told.ip if at.prefixlen == told.max_prefixlen else told.network)
    # Where the kernel tells nothing of a device, it was only declared.
    known = (link.name, "") in connected and link.up and not (at.peer and told.version == 6)
    if not known or (link.name, to) in connected:
        return at
    flags = dict.fromkeys((*at.flags, "noprefixroute"))
    return replace(at, flags=tuple(flags))


def _without_mac(link: Interface, named: set[str | None]) -> Interface:
    return link if link.mac in named or link.kind in MIRRORED else replace(link, mac=None)


def _came(address: Address, link: Interface) -> bool:
    """Tell whether an address came by itself: with the loopback, the card, or a router's word."""
    if (address.protocol or "").startswith("kernel") or "dynamic" in address.flags:
        return True
    if link.kind == "loopback" and link.up and str(address) in (LOCALHOST, "::1/128"):
        return True
    return address.family == "inet6" and address.local == _link_local(link.mac)


def _link_local(mac: str | None) -> str | None:
    """Return the address that the kernel makes of a card's, in RFC 4291's way."""
    if mac and mac.count(".") == 3:  # That of a tunnel is its IPv4 address.
        return str(IPv6Address(b"\xfe\x80" + bytes(10) + IPv4Address(mac).packed))
    if not mac or mac.count(":") != 5:
        return None
    data = bytes.fromhex(mac.replace(":", ""))
    low = bytes([data[0] ^ 2]) + data[1:3] + b"\xff\xfe" + data[3:]
    return str(IPv6Address(b"\xfe\x80" + bytes(6) + low))


def _plain(qdisc: Qdisc) -> bool:
    """Tell whether a queue is one of which all is known."""
    untold = ":" in qdisc.parent or "untold" in qdisc.options
    return qdisc.kind in _QDISCS and not untold


def _of_vrf(rule: Rule) -> bool:
    """Tell whether a rule came along with the first VRF: it leads to the table of each."""
    return rule.priority == 1000 and rule.action == "lookup" and not rule.table


def _kept_by_kernel(route: Route) -> bool:
    return route.protocol in ("kernel", "ra", "redirect")


def _own(entry: FdbEntry, links: dict[str, Interface], above: set[str | None]) -> bool:
    """Tell whether an entry was learned, or is there because an interface is."""
    if entry.state not in ("permanent", "static"):
        return True
    if entry.dst:
        device = links.get(entry.dev)
        remotes = {device.parameters.get(name) for name in ("remote", "group")} if device else set()
        return entry.mac == _NO_CARD and entry.dst in remotes
    to_many = int(entry.mac[:2], 16) & 1 and "self" in entry.flags
    holders = (links.get(entry.dev), links.get(entry.master or ""))
    return bool(to_many) or entry.mac in {*above, *(each.mac for each in holders if each)}
