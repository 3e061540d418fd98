"""What is known of a network while packets cross it: tables, what bridges learned, verdicts. Pure.

A `Spot` is a packet at a place, with the interface and the tables there.
"""

from __future__ import annotations

import re
import shlex
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from netviz.errors import TraceError
from netviz.journeys import Reason
from netviz.packets.headers import address, header, mac
from netviz.packets.lookup import Stack
from netviz.packets.parts import parts
from netviz.packets.pipelines import Pipelines
from netviz.packets.typed import typed as typed

if TYPE_CHECKING:
    from netviz.journeys import Header, Packet
    from netviz.model import Interface, Key, Namespace
    from netviz.net.conntrack import Connection
    from netviz.net.namespaces import Found
    from netviz.packets.drops import Drops
    from netviz.packets.parts import Part
    from netviz.packets.relations import Relations
    from netviz.packets.sightings import Sighting
    from netviz.packets.tracing import Track
    from netviz.packets.verdicts import Traced, Verdict

_Space = TypeVar("_Space", bound="Namespace | Found")
_TRANSLATES = re.compile(r"\b([ds]nat (ip6? )?to|masquerade|redirect)\b|xt target \"[A-Z]+")
_ICMP = 1
_ERRORS = ((1, 2, 3, 4), (3, 11))
"""The types of ICMP's messages that quote a packet: of IPv6, and of IPv4."""
_RESET = 4


@dataclass(slots=True)
class Told:
    """What was told beside the packets: by packet filters, connection tracking, the kernel itself.

    ``connections`` are those of each namespace, by its id.
    """

    verdicts: Sequence[Verdict] = ()
    connections: Mapping[int, Sequence[Connection]] = field(default_factory=dict)
    drops: Drops | None = None


