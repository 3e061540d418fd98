"""Which device on a packet's way it is too large for, if it must not be cut. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netviz.packets.facts import typed
from netviz.packets.relations import TUNNELS

if TYPE_CHECKING:
    from netviz.explanations import Step
    from netviz.model import Key
    from netviz.packets.segments import Wires

_SPARE = 4  # A tag would have room as well.


def narrow(wires: Wires, way: tuple[Key, ...], size: int, card: Key) -> Step | None:
    """Return that a packet of so many bytes is too large for a device on its way to a stack.

    ``card`` is the device by which it was sent at first. A stack complains, and the sender learns
    of it; a bridge or a cable says nothing. An MTU of a route's own, or one that was learned, is
    not asked for.
    """
    for key in way:
        link, first = wires.links[key], key == way[0]
        if link.kind != "veth" and not first:
            continue
        if size <= link.mtu + (0 if first else _SPARE):
            continue
        text = f"{size} bytes that must not be cut are more than {wires.told(key)}'s MTU "
        text += f"of {link.mtu}" + ("" if first else ", and nobody tells the sender")
        mend = typed(wires.spaces[key[0]], "ip", "link", "set", "dev", link.name, "mtu", str(size))
        if link.kind in TUNNELS and key != card:
            sender, dev = wires.spaces[card[0]], wires.links[card].name
            mend = typed(sender, "ip", "link", "set", "dev", dev, "mtu", str(link.mtu))
        return replace(wires.shows(key, text), mend=None if key == card else mend)
    return None
