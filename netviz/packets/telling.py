"""A track in words: the journey of one packet, hop by hop. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from netviz.journeys import DELIVERED, DISCARDED, LOST, Hop, Journey, Reason
from netviz.model import Endpoint
from netviz.packets.crossings import crossed, stopped, swallowed
from netviz.packets.facts import typed
from netviz.packets.fates import at_port, fate
from netviz.packets.headers import address, flags, mac, message, message6, rewrites, target
from netviz.packets.reasons import crossing, reasons

if TYPE_CHECKING:
    from netviz.model import Key
    from netviz.packets.facts import Facts, Spot
    from netviz.packets.parts import Part
    from netviz.packets.sightings import Sighting
    from netviz.packets.tracing import Track

_FILTERED = "NETFILTER_DROP"
_DISCOVERS = (133, 134, 135, 136)


@dataclass(slots=True)
class _Told:
    """A hop that is not numbered yet: the one that it came from is counted among all of them."""

    hop: Hop
    after: tuple[int, ...]


def journey(track: Track, facts: Facts) -> Journey:
    """Return a track as the journey of its packet."""
    spots = [facts.spot(each) for each in track.sightings]
    children = track.children()
    told: list[_Told] = []
    places: dict[int, int] = {}
    bridges: dict[tuple[int | Key, ...], int] = {}
    for number, spot in enumerate(spots):
        before = [*track.parents[number]]
        last = spots[before[-1]] if before else None
        after = tuple(places[it] for it in before)
        bridge = _crossed(spot, last, facts)
        unseen = crossed(last, spot, facts)
        for hop in unseen:
            after = _shared(hop, after, told, bridges)
        if bridge and last:
            at = (before[-1], bridge)
            if at not in bridges:
                copies = sum(
                    _crossed(spots[n], last, facts) == bridge and spots[n].key != bridge
                    for n in children[before[-1]]
                )
                bridges[at] = len(told)
                told.append(_Told(_through(last, bridge, copies, facts), after))
                told += (_Told(it, (bridges[at],)) for it in _stopped(last, bridge, facts))
            after = (bridges[at],)
        places[number] = len(told)
        own, *further = _ended(spot, _hop(spot, last, unseen, facts), facts, number in children)
        told.append(_Told(own, after))
        told += (_Told(it, (place,)) for place, it in enumerate(further, places[number]))
    hops = tuple(
        replace(it.hop, number=n, after=tuple(each + 1 for each in it.after))
        for n, it in enumerate(told, 1)
    )
    protocol = protocol_of(track.first)
    prelude = protocol in ("arp", "nd")
    fates = {hop.fate for hop in hops if hop.fate}
    if fates == {DISCARDED} and not prelude:  # Where nobody wanted it, it is lost.
        hops = tuple(replace(hop, fate=LOST) if hop.fate else hop for hop in hops)
    return Journey(title(spots[0]), protocol, hops, prelude)


def _shared(
    hop: Hop, after: tuple[int, ...], told: list[_Told], known: dict[tuple[int | Key, ...], int]
) -> tuple[int, ...]:
    """Return the place of a hop that is inferred: copies have how their ways begin in common."""
    at: tuple[int | Key, ...] = (*after, hop.where.key)
    if at not in known:
        known[at] = len(told)
        told.append(_Told(hop, after))
    return (known[at],)


def _ended(spot: Spot, hop: Hop, facts: Facts, went_on: bool) -> tuple[Hop, ...]:
    """Return a hop with what became of the packet there, or else with those that come after it.

    The reason is the tables', and the kernel's if it is heard. Where packet filters may not be
    watched, the kernel's word is all that tells of them.
    """
    further = () if went_on else swallowed(spot, facts)
    if went_on or further:
        return hop, *further
    switch = facts.relations.switch(spot.key)
    # By a port into the switch, or by its own device out of the stack.
    inside = switch and (spot.packet.direction == "out") == (spot.key == switch)
    ended, why = stopped(spot, switch, facts) if switch and inside else fate(spot, facts)
    word = facts.kernels_word(spot) if spot.known else ""
    if word == _FILTERED and ended == DELIVERED and spot.space.nft:
        show = typed(spot.space, "nft", "list", "ruleset")
        ended, why = LOST, Reason(f"a packet filter of {spot.space.name} dropped it", show)
    if word and ended == LOST:
        why = replace(why, text=f"{why}; the kernel's own reason: {word}")
    return (replace(hop, fate=ended, end=why),)


def protocol_of(first: Sighting) -> str:
    """Return a packet's protocol as a journey names it: ``arp``, ``icmp``, ``tcp``."""
    kind = str(first.key[0])
    if kind == "icmp" and first.key[1] == 58 and first.key[3] in _DISCOVERS:
        return "nd"
    known = {"stream": "tcp", "segment": "tcp", "arp": "arp", "icmp": "icmp", "udp": "udp"}
    return known.get(kind, "other")