class Facts:
    """All that explains hops. ``before`` and ``after`` are the tables by namespace id."""

    def __init__(
        self,
        relations: Relations,
        before: Iterable[Namespace],
        seen: Sequence[Track],
        told: Told | None = None,
    ) -> None:
        self.relations = relations
        self.told = told or Told()
        self.before = {space.id: Stack(space) for space in before}
        self.after = {key: Stack(space) for key, space in relations.spaces.items()}
        self.answers: dict[bytes, set[int]] = defaultdict(set)
        self.errors: dict[tuple[object, ...], Any] = {}
        self.resets: set[tuple[int, int]] = set()
        self._learned: dict[tuple[Key, bytes], list[tuple[int, Key]]] = defaultdict(list)
        self._verdicts: dict[tuple[int, int | None], list[Verdict]] = defaultdict(list)
        for verdict in self.told.verdicts:
            self._verdicts[verdict.namespace, verdict.packet.ip_id].append(verdict)
        for track in seen:
            self._note(track)
        for entries in self._learned.values():
            entries.sort()

    @cached_property
    def pipelines(self) -> Pipelines:
        """Return what the bridges of Open vSwitch do."""
        return Pipelines(self.relations)

    def spot(self, sighting: Sighting) -> Spot:
        """Return a sighting with what is known of its place."""
        return Spot(sighting, self)

    def behind(self, bridge: Key, raw: bytes, at: int) -> Key | None:
        """Return the port that a bridge would send a frame to at a moment; None where it floods."""
        link = self.relations.links.get(bridge)
        learned = self._learned.get((bridge, raw), [])
        place = bisect(learned, (at, (0, 0)))
        if place and link and link.parameters.get("ageing_time") != 0:
            return learned[place - 1][1]
        known = self.before.get(bridge[0])
        entry = known.entry(link.name, mac(raw)) if known and link else None
        if entry and entry.state == "permanent":  # An own address, which it may have from a port.
            return bridge
        inside = [*self.relations.ports.get(bridge, ()), bridge]
        named = (key for key in inside if entry and self.relations.links[key].name == entry.dev)
        return next(named, None)

    def verdicts(self, spot: Spot) -> list[Verdict]:
        """Return what packet filters said of a packet in its namespace."""
        if spot.net is None:
            return []
        found = self._verdicts.get((spot.space.id, getattr(spot.net, "id", None)), [])
        return [verdict for verdict in found if _is_about(verdict.packet, spot)]

    def drop(self, spot: Spot) -> Reason | None:
        """Return the verdict that ended a packet's way here, if one did.

        What was dropped on its way out of a namespace was a copy, if this one is for the namespace.
        """
        if spot.net is None:
            return None
        own = self.relations.is_switch(spot.key) or bool(spot.stack.local(spot.ends[1]))
        dropped = (it for it in self.verdicts(spot) if it.dropped and not (own and it.packet.oif))
        return next((Reason(it.text, it.command) for it in dropped), None)

    def kernels_word(self, spot: Spot) -> str:
        """Return the kernel's own reason for a drop here, empty where it may not be heard."""
        protocol = int.from_bytes(spot.packet.data[12:14], "big") if spot.frame else 0
        drops = self.told.drops
        found = drops.after(spot.packet.at, protocol) if drops else None
        return found.reason if found else ""

    def translations(self, spot: Spot, was: Spot) -> tuple[Reason, ...]:
        """Return the rules, or else the tracked connection, by which addresses were changed."""
        rules = {
            (it.family, it.table, it.chain, it.rule): it.command
            for it in self.verdicts(was)
            if _TRANSLATES.search(it.rule)
        }
        if rules:
            return tuple(
                Reason(f"NAT rule of table {family} {table}, chain {chain}: {rule}", command)
                for (family, table, chain, rule), command in rules.items()
            )
        old, new = was.ends, spot.ends
        for each in self.told.connections.get(spot.space.id, ()):
            there, back = each.original, each.reply
            if (there.source, there.destination) == old and (back.destination, back.source) == new:
                text = f"conntrack: what goes from {old[0]} to {old[1]} is translated"
            elif (back.source, back.destination) == old and there.source == new[1]:
                text = f"conntrack: it answers {there.source} → {there.destination}: turned back"
            else:
                continue
            show = typed(spot.space, "conntrack", "-L", "-p", each.protocol)
            return (Reason(text, show),)
        return (Reason("its addresses were translated (NAT)"),)

    def error(self, spot: Spot) -> Any:
        """Return the ICMP error that a namespace sent because of a packet, as dpkt read it."""
        return self.errors.get((spot.space.id, *_called(spot.net))) if spot.net else None

    def is_refused(self, spot: Spot) -> bool:
        """Tell whether a namespace answered that nobody listens: by ICMP, or by a TCP reset."""
        error, asked = self.error(spot), spot.sighting.segment
        closed = error is not None and (error.type, error.code) in ((3, 3), (1, 4))
        return closed or bool(asked and (spot.space.id, asked.sequence + 1) in self.resets)

    def blocked(self, space: Namespace, to: str) -> Reason | None:
        """Return the verdict that ended a packet to an address before it left its namespace."""
        sent = (it for some in self._verdicts.values() for it in some if it.namespace == space.id)
        dropped = (it for it in sent if it.dropped and it.packet.destination == to)
        return next((Reason(it.text, it.command) for it in dropped), None)

    def _note(self, track: Track) -> None:
        """Keep what a track shows beside itself: where MACs are, who answers, what is refused."""
        first = track.first
        if first.key[:2] == ("arp", 2) and first.packet.direction == "out":
            self.answers[first.ends[0]].add(first.packet.where.id)
        if first.key[0] == "icmp" and first.key[3] in _ERRORS[first.key[1] == _ICMP]:
            told = parts(first.packet)
            message: Any = next((p.told for p in told if p.name in ("ICMP", "ICMPv6")), None)
            quoted = getattr(getattr(message, "data", None), "data", None)
            if hasattr(quoted, "src") and hasattr(quoted, "p"):
                self.errors[first.packet.where.id, *_called(quoted)] = message
        if first.segment and first.segment.flags & _RESET:
            self.resets.add((first.packet.where.id, first.segment.acknowledgement))
        for each in track.sightings:
            key = each.packet.where.key
            bridge = self.relations.master(key)
            from_cable = each.packet.direction == "in" and each.packet.link == "ether"
            if bridge and from_cable and not self.relations.links[key].port.get("locked"):
                entry = (each.packet.at, key)
                self._learned[bridge, each.packet.data[6:12]].append(entry)


