"""Which VLAN a frame is in within a bridge that filters by VLAN, and which of its ports are. Pure.

A frame's ``tags`` are outermost last. Within such a bridge that is the VLAN that it is in, whether
it came with that tag or got it from its port.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from netviz.explanations import Step
from netviz.packets.typed import typed

if TYPE_CHECKING:
    from netviz.model import BridgeVlan, Interface, Key
    from netviz.packets.relations import Relations

Tags = tuple[object, ...]
_ORDINARY = "802.1Q"


def tag(link: Interface) -> object:
    """Return the tag that a VLAN's device adds: its number, and its protocol if that is rare."""
    number, protocol = link.parameters.get("id"), link.parameters.get("protocol", _ORDINARY)
    return number if protocol == _ORDINARY else f"{number} of {protocol}"


def filters(link: Interface) -> bool:
    """Tell whether a device is a bridge that filters by VLAN."""
    return bool(link.parameters.get("vlan_filtering"))


class Vlans:
    """The VLANs of each port of one network's bridges."""

    def __init__(self, relations: Relations) -> None:
        self._relations, self._links = relations, relations.links
        self.known: dict[Key, dict[int, BridgeVlan]] = defaultdict(dict)
        keys = {(key[0], link.name): key for key, link in self._links.items()}
        for space in relations.spaces.values():
            for it in space.vlans:
                if (space.id, it.dev) in keys:
                    self.known[keys[space.id, it.dev]][it.vlan] = it

    def entering(self, port: Key, bridge: Key, tags: Tags) -> tuple[Tags, Step | None]:
        """Return a frame's tags within a bridge that gets it from a port; what keeps it out."""
        if not filters(self._links[bridge]):
            return tags, None
        if doubt := self._doubt(port, bridge, tags):
            return tags, doubt
        own = self.known[port]
        if not tags:
            tags = tuple(it.vlan for it in own.values() if it.pvid)
        if not tags:
            return (0,), self._step(port, bridge, "takes nothing without a tag: it has no PVID", 1)
        return tags, None if tags[-1] in own else self._outside(port, bridge, tags[-1])

    def leaving(self, port: Key, bridge: Key, tags: Tags) -> tuple[Tags, Step | None]:
        """Return a frame's tags as a port sends it, and what keeps it from leaving there."""
        if not filters(self._links[bridge]):
            return tags, None
        if doubt := self._doubt(port, bridge, tags):
            return tags, doubt
        found = next((it for it in self.known[port].values() if it.vlan == tags[-1]), None)
        if found is None:
            left = tags if self._tagged(port, tags[-1]) else tags[:-1]
            return left, self._outside(port, bridge, tags[-1])
        return tags[:-1] if found.untagged else tags, None

    def _tagged(self, port: Key, number: object) -> bool:
        """Tell whether a port is a trunk for a VLAN: its far end has a device for it."""
        peer = self._links[port].peer
        above = self._relations.above.get(peer.key, ()) if peer else ()
        return any(tag(self._links[it]) == number for it in above if self._links[it].kind == "vlan")

    def _doubt(self, port: Key, bridge: Key, tags: Tags) -> Step | None:
        strange = any(not isinstance(it, int) for it in tags)
        if self._links[bridge].parameters.get("vlan_protocol", _ORDINARY) != _ORDINARY or strange:
            return self._step(port, bridge, "has to do with tags of 802.1ad, which are not known")
        return None

    def _outside(self, port: Key, bridge: Key, number: object) -> Step:
        return self._step(port, bridge, f"is not in VLAN {number}", number)

    def _step(self, port: Key, bridge: Key, why: str, number: object = None) -> Step:
        """Return what a port does not do; with a number, what puts it into that VLAN."""
        space, name = self._relations.spaces[port[0]], self._links[port].name
        own = self.known[port].values()
        trunk = self._tagged(port, number) or not all(it.untagged for it in own)
        alone = port != bridge and not trunk
        words = ["vid", str(number), *(["pvid", "untagged"] if alone else [])]
        words += ["self"] if port == bridge else []
        mend = typed(space, "bridge", "vlan", "add", "dev", name, *words) if number else None
        where = self._relations.called(port)
        text = f"{where.removeprefix('root:')} {why}"
        show = typed(space, "bridge", "vlan", "show", "dev", name)
        return Step(text, False if number else None, where, show, mend)
