"""What one says of a link after it was made: its master, its MTU, that it is up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netviz.graphs import MIRRORED
from netviz.net import links, parameters
from netviz.net.netlink import RTM_NEWLINK, RTM_SETLINK, Request
from netviz.net.steps import OnLink, into, named, split, typed

if TYPE_CHECKING:
    from netviz.model import Interface
    from netviz.net.steps import Site

_TUNNEL_MTU = {"vxlan": 50, "geneve": 50}
_SWITCHES = (("PROMISC", "promisc"), ("ALLMULTI", "allmulticast"))
_CARDLESS = (MIRRORED - {"gretap", "ip6gretap"}) | {"loopback", "ipvlan", "ipvtap"}
"""The kinds that have no card of their own, or that of the device below."""
_ETHERNET = {"veth", "bridge", "dummy", "macvlan", "vlan", "vxlan", "tap"}


@dataclass(frozen=True, slots=True)
class SetLink(OnLink):
    """Equivalent to: ``ip link set DEVICE …``.

    ``settings`` are those of `netviz.net.links.setting`, with names: ``{"master": "br1", "up":
    True}``; a ``master`` that is empty unplugs, a ``netns`` moves and a ``name`` renames.
    """

    settings: Mapping[str, object]

    def command(self) -> str:
        """Return the command."""
        said: list[str] = []
        for name, value in self.settings.items():
            if name == "up":
                said.append("up" if value else "down")
            elif name == "master" and not value:
                said.append("nomaster")
            elif name == "netns":
                said += into(str(value))
            elif isinstance(value, bool):
                said += [name, "on" if value else "off"]
            else:
                said += ["address" if name == "mac" else name, str(value)]
        return typed(self.namespace, "link", "set", *named(split(self.at)[1]), *said)

    def request(self, site: Site) -> Request:
        """Return the message."""
        chosen = dict(self.settings)
        if "master" in chosen:
            chosen["master"] = site.indexes[str(chosen["master"])] if chosen["master"] else 0
        index = site.indexes[split(self.at)[1]]
        there, device = split(self.at)
        if "netns" in chosen or "name" in chosen:
            name = str(chosen.get("name", device))
            target = str(chosen.get("netns", there))
            if "netns" in chosen:
                chosen["netns"] = site.descriptor(target)
            site.number(target, name, chosen=False)
        return Request(RTM_SETLINK, links.setting(index, chosen))


@dataclass(frozen=True, slots=True)
class SetParameters(OnLink):
    """Equivalent to: ``ip link set DEVICE type KIND …``, or ``… type bridge_slave …`` of a port."""

    kind: str
    parameters: Mapping[str, object]

    def command(self) -> str:
        """Return the command."""
        kind = "bridge_slave" if self.kind == "port" else self.kind
        said = [*named(split(self.at)[1]), "type", kind]
        said += parameters.words(self.kind, self.parameters)
        return typed(self.namespace, "link", "set", *said)

    def request(self, site: Site) -> Request:
        """Return the message. Raises ``NetvizError`` for a parameter that the kind has not."""
        own = parameters.packed(self.kind, self.parameters)
        port = self.kind == "port"
        described = links.described("bridge" if port else self.kind, own, slave=port)
        return Request(RTM_NEWLINK, links.setting(site.indexes[split(self.at)[1]], {}) + described)


def settings(old: Interface | None, new: Interface) -> dict[str, object]:
    """Return the settings of `SetLink` that make one interface the other; of a new one, all.

    Equivalent to: what follows ``ip link set DEVICE``.
    """
    chosen: dict[str, object] = {}
    if new.mac and new.kind not in _CARDLESS and new.mac != (old.mac if old else None):
        chosen["mac"] = new.mac
    if new.mtu and new.mtu != (old.mtu if old else usual_mtu(new)):
        chosen["mtu"] = new.mtu
    if new.alias != (old.alias if old else None):
        chosen["alias"] = new.alias or ""
    flags = old.flags if old else ()
    for flag, name in _SWITCHES:
        if (flag in new.flags) != (flag in flags):
            chosen[name] = flag in new.flags
    had = "MULTICAST" in flags if old else new.kind in _ETHERNET
    if had != ("MULTICAST" in new.flags) and (had or old):
        chosen["multicast"] = not had
    if new.kind not in MIRRORED and ("NOARP" in new.flags) != ("NOARP" in flags):
        chosen["arp"] = "NOARP" not in new.flags
    master, was = new.master, old.master if old else None
    if (master.name if master else None) != (was.name if was else None):
        chosen["master"] = master.name if master else ""
    if new.up != ("UP" in flags):
        chosen["up"] = new.up
    return chosen


def usual_mtu(link: Interface) -> int:
    """Return the MTU that the kernel gives a link about which nothing is said."""
    if link.kind == "loopback":
        return 65536
    if link.kind in MIRRORED:
        return 1480 if link.kind in ("ipip", "sit") else 1476
    return 1500 - (_TUNNEL_MTU.get(link.kind, 0) if link.lower else 0)
