"""Turn RTM_NEWLINK and RTM_NEWADDR messages into interfaces and addresses.

Numbers and names are those of linux/if_link.h, linux/if.h and linux/if_addr.h; words are those of
``ip -d -s -j address``.
"""

from __future__ import annotations

import os
import struct
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from netviz.model import Address
from netviz.net.netlink import (
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_SETLINK,
    Socket,
    attribute,
    attributes,
    numbered,
)
from netviz.net.parameters import ip_address, mac_address, parameters, port

Names = Mapping[int, str]
"""A namespace's interfaces: index → name."""

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER = 1, 3, 4, 5, 10
_IFLA_OPERSTATE, _IFLA_LINKINFO, _IFLA_IFALIAS, _IFLA_STATS64, _IFLA_GROUP = 16, 18, 20, 23, 27
_IFLA_LINK_NETNSID = 37

_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5

_IFA_ADDRESS, _IFA_LOCAL, _IFA_LABEL, _IFA_BROADCAST, _IFA_FLAGS = 1, 2, 3, 4, 8

_LOOPBACK_TYPE = 772
_ADDRESSED_BY_IP = {768, 769, 776, 778, 823}  # IP tunnels: their link-layer address is an IP's.

# Of these IFLA_LINK is always another device. Others say so in their parameters, as a VXLAN does;
# and once they have moved to another namespace, the kernel gives their own index for it.
_PAIRED = {"veth", "netkit", "vxcan"}
_ALWAYS_LINKED = _PAIRED | {"macvlan", "macvtap", "ipvlan", "ipvtap", "vlan", "macsec"}

_IFF_UP = 0x1
_IFF_RUNNING = 0x40
_SETTABLE = 0x93A5  # What `ip link set` can move: UP, PROMISC, ALLMULTI, NOARP, MULTICAST …
# In the order of `ip`.
_LINK_FLAGS = numbered(
    "0x8 LOOPBACK 0x2 BROADCAST 0x10 POINTOPOINT 0x1000 MULTICAST 0x80 NOARP 0x200 ALLMULTI "
    "0x100 PROMISC 0x400 MASTER 0x800 SLAVE 0x4 DEBUG 0x8000 DYNAMIC 0x4000 AUTOMEDIA "
    "0x2000 PORTSEL 0x20 NOTRAILERS 0x1 UP 0x10000 LOWER_UP 0x20000 DORMANT 0x40000 ECHO"
)
_STATES = ("UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP")

_IFA_F_SECONDARY = 0x1
_IFA_F_PERMANENT = 0x80
# "dynamic" is said of the addresses without the flag for permanent ones.
_ADDRESS_FLAGS = numbered(
    "0x1 secondary 0x2 nodad 0x4 optimistic 0x8 dadfailed 0x10 home 0x20 deprecated "
    "0x40 tentative 0x80 dynamic 0x100 mngtmpaddr 0x200 noprefixroute 0x400 autojoin "
    "0x800 stable-privacy"
)
SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
FAMILIES = {2: "inet", 10: "inet6"}

_link_header = struct.Struct("BxHiII")
_address_header = struct.Struct("BBBBi")
_counters = struct.Struct("8Q").unpack_from
_unsigned = struct.Struct("I").unpack
_signed = struct.Struct("i").unpack


@dataclass(slots=True)
class Link:
    """An interface as its own namespace tells it, not yet related to any other.

    ``fields`` are those of `netviz.model.Interface` that need no other interface. ``master`` and
    ``link`` are interface indexes, 0 for none; ``link`` counts in the namespace that is called
    ``nsid`` from here, or in this one where ``nsid`` is None.
    """

    index: int
    fields: dict[str, Any]
    master: int
    link: int
    nsid: int | None

    @property
    def name(self) -> str:
        """Return the interface's name."""
        return str(self.fields["name"])

    @property
    def paired(self) -> bool:
        """Tell whether ``link`` is the other end of a cable, and not a device below."""
        return self.fields["kind"] in _PAIRED


def links(socket: Socket) -> list[Link]:
    """Return the namespace's interfaces. Equivalent to: ``ip -d -s -j link``."""
    return [_link(message) for message in socket.dump(RTM_GETLINK, bytes(_link_header.size))]


def addresses(socket: Socket) -> dict[int, list[Address]]:
    """Return each interface's addresses, by index. Equivalent to: ``ip -j address``."""
    found: dict[int, list[Address]] = defaultdict(list)
    for message in socket.dump(RTM_GETADDR, bytes(_address_header.size)):
        family, prefixlen, flags, scope, index = _address_header.unpack_from(message)
        if family not in FAMILIES:
            continue
        told = attributes(message, _address_header.size)
        flags = _unsigned(told[_IFA_FLAGS])[0] if _IFA_FLAGS in told else flags
        local = told.get(_IFA_LOCAL) or told[_IFA_ADDRESS]
        peer = told.get(_IFA_ADDRESS, local)
        broadcast = told.get(_IFA_BROADCAST)
        label = told.get(_IFA_LABEL)
        found[index].append(
            Address(
                FAMILIES[family],
                ip_address(local),
                prefixlen,
                SCOPES.get(scope) or str(scope),
                ip_address(peer) if peer != local else None,
                ip_address(broadcast) if broadcast else None,
                text(label) if label else None,
                _address_flags(family, flags),
            )
        )
    return found


