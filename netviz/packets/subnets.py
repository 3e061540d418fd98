"""Which addresses belong together on a link, and which are free. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING, Any

from netviz.packets.ports import BROADCAST, Frame

if TYPE_CHECKING:
    from netviz.model import Address, Interface, Key, Namespace
    from netviz.packets.segments import Arrival, Wires

_MOST = 4096  # Addresses of a subnet that are looked at for one that is free.


class Subnets:
    """The addresses of one network, by the links that they are on."""

    def __init__(self, wires: Wires) -> None:
        self._wires = wires

    def subnet(self, to: str) -> Any:
        """Return the subnet that an address is in, as who has it believes; else it alone."""
        for key in self._wires.owners.get(to, ()):
            for address in self._wires.links[key].addresses:
                if address.local == to:
                    return network_of(address)
        return ip_network(to)

    def free(self, subnet: Any) -> str | None:
        """Return the first address of a subnet that nobody has, with its mask."""
        for _, host in zip(range(_MOST), subnet.hosts(), strict=False):
            if str(host) not in self._wires.owners:
                return f"{host}/{subnet.prefixlen}"
        return None

    def cards(self, space: Namespace, to: str) -> Iterator[tuple[Key, list[Address]]]:
        """Yield the devices that a namespace may send by, each with its addresses."""
        for link in space.interfaces:
            if link.kind != "loopback" and not link.master and link.up:
                yield (space.id, link.index), [a for a in link.addresses if fits(a, to)]

    def others(self, key: Key, to: str) -> list[tuple[Key, Address]]:
        """Return the addresses of others that are on a device's link, or would be."""
        own = [
            (k, a)
            for k in self.near(key, to)
            if k[0] != key[0]
            for a in self._wires.links[k].addresses
        ]
        return [(k, a) for k, a in own if fits(a, to)]

    def near(self, key: Key, to: str) -> dict[Key, Arrival]:
        """Return who would hear a question for an address, asked by a device."""
        return self._wires.reach(key, Frame(BROADCAST, self._wires.links[key].mac, to))


def fits(address: Address, to: str) -> bool:
    """Tell whether an address is of the same version, and reaches beyond a link."""
    return (address.family == "inet6") == (":" in to) and address.scope in ("global", "site")


def network_of(address: Address) -> Any:
    """Return the subnet that an address lies in, its peer's where it has one."""
    return ip_interface(f"{address.peer or address.local}/{address.prefixlen}").network


def usual(address: Address) -> int:
    """Return how long an address's prefix is; if it is alone in it, how long they usually are."""
    alone = address.prefixlen > (126 if ":" in address.local else 30)
    return address.prefixlen if not alone else 64 if ":" in address.local else 24


def covers(link: Interface, to: str) -> bool:
    """Tell whether an address is in the subnet of one of a device's."""
    return any(fits(a, to) and ip_address(to) in network_of(a) for a in link.addresses)
