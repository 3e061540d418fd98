"""What ends a packet's life between routers: a circle, or too short a time to live. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from netviz.explanations import Step
from netviz.packets.facts import typed
from netviz.packets.mends import deleted
from netviz.packets.prefixes import prefix

if TYPE_CHECKING:
    from collections.abc import Callable

    from netviz.model import Namespace, Route
    from netviz.packets.filters import Flowing

    Lasts = Callable[[Namespace, int], bool | None]

SHORT = "net.ipv4.ip_default_ttl"
"""The switch by which a namespace says how many routers, and one, its packets are for."""
USUAL = 64


class _Passed(NamedTuple):
    """A router on a packet's way, by which route it goes on, and what decides that."""

    space: Namespace
    route: Route | None
    decides: tuple[object, ...]


class Life:
    """A packet's life, from where it is made; ``lasts`` tells whether it outlives many routers.

    IPv4's only: of an IPv6 packet's hop limit, which each device may set, nothing is told.
    ``short`` says what is too small if it does not, what shows it, and what mends it.
    """

    def __init__(self, start: Namespace, lasts: Lasts, short: Step | None = None) -> None:
        self._start, self._lasts = start, lasts
        self._passed: list[_Passed] = []
        show, mend = typed(start, "sysctl", SHORT), typed(start, "sysctl", "-w", f"{SHORT}={USUAL}")
        self.short = short or Step(f"{SHORT} of {start.name}", False, "", show, mend)

    @property
    def age(self) -> tuple[int, int]:
        """Return what tells it from lives that last longer or shorter: its start, its routers."""
        return self._start.id, len(self._passed)

    def outlives(self, more: int) -> bool | None:
        """Tell whether it comes alive through so many routers more."""
        return self._lasts(self._start, len(self._passed) + more)

    def ends(self, space: Namespace, packet: Flowing, route: Route | None) -> Step | None:
        """Return why a packet gets no further than to this router, if its life ends there."""
        decides = (space.id, packet.iif, packet.source, packet.to, packet.mark)
        before = [it.decides for it in self._passed]
        self._passed.append(_Passed(space, route, decides))
        if decides in before:
            return _circle(self._passed[before.index(decides) : -1], packet.to)
        if packet.family == "inet" and self.outlives(0) is False:
            text = f"its time to live is used up when it comes to {space.name}: {self.short.text}"
            where = f"{space.name}:{packet.iif}"
            return replace(self.short, text=f"{text} is too small", where=where)
        return None


def _circle(passed: list[_Passed], to: str) -> Step:
    """Return that a packet goes in a circle; of its routes the longest is to go: it is for few."""
    space = passed[0].space
    text = f"it comes back to {space.name} until its time to live is used up: a loop"
    routes = [(it.space, it.route) for it in passed if it.route]
    routes.sort(key=lambda it: -prefix(it[1].to)[0])
    mend = next((deleted(where, to, route) for where, route in routes), None)
    return Step(text, False, space.name, typed(space, "ip", "route", "get", to), mend)
