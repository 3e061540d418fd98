"""Turn the VLANs that a bridge's ports are in into nouns, and these into messages and words.

Numbers are those of linux/if_bridge.h. A bridge that does not filter by VLAN has such a table too,
and takes no notice of it: that is left out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from netviz.model import BridgeVlan, Interface, Namespace
from netviz.net.messages import attribute, attributes
from netviz.net.netlink import AF_BRIDGE, RTM_GETVLAN, Socket

if TYPE_CHECKING:
    from netviz.net.links import Indexes

_ENTRY, _INFO, _LAST = 1, 1, 2
_PVID, _UNTAGGED = 2, 4

_header = struct.Struct("BxHi")
_info = struct.Struct("HH")


def vlans(
    socket: Socket, masters: Mapping[int, str], names: Mapping[int, str]
) -> Iterator[BridgeVlan]:
    """Yield the VLANs of bridges that filter, and of their ports. Equivalent to: ``bridge vlan``.

    ``masters`` are the bridges by the index of each port, and of themselves.
    """
    for message in socket.dump(RTM_GETVLAN, _header.pack(AF_BRIDGE, 0, 0)) if masters else ():
        index, start = _header.unpack_from(message)[2], _header.size
        while index in masters and start < len(message):  # One attribute for each row.
            size = int.from_bytes(message[start : start + 2], "little")
            told = attributes(message[start + 4 : start + size])
            flags, first = _info.unpack(told[_INFO])
            last = int.from_bytes(told[_LAST], "little") if _LAST in told else first
            for number in range(first, last + 1):
                marks = bool(flags & _PVID), bool(flags & _UNTAGGED)
                yield BridgeVlan(names[index], number, masters[index], *marks)
            start += size + 3 & ~3


def packed_vlan(vlan: BridgeVlan, indexes: Indexes) -> bytes:
    """Return a request's body. Equivalent to: ``bridge vlan add``."""
    flags = _PVID * vlan.pvid + _UNTAGGED * vlan.untagged
    info = attribute(_INFO, _info.pack(flags, vlan.vlan))
    return _header.pack(AF_BRIDGE, 0, indexes[vlan.dev]) + attribute(_ENTRY | 0x8000, info)


def vlan_words(vlan: BridgeVlan) -> list[str]:
    """Return what one types after ``bridge vlan add`` or ``delete``."""
    marks = ("pvid", vlan.pvid), ("untagged", vlan.untagged), ("self", vlan.dev == vlan.master)
    return ["dev", vlan.dev, "vid", str(vlan.vlan), *(word for word, so in marks if so)]


def given(before: Namespace, after: Namespace) -> Iterator[BridgeVlan]:
    """Yield the VLANs that the kernel itself puts bridges and ports in, where they are new."""
    had, links = {(it.dev, it.master) for it in before.vlans}, after.interfaces
    filters = {link.name: link for link in links if link.parameters.get("vlan_filtering")}
    for link in links:
        bridge = filters.get(link.name) or filters.get(link.master.name if link.master else "")
        number = bridge.parameters.get("vlan_default_pvid", 1) if bridge else 0
        if bridge and isinstance(number, int) and number and (link.name, bridge.name) not in had:
            yield BridgeVlan(link.name, number, bridge.name, pvid=True, untagged=True)


def joined(links: Mapping[str, Interface], declared: list[BridgeVlan]) -> Iterator[BridgeVlan]:
    """Yield the VLANs that links will be in: the usual one, and those that were declared."""
    chosen = {(it.dev, it.vlan): it for it in declared if it.dev in links}
    moved = {it.dev for it in chosen.values() if it.pvid}
    for usual in given(Namespace(0, ""), Namespace(0, "", interfaces=tuple(links.values()))):
        if (usual.dev, usual.vlan) not in chosen:
            pvid = usual.dev not in moved
            yield BridgeVlan(usual.dev, usual.vlan, usual.master, pvid, untagged=True)
    for it in chosen.values():
        master = links[it.dev].master
        yield BridgeVlan(it.dev, it.vlan, master.name if master else it.dev, it.pvid, it.untagged)
