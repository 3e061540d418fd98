"""Why a packet came to a place: what in which table decided it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netviz.journeys import Reason
from netviz.packets.facts import typed
from netviz.packets.headers import address, mac
from netviz.packets.relations import TUNNELS, hands_over

if TYPE_CHECKING:
    from netviz.model import Key
    from netviz.packets.facts import Facts, Spot
    from netviz.packets.lookup import Lookup

Told = tuple[str, tuple[Reason, ...]]
"""What a place is on the way, and the reasons."""
_TABLES = {253: "default", 254: "main", 255: "local"}
_ORDINARY = (0, 32766, 32767)


def reasons(spot: Spot, before: Spot | None, facts: Facts) -> Told:
    """Return the role of a place on a packet's way, and what decided that it came there."""
    if not spot.known:
        return "an interface that is gone", ()
    inward = spot.packet.direction == "in"
    if before is None:
        return ("seen first here", ()) if inward else _sent(spot)
    if not before.known:
        return "", ()
    depth = spot.sighting.depth - before.sighting.depth
    if depth > 0:
        return _wrapped(spot, before)
    if depth < 0:
        return _unwrapped(spot, before)
    if inward:
        return _arrived(spot, before, facts)
    bridge = facts.relations.master(spot.key)
    came = facts.relations.master(before.key) or before.key
    if bridge and facts.relations.is_switch(bridge) and came in facts.relations.fabric(bridge):
        role = f"port of {facts.relations.links[bridge].name}"
        if facts.relations.switch(bridge):  # Its flows are told on the way.
            return role, ()
        plain = bridge == before.key and facts.relations.links[bridge].kind == "bridge"
        raw = bytes(before.frame.dst) if plain and before.frame is not None else b""
        known = facts.behind(bridge, raw, before.packet.at) == spot.key
        own = (crossing(before, bridge, 1 if known else 2),) if plain else ()
        return role, (*own, *_translated(spot, before))
    if before.packet.direction == "out" and hands_over(before.link):
        return f"sent on by {spot.space.name}'s own stack", _sent(spot)[1]
    if before.packet.direction == "out":
        return f"below {before.link.name}", ()
    return _routed(spot, before)


def crossing(spot: Spot, bridge: Key, copies: int) -> Reason:
    """Return how a bridge decides where a frame goes, that it has got at a port or made itself.

    ``copies`` is to how many ports it went.
    """
    facts, frame = spot.facts, spot.frame
    name = facts.relations.links[bridge].name
    show = typed(facts.relations.spaces[bridge[0]], "bridge", "fdb", "show", "br", name)
    if frame is None or facts.relations.links[bridge].kind != "bridge":
        return Reason(f"{name} passes it on", show)
    to = mac(frame.dst)
    if frame.dst[0] & 1:
        kind = "the broadcast address" if to == "ff:ff:ff:ff:ff:ff" else "a multicast address"
        return Reason(f"{to} is {kind}: {name} sends it to every other port", show)
    port = facts.behind(bridge, bytes(frame.dst), spot.packet.at)
    if port and port in facts.relations.links and copies < 2:
        there = facts.relations.links[port].name
        where = "is its own" if port == bridge else f"is behind {there}"
        return Reason(f"{name}'s FDB: {to} {where}", show)
    if copies > 1:
        return Reason(f"flooded to every other port: {to} is not in {name}'s FDB", show)
    return Reason(f"{to} is not in {name}'s FDB, and only one port can take it", show)


def way(spot: Spot, found: Lookup, to: str) -> tuple[Reason, ...]:
    """Return the route that a lookup found, where it leads by this device, and the neighbour."""
    dev, own = spot.link.name, mac(spot.frame.dst) if spot.frame else ""
    ways = [it for it in zip(found.devices, found.gateways, strict=False) if it[0] == dev]
    known = [(via, it) for _, via in ways if (it := spot.stack.neighbour(via, dev))]
    taken = next((via for via, it in known if it.mac == own), None)
    if found.route is None or not ways or (len(ways) > 1 and not taken):
        return ()
    gateway = taken or ways[0][1]
    shown = (Reason(led(found, dev, gateway, to), typed(spot.space, "ip", "route", "get", to)),)
    if not taken:
        # The kernel keeps what it has learned of a router's redirects in no table that is read.
        own = "" if not known else own
        near = (it.to for it in spot.space.neighbours if (it.dev, it.mac) == (dev, own) and own)
        told = (f"its card is that of {it}: a redirect has told of a shorter way" for it in near)
        return (*shown, *(Reason(it, shown[0].command) for it in [*told][:1]))
    command = typed(spot.space, "ip", "neighbour", "show", gateway, "dev", dev)
    return (*shown, Reason(f"neighbour {gateway} is {own}", command))


