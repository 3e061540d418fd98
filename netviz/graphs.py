"""Wire a snapshot into a networkx graph.

Pure: nothing here asks the kernel anything, so every rule is tested without a namespace.
Nodes are ``(namespace id, ifindex)``: an ifindex is unique only inside its namespace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import networkx as nx

from netviz.model import Caution, Endpoint

if TYPE_CHECKING:
    from netviz.model import Interface, Key, Namespace, Snapshot

MIRRORED = {"ipip", "sit", "gre", "gretap", "ip6tnl", "ip6gre", "ip6gretap", "vti", "vti6"}
NUMBERED = {"vxlan", "geneve"}
# What Open vSwitch keeps in the kernel for itself; its switches are told without that.
_BEHIND = re.compile(r"ovs-system|ovs-netdev|[a-z]+_sys(_\d+)?")


def graph(snapshot: Snapshot) -> nx.MultiGraph:
    """Return interfaces as nodes and the wires between them as edges.

    Equivalent to: ``ip -all netns exec ip -d link``, joining every ``@if7`` by hand.

    A node carries its ``interface`` and its ``namespace``. An edge carries its ``kind``: ``veth``;
    ``patch``, between two bridges of Open vSwitch;
    ``port``, from a bridge to what is plugged into it; ``lower``, from a macvlan, a VLAN or a
    tunnel to the device that it travels over; ``tunnel``, between two ends of one. Discovery is
    not atomic: a wire whose far end is gone becomes a `Caution` in ``g.graph["warnings"]``, never
    an exception. ``g.graph["namespaces"]`` keeps the namespaces, empty ones too.
    """
    g, snapshot = nx.MultiGraph(), shown(snapshot)
    warnings = list(snapshot.warnings)
    for namespace, interface in snapshot:
        g.add_node((namespace.id, interface.index), interface=interface, namespace=namespace)
    for namespace, interface in snapshot:
        warnings += _wire(g, namespace, interface)
    warnings += _dig(g)
    g.graph["namespaces"] = snapshot.namespaces
    g.graph["warnings"] = tuple(_once(warnings))
    return g


def shown(snapshot: Snapshot) -> Snapshot:
    """Return a snapshot without the devices that Open vSwitch keeps for itself."""
    return replace(snapshot, namespaces=tuple(map(_shown, snapshot.namespaces)))


def _shown(space: Namespace) -> Namespace:
    hidden = behind(space)
    kept = tuple(link for link in space.interfaces if link.name not in hidden)
    return replace(space, interfaces=kept) if hidden else space


def behind(space: Namespace) -> set[str]:
    """Return the names of the devices that Open vSwitch keeps for itself in a namespace."""
    found = {link.name for link in space.interfaces if _BEHIND.fullmatch(link.name)}
    bridges = {link.name for link in space.interfaces if link.kind == "openvswitch"}
    return found if bridges - found else set()


def _wire(g: nx.MultiGraph, namespace: Namespace, interface: Interface) -> Iterator[Caution]:
    """Add the edges that the kernel itself names: peer, master, lower device."""
    here = (namespace.id, interface.index)
    cable = "patch" if interface.kind == "patch" else "veth"
    ends = ((cable, interface.peer), ("port", interface.master), ("lower", interface.lower))
    for kind, end in ends:
        if end is None:
            continue
        if end.key in g:
            _join(g, here, end.key, kind)
        else:
            word = {"veth": "peer", "patch": "peer", "port": "master"}.get(kind, "lower device")
            yield Caution(f"its {word} {end} is gone", _endpoint(namespace, interface))
    if interface.kind == "veth" and interface.peer is None:
        yield Caution("its peer is out of sight", _endpoint(namespace, interface))


def _dig(g: nx.MultiGraph) -> Iterator[Caution]:
    """Add tunnels, which the kernel knows one end of at a time."""
    tunnels = [key for key, kind in g.nodes(data="interface") if _is_tunnel(kind)]
    addresses: dict[int, dict[str, Key]] = {}
    for key, interface in g.nodes(data="interface"):
        own = addresses.setdefault(key[0], {})
        own.update({address.local: key for address in interface.addresses})
    for a, b in combinations(tunnels, 2):
        if a[0] != b[0] and _meet(g, a, b, addresses):
            _join(g, a, b, "tunnel")
    for key in tunnels:
        node = g.nodes[key]
        local = _parameter(node["interface"], "local")
        under = addresses[key[0]].get(local) if local else None
        if under and node["interface"].lower is None and under != key:
            _join(g, key, under, "lower")
        reached = any(g.has_edge(key, other, "tunnel") for other in g[key])
        far = _far(node)
        if far and not reached:
            message = f"its far end {', '.join(sorted(far))} is not in this picture"
            yield Caution(message, _endpoint(node["namespace"], node["interface"]))


def _meet(g: nx.MultiGraph, a: Key, b: Key, addresses: dict[int, dict[str, Key]]) -> bool:
    """Tell whether two tunnel devices are the two ends of one tunnel."""
    one, other = g.nodes[a]["interface"], g.nodes[b]["interface"]
    if one.kind != other.kind:
        return False
    if one.kind in MIRRORED:
        return _aims(one, other, addresses[b[0]]) and _aims(other, one, addresses[a[0]])
    if any(_parameter(one, name) != _parameter(other, name) for name in ("id", "port")):
        return False
    group = _parameter(one, "group")
    if group and group == _parameter(other, "group"):
        return True
    return bool(_far(g.nodes[a]) & set(addresses[b[0]]) or _far(g.nodes[b]) & set(addresses[a[0]]))


def _aims(one: Interface, other: Interface, there: dict[str, Key]) -> bool:
    """Tell whether ``one`` sends to where ``other`` listens."""
    remote = _parameter(one, "remote")
    return remote in there and _parameter(other, "local") in (None, remote)


def _far(node: dict[str, Any]) -> set[str]:
    """Return the unicast addresses that a tunnel device sends to, as its FDB names them too."""
    interface, namespace = node["interface"], node["namespace"]
    remote = _parameter(interface, "remote")
    learned = {entry.dst for entry in namespace.fdb if entry.dev == interface.name and entry.dst}
    return (learned | {remote} if remote else learned) - {"0.0.0.0", "::"}


def _parameter(interface: Interface, name: str) -> str | None:
    found = interface.parameters.get(name) or interface.parameters.get(f"{name}6")
    return None if found in (None, "any", "0.0.0.0", "::") else str(found)


def _is_tunnel(interface: Interface) -> bool:
    return interface.kind in MIRRORED | NUMBERED


def _join(g: nx.MultiGraph, a: Key, b: Key, kind: str) -> None:
    if not g.has_edge(a, b, kind):
        g.add_edge(a, b, kind, kind=kind)


def _endpoint(namespace: Namespace, interface: Interface) -> Endpoint:
    return Endpoint(namespace.id, interface.index, namespace.name, interface.name)


def _once(warnings: list[Caution]) -> Iterator[Caution]:
    """Yield one warning an interface: discovery and this module may both miss the same peer."""
    seen: set[Key] = set()
    for warning in warnings:
        if warning.where is None or warning.where.key not in seen:
            yield warning
        if warning.where is not None:
            seen.add(warning.where.key)