def title(spot: Spot) -> str:
    """Return one line about a packet: ``ICMP echo request 1: 10.1.1.1 → 10.1.1.3``."""
    part = _last(spot)
    if part and part.name == "ARP":
        asked, asks = address(part.told.tpa), address(part.told.spa)
        if part.told.op == 1:
            return f"ARP: who has {asked}? asks {asks}"
        return f"ARP: {asks} is at {mac(part.told.sha)}"
    said = " ".join(_said(spot))
    ends = [address(each) for each in spot.sighting.ends]
    ports = [getattr(part and part.told, name, None) for name in ("sport", "dport")]
    if ports[0] is not None:
        ends = [f"{end}:{port}" for end, port in zip(ends, ports, strict=True)]
    return f"{said}: {ends[0]} → {ends[1]}"


def _last(spot: Spot) -> Part | None:
    """Return the innermost header of a packet."""
    return next((it for it in spot.parts[::-1] if it.name != "Data"), None)


def _said(spot: Spot) -> Iterator[str]:
    part = _last(spot)
    if part is None:
        yield "packet"
    elif spot.sighting.part:
        yield f"{part.name} fragment from byte {spot.sighting.start}"
    elif part.name in ("ICMP", "ICMPv6"):
        yield part.name
        yield message(part.told) if part.name == "ICMP" else message6(part.told)
        if part.name == "ICMPv6" and target(part.told):
            yield address(target(part.told))
        if hasattr(part.told.data, "seq"):
            yield str(part.told.data.seq)
    elif part.name == "TCP":
        yield "TCP"
        size = spot.sighting.end - spot.sighting.start
        yield flags(part.told.flags) + (f", {size} bytes" if spot.sighting.stream else "")
    else:
        yield part.name


def _crossed(spot: Spot, before: Spot | None, facts: Facts) -> Key | None:
    """Return the bridge that a frame went through between two places, where no tap sees it."""
    if before is None or not before.known or before.packet.direction != "in":
        return None
    bridge = facts.relations.master(before.key)
    if bridge is None or not facts.relations.is_switch(bridge):
        return None
    if spot.sighting.depth != before.sighting.depth:
        return None
    if facts.relations.switch(bridge):  # Of that the flows tell more.
        return None
    return bridge if bridge in (spot.key, facts.relations.master(spot.key)) else None


def _through(before: Spot, bridge: Key, copies: int, facts: Facts) -> Hop:
    link, space = facts.relations.links[bridge], facts.relations.spaces[bridge[0]]
    where = Endpoint(*bridge, space.name, link.name)
    reason = crossing(before, bridge, copies)
    return Hop(0, where, "through", f"{link.kind} {link.name}", None, before.headers, (), (reason,))


def _stopped(before: Spot, bridge: Key, facts: Facts) -> Iterator[Hop]:
    """Yield the ports by which a bridge would have sent a copy of a frame, but could not."""
    frame, space = before.frame, facts.relations.spaces[bridge[0]]
    if frame is None or facts.behind(bridge, bytes(frame.dst), before.packet.at):
        return
    for key in facts.relations.ports[bridge]:
        port = facts.relations.links[key]
        why = at_port(before, port) if key != before.key else ""
        if why:
            where = Endpoint(*key, space.name, port.name)
            show = typed(space, "bridge", "-d", "link", "show", "dev", port.name)
            role = f"port of {facts.relations.links[bridge].name}"
            yield Hop(0, where, "out", role, fate=LOST, end=Reason(f"{port.name} {why}", show))


def _hop(spot: Spot, before: Spot | None, unseen: Sequence[Hop], facts: Facts) -> Hop:
    """Return a place as a hop; what was changed at those before it, which no tap sees, is told."""
    role, why = reasons(spot, before, facts)
    told, was = spot.headers, (before or spot).headers
    known = {change for hop in unseen for change in hop.changes}
    changes = tuple(each for each in rewrites(was, told) if each not in known)
    return Hop(0, spot.packet.where, spot.packet.direction, role, spot.packet, told, changes, why)