def led(found: Lookup, dev: str, gateway: str, to: str) -> str:
    """Return which route leads to an address: ``route default via 10.1.1.1 dev veth0, table …``."""
    if found.route is None:
        return f"{to} is taken to be on the link of {dev}"
    text = f"route {found.route.to}{_via(gateway, to)} dev {dev}, table {_table(found.route.table)}"
    own = found.rule and found.rule.priority not in _ORDINARY
    return f"{text} (rule {found.rule.priority})" if own and found.rule else text


def _sent(spot: Spot) -> Told:
    role = f"sent by {spot.space.name}'s own stack"
    if spot.net is None:
        return role, ()
    source, to = spot.ends
    if spot.stack.broadcast(to):
        return role, (Reason(f"{to} is a broadcast or multicast address, on {spot.link.name}"),)
    found = spot.stack.route(to, source=source)
    if spot.link.name not in found.devices:  # Its socket was bound to a device.
        found = spot.stack.route(to, source=source, oif=spot.link.name)
    return role, way(spot, found, to)


def _routed(spot: Spot, before: Spot) -> Told:
    role = f"routed by {spot.space.name}"
    if spot.net is None or before.net is None:
        return role, ()
    source, to = before.ends[0], spot.ends[1]
    found = spot.stack.route(to, source=source, iif=before.link.name)
    return role, (*way(spot, found, to), *_translated(spot, before))


def _arrived(spot: Spot, before: Spot, facts: Facts) -> Told:
    switch = facts.relations.is_switch(spot.key) and facts.relations.fabric(spot.key)
    if switch and facts.relations.master(before.key) in switch:
        # Where IP's filters see it.
        return f"to {spot.link.name} itself", _translated(spot, before)
    if spot.key == before.key:
        return "comes back: loopback", ()
    if spot.link.peer and spot.link.peer.key == before.key:
        return "the far end of the cable", ()
    below = before.link.lower and before.link.lower.key == spot.key
    return f"{'below' if below else 'above'} {before.link.name}", ()


def _wrapped(spot: Spot, before: Spot) -> Told:
    """Tell of a packet that was put into another one."""
    tunnel = before.link
    if tunnel.kind not in TUNNELS or tunnel.kind == "tun":
        why = _sent(spot)[1] if spot.packet.direction == "out" else ()
        switch = before.facts.relations.switch(before.key)
        program = "Open vSwitch" if switch else tunnel.other_end or "a program"
        return f"wrapped by {program}", why
    _, to = spot.ends
    told: tuple[Reason, ...] = ()
    if tunnel.kind == "vxlan" and before.frame is not None:
        show = typed(before.space, "bridge", "fdb", "show", "dev", tunnel.name)
        inner = mac(before.frame.dst)
        known = [it.dst for it in before.stack.remotes(tunnel.name, inner)]
        learned = before.stack.remotes(tunnel.name, inner)[:1]
        exact = any(it.mac == inner for it in learned)
        text = f"{inner} is behind {to}" if exact else f"{inner} is not in it: to {to} by default"
        told = (Reason(f"{tunnel.name}'s FDB: {text}", show),) if to in known else ()
    return f"wrapped by {tunnel.name}", (*told, *_sent(spot)[1])


def _unwrapped(spot: Spot, before: Spot) -> Told:
    """Tell of a packet that was taken out of another one."""
    if spot.link.kind not in TUNNELS or spot.link.kind == "tun":
        switch = spot.facts.relations.switch(spot.key)
        program = "Open vSwitch" if switch else spot.link.other_end or "a program"
        return f"unwrapped by {program}", ()
    show = typed(spot.space, "ip", "-d", "link", "show", "dev", spot.link.name)
    overlay = next((it.told.vni for it in before.parts if it.name == "VXLAN"), None)
    told = () if overlay is None else (Reason(f"VNI {overlay} belongs to {spot.link.name}", show),)
    return f"unwrapped by {spot.link.name}", told


def _translated(spot: Spot, before: Spot) -> tuple[Reason, ...]:
    if spot.net is None or before.net is None or _socket(spot) == _socket(before):
        return ()
    return spot.facts.translations(spot, before)


def _socket(spot: Spot) -> tuple[object, ...]:
    """Return the addresses and ports of a packet's outermost IP header."""
    at = next(n for n, it in enumerate(spot.parts) if it.name in ("IPv4", "IPv6"))
    inner = spot.parts[at + 1].told if at + 1 < len(spot.parts) else None
    ports = (getattr(inner, "sport", None), getattr(inner, "dport", None))
    return (address(spot.net.src), address(spot.net.dst), *ports)


def _via(gateway: str, to: str) -> str:
    return f" via {gateway}" if gateway != to else ""


def _table(number: int) -> str:
    return _TABLES.get(number, str(number))
