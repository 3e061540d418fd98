"""Why a namespace did not send: no way, nobody who answers, a device that carries nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_interface
from typing import TYPE_CHECKING

from netviz.journeys import Reason
from netviz.model import OPENED
from netviz.packets.queues import lossy
from netviz.packets.typed import typed

if TYPE_CHECKING:
    from netviz.model import Interface, Namespace
    from netviz.packets.lookup import Lookup, Stack

NO_ANSWER = "answers for"
NOT_FOUND = "and no table that is read here tells why"


def unsent(space: Namespace, stack: Stack, to: str, found: Lookup) -> Reason:
    """Return why a namespace cannot send to an address: no way there, or nobody who answers."""
    ask = typed(space, "ip", "route", "get", to)
    if found.refusal:
        return refused(space, to, found, ask)
    for dev, gateway in zip(found.devices, found.gateways, strict=False):
        known, link = stack.neighbour(gateway, dev), stack.interface(dev)
        show = typed(space, "ip", "neighbour", "show", "dev", dev)
        if link and (lost := lossy(space, link)):
            return lost
        if link and not link.running:
            state = typed(space, "ip", "link", "show", "dev", dev)
            return Reason(f"{dev} {idle(link)}", state)
        if link and "NOARP" not in link.flags and not (known and known.mac):
            return Reason(f"nobody on {dev} {NO_ANSWER} {gateway}", show)
    return Reason(f"{space.name} did not send it, {NOT_FOUND}", ask)


def refused(space: Namespace, to: str, found: Lookup, ask: str) -> Reason:
    """Return why there is no way to an address from a namespace, and what is odd there."""
    why = barred(space, to, found, ask)
    hints = () if found.route or found.rule else _hints(space.interfaces, to)
    return replace(why, text="; ".join([why.text, *hints]))


def barred(space: Namespace, to: str, found: Lookup, ask: str) -> Reason:
    """Return why there is no way to an address; a route or a rule that refuses is named."""
    text, ip = f"{space.name} has no way to {to}", ("ip", "-6") if ":" in to else ("ip",)
    if route := found.route:
        show = typed(space, *ip, "route", "show", "table", str(route.table), "type", route.type)
        return Reason(f"{text}: {found.refusal} {route.to}, a route of {space.name}", show)
    if rule := found.rule:
        words = ["not"] if rule.inverted else []
        for word, prefix in (("from", rule.source), ("to", rule.to)):
            words += [word, prefix] if prefix != "all" else []
        told = f"rule {rule.priority} of {space.name}: {' '.join([*words, rule.action])}"
        return Reason(f"{text}: {told}", typed(space, *ip, "rule"))
    return Reason(f"{text}: {found.refusal}", ask)


def _hints(links: tuple[Interface, ...], to: str) -> Iterator[str]:
    """Yield what is odd about interfaces and may be why there is no route."""
    kind = ("inet6" if ":" in to else "inet", "global")
    links = tuple(link for link in links if link.kind != "loopback")
    own = [(on, it) for on in links for it in on.addresses if (it.family, it.scope) == kind]
    yield from (f"{link.name} is down" for link in links if not link.up)
    apart = ((link, it) for link, it in own if ip_address(to) not in ip_interface(str(it)).network)
    yield from (f"{to} is not in {it} of {link.name}" for link, it in apart)
    if not own:
        yield "it has no address"


def idle(link: Interface) -> str:
    """Return why a device carries nothing; an empty text where it does."""
    far = "no program has it open" if link.kind in OPENED else "the far end of its cable is down"
    return "" if link.running else f"carries nothing: {far}" if link.up else "is down"