class Spot:
    """A packet at a place: ``link`` is the interface there, ``stack`` its namespace's tables.

    ``frame`` and ``net`` are its outermost Ethernet and IP headers, as dpkt read them.
    """

    def __init__(self, sighting: Sighting, facts: Facts) -> None:
        self.sighting = sighting
        self.packet: Packet = sighting.packet
        self.key = sighting.packet.where.key
        self.facts = facts

    @property
    def known(self) -> bool:
        """Tell whether a snapshot has the interface: one may come and go between two."""
        return self.key in self.facts.relations.links

    @property
    def link(self) -> Interface:
        """Return the interface."""
        return self.facts.relations.links[self.key]

    @property
    def space(self) -> Namespace:
        """Return the namespace."""
        return self.facts.relations.spaces[self.key[0]]

    @property
    def stack(self) -> Stack:
        """Return the namespace's tables, as they were in the end."""
        return self.facts.after[self.key[0]]

    @cached_property
    def parts(self) -> list[Part]:
        """Return what the packet is made of."""
        return parts(self.packet, self.facts.relations.vxlan_ports)

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        """Return its headers in words."""
        return tuple(map(header, self.parts))

    @cached_property
    def frame(self) -> Any:
        """Return the outermost Ethernet header, None where there is none."""
        return next((it.told for it in self.parts if it.name == "Ethernet"), None)

    @cached_property
    def net(self) -> Any:
        """Return the outermost IP header, None where there is none."""
        return next((it.told for it in self.parts if it.name in ("IPv4", "IPv6")), None)

    @cached_property
    def ends(self) -> tuple[str, str]:
        """Return the outermost source and destination address."""
        return (address(self.net.src), address(self.net.dst)) if self.net else ("", "")

    @property
    def family(self) -> str:
        """Return ``inet`` or ``inet6``."""
        return "inet6" if ":" in self.ends[1] else "inet"

    @property
    def size(self) -> int:
        """Return how long its outermost IP packet is, in bytes."""
        net = next((it for it in self.parts if it.name in ("IPv4", "IPv6")), None)
        return self.packet.length - net.start if net else self.packet.length


def _called(net: Any) -> tuple[object, ...]:
    """Return by what an IP packet is known to who quotes it."""
    return bytes(net.src), bytes(net.dst), net.p, getattr(net, "id", 0)


def _is_about(told: Traced, spot: Spot) -> bool:
    """Tell whether a verdict is about a packet: one of its addresses may have been translated."""
    if {told.source, told.destination}.isdisjoint(spot.ends) or told.protocol != spot.net.p:
        return False
    at = next(n for n, it in enumerate(spot.parts) if it.told is spot.net)
    inner: Any = spot.parts[at + 1].told if at + 1 < len(spot.parts) else None
    echo = getattr(inner, "data", None)
    same = (
        (told.icmp_sequence, getattr(echo, "seq", None)),
        (told.sport, getattr(inner, "sport", None)),
        (told.dport, getattr(inner, "dport", None)),
    )
    known = [a == b for a, b in same if a is not None and b is not None]
    return not known or any(known)


def named(where: str, spaces: Sequence[_Space]) -> _Space:
    """Return the namespace of this name. Raises ``TraceError`` that names all where it is not."""
    for each in spaces:
        if where in each.known_as:
            return each
    remedy = "the namespaces are: " + ", ".join(each.name for each in spaces)
    command = f"ip netns exec {shlex.quote(where)} …"
    raise TraceError(f"there is no namespace '{where}'", command=command, remedy=remedy)
