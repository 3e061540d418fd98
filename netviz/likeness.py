"""What a network is like, without what was made up: two that are built alike become equal.

The end of a cable that is plugged into a bridge is called by its far end, for its name and its MAC
address are whatever its maker drew; one link-local address is like another; what was learned is
left out. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netviz.model import Address, Endpoint, Interface, Namespace, Snapshot

_LINK_LOCAL = "fe80::"


def likeness(network: Snapshot) -> Snapshot:
    """Return a network without the names and addresses that nobody chose."""
    drawn = {
        (namespace.id, link.index): f"peer-of-{link.peer}"
        for namespace, link in network
        if link.peer and link.master
    }

    def called(end: Endpoint | None) -> Endpoint | None:
        return replace(end, name=drawn.get(end.key, end.name)) if end else None

    def link_like(link: Interface, name: str) -> Interface:
        roles = ("master", "peer", "lower")
        ends: dict[str, Any] = {role: called(getattr(link, role)) for role in roles}
        addresses = tuple(map(_address_like, link.addresses))
        mac = link.mac if name == link.name else None
        return replace(link, name=name, mac=mac, addresses=addresses, **ends)

    def like(namespace: Namespace) -> Namespace:
        own = {it.name: drawn.get((namespace.id, it.index), it.name) for it in namespace.interfaces}
        return _namespace_like(namespace, own, link_like)

    return replace(network, namespaces=tuple(map(like, network.namespaces)))


def _namespace_like(
    namespace: Namespace, own: Mapping[str, str], link_like: Callable[[Interface, str], Interface]
) -> Namespace:
    """Return a namespace in which interfaces are called as ``own`` says."""
    chosen = (it for it in namespace.fdb if it.dst or it.state == "permanent")
    return replace(
        namespace,
        interfaces=tuple(link_like(it, own[it.name]) for it in namespace.interfaces),
        routes=tuple(replace(it, dev=own.get(it.dev or "", it.dev)) for it in namespace.routes),
        qdiscs=tuple(replace(it, dev=own.get(it.dev, it.dev)) for it in namespace.qdiscs),
        fdb=tuple(replace(it, dev=own.get(it.dev, it.dev)) for it in chosen),
        vlans=tuple(replace(it, dev=own.get(it.dev, it.dev)) for it in namespace.vlans),
        neighbours=(),
        sysctls={
            version: {own.get(scope, scope): it for scope, it in scopes.items()}
            if isinstance(scopes, Mapping)
            else scopes
            for version, scopes in namespace.sysctls.items()
        },
    )


def _address_like(address: Address) -> Address:
    if not address.local.startswith(_LINK_LOCAL):
        return address
    return replace(address, local=_LINK_LOCAL, prefixlen=64)