def switch_off(socket: Socket, index: int) -> None:
    """Equivalent to: ``ip link set DEVICE down``. Raises ``OSError`` where the kernel refuses."""
    socket.change(RTM_SETLINK, _link_header.pack(0, 0, index, 0, _IFF_UP))


def put_back(socket: Socket, link: Link, wanted: Link) -> None:
    """Make a link that cannot be deleted what it was. Equivalent to: ``ip link set``.

    Raises ``OSError`` where the kernel refuses.
    """
    changes = attribute(_IFLA_GROUP, bytes(4))
    for name, number in (("name", _IFLA_IFNAME), ("mtu", _IFLA_MTU), ("alias", _IFLA_IFALIAS)):
        value = wanted.fields[name]
        if link.fields[name] != value:
            packed = struct.pack("I", value) if name == "mtu" else os.fsencode(value or "") + b"\0"
            changes += attribute(number, packed)
    if link.fields["mac"] != wanted.fields["mac"]:
        changes += attribute(_IFLA_ADDRESS, bytes.fromhex(wanted.fields["mac"].replace(":", "")))
    if link.name != wanted.name:
        switch_off(socket, link.index)  # Else it takes no other name.
    told = wanted.fields["flags"]
    flags = sum(bit for bit, name in _LINK_FLAGS.items() if name in told and bit & _SETTABLE)
    header = _link_header.pack(0, 0, link.index, flags, _SETTABLE)
    socket.change(RTM_SETLINK, header + changes)


def text(value: bytes) -> str:
    """Return a name as the kernel tells it: any bytes, then a zero."""
    return value.rstrip(b"\0").decode("utf-8", "surrogateescape")


def name_of(names: Names, index: int) -> str:
    """Return an interface's name; of one that came after the list was read, what `ip` writes."""
    return names.get(index) or f"if{index}"


def words(names: Mapping[int, str]) -> Callable[[int], tuple[str, ...]]:
    """Return what tells the bits of a number by name; few numbers come, and each often."""

    @lru_cache
    def named(number: int) -> tuple[str, ...]:
        return tuple(name for bit, name in names.items() if number & bit)

    return named


def _link(message: bytes) -> Link:
    _, device_type, index, flags, _ = _link_header.unpack_from(message)
    told = attributes(message, _link_header.size)
    info = attributes(told[_IFLA_LINKINFO]) if _IFLA_LINKINFO in told else {}
    kind = text(info[_INFO_KIND]) if _INFO_KIND in info else "device"
    own = parameters(kind, info[_INFO_DATA]) if _INFO_DATA in info else {}
    slave = info.get(_INFO_SLAVE_DATA)
    state = told.get(_IFLA_OPERSTATE, b"\0")[0]
    fields = {
        "name": text(told[_IFLA_IFNAME]),
        "kind": _kind(kind, device_type, own),
        "mac": _mac(told.get(_IFLA_ADDRESS), device_type),
        "mtu": _unsigned(told[_IFLA_MTU])[0],
        "flags": _link_flags(flags),
        "state": _STATES[state] if state < len(_STATES) else str(state),
        "parameters": own,
        "port": port(text(info[_INFO_SLAVE_KIND]), slave) if slave else {},
        "statistics": _statistics(told[_IFLA_STATS64]) if _IFLA_STATS64 in told else {},
        "alias": text(told[_IFLA_IFALIAS]) if _IFLA_IFALIAS in told else None,
    }
    link = _signed(told[_IFLA_LINK])[0] if _IFLA_LINK in told else 0
    if link in (0, index) and kind not in _ALWAYS_LINKED:
        link = own.get("link", 0)
    master, nsid = told.get(_IFLA_MASTER), told.get(_IFLA_LINK_NETNSID)
    return Link(
        index,
        fields,
        _signed(master)[0] if master else 0,
        link,
        _signed(nsid)[0] if nsid else None,
    )


def _kind(kind: str, device_type: int, own: dict[str, Any]) -> str:
    if device_type == _LOOPBACK_TYPE:
        return "loopback"
    return str(own.get("type", kind)) if kind == "tun" else kind


def _mac(value: bytes | None, device_type: int) -> str | None:
    if not value:
        return None
    return ip_address(value) if device_type in _ADDRESSED_BY_IP else mac_address(value)


@lru_cache
def _link_flags(flags: int) -> tuple[str, ...]:
    without_carrier = flags & _IFF_UP and not flags & _IFF_RUNNING
    named = tuple(name for bit, name in _LINK_FLAGS.items() if flags & bit)
    return ("NO-CARRIER", *named) if without_carrier else named


@lru_cache
def _address_flags(family: int, flags: int) -> tuple[str, ...]:
    flags ^= _IFA_F_PERMANENT
    named = [name for bit, name in _ADDRESS_FLAGS.items() if flags & bit]
    if flags & _IFA_F_SECONDARY and FAMILIES[family] == "inet6":
        named[0] = "temporary"
    return tuple(named)


def _statistics(value: bytes) -> dict[str, dict[str, int]]:
    counts = _counters(value)
    names = ("packets", "bytes", "errors", "dropped")
    return {
        "rx": dict(zip(names, counts[0::2], strict=True)),
        "tx": dict(zip(names, counts[1::2], strict=True)),
    }
