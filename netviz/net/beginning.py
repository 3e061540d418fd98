"""What a network namespace has when it begins, and how to give it back to one that has lived.

Nothing is remembered: a throw-away namespace, made now, has what every new one has. A message of a
dump is also the request that deletes what it tells of, or makes it again. So each table is put back
by comparing messages, and nothing is missed that netviz has no name for.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from netviz.net import links, sysctls
from netviz.net.messages import attribute, attributes
from netviz.net.netlink import (
    NLM_F_CREATE,
    RTM_GETADDR,
    RTM_GETNEIGH,
    RTM_GETNEXTHOP,
    RTM_GETQDISC,
    RTM_GETROUTE,
    RTM_GETRULE,
    Socket,
)

_LOOPBACK = 1  # Its index, in every namespace.
# A request may delete an entry that is like the one it means, and one entry may bring another.
_ROUNDS = 3

_IFA_CACHEINFO = 6
_RTA_CACHEINFO = 12
_RTM_F_CLONED = 0x200
_NDA_CACHEINFO, _NDA_PROBES = 3, 4
_NUD_NOARP = 0x40
_NTF_PROXY = 0x8
_NHA_ID = 1
_TOP = {0xFFFFFFFF, 0xFFFFFFF1}  # Where a queue is plugged in: TC_H_ROOT, TC_H_INGRESS.

_route = struct.Struct("8BI")
_neighbour = struct.Struct("BxxxiHBB")
_queue = struct.Struct("BxxxiIII")


@dataclass(frozen=True, slots=True)
class Standing:
    """What could not be removed or put back, why, and the command that would."""

    what: str
    reason: str
    command: str


@dataclass(frozen=True, slots=True)
class _Table:
    """One of the kernel's tables: ``entry`` leaves of a message what identifies it, or nothing."""

    what: str
    command: str
    get: int
    request: bytes
    entry: Callable[[bytes], bytes | None]

    def read(self, socket: Socket) -> list[bytes]:
        """Return the table's entries, each once."""
        told = map(self.entry, socket.dump(self.get, self.request))
        return list(dict.fromkeys(entry for entry in told if entry is not None))

    def put_back(self, socket: Socket, wanted: list[bytes]) -> Iterator[Standing]:
        """Delete what is not wanted, add what is missing, until nothing is to be done."""
        new, delete = self.get - 2, self.get - 1  # So rtnetlink numbers them.
        reason = "it comes back"
        for _ in range(_ROUNDS):
            now = self.read(socket)
            changes = [(delete, 0, entry) for entry in now if entry not in wanted]
            changes += [(new, NLM_F_CREATE, entry) for entry in wanted if entry not in now]
            if not changes:
                return
            for kind, flags, entry in changes:
                try:
                    socket.change(kind, entry, flags)
                except OSError as error:
                    reason = str(error.strerror)
        if set(self.read(socket)) != set(wanted):
            yield Standing(self.what, reason, self.command)


def _without(fixed: int, *volatile: int) -> Callable[[bytes], bytes]:
    """Return what leaves out of a message the attributes that change by themselves."""

    def entry(message: bytes) -> bytes:
        told = attributes(message, fixed)
        kept = (attribute(kind, told[kind]) for kind in told if kind not in volatile)
        return message[:fixed] + b"".join(kept)

    return entry


def _next_hop(message: bytes) -> bytes:
    return bytes(8) + attribute(_NHA_ID, attributes(message, 8)[_NHA_ID])


def _uncloned(message: bytes) -> bytes | None:
    cloned = _route.unpack_from(message)[-1] & _RTM_F_CLONED
    return None if cloned else _without(_route.size, _RTA_CACHEINFO)(message)


def _told_neighbour(message: bytes) -> bytes | None:
    """Leave out what the kernel notes by itself, for addresses that need no resolution."""
    if _neighbour.unpack_from(message)[2] == _NUD_NOARP:
        return None
    return _without(_neighbour.size, _NDA_CACHEINFO, _NDA_PROBES)(message)


def _plugged_queue(message: bytes) -> bytes | None:
    """Leave out the kernel's own queues, which have no number, and what is plugged into others."""
    family, index, handle, parent, _ = _queue.unpack_from(message)
    return _queue.pack(family, index, handle, parent, 0) if handle and parent in _TOP else None


_TABLES = (
    _Table("a next hop", "ip nexthop flush", RTM_GETNEXTHOP, bytes(8), _next_hop),
    _Table(
        "an address of lo",
        "ip address flush dev lo",
        RTM_GETADDR,
        bytes(8),
        _without(8, _IFA_CACHEINFO),
    ),
    _Table("a route", "ip route flush table all", RTM_GETROUTE, bytes(_route.size), _uncloned),
    _Table("a rule", "ip rule flush", RTM_GETRULE, bytes(_route.size), _without(_route.size)),
    _Table(
        "a neighbour",
        "ip neighbour flush all",
        RTM_GETNEIGH,
        bytes(_neighbour.size),
        _told_neighbour,
    ),
    _Table(
        "a proxied neighbour",
        "ip neighbour delete proxy …",
        RTM_GETNEIGH,
        _neighbour.pack(0, 0, 0, _NTF_PROXY, 0),
        _without(_neighbour.size),
    ),
    _Table(
        "a queue of lo",
        "tc qdisc delete dev lo root",
        RTM_GETQDISC,
        bytes(_queue.size),
        _plugged_queue,
    ),
)


class Beginning:
    """What the namespace in which the thread stands has now: best looked at in a new one."""

    def __init__(self) -> None:
        with Socket() as socket:
            self._links = {link.index: link for link in links.links(socket)}
            self._tables = [table.read(socket) for table in _TABLES]
        self._switches = sysctls.everything()

    def put_back(self, socket: Socket) -> Iterator[Standing]:
        """Give the same to the socket's namespace, where the thread must stand now.

        Links can only be deleted: those beyond what was are told of, as all that refuses.
        """
        if self._lacks_addresses_or_routes(socket):
            # Some of those the kernel makes only when the loopback goes up.
            links.switch_off(socket, _LOOPBACK)
        for link in links.links(socket):
            yield from self._put_back(socket, link)
        for path, refusal in sysctls.put_back(self._switches).items():
            name = path.removeprefix("/proc/sys/").replace("/", ".")
            yield Standing(f"switch {name}", str(refusal.strerror), f"sysctl -w {name}=…")
        for table, wanted in zip(_TABLES, self._tables, strict=True):
            yield from table.put_back(socket, wanted)

    def _lacks_addresses_or_routes(self, socket: Socket) -> bool:
        return any(
            set(wanted) - set(table.read(socket))
            for table, wanted in zip(_TABLES, self._tables, strict=True)
            if table.get in (RTM_GETADDR, RTM_GETROUTE)
        )

    def _put_back(self, socket: Socket, link: links.Link) -> Iterator[Standing]:
        what = f"interface '{link.name}'"
        wanted = self._links.get(link.index)
        if wanted is None or wanted.fields["kind"] != link.fields["kind"]:
            yield Standing(what, "it cannot be deleted", f"ip link delete {link.name}")
            return
        try:
            links.put_back(socket, link, wanted)
        except OSError as error:
            yield Standing(what, str(error.strerror), f"ip link set {link.name} …")
