"""Why a packet went no further: delivered, not wanted, or lost, and by what. Pure.

What the kernel told itself comes first: a packet filter's verdict. Else its tables are looked up in
its order, and the first that stops the packet is the reason. Where none does, that is said too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netviz.changes import FORWARDING
from netviz.journeys import DELIVERED, DISCARDED, HANDED, LOST, Reason
from netviz.packets.facts import typed
from netviz.packets.headers import address, mac, message, message6, target
from netviz.packets.queues import lossy
from netviz.packets.relations import TUNNELS
from netviz.packets.unsent import NO_ANSWER, NOT_FOUND, barred, idle, unsent

if TYPE_CHECKING:
    from netviz.model import Interface, Key
    from netviz.packets.facts import Facts, Spot

Fate = tuple[str, Reason]
_QUESTION = 1
_FRAME = 18  # Bytes of an Ethernet header with a VLAN's tag.
_PASSES = ("forwarding", "disabled", None)


def fate(spot: Spot, facts: Facts) -> Fate:
    """Return what became of a packet at the last place where it was seen, and why."""
    if not spot.known:
        return LOST, Reason("the interface is gone")
    if spot.packet.direction == "out":
        return _sent(spot, facts)
    bridge = facts.relations.master(spot.key)
    if bridge and facts.relations.is_switch(bridge):
        return _in_bridge(spot, bridge, facts)
    return _in_stack(spot, facts)


def _sent(spot: Spot, facts: Facts) -> Fate:
    link, name = spot.link, spot.link.name
    if facts.relations.is_switch(spot.key):
        show = typed(spot.space, "bridge", "link", "show", "master", name)
        return LOST, Reason(f"no port of {name} takes it", show)
    if link.kind == "tun" or link.other_end:
        return DELIVERED, Reason(f"{HANDED} {link.other_end or 'a program'}, {name}'s other end")
    if link.kind in TUNNELS:
        return _in_tunnel(spot)
    if not link.peer and link.kind == "veth":
        return LOST, Reason(f"the far end of {name} is not known")
    if link.kind == "dummy":
        show = typed(spot.space, "ip", "-d", "link", "show", "dev", name)
        return LOST, Reason(f"{name} is a dummy: it throws away what it is to send", show)
    if below := facts.relations.links.get(link.lower.key) if link.lower else None:
        space = facts.relations.spaces[link.lower.id] if link.lower else spot.space
        if not below.running:
            show = typed(space, "ip", "link", "show", "dev", below.name)
            return LOST, Reason(f"{link.lower}, below it, {idle(below)}", show)
        text = f"it did not come to {link.lower}, below it, {NOT_FOUND}"
        return LOST, lossy(space, below) or Reason(text)
    if not link.peer:
        return DELIVERED, Reason(f"it leaves what can be seen here by {name}")
    far = facts.relations.links.get(link.peer.key)
    if far is None:
        return LOST, Reason(f"the far end of the cable, {link.peer}, is gone")
    there = facts.relations.spaces[link.peer.id]
    show = typed(there, "ip", "link", "show", "dev", far.name)
    if not far.up:
        return LOST, Reason(f"the far end of the cable, {link.peer}, is down", show)
    if spot.packet.length > far.mtu + _FRAME and spot.sighting.key[0] != "stream":
        text = f"{spot.packet.length} bytes are too long for {link.peer}, whose MTU is {far.mtu}"
        return LOST, Reason(text, show)
    return LOST, Reason(f"it did not arrive at {link.peer}, {NOT_FOUND}", show)


def _in_tunnel(spot: Spot) -> Fate:
    link, name = spot.link, spot.link.name
    if link.kind == "vxlan" and spot.frame is not None:
        to = mac(spot.frame.dst)
        show = typed(spot.space, "bridge", "fdb", "show", "dev", name)
        remotes = spot.stack.remotes(name, to)
        if not remotes:
            return LOST, Reason(f"{name} does not know behind which node {to} is", show)
        far = remotes[0].dst or ""
    else:
        far = str(link.parameters.get("remote", ""))
    if not far:
        return LOST, Reason(f"{name} has no far end")
    return LOST, unsent(spot.space, spot.stack, far, spot.stack.route(far))


def _in_bridge(spot: Spot, bridge: Key, facts: Facts) -> Fate:
    """Tell why a frame that came in at a port left by no other."""
    links, name = facts.relations.links, facts.relations.links[bridge].name
    space = facts.relations.spaces[bridge[0]]
    show = typed(space, "bridge", "-d", "link", "show", "dev", spot.link.name)
    state = spot.link.port.get("state")
    if not links[bridge].up:
        return LOST, Reason(f"{name} is down", typed(space, "ip", "link", "show", "dev", name))
    if state not in _PASSES:
        return LOST, Reason(f"STP holds {spot.link.name}: its state is {state}", show)
    if dropped := facts.drop(spot):
        return LOST, dropped
    if spot.frame is None:
        return LOST, Reason(f"{name} did not pass it on, {NOT_FOUND}", show)
    came = bytes(spot.frame.src)
    if spot.link.port.get("locked") and facts.behind(bridge, came, spot.packet.at) != spot.key:
        return LOST, Reason(f"{spot.link.name} {unknown(name, mac(came))}", show)
    to = mac(spot.frame.dst)
    port = facts.behind(bridge, bytes(spot.frame.dst), spot.packet.at)
    fdb = typed(space, "bridge", "fdb", "show", "br", name)
    if port == spot.key:
        return DISCARDED, Reason(f"{name}'s FDB: {to} is where the frame comes from", fdb)
    others = [port] if port and port != bridge else facts.relations.ports[bridge]
    why = {key: at_port(spot, links[key]) for key in others if key != spot.key}
    if why and all(why.values()):
        key, text = next(iter(why.items()))
        return LOST, Reason(f"{name} would send it by {links[key].name}, but that {text}", show)
    if not why and port is None:
        return LOST, Reason(f"{name} has no other port", show)
    return LOST, Reason(f"{name} did not pass it on, {NOT_FOUND}", fdb)


def at_port(spot: Spot, port: Interface) -> str:
    """Return what keeps a frame from leaving by a port, an empty text where nothing does."""
    if why := idle(port) or held(port):
        return why
    if port.port.get("isolated") and spot.link.port.get("isolated"):
        return "is isolated, as the port is where the frame came in"
    if lost := lossy(spot.space, port):
        return lost.text.removeprefix(f"{port.name} ")
    if spot.size > port.mtu:
        return f"has an MTU of {port.mtu}, and the packet has {spot.size} bytes"
    return ""


def unknown(bridge: str, card: str) -> str:
    """Return why a port that is locked takes nothing from a card."""
    return f"is locked: it takes no frame from {card}, which {bridge}'s FDB does not have there"


def held(port: Interface) -> str:
    """Return in which state a port is held, by STP or by hand; an empty text where it passes."""
    state = port.port.get("state")
    if state == "disabled" and port.running and port.state == "UP":  # Not just where it is down.
        return "is held: its state is disabled"
    return "" if state in _PASSES else f"is held by STP: its state is {state}"


def _in_stack(spot: Spot, facts: Facts) -> Fate:
    """Tell what a namespace did with what it took in."""
    frame, link, space = spot.frame, spot.link, spot.space
    show = typed(space, "ip", "link", "show", "dev", link.name)
    single = frame is not None and link.kind != "loopback" and not frame.dst[0] & 1
    ports = facts.relations.ports.get(spot.key, ())
    own = {link.mac, *(facts.relations.links[port].mac for port in ports)}
    if single and link.mac and mac(frame.dst) not in own:
        return DISCARDED, Reason(f"it is for {mac(frame.dst)}, and {link.name} is {link.mac}", show)
    asked, asks = _question(spot)
    if asked:
        if "NOARP" in link.flags:
            return DISCARDED, Reason(f"{link.name} does not speak ARP", show)
        if asks and spot.stack.accepts(asks, link.name, asked) is False:
            return LOST, _unexpected(spot, asks)
        has = typed(space, "ip", "address", "show", "to", asked)
        if spot.stack.local(asked, link.name):
            return DELIVERED, Reason(f"{space.name} is asked: {asked} is its own", has)
        return DISCARDED, Reason(f"{space.name} has no {asked}, and does not answer", has)
    if dropped := facts.drop(spot):
        return LOST, dropped
    answer = next((it.told for it in spot.parts[:2] if it.name == "ARP"), None)
    if answer:
        text = f"{space.name} keeps that {address(answer.spa)} is at {mac(answer.sha)}"
        return DELIVERED, Reason(text, typed(space, "ip", "neighbour", "show", "dev", link.name))
    if spot.net is None:
        return DELIVERED, Reason(f"{space.name} has got it")
    return _addressed(spot, facts)


def _question(spot: Spot) -> tuple[str, str]:
    """Return the address that ARP or ND asks for, and whose is to be looked at of who asks."""
    for part in spot.parts if not spot.sighting.depth else ():
        if part.name == "ARP" and part.told.op == _QUESTION:
            return address(part.told.tpa), address(part.told.spa)
        if part.name == "ICMPv6" and part.told.type == 135:
            return address(target(part.told)), ""
    return "", ""


def _unexpected(spot: Spot, source: str) -> Reason:
    """Return the reason of the reverse path filter."""
    back = typed(spot.space, "ip", "route", "get", source)
    return Reason(f"rp_filter: the way back to {source} is not by {spot.link.name}", back)


def _addressed(spot: Spot, facts: Facts) -> Fate:
    """Tell what a namespace did with an IP packet."""
    space, stack, (source, to) = spot.space, spot.stack, spot.ends
    dev = spot.link.name
    if stack.accepts(source, dev, to) is False:
        return LOST, _unexpected(spot, source)
    if stack.broadcast(to, dev):
        return DELIVERED, Reason(f"{to} is for many, and {space.name} may be one of them")
    if stack.local(to, dev):
        return _own(spot, facts)
    if stack.forwards(spot.family, dev) is False:
        switch = FORWARDING[spot.family]
        text = f"{to} is not {space.name}'s own, and it does not forward: {switch} is 0"
        return LOST, Reason(text, typed(space, "sysctl", switch))
    return LOST, _unrouted(spot, facts)


def _own(spot: Spot, facts: Facts) -> Fate:
    """Tell of a packet to an address of the namespace's own."""
    space, to = spot.space, spot.ends[1]
    if spot.sighting.depth:
        overlay = next((it.told.vni for it in spot.parts if it.name == "VXLAN"), None)
        if overlay is not None:
            show = typed(space, "ip", "-d", "link", "show", "type", "vxlan")
            return LOST, Reason(f"{space.name} has no VXLAN device with VNI {overlay}", show)
    show = typed(space, "ip", "address", "show", "to", to)
    text = f"{to} is {space.name}'s own address"
    if facts.is_refused(spot):
        text += ", but nobody listens on the port"
    others = facts.answers.get(bytes(spot.net.dst), set()) - {space.id}
    names = sorted(facts.relations.spaces[key].name for key in others)
    if names:
        text += f"; {', '.join(names)} answers for it as well: the address is there twice"
    return DELIVERED, Reason(text, show)


