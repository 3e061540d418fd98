"""What ends a packet's life on its way between routers: a circle, too short a time to live. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netviz.explanations import Step
from netviz.packets.facts import typed
from netviz.packets.mends import deleted
from netviz.packets.prefixes import prefix

if TYPE_CHECKING:
    from netviz.model import Namespace, Route
    from netviz.packets.filters import Flowing

SHORT = "net.ipv4.ip_default_ttl"
_USUAL = 64


class Passed(NamedTuple):
    """A router on a packet's way, how the packet came there, and by which route it goes on."""

    space: Namespace
    packet: Flowing
    route: Route | None


def circle(passed: list[Passed]) -> Step | None:
    """Return that a packet is where it was before, and the same; of the routes, the longest goes.

    It is for few, and so the mistake, where the other one is for all.
    """
    *before, (space, packet, _) = passed
    first = next((n for n, it in enumerate(before) if it[:2] == (space, packet)), None)
    if first is None:
        return None
    show = typed(space, "ip", "route", "get", packet.to)
    text = f"it comes back to {space.name} until its time to live is used up: a loop"
    routes = [(it.space, it.route) for it in before[first:] if it.route]
    routes.sort(key=lambda it: -prefix(it[1].to)[0])
    mend = next((deleted(where, packet.to, route) for where, route in routes), None)
    return Step(text, False, space.name, show, mend)


def used_up(start: Namespace, space: Namespace, dev: str) -> Step:
    """Return that what one namespace sends lives no longer than until it comes to another."""
    text = f"its time to live is used up when it comes to {space.name}: {SHORT} of {start.name}"
    mend = typed(start, "sysctl", "-w", f"{SHORT}={_USUAL}")
    show = typed(start, "sysctl", SHORT)
    return Step(f"{text} is too small", False, f"{space.name}:{dev}", show, mend)
