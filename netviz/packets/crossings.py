"""How a packet went through Open vSwitch, where no tap sees it: bridges, patches, tunnels. Pure.

Two taps are known, where it came in and where it left. What lies between follows from the flows: of
all ways that the switch has for the frame, the one that ends where it was seen. A tunnel begins and
ends in the switch itself. So its packets make two ways: one to the tunnel, and one from there, as
a packet of the host's own, to the port below; or the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from netviz.journeys import DISCARDED, LOST, Hop, Reason, Rewrite
from netviz.model import Endpoint
from netviz.packets.flows import PROTOCOLS, TAGGED, DoubtError
from netviz.packets.headers import address, mac
from netviz.packets.pipelines import Stage
from netviz.packets.typed import typed

if TYPE_CHECKING:
    from netviz.model import Key
    from netviz.packets.facts import Facts, Spot
    from netviz.packets.flows import Fields
    from netviz.packets.parts import Part

_FIELDS: dict[str, dict[str, str]] = {
    "Ethernet": {"dl_src": "src", "dl_dst": "dst", "dl_type": "type"},
    "ARP": {"arp_op": "op", "arp_spa": "spa", "arp_tpa": "tpa", "arp_sha": "sha", "arp_tha": "tha"},
    "IPv4": {"nw_src": "src", "nw_dst": "dst", "nw_proto": "p", "nw_tos": "tos", "nw_ttl": "ttl"},
    "IPv6": {"ipv6_src": "src", "ipv6_dst": "dst", "nw_proto": "p", "nw_ttl": "hlim"},
    "TCP": {"tp_src": "sport", "tp_dst": "dport"},
    "UDP": {"tp_src": "sport", "tp_dst": "dport"},
    "ICMP": {"icmp_type": "type", "icmp_code": "code"},
    "ICMPv6": {"icmp_type": "type", "icmp_code": "code"},
}
_ENDS = {"src": "source", "dst": "destination"}
_LAYERS = {"dl": ("Ethernet", 6), "nw": ("IPv4", 4), "ipv6": ("IPv6", 16)}
"""Whose end it is, by the first word of its field's name, and how many bytes it has."""


def fields(parts: Sequence[Part]) -> Fields:
    """Return a frame's fields by the names that flows have for them, from its first header on."""
    found: Fields = {}
    for number, part in enumerate(parts):
        if part.name not in _FIELDS or (number and part.name == "Ethernet"):
            break
        for ours, theirs in _FIELDS[part.name].items():
            value = getattr(part.told, theirs)
            found[ours] = int.from_bytes(value, "big") if isinstance(value, bytes) else value
        if tags := getattr(part.told, "vlan_tags", ()):
            found["vlan_tci"] = TAGGED | tags[0].id
            found["dl_type"] = tags[-1].type
    return found


def crossed(before: Spot | None, spot: Spot, facts: Facts) -> tuple[Hop, ...]:
    """Return the hops between two places that a packet passed within Open vSwitch; mostly none."""
    if before is None or not (before.known and spot.known) or before.key[0] != spot.key[0]:
        return ()
    relations, deeper = facts.relations, spot.sighting.depth - before.sighting.depth
    came, left = (relations.switch(key) for key in (before.key, spot.key))
    # Into it by a port, or from the host's own stack; and out of it again.
    into = (before.packet.direction == "in") == (before.key != came)
    out = (spot.packet.direction == "out") == (spot.key != left)
    if (came and not into) or (left and not out):
        return ()
    if not deeper:
        through = came and left in relations.fabric(came) and spot.key != before.key
        return tuple(_Crossing(before, facts).within(spot.key)) if through else ()
    inside, outer = (came, spot) if deeper > 0 else (left, before)
    for tunnel in relations.tunnels(inside) if inside else ():
        if _belongs(facts, tunnel, outer, outer is spot):
            crossing = _Crossing(before, facts)
            way = crossing.wrapped if outer is spot else crossing.unwrapped
            return tuple(way(spot, tunnel))
    return ()


