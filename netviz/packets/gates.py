"""What packet filters do to a packet in each namespace, and what their tracking remembers. Pure.

An answer is let in as established where the question was seen, and its addresses are translated
back there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from netviz.explanations import Step
from netviz.packets.facts import typed
from netviz.packets.filters import Filters, Flowing

if TYPE_CHECKING:
    from collections.abc import Callable

    from netviz.model import Key, Namespace
    from netviz.packets.deals import Deals
    from netviz.packets.relations import Relations


class Gates:
    """The filters of a network on one packet's way; ``add`` takes each step.

    ``undone`` takes away the last rule that translated it; ``written`` has for each source that a
    rule wrote what takes that rule away. ``unseen`` lets the tracking see an answer that a bridge
    has led past it.
    """

    def __init__(self, relations: Relations, add: Callable[[Step], None], deals: Deals) -> None:
        self._relations, self._add, self._deals = relations, add, deals
        self.undone: str | None = None
        self.unseen: str | None = None
        self.written: dict[str, str] = {}
        self._filters: dict[int, Filters] = {}
        self._tracked: dict[int, list[tuple[Flowing, Flowing]]] = defaultdict(list)

    def judged(
        self, space: Namespace, hook: str, packet: Flowing, family: str | None = None
    ) -> Flowing:
        """Return a packet as a hook's filters leave it."""
        packet, step = self.verdict(space, hook, packet, family)
        if step:
            self._add(step)
        return packet

    def verdict(
        self, space: Namespace, hook: str, packet: Flowing, family: str | None = None
    ) -> tuple[Flowing, Step | None]:
        """Return a packet as a hook's filters leave it, and what they did, if they did a thing."""
        if not space.nft:
            return packet, None
        if space.id not in self._filters:
            self._filters[space.id] = Filters(space, self._deals)
        said = self._filters[space.id].judge(hook, packet, family)
        text, show, step = said.reason, typed(space, "nft", "list", "ruleset"), None
        if said.doubt or said.dropped is None:
            step = Step(f"{space.name}: {said.doubt}", None, space.name, show)
        elif text:
            whole = f"{space.name}: {text}"
            mend = said.mend if said.dropped else None
            step = Step(whole, not said.dropped, space.name, text.command, mend)
            if said.mend and not said.dropped:
                self.undone = said.mend
                if said.packet.source != packet.source:
                    self.written[said.packet.source] = said.mend
        return said.packet, step

    def asked(self, way: tuple[Key, ...], packet: Flowing) -> Step | None:
        """Return what keeps a question who has an address, or the answer, from its way."""
        (first, last), relations = (way[0], way[-1]), self._relations
        seen: list[tuple[Namespace, str, Flowing, str | None]] = []
        sent = replace(packet, oif=relations.links[first].name)
        seen.append((relations.spaces[first[0]], "output", sent, None))
        for one, other, bridge in self._crossed(way):
            space = relations.spaces[bridge[0]]
            for hook, it in self._at(space, packet, *self._ports(one, other, bridge)):
                seen.append((space, hook, it, "bridge"))
            if bridge not in (one, other) and self.netfilter(space, packet):
                name = relations.links[bridge].name
                seen += ((space, *each, None) for each in self._at(space, packet, name, name))
        heard = replace(packet, iif=relations.links[last].name)
        seen.append((relations.spaces[last[0]], "input", heard, None))
        steps = (self.verdict(*each)[1] for each in seen)
        return next((step for step in steps if step and not step.holds), None)

    def bridged(self, way: tuple[Key, ...], packet: Flowing) -> Flowing:
        """Return a packet as it comes out of the bridges on a frame's way, whose filters see it."""
        for one, other, bridge in self._crossed(way):
            space, links = self._relations.spaces[bridge[0]], self._relations.links
            if space.nft:
                for each in self._at(space, packet, *self._ports(one, other, bridge)):
                    self.judged(space, *each, "bridge")
                if bridge not in (one, other) and self.netfilter(space, packet):
                    packet = self._through(space, links[bridge].name, packet)
                elif self._answered(space, packet):
                    self.unseen = typed(space, "sysctl", "-w", f"net.bridge.{_switch(packet)}=1")
        return packet

    def _through(self, space: Namespace, name: str, packet: Flowing) -> Flowing:
        """Return a bridged packet as the filters of IP leave it, which see the bridge only."""
        came = self.came(space, packet, name)
        sent = came
        for hook, it in self._at(space, came, name, name):
            sent = self.judged(space, hook, replace(sent, iif=it.iif, oif=it.oif))
        left = replace(self.left(space, packet, sent), iif=None, oif=None, mark=0, state="new")
        if left.to != packet.to:
            text = f"{space.name} translates what is bridged: where it goes then is not told here"
            self._add(Step(text, None, space.name, typed(space, "nft", "list", "ruleset")))
        return replace(left, status=frozenset())

    def netfilter(self, space: Namespace, packet: Flowing) -> bool:
        """Tell whether the filters of IP see what a namespace's bridges pass on."""
        return packet.protocol != "arp" and bool(space.sysctls.get(_switch(packet)))

    def _ports(self, one: Key, other: Key, bridge: Key) -> tuple[str | None, str | None]:
        """Return the ports by which a frame comes and goes; None where it is the bridge's own."""
        links = self._relations.links
        return (
            links[one].name if one != bridge else None,
            links[other].name if other != bridge else None,
        )

    def _at(
        self, space: Namespace, packet: Flowing, iif: str | None, oif: str | None
    ) -> list[tuple[str, Flowing]]:
        """Return the hooks that a frame passes in a bridge, each with the packet as it is there."""
        seen = [("prerouting", iif, None), ("forward", iif, oif), ("postrouting", None, oif)]
        if not (iif and oif):
            seen = [seen[0], ("input", iif, None)] if iif else [("output", None, oif), seen[2]]
        at = replace(packet, state=self.state(space, packet))
        return [(hook, replace(at, iif=came, oif=goes)) for hook, came, goes in seen]

    def _crossed(self, way: tuple[Key, ...]) -> Iterator[tuple[Key, Key, Key]]:
        """Yield each pair of places on a way that a bridge joins, and the bridge."""
        for one, other in pairwise(way):
            bridges = {one, self._relations.master(one)} & {other, self._relations.master(other)}
            for bridge in bridges - {None}:
                if bridge and self._relations.links[bridge].kind == "bridge":
                    yield one, other, bridge

    def state(self, space: Namespace, packet: Flowing) -> str:
        """Return what connection tracking calls a packet."""
        if packet.kind not in ("request", "reply"):
            return "untracked"
        if packet.kind == "request" or packet.protocol == "arp":
            return "new"
        ends = packet.source, packet.to
        known = any((left.to, left.source) == ends for _, left in self._tracked[space.id])
        return "established" if known else "invalid"

    def came(self, space: Namespace, packet: Flowing, dev: str) -> Flowing:
        """Return what came in, as it is routed: an answer is for who asked."""
        packet = replace(packet, iif=dev, state=self.state(space, packet))
        for asked, left in self._tracked[space.id] if packet.kind == "reply" else ():
            if (left.to, left.source) == (packet.source, packet.to):
                return replace(packet, to=asked.source, status=left.status)
        return packet

    def left(self, space: Namespace, came: Flowing, packet: Flowing) -> Flowing:
        """Return what goes on from there; an answer comes from whom was asked."""
        if packet.kind == "request":
            self._tracked[space.id].append((came, packet))
            return packet
        if not (known := self._answered(space, packet)):
            return packet
        asked, left = known
        if (left.source, left.to) != (asked.source, asked.to):
            text = f"{space.name}: it answers {asked.source} → {asked.to}: turned back"
            self._add(Step(text, True, space.name, typed(space, "conntrack", "-L")))
        return replace(packet, source=asked.to)

    def _answered(self, space: Namespace, packet: Flowing) -> tuple[Flowing, Flowing] | None:
        """Return what a packet on its way out answers, as it came and as it left."""
        ends = packet.source, packet.to
        known = self._tracked[space.id]
        return next((each for each in known if (each[1].to, each[0].source) == ends), None)


def _switch(packet: Flowing) -> str:
    """Return the switch that lets the filters of IP see what is bridged."""
    return f"bridge-nf-call-{'ip' if packet.family == 'inet' else 'ip6'}tables"
