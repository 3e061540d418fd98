"""Turn RTM_NEWLINK messages into interfaces, and changes of interfaces into messages.

Numbers and names are those of linux/if_link.h and linux/if.h; words are those of
``ip -d -s -j link``.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from errno import ENODEV
from functools import lru_cache
from operator import attrgetter
from typing import Any

from netviz.net.messages import attribute, attributes, numbered
from netviz.net.netlink import MOST, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK, Request, Socket
from netviz.net.parameters import ip_address, mac_address, mac_bytes, parameters, port

Names = Mapping[int, str]
"""A namespace's interfaces: index → name."""
Indexes = Mapping[str, int]
"""The same, the other way."""

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER = 1, 3, 4, 5, 10
_IFLA_OPERSTATE, _IFLA_LINKINFO, _IFLA_IFALIAS, _IFLA_STATS64, _IFLA_GROUP = 16, 18, 20, 23, 27
_IFLA_NET_NS_FD, _IFLA_LINK_NETNSID = 28, 37

_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5

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

_VETH_PEER = 1
_SWITCHES = {"up": 0x1, "arp": 0x80, "promisc": 0x100, "allmulticast": 0x200, "multicast": 0x1000}
_DOOMED = {"group": 0x766EFF}  # No other group is so called.

_header = struct.Struct("BxHiII")
_counters = struct.Struct("8Q").unpack_from
_unsigned = struct.Struct("I").unpack
_signed = struct.Struct("i").unpack
_pack_number = struct.Struct("I").pack


def _terminated(name: str) -> bytes:
    return os.fsencode(name) + b"\0"


_SETTINGS: dict[str, tuple[int, Callable[[Any], bytes]]] = {
    "mac": (_IFLA_ADDRESS, mac_bytes),
    "name": (_IFLA_IFNAME, _terminated),
    "mtu": (_IFLA_MTU, _pack_number),
    "master": (_IFLA_MASTER, _pack_number),
    "alias": (_IFLA_IFALIAS, lambda value: os.fsencode(value or "")),
    "group": (_IFLA_GROUP, _pack_number),
    "netns": (_IFLA_NET_NS_FD, _pack_number),
}


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
    told = map(_link, socket.dump(RTM_GETLINK, bytes(_header.size)))
    return sorted(told, key=attrgetter("index"))  # Older kernels keep them in a hash table.


def names(socket: Socket) -> dict[str, int]:
    """Return the namespace's interfaces, name → index. Equivalent to: ``ip -brief link``."""
    found = {}
    for message in socket.dump(RTM_GETLINK, bytes(_header.size)):
        name = attributes(message, _header.size)[_IFLA_IFNAME]
        found[text(name)] = _header.unpack_from(message)[2]
    return found


def setting(index: int, chosen: Mapping[str, Any]) -> bytes:
    """Return what makes a link so: a request's body. Equivalent to: ``ip link set``.

    ``chosen`` may hold ``name``, ``mac``, ``mtu``, ``alias``, ``group`` (a number), ``master`` (an
    index, 0 for none), ``netns`` (a descriptor), and true or false for ``up``, ``arp``,
    ``promisc``, ``allmulticast`` and ``multicast``.
    """
    flags = moved = 0
    data = b""
    for name, value in chosen.items():
        if name in _SWITCHES:
            moved |= _SWITCHES[name]
            # The kernel's flag says that a link does without.
            flags |= _SWITCHES[name] if bool(value) != (name == "arp") else 0
        else:
            number, pack = _SETTINGS[name]
            data += attribute(number, pack(value))
    return _header.pack(0, 0, index, flags, moved) + data


def described(
    kind: str, own: bytes = b"", *, lower: int = 0, peer: bytes = b"", slave: bool = False
) -> bytes:
    """Return the attributes that say what a link is, to follow `setting`.

    ``own`` are its packed parameters, ``peer`` is the setting of a veth's other end; if ``slave``,
    it is as a port of such a kind that it has these parameters.
    """
    over = attribute(_IFLA_LINK, struct.pack("I", lower)) if lower else b""
    own = attribute(_VETH_PEER, peer) if peer else own
    name, data = (_INFO_SLAVE_KIND, _INFO_SLAVE_DATA) if slave else (_INFO_KIND, _INFO_DATA)
    info = attribute(name, os.fsencode(kind)) + (attribute(data, own) if own else b"")
    return over + attribute(_IFLA_LINKINFO, info)


def delete(socket: Socket, indexes: list[int]) -> list[tuple[int, OSError]]:
    """Delete links; return those that refuse, and why. Equivalent to: ``ip link delete group N``.

    The kernel lets a link go only when nobody can be looking at it any more, and waits for that
    once a request: so they are put into one group and deleted together. One that is gone already
    is no refusal: its other end took it along.
    """
    for start in range(0, len(indexes), MOST):
        chosen = indexes[start : start + MOST]
        socket.batch([Request(RTM_SETLINK, setting(index, _DOOMED)) for index in chosen])
    try:
        if indexes:
            socket.change(RTM_DELLINK, setting(0, _DOOMED))
    except OSError:
        # One that refuses keeps the whole group.
        return [*_refusing(socket, indexes)]
    return []


def _refusing(socket: Socket, indexes: list[int]) -> Iterator[tuple[int, OSError]]:
    for index in indexes:
        try:
            socket.change(RTM_DELLINK, setting(index, {}))
        except OSError as error:
            if error.errno != ENODEV:
                yield index, error


def switch_off(socket: Socket, index: int) -> None:
    """Equivalent to: ``ip link set DEVICE down``. Raises ``OSError`` where the kernel refuses."""
    socket.change(RTM_SETLINK, setting(index, {"up": False}))


def put_back(socket: Socket, link: Link, wanted: Link) -> None:
    """Make a link that cannot be deleted what it was. Equivalent to: ``ip link set``.

    Raises ``OSError`` where the kernel refuses.
    """
    chosen: dict[str, object] = {"group": 0}
    for name in ("name", "mtu", "alias", "mac"):
        if link.fields[name] != wanted.fields[name]:
            chosen[name] = wanted.fields[name]
    if link.name != wanted.name:
        switch_off(socket, link.index)  # Else it takes no other name.
    told = wanted.fields["flags"]
    flags = sum(bit for bit, name in _LINK_FLAGS.items() if name in told and bit & _SETTABLE)
    body = setting(link.index, chosen)[_header.size :]
    socket.change(RTM_SETLINK, _header.pack(0, 0, link.index, flags, _SETTABLE) + body)


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
    _, device_type, index, flags, _ = _header.unpack_from(message)
    told = attributes(message, _header.size)
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


def _statistics(value: bytes) -> dict[str, dict[str, int]]:
    counts = _counters(value)
    names = ("packets", "bytes", "errors", "dropped")
    return {
        "rx": dict(zip(names, counts[0::2], strict=True)),
        "tx": dict(zip(names, counts[1::2], strict=True)),
    }
