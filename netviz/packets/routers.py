"""By which router on its link a namespace could reach an address. Pure."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from netviz.packets.facts import typed
from netviz.packets.subnets import covers, fits, network_of

if TYPE_CHECKING:
    from netviz.model import Interface, Namespace
    from netviz.packets.segments import Wires
    from netviz.packets.subnets import Subnets


class Router(NamedTuple):
    """A router on a link: how little it suits, its address there, or what gives it one."""

    rank: tuple[bool, ...]
    name: str
    address: str
    sure: bool
    mend: str = ""


class Routers:
    """The routers of one network; for each namespace they are found out once."""

    def __init__(self, wires: Wires, subnets: Subnets) -> None:
        self._wires, self._subnets = wires, subnets
        self._known: dict[tuple[int, str], list[Router]] = {}

    def on_link(self, space: Namespace, to: str) -> list[Router]:
        """Return the routers on link, best first."""
        if (space.id, to) in self._known:
            return self._known[space.id, to]
        ranked = self._known[space.id, to] = []
        for key, own in self._subnets.cards(space, to):
            for there, arrival in self._subnets.near(key, to).items():
                far, link = self._wires.spaces[there[0]], self._wires.links[there]
                if far.id == space.id:
                    continue
                version = "inet6" if ":" in to else "inet"
                on = self._wires.stacks[far.id].forwards(version, link.name)
                has = self._has(far, link, to)
                leads = has or (on and self._leads(far, space, to))
                # Else it could perhaps, if it knew of others.
                sure = has or bool(
                    on and not leads and any(it.sure for it in self.on_link(far, to))
                )
                if not (leads or sure):
                    continue
                rank = (not leads, not on, not arrival.real)
                near = (
                    a.local
                    for a in link.addresses
                    if any(ip_address(a.local) in network_of(it) for it in own)
                    and a.local != to
                    and not self._wires.stacks[space.id].broadcast(a.local)
                    and not self._wires.stacks[space.id].local(a.local)
                    and self._wires.stacks[space.id].route(a.local).gateways == (a.local,)
                )
                ranked += (Router((*rank, False), far.name, local, sure) for local in near)
                free = self._subnets.free(network_of(own[0])) if own else None
                if free and not any(fits(a, to) for a in link.addresses) and not arrival.beyond:
                    give = typed(far, "ip", "address", "add", free, "dev", link.name)
                    ranked.append(Router((*rank, True), far.name, free, sure, give))
        ranked.sort()
        return ranked

    def _has(self, router: Namespace, near: Interface, to: str) -> bool:
        """Tell whether an address is a namespace's own, or on a link that leads on from there."""
        further = (link for link in router.interfaces if link != near)
        own = self._wires.stacks[router.id].local(to)
        return bool(own) or any(covers(link, to) for link in further)

    def _leads(self, router: Namespace, asker: Namespace, to: str) -> bool:
        found = self._wires.stacks[router.id].route(to)
        back = {a.local for link in asker.interfaces for a in link.addresses}
        return not (found.refusal or found.doubt or back & {*found.gateways})
