"""How far a frame gets: over cables and bridges, through what stands on a device. Pure.

It is walked as the kernel would carry it, but on past what stops it: each place is reached with
the least trouble, and the first trouble on the way there is kept. So who gets a frame is known, and
of who does not, why.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from netviz.explanations import Step
from netviz.model import OPENED
from netviz.packets import children
from netviz.packets.departures import departures
from netviz.packets.facts import typed
from netviz.packets.lookup import Stack
from netviz.packets.pipelines import Pipelines
from netviz.packets.ports import Bridges, Frame
from netviz.packets.queues import loses
from netviz.packets.relations import TUNNELS, Relations
from netviz.packets.vlans import Tags, Vlans, tag

if TYPE_CHECKING:
    from netviz.model import Interface, Key, Namespace, Snapshot

OVER = {*TUNNELS, "ip6gretap"} - {"tun", "wireguard"}
_STANDING = ("macvlan", "macvtap", "ipvlan", "vlan")


class Arrival(NamedTuple):
    """A device whose own stack would get a frame; ``way`` is what it crosses on its way there.

    ``trouble`` is the first step that keeps it from there, or of which nobody can tell whether it
    does. ``beyond``: there it leaves what a snapshot has.
    """

    key: Key
    way: tuple[Key, ...]
    trouble: Step | None
    beyond: bool

    @property
    def real(self) -> bool:
        """Tell whether nothing is known that keeps the frame from there."""
        return self.trouble is None or self.trouble.holds is None


class _Place(NamedTuple):
    stage: str  # "out", "in", "at" a stack, or "beyond"
    key: Key
    tags: Tags = ()


_Moves = Iterator[tuple[_Place, Step | None]]


class Wires:
    """A network's interfaces, tables and addresses, and how frames travel in it.

    ``dig`` tells where a tunnel's packets come out, each with what keeps them from there.
    """

    def __init__(self, network: Snapshot) -> None:
        self.relations = Relations(network)
        self.links, self.spaces = self.relations.links, self.relations.spaces
        self.stacks = {key: Stack(space) for key, space in self.spaces.items()}
        self.bridges = Bridges(self.relations, self.stacks)
        self.vlans = Vlans(self.relations)
        self.pipelines = Pipelines(self.relations)
        self.owners: dict[str, list[Key]] = defaultdict(list)
        for key, link in self.links.items():
            for address in link.addresses:
                self.owners[address.local].append(key)
        self.dig: Callable[[Key, Frame], Iterator[tuple[Key, Step | None]]] = lambda *_: iter(())

    def key(self, space: Namespace, name: str) -> Key:
        """Return the key of the device of this name."""
        return space.id, next(link.index for link in space.interfaces if link.name == name)

    def told(self, key: Key) -> str:
        """Return it as one says it: ``net1:veth0``, but the root's devices by their name alone."""
        return self.relations.called(key).removeprefix("root:")

    def shows(self, key: Key, text: str, holds: bool | None = False) -> Step:
        """Return a step about a device, which ``ip link`` shows."""
        space, link = self.spaces[key[0]], self.links[key]
        show = typed(space, "ip", "-d", "link", "show", "dev", link.name)
        if link.unreal:
            show = typed(space, "ovs-vsctl", "list", "interface", link.name)
        return Step(text, holds, self.relations.called(key), show)

    def between(self, before: Key, after: Key) -> tuple[list[Key], str | None]:
        """Return the bridges that join two devices of one namespace, and what shows it."""
        came, left = (self.relations.switch(key) for key in (before, after))
        if came and left and left in self.relations.fabric(came):
            show = typed(self.spaces[came[0]], "ovs-ofctl", "dump-flows", self.links[came].name)
            inside = [key for key in dict.fromkeys((came, left)) if key not in (before, after)]
            return inside, show
        bridge = self.relations.master(after)
        if not bridge or bridge != self.relations.master(before):
            return [], None
        name = self.links[bridge].name
        return [bridge], typed(self.spaces[bridge[0]], "bridge", "fdb", "show", "br", name)

    def down(self, key: Key) -> Step | None:
        """Return that a device is switched off, if it is."""
        return self.bridges.down(key)

    def reach(self, start: Key, frame: Frame) -> dict[Key, Arrival]:
        """Return what becomes of a frame that a device sends: where it gets, or would get."""
        found: dict[Key, Arrival] = {}
        turn = count()
        best: set[_Place] = set()
        heap: list[tuple[int, int, int, _Place, Step | None, tuple[Key, ...]]] = []
        heappush(heap, (0, 0, next(turn), _Place("out", start), None, (start,)))
        while heap:
            broken, doubts, _, place, trouble, way = heappop(heap)
            if place in best:
                continue
            best.add(place)
            if place.stage in ("at", "beyond"):
                found.setdefault(place.key, Arrival(place.key, way, trouble, place.stage != "at"))
                continue
            for on, step in self._moves(place, frame):
                costs = broken + bool(step and step.holds is False), doubts + bool(step)
                known = trouble and (trouble.holds is False or not step or step.holds is None)
                longer = way if on.key == way[-1] else (*way, on.key)
                heappush(heap, (*costs, next(turn), on, trouble if known else step, longer))
        return found

    def takes(self, arrival: Arrival, frame: Frame) -> bool:
        """Tell whether who gets a frame there takes it for its own."""
        mac, ports = self.links[arrival.key].mac, self.relations.ports.get(arrival.key, ())
        return frame.many or not frame.to or frame.to in {mac, *(self.links[p].mac for p in ports)}

    def _moves(self, place: _Place, frame: Frame) -> _Moves:
        if place.key in self.links:
            space, link = self.spaces[place.key[0]], self.links[place.key]
            down = self.down(place.key) or (loses(space, link) if place.stage == "out" else None)
            for on, step in (self._out if place.stage == "out" else self._in)(place, frame):
                yield on, down or step

    def _out(self, place: _Place, frame: Frame) -> _Moves:
        _, key, tags = place
        link = self.links[key]
        if link.kind == "veth":
            if link.peer:
                yield _Place("in", link.peer.key, tags), None
        elif link.kind == "loopback":
            yield _Place("at", key), None
        elif link.kind == "bridge":
            tags, step = self.vlans.entering(key, key, tags)
            yield from self._ports(key, None, tags, frame, step)
        elif link.kind == "openvswitch":
            yield from ((_Place(*to), step) for to, step in departures(self, key, tags, frame))
        elif link.kind in ("bond", "team"):
            ports = self.relations.ports.get(key, ())
            running = [port for port in ports if self.links[port].running] or ports
            running = [it] if (it := self.active(key)) else running
            text = f"which port of {self.told(key)} is taken is not in a snapshot"
            doubt = self.shows(key, text, None) if len(running) > 1 else None
            yield from ((_Place("out", port, tags), doubt) for port in running)
        elif link.kind in _STANDING and link.lower:
            yield from self._standing(place, link, link.lower.key, frame)
        elif link.kind in OVER:
            for far, step in self.dig(key, frame):
                chosen = tags if link.unreal else ()
                yield _Place("in" if far != key else "beyond", far, chosen), step
        elif link.kind != "dummy":
            text = f"what {self.told(key)} sends leaves what a snapshot has ({link.kind})"
            if link.other_end:
                text = f"{link.other_end} reads what {self.told(key)} sends: no table says more"
            dead = link.kind in OPENED and not link.running
            text = f"no program has {self.told(key)} open" if dead else text
            yield _Place("beyond", key), self.shows(key, text, False if dead else None)

    def active(self, bond: Key) -> Key | None:
        """Return the port by which a bond sends all, and from which it takes all, if it tells."""
        name = self.links[bond].parameters.get("active_slave")
        ports = self.relations.ports.get(bond, ())
        return next((port for port in ports if self.links[port].name == name), None)

    def _standing(self, place: _Place, link: Interface, below: Key, frame: Frame) -> _Moves:
        """Yield where a frame goes from a device that stands on another one."""
        if link.kind == "vlan":
            yield _Place("out", below, (*place.tags, tag(link))), None
            return
        leaves = True
        for twin, alone in () if place.tags else children.beside(self, place.key, frame):
            yield _Place("in", twin), alone
            leaves = leaves and bool(frame.many or (alone and alone.holds is False))
        if leaves:
            lone = link.kind == "ipvlan" and frame.to == link.mac
            yield _Place("at" if lone else "out", below), None

    def _in(self, place: _Place, frame: Frame) -> _Moves:
        _, key, tags = place
        above = {k: self.links[k] for k in self.relations.above.get(key, ())}
        for upper, link in above.items():
            if tags and link.kind == "vlan" and tag(link) == tags[-1]:
                yield _Place("in", upper, tags[:-1]), None
                return
        master = self.relations.master(key)
        if master and master in self.links:
            yield from self._plugged(key, master, tags, frame)
            return
        if tags:
            text = f"{self.told(key)} has no device for VLAN {tags[-1]}"
            yield _Place("at", key), self.shows(key, text)
            return
        hearing, own = children.above(self, key, frame)
        yield from ((_Place("in", upper), children.choosy(self, upper)) for upper in hearing)
        if own:
            yield _Place("at", key), None

    def _plugged(self, key: Key, master: Key, tags: Tags, frame: Frame) -> _Moves:
        """Yield where a frame goes that came in at a port."""
        kind = self.links[master].kind
        if kind in ("bond", "team"):
            idle = self.active(master) not in (None, key)
            text = f"{self.told(key)} is not the active port of {self.told(master)}"
            yield _Place("in", master, tags), self.shows(key, text) if idle else None
        elif kind == "vrf":
            yield _Place("at", key), None
        elif kind == "openvswitch":
            yield from ((_Place(*to), step) for to, step in departures(self, key, tags, frame))
        elif kind == "bridge":
            tags, outside = self.vlans.entering(key, master, tags)
            frame = _in_vlan(frame, tags)
            held = self.bridges.held(key) or self.bridges.locked(key, master, frame)
            step = self.down(master) or held or outside
            own = self.bridges.owns(master, frame)
            if own or frame.many:
                left, barred = self.vlans.leaving(master, master, tags)
                yield _Place("in" if left else "at", master, left), step or barred
            elif frame.to == self.links[master].mac:
                known = self.bridges.behind(master, frame)
                yield _Place("at", master), self.bridges.elsewhere(master, frame, known)
            if not own:
                yield from self._ports(master, key, tags, frame, step)
        else:
            text = f"{kind} {self.told(master)} decides what is in no snapshot"
            yield _Place("beyond", key), self.shows(key, text, None)

    def _ports(
        self, bridge: Key, came: Key | None, tags: Tags, frame: Frame, step: Step | None = None
    ) -> _Moves:
        """Yield the ports of a bridge, each with what keeps a frame from leaving by it."""
        frame = _in_vlan(frame, tags)
        for port in self.relations.ports.get(bridge, ()):
            if port != came or self.links[port].port.get("hairpin"):
                left, barred = self.vlans.leaving(port, bridge, tags)
                kept = step or barred or self.bridges.kept(bridge, port, came, frame)
                yield _Place("out", port, left), kept


def _in_vlan(frame: Frame, tags: Tags) -> Frame:
    """Return a frame that knows which VLAN it is in within a bridge."""
    return frame._replace(vlan=tags[-1] if tags and isinstance(tags[-1], int) else None)
