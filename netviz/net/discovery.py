"""Read every namespace once, then relate what was read.

First all is read: a thread steps into one namespace after the other and asks for its tables. Only
then are the ends of cables joined, because the far end of a cable may lie in the
namespace that is read last. What vanished meanwhile becomes a `Caution`, never an exception.

Across namespaces the kernel names a far end by two numbers, an interface index there and an nsid:
what this namespace calls that one. Nothing leads from an nsid back to a namespace; but a candidate
can be held up to the kernel, which then tells what it is called. Nothing is changed by that.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from errno import EINVAL, EPERM
from typing import TYPE_CHECKING, Any

from netviz.errors import DiscoveryError
from netviz.model import (
    OPENED,
    Address,
    Caution,
    Endpoint,
    Interface,
    Namespace,
    Snapshot,
)
from netviz.net import namespaces, neighbours, nftables, ovs, routes, tuns, vlans
from netviz.net.addresses import addresses
from netviz.net.links import Link, links
from netviz.net.netlink import Socket
from netviz.net.qdiscs import qdiscs
from netviz.net.sysctls import sysctls
from netviz.net.worker import aside
from netviz.text import printable

if TYPE_CHECKING:
    from netviz.net.namespaces import Found


def snapshot() -> Snapshot:
    """Return every namespace of the lab, or outside a lab of the machine, as it is now.

    Equivalent to: ``ip -all netns exec ip -d -s address; … ip route show table all; … ip rule; …
    ip neighbour; … bridge fdb; … bridge vlan; … ip netconf; … nft list ruleset``, and all that
    for namespaces without a name too.

    It only reads, on a real machine too. Raises ``DiscoveryError`` where not even the root can be
    read.
    """
    return aside(_snapshot)


def _snapshot() -> Snapshot:
    found, cautions = namespaces.find()
    readings = []
    filtered = nftables.available()
    for namespace in found:
        try:
            readings.append(_read(namespace, cautions, filtered=filtered))
        except OSError as error:
            if namespace.held_by == "root":
                raise DiscoveryError(
                    f"cannot read the network namespace '{namespace.paths[0]}': {error.strerror}",
                    remedy="run it with sudo",
                ) from error
            cautions.append(Caution(_refusal(namespace, error)))
    _FarEnds(readings).find()
    _other_ends(readings)
    related = tuple(_relate(reading, cautions) for reading in readings)
    related = ovs.switched(related, cautions)
    return Snapshot(related, tuple(dict.fromkeys(cautions)))


@dataclass(slots=True)
class _Reading:
    """What one namespace told about itself.

    ``far`` says which namespace is meant by an nsid here; it is filled in afterwards.
    """

    found: Found
    links: dict[int, Link]
    addresses: dict[int, list[Address]]
    tables: dict[str, Any]
    far: dict[int, _Reading]


def _read(found: Found, cautions: list[Caution], *, filtered: bool) -> _Reading:
    found.enter()
    with Socket() as socket:
        own = {link.index: link for link in links(socket)}
        names = {index: link.name for index, link in own.items()}
        bridged = any(link.fields["kind"] == "bridge" for link in own.values())
        filtering = {
            index: names[bridge]
            for index, link in own.items()
            for bridge in (index, link.master)
            if bridge in own and own[bridge].fields["parameters"].get("vlan_filtering")
        }
        reading = _Reading(
            found,
            own,
            addresses(socket),
            {
                "routes": routes.routes(socket, names),
                "rules": routes.rules(socket),
                "neighbours": neighbours.neighbours(socket, names),
                "fdb": neighbours.forwarding(socket, names),
                "vlans": tuple(vlans.vlans(socket, filtering, names)),
                "qdiscs": qdiscs(socket, names),
                "sysctls": sysctls(socket, names, bridged=bridged),
                "nft": _nft(found, cautions) if filtered else (),
            },
            {},
        )
        if socket.unsettled:
            cautions.append(Caution(f"namespace {_quoted(found)} kept changing while it was read"))
        return reading


def _nft(found: Found, cautions: list[Caution]) -> tuple[dict[str, object], ...]:
    try:
        return tuple(nftables.ruleset())
    except FileNotFoundError:
        message = "there are packet filters, but no nft to list them; install nftables"
    except OSError as error:
        message = f"packet filters of {_quoted(found)} cannot be read: {error.strerror}"
        message += "; run it with sudo" if error.errno == EPERM else ""
    cautions.append(Caution(message))
    return ()


def _other_ends(readings: list[_Reading]) -> None:
    """Find the programs that have tuns and taps open, where there are any."""
    own = [(it.found.id, link) for it in readings for link in it.links.values()]
    own = [(space, link) for space, link in own if link.fields["kind"] in OPENED]
    held = tuns.programs() if own else {}
    for space, link in own:
        link.fields["programs"] = held.get((space, link.name), ())


class _FarEnds:
    """Find the namespaces that cables and lower devices lead to."""

    def __init__(self, readings: list[_Reading]) -> None:
        self._readings = readings
        self._last: _Reading | None = None
        self._stride = 0
        self._holders: dict[tuple[int, int | None], list[_Reading]] = defaultdict(list)
        for reading in readings:
            for link in reading.links.values():
                self._holders[link.index, None].append(reading)
                if link.paired and link.nsid is not None:
                    self._holders[link.index, link.link].append(reading)

    def find(self) -> None:
        """Fill in what each namespace's nsids mean."""
        for reading in self._readings:
            # One link an nsid leads there as well as another, and one cable was perhaps followed
            # from its other end.
            leads = {
                link.nsid: link
                for link in reading.links.values()
                if link.link and link.nsid is not None and link.nsid not in reading.far
            }
            if not leads:
                continue
            try:
                reading.found.enter()
                with Socket() as socket:
                    for nsid, link in leads.items():
                        self._follow(socket, reading, nsid, link)
            except OSError:
                continue  # The namespace is gone: its cables are out of sight.

    def _follow(self, socket: Socket, reading: _Reading, nsid: int, link: Link) -> None:
        """Find out which namespace is meant by an nsid, and that link leads to."""
        for candidate in self._candidates(reading, link):
            try:
                with candidate.found.opened() as fd:
                    meant = socket.nsid_of(fd) == nsid
            except OSError:
                continue
            if meant:
                self._last = reading.far[nsid] = candidate
                self._stride = candidate.found.id - reading.found.id
                back = candidate.links[link.link]
                if link.paired and back.nsid is not None:
                    candidate.far[back.nsid] = reading
                return

    def _candidates(self, reading: _Reading, link: Link) -> list[_Reading]:
        """Return the namespaces that may hold a link's far end, the likeliest first."""
        holders = self._holders[link.link, link.index if link.paired else None]
        open_ends = [
            holder
            for holder in holders
            if holder is not reading
            and (not link.paired or self._leads_back(holder, link, reading))
        ]
        # One parent has many children; and cables are made one after the other, so the next one
        # is about as long as the last.
        there = reading.found.id + self._stride
        return sorted(open_ends, key=lambda it: (it is not self._last, abs(it.found.id - there)))

    def _leads_back(self, holder: _Reading, link: Link, reading: _Reading) -> bool:
        """Tell whether the other end of a cable may lie in ``holder``, as far as is known."""
        nsid = holder.links[link.link].nsid
        return nsid not in holder.far or holder.far[nsid] is reading


