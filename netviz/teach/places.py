"""Where in a lab something can be broken: each place is the words that go into a command. Pure.

``ns`` and ``dev`` are a namespace and a device, ``at`` is both; ``ip`` is ``ip`` or ``ip6``, ``v``
is 4 or 6; ``wrong`` is what nobody has. A command that needs a word which a place does not have
cannot be typed there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface
from itertools import combinations
from typing import TYPE_CHECKING, Any

from netviz.changes import FORWARDING
from netviz.net.lasting import unswitched
from netviz.net.routes import route_words
from netviz.net.steps import ROOT
from netviz.packets.lookup import Stack
from netviz.packets.overlays import anew
from netviz.packets.rules import words as rule_words
from netviz.teach.echoes import called

if TYPE_CHECKING:
    from netviz.model import Interface, Namespace, Route, Snapshot
    from netviz.teach.echoes import Pair

Words = dict[str, str]
_MAIN = 254
_NAMED = ("root", "name")
_TABLE = "firewall"
_EVERYBODY = "00:00:00:00:00:00"


@dataclass(frozen=True, slots=True)
class Lab:
    """A network at work: what it is, and the pairs that reach each other."""

    network: Snapshot
    pairs: tuple[Pair, ...]

    @property
    def echoes(self) -> tuple[Pair, ...]:
        """Return those of the pairs that are no calls."""
        return tuple(pair for pair in self.pairs if not called(pair[1]))

    @property
    def calls(self) -> list[tuple[str, int]]:
        """Return the addresses and the ports that somebody calls."""
        return sorted({call for _, to in self.pairs if (call := called(to))})

    @property
    def spaces(self) -> list[Namespace]:
        """Return the namespaces that a command can name, without what is Open vSwitch's own.

        What its daemons have made, no plan makes again.
        """
        return [unswitched(it) for it in self.network.namespaces if it.held_by in _NAMED]

    def links(self, fits: Callable[[Interface], object]) -> Iterator[Words]:
        """Yield the links that are up and fit."""
        for space in self.spaces:
            yield from (_link(space, it) for it in space.interfaces if it.up and fits(it))

    def inside(self, network: Any) -> list[str]:
        """Return the addresses of the lab that lie in a network."""
        known = (address.local for _, link in self.network for address in link.addresses)
        return [each for each in known if ip_address(each) in network]

    def stranger(self, space: Namespace, near: str | None) -> Words:
        """Return who is nobody, in the network that a namespace has in common with an address."""
        own = (ip_interface(str(it)).network for link in space.interfaces for it in link.addresses)
        for network in (each for each in own if near and ip_address(near) in each):
            taken, size = self.inside(network), min(network.num_addresses, 256)
            free = (str(network[-back]) for back in range(2, size))
            wrong = next((each for each in free if each not in taken), None)
            return {"wrong": wrong} if wrong else {}
        return {}


def _link(space: Namespace, link: Interface) -> Words:
    at = f"{space.name}:{link.name}".removeprefix(f"{ROOT}:")
    master = {"master": link.master.name} if link.master else {}
    return {"ns": space.name, "dev": link.name, "at": at} | master


def _toward(space: Namespace, to: str, family: str | None = None) -> Words:
    sixth = family == "inet6" or ":" in to
    tables: list[Any] = [it["table"]["name"] for it in space.nft if "table" in it]  # type: ignore[index]
    table = {"table": _TABLE} if _TABLE not in tables else {}
    return {"ns": space.name, "to": to, "v": "46"[sixth], "ip": "ip6" if sixth else "ip"} | table


def ends(lab: Lab) -> Iterator[Words]:
    """Yield where namespaces talk to others: neither bridges nor loopbacks."""

    def fits(link: Interface) -> bool:
        far = any(address.scope == "global" for address in link.addresses)
        return far and link.kind not in ("bridge", "loopback")

    return lab.links(fits)


def ports(lab: Lab) -> Iterator[Words]:
    """Yield the ports of bridges."""
    return lab.links(lambda link: link.master)


def bridges(lab: Lab) -> Iterator[Words]:
    """Yield the bridges."""
    return lab.links(lambda link: link.kind == "bridge")


def macvlans(lab: Lab) -> Iterator[Words]:
    """Yield the macvlans that reach others on their card."""
    return lab.links(lambda it: it.kind == "macvlan" and it.parameters.get("mode") == "bridge")


def loopbacks(lab: Lab) -> Iterator[Words]:
    """Yield the loopbacks."""
    return lab.links(lambda link: link.kind == "loopback")


def addresses(lab: Lab) -> Iterator[Words]:
    """Yield each address, ``old``, and what can be in its place.

    ``narrower`` is in a network that just leaves out one who was in it, ``elsewhere`` in one where
    nobody is; ``anothers`` is what another one has, ``bare`` that without the prefix length.
    """
    for space in lab.spaces:
        for link in (it for it in space.interfaces if it.up):
            for old in (it for it in link.addresses if it.scope == "global"):
                yield _link(space, link) | {"old": str(old)} | _instead(lab, ip_interface(str(old)))


def _instead(lab: Lab, old: Any) -> Words:
    length, size, inside = old.network.prefixlen, old.network.num_addresses, lab.inside(old.network)
    lengths = range(length + 1, old.max_prefixlen + 1)
    near = (ip_interface(f"{old.ip}/{each}") for each in lengths)
    far = (ip_interface(f"{old.ip + step * size}/{length}") for step in range(100, 120))
    found = {
        "narrower": next((it for it in near if len(lab.inside(it.network)) < len(inside)), None),
        "elsewhere": next((it for it in far if not lab.inside(it.network)), None),
    }
    told = {name: str(each) for name, each in found.items() if each}
    others = [{"anothers": f"{it}/{length}", "bare": it} for it in inside if it != str(old.ip)]
    return told | (others or [{}])[0]


def access_ports(lab: Lab) -> Iterator[Words]:
    """Yield each access port of Open vSwitch: its ``tag``, and ``other``, which no port has.

    In a VLAN that is in use somebody else may have the same address, and answer.
    """
    for space in (it for it in lab.network.namespaces if it.held_by in _NAMED):
        told = ((link, link.port.get("tag")) for link in space.interfaces)
        ports = [(link, tag) for link, tag in told if isinstance(tag, int)]
        other = str(max((tag for _, tag in ports), default=0) + 1)
        yield from (_link(space, link) | {"tag": str(tag), "other": other} for link, tag in ports)


def pairs_of_ports(lab: Lab) -> Iterator[Words]:
    """Yield two ports of one bridge, ``dev`` and ``other``."""
    for space in lab.spaces:
        for one, other in combinations((it for it in space.interfaces if it.master), 2):
            if one.master == other.master:
                yield _link(space, one) | {"other": other.name}


def stations(lab: Lab) -> Iterator[Words]:
    """Yield whom a bridge has learned to be at a port; ``other`` is another of its ports."""
    known = [(space.name, entry) for space in lab.spaces for entry in space.fdb]
    for pair in pairs_of_ports(lab):
        for name, entry in known:
            if (name, entry.dev) == (pair["ns"], pair["dev"]) and entry.master and not entry.state:
                vlan = f"vlan {entry.vlan}" if entry.vlan else ""
                yield pair | {"mac": entry.mac, "vlan": vlan}


def far_stations(lab: Lab) -> Iterator[Words]:
    """Yield whom a VXLAN knows to be behind a ``remote``: it has learned it, or was told."""
    for space in lab.spaces:
        for entry in (it for it in space.fdb if it.dst and it.mac != _EVERYBODY):
            told = {"dev": entry.dev, "mac": entry.mac, "remote": str(entry.dst)}
            yield {"ns": space.name} | told | lab.stranger(space, entry.dst)


def tunnels(lab: Lab) -> Iterator[Words]:
    """Yield each VXLAN; ``again`` are commands that make one with the number ``wrong`` of it."""
    for space in lab.spaces:
        for link in (it for it in space.interfaces if it.kind == "vxlan"):
            number: Any = link.parameters["id"]
            lines = anew(replace(space, name=ROOT, held_by="root"), link, {"id": number + 1})
            told = {"vni": str(number), "wrong": str(number + 1), "again": "\n".join(lines)}
            yield _link(space, link) | told


def remotes(lab: Lab) -> Iterator[Words]:
    """Yield each tunnel of IP in IP, or of GRE; ``wrong`` is beside its ``remote``, and nobody."""
    for space in lab.spaces:
        for link in (it for it in space.interfaces if it.up and it.kind in ("ipip", "sit", "gre")):
            if remote := link.parameters.get("remote"):
                old = ip_interface(str(remote))
                end = min(int(old) + 9, 2**old.max_prefixlen)
                near = (type(old)(number) for number in range(int(old) + 1, end))
                if wrong := next((it for it in near if not lab.inside(it.network)), None):
                    told = {"kind": link.kind, "remote": str(remote), "wrong": str(wrong.ip)}
                    yield _link(space, link) | told


def typed_routes(lab: Lab) -> Iterator[Words]:
    """Yield the routes that somebody typed; ``wrong`` is no gateway."""
    return _routes(lab, lambda route: route.protocol not in ("kernel", "ra", "redirect"))


def own_routes(lab: Lab) -> Iterator[Words]:
    """Yield the routes that came with addresses."""
    return _routes(lab, lambda route: route.protocol == "kernel" and route.family == "inet")


def _routes(lab: Lab, fits: Callable[[Route], bool]) -> Iterator[Words]:
    for space in lab.spaces:
        for route in space.routes:
            if route.table == _MAIN and route.type == "unicast" and fits(route):
                said = {"said": " ".join(route_words(route))} | lab.stranger(space, route.via)
                yield _toward(space, route.to, route.family) | said


def ways(lab: Lab) -> Iterator[Words]:
    """Yield how a namespace reaches an address elsewhere: by which ``dev`` and next ``hop``."""
    stacks = {space.name: (space, Stack(space)) for space in lab.spaces}
    for where, to in (pair for pair in lab.echoes if pair[0] in stacks):
        space, stack = stacks[where]
        way = stack.route(to)
        if way.devices and not stack.local(to):
            told = {"dev": way.devices[0], "hop": way.gateways[0]}
            yield _toward(space, to) | told | lab.stranger(space, way.gateways[0])


def transits(lab: Lab) -> Iterator[Words]:
    """Yield the ways from a namespace which also those may take who come by another device."""
    known = [*ways(lab)]
    for way in known:
        here = {it["dev"] for it in known if (it["ns"], it["v"]) == (way["ns"], way["v"])}
        yield from [way] if len(here) > 1 else []


def bridged(lab: Lab) -> Iterator[Words]:
    """Yield each address that somebody reaches, in each namespace with a bridge."""
    for space in lab.spaces:
        if any(link.kind == "bridge" for link in space.interfaces):
            yield from (_toward(space, to) for to in sorted({to for _, to in lab.echoes}))


def routers(lab: Lab) -> Iterator[Words]:
    """Yield each ``switch`` by which a namespace forwards."""
    for space in lab.spaces:
        for family, name in FORWARDING.items():
            if Stack(space).forwards(family, "all"):
                yield {"ns": space.name, "switch": name}


def masquerades(lab: Lab) -> Iterator[Words]:
    """Yield each rule that changes sources: ``said`` is where it stands."""
    return _rules(lab, "masquerade", "snat")


def leading(lab: Lab) -> Iterator[Words]:
    """Yield each rule that leads calls elsewhere: ``asks`` is what it asks of a packet."""
    return _rules(lab, "dnat") if lab.calls else iter(())


def accepting(lab: Lab) -> Iterator[Words]:
    """Yield each rule that lets something pass, where there are calls."""
    return _rules(lab, "accept") if lab.calls else iter(())


def _rules(lab: Lab, *verdicts: str) -> Iterator[Words]:
    for space in lab.spaces:
        rules: list[Any] = [it["rule"] for it in space.nft if "rule" in it]
        for rule in rules:
            if any(verdict in it for verdict in verdicts for it in rule["expr"]):
                said = " ".join(rule[it] for it in ("family", "table", "chain"))
                asks = rule_words({"expr": [it for it in rule["expr"] if "match" in it]})
                near = next(iter(re.findall(r"\d+(?:\.\d+){3}", repr(rule["expr"][-1]))), None)
                told = {"said": said, "handle": str(rule["handle"]), "asks": asks}
                nobody = (wrong for each in lab.spaces if (wrong := lab.stranger(each, near)))
                yield {"ns": space.name} | told | next(nobody, {})


def thoroughfares(lab: Lab) -> Iterator[Words]:
    """Yield each ``port`` that is called, in each namespace that forwards."""
    for space in lab.spaces:
        if Stack(space).forwards("inet", "all"):
            yield from (_toward(space, to) | {"port": str(port)} for to, port in lab.calls)
