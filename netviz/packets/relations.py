"""How a packet can come from one place to the next: what is joined with what. Pure.

A place is an interface and a direction: ``out`` where its namespace sends, ``in`` where it
receives. From the tables of a snapshot follows which places come before each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from netviz.packets.parts import VXLAN_PORTS

if TYPE_CHECKING:
    from netviz.model import Interface, Key, Namespace, Snapshot

Place = tuple["Key", str, int]
"""An interface, a direction, and how many tunnels a packet is in there."""
TUNNELS = (
    "vxlan",
    "geneve",
    "tun",
    "ipip",
    "sit",
    "gre",
    "gretap",
    "ip6tnl",
    "ip6gre",
    "wireguard",
)
_HIGHEST = 8
_SWITCHES = ("bridge", "bond", "team", "openvswitch")


def hands_over(link: Interface) -> bool:
    """Tell whether the namespace of the device below routes what a device sends."""
    return link.kind == "ipvlan" and link.parameters.get("mode") != "l2"


def named(kind: str) -> str:
    """Return a kind of device with its article: ``an ipvlan``."""
    return f"{'an' if kind[0] in 'aeio' else 'a'} {kind}"


class Relations:
    """The interfaces of one network, by ``(namespace id, index)``, and what they are joined with.

    Of several snapshots the last that knows an interface is believed: what is gone by the end was
    still passed.
    """

    def __init__(self, *networks: Snapshot) -> None:
        self.spaces: dict[int, Namespace] = {}
        self.links: dict[Key, Interface] = {}
        for network in networks:
            self.spaces |= {space.id: space for space in network.namespaces}
            self.links |= {(space.id, link.index): link for space, link in network}
        self.ports: dict[Key, list[Key]] = defaultdict(list)
        self.above: dict[Key, list[Key]] = defaultdict(list)
        self._inside: dict[int, list[Key]] = defaultdict(list)
        self._handing: dict[int, list[Key]] = defaultdict(list)
        for key, link in self.links.items():
            self._inside[key[0]].append(key)
            if link.master:
                self.ports[link.master.key].append(key)
            if link.lower and link.kind not in TUNNELS:
                self.above[link.lower.key].append(key)
            if link.lower and hands_over(link):
                self._handing[link.lower.id].append(key)
        self._switched = {key for key, it in self.links.items() if it.kind == "openvswitch"}
        self._before: dict[Place, tuple[Sequence[Place], Sequence[Place]]] = {}
        self._levels: dict[Key, int] = {}

    @cached_property
    def vxlan_ports(self) -> frozenset[int]:
        """Return the UDP ports that mean VXLAN here, and those that do by custom."""
        ports = {link.parameters.get("port") for link in self.links.values()}
        return frozenset(port for port in ports if isinstance(port, int)) | VXLAN_PORTS

    def called(self, key: Key) -> str:
        """Return it as it is written everywhere: ``namespace:device``."""
        return f"{self.spaces[key[0]].name}:{self.links[key].name}"

    def master(self, key: Key) -> Key | None:
        """Return the switch that an interface is a port of."""
        link = self.links.get(key)
        return link.master.key if link and link.master else None

    def switch(self, key: Key) -> Key | None:
        """Return the bridge of Open vSwitch that an interface is, or is a port of."""
        return next((it for it in (key, self.master(key)) if it in self._switched), None)

    def fabric(self, switch: Key) -> tuple[Key, ...]:
        """Return a bridge, and those that patch cables of Open vSwitch join it with."""
        found = [switch]
        for bridge in found:
            for port in self.ports[bridge] if bridge in self._switched else ():
                peer = self.links[port].peer
                far = self.master(peer.key) if peer and self.links[port].kind == "patch" else None
                found += [far] if far and far not in found else []
        return tuple(found)

    def tunnels(self, switch: Key) -> Iterator[Key]:
        """Yield the tunnels of a bridge of Open vSwitch, and of those that are joined with it."""
        for bridge in self.fabric(switch):
            yield from (it for it in self.ports[bridge] if self.links[it].kind in TUNNELS)

    def lower(self, key: Key) -> tuple[Key, ...]:
        """Return the device that a macvlan or an ipvlan stands on, if it is one."""
        link = self.links[key]
        kinds = ("macvlan", "macvtap", "ipvlan")
        return (link.lower.key,) if link.lower and link.kind in kinds else ()

    def twins(self, key: Key) -> list[Key]:
        """Return the other devices of one's kind that stand on the same device."""
        link = self.links[key]
        above = self.above[link.lower.key] if link.lower else ()
        return [it for it in above if it != key and self.links[it].kind == link.kind]

    def has(self, key: Key, address: str) -> bool:
        """Tell whether a device has an address."""
        return any(each.local == address for each in self.links[key].addresses)

    def beside(self, key: Key, address: str) -> bool:
        """Tell whether another device on the same one has an address."""
        return any(self.has(twin, address) for twin in self.twins(key))

    def is_switch(self, key: Key) -> bool:
        """Tell whether an interface joins others: a bridge, a bond."""
        return key in self.links and self.links[key].kind in _SWITCHES

    def level(self, key: Key) -> int:
        """Return how many devices an interface stands on."""
        if key not in self._levels:
            self._levels[key] = self._level(key, _HIGHEST)
        return self._levels[key]

    def _level(self, key: Key, depth: int) -> int:
        below = [*self.ports.get(key, ())]
        link = self.links.get(key)
        if link and link.lower and link.kind not in TUNNELS:
            below.append(link.lower.key)
        return 1 + max(self._level(each, depth - 1) for each in below) if below and depth else 0

    def before(self, place: Place) -> tuple[Sequence[Place], Sequence[Place]]:
        """Return the places that a packet may have come from, and those it may if from none."""
        if place not in self._before:
            key, direction, depth = place
            ways = self._before_in if direction == "in" else self._before_out
            self._before[place] = (tuple(ways(key, depth)), tuple(self._otherwise(place)))
        return self._before[place]

    def _before_in(self, key: Key, depth: int) -> Iterator[Place]:
        link = self.links.get(key)
        if link is None:
            return
        if link.peer:
            yield link.peer.key, "out", depth
        for bridge in self.fabric(key):
            yield from ((port, "in", depth) for port in self.ports.get(bridge, ()))
        if link.kind == "loopback":
            yield key, "out", depth
        for upper in self.above.get(key, ()):  # From one macvlan to another it turns back here.
            yield upper, "out", depth
        if link.kind in TUNNELS:
            yield from ((other, "in", depth + 1) for other in self._inside[key[0]])
        elif link.lower:
            yield link.lower.key, "in", depth
            for twin in self.above[link.lower.key]:  # A macvlan hears the others below it.
                if twin != key:
                    yield twin, "out", depth

    def _before_out(self, key: Key, depth: int) -> Iterator[Place]:
        switch = self.master(key)
        # Translated by bridge-nf, a frame may leave by the bridge's own stack at once.
        yield from ((port, "in", depth) for port in self.ports.get(key, ()))
        for bridge in self.fabric(switch) if switch else ():
            yield bridge, "out", depth
            yield from ((port, "in", depth) for port in self.ports[bridge])
        for upper in self.above.get(key, ()):
            yield upper, "out", depth
        for upper in self._handing[key[0]]:
            yield upper, "out", depth
        for other in self._inside[key[0]]:
            if depth and self.links[other].kind in TUNNELS:
                yield other, "out", depth - 1
            if not switch and not self.master(other):  # What a port takes in, its switch has.
                yield other, "in", depth

    def _otherwise(self, place: Place) -> Iterator[Place]:
        """Yield the places before a program that wraps packets or unwraps them, by itself."""
        key, direction, depth = place
        for other in self._inside[key[0]]:
            if other != key:
                yield other, "in", depth + 1
                if direction == "out" and depth:
                    yield other, "in", depth - 1
                    yield other, "out", depth - 1
