"""Turn a namespace's neighbours and forwarding entries into nouns, and these into messages.

Both come as the same kind of message: an address on an interface, and what is known of it. Numbers
and names are those of linux/neighbour.h; words are those of ``ip -j`` and ``bridge -j``. Messages
know interfaces by index: ``names`` is the namespace's index → name.
"""

from __future__ import annotations

import struct
from operator import attrgetter

from netviz.model import FdbEntry, Neighbour
from netviz.net.addresses import FAMILIES, FAMILY_NUMBERS
from netviz.net.links import Indexes, Names, name_of, words
from netviz.net.messages import attribute, attributes, numbered
from netviz.net.netlink import AF_BRIDGE, RTM_GETNEIGH, Socket
from netviz.net.parameters import ip_address, ip_bytes, mac_address, mac_bytes

_NDA_DST, _NDA_LLADDR, _NDA_VLAN, _NDA_PORT, _NDA_VNI, _NDA_MASTER = 1, 2, 5, 6, 7, 9
_NUD_REACHABLE, _NUD_NOARP, _NUD_PERMANENT = 0x2, 0x40, 0x80
_NTF_LEARNED_ELSEWHERE = 0x10
_NEIGHBOUR_STATES = numbered(
    "0x1 INCOMPLETE 0x2 REACHABLE 0x4 STALE 0x8 DELAY 0x10 PROBE 0x20 FAILED 0x40 NOARP "
    "0x80 PERMANENT"
)
_NEIGHBOUR_FLAGS = numbered("0x80 router 0x8 proxy 0x10 extern_learn 0x20 offload")
_FDB_STATES = numbered("0x80 permanent 0x40 static 0x4 stale")
_FDB_FLAGS = numbered("0x2 self 0x80 router 0x10 extern_learn 0x20 offload 0x4 master 0x40 sticky")

_neighbour_header = struct.Struct("BxxxiHBB")
_unsigned = struct.Struct("I").unpack
_signed = struct.Struct("i").unpack
_neighbour_states = words(_NEIGHBOUR_STATES)
_neighbour_flags = words(_NEIGHBOUR_FLAGS)
_fdb_states = words(_FDB_STATES)
_fdb_flags = words(_FDB_FLAGS)


def neighbours(socket: Socket, names: Names) -> tuple[Neighbour, ...]:
    """Return the ARP and ND tables. Equivalent to: ``ip -j neighbour``, both families.

    Like it, leaves out what needs no resolution (state NOARP): multicast and loopback.
    """
    found = []
    for message in socket.dump(RTM_GETNEIGH, bytes(_neighbour_header.size)):
        family, index, state, flags, _ = _neighbour_header.unpack_from(message)
        resolved = state & ~_NUD_NOARP or flags & _NTF_LEARNED_ELSEWHERE
        if family not in FAMILIES or not resolved:
            continue
        told = attributes(message, _neighbour_header.size)
        found.append(
            Neighbour(
                ip_address(told[_NDA_DST]),
                name_of(names, index),
                FAMILIES[family],
                mac_address(told[_NDA_LLADDR]) if _NDA_LLADDR in told else None,
                _neighbour_states(state),
                _neighbour_flags(flags),
            )
        )
    # The kernel's order is that of a hash table.
    return tuple(sorted(found, key=attrgetter("dev", "family", "to")))


