"""Where Open vSwitch sends a frame, and what keeps it from leaving by the other ports. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from netviz.packets.flows import KINDS, PROTOCOLS, TAGGED, DoubtError, number
from netviz.packets.pipelines import Passage
from netviz.packets.typed import typed

if TYPE_CHECKING:
    from netviz.explanations import Step
    from netviz.model import Key
    from netviz.packets.flows import Fields
    from netviz.packets.pipelines import Stage
    from netviz.packets.ports import Frame
    from netviz.packets.segments import Wires

Tags = tuple[object, ...]
"""The VLANs that a frame is tagged with; and with what a flow chose a tunnel: ("tun_id", 5)."""
Departure = tuple[tuple[str, "Key", Tags], "Step | None"]
"""Where it goes, ``out`` by a port or ``at`` a bridge's own stack; and what keeps it from there."""


def departures(wires: Wires, came: Key, tags: Tags, frame: Frame) -> Iterator[Departure]:
    """Yield where a frame goes that came in at a port, or from a bridge's own stack."""
    relations, found, doubt = wires.relations, Passage(), ""
    switch = relations.switch(came) or came
    known = _fields(frame, tags)
    try:
        found = wires.pipelines.passage(came, known)
    except DoubtError as error:
        doubt = f"what {wires.told(switch)} does with it is not in a snapshot: {error}"
    for way in found.ways:
        end = way[-1].port
        own = wires.links[end].kind == "openvswitch"
        step = wires.down(end)
        changed = {name for name, value in known.items() if way[-1].fields[name] != value}
        if not step and changed - {"vlan_tci", "tun_id"}:  # Who gets it then is not walked here.
            text = f"a flow of {wires.told(way[-1].bridge)} rewrites it"
            step = replace(wires.shows(end, text, None), command=way[-1].reasons[0].command)
        yield ("at", end, ()) if own else ("out", end, _tags(wires, way[-1])), step
    ends = {came, *(way[-1].port for way in found.ways)}
    why = found.dropped[-1][-1].reasons[-1] if found.dropped else None
    for bridge in relations.fabric(switch):
        for port in (bridge, *relations.ports[bridge]):
            if port in ends or wires.links[port].kind == "patch":
                continue
            step = _apart(wires, came, port, found.vlans.get(bridge))
            if doubt or not step:
                text = why.text if why else f"{wires.told(bridge)} does not send it there"
                step = wires.shows(port, doubt or text, None if doubt else False)
                mend = None if doubt else _allowed(wires, switch, found)
                show = typed(
                    wires.spaces[port[0]], "ovs-vsctl", "list", "port", wires.links[port].name
                )
                step = replace(step, command=why.command if why else show, mend=mend)
            yield ("at" if port == bridge else "out", port, ()), step


def _tags(wires: Wires, last: Stage) -> Tags:
    """Return what a frame carries that leaves by a port."""
    tci = last.fields.get("vlan_tci", 0)
    vlans: Tags = (tci & 0xFFF,) if tci & TAGGED else ()
    return (*vlans, ("tun_id", last.fields["tun_id"])) if wires.links[last.port].unreal else vlans


def _allowed(wires: Wires, switch: Key, found: Passage) -> str | None:
    """Return what takes away the flow that drops a frame."""
    if not (flow := found.refused):
        return None
    match = f"table={flow.table},priority={flow.priority}" + (
        f",{flow.match}" if flow.match else ""
    )
    words = ("ovs-ofctl", "--strict", "del-flows", flow.bridge, match)
    return typed(wires.spaces[switch[0]], *words)


def _apart(wires: Wires, came: Key, port: Key, inside: int | None) -> Step | None:
    """Return that two ports are in VLANs of their own, if they are.

    What comes in by no access port is in the VLAN ``inside`` of the other one's bridge.
    """
    one, other = (wires.links[key].port.get("tag") for key in (came, port))
    text = f"{wires.told(came)} is in VLAN {one}, and {wires.told(port)} in VLAN {other}"
    wrong, right = came, other
    if one is None:
        one = inside
        where = f"VLAN {one}" if one else "no VLAN"
        text = f"what comes by {wires.told(came)} is in {where}, {wires.told(port)} in {other}"
        wrong, right = (port, inside) if one else (came, other)
    if one in (other, None) or other is None:
        return None
    space, name = wires.spaces[came[0]], wires.links[wrong].name
    mend = typed(space, "ovs-vsctl", "set", "port", name, f"tag={right}")
    return replace(wires.shows(port, text), command=typed(space, "ovs-vsctl", "show"), mend=mend)


def _fields(frame: Frame, tags: Tags) -> Fields:
    """Return a frame as flows know it: one for many asks who has an address."""
    v6 = ":" in frame.address
    asks = frame.many and not v6
    found = {"dl_type": KINDS["ipv6" if v6 else "arp" if asks else "ip"]}
    found["ipv6_dst" if v6 else "arp_tpa" if asks else "nw_dst"] = number(frame.address)
    cards = {"dl_dst": frame.to, "dl_src": frame.source}
    found |= {name: number(mac) for name, mac in cards.items() if mac}
    if frame.packet and not asks:
        found["nw_proto"] = PROTOCOLS.get(frame.packet.protocol + "6" * v6, 0)
        ends = {"ipv6_src" if v6 else "nw_src": frame.packet.source}
        found |= {name: number(end) for name, end in ends.items() if end}
        ports = {"tp_src": frame.packet.sport, "tp_dst": frame.packet.dport}
        found |= {name: port for name, port in ports.items() if port is not None}
    for tag in tags:
        if isinstance(tag, tuple):
            found["tun_id"] = tag[1]
        elif isinstance(tag, int):
            found["vlan_tci"] = TAGGED | tag
    return found
