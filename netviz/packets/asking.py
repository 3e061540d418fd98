"""Who has an address on a link: what a namespace believes, or who would answer its question. Pure.

What somebody wrote into the neighbour table is believed; what was learned is, while it is kept;
else the question goes to everyone on the link, and an answer has to come back.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, NamedTuple

from netviz.explanations import Step
from netviz.packets import children, overlays
from netviz.packets.facts import typed
from netviz.packets.filters import Flowing
from netviz.packets.mends import Mends
from netviz.packets.ports import BROADCAST, Frame
from netviz.packets.relations import hands_over
from netviz.packets.subnets import network_of
from netviz.packets.typed import switch
from netviz.packets.unsent import NO_ANSWER

if TYPE_CHECKING:
    from netviz.model import Key, Neighbour, Route
    from netviz.packets.gates import Gates
    from netviz.packets.segments import Arrival, Wires

_WRITTEN = {"PERMANENT", "NOARP"}
_SOLICITED = bytes.fromhex("ff02 0000 0000 0000 0000 0001 ff")
_KEPT = {"REACHABLE", "STALE", "DELAY", "PROBE"}


class Answer(NamedTuple):
    """The next hop's card, empty where none is needed, None where nobody is found.

    ``steps`` are how it is known. ``suspect`` is what is wrong if it should not work on from there.
    """

    mac: str | None
    steps: tuple[Step, ...] = ()
    suspect: Step | None = None


class Query(NamedTuple):
    """A next hop to be found: its ``address``, asked for by a device with one of its own.

    ``to`` is where the packet goes in the end; ``route`` the route there, if it can be replaced.
    """

    key: Key
    address: str
    asks: str
    to: str
    route: Route | None = None


class Asking:
    """Who is who on the links of one network; remembers what is learned on a packet's way."""

    def __init__(self, wires: Wires, gates: Gates) -> None:
        self.wires, self.gates, self.mends = wires, gates, Mends(wires)
        self._learned: dict[tuple[int, str, str], str] = {}

    def who(self, query: Query) -> Answer:
        """Return whose card a namespace sends to, to reach an address on a link."""
        key, address = query.key, query.address
        space, link = self.wires.spaces[key[0]], self.wires.links[key]
        dev, known = link.name, self.wires.stacks[key[0]].neighbour(address, link.name)
        silent = link.kind == "dummy" or hands_over(link)
        if not link.mac or silent or "BROADCAST" not in link.flags:
            return Answer("")
        show = typed(space, "ip", "neighbour", "show", address, "dev", dev)
        learned = self._learned.get((space.id, dev, address))
        written = known and known.mac and _WRITTEN & {*known.state}
        if known and (written or (not learned and known.mac and _KEPT & {*known.state})):
            return self._believed(query, known, show)
        if "NOARP" in link.flags:  # It takes everybody's card for its own.
            mend = typed(space, "ip", "link", "set", "dev", dev, "arp", "on")
            deaf = self.wires.shows(key, f"{self.wires.told(key)} does not speak ARP")
            return Answer(link.mac, (), replace(deaf, mend=mend))
        if learned:
            text = f"{address} has asked, so {space.name} knows that it is at {learned}"
            return Answer(learned, (Step(text, True, f"{space.name}:{dev}", show),))
        return self._asked(query, show)

    def own(self, key: Key, address: str, source: str | None) -> str:
        """Return the address with which a device asks who has another, for a packet's source."""
        own = [a for a in self.wires.links[key].addresses if (":" in a.local) == (":" in address)]
        if ":" in address and source not in {a.local for a in own}:
            own = [a for a in own if a.scope == "link"]
        elif source:
            return source
        near = [a for a in own if a.scope != "host" and ip_address(address) in network_of(a)]
        return next((a.local for a in (*near, *own)), "::" if ":" in address else "0.0.0.0")

    def _believed(self, query: Query, known: Neighbour, show: str) -> Answer:
        """Return what the table says, and why it may be wrong."""
        space, where = self.wires.spaces[query.key[0]], self.wires.relations.called(query.key)
        mac, suspect = (known.mac or "").lower(), None
        text = f"neighbour {known.to} is {mac}, says {space.name}'s table ({known.state[0]})"
        asked = self._asked(query, show, learn=False)
        right = asked.mac or overlays.card(self.wires, query.key, known.to)
        if asked.mac is None and not _WRITTEN & {*known.state}:
            suspect = asked.steps[-1]
        elif right != mac:
            right = f"{right} has it" if right else "nobody on its link has it"
            suspect = self._wrong(query.key, known, f"{text}, but {right}")
        return Answer(mac, (Step(text, True, where, show),), suspect)

    def _asked(self, query: Query, show: str, *, learn: bool = True) -> Answer:
        """Return who answers a question."""
        key, address, asks, *_ = query
        space, link = self.wires.spaces[key[0]], self.wires.links[key]
        if early := self.checked(key, asks):
            return Answer(None, (early,))
        switch = self.wires.relations.master(key)
        if switch and self.wires.relations.is_switch(switch):
            return Answer(None, (self.mends.deaf(key, switch),))
        asked = self.wires.reach(key, self._question(key, address))
        real = [it for it in asked.values() if it.real]
        answers = [it for it in real if self._knows(it, key, address, asks)]
        lost = [step for it in answers if (step := self._lost(it, query))]
        if not answers or len(lost) == len(answers):
            unsure = (step for it in real if (step := self._unsure(it, address)))
            nobody = next(unsure, None) or self._nobody(query, asked, show, lost)
            return Answer(None, (nobody,))
        steps = [it.trouble for it in answers[:1] if it.trouble]
        cards = {self.wires.links[it.key].mac: it for it in answers}
        for mac, first in cards.items() if learn else ():
            self._learned[first.key[0], self.wires.links[first.key].name, asks] = link.mac or ""
            self.wires.bridges.taught |= {mac or "", link.mac or ""}
        names, one = [self.wires.told(it.key) for it in answers], len(cards) == 1
        text = f"{space.name} asks on {link.name} who has {address}: {' and '.join(names)} "
        text += f"answers with {next(iter(cards))}" if one else "answer: the address is there twice"
        steps.append(Step(text, one or None, self.wires.relations.called(key), show))
        return Answer(next(iter(cards)), tuple(steps))

    def _lost(self, arrival: Arrival, query: Query) -> Step | None:
        """Return what keeps a question from who would answer it, or the answer from who asks."""
        key, address, asks, *_ = query
        if early := self.checked(arrival.key, address):
            return early
        link, mac = self.wires.links[key], self.wires.links[arrival.key].mac
        sent = Flowing("inet", asks, address, "arp")
        if ":" in address:
            many = str(IPv6Address(_SOLICITED + ip_address(address).packed[-3:]))
            sent = Flowing("inet6", asks, many, "icmpv6", state="untracked", kind="solicit")
        if step := self.gates.asked(arrival.way, sent):
            return step
        if ":" in address and (wrong := self._misled(arrival.key, asks, link.mac)):
            return wrong
        taught = self.wires.bridges.taught
        self.wires.bridges.taught = taught | {link.mac or ""}
        reached = self.wires.reach(arrival.key, Frame(link.mac or "", mac, asks))
        self.wires.bridges.taught = taught
        back = reached.get(key)
        if back is None or not back.real:
            lost = (back, *reached.values()) if back else reached.values()
            whys = (it.trouble for it in lost if it.trouble)
            return next(whys, None) or self.wires.shows(key, f"{link.name} gets no answer")
        kind = "advert" if ":" in address else "reply"
        return self.gates.asked(back.way, replace(sent, source=address, to=asks, kind=kind))

    def _misled(self, key: Key, asks: str, mac: str | None) -> Step | None:
        """Return that an advert goes astray: unlike ARP's answers it is sent as any packet is."""
        space, dev = self.wires.spaces[key[0]], self.wires.links[key].name
        known = self.wires.stacks[space.id].neighbour(asks, dev)
        if not known or known.mac == mac or not _WRITTEN & {*known.state}:
            return None
        text = f"neighbour {asks} is {known.mac}, says {space.name}'s table, but {mac} has it"
        return self._wrong(key, known, text)

    def _wrong(self, key: Key, known: Neighbour, text: str) -> Step:
        """Return that an entry of the neighbour table is wrong, and what takes it away."""
        space, entry = self.wires.spaces[key[0]], (known.to, "dev", known.dev)
        show, gone = (typed(space, "ip", "neighbour", it, *entry) for it in ("show", "delete"))
        mend = overlays.neighbour(self.wires, key, known.to) or gone
        return Step(text, False, self.wires.relations.called(key), show, mend)

    def _question(self, key: Key, address: str) -> Frame:
        to = BROADCAST
        if ":" in address:
            to = "33:33:ff:" + ip_address(address).packed[-3:].hex(":")
        return Frame(to, self.wires.links[key].mac, address)

    def _knows(self, arrival: Arrival, asker: Key, address: str, asks: str) -> bool:
        """Tell whether who hears a question answers it."""
        space, link = self.wires.spaces[arrival.key[0]], self.wires.links[arrival.key]
        if arrival.beyond or space.id == asker[0] or "NOARP" in link.flags:
            return False
        if ":" in address:
            own = [a for a in link.addresses if a.local == address]
            return any(not {"tentative", "dadfailed"} & {*a.flags} for a in own)
        barred = self.barred(arrival.key, asks, address)
        heard = barred is None or barred.holds is None
        return heard and bool(self.wires.stacks[space.id].local(address, link.name))

    def barred(self, key: Key, source: str, to: str) -> Step | None:
        """Return why a namespace does not take packets with a source from a device."""
        space, dev = self.wires.spaces[key[0]], self.wires.links[key].name
        stack, where = self.wires.stacks[space.id], self.wires.relations.called(key)
        accepts, own = stack.accepts(source, dev, to), stack.local(source, dev)
        if accepts:
            return None
        show = typed(space, "ip", "route", "get", source)
        if accepts is None and own:
            text = f"{space.name} has {source} as well, and takes nothing that it may have sent"
            twice = any(other[0] != space.id for other in self.wires.owners.get(source, ()))
            mend = self.mends.without(self.wires.key(space, own.name), source) if twice else None
            return Step(text, False, where, show, mend)
        if accepts is None:
            text = f"whether {space.name} takes {source} from {dev} is not in a snapshot"
            return Step(text, None, where, show)
        told: Any = space.sysctls.get("ipv4", {})
        strict = [name for name in ("all", dev) if told.get(name, {}).get("rp_filter")]
        off = [f"{switch(name, 'rp_filter')}=0" for name in strict]
        text = f"rp_filter: the way back to {source} is not by {dev}"
        return Step(text, False, where, show, typed(space, "sysctl", "-w", *off) if off else None)

    def _unsure(self, arrival: Arrival, address: str) -> Step | None:
        """Return why who hears a question may answer it, or may not, for all that is known."""
        space, link = self.wires.spaces[arrival.key[0]], self.wires.links[arrival.key]
        told: Any = space.sysctls.get("ipv6" if ":" in address else "ipv4", {})
        if any(told.get(name, {}).get("proxy_neigh") for name in ("all", link.name)):
            text = f"{space.name} may answer for others: proxy_arp or proxy_ndp is on"
            return self.wires.shows(arrival.key, text, None)
        return arrival.trouble if arrival.beyond else self.checked(arrival.key, address)

    def checked(self, key: Key, address: str) -> Step | None:
        """Return that IPv6 does not use an address yet, for it may be another's as well."""
        link, space = self.wires.links[key], self.wires.spaces[key[0]]
        own = [a for a in link.addresses if a.local == address and "dadfailed" not in a.flags]
        early = address == "::" or (
            own and ":" in address and link.running and link.state == "DOWN"
        )
        if not early and not any("tentative" in a.flags for a in own):
            return None
        text = f"{space.name} still asks whether {address} is free: wait for two seconds"
        if address == "::":
            text = f"{self.wires.told(key)} has no link-local address yet, with which it could ask"
        show = typed(space, "ip", "address", "show", "dev", link.name)
        return Step(text, None, self.wires.relations.called(key), show)

    def _nobody(
        self, query: Query, asked: dict[Key, Arrival], show: str, unheard: list[Step]
    ) -> Step:
        """Return why nobody answers, and what mends it."""
        key, address, asks, to, route = query
        space, dev = self.wires.spaces[key[0]], self.wires.links[key].name
        if silent := overlays.untold(self.wires, key, address, show):
            return silent
        text = f"nobody on {dev} {NO_ANSWER} {address}"
        owners = [k for k in self.wires.owners.get(address, ()) if k[0] != key[0]]
        held = [it.trouble for k, it in asked.items() if k in owners and it.trouble]
        near = {owner[0] for owner in owners}  # Another of its devices would do as well.
        held = held or [it.trouble for k, it in asked.items() if k[0] in near and it.trouble]
        lost = [it.trouble for it in asked.values()]
        dug = [it.trouble for k, it in asked.items() if it.beyond and owners and k not in owners]
        whys = (*unheard, *held, *dug, *(lost if all(lost) else ()))
        why: Step | None = next(iter(whys), None)
        if why:
            return replace(why, text=f"{text}: {why.text}")
        if apart := children.apart(self.wires, key, asks, owners, address):
            return replace(apart, text=f"{text}: {apart.text}")
        for far, arrival in asked.items():
            weak = ":" not in address and far[0] != key[0]  # IPv6 asks for what the device has.
            stack, by = self.wires.stacks[far[0]], self.wires.links[far].name
            has = far in owners or (weak and stack.local(address, by))
            if has and not arrival.beyond:
                return self._deaf(far, f"{text}: {self.wires.told(far)} ", asks, address)
        where = self.wires.relations.called(key)
        if mend := self.mends.narrowed(space, dev, address):
            text += f": the mask of {dev} says that it is on this link, which the others' do not"
            return Step(text, False, where, show, mend)
        if loose := self.mends.unplugged(key, owners, address):
            return replace(loose, text=f"{text}: {loose.text}")
        mine = [a for a in self.wires.links[key].addresses if a.local == asks]
        best = self.mends.straight(space, to, route) if route else None
        text = text if owners else f"{text}: nobody here has it"
        best = best if owners else self.gates.written.get(address, best)
        best = best or self.mends.given(key, address, mine[0] if mine else None)
        best = best or self.mends.fewer(key, address)
        return Step(text, False, where, show, best)

    def _deaf(self, key: Key, text: str, asks: str, address: str) -> Step:
        """Return why who has an address and hears the question does not answer."""
        space, link = self.wires.spaces[key[0]], self.wires.links[key]
        own = [a for a in link.addresses if a.local == address]
        if "NOARP" in link.flags:
            deaf = self.wires.shows(key, f"{text}does not speak ARP")
            on = typed(space, "ip", "link", "set", "dev", link.name, "arp", "on")
            return replace(deaf, mend=self.mends.over(key, asks, address, on))
        if own and "dadfailed" in own[0].flags:
            text += "found that another has it too"
            return replace(self.wires.shows(key, text), mend=self.mends.without(key, address))
        if barred := self.barred(key, asks, address):
            return replace(barred, text=f"{text}does not hear {asks}: {barred.text}")
        where = [self.wires.told(owner) for owner in self.wires.owners.get(address, ())]
        return self.wires.shows(key, f"{text}does not answer: {', '.join(where)} has the address")