def _relate(reading: _Reading, cautions: list[Caution]) -> Namespace:
    found = reading.found
    return Namespace(
        id=found.id,
        name=found.name,
        held_by=found.held_by,
        names=tuple(found.names),
        pids=tuple(found.pids),
        containers=found.containers,
        networks=found.networks,
        interfaces=tuple(_interface(reading, link, cautions) for link in reading.links.values()),
        **reading.tables,
    )


def _interface(reading: _Reading, link: Link, cautions: list[Caution]) -> Interface:
    far = _far_end(reading, link)
    own = link.fields["parameters"]
    if own.get("link"):
        own["link"] = far.name if far else f"if{own['link']}"
    if own.get("active_slave"):
        own["active_slave"] = _endpoint(reading, own["active_slave"]).name
    if link.link and far is None:
        word = "peer" if link.paired else "lower device"
        there = "gone" if link.nsid is None else "out of sight"
        cautions.append(Caution(f"its {word} is {there}", _endpoint(reading, link.index)))
    return Interface(
        index=link.index,
        addresses=tuple(reading.addresses.get(link.index, ())),
        master=_endpoint(reading, link.master) if link.master else None,
        peer=far if link.paired else None,
        lower=None if link.paired else far,
        **link.fields,
    )


def _far_end(reading: _Reading, link: Link) -> Endpoint | None:
    """Return the interface that a link leads to, None where it leads nowhere, or out of sight."""
    there = reading if link.nsid is None else reading.far.get(link.nsid)
    if not link.link or there is None or link.link not in there.links:
        return None
    return _endpoint(there, link.link)


def _endpoint(reading: _Reading, index: int) -> Endpoint:
    link = reading.links.get(index)
    name = link.name if link else f"if{index}"
    return Endpoint(reading.found.id, index, reading.found.name, name)


def _refusal(found: Found, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"namespace {_quoted(found)} was gone before it could be read"
    if error.errno == EINVAL:
        return f"{_quoted(found)} is a namespace, but not one of networks"
    remedy = "; run it with sudo" if isinstance(error, PermissionError) else ""
    return f"namespace {_quoted(found)} cannot be entered: {error.strerror}{remedy}"


def _quoted(found: Found) -> str:
    return f"'{printable(found.name)}'"
