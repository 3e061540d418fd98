"""Whether a namespace translates addresses: by what its rules do to packets, not how they read.

Pure. The packets are such as might pass there, by the namespace's own routes and addresses.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface, ip_network
from itertools import islice
from typing import TYPE_CHECKING

from netviz.errors import ExerciseError
from netviz.packets.filters import Filters
from netviz.packets.rules import Flowing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netviz.model import Namespace
    from netviz.teach.conditions import Difference

_FAR = {"inet": "198.51.100.1", "inet6": "2001:db8:ffff::1"}
"""Addresses of networks that are there for examples: only a default route leads to them."""
_FORWARDED, _SENT = ("prerouting", "forward", "postrouting"), ("output", "postrouting")


def away(found: Namespace, source: str | None) -> Difference:
    """Return why no source is translated that comes from a network, or from any; None if one is.

    Raises ``ExerciseError`` where the rules do not tell.
    """
    filters = Filters(found)
    networks = [source] if source else [network for _, _, network in _addresses(found)]
    told, doubts = "no way leads elsewhere", set()
    for packet in (each for network in networks for each in _leaving(filters, network)):
        after, doubt = _passed(filters, packet, _FORWARDED if packet.iif else _SENT)
        if after.source != packet.source:
            return None
        doubts |= {doubt}
        told = f"what comes from {packet.source} leaves by {packet.oif} with its own source"
    return _certain(told, doubts)


def inward(found: Namespace, port: int, to: str | None) -> Difference:
    """Return why what comes to a TCP port is not led away, just ``to`` there if told.

    None if it is. Raises ``ExerciseError`` where the rules do not tell.
    """
    filters, told, doubts = Filters(found), f"no packet can come to {found.name}", set()
    for device, own, network in _addresses(found):
        source, family = _host(filters, network), "inet6" if ":" in own else "inet"
        packet = Flowing(family, source, own, "tcp", 40000, port, iif=device)
        after, doubt = _passed(filters, packet, ("prerouting",))
        there = f"[{after.to}]" if ":" in after.to else after.to
        moved = (after.to, after.dport) != (own, port)
        if moved and to in (None, f"{there}:{after.dport}", after.dport == port and there):
            return None
        doubts |= {doubt}
        told = f"what comes to {own} {f'goes to {there}:{after.dport}' if moved else 'stays here'}"
    return _certain(told, doubts)


def _certain(told: str, doubts: set[str | None]) -> str:
    """Return the difference. Raises ``ExerciseError`` where it is not known whether there is."""
    for doubt in filter(None, doubts):
        raise ExerciseError(f"the rules do not tell: {doubt}")
    return told


def _passed(
    filters: Filters, packet: Flowing, hooks: tuple[str, ...]
) -> tuple[Flowing, str | None]:
    """Return a packet as it leaves the last of the hooks, dropped or not; and what is not known."""
    doubt = None
    for hook in hooks:
        judged = filters.judge(hook, replace(packet, oif=None) if hook == "prerouting" else packet)
        packet, doubt = replace(judged.packet, oif=packet.oif), doubt or judged.doubt
    return packet, doubt


def _leaving(filters: Filters, network: str) -> Iterator[Flowing]:
    """Yield packets that come from a network and leave by other devices than they came by."""
    stack, source = filters.stack, _host(filters, network)
    family, own = "inet6" if ":" in source else "inet", stack.local(source)
    inward = None if own else next(iter(stack.route(source).devices), None)
    for route in filters.space.routes:
        if (route.family, route.type) != (family, "unicast") or not (own or inward):
            continue
        to = _FAR[family] if route.to == "default" else _host(filters, route.to)
        for out in set(stack.route(to, source=source, iif=inward).devices) - {inward}:
            for protocol in ("icmpv6" if family == "inet6" else "icmp", "tcp", "udp"):
                near, far = (None, None) if "icmp" in protocol else (40000, 80)
                yield Flowing(family, source, to, protocol, near, far, iif=inward, oif=out)


def _addresses(found: Namespace) -> Iterator[tuple[str, str, str]]:
    """Yield the devices that are up with their addresses and the networks of these."""
    for each in found.interfaces:
        for address in each.addresses if each.up and each.kind != "loopback" else ():
            if address.scope == "global":
                yield each.name, address.local, str(ip_interface(str(address)).network)


def _host(filters: Filters, network: str) -> str:
    """Return an address of a network, another's than the namespace's own if there is one."""
    hosts = [str(each) for each in islice(ip_network(network, strict=False).hosts(), 8)]
    return next((each for each in hosts if not filters.stack.local(each)), hosts[0])