def stopped(spot: Spot, bridge: Key, facts: Facts) -> tuple[str, Reason]:
    """Return what became of a frame that Open vSwitch took in, and that left by no port."""
    links, space = facts.relations.links, facts.relations.spaces[bridge[0]]
    name, show = links[bridge].name, typed(space, "ovs-ofctl", "dump-flows", links[bridge].name)
    try:
        found = facts.pipelines.passage(spot.key, fields(spot.parts))
    except DoubtError as error:
        return LOST, Reason(f"what {name} did with it is not in a snapshot: {error}", show)
    ends = [links[way[-1].port] for way in found.ways]
    ends = [end for end in ends if end.running or end.kind != "openvswitch"]
    if not ends:
        why = [way[-1].reasons[-1] for way in found.dropped]
        why = why or [Reason(f"no port of {name} takes it", show)]
        return DISCARDED if found.known else LOST, why[-1]
    text = f"{name} would send it by {', '.join(end.name for end in ends)}"
    idle = [end.name for end in ends if not end.running]
    text += f", but {idle[0]} is down" if idle else ", and no table that is read here tells why not"
    return LOST, Reason(text, show)


def swallowed(spot: Spot, facts: Facts) -> tuple[Hop, ...]:
    """Return the hops of a tunnel's packet that Open vSwitch took in, to where it is lost there.

    They are none for what is no tunnel's, and where a snapshot does not tell what became of it.
    """
    links, came = facts.relations.links.items(), spot.packet.direction == "in"
    for tunnel in (key for key, it in links if it.unreal and key[0] == spot.key[0]):
        if came and _belongs(facts, tunnel, spot, sent=False):
            return _Crossing(spot, facts).lost(tunnel)
    return ()


class _Crossing:
    """The way of one packet through the switches of a namespace, as hops."""

    def __init__(self, before: Spot, facts: Facts) -> None:
        self._before, self._facts, self._relations = before, facts, facts.relations
        self._space = facts.relations.spaces[before.key[0]]

    def within(self, port: Key) -> Iterator[Hop]:
        """Yield the bridges between two ports."""
        frame = fields(self._before.parts)
        yield from self._hops(self._before.key, frame, lambda stage: stage.port == port)

    def wrapped(self, spot: Spot, tunnel: Key) -> Iterator[Hop]:
        """Yield the bridges to a tunnel, the tunnel, and those below it."""
        number, frame = _network(spot.parts), fields(self._before.parts)

        def fits(stage: Stage) -> bool:
            return stage.port == tunnel and self._number(tunnel, stage.fields["tun_id"]) == number

        yield from self._hops(self._before.key, frame, fits)
        yield self._tunnel(tunnel, "wrapped", f"to {spot.ends[1]}", number)
        if below := self._relations.switch(spot.key):
            sent = fields(spot.parts)
            yield from self._hops(below, sent, lambda stage: stage.port == spot.key)

    def unwrapped(self, spot: Spot, tunnel: Key) -> Iterator[Hop]:
        """Yield the bridges below a tunnel, the tunnel, and those from there on."""
        yield from self._taken_out(tunnel)
        yield from self._hops(tunnel, self._inner(), lambda stage: stage.port == spot.key)

    def lost(self, tunnel: Key) -> tuple[Hop, ...]:
        """Return the hops from a tunnel's port to the bridge where what is in it is lost."""
        try:
            found = self._facts.pipelines.passage(tunnel, self._inner())
        except DoubtError:
            return ()
        ways = [way for way in found.ways if self._relations.is_switch(way[-1].port)]
        if not (ends := found.dropped or ways) or len(ways) < len(found.ways):
            return ()
        *hops, last = (*self._taken_out(tunnel), *self._along(ends[-1], self._inner()))
        why = last.reasons[-1]
        if not found.dropped:
            vlan = found.vlans.get(last.where.key)
            text = f"no port of {last.where.name} takes it" + (f" in VLAN {vlan}" if vlan else "")
            why = Reason(text, typed(self._space, "ovs-vsctl", "show"))
        return (*hops, replace(last, fate=DISCARDED if found.known else LOST, end=why))

    def _taken_out(self, tunnel: Key) -> Iterator[Hop]:
        """Yield the bridges below a tunnel, and the tunnel."""
        if below := self._relations.switch(self._before.key):
            came = fields(self._before.parts)
            yield from self._hops(self._before.key, came, lambda stage: stage.port == below)
        number = _network(self._before.parts)
        yield self._tunnel(tunnel, "unwrapped", f"from {self._before.ends[0]}", number)

    def _inner(self) -> Fields:
        """Return the fields of the frame in a tunnel's packet."""
        parts = self._before.parts
        inner = next(n for n, part in enumerate(parts) if part.name == "VXLAN") + 1
        return fields(parts[inner:]) | {"tun_id": _network(parts) or 0}

    def _number(self, tunnel: Key, chosen: int) -> object:
        """Return the VNI that a tunnel sends with: its own, or what a flow has chosen."""
        own = self._relations.links[tunnel].parameters.get("id")
        return chosen if own == "flow" else own

    def _hops(self, came: Key, frame: Fields, fits: Callable[[Stage], bool]) -> Iterator[Hop]:
        """Yield a hop for each bridge on the way from a port to where it fits."""
        return self._along(self._way(came, frame, fits), frame)

    def _along(self, way: tuple[Stage, ...], frame: Fields) -> Iterator[Hop]:
        """Yield a hop for each bridge of a way, with what it changes in a frame."""
        links = self._relations.links
        for number, stage in enumerate(way, 1):
            name, changes = links[stage.bridge].name, tuple(_changes(frame, stage.fields))
            yield self._hop(stage.bridge, f"Open vSwitch {name}", stage.reasons, changes)
            frame, port = stage.fields, links[stage.port]
            if port.kind == "patch" and port.peer and number < len(way):
                yield self._hop(stage.port, f"patch port of {name}", (), (), "out")
                yield self._hop(port.peer.key, "the far end of the patch cable", (), (), "in")

    def _way(self, came: Key, frame: Fields, fits: Callable[[Stage], bool]) -> tuple[Stage, ...]:
        why = "no flow of the snapshot leads there"
        try:
            for flooded in (False, True):  # It has perhaps learned where the card is since then.
                found = self._facts.pipelines.passage(came, frame, flooded=flooded)
                for way in found.ways:
                    if fits(way[-1]):
                        return way
        except DoubtError as error:
            why = str(error)
        bridge = self._relations.switch(came) or came
        name = self._relations.links[bridge].name
        show = typed(self._space, "ovs-ofctl", "dump-flows", name)
        reason = Reason(f"how {name} passed it on is not in a snapshot: {why}", show)
        return (Stage(bridge, came, frame, (reason,)),)

    def _tunnel(self, tunnel: Key, role: str, where: str, number: int | None) -> Hop:
        name = self._relations.links[tunnel].name
        own = self._relations.links[tunnel].parameters.get("id") != "flow"
        text = f"VNI {number}, {'its own' if own else 'which a flow names'}, {where}"
        show = typed(self._space, "ovs-vsctl", "list", "interface", name)
        return self._hop(tunnel, f"{role} by {name}", (Reason(text, show),), ())

    def _hop(
        self,
        key: Key,
        role: str,
        why: tuple[Reason, ...],
        changes: tuple[Rewrite, ...],
        direction: str = "through",
    ) -> Hop:
        where = Endpoint(*key, self._space.name, self._relations.links[key].name)
        return Hop(0, where, direction, role, None, self._before.headers, changes, why)


