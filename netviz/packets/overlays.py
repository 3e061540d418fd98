"""What a VXLAN that asks nobody has to be told of each other node. Pure.

A daemon such as flannel's writes three entries a node: a route by the address of the VTEP there, a
neighbour entry with the VTEP's card, an FDB entry that says behind which address that card is.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from netviz.explanations import Step
from netviz.net.entries import AddAddress, AddEntry
from netviz.net.parameters import unusual
from netviz.net.steps import AddLink
from netviz.packets.facts import typed
from netviz.packets.ports import BROADCAST
from netviz.packets.subnets import covers

if TYPE_CHECKING:
    from netviz.model import FdbEntry, Interface, Key, Namespace, Neighbour, Route
    from netviz.packets.segments import Wires
    from netviz.packets.subnets import Subnets

_WRITTEN = "PERMANENT"


def _twin(wires: Wires, key: Key, address: str = "", mac: str = "") -> Interface | None:
    """Return the VTEP elsewhere that has an address, or a card; if it can be, of the same VNI."""
    link = wires.links[key]
    if link.kind != "vxlan":
        return None
    found = []
    for far, other in wires.links.items():
        has = other.mac == mac or address in {it.local for it in other.addresses}
        if far[0] != key[0] and other.kind == "vxlan" and has:
            found.append(other)
    return min(found, key=lambda it: _numbers(it) != _numbers(link), default=None)


def card(wires: Wires, key: Key, address: str) -> str | None:
    """Return the card of the VTEP that has an address."""
    other = _twin(wires, key, address)
    return other.mac if other else None


def neighbour(wires: Wires, key: Key, address: str) -> str | None:
    """Return what tells a VTEP whose card another VTEP's address is, if nobody can be asked."""
    space, link, mac = wires.spaces[key[0]], wires.links[key], card(wires, key, address)
    if not mac or wires.stacks[key[0]].remotes(link.name, BROADCAST):
        return None
    words = ("replace", address, "lladdr", mac, "dev", link.name, "nud", "permanent")
    return typed(space, "ip", "neighbour", *words)


def untold(wires: Wires, key: Key, address: str, show: str) -> Step | None:
    """Return that a VTEP has no neighbour entry for another, and has nobody to ask."""
    mend, dev = neighbour(wires, key, address), wires.links[key].name
    text = f"no neighbour entry says whose card {address} is, and {dev} has nobody to ask"
    return Step(text, False, wires.relations.called(key), show, mend) if mend else None


def aimed(wires: Wires, key: Key, mac: str) -> str | None:
    """Return what tells a VTEP behind which node's address another one's card is."""
    other, dev = _twin(wires, key, mac=mac), wires.links[key].name
    local = other.parameters.get("local") or other.parameters.get("local6") if other else None
    words = ("bridge", "fdb", "replace", mac, "dev", dev, "dst", str(local))
    return typed(wires.spaces[key[0]], *words) if local else None


def redirected(wires: Wires, key: Key, mac: str, remote: str, step: Step | None) -> Step | None:
    """Return why packets do not get to a node; if it is the wrong one, that, and what mends it."""
    mend = aimed(wires, key, mac) if step and step.holds is False else None
    if not step or not mend or mend.split()[-1] == remote:
        return step
    space, dev = wires.spaces[key[0]], wires.links[key].name
    text = f"{dev}'s FDB has {mac} behind {remote}, but it is behind {mend.split()[-1]}"
    show = typed(space, "bridge", "fdb", "show", "dev", dev)
    return Step(text, False, wires.relations.called(key), show, mend)


def route(wires: Wires, space: Namespace, to: str, subnets: Subnets) -> str | None:
    """Return a route by the VTEP of the node that an address is behind."""
    kinds = {link.name: link.kind for link in space.interfaces}
    for known in space.neighbours:
        far = wires.owners.get(known.to, ()) if kinds.get(known.dev) == "vxlan" else ()
        for other in (wires.spaces[key[0]] for key in far if _WRITTEN in known.state):
            if other.id != space.id and any(covers(it, to) for it in other.interfaces):
                words = ("via", known.to, "dev", known.dev, "onlink")
                return typed(space, "ip", "route", "add", str(subnets.subnet(to)), *words)
    return None


def renumbered(wires: Wires, key: Key, far: Key) -> str:
    """Return what gives two VXLANs one VNI and one port: those that most others have."""
    pairs = [_numbers(link) for link in wires.links.values() if link.kind == "vxlan"]
    common = Counter(map(str, pairs))
    one, other = (_numbers(wires.links[it]) for it in (key, far))
    wrong, right = (key, other) if common[str(other)] > common[str(one)] else (far, one)
    return " && ".join(anew(wires.spaces[wrong[0]], wires.links[wrong], right))


def _numbers(link: Interface) -> dict[str, object]:
    return {name: link.parameters.get(name) for name in ("id", "port")}


def anew(space: Namespace, link: Interface, wanted: dict[str, object]) -> list[str]:
    """Return what makes a VXLAN again with other parameters, and all that goes with it.

    It keeps them for its life.
    """
    at, dev = f"{space.name}:{link.name}", link.name
    told = unusual(link.kind, {k: v for k, v in link.parameters.items() if k != "link"} | wanted)
    lower = f"{space.name}:{link.lower.name}" if link.lower else None
    master = ("master", link.master.name) if link.master else ()
    words = ("address", str(link.mac), *master, "up") if link.mac else (*master, "up")
    lines = [typed(space, "ip", "link", "delete", "dev", dev)]
    lines.append(AddLink(at, link.kind, told, lower).command())
    lines.append(typed(space, "ip", "link", "set", "dev", dev, *words))
    lines += [AddAddress(at, it).command() for it in link.addresses if it.scope == "global"]
    near = (it for it in space.neighbours if it.dev == dev and _WRITTEN in it.state)
    own = {None, link.parameters.get("group"), link.parameters.get("remote")}
    told_of = (it for it in space.fdb if it.dev == dev and it.state == "permanent")
    cards = (it for it in told_of if it.dst not in own)
    ways = (it for it in space.routes if it.dev == dev and it.protocol != "kernel")
    entries: tuple[Neighbour | FdbEntry | Route, ...] = (*near, *cards, *ways)
    return lines + [AddEntry(space.name, it).command() for it in entries]