def _unrouted(spot: Spot, facts: Facts) -> Reason:
    """Return why a router did not send a packet on."""
    space, stack, (source, to) = spot.space, spot.stack, spot.ends
    found = stack.route(to, source=source, iif=spot.link.name)
    ask = typed(space, "ip", "route", "get", to, "from", source, "iif", spot.link.name)
    if found.refusal:
        return barred(space, to, found, ask)
    left = spot.net.ttl if spot.family == "inet" else spot.net.hlim
    if left <= 1:
        return Reason(f"its time to live is used up: {left} when it came to {space.name}")
    for dev, gateway in zip(found.devices, found.gateways, strict=False):
        link, known = stack.interface(dev), stack.neighbour(gateway, dev)
        show = typed(space, "ip", "link", "show", "dev", dev)
        if link and (lost := lossy(space, link)):
            return lost
        if link and not link.running:
            return Reason(f"{dev}, where the route leads, carries nothing", show)
        whole = spot.family == "inet6" or spot.net.df
        if link and spot.size > link.mtu and whole:
            text = f"{spot.size} bytes are more than {dev}'s MTU of {link.mtu}"
            return Reason(f"{text}, and it may not be cut", show)
        if link and "NOARP" not in link.flags and not (known and known.mac):
            show = typed(space, "ip", "neighbour", "show", "dev", dev)
            return Reason(f"nobody on {dev} {NO_ANSWER} {gateway}", show)
    said = facts.error(spot)
    if said is not None:
        words = message(said) if spot.family == "inet" else message6(said)
        return Reason(f"{space.name} answered: {words}", ask)
    return Reason(f"{space.name} did not send it on, {NOT_FOUND}", ask)