def _network(parts: Sequence[Part]) -> int | None:
    return next((part.told.vni for part in parts if part.name == "VXLAN"), None)


def _belongs(facts: Facts, tunnel: Key, outer: Spot, sent: bool) -> bool:
    """Tell whether a packet is one of a tunnel's."""
    link, number = facts.relations.links[tunnel], _network(outer.parts)
    told: dict[str, Any] = {"id": "flow", "remote": outer.ends[sent], **link.parameters}
    fits = told["id"] in ("flow", number) and told["remote"] == outer.ends[sent]
    return link.kind == "vxlan" and fits


def _changes(old: Fields, new: Fields) -> Iterator[Rewrite]:
    """Yield what a bridge changes in a frame, in the words of its headers."""
    tags = [_vlan(each.get("vlan_tci", 0)) for each in (old, new)]
    if tags[0] != tags[1]:
        yield Rewrite("802.1Q", "VLAN", tags[0], tags[1])
    stream = "TCP" if old.get("nw_proto") == PROTOCOLS["tcp"] else "UDP"
    for name in old:
        layer, _, end = name.partition("_")
        if end in _ENDS and new[name] != old[name]:
            header, size = _LAYERS.get(layer, (stream, 2))
            was, now = (each[name].to_bytes(size, "big") for each in (old, new))
            told = mac if layer == "dl" else address if size > 2 else _port
            yield Rewrite(header, _ENDS[end] + " port" * (size == 2), told(was), told(now))


def _port(raw: bytes) -> str:
    return str(int.from_bytes(raw, "big"))


def _vlan(tci: int) -> str:
    return str(tci & 0xFFF) if tci & TAGGED else "none"
