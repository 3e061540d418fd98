"""A packet's way through namespaces, step by step, as each kernel would decide it. Pure."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from netviz.changes import FORWARDING
from netviz.explanations import Step
from netviz.packets.asking import Asking, Query
from netviz.packets.facts import typed
from netviz.packets.filters import Flowing
from netviz.packets.gates import Gates
from netviz.packets.lifetimes import Life
from netviz.packets.ports import Frame
from netviz.packets.reasons import led
from netviz.packets.relations import hands_over
from netviz.packets.sizes import narrow
from netviz.packets.typed import switch

if TYPE_CHECKING:
    from netviz.model import Endpoint, Key, Namespace
    from netviz.packets.deals import Deals
    from netviz.packets.lifetimes import Lasts
    from netviz.packets.lookup import Lookup
    from netviz.packets.segments import Arrival, Wires


class EndedError(Exception):
    """A walk ends: the last of its steps says why."""


class There(NamedTuple):
    """Where a packet was taken in, by which device, and how it was then."""

    space: Namespace
    dev: str
    packet: Flowing


class Walk:
    """A packet's way, and the way of its answer; ``steps`` are those that it has taken.

    ``lasts`` tells whether what a namespace sends comes alive through so many routers, ``short``
    what is to be said if not; ``deals`` has the turns of rules that deal out.
    """

    def __init__(
        self, wires: Wires, lasts: Lasts, deals: Deals, *, short: Step | None = None
    ) -> None:
        self.wires, self.steps, self.lasts = wires, list[Step](), lasts
        self.deals, self._short = deals, short
        self.life: Life | None = None
        self.gates = Gates(wires.relations, self.add, deals)
        self.asking = Asking(wires, self.gates)
        self._back = ""
        self._way: tuple[Key, ...] = ()
        self._bent: tuple[Key, ...] = ()
        self._card: Key | None = None

    def send(
        self, space: Namespace, packet: Flowing, oif: str | None = None, *, handed: bool = False
    ) -> There:
        """Return where a packet is taken in that is made in a namespace, or ``handed`` to it.

        Raises ``EndedError`` where it is nowhere: the last step says why.
        """
        gates, stack = self.gates, self.wires.stacks[space.id]
        life = self.life = Life(space, self.lasts, self._short)
        source = None if handed else packet.source or None
        found = stack.route(packet.to, source=source, oif=oif, mark=packet.mark)
        self._routed(space, packet, found)
        made = self._from(space, packet, found)
        if made.source != packet.source and made.family == "inet":
            again = stack.route(made.to, source=made.source, oif=oif)  # A socket asks twice.
            if again.refusal:
                self._routed(space, made, again)
            found = found if made.protocol == "icmp" else again
        made = replace(made, state=gates.state(space, made))
        sent = gates.judged(space, "output", replace(made, oif=found.devices[0]))
        if (sent.to, sent.mark) != (made.to, made.mark):  # It is routed again.
            found = stack.route(sent.to, source=sent.source, oif=oif, mark=sent.mark)
            self._routed(space, sent, found)
        while True:
            sent = gates.judged(space, "postrouting", replace(sent, oif=found.devices[0]))
            sent = gates.left(space, made, sent)
            if below := self._below(space, sent, found.devices[0]):
                return self.send(self.wires.spaces[below.id], _anew(sent), below.name, handed=True)
            key, suspect, sent = self._carried(space, sent, found)
            space, dev = self.wires.spaces[key[0]], self.wires.links[key].name
            made = _anew(sent)
            sent = self._led(space, gates.came(space, made, dev))
            if self.wires.stacks[space.id].local(sent.to, dev):
                self._expected(space, dev, sent)
                sent = gates.left(space, made, gates.judged(space, "input", sent))
                return self._taken(space, dev, sent)
            found = self._forwarded(space, dev, sent, suspect)
            if ended := life.ends(space, sent, found.route):
                self._ends(ended)
            sent = gates.judged(space, "forward", replace(sent, oif=found.devices[0]))

    def _led(self, space: Namespace, came: Flowing) -> Flowing:
        """Return a packet as it is to be routed; note by which port it came if it is bridged on."""
        sent = self.gates.judged(space, "prerouting", came)
        # What gets another end as it crosses a bridge is bridged on.
        bent = sent.to != came.to and self.gates.netfilter(space, sent)
        self._bent = self._way[-2:-1] if bent else ()
        return sent

    def _taken(self, space: Namespace, dev: str, sent: Flowing) -> There:
        show = typed(space, "ip", "address", "show", "to", sent.to)
        self.add(Step(f"{sent.to} is {space.name}'s own address", True, space.name, show))
        return There(space, dev, replace(sent, iif=None))

    def answer(self, there: There) -> There:
        """Return where the answer is taken in to a packet that was taken in somewhere."""
        self._back = "back: "
        it = there.packet
        ports = it.dport, it.sport
        back = Flowing(it.family, it.to, it.source, it.protocol, *ports, kind="reply")
        near = it.source.lower().startswith("fe80:")
        vrf = self.wires.stacks[there.space.id].vrf(there.dev)
        bound = there.dev if near else vrf.name if vrf else None
        return self.send(there.space, back, bound)

    def _below(self, space: Namespace, packet: Flowing, dev: str) -> Endpoint | None:
        """Return the device below an ipvlan, whose namespace routes what the ipvlan sends."""
        key = self.wires.key(space, dev)
        link, lower = self.wires.links[key], self.wires.links[key].lower
        if not hands_over(link) or lower is None:
            return None
        if lower.key not in self.wires.links or self.wires.relations.beside(key, packet.to):
            return None
        if down := self.wires.down(key) or self.wires.down(lower.key):
            self._ends(down)
        text = f"{self.wires.told(key)} is an ipvlan in mode {link.parameters.get('mode')}: "
        text += f"{lower.namespace} routes what it sends, out of {lower.name}"
        self.add(self.wires.shows(key, text, True))
        return lower

    def add(self, step: Step) -> None:
        """Take a step. Raises ``EndedError`` where it does not hold."""
        if step.holds is False and not step.mend:
            step = replace(step, mend=self.gates.undone)
        self.steps.append(replace(step, text=self._back + step.text))
        if step.holds is False:
            raise EndedError

    def _ends(self, step: Step) -> NoReturn:
        self.add(step)
        raise EndedError

    def _routed(
        self, space: Namespace, packet: Flowing, found: Lookup, iif: str | None = None
    ) -> None:
        """Tell by which route a namespace sends a packet, or why it does not."""
        came = ("from", packet.source, "iif", iif) if iif else ()
        show = typed(space, "ip", "route", "get", packet.to, *came)
        if found.refusal:
            self._ends(self.asking.mends.unrouted(space, packet.to, found, show))
        if found.doubt or not found.devices:
            self._ends(Step(found.doubt or "no device is known", None, space.name, show))
        if len({*zip(found.devices, found.gateways, strict=True)}) > 1:
            text = f"{space.name} takes one of {len(found.devices)} ways to {packet.to}"
            self.add(Step(text, None, space.name, show))
        dev = found.devices[0]
        text = f"{space.name}: {led(found, dev, found.gateways[0], packet.to)}"
        self.add(Step(text, True, f"{space.name}:{dev}", show))

    def _from(self, space: Namespace, packet: Flowing, found: Lookup) -> Flowing:
        """Return a packet with its source, which the route chooses."""
        if packet.source or found.source:
            return replace(packet, source=packet.source or found.source or "")
        own = [(link, a) for link in space.interfaces for a in link.addresses]
        own = [(k, a) for k, a in own if a.family == packet.family and a.scope != "host"]
        own.sort(key=lambda it: it[1].scope != "global")
        for link, address in own:
            if checked := self.asking.checked(self.wires.key(space, link.name), address.local):
                self._ends(checked)
        show = typed(space, "ip", "route", "get", packet.to)
        if not own:
            mend = self.asking.mends.joined(space, packet.to)
            text = f"{space.name} has no address from which it could send"
            self._ends(Step(text, False, space.name, show, mend))
        text = f"which address {space.name} sends from is not in a snapshot"
        self.add(Step(text, None, space.name, show))
        return replace(packet, source=own[0][1].local)

    def _forwarded(
        self, space: Namespace, dev: str, packet: Flowing, suspect: Step | None
    ) -> Lookup:
        """Return the way on from a namespace that is asked to forward a packet."""
        stack, inet = self.wires.stacks[space.id], packet.family == "inet"
        found = stack.route(packet.to, source=packet.source, iif=dev, mark=packet.mark)
        on = stack.forwards(packet.family, dev)
        if suspect and (not on or found.refusal):
            self._ends(suspect)
        wide = FORWARDING[packet.family]
        if inet and not on and stack.forwards("inet", "all"):
            wide = switch(dev, "forwarding")
        show = typed(space, "sysctl", wide)
        if not on:
            text = f"{packet.to} is not {space.name}'s own, and it does not forward: {wide} is 0"
            mend = self._due(space, dev, packet) or typed(space, "sysctl", "-w", f"{wide}=1")
            self._ends(Step(text, on, f"{space.name}:{dev}", show, mend))
        self._routed(space, packet, found, dev)
        self._expected(space, dev, packet)
        self.add(Step(f"{space.name} forwards: {wide} is 1", True, space.name, show))
        return found

    def _due(self, space: Namespace, dev: str, packet: Flowing) -> str | None:
        """Return what gives a tunnel's end the address that the other end calls its peer's."""
        known = (address for link in self.wires.links.values() for address in link.addresses)
        if any((it.local, it.peer) == (packet.source, packet.to) for it in known):
            words = (packet.to, "peer", packet.source, "dev", dev)
            return typed(space, "ip", "address", "add", *words)
        return None

    def _expected(self, space: Namespace, dev: str, packet: Flowing) -> None:
        """See whether a namespace takes a packet with this source from there."""
        if step := self.asking.barred(self.wires.key(space, dev), packet.source, packet.to):
            self.add(step)

    def _carried(
        self, space: Namespace, packet: Flowing, found: Lookup
    ) -> tuple[Key, Step | None, Flowing]:
        """Return where a frame gets to, what is wrong if not where it should, and the packet."""
        route, gateway = found.route, found.gateways[0]
        key = self.wires.key(space, found.devices[0])
        if down := self.wires.down(key):
            self._ends(down)
        stack = self.wires.stacks[space.id]
        if gateway != packet.to and stack.local(gateway):
            text = (
                f"{gateway} is {space.name}'s own: when the route was made decides where it leads"
            )
            self.add(Step(text, None, space.name, typed(space, "ip", "route", "show")))
        own = stack.local(packet.source, found.devices[0])
        asks = self.asking.own(key, gateway, packet.source if own else None)
        made = route if route and route.protocol != "kernel" else None
        answer = self.asking.who(Query(key, gateway, asks, packet.to, made))
        for step in answer.steps:
            self.add(step)
        if answer.mac is None:
            raise EndedError
        frame = Frame(answer.mac, self.wires.links[key].mac, packet.to, packet, hop=gateway)
        reached = self.wires.reach(key, frame)
        takers = [it for it in reached.values() if not it.beyond and self.wires.takes(it, frame)]
        got = min(takers, key=lambda it: (not it.real, it.trouble is not None), default=None)
        if got is None or not got.real:
            self._ends(self._astray(key, reached, got, answer.suspect))
        if got.trouble:
            self.add(got.trouble)
        if len(got.way) > 1:
            self.add(self._joined(got.way))
        self._card = self._card or key
        if too_small := narrow(self.wires, got.way, packet.size, self._card):
            self._ends(too_small)
        port, self._way = got.way[1:2], got.way
        if port and port == self._bent and (kept := self.wires.bridges.lone(port[0])):
            self._ends(kept)
        return got.key, answer.suspect, self.gates.bridged(got.way, packet)

    def _joined(self, way: tuple[Key, ...]) -> Step:
        """Return by which devices a frame goes."""
        step, names = self.wires.shows(way[0], "", True), [self.wires.told(way[0])]
        show = step.command
        for before, key in pairwise(way):
            bridges, fdb = self.wires.between(before, key)
            names += map(self.wires.told, bridges)
            show = fdb or show
            names.append(self.wires.told(key))
        text = f"{names[0]} is joined with {names[-1]}"
        text += f" by {', '.join(names[1:-1])}" if names[1:-1] else ""
        return replace(step, text=text, command=show)

    def _astray(
        self, key: Key, reached: dict[Key, Arrival], got: Arrival | None, suspect: Step | None
    ) -> Step:
        """Return why a frame gets to nobody."""
        if got and got.trouble:
            return got.trouble
        lost = [it.trouble for it in reached.values() if it.trouble]
        lost.sort(key=lambda it: it.holds is False)
        if suspect and not (lost and lost[0].holds is None):
            return suspect
        text = f"what {self.wires.told(key)} sends is for nobody who gets it"
        return lost[0] if lost else self.wires.shows(key, text)


def _anew(sent: Flowing) -> Flowing:
    """Return a packet as another namespace gets it, which knows nothing of it yet."""
    return replace(sent, iif=None, oif=None, mark=0, state="new", status=frozenset())
