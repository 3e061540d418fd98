"""Which command mends a network in which a packet goes no further. Pure.

There are many ways to mend most faults. What is proposed fits what the rest of the network is like:
an address of the subnet that the others have, a router that leads there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_interface
from typing import TYPE_CHECKING, Any

from netviz.explanations import Step
from netviz.packets import overlays
from netviz.packets.facts import typed
from netviz.packets.relations import hands_over
from netviz.packets.routers import Routers
from netviz.packets.subnets import Subnets, covers, fits, network_of, usual
from netviz.packets.unsent import refused

if TYPE_CHECKING:
    from netviz.model import Address, Key, Namespace, Route
    from netviz.packets.lookup import Lookup
    from netviz.packets.segments import Wires

_MAIN = 254


class Mends:
    """Commands for one network, each one line as typed in its root; None where none is known."""

    def __init__(self, wires: Wires) -> None:
        self.wires = wires
        self._subnets = Subnets(wires)
        self._routers = Routers(wires, self._subnets)

    def route(self, space: Namespace, to: str, found: Lookup) -> str | None:
        """Return what gives a namespace a way to an address, or takes away what refuses it."""
        if found.route and found.refusal:
            return deleted(space, to, found.route, found.route.type)
        if found.rule and found.refusal:
            words = ("rule", "delete", "priority", str(found.rule.priority))
            return typed(space, *_ip(to), *words)
        return (
            self._direct(space, to)
            or self._below(space, to)
            or self.joined(space, to, lambda far: far.local == to)
            or overlays.route(self.wires, space, to, self._subnets)
            or self.router(space, to)
            or self.joined(space, to, lambda far: ip_address(to) in network_of(far))
            or self.joined(space, to)
            or self._moved_back(space, to)
        )

    def _moved_back(self, space: Namespace, to: str) -> str | None:
        """Return what brings who has an address, to which nothing leads, into his link's subnet."""
        owners = {key[0] for key in self.wires.owners.get(to, ())} - {space.id}
        mends = (self.joined(self.wires.spaces[key], to) for key in sorted(owners))
        return next(filter(None, mends), None)

    def _direct(self, space: Namespace, to: str) -> str | None:
        """Return a route to the subnet of one of a namespace's own addresses."""
        for key, own in self._subnets.cards(space, to):
            for address in own:
                if ip_address(to) in network_of(address):
                    dev, subnet = self.wires.links[key].name, str(network_of(address))
                    return typed(space, "ip", "route", "add", subnet, "dev", dev)
        return None

    def _below(self, space: Namespace, to: str) -> str | None:
        """Return a route to what stands on a card and does not speak ARP, by the card's address."""
        for link in (self.wires.links[key] for key in self.wires.owners.get(to, ())):
            below = self.wires.links.get(link.lower.key) if link.lower else None
            for via in below.addresses if below and hands_over(link) else ():
                if fits(via, to) and any(covers(it, via.local) for it in space.interfaces):
                    return typed(space, *_ip(to), "route", "add", to, "via", via.local)
        return None

    def unrouted(self, space: Namespace, to: str, found: Lookup, show: str) -> Step:
        """Return why there is no way to an address, and what mends it."""
        why, off = refused(space, to, found, show), [it for it in space.interfaces if not it.up]
        wanted = [link for link in off if covers(link, to)]
        if ip_address(to).is_loopback:
            wanted = [link for link in off if link.kind == "loopback"]
        cards = [link for link in space.interfaces if link.kind != "loopback"]
        if not any(link.up for link in cards):
            wanted = wanted or cards
        mend = self.route(space, to, found) if not wanted or found.route or found.rule else None
        if mend is None:
            wanted = wanted or [link for link in cards if not link.up]
            for link in wanted:
                if down := self.wires.down(self.wires.key(space, link.name)):
                    return replace(down, text=why.text)
        return Step(why.text, False, space.name, why.command, mend)

    def joined(
        self, space: Namespace, to: str, fit: Callable[[Address], bool] = lambda far: True
    ) -> str | None:
        """Return what brings a device into the subnet of an address on its link that fits."""
        for key, own in self._subnets.cards(space, to):
            near = [far for _, far in self._subnets.others(key, to)]
            common = Counter(network_of(far) for far in near)
            for far in sorted(filter(fit, near), key=lambda far: -common[network_of(far)]):
                if mended := self._moved(space, self.wires.links[key].name, own, far, common):
                    return mended
        return None

    def _moved(
        self, space: Namespace, dev: str, own: list[Address], far: Address, common: Counter[Any]
    ) -> str | None:
        """Return what brings a device into the subnet of an address that is on its link."""
        subnet = ip_interface(f"{far.local}/{usual(far)}").network
        for address in own:
            fewer = common[network_of(address)] <= common[subnet]
            if ip_address(address.local) in subnet and address.prefixlen != usual(far) and fewer:
                return self.replaced(space, dev, address, f"{address.local}/{usual(far)}")
        free = self._subnets.free(subnet)
        if free is None or any(ip_address(address.local) in subnet for address in own):
            return None
        if own and self._named(own[0].local):
            return None
        if own:
            return self.replaced(space, dev, own[0], free)
        return typed(space, "ip", "address", "add", free, "dev", dev)

    def without(self, key: Key, address: str) -> str | None:
        """Return what takes an address from a device."""
        space, link = self.wires.spaces[key[0]], self.wires.links[key]
        own = [str(a) for a in link.addresses if a.local == address]
        return typed(space, "ip", "address", "delete", own[0], "dev", link.name) if own else None

    def deaf(self, port: Key, bridge: Key) -> Step:
        """Return that a port's own stack hears nothing, and what gives the bridge its address."""
        space, links = self.wires.spaces[port[0]], self.wires.links
        link, switch = links[port], links[bridge]
        show = typed(space, "bridge", "link", "show", "dev", link.name)
        text = f"{link.name} is a port of {switch.name}, which takes what comes in"
        mends = []
        for address in (it for it in link.addresses if it.scope == "global"):
            mends.append(typed(space, "ip", "address", "delete", str(address), "dev", link.name))
            if str(address) not in map(str, switch.addresses):
                mends.append(typed(space, "ip", "address", "add", str(address), "dev", switch.name))
        where = self.wires.relations.called(port)
        return Step(text, False, where, show, " && ".join(mends) or None)

    def over(self, key: Key, asks: str, address: str, on: str) -> str | None:
        """Return what lets one reach a silent device: ``on``, or a route by the device below."""
        if not hands_over(self.wires.links[key]):
            return on
        lower = self.wires.links[key].lower
        below = self.wires.links.get(lower.key) if lower else None
        for asker in self.wires.owners.get(asks, ()):
            for own in below.addresses if below else ():
                if ip_address(asks) in network_of(own) and asks != own.local:
                    words = ("route", "add", address, "via", own.local)
                    return typed(self.wires.spaces[asker[0]], *_ip(address), *words)
        return None

    def replaced(self, space: Namespace, dev: str, old: Address, new: str) -> str:
        """Return what gives a device another address for one; routes by it stay where they can."""
        add = typed(space, "ip", "address", "add", new, "dev", dev)
        gone = typed(space, "ip", "address", "delete", str(old), "dev", dev)
        return f"{gone} && {add}" if ":" in new else f"{add} && {gone}"

    def router(self, space: Namespace, to: str, route: str | None = None) -> str | None:
        """Return a route to an address by a router on link; for ``route``, if one is there."""
        via = self._routers.on_link(space, to)
        if not via:
            return None
        words = ("replace", route) if route else ("add", str(self._subnets.subnet(to)))
        return via[0].mend or typed(space, "ip", "route", *words, "via", via[0].address)

    def straight(self, space: Namespace, to: str, route: Route) -> str | None:
        """Return what leads past a gateway that is none: straight on, or by another one."""
        if any(covers(it, to) for it in space.interfaces):
            return deleted(space, to, route)
        return self.router(space, to, route.to)

    def _named(self, address: str) -> bool:
        """Tell whether a route names an address as its gateway."""
        routes = (route for space in self.wires.spaces.values() for route in space.routes)
        return any(route.via == address for route in routes)

    def fewer(self, key: Key, to: str) -> str | None:
        """Return what takes an address from a device, by which it takes another to be on link."""
        own = [a for a in self.wires.links[key].addresses if fits(a, to)]
        wide = [a for a in own if ip_address(to) in network_of(a)]
        return self.without(key, wide[0].local) if len(own) > len(wide) == 1 else None

    def given(self, key: Key, to: str, own: Address | None) -> str | None:
        """Return what gives somebody on a device's link an address that nobody has.

        Only what is the gateway of others is the address of a bridge.
        """
        plain, version = not self._named(to), "inet6" if ":" in to else "inet"
        if to in self.wires.owners:
            return None
        ranked: list[tuple[bool, bool, bool, bool, str, Key, list[Address]]] = []
        settled = []
        for there, arrival in self._subnets.near(key, to).items():
            link, space = self.wires.links[there], self.wires.spaces[there[0]]
            had = [a for a in link.addresses if fits(a, to)]
            right = [a for a in had if own and ip_address(a.local) in network_of(own)]
            if space.id == key[0] or arrival.beyond or (plain and link.kind == "bridge"):
                continue
            routes = bool(self.wires.stacks[space.id].forwards(version, "all"))
            rank = (not (routes or plain), bool(had), link.kind == "bridge", not arrival.real)
            told = (*rank, self.wires.relations.called(there), there, had)
            if not right:
                ranked.append(told)
            elif not routes and not any(self._named(a.local) for a in had):
                settled.append(told)
        # Who has another address of the subnet may be meant, if it is one alone.
        settled = settled if len(settled) == 1 and not ranked else []
        if not (ranked or settled):
            return None
        *_, there, had = min(ranked or settled)
        space, dev = self.wires.spaces[there[0]], self.wires.links[there].name
        length = usual(own) if own else 64 if ":" in to else 24
        if had and not settled:
            return self.replaced(space, dev, had[0], f"{to}/{length}")
        return typed(space, "ip", "address", "add", f"{to}/{length}", "dev", dev)

    def narrowed(self, space: Namespace, dev: str, to: str) -> str | None:
        """Return what gives a device the mask that the others on its link have, if it is longer."""
        key = self.wires.key(space, dev)
        for address in self.wires.links[key].addresses:
            if not fits(address, to) or ip_address(to) not in network_of(address):
                continue
            near = [far for _, far in self._subnets.others(key, to)]
            near = [far for far in near if ip_address(address.local) in network_of(far)]
            others = Counter(far.prefixlen for far in near)
            for length, _ in others.most_common(1):
                wide = ip_interface(f"{address.local}/{length}")
                if length > address.prefixlen and ip_address(to) not in wide.network:
                    return self.replaced(space, dev, address, str(wide))
        return None

    def unplugged(self, key: Key, owners: list[Key], to: str) -> Step | None:
        """Return that a device is in no bridge, or in another one, and what plugs it in."""
        for owner in owners:
            if found := self.plugged(key, owner, to):
                loose, mend = found
                text = f"{self.wires.told(owner)} has it, but {self.wires.told(loose)} "
                text += "is not a port of the same bridge"
                there, name = self.wires.spaces[loose[0]], self.wires.links[loose].name
                look = typed(there, "ip", "link", "show", "dev", name)
                return Step(text, False, self.wires.relations.called(loose), look, mend)
        return None

    def plugged(self, key: Key, owner: Key, to: str) -> tuple[Key, str] | None:
        """Return what is to be plugged into a bridge so that two links become one, and how."""
        near = self._extent(key, to)
        far = self._extent(owner, to)
        for one, other in ((near, far), (far, near)):
            bridges = {it for it in one if self.wires.links[it].kind == "bridge"}
            if not any(self.wires.links[it].kind == "bridge" for it in near | far):
                bridges = {*filter(self._idle, self.wires.links)}
            for loose in sorted(other - {key, owner}):
                link, switch = self.wires.links[loose], self.wires.relations.master(loose)
                told = any(fits(a, to) for a in link.addresses)
                if link.kind == "bridge" or (told and not switch):
                    continue
                for bridge in sorted(bridges):
                    if bridge[0] == loose[0] and bridge != switch:
                        name = self.wires.links[bridge].name
                        space = self.wires.spaces[loose[0]]
                        words = ("ip", "link", "set", "dev", link.name, "master", name)
                        return loose, typed(space, *words)
        return None

    def _idle(self, key: Key) -> bool:
        """Tell whether a device is a bridge without ports."""
        return self.wires.links[key].kind == "bridge" and not self.wires.relations.ports.get(key)

    def _extent(self, key: Key, to: str) -> set[Key]:
        reached = self._subnets.near(key, to).values()
        return {key, *(each for arrival in reached for each in arrival.way)}


def deleted(space: Namespace, to: str, route: Route, *kind: str) -> str:
    """Return what takes away a route, by which an address is sought; a kind if it refuses."""
    table = ("table", str(route.table)) if route.table != _MAIN else ()
    dev = ("dev", route.dev) if route.dev and not kind else ()
    return typed(space, *_ip(to), "route", "delete", *kind, route.to, *dev, *table)


def _ip(to: str) -> tuple[str, ...]:
    return ("ip", "-6") if ":" in to else ("ip",)
