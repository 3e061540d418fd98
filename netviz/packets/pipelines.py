"""What a bridge of Open vSwitch does with a frame: its flows, tables, VLANs, what it learned. Pure.

It is carried out as the switch would: of each table the first flow that matches, and its actions in
order, over patch cables from bridge to bridge, to the ports by which the frame leaves. Where a flow
asks what is not known, or does what is not done here (groups, connection tracking), nothing is
guessed: `DoubtError` says why. What a snapshot does not have is taken to be unused: mirrors, bonds
that have more than one port, snooping, spanning trees.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from netviz.journeys import Reason
from netviz.packets.flows import (
    EVERYWHERE,
    IN_PORT,
    NORMAL,
    TAGGED,
    DoubtError,
    actions,
    change,
    matches,
    needed,
    port_of,
)
from netviz.packets.headers import mac
from netviz.packets.typed import typed

if TYPE_CHECKING:
    from netviz.model import Flow, Key
    from netviz.packets.flows import Fields
    from netviz.packets.relations import Relations

LOCAL = 65534
_MOST = 64  # Tables that a frame goes through.
_RESERVED = 0x0180C2000000  # Sixteen addresses that no switch passes on.


class Stage(NamedTuple):
    """A bridge that a frame goes through, by which port it leaves, and how it is then."""

    bridge: Key
    port: Key
    fields: Fields
    reasons: tuple[Reason, ...]


@dataclass(slots=True)
class Passage:
    """What becomes of a frame: by which ways it leaves, and where it is dropped, and why.

    The last stage of a way to where it is ``dropped`` has the port by which it came into that
    bridge, and why it goes no further. ``vlans`` tells which VLAN it is in, in a bridge.
    ``flooded``: no bridge is taken to have learned where its card is. ``known``: it is dropped for
    its card is behind the port where it came in; ``refused`` is the flow that says so, if one does.
    """

    flooded: bool = False
    ways: list[tuple[Stage, ...]] = field(default_factory=list)
    dropped: list[tuple[Stage, ...]] = field(default_factory=list)
    vlans: dict[Key, int] = field(default_factory=dict)
    known: bool = False
    refused: Flow | None = None
    tables: int = 0


class Pipelines:
    """The bridges of Open vSwitch in one network, with their ``flows`` and what they learned."""

    def __init__(self, relations: Relations) -> None:
        self.relations = relations
        self.flows: dict[tuple[Key, int], list[Flow]] = defaultdict(list)
        self.learned: dict[tuple[Key, str, int | None], str] = {}
        for space in relations.spaces.values():
            own = {link.name: (space.id, link.index) for link in space.interfaces}
            for flow in (it for it in space.flows if it.bridge in own):
                self.flows[own[flow.bridge], flow.table].append(flow)
            for entry in (it for it in space.fdb if it.master in own):
                self.learned[own[str(entry.master)], entry.mac, entry.vlan] = entry.dev

    def passage(self, came: Key, frame: Fields, *, flooded: bool = False) -> Passage:
        """Return what becomes of a frame that comes in at a port, or from a bridge's own stack.

        Raises ``DoubtError`` where a snapshot cannot tell.
        """
        found = Passage(flooded)
        _Bridge(self, found, came, ()).take({"tun_id": 0} | frame)
        return found


class _Bridge:
    """One bridge that a frame comes into; ``way`` are those behind it."""

    def __init__(
        self, pipelines: Pipelines, found: Passage, came: Key, way: tuple[Stage, ...]
    ) -> None:
        relations = pipelines.relations
        self._pipelines, self._found, self._came, self._way = pipelines, found, came, way
        self._links, self._bridge = relations.links, relations.master(came) or came
        space, self._name = relations.spaces[came[0]], self._links[self._bridge].name
        self._show = typed(space, "ovs-ofctl", "dump-flows", self._name)
        self._shown = typed(space, "ovs-appctl", "fdb/show", self._name)
        ports = {key: self._number(key) for key in relations.ports.get(self._bridge, ())}
        ports[self._bridge] = LOCAL
        self._ports = {number: key for key, number in ports.items() if number > 0}

    def take(self, frame: Fields) -> None:
        """Carry out the first table."""
        fresh = {f"reg{n}": 0 for n in range(16)} | {"metadata": 0}
        self._table(0, frame | fresh | {"in_port": self._number(self._came)}, ())

    def _number(self, key: Key) -> int:
        number = LOCAL if key == self._bridge else self._links[key].port.get("ofport")
        return number if isinstance(number, int) else -1

    def _table(self, number: int, frame: Fields, why: tuple[Reason, ...]) -> None:
        """Carry out the first flow of a table that matches."""
        self._found.tables += 1
        if self._found.tables > _MOST:
            raise DoubtError("its flows lead in a circle")
        for flow in self._pipelines.flows[self._bridge, number]:
            if matches(flow.match, frame):
                reason = Reason(f"{self._name}: {flow}", self._show)
                self._carry_out(flow, frame, (*why, reason))
                return
        text = f"no flow in table {number} of {self._name} takes it"
        self._drop(frame, (*why, Reason(text, self._show)))

    def _drop(self, frame: Fields, why: tuple[Reason, ...]) -> None:
        last = Stage(self._bridge, self._came, {**frame}, why)
        self._found.dropped.append((*self._way, last))

    def _carry_out(self, flow: Flow, frame: Fields, why: tuple[Reason, ...]) -> None:
        for name, told in actions(flow.actions):
            if name == "output":
                self._output(port_of(told, frame), frame, why)
            elif name in ("resubmit", "goto_table"):
                if name == "resubmit" and not told.startswith(","):
                    raise DoubtError(f"a flow says resubmit to port {told}")
                self._table(port_of(told.lstrip(","), frame), frame, why)
            elif name == "drop":
                self._drop(frame, why)
                self._found.refused = flow
            else:
                change(name, told, frame)

    def _output(self, number: int, frame: Fields, why: tuple[Reason, ...]) -> None:
        if number == NORMAL:
            self._normal(frame, why)
        elif number in EVERYWHERE:
            for each in self._ports.values():
                self._leave(each, frame, why)
        elif number == IN_PORT:
            self._leave(self._came, frame, why, back=True)
        elif number in self._ports:
            self._leave(self._ports[number], frame, why)

    def _leave(
        self, port: Key, frame: Fields, why: tuple[Reason, ...], *, back: bool = False
    ) -> None:
        """Let a frame go by a port; over a patch cable it gets into another bridge at once."""
        if port == self._came and not back:
            return
        link, way = self._links[port], (*self._way, Stage(self._bridge, port, {**frame}, why))
        if link.kind != "patch":
            self._found.ways.append(way)
        elif link.peer and link.peer.key in self._links:
            following = _Bridge(self._pipelines, self._found, link.peer.key, way)
            following.take(frame | {"tun_id": 0})

    def _normal(self, frame: Fields, why: tuple[Reason, ...]) -> None:
        """Do as a switch without flows does: learn, and send to where the card is, in its VLAN."""
        port, tci = self._links[self._came].port, frame.get("vlan_tci", 0)
        vlan = _taken(port, tci & 0xFFF if tci & TAGGED else 0)
        name, show = self._links[self._came].name, why[-1].command
        if vlan is None:
            there = f"VLAN {tci & 0xFFF}" if tci & 0xFFF else "without a tag"
            text = f"{self._name} takes nothing {there} from {name}"
            self._drop(frame, (*why, Reason(text, show)))
            return
        self._found.vlans[self._bridge] = vlan
        card = mac(needed(frame, "dl_dst").to_bytes(6, "big"))
        if frame["dl_dst"] & ~0xF == _RESERVED:
            self._drop(frame, (*why, Reason(f"{card} is for the next switch only", show)))
            return
        many, inside = frame["dl_dst"] >> 40 & 1, f" in VLAN {vlan}" if vlan else ""
        known = None if many else self._pipelines.learned.get((self._bridge, card, vlan))
        known = None if self._found.flooded else known
        if known == name:
            text = f"{self._name}'s FDB: {card}{inside} is where the frame comes from"
            self._drop(frame, (*why, Reason(text, self._shown)))
            self._found.known = True
            return
        text = f"{self._name}'s FDB: {card}{inside} is behind {known}"
        if not known:
            text = f"{card} is for many" if many else f"{card} is not in {self._name}'s FDB"
            text += f": to every other port{inside}"
        told = False
        for key in self._ports.values():
            link = self._links[key]
            sent = _given(link.port, vlan)
            if sent is not None and known in (None, link.name):
                left = frame | {"vlan_tci": TAGGED | sent if sent else 0}
                told = told or key != self._came
                self._leave(key, left, (*why, Reason(text, self._shown)))
        if not told:
            text = f"{self._name} has no other port{inside}"
            self._drop(frame, (*why, Reason(text, self._show)))


def _taken(port: Any, vlan: int) -> int | None:
    """Return in which VLAN a port takes in what comes with a tag, 0 for none; None if it drops."""
    mode, trunks, own = _mode(port), port.get("trunks"), port.get("tag", 0)
    if mode == "access":
        return None if vlan else own
    if mode.startswith("native"):
        return own if vlan in (0, own) else vlan if not trunks or vlan in trunks else None
    return vlan if not trunks or vlan in trunks else None


def _given(port: Any, vlan: int) -> int | None:
    """Return with which tag a port sends what is in a VLAN, 0 for none; None where it does not."""
    mode, trunks, own = _mode(port), port.get("trunks"), port.get("tag", 0)
    if mode == "access" or (mode == "native-untagged" and vlan == own):
        return 0 if vlan == own else None
    native = mode.startswith("native") and vlan == own
    return vlan if not trunks or vlan in trunks or native else None


def _mode(port: Any) -> str:
    mode = str(port.get("vlan_mode") or ("access" if "tag" in port else "trunk"))
    if mode not in ("access", "trunk", "native-tagged", "native-untagged") or "bond" in port:
        raise DoubtError(f"a port is a bond, or its mode is {mode}")
    return mode