def forwarding(socket: Socket, names: Names) -> tuple[FdbEntry, ...]:
    """Return the forwarding databases. Equivalent to: ``bridge -d -j fdb``."""
    found = []
    request = _neighbour_header.pack(AF_BRIDGE, 0, 0, 0, 0)
    for message in socket.dump(RTM_GETNEIGH, request):
        family, index, state, flags, _ = _neighbour_header.unpack_from(message)
        told = attributes(message, _neighbour_header.size)
        if family != AF_BRIDGE or _NDA_LLADDR not in told:
            continue
        far, port = told.get(_NDA_DST), told.get(_NDA_PORT)
        master = told.get(_NDA_MASTER)
        found.append(
            FdbEntry(
                mac_address(told[_NDA_LLADDR]),
                name_of(names, index),
                name_of(names, _signed(master)[0]) if master else None,
                int.from_bytes(told[_NDA_VLAN], "little") if _NDA_VLAN in told else None,
                ip_address(far) if far else None,
                int.from_bytes(port, "big") if port else None,
                _unsigned(told[_NDA_VNI])[0] if _NDA_VNI in told else None,
                (*_fdb_states(state), "")[0],
                _fdb_flags(flags),
            )
        )
    return tuple(sorted(found, key=lambda e: (e.dev, e.mac, e.vlan or 0, e.dst or "")))


def packed_neighbour(neighbour: Neighbour, indexes: Indexes) -> bytes:
    """Return a request's body for a lasting neighbour. Equivalent to: ``ip neighbour replace``."""
    flags = sum(bit for bit, name in _NEIGHBOUR_FLAGS.items() if name in neighbour.flags)
    data = attribute(_NDA_DST, ip_bytes(neighbour.to))
    data += attribute(_NDA_LLADDR, mac_bytes(neighbour.mac)) if neighbour.mac else b""
    family = FAMILY_NUMBERS[neighbour.family]
    state = sum(bit for bit, name in _NEIGHBOUR_STATES.items() if name in neighbour.state)
    state = state or _NUD_PERMANENT
    return _neighbour_header.pack(family, indexes[neighbour.dev], state, flags, 0) + data


def neighbour_words(neighbour: Neighbour) -> list[str]:
    """Return what one types after ``ip neighbour replace`` or ``delete``."""
    said = ["proxy"] if "proxy" in neighbour.flags else []
    said += [neighbour.to]
    said += ["lladdr", neighbour.mac] if neighbour.mac else []
    said += ["dev", neighbour.dev]
    said += ["nud", neighbour.state[0].lower()] if neighbour.state else []
    return said + [flag for flag in neighbour.flags if flag in ("router", "extern_learn")]


def packed_entry(entry: FdbEntry, indexes: Indexes) -> bytes:
    """Return a request's body for a forwarding entry. Equivalent to: ``bridge fdb add``."""
    flags = sum(bit for bit, name in _FDB_FLAGS.items() if name in _fdb_owner(entry))
    state = {"permanent": _NUD_PERMANENT | _NUD_NOARP, "static": _NUD_REACHABLE | _NUD_NOARP}
    data = attribute(_NDA_LLADDR, mac_bytes(entry.mac))
    data += attribute(_NDA_DST, ip_bytes(entry.dst)) if entry.dst else b""
    data += attribute(_NDA_VLAN, entry.vlan.to_bytes(2, "little")) if entry.vlan else b""
    data += attribute(_NDA_PORT, entry.port.to_bytes(2, "big")) if entry.port else b""
    data += attribute(_NDA_VNI, struct.pack("I", entry.vni)) if entry.vni is not None else b""
    header = (AF_BRIDGE, indexes[entry.dev], state.get(entry.state, _NUD_REACHABLE), flags, 0)
    return _neighbour_header.pack(*header) + data


def entry_words(entry: FdbEntry) -> list[str]:
    """Return what one types after ``bridge fdb add`` or ``delete``."""
    said = [entry.mac, "dev", entry.dev]
    for name in ("dst", "vlan", "port", "vni"):
        value = getattr(entry, name)
        said += [name, str(value)] if value is not None else []
    return [*said, *_fdb_owner(entry), entry.state or "dynamic"]


def _fdb_owner(entry: FdbEntry) -> tuple[str, ...]:
    """Return whose entry it is: the bridge's, which is the port's ``master``, or the device's."""
    told = tuple(flag for flag in entry.flags if flag in ("self", "sticky", "extern_learn"))
    # What lies on the bridge itself is told as if it were its own master.
    ports = entry.master not in (None, entry.dev) and "self" not in told
    return ("master", *told) if ports else told or ("self",)
